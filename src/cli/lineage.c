/* dokja lineage: the weight-lineage audit of models. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/plural.h"
#include "cli/cli.h"
#include "cli/machine.h"
#include "lineage/lineage.h"
#include "lineage/calibration.h"

enum { MAX_PAIRS = LINEAGE_MAX_MODELS * (LINEAGE_MAX_MODELS - 1) / 2 };
enum { DRAWS = 9999, MOST_DRAWS = 199999 };

struct lineage {
    int64_t draws, threads;
    uint64_t seed;
    double run_limit;
    const char *text;
    bool json;
    struct nn x;
    struct subject *s;
    int n;
    struct lineage_pair *p;
    int n_pairs;
};

/* ---- as JSON ---- */

static json_t *real_or_null(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *test_json(const struct test_result *r, enum lineage_test t)
{
    json_t *o = json_pack("{s:s, s:s, s:b}", "test", lineage_test_name(t), "about", lineage_test_about(t), "done",
                          r->done);
    if (!r->done) {
        o = json_with(o, "why_not", json_string(r->why_not ? r->why_not : ""));
        return o;
    }
    o = json_with(o, "effect", real_or_null(r->effect));
    o = json_with(o, "needed", r->decides ? json_real(r->needed) : json_null());
    o = json_with(o, "percentile", r->percentile >= 0 ? json_real(r->percentile) : json_null());
    o = json_with(o, "control_pairs", json_integer(calibration_pairs(t)));
    o = json_with(o, "p_value", lineage_test_supports(t) ? json_null() : json_real(r->p));
    o = json_with(o, "p_raw", lineage_test_supports(t) ? json_null() : json_real(r->p_raw));
    o = json_with(o, "permutations", json_integer(r->draws));
    o = json_with(o, "z", real_or_null(r->z));
    o = json_with(o, "found", json_boolean(r->flagged));
    return o;
}

static json_t *layers_json(const struct layer_match *m, int n, const struct sigset *a, const struct sigset *b)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_t *o = json_pack("{s:i, s:i, s:f, s:f}", "a", a->layer[m[i].a], "b", b->layer[m[i].b], "r", m[i].r, "sd",
                              m[i].sd);
        if (a->expert[m[i].a] >= 0)
            o = json_with(o, "a_expert", json_integer(a->expert[m[i].a]));
        if (b->expert[m[i].b] >= 0)
            o = json_with(o, "b_expert", json_integer(b->expert[m[i].b]));
        list = json_and(list, o);
    }
    return list;
}

static json_t *activation_json(const struct lineage_pair *p)
{
    json_t *list = json_array();
    for (int i = 0; i < p->act.n; i++) {
        const struct activation_match *m = &p->act.m[i];
        list = json_and(list, json_pack("{s:i, s:i, s:f}", "a", p->a->trace.layer[m->a], "b",
                                        p->b->trace.layer[m->b], "agree", (double)m->agree / m->tested));
    }
    return list;
}

/* Of the tests that can decide: of those found the one with the smallest p, else the smallest p of all. */
static int leading(const struct lineage_pair *p)
{
    int best = -1;
    for (int t = 0; t < N_TESTS; t++) {
        const struct test_result *r = &p->test[t], *b = best < 0 ? NULL : &p->test[best];
        if (!r->done || !r->decides)
            continue;
        if (!b || r->flagged > b->flagged ||
            (r->flagged == b->flagged && (r->p < b->p || (!(r->p > b->p) && r->effect > b->effect))))
            best = t;
    }
    return best;
}

static json_t *pair_json(const struct lineage_pair *p)
{
    int t = leading(p);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "a", p->a->v.path, "b", p->b->v.path, "verdict",
                          lineage_verdict_name(p->verdict), "reason", p->reason);
    o = json_with(o, "p_value", t < 0 ? json_null() : json_real(p->test[t].p));
    o = json_with(o, "effect", t < 0 ? json_null() : real_or_null(p->test[t].effect));
    o = json_with(o, "percentile",
                  t < 0 || p->test[t].percentile < 0 ? json_null() : json_real(p->test[t].percentile));
    o = json_with(o, "test", t < 0 ? json_null() : json_string(lineage_test_name((enum lineage_test)t)));
    json_t *list = json_array();
    for (int i = 0; i < N_TESTS; i++)
        list = json_and(list, test_json(&p->test[i], (enum lineage_test)i));
    o = json_with(o, "tests", list);
    o = json_with(o, "attention_layers", layers_json(p->attn, p->n_attn, &p->a->attn, &p->b->attn));
    o = json_with(o, "feed_forward_layers", layers_json(p->ffn, p->n_ffn, &p->a->ffn, &p->b->ffn));
    o = json_with(o, "attention_covered", json_real(p->attn_covered));
    o = json_with(o, "feed_forward_covered", json_real(p->ffn_covered));
    o = json_with(o, "activation_layers", activation_json(p));
    o = json_with(o, "activation_covered", json_real(p->act_covered));
    o = json_with(o, "activation_places", json_integer(p->act.places));
    o = json_with(o, "heads_found_twice", json_real(p->heads_twice));
    o = json_with(o, "shared_tokens", json_integer(p->shared_tokens));
    o = json_with(o, "tokenizer_jaccard", p->jaccard < 0 ? json_null() : json_real(p->jaccard));
    o = json_with(o, "same_initial_weights", json_boolean(p->same_start));
    o = json_with(o, "misleading_norm_cosine", real_or_null(p->norm_cosine));
    return o;
}

static int print_json(const struct lineage *l, double seconds, struct err *e)
{
    struct buf b = {0};
    json_t *pairs = json_array(), *root;
    for (int i = 0; i < l->n_pairs; i++)
        if (json_array_append_new(pairs, pair_json(&l->p[i]))) {
            json_decref(pairs);
            return err_set(e, ERR_VALUE, "%s, %s: out of memory for the report, or a name is not UTF-8",
                           l->p[i].a->v.path, l->p[i].b->v.path);
        }
    root = json_pack("{s:o, s:i, s:I, s:f}", "pairs", pairs, "control_pairs", calibration_pairs(TEST_TENSORS),
                     "peak_rss_bytes", (json_int_t)mem_peak_rss(), "seconds", seconds);
    int rc = root ? json_print(&b, root, 0, e) : err_set(e, ERR_NOMEM, "out of memory for the report");
    if (rc == 0)
        printf("%s\n", b.p);
    json_decref(root);
    buf_release(&b);
    return rc;
}

/* ---- for people ---- */

static void print_pair(const struct lineage_pair *p)
{
    printf("%s\n%s\n  %s: %s\n", p->a->v.path, p->b->v.path, lineage_verdict_name(p->verdict), p->reason);
    printf("  %-20s %9s %9s %10s %11s\n", "test", "effect", "needed", "p (Holm)", "percentile");
    for (int t = 0; t < N_TESTS; t++) {
        const struct test_result *r = &p->test[t];
        char percentile[16] = "–";
        if (!r->done) {
            printf("  %-20s %s\n", lineage_test_name((enum lineage_test)t), r->why_not ? r->why_not : "");
            continue;
        }
        if (r->percentile >= 0)
            snprintf(percentile, sizeof percentile, "%.1f", r->percentile);
        if (!r->decides && !lineage_test_supports((enum lineage_test)t))
            printf("  %-20s %9.4f %9s %10.2g %11s  decides nothing between runs of one seed\n",
                   lineage_test_name((enum lineage_test)t), r->effect, "–", r->p, percentile);
        else if (lineage_test_supports((enum lineage_test)t))
            printf("  %-20s %9.4f %9s %10s %11s  supports, does not decide\n", lineage_test_name((enum lineage_test)t),
                   r->effect, "–", "–", percentile);
        else
            printf("  %-20s %9.4f %9.4f %10.2g %11s%s\n", lineage_test_name((enum lineage_test)t), r->effect, r->needed,
                   r->p, percentile, r->flagged ? "  found" : "");
    }
    if (p->jaccard >= 0)
        printf("  tokenizers: %d token%s in common (Jaccard %.3f)\n", p->shared_tokens, PLURAL(p->shared_tokens),
               p->jaccard);
    else
        printf("  tokenizers: none found; %d token ids taken as they are\n", p->shared_tokens);
    if (p->act.n)
        printf("  text: tokens of both models end at %d place%s\n", p->act.places, PLURAL(p->act.places));
    if (isfinite(p->norm_cosine))
        printf("  warning: the raw cosine of norm gains is %.4f and means nothing: gains start at one and stay "
               "positive,\n           so that any two models give nearly 1\n", p->norm_cosine);
}

/* For the activation tests; a limit of 0 runs none. */
static int run_models(struct lineage *l, struct err *e)
{
    struct probe text = {.n = 0};
    if (l->run_limit <= 0)
        return 0;
    int rc = l->text ? probe_read(&text, l->text, e) : probe_builtin(&text, e);
    for (int i = 0; i < l->n && rc == 0; i++) {
        log_progress("lineage: running model %d of %d", i + 1, l->n);
        rc = subject_run(&l->s[i], &text, l->run_limit, &l->x, e);
    }
    probe_release(&text);
    return rc;
}

static int run(struct lineage *l, char **path, struct err *e)
{
    struct lineage_opts o = {.x = &l->x, .draws = l->draws, .seed = l->seed};
    int rc = 0;
    double t0 = clock_seconds();
    for (int i = 0; i < l->n && rc == 0; i++) {
        log_progress("lineage: reading %s", path[i]);
        rc = subject_open(&l->s[i], path[i], &l->x, e);
    }
    if (rc == 0)
        rc = run_models(l, e);
    for (int i = 0; i < l->n && rc == 0; i++)
        for (int k = i + 1; k < l->n && rc == 0; k++) {
            log_progress("lineage: pair %d of %d", l->n_pairs + 1, l->n * (l->n - 1) / 2);
            rc = lineage_run(&l->p[l->n_pairs++], &l->s[i], &l->s[k], &o, e);
        }
    log_progress_end();
    if (rc)
        return rc;
    lineage_judge(l->p, l->n_pairs);
    if (l->json)
        return print_json(l, clock_seconds() - t0, e);
    for (int i = 0; i < l->n_pairs; i++)
        print_pair(&l->p[i]);
    return 0;
}

int cmd_lineage(int argc, char **argv, struct err *e)
{
    struct lineage l = {.seed = 1, .run_limit = 2e9};
    const struct opt opts[] = {
        {"permutations", 0, OPT_INT, &l.draws, "N",
         "draws of a permutation test at most (from 9999, with the number of pairs)", 1, 10000000, NULL},
        {"seed", 0, OPT_SEED, &l.seed, "N", "of the permutations (1)", 0, 0, NULL},
        {"text", 0, OPT_STR, &l.text, "FILE", "lines that the models are run on (sentences of the program's own)", 0, 0,
         NULL},
        {"run-limit", 0, OPT_COUNT, &l.run_limit, "N", "run models of up to N parameters (2G; 0: none)", 0, 0, NULL},
        {"threads", 0, OPT_INT, &l.threads, "N", "threads (OMP_NUM_THREADS or all cores)", 1, 1024, NULL},
        {"json", 0, OPT_FLAG, &l.json, NULL, "machine-readable output", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {
        "dokja lineage A B… [--json]",
        "Compares models, each a folder or a file of safetensors or GGUF, ours or foreign, by their weights and by "
        "what they answer to a few sentences, and says of every pair: derived, shares-components, no-evidence or "
        "not-decidable, with effect, p-value (Holm-corrected over all tests of all pairs) and percentile among "
        "independent controls. No evidence is never proof of training from scratch: only a ledger shows that. What "
        "each test sees and survives: docs/lineage.md.",
        opts, 2, LINEAGE_MAX_MODELS};
    int rc = opt_parse(&spec, argc, argv, &l.n, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    const int pairs = l.n * (l.n - 1) / 2;
    const int64_t least = lineage_least_draws(pairs);
    if (l.draws == 0) {
        int64_t tests = (int64_t)N_TESTS * pairs;
        l.draws = 200 * tests < DRAWS ? DRAWS : 200 * tests - 1 < MOST_DRAWS ? 200 * tests - 1 : MOST_DRAWS;
    } else if (l.draws < least) {
        return err_set(e, ERR_USAGE, "--permutations %" PRId64 ": with %d pair%s expected at least %" PRId64
                       ", or no permutation test could find anything", l.draws, pairs, PLURAL(pairs), least);
    }
    l.s = mem_new((size_t)l.n, sizeof *l.s);
    l.p = mem_new(MAX_PAIRS, sizeof *l.p);
    rc = l.s && l.p ? cli_machine(&l.x, l.threads, e) : err_set(e, ERR_NOMEM, "out of memory");
    if (rc == 0)
        rc = run(&l, argv, e);
    for (int i = 0; l.s && i < l.n; i++)
        subject_close(&l.s[i]);
    nn_release(&l.x);
    mem_free(l.s);
    mem_free(l.p);
    return rc;
}
