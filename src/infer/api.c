/* include/dokja.h over the rooms of this library. */
#include "dokja.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "infer/generate.h"
#include "infer/session.h"

enum { PREFILL_ROWS = 256 };

struct dk_model {
    struct nn nn;
    struct infer_model *m;
};

struct dk_context {
    struct session *s;
    struct dk_model *model;
};

/* Hands a sentence over; returns its code. */
static int report(struct dk_error *out, const struct err *e, int code)
{
    if (out && code < 0) {
        out->code = code;
        snprintf(out->message, sizeof out->message, "%s", e->msg);
    }
    return code;
}

int dk_model_open(struct dk_model **model, const char *path, int threads, struct dk_error *error)
{
    struct err e = {0};
    const char *bad;
    struct dk_model *m = mem_new(1, sizeof *m);
    *model = NULL;
    if (!m)
        return report(error, &e, err_set(&e, ERR_NOMEM, "%s: out of memory", path));
    const struct kernels *k = kernels_best(&bad);
    int rc = bad ? err_set(&e, ERR_VALUE, "DOKJA_CPU=%s: expected " ISA_NAMES, bad)
                 : nn_init(&m->nn, k, threads, &e);
    if (rc == 0 && (rc = infer_model_open(&m->m, &m->nn, path, &e)) != 0)
        nn_release(&m->nn);
    if (rc) {
        mem_free(m);
        return report(error, &e, rc);
    }
    *model = m;
    return 0;
}

void dk_model_close(struct dk_model *model)
{
    if (!model)
        return;
    infer_model_close(model->m);
    nn_release(&model->nn);
    mem_free(model);
}

int dk_model_vocab(const struct dk_model *model) { return infer_model_config(model->m)->vocab; }
int dk_model_max_tokens(const struct dk_model *model) { return infer_model_config(model->m)->max_pos; }

void dk_model_root(const struct dk_model *model, char hex[65])
{
    struct digest d = infer_model_root(model->m);
    digest_hex(hex, &d);
}

long dk_tokenize(const struct dk_model *model, int32_t *ids, size_t cap, const char *text, size_t n, int special,
                 struct dk_error *error)
{
    struct err e = {0};
    struct tok_encoder *enc = NULL;
    struct token_vec v = {0};
    int rc = tok_encoder_new(&enc, infer_model_tokenizer(model->m), &e);
    if (rc == 0)
        rc = tok_encode(enc, &v, text, n, special != 0, &e);
    long count = (long)v.n;
    if (rc == 0 && v.n && cap) /* who only asks for the count may have no place for ids */
        memcpy(ids, v.v, (v.n < cap ? v.n : cap) * sizeof *ids);
    token_vec_release(&v);
    tok_encoder_free(enc);
    return rc ? report(error, &e, rc) : count;
}

long dk_detokenize(const struct dk_model *model, char *text, size_t cap, const int32_t *ids, size_t n,
                   struct dk_error *error)
{
    struct err e = {0};
    struct buf b = {0};
    int rc = tok_decode(infer_model_tokenizer(model->m), &b, ids, n, false, &e);
    long count = (long)b.len;
    if (rc == 0 && b.len && cap)
        memcpy(text, b.p, b.len < cap ? b.len : cap);
    buf_release(&b);
    return rc ? report(error, &e, rc) : count;
}

int dk_context_new(struct dk_context **context, struct dk_model *model, int max_tokens, struct dk_error *error)
{
    struct err e = {0};
    struct dk_context *c = mem_new(1, sizeof *c);
    *context = NULL;
    if (!c)
        return report(error, &e, err_set(&e, ERR_NOMEM, "context: out of memory"));
    int most = dk_model_max_tokens(model);
    int rc = session_new(&c->s, model->m, max_tokens > 0 ? max_tokens : most, PREFILL_ROWS, &e);
    if (rc) {
        mem_free(c);
        return report(error, &e, rc);
    }
    c->model = model;
    *context = c;
    return 0;
}

void dk_context_free(struct dk_context *context)
{
    if (!context)
        return;
    session_free(context->s);
    mem_free(context);
}

void dk_context_reset(struct dk_context *context) { session_reset(context->s, 0); }

int dk_score(struct dk_context *context, const int32_t *ids, int n, float *nll, struct dk_error *error)
{
    struct err e = {0};
    return report(error, &e, session_score(context->s, ids, n, nll, NULL, &e));
}

struct text_relay {
    int (*on_text)(void *user, const char *text, size_t n);
    void *user;
};

static bool relay(void *user, const char *text, size_t n)
{
    const struct text_relay *r = user;
    return !r->on_text || r->on_text(r->user, text, n) != 0;
}

int dk_generate(struct dk_context *context, const int32_t *ids, int n, const struct dk_generate_options *options,
                char **text, struct dk_error *error)
{
    struct err e = {0};
    struct gen_result r;
    struct text_relay to = {options->on_text, options->user};
    struct gen_opts o = {.max_tokens = options->max_tokens, .temp = options->temperature, .top_k = options->top_k,
                         .top_p = options->top_p, .min_p = options->min_p, .repeat_penalty = options->repeat_penalty,
                         .seed = options->seed, .stop = options->stop, .n_stop = options->n_stop, .stop_token = -1,
                         .on_text = relay, .user = &to};
    *text = NULL;
    int rc = generate(context->s, ids, n, &o, &r, &e);
    /* free() is what callers have, whatever mem_new is built on. */
    if (rc == 0 && !(*text = strndup(r.text.p ? r.text.p : "", r.text.len)))
        rc = err_set(&e, ERR_NOMEM, "generate: out of memory");
    gen_result_release(&r);
    return report(error, &e, rc);
}
