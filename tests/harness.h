/* What every test program needs: cmocka with its headers, and a folder of its own that goes away again. */
#ifndef DK_TESTS_HARNESS_H
#define DK_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"

/* The call succeeds, or the test fails with its sentence. */
#define ok(call)                                                                  \
    do {                                                                          \
        if ((call) < 0) fail_msg("%s: %s", #call, e.msg);                         \
    } while (0)

/* The call fails with `code` and a sentence that holds `part`. */
#define refused(call, want, part)                                                 \
    do {                                                                          \
        memset(&e, 0, sizeof e);                                                  \
        int rc_ = (call);                                                         \
        if (rc_ != (want) || e.code != (want) || !strstr(e.msg, part))            \
            fail_msg("%s gave %d \"%s\", expected %d with \"%s\"", #call, rc_, e.msg, (int)(want), part); \
    } while (0)

/* A fresh folder; its name is valid until the next call. test_dir_remove takes it away with all in it. */
static inline const char *test_dir(void)
{
    static char dir[256];
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/dokja-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(dir)) abort();
    return dir;
}

static inline void test_dir_remove(const char *dir)
{
    char cmd[512];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    if (system(cmd)) abort();
}

#endif
