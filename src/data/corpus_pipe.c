#include "data/corpus_pipe.h"

#include <omp.h>
#include <stdbool.h>

/* Items are handed out in runs of about this many bytes, so that a task costs more than its start. */
enum { RUN_BYTES = 64 << 10 };

/* The error of the lowest item wins, so that the sentence does not depend on who was faster. */
struct first_error {
    int at;
    struct err e;
};

static void keep_first(struct first_error *f, int item, const struct err *e)
{
#pragma omp critical(dk_pipe_error)
    if (f->e.code == 0 || item < f->at) {
        f->at = item;
        f->e = *e;
    }
}

static void work_range(const struct pipe_ops *p, void *batch, int lo, int hi, struct first_error *f)
{
    for (int i = lo; i < hi; i++) {
        struct err e = {0};
        if (p->work(p->user, batch, i, omp_get_thread_num(), &e) != 0) {
            keep_first(f, i, &e);
            return;
        }
    }
}

static void work_all(const struct pipe_ops *p, void *batch, struct first_error *f)
{
    int n = p->items(batch);
#pragma omp taskgroup
    for (int lo = 0; lo < n;) {
        int hi = lo;
        for (size_t sum = 0; hi < n && sum < RUN_BYTES; hi++)
            sum += p->weight(batch, hi);
#pragma omp task firstprivate(lo, hi)
        work_range(p, batch, lo, hi, f);
        lo = hi;
    }
}

static void make_pieces(const struct pipe_ops *p, void *batch, int n, struct first_error *f)
{
#pragma omp taskgroup
    for (int i = 0; i < n; i++) {
#pragma omp task firstprivate(i)
        {
            struct err e = {0};
            if (p->piece(p->user, batch, i, omp_get_thread_num(), &e) != 0)
                keep_first(f, i, &e);
        }
    }
}

/* One batch through work, plan and pieces while the other is filled; the filler's answer in *more. */
static void step(const struct pipe_ops *p, void *now, void *next, int *more, struct err *fill_err,
                 struct first_error *f)
{
#pragma omp task
    *more = p->fill(p->user, next, fill_err);
    work_all(p, now, f);
    if (f->e.code == 0) {
        struct err e = {0};
        int n = p->plan(p->user, now, &e);
        if (n < 0)
            keep_first(f, 0, &e);
        else
            make_pieces(p, now, n, f);
    }
#pragma omp taskwait
}

int pipe_threads(int threads) { return threads > 0 ? threads : omp_get_max_threads(); }

int pipe_run(const struct pipe_ops *p, int threads, struct err *e)
{
    struct err fill_err = {0};
    int more = p->fill(p->user, p->batch[0], &fill_err);
    for (int turn = 0; more > 0; turn ^= 1) {
        struct first_error f = {0};
        void *now = p->batch[turn], *next = p->batch[turn ^ 1];
        int got = 0;
#pragma omp parallel num_threads(pipe_threads(threads))
#pragma omp single
        step(p, now, next, &got, &fill_err, &f);
        if (f.e.code != 0)
            return err_set(e, f.e.code, "%s", f.e.msg);
        int rc = p->finish(p->user, now, e);
        if (rc != 0)
            return rc;
        more = got;
    }
    return more < 0 ? err_set(e, fill_err.code, "%s", fill_err.msg) : 0;
}
