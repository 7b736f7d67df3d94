// A guest written from the specification of the ABI, without an SDK, libc or any header of this
// project. It can also break the ABI on purpose, which the SDKs prevent.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define IMPORT(name) __attribute__((import_module("pantopic/wazero-range-watch"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("__range_watch_flush") void host_flush(void);
IMPORT("__range_watch_reserve") void host_reserve(void);
IMPORT("__range_watch_open") void host_open(void);
IMPORT("__range_watch_start") void host_start(void);
IMPORT("__range_watch_stop") void host_stop(void);

enum { BUF_CAP = 16384, ERR_CAP = 1024, N_RECORDS = 1024 };

static u8 buf[BUF_CAP];
static u32 buf_cap = BUF_CAP;
static u32 buf_len;
static u8 err[ERR_CAP];
static u32 err_cap = ERR_CAP;
static u32 err_len;
static u64 val;

// The meta page: a pointer is a little-endian u32 here.
static void *meta[7] = {buf, &buf_cap, &buf_len, err, &err_cap, &err_len, &val};

EXPORT("__range_watch") void *range_watch(void) { return meta; }

// ---- Received

static struct {
    int id;
    u64 value;
} records[N_RECORDS];
static u32 n_records;
static u32 recv_err_len;

// The number in an id `w<n>`, or -1.
static int number_in_buf(void) {
    if (buf_len < 2 || buf[0] != 'w') return -1;
    int n = 0;
    for (u32 i = 1; i < buf_len; i++) {
        if (buf[i] < '0' || buf[i] > '9') return -1;
        n = n * 10 + (buf[i] - '0');
    }
    return n;
}

EXPORT("__range_watch_recv") void range_watch_recv(void) {
    if (n_records < N_RECORDS) {
        records[n_records].id = number_in_buf();
        records[n_records].value = val;
    }
    n_records++;
    for (u32 i = 0; i < recv_err_len && i < ERR_CAP; i++) err[i] = 'e';
    err_len = recv_err_len;
}

EXPORT("n_received") u64 n_received(void) { return n_records; }

EXPORT("received_id") int received_id(u32 index) {
    return index < n_records && index < N_RECORDS ? records[index].id : -1;
}

EXPORT("received_value") u64 received_value(u32 index) {
    return index < n_records && index < N_RECORDS ? records[index].value : (u64)-1;
}

EXPORT("last_value") u64 last_value(void) { return received_value(n_records - 1); }

// Sets the length of the error, all `e`, that every following recv reports; more than 1024 breaks
// the ABI, 0 reports none.
EXPORT("fail_recv") void fail_recv(u32 n_bytes) { recv_err_len = n_bytes; }

// ---- Verbs

static void put(u8 byte) { buf[buf_len++] = byte; }

static void put_number(u32 n, u32 min_digits) {
    u8 digits[10];
    u32 n_digits = 0;
    while (n || n_digits < min_digits) {
        digits[n_digits++] = '0' + n % 10;
        n /= 10;
    }
    while (n_digits) put(digits[--n_digits]);
}

static void put_id(u32 id) {
    put('w');
    put_number(id, 1);
}

// `test-<n>`, with at least three digits.
static void put_key(u32 n) {
    for (const char *c = "test-"; *c; c++) put(*c);
    put_number(n, 3);
}

// Reserves the two bytes of a big-endian length; `end_part` fills them in.
static u32 begin_part(void) {
    buf_len += 2;
    return buf_len;
}

static void end_part(u32 start) {
    u32 n_bytes = buf_len - start;
    buf[start - 2] = n_bytes >> 8;
    buf[start - 1] = n_bytes & 0xff;
}

static void put_key_part(u32 n) {
    u32 start = begin_part();
    put_key(n);
    end_part(start);
}

static int err_is(const char *text) {
    u32 i = 0;
    while (i < err_len && text[i] && err[i] == (u8)text[i]) i++;
    return i == err_len && !text[i];
}

// 0 no error, 1 exists, 2 not found, 3 already open, 4 closed, 9 another text.
static int code(void) {
    if (err_len == 0) return 0;
    if (err_is("Watch exists")) return 1;
    if (err_is("Watch not found")) return 2;
    if (err_is("Watch already open")) return 3;
    if (err_is("Watch closed")) return 4;
    return 9;
}

EXPORT("emit") void emit(u64 value, u32 n) {
    buf_len = 0;
    put_key_part(n);
    val = value;
    host_flush();
}

EXPORT("emit_pair") void emit_pair(u64 value, u32 n1, u32 n2) {
    buf_len = 0;
    put_key_part(n1);
    put_key_part(n2);
    val = value;
    host_flush();
}

EXPORT("reserve") int reserve(u32 id) {
    buf_len = 0;
    put_id(id);
    host_reserve();
    return code();
}

// The range `test-<from>` to `test-<to>`, sent unchecked: equal bounds are a key, inverted bounds
// never match.
EXPORT("open") int open(u32 id, u32 from, u32 to) {
    buf_len = 0;
    u32 start = begin_part();
    put_id(id);
    end_part(start);
    put_key_part(from);
    put_key_part(to);
    host_open();
    return code();
}

// The key `test-<n>`, as a range whose end is empty.
EXPORT("open_key") int open_key(u32 id, u32 n) {
    buf_len = 0;
    u32 start = begin_part();
    put_id(id);
    end_part(start);
    put_key_part(n);
    end_part(begin_part());
    host_open();
    return code();
}

// Opens with this many keys, the id `w<id>` first; any number but 3 breaks the ABI.
EXPORT("open_parts") int open_parts(u32 id, u32 n_parts) {
    buf_len = 0;
    for (u32 part = 0; part < n_parts; part++) {
        u32 start = begin_part();
        if (part == 0) put_id(id);
        else put_key(part * 100);
        end_part(start);
    }
    host_open();
    return code();
}

EXPORT("start") int start(u32 id) {
    buf_len = 0;
    put_id(id);
    host_start();
    return code();
}

EXPORT("stop") int stop(u32 id) {
    buf_len = 0;
    put_id(id);
    host_stop();
    return code();
}

// ---- Raw access, for tests that write the buffer themselves

EXPORT("buf") void *buf_address(void) { return buf; }
EXPORT("err") void *err_address(void) { return err; }
EXPORT("err_len") u32 err_length(void) { return err_len; }
EXPORT("buf_len") u32 buf_length(void) { return buf_len; }

// Calls import `verb` (0 flush, 1 reserve, 2 open, 3 start, 4 stop) on the content of the buffer,
// with this length.
EXPORT("raw") int raw(u32 verb, u64 value, u32 n_bytes) {
    val = value;
    buf_len = n_bytes;
    switch (verb) {
    case 0: host_flush(); return 0;
    case 1: host_reserve(); break;
    case 2: host_open(); break;
    case 3: host_start(); break;
    case 4: host_stop(); break;
    default: __builtin_trap();
    }
    return code();
}

// Sets the capacities that the host reads.
EXPORT("set_caps") void set_caps(u32 buf_bytes, u32 err_bytes) {
    buf_cap = buf_bytes;
    err_cap = err_bytes;
}

// Overwrites slot 0 to 6 of the meta page. Hosts read the page once: call this before anything
// else.
EXPORT("set_slot") void set_slot(u32 slot, void *address) {
    if (slot < 7) meta[slot] = address;
}
