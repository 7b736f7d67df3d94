// Escapes that must fail: paths out of the root, missing rights, closed descriptors.

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_NAME "confinement.c"
#include "expect.h"

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(name)))
// Raw paths with a length: a C string has no NUL in it.
IMPORT("path_open")
int32_t raw_path_open(int32_t fd, int32_t lookup, const char *path, uint32_t path_bytes, int32_t oflags, int64_t base,
    int64_t inheriting, int32_t fdflags, __wasi_fd_t *opened);
IMPORT("path_create_directory") int32_t raw_create_directory(int32_t fd, const char *path, uint32_t path_bytes);

static const __wasi_fd_t ROOT = 3;
static const __wasi_rights_t READ = __WASI_RIGHTS_FD_READ, WRITE = __WASI_RIGHTS_FD_WRITE;

static __wasi_errno_t try_open(const char *path, __wasi_oflags_t oflags) {
    __wasi_fd_t fd;
    __wasi_errno_t errno_ =
        __wasi_path_open(ROOT, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path, oflags, READ, 0, 0, &fd);
    if (errno_ == 0) {
        EXPECT_OK(__wasi_fd_close(fd));
    }
    return errno_;
}

static void expect_refused(const char *path) {
    __wasi_errno_t refused = try_open(path, 0);
    if (refused != __WASI_ERRNO_PERM && refused != __WASI_ERRNO_NOTCAPABLE) {
        dprintf(2, "confinement.c: opening `%s` gave errno %d of WASI\n", path, refused);
        _Exit(1);
    }
    // Every function that takes a path refuses what open refuses.
    __wasi_filestat_t stat;
    EXPECT(__wasi_path_filestat_get(ROOT, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path, &stat) != 0);
    EXPECT(__wasi_path_create_directory(ROOT, path) != 0);
    EXPECT(__wasi_path_remove_directory(ROOT, path) != 0);
}

static void paths_that_lead_out(void) {
    const char *out[] = {"/", "/greeting.txt", "/etc/passwd", "//", "..", "../", "../..", "../greeting.txt",
        "folder/../..", "folder/../../x", "./../x", "folder/./../../root.dir/greeting.txt", "../root.dir"};
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        expect_refused(out[i]);
    }
    EXPECT_OK(try_open("folder/../greeting.txt", 0));
    EXPECT_OK(try_open("./folder/.././greeting.txt", 0));
    EXPECT_OK(try_open("folder//digits.txt", 0));
    EXPECT_ERRNO(__WASI_ERRNO_NOENT, try_open("missing/../greeting.txt", 0));
    EXPECT_ERRNO(__WASI_ERRNO_NOTDIR, try_open("greeting.txt/../greeting.txt", 0));
}

static void links_that_lead_out(void) {
    const char *targets[] = {"..", "../", "../x", "folder/../..", "./../root.dir", "here/../../x"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        EXPECT_OK(__wasi_path_symlink(targets[i], ROOT, "out"));
        __wasi_errno_t refused = try_open("out", 0);
        EXPECT(refused != 0);
        EXPECT(try_open("out/x", 0) != 0 && try_open("out/greeting.txt", 0) != 0);
        EXPECT(try_open("out/made", __WASI_OFLAGS_CREAT) != 0);
        EXPECT_OK(__wasi_path_unlink_file(ROOT, "out"));
    }
    // A link is resolved from its own folder: one step up is inside, two are not.
    EXPECT_OK(__wasi_path_symlink("../greeting.txt", ROOT, "folder/in"));
    EXPECT_OK(try_open("folder/in", 0));
    EXPECT_OK(__wasi_path_symlink("../../greeting.txt", ROOT, "folder/out"));
    EXPECT(try_open("folder/out", 0) != 0);
    // A target out of the root is refused when the link is created, or when it is followed.
    if (__wasi_path_symlink("/etc/passwd", ROOT, "absolute") == 0) {
        EXPECT(try_open("absolute", 0) != 0);
    }
    // `..` after a link is the parent of its target.
    EXPECT_OK(__wasi_path_symlink("folder", ROOT, "here"));
    EXPECT_OK(try_open("here/../greeting.txt", 0));
    EXPECT(try_open("here/../../greeting.txt", 0) != 0);
    // A chain of 40 links is followed, a loop is an error.
    EXPECT_OK(__wasi_path_symlink("loop", ROOT, "loop"));
    EXPECT_ERRNO(__WASI_ERRNO_LOOP, try_open("loop", 0));
    EXPECT_OK(__wasi_path_symlink("pong", ROOT, "ping"));
    EXPECT_OK(__wasi_path_symlink("ping", ROOT, "pong"));
    EXPECT_ERRNO(__WASI_ERRNO_LOOP, try_open("ping/x", 0));
    // `..` from the directory of a descriptor is refused, although its parent is inside of the
    // root.
    __wasi_fd_t folder;
    EXPECT_OK(__wasi_path_open(ROOT, 0, "folder", __WASI_OFLAGS_DIRECTORY,
        __WASI_RIGHTS_PATH_OPEN | __WASI_RIGHTS_FD_READDIR, READ, 0, &folder));
    __wasi_fd_t fd;
    EXPECT(__wasi_path_open(folder, 1, "../greeting.txt", 0, READ, 0, 0, &fd) != 0);
    EXPECT(__wasi_path_open(folder, 1, "in", 0, READ, 0, 0, &fd) != 0);
    EXPECT_OK(__wasi_path_open(folder, 1, "digits.txt", 0, READ, 0, 0, &fd));
    EXPECT_OK(__wasi_fd_close(fd));
    EXPECT_OK(__wasi_fd_close(folder));
}

static int32_t open_bytes(const char *path, uint32_t n_bytes) {
    __wasi_fd_t fd;
    return raw_path_open(ROOT, 0, path, n_bytes, 0, READ, 0, 0, &fd);
}

static void paths_that_are_none(void) {
    EXPECT_ERRNO(__WASI_ERRNO_NOENT, open_bytes("", 0));
    int32_t refused = open_bytes("greeting.txt\0x", 14);
    EXPECT(refused == __WASI_ERRNO_ILSEQ || refused == __WASI_ERRNO_INVAL);
    EXPECT_ERRNO(__WASI_ERRNO_ILSEQ, open_bytes("\xff\xfe", 2));
    EXPECT_ERRNO(__WASI_ERRNO_ILSEQ, raw_create_directory(ROOT, "\xc3", 1));
    static char text[5000];
    memset(text, 'a', sizeof text);
    EXPECT_ERRNO(__WASI_ERRNO_NAMETOOLONG, open_bytes(text, 256));
    EXPECT_ERRNO(__WASI_ERRNO_NOENT, open_bytes(text, 255));
    EXPECT_ERRNO(__WASI_ERRNO_NAMETOOLONG, open_bytes(text, sizeof text));
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, open_bytes((const char *)UINTPTR_MAX, 1));
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, open_bytes(text, UINT32_MAX));
    __wasi_fd_t fd;
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, raw_path_open(ROOT, 0, "greeting.txt", 12, 1 << 9, READ, 0, 0, &fd));
    EXPECT_ERRNO(__WASI_ERRNO_INVAL, raw_path_open(ROOT, 0, "greeting.txt", 12, 0, READ, 0, 1 << 11, &fd));
}

static void rights(void) {
    __wasi_fd_t fd;
    __wasi_size_t n_bytes;
    __wasi_ciovec_t out = {(const uint8_t *)"x", 1};
    uint8_t byte;
    __wasi_iovec_t in = {&byte, 1};
    // A file opened for reading cannot be written, and the other way round.
    EXPECT_OK(__wasi_path_open(ROOT, 0, "greeting.txt", 0, READ, 0, 0, &fd));
    EXPECT(__wasi_fd_write(fd, &out, 1, &n_bytes) != 0);
    EXPECT(__wasi_fd_filestat_set_size(fd, 0) != 0);
    EXPECT_OK(__wasi_fd_read(fd, &in, 1, &n_bytes));
    EXPECT_OK(__wasi_fd_close(fd));
    EXPECT_OK(__wasi_path_open(ROOT, 0, "written", __WASI_OFLAGS_CREAT, WRITE, 0, 0, &fd));
    EXPECT_OK(__wasi_fd_write(fd, &out, 1, &n_bytes));
    EXPECT(__wasi_fd_read(fd, &in, 1, &n_bytes) != 0);
    // Rights can be dropped, if they can be changed at all, and not regained.
    __wasi_fdstat_t fdstat;
    EXPECT_OK(__wasi_fd_fdstat_get(fd, &fdstat));
    __wasi_errno_t dropped = __wasi_fd_fdstat_set_rights(fd, fdstat.fs_rights_base & ~WRITE, 0);
    EXPECT(dropped == 0 || dropped == __WASI_ERRNO_NOTSUP);
    if (dropped == 0) {
        EXPECT_ERRNO(__WASI_ERRNO_NOTCAPABLE, __wasi_fd_write(fd, &out, 1, &n_bytes));
        EXPECT_ERRNO(__WASI_ERRNO_NOTCAPABLE, __wasi_fd_fdstat_set_rights(fd, fdstat.fs_rights_base, 0));
    }
    EXPECT_OK(__wasi_fd_close(fd));
    // A directory cannot be used as a file.
    EXPECT(__wasi_path_open(ROOT, 0, "folder", 0, READ | WRITE, 0, 0, &fd) != 0 || __wasi_fd_write(fd, &out, 1, &n_bytes) != 0);
    EXPECT(__wasi_fd_read(ROOT, &in, 1, &n_bytes) != 0 && __wasi_fd_write(ROOT, &out, 1, &n_bytes) != 0);
    EXPECT(__wasi_path_open(ROOT, 0, "greeting.txt", __WASI_OFLAGS_DIRECTORY, READ, 0, 0, &fd) == __WASI_ERRNO_NOTDIR);
    EXPECT(__wasi_path_open(ROOT, 0, "greeting.txt", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, READ, 0, 0, &fd)
        == __WASI_ERRNO_EXIST);
    struct stat unchanged;
    EXPECT(stat("/greeting.txt", &unchanged) == 0 && unchanged.st_size == 20);
}

static void descriptors(void) {
    const __wasi_fd_t missing[] = {4242, 0x7fffffff, 0x80000000, UINT32_MAX};
    __wasi_fdstat_t stat;
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_fd_close(missing[i]));
        EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_fd_fdstat_get(missing[i], &stat));
        EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_path_create_directory(missing[i], "x"));
    }
    // The name of the preopened directory is written only to a buffer that has room for it.
    __wasi_prestat_t prestat;
    EXPECT_OK(__wasi_fd_prestat_get(ROOT, &prestat));
    EXPECT(prestat.tag == __WASI_PREOPENTYPE_DIR && prestat.u.dir.pr_name_len == 1);
    uint8_t name[2] = "??";
    EXPECT_OK(__wasi_fd_prestat_dir_name(ROOT, name, 1));
    EXPECT(name[0] == '/' && name[1] == '?');
    EXPECT(__wasi_fd_prestat_dir_name(ROOT, name, 0) != 0);
    EXPECT_ERRNO(__WASI_ERRNO_BADF, __wasi_fd_prestat_get(ROOT + 1, &prestat));
    // The number of descriptors is limited, and a closed one can be reused.
    int last = -1, n_open = 0;
    for (int fd; n_open < 100000 && (fd = open("/greeting.txt", O_RDONLY)) >= 0; n_open++) {
        last = fd;
    }
    EXPECT(n_open > 100 && n_open < 100000 && (errno == EMFILE || errno == ENFILE));
    EXPECT(close(last) == 0 && open("/greeting.txt", O_RDONLY) >= 0);
}

int main(void) {
    paths_that_lead_out();
    links_that_lead_out();
    paths_that_are_none();
    rights();
    descriptors();
    puts("confinement");
}
