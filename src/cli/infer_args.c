#include "cli/infer_args.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/machine.h"
#include "text/unicode.h"

int cli_model_open(struct cli_model *c, const char *path, int threads, struct err *e)
{
    *c = (struct cli_model){0};
    if (!path)
        return err_set(e, ERR_USAGE, "-m MODEL is missing: a run or model folder");
    int rc = cli_machine(&c->x, threads, e);
    return rc == 0 ? infer_model_open(&c->m, &c->x, path, e) : rc;
}

void cli_model_close(struct cli_model *c)
{
    infer_model_close(c->m);
    nn_release(&c->x);
    *c = (struct cli_model){0};
}

struct sample_args sample_args_default(void)
{
    return (struct sample_args){.max_tokens = 256, .seed = 1, .repeat_last = 64, .temp = 0.7, .top_p = 0.95,
                                .repeat_penalty = 1};
}

int sample_opts(struct gen_opts *o, const struct sample_args *a, struct err *e)
{
    *o = (struct gen_opts){.max_tokens = (int)a->max_tokens, .temp = (float)a->temp, .top_k = (int)a->top_k,
                           .top_p = (float)a->top_p, .min_p = (float)a->min_p,
                           .repeat_penalty = (float)a->repeat_penalty,
                           .repeat_last = (int)a->repeat_last, .seed = a->seed, .stop = a->stop.v,
                           .n_stop = a->stop.n, .stop_token = -1};
    /* The default of one must not contradict what was asked of the other. */
    if (a->temp == 0 && !a->top_p_given)
        o->top_p = 1;
    int rc = gen_check(o, e);
    for (int i = 0; i < a->stop.n && rc == 0; i++)
        rc = uc_check("--stop", a->stop.v[i], strlen(a->stop.v[i]), e);
    if (rc != 0 && e)
        e->code = ERR_USAGE;
    return rc == 0 ? 0 : ERR_USAGE;
}

int cli_push(struct token_vec *v, int32_t id, struct err *e)
{
    if (v->n == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : 64;
        int32_t *p = mem_resize(v->v, cap, sizeof *p);
        if (!p)
            return err_set(e, ERR_NOMEM, "no memory for %zu tokens", cap);
        v->v = p;
        v->cap = cap;
    }
    v->v[v->n++] = id;
    return 0;
}

int cli_encode(struct token_vec *v, const struct tokenizer *t, const char *text, size_t n, bool special, struct err *e)
{
    struct tok_encoder *enc = NULL;
    int rc = tok_encoder_new(&enc, t, e);
    if (rc == 0)
        rc = tok_encode(enc, v, text, n, special, e);
    tok_encoder_free(enc);
    return rc;
}

int cli_print_result(const struct gen_result *r, const struct infer_model *m, double seconds, struct err *e)
{
    struct buf b = {0};
    char hex[65];
    struct digest root = infer_model_root(m);
    digest_hex(hex, &root);
    int rc = buf_adds(&b, "{\"text\":", e);
    if (rc == 0)
        rc = json_quote(&b, r->text.p ? r->text.p : "", r->text.len, e);
    if (rc == 0)
        rc = buf_adds(&b, ",\"tokens\":[", e);
    for (size_t i = 0; i < r->tokens.n && rc == 0; i++)
        rc = buf_printf(&b, e, "%s%d", i ? "," : "", r->tokens.v[i]);
    if (rc == 0)
        rc = buf_printf(&b, e, "],\"prompt_tokens\":%d,\"stop\":\"%s\",\"state_root\":\"%s\",\"seconds\":%.3f}",
                        r->prompt_tokens, gen_stop_name(r->stop), hex, seconds);
    if (rc == 0)
        puts(b.p);
    fflush(stdout);
    buf_release(&b);
    return rc;
}
