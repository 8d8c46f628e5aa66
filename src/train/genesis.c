#include "train/genesis.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- tables of numbers: what is written is what is read ---- */

enum field_type { COUNT, LENGTH, INT, REAL, BOOL };   /* uint64_t, int64_t, int, double, bool */
struct field {
    const char *key;
    enum field_type type;
    size_t at;
};
struct fields {
    const struct field *f;
    size_t n;
};
#define TABLE(f) {f, sizeof f / sizeof *f}

#define AT(member) offsetof(struct genesis, member)
static const struct field text_field[] = {
    {"corpus_docs", COUNT, AT(corpus_docs)},   {"corpus_bytes", COUNT, AT(corpus_bytes)},
    {"train_docs", COUNT, AT(train_docs)},     {"train_tokens", COUNT, AT(train_tokens)},
    {"heldout_docs", COUNT, AT(heldout_docs)}, {"heldout_tokens", COUNT, AT(heldout_tokens)}};
#undef AT
#define AT(member) offsetof(struct model_config, member)
static const struct field model_field[] = {
    {"vocab", INT, AT(vocab)},         {"d_model", INT, AT(d_model)},        {"max_pos", INT, AT(max_pos)},
    {"tied", BOOL, AT(tied)},          {"norm_eps", REAL, AT(norm_eps)},     {"rope_theta", REAL, AT(rope_theta)},
    {"bos", INT, AT(bos)},             {"eos", INT, AT(eos)},                {"n_layer", INT, AT(n_layer)}};
#undef AT
#define AT(member) offsetof(struct layer_facts, member)
static const struct field layer_field[] = {
    {"n_head", INT, AT(n_head)}, {"n_kv", INT, AT(n_kv)},      {"d_head", INT, AT(d_head)},  {"d_ff", INT, AT(d_ff)},
    {"window", INT, AT(window)}, {"qk_norm", BOOL, AT(qk_norm)}, {"rope", BOOL, AT(rope)}};
#undef AT
#define AT(member) offsetof(struct run_config, member)
static const struct field run_field[] = {
    {"heldout", REAL, AT(heldout)},           {"seq", INT, AT(seq)},
    {"seq_start", INT, AT(seq_start)},        {"start_steps", LENGTH, AT(start_steps)},
    {"batch_tokens", LENGTH, AT(batch_tokens)}, {"workers", INT, AT(workers)},
    {"steps", LENGTH, AT(schedule.steps)},    {"segment_steps", LENGTH, AT(segment_steps)},
    {"warmup", REAL, AT(schedule.warmup)},    {"decay", REAL, AT(schedule.decay)},
    {"floor", REAL, AT(schedule.floor)},      {"final_eval_tokens", LENGTH, AT(final_eval_tokens)}};
#undef AT
#define AT(member) offsetof(struct optim_config, member)
static const struct field optim_field[] = {
    {"lr_matrix", REAL, AT(lr_matrix)},   {"lr_embed", REAL, AT(lr_embed)},         {"lr_head", REAL, AT(lr_head)},
    {"lr_gain", REAL, AT(lr_gain)},       {"momentum", REAL, AT(momentum)},         {"beta1", REAL, AT(beta1)},
    {"beta2", REAL, AT(beta2)},           {"eps", REAL, AT(eps)},                   {"beta2_row", REAL, AT(beta2_row)},
    {"decay_matrix", REAL, AT(decay_matrix)}, {"decay_embed", REAL, AT(decay_embed)}, {"clip", REAL, AT(clip)}};
#undef AT

static const struct fields text_fields = TABLE(text_field), model_fields = TABLE(model_field),
                           layer_fields = TABLE(layer_field), run_fields = TABLE(run_field),
                           optim_fields = TABLE(optim_field);

static int field_write(struct buf *b, const struct field *f, const void *p, struct err *e)
{
    switch (f->type) {
    case COUNT: return lines_add_count(b, f->key, *(const uint64_t *)p, e);
    case LENGTH: return lines_add_count(b, f->key, (uint64_t)*(const int64_t *)p, e);
    case INT: return lines_add_count(b, f->key, (uint64_t)*(const int *)p, e);
    case BOOL: return lines_add_count(b, f->key, *(const bool *)p, e);
    case REAL: return lines_add_real(b, f->key, *(const double *)p, e);
    }
    return 0;
}

static int fields_write(struct buf *b, const struct fields *f, const void *base, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < f->n && rc == 0; i++)
        rc = field_write(b, &f->f[i], (const char *)base + f->f[i].at, e);
    return rc;
}

static int real_read(const struct field *f, double *v, struct lines *t, struct err *e)
{
    int rc = lines_take_real(t, f->key, v, e);
    if (rc == 0 && !(fabs(*v) <= 1e18))
        rc = err_set(e, ERR_FORMAT, "%s: %s is %g, expected a number of at most 1e18", t->where, f->key, *v);
    return rc;
}

static int field_read(const struct field *f, void *p, struct lines *t, struct err *e)
{
    static const uint64_t most[] = {[COUNT] = UINT64_MAX, [LENGTH] = 1ULL << 40, [INT] = INT32_MAX, [BOOL] = 1};
    uint64_t n = 0;
    if (f->type == REAL)
        return real_read(f, p, t, e);
    int rc = lines_take_count(t, f->key, &n, e);
    if (rc)
        return rc;
    if (n > most[f->type])
        return err_set(e, ERR_FORMAT, "%s: %s is %" PRIu64 ", expected at most %" PRIu64, t->where, f->key, n,
                       most[f->type]);
    if (f->type == COUNT)
        *(uint64_t *)p = n;
    else if (f->type == LENGTH)
        *(int64_t *)p = (int64_t)n;
    else if (f->type == INT)
        *(int *)p = (int)n;
    else
        *(bool *)p = n != 0;
    return 0;
}

static int fields_read(const struct fields *f, void *base, struct lines *t, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < f->n && rc == 0; i++)
        rc = field_read(&f->f[i], (char *)base + f->f[i].at, t, e);
    return rc;
}

/* ---- GENESIS ---- */

static int write_head(struct buf *b, const struct genesis *g, enum profile profile, struct err *e)
{
    struct digest key;
    int rc;
    memcpy(key.b, g->key.b, sizeof key.b);
    if ((rc = lines_add(b, "spec", GENESIS_SPEC, e)) || (rc = lines_add(b, "profile", profile_name(profile), e)) ||
        (rc = lines_add_digest(b, "selftest", &g->selftest, e)) ||
        (rc = lines_add_digest(b, "source", &g->source, e)) || (rc = lines_add(b, "compiler", g->compiler, e)) ||
        (rc = lines_add(b, "holder", g->holder, e)) || (rc = lines_add(b, "created", g->created, e)) ||
        (rc = lines_add_digest(b, "key", &key, e)) || (rc = lines_add(b, "beacon", g->beacon, e)) ||
        (rc = lines_add_count(b, "ancestors", (uint64_t)g->n_ancestors, e)))
        return rc;
    for (int i = 0; i < g->n_ancestors && rc == 0; i++)
        rc = lines_add_digest(b, "ancestor", &g->ancestor[i], e);
    return rc;
}

int genesis_text(struct buf *b, const struct genesis *g, const struct run_config *c, struct err *e)
{
    int rc = write_head(b, g, c->profile, e);
    if (rc || (rc = lines_add_digest(b, "corpus_root", &c->corpus_root, e)) ||
        (rc = lines_add_digest(b, "tokenizer", &c->tokenizer, e)) || (rc = fields_write(b, &text_fields, g, e)) ||
        (rc = lines_add(b, "arch", c->model.arch, e)) || (rc = fields_write(b, &model_fields, &c->model, e)))
        return rc;
    for (int i = 0; i < c->model.n_layer && rc == 0; i++)
        rc = fields_write(b, &layer_fields, &c->model.layer[i], e);
    if (rc == 0)
        rc = fields_write(b, &run_fields, c, e);
    if (rc == 0)
        rc = lines_add(b, "schedule", schedule_name(c->schedule.kind), e);
    if (rc == 0)
        rc = lines_add(b, "optimizer", optim_name(c->optim.kind), e);
    return rc ? rc : fields_write(b, &optim_fields, &c->optim, e);
}

/* A line that can only say one thing. */
static int take_word(struct lines *t, const char *key, const char *want, struct err *e)
{
    char got[GENESIS_TEXT];
    int rc = lines_take_text(got, sizeof got, t, key, e);
    if (rc == 0 && strcmp(got, want) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: %s is %.60s, expected %s", t->where, key, got, want);
    return rc;
}

static int read_profile(enum profile *p, struct lines *t, struct err *e)
{
    char got[GENESIS_TEXT];
    int rc = lines_take_text(got, sizeof got, t, "profile", e);
    if (rc == 0 && profile_parse(p, got) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: profile is %.60s, expected T1 or T2", t->where, got);
    return rc;
}

static int read_head(struct genesis *g, enum profile *profile, struct lines *t, struct err *e)
{
    struct digest key;
    uint64_t n = 0;
    int rc;
    if ((rc = take_word(t, "spec", GENESIS_SPEC, e)) || (rc = read_profile(profile, t, e)) ||
        (rc = lines_take_digest(t, "selftest", &g->selftest, e)) ||
        (rc = lines_take_digest(t, "source", &g->source, e)) ||
        (rc = lines_take_text(g->compiler, sizeof g->compiler, t, "compiler", e)) ||
        (rc = lines_take_text(g->holder, sizeof g->holder, t, "holder", e)) ||
        (rc = lines_take_text(g->created, sizeof g->created, t, "created", e)) ||
        (rc = lines_take_digest(t, "key", &key, e)) ||
        (rc = lines_take_text(g->beacon, sizeof g->beacon, t, "beacon", e)) ||
        (rc = lines_take_count(t, "ancestors", &n, e)))
        return rc;
    memcpy(g->key.b, key.b, sizeof key.b);
    if (n > GENESIS_MAX_ANCESTORS)
        return err_set(e, ERR_LIMIT, "%s: ancestors is %" PRIu64 ", expected at most %d", t->where, n,
                       GENESIS_MAX_ANCESTORS);
    g->n_ancestors = (int)n;
    for (int i = 0; i < g->n_ancestors && rc == 0; i++)
        rc = lines_take_digest(t, "ancestor", &g->ancestor[i], e);
    return rc;
}

static int read_model(struct model_config *m, struct lines *t, struct err *e)
{
    int rc = lines_take_text(m->arch, sizeof m->arch, t, "arch", e);
    if (rc == 0)
        rc = fields_read(&model_fields, m, t, e);
    if (rc == 0 && (m->n_layer < 1 || m->n_layer > MODEL_MAX_LAYERS))
        rc = err_set(e, ERR_LIMIT, "%s: n_layer is %d, expected 1 to %d", t->where, m->n_layer, MODEL_MAX_LAYERS);
    for (int i = 0; rc == 0 && i < m->n_layer; i++)
        rc = fields_read(&layer_fields, &m->layer[i], t, e);
    return rc ? rc : model_config_check(m, t->where, e);
}

static int read_kinds(struct run_config *c, struct lines *t, struct err *e)
{
    char name[GENESIS_TEXT];
    int rc = lines_take_text(name, sizeof name, t, "schedule", e);
    if (rc == 0 && schedule_parse(&c->schedule.kind, name) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: schedule is %.40s, expected wsd or cosine", t->where, name);
    if (rc == 0)
        rc = lines_take_text(name, sizeof name, t, "optimizer", e);
    if (rc == 0 && optim_parse(&c->optim.kind, name) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: optimizer is %.40s, expected normuon, muon or adamw", t->where, name);
    return rc;
}

int genesis_read(struct genesis *g, struct run_config *c, struct lines *t, struct err *e)
{
    *g = (struct genesis){0};
    *c = (struct run_config){0};
    int rc = read_head(g, &c->profile, t, e);
    if (rc || (rc = lines_take_digest(t, "corpus_root", &c->corpus_root, e)) ||
        (rc = lines_take_digest(t, "tokenizer", &c->tokenizer, e)) || (rc = fields_read(&text_fields, g, t, e)) ||
        (rc = read_model(&c->model, t, e)) || (rc = fields_read(&run_fields, c, t, e)) ||
        (rc = read_kinds(c, t, e)) || (rc = fields_read(&optim_fields, &c->optim, t, e)) || (rc = lines_end(t, e)))
        return rc;
    return run_check(c, t->where, e);
}

/* ---- BEACON ---- */

uint64_t beacon_seed(const struct digest *genesis, const char *value)
{
    uint64_t seed = 0;
    struct digest d = sha256_parts((struct hash_part[]){{"run-seed", 8}, {genesis->b, sizeof genesis->b},
                                                        {value, strlen(value)}}, 3);
    for (int i = 7; i >= 0; i--)
        seed = seed << 8 | d.b[i];
    return seed;
}

int beacon_text(struct buf *b, const struct beacon *v, struct err *e)
{
    int rc = lines_add(b, "source", v->source, e);
    if (rc == 0)
        rc = lines_add(b, "value", v->value, e);
    return rc ? rc : lines_add_count(b, "seed", v->seed, e);
}

int beacon_read(struct beacon *v, struct lines *t, struct err *e)
{
    int rc = lines_take_text(v->source, sizeof v->source, t, "source", e);
    if (rc == 0)
        rc = lines_take_text(v->value, sizeof v->value, t, "value", e);
    if (rc == 0)
        rc = lines_take_count(t, "seed", &v->seed, e);
    return rc ? rc : lines_end(t, e);
}
