/* ledger.bin: hash-chained records and signed checkpoints, one behind the other.
 *
 *   8 bytes       "dokjaLG1"
 *   entry, …      u32 n, little-endian, then n bytes: u8 kind and
 *                   a record (kinds 1 to 6): 32 bytes prev, then its text (ledger/lines.h)
 *                   a checkpoint (kind 16): a signed note (ledger/note.h) of the tree over the records before it
 *
 * prev is SHA-256 of the previous record's n bytes, zeros in the first.  The tree is RFC 6962's, its leaves the
 * records' n bytes.  The first record is a GENESIS and no other is; nothing follows a FINAL but checkpoints. */
#ifndef DK_LEDGER_CHAIN_H
#define DK_LEDGER_CHAIN_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/file.h"
#include "ledger/note.h"

enum ledger_kind {
    LEDGER_GENESIS = 1,    /* what will be trained on what, how, by whom */
    LEDGER_BEACON,         /* where the seed comes from */
    LEDGER_INIT,           /* state before the first step */
    LEDGER_SEGMENT,        /* steps from … to, and the state after them */
    LEDGER_EVENT,          /* what happened besides */
    LEDGER_FINAL,          /* the end, and the files made of it */
    LEDGER_CHECKPOINT = 16
};
const char *ledger_kind_name(enum ledger_kind k);   /* "GENESIS" …, NULL for others */

/* The log's name in checkpoints, and the signer's: "dokja-run/" and 64 hex digits, SHA-256 of the first record. */
enum { LEDGER_ORIGIN = 80 };
void ledger_origin(char out[LEDGER_ORIGIN], const struct digest *genesis);

enum { LEDGER_MAX_ENTRY = 16 << 20, LEDGER_MAX_ENTRIES = 1 << 24 };

/* ---- reading ---- */

struct ledger_entry {
    enum ledger_kind kind;
    const unsigned char *p;   /* the entry's n bytes, in the map */
    uint32_t n;
    uint64_t record;          /* its number among the records; of a checkpoint, how many stand before it */
};
struct ledger {
    const char *path;         /* the caller's */
    struct file_map map;
    struct ledger_entry *entry;
    uint64_t n_entries, n_records;
    uint64_t whole;           /* bytes up to the end of the last whole entry */
};
/* Maps a ledger and checks its frame and chain; signatures are ledger_signed_check's.  A file that ends within an entry
 * is an error unless `torn` allows it: then `whole` says where to cut. */
int ledger_open(struct ledger *l, const char *path, bool torn, struct err *e) MUST_CHECK;
void ledger_close(struct ledger *l);   /* safe on zero */

/* A record's or note's text. */
const char *ledger_text(const struct ledger_entry *x, size_t *n);
/* "PATH: record 3 (SEGMENT)", for sentences; valid until the next call with the same b. */
const char *ledger_where(const struct ledger *l, const struct ledger_entry *x, struct buf *b);
/* Every checkpoint: signed by s, of that origin, and of the tree over the records before it.  *covered: how many
 * records stand before the last of them, 0 where there is none. */
int ledger_signed_check(const struct ledger *l, const char *origin, const struct note_signer *s, uint64_t *covered,
                        struct err *e) MUST_CHECK;

/* ---- writing ---- */

struct ledger_log {
    char *path;
    struct merkle tree;       /* over the records so far; tree.n of them */
    struct digest prev;       /* of the next record */
    uint64_t bytes;           /* of the file; 0: not written yet */
};
/* Begins a ledger, whose first record makes the file in the place of one that is there, or goes on with one, cut behind
 * its first `records` records (and the checkpoints that follow them); UINT64_MAX: all. */
int ledger_log_new(struct ledger_log *l, const char *path, struct err *e) MUST_CHECK;
int ledger_log_open(struct ledger_log *l, const char *path, uint64_t records, struct err *e) MUST_CHECK;
void ledger_log_release(struct ledger_log *l);

/* Each lands on the disk whole before it returns, or is reported and leaves the ledger as it was. */
int ledger_log_add(struct ledger_log *l, enum ledger_kind kind, const char *text, size_t n, struct err *e) MUST_CHECK;
int ledger_log_sign(struct ledger_log *l, const char *origin, const char *name, const struct sign_key *k,
                    struct err *e) MUST_CHECK;

#endif
