// The guest watcher, in C without libc: see ../watcher for its exports, results and modes.

#define RANGEWATCH_IMPLEMENTATION
#include "../../../sdk/c/rangewatch.h"

#define EXPORT(name) __attribute__((export_name(name)))

enum { N_RECORDS = 1024, MAX_TEXT = 8192, MAX_ID = 20000 };

enum mode {
    EMIT = 1,
    STOP_ITSELF,
    STOP_OTHER,
    START_ANOTHER,
    FAIL,
    TRAP,
    SPIN,
    FAIL_INSIDE,
    FAIL_LONG,
    PANIC,
};

static struct {
    int32_t id;
    uint64_t value;
} records[N_RECORDS];
static int32_t n_records;
static int32_t mode, mode_arg, last_code;

// ---- Names and keys: a short text, and the number in it.

typedef struct {
    char text[24];
    uint32_t len;
} name;

static name numbered(const char *start, uint32_t n, uint32_t min_digits) {
    name result = {{0}, 0};
    while (*start) result.text[result.len++] = *start++;
    char digits[10];
    uint32_t n_digits = 0;
    while (n || n_digits < min_digits) {
        digits[n_digits++] = (char)('0' + n % 10);
        n /= 10;
    }
    while (n_digits) result.text[result.len++] = digits[--n_digits];
    return result;
}

static name id_of(int32_t id) { return numbered("w", (uint32_t)id, 1); }
static name key_of(uint32_t n) { return numbered("test-", n, 3); }
static rangewatch_bytes bytes(const name *name) { return (rangewatch_bytes){name->text, name->len}; }

// The number of an id, or -1 for one that is not of this guest.
static int32_t number(rangewatch_bytes id) {
    const char *text = id.ptr;
    if (id.len < 2 || text[0] != 'w') return -1;
    int32_t n = 0;
    for (size_t i = 1; i < id.len; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        n = n * 10 + (text[i] - '0');
    }
    return n;
}

// ---- Verbs

static int32_t apply(rangewatch_error (*verb)(rangewatch_bytes), int32_t id) {
    name name = id_of(id);
    return (int32_t)verb(bytes(&name));
}

EXPORT("reserve") int32_t reserve(int32_t id) { return apply(rangewatch_reserve, id); }
EXPORT("start") int32_t start(int32_t id) { return apply(rangewatch_start, id); }
EXPORT("stop") int32_t stop(int32_t id) { return apply(rangewatch_stop, id); }

EXPORT("open_range") int32_t open_range(int32_t id, uint32_t from, uint32_t to) {
    name name = id_of(id), first = key_of(from), end = key_of(to);
    return (int32_t)rangewatch_open(bytes(&name), bytes(&first), bytes(&end));
}

EXPORT("open") int32_t open(int32_t id) { return open_range(id, 100, 300); }

EXPORT("open_key") int32_t open_key(int32_t id, uint32_t n) {
    name name = id_of(id), key = key_of(n);
    return (int32_t)rangewatch_open_key(bytes(&name), bytes(&key));
}

EXPORT("open_prefix") int32_t open_prefix(int32_t id) {
    name name = id_of(id);
    return (int32_t)rangewatch_open_prefix(bytes(&name), rangewatch_text("test-"));
}

EXPORT("open_empty_key") int32_t open_empty_key(int32_t id) {
    name name = id_of(id);
    return (int32_t)rangewatch_open_key(bytes(&name), rangewatch_text(""));
}

EXPORT("open_all") int32_t open_all(int32_t id) {
    name name = id_of(id);
    return (int32_t)rangewatch_open_prefix(bytes(&name), rangewatch_text(""));
}

EXPORT("open_big") int32_t open_big(uint32_t n_bytes) {
    static char id[MAX_ID];
    if (n_bytes > MAX_ID) rangewatch_panic("the id is longer than this guest makes");
    for (uint32_t i = 0; i < n_bytes; i++) id[i] = 'i';
    return (int32_t)rangewatch_open_key((rangewatch_bytes){id, n_bytes}, rangewatch_text("b"));
}

EXPORT("follow") int32_t follow(int32_t id) {
    int32_t code = reserve(id);
    if (!code) code = open(id);
    if (!code) code = start(id);
    return code;
}

EXPORT("emit") int32_t emit(uint64_t value, uint32_t n) {
    name key = key_of(n);
    rangewatch_bytes keys[] = {bytes(&key)};
    return (int32_t)rangewatch_emit(value, keys, 1);
}

EXPORT("emit_loop") int32_t emit_loop(uint64_t value, uint32_t n, uint32_t first) {
    name names[] = {key_of(first), key_of(first + 100), key_of(first + 200)};
    rangewatch_bytes keys[] = {bytes(&names[0]), bytes(&names[1]), bytes(&names[2])};
    int32_t code = 0;
    for (; n && !code; n--) code = (int32_t)rangewatch_emit(value, keys, 3);
    return code;
}

// ---- Received

static const char *on_delivery(rangewatch_bytes name, uint64_t value) {
    static char text[MAX_TEXT];
    int32_t id = number(name);
    if (n_records == N_RECORDS) return "no room for another delivery";
    records[n_records].id = id;
    records[n_records++].value = value;
    switch (mode) {
    case EMIT:
        if (mode_arg > 0) {
            mode_arg--;
            last_code = emit(value + 1, 100);
        }
        break;
    case STOP_ITSELF: last_code = stop(id); break;
    case STOP_OTHER: last_code = stop(mode_arg); break;
    case START_ANOTHER: last_code = follow(mode_arg); break;
    case FAIL: return "the watcher fails on purpose";
    case TRAP: __builtin_trap();
    case SPIN:
        for (;;) __asm__ volatile("");
    case FAIL_INSIDE: last_code = (int32_t)rangewatch_start(rangewatch_text("no such watch")); break;
    case FAIL_LONG:
        for (int32_t i = 0; i < mode_arg && i < MAX_TEXT - 1; i++) text[i] = 'e';
        return text;
    case PANIC: rangewatch_panic("the watcher panics on purpose");
    }
    return 0;
}

EXPORT("register") int32_t register_handler(void) { return (int32_t)rangewatch_receive(on_delivery); }
EXPORT("_initialize") void initialize(void) { register_handler(); }

EXPORT("set_mode") void set_mode(int32_t new_mode, int32_t arg) {
    mode = new_mode;
    mode_arg = arg;
}

EXPORT("n_received") int64_t n_received(void) { return n_records; }

EXPORT("received_id") int32_t received_id(int32_t index) {
    return index >= 0 && index < n_records ? records[index].id : -1;
}

EXPORT("received_value") int64_t received_value(int32_t index) {
    return index >= 0 && index < n_records ? (int64_t)records[index].value : -1;
}

EXPORT("last_value") int64_t last_value(void) { return received_value(n_records - 1); }
EXPORT("last_code") int32_t last_code_of_handler(void) { return last_code; }
EXPORT("clear") void clear(void) { n_records = 0; }
