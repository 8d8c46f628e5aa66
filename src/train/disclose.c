#include "train/disclose.h"

#include <inttypes.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/plural.h"
#include "ledger/proof.h"
#include "train/state_layout.h"

/* ---- pieces of JSON ---- */

static json_t *hex_json(const struct digest *d)
{
    char s[65];
    digest_hex(s, d);
    return json_string(s);
}

static json_t *base64_json(const void *p, size_t n)
{
    struct buf b = {0};
    json_t *v = base64_add(&b, p, n, NULL) == 0 ? json_stringn(b.p ? b.p : "", b.len) : NULL;
    buf_release(&b);
    return v;
}

static json_t *proof_json(const struct digest *leaf, uint64_t n, uint64_t i)
{
    struct proof p;
    json_t *a = json_array();
    proof_inclusion(&p, leaf, n, i);
    for (int k = 0; a && k < p.n; k++)
        if (json_array_append_new(a, hex_json(&p.hash[k]))) {
            json_decref(a);
            a = NULL;
        }
    return a;
}

/* ---- the ledger's part ---- */

/* The last checkpoint, signed by GENESIS' key and of this ledger. */
static int last_checkpoint(const struct ledger_entry **note, const struct logbook *l, struct err *e)
{
    struct note_signer s = {l->origin, l->genesis.key};
    uint64_t covered = 0;
    int rc = ledger_signed_check(&l->ledger, l->origin, &s, &covered, e);
    *note = NULL;
    for (uint64_t i = 0; rc == 0 && i < l->ledger.n_entries; i++)
        if (l->ledger.entry[i].kind == LEDGER_CHECKPOINT)
            *note = &l->ledger.entry[i];
    return rc == 0 && !*note ? err_set(e, ERR_VALUE, "%s: has no checkpoint", l->ledger.path) : rc;
}

/* A disclosure without its thing; *covered records are signed for. */
static int begin(json_t **out, uint64_t *covered, const struct logbook *l, const char *what, struct err *e)
{
    const struct ledger_entry *note;
    int rc = last_checkpoint(&note, l, e);
    if (rc)
        return rc;
    size_t n;
    const char *text = ledger_text(note, &n);
    *covered = note->record;
    *out = json_pack("{s:s,s:i,s:s,s:o,s:s%}", "format", "dokja-disclosure", "version", 1, "what", what, "genesis",
                     base64_json(l->ledger.entry[0].p, l->ledger.entry[0].n), "checkpoint", text, n);
    return *out ? 0 : err_set(e, ERR_NOMEM, "%s: out of memory", l->ledger.path);
}

static int finish(struct buf *b, json_t *o, const char *key, json_t *thing, const struct logbook *l, struct err *e)
{
    int rc = thing && json_object_set_new(o, key, thing) == 0
                 ? json_print(b, o, 2, e) : err_set(e, ERR_NOMEM, "%s: out of memory", l->ledger.path);
    return rc ? rc : buf_addc(b, '\n', e);
}

/* A record, its number and its path to the root of the first `covered` records. */
static int record_json(json_t **out, const struct logbook *l, const struct ledger_entry *x, uint64_t covered,
                       struct err *e)
{
    struct digest *leaf = mem_new((size_t)covered, sizeof *leaf);
    *out = NULL;
    if (!leaf)
        return err_set(e, ERR_NOMEM, "%s: out of memory", l->ledger.path);
    for (uint64_t i = 0; i < l->ledger.n_entries; i++) {
        const struct ledger_entry *r = &l->ledger.entry[i];
        if (r->kind != LEDGER_CHECKPOINT && r->record < covered)
            leaf[r->record] = merkle_leaf(r->p, r->n);
    }
    int rc = x->record < covered ? 0 : err_set(e, ERR_VALUE, "%s: record %" PRIu64 " is not signed for",
                                               l->ledger.path, x->record);
    if (rc == 0)
        *out = json_pack("{s:I,s:o,s:o}", "number", (json_int_t)x->record, "bytes", base64_json(x->p, x->n), "proof",
                         proof_json(leaf, covered, x->record));
    mem_free(leaf);
    return rc || *out ? rc : err_set(e, ERR_NOMEM, "%s: out of memory", l->ledger.path);
}

/* The n-th record of a kind, or NULL. */
static const struct ledger_entry *nth(const struct logbook *l, enum ledger_kind kind, uint64_t n)
{
    for (uint64_t i = 0; i < l->ledger.n_entries; i++)
        if (l->ledger.entry[i].kind == kind && n-- == 0)
            return &l->ledger.entry[i];
    return NULL;
}

/* ---- the three things ---- */

int disclose_document(struct buf *b, const struct logbook *l, const struct corpus_found *f, bool with_text,
                      struct err *e)
{
    struct merkle m;
    json_t *o = NULL, *d = NULL;
    uint64_t covered;
    merkle_init(&m);
    for (uint64_t i = 0; i < f->docs; i++)
        merkle_add_hash(&m, &f->leaf[i]);
    struct digest root = merkle_root(&m);
    if (memcmp(root.b, l->config.corpus_root.b, sizeof root.b) != 0 || f->docs != l->genesis.corpus_docs)
        return err_set(e, ERR_VALUE, "this is another corpus than the one GENESIS commits to");
    if (with_text && memchr(f->text, 0, f->n))
        return err_set(e, ERR_VALUE, "document %.80s holds a zero byte: its text cannot be shown as JSON", f->id);
    int rc = begin(&o, &covered, l, "document", e);
    if (rc == 0) {
        d = json_pack("{s:I,s:o,s:s,s:s,s:s,s:s,s:o}", "index", (json_int_t)f->index, "text_sha256",
                      hex_json(&f->hash), "id", f->id, "source", f->source, "license", f->license, "lang", f->lang,
                      "proof", proof_json(f->leaf, f->docs, f->index));
        if (f->salted && d && json_object_set_new(d, "salt", hex_json(&f->part)))
            rc = err_set(e, ERR_NOMEM, "document %.80s: out of memory", f->id);
        if (rc == 0 && with_text && d && json_object_set_new(d, "text", json_stringn(f->text, f->n)))
            rc = err_set(e, ERR_VALUE, "document %.80s: its text is not UTF-8", f->id);
    }
    if (rc == 0) {
        rc = finish(b, o, "document", d, l, e);
        d = NULL;
    }
    json_decref(d);
    json_decref(o);
    return rc;
}

int disclose_segment(struct buf *b, const struct logbook *l, uint64_t segment, struct err *e)
{
    json_t *o = NULL, *r = NULL;
    uint64_t covered;
    const struct ledger_entry *x = nth(l, LEDGER_SEGMENT, segment);
    if (!x)
        return err_set(e, ERR_VALUE, "%s: has %" PRIu64 " segment%s, counted from 0; there is no %" PRIu64,
                       l->ledger.path, l->n_segments, PLURAL(l->n_segments), segment);
    int rc = begin(&o, &covered, l, "segment", e);
    if (rc == 0)
        rc = record_json(&r, l, x, covered, e);
    if (rc == 0)
        rc = finish(b, o, "record", r, l, e);
    json_decref(o);
    return rc;
}

/* A saved state, with what its canonical bytes need besides the tensors. */
struct saved {
    const char *path;
    struct safetensors *f;
    int64_t step, cursor;
    struct state_layout layout;
    unsigned char *chunk;      /* STATE_CHUNK bytes */
    struct digest *leaf;       /* one a chunk */
};

static int saved_open(struct saved *s, const struct run_config *c, struct err *e)
{
    int rc = safetensors_open(&s->f, s->path, e);
    if (rc == 0)
        rc = state_meta(&s->step, s->f, "step", s->path, e);
    if (rc == 0)
        rc = state_meta(&s->cursor, s->f, "sample", s->path, e);
    if (rc == 0)
        rc = state_layout_new(&s->layout, c, e);
    if (rc)
        return rc;
    s->chunk = mem_new(STATE_CHUNK, 1);
    s->leaf = mem_new((size_t)s->layout.chunks, sizeof *s->leaf);
    return s->chunk && s->leaf ? 0 : err_set(e, ERR_NOMEM, "%s: out of memory", s->path);
}

static void saved_close(struct saved *s)
{
    safetensors_close(s->f);
    state_layout_release(&s->layout);
    mem_free(s->chunk);
    mem_free(s->leaf);
}

static int saved_leaves(struct saved *s, const struct digest *want, struct err *e)
{
    struct merkle m;
    int rc = 0;
    merkle_init(&m);
    for (uint64_t i = 0; i < s->layout.chunks && rc == 0; i++) {
        rc = state_chunk_read(s->chunk, &s->layout, s->f, s->step, s->cursor, i, s->path, e);
        s->leaf[i] = merkle_leaf(s->chunk, state_chunk_bytes(&s->layout, i));
        merkle_add_hash(&m, &s->leaf[i]);
    }
    struct digest root = merkle_root(&m);
    if (rc == 0 && memcmp(root.b, want->b, sizeof root.b) != 0)
        rc = err_set(e, ERR_VALUE, "%s: is not the state that FINAL tells of", s->path);
    return rc;
}

static int chunks_json(json_t *list, struct saved *s, const struct state_part *p, struct err *e)
{
    uint64_t first = p->at / STATE_CHUNK, last = (p->at + p->bytes - 1) / STATE_CHUNK;
    int rc = 0;
    if (last - first >= DISCLOSE_MAX_CHUNKS)
        return err_set(e, ERR_LIMIT, "%s lies in %" PRIu64 " chunks of 1 MiB, limit %d", p->name, last - first + 1,
                       DISCLOSE_MAX_CHUNKS);
    for (uint64_t i = first; i <= last && rc == 0; i++) {
        rc = state_chunk_read(s->chunk, &s->layout, s->f, s->step, s->cursor, i, s->path, e);
        if (rc == 0 &&
            json_array_append_new(list, json_pack("{s:I,s:o,s:o}", "number", (json_int_t)i, "bytes",
                                                  base64_json(s->chunk, state_chunk_bytes(&s->layout, i)), "proof",
                                                  proof_json(s->leaf, s->layout.chunks, i))))
            rc = err_set(e, ERR_NOMEM, "%s: out of memory", s->path);
    }
    return rc;
}

int disclose_tensor(struct buf *b, const struct logbook *l, const char *state, const char *name, struct err *e)
{
    struct saved s = {.path = state};
    const struct state_part *p = NULL;
    json_t *o = NULL, *r = NULL, *list = json_array();
    uint64_t covered;
    int rc = l->has_final ? 0 : err_set(e, ERR_VALUE, "%s: the run has not ended: no FINAL", l->ledger.path);
    if (rc == 0)
        rc = begin(&o, &covered, l, "tensor", e);
    if (rc == 0)
        rc = record_json(&r, l, nth(l, LEDGER_FINAL, 0), covered, e);
    if (rc == 0 && json_object_set_new(o, "record", r))
        rc = err_set(e, ERR_NOMEM, "%s: out of memory", l->ledger.path);
    if (rc == 0)
        rc = saved_open(&s, &l->config, e);
    if (rc == 0 && !(p = state_layout_find(&s.layout, name)))
        rc = err_set(e, ERR_VALUE, "%s: has no tensor %.100s", state, name);
    if (rc == 0)
        rc = saved_leaves(&s, &l->final.root, e);
    if (rc == 0)
        rc = chunks_json(list, &s, p, e);
    if (rc == 0)
        rc = finish(b, o, "tensor", json_pack("{s:s,s:O}", "name", p->name, "chunks", list), l, e);
    json_decref(list);
    json_decref(o);
    saved_close(&s);
    return rc;
}
