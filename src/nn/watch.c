#include "nn/watch.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

static const char *const names[WATCH_OPS] = {
    [WATCH_EMBED] = "embed", [WATCH_NORM] = "norm", [WATCH_QKV] = "qkv", [WATCH_QK] = "qk norm, rotary",
    [WATCH_ATTN] = "attention", [WATCH_WO] = "wo", [WATCH_GU] = "gate, up", [WATCH_SWIGLU] = "swiglu",
    [WATCH_DOWN] = "down", [WATCH_LOGITS] = "head logits", [WATCH_LOSS] = "cross-entropy",
    [WATCH_HEAD_DX] = "head dx", [WATCH_HEAD_DW] = "head dw", [WATCH_NORM_BWD] = "norm bwd",
    [WATCH_QKV_DX] = "qkv dx", [WATCH_QKV_DW] = "qkv dw", [WATCH_QK_BWD] = "qk norm, rotary bwd",
    [WATCH_ATTN_BWD] = "attention bwd", [WATCH_WO_DX] = "wo dx", [WATCH_WO_DW] = "wo dw",
    [WATCH_GU_DX] = "gate, up dx", [WATCH_GU_DW] = "gate, up dw", [WATCH_SWIGLU_BWD] = "swiglu bwd",
    [WATCH_DOWN_DX] = "down dx", [WATCH_DOWN_DW] = "down dw", [WATCH_EMBED_BWD] = "embed bwd",
    [WATCH_ZERO] = "zero gradients", [WATCH_GRAD_NORM] = "gradient norm", [WATCH_ADAMW] = "adamw",
    [WATCH_MUON] = "muon", [WATCH_OTHER] = "other"};

const char *watch_name(enum watch_op op) { return names[op]; }

/* One cache line a thread: nobody waits for a neighbour's write. */
struct watch_thread {
    _Alignas(64) double begin;
    double end, barrier;
};

int watch_init(struct nn_watch *w, int threads, struct err *e)
{
    *w = (struct nn_watch){.threads = threads};
    w->thread = mem_map((size_t)threads * sizeof *w->thread);
    if (!w->thread)
        return err_set(e, ERR_NOMEM, "no memory for the times of %d threads", threads);
    watch_reset(w);
    return 0;
}

void watch_release(struct nn_watch *w)
{
    mem_unmap(w->thread, (size_t)w->threads * sizeof *w->thread);
    w->thread = NULL;
}

void watch_reset(struct nn_watch *w)
{
    memset(w->op, 0, sizeof w->op);
    watch_skip(w);
}

void watch_skip(struct nn_watch *w)
{
    w->now = (struct watch_stat){0};
    w->last = clock_seconds();
}

void watch_mark(struct nn_watch *w, enum watch_op op)
{
    struct watch_stat *s = &w->op[op];
    double now = clock_seconds();
    s->seconds += now - w->last;
    s->flop += w->now.flop;
    s->bytes += w->now.bytes;
    s->wait += w->now.wait;
    s->busy += w->now.busy;
    s->calls += w->now.calls;
    w->now = (struct watch_stat){0};
    w->last = now;
}

void watch_begin(struct nn_watch *w, int thread, int threads)
{
    assert(threads <= w->threads);
    int expect = 0; /* whoever comes first sets the count; it is 0 again when the last has left */
    __atomic_compare_exchange_n(&w->left, &expect, threads, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    w->thread[thread].barrier = 0;
    w->thread[thread].begin = clock_seconds();
}

/* The last thread to leave adds up the region: the others stand at its end already. */
void watch_end(struct nn_watch *w, int thread, int threads)
{
    struct watch_thread *t = w->thread;
    double last = clock_seconds();
    t[thread].end = last;
    if (__atomic_sub_fetch(&w->left, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (int i = 0; i < threads; i++) {
        w->now.wait += last - t[i].end + t[i].barrier;
        w->now.busy += t[i].end - t[i].begin - t[i].barrier;
    }
}

void watch_barrier(struct nn_watch *w, int thread, double began)
{
    w->thread[thread].barrier += clock_seconds() - began;
}
