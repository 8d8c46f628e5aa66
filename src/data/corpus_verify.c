#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/plural.h"
#include "data/corpus_load.h"
#include "data/corpus_nfc.h"
#include "data/corpus_pipe.h"

struct batch {
    struct load_batch in;
    struct result {
        uint64_t chars;
        struct digest leaf;
    } *out; /* LOAD_DOCS */
};
struct verifier {
    const char *dir;
    struct corpus_reader *r;
    struct batch b[2];
    struct merkle tree;
    struct corpus_salt salt;
    bool salted;
    uint64_t bytes, chars, docs;
};

static int fill(void *user, void *batch, struct err *e)
{
    struct verifier *v = user;
    struct batch *b = batch;
    return load_fill(&b->in, v->r, e);
}

static int items(const void *batch) { return ((const struct batch *)batch)->in.n; }
static size_t weight(const void *batch, int i) { return ((const struct batch *)batch)->in.it[i].n + 256; }

static int work(void *user, void *batch, int i, int thread, struct err *e)
{
    (void)thread;
    const struct verifier *v = user;
    struct batch *b = batch;
    const struct load_item *it = &b->in.it[i];
    struct result *out = &b->out[i];
    const char *text = b->in.raw.p + it->text, *s = b->in.meta.p;
    struct nfc_look look;
    struct buf again = {0};
    if (!nfc_look(&look, text, it->n))
        return err_set(e, ERR_FORMAT, "%s: document %s is not UTF-8", v->dir, s + it->id);
    out->chars = look.chars;
    if (!look.plain) {
        int rc = nfc_normalise(&again, &out->chars, text, it->n, e);
        bool same = rc == 0 && again.len == it->n && memcmp(again.p, text, it->n) == 0;
        buf_release(&again);
        if (rc != 0)
            return rc;
        if (!same)
            return err_set(e, ERR_FORMAT, "%s: document %s is not in normal form C", v->dir, s + it->id);
    }
    struct digest h = sha256_of(text, it->n);
    struct digest meta = corpus_meta(s + it->id, s + it->source, s + it->license, s + it->lang);
    out->leaf = corpus_leaf_of(v->salted ? &v->salt : NULL, &h, &meta);
    return 0;
}

static int plan(void *user, void *batch, struct err *e)
{
    struct verifier *v = user;
    const struct batch *b = batch;
    (void)e;
    for (int i = 0; i < b->in.n; i++) {
        merkle_add_hash(&v->tree, &b->out[i].leaf);
        v->bytes += b->in.it[i].n;
        v->chars += b->out[i].chars;
    }
    v->docs += (uint64_t)b->in.n;
    return 0;
}

static int finish(void *user, void *batch, struct err *e)
{
    const struct verifier *v = user;
    (void)batch;
    log_progress("verify: %llu document%s, %.0f MB of text", (unsigned long long)v->docs, PLURAL(v->docs),
                 (double)v->bytes * 1e-6);
    return log_stop_asked() ? err_set(e, ERR_STOPPED, "stopped before everything was read") : 0;
}

static int verify_files(const char *dir, const json_t *files, struct err *e)
{
    struct buf path = {0};
    int rc = 0;
    for (size_t i = 0; i < json_array_size(files) && rc == 0; i++) {
        const json_t *row = json_array_get(files, i);
        const char *hex;
        struct digest want, got;
        rc = json_get_str(&hex, row, "sha256", false, NULL, dir, e);
        if (rc == 0)
            rc = file_join(&path, dir, json_string_value(json_object_get(row, "name")), e);
        if (rc == 0)
            rc = sha256_file(&got, path.p, e);
        if (rc == 0 && (digest_parse(&want, hex) != 0 || memcmp(&want, &got, sizeof want) != 0))
            rc = err_set(e, ERR_FORMAT, "%s: its SHA-256 is not the one in the manifest", path.p);
    }
    buf_release(&path);
    return rc;
}

static int verify_docs(struct verifier *v, const struct corpus *c, struct err *e)
{
    int rc = corpus_reader_new(&v->r, c, e);
    merkle_init(&v->tree);
    nfc_init();
    for (int k = 0; k < 2 && rc == 0; k++) {
        v->b[k].out = mem_new(LOAD_DOCS, sizeof *v->b[k].out);
        rc = v->b[k].out ? load_init(&v->b[k].in, e) : err_set(e, ERR_NOMEM, "%s: out of memory", v->dir);
    }
    struct pipe_ops ops = {.user = v, .batch = {&v->b[0], &v->b[1]}, .fill = fill, .items = items, .weight = weight,
                           .work = work, .plan = plan, .finish = finish};
    if (rc == 0)
        rc = pipe_run(&ops, 0, e);
    if (rc != 0)
        return rc;
    struct corpus_counts n = corpus_count(c);
    struct digest root = merkle_root(&v->tree), want = corpus_root(c);
    if (n.bytes != v->bytes || n.chars != v->chars)
        return err_set(e, ERR_FORMAT, "%s: %llu bytes and %llu characters of text, the manifest says %llu and %llu",
                       v->dir, (unsigned long long)v->bytes, (unsigned long long)v->chars, (unsigned long long)n.bytes,
                       (unsigned long long)n.chars);
    if (memcmp(&root, &want, sizeof root) != 0)
        return err_set(e, ERR_FORMAT, "%s: the Merkle root of the documents is not the one in the manifest", v->dir);
    return 0;
}

int corpus_verify(const char *dir, struct err *e)
{
    struct corpus *c = NULL;
    struct verifier v = {.dir = dir};
    int rc = corpus_open(&c, dir, e);
    if (rc == 0)
        rc = verify_files(dir, json_object_get(corpus_manifest(c), "files"), e);
    if (rc == 0)
        rc = corpus_salt_of(c, &v.salt, &v.salted, e);
    if (rc == 0)
        rc = verify_docs(&v, c, e);
    log_progress_end();
    corpus_reader_free(v.r);
    for (int k = 0; k < 2; k++) {
        mem_free(v.b[k].out);
        load_release(&v.b[k].in);
    }
    corpus_close(c);
    return rc;
}
