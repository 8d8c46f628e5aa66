/* The battery's element-wise kernels, straight from the table. */
#include "nn/selftest_parts.h"

static const enum st_input kinds[] = {ST_UNIT, ST_WIDE, ST_TINY, ST_LOGIT, ST_EDGE};
enum { N_KINDS = sizeof kinds / sizeof *kinds };
/* Whole vectors, one lane more, one less, and none. */
static const int lengths[] = {0, 1, 15, 16, 17, 1003};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

void st_math(struct battery *b)
{
    const struct kernels *k = b->x->k;
    enum { N = 2003 };
    for (int i = 0; i < N_KINDS; i++) {
        real *x = st_reals(b, N, kinds[i]), *y = st_reals(b, N, ST_ZERO);
        k->exp(y, x, N);
        st_hash_reals(b, y, N);
        k->sigmoid(y, x, N);
        st_hash_reals(b, y, N);
        real (*const scalar[])(real) = {t1_exp, t1_log, t1_tanh, t1_sigmoid, t1_rsqrt};
        for (size_t f = 0; f < sizeof scalar / sizeof *scalar; f++) {
            for (int j = 0; j < N; j++)
                y[j] = scalar[f](x[j]);
            st_hash_reals(b, y, N);
        }
    }
}

void st_rope(struct battery *b)
{
    enum { POS = 300, D = 64 };
    real *c = st_reals(b, POS * D / 2, ST_ZERO), *s = st_reals(b, POS * D / 2, ST_ZERO);
    static const double theta[] = {1e4, 5e5, 1e6};
    for (int i = 0; i < 3; i++) {
        kernels_rope_fill(c, s, POS, D, theta[i]);
        st_hash_reals(b, c, POS * D / 2);
        st_hash_reals(b, s, POS * D / 2);
    }
    double v[256];
    for (int i = 0; i < 128; i++) {
        v[i] = t1_cos_f64(i * 0.0625 - 4);
        v[i + 128] = t1_pow_f64(0.5 + i * 0.03125, i * 0.25 - 11);
    }
    st_hash_doubles(b, v, 256);
}

static void vectors(struct battery *b, size_t n, enum st_input kind)
{
    const struct kernels *k = b->x->k;
    real *x = st_reals(b, n, kind), *y = st_reals(b, n, kind);
    bf16 *h = st_halves(b, n, ST_ZERO);
    k->bf16_from_f32(h, x, n);
    st_hash_halves(b, h, n);
    k->add(y, x, n);
    st_hash_reals(b, y, n);
    k->scale(y, x[0], n);
    st_hash_reals(b, y, n);
    real flag[] = {k->finite(x, n) ? 1 : 0, k->sum_sq(x, n)};
    st_hash_reals(b, flag, 2);
    k->f32_from_bf16(y, h, n);
    st_hash_reals(b, y, n);
}

void st_vectors(struct battery *b)
{
    for (int i = 1; i < N_LENGTHS; i++)
        for (int j = 0; j < N_KINDS; j++)
            vectors(b, (size_t)lengths[i], kinds[j]);
}

static void norm(struct battery *b, int rows, int n, enum st_input kind)
{
    const struct kernels *k = b->x->k;
    const int ld = n + 5;
    size_t size = (size_t)rows * (size_t)ld, cols = (size_t)n;
    real *x = st_reals(b, size, kind), *gain = st_reals(b, cols, ST_UNIT);
    real *rstd = st_reals(b, (size_t)rows, ST_ZERO);
    bf16 *y = st_halves(b, size, ST_ZERO), *dy = st_halves(b, size, kind);
    real *dx = st_reals(b, size, ST_UNIT), *dgain = st_reals(b, cols, ST_UNIT);
    k->rmsnorm_fwd(y, ld, rstd, x, ld, gain, rows, n, 1e-6f);
    k->rmsnorm_bwd(dx, ld, dgain, dy, ld, x, ld, rstd, gain, rows, n);
    st_hash_reals(b, rstd, (size_t)rows);
    st_hash_halves(b, y, size);
    st_hash_reals(b, dx, size);
    st_hash_reals(b, dgain, cols);
}

void st_norm(struct battery *b)
{
    for (int i = 1; i < N_LENGTHS; i++)
        for (int j = 0; j < N_KINDS; j++)
            norm(b, 3 + i, lengths[i], kinds[j]);
    norm(b, 9, 768, ST_UNIT);
}

/* norm: with a gain; turn: with rotation. */
static void qk(struct battery *b, int d, bool norm_on, bool turn, enum st_input kind)
{
    enum { ROWS = 7, HEADS = 3, POS = 100 };
    const struct kernels *k = b->x->k;
    const int ld = HEADS * d + 3;
    size_t size = (size_t)(ROWS * ld), table = (size_t)(POS * (d / 2));
    bf16 *x = st_halves(b, size, kind), *y = st_halves(b, size, ST_ZERO);
    bf16 *dx = st_halves(b, size, ST_ZERO);
    real *dy = st_reals(b, size, kind), *rstd = st_reals(b, ROWS * HEADS, ST_ZERO);
    real *gain = norm_on ? st_reals(b, (size_t)d, ST_UNIT) : NULL, *dgain = st_reals(b, (size_t)d, ST_UNIT);
    real *c = st_reals(b, table, ST_ZERO), *s = st_reals(b, table, ST_ZERO);
    int *pos = st_ints(b, ROWS, POS);
    kernels_rope_fill(c, s, POS, d, 1e4);
    struct rope_table rope = {turn ? c : NULL, turn ? s : NULL};
    k->qk_fwd(y, ld, rstd, x, ld, gain, rope, pos, ROWS, HEADS, d, 1e-6f);
    k->qk_bwd(dx, ld, dgain, dy, ld, x, ld, rstd, gain, rope, pos, ROWS, HEADS, d);
    st_hash_halves(b, y, size);
    st_hash_reals(b, rstd, ROWS * HEADS);
    st_hash_halves(b, dx, size);
    st_hash_reals(b, dgain, (size_t)d);
}

void st_qk(struct battery *b)
{
    static const int heads[] = {6, 40, 64, 80, 128};
    for (int i = 0; i < 5; i++)
        for (int v = 0; v < 4; v++)
            qk(b, heads[i], v & 1, v & 2, v == 3 ? ST_WIDE : ST_UNIT);
    qk(b, 64, true, true, ST_TINY);
    qk(b, 64, true, true, ST_EDGE);
}

void st_swiglu(struct battery *b)
{
    enum { ROWS = 4 };
    const struct kernels *k = b->x->k;
    for (int i = 1; i < N_LENGTHS; i++)
        for (int j = 0; j < N_KINDS; j++) {
            const int ff = lengths[i];
            size_t one = (size_t)(ROWS * ff), two = 2 * one;
            bf16 *gu = st_halves(b, two, kinds[j]), *dy = st_halves(b, one, ST_UNIT);
            bf16 *y = st_halves(b, one, ST_ZERO), *dgu = st_halves(b, two, ST_ZERO);
            k->swiglu_fwd(y, ff, gu, 2 * ff, ROWS, ff);
            k->swiglu_bwd(dgu, 2 * ff, dy, ff, gu, 2 * ff, ROWS, ff);
            st_hash_halves(b, y, one);
            st_hash_halves(b, dgu, two);
        }
}

void st_embed(struct battery *b)
{
    enum { ROWS = 40, TOKENS = 13, D = 77 };
    const struct kernels *k = b->x->k;
    real *table = st_reals(b, TOKENS * D, ST_UNIT), *dtable = st_reals(b, TOKENS * D, ST_UNIT);
    real *x = st_reals(b, ROWS * D, ST_ZERO), *dx = st_reals(b, ROWS * D, ST_WIDE);
    int *tok = st_ints(b, ROWS, TOKENS);
    k->embed_fwd(x, D, table, tok, ROWS, D);
    k->embed_bwd(dtable, dx, D, tok, ROWS, D, 0, 50);
    k->embed_bwd(dtable, dx, D, tok, ROWS, D, 50, D);
    st_hash_reals(b, x, ROWS * D);
    st_hash_reals(b, dtable, TOKENS * D);
}

void st_loss(struct battery *b)
{
    const struct kernels *k = b->x->k;
    for (int i = 1; i < N_LENGTHS; i++)
        for (int j = 0; j < N_KINDS; j++)
            for (int t = -1; t < 2; t++) {
                const int n = lengths[i], target = t == 1 ? n - 1 : t;
                real *z = st_reals(b, (size_t)n, kinds[j]), loss = 0;
                bf16 *d = st_halves(b, (size_t)n, ST_ZERO);
                k->cross_entropy(d, &loss, z, n, target, 0x1.8p-9f);
                st_hash_halves(b, d, (size_t)n);
                st_hash_reals(b, &loss, 1);
                k->cross_entropy(NULL, &loss, z, n, target, 1);
                st_hash_reals(b, &loss, 1);
                k->softmax(z, z, n);
                st_hash_reals(b, z, (size_t)n);
            }
}

static void optimizers(struct battery *b, size_t n, enum st_input kind)
{
    const struct kernels *k = b->x->k;
    real *w = st_reals(b, n, kind), *m = st_reals(b, n, kind), *v = st_reals(b, n, kind);
    real *g = st_reals(b, n, kind), *u = st_reals(b, n, ST_ZERO);
    for (size_t i = 0; i < n; i++)
        v[i] = v[i] * v[i]; /* second moments are squares */
    const struct adamw_args a = {.lr = 0x1.47p-7f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f,
                                 .bias1 = 0.271f, .bias2 = 0.142625f, .grad_scale = 0.75f};
    k->adamw(w, m, v, g, n, &a);
    st_hash_reals(b, w, n);
    st_hash_reals(b, m, n);
    st_hash_reals(b, v, n);
    k->muon_momentum(u, m, g, n, 0.95f, 0.5f);
    st_hash_reals(b, u, n);
    st_hash_reals(b, m, n);
    k->muon_apply(w, u, n, 0.02f, 0.3f, true);
    st_hash_reals(b, w, n);
    k->muon_apply(w, u, n, 0.02f, 0.3f, false);
    st_hash_reals(b, w, n);
    k->axpby(u, 3.4445f, m, -4.775f, g, n);
    st_hash_reals(b, u, n);
}

void st_optimizers(struct battery *b)
{
    for (int i = 0; i < N_LENGTHS; i++)
        for (int j = 0; j < N_KINDS; j++)
            optimizers(b, (size_t)lengths[i], kinds[j]);
}
