/* One step of AdamW, Muon or NorMuon. */
#include "reference/reference_int.h"

static void adamw(struct ref_state *s, const struct ref_tensor *t, const float *g, double factor, double scale)
{
    const struct ref_run *r = s->run;
    const double step = (double)(s->step + 1);
    struct adamw_args a = {.lr = real_narrow(ref_rate(r, t) * factor),
                           .beta1 = real_narrow(r->beta1),
                           .beta2 = real_narrow(r->beta2),
                           .eps = real_narrow(r->eps),
                           .weight_decay = real_narrow(ref_weight_decay(r, t)),
                           .bias1 = real_narrow(1 - t1_pow_f64(r->beta1, step)),
                           .bias2 = real_narrow(1 - t1_pow_f64(r->beta2, step)),
                           .grad_scale = real_narrow(scale)};
    T1.adamw(s->w + t->at, s->m + t->at, s->v + t->v_at, g + t->at, t->n, &a);
}

/* Polar Express, five steps (arXiv 2505.16932): X ← a·X + (b·A + c·A·A)·X on the smaller side, A = X·Xᵀ or Xᵀ·X.
 * x, y (rows, cols), A, B (smaller side squared); returns x or y, which holds the result. */
static float *orthogonal(float *x, float *y, float *A, float *B, int rows, int cols)
{
    static const double polar[5][3] = {{8.156554524902461, -22.48329292557795, 15.878769915207462},
                                       {4.042929935166739, -2.808917465908714, 0.5000178451051316},
                                       {3.8916678022926607, -2.772484153217685, 0.5060648178503393},
                                       {3.285753657755655, -2.3681294933425376, 0.46449024233003106},
                                       {2.3465413258596377, -1.7097828382687081, 0.42323551169305323}};
    size_t n = (size_t)rows * (size_t)cols;
    bool tall = rows > cols;
    int side = tall ? cols : rows;
    T1.scale(x, real_narrow(1.0 / (sqrt(ref_sum(x, n, true)) * 1.01 + 1e-6)), n);
    for (int i = 0; i < 5; i++) {
        struct gemm_src X = {x, DT_F32, false, cols}, across = {x, DT_F32, true, cols}, a = {A, DT_F32, false, side};
        struct gemm_src b = {B, DT_F32, false, side};
        ref_product(A, side, tall ? across : X, tall ? across : X, side, side, tall ? rows : cols, true);
        ref_product(B, side, a, a, side, side, side, true);
        T1.axpby(B, (float)polar[i][1], A, (float)polar[i][2], B, (size_t)side * (size_t)side);
        ref_product(y, cols, tall ? X : b, tall ? b : across, rows, cols, side, true);
        T1.axpby(y, (float)polar[i][0], x, 1, y, n);
        float *t = x;
        x = y;
        y = t;
    }
    return x;
}

/* NorMuon: rows of mean square q, v = β·v + (1 − β)·q, are divided by √v; the whole keeps its Frobenius norm. */
static void even_rows(float *u, float *v, const struct ref_tensor *t, double beta)
{
    double before = 0, after = 0;
    size_t cols = (size_t)t->cols;
    for (size_t r = 0; r < t->v_n; r++) {
        double q = (double)T1.sum_sq(u + r * cols, cols) / t->cols;
        v[r] = real_narrow(beta * (double)v[r] + (1 - beta) * q);
        before += q;
        after += v[r] > 0 ? q / (double)v[r] : 0;
    }
    for (size_t r = 0; r < t->v_n && after > 0; r++)
        if (v[r] > 0)
            T1.scale(u + r * cols, real_narrow(sqrt(before / after / (double)v[r])), cols);
}

/* Four matrices as large as the largest; no Gram matrix has more elements. */
size_t update_space(const struct ref_state *s)
{
    size_t most = 0;
    for (const struct ref_tensor *t = s->t; t < s->t_end; t++)
        if (ref_by_muon(s->run, t) && t->n > most)
            most = t->n;
    return 4 * most;
}

static void muon(struct ref_state *s, const struct ref_tensor *t, const float *g, double lr, double scale, float *space)
{
    const struct ref_run *r = s->run;
    double shape = t->rows > t->cols ? sqrt((double)t->rows / (double)t->cols) : 1;
    double mu = ref_momentum(r, (int64_t)s->step);
    T1.muon_momentum(space, s->m + t->at, g + t->at, t->n, real_narrow(mu), real_narrow(scale));
    float *u = orthogonal(space, space + t->n, space + 2 * t->n, space + 3 * t->n, t->rows, t->cols);
    even_rows(u, s->v + t->v_at, t, r->beta2_row); /* Muon has no v */
    T1.muon_apply(s->w + t->at, u, t->n, real_narrow(lr * shape), real_narrow(r->decay_matrix), true);
}

void update(struct ref_state *s, const float *g, double norm, float *space)
{
    const struct ref_run *r = s->run;
    double factor = ref_factor(r, (int64_t)s->step), scale = r->clip > 0 && norm > r->clip ? r->clip / norm : 1;
    for (const struct ref_tensor *t = s->t; t < s->t_end; t++)
        if (ref_by_muon(r, t))
            muon(s, t, g, r->lr_matrix * factor, scale, space);
        else
            adamw(s, t, g, factor, scale);
    s->step++;
    s->sample += (uint64_t)(r->batch_tokens / r->seq);
}
