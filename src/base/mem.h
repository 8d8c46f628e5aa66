/* Memory: checked allocation, and arenas that are laid out twice (once to
 * measure, once to place).
 *
 * Every allocation of the program goes through these calls, so that a test can
 * fail the n-th one and so that a steady-state step can be proven to make none. */
#ifndef DK_BASE_MEM_H
#define DK_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* n*size zeroed bytes, or NULL when the product overflows, memory is short or a
 * fault is injected.  n*size == 0 gives a valid pointer. */
void *mem_new(size_t n, size_t size) MUST_CHECK;
/* As realloc for n*size bytes; the new part is not zeroed; on NULL `p` stays valid. */
void *mem_resize(void *p, size_t n, size_t size) MUST_CHECK;
char *mem_strdup(const char *s) MUST_CHECK;
char *mem_strndup(const char *s, size_t n) MUST_CHECK;
void mem_free(void *p);

/* Large, zeroed, page-aligned memory (transparent huge pages are asked for).
 * Free with mem_unmap(p, bytes). */
void *mem_map(size_t bytes) MUST_CHECK;
void mem_unmap(void *p, size_t bytes);

/* Tests: the n-th allocation from now fails (0: none). Thread-safe counter. */
void mem_fail_at(long n);
/* Between mem_forbid(true) and mem_forbid(false) any mem_* allocation is counted,
 * and aborts the program in debug builds. */
void mem_forbid(bool on);
long mem_forbidden_count(void);

/* Resident peak of this process in bytes (VmHWM), 0 where unknown; and resetting it. */
size_t mem_peak_rss(void);
void mem_peak_rss_reset(void);
/* Bytes of memory that the machine has. */
size_t mem_physical(void);

/* An arena over caller's storage.  With base == NULL it only measures: arena_take
 * returns NULL and `used` grows; run the same layout function again with storage of
 * `used` bytes.  All pieces are 64-byte aligned. */
struct arena {
    unsigned char *base;
    size_t used, cap;
};
void *arena_take(struct arena *a, size_t n, size_t size);

#endif
