#include "base/mem.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, LINE = 64 };

static atomic_long fail_in;          /* 0: no fault armed */
static atomic_bool forbidden;
static atomic_long forbidden_calls;

void mem_fail_at(long n) { atomic_store(&fail_in, n); }

/* True for exactly one caller: the one that takes the counter from 1 to 0. */
static bool fault(void)
{
    long n = atomic_load_explicit(&fail_in, memory_order_relaxed);
    while (n > 0)
        if (atomic_compare_exchange_weak(&fail_in, &n, n - 1)) return n == 1;
    return false;
}

void mem_forbid(bool on)
{
    if (on) atomic_store(&forbidden_calls, 0);
    atomic_store(&forbidden, on);
}

long mem_forbidden_count(void) { return atomic_load(&forbidden_calls); }

static void note_call(void)
{
    if (!atomic_load_explicit(&forbidden, memory_order_relaxed)) return;
    atomic_fetch_add(&forbidden_calls, 1);
#ifdef DK_DEBUG
    assert(!"allocation where none is allowed");
#endif
}

static bool product(size_t *out, size_t n, size_t size)
{
    return !__builtin_mul_overflow(n, size, out) && *out <= PTRDIFF_MAX;
}

void *mem_new(size_t n, size_t size)
{
    size_t bytes;
    note_call();
    if (!product(&bytes, n, size) || fault()) return NULL;
    return calloc(bytes ? bytes : 1, 1);
}

void *mem_resize(void *p, size_t n, size_t size)
{
    size_t bytes;
    note_call();
    if (!product(&bytes, n, size) || fault()) return NULL;
    return realloc(p, bytes ? bytes : 1);
}

char *mem_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *p = mem_resize(NULL, len + 1, 1);
    if (!p) return NULL;
    memcpy(p, s, len);
    p[len] = 0;
    return p;
}

char *mem_strdup(const char *s) { return mem_strndup(s, strlen(s)); }

void mem_free(void *p) { free(p); }

/* Bytes rounded up to whole pages; 0 when that overflows. */
static size_t whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes == 0) return page;
    return bytes > PTRDIFF_MAX - page ? 0 : (bytes + page - 1) & ~(page - 1);
}

void *mem_map(size_t bytes)
{
    size_t len = whole_pages(bytes);
    note_call();
    if (!len || fault()) return NULL;
    /* Big pieces begin at a huge page: map too much and give the ends back. */
    size_t extra = len >= HUGE_PAGE ? HUGE_PAGE : 0;
    if (len > PTRDIFF_MAX - extra) return NULL;
    unsigned char *p = mmap(NULL, len + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (!extra) return p;
    size_t head = (size_t)(-(uintptr_t)p & (HUGE_PAGE - 1));
    if (head) munmap(p, head);
    if (extra - head) munmap(p + head + len, extra - head);
    p += head;
    madvise(p, len, MADV_HUGEPAGE); /* advice: small pages do as well */
    return p;
}

void mem_unmap(void *p, size_t bytes)
{
    if (p) munmap(p, whole_pages(bytes));
}

size_t mem_peak_rss(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    if (!f) return 0;
    char line[256];
    unsigned long long kib = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu kB", &kib) == 1) break;
    fclose(f);
    return (size_t)kib * 1024;
}

void mem_peak_rss_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "we");
    if (!f) return;
    fputs("5", f);
    fclose(f);
}

size_t mem_physical(void) { return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE); }

void *arena_take(struct arena *a, size_t n, size_t size)
{
    size_t bytes = 0, start = 0, end = 0;
    bool fits = product(&bytes, n, size) && !__builtin_add_overflow(a->used, (size_t)(LINE - 1), &start);
    start &= ~(size_t)(LINE - 1);
    fits = fits && !__builtin_add_overflow(start, bytes, &end);
    assert(fits); /* shapes are limited before they are laid out */
    a->used = end;
    if (!a->base) return NULL;
    assert(((uintptr_t)a->base & (LINE - 1)) == 0 && end <= a->cap);
    return a->base + start;
}
