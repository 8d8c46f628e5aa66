/* The tensors of a model as its file gives them, safetensors or GGUF, read row by row as f32.
 *
 * Nothing is copied at opening; the files are mapped, and weights_drop gives the pages of a tensor back, so that
 * the audit of a large model keeps little in memory. */
#ifndef DK_LINEAGE_WEIGHTS_H
#define DK_LINEAGE_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

enum { WEIGHTS_MAX_DIMS = 4 };

struct weight {
    const char *name;
    int n_dims;
    uint64_t dim[WEIGHTS_MAX_DIMS];   /* slowest first; the last one is contiguous */
    uint64_t rows, cols;              /* all but the last dimension, and the last; cols = 0: empty */
    const unsigned char *data;
    uint64_t bytes;
    const struct st_tensor *st;       /* one of the two is set */
    const struct gguf_tensor *gguf;
    const float *minus;               /* rows × cols taken away from what is read, or NULL */
};
struct weights {
    struct weight *t;
    size_t n;
    struct safetensors *st;
    struct gguf *gguf;
    size_t n_skipped;                 /* tensors that are not floating point or have more than 4 dimensions */
};

/* `path`: a file or folder as safetensors_open or gguf_open take them; a folder without safetensors files may hold
 * one .gguf file. */
int weights_open(struct weights *w, const char *path, struct err *e) MUST_CHECK;
void weights_close(struct weights *w); /* safe on zero */
const struct weight *weights_find(const struct weights *w, const char *name); /* NULL: none */

/* Row r, cols values. */
void weight_row(const struct weight *t, uint64_t r, float *dst);
/* SHA-256 over the values as f32, so that F32 and BF16 copies of one tensor are equal; false for a tensor that
 * tells nothing: fewer than 256 values or fewer than 64 different ones among its first 4096. */
int weight_digest(struct digest *d, bool *telling, const struct weight *t, struct err *e) MUST_CHECK;
void weight_drop(const struct weight *t);

#endif
