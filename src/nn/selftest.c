#include "nn/selftest.h"

#include <string.h>

#include "nn/selftest_parts.h"

enum { ARENA_BYTES = 64 << 20 };
static const uint64_t KEY = 0x6f6b646a61543100u;

static const struct {
    const char *name;
    void (*run)(struct battery *b);
} parts[] = {
    {"math", st_math},
    {"rope", st_rope},
    {"vectors", st_vectors},
    {"norm", st_norm},
    {"qk", st_qk},
    {"swiglu", st_swiglu},
    {"embed", st_embed},
    {"loss", st_loss},
    {"optimizers", st_optimizers},
    {"unit", st_unit},
    {"gemv", st_gemv},
    {"attention pieces", st_attn_pieces},
    {"gemm", st_gemm},
    {"attention", st_attention},
    {"ops", st_ops},
    {"head", st_head},
};

/* ---- inputs ---- */

static real real_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return (real)f;
}

static real sample(struct battery *b, enum st_input kind)
{
    static const uint32_t edges[] = {
        0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000, 0x80800000, 0x00ffffff,
        0x3f800000, 0xbf800000, 0x3f7fffff, 0x3f808000, 0x3f818000, 0x7f7fffff, 0xff7fffff,
        0x7f800000, 0xff800000, 0x7fc00000, 0x33800000, 0x42b17217, 0x42b17218, 0xc2aeac4f,
        0xc2aeac50, 0xc2d00000, 0x3f200000, 0x7f7f8000, 0x007fc000};
    uint32_t u = rng_u32(&b->rng);
    switch (kind) {
    case ST_ZERO: return 0;
    case ST_UNIT: return ((real)(int32_t)(u >> 8) - 0x1p23f) * 0x1p-23f;
    case ST_WIDE: return real_of_bits((u & 0x807fffffu) | ((67 + (u >> 23) % 121) << 23));
    case ST_TINY: return real_of_bits((u & 0x807fffffu) | (rng_below(&b->rng, 40) << 23));
    case ST_LOGIT: return ((real)(int32_t)(u >> 8) - 0x1p23f) * (0x1p-23f * 110);
    default: return real_of_bits(edges[u % (sizeof edges / sizeof *edges)]);
    }
}

real *st_reals(struct battery *b, size_t n, enum st_input kind)
{
    real *p = arena_take(&b->arena, n, sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = sample(b, kind);
    return p;
}

bf16 *st_halves(struct battery *b, size_t n, enum st_input kind)
{
    bf16 *p = arena_take(&b->arena, n, sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = bf16_round(sample(b, kind));
    return p;
}

int *st_ints(struct battery *b, size_t n, int below)
{
    int *p = arena_take(&b->arena, n, sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (int)rng_below(&b->rng, (uint32_t)below);
    return p;
}

/* ---- results ---- */

static void hash_one(struct battery *b, const void *p, size_t size, bool nan)
{
    static const char any_nan[] = "NaN";
    if (nan)
        sha256_add(b->hash, any_nan, sizeof any_nan);
    else
        sha256_add(b->hash, p, size);
}

/* Long runs without NaN go to SHA-256 at once; a NaN is named instead of its bits. */
void st_hash_reals(struct battery *b, const real *v, size_t n)
{
    size_t from = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i] != v[i]) {
            sha256_add(b->hash, v + from, (i - from) * sizeof *v);
            hash_one(b, v + i, sizeof *v, true);
            from = i + 1;
        }
    sha256_add(b->hash, v + from, (n - from) * sizeof *v);
}

void st_hash_halves(struct battery *b, const bf16 *v, size_t n)
{
    size_t from = 0;
    for (size_t i = 0; i < n; i++)
        if (bf16_expand(v[i]) != bf16_expand(v[i])) {
            sha256_add(b->hash, v + from, (i - from) * sizeof *v);
            hash_one(b, v + i, sizeof *v, true);
            from = i + 1;
        }
    sha256_add(b->hash, v + from, (n - from) * sizeof *v);
}

void st_hash_doubles(struct battery *b, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash_one(b, v + i, sizeof *v, v[i] != v[i]);
}

/* ---- the battery ---- */

int selftest_digest(struct digest *out, const struct nn *x, struct err *e)
{
    struct battery b = {.x = x, .hash = sha256_new()};
    b.arena = (struct arena){mem_map(ARENA_BYTES), 0, ARENA_BYTES};
    int rc = 0;
    if (!b.hash || !b.arena.base)
        rc = err_set(e, ERR_NOMEM, "no memory for the self-test (%d MiB)", ARENA_BYTES >> 20);
    kernels_fp_enter();
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++) {
        b.arena.used = 0;
        rng_init(&b.rng, KEY, RNG_TEST, (uint32_t)i);
        sha256_add(b.hash, parts[i].name, strlen(parts[i].name) + 1);
        parts[i].run(&b);
    }
    if (b.arena.base)
        mem_unmap(b.arena.base, ARENA_BYTES);
    if (b.hash)
        *out = sha256_end(&b.hash);
    return rc;
}
