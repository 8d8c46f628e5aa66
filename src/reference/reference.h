/* NUMERICS, computed: what a training step of profile T1 or T2 (docs/numerics.md) is, from the seed to the new weights,
 * in the plainest order, on one thread and on the reference kernels.  It is slow.  dokja-verify replays with it, and
 * tests compare the engine with it bit for bit; so the engine may not use it.
 *
 * Nothing here prints or ends the program; only ref_step can fail.  Memory comes from the `take` of a ref_…_new: n
 * times size bytes, zeroed, aligned for any type, never NULL (it may leave by longjmp).  It is taken there and at no
 * other time, is the caller's, and is freed whole: there is nothing else to release.
 * Shapes are (rows, columns), row-major without gaps; weights are (outputs, inputs). */
#ifndef DK_REFERENCE_REFERENCE_H
#define DK_REFERENCE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

enum { REF_MAX_LAYERS = 256, REF_MAX_WORKERS = 1 << 16, REF_ROWS = 32 }; /* ROWS: of a partial sum, NUMERICS §4 */
enum ref_profile { REF_T1, REF_T2 };
enum ref_schedule { REF_WSD, REF_COSINE };
enum ref_optimizer { REF_NORMUON, REF_MUON, REF_ADAMW };

struct ref_layer {
    int64_t n_head, n_kv, d_head, d_ff;   /* n_kv divides n_head; d_head is even and the same in all layers */
    int64_t window;                       /* keys that a query sees, its own the last; 0: all */
    int64_t qk_norm, rope;                /* 0 or 1 */
};

/* What a run is a function of, beside its text.  The caller checks it: what the comments say is assumed. */
struct ref_run {
    enum ref_profile profile;
    int64_t vocab, d_model, n_layer;      /* d_model a multiple of 16 */
    int64_t tied;                         /* 1: the embedding is the head's weights too */
    double norm_eps, rope_theta;
    struct ref_layer layer[REF_MAX_LAYERS];
    int64_t seq;                          /* tokens of a row, a multiple of REF_ROWS; in T2 of I8_GROUP */
    int64_t seq_start, start_steps;       /* so many first steps have rows of seq_start, which divides seq and is a
                                             multiple of the same */
    int64_t batch_tokens;                 /* of a step: whole rows of seq for each worker */
    int64_t workers;                      /* virtual ones, a power of two, at most REF_MAX_WORKERS */
    int64_t steps;                        /* at least start_steps */
    uint64_t train_tokens;                /* of the text, more than seq */
    uint64_t seed;
    enum ref_schedule schedule;
    double warmup, decay, floor;          /* shares of the steps; the last factor */
    enum ref_optimizer optimizer;
    double lr_matrix, lr_embed, lr_head, lr_gain, momentum, beta1, beta2, eps, beta2_row, decay_matrix, decay_embed;
    double clip;                          /* the largest gradient norm; 0: any */
};

/* ---- product.c ---- */

/* This thread computes in T1's environment from here on (NUMERICS §1).  To be called before anything below. */
void ref_begin(void);
/* c = (zero ? +0 : c) + A·Bᵀ by NUMERICS §3: c (m, n) in rows of ldc, A (m, k), B (n, k). */
void ref_product(float *c, ptrdiff_t ldc, struct gemm_src a, struct gemm_src b, int m, int n, int k, bool zero);
/* The same by §3a. */
void ref_product_i8(float *c, ptrdiff_t ldc, struct gemm_src a, struct gemm_src b, int m, int n, int k, bool zero);
/* Σ v or Σ v² in blocks of 4096 by NUMERICS §4. */
double ref_sum(const float *v, size_t n, bool squares);

/* ---- order.c: randomness, rows, rates; steps count from 0 ---- */

/* Word 0 to 3 of a block of Philox 4x32-10 (Salmon et al. 2011) by NUMERICS §7. */
uint32_t ref_philox(uint64_t key, uint32_t purpose, uint32_t stream, uint64_t index, int word);
/* Where x goes in epoch's permutation of [0, n): eight Feistel rounds over the next even number of bits, again until it
 * comes to lie below n. */
uint64_t ref_permuted(uint64_t key, uint32_t epoch, uint64_t n, uint64_t x);
int64_t ref_seq(const struct ref_run *r, int64_t step);                /* tokens of a row */
/* Row i of a step: the ref_seq tokens of the text from that many times ref_seq on. */
uint64_t ref_row(const struct ref_run *r, int64_t step, int64_t i);
double ref_factor(const struct ref_run *r, int64_t step);              /* of every learning rate */
double ref_momentum(const struct ref_run *r, int64_t step);            /* Muon's */

/* ---- tensors.c: tensors, initial values, the state ---- */

enum ref_group { REF_EMBED, REF_HEAD, REF_MATRIX, REF_GAIN };
struct ref_tensor {
    char name[96];                        /* Hugging Face's */
    int rows, cols;                       /* gains: one row */
    enum ref_group group;
    double std, start;                    /* uniform of that deviation, or 0: constant; start: that, or first column */
    size_t at, n;                         /* in weights, gradients, first moments */
    size_t v_at, v_n;                     /* in second moments: an element's (AdamW), a row's (NorMuon), none (Muon) */
};
struct ref_places { size_t norm1, qkv, q_norm, k_norm, o, norm2, gu, down; }; /* of a layer's weights; 0: none */
struct ref_state {
    const struct ref_run *run;            /* borrowed */
    struct ref_tensor *t, *t_end;         /* in table order; q, k, v and gate, up are one matrix each time */
    struct ref_places *place;             /* (n_layer) */
    size_t norm, head, total, v_total;    /* the embedding is at 0, and a tied head too */
    float *w, *m, *v;                     /* weights and moments: one block, which ref_state_bytes gives */
    uint64_t step, sample;                /* steps done; rows of seq used */
};
/* The tables and totals, without memory for weights. */
void ref_state_plan(struct ref_state *s, const struct ref_run *r, void *(*take)(uint64_t n, size_t size));
/* Of the seed, before the first step. */
void ref_state_new(struct ref_state *s, const struct ref_run *r, void *(*take)(uint64_t n, size_t size));
/* The same again, in the memory it has. */
void ref_state_first(struct ref_state *s);
/* What NUMERICS §9 hashes, *n bytes; good until s changes.  (On a little-endian machine.) */
const uint8_t *ref_state_bytes(const struct ref_state *s, size_t *n);
bool ref_by_muon(const struct ref_run *r, const struct ref_tensor *t);          /* or NorMuon; else AdamW */
double ref_rate(const struct ref_run *r, const struct ref_tensor *t);           /* before the schedule's factor */
double ref_weight_decay(const struct ref_run *r, const struct ref_tensor *t);

/* ---- step.c ---- */

struct ref_trainer;
/* s is borrowed: the trainer steps it. */
struct ref_trainer *ref_trainer_new(struct ref_state *s, void *(*take)(uint64_t n, size_t size));
/* One step on batch_tokens tokens, row after row: ids below vocab; positions, 0 where a document or a row begins, one
 * more from token to token; targets, −1: none.  *loss is the mean over targets, *norm the gradient's before clipping.
 * False where one of them is not finite: s is as before. */
bool ref_step(struct ref_trainer *t, const int *tok, const int *pos, const int *target, double *loss, double *norm);

#endif
