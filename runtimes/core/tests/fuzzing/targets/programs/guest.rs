//! The code of the guest, and the numbers of its steps.

/// The guest. `test.next` returns the number of its next step, and `test.arg` the arguments.
pub(super) const GUEST: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_reserve" (func $reserve))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "pantopic/wazero-range-watch" "__range_watch_stop" (func $stop))
    (import "rangewatch_io" "input_len" (func $input_len (result i32)))
    (import "rangewatch_io" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
    (import "rangewatch_io" "output_write" (func $output_write (param i32 i32)))
    (import "test" "page" (func $page (result i32)))
    (import "test" "begin_start" (func $begin_start))
    (import "test" "begin_call" (func $begin_call))
    (import "test" "begin_recv" (func $begin_recv))
    (import "test" "next" (func $next (result i32)))
    (import "test" "arg" (func $arg (param i32) (result i32)))
    (import "test" "result" (func $result (param i32)))
    ;; imports of generation 2
    (memory (export "memory") 1)
    (func $run (local $do i32)
        (loop $again
            (local.set $do (call $next))
            (if (i32.eq (local.get $do) (i32.const 1)) (then call $flush))
            (if (i32.eq (local.get $do) (i32.const 2)) (then call $reserve))
            (if (i32.eq (local.get $do) (i32.const 3)) (then call $open))
            (if (i32.eq (local.get $do) (i32.const 4)) (then call $start))
            (if (i32.eq (local.get $do) (i32.const 5)) (then call $stop))
            (if (i32.eq (local.get $do) (i32.const 6)) (then
                (call $result (call $input_len))))
            (if (i32.eq (local.get $do) (i32.const 7)) (then
                (call $result (call $input_read
                    (call $arg (i32.const 0)) (call $arg (i32.const 1)) (call $arg (i32.const 2))))))
            (if (i32.eq (local.get $do) (i32.const 8)) (then
                (call $output_write (call $arg (i32.const 0)) (call $arg (i32.const 1)))))
            (if (i32.eq (local.get $do) (i32.const 9)) (then
                (call $result (memory.grow (call $arg (i32.const 0))))))
            (if (i32.eq (local.get $do) (i32.const 10)) (then
                (call $result (i32.load (call $arg (i32.const 0))))))
            (if (i32.eq (local.get $do) (i32.const 11)) (then
                (i32.store (call $arg (i32.const 0)) (call $arg (i32.const 1)))))
            (if (i32.eq (local.get $do) (i32.const 12)) (then unreachable))
            (if (i32.eq (local.get $do) (i32.const 13)) (then
                (call $result (i32.div_s (call $arg (i32.const 0)) (call $arg (i32.const 1))))))
            (if (i32.eq (local.get $do) (i32.const 14)) (then
                (memory.fill
                    (call $arg (i32.const 0)) (call $arg (i32.const 1)) (call $arg (i32.const 2)))))
            ;; steps of generation 2
            (br_if $again (local.get $do))))
    (func (export "run") call $begin_call call $run)
    (func (export "__range_watch_recv") call $begin_recv call $run)
    (func (export "__range_watch") (result i32) call $page)
    (func (export "_initialize") call $begin_start call $run))"#;

pub(super) const IMPORTS_OF_GENERATION_2: &str = r#"
    (import "pantopic/ext-range-watch" "__range_watch_queue" (func $queue))
    (import "pantopic/ext-range-watch" "__range_watch_clear" (func $clear))
    (import "pantopic/ext-range-watch" "__range_watch_group_start" (func $group_start))
    (import "pantopic/ext-range-watch" "__range_watch_group_stop" (func $group_stop))"#;

pub(super) const STEPS_OF_GENERATION_2: &str = "
            (if (i32.eq (local.get $do) (i32.const 15)) (then call $queue))
            (if (i32.eq (local.get $do) (i32.const 16)) (then call $clear))
            (if (i32.eq (local.get $do) (i32.const 17)) (then call $group_start))
            (if (i32.eq (local.get $do) (i32.const 18)) (then call $group_stop))";

/// The numbers of the steps of the guest.
pub(crate) const FLUSH: i32 = 1;
pub(crate) const RESERVE: i32 = 2;
pub(crate) const OPEN: i32 = 3;
pub(crate) const START: i32 = 4;
pub(crate) const STOP: i32 = 5;
pub(crate) const INPUT_LEN: i32 = 6;
pub(crate) const INPUT_READ: i32 = 7;
pub(crate) const OUTPUT_WRITE: i32 = 8;
pub(crate) const GROW: i32 = 9;
pub(crate) const LOAD: i32 = 10;
pub(crate) const STORE: i32 = 11;
pub(crate) const UNREACHABLE: i32 = 12;
pub(crate) const DIVIDE: i32 = 13;
pub(crate) const FILL: i32 = 14;
pub(crate) const QUEUE: i32 = 15;
pub(crate) const CLEAR: i32 = 16;
pub(crate) const GROUP_START: i32 = 17;
pub(crate) const GROUP_STOP: i32 = 18;

/// The pages of memory that a guest may have.
pub(crate) const MAX_PAGES: usize = 3;
pub(crate) const PAGE_BYTES: usize = 65_536;
