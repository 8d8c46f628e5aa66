#include "train/run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "data/corpus.h"
#include "kernels/kernels.h"
#include "nn/ops.h"

int64_t run_batch_rows(const struct run_config *c) { return c->batch_tokens / c->seq; }

static double pick(double asked, double dflt) { return asked > 0 ? asked : dflt; }

/* Seed when none is given: a function of what is trained on what, never one constant. */
static uint64_t derive_seed(const struct run_config *c)
{
    unsigned char b[8 + 64 + 16] = "run-seed";
    memcpy(b + 8, c->corpus_root.b, 32);
    memcpy(b + 40, c->tokenizer.b, 32);
    uint32_t shape[4] = {(uint32_t)c->model.d_model, (uint32_t)c->model.n_layer, (uint32_t)c->model.vocab,
                         (uint32_t)c->seq};
    memcpy(b + 72, shape, sizeof shape);
    struct digest d = sha256_of(b, sizeof b);
    uint64_t s = 0;
    for (int i = 0; i < 8; i++)
        s |= (uint64_t)d.b[i] << (8 * i);
    return s;
}

static int resolve_model(struct run_config *c, const struct run_request *r, struct err *e)
{
    if (r->config_path) {
        int rc = model_config_read(&c->model, r->config_path, e);
        if (rc)
            return rc;
        if (c->model.vocab < r->vocab)
            return err_set(e, ERR_VALUE, "%s: vocab_size is %d, but the tokenizer has %d tokens", r->config_path,
                           c->model.vocab, r->vocab);
        if (r->seq > c->model.max_pos)
            return err_set(e, ERR_VALUE, "--seq %d is longer than max_position_embeddings %d in %s", r->seq,
                           c->model.max_pos, r->config_path);
    } else {
        model_config_depth(&c->model, r->depth > 0 ? r->depth : 4, r->vocab, 0);
    }
    int wide = c->model.d_model > 512 ? 1024 : 512;
    c->seq = r->seq > 0 ? r->seq : wide;
    if (r->config_path && c->seq > c->model.max_pos)
        c->seq = c->model.max_pos;
    if (!r->config_path)
        c->model.max_pos = c->seq;
    if (c->seq % OP_ROWS)
        return err_set(e, ERR_VALUE, "--seq %d: the sequence length must be a multiple of %d", c->seq, OP_ROWS);
    if (r->untied)
        c->model.tied = false;
    c->model.bos = r->bos;
    c->model.eos = r->eos;
    return model_config_check(&c->model, r->config_path ? r->config_path : "--depth", e);
}

static int resolve_optim(struct run_config *c, const struct run_request *r, struct err *e)
{
    struct optim_config *o = &c->optim;
    enum optim_kind kind = OPTIM_MUON;
    c->schedule = (struct schedule){.warmup = 0.05, .decay = 0.6, .floor = 0.02};
    if (r->optimizer && optim_parse(&kind, r->optimizer) != 0)
        return err_set(e, ERR_USAGE, "--optimizer %s: expected muon or adamw", r->optimizer);
    if (r->schedule && schedule_parse(&c->schedule.kind, r->schedule) != 0)
        return err_set(e, ERR_USAGE, "--schedule %s: expected wsd or cosine", r->schedule);
    c->schedule.warmup = r->warmup >= 0 ? r->warmup : c->schedule.warmup;
    c->schedule.decay = r->decay >= 0 ? r->decay : c->schedule.decay;
    if (c->schedule.warmup + c->schedule.decay > 1)
        return err_set(e, ERR_VALUE, "--warmup %g and --decay %g: together more than the whole run",
                       c->schedule.warmup, c->schedule.decay);
    double narrow = sqrt(256.0 / c->model.d_model);
    *o = (struct optim_config){.kind = kind, .momentum = 0.95, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-10};
    o->lr_matrix = pick(r->lr_matrix, kind == OPTIM_MUON ? 0.02 : 1.5e-3 * narrow);
    o->lr_embed = pick(r->lr_embed, 3e-3 * narrow);
    o->lr_head = o->lr_embed;
    o->lr_gain = 3e-3;
    o->decay_matrix = r->weight_decay >= 0 ? r->weight_decay : (kind == OPTIM_MUON ? 0.05 : 0.1);
    o->decay_embed = 0;
    o->clip = r->clip >= 0 ? r->clip : 1;
    return 0;
}

int run_resolve_shape(struct run_config *c, const struct run_request *r, struct err *e)
{
    *c = (struct run_config){.corpus_root = r->corpus_root, .tokenizer = r->tokenizer};
    int rc = resolve_model(c, r, e);
    if (rc == 0)
        rc = resolve_optim(c, r, e);
    if (rc)
        return rc;
    c->workers = r->workers > 0 ? r->workers : 1;
    if (c->workers & (c->workers - 1))
        return err_set(e, ERR_VALUE, "--workers %d: the number of virtual workers must be a power of two", c->workers);
    c->heldout = r->heldout > 0 ? r->heldout : CORPUS_HELDOUT;
    c->seed = r->seed_given ? r->seed : derive_seed(c);
    return 0;
}

/* 2048 tokens at 4.3M tokens, growing with the square root of the run: the anchor is measured (docs/log.md),
 * the exponent lies between published fits (0.38) and constant noise scale (1). */
static int64_t recipe_batch(const struct run_config *c, double tokens)
{
    double want = 2048 * sqrt(tokens / 4.3e6);
    int64_t b = 2048;
    while ((double)b * 1.5 < want && b < 1 << 19)
        b *= 2;
    int64_t least = (int64_t)c->seq * c->workers;
    return b < least ? least : b / least * least;
}

static double wanted_tokens(const struct run_config *c, const struct run_request *r)
{
    if (r->flops > 0)
        return r->flops / model_flops_per_token(&c->model, c->seq);
    if (r->tokens > 0)
        return r->tokens;
    if (r->minutes > 0)
        return r->minutes * 60 * r->tokens_per_s;
    return 12.0 * (double)model_params_matmul(&c->model);
}

int run_resolve_length(struct run_config *c, const struct run_request *r, struct err *e)
{
    int given = (r->flops > 0) + (r->tokens > 0) + (r->minutes > 0) + (r->steps > 0);
    if (given > 1)
        return err_set(e, ERR_USAGE, "give one of --flops, --tokens, --steps and --minutes, not several");
    int64_t unit = (int64_t)c->seq * c->workers;
    double tokens = wanted_tokens(c, r);
    c->batch_tokens = r->batch_tokens > 0 ? r->batch_tokens : recipe_batch(c, r->steps > 0 ? 0 : tokens);
    if (c->batch_tokens % unit)
        return err_set(e, ERR_VALUE,
                       "--batch-tokens %" PRId64 " is not a multiple of sequence length × workers = %" PRId64,
                       c->batch_tokens, unit);
    c->schedule.steps = r->steps > 0 ? r->steps : (int64_t)(tokens / (double)c->batch_tokens);
    if (c->schedule.steps < 1)
        c->schedule.steps = 1;
    double all = (double)c->schedule.steps * (double)c->batch_tokens;
    double part = all / 100 < 16384 ? 16384 : all / 100 > 524288 ? 524288 : all / 100;
    c->eval_tokens = r->eval_tokens > 0 ? r->eval_tokens : (int64_t)part;
    c->eval_every = r->eval_every >= 0 ? r->eval_every : (c->schedule.steps + 9) / 10;
    return 0;
}

/* ---- files ---- */

static int path_of(struct buf *b, const char *dir, const char *name, struct err *e)
{
    return file_join(b, dir, name, e);
}

static json_t *hex64(uint64_t v)
{
    char s[24];
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
    return json_pack("{s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "kind", optim_name(o->kind), "lr_matrix",
                     o->lr_matrix, "lr_embed", o->lr_embed, "lr_head", o->lr_head, "lr_gain", o->lr_gain, "momentum",
                     o->momentum, "beta1", o->beta1, "beta2", o->beta2, "eps", o->eps, "decay_matrix",
                     o->decay_matrix, "decay_embed", o->decay_embed, "clip", o->clip);
}

int run_write(const struct run_config *c, const char *dir, struct err *e)
{
    struct buf path = {0};
    json_t *o = json_pack("{s:s,s:s,s:o,s:o,s:o,s:i,s:I,s:i,s:I,s:f,s:I,s:I,s:s,s:f,s:f,s:f,s:o}", "format",
                          "dokja-run-1", "profile", "T1", "seed", hex64(c->seed), "corpus_root",
                          hex256(&c->corpus_root), "tokenizer", hex256(&c->tokenizer), "seq", c->seq, "batch_tokens",
                          (json_int_t)c->batch_tokens, "workers", c->workers, "steps", (json_int_t)c->schedule.steps,
                          "heldout", c->heldout, "eval_tokens", (json_int_t)c->eval_tokens, "eval_every",
                          (json_int_t)c->eval_every, "schedule", schedule_name(c->schedule.kind), "warmup",
                          c->schedule.warmup, "decay", c->schedule.decay, "floor", c->schedule.floor, "optimizer",
                          optim_json(&c->optim));
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

static int get_seed(uint64_t *seed, const json_t *o, const char *where, struct err *e)
{
    const char *s;
    int used = 0;
    int rc = json_get_str(&s, o, "seed", false, NULL, where, e);
    if (rc == 0 && (sscanf(s, "0x%16" SCNx64 "%n", seed, &used) != 1 || s[used]))
        rc = err_set(e, ERR_FORMAT, "%s: seed is \"%.40s\", expected 0x and 16 hex digits", where, s);
    return rc;
}

struct field_int {
    const char *key;
    int64_t *dst, lo, hi;
};
struct field_real {
    const char *key;
    double *dst, lo, hi;
};

static int get_ints(const json_t *o, const struct field_int *f, size_t n, const char *where, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int rc = json_get_int(f[i].dst, o, f[i].key, f[i].lo, f[i].hi, false, 0, where, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int get_reals(const json_t *o, const struct field_real *f, size_t n, const char *where, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int rc = json_get_real(f[i].dst, o, f[i].key, f[i].lo, f[i].hi, false, 0, where, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int get_optim(struct optim_config *c, const json_t *run, const char *where, struct err *e)
{
    const char *kind;
    const json_t *o = json_object_get(run, "optimizer");
    if (!json_is_object(o))
        return err_set(e, ERR_FORMAT, "%s: optimizer is missing or not an object", where);
    int rc = json_get_str(&kind, o, "kind", false, NULL, where, e);
    if (rc == 0 && optim_parse(&c->kind, kind) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: optimizer.kind is \"%.40s\", expected muon or adamw", where, kind);
    const struct field_real f[] = {{"lr_matrix", &c->lr_matrix, 0, 100}, {"lr_embed", &c->lr_embed, 0, 100},
                                   {"lr_head", &c->lr_head, 0, 100}, {"lr_gain", &c->lr_gain, 0, 100},
                                   {"momentum", &c->momentum, 0, 1}, {"beta1", &c->beta1, 0, 1},
                                   {"beta2", &c->beta2, 0, 1}, {"eps", &c->eps, 0, 1},
                                   {"decay_matrix", &c->decay_matrix, 0, 100},
                                   {"decay_embed", &c->decay_embed, 0, 100}, {"clip", &c->clip, 0, 1e9}};
    return rc ? rc : get_reals(o, f, sizeof f / sizeof *f, where, e);
}

static int read_run(struct run_config *c, const json_t *o, const char *where, struct err *e)
{
    const char *format, *kind;
    int64_t seq = 0, workers = 0;
    int rc = json_get_str(&format, o, "format", false, NULL, where, e);
    if (rc == 0 && strcmp(format, "dokja-run-1") != 0)
        rc = err_set(e, ERR_FORMAT, "%s: format is \"%.40s\", expected dokja-run-1", where, format);
    const struct field_int fi[] = {{"seq", &seq, OP_ROWS, 1 << 20}, {"workers", &workers, 1, 1 << 16},
                                   {"batch_tokens", &c->batch_tokens, 1, 1LL << 40},
                                   {"steps", &c->schedule.steps, 1, 1LL << 40},
                                   {"eval_tokens", &c->eval_tokens, 1, 1LL << 40},
                                   {"eval_every", &c->eval_every, 0, 1LL << 40}};
    const struct field_real fr[] = {{"heldout", &c->heldout, 0, 1}, {"warmup", &c->schedule.warmup, 0, 1},
                                    {"decay", &c->schedule.decay, 0, 1}, {"floor", &c->schedule.floor, 0, 1}};
    if (rc || (rc = get_ints(o, fi, sizeof fi / sizeof *fi, where, e)) ||
        (rc = get_reals(o, fr, sizeof fr / sizeof *fr, where, e)) ||
        (rc = json_get_str(&kind, o, "schedule", false, NULL, where, e)) || (rc = get_seed(&c->seed, o, where, e)) ||
        (rc = get_digest(&c->corpus_root, o, "corpus_root", where, e)) ||
        (rc = get_digest(&c->tokenizer, o, "tokenizer", where, e)))
        return rc;
    if (schedule_parse(&c->schedule.kind, kind) != 0)
        return err_set(e, ERR_FORMAT, "%s: schedule is \"%.40s\", expected wsd or cosine", where, kind);
    c->seq = (int)seq;
    c->workers = (int)workers;
    if (seq % OP_ROWS || (workers & (workers - 1)) || c->batch_tokens % (seq * workers))
        return err_set(e, ERR_FORMAT, "%s: seq %d, workers %d and batch_tokens %" PRId64 " do not fit together", where,
                       c->seq, c->workers, c->batch_tokens);
    return get_optim(&c->optim, o, where, e);
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

static int differs(const char *dir, const char *what, double stored, double asked, struct err *e)
{
    return err_set(e, ERR_VALUE,
                   "%s/run.json: this run has %s %.10g and you ask for %.10g; give the same, or another --out", dir,
                   what, stored, asked);
}

int run_agrees(const struct run_config *c, const struct run_request *r, const char *dir, struct err *e)
{
    if (memcmp(&c->corpus_root, &r->corpus_root, sizeof r->corpus_root) != 0)
        return err_set(e, ERR_VALUE, "%s/run.json: this run was started on another corpus (corpus_root differs)", dir);
    if (memcmp(&c->tokenizer, &r->tokenizer, sizeof r->tokenizer) != 0)
        return err_set(e, ERR_VALUE, "%s/run.json: this run was started with another tokenizer", dir);
    const struct {
        const char *what;
        double stored, asked;
    } f[] = {{"depth", c->model.n_layer, r->config_path ? 0 : r->depth}, {"seq", c->seq, r->seq},
             {"workers", c->workers, r->workers}, {"batch_tokens", (double)c->batch_tokens, (double)r->batch_tokens},
             {"steps", (double)c->schedule.steps, (double)r->steps},
             {"lr", c->optim.lr_matrix, r->lr_matrix}, {"embedding lr", c->optim.lr_embed, r->lr_embed},
             {"held-out fraction", c->heldout, r->heldout},
             {"seed", (double)c->seed, r->seed_given ? (double)r->seed : 0}};
    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        if (f[i].asked > 0 && f[i].stored != f[i].asked)
            return differs(dir, f[i].what, f[i].stored, f[i].asked, e);
    if (r->seed_given && r->seed != c->seed)
        return differs(dir, "seed", (double)c->seed, (double)r->seed, e);
    if (r->tokens > 0 || r->flops > 0) {
        struct run_config want = *c;
        int rc = run_resolve_length(
            &want,
            &(struct run_request){
                .flops = r->flops, .tokens = r->tokens, .batch_tokens = c->batch_tokens, .eval_every = -1},
            e);
        if (rc)
            return rc;
        if (want.schedule.steps != c->schedule.steps)
            return differs(dir, "steps", (double)c->schedule.steps, (double)want.schedule.steps, e);
    }
    if (r->optimizer && strcmp(r->optimizer, optim_name(c->optim.kind)) != 0)
        return err_set(e, ERR_VALUE, "%s/run.json: this run's optimizer is %s, you ask for %s", dir,
                       optim_name(c->optim.kind), r->optimizer);
    return 0;
}
