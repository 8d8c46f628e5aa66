#include "train/recipe.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "data/corpus.h"
#include "kernels/kernels.h"
#include "nn/ops.h"

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

/* ---- the shape a budget deserves ---- */

/* 2^(e·log2(x)) by the profile's own functions: every machine chooses the same shape. */
static double power(double x, double e) { return t1_pow_f64(x, e); }

double recipe_params(double flops) { return 1.6e6 * power(flops / 1e14, 0.5); }

int recipe_vocab(double flops)
{
    double want = 4096 * power(flops / 1e14, 0.25);
    int v = 1024;
    while (v * 1.41421356 < want && v < 1 << 17)
        v *= 2;
    return v;
}

static void shape_at(struct model_config *c, int width, int vocab)
{
    int depth = width / 64 < 3 ? 3 : width / 64;
    model_config_shape(c, depth, width, vocab, 0);
}

/* The width, a multiple of 64, whose parameter count is nearest in ratio to the recipe's. */
static void shape_for(struct model_config *c, double flops, int vocab)
{
    double want = recipe_params(flops);
    int width = 64;
    for (; width < 64 * 128; width += 64) {
        shape_at(c, width + 64, vocab);
        double above = (double)model_params_matmul(c);
        shape_at(c, width, vocab);
        if (above * (double)model_params_matmul(c) > want * want)
            break;
    }
    shape_at(c, width, vocab);
}

/* The rows a run ends with.  It begins with rows of half that: they are cheaper, a batch of them is more varied, and
 * what is learned first is near. */
static const double SHORT_SHARE = 0.7;
static int seq_for(double flops) { return flops < 1e17 ? 512 : 1024; }

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
            return err_set(e, ERR_USAGE, "--seq %d is longer than max_position_embeddings %d in %s", r->seq,
                           c->model.max_pos, r->config_path);
    } else if (r->depth > 0 || r->budget <= 0) {
        model_config_depth(&c->model, r->depth > 0 ? r->depth : 4, r->vocab, 0);
    } else {
        shape_for(&c->model, r->budget, r->vocab);
    }
    bool fits = r->depth <= 0 && !r->config_path && r->budget > 0;
    int usual = fits ? seq_for(r->budget) : c->model.d_model > 512 ? 1024 : 512;
    c->seq = r->seq > 0 ? r->seq : usual;
    if (r->config_path && c->seq > c->model.max_pos)
        c->seq = c->model.max_pos;
    c->seq_start = r->seq_start > 0 ? r->seq_start : r->seq <= 0 && fits ? c->seq / 2 : c->seq;
    if (!r->config_path)
        c->model.max_pos = c->seq;
    const int unit = run_row_unit(c->profile);
    const char *why = r->int8 ? ", the tokens of a group of 8-bit integers" : "";
    if (c->seq % unit && r->config_path && r->seq <= 0)
        return err_set(e, ERR_VALUE, "%s: max_position_embeddings is %d, expected a multiple of %d%s, or give --seq",
                       r->config_path, c->seq, unit, why);
    if (c->seq % unit)
        return err_set(e, ERR_USAGE, "--seq %d: the sequence length must be a multiple of %d%s", c->seq, unit, why);
    if (c->seq % c->seq_start || c->seq_start % unit)
        return err_set(e, ERR_USAGE,
                       "--seq-start %d: expected a divisor of the sequence length %d and a multiple of %d%s",
                       c->seq_start, c->seq, unit, why);
    if (r->untied)
        c->model.tied = false;
    c->model.bos = r->bos;
    c->model.eos = r->eos;
    return model_config_check(&c->model, r->config_path ? r->config_path : "--depth", e);
}

int run_request_kinds(const struct run_request *r, enum optim_kind *optim, enum schedule_kind *schedule,
                      struct err *e)
{
    if (r->optimizer && optim_parse(optim, r->optimizer) != 0)
        return err_set(e, ERR_USAGE, "--optimizer %s: expected normuon, muon or adamw", r->optimizer);
    if (r->schedule && schedule_parse(schedule, r->schedule) != 0)
        return err_set(e, ERR_USAGE, "--schedule %s: expected wsd or cosine", r->schedule);
    return 0;
}

static int resolve_optim(struct run_config *c, const struct run_request *r, struct err *e)
{
    struct optim_config *o = &c->optim;
    enum optim_kind kind = OPTIM_NORMUON;
    c->schedule = (struct schedule){.warmup = 0.05, .decay = 0.6, .floor = 0.02};
    int rc = run_request_kinds(r, &kind, &c->schedule.kind, e);
    if (rc)
        return rc;
    c->schedule.warmup = r->warmup >= 0 ? r->warmup : c->schedule.warmup;
    c->schedule.decay = r->decay >= 0 ? r->decay : c->schedule.decay;
    if (c->schedule.warmup + c->schedule.decay > 1)
        return err_set(e, ERR_USAGE, "--warmup %g and --decay %g: together more than the whole run",
                       c->schedule.warmup, c->schedule.decay);
    double narrow = sqrt(256.0 / c->model.d_model);
    bool muon = kind != OPTIM_ADAMW;
    *o = (struct optim_config){.kind = kind, .momentum = 0.9, .beta1 = 0.9, .beta2 = muon ? 0.99 : 0.95, .eps = 1e-10,
                               .beta2_row = kind == OPTIM_NORMUON ? 0.95 : 0};
    o->lr_matrix = pick(r->lr_matrix, muon ? 0.02 : 1.5e-3 * narrow);
    o->lr_embed = pick(r->lr_embed, 6e-3 * narrow);
    o->lr_head = o->lr_embed;
    o->lr_gain = 3e-3;
    o->decay_matrix = r->weight_decay >= 0 ? r->weight_decay : muon ? 0.05 : 0.1;
    o->decay_embed = 0;
    o->clip = r->clip >= 0 ? r->clip : 1;
    return 0;
}

uint64_t recipe_heldout_used(const struct run_config *c, uint64_t heldout)
{
    uint64_t most = c->final_eval_tokens > c->seq ? (uint64_t)c->final_eval_tokens : (uint64_t)c->seq;
    return heldout < most ? heldout : most;
}

double recipe_heldout_chance(uint64_t tokens) { return 2 * 1.3 / sqrt((double)(tokens > 0 ? tokens : 1)); }

int run_resolve_shape(struct run_config *c, const struct run_request *r, struct err *e)
{
    *c = (struct run_config){.profile = r->int8 ? PROFILE_T2 : PROFILE_T1, .corpus_root = r->corpus_root,
                             .tokenizer = r->tokenizer};
    int rc = resolve_model(c, r, e);
    if (rc == 0)
        rc = resolve_optim(c, r, e);
    if (rc)
        return rc;
    c->workers = r->workers > 0 ? r->workers : 1;
    if (c->workers & (c->workers - 1))
        return err_set(e, ERR_USAGE, "--workers %d: the number of virtual workers must be a power of two", c->workers);
    c->heldout = r->heldout > 0 ? r->heldout : CORPUS_HELDOUT;
    c->seed = r->seed_given ? r->seed : derive_seed(c);
    return 0;
}

void run_fit_text(struct run_config *c, const struct run_request *r, uint64_t text_tokens)
{
    enum { LEAST = 64 };
    const int unit = run_row_unit(c->profile);
    while (r->seq <= 0 && c->seq > LEAST && c->seq % (2 * unit) == 0 && text_tokens < (uint64_t)c->seq + 1) {
        c->seq /= 2;
        c->seq_start = c->seq % c->seq_start ? c->seq : c->seq_start;
        if (!r->config_path)
            c->model.max_pos = c->seq;
    }
}

/* 2048 tokens at 6M tokens, measured (docs/log.md); how it grows, 0.38, is what published fits agree on. */
static int64_t recipe_batch(const struct run_config *c, double tokens)
{
    double want = tokens > 0 ? 2048 * power(tokens / 6e6, 0.38) : 0;
    int64_t b = 512;
    while ((double)b * 1.5 < want && b < 1 << 19)
        b *= 2;
    int64_t least = (int64_t)c->seq * c->workers;
    return b < least ? least : b / least * least;
}

/* Hashing a state costs 12 bytes a parameter, training 6 FLOPs a parameter and token: with 40960 tokens between two
 * states the ledger's share is below 1 % whatever the size (bench/RESULTS.md).  Very long runs have longer ones, so
 * that a ledger stays below 16384 of them. */
static int64_t segment_steps(const struct run_config *c)
{
    int64_t tokens = (40960 + c->batch_tokens - 1) / c->batch_tokens, most = (c->schedule.steps + 16383) / 16384;
    return tokens > most ? tokens : most;
}

static double wanted_tokens(const struct run_config *c, const struct run_request *r, double short_share)
{
    if (r->flops > 0)
        return r->flops / (short_share * model_flops_per_token(&c->model, c->seq_start) +
                           (1 - short_share) * model_flops_per_token(&c->model, c->seq));
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
    double short_share = c->seq_start < c->seq ? pick(r->seq_switch, SHORT_SHARE) : 0;
    double tokens = wanted_tokens(c, r, short_share);
    c->batch_tokens = r->batch_tokens > 0 ? r->batch_tokens : recipe_batch(c, r->steps > 0 ? 0 : tokens);
    if (c->batch_tokens % unit)
        return err_set(e, ERR_USAGE,
                       "--batch-tokens %" PRId64 " is not a multiple of sequence length × workers = %" PRId64,
                       c->batch_tokens, unit);
    double steps = r->steps > 0 ? (double)r->steps : tokens / (double)c->batch_tokens;
    if (!(steps <= 0x1p40 && steps * (double)c->batch_tokens <= 0x1p60)) /* as run_check has it */
        return err_set(e, ERR_USAGE, "%.4g steps of %" PRId64 " tokens are more than can be counted, at most 2^40 "
                       "steps and 2^60 tokens: give a shorter length or another --batch-tokens", steps,
                       c->batch_tokens);
    c->schedule.steps = r->steps > 0 ? r->steps : (int64_t)steps;
    if (c->schedule.steps < 1)
        c->schedule.steps = 1;
    c->start_steps = (int64_t)(short_share * (double)c->schedule.steps);
    c->segment_steps = segment_steps(c);
    double all = (double)c->schedule.steps * (double)c->batch_tokens;
    double part = all / 100 < 16384 ? 16384 : all / 100 > 524288 ? 524288 : all / 100;
    c->eval_tokens = r->eval_tokens > 0 ? r->eval_tokens : (int64_t)part;
    /* The last one decides: up to a thirtieth of the run's tokens, one percent of its work. */
    int64_t last = (int64_t)(all / 30 < 4e6 ? all / 30 : 4e6);
    c->final_eval_tokens = r->eval_tokens > 0 || last < c->eval_tokens ? c->eval_tokens : last;
    c->eval_every = r->eval_every >= 0 ? r->eval_every : (c->schedule.steps + 9) / 10;
    return 0;
}
