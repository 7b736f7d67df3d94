//! The bytes of memory that an index takes.

use rangewatch_bench_harness::{CountingAllocator, allocated};
use rangewatch_bus::index::IntervalIndex;

use crate::workload::{self, Data};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// The bytes that our index takes. It gets ranges that nothing else shares, so that their bytes
/// count.
pub(crate) fn of_ours(data: &Data) -> isize {
    let (_index, bytes) = allocated(|| {
        let mut index = IntervalIndex::new();
        for (id, range) in data.ranges[..data.n].iter().enumerate() {
            index.insert(workload::copy(range), id as u32);
        }
        index
    });
    bytes
}

/// The bytes of the bounds, which the peers borrow.
pub(crate) fn of_bounds(data: &Data) -> isize {
    let bounds = data.ranges[..data.n]
        .iter()
        .map(|range| range.start().len() + range.end().map_or(0, <[u8]>::len));
    bounds.sum::<usize>() as isize
}
