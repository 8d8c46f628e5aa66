/* Disclosures: whatever is accepted carries the checkpoint of the run that it names, and shows what it hashes. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "train/disclose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct disclosure d;
    struct err e = {0};
    int rc = disclosure_read(&d, (const char *)data, size, "disclosure", &e);
    if ((rc == 0) == (e.code != 0) || (rc && !e.msg[0]))
        abort();
    fuzz_verdict = rc ? FUZZ_REFUSED : FUZZ_TAKEN;
    if (rc == 0 && d.what == DISCLOSED_DOCUMENT && d.document.shown) {
        struct digest h = sha256_of(d.document.shown, d.document.n);
        if (memcmp(h.b, d.document.text.b, sizeof h.b) != 0)
            abort();
    }
    disclosure_release(&d);
    return 0;
}
