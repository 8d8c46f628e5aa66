/* Text for the activation tests: sequences that lie one behind the other, none of them empty, valid UTF-8 in all. */
#include "fuzz/fuzz.h"

#include <stdbool.h>

#include "lineage/probe.h"
#include "text/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct probe p;
    struct err e;
    bool maybe = false;
    if (probe_read(&p, fuzz_file("text", data, size), &e))
        return 0;
    if (p.n < 1 || p.start[0] != 0 || p.start[p.n] != p.text.len || p.text.len > PROBE_MAX_BYTES)
        abort();
    for (int i = 0; i < p.n; i++)
        if (p.start[i] >= p.start[i + 1])
            abort();
    if (uc_valid((const unsigned char *)p.text.p, p.text.len, &maybe) != p.text.len)
        abort();
    probe_release(&p);
    return 0;
}
