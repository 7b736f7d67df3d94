// Time and randomness: clock_res_get, clock_time_get, random_get, sched_yield, and poll_oneoff for
// sleeping.

#include <sched.h>
#include <stdint.h>
#include <string.h>

#define FILE_NAME "clocks.c"
#include "expect.h"

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(name)))
IMPORT("random_get") int32_t raw_random_get(uint32_t buf, uint32_t n_bytes);
IMPORT("clock_time_get") int32_t raw_clock_time_get(uint32_t id, uint64_t precision, uint32_t time);
IMPORT("clock_res_get") int32_t raw_clock_res_get(uint32_t id, uint32_t resolution);

#define MS 1000000ull
#define YEAR_2020 (1577836800ull * 1000 * MS)

static uint64_t now(__wasi_clockid_t id) {
    __wasi_timestamp_t time;
    EXPECT_OK(__wasi_clock_time_get(id, 1, &time));
    return time;
}

static void clocks(void) {
    __wasi_timestamp_t resolution;
    EXPECT_OK(__wasi_clock_res_get(__WASI_CLOCKID_REALTIME, &resolution));
    EXPECT(resolution > 0);
    EXPECT_OK(__wasi_clock_res_get(__WASI_CLOCKID_MONOTONIC, &resolution));
    EXPECT(resolution > 0);
    EXPECT(now(__WASI_CLOCKID_REALTIME) > YEAR_2020);
    uint64_t last = now(__WASI_CLOCKID_MONOTONIC);
    for (int i = 0; i < 1000; i++) {
        uint64_t next = now(__WASI_CLOCKID_MONOTONIC);
        EXPECT(next >= last);
        last = next;
    }
    uint64_t time;
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, raw_clock_time_get(4, 0, (uint32_t)&time));
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, raw_clock_time_get(UINT32_MAX, 0, (uint32_t)&time));
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, raw_clock_res_get(77, (uint32_t)&time));
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, raw_clock_time_get(0, 0, UINT32_MAX - 6));
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, raw_clock_res_get(1, __builtin_wasm_memory_size(0) * 65536 - 7));
}

// Waits for one timer.
static void wait_for(__wasi_clockid_t id, uint64_t timeout, __wasi_subclockflags_t flags) {
    __wasi_subscription_t timer = {.userdata = 5, .u.tag = __WASI_EVENTTYPE_CLOCK};
    timer.u.u.clock.id = id;
    timer.u.u.clock.timeout = timeout;
    timer.u.u.clock.flags = flags;
    __wasi_event_t event;
    __wasi_size_t n_events;
    EXPECT_OK(__wasi_poll_oneoff(&timer, &event, 1, &n_events));
    EXPECT(n_events == 1 && event.userdata == 5 && event.error == 0);
}

static void sleeps(void) {
    uint64_t before = now(__WASI_CLOCKID_MONOTONIC);
    wait_for(__WASI_CLOCKID_MONOTONIC, 20 * MS, 0);
    EXPECT(now(__WASI_CLOCKID_MONOTONIC) - before >= 20 * MS);

    // An absolute time of the realtime clock, which has passed at the second call.
    uint64_t then = now(__WASI_CLOCKID_REALTIME) + 10 * MS;
    wait_for(__WASI_CLOCKID_REALTIME, then, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
    EXPECT(now(__WASI_CLOCKID_REALTIME) >= then);
    wait_for(__WASI_CLOCKID_REALTIME, then, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);

    // Of two timers only the earlier one is reported.
    __wasi_subscription_t timers[2] = {0};
    __wasi_event_t events[2];
    __wasi_size_t n_events;
    for (int i = 0; i < 2; i++) {
        timers[i].userdata = 0xabcdef0012345600ull + i;
        timers[i].u.tag = __WASI_EVENTTYPE_CLOCK;
        timers[i].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
        timers[i].u.u.clock.timeout = i ? 5 * MS : 3600 * 1000 * MS;
    }
    EXPECT_OK(__wasi_poll_oneoff(timers, events, 2, &n_events));
    EXPECT(n_events == 1 && events[0].userdata == 0xabcdef0012345601ull);
    EXPECT(events[0].error == 0 && events[0].type == __WASI_EVENTTYPE_CLOCK);
    // An unknown clock is the error of its event.
    timers[0].u.u.clock.id = __WASI_CLOCKID_PROCESS_CPUTIME_ID;
    EXPECT_OK(__wasi_poll_oneoff(timers, events, 1, &n_events));
    EXPECT(n_events == 1 && events[0].error != 0);
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, __wasi_poll_oneoff(timers, events, 0, &n_events));
    EXPECT(sched_yield() == 0);
}

static void chance(void) {
    static uint8_t bytes[65536 + 2];
    bytes[0] = bytes[65537] = 0x5a;
    EXPECT_OK(__wasi_random_get(bytes + 1, 65536));
    EXPECT(bytes[0] == 0x5a && bytes[65537] == 0x5a);
    // Each value occurs about 256 times, never half or twice as often.
    int counts[256] = {0};
    for (int i = 1; i <= 65536; i++) {
        counts[bytes[i]]++;
    }
    for (int i = 0; i < 256; i++) {
        EXPECT(counts[i] > 128 && counts[i] < 512);
    }
    uint8_t one[16], other[16];
    EXPECT(getentropy(one, 16) == 0 && getentropy(other, 16) == 0);
    EXPECT(memcmp(one, other, 16) != 0);
    EXPECT_OK(__wasi_random_get(one, 0));
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, raw_random_get(UINT32_MAX - 3, 8));
}

int main(void) {
    clocks();
    sleeps();
    chance();
    puts("time and chance");
}
