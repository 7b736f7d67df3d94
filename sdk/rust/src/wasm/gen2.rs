//! The imports of generation 2.

use crate::gen2::host::{Groups, Verb as GroupVerb};

super::imports!("pantopic/ext-range-watch", "__range_watch_queue");

#[link(wasm_import_module = "pantopic/ext-range-watch")]
unsafe extern "C" {
    #[link_name = "__range_watch_flush"]
    safe fn import_flush();
    #[link_name = "__range_watch_clear"]
    safe fn import_clear();
    #[link_name = "__range_watch_group_start"]
    safe fn import_group_start();
    #[link_name = "__range_watch_group_stop"]
    safe fn import_group_stop();
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
