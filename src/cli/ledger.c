/* dokja ledger: the proof of a run. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "cli/cli.h"
#include "cli/ledger_page.h"
#include "cli/ledger_show.h"
#include "cli/ledger_sub.h"
#include "cli/machine.h"
#include "data/corpus.h"
#include "ledger/dsse.h"
#include "ledger/oms.h"
#include "train/audit.h"

/* ---- what several subcommands need ---- */

int ledger_book_open(struct logbook **b, const char *run, struct err *e)
{
    struct buf path = {0};
    int rc = file_join(&path, run, "ledger.bin", e);
    if (rc == 0)
        rc = logbook_open(b, path.p, e);
    buf_release(&path);
    return rc;
}

int ledger_run_audit(struct audit *a, const char *run, const struct ledger_wish *w, struct err *e)
{
    struct nn x = {0};
    struct digest genesis;
    if (w->genesis && digest_parse(&genesis, w->genesis) != 0)
        return err_set(e, ERR_USAGE, "--genesis %.80s: expected 64 hex digits", w->genesis);
    int rc = cli_machine(&x, w->threads, e);
    struct audit_opts o = {.x = &x, .dir = run, .corpus = w->corpus, .genesis = w->genesis ? &genesis : NULL,
                           .checkpoint = w->checkpoint, .model_key = w->model_key};
    if (rc == 0)
        rc = audit_run(a, &o, e);
    nn_release(&x);
    return rc;
}

int ledger_write_page(const char *path, struct ledger_page p, const char *corpus, struct err *e)
{
    struct html h = {0};
    struct corpus *c = NULL;
    int rc = corpus ? corpus_open(&c, corpus, e) : 0;
    p.manifest = rc == 0 && c ? corpus_manifest(c) : NULL;
    if (rc == 0)
        ledger_page(&h, &p);
    if (rc == 0)
        rc = h.rc ? err_set(e, h.rc, "%s", h.e.msg) : file_replace(path, h.b.p, h.b.len, e);
    html_release(&h);
    corpus_close(c);
    if (rc == 0)
        log_line("page: %s", path);
    return rc;
}

/* ---- show ---- */

static int show(int argc, char **argv, struct err *e)
{
    const char *html = NULL;
    struct ledger_wish w = {0};
    bool json = false, force = false;
    int n;
    const struct opt opts[] = {
        {"html", 0, OPT_STR, &html, "FILE", "also writes one page: curve, segments, checks", 0, 0, NULL},
        CLI_FORCE(&force),
        {"corpus", 0, OPT_STR, &w.corpus, "DIR", "the corpus: the page shows what it is made of", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja ledger show RUN [--html FILE] [--json]",
                                  "Reads a run's ledger like a logbook: who trained what, when, from what text, how "
                                  "the loss went, what happened on the way.", opts, 1, 1};
    int rc = opt_parse(&spec, argc, argv, &n, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    struct logbook *b = NULL;
    rc = cli_may_write(html, LEDGER_PAGE_MARK, force, e);
    if (rc == 0)
        rc = ledger_book_open(&b, argv[0], e);
    if (rc == 0 && json)
        rc = ledger_show_json(b, e);
    else if (rc == 0)
        ledger_show(argv[0], b);
    if (rc == 0 && html) {
        static struct audit a;
        rc = ledger_run_audit(&a, argv[0], &w, e);
        if (rc == 0)
            rc = ledger_write_page(html, (struct ledger_page){.run = argv[0], .book = b, .audit = &a}, w.corpus, e);
    }
    logbook_close(b);
    return rc;
}

/* ---- verify ---- */

static int verify(int argc, char **argv, struct err *e)
{
    static struct audit a;
    struct ledger_wish w = {0};
    const char *html = NULL;
    bool json = false, force = false;
    int n;
    const struct opt opts[] = {
        {"genesis", 0, OPT_STR, &w.genesis, "HASH", "the hash of GENESIS that was lodged before training", 0, 0, NULL},
        {"checkpoint", 0, OPT_STR, &w.checkpoint, "FILE", "a signed checkpoint that someone kept", 0, 0, NULL},
        {"corpus", 0, OPT_STR, &w.corpus, "DIR", "the corpus: is it the one GENESIS commits to?", 0, 0, NULL},
        {"model-key", 0, OPT_STR, &w.model_key, "PEM", "public key of RUN/model.sig", 0, 0, NULL},
        {"threads", 't', OPT_INT, &w.threads, "N", "threads (OMP_NUM_THREADS, or all cores)", 1, 4096, NULL},
        {"html", 0, OPT_STR, &html, "FILE", "also writes one page: curve, segments, checks", 0, 0, NULL},
        CLI_FORCE(&force),
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja ledger verify RUN [options]",
                                  "Checks everything that can be checked without training (docs/ledger.md). Exit "
                                  "status 0 only when the verdict is pass.", opts, 1, 1};
    int rc = opt_parse(&spec, argc, argv, &n, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    rc = cli_may_write(html, LEDGER_PAGE_MARK, force, e);
    if (rc == 0)
        rc = ledger_run_audit(&a, argv[0], &w, e);
    if (rc == 0 && json)
        rc = ledger_audit_json(&a, e);
    else if (rc == 0)
        ledger_audit_show(&a);
    struct logbook *b = NULL;
    if (rc == 0 && html && (rc = ledger_book_open(&b, argv[0], e)) == 0)
        rc = ledger_write_page(html, (struct ledger_page){.run = argv[0], .book = b, .audit = &a}, w.corpus, e);
    logbook_close(b);
    if (rc == 0 && audit_verdict(&a) != VERDICT_PASS)
        rc = err_set(e, ERR_VALUE, "%s: verdict %s", argv[0], verdict_name(audit_verdict(&a)));
    return rc;
}

/* ---- sign ---- */

static int sign(int argc, char **argv, struct err *e)
{
    static const char *const left_out[] = {"state", "states", "tokens", "replay-tokens", NULL};
    const char *key = NULL, *out = NULL, *name = NULL;
    bool json = false, force = false;
    int n;
    const struct opt opts[] = {
        {"key", 0, OPT_STR, &key, "PEM", "private ECDSA P-256 key, as openssl writes it", 0, 0, NULL},
        {"out", 'o', OPT_STR, &out, "FILE", "the signature (default: RUN/model.sig)", 0, 0, NULL},
        CLI_FORCE(&force),
        {"name", 0, OPT_STR, &name, "NAME", "of the model (default: the folder's)", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja ledger sign --key PEM RUN [options]",
                                  "Signs every file of a model's folder (OpenSSF Model Signing v1.0) but for its "
                                  "working files: state, states, tokens.", opts, 1, 1};
    int rc = opt_parse(&spec, argc, argv, &n, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    if (!key)
        return err_set(e, ERR_USAGE, "--key PEM is required");
    struct dsse_key *k = NULL;
    struct digest root;
    struct buf path = {0};
    char hex[65];
    struct oms_opts o = {.ignore = left_out, .name = name};
    rc = dsse_private_read(&k, key, e);
    if (rc == 0)
        rc = out ? buf_adds(&path, out, e) : file_join(&path, argv[0], "model.sig", e);
    if (rc == 0)
        rc = cli_may_write(path.p, DSSE_BUNDLE_MARK, force, e);
    if (rc == 0)
        rc = oms_sign(argv[0], path.p, &o, k, &root, e);
    if (rc == 0) {
        digest_hex(hex, &root);
        printf(json ? "{\"signature\":\"%s\",\"digest\":\"%s\"}\n" : "%s: signed, digest %s\n", path.p, hex);
    }
    dsse_key_free(k);
    buf_release(&path);
    return rc;
}

int cmd_ledger(int argc, char **argv, struct err *e)
{
    static const struct {
        const char *name;
        int (*run)(int, char **, struct err *);
    } sub[] = {{"show", show}, {"verify", verify}, {"replay", ledger_replay}, {"sign", sign},
               {"export", ledger_export}, {"disclose", ledger_disclose}, {"check", ledger_check},
               {"used", ledger_used}};
    for (size_t i = 0; argc > 1 && i < sizeof sub / sizeof *sub; i++)
        if (strcmp(argv[1], sub[i].name) == 0)
            return sub[i].run(argc - 1, argv + 1, e);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        printf("Usage: dokja ledger show|verify|replay|sign|export|disclose|check|used …\n\n"
               "  show      reads a run's ledger like a logbook\n"
               "  verify    checks everything that can be checked without training\n"
               "  replay    trains segments again and compares\n"
               "  sign      signs the model's files (OpenSSF Model Signing)\n"
               "  export    writes SLSA, CycloneDX, Croissant, drafts for the EU and Korea\n"
               "  disclose  shows one document, segment or tensor alone, with its proof\n"
               "  check     checks what was disclosed, with that file alone\n"
               "  used      tells in which steps a document was trained on\n\n"
               "dokja ledger COMMAND --help shows the options of each.\n");
        return 0;
    }
    return err_set(e, ERR_USAGE, "expected show, verify, replay, sign, export, disclose, check or used; got %.40s",
                   argc > 1 ? argv[1] : "nothing");
}
