/* How products of 8-bit integers lay out their operands: groups of I8_GROUP along k, each with its scales before it.
 * What becomes of an element is defined in ref/gemm_i8_ref.c (NUMERICS §3a). */
#ifndef DK_KERNELS_INT8_H
#define DK_KERNELS_INT8_H

#include "kernels/kernels.h"

#ifndef DK_DOUBLE

/* Bits of magnitudes: below the first a group is zero (far above 2^-119, where M ÷ 127 would be flushed, and 2^-121,
 * where 127 ÷ M overflows), from the second on it is not finite. */
enum { I8_LEAST = 0x0d800000 /* 2^-100 */, I8_INFINITE = 0x7f800000 };

/* Depth of panels. */
enum { I8_PAD = 64 };
static inline int i8_padded(int k) { return (k + I8_PAD - 1) / I8_PAD * I8_PAD; }

/* Packed panels of `wide` rows with `elem` bytes an element and, before every group, `head` bytes. */
struct i8_panels {
    int wide, elem, head;
};

/* Bytes of a panel up to k, where a group begins or the padded panel ends: gemm_panel_bytes of i8_unit. */
static inline ptrdiff_t i8_panel_at(struct i8_panels s, int k)
{
    return (ptrdiff_t)s.wide * s.elem * k + (ptrdiff_t)((k + I8_GROUP - 1) / I8_GROUP) * s.head;
}

static inline void i8_no_state(void) {}

/* A unit of that geometry without state of a thread, still without pack_a, pack_b and block. */
static inline struct gemm_unit i8_unit(const char *name, struct i8_panels a, struct i8_panels b)
{
    return (struct gemm_unit){.name = name,
                              .mr = a.wide,
                              .nr = b.wide,
                              .k_pad = I8_PAD,
                              .k_cut = I8_GROUP,
                              .elem = (size_t)a.elem,
                              .a_head = (size_t)a.head,
                              .b_head = (size_t)b.head,
                              .enter = i8_no_state,
                              .leave = i8_no_state};
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
