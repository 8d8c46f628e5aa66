/* What a product of 8-bit integers makes of its operands (NUMERICS §3a): a group's scale, and its elements. */
#ifndef DK_KERNELS_INT8_H
#define DK_KERNELS_INT8_H

#include "kernels/kernels.h"

#ifndef DK_DOUBLE

/* Bits of magnitudes: below the first a group is zero (its inverse scale would be near overflow), from the second on
 * it is not finite. */
enum { I8_LEAST = 0x0d800000 /* 2^-100 */, I8_INFINITE = 0x7f800000 };

/* Depth of panels. */
enum { I8_PAD = 64 };
static inline int i8_padded(int k) { return (k + I8_PAD - 1) / I8_PAD * I8_PAD; }

struct i8_scale {
    float scale, inverse;
};

/* Of a group whose largest magnitude has these bits.  Not finite: NaN, whatever is multiplied. */
static inline struct i8_scale i8_scale(uint32_t most)
{
    float m;
    memcpy(&m, &most, sizeof m);
    if (most >= I8_INFINITE) {
        const uint32_t nan = 0x7fc00000;
        memcpy(&m, &nan, sizeof m);
        return (struct i8_scale){m, 0};
    }
    return most < I8_LEAST ? (struct i8_scale){0, 0} : (struct i8_scale){m / 127, 127 / m};
}

static inline uint32_t i8_magnitude(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u & 0x7fffffff;
}

/* To nearest, ties to even: |x·inverse| is at most 127 and a little, and adding 1.5·2^23 leaves no bits behind the
 * point.  A product at the brim of being tiny (NUMERICS §1) may be 0 or 2^-126 here, and either rounds to 0. */
static inline int i8_round(float x, struct i8_scale s)
{
    const float shift = 0x1.8p23f;
    return s.inverse != 0 ? (int)((x * s.inverse + shift) - shift) : 0;
}

/* Element (row, kk) of a source: f32 as it is, bf16 exactly. */
static inline float i8_source(const struct gemm_src *s, ptrdiff_t row, ptrdiff_t kk)
{
    ptrdiff_t i = s->trans ? kk * s->ld + row : row * s->ld + kk;
    return s->dtype == DT_BF16 ? bf16_expand(((const bf16 *)s->p)[i]) : ((const float *)s->p)[i];
}

/* The group of `n` elements of a row from k0 on: q[i·step] for i < n.  Returns its scale. */
static inline float i8_group(int8_t *q, ptrdiff_t step, const struct gemm_src *s, ptrdiff_t row, int k0, int n)
{
    uint32_t most = 0;
    for (int i = 0; i < n; i++) {
        uint32_t u = i8_magnitude(i8_source(s, row, k0 + i));
        most = u > most ? u : most;
    }
    struct i8_scale sc = i8_scale(most);
    for (int i = 0; i < n; i++)
        q[i * step] = (int8_t)i8_round(i8_source(s, row, k0 + i), sc);
    return sc.scale;
}

/* Packed panels of `wide` rows with `elem` bytes an element and, before every group, `head` bytes. */
struct i8_panels {
    int wide, elem, head;
};

/* Bytes of a panel up to k, where a group begins or the padded panel ends. */
static inline ptrdiff_t i8_panel_at(struct i8_panels s, int k)
{
    return (ptrdiff_t)s.wide * s.elem * k + (ptrdiff_t)((k + I8_GROUP - 1) / I8_GROUP) * s.head;
}

/* A unit of that geometry, still without its functions. */
static inline struct gemm_unit i8_unit(const char *name, struct i8_panels a, struct i8_panels b, int layout)
{
    return (struct gemm_unit){.name = name,
                              .mr = a.wide,
                              .nr = b.wide,
                              .k_pad = I8_PAD,
                              .k_cut = I8_GROUP,
                              .elem = (size_t)a.elem,
                              .a_head = (size_t)a.head,
                              .b_head = (size_t)b.head,
                              .layout_id = layout};
}

/* One group of one panel: where it goes and comes from, and what is there of it. */
struct i8_part {
    char *dst;
    const char *p;
    int rows, n; /* rows may be more than the panel is wide */
};

static inline int i8_parts(struct i8_panels s, int rows, int k)
{
    return (rows + s.wide - 1) / s.wide * ((k + I8_GROUP - 1) / I8_GROUP);
}

/* Number i of them, along the source's lines: down k in a panel, or over the panels where k is strided. */
static inline struct i8_part i8_part(struct i8_panels s, char *dst, const struct gemm_src *src, int rows, int k, int i)
{
    int panels = (rows + s.wide - 1) / s.wide, groups = (k + I8_GROUP - 1) / I8_GROUP;
    int at = src->trans ? i % panels : i / groups, k0 = (src->trans ? i / panels : i % groups) * I8_GROUP;
    ptrdiff_t size = src->dtype == DT_BF16 ? (ptrdiff_t)sizeof(bf16) : (ptrdiff_t)sizeof(float);
    ptrdiff_t down = src->trans ? 1 : src->ld, along = src->trans ? src->ld : 1;
    struct i8_part part = {.dst = dst + at * i8_panel_at(s, i8_padded(k)) + i8_panel_at(s, k0),
                           .p = (const char *)src->p + (at * s.wide * down + k0 * along) * size,
                           .rows = rows - at * s.wide,
                           .n = k - k0 < I8_GROUP ? k - k0 : I8_GROUP};
    if (src->trans && part.rows > s.wide) /* the next panel's, more streams than the hardware follows */
        for (int kk = 0; kk < part.n; kk++)
            __builtin_prefetch(part.p + (kk * src->ld + s.wide) * size);
    return part;
}

#endif
#endif
