/* What every op is given: the kernel table, the number of threads, and scratch.
 *
 * Ops are the only place with OpenMP: static schedules over outputs, so that no result depends
 * on the thread count.  Scratch is sized once (nn_init) and reused: an op allocates nothing. */
#ifndef DK_NN_NN_H
#define DK_NN_NN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "kernels/kernels.h"
#include "nn/watch.h"

/* A typed 2-D view, by value: element (r, c) at p[r*stride + c]. */
struct mat {
    void *p;
    enum dtype dtype;
    int rows, cols;
    ptrdiff_t stride; /* elements */
};

static inline size_t dtype_size(enum dtype t) { return t == DT_F32 ? sizeof(real) : sizeof(bf16); }
static inline struct mat mat_f32(real *p, int rows, int cols)
{
    return (struct mat){p, DT_F32, rows, cols, cols};
}
static inline struct mat mat_bf16(bf16 *p, int rows, int cols)
{
    return (struct mat){p, DT_BF16, rows, cols, cols};
}
/* Rows [r0, r0+n). */
static inline struct mat mat_rows(struct mat m, int r0, int n)
{
    m.p = (char *)m.p + (ptrdiff_t)r0 * m.stride * (ptrdiff_t)dtype_size(m.dtype);
    m.rows = n;
    return m;
}
/* Columns [c0, c0+n). */
static inline struct mat mat_cols(struct mat m, int c0, int n)
{
    m.p = (char *)m.p + (ptrdiff_t)c0 * (ptrdiff_t)dtype_size(m.dtype);
    m.cols = n;
    return m;
}
static inline real *mat_f(struct mat m) { return (real *)m.p; }
static inline bf16 *mat_b(struct mat m) { return (bf16 *)m.p; }

struct nn {
    const struct kernels *k;
    int threads;
    void *scratch;          /* threads × scratch_bytes, page-aligned */
    size_t scratch_bytes;   /* of one thread */
    void *shared;           /* packing space all threads of an op share */
    size_t shared_bytes;
    size_t l1, l2, l3;      /* data cache sizes in bytes, found at start */
    struct nn_watch *watch;    /* NULL, or who measures (bench) */
};

/* threads ≤ 0: OMP_NUM_THREADS or the cores this process may use. */
int nn_init(struct nn *x, const struct kernels *k, int threads, struct err *e) MUST_CHECK;
void nn_release(struct nn *x);
static inline void *nn_scratch(const struct nn *x, int thread)
{
    return (char *)x->scratch + (size_t)thread * x->scratch_bytes;
}

/* The first and the last thing each thread does in a parallel region, and a barrier inside one. */
void nn_begin(const struct nn *x);
void nn_end(const struct nn *x);
void nn_barrier(const struct nn *x);
/* For a watch: the work of one op (once a call), and the end of an op. */
static inline void nn_count(const struct nn *x, double flop, double bytes)
{
    if (!x->watch)
        return;
    x->watch->now.flop += flop;
    x->watch->now.bytes += bytes;
    x->watch->now.calls++;
}
static inline void nn_mark(const struct nn *x, enum watch_op op)
{
    if (x->watch)
        watch_mark(x->watch, op);
}

#endif
