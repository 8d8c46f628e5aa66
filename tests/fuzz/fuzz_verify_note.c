/* The second verifier's reader of signed notes.  No input guesses a signature; so it is also taken for a text that the
 * key signs. */
#include "fuzz/fuzz_verify.h"

#include <openssl/evp.h>

static const char origin[] = "dokja-run/test";
static EVP_PKEY *key;
static uint8_t public[32];

struct note { const uint8_t *p; size_t n; bool signed_well; };

static void read_it(void *arg)
{
    const struct note *x = arg;
    struct digest root, again;
    struct bytes b = {x->p, x->n};
    uint64_t size = note_read(&root, b, origin, public);
    if (size != note_read(&again, b, origin, public) || !same_digest(&root, &again)) abort();
    if (!x->signed_well && !memmem(x->p, x->n, "\n\n", 2)) abort();
}

/* TEXT "\n— NAME BASE64\n"; the length, 0: no memory. */
static size_t signed_note(uint8_t **out, const uint8_t *text, size_t n)
{
    uint8_t blob[4 + 64], b64[100];
    size_t len = 64, room = n + 200;
    struct digest id = sha256((struct bytes[]){{(const uint8_t *)origin, sizeof origin - 1},
                                               {(const uint8_t *)"\n\1", 2}, {public, 32}}, 3);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    uint8_t *p = *out = malloc(room);
    if (!c || !p || EVP_DigestSignInit(c, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(c, blob + 4, &len, n ? text : (const uint8_t *)"", n) != 1)
        abort();
    EVP_MD_CTX_free(c);
    memcpy(blob, id.b, 4);
    EVP_EncodeBlock(b64, blob, sizeof blob);
    if (n) memcpy(p, text, n);
    return n + (size_t)snprintf((char *)p + n, room - n, "\n\xe2\x80\x94 %s %s\n", origin, (const char *)b64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t secret[32] = {7};
    size_t n = sizeof public;
    fuzz_verify_begin();
    if (!key) key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
    if (!key || EVP_PKEY_get_raw_public_key(key, public, &n) != 1) abort();
    attempt(read_it, &(struct note){data, size, false});
    uint8_t *p;
    size_t len = signed_note(&p, data, size);
    attempt(read_it, &(struct note){p, len, true});
    free(p);
    give_back();
    return 0;
}
