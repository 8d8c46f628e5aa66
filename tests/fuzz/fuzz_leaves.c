/* ledger.leaves of any content: what is believed gives the root that was asked for, and a segment written over it comes
 * back. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "train/leaves.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MOST = 5 };
    struct digest leaf[MOST], got[MOST];
    struct err e;
    const char *path = fuzz_file("ledger.leaves", data, size);
    uint64_t n = size ? 1 + data[size - 1] % MOST : 1, segment = size > 1 ? data[size - 2] % 8 : 0;
    for (uint64_t i = 0; i < n; i++)
        leaf[i] = sha256_of(&i, sizeof i);
    struct digest root = leaves_root(leaf, n);
    if (leaves_get(got, n, path, segment, &root) && memcmp(got, leaf, n * sizeof *got) != 0)
        abort();
    leaves_get(got, n, path, UINT64_MAX - segment, &root);
    if (leaves_put(path, segment, leaf, n, &e) || !leaves_get(got, n, path, segment, &root) ||
        memcmp(got, leaf, n * sizeof *got) != 0)
        abort();
    return 0;
}
