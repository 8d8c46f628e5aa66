/* GGUF version 2 and 3, read strictly (formats reference: layout, limits, types).
 *
 * Bounded before it loops or allocates: counts against the file's size, strings and arrays against what is left,
 * alignment at most 1 MiB, names below 64 bytes, no duplicate keys or tensors, tensors in order without hole or
 * overlap, all inside the file.  Little-endian only.  Tensors are ranges of a map; nothing is copied. */
#ifndef DK_FORMATS_GGUF_H
#define DK_FORMATS_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum gguf_type {
    GGUF_F32 = 0, GGUF_F16 = 1, GGUF_Q4_0 = 2, GGUF_Q8_0 = 8, GGUF_Q4_K = 12, GGUF_Q6_K = 14, GGUF_BF16 = 30
};
enum { GGUF_MAX_DIMS = 4 };

struct gguf_tensor {
    const char *name;
    int n_dims;
    uint64_t dim[GGUF_MAX_DIMS]; /* as in the file: dim[0] is contiguous */
    enum gguf_type type;
    const unsigned char *data;
    uint64_t bytes;
};
struct gguf;
/* Refused by name: a type that cannot be turned into f32 here, big-endian files, split files. */
int gguf_open(struct gguf **g, const char *path, struct err *e) MUST_CHECK;
void gguf_close(struct gguf *g); /* safe on NULL */
size_t gguf_count(const struct gguf *g);
const struct gguf_tensor *gguf_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_find(const struct gguf *g, const char *name); /* NULL: none */

/* Metadata. false: no such key, or of another type. */
bool gguf_get_str(const struct gguf *g, const char *key, const char **s, size_t *n);
bool gguf_get_uint(const struct gguf *g, const char *key, uint64_t *v); /* any integer type, not negative */
/* An array of strings: `left` is its length, and then each in order. */
struct gguf_strings {
    const unsigned char *at;
    uint64_t left;
};
bool gguf_get_strings(const struct gguf *g, const char *key, struct gguf_strings *s);
bool gguf_next_string(struct gguf_strings *s, const char **p, size_t *n);

/* Row r (dim[0] values) as f32; r counts over the other dimensions, the second fastest. */
void gguf_row_f32(const struct gguf_tensor *t, uint64_t r, float *dst);

#endif
