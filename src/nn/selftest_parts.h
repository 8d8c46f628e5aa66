/* The parts of the self-test's battery and what they draw from.  Private to nn/selftest*.c. */
#ifndef DK_NN_SELFTEST_PARTS_H
#define DK_NN_SELFTEST_PARTS_H

#include "base/digest.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"
#include "nn/nn.h"

/* One part at a time: its own random stream and an empty arena. */
struct battery {
    const struct nn *x;
    struct sha256 *hash;
    struct rng rng;
    struct arena arena;
};

enum st_input {
    ST_ZERO,
    ST_UNIT, /* [−1, 1) */
    ST_WIDE, /* exponents 2^-60 … 2^60, any sign */
    ST_TINY, /* exponents down to the denormals: products and differences are flushed */
    ST_LOGIT, /* [−110, 110): exp from underflow to overflow */
    ST_EDGE, /* zeros, denormals, limits, infinities, NaN, the thresholds of exp */
    ST_BRIM  /* zeros and factors of products on both brims of [2^-126 − 2^-151, 2^-126): st_brim */
};

/* Factor `side` (0, 1) of pair i (0 … 7) of mantissas whose product is about a power of two, with this exponent. */
real st_brim_side(uint32_t i, uint32_t side, int exponent);
real st_brim(struct battery *b, int exponent); /* any of them, of any sign */
real *st_reals(struct battery *b, size_t n, enum st_input kind);
bf16 *st_halves(struct battery *b, size_t n, enum st_input kind);
int *st_ints(struct battery *b, size_t n, int below);
void st_hash_reals(struct battery *b, const real *v, size_t n);
void st_hash_halves(struct battery *b, const bf16 *v, size_t n);
void st_hash_doubles(struct battery *b, const double *v, size_t n);

/* ---- the same as matrices ---- */

static inline void hash_mat(struct battery *b, struct mat m)
{
    for (int r = 0; r < m.rows; r++) {
        struct mat row = mat_rows(m, r, 1);
        if (m.dtype == DT_F32)
            st_hash_reals(b, mat_f(row), (size_t)m.cols);
        else
            st_hash_halves(b, mat_b(row), (size_t)m.cols);
    }
}

static inline struct mat reals(struct battery *b, int rows, int cols, enum st_input kind)
{
    return mat_f32(st_reals(b, (size_t)rows * (size_t)cols, kind), rows, cols);
}

static inline struct mat halves(struct battery *b, int rows, int cols, enum st_input kind)
{
    return mat_bf16(st_halves(b, (size_t)rows * (size_t)cols, kind), rows, cols);
}

static inline struct gemm_src src_of(struct mat m, bool trans)
{
    return (struct gemm_src){m.p, m.dtype, trans, m.stride};
}

/* selftest_elem.c */
void st_math(struct battery *b);
void st_rope(struct battery *b);
void st_vectors(struct battery *b);
void st_norm(struct battery *b);
void st_qk(struct battery *b);
void st_swiglu(struct battery *b);
void st_embed(struct battery *b);
void st_loss(struct battery *b);
void st_optimizers(struct battery *b);
/* selftest_ops.c */
void st_unit(struct battery *b);
void st_gemv(struct battery *b);
void st_attn_pieces(struct battery *b);
void st_gemm(struct battery *b);
void st_attention(struct battery *b);
void st_ops(struct battery *b);
void st_head(struct battery *b);
/* selftest_tiny.c */
void st_tiny(struct battery *b);
/* selftest_int8.c */
void st_int8_unit(struct battery *b);
void st_int8_brims(struct battery *b);
void st_int8_gemm(struct battery *b);
void st_int8_head(struct battery *b);

#endif
