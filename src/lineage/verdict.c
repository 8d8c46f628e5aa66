/* From tests to a verdict: p-values corrected, effects against what controls show (docs/lineage.md). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lineage/calibration.h"
#include "lineage/lineage.h"

enum { ONE_IN = 100 };   /* findings have p <= 1 / ONE_IN */
static const double ALPHA = 1.0 / ONE_IN, COMPENSATED = 0.7, ANSWERS_ALIKE = 0.5;

const char *lineage_verdict_name(enum lineage_verdict v)
{
    static const char *const name[] = {"derived", "shares-components", "no-evidence", "not-decidable"};
    return name[v];
}

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

/* p is 1 / (draws + 1) at least, and Holm multiplies the smallest by the number of tests. */
int64_t lineage_least_draws(int n)
{
    int64_t tests = 0;
    for (int t = 0; t < N_TESTS; t++)
        tests += lineage_test_supports((enum lineage_test)t) ? 0 : n;
    return ONE_IN * tests - 1;
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
            r->decides = calibration_decides((enum lineage_test)t, p[i].same_start);
            r->needed = calibration_needed((enum lineage_test)t, p[i].same_start);
            r->percentile = r->done ? calibration_percentile((enum lineage_test)t, r->effect) : -1;
            r->flagged = r->done && r->decides && r->p <= ALPHA && r->effect >= r->needed;
            if (lineage_test_supports((enum lineage_test)t))
                r->p = r->p_raw = 1;
        }
        /* Models that learned the same things lie alike once their embeddings are mapped; neurons do not. */
        for (int t = TEST_MAPPED_ATTENTION; t <= TEST_MAPPED_FFN; t++)
            p[i].test[t].flagged = p[i].test[t].flagged && p[i].test[TEST_MAPPED_NEURONS].flagged;
        judge(&p[i]);
    }
}
