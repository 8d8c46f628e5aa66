#include "cli/ledger_show.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/codepoint.h"
#include "base/json.h"
#include "base/plural.h"
#include "cli/print_json.h"
#include "cli/wrap.h"
#include "train/recipe.h"

double segment_loss(const struct segment *s)
{
    double sum = 0;
    for (uint64_t i = 0; i < s->to - s->from; i++)
        sum += s->loss[i];
    return sum / (double)(s->to - s->from);
}

/* ---- show ---- */

enum { LEFT = 11 };   /* where what a line tells begins */

/* "512", or what the first steps have besides. */
static void rows_text(char out[100], const struct run_config *c)
{
    if (c->start_steps > 0 && c->seq_start != c->seq)
        snprintf(out, 100, "%d (%d in the first %" PRId64 " steps)", c->seq, c->seq_start, c->start_steps);
    else
        snprintf(out, 100, "%d", c->seq);
}

static void show_beginning(const char *run, const struct logbook *b)
{
    const struct genesis *g = &b->genesis;
    const struct run_config *c = &b->config;
    const struct model_config *m = &c->model;
    char hash[65], source[65], corpus[65], tokenizer[65], rows[100];
    rows_text(rows, c);
    digest_hex(hash, &b->hash);
    digest_hex(source, &g->source);
    digest_hex(corpus, &c->corpus_root);
    digest_hex(tokenizer, &c->tokenizer);
    wrap_line(LEFT, "run        %s", run);
    wrap_line(LEFT, "holder     %s", g->holder);
    wrap_line(LEFT, "genesis    %s, %s", hash, g->created);
    wrap_line(LEFT, "program    source %.16s…, %s, numeric profile %s", source, g->compiler, profile_name(c->profile));
    if (g->n_ancestors == 0)
        wrap_line(LEFT, "from       random weights");
    for (int i = 0; i < g->n_ancestors; i++) {
        digest_hex(hash, &g->ancestor[i]);
        wrap_line(LEFT, "from       %s", hash);
    }
    wrap_line(LEFT, "text       corpus %.16s…: %" PRIu64 " document%s, %.2f MB", corpus, g->corpus_docs,
              PLURAL(g->corpus_docs), (double)g->corpus_bytes * 1e-6);
    wrap_line(LEFT, "           %" PRIu64 " document%s with %" PRIu64 " tokens to train on, %" PRIu64 " with %" PRIu64
              " held out", g->train_docs, PLURAL(g->train_docs), g->train_tokens, g->heldout_docs, g->heldout_tokens);
    wrap_line(LEFT, "tokenizer  %.16s…, vocabulary %d", tokenizer, m->vocab);
    wrap_line(LEFT, "model      %s, %d layer%s × %d, %.4g M parameters", m->arch, m->n_layer, PLURAL(m->n_layer),
              m->d_model, (double)model_params_total(m) * 1e-6);
    wrap_line(LEFT, "plan       %" PRId64 " step%s × %" PRId64 " tokens, sequences of %s, %s, %s, %.4g FLOPs; "
              "%d virtual worker%s",
              c->schedule.steps, PLURAL(c->schedule.steps), c->batch_tokens, rows, optim_name(c->optim.kind),
              schedule_name(c->schedule.kind), run_flops_until(c, c->schedule.steps), c->workers, PLURAL(c->workers));
    if (!b->has_beacon)
        wrap_line(LEFT, "seed       awaits its beacon");
    else if (strcmp(b->beacon.source, BEACON_SELF) == 0)
        wrap_line(LEFT, "seed       0x%016" PRIx64 ", self-chosen: no public value made it", c->seed);
    else
        wrap_line(LEFT, "seed       0x%016" PRIx64 ", from GENESIS and \"%s\" of %s", c->seed, b->beacon.value,
                  b->beacon.source);
}

/* At most that many lines for the segments, evenly spaced, the last one always. */
enum { ROWS = 16, BAR = 24, SCREEN = 80 };
/* Columns without the bar, "where" and, on a wide screen, tokens and the word "threads". */
enum { FIXED = 53, TOKENS = 12, THREADS = 6 };

static const struct segment *row(const struct logbook *b, uint64_t i, uint64_t rows)
{
    return &b->segment[(i + 1) * b->n_segments / rows - 1];
}

/* "avx2 × 16" or "avx2, 16 threads"; its width in columns. */
static size_t where_text(char *out, size_t size, const struct segment *s, bool narrow)
{
    snprintf(out, size, narrow ? "%s × %" PRIu64 "%s" : "%s, %" PRIu64 " thread%s", s->c.isa, s->c.threads,
             narrow || s->c.threads == 1 ? "" : "s");
    return text_width(out, strlen(out));
}

static void show_segment(const struct segment *s, double top, size_t bar, bool narrow)
{
    char where[GENESIS_TEXT + 40];
    double loss = segment_loss(s);
    size_t width = top > 0 && loss >= 0 ? (size_t)((double)bar * loss / top + 0.5) : 0;
    where_text(where, sizeof where, s, narrow);
    printf("  %7" PRIu64 "  %8" PRIu64, s->index, s->to);
    if (!narrow)
        printf("  %10" PRIu64, s->tokens);
    printf("  %6.3f  ", loss);
    for (size_t j = 0; j < bar; j++)
        fputs(j < width ? "▪" : " ", stdout);
    printf("  %s  %s\n", s->c.at, where);
}

/* In a pipe as on a narrow screen: whoever reads it there has one, and programs have --json.  The bar takes what is
 * left. */
static void show_segments(const struct logbook *b)
{
    char where[GENESIS_TEXT + 40];
    uint64_t n = b->n_segments, rows = n < ROWS ? n : ROWS;
    size_t columns = wrap_columns(), taken = 0;
    double top = 0;
    columns = columns ? columns : SCREEN;
    for (uint64_t i = 0; i < rows; i++) {
        size_t w = FIXED + where_text(where, sizeof where, row(b, i, rows), true);
        taken = w > taken ? w : taken;
    }
    bool narrow = columns < taken + TOKENS + THREADS + BAR;
    taken += narrow ? 0 : TOKENS + THREADS;
    size_t left = columns > taken ? columns - taken : 0, bar = left < BAR ? left : BAR;
    for (uint64_t k = 0; k < n; k++)
        top = segment_loss(&b->segment[k]) > top ? segment_loss(&b->segment[k]) : top;
    printf("segments   %" PRIu64 " of %" PRId64 ", %" PRId64 " step%s each\n", n,
           (b->config.schedule.steps + b->config.segment_steps - 1) / b->config.segment_steps,
           b->config.segment_steps, PLURAL(b->config.segment_steps));
    if (n)
        printf("\n  segment      step%s    loss  %-*s  when                  where\n", narrow ? "" : "      tokens",
               (int)bar, "");
    for (uint64_t i = 0; i < rows; i++)
        show_segment(row(b, i, rows), top, bar, narrow);
}

void ledger_show(const char *run, const struct logbook *b)
{
    char root[65];
    show_beginning(run, b);
    show_segments(b);
    if (b->n_events)
        printf("\n");
    for (uint64_t i = 0; i < b->n_events; i++)
        wrap_line(LEFT, "event      %s: %s at step %" PRIu64 ", %s, %" PRIu64 " thread%s", b->event[i].c.at,
                  b->event[i].what, b->event[i].step, b->event[i].c.isa, b->event[i].c.threads,
                  PLURAL(b->event[i].c.threads));
    if (!b->has_final) {
        printf("\nnot finished: no FINAL\n");
        return;
    }
    const struct final *f = &b->final;
    digest_hex(root, &f->root);
    putchar('\n');
    uint64_t used = recipe_heldout_used(&b->config, b->genesis.heldout_tokens);
    char few[80] = "";
    if (used < RECIPE_HELDOUT_LEAST)
        snprintf(few, sizeof few, " on %" PRIu64 " token%s, too few to compare", used, PLURAL(used));
    wrap_line(LEFT, "final      %s: %" PRIu64 " step%s, %" PRIu64 " tokens, %.4g FLOPs, held-out %.4f bits per byte%s",
              f->c.at, f->steps, PLURAL(f->steps), f->tokens, f->flops, f->bits_per_byte, few);
    printf("root       %s\n", root);
    for (uint64_t i = 0; i < f->n_files; i++) {
        digest_hex(root, &f->file[i].sha256);
        wrap_line(LEFT, "file       %s  %s", root, f->file[i].name);
    }
    putchar('\n');
    wrap_line(0, "What is told here is checked by `dokja ledger verify %s`, and shown to be true only by `dokja ledger "
              "replay`.", run);
}

static json_t *hex_json(const struct digest *d)
{
    char s[65];
    digest_hex(s, d);
    return json_string(s);
}

json_t *ledger_real_json(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *segments_json(const struct logbook *b)
{
    json_t *list = json_array();
    for (uint64_t k = 0; k < b->n_segments; k++) {
        const struct segment *s = &b->segment[k];
        list = json_and(list, json_pack("{s:I,s:I,s:I,s:o,s:o,s:s,s:s,s:I}", "from", (json_int_t)s->from, "to",
                                        (json_int_t)s->to, "tokens", (json_int_t)s->tokens, "loss",
                                        ledger_real_json(segment_loss(s)), "state_root", hex_json(&s->after), "at",
                                        s->c.at, "isa", s->c.isa, "threads", (json_int_t)s->c.threads));
    }
    return list;
}

static json_t *events_json(const struct logbook *b)
{
    json_t *list = json_array();
    for (uint64_t i = 0; i < b->n_events; i++)
        list = json_and(list, json_pack("{s:s,s:I,s:s}", "what", b->event[i].what, "step",
                                        (json_int_t)b->event[i].step, "at", b->event[i].c.at));
    return list;
}

static json_t *final_json(const struct logbook *b)
{
    const struct final *f = &b->final;
    json_t *files = json_object();
    if (!b->has_final) {
        json_decref(files);
        return json_null();
    }
    for (uint64_t i = 0; i < f->n_files; i++)
        files = json_with(files, f->file[i].name, hex_json(&f->file[i].sha256));
    return json_pack("{s:o,s:I,s:I,s:o,s:o,s:o,s:s,s:o}", "state_root", hex_json(&f->root), "steps",
                     (json_int_t)f->steps, "tokens", (json_int_t)f->tokens, "flops",
                     ledger_real_json(f->flops), "heldout_bits_per_byte", ledger_real_json(f->bits_per_byte),
                     "heldout_bits_per_char", ledger_real_json(f->bits_per_char), "at", f->c.at, "files", files);
}

int ledger_show_json(const struct logbook *b, struct err *e)
{
    const struct genesis *g = &b->genesis;
    json_t *ancestors = json_array();
    char seed[24];
    snprintf(seed, sizeof seed, "0x%016" PRIx64, b->config.seed);
    for (int i = 0; i < g->n_ancestors; i++)
        ancestors = json_and(ancestors, hex_json(&g->ancestor[i]));
    json_t *v = json_pack(
        "{s:o,s:s,s:s,s:s,s:o,s:s,s:o,s:o,s:o,s:I,s:I,s:I,s:s?,s:s?,s:s?,s:o,s:o,s:o}", "genesis", hex_json(&b->hash),
        "profile", profile_name(b->config.profile),
        "holder", g->holder, "created", g->created, "source", hex_json(&g->source), "compiler", g->compiler,
        "ancestors", ancestors, "corpus_root", hex_json(&b->config.corpus_root), "tokenizer",
        hex_json(&b->config.tokenizer), "corpus_docs", (json_int_t)g->corpus_docs, "train_tokens",
        (json_int_t)g->train_tokens, "planned_steps", (json_int_t)b->config.schedule.steps, "beacon_source",
        b->has_beacon ? b->beacon.source : NULL, "beacon_value", b->has_beacon ? b->beacon.value : NULL, "seed",
        b->has_beacon ? seed : NULL, "segments", segments_json(b), "events", events_json(b), "final", final_json(b));
    return cli_print_json(v, JSON_ENSURE_ASCII, e);
}

/* ---- verify ---- */

void ledger_audit_show(const struct audit *a)
{
    static const char *const mark[] = {"pass", "FAIL", "not decidable"};
    for (int i = 0; i < a->n; i++)
        wrap_line(28, "%-12s %-14s %s", a->check[i].name, mark[a->check[i].result], a->check[i].detail);
    printf("\nverdict: %s\n", verdict_name(audit_verdict(a)));
    if (audit_verdict(a) == VERDICT_PASS)
        wrap_line(0, "Ledger, files and beginning agree, and the weights lie within reach of it. That each segment is "
                  "what training gives is shown by `dokja ledger replay` alone.");
}

int ledger_audit_json(const struct audit *a, struct err *e)
{
    json_t *list = json_array();
    for (int i = 0; i < a->n; i++) {
        const struct check *c = &a->check[i];
        list = json_and(list, json_pack("{s:s,s:s,s:o,s:s}", "name", c->name, "result", check_result_name(c->result),
                                        "figure", ledger_real_json(c->figure), "detail",
                                        c->detail));
    }
    json_t *v = json_pack("{s:s,s:o}", "verdict", verdict_name(audit_verdict(a)), "checks", list);
    return cli_print_json(v, JSON_ENSURE_ASCII, e);
}

/* ---- replay ---- */

static void show_chances(uint64_t n, uint64_t k)
{
    static const int percent[] = {1, 5, 10};
    double chance[3];
    for (int i = 0; i < 3; i++)
        chance[i] = 100 * replay_detection(n, (n * (uint64_t)percent[i] + 99) / 100, k);
    wrap_line(0, "chance that %" PRIu64 " of %" PRIu64 " segments, drawn at random, hit one of those tampered with, if "
              "these were: %d %%: %.1f %%, %d %%: %.1f %%, %d %%: %.1f %%, a single one: %.1f %%", k, n, percent[0],
              chance[0], percent[1], chance[1], percent[2], chance[2], 100 * replay_detection(n, 1, k));
}

void ledger_replay_show(const struct logbook *b, const struct replayed *r, double seconds, bool corpus)
{
    const struct replay_choice *c = r->choice;
    char took[16];
    clock_human(took, seconds);
    if (r->result->differs)
        wrap_line(0, ONE_OR(r->result->same,
                  "%" PRIu64 " segment matches, the next one does not, of %" PRIu64 " to train, %" PRIu64 " in all; %s",
                  "%" PRIu64 " segments match, the next one does not, of %" PRIu64 " to train, %" PRIu64 " in all; %s"),
                  r->result->same, c->train, c->n, took);
    else
        printf(ONE_OR(c->train, "%" PRIu64 " of %" PRIu64 " trained segment matches, of %" PRIu64 " in all; %s\n",
                      "%" PRIu64 " of %" PRIu64 " trained segments match, of %" PRIu64 " in all; %s\n"),
               r->result->same, c->train, c->n, took);
    if (c->train > c->k)
        printf("%" PRIu64 " of them chosen, the others on the way there\n", c->k);
    wrap_line(0, "the text was %s", corpus ? "made again from the committed corpus"
                                       : "RUN/tokens as it lies there; --corpus makes it from the committed corpus");
    if (r->result->differs)
        wrap_line(0, "first difference: segment %" PRIu64 ", step %" PRIu64 ": %s", r->result->segment,
                  r->result->step, r->result->what);
    /* Nothing is left to chance where all was compared or a difference was found. What lies on the way to a drawn
     * segment could be foreseen, so only the drawn ones count against somebody who knew the rest. */
    if (c->train < c->n && !r->result->differs)
        show_chances(c->n, c->drawn ? c->drawn : c->train);
    if (!b->has_final)
        printf("the run has not ended: no FINAL\n");
}

int ledger_replay_json(const struct replayed *done, struct err *e)
{
    const struct replay_result *r = done->result;
    json_t *first = r->differs ? json_pack("{s:I,s:I,s:s}", "segment", (json_int_t)r->segment, "step",
                                           (json_int_t)r->step, "what", r->what)
                               : json_null();
    json_t *v = json_pack("{s:I,s:I,s:I,s:I,s:o}", "segments", (json_int_t)r->segments, "matched",
                          (json_int_t)r->matched, "trained", (json_int_t)done->choice->train, "trained_matched",
                          (json_int_t)r->same, "first_difference", first);
    return cli_print_json(v, JSON_ENSURE_ASCII, e);
}
