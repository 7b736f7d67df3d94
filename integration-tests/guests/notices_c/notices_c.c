// The guest notices, in C without libc: see ../notices for its exports, results and modes.

#define RANGEWATCH_GENERATION 2
#define RANGEWATCH_IMPLEMENTATION
#include "../../../sdk/c/rangewatch.h"

#define EXPORT(name) __attribute__((export_name(name)))

enum { N_RECORDS = 4096, MAX_KEYS = 256, MAX_ID = 20000 };
enum mode { EMIT = 1, STOP, FOLLOW_IN_GROUP, FAIL, FAIL_INSIDE, PANIC };

static struct {
    uint64_t value;
    int32_t id;
} records[N_RECORDS];
static int32_t n_records, n_calls, mode, mode_arg, last_code;

// ---- Names

typedef struct {
    char text[2];
} name;

static name key_of(int32_t n) { return (name){{'k', (char)('a' + n)}}; }
static rangewatch_bytes key(const name *name) { return (rangewatch_bytes){name->text, 2}; }
static rangewatch_bytes id(const name *name) { return (rangewatch_bytes){name->text + 1, 1}; }

// The number of an id, or -1 for one that is not of this guest.
static int32_t number(rangewatch_bytes id) { return id.len == 1 ? *(const char *)id.ptr - 'a' : -1; }

// ---- Verbs

EXPORT("queue") int32_t queue(uint64_t value, int32_t n) {
    name name = key_of(n);
    rangewatch_bytes keys[] = {key(&name)};
    return (int32_t)rangewatch_queue(value, keys, 1);
}

EXPORT("queue_long") int32_t queue_long(uint64_t value, uint32_t n) {
    static char bytes[1000];
    static rangewatch_bytes keys[MAX_KEYS];
    if (n > MAX_KEYS) rangewatch_panic("more keys than this guest makes");
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = 'k';
    for (uint32_t i = 0; i < n; i++) keys[i] = (rangewatch_bytes){bytes, sizeof bytes};
    return (int32_t)rangewatch_queue(value, keys, n);
}

EXPORT("flush") int32_t flush(void) { return (int32_t)rangewatch_flush(); }
EXPORT("clear") int32_t clear(void) { return (int32_t)rangewatch_clear(); }

static int32_t apply(rangewatch_error (*verb)(rangewatch_bytes), int32_t n) {
    name name = key_of(n);
    return (int32_t)verb(id(&name));
}

EXPORT("reserve") int32_t reserve(int32_t n) { return apply(rangewatch_reserve, n); }
EXPORT("start") int32_t start(int32_t n) { return apply(rangewatch_start, n); }
EXPORT("stop") int32_t stop(int32_t n) { return apply(rangewatch_stop, n); }
// Groups are capital letters.
EXPORT("group_start") int32_t group_start(int32_t n) { return apply(rangewatch_group_start, n + 'A' - 'a'); }
EXPORT("group_stop") int32_t group_stop(int32_t n) { return apply(rangewatch_group_stop, n + 'A' - 'a'); }

EXPORT("group_start_long") int32_t group_start_long(uint32_t n_bytes) {
    static char bytes[MAX_ID];
    if (n_bytes > MAX_ID) rangewatch_panic("the id is longer than this guest makes");
    for (uint32_t i = 0; i < n_bytes; i++) bytes[i] = 'G';
    return (int32_t)rangewatch_group_start((rangewatch_bytes){bytes, n_bytes});
}

EXPORT("open") int32_t open(int32_t n) {
    name name = key_of(n);
    return (int32_t)rangewatch_open_prefix(id(&name), rangewatch_text("k"));
}

EXPORT("open_key") int32_t open_key(int32_t n, int32_t n_of_key) {
    name name = key_of(n), exact = key_of(n_of_key);
    return (int32_t)rangewatch_open_key(id(&name), key(&exact));
}

EXPORT("open_range") int32_t open_range(int32_t n, int32_t from, int32_t to) {
    name name = key_of(n), first = key_of(from), end = key_of(to);
    return (int32_t)rangewatch_open(id(&name), key(&first), key(&end));
}

EXPORT("follow") int32_t follow(int32_t n) {
    int32_t code = open(n);
    return code ? code : start(n);
}

EXPORT("follow_in") int32_t follow_in(int32_t group, int32_t n) {
    int32_t code = group_start(group);
    return code ? code : follow(n);
}

EXPORT("stop_in") int32_t stop_in(int32_t group, int32_t n) {
    int32_t code = group_start(group);
    return code ? code : stop(n);
}

// ---- Received

static const char *on_batch(rangewatch_batch batch) {
    rangewatch_notice notice = {0, 0, {0, 0}};
    rangewatch_bytes id;
    n_calls++;
    while (rangewatch_next_notice(&batch, &notice)) {
        while (rangewatch_next_id(&notice, &id)) {
            if (n_records == N_RECORDS) return "no room for another notice";
            records[n_records].value = notice.value;
            records[n_records++].id = number(id);
        }
    }
    switch (mode) {
    case EMIT:
        if (mode_arg > 0) {
            mode_arg--;
            queue(notice.value + 1, 0);
            last_code = flush();
        }
        break;
    case STOP: last_code = stop(mode_arg); break;
    case FOLLOW_IN_GROUP: last_code = follow_in(mode_arg, 0); break;
    case FAIL: return "the guest fails on purpose";
    case FAIL_INSIDE: last_code = group_stop(25); break;
    case PANIC: rangewatch_panic("the guest panics on purpose");
    }
    return 0;
}

EXPORT("register") int32_t register_handler(void) { return (int32_t)rangewatch_receive(on_batch); }
EXPORT("_initialize") void initialize(void) { register_handler(); }

EXPORT("set_mode") void set_mode(int32_t new_mode, int32_t arg) {
    mode = new_mode;
    mode_arg = arg;
}

EXPORT("n_batches") int32_t n_batches(void) { return n_calls; }
EXPORT("n_received") int32_t n_received(void) { return n_records; }

EXPORT("received_id") int32_t received_id(int32_t index) {
    return index >= 0 && index < n_records ? records[index].id : -1;
}

EXPORT("received_value") int64_t received_value(int32_t index) {
    return index >= 0 && index < n_records ? (int64_t)records[index].value : -1;
}

EXPORT("last_code") int32_t last_code_of_handler(void) { return last_code; }
EXPORT("forget") void forget(void) { n_records = n_calls = 0; }
