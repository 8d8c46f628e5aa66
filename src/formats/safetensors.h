/* safetensors, read and written strictly (formats reference: the rules of the format).
 *
 * Reader: header ≤ 100 MB, offsets tile the buffer exactly, products checked, duplicate keys
 * refused, dtypes known.  Tensors are given as ranges of a map; nothing is copied. */
#ifndef DK_FORMATS_SAFETENSORS_H
#define DK_FORMATS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"

enum st_dtype {
    ST_BOOL, ST_U8, ST_I8, ST_I16, ST_U16, ST_F16, ST_BF16, ST_I32, ST_U32, ST_F32, ST_F64, ST_I64, ST_U64,
    ST_OTHER /* known, but without a row here: 4-, 6- and 8-bit floats, complex */
};

enum { ST_MAX_DIMS = 8 };
struct st_tensor {
    const char *name;
    enum st_dtype dtype;
    int n_dims;
    uint64_t dim[ST_MAX_DIMS];
    const unsigned char *data; /* may be unaligned in foreign files */
    uint64_t bytes;
};
struct safetensors;
/* `path`: a .safetensors file, a model.safetensors.index.json, or a folder that holds either. */
int safetensors_open(struct safetensors **s, const char *path, struct err *e) MUST_CHECK;
void safetensors_close(struct safetensors *s); /* safe on NULL */
size_t safetensors_count(const struct safetensors *s);
const struct st_tensor *safetensors_at(const struct safetensors *s, size_t i);
const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name); /* NULL: none */
const char *safetensors_meta(const struct safetensors *s, const char *key);              /* NULL: none */
/* Copies a F32, BF16 or F16 tensor as f32 into dst[n]; n must be its element count. */
int safetensors_get_f32(const struct safetensors *s, const char *name, float *dst, size_t n,
                        struct err *e) MUST_CHECK;

/* F32, BF16 or F16: what has values as f32. */
bool safetensors_is_float(enum st_dtype dtype);
/* Elements [first, first + n) of such a tensor as f32. */
void safetensors_values_f32(const struct st_tensor *t, uint64_t first, size_t n, float *dst);

/* Writer: one file, replaced atomically.  Tensors are written in the given order; the first one's data
 * begin at a 64-byte aligned file offset (space padding in the header), the others follow without gap,
 * as the format demands; meta is n_meta pairs key, value. */
struct st_write {
    const char *name;
    enum st_dtype dtype;
    int n_dims;
    uint64_t dim[ST_MAX_DIMS];
    const void *data;
};
int safetensors_write(const char *path, const struct st_write *t, size_t n, const char *const *meta,
                      size_t n_meta, struct err *e) MUST_CHECK;

#endif
