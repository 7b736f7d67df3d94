// Arguments, environment and exit: args_get, args_sizes_get, environ_get, environ_sizes_get,
// proc_exit.

#include <stdint.h>
#include <string.h>

#define FILE_NAME "arguments.c"
#include "expect.h"

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(name)))
// Raw imports, for pointers that libc does not pass.
IMPORT("args_get") int32_t raw_args_get(uint32_t argv, uint32_t buf);
IMPORT("args_sizes_get") int32_t raw_args_sizes_get(uint32_t argc, uint32_t size);
IMPORT("environ_get") int32_t raw_environ_get(uint32_t environ, uint32_t buf);

extern char **environ;

static void say_goodbye(void) {
    puts("goodbye");
}

int main(int argc, char **argv) {
    EXPECT(argv[argc] == NULL);
    uint32_t n_bytes = 0;
    for (int i = 1; i < argc; i++) {
        printf("arg %d [%s]\n", i, argv[i]);
    }
    for (int i = 0; i < argc; i++) {
        n_bytes += strlen(argv[i]) + 1;
    }
    __wasi_size_t n_args, n_args_bytes;
    EXPECT_OK(__wasi_args_sizes_get(&n_args, &n_args_bytes));
    EXPECT(n_args == (__wasi_size_t)argc && n_args_bytes == n_bytes);

    uint32_t n_vars = 0;
    n_bytes = 0;
    for (char **var = environ; *var; var++) {
        printf("env [%s]\n", *var);
        n_bytes += strlen(*var) + 1;
        n_vars++;
    }
    __wasi_size_t n_env, n_env_bytes;
    EXPECT_OK(__wasi_environ_sizes_get(&n_env, &n_env_bytes));
    EXPECT(n_env == n_vars && n_env_bytes == n_bytes);
    EXPECT(strcmp(getenv("KEY"), "a=b") == 0);
    EXPECT(strcmp(getenv("EMPTY"), "") == 0);
    EXPECT(getenv("MISSING") == NULL);

    // A table that is partly outside of memory is refused before anything is written.
    uint32_t memory_bytes = __builtin_wasm_memory_size(0) * 65536;
    uint32_t table[64], before[64];
    char bytes[512];
    memset(table, 0xee, sizeof table);
    memcpy(before, table, sizeof table);
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, raw_args_get((uint32_t)table, memory_bytes - 3));
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, raw_environ_get((uint32_t)table, UINT32_MAX));
    EXPECT(memcmp(table, before, sizeof table) == 0);
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, raw_args_get(memory_bytes - 2, (uint32_t)bytes));
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, raw_args_sizes_get(memory_bytes - 2, (uint32_t)table));
    EXPECT_ERRNO(__WASI_ERRNO_FAULT, raw_args_sizes_get((uint32_t)table, UINT32_MAX - 1));

    atexit(say_goodbye);
    exit(33);
}
