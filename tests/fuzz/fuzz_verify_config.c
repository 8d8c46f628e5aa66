/* The second verifier's reader of JSON: an input is run.json, config.json and a corpus' manifest.json with NULs
 * between, beside a good ledger of GENESIS alone. */
#include "fuzz/fuzz_verify.h"

static void check(void *arg)
{
    struct audit *a = arg;
    audit_run(a);
    if (a->check[0].result != PASS) abort(); /* the ledger is good */
}

static void numbers(void *arg)
{
    const char *text = text_of(*(const struct bytes *)arg, "a text");
    for (const char *key = text; (key = strchr(key, '"')); key++) {
        char name[40];
        if (sscanf(key, "\"%39[a-z_]\"", name) == 1 && !(json_number(text, "a text", name) >= 0)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const name[] = {"run.json", "config.json", "manifest.json"};
    static struct audit a;
    fuzz_verify_begin();
    fuzz_ledger_of_genesis();
    for (size_t i = 0, at = 0; i < 3; i++) {
        const uint8_t *stop = at < size ? memchr(data + at, 0, size - at) : NULL;
        size_t n = i < 2 && stop ? (size_t)(stop - data) - at : size - at;
        fuzz_file(name[i], data + at, n);
        at += n + (at + n < size);
    }
    memset(&a, 0, sizeof a);
    a.asked = &(struct asked){.run = fuzz_dir, .corpus = fuzz_dir};
    if (!attempt(check, &a) && !a.given) abort(); /* only a manifest that is none ends without a verdict */
    attempt(numbers, &(struct bytes){data, size});
    give_back();
    return 0;
}
