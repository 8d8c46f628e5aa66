/* Every op of nn against central differences in binary64, and a guard that none is forgotten. */
#include "grad/grad_check.h"

#include <ctype.h>
#include <glob.h>

#include "nn/gemm.h"
#include "nn/ops.h"

#define TOL 1e-6

static struct nn x;

static struct mat f32(real *p, int rows, int cols) { return mat_f32(p, rows, cols); }
static struct mat b16(real *p, int rows, int cols) { return mat_bf16((bf16 *)p, rows, cols); }

/* ---- RMSNorm ---- */

enum { NR = 70, NC = 48 }; /* blocks of 32, 32 and 6 rows */

struct norm {
    real *in, *gain, *y, *rstd, *c;
};

static double norm_loss(void *p)
{
    struct norm *t = p;
    op_rmsnorm_fwd(&x, b16(t->y, NR, NC), t->rstd, f32(t->in, NR, NC), t->gain, 1e-2);
    return grad_dot(t->y, t->c, NR * NC);
}

static void test_rmsnorm(void **state)
{
    (void)state;
    struct norm t = {grad_random(NR * NC, 1), grad_random(NC, 2), grad_zeros(NR * NC), grad_zeros(NR),
                     grad_random(NR * NC, 3)};
    real *dx = grad_random(NR * NC, 4), *dgain = grad_random(NC, 5);
    real *dx0 = grad_copy(dx, NR * NC), *dgain0 = grad_copy(dgain, NC);
    norm_loss(&t);
    op_rmsnorm_bwd(&x, f32(dx, NR, NC), dgain, b16(t.c, NR, NC), f32(t.in, NR, NC), t.rstd, t.gain);
    grad_subtract(dx, dx0, NR * NC);
    grad_subtract(dgain, dgain0, NC);
    grad_check("rmsnorm x", norm_loss, &t, t.in, dx, NR * NC, 200, TOL);
    grad_check("rmsnorm gain", norm_loss, &t, t.gain, dgain, NC, NC, TOL);
    free(t.in), free(t.gain), free(t.y), free(t.rstd), free(t.c);
    free(dx), free(dgain), free(dx0), free(dgain0);
}

/* ---- per-head norm and rotary ---- */

enum { QH = 3, QD = 16, QC = QH * QD };

struct qk {
    real *in, *gain, *y, *rstd, *c;
    int pos[NR];
    struct qk_shape s;
};

static double qk_loss(void *p)
{
    struct qk *t = p;
    op_qk_fwd(&x, b16(t->y, NR, QC), t->rstd, b16(t->in, NR, QC), t->gain, t->pos, t->s);
    return grad_dot(t->y, t->c, NR * QC);
}

static void qk_case(const char *name, bool norm, bool rope)
{
    static real cosine[NR * QD / 2], sine[NR * QD / 2];
    kernels_rope_fill(cosine, sine, NR, QD, 1e4);
    struct qk t = {.in = grad_random(NR * QC, 11), .gain = norm ? grad_random(QD, 12) : NULL,
                   .y = grad_zeros(NR * QC), .rstd = grad_zeros(NR * QH), .c = grad_random(NR * QC, 13),
                   .s = {.n_head = QH, .d_head = QD, .eps = 1e-2}};
    if (rope)
        t.s.rope = (struct rope_table){cosine, sine};
    for (int i = 0; i < NR; i++)
        t.pos[i] = (i * 7) % NR;
    real *dx = grad_random(NR * QC, 14), *dgain = grad_random(QD, 15), *dgain0 = grad_copy(dgain, QD);
    qk_loss(&t);
    op_qk_bwd(&x, b16(dx, NR, QC), norm ? dgain : NULL, f32(t.c, NR, QC), b16(t.in, NR, QC), t.rstd, t.gain,
              t.pos, t.s);
    grad_subtract(dgain, dgain0, QD);
    grad_check(name, qk_loss, &t, t.in, dx, NR * QC, 150, TOL);
    if (norm)
        grad_check("qk gain", qk_loss, &t, t.gain, dgain, QD, QD, TOL);
    free(t.in), free(t.gain), free(t.y), free(t.rstd), free(t.c), free(dx), free(dgain), free(dgain0);
}

static void test_qk(void **state)
{
    (void)state;
    qk_case("qk x, norm and rotary", true, true);
    qk_case("qk x, norm", true, false);
    qk_case("qk x, rotary", false, true);
    qk_case("qk x, neither", false, false);
}

/* ---- SwiGLU ---- */

enum { FF = 40 };

struct swiglu {
    real *gu, *y, *c;
};

static double swiglu_loss(void *p)
{
    struct swiglu *t = p;
    op_swiglu_fwd(&x, b16(t->y, NR, FF), b16(t->gu, NR, 2 * FF));
    return grad_dot(t->y, t->c, NR * FF);
}

static void test_swiglu(void **state)
{
    (void)state;
    struct swiglu t = {grad_random(NR * 2 * FF, 21), grad_zeros(NR * FF), grad_random(NR * FF, 22)};
    real *dgu = grad_random(NR * 2 * FF, 23);
    for (int i = 0; i < NR * 2 * FF; i++)
        t.gu[i] *= 4;
    op_swiglu_bwd(&x, b16(dgu, NR, 2 * FF), b16(t.c, NR, FF), b16(t.gu, NR, 2 * FF));
    grad_check("swiglu gate and up", swiglu_loss, &t, t.gu, dgu, NR * 2 * FF, 400, TOL);
    free(t.gu), free(t.y), free(t.c), free(dgu);
}

/* ---- embedding ---- */

enum { EV = 9, ED = 40 };

struct embed {
    real *table, *out, *c;
    int tok[NR];
};

static double embed_loss(void *p)
{
    struct embed *t = p;
    op_embed_fwd(&x, f32(t->out, NR, ED), t->table, t->tok);
    return grad_dot(t->out, t->c, NR * ED);
}

static void test_embed(void **state)
{
    (void)state;
    struct embed t = {.table = grad_random(EV * ED, 31), .out = grad_zeros(NR * ED), .c = grad_random(NR * ED, 32)};
    real *d = grad_random(EV * ED, 33), *d0 = grad_copy(d, EV * ED);
    for (int i = 0; i < NR; i++)
        t.tok[i] = (i * i) % EV;
    op_embed_bwd(&x, d, f32(t.c, NR, ED), t.tok);
    grad_subtract(d, d0, EV * ED);
    grad_check("embedding table", embed_loss, &t, t.table, d, EV * ED, 360, TOL);
    free(t.table), free(t.out), free(t.c), free(d), free(d0);
}

/* ---- head and cross-entropy ---- */

struct head {
    int rows, vocab, d;
    real *h, *w, *loss;
    int *target;
    void *space;
    real scale;
};

static double head_loss(void *p)
{
    struct head *t = p;
    double s = 0;
    op_head_loss(&x, t->loss, (struct mat){0}, NULL, NULL, b16(t->h, t->rows, t->d), f32(t->w, t->vocab, t->d),
                 t->target, t->scale, false, t->space);
    for (int i = 0; i < t->rows; i++)
        s += t->loss[i];
    return s * t->scale;
}

static void head_case(int rows, int vocab, int d, size_t samples)
{
    size_t nh = (size_t)rows * (size_t)d, nw = (size_t)vocab * (size_t)d;
    struct head t = {.rows = rows, .vocab = vocab, .d = d, .h = grad_random(nh, 41), .w = grad_random(nw, 42),
                     .loss = grad_zeros((size_t)rows), .target = malloc((size_t)rows * sizeof(int)),
                     .space = malloc(op_head_space(vocab, rows, true)), .scale = 0.7};
    real *dh = grad_random(nh, 43), *dw = grad_random(nw, 44), *dw0 = grad_copy(dw, nw);
    for (int i = 0; i < rows; i++)
        t.target[i] = i % 5 == 3 ? -1 : (i * 3) % vocab;
    op_head_loss(&x, t.loss, b16(dh, rows, d), dw, NULL, b16(t.h, rows, d), f32(t.w, vocab, d), t.target, t.scale,
                 false, t.space);
    for (int i = 0; i < rows; i++)
        if (t.target[i] < 0)
            assert_true(t.loss[i] == 0);
    grad_subtract(dw, dw0, nw);
    grad_check("head h", head_loss, &t, t.h, dh, nh, samples, TOL);
    grad_check("head w", head_loss, &t, t.w, dw, nw, samples, TOL);
    free(t.h), free(t.w), free(t.loss), free(t.target), free(t.space), free(dh), free(dw), free(dw0);
}

static void test_head(void **state)
{
    (void)state;
    head_case(NR, 50, 24, 200);
    head_case(1100, 7, 5, 60); /* more than one chunk of rows */
}

/* ---- the three products of a linear layer ---- */

enum { GM = 70, GN = 37, GK = 45 };

struct linear {
    real *a, *w, *y, *c;
};

static double linear_loss(void *p)
{
    struct linear *t = p;
    gemm(&x, &(struct gemm_args){.c = f32(t->y, GM, GN), .a = f32(t->a, GM, GK), .b = f32(t->w, GN, GK),
                                 .b_trans = true});
    return grad_dot(t->y, t->c, GM * GN);
}

static void test_linear(void **state)
{
    (void)state;
    struct linear t = {grad_random(GM * GK, 51), grad_random(GN * GK, 52), grad_zeros(GM * GN),
                       grad_random(GM * GN, 53)};
    real *dx = grad_random(GM * GK, 54), *dw = grad_random(GN * GK, 55), *dw0 = grad_copy(dw, GN * GK);
    struct mat dy = f32(t.c, GM, GN), dwm = f32(dw, GN, GK);
    gemm(&x, &(struct gemm_args){.c = f32(dx, GM, GK), .a = dy, .b = f32(t.w, GN, GK)});
    gemm(&x, &(struct gemm_args){.c = dwm, .init = dwm, .a = dy, .a_trans = true, .b = f32(t.a, GM, GK)});
    grad_subtract(dw, dw0, GN * GK);
    grad_check("linear x", linear_loss, &t, t.a, dx, GM * GK, 200, TOL);
    grad_check("linear w", linear_loss, &t, t.w, dw, GN * GK, 200, TOL);
    free(t.a), free(t.w), free(t.y), free(t.c), free(dx), free(dw), free(dw0);
}

/* ---- the guard: every op of these headers is called by a gradient test or says why not ---- */

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: cannot open (run from the root of the tree)", path);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    rewind(f);
    char *s = malloc((size_t)n + 1);
    assert_non_null(s);
    assert_int_equal(fread(s, 1, (size_t)n, f), n);
    s[n] = 0;
    fclose(f);
    return s;
}

/* The text of all gradient tests. */
static char *all_tests(void)
{
    glob_t g;
    assert_int_equal(glob("tests/grad/test_*.c", 0, NULL, &g), 0);
    char *all = calloc(1, 1);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        char *one = slurp(g.gl_pathv[i]);
        all = realloc(all, strlen(all) + strlen(one) + 1);
        assert_non_null(all);
        strcat(all, one);
        free(one);
    }
    globfree(&g);
    return all;
}

static bool calls(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += n)
        if (at[n] == '(' && at > text && !isalnum((unsigned char)at[-1]) && at[-1] != '_')
            return true;
    return false;
}

/* An op is a function that returns nothing and takes the ops' context. */
static bool op_line(const char *line, char name[64])
{
    return sscanf(line, "void %63[a-z0-9_](const struct nn", name) == 1 && strstr(line, "(const struct nn");
}

/* The comment or comments directly above (a declaration shares them with those just before it). */
static bool excused(const char *text, const char *decl)
{
    const char *end = decl, *begin = NULL;
    for (const char *at = text; (at = strstr(at, "/*")) && at < decl; at++)
        begin = at;
    if (!begin)
        return false;
    for (const char *at = begin; at < end; at++)
        if (strncmp(at, "No gradient", 11) == 0 || strncmp(at, "Inference only", 14) == 0)
            return true;
    return false;
}

static void test_guard(void **state)
{
    (void)state;
    static const char *const headers[] = {"src/nn/ops.h", "src/nn/attention.h", "src/nn/gemm.h"};
    char *tests = all_tests();
    int seen = 0;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        char *text = slurp(headers[i]), name[64];
        for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
            if (!op_line(line, name))
                continue;
            seen++;
            if (!calls(tests, name) && !excused(text, line))
                fail_msg("%s: %s has no gradient test and its comment says neither \"No gradient\" nor "
                         "\"Inference only\"", headers[i], name);
        }
        free(text);
    }
    free(tests);
    assert_true(seen >= 15);
}

static int setup(void **state)
{
    (void)state;
    struct err e;
    return nn_init(&x, kernels_get(ISA_REF), 2, &e);
}

static int teardown(void **state)
{
    (void)state;
    nn_release(&x);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmsnorm), cmocka_unit_test(test_qk),     cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_embed),   cmocka_unit_test(test_head),   cmocka_unit_test(test_linear),
        cmocka_unit_test(test_guard),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
