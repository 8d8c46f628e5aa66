/* Signed statements and notes, by a key whose signature no input will hold. */
#include "fuzz/fuzz.h"

#include "ledger/dsse.h"
#include "ledger/note.h"

static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                          "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJvlygjAK2Y/C+lfP7k04yKMSWOQ+\n"
                          "EPVNZDCLXYZM56NCeqEEKYcl1fdTsxICot55mB8bs5g59ZD7fz08KDGR1Q==\n"
                          "-----END PUBLIC KEY-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dsse_key *k;
    struct err e;
    struct buf payload = {0};
    struct note_signer s = {"dokja-run/0", {{1}}};
    size_t n;
    if (!k && dsse_public_read(&k, fuzz_file("key.pem", (const uint8_t *)pem, sizeof pem - 1), &e))
        abort();
    if (dsse_verify(&payload, (const char *)data, size, DSSE_IN_TOTO, k, "bundle", &e) == 0)
        abort();
    if (note_verify((const char *)data, size, &s, &n, &e) == 0)
        abort();
    struct checkpoint c;
    if (checkpoint_read(&c, (const char *)data, size, "dokja-run/0", &e) == 0 && size < 12)
        abort();   /* no room for a root */
    buf_release(&payload);
    return 0;
}
