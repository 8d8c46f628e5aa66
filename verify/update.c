/* One step of AdamW, Muon or NorMuon. */
#include "verify/verify.h"

static void adamw(struct state *s, const struct tensor *t, const float *g, double factor, double scale) {
    const struct run *r = s->r;
    const double step = (double)(s->step + 1);
    struct adamw_args a = {.lr = (float)(plan_rate(r, t->group) * factor), .beta1 = (float)r->beta1,
                           .beta2 = (float)r->beta2, .eps = (float)r->eps, .grad_scale = (float)scale,
                           .weight_decay = (float)plan_decay(r, t->group),
                           .bias1 = (float)(1 - t1_pow_f64(r->beta1, step)),
                           .bias2 = (float)(1 - t1_pow_f64(r->beta2, step))};
    T1.adamw(s->w + t->at, s->m + t->at, s->v + t->v_at, g + t->at, t->n, &a);
}

/* Polar Express, five steps (arXiv 2505.16932): X ← a·X + (b·A + c·A·A)·X on the smaller side, A = X·Xᵀ or Xᵀ·X. */
static float *orthogonal(float *x, float *y, float *A, float *B, int rows, int cols) {
    static const double polar[5][3] = {{8.156554524902461, -22.48329292557795, 15.878769915207462},
                                       {4.042929935166739, -2.808917465908714, 0.5000178451051316},
                                       {3.8916678022926607, -2.772484153217685, 0.5060648178503393},
                                       {3.285753657755655, -2.3681294933425376, 0.46449024233003106},
                                       {2.3465413258596377, -1.7097828382687081, 0.42323551169305323}};
    size_t n = (size_t)rows * (size_t)cols;
    bool tall = rows > cols;
    int side = tall ? cols : rows;
    T1.scale(x, (float)(1.0 / (sqrt(sum_blocks(x, n, true)) * 1.01 + 1e-6)), n);
    for (int i = 0; i < 5; i++) {
        struct gemm_src X = {x, DT_F32, false, cols}, across = {x, DT_F32, true, cols}, a = {A, DT_F32, false, side};
        struct gemm_src b = {B, DT_F32, false, side};
        product(A, side, tall ? across : X, tall ? across : X, side, side, tall ? rows : cols, true);
        product(B, side, a, a, side, side, side, true);
        T1.axpby(B, (float)polar[i][1], A, (float)polar[i][2], B, (size_t)side * (size_t)side);
        product(y, cols, tall ? X : b, tall ? b : across, rows, cols, side, true);
        T1.axpby(y, (float)polar[i][0], x, 1, y, n);
        float *t = x;
        x = y;
        y = t;
    }
    return x;
}

/* NorMuon: rows of mean square q, v = β·v + (1 − β)·q, are divided by √v; the whole keeps its Frobenius norm. */
static void even_rows(float *u, float *v, const struct tensor *t, double beta) {
    double before = 0, after = 0;
    size_t cols = (size_t)t->cols;
    for (size_t r = 0; r < t->v_n; r++) {
        double q = (double)T1.sum_sq(u + r * cols, cols) / t->cols;
        v[r] = (float)(beta * (double)v[r] + (1 - beta) * q);
        before += q;
        after += v[r] > 0 ? q / (double)v[r] : 0;
    }
    for (size_t r = 0; r < t->v_n && after > 0; r++)
        if (v[r] > 0) T1.scale(u + r * cols, (float)sqrt(before / after / (double)v[r]), cols);
}
static void muon(struct state *s, const struct tensor *t, const float *g, double lr, double scale) {
    static float *space;
    static size_t most; /* elements of the largest matrix; no Gram matrix has more */
    for (const struct tensor *x = s->t; x < s->t_end && !space; x++)
        if (x->group == MATRIX && x->n > most) most = x->n;
    if (!space) space = take(4 * most, sizeof *space);
    double shape = t->rows > t->cols ? sqrt((double)t->rows / (double)t->cols) : 1;
    T1.muon_momentum(space, s->m + t->at, g + t->at, t->n, (float)plan_momentum(s->r, (int64_t)s->step), (float)scale);
    float *u = orthogonal(space, space + most, space + 2 * most, space + 3 * most, t->rows, t->cols);
    even_rows(u, s->v + t->v_at, t, s->r->beta2_row); /* Muon has no v */
    T1.muon_apply(s->w + t->at, u, t->n, (float)(lr * shape), (float)s->r->decay_matrix, true);
}
void update(struct state *s, const float *g, double norm) {
    const struct run *r = s->r;
    double factor = plan_factor(r, (int64_t)s->step), scale = r->clip > 0 && norm > r->clip ? r->clip / norm : 1;
    for (const struct tensor *t = s->t; t < s->t_end; t++)
        if (by_muon(r, t)) muon(s, t, g, r->lr_matrix * factor, scale);
        else adamw(s, t, g, factor, scale);
    s->step++;
    s->sample += (uint64_t)(r->batch_tokens / r->seq);
}
