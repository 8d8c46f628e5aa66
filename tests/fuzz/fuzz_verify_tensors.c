/* The second verifier's reader of safetensors: an input is a file, and also a header before data of the right
 * length. */
#include "fuzz/fuzz_verify.h"

static struct story s;
static struct ref_state state;

static void as_state(void *path) { state_load(&state, path); }
static void as_model(void *path)
{
    float *w = take(state.total, sizeof *w);
    model_load(&state, w, path);
}

static void with_data(const uint8_t *header, size_t size, size_t floats)
{
    uint64_t n = size;
    size_t len = 8 + size + floats * sizeof(float);
    uint8_t *p = calloc(1, len);
    if (!p) abort();
    memcpy(p, &n, 8);
    if (size) memcpy(p + 8, header, size);
    const char *path = fuzz_file("a.safetensors", p, len);
    free(p);
    attempt(as_state, (void *)(uintptr_t)path);
    attempt(as_model, (void *)(uintptr_t)path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_verify_begin();
    memset(&s, 0, sizeof s);
    story_read(&s, fuzz_ledger_of_genesis());
    ref_state_new(&state, &s.r.train, take);
    const char *path = fuzz_file("a.safetensors", data, size);
    attempt(as_state, (void *)(uintptr_t)path);
    attempt(as_model, (void *)(uintptr_t)path);
    with_data(data, size, state.total);
    with_data(data, size, 2 * state.total + state.v_total);
    give_back();
    return 0;
}
