/* dokja ledger export: a run's ledger as the documents that other people's tools read. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "cli/cli.h"
#include "cli/export.h"
#include "cli/ledger_sub.h"
#include "ledger/dsse.h"

enum { MAX_CONFIG = 1 << 20, MAX_BUNDLE = 64 << 20 };

/* ---- shared by the documents ---- */

static void failed(json_t **to)
{
    json_decref(*to);
    *to = NULL;
}

void export_push(json_t **to, json_t *v)
{
    if (json_array_append_new(*to, v))
        failed(to);
}

void export_set(json_t **to, const char *key, json_t *v)
{
    if (json_object_set_new(*to, key, v))
        failed(to);
}

int export_json(struct buf *d, json_t *v, struct err *e)
{
    int rc = v ? json_print(d, v, 2, e) : err_set(e, ERR_NOMEM, "no memory for a document, or a name is not UTF-8");
    json_decref(v);
    return rc ? rc : buf_addc(d, '\n', e);
}

json_t *export_time(const char *at)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    if (strlen(at) != sizeof form - 1)
        return json_null();
    for (size_t i = 0; form[i]; i++)
        if (form[i] == '0' ? at[i] < '0' || at[i] > '9' : at[i] != form[i])
            return json_null();
    return json_string(at);
}

bool export_named(const struct export *x) { return strcmp(x->b->genesis.holder, "not named") != 0; }

static int checkpoint(struct buf *d, const struct export *x, struct err *e)
{
    return buf_add(d, x->checkpoint, x->checkpoint_n, e);
}

static int readme(struct buf *d, const struct export *x, struct err *e);

static const struct document {
    const char *name;
    int (*make)(struct buf *d, const struct export *x, struct err *e);
    bool of_corpus;            /* cannot be made without */
    const char *mark;          /* stands at its beginning */
    const char *about;
} documents[] = {
    {"slsa.json", export_slsa, false, "in-toto.io/Statement",
        "in-toto Statement v1 with SLSA provenance v1: made of what, by what"},
    {"cyclonedx.json", export_bom, false, "CycloneDX",
        "CycloneDX 1.6 ML-BOM: model, text, tokenizer, ancestors, figures"},
    {"croissant.json", export_croissant, true, "mlcommons.org/croissant/",
        "Croissant 1.1: the corpus, its files and records"},
    {"eu-summary.md", export_eu, false, "# Public summary",
        "draft of the EU's public summary of training content"},
    {"eu-summary.json", export_eu_json, false, "dokja-eu-summary", "the same for machines"},
    {"korea-ai-act.md", export_korea, false, "# 인공지능기본법",
        "for the Korean AI Basic Act, in Korean and English"},
    {"checkpoint", checkpoint, false, "dokja-run/",
        "the ledger's last signed note; keep it: dokja ledger verify --checkpoint"},
    {"README.md", readme, false, "# What the ledger of a run says", "this list"}};
enum { N_DOCUMENTS = sizeof documents / sizeof *documents };
#define SIGNED "run.intoto.jsonl"

static bool made(const struct document *d, const struct export *x) { return !d->of_corpus || x->corpus; }

static int readme(struct buf *d, const struct export *x, struct err *e)
{
    int rc = buf_printf(d, e, "# What the ledger of a run says, for other tools\n\nRun `%s`, ended in state `%s`. Made "
                        "by `dokja ledger export`; the ledger itself is the proof, these are what it says.\n\n",
                        x->genesis, x->root);
    for (int i = 0; i < N_DOCUMENTS && rc == 0; i++)
        if (made(&documents[i], x))
            rc = buf_printf(d, e, "- `%s`: %s\n", documents[i].name, documents[i].about);
    if (rc == 0 && x->signed_too)
        rc = buf_adds(d, "- `" SIGNED "`: slsa.json signed, a Sigstore bundle a line (DSSE, ECDSA P-256)\n", e);
    if (rc == 0)
        rc = buf_adds(d, "\nWhat else lies in this folder is not of this export.\n", e);
    if (rc == 0 && !x->signed_too)
        rc = buf_adds(d, "\nNothing here is signed but the checkpoint: give --key for `" SIGNED "`.\n", e);
    return rc || x->corpus ? rc : buf_adds(d, "\nThe corpus was not given: no croissant.json, no figures by source.\n",
                                           e);
}

/* ---- what they are made from ---- */

struct maker {
    struct export x;
    const char *dir, *out, *key;
    bool json;
    struct logbook *b;
    struct corpus *corpus;
    struct census census;
    struct dsse_key *signer;
    json_t *config, *run, *list;
    struct buf name;
};

/* The whole ledger must be signed for, and the run ended. */
static int check_ledger(struct maker *m, struct err *e)
{
    struct logbook *b = m->b;
    struct note_signer s = {b->origin, b->genesis.key};
    struct digest h = sha256_of(b->ledger.map.p, b->ledger.map.len);
    uint64_t covered = 0;
    if (!b->has_final)
        return err_set(e, ERR_VALUE, "%s: the run has not ended: no FINAL", b->ledger.path);
    int rc = ledger_signed_check(&b->ledger, b->origin, &s, &covered, e);
    if (rc == 0 && covered != b->ledger.n_records)
        rc = err_set(e, ERR_VALUE, "%s: only %" PRIu64 " of %" PRIu64 " records are signed for", b->ledger.path,
                     covered, b->ledger.n_records);
    for (uint64_t i = 0; rc == 0 && i < b->ledger.n_entries; i++)
        if (b->ledger.entry[i].kind == LEDGER_CHECKPOINT)
            m->x.checkpoint = ledger_text(&b->ledger.entry[i], &m->x.checkpoint_n);
    digest_hex(m->x.ledger, &h);
    return rc;
}

static int read_config(json_t **v, const char *dir, const char *name, struct err *e)
{
    struct buf path = {0};
    int rc = file_join(&path, dir, name, e);
    if (rc == 0)
        rc = json_read(v, path.p, MAX_CONFIG, e);
    buf_release(&path);
    return rc;
}

static int open_corpus(struct maker *m, struct err *e)
{
    if (!m->x.corpus_dir)
        return 0;
    int rc = corpus_open(&m->corpus, m->x.corpus_dir, e);
    struct digest root = rc ? (struct digest){{0}} : corpus_root(m->corpus);
    if (rc == 0 && memcmp(root.b, m->b->config.corpus_root.b, sizeof root.b) != 0)
        rc = err_set(e, ERR_VALUE, "%s: is another corpus than the one GENESIS commits to", m->x.corpus_dir);
    if (rc == 0)
        rc = census_take(&m->census, m->corpus, e);
    m->x.corpus = m->corpus;
    m->x.census = &m->census;
    return rc;
}

/* The folder's last part. */
static int name_of(struct maker *m, struct err *e)
{
    size_t n = strlen(m->dir), at;
    while (n > 1 && m->dir[n - 1] == '/')
        n--;
    for (at = n; at > 0 && m->dir[at - 1] != '/'; at--)
        ;
    int rc = buf_add(&m->name, m->dir + at, n - at, e);
    m->x.name = m->name.p;
    return rc;
}

static int gather(struct maker *m, struct err *e)
{
    int rc = ledger_book_open(&m->b, m->dir, e);
    if (rc == 0)
        rc = check_ledger(m, e);
    if (rc == 0)
        rc = final_files_check(&m->b->final, &m->b->config.tokenizer, m->dir, e);
    if (rc == 0)
        rc = read_config(&m->config, m->dir, "config.json", e);
    if (rc == 0)
        rc = read_config(&m->run, m->dir, "run.json", e);
    if (rc == 0)
        rc = open_corpus(m, e);
    if (rc == 0 && m->key)
        rc = dsse_private_read(&m->signer, m->key, e);
    if (rc == 0 && !m->x.name)
        rc = name_of(m, e);
    if (rc)
        return rc;
    struct export *x = &m->x;
    x->b = m->b;
    x->config = m->config;
    x->run = m->run;
    x->signed_too = m->signer != NULL;
    digest_hex(x->genesis, &m->b->hash);
    digest_hex(x->root, &m->b->final.root);
    digest_hex(x->corpus_root, &m->b->config.corpus_root);
    digest_hex(x->tokenizer, &m->b->config.tokenizer);
    digest_hex(x->source, &m->b->genesis.source);
    return 0;
}

/* ---- writing ---- */

static int put(struct maker *m, const char *name, const struct buf *text, struct err *e)
{
    struct buf path = {0};
    char hex[65];
    struct digest h = sha256_of(text->p, text->len);
    digest_hex(hex, &h);
    int rc = file_join(&path, m->out, name, e);
    if (rc == 0)
        rc = file_replace(path.p, text->p, text->len, e);
    if (rc == 0 && json_array_append_new(m->list, json_pack("{s:s,s:I,s:s}", "name", name, "bytes",
                                                            (json_int_t)text->len, "sha256", hex)))
        rc = err_set(e, ERR_NOMEM, "%s: no memory for the list of files", path.p);
    buf_release(&path);
    return rc;
}

/* Is the statement already signed there by this key?  ECDSA gives another signature each time. */
static bool already_signed(struct buf *line, const struct maker *m, const struct buf *statement)
{
    struct buf path = {0}, payload = {0};
    bool same = file_join(&path, m->out, SIGNED, NULL) == 0 && file_exists(path.p) &&
                file_read(line, path.p, MAX_BUNDLE, NULL) == 0 && line->p &&
                dsse_verify(&payload, line->p, line->len, DSSE_IN_TOTO, m->signer, path.p, NULL) == 0 &&
                payload.len == statement->len && memcmp(payload.p, statement->p, payload.len) == 0;
    buf_release(&path);
    buf_release(&payload);
    return same;
}

static int put_signed(struct maker *m, const struct buf *statement, struct err *e)
{
    struct buf line = {0};
    int rc = 0;
    if (!already_signed(&line, m, statement)) {
        buf_clear(&line);
        rc = dsse_sign(&line, DSSE_IN_TOTO, statement->p, statement->len, m->signer, e);
    }
    if (rc == 0)
        rc = put(m, SIGNED, &line, e);
    buf_release(&line);
    return rc;
}

/* All of them before the first is written. */
static int may_write_all(const struct maker *m, bool force, struct err *e)
{
    struct buf path = {0};
    int rc = 0;
    for (int i = 0; i < N_DOCUMENTS && rc == 0; i++)
        if ((rc = file_join(&path, m->out, documents[i].name, e)) == 0 && made(&documents[i], &m->x))
            rc = cli_may_write(path.p, documents[i].mark, force, e);
    if (rc == 0 && m->signer && (rc = file_join(&path, m->out, SIGNED, e)) == 0)
        rc = cli_may_write(path.p, DSSE_BUNDLE_MARK, force, e);
    buf_release(&path);
    return rc;
}

static int write_all(struct maker *m, struct err *e)
{
    struct buf text = {0};
    int rc = file_mkdir_p(m->out, e);
    m->list = json_array();
    for (int i = 0; i < N_DOCUMENTS && rc == 0; i++) {
        const struct document *d = &documents[i];
        if (!made(d, &m->x))
            continue;
        buf_clear(&text);
        rc = d->make(&text, &m->x, e);
        if (rc == 0)
            rc = put(m, d->name, &text, e);
        if (rc == 0 && m->signer && d->make == export_slsa)
            rc = put_signed(m, &text, e);
    }
    buf_release(&text);
    return rc;
}

static int report(const struct maker *m, struct err *e)
{
    struct buf b = {0};
    int rc = 0;
    if (m->json) {
        json_t *v = json_pack("{s:s,s:s,s:O}", "out", m->out, "genesis", m->x.genesis, "files", m->list);
        rc = v ? json_print(&b, v, 2, e) : err_set(e, ERR_NOMEM, "out of memory");
        json_decref(v);
        if (rc == 0)
            printf("%s\n", b.p);
        buf_release(&b);
        return rc;
    }
    for (size_t i = 0; i < json_array_size(m->list); i++)
        printf("%s/%s\n", m->out, json_string_value(json_object_get(json_array_get(m->list, i), "name")));
    if (!m->corpus)
        log_line("no --corpus: no croissant.json, no figures by source");
    return 0;
}

int ledger_export(int argc, char **argv, struct err *e)
{
    static struct maker m;
    bool force = false;
    int n;
    m = (struct maker){0};
    const struct opt opts[] = {
        {"out", 'o', OPT_STR, &m.out, "DIR", "where they are written", 0, 0, NULL},
        CLI_FORCE(&force),
        {"corpus", 0, OPT_STR, &m.x.corpus_dir, "DIR", "the corpus: Croissant, and figures by source", 0, 0, NULL},
        {"key", 0, OPT_STR, &m.key, "PEM", "private ECDSA P-256 key: signs " SIGNED, 0, 0, NULL},
        {"name", 0, OPT_STR, &m.x.name, "NAME", "of the model (default: the folder's)", 0, 0, NULL},
        {"license", 0, OPT_STR, &m.x.license, "SPDX", "of the model, e.g. Apache-2.0", 0, 0, NULL},
        {"url", 0, OPT_STR, &m.x.url, "URL", "where model and corpus are published", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &m.json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja ledger export RUN --out DIR [options]",
                                  "Writes what a run's ledger says as the documents that other people's tools read: "
                                  "SLSA provenance, CycloneDX, Croissant, drafts for the EU's public summary and the "
                                  "Korean AI Basic Act. The run must have ended, and its files must be FINAL's. The "
                                  "same run gives the same bytes.", opts, 1, 1};
    int rc = opt_parse(&spec, argc, argv, &n, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    if (!m.out)
        return err_set(e, ERR_USAGE, "--out DIR is required");
    m.dir = argv[0];
    rc = gather(&m, e);
    if (rc == 0)
        rc = may_write_all(&m, force, e);
    if (rc == 0)
        rc = write_all(&m, e);
    if (rc == 0)
        rc = report(&m, e);
    json_decref(m.list);
    json_decref(m.config);
    json_decref(m.run);
    census_release(&m.census);
    corpus_close(m.corpus);
    logbook_close(m.b);
    dsse_key_free(m.signer);
    buf_release(&m.name);
    return rc;
}
