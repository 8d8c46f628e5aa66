/* Ed25519 keys and signatures (RFC 8032), over libcrypto. */
#ifndef DK_LEDGER_SIGNING_H
#define DK_LEDGER_SIGNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sign_public {
    uint8_t b[32];
};
struct signature {
    uint8_t b[64];
};

struct sign_key; /* a private key */
int sign_key_new(struct sign_key **k, struct err *e) MUST_CHECK;     /* from the system's random source */
/* PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` writes it; written atomically, readable by its owner alone. */
int sign_key_read(struct sign_key **k, const char *path, struct err *e) MUST_CHECK;
int sign_key_write(const struct sign_key *k, const char *path, struct err *e) MUST_CHECK;
void sign_key_free(struct sign_key *k);                              /* safe on NULL */
struct sign_public sign_key_public(const struct sign_key *k);

int sign_bytes(struct signature *s, const struct sign_key *k, const void *p, size_t n, struct err *e) MUST_CHECK;
/* ERR_SIGNATURE: it is not by that key over these bytes; ERR_NOMEM says nothing about it. */
int sign_verify(const struct signature *s, const struct sign_public *k, const void *p, size_t n,
                struct err *e) MUST_CHECK;

#endif
