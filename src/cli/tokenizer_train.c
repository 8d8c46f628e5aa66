/* dokja tokenizer train, and the report that it and `dokja tokenizer report` write. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/plural.h"
#include "cli/cli.h"
#include "cli/not_read.h"
#include "cli/print_json.h"
#include "cli/tokenizer_docs.h"
#include "text/bpe_train.h"
#include "text/tok_report.h"

static int add_to_report(void *ctx, const char *text, size_t n, struct err *e)
{
    if (log_stop_asked())
        return err_set(e, ERR_STOPPED, "the report was stopped");
    return tok_report_add(ctx, text, n, e);
}

static void print_table(const struct tok_report *r, const struct tokenizer *t)
{
    printf("vocabulary %d; one byte a token would be 1.00 bytes per token\n", tokenizer_vocab(t));
    printf("  %-6s %10s %14s %14s %11s %11s %11s\n", "", "documents", "bytes", "tokens", "bytes/token", "chars/token",
           "tokens/word");
    for (int i = 0; i < REPORT_LANGS; i++)
        if (r->lang[i].tokens)
            printf("  %-6s %10llu %14llu %14llu %11.2f %11.2f %11.2f\n", report_lang_name[i],
                   (unsigned long long)r->lang[i].documents, (unsigned long long)r->lang[i].bytes,
                   (unsigned long long)r->lang[i].tokens, (double)r->lang[i].bytes / (double)r->lang[i].tokens,
                   (double)r->lang[i].chars / (double)r->lang[i].tokens,
                   r->lang[i].words ? (double)r->lang[i].tokens / (double)r->lang[i].words : 0.0);
}

int tokenizer_report_command(int argc, char **argv, struct err *e)
{
    const char *dir = NULL, *corpus = NULL, *out = NULL;
    struct opt_list in = {0};
    bool json = false, force = false;
    const struct opt opts[] = {{"tokenizer", 't', OPT_STR, &dir, "DIR", "the tokenizer", 0, 0, NULL},
                               {"corpus", 'c', OPT_STR, &corpus, "DIR", "documents of a corpus", 0, 0, NULL},
                               {"in", 'i', OPT_LIST, &in, "FILE", "text files or folders; repeatable", 0, 0, NULL},
                               {"out", 'o', OPT_STR, &out, "FILE", "write the report there too", 0, 0, NULL},
                               CLI_FORCE(&force),
                               {"json", 0, OPT_FLAG, &json, NULL, "machine-readable output", 0, 0, NULL},
                               {0}};
    const struct opt_spec spec = {
        "dokja tokenizer report --tokenizer DIR --in FILE…",
        "Bytes per token and tokens per word, by language, beside one byte a token. A document counts as "
        "Korean, English or other by most of its letters.",
        opts, 0, 0};
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    if (!dir || (!corpus && in.n == 0))
        return err_set(e, ERR_USAGE, "tokenizer report needs --tokenizer DIR and --in FILE or --corpus DIR");
    struct tokenizer *t = NULL;
    struct tok_report r = {0};
    struct docs d = {.corpus = corpus, .in = &in, .out = out};
    log_catch_stop();
    rc = cli_may_write(out, "\"byte_baseline\": ", force, e);
    if (rc == 0)
        rc = tokenizer_open(&t, dir, e);
    if (rc == 0)
        rc = tok_report_init(&r, t, e);
    if (rc == 0)
        rc = docs_each(&d, add_to_report, &r, e);
    not_read_say(&d.aside);
    json_t *v = rc == 0 ? tok_report_json(&r, t) : NULL;
    if (rc == 0 && out)
        rc = json_write(out, v, e);
    if (rc == 0 && json)
        rc = cli_print_json(json_incref(v), 0, e);
    else if (rc == 0)
        print_table(&r, t);
    json_decref(v);
    tok_report_release(&r);
    tokenizer_close(t);
    return rc;
}

/* Documents for the report made after training: every k-th, so that it costs little on a large corpus. */
struct feed {
    struct bpe_trainer *tr;
    struct tok_report *report;
    uint64_t bytes, shown, budget;
};

static int feed_trainer(void *ctx, const char *text, size_t n, struct err *e)
{
    struct feed *f = ctx;
    f->bytes += n;
    return bpe_trainer_add(f->tr, text, n, e);
}

static int feed_report(void *ctx, const char *text, size_t n, struct err *e)
{
    struct feed *f = ctx;
    f->shown += n;
    /* Spread over the whole text: a document is taken while the share taken is below the budget's. */
    if ((double)f->report->lang[REPORT_ALL].bytes * (double)f->bytes > (double)f->budget * (double)f->shown)
        return 0;
    return add_to_report(f->report, text, n, e);
}

static bool show(void *ctx, const struct bpe_train_progress *p)
{
    (void)ctx;
    if (p->done)
        log_progress("merging: %d of %d tokens", p->done, p->vocab);
    else
        log_progress("counting: %.1f MB in %llu document%s, %llu different piece%s", (double)p->bytes * 1e-6,
                     (unsigned long long)p->documents, PLURAL(p->documents), (unsigned long long)p->pieces,
                     PLURAL(p->pieces));
    return !log_stop_asked();
}

/* `d`: as the trainer left it. */
static int write_report(const struct tokenizer *t, struct feed *f, const struct docs *d, uint64_t not_read,
                        bool json, double seconds, struct err *e)
{
    struct docs all = {.corpus = d->corpus, .in = d->in, .out = d->out};
    struct tok_report r = {0};
    struct buf path = {0};
    int rc = tok_report_init(&r, t, e);
    f->report = &r;
    if (rc == 0)
        rc = docs_each(&all, feed_report, f, e);
    json_t *v = rc == 0 ? tok_report_json(&r, t) : NULL;
    if (rc == 0)
        rc = file_join(&path, d->out, "report.json", e);
    if (rc == 0)
        rc = json_write(path.p, v, e);
    if (rc == 0 && json) {
        char hex[65];
        struct digest digest = tokenizer_digest(t);
        digest_hex(hex, &digest);
        v = json_with(v, "digest", json_string(hex));
        v = json_with(v, "train_bytes", json_integer((json_int_t)f->bytes));
        v = json_with(v, "heldout", json_real(d->heldout));
        v = json_with(v, "left_out_documents", json_integer((json_int_t)d->left_out.docs));
        v = json_with(v, "not_read", json_integer((json_int_t)not_read));
        v = json_with(v, "seconds", json_real(seconds));
        v = json_with(v, "peak_rss_bytes", json_integer((json_int_t)mem_peak_rss()));
        rc = cli_print_json(json_incref(v), 0, e);
    } else if (rc == 0) {
        print_table(&r, t);
    }
    json_decref(v);
    buf_release(&path);
    tok_report_release(&r);
    return rc;
}

/* Runs know their tokenizer by the digest of its bytes and cannot go on with another one in its place; the same one
 * again is no loss.  Bytes are compared, so what is there may even be damaged. */
static int save(const struct tokenizer *t, const char *out, bool force, struct err *e)
{
    struct buf path = {0};
    struct digest was = {0}, is = tokenizer_digest(t);
    int rc = file_join(&path, out, "tokenizer.json", e);
    if (rc == 0 && !force && file_exists(path.p)) {
        rc = sha256_file(&was, path.p, e);
        if (rc == 0 && memcmp(&was, &is, sizeof was) != 0)
            rc = err_set(e, ERR_VALUE, "%s: holds another tokenizer; use --force to replace it, or another --out", out);
    }
    buf_release(&path);
    return rc == 0 ? tokenizer_save(t, out, e) : rc;
}

int tokenizer_train_command(int argc, char **argv, struct err *e)
{
    const char *corpus = NULL, *out = NULL, *pattern = NULL;
    struct opt_list in = {0};
    int64_t vocab = 16384, at_most = 0, min_count = 2, threads = 0;
    double heldout = CORPUS_HELDOUT;
    bool json = false, heldout_given = false, vocab_given = false, force = false;
    const struct opt opts[] = {
        {"corpus", 'c', OPT_STR, &corpus, "DIR", "documents of a corpus", 0, 0, NULL},
        {"in", 'i', OPT_LIST, &in, "FILE", "text files or folders instead; repeatable", 0, 0, NULL},
        {"vocab", 'v', OPT_INT, &vocab, "N", "size of the vocabulary (16384)", 1, 1 << 22, &vocab_given},
        {"vocab-at-most", 0, OPT_INT, &at_most, "N", "instead: that size, or what the text supports if that is less", 1,
         1 << 22, NULL},
        {"out", 'o', OPT_STR, &out, "DIR", "where tokenizer.json goes", 0, 0, NULL},
        {"pattern", 0, OPT_STR, &pattern, "REGEX", "another split pattern", 0, 0, NULL},
        {"min-count", 0, OPT_INT, &min_count, "N", "merge only pairs seen so often (2)", 1, 1e15, NULL},
        {"heldout", 0, OPT_REAL, &heldout, "X",
         "fraction of the corpus left out, as pretrain --heldout does (default " TEXT_OF(CORPUS_HELDOUT) "; 0: none)",
         0, 0.5, &heldout_given},
        {"threads", 0, OPT_INT, &threads, "N", "threads; the result does not depend on it", 1, 1024, NULL},
        {"force", 0, OPT_FLAG, &force, NULL, "replace a tokenizer that differs", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "machine-readable output", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {
        "dokja tokenizer train --corpus DIR --vocab N --out DIR",
        "Trains a byte-level BPE vocabulary and writes tokenizer.json, tokenizer_config.json and report.json. The "
        "documents of the corpus that pretraining holds out are left out here too; what --in names is used whole, and "
        "must be UTF-8. Of a folder what is hidden (.git) and DIR itself are not read.",
        opts, 0, 0};
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    if (!out || (!corpus && in.n == 0))
        return err_set(e, ERR_USAGE, "tokenizer train needs --out DIR and --corpus DIR or --in FILE");
    if (corpus && in.n)
        return err_set(e, ERR_USAGE, "--corpus and --in exclude each other; `corpus build --in` takes several inputs");
    if (heldout_given && heldout > 0 && !corpus)
        return err_set(e, ERR_USAGE, "--heldout needs --corpus DIR: what --in names is used whole");
    if (at_most && vocab_given)
        return err_set(e, ERR_USAGE, "--vocab and --vocab-at-most exclude each other");
    struct feed f = {.budget = 32u << 20};
    struct docs d = {.corpus = corpus, .heldout = corpus ? heldout : 0, .in = &in, .out = out};
    struct tokenizer *t = NULL;
    double start = clock_seconds();
    log_catch_stop();
    rc = bpe_trainer_new(&f.tr,
                         &(struct bpe_train_opts){.vocab = (int)(at_most ? at_most : vocab),
                                                  .at_most = at_most > 0,
                                                  .pattern = pattern,
                                                  .min_count = (uint64_t)min_count,
                                                  .threads = (int)threads,
                                                  .progress = show},
                         e);
    if (rc == 0)
        rc = docs_each(&d, feed_trainer, &f, e);
    if (rc == 0)
        rc = bpe_trainer_finish(f.tr, &t, e);
    bpe_trainer_free(f.tr);
    log_progress_end();
    uint64_t not_read = not_read_say(&d.aside);
    if (rc == 0)
        rc = save(t, out, force, e);
    double seconds = clock_seconds() - start;
    if (rc == 0) {
        log_line("%s: %d tokens from %.1f MB in %.1f s, %.0f MB of memory at most", out, tokenizer_vocab(t),
                 (double)f.bytes * 1e-6, seconds, (double)mem_peak_rss() * 1e-6);
        if (tokenizer_vocab(t) < at_most)
            log_line("%lld tokens were asked for: this text supports no more than %d", (long long)at_most,
                     tokenizer_vocab(t));
        if (d.left_out.docs)
            log_line("left out: %llu document%s (%.1f MB), which pretrain --heldout %g holds out",
                     (unsigned long long)d.left_out.docs, PLURAL(d.left_out.docs), (double)d.left_out.bytes * 1e-6,
                     heldout);
        rc = write_report(t, &f, &d, not_read, json, seconds, e);
    }
    tokenizer_close(t);
    return rc;
}
