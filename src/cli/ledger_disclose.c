/* dokja ledger disclose|check|used: one thing of a run and nothing else. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/plural.h"
#include "cli/cli.h"
#include "cli/ledger_show.h"
#include "cli/ledger_sub.h"
#include "cli/wrap.h"
#include "data/tokens.h"
#include "train/disclose.h"
#include "train/exposure.h"

static int print_json(json_t *v, struct err *e)
{
    struct buf b = {0};
    int rc = v ? json_print(&b, v, 2, e) : err_set(e, ERR_NOMEM, "out of memory");
    if (rc == 0)
        printf("%s\n", b.p);
    buf_release(&b);
    json_decref(v);
    return rc;
}

/* A line of a report. */
static void print_field(const char *label, const char *s)
{
    printf("%-10s ", label);
    wrap_plain(stdout, *s ? s : "not stated");
    putchar('\n');
}

/* The document in a corpus that must be the one the run commits to. */
static int find_document(struct corpus_found *f, const struct logbook *b, const char *dir, const char *id,
                         struct err *e)
{
    struct corpus *c = NULL;
    if (!dir)
        return err_set(e, ERR_USAGE, "--document needs --corpus DIR");
    int rc = corpus_open(&c, dir, e);
    struct digest root = rc ? (struct digest){{0}} : corpus_root(c);
    if (rc == 0 && memcmp(root.b, b->config.corpus_root.b, sizeof root.b) != 0)
        rc = err_set(e, ERR_VALUE, "%s: is another corpus than the one GENESIS commits to", dir);
    if (rc == 0)
        rc = corpus_find(f, c, id, b->config.heldout, e);
    corpus_close(c);
    return rc;
}

/* ---- disclose ---- */

struct wish {
    const char *run, *document, *corpus, *tensor, *out;
    int64_t segment;
    bool has_segment, with_text;
};

static int make(struct buf *text, const struct wish *w, const struct logbook *b, struct err *e)
{
    if (w->has_segment)
        return disclose_segment(text, b, (uint64_t)w->segment, e);
    if (w->document) {
        struct corpus_found f = {0};
        int rc = find_document(&f, b, w->corpus, w->document, e);
        if (rc == 0)
            rc = disclose_document(text, b, &f, w->with_text, e);
        corpus_found_release(&f);
        return rc;
    }
    struct buf path = {0};
    int rc = file_join(&path, w->run, "state/state.safetensors", e);
    if (rc == 0)
        rc = disclose_tensor(text, b, path.p, w->tensor, e);
    buf_release(&path);
    return rc;
}

int ledger_disclose(int argc, char **argv, struct err *e)
{
    struct wish w = {0};
    bool force = false;
    int n;
    const struct opt opts[] = {
        {"document", 0, OPT_STR, &w.document, "ID", "of the corpus: its id, or sha256: and the digest of its text", 0,
         0, NULL},
        {"corpus", 0, OPT_STR, &w.corpus, "DIR", "the corpus, for --document", 0, 0, NULL},
        {"with-text", 0, OPT_FLAG, &w.with_text, NULL, "shows the document's text, not its SHA-256 alone", 0, 0, NULL},
        {"segment", 0, OPT_INT, &w.segment, "K", "of the ledger, counted from 0", 0, 1 << 24, &w.has_segment},
        {"tensor", 0, OPT_STR, &w.tensor, "NAME", "of the last state: a weight, or moment1.NAME, moment2.NAME", 0, 0,
         NULL},
        {"out", 'o', OPT_STR, &w.out, "FILE", "the disclosure", 0, 0, NULL},
        CLI_FORCE(&force),
        {0}};
    const struct opt_spec spec = {"dokja ledger disclose RUN --document ID --corpus DIR | --segment K | --tensor NAME "
                                  "--out FILE",
                                  "Shows one thing of a run, with a proof that the run committed to it, and nothing "
                                  "else of corpus or weights. `dokja ledger check FILE` needs that file alone.", opts,
                                  1, 1};
    int rc = opt_parse(&spec, argc, argv, &n, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    if ((w.document != NULL) + w.has_segment + (w.tensor != NULL) != 1 || !w.out)
        return err_set(e, ERR_USAGE, "expected one of --document, --segment and --tensor, and --out FILE");
    struct logbook *b = NULL;
    struct buf text = {0};
    w.run = argv[0];
    rc = cli_may_write(w.out, "\"format\": \"dokja-disclosure\"", force, e);
    if (rc == 0)
        rc = ledger_book_open(&b, w.run, e);
    if (rc == 0)
        rc = make(&text, &w, b, e);
    if (rc == 0)
        rc = file_replace(w.out, text.p, text.len, e);
    if (rc == 0)
        log_line("%s: %zu bytes; dokja ledger check %s", w.out, text.len, w.out);
    buf_release(&text);
    logbook_close(b);
    return rc;
}

/* ---- check ---- */

struct checked {
    const struct disclosure *d;
    char genesis[65], key[65];
    bool lodged, keyed;        /* compared with what was given */
};

/* The side of the split, where GENESIS and the text's hash decide it (the rules of data/tokens.h). */
static const char *side(const struct disclosure *d)
{
    bool held = corpus_held_out(&d->document.text, d->config.heldout);
    if (held && d->genesis.train_docs > 1)
        return "held out: not trained on";
    if ((!held && d->genesis.heldout_docs > 1) || d->config.heldout <= 0)
        return "to train on; the steps: dokja ledger used";
    return "not decided by this file";
}

static void show_document(const struct disclosure *d)
{
    const struct disclosed_document *x = &d->document;
    char hex[65];
    digest_hex(hex, &x->text);
    printf("shows      document %" PRIu64 " (from 0) of the %" PRIu64 " in the corpus that the run committed to before "
           "its first step\n", x->index, d->genesis.corpus_docs);
    print_field("id", x->id);
    print_field("source", x->source);
    print_field("license", x->license);
    print_field("language", x->lang);
    printf("text       SHA-256 %s, ", hex);
    printf(x->shown ? "%zu byte%s, in the file\n" : "not shown\n", x->n, PLURAL(x->n));
    printf("side       %s\n", side(d));
}

static void show_segment(const struct disclosure *d)
{
    const struct segment *s = &d->segment;
    char before[65], after[65];
    double sum = 0;
    digest_hex(before, &s->before);
    digest_hex(after, &s->after);
    for (uint64_t i = 0; i < s->to - s->from; i++)
        sum += s->loss[i];
    printf("shows      segment %" PRIu64 ": steps %" PRIu64 " to %" PRIu64 ", until then %" PRIu64
           " tokens and %.4g FLOPs\n", s->index, s->from + 1, s->to, s->tokens, s->flops);
    printf("loss       %.4f, mean of its steps\nbefore     state root %s\nafter      state root %s\n",
           sum / (double)(s->to - s->from), before, after);
    printf("written    %s, %s, %" PRIu64 " thread%s\n", s->c.at, s->c.isa, s->c.threads, PLURAL(s->c.threads));
}

static void show_tensor(const struct disclosure *d)
{
    const struct disclosed_tensor *x = &d->tensor;
    char hex[65], root[65];
    digest_hex(hex, &x->values);
    digest_hex(root, &d->final.root);
    printf("shows      %s, %d × %d values of the state after step %" PRIu64 "\n", x->name, x->rows, x->cols,
           d->final.steps);
    printf("values     %.6g to %.6g, root mean square %.6g, SHA-256 %s\n", x->lowest, x->highest, x->rms, hex);
    printf("chunks     %" PRIu64 " of %" PRIu64 ", under state root %s\n", x->chunks, x->of, root);
}

static void show_checked(const struct checked *c)
{
    const struct disclosure *d = c->d;
    void (*const show[])(const struct disclosure *) = {show_document, show_segment, show_tensor};
    show[d->what](d);
    printf("run        GENESIS %s, %s\n", c->genesis,
           c->lodged ? "the one that was given" : "compared with nothing: give --genesis the hash that was lodged");
    printf("holder     %s, in their own words, %s\n", d->genesis.holder, d->genesis.created);
    printf("signed     checkpoint of %" PRIu64 " record%s, by key %s%s\n", d->checkpoint.size,
           PLURAL(d->checkpoint.size), c->key,
           c->keyed ? ", the one that was given" : "");
    static const char *const not[] = {
        "That the text is what its source says, or that nothing else was trained on: that is replay's to show.",
        "That training gives this segment: dokja ledger replay RUN --segments K.",
        "That training gives these values: dokja ledger replay RUN."};
    printf("\nIt does not show: %s\n", not[d->what]);
}

static json_t *thing_json(const struct disclosure *d)
{
    char hex[65];
    if (d->what == DISCLOSED_DOCUMENT) {
        digest_hex(hex, &d->document.text);
        return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:b,s:s}", "index", (json_int_t)d->document.index, "text_sha256",
                         hex, "id", d->document.id, "source", d->document.source, "license", d->document.license,
                         "lang", d->document.lang, "text_shown", d->document.shown != NULL, "side", side(d));
    }
    if (d->what == DISCLOSED_SEGMENT) {
        digest_hex(hex, &d->segment.after);
        return json_pack("{s:I,s:I,s:I,s:I,s:o,s:s}", "segment", (json_int_t)d->segment.index, "from",
                         (json_int_t)d->segment.from, "to", (json_int_t)d->segment.to, "tokens",
                         (json_int_t)d->segment.tokens, "flops", ledger_real_json(d->segment.flops), "state_root", hex);
    }
    digest_hex(hex, &d->tensor.values);
    return json_pack("{s:s,s:i,s:i,s:s,s:o}", "name", d->tensor.name, "rows", d->tensor.rows, "cols", d->tensor.cols,
                     "values_sha256", hex, "rms", ledger_real_json(d->tensor.rms));
}

static json_t *checked_json(const struct checked *c)
{
    static const char *const what[] = {"document", "segment", "tensor"};
    return json_pack("{s:b,s:s,s:o,s:s,s:b,s:s,s:b,s:s,s:I}", "good", 1, "what", what[c->d->what], what[c->d->what],
                     thing_json(c->d), "genesis", c->genesis, "genesis_compared", c->lodged, "key", c->key,
                     "key_compared", c->keyed, "holder", c->d->genesis.holder, "records",
                     (json_int_t)c->d->checkpoint.size);
}

static int compare(bool *done, const char *option, const char *given, const char *found, const char *file,
                   struct err *e)
{
    struct digest d;
    *done = given != NULL;
    if (!given)
        return 0;
    if (digest_parse(&d, given) != 0)
        return err_set(e, ERR_USAGE, "--%s %.80s: expected 64 hex digits", option, given);
    return strcmp(given, found) == 0
               ? 0 : err_set(e, ERR_VALUE, "%s: its %s is %s, not the one that was given", file, option, found);
}

int ledger_check(int argc, char **argv, struct err *e)
{
    static struct disclosure d;
    struct checked c = {.d = &d};
    const char *genesis = NULL, *key = NULL;
    struct buf text = {0};
    bool json = false;
    int n;
    const struct opt opts[] = {
        {"genesis", 0, OPT_STR, &genesis, "HASH", "the hash of GENESIS that was lodged before training", 0, 0, NULL},
        {"key", 0, OPT_STR, &key, "HEX", "the run's public key (Ed25519), 64 hex digits", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja ledger check FILE [--genesis HASH] [--key HEX] [--json]",
                                  "Checks a disclosure with that file alone, and tells what it shows. Exit status 0 "
                                  "only when it is what the run committed to.", opts, 1, 1};
    int rc = opt_parse(&spec, argc, argv, &n, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    rc = file_read(&text, argv[0], DISCLOSE_MAX_FILE, e);
    if (rc == 0)
        rc = disclosure_read(&d, text.p ? text.p : "", text.len, argv[0], e);
    if (rc == 0) {
        struct digest k;
        memcpy(k.b, d.genesis.key.b, sizeof k.b);
        digest_hex(c.key, &k);
        digest_hex(c.genesis, &d.genesis_hash);
        rc = compare(&c.lodged, "genesis", genesis, c.genesis, argv[0], e);
    }
    if (rc == 0)
        rc = compare(&c.keyed, "key", key, c.key, argv[0], e);
    if (rc == 0 && json)
        rc = print_json(checked_json(&c), e);
    else if (rc == 0)
        show_checked(&c);
    disclosure_release(&d);
    buf_release(&text);
    return rc;
}

/* ---- used ---- */

struct used {
    const struct logbook *b;
    struct corpus_found doc;
    struct tokens *tokens;
    struct exposure_span span;
    struct exposure x;
    int64_t steps;             /* that the ledger tells of */
};

static int open_stream(struct used *u, const char *run, struct err *e)
{
    const struct genesis *g = &u->b->genesis;
    struct buf dir = {0};
    int rc = file_join(&dir, run, "tokens", e);
    if (rc == 0)
        rc = tokens_open(&u->tokens, dir.p, e);
    struct digest root = rc ? (struct digest){{0}} : tokens_corpus(u->tokens);
    if (rc == 0 && (memcmp(root.b, u->b->config.corpus_root.b, sizeof root.b) != 0 ||
                    tokens_count(u->tokens, TOKENS_TRAIN) != g->train_tokens ||
                    tokens_docs(u->tokens, TOKENS_TRAIN) != g->train_docs))
        rc = err_set(e, ERR_VALUE, "%s: is not the token stream that GENESIS tells of", dir.p);
    if (rc == 0)
        rc = tokens_need_row(u->tokens, u->b->config.seq, e);
    if (rc == 0 && u->doc.trained && u->doc.rank >= g->train_docs)
        rc = err_set(e, ERR_VALUE, "%s: has no document %" PRIu64 " to train on", dir.p, u->doc.rank);
    buf_release(&dir);
    return rc;
}

static int trace(struct used *u, const char *run, struct err *e)
{
    const struct logbook *b = u->b;
    if (!b->has_beacon)
        return err_set(e, ERR_VALUE, "%s: awaits its beacon: no order is known", b->ledger.path);
    u->steps = b->n_segments ? (int64_t)b->segment[b->n_segments - 1].to : 0;
    int rc = open_stream(u, run, e);
    if (rc || !u->doc.trained)
        return rc;
    tokens_document(u->tokens, TOKENS_TRAIN, u->doc.rank, &u->span.from, &u->span.to);
    u->span.rows = tokens_rows(u->tokens, TOKENS_TRAIN, b->config.seq);
    return exposure_find(&u->x, &b->config, &u->span, u->steps, e);
}

static const char *why_never(const struct used *u)
{
    if (!u->doc.trained)
        return "it is held out";
    return u->x.rows == 0 ? "it lies in the last, incomplete row of the stream" : "its rows were not reached";
}

static void show_used(const struct used *u)
{
    char hex[65];
    digest_hex(hex, &u->doc.hash);
    print_field("document", u->doc.id);
    printf("number     %" PRIu64 " (from 0) of %" PRIu64 "\ntext       SHA-256 %s, %zu byte%s\n", u->doc.index,
           u->doc.docs, hex, u->doc.n, PLURAL(u->doc.n));
    if (u->doc.trained)
        printf("stream     tokens %" PRIu64 " to %" PRIu64 ", in %" PRIu64 " row%s of %d\n", u->span.from,
               u->span.to - 1, u->x.rows, PLURAL(u->x.rows), u->b->config.seq);
    if (u->doc.trained && u->doc.held)
        printf("split      the corpus is one document, about whose last tenth is held out\n");
    if (u->x.n == 0) {
        printf("trained    never: %s\n", why_never(u));
        return;
    }
    printf("trained    in %zu of %" PRId64 " step%s:", u->x.n, u->steps, PLURAL(u->steps));
    for (size_t i = 0; i < u->x.n; i++)
        printf(" %" PRId64, u->x.step[i]);
    printf("\n");
}

static json_t *used_json(const struct used *u)
{
    char hex[65];
    json_t *steps = json_array();
    digest_hex(hex, &u->doc.hash);
    for (size_t i = 0; i < u->x.n; i++)
        steps = json_and(steps, json_integer((json_int_t)u->x.step[i]));
    return json_pack("{s:s,s:I,s:s,s:b,s:[I,I],s:I,s:I,s:o,s:s?}", "id", u->doc.id, "index", (json_int_t)u->doc.index,
                     "text_sha256", hex, "held_out", u->doc.held, "stream", (json_int_t)u->span.from,
                     (json_int_t)u->span.to, "rows", (json_int_t)u->x.rows, "of_steps", (json_int_t)u->steps, "steps",
                     steps, "never", u->x.n ? NULL : why_never(u));
}

int ledger_used(int argc, char **argv, struct err *e)
{
    const char *document = NULL, *corpus = NULL;
    struct logbook *b = NULL;
    bool json = false;
    int n;
    const struct opt opts[] = {
        {"document", 0, OPT_STR, &document, "ID", "its id, or sha256: and the digest of its text", 0, 0, NULL},
        {"corpus", 0, OPT_STR, &corpus, "DIR", "the corpus the run was trained on", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja ledger used RUN --document ID --corpus DIR [--json]",
                                  "Tells in which steps a document was trained on. The order of the text follows from "
                                  "the run's seed, so this is computed, not remembered; RUN/tokens tells where the "
                                  "document lies.", opts, 1, 1};
    int rc = opt_parse(&spec, argc, argv, &n, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    if (!document || !corpus)
        return err_set(e, ERR_USAGE, "expected --document ID and --corpus DIR");
    struct used u = {0};
    rc = ledger_book_open(&b, argv[0], e);
    u.b = b;
    if (rc == 0)
        rc = find_document(&u.doc, b, corpus, document, e);
    if (rc == 0)
        rc = trace(&u, argv[0], e);
    if (rc == 0 && json)
        rc = print_json(used_json(&u), e);
    else if (rc == 0)
        show_used(&u);
    exposure_release(&u.x);
    tokens_close(u.tokens);
    corpus_found_release(&u.doc);
    logbook_close(b);
    return rc;
}
