/* The canonical bytes of a state (docs/numerics.md §9): where each tensor lies in them, and their chunks. */
#ifndef DK_TRAIN_STATE_LAYOUT_H
#define DK_TRAIN_STATE_LAYOUT_H

#include "formats/safetensors.h"
#include "train/run.h"

enum { STATE_CHUNK = 1 << 20, STATE_TAIL = 16, STATE_NAME = 112 };

struct state_part {
    char name[STATE_NAME];     /* as in the state file: weight.NAME, moment1.NAME, moment2.NAME */
    int rows, cols;
    uint64_t at, bytes;
};
struct state_layout {
    struct state_part *part;   /* in canonical order, without a gap; behind them STATE_TAIL bytes, step and cursor */
    size_t n;
    uint64_t total, chunks;
};
/* Follows from the configuration alone. */
int state_layout_new(struct state_layout *l, const struct run_config *c, struct err *e) MUST_CHECK;
void state_layout_release(struct state_layout *l);   /* safe on zero */
/* By its name in the file, or a weight by its own; NULL: none. */
const struct state_part *state_layout_find(const struct state_layout *l, const char *name);
/* Length of chunk i. */
size_t state_chunk_bytes(const struct state_layout *l, uint64_t i);

/* "chunk 3 of 48, from weight.A to moment1.B": the tensors that chunk i holds something of. */
void state_chunk_name(char *out, size_t size, const struct state_layout *l, uint64_t i);

/* A number of a state file, which `path` names in errors: its step, its cursor ("sample").  ERR_FORMAT where it is
 * missing or anything but digits. */
int state_meta(int64_t *v, const struct safetensors *f, const char *key, const char *path, struct err *e) MUST_CHECK;

/* Chunk i of a saved state into out[STATE_CHUNK].  step and cursor are the last bytes. */
int state_chunk_read(unsigned char *out, const struct state_layout *l, const struct safetensors *f, int64_t step,
                     int64_t cursor, uint64_t i, const char *path, struct err *e) MUST_CHECK;

#endif
