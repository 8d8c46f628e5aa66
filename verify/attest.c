/* The verdict as an in-toto Simple Verification Result, in a DSSE envelope, in a Sigstore bundle. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <time.h>

#include "verify/verify.h"

#define TYPE "application/vnd.in-toto+json"
#define BUNDLE "application/vnd.dev.sigstore.bundle"

static EVP_PKEY *key_read(const char *path)
{
    FILE *f = fopen(path, "r");
    EVP_PKEY *k = f ? PEM_read_PrivateKey(f, NULL, NULL, (void *)(uintptr_t)"") : NULL;
    char curve[40] = "";
    size_t n;
    if (f) fclose(f);
    if (!k || EVP_PKEY_get_group_name(k, curve, sizeof curve, &n) != 1 || strcmp(curve, "prime256v1") != 0)
        refuse("%s: expected a P-256 private key in PEM without a passphrase", path);
    return k;
}

/* How a bundle names a key: SHA-256 of the PEM text of its public half. */
static struct digest hint_of(EVP_PKEY *k)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *text = NULL;
    long n = b && PEM_write_bio_PUBKEY(b, k) ? BIO_get_mem_data(b, &text) : 0;
    struct digest d = sha256_of((struct bytes){(const uint8_t *)text, (size_t)n});
    BIO_free(b);
    return d;
}
void attest_check(const struct asked *o)
{
    bool old = file_there(o->out);
    struct bytes was = old ? map_file(o->out) : (struct bytes){NULL, 0};
    if (was.n && !memmem(was.p, was.n < 2048 ? was.n : 2048, BUNDLE, sizeof BUNDLE - 1))
        refuse("%s: exists and is no attestation: it would be lost, give another name", o->out);
    EVP_PKEY_free(key_read(o->attest));
    FILE *f = fopen(o->out, "a");
    if (!f || fclose(f) != 0) refuse("%s: cannot be written", o->out);
    if (!old) remove(o->out);
}
void attest(const struct asked *o, struct bytes ledger, const char *properties)
{
    static char payload[4096], pae[4200], b64[6000], bundle[8192];
    unsigned char sig[256], sig64[400];
    char created[32], hex[65];
    size_t sig_n = sizeof sig;
    time_t now = time(NULL);
    if (!ledger.p) refuse("%s/ledger.bin: was not read, so nothing is attested", o->run);
    struct digest d = sha256_of(ledger);
    EVP_PKEY *k = key_read(o->attest);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    hex_of(hex, &d);
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    int n = snprintf(payload, sizeof payload, "{\"_type\":\"https://in-toto.io/Statement/v1\","
                     "\"subject\":[{\"name\":\"ledger.bin\",\"digest\":{\"sha256\":\"%s\"}}],"
                     "\"predicateType\":\"https://in-toto.io/attestation/svr/v0.2\","
                     "\"predicate\":{\"verifier\":{\"id\":\"urn:dokja:dokja-verify\",\"policies\":[]},"
                     "\"timeCreated\":\"%s\",\"properties\":[%s]}}", hex, created, properties);
    int m = snprintf(pae, sizeof pae, "DSSEv1 %zu %s %d %s", sizeof TYPE - 1, TYPE, n, payload);
    bool good = n < (int)sizeof payload && c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, k) == 1 &&
                EVP_DigestSign(c, sig, &sig_n, (const unsigned char *)pae, (size_t)m) == 1;
    d = hint_of(k);
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(k);
    if (!good) refuse("libcrypto cannot sign the verdict");
    hex_of(hex, &d);
    EVP_EncodeBlock((unsigned char *)b64, (const unsigned char *)payload, n);
    EVP_EncodeBlock(sig64, sig, (int)sig_n);
    snprintf(bundle, sizeof bundle, "{\"mediaType\":\"" BUNDLE ".v0.3+json\","
             "\"verificationMaterial\":{\"publicKey\":{\"hint\":\"%s\"},\"tlogEntries\":[]},"
             "\"dsseEnvelope\":{\"payload\":\"%s\",\"payloadType\":\"%s\","
             "\"signatures\":[{\"sig\":\"%s\",\"keyid\":\"\"}]}}\n", hex, b64, TYPE, sig64);
    FILE *f = fopen(o->out, "w");
    if (!f || fputs(bundle, f) < 0 || fclose(f) != 0) refuse("%s: cannot be written", o->out);
}
