#include "fuzz/fuzz.h"

#include "formats/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shard *s;
    struct err e;
    fuzz_verdict = FUZZ_REFUSED;
    if (shard_open(&s, fuzz_file("s.bin", data, size), &e)) return 0;
    const struct shard_info *in = shard_info(s);
    int ok = !shard_verify(s, &e), tok;
    if (ok) fuzz_verdict = FUZZ_TAKEN;
    for (uint64_t i = 0; i < in->n_tokens; i++) {
        shard_read(s, i, 1, &tok);
        uint64_t d = shard_doc_of(s, i);
        if (shard_doc_start(s, d) > i || shard_doc_start(s, d + 1) <= i) abort();
        if (ok && (tok < 0 || (uint32_t)tok >= in->vocab)) abort();
    }
    shard_close(s);
    return 0;
}
