#include "ledger/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/plural.h"

static const char MAGIC[8] = "dokjaLG1";
enum { FRAME = 4, PREV = 32, RECORD_HEAD = 1 + PREV, CHECKPOINT_HEAD = 1 };

const char *ledger_kind_name(enum ledger_kind k)
{
    switch (k) {
    case LEDGER_GENESIS: return "GENESIS";
    case LEDGER_BEACON: return "BEACON";
    case LEDGER_INIT: return "INIT";
    case LEDGER_SEGMENT: return "SEGMENT";
    case LEDGER_EVENT: return "EVENT";
    case LEDGER_FINAL: return "FINAL";
    case LEDGER_CHECKPOINT: return "checkpoint";
    }
    return NULL;
}

void ledger_origin(char out[LEDGER_ORIGIN], const struct digest *genesis)
{
    char hex[65];
    digest_hex(hex, genesis);
    snprintf(out, LEDGER_ORIGIN, "dokja-run/%s", hex);
}

/* ---- reading ---- */

const char *ledger_text(const struct ledger_entry *x, size_t *n)
{
    size_t head = x->kind == LEDGER_CHECKPOINT ? CHECKPOINT_HEAD : RECORD_HEAD;
    *n = x->n - head;
    return (const char *)x->p + head;
}

const char *ledger_where(const struct ledger *l, const struct ledger_entry *x, struct buf *b)
{
    buf_clear(b);
    int rc = x->kind == LEDGER_CHECKPOINT
                 ? buf_printf(b, NULL, "%s: checkpoint after %" PRIu64 " record%s", l->path, x->record,
                              PLURAL(x->record))
                 : buf_printf(b, NULL, "%s: record %" PRIu64 " (%s)", l->path, x->record, ledger_kind_name(x->kind));
    return rc ? l->path : b->p;
}

static uint32_t u32_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* May a record of kind k stand behind one of kind `last` (0: none)? */
static bool follows(int last, enum ledger_kind k)
{
    if (last == 0 || k == LEDGER_GENESIS)
        return last == 0 && k == LEDGER_GENESIS;
    return last != LEDGER_FINAL;
}

/* One entry's own frame; `at` is the byte its length stands at. */
static int entry_read(struct ledger *l, struct ledger_entry *x, uint64_t at, int last, const struct digest *prev,
                      struct err *e)
{
    int kind = x->p[0];
    x->kind = (enum ledger_kind)kind;
    if (!ledger_kind_name(x->kind))
        return err_set(e, ERR_FORMAT, "%s: the entry at byte %" PRIu64 " is of kind %d, expected 1 to 6 or %d",
                       l->path, at, kind, LEDGER_CHECKPOINT);
    if (x->kind == LEDGER_CHECKPOINT)
        return l->n_records ? 0 : err_set(e, ERR_FORMAT, "%s: begins with a checkpoint, expected GENESIS", l->path);
    const char *name = ledger_kind_name(x->kind);
    if (x->n < RECORD_HEAD)
        return err_set(e, ERR_FORMAT, "%s: record %" PRIu64 " (%s) has %u bytes, expected at least %d", l->path,
                       x->record, name, x->n, RECORD_HEAD);
    if (memcmp(x->p + 1, prev->b, PREV) != 0)
        return err_set(e, ERR_FORMAT, "%s: record %" PRIu64 " (%s) does not continue the record before it: its prev "
                       "is not that record's SHA-256", l->path, x->record, name);
    if (!follows(last, x->kind))
        return err_set(e, ERR_FORMAT, "%s: record %" PRIu64 " is %s, which cannot stand %s", l->path, x->record, name,
                       last ? "there" : "first");
    return 0;
}

static int entry_add(struct ledger *l, const struct ledger_entry *x, uint64_t *cap, struct err *e)
{
    if (l->n_entries == *cap) {
        uint64_t more = *cap ? 2 * *cap : 256;
        if (more > LEDGER_MAX_ENTRIES)
            return err_set(e, ERR_LIMIT, "%s: more than %d entries", l->path, LEDGER_MAX_ENTRIES);
        struct ledger_entry *grown = mem_resize(l->entry, (size_t)more, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, "%s: no memory for %" PRIu64 " entries", l->path, more);
        l->entry = grown;
        *cap = more;
    }
    l->entry[l->n_entries++] = *x;
    return 0;
}

static int read_all(struct ledger *l, bool torn, struct err *e)
{
    const unsigned char *p = l->map.p;
    uint64_t len = l->map.len, at = sizeof MAGIC, cap = 0;
    struct digest prev = {{0}};
    int last = 0;
    if (len < sizeof MAGIC || memcmp(p, MAGIC, sizeof MAGIC) != 0)
        return err_set(e, ERR_FORMAT, "%s: is not a ledger: it does not begin with \"dokjaLG1\"", l->path);
    for (l->whole = at; at < len; l->whole = at) {
        uint32_t n = len - at >= FRAME ? u32_at(p + at) : 0;
        if (len - at >= FRAME && (n < 1 || n > LEDGER_MAX_ENTRY))
            return err_set(e, ERR_LIMIT, "%s: the entry at byte %" PRIu64 " has %u bytes, expected 1 to %d", l->path,
                           at, n, LEDGER_MAX_ENTRY);
        if (len - at < FRAME || len - at - FRAME < n)
            return torn ? 0 : err_set(e, ERR_FORMAT, "%s: ends at byte %" PRIu64 ", within the entry at byte %" PRIu64
                                      " behind %" PRIu64 " record%s", l->path, len, at, l->n_records,
                                      PLURAL(l->n_records));
        struct ledger_entry x = {.p = p + at + FRAME, .n = n, .record = l->n_records};
        int rc = entry_read(l, &x, at, last, &prev, e);
        if (rc == 0)
            rc = entry_add(l, &x, &cap, e);
        if (rc)
            return rc;
        if (x.kind != LEDGER_CHECKPOINT) {
            prev = sha256_of(x.p, x.n);
            last = (int)x.kind;
            l->n_records++;
        }
        at += FRAME + (uint64_t)n;
    }
    return 0;
}

int ledger_open(struct ledger *l, const char *path, bool torn, struct err *e)
{
    *l = (struct ledger){.path = path};
    int rc = file_map_open(&l->map, path, e);
    if (rc == 0)
        rc = read_all(l, torn, e);
    if (rc)
        ledger_close(l);
    return rc;
}

void ledger_close(struct ledger *l)
{
    mem_free(l->entry);
    file_map_close(&l->map);
    *l = (struct ledger){0};
}

static int checkpoint_check(const struct ledger *l, const struct ledger_entry *x, const struct digest *root,
                            const char *origin, const struct note_signer *s, struct err *e)
{
    struct checkpoint said;
    size_t n, text_n;
    const char *note = ledger_text(x, &n);
    int rc = note_verify(note, n, s, &text_n, e);
    if (rc == 0)
        rc = checkpoint_read(&said, note, text_n, origin, e);
    if (rc)
        return err_prefix(e, "%s: checkpoint after %" PRIu64 " record%s", l->path, x->record, PLURAL(x->record));
    if (said.size != x->record || memcmp(root->b, said.root.b, sizeof root->b) != 0)
        return err_set(e, ERR_VALUE, "%s: checkpoint after %" PRIu64 " record%s: it was signed for another tree, of "
                       "%" PRIu64 " record%s", l->path, x->record, PLURAL(x->record), said.size, PLURAL(said.size));
    return 0;
}

int ledger_signed_check(const struct ledger *l, const char *origin, const struct note_signer *s, uint64_t *covered,
                        struct err *e)
{
    struct merkle m;
    merkle_init(&m);
    *covered = 0;
    for (uint64_t i = 0; i < l->n_entries; i++) {
        const struct ledger_entry *x = &l->entry[i];
        if (x->kind != LEDGER_CHECKPOINT) {
            merkle_add(&m, x->p, x->n);
            continue;
        }
        struct digest root = merkle_root(&m);
        int rc = checkpoint_check(l, x, &root, origin, s, e);
        if (rc)
            return rc;
        *covered = x->record;
    }
    return 0;
}

/* ---- writing ---- */

static void begin(struct ledger_log *l)
{
    merkle_init(&l->tree);
    memset(&l->prev, 0, sizeof l->prev);
    l->bytes = sizeof MAGIC;
}

static void count(struct ledger_log *l, const unsigned char *p, size_t n)
{
    merkle_add(&l->tree, p, n);
    l->prev = sha256_of(p, n);
}

int ledger_log_new(struct ledger_log *l, const char *path, struct err *e)
{
    *l = (struct ledger_log){0};
    l->path = mem_strdup(path);
    if (!l->path)
        return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    begin(l);
    l->bytes = 0;
    return 0;
}

int ledger_log_open(struct ledger_log *l, const char *path, uint64_t records, struct err *e)
{
    struct ledger old;
    *l = (struct ledger_log){0};
    int rc = ledger_open(&old, path, true, e);
    if (rc)
        return rc;
    l->path = mem_strdup(path);
    if (!l->path)
        rc = err_set(e, ERR_NOMEM, "%s: out of memory", path);
    else if (records != UINT64_MAX && records > old.n_records)
        rc = err_set(e, ERR_FORMAT, "%s: has %" PRIu64 " record%s, expected at least %" PRIu64, path, old.n_records,
                     PLURAL(old.n_records), records);
    begin(l);
    for (uint64_t i = 0; rc == 0 && i < old.n_entries; i++) {
        const struct ledger_entry *x = &old.entry[i];
        bool checkpoint = x->kind == LEDGER_CHECKPOINT;
        if (checkpoint ? x->record > records : x->record >= records)
            break;
        if (!checkpoint)
            count(l, x->p, x->n);
        l->bytes += FRAME + (uint64_t)x->n;
    }
    bool longer = old.map.len > l->bytes;
    ledger_close(&old);
    if (rc == 0 && longer)
        rc = file_truncate(path, l->bytes, e);
    if (rc)
        ledger_log_release(l);
    return rc;
}

void ledger_log_release(struct ledger_log *l)
{
    mem_free(l->path);
    *l = (struct ledger_log){0};
}

/* The first entry of a new ledger brings the file: no ledger is there without its GENESIS. */
static int bring(const struct ledger_log *l, const struct buf *first, struct err *e)
{
    struct buf b = {0};
    int rc = buf_add(&b, MAGIC, sizeof MAGIC, e);
    if (rc == 0)
        rc = buf_add(&b, first->p, first->len, e);
    if (rc == 0)
        rc = file_replace(l->path, b.p, b.len, e);
    buf_release(&b);
    return rc;
}

/* Frame, kind and what follows, in one write. */
static int entry_write(struct ledger_log *l, enum ledger_kind kind, const struct digest *prev, const char *text,
                       size_t n, struct buf *b, struct err *e)
{
    size_t len = (prev ? RECORD_HEAD : CHECKPOINT_HEAD) + n;
    if (len > LEDGER_MAX_ENTRY)
        return err_set(e, ERR_LIMIT, "%s: a %s of %zu bytes, limit %d", l->path, ledger_kind_name(kind), len,
                       LEDGER_MAX_ENTRY);
    unsigned char head[FRAME + 1] = {(unsigned char)len, (unsigned char)(len >> 8), (unsigned char)(len >> 16),
                                     (unsigned char)(len >> 24), (unsigned char)kind};
    int rc = buf_add(b, head, sizeof head, e);
    if (rc == 0 && prev)
        rc = buf_add(b, prev->b, PREV, e);
    if (rc == 0)
        rc = buf_add(b, text, n, e);
    if (rc == 0)
        rc = l->bytes ? file_append_sync(l->path, b->p, b->len, e) : bring(l, b, e);
    if (rc == 0)
        l->bytes += b->len + (l->bytes ? 0 : sizeof MAGIC);
    return rc;
}

int ledger_log_add(struct ledger_log *l, enum ledger_kind kind, const char *text, size_t n, struct err *e)
{
    struct buf b = {0};
    int rc = entry_write(l, kind, &l->prev, text, n, &b, e);
    if (rc == 0)
        count(l, (const unsigned char *)b.p + FRAME, b.len - FRAME);
    buf_release(&b);
    return rc;
}

int ledger_log_sign(struct ledger_log *l, const char *origin, const char *name, const struct sign_key *k,
                    struct err *e)
{
    struct buf text = {0}, note = {0}, b = {0};
    struct checkpoint c = {l->tree.n, merkle_root(&l->tree)};
    int rc = checkpoint_text(&text, origin, &c, e);
    if (rc == 0)
        rc = note_sign(&note, text.p, text.len, name, k, e);
    if (rc == 0)
        rc = entry_write(l, LEDGER_CHECKPOINT, NULL, note.p, note.len, &b, e);
    buf_release(&text);
    buf_release(&note);
    buf_release(&b);
    return rc;
}
