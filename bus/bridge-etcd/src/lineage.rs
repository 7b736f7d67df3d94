//! What was seen of the clusters behind the endpoints, to notice one that has gone back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use etcd_client::proto::PbResponseHeader;

/// What all readers of a source have seen, by the id of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    clusters: Mutex<Clusters>,
}

/// A copy of what was seen, taken before a read.
pub(crate) type Clusters = HashMap<u64, Seen>;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The greatest revision.
    revision: u64,
    /// The greatest term of a linearizable read.
    raft_term: u64,
    /// How often the cluster has gone back, or contradicted itself.
    n_breaks: u64,
}

impl Lineage {
    /// What was seen until now.
    pub(crate) fn before(&self) -> Clusters {
        self.lock().clone()
    }

    /// Takes the header of a linearizable read, which began after `before` was taken. Returns the
    /// epoch.
    ///
    /// Such a read sees every revision that any member has shown before it began, and its term is
    /// not below that of an earlier one, unless the cluster was restored from older data.
    pub(crate) fn head(&self, before: &Clusters, header: &PbResponseHeader) -> u64 {
        let revision = revision(header);
        let before = before.get(&header.cluster_id).copied().unwrap_or_default();
        let mut clusters = self.lock();
        let seen = clusters.entry(header.cluster_id).or_default();
        let has_gone_back = revision < before.revision || header.raft_term < before.raft_term;
        // Another reader may have noticed it, too.
        if has_gone_back && before.n_breaks == seen.n_breaks {
            *seen = Seen {
                n_breaks: seen.n_breaks + 1,
                ..Seen::default()
            };
        }
        seen.revision = seen.revision.max(revision);
        seen.raft_term = seen.raft_term.max(header.raft_term);
        seen.epoch(header.cluster_id)
    }

    /// A reader of this cluster has read up to `revision`.
    pub(crate) fn has_read(&self, cluster_id: u64, revision: u64) {
        let mut clusters = self.lock();
        let seen = clusters.entry(cluster_id).or_default();
        seen.revision = seen.revision.max(revision);
    }

    /// The cluster has contradicted itself: what was read of it may be wrong. Returns the next
    /// epoch.
    pub(crate) fn broken(&self, cluster_id: u64) -> u64 {
        let mut clusters = self.lock();
        let seen = clusters.entry(cluster_id).or_default();
        seen.n_breaks += 1;
        seen.epoch(cluster_id)
    }

    /// The epoch of a cluster.
    pub(crate) fn epoch(&self, cluster_id: u64) -> u64 {
        let seen = self.lock().get(&cluster_id).copied();
        seen.unwrap_or_default().epoch(cluster_id)
    }

    fn lock(&self) -> MutexGuard<'_, Clusters> {
        // No code of a user runs under the lock.
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// The id of the cluster; another number after it has gone back.
    const fn epoch(self, cluster_id: u64) -> u64 {
        // An odd factor gives another number for each count.
        cluster_id.wrapping_add(self.n_breaks.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// The revision of a header. etcd's are positive.
pub(crate) fn revision(header: &PbResponseHeader) -> u64 {
    u64::try_from(header.revision).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cluster_id: u64, revision: i64, raft_term: u64) -> PbResponseHeader {
        PbResponseHeader {
            cluster_id,
            revision,
            raft_term,
            ..PbResponseHeader::default()
        }
    }

    impl Lineage {
        fn read(&self, cluster_id: u64, revision: i64, raft_term: u64) -> u64 {
            self.head(&self.before(), &header(cluster_id, revision, raft_term))
        }
    }

    #[test]
    fn the_epoch_is_the_cluster_until_it_goes_back() {
        let lineage = Lineage::default();
        assert_eq!(lineage.read(7, 10, 2), 7);
        assert_eq!(lineage.read(7, 10, 2), 7);
        assert_eq!(lineage.read(7, 12, 3), 7);
        let second = lineage.read(7, 11, 3);
        assert_ne!(second, 7);
        assert_eq!(lineage.read(7, 11, 3), second);
        assert_eq!(lineage.epoch(7), second);
    }

    #[test]
    fn a_lower_term_tells_that_it_has_gone_back() {
        let lineage = Lineage::default();
        assert_eq!(lineage.read(7, 10, 5), 7);
        assert_ne!(lineage.read(7, 100, 2), 7);
    }

    #[test]
    fn what_was_read_counts() {
        let lineage = Lineage::default();
        lineage.read(7, 10, 2);
        lineage.has_read(7, 20);
        lineage.has_read(7, 15);
        assert_eq!(lineage.read(7, 20, 2), 7);
        assert_ne!(lineage.read(7, 19, 2), 7);
    }

    #[test]
    fn reads_at_the_same_time_are_in_no_order() {
        let lineage = Lineage::default();
        lineage.read(7, 10, 2);
        let before = lineage.before();
        lineage.has_read(7, 11);
        assert_eq!(lineage.head(&before, &header(7, 10, 2)), 7);
        // Both notice that it has gone back.
        let before = lineage.before();
        let second = lineage.head(&before, &header(7, 3, 2));
        assert_ne!(second, 7);
        assert_eq!(lineage.head(&before, &header(7, 4, 2)), second);
    }

    #[test]
    fn another_cluster_has_another_epoch_and_the_first_one_is_remembered() {
        let lineage = Lineage::default();
        assert_eq!(lineage.read(7, 10, 2), 7);
        assert_eq!(lineage.read(8, 3, 2), 8);
        assert_eq!(lineage.read(7, 10, 2), 7);
        assert_ne!(lineage.read(7, 9, 2), 7);
        assert_eq!(lineage.epoch(8), 8);
    }
}
