#include "train/agree.h"

#include <inttypes.h>
#include <string.h>

#define GIVE_THE_SAME "give the same, or another --out"

/* A figure that an option sets. */
struct figure {
    const char *name;
    bool said;
    double stored, asked;
};

static int compare(const struct figure *f, size_t n, const char *dir, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (f[i].said && f[i].stored != f[i].asked)
            return err_set(e, ERR_VALUE, "%s/run.json: this run has --%s %.10g and you ask for %.10g; " GIVE_THE_SAME,
                           dir, f[i].name, f[i].stored, f[i].asked);
    return 0;
}

/* ---- the model ---- */

struct fact {
    const char *key;
    double stored, asked;
};

static int compare_facts(const struct fact *f, size_t n, const char *dir, const char *path, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (f[i].stored != f[i].asked)
            return err_set(e, ERR_VALUE, "%s/config.json: this run has %s %.10g and --config %s says %.10g; "
                           GIVE_THE_SAME, dir, f[i].key, f[i].stored, path, f[i].asked);
    return 0;
}

/* Tokens that begin and end a text are the tokenizer's, whatever a config.json says of them. */
static int config_agrees(const struct model_config *m, const struct run_request *r, const char *dir, struct err *e)
{
    struct model_config a;
    int rc = model_config_read(&a, r->config_path, e);
    if (rc)
        return rc;
    if (r->untied)
        a.tied = false;
    if (strcmp(m->arch, a.arch) != 0)
        return err_set(e, ERR_VALUE, "%s/config.json: this run is a %s and --config %s says %s; " GIVE_THE_SAME, dir,
                       m->arch, r->config_path, a.arch);
    const struct fact f[] = {{"vocab_size", m->vocab, a.vocab},
                             {"hidden_size", m->d_model, a.d_model},
                             {"num_hidden_layers", m->n_layer, a.n_layer},
                             {"max_position_embeddings", m->max_pos, a.max_pos},
                             {"tie_word_embeddings", m->tied, a.tied},
                             {"rms_norm_eps", m->norm_eps, a.norm_eps},
                             {"rope_theta", m->rope_theta, a.rope_theta}};
    rc = compare_facts(f, sizeof f / sizeof *f, dir, r->config_path, e);
    for (int i = 0; i < m->n_layer && rc == 0; i++) {
        const struct layer_facts *s = &m->layer[i], *b = &a.layer[i];
        const struct fact l[] = {{"num_attention_heads", s->n_head, b->n_head},
                                 {"num_key_value_heads", s->n_kv, b->n_kv},
                                 {"head_dim", s->d_head, b->d_head},
                                 {"intermediate_size", s->d_ff, b->d_ff},
                                 {"sliding_window", s->window, b->window}};
        rc = compare_facts(l, sizeof l / sizeof *l, dir, r->config_path, e);
    }
    return rc;
}

static int model_agrees(const struct model_config *m, const struct run_request *r, const char *dir, struct err *e)
{
    if (r->config_path) {
        int rc = config_agrees(m, r, dir, e);
        if (rc)
            return rc;
    } else if (r->depth > 0 && (m->n_layer != r->depth || m->d_model != 64 * r->depth)) {
        return err_set(e, ERR_VALUE, "%s/run.json: this run has %d layers of width %d and --depth %d means %d of %d; "
                       GIVE_THE_SAME, dir, m->n_layer, m->d_model, r->depth, r->depth, 64 * r->depth);
    }
    if (r->untied && m->tied)
        return err_set(e, ERR_VALUE, "%s/run.json: this run has one table for embedding and head and you ask for "
                       "--untied; " GIVE_THE_SAME, dir);
    return 0;
}

/* ---- the rest ---- */

static int kinds_agree(const struct run_config *c, const struct run_request *r, const char *dir, struct err *e)
{
    enum optim_kind optim = c->optim.kind;
    enum schedule_kind schedule = c->schedule.kind;
    int rc = run_request_kinds(r, &optim, &schedule, e);
    if (rc)
        return rc;
    if (optim != c->optim.kind)
        return err_set(e, ERR_VALUE, "%s/run.json: this run has --optimizer %s and you ask for %s; " GIVE_THE_SAME,
                       dir, optim_name(c->optim.kind), optim_name(optim));
    if (schedule != c->schedule.kind)
        return err_set(e, ERR_VALUE, "%s/run.json: this run has --schedule %s and you ask for %s; " GIVE_THE_SAME,
                       dir, schedule_name(c->schedule.kind), schedule_name(schedule));
    if (r->int8 && c->profile != PROFILE_T2)
        return err_set(e, ERR_VALUE, "%s/run.json: this run's profile is %s, you ask for %s (--int8); " GIVE_THE_SAME,
                       dir, profile_name(c->profile), profile_name(PROFILE_T2));
    return 0;
}

/* Tokens and compute mean steps. */
static int length_agrees(const struct run_config *c, const struct run_request *r, const char *dir, struct err *e)
{
    struct run_config want = *c;
    struct run_request length = {.flops = r->flops, .tokens = r->tokens, .seq_switch = r->seq_switch,
                                 .batch_tokens = c->batch_tokens, .eval_every = -1};
    if (!(r->tokens > 0 || r->flops > 0))
        return 0;
    int rc = run_resolve_length(&want, &length, e);
    if (rc == 0 && want.schedule.steps != c->schedule.steps)
        rc = err_set(e, ERR_VALUE, "%s/run.json: this run has %" PRId64 " steps and --%s %.10g means %" PRId64 "; "
                     GIVE_THE_SAME, dir, c->schedule.steps, r->flops > 0 ? "flops" : "tokens",
                     r->flops > 0 ? r->flops : r->tokens, want.schedule.steps);
    return rc;
}

static int seed_agrees(const struct run_config *c, const struct run_request *r, const char *dir, struct err *e)
{
    if (!r->seed_given || (r->seed == c->seed && !c->seed_awaited))
        return 0;
    if (c->seed_awaited)
        return err_set(e, ERR_VALUE, "%s/run.json: this run's seed will be made of a beacon and you ask for --seed "
                       "0x%016" PRIx64 "; give --beacon VALUE, or another --out", dir, r->seed);
    return err_set(e, ERR_VALUE, "%s/run.json: this run has --seed 0x%016" PRIx64 " and you ask for 0x%016" PRIx64
                   "; " GIVE_THE_SAME, dir, c->seed, r->seed);
}

int run_agrees(const struct run_config *c, const struct run_request *r, const char *dir, struct err *e)
{
    if (memcmp(&c->corpus_root, &r->corpus_root, sizeof r->corpus_root) != 0)
        return err_set(e, ERR_VALUE, "%s/run.json: this run was started on another corpus (corpus_root differs)", dir);
    if (memcmp(&c->tokenizer, &r->tokenizer, sizeof r->tokenizer) != 0)
        return err_set(e, ERR_VALUE, "%s/run.json: this run was started with another tokenizer", dir);
    const double steps = (double)c->schedule.steps;
    const bool shorter = r->seq <= 0 && r->seq_start > c->seq && c->seq_start == c->seq;   /* run_fit_text's doing */
    const struct figure shape[] = {{"seq", r->seq > 0, c->seq, r->seq},
                                   {"seq-start", r->seq_start > 0 && !shorter, c->seq_start, r->seq_start},
                                   {"workers", r->workers > 0, c->workers, r->workers},
                                   {"batch-tokens", r->batch_tokens > 0, (double)c->batch_tokens,
                                    (double)r->batch_tokens},
                                   {"steps", r->steps > 0, steps, (double)r->steps},
                                   {"heldout", r->heldout > 0, c->heldout, r->heldout}};
    const struct figure rates[] = {
        {"lr", r->lr_matrix > 0, c->optim.lr_matrix, r->lr_matrix},
        {"lr-embed", r->lr_embed > 0, c->optim.lr_embed, r->lr_embed},
        {"weight-decay", r->weight_decay >= 0, c->optim.decay_matrix, r->weight_decay},
        {"clip", r->clip >= 0, c->optim.clip, r->clip},
        {"warmup", r->warmup >= 0, c->schedule.warmup, r->warmup},
        {"decay", r->decay >= 0, c->schedule.decay, r->decay},
        {"eval-every", r->eval_every >= 0, (double)c->eval_every, (double)r->eval_every},
        {"eval-tokens", r->eval_tokens > 0, (double)c->eval_tokens, (double)r->eval_tokens},
        {"eval-tokens (of the last evaluation)", r->eval_tokens > 0, (double)c->final_eval_tokens,
         (double)r->eval_tokens}};
    /* Of the fraction whole steps are stored, and none where no row is short. */
    const int64_t start_steps = c->seq_start < c->seq ? (int64_t)(r->seq_switch * steps) : 0;
    const struct figure at_switch = {"seq-switch", r->seq_switch > 0 && c->start_steps != start_steps,
                                     (double)c->start_steps / steps, r->seq_switch};
    int rc;
    if ((rc = model_agrees(&c->model, r, dir, e)) || (rc = compare(shape, sizeof shape / sizeof *shape, dir, e)) ||
        (rc = length_agrees(c, r, dir, e)) || (rc = compare(&at_switch, 1, dir, e)) ||
        (rc = kinds_agree(c, r, dir, e)) || (rc = compare(rates, sizeof rates / sizeof *rates, dir, e)))
        return rc;
    return seed_agrees(c, r, dir, e);
}
