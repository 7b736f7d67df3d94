// Emit and watch byte-key ranges from a WebAssembly guest in C or C++, and answer calls with bytes.
//
// An emit carries a 64-bit value, usually the revision of the guest's store, and the byte keys that
// changed. A watch covers one range of keys: when an emit of any guest on the bus has a key in the
// range, the host calls the handler of this guest with the id of the watch and a value. There is no
// payload: the guest reads its store from that value on.
//
// One source file of a guest defines RANGEWATCH_IMPLEMENTATION before it includes this header. It
// needs no libc, and compiles as C99 and as C++. Guests have one thread.
//
// States of a watch. An id is free, reserved, open or started; ids are unique within the group that
// the host assigns to the guest.
//
//   verb     from                     to        in any other state
//   reserve  free                     reserved  RANGEWATCH_EXISTS
//   open     free, reserved           open      RANGEWATCH_ALREADY_OPEN; the first range stays
//   start    open                     started   RANGEWATCH_NOT_FOUND; a second start does nothing
//   stop     reserved, open, started  free      RANGEWATCH_NOT_FOUND
//
// Emits that match are held while a watch is open, and delivered once it is started. To follow a
// store without a gap: reserve the id, scan the store, open the watch, scan what was added since,
// start.
//
// A delivery carries the first value that matched since the handler was last entered for that
// watch. Later values are coalesced into it until the handler is entered again: the value is a
// lower bound, and a scan of the store from that value on finds them all.
//
// Generation 2 of the guest ABI delivers every value, in batches; emits are queued and flushed; and
// a guest divides its watches into groups. A guest is of one generation: one of the second defines
// RANGEWATCH_GENERATION as 2 in all of its source files, before this header, and has
// rangewatch_queue, rangewatch_flush, rangewatch_clear and the groups in place of rangewatch_emit,
// and another handler. The other verbs and the errors are the same.
//
//   Emits. What rangewatch_queue gathers belongs to the instance and stays until rangewatch_flush
//   or rangewatch_clear, also when the call returns: a guest may queue in each command and flush
//   after the commit. The keys of one value are one emit, and several values take effect together,
//   in their order, or not at all. What is gathered is gone with the instance.
//
//   Batches. Every value of every watch is delivered, in the order of the emits. A delivery is a
//   batch of notices, each a value with the ids of the watches that it matches. A notice with more
//   ids than fit into one batch goes on in the next one, with the same value. A group whose notices
//   pile up beyond a bound of the host ends, with its watches. What was pending is delivered first,
//   and the host, not the guest, learns from which value to resume. The verbs return
//   RANGEWATCH_CLOSED in a group that has ended; one that the guest has started can be started
//   again.
//
//   Groups. rangewatch_group_start opens a group and selects it for the rest of the call: reserve,
//   open, start and stop are of it, and ids are unique within it. Each call begins in the group
//   that the host assigns to the guest, and the handler in the group of its batch.
//   rangewatch_group_stop ends a group with its watches. Groups do not nest.

#ifndef RANGEWATCH_H
#define RANGEWATCH_H

#ifndef RANGEWATCH_GENERATION
#define RANGEWATCH_GENERATION 1
#elif RANGEWATCH_GENERATION != 1 && RANGEWATCH_GENERATION != 2
#error "RANGEWATCH_GENERATION is 1 or 2"
#endif

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    // Capacity of the buffer that is shared with the host, and the longest id, in bytes.
    RANGEWATCH_BUF_BYTES = 16384,
    // Capacity of the error text in bytes. A longer text is truncated.
    RANGEWATCH_ERR_BYTES = 1024,
    // Bytes that the length of a key takes in a key list.
    RANGEWATCH_KEY_PREFIX_BYTES = 2,
    // The longest key in bytes, inclusive.
    RANGEWATCH_MAX_KEY_BYTES = RANGEWATCH_BUF_BYTES - RANGEWATCH_KEY_PREFIX_BYTES,
    // The most bytes, inclusive, that id, from and to of one rangewatch_open may have together.
    RANGEWATCH_MAX_OPEN_BYTES = RANGEWATCH_BUF_BYTES - 3 * RANGEWATCH_KEY_PREFIX_BYTES,
    // The most bytes, inclusive, that the host copies of an input at once.
    RANGEWATCH_MAX_INPUT_READ_BYTES = 1 << 20
};

// Bytes that somebody else owns. The address may be anything if the length is 0.
typedef struct rangewatch_bytes {
    const void *ptr;
    size_t len;
} rangewatch_bytes;

// Why a call had no effect.
typedef enum rangewatch_error {
    RANGEWATCH_OK = 0,
    // The id is reserved, open or started.
    RANGEWATCH_EXISTS = 1,
    // The id is free, or it is reserved and the call needs an open watch.
    RANGEWATCH_NOT_FOUND = 2,
    // The id is open or started; its first range stays.
    RANGEWATCH_ALREADY_OPEN = 3,
    // The watch, or the bus or group that it belongs to, has ended.
    RANGEWATCH_CLOSED = 4,
    // A key, an id, or what a watch is opened with, does not fit into the buffer that is shared
    // with the host; an input does not fit into the memory that is given for it.
    RANGEWATCH_TOO_LONG = 5,
    // No key is in the range: its start is not below its end.
    RANGEWATCH_EMPTY_RANGE = 6,
    // The range has no upper end, which the ABI cannot encode.
    RANGEWATCH_UNBOUNDED = 7,
    // A handler is already registered on this instance.
    RANGEWATCH_HANDLER_EXISTS = 8,
    // The host refused for a reason that this version does not know: rangewatch_host_text has it.
    RANGEWATCH_OTHER = 9,
    // This program is not a WebAssembly guest.
    RANGEWATCH_NO_HOST = 10,
    // No group of this id is open. Of generation 2.
    RANGEWATCH_GROUP_NOT_FOUND = 11
} rangewatch_error;

// What to do about an error, as a sentence; of RANGEWATCH_OTHER with what the host wrote. Valid
// until the next verb.
const char *rangewatch_error_text(rangewatch_error error);

// What the host wrote when the last verb failed. Valid until the next verb.
rangewatch_bytes rangewatch_host_text(void);

// The bytes of a text that ends with a zero byte.
static inline rangewatch_bytes rangewatch_text(const char *text) {
    rangewatch_bytes bytes = {text, 0};
    while (text[bytes.len]) bytes.len++;
    return bytes;
}

#if RANGEWATCH_GENERATION == 1
// Sends the value to the watches of all keys: in one flush, or in several with the same value when
// the keys do not fit into the buffer. Without keys it does nothing. RANGEWATCH_TOO_LONG for a key
// of more than RANGEWATCH_MAX_KEY_BYTES, and then nothing is emitted.
rangewatch_error rangewatch_emit(uint64_t value, const rangewatch_bytes *keys, size_t n_keys);
#else
// Gathers the value and the keys for the next rangewatch_flush. The keys are passed to the host in
// one call, or in several with the same value when they do not fit into the buffer; without keys it
// does nothing. What is gathered for one value in a row is one emit, also by several calls.
//
// It traps when what is gathered exceeds a limit of the host: 16,384 keys or 256 KiB unless it was
// built with others. RANGEWATCH_TOO_LONG for a key of more than RANGEWATCH_MAX_KEY_BYTES, and then
// nothing is gathered.
rangewatch_error rangewatch_queue(uint64_t value, const rangewatch_bytes *keys, size_t n_keys);

// Emits what was gathered: to every watch, of any guest on the bus, whose range contains one of its
// keys. Without anything gathered it does nothing.
//
// It traps when the host refuses one of the emits, of which none has then taken effect: the bus is
// closed, has history and a greater value already, or the emits match more watches than the host
// allows in one flush, 16,384 by default.
rangewatch_error rangewatch_flush(void);

// Drops what was gathered, such as when the commands that queued it are not committed.
rangewatch_error rangewatch_clear(void);

// Selects a group for the rest of this call, and opens it if it is not open.
//
// The verbs that follow in this call, or in this run of the handler, are of the group, until
// another one is selected or this one is stopped. A group stays open when the call returns: another
// call selects it by the same id. It belongs to the group that the host has assigned to the guest,
// and ends with that. RANGEWATCH_TOO_LONG, RANGEWATCH_CLOSED, RANGEWATCH_OTHER, such as for too
// many groups.
rangewatch_error rangewatch_group_start(rangewatch_bytes id);

// Ends a group: its watches and what is pending for them are freed at once.
//
// The handler is not entered for the group after the call returns. If it is running for the group
// on another instance, the call does not wait for it. If the group is selected, the verbs that
// follow are of the group that the call began in. RANGEWATCH_GROUP_NOT_FOUND, RANGEWATCH_TOO_LONG,
// RANGEWATCH_CLOSED, RANGEWATCH_OTHER.
rangewatch_error rangewatch_group_stop(rangewatch_bytes id);
#endif

// Reserves an id in the group of this guest. Nothing is watched yet. RANGEWATCH_EXISTS,
// RANGEWATCH_TOO_LONG, RANGEWATCH_CLOSED, RANGEWATCH_OTHER.
rangewatch_error rangewatch_reserve(rangewatch_bytes id);

// Opens a watch of the keys from one, inclusive, to another, exclusive, under a free or reserved
// id. Below this header, and in the Go SDK, an end that is equal to the start means exactly that
// key. RANGEWATCH_ALREADY_OPEN; RANGEWATCH_EMPTY_RANGE if the start is not below the end;
// RANGEWATCH_TOO_LONG if all three have more than RANGEWATCH_MAX_OPEN_BYTES; RANGEWATCH_CLOSED,
// RANGEWATCH_OTHER.
rangewatch_error rangewatch_open(rangewatch_bytes id, rangewatch_bytes from, rangewatch_bytes to);

// Opens a watch of exactly one key, which may be empty. Errors as for rangewatch_open.
rangewatch_error rangewatch_open_key(rangewatch_bytes id, rangewatch_bytes key);

// Opens a watch of every key that begins with a prefix. Errors as for rangewatch_open, and
// RANGEWATCH_UNBOUNDED for a prefix that is empty or has only bytes 0xFF.
rangewatch_error rangewatch_open_prefix(rangewatch_bytes id, rangewatch_bytes prefix);

// Starts an open watch: delivers the first value that was held since it was opened, if any, and
// then those that follow. In generation 2 it delivers every value that was held, which may be older
// than what another watch of the group has received already. Starting a started watch has no
// effect. RANGEWATCH_NOT_FOUND, RANGEWATCH_TOO_LONG, RANGEWATCH_CLOSED, RANGEWATCH_OTHER.
rangewatch_error rangewatch_start(rangewatch_bytes id);

// Ends a reserved, open or started watch and frees its id. The handler is not entered for this
// watch after the call returns; in generation 2, no batch that is delivered after that names it. If
// the handler of this watch, or of a batch that names it, is running on another instance, the call
// waits for it; inside a handler it never waits. RANGEWATCH_NOT_FOUND, RANGEWATCH_TOO_LONG,
// RANGEWATCH_CLOSED, RANGEWATCH_OTHER.
rangewatch_error rangewatch_stop(rangewatch_bytes id);

#if RANGEWATCH_GENERATION == 1
// Receives the id of a watch and a value. The id is valid until it returns. It may call everything
// here: emit, even into the range of its own watch, and open, start or stop watches, its own
// included. It returns null, or the text of an error, for which the host closes the watch of the
// delivery; other watches and the instance stay.
typedef const char *(*rangewatch_handler)(rangewatch_bytes id, uint64_t value);
#else
// What one delivery brings: notices in the order of the emits.
typedef struct rangewatch_batch {
    // Those that rangewatch_next_notice has not returned yet.
    size_t n_notices;
    rangewatch_bytes encoded;
} rangewatch_batch;

// One value, and the ids of the watches that it matches, in no particular order.
typedef struct rangewatch_notice {
    uint64_t value;
    // Those that rangewatch_next_id has not returned yet.
    size_t n_ids;
    rangewatch_bytes encoded;
} rangewatch_notice;

// Takes the next notice of a batch: 1, or 0 at its end.
int rangewatch_next_notice(rangewatch_batch *batch, rangewatch_notice *notice);

// Takes the next id of a notice: 1, or 0 at its end.
int rangewatch_next_id(rangewatch_notice *notice, rangewatch_bytes *id);

// Receives a batch of notices:
//
//   rangewatch_notice notice;
//   rangewatch_bytes id;
//   while (rangewatch_next_notice(&batch, &notice)) {
//       while (rangewatch_next_id(&notice, &id)) send(id, notice.value);
//   }
//
// The batch and its ids are valid until it returns. It may call everything here: queue and flush,
// even into the range of a watch of the batch, and open, start or stop watches and groups. Its
// verbs are of the group of the batch until it selects another one. Batches of one group never
// overlap; those of several groups may be delivered on several instances at a time. It returns
// null, or the text of an error, for which the host closes the watches of the batch; other watches
// and the instance stay.
typedef const char *(*rangewatch_handler)(rangewatch_batch batch);
#endif

// Registers the handler, once per instance, for all watches. A host may run callbacks on another
// instance than the one that opened the watch: register it in an exported function _initialize, or
// in a constructor where libc defines that; hosts call it once on each instance. A delivery to an
// instance without a handler is an error, for which the host closes the watch, or the watches of
// the batch. RANGEWATCH_HANDLER_EXISTS.
rangewatch_error rangewatch_receive(rangewatch_handler handler);

// The length of the input of this call, for an export without parameters and results that the host
// calls with bytes. 0 outside of such a call.
size_t rangewatch_input_len(void);

// Copies the input of this call, which has at most `len` bytes. RANGEWATCH_TOO_LONG if it has more,
// and then nothing is copied.
rangewatch_error rangewatch_input(void *to, size_t len);

// Appends to what the host gets as the answer. The host bounds it, by 1 MiB unless it was built
// with another limit; more, or an output outside of a call with bytes, traps.
rangewatch_error rangewatch_output(rangewatch_bytes bytes);

// Traps, and has the host add a text to the error of the call.
#ifdef __GNUC__
__attribute__((noreturn))
#endif
void rangewatch_panic(const char *text);

#ifdef __cplusplus
}
#endif

#endif // RANGEWATCH_H

#ifdef RANGEWATCH_IMPLEMENTATION
#undef RANGEWATCH_IMPLEMENTATION

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __wasm__
#define RANGEWATCH_IMPORT(module, name) \
    __attribute__((import_module(module), import_name(name))) extern
#define RANGEWATCH_EXPORT(name) __attribute__((export_name(name)))

#if RANGEWATCH_GENERATION == 1
#define RANGEWATCH_MODULE "pantopic/wazero-range-watch"
#else
#define RANGEWATCH_MODULE "pantopic/ext-range-watch"

RANGEWATCH_IMPORT(RANGEWATCH_MODULE, "__range_watch_queue")
void rangewatch_host_queue(void);
RANGEWATCH_IMPORT(RANGEWATCH_MODULE, "__range_watch_clear")
void rangewatch_host_clear(void);
RANGEWATCH_IMPORT(RANGEWATCH_MODULE, "__range_watch_group_start")
void rangewatch_host_group_start(void);
RANGEWATCH_IMPORT(RANGEWATCH_MODULE, "__range_watch_group_stop")
void rangewatch_host_group_stop(void);
#endif

RANGEWATCH_IMPORT(RANGEWATCH_MODULE, "__range_watch_flush")
void rangewatch_host_flush(void);
RANGEWATCH_IMPORT(RANGEWATCH_MODULE, "__range_watch_reserve")
void rangewatch_host_reserve(void);
RANGEWATCH_IMPORT(RANGEWATCH_MODULE, "__range_watch_open")
void rangewatch_host_open(void);
RANGEWATCH_IMPORT(RANGEWATCH_MODULE, "__range_watch_start")
void rangewatch_host_start(void);
RANGEWATCH_IMPORT(RANGEWATCH_MODULE, "__range_watch_stop")
void rangewatch_host_stop(void);
RANGEWATCH_IMPORT("rangewatch_io", "input_len")
uint32_t rangewatch_host_input_len(void);
RANGEWATCH_IMPORT("rangewatch_io", "input_read")
uint32_t rangewatch_host_input_read(void *to, uint32_t offset, uint32_t len);
RANGEWATCH_IMPORT("rangewatch_io", "output_write")
void rangewatch_host_output_write(const void *from, uint32_t len);

enum { RANGEWATCH_HAS_HOST = 1 };
#else
#define RANGEWATCH_EXPORT(name)

// Tests put functions of their own there.
static int RANGEWATCH_HAS_HOST;
#if RANGEWATCH_GENERATION == 2
static void (*rangewatch_host_queue)(void);
static void (*rangewatch_host_clear)(void);
static void (*rangewatch_host_group_start)(void);
static void (*rangewatch_host_group_stop)(void);
#endif
static void (*rangewatch_host_flush)(void);
static void (*rangewatch_host_reserve)(void);
static void (*rangewatch_host_open)(void);
static void (*rangewatch_host_start)(void);
static void (*rangewatch_host_stop)(void);
static uint32_t (*rangewatch_host_input_len)(void);
static uint32_t (*rangewatch_host_input_read)(void *to, uint32_t offset, uint32_t len);
static void (*rangewatch_host_output_write)(const void *from, uint32_t len);
#endif

static uint8_t rangewatch_buf[RANGEWATCH_BUF_BYTES];
static uint32_t rangewatch_buf_cap = RANGEWATCH_BUF_BYTES;
static uint32_t rangewatch_buf_len;
static uint8_t rangewatch_err[RANGEWATCH_ERR_BYTES];
static uint32_t rangewatch_err_cap = RANGEWATCH_ERR_BYTES;
static uint32_t rangewatch_err_len;
static uint64_t rangewatch_val;
// What is delivered: the verbs that the handler calls overwrite the buffer.
static uint8_t rangewatch_delivered[RANGEWATCH_BUF_BYTES];
static rangewatch_handler rangewatch_registered;

RANGEWATCH_EXPORT("__range_watch") void *rangewatch_export_meta(void) {
    // The meta page: a pointer is a little-endian u32 in a guest.
    static void *meta[7] = {rangewatch_buf,      &rangewatch_buf_cap, &rangewatch_buf_len, rangewatch_err,
                            &rangewatch_err_cap, &rangewatch_err_len, &rangewatch_val};
    return meta;
}

static void rangewatch_copy(uint8_t *to, const void *from, size_t len) {
    for (size_t i = 0; i < len; i++) to[i] = ((const uint8_t *)from)[i];
}

static void rangewatch_set_err(const char *text) {
    rangewatch_bytes bytes = rangewatch_text(text);
    rangewatch_err_len = bytes.len < RANGEWATCH_ERR_BYTES ? (uint32_t)bytes.len : (uint32_t)RANGEWATCH_ERR_BYTES;
    rangewatch_copy(rangewatch_err, bytes.ptr, rangewatch_err_len);
}

#if RANGEWATCH_GENERATION == 1
static const char *rangewatch_deliver(rangewatch_bytes id) { return rangewatch_registered(id, rangewatch_val); }
#else
static int rangewatch_take_u16(rangewatch_bytes *rest, size_t *n) {
    const uint8_t *bytes = (const uint8_t *)rest->ptr;
    if (rest->len < 2) return 0;
    *n = (size_t)(bytes[0] << 8 | bytes[1]);
    rest->ptr = bytes + 2;
    rest->len -= 2;
    return 1;
}

static int rangewatch_take_id(rangewatch_bytes *rest, rangewatch_bytes *id) {
    if (!rangewatch_take_u16(rest, &id->len) || rest->len < id->len) return 0;
    id->ptr = rest->ptr;
    rest->ptr = (const uint8_t *)rest->ptr + id->len;
    rest->len -= id->len;
    return 1;
}

static int rangewatch_take_notice(rangewatch_bytes *rest, rangewatch_notice *notice) {
    rangewatch_bytes id;
    const uint8_t *bytes = (const uint8_t *)rest->ptr;
    if (rest->len < 8) return 0;
    notice->value = 0;
    for (int i = 0; i < 8; i++) notice->value = notice->value << 8 | bytes[i];
    rest->ptr = bytes + 8;
    rest->len -= 8;
    if (!rangewatch_take_u16(rest, &notice->n_ids)) return 0;
    notice->encoded = *rest;
    for (size_t i = 0; i < notice->n_ids; i++) {
        if (!rangewatch_take_id(rest, &id)) return 0;
    }
    notice->encoded.len -= rest->len;
    return 1;
}

int rangewatch_next_notice(rangewatch_batch *batch, rangewatch_notice *notice) {
    if (!batch->n_notices) return 0;
    batch->n_notices--;
    return rangewatch_take_notice(&batch->encoded, notice);
}

int rangewatch_next_id(rangewatch_notice *notice, rangewatch_bytes *id) {
    if (!notice->n_ids) return 0;
    notice->n_ids--;
    return rangewatch_take_id(&notice->encoded, id);
}

static const char *rangewatch_deliver(rangewatch_bytes bytes) {
    rangewatch_batch batch, rest;
    rangewatch_notice notice;
    int is_batch = rangewatch_take_u16(&bytes, &batch.n_notices);
    batch.encoded = bytes;
    rest = batch;
    while (is_batch && rest.n_notices) is_batch = rangewatch_next_notice(&rest, &notice);
    if (!is_batch || rest.encoded.len) return "not a batch: open watches by the verbs of generation 2";
    return rangewatch_registered(batch);
}
#endif

RANGEWATCH_EXPORT("__range_watch_recv") void rangewatch_export_recv(void) {
    rangewatch_bytes delivered = {rangewatch_delivered, rangewatch_buf_len};
    if (delivered.len > RANGEWATCH_BUF_BYTES) delivered.len = RANGEWATCH_BUF_BYTES;
    rangewatch_copy(rangewatch_delivered, rangewatch_buf, delivered.len);
    const char *error = "no handler is registered on this instance";
    if (rangewatch_registered) error = rangewatch_deliver(delivered);
    // Always written: it may hold the error text of a verb that the handler called.
    rangewatch_err_len = 0;
    if (error) rangewatch_set_err(*error ? error : "the handler failed without a text");
}

// Adds a key to the key list in the buffer: its length, big endian, and its bytes. It has to fit.
static void rangewatch_push_key(rangewatch_bytes key) {
    uint8_t *to = rangewatch_buf + rangewatch_buf_len;
    to[0] = (uint8_t)(key.len >> 8);
    to[1] = (uint8_t)key.len;
    rangewatch_copy(to + RANGEWATCH_KEY_PREFIX_BYTES, key.ptr, key.len);
    rangewatch_buf_len += RANGEWATCH_KEY_PREFIX_BYTES + (uint32_t)key.len;
}

static int rangewatch_err_is(const char *text) {
    uint32_t i = 0;
    while (i < rangewatch_err_len && text[i] && rangewatch_err[i] == (uint8_t)text[i]) i++;
    return i == rangewatch_err_len && !text[i];
}

// The error that the host has written, if there is one.
static rangewatch_error rangewatch_host_error(void) {
    if (rangewatch_err_len == 0) return RANGEWATCH_OK;
    if (rangewatch_err_is("Watch exists")) return RANGEWATCH_EXISTS;
    if (rangewatch_err_is("Watch not found")) return RANGEWATCH_NOT_FOUND;
    if (rangewatch_err_is("Watch already open")) return RANGEWATCH_ALREADY_OPEN;
    if (rangewatch_err_is("Watch closed")) return RANGEWATCH_CLOSED;
    if (rangewatch_err_is("Group not found")) return RANGEWATCH_GROUP_NOT_FOUND;
    return RANGEWATCH_OTHER;
}

rangewatch_bytes rangewatch_host_text(void) {
    rangewatch_bytes text = {rangewatch_err, rangewatch_err_len};
    if (text.len > RANGEWATCH_ERR_BYTES) text.len = RANGEWATCH_ERR_BYTES;
    return text;
}

static const char *rangewatch_refusal(void) {
    static char text[sizeof "the host refused: " + RANGEWATCH_ERR_BYTES] = "the host refused: ";
    size_t start = sizeof "the host refused: " - 1;
    rangewatch_bytes host = rangewatch_host_text();
    rangewatch_copy((uint8_t *)text + start, host.ptr, host.len);
    text[start + host.len] = 0;
    return text;
}

const char *rangewatch_error_text(rangewatch_error error) {
    switch (error) {
    case RANGEWATCH_OK: return "no error";
    case RANGEWATCH_EXISTS: return "the id is in use: stop it or choose another";
    case RANGEWATCH_NOT_FOUND: return "no such watch: open it first";
    case RANGEWATCH_ALREADY_OPEN: return "the watch is already open: stop it to change its range";
    case RANGEWATCH_CLOSED: return "the watch is closed: open it again";
    case RANGEWATCH_TOO_LONG: return "too many bytes: use a shorter key or id, or more memory for an input";
    case RANGEWATCH_EMPTY_RANGE: return "the range holds no key: its start must be below its end";
    case RANGEWATCH_UNBOUNDED: return "the range has no upper end: give it one";
    case RANGEWATCH_HANDLER_EXISTS: return "a handler is already registered: register once per instance";
    case RANGEWATCH_OTHER: return rangewatch_refusal();
    case RANGEWATCH_NO_HOST: return "there is no host: run this program as a WebAssembly guest";
    case RANGEWATCH_GROUP_NOT_FOUND: return "no such group: start it first";
    }
    return "no error of this version";
}

#if RANGEWATCH_GENERATION == 1
#define RANGEWATCH_SEND rangewatch_emit
#define RANGEWATCH_HOST_SEND rangewatch_host_flush
#else
#define RANGEWATCH_SEND rangewatch_queue
#define RANGEWATCH_HOST_SEND rangewatch_host_queue
#endif

rangewatch_error RANGEWATCH_SEND(uint64_t value, const rangewatch_bytes *keys, size_t n_keys) {
    for (size_t i = 0; i < n_keys; i++) {
        if (keys[i].len > RANGEWATCH_MAX_KEY_BYTES) return RANGEWATCH_TOO_LONG;
    }
    if (!RANGEWATCH_HAS_HOST) return RANGEWATCH_NO_HOST;
    rangewatch_val = value;
    rangewatch_buf_len = 0;
    for (size_t i = 0; i < n_keys; i++) {
        if (rangewatch_buf_len + RANGEWATCH_KEY_PREFIX_BYTES + keys[i].len > RANGEWATCH_BUF_BYTES) {
            RANGEWATCH_HOST_SEND();
            rangewatch_buf_len = 0;
        }
        rangewatch_push_key(keys[i]);
    }
    if (rangewatch_buf_len) RANGEWATCH_HOST_SEND();
    return RANGEWATCH_OK;
}

static rangewatch_error rangewatch_set_id(rangewatch_bytes id) {
    if (id.len > RANGEWATCH_BUF_BYTES) return RANGEWATCH_TOO_LONG;
    if (!RANGEWATCH_HAS_HOST) return RANGEWATCH_NO_HOST;
    rangewatch_copy(rangewatch_buf, id.ptr, id.len);
    rangewatch_buf_len = (uint32_t)id.len;
    rangewatch_err_len = 0;
    return RANGEWATCH_OK;
}

#define RANGEWATCH_VERB(name) \
    rangewatch_error rangewatch_##name(rangewatch_bytes id) { \
        rangewatch_error error = rangewatch_set_id(id); \
        if (error) return error; \
        rangewatch_host_##name(); \
        return rangewatch_host_error(); \
    }

RANGEWATCH_VERB(reserve)
RANGEWATCH_VERB(start)
RANGEWATCH_VERB(stop)

#if RANGEWATCH_GENERATION == 2
RANGEWATCH_VERB(group_start)
RANGEWATCH_VERB(group_stop)

rangewatch_error rangewatch_flush(void) {
    if (!RANGEWATCH_HAS_HOST) return RANGEWATCH_NO_HOST;
    rangewatch_host_flush();
    return RANGEWATCH_OK;
}

rangewatch_error rangewatch_clear(void) {
    if (!RANGEWATCH_HAS_HOST) return RANGEWATCH_NO_HOST;
    rangewatch_host_clear();
    return RANGEWATCH_OK;
}
#endif

// Below 0, 0 or above 0, as the first is below, equal to or above the second.
static int rangewatch_compare(rangewatch_bytes a, rangewatch_bytes b) {
    const uint8_t *x = (const uint8_t *)a.ptr, *y = (const uint8_t *)b.ptr;
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

// With the bounds as the host has them: an empty end means exactly the key `from`.
static rangewatch_error rangewatch_open_bounds(rangewatch_bytes id, rangewatch_bytes from, rangewatch_bytes to) {
    size_t max = RANGEWATCH_MAX_OPEN_BYTES;
    if (id.len > max || from.len > max - id.len || to.len > max - id.len - from.len) return RANGEWATCH_TOO_LONG;
    if (!RANGEWATCH_HAS_HOST) return RANGEWATCH_NO_HOST;
    rangewatch_buf_len = 0;
    rangewatch_err_len = 0;
    rangewatch_push_key(id);
    rangewatch_push_key(from);
    rangewatch_push_key(to);
    rangewatch_host_open();
    return rangewatch_host_error();
}

rangewatch_error rangewatch_open(rangewatch_bytes id, rangewatch_bytes from, rangewatch_bytes to) {
    if (rangewatch_compare(from, to) >= 0) return RANGEWATCH_EMPTY_RANGE;
    return rangewatch_open_bounds(id, from, to);
}

rangewatch_error rangewatch_open_key(rangewatch_bytes id, rangewatch_bytes key) {
    rangewatch_bytes none = {0, 0};
    return rangewatch_open_bounds(id, key, none);
}

rangewatch_error rangewatch_open_prefix(rangewatch_bytes id, rangewatch_bytes prefix) {
    // The end is the lowest key above every key with the prefix.
    static uint8_t bytes[RANGEWATCH_MAX_OPEN_BYTES];
    rangewatch_bytes end = {bytes, prefix.len};
    while (end.len && ((const uint8_t *)prefix.ptr)[end.len - 1] == 0xff) end.len--;
    if (!end.len) return RANGEWATCH_UNBOUNDED;
    if (end.len > RANGEWATCH_MAX_OPEN_BYTES) return RANGEWATCH_TOO_LONG;
    rangewatch_copy(bytes, prefix.ptr, end.len);
    bytes[end.len - 1]++;
    return rangewatch_open_bounds(id, prefix, end);
}

rangewatch_error rangewatch_receive(rangewatch_handler handler) {
    if (!RANGEWATCH_HAS_HOST) return RANGEWATCH_NO_HOST;
    if (rangewatch_registered) return RANGEWATCH_HANDLER_EXISTS;
    rangewatch_registered = handler;
    return RANGEWATCH_OK;
}

size_t rangewatch_input_len(void) { return RANGEWATCH_HAS_HOST ? rangewatch_host_input_len() : 0; }

rangewatch_error rangewatch_input(void *to, size_t len) {
    if (!RANGEWATCH_HAS_HOST) return RANGEWATCH_NO_HOST;
    uint32_t n_bytes = rangewatch_host_input_len();
    if (n_bytes > len) return RANGEWATCH_TOO_LONG;
    for (uint32_t n_read = 0; n_read < n_bytes;) {
        uint32_t n = rangewatch_host_input_read((uint8_t *)to + n_read, n_read, n_bytes - n_read);
        if (!n) break;
        n_read += n;
    }
    return RANGEWATCH_OK;
}

rangewatch_error rangewatch_output(rangewatch_bytes bytes) {
    if (!RANGEWATCH_HAS_HOST) return RANGEWATCH_NO_HOST;
    rangewatch_host_output_write(bytes.ptr, (uint32_t)bytes.len);
    return RANGEWATCH_OK;
}

void rangewatch_panic(const char *text) {
    rangewatch_set_err(text);
    __builtin_trap();
}

#ifdef __cplusplus
}
#endif

#endif // RANGEWATCH_IMPLEMENTATION
