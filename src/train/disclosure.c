#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "ledger/proof.h"
#include "train/disclose.h"
#include "train/state_layout.h"

enum { RECORD_HEAD = 33 };     /* kind and prev stand before a record's text */

/* ---- fields ---- */

/* An object with so many fields: none stands in a disclosure that nobody checks. */
static int only(const json_t *o, size_t n, const char *what, const char *where, struct err *e)
{
    return json_object_size(o) == n ? 0 : err_set(e, ERR_FORMAT, "%s: %s has %zu fields, expected %zu", where, what,
                                                  json_object_size(o), n);
}

static int take_digest(struct digest *d, const json_t *o, const char *key, const char *where, struct err *e)
{
    const char *s;
    int rc = json_get_str(&s, o, key, false, NULL, where, e);
    if (rc == 0 && digest_parse(d, s) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: %s is \"%.80s\", expected 64 hex digits", where, key, s);
    return rc;
}

static int take_count(uint64_t *v, const json_t *o, const char *key, const char *where, struct err *e)
{
    int64_t n = 0;
    int rc = json_get_int(&n, o, key, 0, INT64_MAX, false, 0, where, e);
    *v = (uint64_t)n;
    return rc;
}

/* Appends what stands as base64 in a field. */
static int take_bytes(struct buf *b, const json_t *o, const char *key, size_t cap, const char *where, struct err *e)
{
    const char *s;
    int rc = json_get_str(&s, o, key, false, NULL, where, e);
    if (rc)
        return rc;
    size_t len = strlen(s), room = len / 4 * 3;
    if (room > cap + 2)
        return err_set(e, ERR_LIMIT, "%s: %s holds more than %zu bytes", where, key, cap);
    if ((rc = buf_reserve(b, room + 1, e)))
        return rc;
    ptrdiff_t got = base64_read((unsigned char *)b->p + b->len, room, s, len);
    if (got < 0 || (size_t)got > cap)
        return err_set(e, ERR_FORMAT, "%s: %s is not base64 of at most %zu bytes", where, key, cap);
    b->len += (size_t)got;
    b->p[b->len] = 0;
    return 0;
}

static int take_proof(struct proof *p, const json_t *o, const char *where, struct err *e)
{
    const json_t *a = json_object_get(o, "proof");
    size_t n = json_array_size(a);
    if (!json_is_array(a) || n > PROOF_MAX)
        return err_set(e, ERR_FORMAT, "%s: proof is not a list of at most %d hashes", where, PROOF_MAX);
    p->n = (int)n;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(a, i));
        if (!s || digest_parse(&p->hash[i], s) != 0)
            return err_set(e, ERR_FORMAT, "%s: proof[%zu] is not 64 hex digits", where, i);
    }
    return 0;
}

/* ---- GENESIS, the checkpoint and records under it ---- */

static int record_check(const struct buf *b, enum ledger_kind kind, const char *where, struct err *e)
{
    return b->len > RECORD_HEAD && (unsigned char)b->p[0] == kind
               ? 0 : err_set(e, ERR_FORMAT, "%s: expected a %s record", where, ledger_kind_name(kind));
}

static int read_genesis(struct disclosure *d, const char *where, struct err *e)
{
    struct buf b = {0};
    int rc = take_bytes(&b, d->json, "genesis", LEDGER_MAX_ENTRY, where, e);
    if (rc == 0)
        rc = record_check(&b, LEDGER_GENESIS, where, e);
    if (rc == 0) {
        struct lines t = {b.p + RECORD_HEAD, b.len - RECORD_HEAD, where};
        d->genesis_hash = sha256_of(b.p, b.len);
        rc = genesis_read(&d->genesis, &d->config, &t, e);
    }
    buf_release(&b);
    return rc;
}

static int read_checkpoint(struct disclosure *d, const char *where, struct err *e)
{
    char origin[LEDGER_ORIGIN];
    const char *note;
    size_t n;
    ledger_origin(origin, &d->genesis_hash);
    struct note_signer s = {origin, d->genesis.key};
    int rc = json_get_str(&note, d->json, "checkpoint", false, NULL, where, e);
    if (rc)
        return rc;
    rc = note_verify(note, strlen(note), &s, &n, e);
    if (rc == 0)
        rc = checkpoint_read(&d->checkpoint, note, n, origin, e);
    return rc ? err_prefix(e, "%s", where) : 0;
}

/* A record of that kind, in the tree of the checkpoint, into b. */
static int read_record(struct buf *b, const struct disclosure *d, enum ledger_kind kind, const char *where,
                       struct err *e)
{
    const json_t *o = json_object_get(d->json, "record");
    struct proof p;
    uint64_t number;
    int rc = only(o, 3, "record", where, e);
    if (rc == 0)
        rc = take_count(&number, o, "number", where, e);
    if (rc == 0)
        rc = take_bytes(b, o, "bytes", LEDGER_MAX_ENTRY, where, e);
    if (rc == 0)
        rc = record_check(b, kind, where, e);
    if (rc == 0)
        rc = take_proof(&p, o, where, e);
    if (rc)
        return rc;
    struct digest leaf = merkle_leaf(b->p, b->len);
    if (!proof_included(&p, &leaf, number, d->checkpoint.size, &d->checkpoint.root))
        rc = err_set(e, ERR_VALUE, "%s: record %" PRIu64 " is not in the ledger that the checkpoint signs", where,
                     number);
    return rc;
}

/* ---- the three things ---- */

static int read_document(struct disclosure *d, const char *where, struct err *e)
{
    struct disclosed_document *x = &d->document;
    const json_t *o = json_object_get(d->json, "document"), *text = json_object_get(o, "text");
    bool salted = json_object_get(o, "salt") != NULL;
    struct digest part;
    struct proof p;
    int rc = only(o, 7 + (text != NULL) + salted, "document", where, e);
    if (rc == 0)
        rc = take_count(&x->index, o, "index", where, e);
    if (rc == 0)
        rc = take_digest(&x->text, o, "text_sha256", where, e);
    if (rc == 0 && salted)
        rc = take_digest(&part, o, "salt", where, e);
    const struct {
        const char **to, *key;
    } f[] = {{&x->id, "id"}, {&x->source, "source"}, {&x->license, "license"}, {&x->lang, "lang"}};
    for (size_t i = 0; i < sizeof f / sizeof *f && rc == 0; i++)
        rc = json_get_str(f[i].to, o, f[i].key, false, NULL, where, e);
    if (rc == 0 && text) {
        x->shown = json_string_value(text);
        x->n = json_string_length(text);
        struct digest h = x->shown ? sha256_of(x->shown, x->n) : (struct digest){{0}};
        if (memcmp(h.b, x->text.b, sizeof h.b) != 0)
            rc = err_set(e, ERR_VALUE, "%s: the text is not the one whose SHA-256 is committed to", where);
    }
    if (rc == 0)
        rc = take_proof(&p, o, where, e);
    if (rc)
        return rc;
    struct digest meta = corpus_meta(x->id, x->source, x->license, x->lang);
    struct digest leaf = corpus_leaf(salted ? &part : NULL, &x->text, &meta);
    if (!proof_included(&p, &leaf, x->index, d->genesis.corpus_docs, &d->config.corpus_root))
        rc = err_set(e, ERR_VALUE, "%s: document %" PRIu64 " is not in the corpus that GENESIS commits to", where,
                     x->index);
    return rc;
}

static int read_segment(struct disclosure *d, const char *where, struct err *e)
{
    struct buf b = {0};
    int rc = read_record(&b, d, LEDGER_SEGMENT, where, e);
    if (rc == 0) {
        struct lines t = {b.p + RECORD_HEAD, b.len - RECORD_HEAD, where};
        rc = segment_read(&d->segment, &t, e);
    }
    buf_release(&b);
    return rc;
}

/* Of the tensor, as its chunks come. */
struct values {
    struct sha256 *hash;
    double squares;
    unsigned char part[4];     /* of a value that two chunks share */
    int have;
};

static void take_value(struct values *v, struct disclosed_tensor *x)
{
    uint32_t bits = (uint32_t)v->part[0] | (uint32_t)v->part[1] << 8 | (uint32_t)v->part[2] << 16 |
                    (uint32_t)v->part[3] << 24;
    float f;
    memcpy(&f, &bits, sizeof f);
    v->squares += (double)f * f;
    x->lowest = fmin(x->lowest, f);
    x->highest = fmax(x->highest, f);
}

/* The chunk's bytes that are the tensor's. */
static void take_values(struct values *v, struct disclosed_tensor *x, const unsigned char *p, size_t n)
{
    sha256_add(v->hash, p, n);
    for (size_t i = 0; i < n; i++) {
        v->part[v->have++] = p[i];
        if (v->have == 4) {
            take_value(v, x);
            v->have = 0;
        }
    }
}

/* Chunk number `number`, which must be the next, with its path to FINAL's root. */
static int read_chunk(struct buf *b, const struct disclosure *d, const json_t *o, const struct state_layout *l,
                      uint64_t number, const char *where, struct err *e)
{
    struct proof p;
    uint64_t got;
    int rc = only(o, 3, "a chunk", where, e);
    if (rc == 0)
        rc = take_count(&got, o, "number", where, e);
    if (rc == 0 && got != number)
        rc = err_set(e, ERR_VALUE, "%s: chunk %" PRIu64 " stands where %" PRIu64 " is expected", where, got, number);
    buf_clear(b);
    if (rc == 0)
        rc = take_bytes(b, o, "bytes", STATE_CHUNK, where, e);
    if (rc == 0)
        rc = take_proof(&p, o, where, e);
    if (rc)
        return rc;
    struct digest leaf = merkle_leaf(b->p, b->len);
    if (b->len != state_chunk_bytes(l, number) || !proof_included(&p, &leaf, number, l->chunks, &d->final.root))
        rc = err_set(e, ERR_VALUE, "%s: chunk %" PRIu64 " is not in the state that FINAL commits to", where, number);
    return rc;
}

static int read_chunks(struct disclosure *d, const struct state_layout *l, const struct state_part *s,
                       const char *where, struct err *e)
{
    struct disclosed_tensor *x = &d->tensor;
    const json_t *list = json_object_get(json_object_get(d->json, "tensor"), "chunks");
    uint64_t first = s->at / STATE_CHUNK, last = (s->at + s->bytes - 1) / STATE_CHUNK;
    struct values v = {.hash = sha256_new()};
    struct buf b = {0};
    int rc = v.hash ? 0 : err_set(e, ERR_NOMEM, "%s: out of memory", where);
    if (rc == 0 && json_array_size(list) != last - first + 1)
        rc = err_set(e, ERR_FORMAT, "%s: %zu chunks, %s lies in %" PRIu64, where, json_array_size(list), s->name,
                     last - first + 1);
    for (uint64_t i = first; i <= last && rc == 0; i++) {
        uint64_t lo = i * STATE_CHUNK, a = s->at > lo ? s->at - lo : 0;
        rc = read_chunk(&b, d, json_array_get(list, (size_t)(i - first)), l, i, where, e);
        uint64_t end = s->at + s->bytes - lo;
        if (rc == 0)
            take_values(&v, x, (const unsigned char *)b.p + a, (size_t)((end < b.len ? end : b.len) - a));
    }
    if (v.hash)
        x->values = sha256_end(&v.hash);
    x->rms = sqrt(v.squares / ((double)s->bytes / 4));
    x->chunks = last - first + 1;
    x->of = l->chunks;
    buf_release(&b);
    return rc;
}

static int read_tensor(struct disclosure *d, const char *where, struct err *e)
{
    struct state_layout l = {0};
    struct buf b = {0};
    const struct state_part *s = NULL;
    const char *name = "";
    int rc = read_record(&b, d, LEDGER_FINAL, where, e);
    if (rc == 0) {
        struct lines t = {b.p + RECORD_HEAD, b.len - RECORD_HEAD, where};
        rc = final_read(&d->final, &t, e);
    }
    if (rc == 0)
        rc = only(json_object_get(d->json, "tensor"), 2, "tensor", where, e);
    if (rc == 0)
        rc = json_get_str(&name, json_object_get(d->json, "tensor"), "name", false, NULL, where, e);
    if (rc == 0)
        rc = state_layout_new(&l, &d->config, e);
    if (rc == 0 && !(s = state_layout_find(&l, name)))
        rc = err_set(e, ERR_VALUE, "%s: the run that GENESIS describes has no tensor %.100s", where, name);
    if (rc == 0) {
        d->tensor = (struct disclosed_tensor){.rows = s->rows, .cols = s->cols, .lowest = INFINITY,
                                              .highest = -INFINITY};
        memcpy(d->tensor.name, s->name, sizeof s->name);
        rc = read_chunks(d, &l, s, where, e);
    }
    state_layout_release(&l);
    buf_release(&b);
    return rc;
}

/* ---- the whole ---- */

static const struct {
    const char *name;
    int (*read)(struct disclosure *d, const char *where, struct err *e);
} things[] = {[DISCLOSED_DOCUMENT] = {"document", read_document},
              [DISCLOSED_SEGMENT] = {"segment", read_segment},
              [DISCLOSED_TENSOR] = {"tensor", read_tensor}};

static int read_head(struct disclosure *d, const char *where, struct err *e)
{
    const char *format, *what;
    int64_t version;
    int rc = json_get_str(&format, d->json, "format", false, NULL, where, e);
    if (rc == 0 && strcmp(format, "dokja-disclosure") != 0)
        rc = err_set(e, ERR_FORMAT, "%s: format \"%.40s\", expected \"dokja-disclosure\"", where, format);
    if (rc == 0)
        rc = json_get_int(&version, d->json, "version", 1, 1, false, 0, where, e);
    if (rc == 0)
        rc = json_get_str(&what, d->json, "what", false, NULL, where, e);
    for (size_t i = 0; rc == 0 && i < sizeof things / sizeof *things; i++)
        if (strcmp(what, things[i].name) == 0) {
            d->what = (enum disclosed)i;
            return only(d->json, d->what == DISCLOSED_TENSOR ? 7 : 6, "the disclosure", where, e);
        }
    return rc ? rc : err_set(e, ERR_FORMAT, "%s: what is \"%.40s\", expected document, segment or tensor", where,
                             what);
}

int disclosure_read(struct disclosure *d, const char *text, size_t n, const char *where, struct err *e)
{
    *d = (struct disclosure){0};
    int rc = n <= DISCLOSE_MAX_FILE ? json_parse(&d->json, text, n, where, e)
                                    : err_set(e, ERR_LIMIT, "%s: %zu bytes, limit %d", where, n, DISCLOSE_MAX_FILE);
    if (rc == 0)
        rc = read_head(d, where, e);
    if (rc == 0)
        rc = read_genesis(d, where, e);
    if (rc == 0)
        rc = read_checkpoint(d, where, e);
    return rc ? rc : things[d->what].read(d, where, e);
}

void disclosure_release(struct disclosure *d)
{
    segment_release(&d->segment);
    json_decref(d->json);
    d->json = NULL;
}
