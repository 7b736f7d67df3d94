// A guest that emits and watches.

#define RANGEWATCH_IMPLEMENTATION
#include "rangewatch.h"

#define EXPORT(name) __attribute__((export_name(name)))

static uint64_t last;

static const char *receive(rangewatch_bytes id, uint64_t value) {
    (void)id;
    last = value;
    return 0;
}

// Ends the call with the reason.
static void must(rangewatch_error error) {
    if (error) rangewatch_panic(rangewatch_error_text(error));
}

// Once on each instance.
EXPORT("_initialize") void initialize(void) { must(rangewatch_receive(receive)); }

// Two keys have changed.
EXPORT("apply") void apply(uint64_t revision) {
    rangewatch_bytes keys[] = {rangewatch_text("test-100"), rangewatch_text("test-200")};
    must(rangewatch_emit(revision, keys, 2));
}

// Watches a range of keys.
EXPORT("follow") void follow(void) {
    rangewatch_bytes id = rangewatch_text("w1");
    must(rangewatch_open(id, rangewatch_text("test-100"), rangewatch_text("test-300")));
    must(rangewatch_start(id));
}

// The value that the watch received last, or 0.
EXPORT("received") uint64_t received(void) { return last; }
