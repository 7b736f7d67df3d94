//! The imports of generation 1.

super::imports!("pantopic/wazero-range-watch", "__range_watch_flush");
