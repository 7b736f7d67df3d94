//! The suite that every filesystem passes, for the tests of a filesystem of one's own.
//!
//! A scenario is a function over a directory that panics where the filesystem falls short of what a guest expects. It looks
//! at the filesystem through the functions of [`preview1`](crate::preview1), as a guest does. The macros make a test of each:
//!
//! - [`read_only_filesystem_tests!`](crate::read_only_filesystem_tests) for a filesystem that can only be read, with
//!   whatever is in it;
//! - [`filesystem_tests!`](crate::filesystem_tests) for one that can be written, given an empty directory for each test;
//! - [`hard_link_tests!`](crate::hard_link_tests) and [`symlink_tests!`](crate::symlink_tests) for one that also has those,
//!   in the same way.
//!
//! [`Faults`] let a filesystem fail, one operation at a time, to test what is above it.
//!
//! The argument of each is an expression for something that implements [`IntoDir`](super::IntoDir), evaluated once per test. A
//! crate that has WASI from `rangewatch` adds `rangewatch-wasi` with the feature `conformance` to its dev-dependencies.
//!
//! ```
//! mod memory {
//!     rangewatch_wasi::filesystem_tests!(rangewatch_wasi::fs::MemoryFs::new());
//!     rangewatch_wasi::symlink_tests!(rangewatch_wasi::fs::MemoryFs::new());
//! }
//! ```

#![expect(
    clippy::missing_panics_doc,
    reason = "a scenario panics where the filesystem falls short"
)]

mod confinement;
mod directories;
mod faults;
mod guest;
mod hard_links;
mod listing;
mod opening;
mod reading;
mod renaming;
mod symlinks;
mod times;
mod transfer;

pub use faults::Faults;

/// Each macro gives one group of scenarios to `filesystem_test!`; a scenario that no group names is never used, which is an
/// error in CI.
macro_rules! groups {
    ($($(#[$doc:meta])* $all:ident: $($module:ident { $($name:ident,)* })*;)*) => {
        $($(pub use $module::{$($name),*};)*)*
        $(
            $(#[$doc])*
            #[macro_export]
            macro_rules! $all {
                ($dir:expr) => {
                    $crate::filesystem_test!($dir; $($($name)*)*);
                };
            }
        )*
    };
}

groups! {
    /// Makes a test of each scenario for a filesystem that can only be read. See [`fs::conformance`](crate::fs::conformance).
    read_only_filesystem_tests:
    reading {
        what_is_listed_can_be_looked_up,
        files_are_as_long_as_they_say_and_can_be_read_anywhere,
        what_is_not_there_is_noent,
        a_file_is_no_directory,
        a_listing_is_the_same_in_pieces_of_any_size,
        nothing_can_be_changed,
    };
    /// Makes a test of each scenario for a filesystem that can be written. See [`fs::conformance`](crate::fs::conformance).
    filesystem_tests:
    confinement {
        g34_no_path_leads_out,
        strange_paths_are_refused,
        names_and_paths_have_a_length,
    }
    directories {
        directories_are_made_and_removed,
        a_directory_that_is_not_empty_stays,
        a_removed_directory_is_empty_for_ever,
        slashes_at_the_end_mean_directories,
        dots_lead_through_directories_that_exist,
    }
    listing {
        a_listing_begins_with_dots_and_has_every_name_once,
        a_listing_goes_on_where_it_stopped_whatever_happened_meanwhile,
        a_listing_is_read_anew_from_cookie_0,
        a_large_directory_is_listed_in_small_pieces,
    }
    opening {
        files_are_created_once,
        truncation_empties_a_file,
        a_directory_is_not_opened_for_writing,
        descriptors_have_the_lowest_free_number,
        a_file_without_a_name_lives_until_it_is_closed,
        a_file_is_used_as_it_was_opened,
        read_only_is_read_only,
    }
    renaming {
        a_file_takes_the_place_of_a_file,
        a_directory_takes_the_place_of_an_empty_one_only,
        files_and_directories_do_not_replace_each_other,
        a_directory_does_not_move_into_itself,
        an_open_directory_moves_along,
        a_renamed_file_stays_the_same_file,
    }
    times {
        times_are_kept_to_the_nanosecond,
        times_are_set_one_by_one,
        extreme_times_are_no_harm,
    }
    transfer {
        what_is_written_is_read_back,
        a_gap_reads_as_zeros,
        positions_are_kept_per_descriptor,
        appending_goes_to_the_end,
        positioned_transfers_leave_the_position_alone,
        sizes_change_both_ways,
        huge_offsets_are_an_error_and_nothing_else,
        seeking_stays_within_bounds,
    };
    /// Makes a test of each scenario for a filesystem with hard links. See [`fs::conformance`](crate::fs::conformance).
    hard_link_tests:
    hard_links {
        a_file_has_two_names,
        a_link_replaces_nothing,
        a_link_to_the_same_file_is_renamed_by_doing_nothing,
        directories_have_one_name,
    };
    /// Makes a test of each scenario for a filesystem with symbolic links. See [`fs::conformance`](crate::fs::conformance).
    symlink_tests:
    symlinks {
        a_link_is_followed_or_not_as_the_guest_says,
        a_link_keeps_its_text,
        g34_no_link_leads_out,
        loops_end,
        a_dangling_link_is_created_through,
        a_slash_follows_a_link,
        dots_are_resolved_behind_the_link,
        dots_behind_a_link_lead_through_every_directory,
        removing_and_renaming_mean_the_link,
        a_link_has_times_of_its_own,
    };
}

/// Makes a test of each scenario. Not to be used directly.
#[doc(hidden)]
#[macro_export]
macro_rules! filesystem_test {
    ($dir:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::fs::conformance::$name($crate::fs::IntoDir::into_dir($dir));
            }
        )*
    };
}
