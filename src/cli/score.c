/* dokja score: bits per byte and per character of any text under a model. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/plural.h"
#include "cli/cli.h"
#include "cli/infer_args.h"
#include "cli/print_json.h"
#include "data/corpus_nfc.h"
#include "formats/textsrc.h"
#include "text/unicode.h"

enum { MAX_DOC = 256 << 20, MAX_IDS = 64 << 20, ROWS = 512 };
static const double LN2 = 0.69314718055994530942;

struct score_args {
    const char *model, *tokens;
    struct opt_list in;
    int64_t threads, context;
    bool json;
};
struct scorer {
    struct cli_model c;
    struct session *s;
    struct tok_encoder *enc;
    struct token_vec ids;
    struct buf text;
    float *nll;            /* (context) */
    int32_t *top;
    int context, bos;
    double sum, t0;        /* nats */
    uint64_t bytes, chars, tokens, docs;
};

static int open_scorer(struct scorer *k, const struct score_args *a, struct err *e)
{
    int rc = cli_model_open(&k->c, a->model, (int)a->threads, e);
    if (rc != 0)
        return rc;
    struct tok_special sp = tokenizer_special(infer_model_tokenizer(k->c.m));
    int most = infer_model_config(k->c.m)->max_pos;
    if (a->context > most)
        return err_set(e, ERR_USAGE, "--context %lld is longer than the model's %d positions", (long long)a->context,
                       most);
    k->context = a->context > 0 ? (int)a->context : most;
    k->bos = sp.bos >= 0 ? sp.bos : sp.eos;
    k->nll = mem_new((size_t)k->context, sizeof *k->nll);
    k->top = mem_new((size_t)k->context, sizeof *k->top);
    if (!k->nll || !k->top)
        return err_set(e, ERR_NOMEM, "no memory for a context of %d positions", k->context);
    rc = tok_encoder_new(&k->enc, infer_model_tokenizer(k->c.m), e);
    return rc == 0 ? session_new(&k->s, k->c.m, k->context, ROWS, e) : rc;
}

static void close_scorer(struct scorer *k)
{
    session_free(k->s);
    tok_encoder_free(k->enc);
    token_vec_release(&k->ids);
    buf_release(&k->text);
    mem_free(k->nll);
    mem_free(k->top);
    cli_model_close(&k->c);
}

/* Window after window of the context's length, each fed from its own position 0; every token but the first is
 * predicted once. */
static int score_ids(struct scorer *k, struct err *e)
{
    size_t targets = k->ids.n - 1;
    for (size_t at = 0; at < targets; at += (size_t)k->context) {
        int n = targets - at < (size_t)k->context ? (int)(targets - at) : k->context;
        session_reset(k->s, 0);
        int rc = session_score_next(k->s, k->ids.v + at, n, k->ids.v[at + (size_t)n], k->nll, NULL, e);
        for (int i = 0; i < n && rc == 0; i++)
            k->sum += (double)k->nll[i];
        if (rc == 0 && log_stop_asked())
            rc = err_set(e, ERR_STOPPED, "stopped before all text was scored");
        if (rc != 0)
            return rc;
    }
    k->tokens += targets;
    return 0;
}

/* Text that is not UTF-8 has ids too, but figures of it would mean nothing.  Bytes and characters are those of the text
 * in normal form C, which is what the model reads. */
static int score_doc(struct scorer *k, const char *path, const struct textsrc_doc *d, struct err *e)
{
    struct nfc_look look = {0};
    int rc = nfc_look(&look, d->text, d->n) ? 0 : uc_check(path, d->text, d->n, e);
    const char *text = d->text;
    size_t n = d->n;
    uint64_t chars = look.chars;
    if (rc == 0 && !look.plain) {
        rc = nfc_normalise(&k->text, &chars, text, n, e);
        text = k->text.p;
        n = k->text.len;
    }
    k->ids.n = 0;
    if (rc == 0)
        rc = cli_push(&k->ids, k->bos, e);
    if (rc == 0)
        rc = tok_encode(k->enc, &k->ids, text, n, false, e);
    if (rc == 0)
        rc = score_ids(k, e);
    k->bytes += n;
    k->chars += chars;
    k->docs++;
    return rc;
}

static int score_file(struct scorer *k, const char *path, struct err *e)
{
    struct textsrc *src;
    struct textsrc_doc d;
    int rc = textsrc_open(&src, path, MAX_DOC, e), got = 0;
    if (rc != 0)
        return rc;
    while (rc == 0 && (got = textsrc_next(src, &d, e)) > 0) {
        rc = score_doc(k, path, &d, e);
        log_progress("score: %llu document%s, %.1f kB, %.4f bits per byte, %.0f tokens/s", (unsigned long long)k->docs,
                     PLURAL(k->docs), (double)k->bytes * 1e-3, k->bytes ? k->sum / LN2 / (double)k->bytes : 0,
                     (double)k->tokens / (clock_seconds() - k->t0 + 1e-9));
    }
    textsrc_close(src);
    return rc != 0 ? rc : got;
}

static int score_text(struct scorer *k, const struct score_args *a, struct err *e)
{
    int rc = 0;
    nfc_init();
    if (k->bos < 0)
        return err_set(e, ERR_VALUE, "%s: the tokenizer has neither <|bos|> nor <|eos|> to begin a document with",
                       a->model);
    for (int i = 0; i < a->in.n && rc == 0; i++)
        rc = score_file(k, a->in.v[i], e);
    log_progress_end();
    if (rc == 0 && k->bytes == 0)
        rc = err_set(e, ERR_VALUE, "%s: there is no text to score", a->in.v[0]);
    if (rc != 0)
        return rc;
    double bits = k->sum / LN2, s = clock_seconds() - k->t0;
    if (a->json)
        printf("{\"bits_per_byte\":%.6f,\"bits_per_char\":%.6f,\"bytes\":%llu,\"chars\":%llu,\"tokens\":%llu,"
               "\"documents\":%llu,\"context\":%d,\"seconds\":%.3f}\n",
               bits / (double)k->bytes, bits / (double)k->chars, (unsigned long long)k->bytes,
               (unsigned long long)k->chars,
               (unsigned long long)k->tokens, (unsigned long long)k->docs, k->context, s);
    else
        printf("%.4f bits per byte, %.4f bits per character\n%llu document%s, %llu byte%s, %llu character%s, %llu "
               "token%s, in windows of %d\n",
               bits / (double)k->bytes, bits / (double)k->chars, (unsigned long long)k->docs, PLURAL(k->docs),
               (unsigned long long)k->bytes, PLURAL(k->bytes), (unsigned long long)k->chars, PLURAL(k->chars),
               (unsigned long long)k->tokens, PLURAL(k->tokens), k->context);
    return 0;
}

/* ---- --tokens: per-token figures of given ids, to compare with another implementation ---- */

static int read_ids(struct scorer *k, const json_t *list, const char *path, struct err *e)
{
    size_t i;
    json_t *v;
    k->ids.n = 0;
    json_array_foreach(list, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
            return err_set(e, ERR_FORMAT, "%s: entry %zu is not a token id", path, i);
        int rc = cli_push(&k->ids, (int32_t)json_integer_value(v), e);
        if (rc != 0)
            return rc;
    }
    if (k->ids.n < 2)
        return err_set(e, ERR_VALUE, "%s: a list of %zu token ids; at least 2 are needed", path, k->ids.n);
    if (k->ids.n > (size_t)k->context)
        return err_set(e, ERR_LIMIT, "%s: a list of %zu token ids, the context holds %d", path, k->ids.n, k->context);
    return 0;
}

static int score_list(struct scorer *k, const json_t *list, const char *path, json_t **nll, json_t **top, struct err *e)
{
    int rc = read_ids(k, list, path, e), n = (int)k->ids.n;
    session_reset(k->s, 0);
    if (rc == 0)
        rc = session_score(k->s, k->ids.v, n, k->nll, k->top, e);
    *nll = json_array();
    *top = json_array();
    for (int i = 0; i + 1 < n && rc == 0; i++)
        if (json_array_append_new(*nll, json_real((double)k->nll[i])) != 0 ||
            json_array_append_new(*top, json_integer(k->top[i])) != 0)
            rc = err_set(e, ERR_NOMEM, "out of memory for the figures");
    return rc;
}

static int score_tokens(struct scorer *k, const char *path, struct err *e)
{
    json_t *in = NULL, *nll = NULL, *top = NULL;
    int rc = json_read(&in, path, MAX_IDS, e);
    if (rc == 0 && (!json_is_array(in) || json_array_size(in) == 0))
        rc = err_set(e, ERR_FORMAT, "%s: not a list of token ids or of such lists", path);
    bool many = rc == 0 && json_is_array(json_array_get(in, 0));
    if (rc == 0 && !many)
        rc = score_list(k, in, path, &nll, &top, e);
    if (many) {
        nll = json_array();
        top = json_array();
    }
    for (size_t i = 0; many && i < json_array_size(in) && rc == 0; i++) {
        json_t *a = NULL, *b = NULL;
        const json_t *one = json_array_get(in, i);
        rc = json_is_array(one) ? score_list(k, one, path, &a, &b, e)
                                : err_set(e, ERR_FORMAT, "%s: entry %zu is not a list of token ids", path, i);
        nll = json_and(nll, a);
        top = json_and(top, b);
    }
    if (rc == 0)
        rc = cli_print_json(json_pack("{s:O, s:O}", "nll", nll, "top", top), JSON_REAL_PRECISION(9), e);
    json_decref(nll);
    json_decref(top);
    json_decref(in);
    return rc;
}

int cmd_score(int argc, char **argv, struct err *e)
{
    struct score_args a = {0};
    struct scorer k = {0};
    const struct opt opts[] = {
        {"model", 'm', OPT_STR, &a.model, "MODEL", "a run or model folder", 0, 0, NULL},
        {"in", 'i', OPT_LIST, &a.in, "FILE", ".txt, .md or .jsonl, plain, .gz or .zst; repeatable", 0, 0, NULL},
        {"tokens", 0, OPT_STR, &a.tokens, "IDS.json",
         "instead: figures of each token of a list of ids (or of several), as JSON", 0, 0, NULL},
        {"context", 0, OPT_INT, &a.context, "N", "window length (the model's)", 1, 1 << 24, NULL},
        {"threads", 0, OPT_INT, &a.threads, "N", "threads (OMP_NUM_THREADS or all cores)", 1, 1024, NULL},
        {"json", 0, OPT_FLAG, &a.json, NULL, "machine-readable output", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja score -m MODEL --in FILE… [--json]",
                                  "Bits per byte and per character of whole documents. Each begins after <|bos|> and "
                                  "is read in windows of the context's length, one after the other without overlap; "
                                  "<|eos|> is not counted; bytes and characters are those of the text in normal "
                                  "form C.",
                                  opts, 0, 64};
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    for (int i = 0; i < n_args; i++) {
        if (a.in.n == (int)(sizeof a.in.v / sizeof a.in.v[0]))
            return err_set(e, ERR_USAGE, "more than %d input files", a.in.n);
        a.in.v[a.in.n++] = argv[i];
    }
    if (!a.model || (a.in.n == 0) == !a.tokens)
        return err_set(e, ERR_USAGE, "needs -m MODEL and either --in FILE or --tokens IDS.json");
    log_catch_stop();
    rc = open_scorer(&k, &a, e);
    k.t0 = clock_seconds();
    if (rc == 0)
        rc = a.tokens ? score_tokens(&k, a.tokens, e) : score_text(&k, &a, e);
    close_scorer(&k);
    return rc;
}
