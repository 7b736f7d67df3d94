//! The imports of generation 1.

use super::{call, send};
use crate::error::Error;
use crate::host::{Host, Verb};

#[link(wasm_import_module = "pantopic/wazero-range-watch")]
unsafe extern "C" {
    #[link_name = "__range_watch_flush"]
    safe fn import_flush();
    #[link_name = "__range_watch_reserve"]
    safe fn import_reserve();
    #[link_name = "__range_watch_open"]
    safe fn import_open();
    #[link_name = "__range_watch_start"]
    safe fn import_start();
    #[link_name = "__range_watch_stop"]
    safe fn import_stop();
}

#[derive(Debug)]
pub(crate) struct Imports;

impl Host for Imports {
    fn send(&mut self, value: u64, keys: &[u8]) -> Result<(), Error> {
        send(value, keys, || import_flush());
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
