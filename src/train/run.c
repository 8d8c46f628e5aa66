#include "train/run.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "nn/ops.h"

int run_row_unit(enum profile p) { return p == PROFILE_T2 ? I8_GROUP : OP_ROWS; }

int64_t run_batch_rows(const struct run_config *c) { return c->batch_tokens / c->seq; }

int run_seq_at(const struct run_config *c, int64_t step) { return step < c->start_steps ? c->seq_start : c->seq; }

struct run_row run_row_at(const struct run_config *c, int64_t step, int64_t i)
{
    uint64_t pieces = (uint64_t)(c->seq / run_seq_at(c, step)), rows = (uint64_t)run_batch_rows(c);
    uint64_t at = (uint64_t)step * rows * pieces + (uint64_t)i;
    if (step >= c->start_steps)
        return (struct run_row){at, 0};
    uint64_t lap = (uint64_t)c->start_steps * rows;
    return (struct run_row){at % lap, at / lap};
}

int64_t run_segment_end(const struct run_config *c, int64_t step)
{
    int64_t end = (step / c->segment_steps + 1) * c->segment_steps;
    return end < c->schedule.steps ? end : c->schedule.steps;
}

double run_flops_until(const struct run_config *c, int64_t step)
{
    int64_t at_first = step < c->start_steps ? step : c->start_steps;
    return (double)at_first * (double)c->batch_tokens * model_flops_per_token(&c->model, c->seq_start) +
           (double)(step - at_first) * (double)c->batch_tokens * model_flops_per_token(&c->model, c->seq);
}

double run_flops_per_token(const struct run_config *c)
{
    return run_flops_until(c, c->schedule.steps) / ((double)c->schedule.steps * (double)c->batch_tokens);
}

/* ---- files ---- */

static int path_of(struct buf *b, const char *dir, const char *name, struct err *e)
{
    return file_join(b, dir, name, e);
}

static json_t *seed_json(const struct run_config *c)
{
    char s[24];
    uint64_t v = c->seed;
    if (c->seed_awaited)
        return json_string("beacon");
    snprintf(s, sizeof s, "0x%016" PRIx64, v);
    return json_string(s);
}

static json_t *hex256(const struct digest *d)
{
    char s[65];
    digest_hex(s, d);
    return json_string(s);
}

static json_t *optim_json(const struct optim_config *o)
{
    return json_pack("{s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "kind", optim_name(o->kind), "lr_matrix",
                     o->lr_matrix, "lr_embed", o->lr_embed, "lr_head", o->lr_head, "lr_gain", o->lr_gain, "momentum",
                     o->momentum, "beta1", o->beta1, "beta2", o->beta2, "eps", o->eps, "beta2_row",
                     o->beta2_row, "decay_matrix", o->decay_matrix, "decay_embed", o->decay_embed, "clip", o->clip);
}

int run_write(const struct run_config *c, const char *dir, struct err *e)
{
    struct buf path = {0};
    json_t *o = json_pack(
        "{s:s,s:s,s:o,s:o,s:o,s:i,s:i,s:I,s:I,s:i,s:I,s:I,s:f,s:I,s:I,s:I,s:s,s:f,s:f,s:f,s:o}",
        "format", "dokja-run-1", "profile", profile_name(c->profile), "seed", seed_json(c),
        "corpus_root", hex256(&c->corpus_root), "tokenizer", hex256(&c->tokenizer), "seq", c->seq,
        "seq_start", c->seq_start, "start_steps", (json_int_t)c->start_steps,
        "batch_tokens", (json_int_t)c->batch_tokens,
        "workers", c->workers, "segment_steps", (json_int_t)c->segment_steps,
        "steps", (json_int_t)c->schedule.steps, "heldout", c->heldout,
        "eval_tokens", (json_int_t)c->eval_tokens, "final_eval_tokens", (json_int_t)c->final_eval_tokens,
        "eval_every", (json_int_t)c->eval_every, "schedule", schedule_name(c->schedule.kind),
        "warmup", c->schedule.warmup, "decay", c->schedule.decay, "floor", c->schedule.floor,
        "optimizer", optim_json(&c->optim));
    int rc = o ? 0 : err_set(e, ERR_NOMEM, "%s/run.json: out of memory", dir);
    if (rc == 0)
        rc = path_of(&path, dir, "config.json", e);
    if (rc == 0)
        rc = model_config_write(&c->model, path.p, e);
    if (rc == 0)
        rc = path_of(&path, dir, "run.json", e);
    if (rc == 0)
        rc = json_write(path.p, o, e);
    json_decref(o);
    buf_release(&path);
    return rc;
}

static int get_digest(struct digest *d, const json_t *o, const char *key, const char *where, struct err *e)
{
    const char *s;
    int rc = json_get_str(&s, o, key, false, NULL, where, e);
    if (rc == 0 && digest_parse(d, s) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: %s is \"%.80s\", expected 64 hex digits", where, key, s);
    return rc;
}

static int get_seed(struct run_config *c, const json_t *o, const char *where, struct err *e)
{
    const char *s;
    int rc = json_get_str(&s, o, "seed", false, NULL, where, e);
    c->seed_awaited = rc == 0 && strcmp(s, "beacon") == 0;
    if (rc != 0 || c->seed_awaited)
        return rc;
    if (rng_seed_read(&c->seed, s))
        return 0;
    return err_set(e, ERR_FORMAT, "%s: seed is \"%.40s\", expected 0x and 16 hex digits, or beacon", where, s);
}

static int get_profile(struct run_config *c, const json_t *o, const char *where, struct err *e)
{
    const char *s;
    int rc = json_get_str(&s, o, "profile", false, NULL, where, e);
    if (rc == 0 && profile_parse(&c->profile, s) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: profile is \"%.40s\", expected T1 or T2", where, s);
    return rc;
}

struct field_int {
    const char *key;
    int64_t *dst, lo, hi;
};
/* Reals from 0 to hi, whether run.json or a ledger gives them. */
struct field_real {
    const char *key;
    size_t at;      /* in struct run_config */
    double hi;
};
#define AT(field) offsetof(struct run_config, field)
static const struct field_real run_reals[] = {{"heldout", AT(heldout), 1}, {"warmup", AT(schedule.warmup), 1},
                                              {"decay", AT(schedule.decay), 1}, {"floor", AT(schedule.floor), 1}};
static const struct field_real optim_reals[] = {
    {"lr_matrix", AT(optim.lr_matrix), 100}, {"lr_embed", AT(optim.lr_embed), 100},
    {"lr_head", AT(optim.lr_head), 100}, {"lr_gain", AT(optim.lr_gain), 100}, {"momentum", AT(optim.momentum), 1},
    {"beta1", AT(optim.beta1), 1}, {"beta2", AT(optim.beta2), 1}, {"eps", AT(optim.eps), 1},
    {"beta2_row", AT(optim.beta2_row), 1}, {"decay_matrix", AT(optim.decay_matrix), 100},
    {"decay_embed", AT(optim.decay_embed), 100}, {"clip", AT(optim.clip), 1e9}};
#undef AT
enum { N_RUN = sizeof run_reals / sizeof *run_reals, N_OPTIM = sizeof optim_reals / sizeof *optim_reals };

static int get_ints(const json_t *o, const struct field_int *f, size_t n, const char *where, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int rc = json_get_int(f[i].dst, o, f[i].key, f[i].lo, f[i].hi, false, 0, where, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int get_reals(struct run_config *c, const json_t *o, const struct field_real *f, size_t n, const char *where,
                     struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        double *to = (double *)((char *)c + f[i].at);
        int rc = json_get_real(to, o, f[i].key, 0, f[i].hi, false, 0, where, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_reals(const struct run_config *c, const struct field_real *f, size_t n, const char *where,
                       struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        double v = *(const double *)((const char *)c + f[i].at);
        if (!(v >= 0 && v <= f[i].hi))
            return err_set(e, ERR_FORMAT, "%s: %s is %g, expected 0 to %g", where, f[i].key, v, f[i].hi);
    }
    return 0;
}

static int get_optim(struct run_config *c, const json_t *run, const char *where, struct err *e)
{
    const char *kind;
    const json_t *o = json_object_get(run, "optimizer");
    if (!json_is_object(o))
        return err_set(e, ERR_FORMAT, "%s: optimizer is missing or not an object", where);
    int rc = json_get_str(&kind, o, "kind", false, NULL, where, e);
    if (rc == 0 && optim_parse(&c->optim.kind, kind) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: optimizer.kind is \"%.40s\", expected normuon, muon or adamw", where,
                     kind);
    return rc ? rc : get_reals(c, o, optim_reals, N_OPTIM, where, e);
}

int run_check(const struct run_config *c, const char *where, struct err *e)
{
    enum { MAX_SEQ = 1 << 20, MAX_WORKERS = 1 << 16 };
    const struct {
        const char *what;
        int64_t v, lo, hi;
    } f[] = {{"seq", c->seq, OP_ROWS, MAX_SEQ}, {"seq_start", c->seq_start, OP_ROWS, c->seq},
             {"workers", c->workers, 1, MAX_WORKERS}, {"batch_tokens", c->batch_tokens, 1, 1LL << 40},
             {"steps", c->schedule.steps, 1, 1LL << 40}, {"start_steps", c->start_steps, 0, c->schedule.steps},
             {"segment_steps", c->segment_steps, 1, 1LL << 40}};
    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        if (f[i].v < f[i].lo || f[i].v > f[i].hi)
            return err_set(e, ERR_FORMAT, "%s: %s is %" PRId64 ", expected %" PRId64 " to %" PRId64, where, f[i].what,
                           f[i].v, f[i].lo, f[i].hi);
    const int unit = run_row_unit(c->profile);
    if ((c->workers & (c->workers - 1)) || c->batch_tokens % ((int64_t)c->seq * c->workers))
        return err_set(e, ERR_FORMAT, "%s: seq %d, workers %d and batch_tokens %" PRId64 " do not fit together", where,
                       c->seq, c->workers, c->batch_tokens);
    if (c->seq % c->seq_start || c->seq_start % unit) /* so seq is a multiple of unit too */
        return err_set(e, ERR_FORMAT, "%s: seq_start is %d, expected a divisor of seq %d and in profile %s a "
                       "multiple of %d", where, c->seq_start, c->seq, profile_name(c->profile), unit);
    if (c->seq > c->model.max_pos)
        return err_set(e, ERR_FORMAT, "%s: seq is %d, the model has %d positions", where, c->seq, c->model.max_pos);
    if ((double)c->schedule.steps * (double)c->batch_tokens > 0x1p60)
        return err_set(e, ERR_FORMAT, "%s: %" PRId64 " steps of %" PRId64 " tokens are more than can be counted", where,
                       c->schedule.steps, c->batch_tokens);
    int rc = check_reals(c, run_reals, N_RUN, where, e);
    return rc ? rc : check_reals(c, optim_reals, N_OPTIM, where, e);
}

static int read_run(struct run_config *c, const json_t *o, const char *where, struct err *e)
{
    const char *format, *kind;
    int64_t seq = 0, seq_start = 0, workers = 0;
    int rc = json_get_str(&format, o, "format", false, NULL, where, e);
    if (rc == 0 && strcmp(format, "dokja-run-1") != 0)
        rc = err_set(e, ERR_FORMAT, "%s: format is \"%.40s\", expected dokja-run-1", where, format);
    const struct field_int fi[] = {{"seq", &seq, OP_ROWS, 1 << 20}, {"workers", &workers, 1, 1 << 16},
                                   {"batch_tokens", &c->batch_tokens, 1, 1LL << 40},
                                   {"steps", &c->schedule.steps, 1, 1LL << 40},
                                   {"segment_steps", &c->segment_steps, 1, 1LL << 40},
                                   {"eval_tokens", &c->eval_tokens, 1, 1LL << 40},
                                   {"final_eval_tokens", &c->final_eval_tokens, 1, 1LL << 40},
                                   {"eval_every", &c->eval_every, 0, 1LL << 40}};
    /* A run that does not speak of short rows has none. */
    if (rc || (rc = get_profile(c, o, where, e)) ||
        (rc = get_ints(o, fi, sizeof fi / sizeof *fi, where, e)) ||
        (rc = json_get_int(&seq_start, o, "seq_start", OP_ROWS, seq, true, seq, where, e)) ||
        (rc = json_get_int(&c->start_steps, o, "start_steps", 0, c->schedule.steps, true, 0, where, e)) ||
        (rc = get_reals(c, o, run_reals, N_RUN, where, e)) ||
        (rc = json_get_str(&kind, o, "schedule", false, NULL, where, e)) || (rc = get_seed(c, o, where, e)) ||
        (rc = get_digest(&c->corpus_root, o, "corpus_root", where, e)) ||
        (rc = get_digest(&c->tokenizer, o, "tokenizer", where, e)))
        return rc;
    if (schedule_parse(&c->schedule.kind, kind) != 0)
        return err_set(e, ERR_FORMAT, "%s: schedule is \"%.40s\", expected wsd or cosine", where, kind);
    c->seq = (int)seq;
    c->seq_start = (int)seq_start;
    c->workers = (int)workers;
    rc = run_check(c, where, e);
    return rc ? rc : get_optim(c, o, where, e);
}

int run_read(struct run_config *c, const char *dir, struct err *e)
{
    struct buf path = {0};
    json_t *o = NULL;
    *c = (struct run_config){0};
    int rc = path_of(&path, dir, "config.json", e);
    if (rc == 0)
        rc = model_config_read(&c->model, path.p, e);
    if (rc == 0)
        rc = path_of(&path, dir, "run.json", e);
    if (rc == 0)
        rc = json_read(&o, path.p, 1 << 20, e);
    if (rc == 0)
        rc = read_run(c, o, path.p, e);
    json_decref(o);
    buf_release(&path);
    return rc;
}
