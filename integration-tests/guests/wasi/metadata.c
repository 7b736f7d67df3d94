// Metadata of files: fd_filestat_get, path_filestat_get, fd_filestat_set_times,
// path_filestat_set_times, fd_filestat_set_size, fd_fdstat_get, fd_fdstat_set_flags, fd_advise,
// fd_allocate, fd_sync, fd_datasync.

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_NAME "metadata.c"
#include "expect.h"

#define S 1000000000ull
static const __wasi_fd_t ROOT = 3;

static __wasi_filestat_t stat_of(const char *path, __wasi_lookupflags_t flags) {
    __wasi_filestat_t stat;
    EXPECT_OK(__wasi_path_filestat_get(ROOT, flags, path, &stat));
    return stat;
}

static int create(const char *path, const char *contents) {
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0666);
    EXPECT(fd > 3);
    EXPECT(write(fd, contents, strlen(contents)) == (ssize_t)strlen(contents));
    return fd;
}

static void what_the_host_made(void) {
    __wasi_filestat_t file = stat_of("greeting.txt", 0);
    EXPECT(file.filetype == __WASI_FILETYPE_REGULAR_FILE && file.size == 20 && file.nlink == 1);
    EXPECT(stat_of("folder", 0).filetype == __WASI_FILETYPE_DIRECTORY);
    EXPECT(stat_of("folder/", 0).ino == stat_of("folder", 0).ino);
    EXPECT(stat_of("folder/../greeting.txt", 0).ino == file.ino);
    EXPECT(stat_of("folder/digits.txt", 0).size == 10);
    EXPECT(stat_of(".", 0).dev == file.dev);
    __wasi_filestat_t missing;
    EXPECT_ERRNO(__WASI_ERRNO_NOENT, __wasi_path_filestat_get(ROOT, 0, "missing", &missing));
    EXPECT_ERRNO(__WASI_ERRNO_NOTDIR, __wasi_path_filestat_get(ROOT, 0, "greeting.txt/x", &missing));
    EXPECT_ERRNO(__WASI_ERRNO_NOTDIR, __wasi_path_filestat_get(ROOT, 0, "greeting.txt/", &missing));
}

static void identity(void) {
    int fd = create("/one", "12345");
    struct stat before, after;
    EXPECT(fstat(fd, &before) == 0 && before.st_size == 5 && before.st_nlink == 1);
    EXPECT(link("/one", "/two") == 0);
    EXPECT(stat("/two", &after) == 0);
    EXPECT(after.st_ino == before.st_ino && after.st_nlink == 2);
    EXPECT(rename("/two", "/folder/three") == 0);
    EXPECT(stat("/folder/three", &after) == 0 && after.st_ino == before.st_ino);
    EXPECT(unlink("/one") == 0 && fstat(fd, &after) == 0 && after.st_nlink == 1);
    EXPECT(unlink("/folder/three") == 0 && fstat(fd, &after) == 0 && after.st_nlink == 0);
    int other = create("/one", "");
    EXPECT(fstat(other, &after) == 0 && after.st_ino != before.st_ino);
    EXPECT(close(fd) == 0 && close(other) == 0);
}

static void times(void) {
    int fd = create("/times", "x");
    // Each time is stored separately, with nanoseconds.
    const __wasi_timestamp_t long_ago = 1000000001 * S + 123456789, later = 1234567890 * S + 987654321;
    EXPECT_OK(__wasi_fd_filestat_set_times(fd, long_ago, later, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
    __wasi_filestat_t stat = stat_of("times", 0);
    EXPECT(stat.atim == long_ago && stat.mtim == later);
    EXPECT_OK(__wasi_path_filestat_set_times(ROOT, 0, "times", 1, 5 * S + 6, __WASI_FSTFLAGS_MTIM));
    stat = stat_of("times", 0);
    EXPECT(stat.atim == long_ago && stat.mtim == 5 * S + 6);
    EXPECT_OK(__wasi_fd_filestat_set_times(fd, 1, 1, __WASI_FSTFLAGS_ATIM_NOW));
    stat = stat_of("times", 0);
    EXPECT(stat.atim > 1577836800 * S && stat.mtim == 5 * S + 6);
    // A write and a truncation change the modification time, also one that was set.
    EXPECT(write(fd, "y", 1) == 1);
    EXPECT(stat_of("times", 0).mtim > 1577836800 * S);
    EXPECT_OK(__wasi_fd_filestat_set_times(fd, S, S, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
    EXPECT(ftruncate(fd, 0) == 0);
    EXPECT(stat_of("times", 0).mtim > 1577836800 * S);

    // The two flags of one time exclude each other; an unknown flag is refused.
    EXPECT_ERRNO(__WASI_ERRNO_INVAL,
        __wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_ATIM_NOW));
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, __wasi_path_filestat_set_times(ROOT, 0, "times", 0, 0,
        __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW));
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, __wasi_fd_filestat_set_times(fd, 0, 0, 1 << 9));
    // The greatest and the smallest time do not harm the host.
    EXPECT(__wasi_fd_filestat_set_times(fd, UINT64_MAX, INT64_MAX, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM) >= 0);
    EXPECT_OK(__wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
    EXPECT(stat_of("times", 0).mtim == 0);

    // A link and a directory have their own times.
    EXPECT(symlink("times", "/link") == 0);
    EXPECT_OK(__wasi_path_filestat_set_times(ROOT, 0, "link", 0, 77 * S, __WASI_FSTFLAGS_MTIM));
    EXPECT(stat_of("link", 0).mtim == 77 * S && stat_of("times", 0).mtim == 0);
    EXPECT(stat_of("link", 0).filetype == __WASI_FILETYPE_SYMBOLIC_LINK && stat_of("link", 0).size == 5);
    EXPECT_OK(__wasi_path_filestat_set_times(ROOT, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, "link", 0, 88 * S,
        __WASI_FSTFLAGS_MTIM));
    EXPECT(stat_of("link", 0).mtim == 77 * S && stat_of("times", 0).mtim == 88 * S);
    EXPECT_OK(__wasi_path_filestat_set_times(ROOT, 0, "folder", 0, 99 * S, __WASI_FSTFLAGS_MTIM));
    EXPECT(stat_of("folder", 0).mtim == 99 * S);
    close(create("/folder/new", ""));
    EXPECT(stat_of("folder", 0).mtim > 1577836800 * S);
    EXPECT(close(fd) == 0);
}

static void sizes(void) {
    int fd = create("/size", "12345");
    EXPECT(ftruncate(fd, 3) == 0 && stat_of("size", 0).size == 3);
    EXPECT(ftruncate(fd, 70000) == 0 && stat_of("size", 0).size == 70000);
    // Truncated bytes are zero after the file is extended.
    char bytes[4] = "....";
    EXPECT(pread(fd, bytes, 4, 2) == 4 && memcmp(bytes, "3\0\0\0", 4) == 0);
    EXPECT(lseek(fd, 0, SEEK_CUR) == 5);
    EXPECT(__wasi_fd_filestat_set_size(fd, UINT64_MAX) != 0);
    EXPECT(stat_of("size", 0).size == 70000);
    // An allocation may be refused, and may not change anything outside of its range.
    __wasi_errno_t allocated = __wasi_fd_allocate(fd, 0, 10);
    EXPECT(allocated == 0 || allocated == __WASI_ERRNO_NOTSUP);
    EXPECT(stat_of("size", 0).size == 70000);
    EXPECT_OK(__wasi_fd_advise(fd, 0, 10, __WASI_ADVICE_WILLNEED));
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, __wasi_fd_advise(fd, UINT64_MAX, 10, __WASI_ADVICE_NORMAL));
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, __wasi_fd_advise(fd, 0, 10, 99));
    EXPECT_OK(__wasi_fd_sync(fd));
    EXPECT_OK(__wasi_fd_datasync(fd));
    EXPECT(close(fd) == 0);
    EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_fd_sync(fd));
}

static void flags(void) {
    int fd = create("/flags", "1234");
    __wasi_fdstat_t stat;
    EXPECT_OK(__wasi_fd_fdstat_get(fd, &stat));
    EXPECT(stat.fs_filetype == __WASI_FILETYPE_REGULAR_FILE && !(stat.fs_flags & __WASI_FDFLAGS_APPEND));
    EXPECT_OK(__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_APPEND));
    EXPECT_OK(__wasi_fd_fdstat_get(fd, &stat));
    EXPECT(stat.fs_flags & __WASI_FDFLAGS_APPEND);
    EXPECT(lseek(fd, 0, SEEK_SET) == 0 && write(fd, "56", 2) == 2);
    EXPECT(stat_of("flags", 0).size == 6);
    EXPECT_OK(__wasi_fd_fdstat_set_flags(fd, 0));
    EXPECT(lseek(fd, 0, SEEK_SET) == 0 && write(fd, "ab", 2) == 2);
    EXPECT(stat_of("flags", 0).size == 6);
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, __wasi_fd_fdstat_set_flags(fd, 1 << 12));
    EXPECT_OK(__wasi_fd_fdstat_get(ROOT, &stat));
    EXPECT(stat.fs_filetype == __WASI_FILETYPE_DIRECTORY);
    EXPECT(close(fd) == 0);
}

int main(void) {
    what_the_host_made();
    identity();
    times();
    sizes();
    flags();
    puts("metadata");
}
