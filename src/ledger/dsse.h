/* Signed statements: DSSE envelopes in Sigstore bundles (media type …bundle.v0.3+json), by a key alone, no certificate
 * and no transparency log.
 *
 * Signed are the bytes "DSSEv1 SP len(type) SP type SP len(payload) SP payload" (DSSE protocol, PAE); the payload
 * stands in the envelope as base64 and is never written anew: JSON has no one form.  Keys are ECDSA on P-256
 * (SHA-256), P-384 (SHA-384) or P-521 (SHA-512), signatures DER; others read P-256 everywhere, so that is what signing
 * takes. */
#ifndef DK_LEDGER_DSSE_H
#define DK_LEDGER_DSSE_H

#include "base/buf.h"
#include "base/err.h"

#define DSSE_IN_TOTO "application/vnd.in-toto+json"

/* Stands at the beginning of each bundle. */
#define DSSE_BUNDLE_MARK "application/vnd.dev.sigstore.bundle"

struct dsse_key;
/* PEM: a private P-256 key without passphrase; a public key (SubjectPublicKeyInfo) on one of the three curves. */
int dsse_private_read(struct dsse_key **k, const char *path, struct err *e) MUST_CHECK;
int dsse_public_read(struct dsse_key **k, const char *path, struct err *e) MUST_CHECK;
void dsse_key_free(struct dsse_key *k);   /* safe on NULL */

/* Appends a bundle over the payload to b. */
int dsse_sign(struct buf *b, const char *type, const char *payload, size_t n, const struct dsse_key *k,
              struct err *e) MUST_CHECK;
/* Appends the payload of a bundle to `payload` when one of its signatures is by k and its type is that;
 * ERR_SIGNATURE where none is.  Sentences begin with `where`. */
int dsse_verify(struct buf *payload, const char *bundle, size_t n, const char *type, const struct dsse_key *k,
                const char *where, struct err *e) MUST_CHECK;

#endif
