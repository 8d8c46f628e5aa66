/* Preloaded into a program: the FAIL_MALLOC-th allocation finds no memory, whoever asks, libraries too; what their
 * own shims and ours cannot fail.  Without, the number of allocations is written to the file COUNT_MALLOC. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static atomic_long left, made;
static atomic_bool on;

static int fails(void)
{
    if (!atomic_load(&on))
        return 0;
    atomic_fetch_add(&made, 1);
    if (atomic_fetch_sub(&left, 1) != 1)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return fails() ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }

__attribute__((constructor)) static void begin(void)
{
    const char *n = getenv("FAIL_MALLOC");
    atomic_store(&left, n ? atol(n) : 0);
    atomic_store(&on, 1);
}

__attribute__((destructor)) static void end(void)
{
    const char *to = getenv("COUNT_MALLOC");
    atomic_store(&on, 0);
    FILE *f = to ? fopen(to, "w") : NULL;
    if (f) {
        fprintf(f, "%ld\n", atomic_load(&made));
        fclose(f);
    }
}
