//! What versions of etcd can do.

/// Whether a server of this version answers a request for progress in the order of the events.
///
/// Before 3.4.25 and 3.5.8 the answer may overtake events at or below its revision, and comes also
/// while the watch is far behind: it says nothing then. Source: etcd, CHANGELOG-3.4 and -3.5,
/// "Requested watcher progress notifications are not synchronised with stream", pull requests 15697
/// and 15695.
pub(crate) fn orders_progress(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok);
    let (Some(major), Some(minor), Some(patch)) = (next(), next(), next()) else {
        return false;
    };
    match (major, minor) {
        (3, 4) => patch >= 25,
        (3, 5) => patch >= 8,
        newer => newer >= (3, 6),
    }
}

#[cfg(test)]
mod tests {
    use super::orders_progress;

    #[test]
    fn progress_is_requested_where_it_is_answered_in_order() {
        for version in [
            "3.4.25",
            "3.4.31",
            "3.5.8",
            "3.5.13",
            "3.6.0-rc.1",
            "3.10.2",
            "4.0.0",
        ] {
            assert!(orders_progress(version), "{version}");
        }
        for version in [
            "3.4.23",
            "3.5.7",
            "3.5.0-rc.0",
            "3.3.27",
            "2.3.8",
            "3.6",
            "",
            "x.y.z",
        ] {
            assert!(!orders_progress(version), "{version}");
        }
    }
}
