//! The suite that every backend passes, for the tests of a backend.
//!
//! A scenario is an async function over a `&dyn Runtime` that panics if the runtime fails it;
//! [`conformance_tests!`](crate::conformance_tests) makes a test of each. The expectations are
//! literal values, so that two backends that pass behave the same.

#![expect(
    clippy::missing_panics_doc,
    reason = "a scenario panics if the runtime fails it"
)]

mod abi;
mod bytes;
mod calls;
mod commands;
mod commit;
mod context;
mod deadline;
mod faults;
mod gen2;
mod host_functions;
mod imports;
mod instances;
mod limits;
mod linker;
mod owners;
mod payloads;
mod pools;
mod profile;
mod raw_guest;
mod sessions;
mod stack;
mod staged;
mod suspension;
mod waiting;
mod wasi;
mod wasi_work;
mod work;

use rangewatch_bus::RangeWatchBus;

use crate::{CallError, ErrorChain, Guest, GuestBuilder, LoadError, Module, Runtime, Val};

pub use deadline::{DEADLINE, run, within_deadline};

/// Each macro gives one group of scenarios to `$callback!($($args)* name, name, ..)`; a scenario
/// that no group names is never used, which is an error in CI.
macro_rules! groups {
    ($($(#[$doc:meta])* $all:ident: $($module:ident { $($name:ident,)* })*;)*) => {
        $($(pub use $module::{$($name),*};)*)*
        $(
            $(#[$doc])*
            #[macro_export]
            macro_rules! $all {
                ($runtime:expr) => {
                    $crate::conformance_test!($runtime; $($($name)*)*);
                };
            }
        )*
    };
}

groups! {
    /// Makes a test of each scenario that needs a real engine, on the runtime that the expression
    /// gives.
    conformance_tests:
    calls {
        values_of_every_type_are_passed,
        a_call_is_checked_before_the_guest_runs,
        g30_a_wrong_name_lists_few_of_many,
        traps_have_a_kind,
        g30_a_trap_ends_one_guest_only,
        nans_are_canonical,
        the_host_accesses_memory_between_calls_and_after_growth,
        exports_are_called_with_types,
    }
    commands {
        a_command_is_started_before_its_first_use,
        a_command_runs_once,
        a_pool_runs_a_command_on_fresh_instances,
        an_exit_with_code_0_keeps_the_instance,
        a_command_emits_while_it_starts,
        an_emit_without_a_meta_page_traps,
        g29_an_emit_of_a_reactor_that_is_not_initialized_traps,
        g30_a_page_export_that_calls_the_abi_traps,
    }
    faults {
        what_the_hook_of_an_instance_sets_is_for_its_own_calls,
        g31_a_panic_of_the_hook_of_a_flush_ends_no_call,
        a_panic_of_the_hook_of_a_callback_ends_no_pump,
        g30_a_panic_of_a_waker_at_a_commit_is_an_error,
        g31_a_panic_of_a_drop_keeps_no_permit,
        g31_a_panic_at_the_end_of_an_owner_keeps_no_permit,
        g30_a_panic_of_a_drop_hides_no_loss,
        data_may_use_its_guest_when_it_is_dropped,
        the_read_of_a_meta_page_is_bounded_in_time,
        a_call_dropped_while_a_meta_page_is_read_ends_the_instance,
        texts_of_a_module_are_escaped_and_cut,
    }
    host_functions {
        host_functions_access_values_and_memory,
        a_host_error_is_the_source_of_the_call_error,
        a_host_function_can_exit_the_guest,
        g30_a_panic_of_a_host_function_is_an_error,
        g30_a_panic_of_a_waker_is_an_error,
        results_of_another_signature_are_an_error,
        an_import_that_is_exported_can_be_called,
    }
    imports {
        modules_outside_of_the_profile_are_refused,
        input_that_is_not_wasm_is_refused,
        missing_imports_are_named,
        a_module_that_imports_the_abi_needs_its_exports,
    }
    limits {
        memory_is_bounded,
        tables_are_bounded,
        the_number_of_tables_is_bounded,
        fuel_ends_a_loop,
        a_start_section_is_bounded_and_cannot_wait,
        a_fuel_limit_needs_a_runtime_that_counts_fuel,
        g33_fuel_is_sliced_by_default,
        memory_is_bounded_by_default,
        tables_are_bounded_by_default,
        watches_are_bounded_by_default,
        a_flush_is_bounded_by_default,
        staged_emits_are_bounded_by_default,
        an_id_is_bounded,
        keys_and_ids_are_bounded,
        a_call_is_bounded_in_time,
        the_time_of_a_call_begins_with_it,
        g30_a_stopped_watch_is_gone_while_its_guest_runs,
    }
    suspension {
        an_async_host_function_suspends_the_guest,
        g33_a_loop_yields_at_every_slice,
        a_call_dropped_while_suspended_ends_the_instance,
        a_call_dropped_between_slices_ends_the_instance,
        g23_dropping_a_guest_ends_a_pump_whose_callback_loops,
    }
    waiting {
        a_guest_that_reads_waits_for_its_input,
        a_guest_that_writes_waits_for_room,
        a_thousand_guests_sleep_on_one_thread,
        a_guest_waits_for_input_or_a_time,
        a_guest_on_a_virtual_clock_does_not_wait,
        a_guest_that_yields_returns_to_the_executor_once,
        a_guest_dropped_while_it_waits_leaves_nothing_behind,
        output_is_flushed_when_a_waiting_call_is_dropped,
        a_signal_is_the_source_of_the_call_error,
        a_budget_can_exit_the_guest,
        g30_a_panic_of_a_clock_or_a_timer_is_an_error,
    }
    wasi {
        a_command_reads_prints_and_exits,
        wasi_needs_a_context,
        a_failed_flush_is_reported_beside_the_results,
        a_failed_flush_of_a_reactor_is_reported,
    }
    bytes {
        a_call_with_bytes_answers_with_bytes,
        concurrent_calls_with_bytes_get_their_own_answers,
        a_call_without_bytes_has_no_input_and_no_output,
        a_call_with_bytes_needs_an_export_without_parameters,
        g30_output_beyond_the_limits_is_an_error,
        a_trap_of_a_guest_that_answers_has_its_panic_text,
    }
    commit {
        g39_the_hook_publishes_what_a_call_has_staged,
        g39_hooks_may_end_in_another_order,
        g39_a_hook_can_refuse,
        g39_a_dropped_call_is_published_if_it_was_handed_on,
        g39_a_bus_that_refuses_tells_the_hook,
        nothing_is_published_on_a_closed_bus,
        g39_a_callback_that_reports_is_not_committed,
        g39_three_calls_in_one_group_commit,
    }
    context {
        host_functions_reach_the_context_of_their_call,
        a_context_ends_with_its_call,
        hooks_reach_the_context_of_a_call,
    }
    sessions {
        a_session_is_one_instance,
        sessions_wait_for_each_other,
        g30_a_session_can_lose_its_instance,
        a_session_outlives_its_guest,
    }
    instances {
        the_host_knows_the_guest_and_the_instance_of_a_call,
        each_instance_has_data_of_its_own,
        a_hook_that_fails_fails_the_instantiation,
        the_end_of_every_call_is_reported,
        the_start_of_an_instance_can_be_chosen,
        a_command_that_was_started_refuses_a_call_of_start,
        hooks_of_modules_run_at_the_end_of_calls,
        a_host_module_has_data_and_a_meta_page,
        g37_copies_through_a_meta_page_are_charged,
        a_factory_makes_equal_guests,
        an_instance_above_its_bound_is_recycled,
        a_guest_is_ready_when_a_callback_is_due,
    }
    wasi_work {
        g37_a_poll_of_wasi_runs_less_than_two_slices,
        g37_a_poll_frees_a_part_of_a_large_file,
        g37_the_work_of_wasi_uses_the_fuel_of_a_call,
    }
    work {
        g37_a_poll_runs_less_than_two_slices,
        g37_a_poll_runs_at_most_two_of_the_largest_flushes,
        g37_a_poll_of_generation_2_runs_less_than_two_slices,
        g37_a_callback_pays_for_its_batch,
        g37_an_emit_is_charged_for_the_watches_of_an_owner,
        g37_work_and_instructions_share_a_slice,
        g37_host_functions_in_a_row_yield,
        g37_work_uses_the_fuel_of_a_call,
        g37_the_matches_of_a_commit_are_bounded,
    };
    /// Makes a test of each scenario of [`Profile::Extended`](crate::Profile::Extended), on a
    /// runtime of that profile.
    extended_tests:
    profile {
        tail_calls_take_no_stack,
        an_exception_is_caught_inside_the_guest,
        an_uncaught_exception_is_a_trap,
        exceptions_are_collected_and_counted,
        g30_exceptions_that_are_kept_are_bounded,
    };
    /// Makes a test of each scenario of the guest ABI, which a runtime without an engine can pass
    /// too if it implements [`RAW_GUEST`](crate::conformance::RAW_GUEST) in Rust.
    abi_tests:
    abi {
        keys_of_one_flush_are_one_emit,
        every_verb_has_its_result_in_every_state,
        g25_a_start_delivers_the_first_value_held_since_open,
        a_burst_delivers_its_first_value_once,
        ranges_match_as_the_abi_says,
        g30_malformed_buffers_trap_and_deliver_nothing,
        g24_stop_inside_recv_takes_effect_after_it,
        verbs_work_inside_recv,
        an_emit_inside_recv_is_the_next_recv,
        a_recv_that_reports_closes_its_watch,
        a_recv_that_ignores_the_error_of_a_verb_keeps_its_watch,
        g30_a_recv_that_traps_is_reported_and_loses_the_instance,
        a_trap_has_the_panic_text_of_the_guest,
        g23_dropping_a_guest_frees_its_watches,
        each_guest_has_its_own_ids,
        a_closed_bus_refuses_emits_and_watches,
        watches_are_limited,
        a_flush_is_bounded,
        a_guest_without_recv_cannot_start_a_watch,
    }
    gen2 {
        g04_what_is_queued_takes_effect_with_the_flush,
        an_instance_is_recycled_only_when_nothing_is_queued,
        every_value_is_delivered_in_order,
        g26_verbs_of_generation_2_have_the_same_results,
        g25_a_start_delivers_every_value_held_since_open,
        g23_a_stopped_watch_is_in_no_batch,
        g23_a_stopped_watch_is_not_in_the_rest_of_a_notice,
        a_batch_that_does_not_fit_is_split,
        g30_a_buffer_outside_of_memory_is_reported,
        an_owner_with_too_many_notices_ends,
        g17_the_notices_of_all_groups_are_bounded,
        held_notices_are_bounded,
        g38_a_group_is_an_owner_inside_the_guest,
        g38_groups_end_with_their_owner,
        g31_batches_of_one_owner_never_overlap,
        stop_waits_for_a_batch_on_another_instance,
        g24_verbs_work_inside_a_batch,
        guests_of_both_generations_share_a_bus,
        generation_2_is_known_by_its_imports,
        g30_malformed_queues_trap_and_emit_nothing,
        g32_a_flush_that_is_refused_leaves_no_emit,
        g39_the_hook_has_what_was_flushed,
        a_batch_that_fails_is_reported,
        g27_a_closed_bus_is_drained,
        g12_a_notice_makes_a_guest_ready,
        a_group_that_overflows_can_be_opened_again,
        g38_an_owner_ends_while_a_batch_of_it_runs,
    }
    owners {
        g38_ids_of_an_owner_are_not_visible_to_another,
        g38_a_recv_runs_under_the_owner_of_its_watch,
        g38_hooks_run_under_the_owner_of_the_call,
        g38_an_owner_ends_while_a_recv_of_it_runs,
        g38_dropping_the_last_handle_ends_an_owner,
        g38_an_owner_ends_inside_its_own_recv,
        g38_the_end_of_a_guest_ends_its_owners,
        g38_limits_are_counted_over_all_owners,
        g38_calls_need_an_owner_of_their_guest_that_lives,
        g38_two_hundred_owners_end_between_deliveries,
        g38_ended_owners_leave_nothing,
    }
    pools {
        a_close_that_is_dropped_ends_the_guest,
        g31_instances_in_flight_are_bounded,
        g31_callbacks_of_one_watch_never_overlap,
        stop_waits_for_a_recv_on_another_instance,
        g24_two_recvs_that_stop_each_other_both_return,
        a_pool_replaces_an_instance_that_trapped,
        a_pump_ends_with_its_guest,
        close_waits_for_the_running_recv,
        g12_a_dropped_pump_notifies_another,
        g33_a_pump_yields_between_callbacks,
        a_pump_that_fails_lets_running_callbacks_end,
        one_emit_wakes_a_pump_once,
        g23_the_watches_of_a_lost_instance_are_freed,
        an_id_longer_than_the_buffer_is_reported,
    }
    payloads {
        g40_the_host_makes_the_payloads_of_what_a_guest_emits,
        g30_a_panic_of_the_payloads_is_an_error,
    }
    staged {
        g04_staged_flushes_of_one_value_are_one_emit,
        g32_a_call_that_traps_leaves_no_staged_emit,
        g32_a_refused_commit_leaves_no_emit,
        staged_emits_are_bounded,
        emits_are_staged_by_default_on_a_bus_with_history,
    };
}

/// One test per name, with the [deadline](crate::conformance::DEADLINE) of a test. Used by the
/// macros of the groups.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_test {
    ($runtime:expr; $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $crate::conformance::run(async || {
                let runtime = $runtime;
                $crate::conformance::$name(&runtime).await;
            });
        }
    )*};
}

/// Gives each of these tests the [deadline](crate::conformance::DEADLINE) of a test.
#[doc(hidden)]
#[macro_export]
macro_rules! tests_within_deadline {
    ($(#[test] fn $name:ident() $body:block)*) => {$(
        #[test]
        fn $name() {
            $crate::conformance::within_deadline(|| $body);
        }
    )*};
}

pub use bytes::BYTES;
pub use commands::COMMAND;
pub use linker::{COUNTER, ECHO, SAY_WHO};
pub use raw_guest::{RAW_GUEST, RAW_GUEST_2};
pub use stack::calls_nest_as_deep_as_the_stack_allows;
pub use wasi_work::WASI_WORKER;
pub use work::FLUSHER;

async fn load(runtime: &dyn Runtime, wat: &str) -> Module {
    try_load(runtime, wat)
        .await
        .expect("the module is within the profile")
}

async fn try_load(runtime: &dyn Runtime, wat: &str) -> Result<Module, LoadError> {
    runtime
        .load(&wat::parse_str(wat).expect("the text of the scenario is well formed"))
        .await
}

/// A guest of a module text, on a new bus, with what `configure` adds.
async fn guest(
    runtime: &dyn Runtime,
    wat: &str,
    configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
) -> Guest {
    let module = load(runtime, wat).await;
    configure(Guest::builder(&module, &RangeWatchBus::new()))
        .instantiate()
        .await
        .expect("the guest of the scenario starts")
}

/// As [`guest`], whose import `test.wait` suspends it once.
async fn waiting_guest(runtime: &dyn Runtime, wat: &str, pool: Option<(u32, u32)>) -> Guest {
    guest(runtime, wat, |builder| {
        let builder = builder.host_function_async("test", "wait", |_cx, ()| async {
            suspension::pending_once().await;
            Ok(())
        });
        with_pool(builder, pool)
    })
    .await
}

/// Instances for calls and for callbacks, or one for both.
fn with_pool(builder: GuestBuilder<'_>, pool: Option<(u32, u32)>) -> GuestBuilder<'_> {
    match pool {
        Some((calls, callbacks)) => builder.pool(calls, callbacks),
        None => builder,
    }
}

/// An error with its sources.
fn text(error: &(dyn std::error::Error + 'static)) -> String {
    ErrorChain::new(error).to_string()
}

fn plain(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    builder
}

async fn call(guest: &Guest, export: &str, args: &[Val]) -> Vec<Val> {
    guest
        .call(export, args)
        .await
        .expect("the call of the scenario succeeds")
}

async fn call_err(guest: &Guest, export: &str) -> CallError {
    guest
        .call(export, &[])
        .await
        .expect_err("the call of the scenario fails")
}
