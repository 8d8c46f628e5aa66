/* Forges ledgers, to see them caught: the ways of tests/cli/ledger.sh.
 *
 *   ledger_forge records RUN KEY.pem EDIT…   writes RUN/ledger.bin anew, chained and signed by that key
 *       N:KEY=VALUE    the line KEY of record N gets that value (the first such line)
 *       drop:N         leaves record N out
 *       take:N:OTHER   record N comes from OTHER/ledger.bin
 *       key            GENESIS names the signing key
 *       leaf:K:I       chunk I of the state at the end of segment K is another; the hashes beside the ledger say so too
 *       file:NAME      FINAL's digest of that file is what the file in RUN gives
 *   ledger_forge mix RUN SEED EPS   RUN/model.safetensors becomes random weights of SEED with EPS · the run's own
 *                                   initial ones in it */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/store.h"
#include "train/leaves.h"
#include "train/logbook.h"

enum { MAX_RECORDS = 4096 };
struct record {
    enum ledger_kind kind;
    struct buf text;
};
static struct record record[MAX_RECORDS];
static int n_records;
static struct err e;

static void must(int rc)
{
    if (rc) {
        fprintf(stderr, "ledger_forge: %s\n", e.msg);
        exit(1);
    }
}

static void path_in(struct buf *b, const char *run, const char *name) { must(file_join(b, run, name, &e)); }

static void read_records(const char *run, struct record *r, int *n)
{
    struct buf path = {0};
    struct ledger l;
    path_in(&path, run, "ledger.bin");
    must(ledger_open(&l, path.p, false, &e));
    *n = 0;
    for (uint64_t i = 0; i < l.n_entries && *n < MAX_RECORDS; i++) {
        size_t len;
        const char *text = ledger_text(&l.entry[i], &len);
        if (l.entry[i].kind == LEDGER_CHECKPOINT)
            continue;
        r[*n] = (struct record){.kind = l.entry[i].kind};
        must(buf_add(&r[(*n)++].text, text, len, &e));
    }
    ledger_close(&l);
    buf_release(&path);
}

/* The first line KEY of a text, from `from` on, gets another value. */
static void set_line(struct buf *text, size_t from, const char *key, const char *value)
{
    struct buf out = {0};
    char want[80];
    snprintf(want, sizeof want, "%s ", key);
    char *at = text->p + from;
    while (at && strncmp(at, want, strlen(want)) != 0)
        at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
    if (!at || !*at) {
        fprintf(stderr, "ledger_forge: there is no line %s\n", key);
        exit(1);
    }
    char *end = strchr(at, '\n');
    must(buf_add(&out, text->p, (size_t)(at - text->p), &e));
    must(buf_printf(&out, &e, "%s%s%s", want, value, end));
    buf_release(text);
    *text = out;
}

static void set_file(const char *run, const char *name)
{
    struct record *f = &record[n_records - 1];
    struct buf path = {0};
    struct digest d;
    char hex[65], line[200];
    path_in(&path, run, name);
    must(sha256_file(&d, path.p, &e));
    digest_hex(hex, &d);
    snprintf(line, sizeof line, "file %s\n", name);
    char *at = strstr(f->text.p, line);
    if (!at)
        exit(1);
    set_line(&f->text, (size_t)(at - f->text.p), "sha256", hex);
    buf_release(&path);
}

/* Records of a run that was never stopped: segment k is record 3 + k. */
static void set_leaf(const char *run, int k, int i)
{
    struct buf path = {0}, b = {0};
    char hex[65];
    int segments = n_records - 4;
    path_in(&path, run, "ledger.leaves");
    must(file_read(&b, path.p, 1 << 24, &e));
    uint64_t n = (b.len - 8) / sizeof(struct digest) / (uint64_t)segments;
    struct digest *leaf = mem_new((size_t)n, sizeof *leaf);
    memcpy(leaf, b.p + 8 + (uint64_t)k * n * sizeof *leaf, (size_t)n * sizeof *leaf);
    if (i < 0 || (uint64_t)i >= n)
        exit(1);
    leaf[i].b[0] ^= 1;
    must(leaves_put(path.p, (uint64_t)k, leaf, n, &e));
    struct digest root = leaves_root(leaf, n);
    digest_hex(hex, &root);
    set_line(&record[3 + k].text, 0, "after", hex);
    if (k + 1 < segments)
        set_line(&record[4 + k].text, 0, "before", hex);
    mem_free(leaf);
    buf_release(&b);
    buf_release(&path);
}

static void edit(const char *run, const char *what, const struct sign_public *key)
{
    static struct record other[MAX_RECORDS];
    int n = 0, from = 0;
    char name[80];
    if (sscanf(what, "drop:%d", &n) == 1) {
        memmove(&record[n], &record[n + 1], (size_t)(n_records - n - 1) * sizeof *record);
        n_records--;
    } else if (sscanf(what, "take:%d:%n", &n, &from) == 1 && from) {
        int m;
        read_records(what + from, other, &m);
        record[n] = other[n];
    } else if (strcmp(what, "key") == 0) {
        struct digest d;
        char hex[65];
        memcpy(d.b, key->b, sizeof d.b);
        digest_hex(hex, &d);
        set_line(&record[0].text, 0, "key", hex);
    } else if (sscanf(what, "leaf:%d:%d", &n, &from) == 2) {
        set_leaf(run, n, from);
    } else if (strncmp(what, "file:", 5) == 0) {
        set_file(run, what + 5);
    } else if (sscanf(what, "%d:%79[^=]=%n", &n, name, &from) == 2 && from) {
        set_line(&record[n].text, 0, name, what + from);
    } else {
        fprintf(stderr, "ledger_forge: what is %s?\n", what);
        exit(2);
    }
}

static void write_records(const char *run, const struct sign_key *k)
{
    struct ledger_log l;
    struct buf path = {0};
    char origin[LEDGER_ORIGIN];
    path_in(&path, run, "ledger.bin");
    must(ledger_log_new(&l, path.p, &e));
    for (int i = 0; i < n_records; i++) {
        must(ledger_log_add(&l, record[i].kind, record[i].text.p, record[i].text.len, &e));
        if (i == 0)
            ledger_origin(origin, &l.prev);
        must(ledger_log_sign(&l, origin, origin, k, &e));
    }
    ledger_log_release(&l);
    buf_release(&path);
}

static void mix(const char *run, uint64_t seed, double eps)
{
    struct logbook *b;
    struct param_table t;
    struct buf path = {0};
    path_in(&path, run, "ledger.bin");
    must(logbook_open(&b, path.p, &e));
    must(param_table_new(&t, &b->config.model, &e));
    real *w = mem_map(t.total * sizeof *w), *w0 = mem_map(t.total * sizeof *w0);
    params_init(&t, w, seed);
    params_init(&t, w0, b->config.seed);
    for (size_t i = 0; i < t.total; i++)
        w[i] += (real)eps * w0[i];
    must(model_save(run, &b->config.model, &t, w, &e));
    logbook_close(b);
    buf_release(&path);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "mix") == 0) {
        mix(argv[2], strtoull(argv[3], NULL, 10), atof(argv[4]));
        return 0;
    }
    if (argc < 4 || strcmp(argv[1], "records") != 0)
        return 2;
    struct sign_key *k;
    must(sign_key_read(&k, argv[3], &e));
    struct sign_public key = sign_key_public(k);
    read_records(argv[2], record, &n_records);
    for (int i = 4; i < argc; i++)
        edit(argv[2], argv[i], &key);
    write_records(argv[2], k);
    sign_key_free(k);
    return 0;
}
