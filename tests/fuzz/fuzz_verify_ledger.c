/* The second verifier's reader of ledgers, and its checks in a run that has nothing but the ledger.  An input seldom
 * gets past the chain's hashes; so it is read a second time with the chain made good. */
#include "fuzz/fuzz_verify.h"

static void check(void *arg)
{
    static struct audit a;
    memset(&a, 0, sizeof a);
    a.asked = arg;
    const char *verdict = audit_run(&a);
    for (const struct check *c = a.check; c < a.check + a.n; c++)
        if (!*c->detail) abort();
    if (a.check[0].result != PASS && strcmp(verdict, "fail") != 0) abort();
}

/* Each record's prev becomes the hash of the one before. */
static void chain_again(uint8_t *d, size_t size)
{
    struct digest prev = {{0}};
    for (size_t at = 8, n; size - at > 4; at += 4 + n) {
        n = d[at] | (size_t)d[at + 1] << 8 | (size_t)d[at + 2] << 16 | (size_t)d[at + 3] << 24;
        if (n > size - at - 4) return;
        if (n < 1 + PREV || d[at + 4] == NOTE) continue;
        memcpy(d + at + 5, prev.b, PREV);
        prev = sha256_of((struct bytes){d + at + 4, n});
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_verify_begin();
    fuzz_file("ledger.bin", data, size);
    struct asked asked = {.run = fuzz_dir};
    if (!attempt(check, &asked)) abort();
    give_back();
    if (size < 8) return 0;
    uint8_t *good = malloc(size);
    if (!good) abort();
    chain_again(memcpy(good, data, size), size);
    fuzz_file("ledger.bin", good, size);
    free(good);
    if (!attempt(check, &asked)) abort();
    give_back();
    return 0;
}
