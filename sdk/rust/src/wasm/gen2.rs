//! The imports of generation 2.

use super::{call, send};
use crate::error::Error;
use crate::gen2::host::{Groups, Verb as GroupVerb};
use crate::host::{Host, Verb};

#[link(wasm_import_module = "pantopic/ext-range-watch")]
unsafe extern "C" {
    #[link_name = "__range_watch_queue"]
    safe fn import_queue();
    #[link_name = "__range_watch_flush"]
    safe fn import_flush();
    #[link_name = "__range_watch_clear"]
    safe fn import_clear();
    #[link_name = "__range_watch_reserve"]
    safe fn import_reserve();
    #[link_name = "__range_watch_open"]
    safe fn import_open();
    #[link_name = "__range_watch_start"]
    safe fn import_start();
    #[link_name = "__range_watch_stop"]
    safe fn import_stop();
    #[link_name = "__range_watch_group_start"]
    safe fn import_group_start();
    #[link_name = "__range_watch_group_stop"]
    safe fn import_group_stop();
}

#[derive(Debug)]
pub(crate) struct Imports;

impl Host for Imports {
    fn send(&mut self, value: u64, keys: &[u8]) -> Result<(), Error> {
        send(value, keys, || import_queue());
        Ok(())
    }

    fn apply(&mut self, verb: Verb, args: &[u8]) -> Result<(), Error> {
        call(args, || match verb {
            Verb::Reserve => import_reserve(),
            Verb::Open => import_open(),
            Verb::Start => import_start(),
            Verb::Stop => import_stop(),
        })
    }
}

impl Groups for Imports {
    fn flush(&mut self) -> Result<(), Error> {
        import_flush();
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Error> {
        import_clear();
        Ok(())
    }

    fn apply_to_group(&mut self, verb: GroupVerb, id: &[u8]) -> Result<(), Error> {
        call(id, || match verb {
            GroupVerb::Start => import_group_start(),
            GroupVerb::Stop => import_group_stop(),
        })
    }
}
