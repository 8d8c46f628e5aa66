/* Signed statements and notes.  No input guesses a signature: the corpus is signed by keys that stand here, so what is
 * accepted must be what they signed; and the input is also taken for a text that they sign, which must come back. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "ledger/dsse.h"
#include "ledger/note.h"

/* Keys of nothing, known to everybody. */
static const char p256[] = "-----BEGIN PRIVATE KEY-----\n"
                           "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgmJxY0YlpgBHvk4eA\n"
                           "2vNrGQ/SNeWKqJupRvMNt7CWhw6hRANCAASQDV6VP9oiOpWXHDUZxZ8SivKwkGm8\n"
                           "CBbbmDqE6J7DgSX/7BGhmOlMjOn1djivmstLfm0Ju6QViPvaqAvhReli\n"
                           "-----END PRIVATE KEY-----\n";
static const char ed25519[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEII3A7MeZYjHcYG7ppvuS2DMBq76HRzklUsvN1xpgeYm/\n"
                              "-----END PRIVATE KEY-----\n";
static const char name[] = "dokja-run/789c14f7a0c6b98226c7fb263c737e2173436deea9702967342691dedfdfd18b";
/* SHA-256 of what the corpus has under their signatures. */
static const char statement[] = "4ec9298db94765d5a730c3c2674031c86a18febafb38c08e564055bbb27fde8b";
static const char text[] = "3dce5d559155ef0ec50db5a3fb2c22d881bed4a80af2b066f1eb6a3bd1181c68";

static struct dsse_key *signer;
static struct sign_key *note_key;

static void read_keys(void)
{
    struct err e;
    if (signer) return;
    if (dsse_private_read(&signer, fuzz_file("p256.pem", (const uint8_t *)p256, sizeof p256 - 1), &e) ||
        sign_key_read(&note_key, fuzz_file("ed25519.pem", (const uint8_t *)ed25519, sizeof ed25519 - 1), &e))
        abort();
}

static void need_hash(const void *p, size_t n, const char *hex)
{
    struct digest got = sha256_of(p, n), want;
    if (digest_parse(&want, hex) || memcmp(&got, &want, sizeof got)) abort();
}

/* The statement's, where `expected` is NULL. */
static bool bundle_taken(const char *p, size_t n, const char *expected, size_t len)
{
    struct err e = {0};
    struct buf payload = {0};
    int rc = dsse_verify(&payload, p, n, DSSE_IN_TOTO, signer, "bundle", &e);
    if ((rc == 0) != (e.code == 0)) abort();
    if (rc == 0 && !expected) need_hash(payload.p, payload.len, statement);
    if (rc == 0 && expected && (payload.len != len || (len && memcmp(payload.p, expected, len)))) abort();
    buf_release(&payload);
    return rc == 0;
}

static bool note_taken(const char *p, size_t n, size_t *text_n)
{
    struct err e = {0};
    struct note_signer s = {name, sign_key_public(note_key)};
    int rc = note_verify(p, n, &s, text_n, &e);
    if ((rc == 0) != (e.code == 0)) abort();
    return rc == 0;
}

static void sign_it(const char *p, size_t n)
{
    struct err e;
    struct buf bundle = {0}, note = {0};
    size_t len;
    if (dsse_sign(&bundle, DSSE_IN_TOTO, p, n, signer, &e) || !bundle_taken(bundle.p, bundle.len, p, n)) abort();
    if (note_sign(&note, p, n, name, note_key, &e) == 0 &&
        (!note_taken(note.p, note.len, &len) || len != n || (n && memcmp(note.p, p, n))))
        abort();
    buf_release(&bundle);
    buf_release(&note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct err e;
    struct checkpoint c;
    size_t n;
    read_keys();
    bool bundle = bundle_taken(p, size, NULL, 0), note = note_taken(p, size, &n);
    bool checkpoint = checkpoint_read(&c, p, size, name, &e) == 0;
    if (note) need_hash(p, n, text);
    if (note && (!checkpoint || c.size != 1)) abort();
    if (checkpoint && size < 12) abort(); /* no room for a root */
    fuzz_verdict = bundle || note ? FUZZ_TAKEN : FUZZ_REFUSED;
    sign_it(p, size);
    return 0;
}
