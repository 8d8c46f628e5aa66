/* A model of the audit, opened once for all its pairs. */
#include <stdio.h>

#include "base/mem.h"
#include "lineage/initial.h"
#include "lineage/lineage.h"

static int digests(struct subject *s, struct err *e)
{
    s->digest = mem_new(s->v.w.n, sizeof *s->digest);
    s->telling = mem_new(s->v.w.n, sizeof *s->telling);
    if (!s->digest || !s->telling)
        return err_set(e, ERR_NOMEM, "%s: out of memory", s->v.path);
    int rc = 0;
    for (size_t i = 0; i < s->v.w.n && rc == 0; i++) {
        rc = weight_digest(&s->digest[i], &s->telling[i], &s->v.w.t[i], e);
        weight_drop(&s->v.w.t[i]);
    }
    return rc;
}

int subject_features(struct subject *s, const struct nn *x, struct err *e)
{
    int rc = sigset_attn(&s->attn, x, &s->v, &s->basis, e);
    if (rc == 0)
        rc = sigset_ffn(&s->ffn, x, &s->v, &s->basis, e);
    return rc ? rc : head_sets_make(&s->heads, &s->v, x->threads, e);
}

int subject_open(struct subject *s, const char *path, const struct nn *x, struct err *e)
{
    *s = (struct subject){0};
    int rc = view_open(&s->v, path, e);
    if (rc)
        return rc;
    basis_choose(&s->basis, s->v.d_model);
    rc = vocab_open(&s->vocab, &s->v, e);
    if (rc == 0)
        rc = initial_seed(&s->has_seed, &s->seed, &s->v, e);
    if (rc == 0)
        rc = digests(s, e);
    if (rc == 0)
        rc = subject_features(s, x, e);
    if (rc)
        subject_close(s);
    return rc;
}

int subject_run(struct subject *s, const struct probe *text, double most_params, const struct nn *x, struct err *e)
{
    struct err why = {0};
    int rc = 0;
    if (s->v.params > most_params)
        err_set(&why, ERR_LIMIT, "%s: not run: %.3g billion parameters, limit %.3g (--run-limit)", s->v.path,
                s->v.params * 1e-9, most_params * 1e-9);
    else
        rc = trace_run(&s->trace, &s->v, text, x, &why);
    if (rc == ERR_NOMEM)
        return err_set(e, rc, "%s", why.msg);
    snprintf(s->why_not_run, sizeof s->why_not_run, "%s", why.msg);
    return 0;
}

void subject_close(struct subject *s)
{
    trace_release(&s->trace);
    view_close(&s->v);
    vocab_release(&s->vocab);
    sigset_release(&s->attn);
    sigset_release(&s->ffn);
    head_sets_release(&s->heads);
    mem_free(s->digest);
    mem_free(s->telling);
    *s = (struct subject){0};
}
