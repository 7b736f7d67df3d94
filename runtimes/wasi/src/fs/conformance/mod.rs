//! The conformance suite that every filesystem passes. It also tests filesystems of other crates.
//!
//! A scenario is a function over a directory that panics if the filesystem does not behave as a
//! guest expects. It calls the functions of [`preview1`](crate::preview1), as a guest does. Each
//! macro expands to one test per scenario:
//!
//! - [`read_only_filesystem_tests!`](crate::read_only_filesystem_tests) for a read-only filesystem
//!   with any contents;
//! - [`filesystem_tests!`](crate::filesystem_tests) for a writable filesystem, with an empty
//!   directory per test;
//! - [`hard_link_tests!`](crate::hard_link_tests) and [`symlink_tests!`](crate::symlink_tests) for
//!   a writable filesystem that supports links.
//!
//! [`Faults`] injects faults into a filesystem, one operation at a time, to test the layers above
//! it.
//!
//! The argument of each macro is an expression of a type that implements
//! [`IntoDir`](super::IntoDir); each test evaluates it once. A crate that uses WASI through
//! `rangewatch` adds `rangewatch-wasi` with the feature `conformance` to its dev-dependencies.
//!
//! ```
//! mod memory {
//!     rangewatch_wasi::filesystem_tests!(rangewatch_wasi::fs::MemoryFs::new());
//!     rangewatch_wasi::symlink_tests!(rangewatch_wasi::fs::MemoryFs::new());
//! }
//! ```

#![expect(
    clippy::missing_panics_doc,
    reason = "a scenario panics if the filesystem fails it"
)]

mod confinement;
mod directories;
mod faults;
// Also used by the tests of this crate.
#[doc(hidden)]
pub mod guest;
mod hard_links;
mod listing;
mod opening;
mod reading;
mod renaming;
mod symlinks;
mod times;
mod transfer;

pub use faults::Faults;

/// Each macro passes one group of scenarios to `filesystem_test!`. A scenario that is in no group
/// is unused, which CI rejects.
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
    /// Expands to one test per scenario for a read-only filesystem. See
    /// [`fs::conformance`](crate::fs::conformance).
    read_only_filesystem_tests:
    reading {
        listed_names_can_be_looked_up,
        files_have_the_size_of_their_attributes_and_can_be_read_anywhere,
        missing_names_are_noent,
        a_path_through_a_file_fails,
        a_listing_is_the_same_with_any_buffer_size,
        nothing_can_be_changed,
    };
    /// Expands to one test per scenario for a writable filesystem. See
    /// [`fs::conformance`](crate::fs::conformance).
    filesystem_tests:
    confinement {
        g34_no_path_leads_out,
        invalid_paths_are_refused,
        names_and_paths_have_a_length,
    }
    directories {
        directories_are_made_and_removed,
        a_directory_that_is_not_empty_stays,
        a_removed_directory_stays_empty,
        trailing_slashes_require_directories,
        dots_lead_through_directories_that_exist,
    }
    listing {
        a_listing_begins_with_dot_entries_and_has_every_name_once,
        a_listing_resumes_at_its_cookie_after_changes,
        cookie_0_starts_a_new_listing,
        removals_neither_skip_nor_repeat_entries_of_a_large_directory,
        a_large_directory_is_listed_in_small_pieces,
    }
    opening {
        files_are_created_once,
        truncation_empties_a_file,
        a_directory_is_not_opened_for_writing,
        descriptors_have_the_lowest_free_number,
        a_removed_file_is_usable_until_it_is_closed,
        a_file_is_used_only_in_the_mode_it_was_opened_with,
        a_read_only_directory_cannot_be_changed,
    }
    renaming {
        a_file_replaces_a_file,
        a_directory_replaces_only_an_empty_directory,
        files_and_directories_do_not_replace_each_other,
        a_directory_does_not_move_into_itself,
        an_open_directory_stays_usable_after_a_rename,
        a_renamed_file_stays_the_same_file,
    }
    times {
        times_are_stored_in_nanoseconds,
        times_are_set_one_by_one,
        extreme_times_do_no_harm,
    }
    transfer {
        written_bytes_are_read_back,
        a_gap_reads_as_zeros,
        positions_are_kept_per_descriptor,
        append_writes_at_the_end,
        positioned_transfers_do_not_move_the_position,
        sizes_change_both_ways,
        huge_offsets_fail_and_change_nothing,
        seeking_stays_within_bounds,
    };
    /// Expands to one test per scenario for a filesystem with hard links. See
    /// [`fs::conformance`](crate::fs::conformance).
    hard_link_tests:
    hard_links {
        a_file_has_two_hard_links,
        linking_replaces_nothing,
        renaming_a_hard_link_to_another_of_the_same_file_has_no_effect,
        directories_have_no_hard_links,
    };
    /// Expands to one test per scenario for a filesystem with symbolic links. See
    /// [`fs::conformance`](crate::fs::conformance).
    symlink_tests:
    symlinks {
        a_symbolic_link_is_followed_as_the_flags_say,
        a_symbolic_link_keeps_its_target,
        g34_no_link_leads_out,
        symbolic_link_loops_end,
        opening_a_dangling_link_creates_its_target,
        a_trailing_slash_follows_a_link,
        dots_after_a_link_are_resolved_in_its_target,
        dots_after_a_link_walk_up_each_directory,
        removing_and_renaming_do_not_follow_links,
        a_symbolic_link_has_its_own_times,
    };
}

/// Expands to one test per scenario. Internal to the other macros.
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
