#include "lineage/lineage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lineage/embedding.h"
#include "lineage/gains.h"
#include "lineage/initial.h"
#include "lineage/kin.h"
#include "lineage/match.h"

enum { MATCH_BLOCKS = 6, LEAST_TOKENS = 64 };

static const struct {
    const char *name, *about;
} tests[N_TESTS] = {
    [TEST_TENSORS] = {"equal-tensors", "share of the parameters in tensors with equal values"},
    [TEST_EMBEDDING] = {"embedding", "embeddings of shared tokens, same residual dimensions"},
    [TEST_ATTENTION] = {"attention", "column geometry of q, k, v, o, same residual dimensions"},
    [TEST_FFN] = {"feed-forward", "column geometry of gate, up, down, same residual dimensions"},
    [TEST_NEURONS] = {"neurons", "neurons that find each other twice"},
    [TEST_GAINS] = {"gains", "ranks of norm gains in layers that belong together"},
    [TEST_SPECTRA] = {"spectra", "singular values of the products of attention heads"},
    [TEST_HEADS] = {"heads", "angles between the rows of attention heads"},
    [TEST_MAP] = {"embedding-map", "share of B's embeddings that follows from A's by a linear map"},
    [TEST_MAPPED_ATTENTION] = {"attention-mapped", "q, k, v, o through the embedding map"},
    [TEST_MAPPED_FFN] = {"feed-forward-mapped", "gate, up, down through the embedding map"},
    [TEST_MAPPED_NEURONS] = {"neurons-mapped", "neurons through the embedding map"},
    [TEST_ACTIVATIONS] = {"activations", "neurons that find each other twice by what they answer to the same text"},
    [TEST_STREAM] = {"stream", "unbiased CKA of the residual stream on the same text"},
};

const char *lineage_test_name(enum lineage_test t) { return tests[t].name; }
const char *lineage_test_about(enum lineage_test t) { return tests[t].about; }
bool lineage_test_supports(enum lineage_test t) { return t == TEST_MAP || t == TEST_STREAM; }

/* ---- the tests of a pair ---- */

static void skip(struct lineage_pair *p, enum lineage_test from, enum lineage_test to, const char *why)
{
    for (int t = from; t <= (int)to; t++)
        p->test[t].why_not = why;
}

static void put(struct lineage_pair *p, enum lineage_test t, double effect, const struct chance_result *c)
{
    struct test_result *r = &p->test[t];
    *r = (struct test_result){.done = true, .effect = effect, .p_raw = c->p, .draws = c->draws,
                              .z = c->sd > 0 ? (effect - c->mean) / c->sd : 0};
}

static bool has_digest(const struct subject *s, const struct digest *d)
{
    for (size_t i = 0; i < s->v.w.n; i++)
        if (s->telling[i] && memcmp(&s->digest[i], d, sizeof *d) == 0)
            return true;
    return false;
}

/* Equal values by accident are out of the question; the p-value says no more than that. */
static void test_tensors(struct lineage_pair *p)
{
    const struct subject *s = p->a->v.params <= p->b->v.params ? p->a : p->b, *o = s == p->a ? p->b : p->a;
    double equal = 0, all = 0;
    for (size_t i = 0; i < s->v.w.n; i++) {
        double n = (double)s->v.w.t[i].rows * (double)s->v.w.t[i].cols;
        all += n;
        equal += s->telling[i] && has_digest(o, &s->digest[i]) ? n : 0;
    }
    struct chance_result c = {.p = equal > 0 ? 1e-12 : 1};
    put(p, TEST_TENSORS, all > 0 ? equal / all : 0, &c);
}

struct compared {
    struct layer_match m[LINEAGE_MAX_LAYERS];
    int n;
    double effect;
};

/* Attention and feed-forwards of a (in the basis of b's dimensions) against b's own; keeps what shows more. */
static void test_sets(struct lineage_pair *p, enum lineage_test first, const struct sigset *attn,
                      const struct sigset *ffn, const struct lineage_opts *o, struct compared *found)
{
    const struct sigset *a[2] = {attn, ffn}, *b[2] = {&p->b->attn, &p->b->ffn};
    for (int i = 0; i < 2; i++) {
        struct chance_result c = {.p = 1};
        if (sigset_compare(found[i].m, &found[i].n, LINEAGE_MAX_LAYERS, &found[i].effect, &c, a[i], b[i], o->draws,
                           o->seed, o->x->threads))
            put(p, first + (enum lineage_test)i, found[i].effect, &c);
        else
            p->test[first + (enum lineage_test)i].why_not = "no projection of this kind in both models";
    }
}

static int test_neurons(struct lineage_pair *p, enum lineage_test t, const struct compared *ffn, const struct basis *a,
                        const struct lineage_opts *o, struct err *e)
{
    struct match_count count = {0};
    int rc = 0, n = ffn->n < MATCH_BLOCKS ? ffn->n : MATCH_BLOCKS;
    for (int i = 0; i < n && rc == 0; i++) {
        const struct layer_match *m = &ffn->m[(int64_t)i * ffn->n / n];
        struct match_side sa = {&p->a->v, &p->a->v.ffn[p->a->ffn.index[m->a]], a};
        struct match_side sb = {&p->b->v, &p->b->v.ffn[p->b->ffn.index[m->b]], &p->b->basis};
        rc = match_add(&count, o->x, &sa, &sb, o->seed + (uint64_t)i, e);
    }
    if (rc)
        return rc;
    struct chance_result c = {.p = match_p(&count), .draws = 0};
    if (count.n)
        put(p, t, (double)count.agree / count.n, &c);
    else
        p->test[t].why_not = "no feed-forward in both models with two of gate, up and down";
    return 0;
}

/* Mean over the matched feed-forwards; NAN: it is not to be had of any. */
static int compensation(double *mean, const struct lineage_pair *p, const struct compared *ffn, struct err *e)
{
    double sum = 0;
    int n = 0, rc = 0;
    for (int i = 0; i < ffn->n && i < MATCH_BLOCKS && rc == 0; i++) {
        const struct ffn_view *a = &p->a->v.ffn[p->a->ffn.index[ffn->m[i].a]];
        const struct ffn_view *b = &p->b->v.ffn[p->b->ffn.index[ffn->m[i].b]];
        double r;
        rc = gains_compensation(&r, p->a->v.layer[a->layer].norm[1], p->b->v.layer[b->layer].norm[1], &a->part[1],
                                &b->part[1], &p->b->basis, e);
        if (rc == 0 && !isnan(r)) {
            sum += r;
            n++;
        }
    }
    *mean = n ? sum / n : NAN;
    return rc;
}

static int test_gains(struct lineage_pair *p, const struct compared *found, const struct lineage_opts *o, struct err *e)
{
    struct gain_pair g[2 * LINEAGE_MAX_LAYERS];
    struct chance_result c = {.p = 1};
    double effect;
    int n = 0;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < found[i].n; k++) {
            const struct layer_match *m = &found[i].m[k];
            int a = i ? p->a->ffn.layer[m->a] : p->a->attn.layer[m->a];
            int b = i ? p->b->ffn.layer[m->b] : p->b->attn.layer[m->b];
            g[n++] = (struct gain_pair){p->a->v.layer[a].norm[i], p->b->v.layer[b].norm[i]};
        }
    int rc = gains_compare(&effect, &c, g, n, &p->b->basis, o->draws, o->seed, o->x->threads, e);
    if (rc)
        return rc;
    if (isnan(effect))
        p->test[TEST_GAINS].why_not = "no norm gains in both models that differ from a constant";
    else
        put(p, TEST_GAINS, effect, &c);
    return compensation(&p->compensation, p, &found[1], e);
}

/* The two tests that need no dimensions. */
static int test_heads(struct lineage_pair *p, const struct lineage_opts *o, struct err *e)
{
    const struct head_sets *a = &p->a->heads, *b = &p->b->heads;
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        enum lineage_test t = i ? TEST_HEADS : TEST_SPECTRA;
        struct kin_result r = {0};
        rc = kin_compare(&r, &p->test[t].why_not, i ? a->angles : &a->spectra, i ? b->angles : &b->spectra, i ? 2 : 1,
                         o->draws, o->seed, o->x->threads, e);
        if (rc == 0 && !p->test[t].why_not)
            put(p, t, r.effect, &r.chance);
        p->heads_twice = r.twice > p->heads_twice ? r.twice : p->heads_twice;
    }
    return rc;
}

static void keep(struct lineage_pair *p, const struct compared *c)
{
    p->n_attn = c[0].n;
    p->n_ffn = c[1].n;
    memcpy(p->attn, c[0].m, sizeof p->attn);
    memcpy(p->ffn, c[1].m, sizeof p->ffn);
}

/* Where both models may use the same residual dimensions. */
static int same_dimensions(struct lineage_pair *p, const struct embeddings *m, const struct lineage_opts *o,
                           struct compared *found, struct err *e)
{
    struct chance_result c;
    if (p->a->v.d_model != p->b->v.d_model || p->b->basis.n < 16) {
        skip(p, TEST_EMBEDDING, TEST_GAINS, "the models differ in width");
        return 0;
    }
    if (m->n >= LEAST_TOKENS) {
        double effect = embeddings_same(&c, m, &p->b->basis, o->draws, o->seed, o->x, e);
        if (isnan(effect))
            return ERR_NOMEM;
        put(p, TEST_EMBEDDING, effect, &c);
    } else {
        p->test[TEST_EMBEDDING].why_not = "too few shared tokens";
    }
    test_sets(p, TEST_ATTENTION, &p->a->attn, &p->a->ffn, o, found);
    int rc = test_neurons(p, TEST_NEURONS, &found[1], &p->a->basis, o, e);
    return rc ? rc : test_gains(p, found, o, e);
}

static int mapped(struct lineage_pair *p, const struct embeddings *m, const struct lineage_opts *o,
                  struct compared *found, struct err *e)
{
    if (m->n < LEAST_TOKENS) {
        skip(p, TEST_MAP, TEST_MAPPED_NEURONS, "too few shared tokens");
        return 0;
    }
    struct basis b = {.d = p->a->v.d_model, .n = p->b->basis.n};
    struct sigset attn = {0}, ffn = {0};
    struct chance_result none = {.p = 1};
    double r2 = 0;
    float *x = mem_new((size_t)b.d * (size_t)b.n, sizeof *x);
    int rc = x ? embeddings_map(x, &r2, m, o->x, e) : err_set(e, ERR_NOMEM, "no memory for a map");
    b.x = x;
    if (rc == 0)
        rc = sigset_attn(&attn, o->x, &p->a->v, &b, e);
    if (rc == 0)
        rc = sigset_ffn(&ffn, o->x, &p->a->v, &b, e);
    if (rc == 0) {
        put(p, TEST_MAP, r2, &none);
        test_sets(p, TEST_MAPPED_ATTENTION, &attn, &ffn, o, found);
        rc = test_neurons(p, TEST_MAPPED_NEURONS, &found[1], &b, o, e);
    }
    sigset_release(&attn);
    sigset_release(&ffn);
    mem_free(x);
    return rc;
}

/* Mean over layers of <a, b> / (|a| |b|) of the gains before attention: near 1 for any two models.  NAN: none. */
static int norm_cosine(double *mean, const struct view *a, const struct view *b, struct err *e)
{
    float *x = mem_new((size_t)a->d_model, sizeof *x), *y = mem_new((size_t)a->d_model, sizeof *y);
    int rc = x && y ? 0 : err_set(e, ERR_NOMEM, "%s: no memory for its gains", a->path);
    double sum = 0;
    int n = 0;
    for (int l = 0; rc == 0 && a->d_model == b->d_model && l < a->n_layer && l < b->n_layer; l++) {
        double xy = 0, xx = 0, yy = 0;
        if (!a->layer[l].norm[0] || !b->layer[l].norm[0])
            continue;
        weight_row(a->layer[l].norm[0], 0, x);
        weight_row(b->layer[l].norm[0], 0, y);
        for (int i = 0; i < a->d_model; i++) {
            xy += (double)x[i] * y[i];
            xx += (double)x[i] * x[i];
            yy += (double)y[i] * y[i];
        }
        if (xx > 0 && yy > 0) {
            sum += xy / sqrt(xx * yy);
            n++;
        }
    }
    mem_free(x);
    mem_free(y);
    *mean = n ? sum / n : NAN;
    return rc;
}

static int run_tests(struct lineage_pair *p, const struct lineage_opts *o, struct err *e)
{
    struct token_pairs shared = {0};
    struct embeddings m = {0};
    struct compared *found = mem_new(4, sizeof *found);
    int rc = found ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    if (rc == 0)
        rc = vocab_shared(&shared, &p->a->vocab, &p->b->vocab, &p->a->v, &p->b->v, e);
    p->shared_tokens = shared.n;
    p->jaccard = shared.jaccard;
    if (rc == 0)
        rc = embeddings_read(&m, &p->a->v, &p->b->v, &shared, &p->b->basis, e);
    if (rc == 0)
        rc = same_dimensions(p, &m, o, found, e);
    if (rc == 0)
        rc = mapped(p, &m, o, found + 2, e);
    if (rc == 0)
        rc = test_heads(p, o, e);
    if (rc == 0)
        keep(p, found[0].effect + found[1].effect >= found[2].effect + found[3].effect ? found : found + 2);
    embeddings_release(&m);
    token_pairs_release(&shared);
    mem_free(found);
    return rc;
}

/* Two runs of one seed and shape begin at the same weights: what they have in common beyond those is tested. */
static int run_beyond_start(struct lineage_pair *p, const struct lineage_opts *o, struct err *e)
{
    struct subject *s = mem_new(2, sizeof *s);
    struct initial w[2] = {{0}, {0}};
    const struct subject *from[2] = {p->a, p->b}, *keep_a = p->a, *keep_b = p->b;
    bool done = true;
    int rc = s ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < 2 && rc == 0 && done; i++) {
        rc = view_open(&s[i].v, from[i]->v.path, e);
        s[i].basis = from[i]->basis;
        s[i].vocab = from[i]->vocab;
        if (rc == 0)
            rc = initial_take_away(&w[i], &done, &s[i].v, from[i]->seed, e);
        if (rc == 0 && done)
            rc = subject_features(&s[i], o->x, e);
    }
    p->same_start = rc == 0 && done;
    if (p->same_start) {
        p->a = &s[0];
        p->b = &s[1];
    }
    if (rc == 0)
        rc = run_tests(p, o, e);
    p->a = keep_a;
    p->b = keep_b;
    for (int i = 0; i < 2 && s; i++) {
        initial_restore(&w[i], &s[i].v);
        s[i].vocab = (struct vocab){0};
        subject_close(&s[i]);
    }
    mem_free(s);
    return rc;
}

static int test_activations(struct lineage_pair *p, const struct lineage_opts *o, struct err *e)
{
    const struct subject *silent = !p->a->trace.n ? p->a : !p->b->trace.n ? p->b : NULL;
    struct chance_result none = {.p = 1}, c = {.p = 1};
    if (silent) {
        skip(p, TEST_ACTIVATIONS, TEST_STREAM, *silent->why_not_run ? silent->why_not_run : "the models were not run");
        return 0;
    }
    int rc = activations_compare(&p->act, &p->a->trace, &p->b->trace, o->x, o->seed, e);
    if (rc)
        return rc;
    c.p = match_p(&p->act.count);
    if (p->act.n) {
        put(p, TEST_ACTIVATIONS, p->act.effect, &c);
        put(p, TEST_STREAM, p->act.cka, &none);
    } else {
        skip(p, TEST_ACTIVATIONS, TEST_STREAM, "too few places in the text where tokens of both models end");
    }
    return 0;
}

int lineage_run(struct lineage_pair *p, const struct subject *a, const struct subject *b, const struct lineage_opts *o,
              struct err *e)
{
    *p = (struct lineage_pair){.a = a, .b = b, .jaccard = -1, .compensation = NAN};
    bool one_seed = a->has_seed && b->has_seed && a->seed == b->seed && a->v.d_model == b->v.d_model &&
                    a->v.vocab == b->v.vocab && a->v.n_layer == b->v.n_layer;
    test_tensors(p);
    int rc = norm_cosine(&p->norm_cosine, &a->v, &b->v, e);
    if (rc == 0)
        rc = test_activations(p, o, e);
    if (rc)
        return rc;
    if (!a->v.embed || !b->v.embed) {
        skip(p, TEST_EMBEDDING, TEST_MAPPED_NEURONS, "no embedding found in one of the models");
        return test_heads(p, o, e);
    }
    return one_seed ? run_beyond_start(p, o, e) : run_tests(p, o, e);
}
