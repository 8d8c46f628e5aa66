/* First byte 'i': the rest is an index beside two small files; else the rest is a file.
 * Every tensor's range is read. */
#include "fuzz/fuzz.h"

#include "formats/safetensors.h"

static void write_parts(void)
{
    static const unsigned char x[4] = {1, 2, 3, 4};
    static const struct st_write a[] = {{"a", ST_U8, 1, {4}, x}}, b[] = {{"b", ST_F32, 1, {1}, x}};
    char path[200];
    snprintf(path, sizeof path, "%s/1", fuzz_dir);
    if (safetensors_write(path, a, 1, NULL, 0, NULL)) abort();
    snprintf(path, sizeof path, "%s/2", fuzz_dir);
    if (safetensors_write(path, b, 1, NULL, 0, NULL)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *s;
    struct err e;
    static int parts;
    if (!size) return 0;
    const char *path = fuzz_file(*data == 'i' ? "m.index.json" : "m.safetensors", data + 1, size - 1);
    if (!parts++) write_parts();
    if (safetensors_open(&s, path, &e)) return 0;
    volatile unsigned sum = 0;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct st_tensor *t = safetensors_at(s, i);
        if (safetensors_find(s, t->name) != t) abort();
        for (uint64_t k = 0; k < t->bytes; k++) sum += t->data[k];
        float f[16];
        if (t->bytes <= 32 && safetensors_get_f32(s, t->name, f, t->bytes / 2, &e)) sum++;
    }
    safetensors_close(s);
    return 0;
}
