#include "nn/nn.h"

#include <omp.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { MAX_THREADS = 1024 };
enum { SCRATCH_BYTES = 8 << 20, SHARED_BYTES = 32 << 20 };

/* What the C library read from CPUID; a plausible small value where it knows nothing. */
static size_t cache_size(int name, size_t otherwise)
{
    long n = sysconf(name);
    return n > 0 ? (size_t)n : otherwise;
}

int nn_init(struct nn *x, const struct kernels *k, int threads, struct err *e)
{
    if (threads <= 0)
        threads = omp_get_max_threads(); /* OMP_NUM_THREADS, or the cores of the affinity mask */
    if (threads > MAX_THREADS)
        return err_set(e, ERR_LIMIT, "%d threads asked for, at most %d are supported", threads,
                       MAX_THREADS);
    *x = (struct nn){.k = k,
                     .threads = threads,
                     .scratch_bytes = SCRATCH_BYTES,
                     .shared_bytes = SHARED_BYTES,
                     .l1 = cache_size(_SC_LEVEL1_DCACHE_SIZE, 32 << 10),
                     .l2 = cache_size(_SC_LEVEL2_CACHE_SIZE, 512 << 10),
                     .l3 = cache_size(_SC_LEVEL3_CACHE_SIZE, 4 << 20)};
    /* Zero pages, present only once touched. */
    x->scratch = mem_map((size_t)threads * x->scratch_bytes);
    x->shared = mem_map(x->shared_bytes);
    if (!x->scratch || !x->shared) {
        nn_release(x);
        return err_set(e, ERR_NOMEM, "no memory for the working space of %d threads (%zu MiB each)",
                       threads, (size_t)SCRATCH_BYTES >> 20);
    }
    kernels_fp_enter();
    return 0;
}

void nn_release(struct nn *x)
{
    if (x->scratch)
        mem_unmap(x->scratch, (size_t)x->threads * x->scratch_bytes);
    if (x->shared)
        mem_unmap(x->shared, x->shared_bytes);
    x->scratch = x->shared = NULL;
}

void nn_begin(const struct nn *x)
{
    kernels_fp_enter();
    if (x->watch)
        watch_begin(x->watch, omp_get_thread_num(), omp_get_num_threads());
}

void nn_end(const struct nn *x)
{
    if (x->watch)
        watch_end(x->watch, omp_get_thread_num(), omp_get_num_threads());
}

void nn_barrier(const struct nn *x)
{
    double t0 = x->watch ? clock_seconds() : 0;
#pragma omp barrier
    if (x->watch)
        watch_barrier(x->watch, omp_get_thread_num(), t0);
}
