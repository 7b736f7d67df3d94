// A command in the shape of the guests that TinyGo builds, without an SDK: `_start` is its only
// initialization, main sets up the meta page, and the host uses the instance when main has returned
// or exited with code 0.
//
// Arguments: `early` flushes before the page is set up, `emit` emits the value 1 in main, and
// `exit N` ends main by exit(N).

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define IMPORT(name) __attribute__((import_module("pantopic/wazero-range-watch"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("__range_watch_flush") void host_flush(void);
IMPORT("__range_watch_open") void host_open(void);
IMPORT("__range_watch_start") void host_start(void);

enum { BUF_CAP = 256, ERR_CAP = 64 };

// On the heap, as are the buffers of TinyGo.
static uint8_t *buf, *err;
static uint32_t buf_cap = BUF_CAP, buf_len, err_cap = ERR_CAP, err_len;
static uint64_t val;
static uintptr_t meta[7];
static int32_t n_starts;
static uint64_t received;

EXPORT("__range_watch") uintptr_t *range_watch(void) { return meta; }
EXPORT("__range_watch_recv") void range_watch_recv(void) { received = val; }

static void fill(const char *bytes, uint32_t len) {
    memcpy(buf, bytes, len);
    buf_len = len;
}

EXPORT("apply") void apply(uint64_t value) {
    val = value;
    fill("\0\1k", 3);
    host_flush();
}

// 0, or the length of the error text.
EXPORT("watch") uint32_t watch(void) {
    fill("\0\1w\0\1k\0\1l", 9);
    host_open();
    if (err_len) return err_len;
    fill("w", 1);
    host_start();
    return err_len;
}

EXPORT("received") uint64_t last_received(void) { return received; }
EXPORT("n_starts") int32_t count_starts(void) { return n_starts; }

int main(int argc, char **argv) {
    n_starts++;
    if (argc > 1 && !strcmp(argv[1], "early")) host_flush();
    buf = malloc(BUF_CAP);
    err = malloc(ERR_CAP);
    if (!buf || !err) return 1;
    uintptr_t page[7] = {(uintptr_t)buf,      (uintptr_t)&buf_cap, (uintptr_t)&buf_len, (uintptr_t)err,
                         (uintptr_t)&err_cap, (uintptr_t)&err_len, (uintptr_t)&val};
    memcpy(meta, page, sizeof meta);
    if (argc > 1 && !strcmp(argv[1], "emit")) apply(1);
    if (argc > 2 && !strcmp(argv[1], "exit")) exit(argv[2][0] - '0');
    return 0;
}
