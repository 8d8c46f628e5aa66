/* Where a step's time goes: per op its wall time, the work it counted and the time threads waited for each other.
 *
 * An op counts its work by formula (floating-point operations; bytes of operands and results, each once) and its
 * parallel regions note when each thread begins and ends, all of it only where struct nn has a watch; the caller
 * marks after each op what the time since the last mark was.  Without a watch a region costs two comparisons.
 * Nothing here reaches a result. */
#ifndef DK_NN_WATCH_H
#define DK_NN_WATCH_H

#include "base/err.h"

enum watch_op {
    WATCH_EMBED, WATCH_NORM, WATCH_QKV, WATCH_QK, WATCH_ATTN, WATCH_WO, WATCH_GU, WATCH_SWIGLU, WATCH_DOWN,
    WATCH_LOGITS, WATCH_LOSS, WATCH_HEAD_DX, WATCH_HEAD_DW,
    WATCH_NORM_BWD, WATCH_QKV_DX, WATCH_QKV_DW, WATCH_QK_BWD, WATCH_ATTN_BWD, WATCH_WO_DX, WATCH_WO_DW,
    WATCH_GU_DX, WATCH_GU_DW, WATCH_SWIGLU_BWD, WATCH_DOWN_DX, WATCH_DOWN_DW, WATCH_EMBED_BWD,
    WATCH_ZERO, WATCH_GRAD_NORM, WATCH_ADAMW, WATCH_MUON, WATCH_OTHER, WATCH_OPS
};

/* wait: seconds of threads that had finished (or stood at a barrier) before the last one of a region; busy: seconds
 * of threads inside regions, waiting at barriers left out. */
struct watch_stat {
    double seconds, flop, bytes, wait, busy;
    long calls;
};

struct nn_watch {
    struct watch_stat op[WATCH_OPS];
    struct watch_stat now;   /* since the last mark */
    double last;             /* time of the last mark */
    struct watch_thread *thread;
    int threads;
    int left;                /* threads still inside the region; changed atomically */
};

int watch_init(struct nn_watch *w, int threads, struct err *e) MUST_CHECK;
void watch_release(struct nn_watch *w);
void watch_reset(struct nn_watch *w);
/* What was since the last mark belongs to no op. */
void watch_skip(struct nn_watch *w);
const char *watch_name(enum watch_op op);

/* Behind nn_count, nn_mark, nn_begin, nn_end and nn_barrier of nn.h. */
void watch_mark(struct nn_watch *w, enum watch_op op);
void watch_begin(struct nn_watch *w, int thread, int threads);
void watch_end(struct nn_watch *w, int thread, int threads);
void watch_barrier(struct nn_watch *w, int thread, double began);

#endif
