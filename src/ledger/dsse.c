#include "ledger/dsse.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#define MEDIA_TYPE "application/vnd.dev.sigstore.bundle.v0.3+json"
enum { MAX_PEM = 1 << 16, MAX_SIGNATURE = 256, MAX_SIGNATURES = 64 };

/* ---- keys: libcrypto's objects, named ---- */

static EVP_PKEY *pkey(const struct dsse_key *k) { return (EVP_PKEY *)(uintptr_t)k; }

static const struct curve {
    const char *name, *shown;
    const EVP_MD *(*digest)(void);
} curves[] = {{"prime256v1", "P-256", EVP_sha256},
              {"secp384r1", "P-384", EVP_sha384},
              {"secp521r1", "P-521", EVP_sha512}};

static const struct curve *curve_of(EVP_PKEY *k)
{
    char name[40];
    size_t n;
    if (EVP_PKEY_get_id(k) != EVP_PKEY_EC || EVP_PKEY_get_group_name(k, name, sizeof name, &n) != 1)
        return NULL;
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        if (strcmp(name, curves[i].name) == 0)
            return &curves[i];
    return NULL;
}

/* No passphrase is ever asked for. */
static int no_passphrase(char *buf, int size, int rw, void *u)
{
    (void)buf, (void)size, (void)rw, (void)u;
    return -1;
}

static int key_read(struct dsse_key **k, const char *path, bool private, struct err *e)
{
    struct buf text = {0};
    *k = NULL;
    int rc = file_read(&text, path, MAX_PEM, e);
    if (rc)
        return rc;
    BIO *b = BIO_new_mem_buf(text.p ? text.p : "", (int)text.len);
    EVP_PKEY *key = NULL;
    if (b)
        key = private ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL)
                      : PEM_read_bio_PUBKEY(b, NULL, NULL, NULL);
    BIO_free(b);
    const struct curve *c = key ? curve_of(key) : NULL;
    if (!c || (private && c != &curves[0])) {
        EVP_PKEY_free(key);
        rc = err_set(e, ERR_FORMAT, "%s: expected %s", path,
                     private ? "a P-256 private key in PEM without a passphrase (openssl genpkey -algorithm EC "
                               "-pkeyopt ec_paramgen_curve:P-256)"
                             : "a public key in PEM on P-256, P-384 or P-521");
    } else {
        *k = (struct dsse_key *)key;
    }
    if (text.p)
        OPENSSL_cleanse(text.p, text.len);
    buf_release(&text);
    return rc;
}

int dsse_private_read(struct dsse_key **k, const char *path, struct err *e) { return key_read(k, path, true, e); }

int dsse_public_read(struct dsse_key **k, const char *path, struct err *e) { return key_read(k, path, false, e); }

void dsse_key_free(struct dsse_key *k) { EVP_PKEY_free(pkey(k)); }

/* How a bundle names a key: SHA-256 of the PEM text of its public half. */
static int key_hint(char hex[65], const struct dsse_key *k, struct err *e)
{
    char *text;
    BIO *b = BIO_new(BIO_s_mem());
    int rc = b && PEM_write_bio_PUBKEY(b, pkey(k)) ? 0 : err_set(e, ERR_NOMEM, "libcrypto cannot write a public key");
    if (rc == 0) {
        long n = BIO_get_mem_data(b, &text);
        struct digest d = sha256_of(text, (size_t)n);
        digest_hex(hex, &d);
    }
    BIO_free(b);
    return rc;
}

/* ---- signing ---- */

static int pae(struct buf *b, const char *type, const char *payload, size_t n, struct err *e)
{
    int rc = buf_printf(b, e, "DSSEv1 %zu %s %zu ", strlen(type), type, n);
    return rc ? rc : buf_add(b, payload, n, e);
}

static int sign(unsigned char *sig, size_t *len, const struct dsse_key *k, const struct buf *what, struct err *e)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    *len = MAX_SIGNATURE;
    bool good = c && EVP_DigestSignInit(c, NULL, curve_of(pkey(k))->digest(), NULL, pkey(k)) == 1 &&
                EVP_DigestSign(c, sig, len, (const unsigned char *)what->p, what->len) == 1;
    EVP_MD_CTX_free(c);
    return good ? 0 : err_set(e, ERR_NOMEM, "libcrypto cannot sign %zu bytes", what->len);
}

static int print_bundle(struct buf *b, const char *hint, const char *type, const struct buf *payload,
                        const struct buf *sig, struct err *e)
{
    json_t *o = json_pack("{s:s,s:{s:{s:s},s:[]},s:{s:s,s:s,s:[{s:s,s:s}]}}", "mediaType", MEDIA_TYPE,
                          "verificationMaterial", "publicKey", "hint", hint, "tlogEntries", "dsseEnvelope", "payload",
                          payload->p ? payload->p : "", "payloadType", type, "signatures", "sig", sig->p, "keyid", "");
    int rc = o ? json_print(b, o, 0, e) : err_set(e, ERR_NOMEM, "no memory for a bundle");
    json_decref(o);
    return rc ? rc : buf_addc(b, '\n', e);
}

int dsse_sign(struct buf *b, const char *type, const char *payload, size_t n, const struct dsse_key *k, struct err *e)
{
    struct buf what = {0}, payload64 = {0}, sig64 = {0};
    unsigned char sig[MAX_SIGNATURE];
    size_t len = 0;
    char hint[65];
    int rc = pae(&what, type, payload, n, e);
    if (rc == 0)
        rc = sign(sig, &len, k, &what, e);
    if (rc == 0)
        rc = key_hint(hint, k, e);
    if (rc == 0)
        rc = base64_add(&payload64, payload, n, e);
    if (rc == 0)
        rc = base64_add(&sig64, sig, len, e);
    if (rc == 0)
        rc = print_bundle(b, hint, type, &payload64, &sig64, e);
    buf_release(&what);
    buf_release(&payload64);
    buf_release(&sig64);
    return rc;
}

/* ---- verifying ---- */

static bool valid(const unsigned char *sig, size_t len, const struct dsse_key *k, const struct buf *what)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && EVP_DigestVerifyInit(c, NULL, curve_of(pkey(k))->digest(), NULL, pkey(k)) == 1 &&
                EVP_DigestVerify(c, sig, len, (const unsigned char *)what->p, what->len) == 1;
    EVP_MD_CTX_free(c);
    return good;
}

/* One good signature by k is enough; others may be by others. */
static int signatures_check(const json_t *list, const struct dsse_key *k, const struct buf *what, const char *where,
                            struct err *e)
{
    size_t n = json_array_size(list);
    if (n < 1 || n > MAX_SIGNATURES)
        return err_set(e, ERR_FORMAT, "%s: dsseEnvelope.signatures has %zu entries, expected 1 to %d", where, n,
                       MAX_SIGNATURES);
    for (size_t i = 0; i < n; i++) {
        unsigned char sig[MAX_SIGNATURE];
        const char *text;
        int rc = json_get_str(&text, json_array_get(list, i), "sig", false, NULL, where, e);
        if (rc)
            return rc;
        ptrdiff_t len = base64_read(sig, sizeof sig, text, strlen(text));
        if (len < 0)
            return err_set(e, ERR_FORMAT, "%s: dsseEnvelope.signatures[%zu].sig is not base64 of a signature", where,
                           i);
        if (valid(sig, (size_t)len, k, what))
            return 0;
    }
    return err_set(e, ERR_SIGNATURE, "%s: no signature in it is by this key (%s) over this content", where,
                   curve_of(pkey(k))->shown);
}

static int payload_of(struct buf *payload, const json_t *env, const char *type, const char *where, struct err *e)
{
    const char *text, *found;
    int rc = json_get_str(&found, env, "payloadType", false, NULL, where, e);
    if (rc == 0 && strcmp(found, type) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: payloadType is \"%.80s\", expected %s", where, found, type);
    if (rc == 0)
        rc = json_get_str(&text, env, "payload", false, NULL, where, e);
    if (rc)
        return rc;
    size_t room = strlen(text) / 4 * 3;
    if ((rc = buf_reserve(payload, room + 1, e)))
        return rc;
    ptrdiff_t len = base64_read((unsigned char *)payload->p + payload->len, room, text, strlen(text));
    if (len < 0)
        return err_set(e, ERR_FORMAT, "%s: dsseEnvelope.payload is not base64", where);
    payload->len += (size_t)len;
    payload->p[payload->len] = 0;
    return 0;
}

int dsse_verify(struct buf *payload, const char *bundle, size_t n, const char *type, const struct dsse_key *k,
                const char *where, struct err *e)
{
    struct buf what = {0};
    json_t *o = NULL;
    size_t from = payload->len;
    int rc = json_parse(&o, bundle, n, where, e);
    const json_t *env = json_object_get(o, "dsseEnvelope");
    if (rc == 0 && !json_is_object(env))
        rc = err_set(e, ERR_FORMAT, "%s: dsseEnvelope is missing: not a bundle of a signed statement", where);
    if (rc == 0)
        rc = payload_of(payload, env, type, where, e);
    if (rc == 0)
        rc = pae(&what, type, payload->p + from, payload->len - from, e);
    if (rc == 0)
        rc = signatures_check(json_object_get(env, "signatures"), k, &what, where, e);
    if (rc && payload->p) {
        payload->len = from;
        payload->p[from] = 0;
    }
    buf_release(&what);
    json_decref(o);
    return rc;
}
