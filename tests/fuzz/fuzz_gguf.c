/* The input is a GGUF file: opened as a container, every small tensor read, and looked at as a model. */
#include "fuzz/fuzz.h"

#include "formats/gguf.h"
#include "lineage/view.h"
#include "lineage/vocab.h"

static void look(const char *path)
{
    struct view v;
    struct vocab t;
    struct err e;
    float out[64];
    if (view_open(&v, path, &e))
        return;
    for (int i = 0; i < v.n_ffn; i++)
        for (int k = 0; k < FFN_ROLES; k++) {
            const struct slice *s = &v.ffn[i].part[k];
            if (s->t && s->units * v.d_model <= 64 && slice_read(out, s, v.d_model, NULL, 0, &e))
                abort();
        }
    if (vocab_open(&t, &v, &e) == 0)
        vocab_release(&t);
    view_close(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g;
    struct err e;
    const char *path = fuzz_file("m.gguf", data, size);
    fuzz_verdict = FUZZ_REFUSED;
    if (gguf_open(&g, path, &e))
        return 0;
    fuzz_verdict = FUZZ_TAKEN;
    for (size_t i = 0; i < gguf_count(g); i++) {
        const struct gguf_tensor *t = gguf_at(g, i);
        static float row[4096];
        if (gguf_find(g, t->name) != t)
            abort();
        for (uint64_t r = 0; t->bytes && t->dim[0] <= 4096 && r < (t->n_dims > 1 ? t->dim[1] : 1); r++)
            gguf_row_f32(t, r, row);
    }
    gguf_close(g);
    look(path);
    return 0;
}
