// Standard streams: fd_read, fd_write, fd_fdstat_get, fd_fdstat_set_flags, fd_filestat_get,
// fd_seek, fd_tell, fd_pread, fd_pwrite, fd_renumber, fd_close, poll_oneoff, sock_*.

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define FILE_NAME "streams.c"
#include "expect.h"

static __wasi_event_t poll_one(__wasi_fd_t fd, __wasi_eventtype_t type) {
    __wasi_subscription_t subscription = {.userdata = 77, .u.tag = type};
    subscription.u.u.fd_read.file_descriptor = fd;
    __wasi_event_t event;
    __wasi_size_t n_events;
    EXPECT_OK(__wasi_poll_oneoff(&subscription, &event, 1, &n_events));
    EXPECT(n_events == 1 && event.userdata == 77 && event.type == type);
    return event;
}

static void kinds(void) {
    for (int fd = 0; fd < 3; fd++) {
        EXPECT(!isatty(fd));
        __wasi_fdstat_t stat;
        EXPECT_OK(__wasi_fd_fdstat_get(fd, &stat));
        EXPECT(stat.fs_filetype != __WASI_FILETYPE_DIRECTORY);
        __wasi_filestat_t file;
        EXPECT_OK(__wasi_fd_filestat_get(fd, &file));
        EXPECT(file.filetype == stat.fs_filetype);
        __wasi_filesize_t position;
        EXPECT_ERRNO(__WASI_ERRNO_SPIPE, __wasi_fd_seek(fd, 0, __WASI_WHENCE_CUR, &position));
        EXPECT_ERRNO(__WASI_ERRNO_SPIPE, __wasi_fd_tell(fd, &position));
        __wasi_prestat_t prestat;
        EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_fd_prestat_get(fd, &prestat));
        EXPECT_ERRNO(__WASI_ERRNO_NOTSOCK, __wasi_sock_shutdown(fd, __WASI_SDFLAGS_RD));
    }
    EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_sock_shutdown(99, __WASI_SDFLAGS_RD));
}

static void writing(void) {
    __wasi_ciovec_t parts[] = {
        {(const uint8_t *)"one ", 4}, {NULL, 0}, {(const uint8_t *)"two ", 4}, {(const uint8_t *)"three\n", 6}};
    __wasi_size_t n_bytes;
    EXPECT_OK(__wasi_fd_write(1, parts, 4, &n_bytes));
    EXPECT(n_bytes == 14);
    EXPECT_OK(__wasi_fd_write(1, parts, 0, &n_bytes));
    EXPECT(n_bytes == 0);
    // A buffer outside of memory is an error before anything is written.
    parts[2].buf_len = UINT32_MAX;
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, __wasi_fd_write(1, parts, 4, &n_bytes));
    EXPECT(__wasi_fd_write(0, parts, 1, &n_bytes) != 0);
    EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_fd_write(99, parts, 1, &n_bytes));
    EXPECT_ERRNO(__WASI_ERRNO_SPIPE, __wasi_fd_pwrite(1, parts, 1, 0, &n_bytes));
    EXPECT(poll_one(1, __WASI_EVENTTYPE_FD_WRITE).error == 0);
    EXPECT(poll_one(99, __WASI_EVENTTYPE_FD_WRITE).error == __WASI_ERRNO_BADF);

    // More bytes than one call transfers.
    static char large[1 << 20];
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\n';
    for (size_t done = 0; done < sizeof large;) {
        ssize_t n = write(2, large + done, sizeof large - done);
        EXPECT(n > 0);
        done += n;
    }
}

static void reading(void) {
    char bytes[64];
    EXPECT(poll_one(0, __WASI_EVENTTYPE_FD_READ).error == 0);
    // The buffers are filled in order.
    char first[3];
    struct iovec parts[] = {{first, 3}, {bytes, 1}};
    ssize_t n = readv(0, parts, 2);
    EXPECT(n >= 1 && first[0] == 'a');
    char all[32] = {0};
    memcpy(all, first, n < 3 ? n : 3);
    if (n > 3) {
        all[3] = bytes[0];
    }
    for (size_t done = n; (n = read(0, all + done, sizeof all - 1 - done)) > 0;) {
        done += n;
    }
    EXPECT(n == 0);
    EXPECT(strcmp(all, "alice\nbob\n") == 0);
    // The end of the input is permanent, and can be polled.
    EXPECT(read(0, bytes, 1) == 0);
    __wasi_event_t event = poll_one(0, __WASI_EVENTTYPE_FD_READ);
    EXPECT(event.error == 0 && event.fd_readwrite.nbytes == 0);
    // A ready stream is reported before a timer that is not due.
    __wasi_subscription_t both[2] = {{.userdata = 1, .u.tag = __WASI_EVENTTYPE_CLOCK},
        {.userdata = 2, .u.tag = __WASI_EVENTTYPE_FD_READ}};
    both[0].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    both[0].u.u.clock.timeout = 3600ull * 1000 * 1000 * 1000;
    __wasi_event_t events[2];
    __wasi_size_t n_events;
    EXPECT_OK(__wasi_poll_oneoff(both, events, 2, &n_events));
    EXPECT(n_events == 1 && events[0].userdata == 2);
    EXPECT(read(1, bytes, 1) == -1);
    EXPECT_ERRNO(__WASI_ERRNO_SPIPE, __wasi_fd_pread(0, (__wasi_iovec_t *)parts, 1, 0, &n_events));
}

static void renumbering(void) {
    // The file replaces the stream.
    int fd = open("/log.txt", O_CREAT | O_RDWR, 0666);
    EXPECT(fd > 2);
    EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_fd_renumber(99, 2));
    EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_fd_renumber(fd, 99));
    EXPECT_OK(__wasi_fd_renumber(fd, fd));
    EXPECT_OK(__wasi_fd_renumber(fd, 0));
    EXPECT(write(0, "in the file", 11) == 11);
    EXPECT(lseek(0, 0, SEEK_CUR) == 11);
    EXPECT(close(fd) == -1 && errno == EBADF);
    struct stat stat;
    EXPECT(fstat(0, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size == 11);
}

int main(void) {
    kinds();
    writing();
    reading();
    renumbering();
    puts("streams");
    fflush(stdout);
    EXPECT(close(1) == 0);
    EXPECT(write(1, "x", 1) == -1 && errno == EBADF);
    EXPECT(close(1) == -1 && errno == EBADF);
    return 7;
}
