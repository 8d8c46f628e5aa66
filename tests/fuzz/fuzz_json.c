/* Whatever parses must print to text that parses to the same value. */
#include "fuzz/fuzz.h"

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *v, *again;
    struct err e;
    fuzz_verdict = FUZZ_REFUSED;
    if (json_parse(&v, (const char *)data, size, "fuzz", &e)) return 0;
    fuzz_verdict = FUZZ_TAKEN;
    for (int indent = 0; indent <= 2; indent += 2) {
        struct buf b = {0};
        if (json_print(&b, v, indent, &e) || json_parse(&again, b.p, b.len, "again", &e) || !json_equal(v, again))
            abort();
        json_decref(again);
        buf_release(&b);
    }
    json_decref(v);
    return 0;
}
