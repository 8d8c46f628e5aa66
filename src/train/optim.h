/* Optimizers over the parameter table: Muon for the matrices inside the layers, AdamW for embedding,
 * head and gains, or AdamW for everything.
 *
 * Muon (Jordan et al. 2024): Nesterov momentum, then the update is the momentum's matrix pulled towards
 * its nearest semi-orthogonal one by five quintic Newton–Schulz steps with the Polar Express coefficients
 * (Amsel et al. 2025, arXiv 2505.16932), scaled by sqrt(max(1, rows/cols)); cautious weight decay
 * (arXiv 2411.16085).  NorMuon (Li et al. 2025, arXiv 2510.05491) then evens out the rows, one per neuron: each
 * is divided by the root of its mean square's moving average, and the whole keeps its Frobenius norm.  The
 * products are T1 products of bf16-rounded operands.  A matrix belongs to one thread, so that its many small
 * products wait for nobody. */
#ifndef DK_TRAIN_OPTIM_H
#define DK_TRAIN_OPTIM_H

#include <stdbool.h>

#include "base/digest.h"
#include "model/params.h"
#include "nn/nn.h"

enum optim_kind { OPTIM_ADAMW, OPTIM_MUON, OPTIM_NORMUON };

struct optim_config {
    enum optim_kind kind;
    double lr_matrix;       /* Muon's and NorMuon's, or AdamW's where kind is OPTIM_ADAMW */
    double lr_embed, lr_head, lr_gain;
    double momentum;        /* Muon, after its ramp */
    double beta1, beta2, eps;
    double beta2_row;       /* NorMuon: of the rows' mean squares */
    double decay_matrix, decay_embed;
    double clip;            /* global gradient norm; 0: off */
};

struct optim {
    struct optim_config config;
    const struct param_table *table;
    real *m, *v;            /* moments: flat like the weights, and compact (v_offset) */
    size_t *v_offset;       /* of each tensor in v */
    size_t m_total, v_total;
    int *muon, n_muon;      /* Muon's tensors, the dearest first */
    struct optim_lane *lane; /* what a thread needs to update a tensor alone */
    int n_lane;
};

/* Bytes of moments and working space. */
size_t optim_bytes(const struct nn *x, const struct param_table *t, const struct optim_config *c);
/* Second moments of tensor i: one an element (AdamW), one a row (NorMuon) or none (Muon). */
size_t optim_v_count(const struct optim_config *c, const struct param *p);
int optim_init(struct optim *o, const struct nn *x, const struct param_table *t, const struct optim_config *c,
               struct err *e) MUST_CHECK;
void optim_release(struct optim *o);

/* Binary64 norm of all gradients; NaN or infinity: *bad names the first tensor that has one. */
double optim_grad_norm(const struct nn *x, const struct param_table *t, const real *g, const char **bad);

/* One update with learning rates times lr_factor and Muon momentum mu. `step` counts from 0 (bias correction).
 * The gradient is scaled down to clip when norm exceeds it.  Allocates nothing. */
void optim_step(const struct nn *x, struct optim *o, real *w, const real *g, int64_t step, double lr_factor,
                double mu, double norm);

/* NorMuon's evening out of u's rows; v (rows): moving averages of their mean squares, updated.  For tests. */
void optim_even_rows(const struct optim *o, real *u, real *v, int rows, int cols);
/* u (rows, cols) ← the matrix Muon subtracts for momentum u, before learning rate and shape factor, by the
 * first thread's means: for tests. */
void optim_orthogonalise(const struct optim *o, real *u, int rows, int cols);

const char *optim_name(enum optim_kind k);
int optim_parse(enum optim_kind *k, const char *name);

#endif
