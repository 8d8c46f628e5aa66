/* What both tests of matrix products are run on: the instruction sets of this machine and those on emulated
 * instructions, and operands of every kind, whose memory ends at a page that nobody may touch. */
#ifndef DK_TESTS_PRODUCTS_H
#define DK_TESTS_PRODUCTS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/cpu.h"
#include "kernels/fill.h"
#include "nn/gemm.h"
#include "reference/reference.h"

void gemm_fill_amx_emulated(struct kernels *k); /* the sources linked a second time, on emulated instructions */
void gemm_i8_fill_amx_emulated(struct kernels *k);
void gemm_fill_avx512bf16_emulated(struct kernels *k);
void gemm_i8_fill_avx512vnni_emulated(struct kernels *k);

static struct {
    const char *name;
    struct kernels k;
} set[ISA_AMX + 3];
static int n_set;
static const struct kernels *ref;

static void add_set(const char *name, const struct kernels *k)
{
    set[n_set].name = name;
    set[n_set++].k = *k;
}

static int list_sets(void **state)
{
    (void)state;
    for (int i = ISA_REF; i <= ISA_AMX; i++)
        if (kernels_get((enum isa)i))
            add_set(isa_name((enum isa)i), kernels_get((enum isa)i));
    ref = kernels_get(ISA_REF);
#ifdef DK_X86
    if (kernels_get(ISA_AVX512)) {
        add_set("amx-emulated", kernels_get(ISA_AVX512));
        gemm_fill_amx_emulated(&set[n_set - 1].k);
        gemm_i8_fill_amx_emulated(&set[n_set - 1].k);
        assert_string_equal(set[n_set - 1].k.gemm.name, "amx-bf16");
        assert_string_equal(set[n_set - 1].k.gemm_i8.name, "amx-int8");
        add_set("avx512bf16-emulated", kernels_get(ISA_AVX512));
        gemm_fill_avx512bf16_emulated(&set[n_set - 1].k);
        gemm_i8_fill_avx512vnni_emulated(&set[n_set - 1].k);
        assert_string_equal(set[n_set - 1].k.gemm.name, "dot-bf16");
        assert_string_equal(set[n_set - 1].k.gemm_i8.name, "dot-int8");
    } else {
        print_message("no AVX-512 here: AMX, VDPBF16PS and VPDPBUSD kernels on emulated instructions not run\n");
    }
#endif
    ref_begin();
    return 0;
}

/* ---- inputs ---- */

static uint64_t seed = 1;
static uint32_t draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}
static int below(int n) { return (int)(draw() % (uint32_t)n); }

enum kind { PLAIN, WIDE, TINY, ZEROS, INFINITE, SPECIAL, N_KIND };

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static float value(enum kind kind)
{
    uint32_t h = draw();
    static const uint32_t special[] = {0,          0x80000000, 1,          0x807fffff, 0x00800000, 0x007fffff,
                                       0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001, 0x7f7fffff, 0x7f7f8000,
                                       0x7f800000, 0xff800000, 0x7f800001, 0xffc12345, 0x7f8fffff, 0x00008000};
    switch (kind) {
    case WIDE: /* any finite exponent */
        return from_bits((h & 0x807fffff) | (h >> 8) % 255 << 23);
    case TINY: /* products and sums around 2^-126, and denormal inputs */
        return from_bits((h & 0x807fffff) | (h % 3 ? 50 + draw() % 30 : draw() % 4) << 23);
    case ZEROS:
        return h % 4 ? from_bits(h & 0x80000000) : 1.0f - 2.0f * (float)(h >> 9 & 1);
    case INFINITE:
        return h % 61 ? from_bits((h & 0x807fffff) | 127u << 23) : from_bits((h & 0x80000000) | 0x7f800000);
    case SPECIAL:
        return from_bits(special[h % (sizeof special / sizeof *special)]);
    default:
        return from_bits((h & 0x807fffff) | (124 + (h >> 23) % 5) << 23);
    }
}

/* Memory that ends at a page nobody may touch. */
struct guarded {
    char *map;
    size_t bytes;
    void *p;
};
static struct guarded guarded(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded g = {.bytes = (n + page - 1) / page * page + page};
    g.map = mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + g.bytes - page, page, PROT_NONE), 0);
    g.p = g.map + g.bytes - page - n;
    memset(g.p, 0xff, n); /* NaN in either type */
    return g;
}
static void unguard(struct guarded *g) { munmap(g->map, g->bytes); }

/* A matrix (rows along m or n, k) in one of the four ways it may lie in memory. */
struct operand {
    struct guarded g;
    struct gemm_src src;
    int rows, k;
};
static struct operand operand(int rows, int k, enum dtype t, bool trans, enum kind kind)
{
    int lines = trans ? k : rows, len = trans ? rows : k;
    ptrdiff_t ld = len + below(5);
    size_t n = lines > 0 ? (size_t)(lines - 1) * (size_t)ld + (size_t)len : 0;
    struct operand o = {.g = guarded(n * dtype_size(t)), .rows = rows, .k = k};
    o.src = (struct gemm_src){.p = o.g.p, .dtype = t, .trans = trans, .ld = ld};
    for (int i = 0; i < lines; i++)
        for (int j = 0; j < len; j++) {
            float v = value(kind);
            if (t == DT_BF16)
                ((bf16 *)o.g.p)[i * ld + j] = (bf16){(uint16_t)(bf16_round(v).bits | (kind == TINY && !(draw() % 9)))};
            else
                ((float *)o.g.p)[i * ld + j] = v;
        }
    return o;
}
static const int some_m[] = {0, 1, 2, 5, 6, 7, 8, 13, 14, 15, 16, 17, 31, 32, 33, 40, 65};
static const int some_n[] = {0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 48, 66};
static const int some_k[] = {0, 1, 2, 7, 31, 32, 33, 63, 64, 65, 100, 255, 257, 300, 545};
#define ONE_OF(list) list[below((int)(sizeof list / sizeof *list))]

/* What nn/gemm works in; `small`: little of it, so that small matrices take every turn of the blocking. */
struct space {
    struct nn x;
    size_t scratch, shared; /* as they were mapped */
};
static struct space space_open(const struct kernels *k, int threads, bool small)
{
    struct space s;
    struct err e;
    assert_int_equal(nn_init(&s.x, k, threads, &e), 0);
    s.scratch = s.x.scratch_bytes;
    s.shared = s.x.shared_bytes;
    if (small) {
        s.x.scratch_bytes = 256 << 10;
        s.x.shared_bytes = 1 << 20;
        s.x.l2 = 96 << 10;
        s.x.l3 = 1 << 20;
    }
    return s;
}
static void space_close(struct space *s)
{
    s->x.scratch_bytes = s->scratch;
    s->x.shared_bytes = s->shared;
    nn_release(&s->x);
}

static struct mat as_mat(const struct operand *o, bool k_first)
{
    return (struct mat){o->g.p, o->src.dtype, k_first ? o->k : o->rows, k_first ? o->rows : o->k, o->src.ld};
}

#endif
