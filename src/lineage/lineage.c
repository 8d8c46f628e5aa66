#include "lineage/lineage.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lineage/calibration.h"
#include "lineage/embedding.h"
#include "lineage/gains.h"
#include "lineage/initial.h"
#include "lineage/kin.h"
#include "lineage/match.h"

enum { MATCH_BLOCKS = 6, LEAST_TOKENS = 64 };
static const double ALPHA = 0.01, COMPENSATED = 0.7, ANSWERS_ALIKE = 0.5;

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

const char *lineage_verdict_name(enum lineage_verdict v)
{
    static const char *const name[] = {"derived", "shares-components", "no-evidence", "not-decidable"};
    return name[v];
}

/* ---- a model ---- */

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

static int own_features(struct subject *s, const struct nn *x, struct err *e)
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
        rc = own_features(s, x, e);
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

/* Mean over the matched feed-forwards. */
static double compensation(const struct lineage_pair *p, const struct compared *ffn)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < ffn->n && i < MATCH_BLOCKS; i++) {
        const struct ffn_view *a = &p->a->v.ffn[p->a->ffn.index[ffn->m[i].a]];
        const struct ffn_view *b = &p->b->v.ffn[p->b->ffn.index[ffn->m[i].b]];
        double r = gains_compensation(p->a->v.layer[a->layer].norm[1], p->b->v.layer[b->layer].norm[1], &a->part[1],
                                      &b->part[1], &p->b->basis);
        if (!isnan(r)) {
            sum += r;
            n++;
        }
    }
    return n ? sum / n : NAN;
}

static int test_gains(struct lineage_pair *p, const struct compared *found, const struct lineage_opts *o, struct err *e)
{
    struct gain_pair g[2 * LINEAGE_MAX_LAYERS];
    struct chance_result c = {.p = 1};
    double effect = 0;
    int n = 0;
    e->code = 0;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < found[i].n; k++) {
            const struct layer_match *m = &found[i].m[k];
            int a = i ? p->a->ffn.layer[m->a] : p->a->attn.layer[m->a];
            int b = i ? p->b->ffn.layer[m->b] : p->b->attn.layer[m->b];
            g[n++] = (struct gain_pair){p->a->v.layer[a].norm[i], p->b->v.layer[b].norm[i]};
        }
    if (gains_compare(&effect, &c, g, n, &p->b->basis, o->draws, o->seed, o->x->threads, e))
        put(p, TEST_GAINS, effect, &c);
    else
        p->test[TEST_GAINS].why_not = "no norm gains in both models that differ from a constant";
    p->compensation = compensation(p, &found[1]);
    return e->code;
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

/* mean over layers of <a, b> / (|a| |b|) of the gains: near 1 for any two models. */
static double norm_cosine(const struct view *a, const struct view *b)
{
    float *x = mem_new((size_t)a->d_model, sizeof *x), *y = mem_new((size_t)a->d_model, sizeof *y);
    double sum = 0;
    int n = 0;
    for (int l = 0; x && y && a->d_model == b->d_model && l < a->n_layer && l < b->n_layer; l++) {
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
    return n ? sum / n : NAN;
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
            rc = own_features(&s[i], o->x, e);
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
    *p = (struct lineage_pair){.a = a, .b = b, .jaccard = -1, .norm_cosine = norm_cosine(&a->v, &b->v),
                             .compensation = NAN};
    bool one_seed = a->has_seed && b->has_seed && a->seed == b->seed && a->v.d_model == b->v.d_model &&
                    a->v.vocab == b->v.vocab && a->v.n_layer == b->v.n_layer;
    test_tensors(p);
    int rc = test_activations(p, o, e);
    if (rc)
        return rc;
    if (!a->v.embed || !b->v.embed) {
        skip(p, TEST_EMBEDDING, TEST_MAPPED_NEURONS, "no embedding found in one of the models");
        return test_heads(p, o, e);
    }
    return one_seed ? run_beyond_start(p, o, e) : run_tests(p, o, e);
}

/* ---- the verdict ---- */

static double covered(const struct layer_match *m, int n, double needed)
{
    int hit = 0;
    for (int i = 0; i < n; i++)
        hit += m[i].r >= needed && m[i].r >= 5 * m[i].sd;
    return n ? (double)hit / n : 0;
}

/* The same by activations; every layer's partner was found by other neurons than those tested. */
static double answered(const struct lineage_pair *p, double needed)
{
    int hit = 0;
    for (int i = 0; i < p->act.n; i++)
        hit += p->act.m[i].agree >= needed * p->act.m[i].tested;
    return p->act.n ? (double)hit / p->act.n : 0;
}

static bool found(const struct lineage_pair *p, enum lineage_test a, enum lineage_test b)
{
    return p->test[a].flagged || p->test[b].flagged;
}

static void add_name(char *to, size_t n, const char *name)
{
    size_t at = strlen(to);
    snprintf(to + at, n - at, "%s%s", at ? ", " : "", name);
}

/* Two runs from the same initial weights stay alike without one being made from the other.  Gains tell: they begin at a
 * constant, so relatives agree in what they learned, or differ by a rescaling that the matrices make up for.  Where
 * gains tell nothing, a likeness no stronger than such runs have after training leaves it open.  Neurons that answer
 * alike though nothing lies in the same dimensions are more than that: such runs keep their dimensions. */
static bool like_same_start(const struct lineage_pair *p)
{
    static const enum lineage_test strong[] = {TEST_ATTENTION, TEST_FFN, TEST_MAPPED_ATTENTION, TEST_MAPPED_FFN,
                                               TEST_SPECTRA, TEST_HEADS};
    const struct test_result *t = p->test;
    bool learned = t[TEST_GAINS].done && t[TEST_GAINS].effect >= t[TEST_GAINS].needed;
    if (t[TEST_TENSORS].flagged || learned || p->a->v.d_model != p->b->v.d_model)
        return false;
    bool same_place = t[TEST_ATTENTION].flagged || t[TEST_FFN].flagged || t[TEST_NEURONS].flagged;
    if (same_place && t[TEST_GAINS].done)
        return !(p->compensation >= COMPENSATED);
    bool alike = t[TEST_ACTIVATIONS].flagged && t[TEST_ACTIVATIONS].effect >= ANSWERS_ALIKE;
    if (alike && !same_place && !t[TEST_EMBEDDING].flagged)
        return false;
    for (size_t i = 0; i < sizeof strong / sizeof *strong; i++)
        if (t[strong[i]].flagged && t[strong[i]].effect >= calibration_needed(strong[i], true))
            return false;
    return true;
}

static void decide(struct lineage_pair *p, enum lineage_verdict v, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void decide(struct lineage_pair *p, enum lineage_verdict v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->reason, sizeof p->reason, fmt, args);
    va_end(args);
    p->verdict = v;
}

static void name_findings(const struct lineage_pair *p, char *what, size_t n, bool attn, bool ffn)
{
    *what = '\0';
    if (p->test[TEST_EMBEDDING].flagged)
        add_name(what, n, "embedding");
    if (attn)
        add_name(what, n, "attention");
    if (ffn)
        add_name(what, n, "feed-forward");
    if (p->test[TEST_GAINS].flagged)
        add_name(what, n, "norm gains");
    if (p->test[TEST_TENSORS].flagged)
        add_name(what, n, "equal tensors");
    if (p->test[TEST_ACTIVATIONS].flagged)
        add_name(what, n, "neurons' answers to text");
}

static void judge(struct lineage_pair *p)
{
    char what[200];
    bool heads = found(p, TEST_SPECTRA, TEST_HEADS);
    bool attn = heads || found(p, TEST_ATTENTION, TEST_MAPPED_ATTENTION);
    bool ffn = found(p, TEST_FFN, TEST_NEURONS) || p->test[TEST_MAPPED_NEURONS].flagged;
    bool tested = p->test[TEST_FFN].done || p->test[TEST_MAPPED_FFN].done || p->test[TEST_ACTIVATIONS].done;
    double need = calibration_needed(TEST_FFN, p->same_start);
    p->attn_covered = attn ? covered(p->attn, p->n_attn, need) : 0;
    p->attn_covered = heads ? fmax(p->attn_covered, p->heads_twice) : p->attn_covered;
    p->ffn_covered = ffn ? covered(p->ffn, p->n_ffn, need) : 0;
    name_findings(p, what, sizeof what, attn, ffn);
    bool act = p->test[TEST_ACTIVATIONS].flagged;
    p->act_covered = act ? answered(p, calibration_needed(TEST_ACTIVATIONS, p->same_start)) : 0;
    bool most = attn && ffn && p->attn_covered > 0.5 && p->ffn_covered > 0.5;
    if (*what && !p->same_start && like_same_start(p))
        decide(p, LINEAGE_NOT_DECIDABLE, "in common: %s; but runs that began from the same initial weights (one seed, "
               "code and shape) have that too, and norm gains did not learn the same", what);
    else if (most || p->test[TEST_TENSORS].effect > 0.5)
        decide(p, LINEAGE_DERIVED, "%s agree beyond what any independent pair showed", what);
    else if (p->act_covered > 0.5 && p->test[TEST_ACTIVATIONS].effect >= ANSWERS_ALIKE)
        decide(p, LINEAGE_DERIVED, "in %.0f %% of the layers neurons of one answer to text as those of the other do, "
               "beyond what any independent pair showed", 100 * p->act_covered);
    else if (*what)
        decide(p, LINEAGE_SHARES, "in common: %s; attention in %.0f %%, feed-forward in %.0f %% of the layers", what,
               100 * p->attn_covered, 100 * p->ffn_covered);
    else if (!tested)
        decide(p, LINEAGE_NOT_DECIDABLE, "%s",
               p->test[TEST_MAPPED_FFN].why_not ? p->test[TEST_MAPPED_FFN].why_not : "no projections were found");
    else if (p->same_start)
        decide(p, LINEAGE_NOT_DECIDABLE, "both runs began from the same initial weights (one seed); beyond those they "
               "have no more in common than such runs have");
    else
        decide(p, LINEAGE_NONE, "no test found more than independent pairs show; this is not proof of training from "
               "scratch");
}

void lineage_judge(struct lineage_pair *p, int n)
{
    static double v[LINEAGE_MAX_MODELS * LINEAGE_MAX_MODELS * N_TESTS];
    static struct test_result *at[LINEAGE_MAX_MODELS * LINEAGE_MAX_MODELS * N_TESTS];
    int k = 0;
    for (int i = 0; i < n; i++)
        for (int t = 0; t < N_TESTS; t++)
            if (p[i].test[t].done && !lineage_test_supports((enum lineage_test)t)) {
                at[k] = &p[i].test[t];
                v[k++] = p[i].test[t].p_raw;
            }
    chance_holm(v, k);
    for (int i = 0; i < k; i++)
        at[i]->p = v[i];
    for (int i = 0; i < n; i++) {
        for (int t = 0; t < N_TESTS; t++) {
            struct test_result *r = &p[i].test[t];
            r->needed = calibration_needed((enum lineage_test)t, p[i].same_start);
            r->percentile = r->done ? calibration_percentile((enum lineage_test)t, r->effect) : -1;
            bool decides = r->done && !lineage_test_supports((enum lineage_test)t);
            r->flagged = decides && r->p <= ALPHA && r->effect >= r->needed;
            if (lineage_test_supports((enum lineage_test)t))
                r->p = r->p_raw = 1;
        }
        /* Models that learned the same things lie alike once their embeddings are mapped; neurons do not. */
        for (int t = TEST_MAPPED_ATTENTION; t <= TEST_MAPPED_FFN; t++)
            p[i].test[t].flagged = p[i].test[t].flagged && p[i].test[TEST_MAPPED_NEURONS].flagged;
        judge(&p[i]);
    }
}
