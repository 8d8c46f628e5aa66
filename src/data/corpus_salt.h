/* Commitments to confidential text.
 *
 * A leaf is a hash of its document: whoever guesses the document can see that the guess is right.  With a salt, a
 * secret of the corpus in salt.key (64 hex digits, readable by its owner alone), a leaf has a third part, SHA-256(
 * "document-salt" ‖ key ‖ SHA-256(text) ‖ SHA-256(metadata)), which nobody else can make; showing one document's part
 * tells nothing of the others'. */
#ifndef DK_DATA_CORPUS_SALT_H
#define DK_DATA_CORPUS_SALT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

struct corpus_salt {
    uint8_t key[32];
};

/* DIR/salt.key; made new from the system's random source where there is none, and *made says so. */
int corpus_salt_make(struct corpus_salt *s, const char *dir, bool *made, struct err *e) MUST_CHECK;
/* Takes a key away by which nothing was built. */
void corpus_salt_drop(const char *dir);
int corpus_salt_read(struct corpus_salt *s, const char *dir, struct err *e) MUST_CHECK;
/* What the manifest says of it: SHA-256("corpus-salt" ‖ key). */
struct digest corpus_salt_name(const struct corpus_salt *s);
/* A document's part. */
struct digest corpus_salt_part(const struct corpus_salt *s, const struct digest *text, const struct digest *meta);

#endif
