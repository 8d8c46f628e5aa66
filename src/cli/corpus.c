/* dokja corpus build|stats|show|verify */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/plural.h"
#include "cli/cli.h"
#include "cli/not_read.h"
#include "cli/print_json.h"
#include "cli/wrap.h"
#include "data/corpus.h"

enum { MAX_IN = 4096 };

static json_t *counts_json(const struct corpus_counts *c, const struct digest *root)
{
    char hex[65];
    digest_hex(hex, root);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:s}", "files", (json_int_t)c->files,
                     "docs_in", (json_int_t)c->docs_in, "docs", (json_int_t)c->docs, "bytes_in",
                     (json_int_t)c->bytes_in, "bytes", (json_int_t)c->bytes, "chars", (json_int_t)c->chars, "removed",
                     "duplicate", (json_int_t)c->duplicate, "empty", (json_int_t)c->empty, "not-utf8",
                     (json_int_t)c->not_utf8, "too-long", (json_int_t)c->too_long, "bad-record",
                     (json_int_t)c->bad_record, "root", hex);
}

static void print_counts(const struct corpus_counts *c, const struct digest *root)
{
    const struct {
        const char *name;
        uint64_t n;
    } removed[] = {{"exact duplicates", c->duplicate}, {"empty", c->empty}, {"not UTF-8 text", c->not_utf8},
                   {"too long", c->too_long}, {"bad records", c->bad_record}};
    char hex[65];
    digest_hex(hex, root);
    printf("%llu document%s from %llu file%s: %.2f MB of text, %llu character%s\n", (unsigned long long)c->docs,
           PLURAL(c->docs), (unsigned long long)c->files, PLURAL(c->files), (double)c->bytes * 1e-6,
           (unsigned long long)c->chars, PLURAL(c->chars));
    printf("left out: %llu of %llu document%s\n", (unsigned long long)(c->docs_in - c->docs),
           (unsigned long long)c->docs_in, PLURAL(c->docs_in));
    for (size_t i = 0; i < sizeof removed / sizeof removed[0]; i++)
        if (removed[i].n > 0)
            printf("  %-18s %llu\n", removed[i].name, (unsigned long long)removed[i].n);
    printf("root %s\n", hex);
}

/* How to get in what was left out for its form; dir: where the list of it is, or NULL. */
static void advise(const struct corpus_counts *c, const struct corpus_notes *notes, const char *dir)
{
    if (c->not_utf8 > 0)
        log_line("advice: convert what is not UTF-8 first, Korean text mostly by iconv -f CP949 -t UTF-8 OLD >NEW");
    if (c->bad_record > 0)
        log_line("advice: each line of a .jsonl has to be a JSON object with a string \"text\"");
    if (notes->bad_record.code != 0)
        log_line("the first bad record: %s", notes->bad_record.msg);
    if (dir && c->not_utf8 + c->bad_record + c->too_long > 0)
        log_line("each removal and its reason: zstd -dc %s/removed-*", dir);
}

/* Nothing was found, or nothing of it is left. */
static void explain(const struct corpus_counts *c, const struct corpus_notes *notes)
{
    if (c->files == 0 || (c->docs_in > 0 && c->docs == 0))
        not_read_say(&notes->aside);
    if (c->docs_in > 0 && c->docs == 0)
        advise(c, notes, NULL);
}

static int build(int argc, char **argv, struct err *e)
{
    struct opt_list in = {0};
    struct corpus_build_opts o = {0};
    const char *paths[MAX_IN];
    int64_t threads = 0;
    bool json = false;
    const struct opt opts[] = {
        {"in", 'i', OPT_LIST, &in, "PATH", "a file or folder of .txt, .md, .jsonl (plain, .gz, .zst); repeatable", 0,
         0, NULL},
        {"out", 'o', OPT_STR, &o.out, "DIR", "the corpus folder", 0, 0, NULL},
        {"max-doc", 0, OPT_SIZE, &o.max_doc_bytes, "SIZE", "leave out longer records (16M)", 1, 256 << 20, NULL},
        {"piece", 0, OPT_SIZE, &o.piece_bytes, "SIZE", "cut .txt and .md into documents of at most this (64K)", 256,
         256 << 20, NULL},
        {"shard", 0, OPT_SIZE, &o.shard_bytes, "SIZE", "text in one docs file (256M)", 1, 1e15, NULL},
        {"threads", 0, OPT_INT, &threads, "N", "threads; the output does not depend on it", 1, 1024, NULL},
        {"salted", 0, OPT_FLAG, &o.salted, NULL,
         "for confidential text: the root lets nobody test a guess of a document; the secret is OUT/salt.key", 0, 0,
         NULL},
        {"force", 0, OPT_FLAG, &o.force, NULL, "replace a corpus of other inputs or settings", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "machine-readable output", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja corpus build --in PATH… --out DIR [options]",
                                  "Raw text to a corpus: normal form C, exact duplicates removed, every removal listed "
                                  "with its reason, committed to by a Merkle root. Text is UTF-8. A line of a .jsonl "
                                  "is a JSON object with a string \"text\" and, where known, \"id\", \"source\", "
                                  "\"license\" and \"lang\". Of a folder what is hidden (.git) and DIR itself are "
                                  "not read.",
                                  opts, 0, MAX_IN - 64};
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    if (in.n + n_args == 0 || !o.out)
        return err_set(e, ERR_USAGE, "corpus build needs --in PATH and --out DIR");
    for (int i = 0; i < in.n; i++)
        paths[o.n_in++] = in.v[i];
    for (int i = 0; i < n_args; i++)
        paths[o.n_in++] = argv[i];
    o.in = paths;
    o.threads = (int)threads;
    log_catch_stop();
    struct corpus_counts c;
    struct corpus_notes notes;
    struct corpus *made = NULL;
    double t0 = clock_seconds();
    o.notes = &notes;
    rc = corpus_build(&o, &c, e);
    if (rc != 0)
        explain(&c, &notes);
    else
        rc = corpus_open(&made, o.out, e);
    if (rc != 0)
        return rc;
    double s = clock_seconds() - t0;
    struct digest root = corpus_root(made);
    c.files = corpus_count(made).files;
    corpus_close(made);
    uint64_t not_read = not_read_say(&notes.aside);
    if (json) {
        json_t *v = counts_json(&c, &root);
        v = json_with(v, "not_read", json_integer((json_int_t)not_read));
        if (notes.bad_record.code != 0)
            v = json_with(v, "first_bad_record", json_string(notes.bad_record.msg));
        v = json_with(v, "reused", json_boolean(c.reused));
        v = json_with(v, "seconds", json_real(s));
        return cli_print_json(v, 0, e);
    }
    if (c.reused)
        printf("%s already holds this corpus\n", o.out);
    print_counts(&c, &root);
    fflush(stdout);
    advise(&c, &notes, o.out);
    return 0;
}

static int one_dir(const char *usage, const char *about, const struct opt *opts, int argc, char **argv, struct err *e)
{
    int n;
    const struct opt_spec spec = {usage, about, opts, 1, 1};
    return opt_parse(&spec, argc, argv, &n, e);
}

static void print_sources(const json_t *manifest)
{
    size_t i;
    json_t *row;
    printf("\n%10s %10s %12s  source\n", "documents", "left out", "bytes");
    json_array_foreach(json_object_get(manifest, "sources"), i, row)
    {
        json_int_t docs = json_integer_value(json_object_get(row, "docs"));
        const char *name = json_string_value(json_object_get(row, "name"));
        printf("%10lld %10lld %12lld  ", (long long)docs,
               (long long)(json_integer_value(json_object_get(row, "docs_in")) - docs),
               (long long)json_integer_value(json_object_get(row, "bytes")));
        wrap_plain(stdout, name ? name : "not stated");
        putchar('\n');
    }
}

static int stats(int argc, char **argv, struct err *e)
{
    bool json = false;
    const struct opt opts[] = {{"json", 0, OPT_FLAG, &json, NULL, "machine-readable output", 0, 0, NULL}, {0}};
    int rc = one_dir("dokja corpus stats DIR [--json]", "What a corpus holds, by source.", opts, argc, argv, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    struct corpus *c;
    rc = corpus_open(&c, argv[0], e);
    if (rc != 0)
        return rc;
    struct corpus_counts n = corpus_count(c);
    struct digest root = corpus_root(c);
    if (json) {
        json_t *v = counts_json(&n, &root);
        v = json_with(v, "sources", json_incref(json_object_get(corpus_manifest(c), "sources")));
        rc = cli_print_json(v, 0, e);
    } else {
        print_counts(&n, &root);
        print_sources(corpus_manifest(c));
    }
    corpus_close(c);
    return rc;
}

static int show_doc(const struct corpus_doc *d, uint64_t number, bool json, struct err *e)
{
    if (json)
        return cli_print_json(json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "number", (json_int_t)number, "id", d->id,
                                        "source", d->source, "license", d->license, "lang", d->lang, "text", d->text),
                              0, e);
    printf("=== %llu  ", (unsigned long long)number);
    wrap_plain(stdout, d->id);
    fputs("  (", stdout);
    wrap_plain(stdout, d->source);
    fputs(*d->license ? ", " : "", stdout);
    wrap_plain(stdout, d->license);
    printf(", %zu byte%s)\n", d->n, PLURAL(d->n));
    fwrite(d->text, 1, d->n, stdout);
    puts(d->n > 0 && d->text[d->n - 1] == '\n' ? "" : "\n");
    return 0;
}

static int show(int argc, char **argv, struct err *e)
{
    bool json = false;
    int64_t from = 0, count = 3;
    const char *id = NULL;
    const struct opt opts[] = {
        {"from", 0, OPT_INT, &from, "N", "number of the first document (0)", 0, 1e15, NULL},
        {"count", 'n', OPT_INT, &count, "N", "how many (3)", 1, 1e15, NULL},
        {"id", 0, OPT_STR, &id, "ID", "the documents with this id", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON object a line", 0, 0, NULL},
        {0}};
    int rc = one_dir("dokja corpus show DIR [--from N] [--count N] [--id ID] [--json]", "Prints documents.", opts, argc,
                     argv, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    struct corpus *c;
    struct corpus_reader *r = NULL;
    rc = corpus_open(&c, argv[0], e);
    if (rc != 0)
        return rc;
    rc = corpus_reader_new(&r, c, e);
    struct corpus_doc d;
    int64_t shown = 0;
    for (int64_t i = 0; rc == 0 && shown < count; i++) {
        int got = corpus_reader_next_text(r, &d, e);
        rc = got < 0 ? got : 0;
        if (got <= 0)
            break;
        if (i < from || (id && strcmp(id, d.id) != 0))
            continue;
        rc = show_doc(&d, (uint64_t)i, json, e);
        shown++;
    }
    if (rc == 0 && shown == 0)
        rc = id ? err_set(e, ERR_VALUE, "%s: no document with id %s", argv[0], id)
                : err_set(e, ERR_VALUE, "%s: --from %lld, but it has %llu document%s", argv[0], (long long)from,
                          (unsigned long long)corpus_count(c).docs, PLURAL(corpus_count(c).docs));
    corpus_reader_free(r);
    corpus_close(c);
    return rc;
}

static int verify(int argc, char **argv, struct err *e)
{
    bool json = false;
    const struct opt opts[] = {{"json", 0, OPT_FLAG, &json, NULL, "machine-readable output", 0, 0, NULL}, {0}};
    int rc = one_dir("dokja corpus verify DIR [--json]",
                     "Reads everything again and checks it against the manifest: file digests, normal form, counts, "
                     "Merkle root.",
                     opts, argc, argv, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    struct corpus *c;
    log_catch_stop();
    rc = corpus_verify(argv[0], e);
    if (rc == 0)
        rc = corpus_open(&c, argv[0], e);
    if (rc != 0)
        return rc;
    struct corpus_counts n = corpus_count(c);
    struct digest root = corpus_root(c);
    if (json)
        rc = cli_print_json(counts_json(&n, &root), 0, e);
    else
        print_counts(&n, &root), puts("verified: everything is as the manifest says");
    corpus_close(c);
    return rc;
}

int cmd_corpus(int argc, char **argv, struct err *e)
{
    static const struct {
        const char *name;
        int (*run)(int, char **, struct err *);
    } sub[] = {{"build", build}, {"stats", stats}, {"show", show}, {"verify", verify}};
    for (size_t i = 0; argc > 1 && i < sizeof sub / sizeof sub[0]; i++)
        if (strcmp(argv[1], sub[i].name) == 0)
            return sub[i].run(argc - 1, argv + 1, e);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        puts("Usage: dokja corpus build --in PATH… --out DIR\n       dokja corpus stats|show|verify DIR\n\n"
             "dokja corpus COMMAND --help shows the options of each.");
        return 0;
    }
    return err_set(e, ERR_USAGE, "expected build, stats, show or verify; got %.40s", argc > 1 ? argv[1] : "nothing");
}
