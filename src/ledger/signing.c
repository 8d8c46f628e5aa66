#include "ledger/signing.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"

enum { MAX_PEM = 1 << 16 };

/* The key itself is libcrypto's object: struct sign_key is only its name here. */
static EVP_PKEY *pkey(const struct sign_key *k) { return (EVP_PKEY *)(uintptr_t)k; }

int sign_key_new(struct sign_key **k, struct err *e)
{
    *k = (struct sign_key *)EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return *k ? 0 : err_set(e, ERR_IO, "cannot make a signing key: libcrypto refused");
}

/* No passphrase is ever asked for: an encrypted key is an error, not a prompt. */
static int no_passphrase(char *buf, int size, int rw, void *u)
{
    (void)buf, (void)size, (void)rw, (void)u;
    return -1;
}

int sign_key_read(struct sign_key **k, const char *path, struct err *e)
{
    struct buf text = {0};
    *k = NULL;
    int rc = file_read(&text, path, MAX_PEM, e);
    if (rc == 0) {
        BIO *b = BIO_new_mem_buf(text.p ? text.p : "", (int)text.len);
        EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
        BIO_free(b);
        if (!key || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
            EVP_PKEY_free(key);
            rc = err_set(e, ERR_FORMAT, "%s: expected an Ed25519 private key in PEM without a passphrase", path);
        } else {
            *k = (struct sign_key *)key;
        }
    }
    if (text.p)
        OPENSSL_cleanse(text.p, text.len);
    buf_release(&text);
    return rc;
}

int sign_key_write(const struct sign_key *k, const char *path, struct err *e)
{
    char *text;
    BIO *b = BIO_new(BIO_s_mem());
    int rc = b && PEM_write_bio_PKCS8PrivateKey(b, pkey(k), NULL, NULL, 0, NULL, NULL)
                 ? 0 : err_set(e, ERR_NOMEM, "%s: libcrypto cannot write the key", path);
    if (rc == 0) {
        long n = BIO_get_mem_data(b, &text);
        rc = file_replace_private(path, text, (size_t)n, e);
        OPENSSL_cleanse(text, (size_t)n);
    }
    BIO_free(b);
    return rc;
}

void sign_key_free(struct sign_key *k) { EVP_PKEY_free(pkey(k)); }

struct sign_public sign_key_public(const struct sign_key *k)
{
    struct sign_public p;
    size_t n = sizeof p.b;
    int good = EVP_PKEY_get_raw_public_key(pkey(k), p.b, &n);
    assert(good == 1 && n == sizeof p.b);
    return p;
}

int sign_bytes(struct signature *s, const struct sign_key *k, const void *p, size_t n, struct err *e)
{
    size_t len = sizeof s->b;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && EVP_DigestSignInit(c, NULL, NULL, NULL, pkey(k)) == 1 &&
                EVP_DigestSign(c, s->b, &len, p, n) == 1 && len == sizeof s->b;
    EVP_MD_CTX_free(c);
    return good ? 0 : err_set(e, ERR_NOMEM, "libcrypto cannot sign %zu bytes", n);
}

/* 1: good, 0: not, -1: libcrypto could not tell, for want of memory. */
static int valid(const struct signature *s, const struct sign_public *k, const void *p, size_t n)
{
    ERR_clear_error();
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->b, sizeof k->b);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ready = key && c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1;
    bool good = ready && EVP_DigestVerify(c, s->b, sizeof s->b, p, n) == 1;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    return good ? 1 : ready && ERR_peek_error() == 0 ? 0 : -1;
}

int sign_verify(const struct signature *s, const struct sign_public *k, const void *p, size_t n, struct err *e)
{
    int is = valid(s, k, p, n);
    if (is == 0)   /* libcrypto may run short without a word, but if it still is, says so the second time */
        is = valid(s, k, p, n);
    if (is < 0)
        return err_set(e, ERR_NOMEM, "libcrypto cannot check a signature of %zu bytes: out of memory", n);
    return is ? 0 : err_set(e, ERR_SIGNATURE, "a signature does not fit its %zu bytes", n);
}
