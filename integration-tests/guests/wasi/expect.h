// Failures of the programs in C: the failed expectation is printed on stderr, and the exit code
// is 1.
#ifndef EXPECT_H
#define EXPECT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wasi/api.h>

#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            dprintf(2, "%s:%d: not so: %s (errno %d)\n", FILE_NAME, __LINE__, #condition, errno); \
            _Exit(1); \
        } \
    } while (0)

// A call of WASI that must fail with this errno.
#define EXPECT_ERRNO(expected, call) \
    do { \
        int got = (call); \
        if (got != (expected)) { \
            dprintf(2, "%s:%d: %s gave errno %d of WASI, not %s\n", FILE_NAME, __LINE__, #call, got, #expected); \
            _Exit(1); \
        } \
    } while (0)

#define EXPECT_OK(call) EXPECT_ERRNO(__WASI_ERRNO_SUCCESS, call)

#endif
