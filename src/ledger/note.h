/* Signed notes and log checkpoints (C2SP signed-note and tlog-checkpoint).
 *
 *   text, lines each ended by \n        checkpoint: origin \n size \n base64(root) \n [more lines]
 *   an empty line
 *   — NAME BASE64(id ‖ signature)       one line a signature, U+2014 first
 *
 * id = the first 4 bytes of SHA-256(NAME ‖ \n ‖ 0x01 ‖ public key); the signature is Ed25519 over the text with its
 * last newline, without the empty line.  Text is UTF-8 without control characters other than \n. */
#ifndef DK_LEDGER_NOTE_H
#define DK_LEDGER_NOTE_H

#include "base/buf.h"
#include "base/digest.h"
#include "ledger/signing.h"

/* Who signs: a name without blanks and '+', and a key. */
struct note_signer {
    const char *name;
    struct sign_public key;
};

/* ERR_VALUE where no signature line can hold the name. */
int note_name_check(const char *name, struct err *e) MUST_CHECK;
uint32_t note_key_id(const struct note_signer *s);   /* big-endian */

/* Appends the signed note of a text to b. */
int note_sign(struct buf *b, const char *text, size_t n, const char *name, const struct sign_key *k,
              struct err *e) MUST_CHECK;
/* The text is note[0..*text_n).  Signatures of others are passed over; there must be one of this signer, and every one
 * of this signer must be good; else ERR_SIGNATURE. */
int note_verify(const char *note, size_t n, const struct note_signer *s, size_t *text_n, struct err *e) MUST_CHECK;

struct checkpoint {
    uint64_t size;             /* leaves */
    struct digest root;
};
int checkpoint_text(struct buf *b, const char *origin, const struct checkpoint *c, struct err *e) MUST_CHECK;
/* Lines behind the third are allowed and ignored. */
int checkpoint_read(struct checkpoint *c, const char *text, size_t n, const char *origin, struct err *e) MUST_CHECK;

#endif
