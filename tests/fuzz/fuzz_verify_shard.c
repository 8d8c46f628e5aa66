/* The second verifier's reader of token shards, as far as a step that trains on it. */
#include <sys/stat.h>

#include "fuzz/fuzz_verify.h"

static struct story s;

static void again(void *arg)
{
    struct replayed r = {.segments = 0};
    replay(&r, &s, arg, "0");
    if (r.segments != 1 || r.matched || !*r.what) abort(); /* its loss is not what a ledger with zeros says */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[100];
    static double zeros[2];
    struct ref_state first;
    struct segment one = {.from = 0, .to = 1, .loss = zeros, .grad_norm = zeros + 1};
    fuzz_verify_begin();
    memset(&s, 0, sizeof s);
    story_read(&s, fuzz_ledger_of_genesis());
    ref_state_new(&first, &s.r.train, take);
    one.before = state_root(&first);
    s.segment = &one;
    s.n_segments = 1;
    snprintf(folder, sizeof folder, "%s/tokens", fuzz_dir);
    mkdir(folder, 0700);
    fuzz_file("tokens/train.tokens", data, size);
    attempt(again, fuzz_dir);
    give_back();
    return 0;
}
