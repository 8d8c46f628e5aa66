#include "train/loop.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

struct loop {
    struct trainer *t;
    const struct run_config *c;
    const struct loop_opts *o;
    struct buf metrics;          /* path of metrics.jsonl */
    uint64_t metrics_bytes;
    struct loop_progress p;
    double saved_at, window_at, ledger_seconds;
    bool may_save;               /* the state is one that the ledger tells of */
    int64_t window_step;
};

void loop_eval_json(char *out, size_t size, const struct loop_progress *p)
{
    char error[32] = "null";   /* JSON has no NaN */
    if (p->eval.error == p->eval.error)
        snprintf(error, sizeof error, "%.3g", p->eval.error);
    snprintf(out, size,
             "{\"step\":%" PRId64 ",\"heldout_bits_per_byte\":%.9g,\"heldout_bits_per_char\":%.9g,"
             "\"heldout_standard_error\":%s,\"heldout_tokens\":%" PRId64 "}", p->step.step, p->eval.bits_per_byte,
             p->eval.bits_per_char, error, p->eval.tokens);
}

/* metrics.jsonl belongs to the checkpoint: lines after it are cut on resume, so that a run killed anywhere
 * has each step once. */
static int metrics_open(struct loop *l, struct err *e)
{
    int rc = file_join(&l->metrics, l->o->dir, "metrics.jsonl", e);
    if (rc)
        return rc;
    if (!file_exists(l->metrics.p)) {
        l->metrics_bytes = 0;
        return 0;
    }
    /* Lines are not synced as states are: after a loss of power some that the state counts may be gone. */
    struct file_map m;
    if ((rc = file_map_open(&m, l->metrics.p, e)))
        return rc;
    uint64_t n = m.len < l->metrics_bytes ? m.len : l->metrics_bytes;
    while (n > 0 && m.p[n - 1] != '\n')
        n--;
    file_map_close(&m);
    l->metrics_bytes = n;
    return file_truncate(l->metrics.p, n, e);
}

static int metrics_add(struct loop *l, const char *line, struct err *e)
{
    size_t n = strlen(line);
    int rc = file_append(l->metrics.p, line, n, e);
    if (rc == 0)
        l->metrics_bytes += n;
    return rc;
}

/* JSON has no NaN; figures here are finite or the step failed before. */
static int metrics_step(struct loop *l, struct err *e)
{
    char line[512];
    const struct step_report *s = &l->p.step;
    snprintf(line, sizeof line,
             "{\"step\":%" PRId64 ",\"tokens\":%" PRId64 ",\"loss\":%.9g,\"lr\":%.9g,\"grad_norm\":%.9g,"
             "\"tokens_per_s\":%.6g,\"fraction_of_peak\":%.4g}\n",
             s->step, s->tokens, s->loss, s->lr, s->grad_norm, l->p.tokens_per_s, l->p.fraction_of_peak);
    return metrics_add(l, line, e);
}

static int metrics_eval(struct loop *l, struct err *e)
{
    char line[320];
    loop_eval_json(line, sizeof line - 1, &l->p);
    return metrics_add(l, strcat(line, "\n"), e);
}

static int save(struct loop *l, struct err *e)
{
    int rc = trainer_save(l->t, l->o->dir, l->metrics_bytes, e);
    l->saved_at = clock_seconds();
    return rc;
}

static int evaluate(struct loop *l, int64_t tokens, struct err *e)
{
    double before = clock_seconds();
    int rc = trainer_eval(l->t, tokens, &l->p.eval, e);
    if (rc == 0)
        rc = metrics_eval(l, e);
    if (rc == 0 && l->o->on_eval)
        l->o->on_eval(l->o->user, &l->p);
    l->window_at += clock_seconds() - before;   /* speed counts training alone */
    return rc;
}

/* Speed over a window of a few seconds, so that the line is calm and still follows the machine. */
static void measure(struct loop *l)
{
    double now = clock_seconds(), dt = now - l->window_at;
    int64_t steps = l->p.step.step - l->window_step;
    if (l->p.tokens_per_s == 0 || dt > 3) {
        l->p.tokens_per_s = dt > 0 ? (double)(steps * l->c->batch_tokens) / dt : 0;
        if (dt > 3) {
            l->window_at = now;
            l->window_step = l->p.step.step;
        }
    }
    if (l->o->peak_flops > 0)
        l->p.fraction_of_peak =
            l->p.tokens_per_s * model_flops_per_token(&l->c->model, run_seq_at(l->c, l->p.step.step - 1)) /
            l->o->peak_flops;
    double left = (double)((l->c->schedule.steps - l->p.step.step) * l->c->batch_tokens);
    l->p.seconds_left = l->p.tokens_per_s > 0 ? left / l->p.tokens_per_s : 0;
}

static bool due_eval(const struct loop *l)
{
    return l->c->eval_every > 0 && l->p.step.step % l->c->eval_every == 0 && l->p.step.step < l->c->schedule.steps;
}

/* Of n segments, those whose number grows past the next of keep_states + 1 equal parts. */
static bool keeps(const struct loop *l)
{
    int64_t every = l->c->segment_steps, n = (l->c->schedule.steps + every - 1) / every;
    int64_t k = (l->p.step.step + every - 1) / every, parts = l->o->keep_states + 1;
    return k < n && k * parts / n > (k - 1) * parts / n;
}

static int tell(struct loop *l, struct err *e)
{
    double before = clock_seconds();
    int rc = journal_step(l->o->journal, l->t, &l->p.step, &l->may_save, e);
    l->ledger_seconds += clock_seconds() - before;
    return rc;
}

static int one_step(struct loop *l, struct err *e)
{
    int rc = trainer_step(l->t, &l->p.step, e);
    if (rc)
        return rc;
    measure(l);
    rc = metrics_step(l, e);
    l->may_save = !l->o->journal;
    if (rc == 0 && l->o->journal)
        rc = tell(l, e);
    if (rc == 0 && l->o->journal && l->may_save && keeps(l))
        rc = trainer_keep(l->t, l->o->dir, e);
    if (rc == 0 && l->o->on_step)
        l->o->on_step(l->o->user, &l->p);
    if (rc == 0 && due_eval(l))
        rc = evaluate(l, l->c->eval_tokens, e);
    bool due_save = l->may_save && clock_seconds() - l->saved_at >= l->o->save_every;
    if (rc == 0 && due_save && l->p.step.step < l->c->schedule.steps) {
        double before = clock_seconds();
        rc = save(l, e);
        l->window_at += clock_seconds() - before;
    }
    return rc;
}

static int run_steps(struct loop *l, struct err *e)
{
    bool begins = true;
    while (trainer_step_done(l->t) < l->c->schedule.steps) {
        int64_t done = trainer_step_done(l->t);
        if (begins && l->o->on_segment)
            l->o->on_segment(l->o->user, done, l->o->journal ? run_segment_end(l->c, done) : done + 1);
        int rc = one_step(l, e);
        if (rc)
            return rc;
        begins = l->may_save;
        if (l->may_save && l->o->stop && l->o->stop(l->o->user) && trainer_step_done(l->t) < l->c->schedule.steps) {
            rc = save(l, e);
            return rc ? rc
                      : err_set(e, ERR_STOPPED,
                                "stopped at step %" PRId64 " of %" PRId64 "; run the same command again to go on",
                                l->p.step.step, l->c->schedule.steps);
        }
    }
    return 0;
}

/* The last evaluation and checkpoint; a run that was complete before is left as it is. */
static int finish(struct loop *l, bool trained, struct err *e)
{
    int rc = 0;
    if (trained || !(l->p.eval.bits_per_byte == l->p.eval.bits_per_byte)) {
        rc = evaluate(l, l->c->final_eval_tokens, e);
        if (rc == 0)
            rc = save(l, e);
    }
    if (rc == 0 && l->o->journal)
        rc = journal_final(l->o->journal, l->t, &l->p.eval, e);
    return rc;
}

int train_loop(struct trainer *t, const struct run_config *c, const struct loop_opts *o, struct loop_result *r,
               struct err *e)
{
    struct loop l = {.t = t, .c = c, .o = o};
    double start = clock_seconds();
    int rc = 0;
    *r = (struct loop_result){0};
    if (o->resume)
        rc = trainer_resume(t, o->dir, &l.metrics_bytes, e);
    else
        trainer_init(t);
    if (rc == 0)
        rc = metrics_open(&l, e);
    if (rc == 0 && o->journal)
        rc = journal_begin(o->journal, t, e);
    l.p.steps = c->schedule.steps;
    l.p.eval = trainer_last_eval(t);
    l.p.step.step = l.window_step = trainer_step_done(t);
    l.saved_at = l.window_at = clock_seconds();
    bool trained = trainer_step_done(t) < c->schedule.steps;
    if (rc == 0)
        rc = run_steps(&l, e);
    if (rc == 0)
        rc = finish(&l, trained, e);
    if (rc == 0)
        rc = trainer_root(t, &r->root, e);
    r->eval = l.p.eval;
    r->steps = trainer_step_done(t);
    r->tokens = r->steps * c->batch_tokens;
    r->seconds = clock_seconds() - start;
    r->ledger_seconds = l.ledger_seconds;
    buf_release(&l.metrics);
    return rc;
}
