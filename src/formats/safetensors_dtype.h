/* The dtypes of safetensors: name in files and bits per element. */
#ifndef DK_FORMATS_SAFETENSORS_DTYPE_H
#define DK_FORMATS_SAFETENSORS_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/safetensors.h"

enum { ST_MAX_HEADER = 100 * 1000 * 1000, ST_MAX_TENSORS = 1000 * 1000 };

struct st_kind {
    const char *name;
    enum st_dtype dtype;
    unsigned bits;
};
const struct st_kind *st_kind_named(const char *name);         /* NULL: not a dtype */
const struct st_kind *st_kind_of(enum st_dtype dtype);         /* NULL for ST_OTHER */
/* Bytes of a tensor; false when a product wraps or sub-byte elements do not fill whole bytes. */
bool st_bytes(uint64_t *bytes, const struct st_kind *k, const uint64_t *dim, int n_dims);

#endif
