/* The one parameter table: layout, init, optimizer groups, load, save, export, counting and digests
 * are loops over it. */
#ifndef DK_MODEL_PARAMS_H
#define DK_MODEL_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/real.h"
#include "model/config.h"

/* INIT_CONSTANT: every element is `start`; INIT_UNIFORM: around zero, standard deviation `std`, and in the first
 * column `start` instead where that is not zero. */
enum param_init { INIT_CONSTANT, INIT_ZERO, INIT_UNIFORM };
enum param_group { GROUP_EMBED, GROUP_HEAD, GROUP_MATRIX, GROUP_GAIN };

struct param {
    char name[96];        /* Hugging Face name */
    int layer;            /* −1: outside the layers */
    int rows, cols;       /* gains: rows = 1 */
    int n_dims;           /* 1 or 2 in files */
    enum param_init init;
    double std, start;
    enum param_group group;
    size_t offset;        /* elements from the start of the flat f32 block; multiple of 16 */
    size_t n;             /* rows·cols */
};

/* Tensors in table order; q, k, v and gate, up of a layer lie one after the other without a gap, so that
 * each group is one matrix for the ops. */
struct param_table {
    struct param *p;
    int n;
    size_t total;         /* elements of the flat block, padding included (padding is +0) */
};

int param_table_new(struct param_table *t, const struct model_config *c, struct err *e) MUST_CHECK;
void param_table_release(struct param_table *t);
const struct param *param_find(const struct param_table *t, const char *name); /* NULL: none */

/* Random initial weights from (seed, tensor id, element index) alone. */
void params_init(const struct param_table *t, real *w, uint64_t seed);

/* Offsets of what the network needs, resolved once; PARAM_NONE where a layer has no such tensor. */
#define PARAM_NONE SIZE_MAX
struct layer_params {
    size_t norm1, wqkv, q_norm, k_norm, wo, norm2, wgu, wdown;   /* elements into the flat block */
};
struct net_params {
    size_t embed, norm, head;     /* head == embed when tied */
    struct layer_params layer[MODEL_MAX_LAYERS];
};
void net_params_resolve(struct net_params *np, const struct param_table *t, const struct model_config *c);

#endif
