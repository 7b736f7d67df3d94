// Tests of rangewatch.h without a guest: the functions below are the host. For each generation N:
//
//   cc -std=c99 -Wall -Wextra -Werror -DRANGEWATCH_GENERATION=N -o test tests/test.c
//   ./test

#define RANGEWATCH_IMPLEMENTATION
#include "../rangewatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

#define BYTES(text) ((rangewatch_bytes){text, sizeof(text) - 1})

enum { MAX_CALLS = 64 };

#if RANGEWATCH_GENERATION == 1
#define SEND "flush"
#else
#define SEND "queue"
#endif

// ---- A host that records what it is called with.

static struct {
    const char *name;
    uint64_t value;
    uint8_t bytes[RANGEWATCH_BUF_BYTES];
    uint32_t len;
} calls[MAX_CALLS];
static int n_calls;
static const char *reply = "";
static rangewatch_bytes input;
static uint32_t max_read;
static char output[64];
static uint32_t output_len;

static void record(const char *name) {
    CHECK(n_calls < MAX_CALLS && rangewatch_buf_len <= RANGEWATCH_BUF_BYTES);
    calls[n_calls].name = name;
    calls[n_calls].value = rangewatch_val;
    calls[n_calls].len = rangewatch_buf_len;
    memcpy(calls[n_calls++].bytes, rangewatch_buf, rangewatch_buf_len);
}

static void verb(const char *name) {
    CHECK(rangewatch_err_len == 0);
    record(name);
    rangewatch_set_err(reply);
}

static void flush(void) { record("flush"); }
static void clear(void) { record("clear"); }
static void queue(void) { record("queue"); }
static void group_start(void) { verb("group_start"); }
static void group_stop(void) { verb("group_stop"); }
static void reserve(void) { verb("reserve"); }
static void open_watch(void) { verb("open"); }
static void start(void) { verb("start"); }
static void stop(void) { verb("stop"); }
static uint32_t input_len(void) { return (uint32_t)input.len; }

static uint32_t input_read(void *to, uint32_t offset, uint32_t len) {
    uint32_t rest = (uint32_t)input.len - offset;
    uint32_t n = rest < len ? rest : len;
    if (n > max_read) n = max_read;
    memcpy(to, (const char *)input.ptr + offset, n);
    return n;
}

static void output_write(const void *from, uint32_t len) {
    CHECK(output_len + len <= sizeof output);
    if (len) memcpy(output + output_len, from, len);
    output_len += len;
}

static void begin(void) {
    RANGEWATCH_HAS_HOST = 1;
#if RANGEWATCH_GENERATION == 1
    (void)clear, (void)queue, (void)group_start, (void)group_stop;
#else
    rangewatch_host_queue = queue;
    rangewatch_host_clear = clear;
    rangewatch_host_group_start = group_start;
    rangewatch_host_group_stop = group_stop;
#endif
    rangewatch_host_flush = flush;
    rangewatch_host_reserve = reserve;
    rangewatch_host_open = open_watch;
    rangewatch_host_start = start;
    rangewatch_host_stop = stop;
    rangewatch_host_input_len = input_len;
    rangewatch_host_input_read = input_read;
    rangewatch_host_output_write = output_write;
    rangewatch_registered = 0;
    n_calls = 0;
    reply = "";
}

static int called(int nth, const char *name, rangewatch_bytes bytes) {
    return nth < n_calls && !strcmp(calls[nth].name, name) && calls[nth].len == bytes.len &&
           !memcmp(calls[nth].bytes, bytes.ptr, bytes.len);
}

static int reported(const char *text) {
    rangewatch_bytes err = rangewatch_host_text();
    return err.len == strlen(text) && !memcmp(err.ptr, text, err.len);
}

// ---- Tests

static char long_bytes[70000];

static void outside_of_a_guest_there_is_no_host(void) {
    rangewatch_bytes w = BYTES("w"), x = BYTES("x");
    CHECK(RANGEWATCH_SEND(1, &w, 1) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_reserve(w) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_open(w, w, x) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_open_key(w, w) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_open_prefix(w, w) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_start(w) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_stop(w) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_receive(0) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_input_len() == 0 && rangewatch_input(0, 0) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_output(w) == RANGEWATCH_NO_HOST);
}

static void keys_that_fit_are_one_call(void) {
    begin();
    rangewatch_bytes keys[] = {BYTES("test-100"), {0, 0}, BYTES("test-100")};
    CHECK(!RANGEWATCH_SEND(UINT64_MAX, keys, 3));
    CHECK(n_calls == 1 && calls[0].value == UINT64_MAX);
    CHECK(called(0, SEND, BYTES("\0\x08test-100\0\0\0\x08test-100")));
    CHECK(!RANGEWATCH_SEND(1, 0, 0) && n_calls == 1);
}

static void keys_that_do_not_fit_are_all_sent_in_order_with_the_same_value(void) {
    begin();
    enum { N_KEYS = 5000 };
    static char texts[N_KEYS][16];
    static rangewatch_bytes keys[N_KEYS + 1];
    for (int i = 0; i < N_KEYS; i++) {
        snprintf(texts[i], sizeof texts[i], "key-%08d", i);
        keys[i] = rangewatch_text(texts[i]);
    }
    keys[N_KEYS] = (rangewatch_bytes){long_bytes, RANGEWATCH_MAX_KEY_BYTES};
    CHECK(!RANGEWATCH_SEND(7, keys, N_KEYS + 1));
    int nth = 0;
    for (int call = 0; call < n_calls; call++) {
        CHECK(calls[call].value == 7);
        for (uint32_t at = 0; at < calls[call].len; nth++) {
            uint32_t len = (uint32_t)calls[call].bytes[at] << 8 | calls[call].bytes[at + 1];
            CHECK(nth <= N_KEYS && len == keys[nth].len);
            CHECK(!memcmp(calls[call].bytes + at + 2, keys[nth].ptr, len));
            at += 2 + len;
        }
    }
    CHECK(n_calls > 1 && nth == N_KEYS + 1);
}

static void a_key_that_is_too_long_is_an_error_before_anything_is_sent(void) {
    begin();
    rangewatch_bytes keys[] = {{long_bytes, RANGEWATCH_MAX_KEY_BYTES}, {long_bytes, RANGEWATCH_MAX_KEY_BYTES + 1}};
    CHECK(RANGEWATCH_SEND(1, keys, 2) == RANGEWATCH_TOO_LONG && n_calls == 0);
}

static void ids_are_sent_raw_and_ranges_as_three_keys(void) {
    begin();
    rangewatch_bytes id = BYTES("\0w"), none = {0, 0};
    CHECK(!rangewatch_reserve(id) && called(0, "reserve", id));
    CHECK(!rangewatch_start(id) && called(1, "start", id));
    CHECK(!rangewatch_stop(id) && called(2, "stop", id));
    CHECK(!rangewatch_open(BYTES("w1"), BYTES("a"), BYTES("bc")));
    CHECK(called(3, "open", BYTES("\0\x02w1\0\x01" "a\0\x02" "bc")));
    CHECK(!rangewatch_open_key(none, BYTES("k")));
    CHECK(called(4, "open", BYTES("\0\0\0\x01k\0\0")));
    CHECK(!rangewatch_open_prefix(BYTES("w"), BYTES("a\xff\xff")));
    CHECK(called(5, "open", BYTES("\0\x01w\0\x03" "a\xff\xff\0\x01" "b")));
}

static void what_the_abi_cannot_encode_does_not_reach_the_host(void) {
    begin();
    rangewatch_bytes w = BYTES("w"), none = {0, 0};
    rangewatch_bytes longest = {long_bytes, RANGEWATCH_BUF_BYTES};
    rangewatch_bytes longer = {long_bytes, RANGEWATCH_BUF_BYTES + 1};
    CHECK(rangewatch_open(w, BYTES("b"), BYTES("a")) == RANGEWATCH_EMPTY_RANGE);
    CHECK(rangewatch_open(w, BYTES("a"), BYTES("a")) == RANGEWATCH_EMPTY_RANGE);
    CHECK(rangewatch_open(w, BYTES("a"), none) == RANGEWATCH_EMPTY_RANGE);
    CHECK(rangewatch_open_prefix(w, none) == RANGEWATCH_UNBOUNDED);
    CHECK(rangewatch_open_prefix(w, BYTES("\xff\xff")) == RANGEWATCH_UNBOUNDED);
    CHECK(rangewatch_open_prefix(w, (rangewatch_bytes){long_bytes, sizeof long_bytes}) == RANGEWATCH_TOO_LONG);
    CHECK(rangewatch_reserve(longer) == RANGEWATCH_TOO_LONG);
    CHECK(rangewatch_start(longer) == RANGEWATCH_TOO_LONG);
    CHECK(rangewatch_stop(longer) == RANGEWATCH_TOO_LONG);
    CHECK(rangewatch_open_key((rangewatch_bytes){long_bytes, RANGEWATCH_MAX_OPEN_BYTES}, w) == RANGEWATCH_TOO_LONG);
    CHECK(rangewatch_open_key((rangewatch_bytes){long_bytes, SIZE_MAX}, w) == RANGEWATCH_TOO_LONG);
    CHECK(n_calls == 0);
    CHECK(!rangewatch_reserve(longest));
    CHECK(!rangewatch_open_key((rangewatch_bytes){long_bytes, RANGEWATCH_MAX_OPEN_BYTES - 1}, w));
    CHECK(calls[1].len == RANGEWATCH_BUF_BYTES);
}

static void each_text_of_the_host_is_an_error_of_its_own(void) {
    begin();
    const char *texts[] = {"", "Watch exists", "Watch not found", "Watch already open", "Watch closed"};
    for (int i = 0; i < 5; i++) {
        reply = texts[i];
        CHECK(rangewatch_start(BYTES("w")) == (rangewatch_error)i);
    }
    reply = "Group not found";
    CHECK(rangewatch_start(BYTES("w")) == RANGEWATCH_GROUP_NOT_FOUND);
    reply = "watch exists";
    CHECK(rangewatch_start(BYTES("w")) == RANGEWATCH_OTHER && reported("watch exists"));
    CHECK(!strcmp(rangewatch_error_text(RANGEWATCH_OTHER), "the host refused: watch exists"));
    for (int i = 0; i <= RANGEWATCH_GROUP_NOT_FOUND; i++) {
        for (int j = 0; j < i; j++) {
            CHECK(strcmp(rangewatch_error_text((rangewatch_error)i), rangewatch_error_text((rangewatch_error)j)));
        }
    }
}

static const char *handler_result;
static int n_deliveries;

static const char *received(rangewatch_bytes id, uint64_t value) {
    reply = "Watch not found";
    CHECK(rangewatch_start(BYTES("another")) == RANGEWATCH_NOT_FOUND); // which overwrites the buffer
    CHECK(id.len == 2 && !memcmp(id.ptr, "w1", 2) && value == 5);
    n_deliveries++;
    return handler_result;
}

static void deliver_bytes(rangewatch_bytes bytes) {
    memcpy(rangewatch_buf, bytes.ptr, bytes.len);
    rangewatch_buf_len = (uint32_t)bytes.len;
    rangewatch_export_recv();
}

#if RANGEWATCH_GENERATION == 1
static const char *handler(rangewatch_bytes id, uint64_t value) { return received(id, value); }

static void deliver(void) {
    rangewatch_val = 5;
    deliver_bytes(BYTES("w1"));
}

static void what_only_generation_2_has(void) {}
#else
static rangewatch_bytes two_notices = BYTES("\0\x02"
                                            "\0\0\0\0\0\0\0\x05\0\x02\0\x02" "w1\0\0"
                                            "\xff\xff\xff\xff\xff\xff\xff\xff\0\x01\0\x01" "v");

// The first id of the first notice is that of a delivery of generation 1.
static const char *handler(rangewatch_batch batch) {
    rangewatch_notice notice;
    rangewatch_bytes id;
    CHECK(batch.n_notices == 2 && rangewatch_next_notice(&batch, &notice) && notice.n_ids == 2);
    CHECK(rangewatch_next_id(&notice, &id));
    const char *result = received(id, notice.value);
    CHECK(rangewatch_next_id(&notice, &id) && id.len == 0 && !rangewatch_next_id(&notice, &id));
    CHECK(rangewatch_next_notice(&batch, &notice) && notice.value == UINT64_MAX);
    CHECK(rangewatch_next_id(&notice, &id) && id.len == 1 && !memcmp(id.ptr, "v", 1));
    CHECK(!rangewatch_next_id(&notice, &id) && !rangewatch_next_notice(&batch, &notice));
    return result;
}

static void deliver(void) { deliver_bytes(two_notices); }

static void what_is_cut_off_or_too_long_is_no_batch(void) {
    begin();
    CHECK(!rangewatch_receive(handler));
    int n_before = n_deliveries;
    const char *no_batch = "not a batch: open watches by the verbs of generation 2";
    char bytes[64];
    memcpy(bytes, two_notices.ptr, two_notices.len);
    bytes[two_notices.len] = 0;
    for (size_t len = 0; len <= two_notices.len + 1; len++) {
        if (len == two_notices.len) continue;
        deliver_bytes((rangewatch_bytes){bytes, len});
        CHECK(reported(no_batch) && n_deliveries == n_before);
    }
}

static void groups_and_the_queue_have_verbs(void) {
    begin();
    rangewatch_bytes id = BYTES("\0g");
    CHECK(!rangewatch_group_start(id) && called(0, "group_start", id));
    CHECK(!rangewatch_group_stop(id) && called(1, "group_stop", id));
    CHECK(!rangewatch_flush() && n_calls == 3 && !strcmp(calls[2].name, "flush"));
    CHECK(!rangewatch_clear() && n_calls == 4 && !strcmp(calls[3].name, "clear"));
    rangewatch_bytes longer = {long_bytes, RANGEWATCH_BUF_BYTES + 1};
    CHECK(rangewatch_group_start(longer) == RANGEWATCH_TOO_LONG && rangewatch_group_stop(longer) == RANGEWATCH_TOO_LONG);
    RANGEWATCH_HAS_HOST = 0;
    CHECK(rangewatch_group_start(id) == RANGEWATCH_NO_HOST && rangewatch_group_stop(id) == RANGEWATCH_NO_HOST);
    CHECK(rangewatch_flush() == RANGEWATCH_NO_HOST && rangewatch_clear() == RANGEWATCH_NO_HOST && n_calls == 4);
}

static void what_only_generation_2_has(void) {
    what_is_cut_off_or_too_long_is_no_batch();
    groups_and_the_queue_have_verbs();
}
#endif

static void a_handler_has_its_own_id_and_what_it_fails_with_is_reported(void) {
    begin();
    deliver();
    CHECK(reported("no handler is registered on this instance"));
    CHECK(!rangewatch_receive(handler));
    CHECK(rangewatch_receive(handler) == RANGEWATCH_HANDLER_EXISTS);
    deliver();
    CHECK(n_deliveries == 1 && reported(""));
    handler_result = "broken";
    deliver();
    CHECK(reported("broken"));
    handler_result = "";
    deliver();
    CHECK(reported("the handler failed without a text"));
    memset(long_bytes, 'e', sizeof long_bytes - 1);
    handler_result = long_bytes;
    deliver();
    CHECK(rangewatch_host_text().len == RANGEWATCH_ERR_BYTES);
}

static void an_input_is_read_in_as_many_pieces_as_the_host_copies(void) {
    begin();
    input = BYTES("0123456789");
    for (max_read = 1; max_read < 12; max_read++) {
        char bytes[16] = "";
        CHECK(rangewatch_input_len() == 10);
        CHECK(rangewatch_input(bytes, 9) == RANGEWATCH_TOO_LONG && !bytes[0]);
        CHECK(!rangewatch_input(bytes, sizeof bytes) && !strcmp(bytes, "0123456789"));
    }
    CHECK(!rangewatch_output(BYTES("ab")) && !rangewatch_output((rangewatch_bytes){0, 0}));
    CHECK(!rangewatch_output(BYTES("c")) && output_len == 3 && !memcmp(output, "abc", 3));
}

int main(void) {
    outside_of_a_guest_there_is_no_host();
    keys_that_fit_are_one_call();
    keys_that_do_not_fit_are_all_sent_in_order_with_the_same_value();
    a_key_that_is_too_long_is_an_error_before_anything_is_sent();
    ids_are_sent_raw_and_ranges_as_three_keys();
    what_the_abi_cannot_encode_does_not_reach_the_host();
    each_text_of_the_host_is_an_error_of_its_own();
    a_handler_has_its_own_id_and_what_it_fails_with_is_reported();
    an_input_is_read_in_as_many_pieces_as_the_host_copies();
    what_only_generation_2_has();
    puts("all tests of rangewatch.h passed");
}
