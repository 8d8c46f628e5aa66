#include "nn/selftest.h"

#include <string.h>

#include "nn/selftest_parts.h"

enum { ARENA_BYTES = 64 << 20 };
static const uint64_t KEY_T1 = 0x6f6b646a61543100u, KEY_T2 = 0x6f6b646a61543200u;

static const struct {
    const char *name, *digest;
} profiles[N_PROFILES] = {{"T1", SELFTEST_T1}, {"T2", SELFTEST_T2}};

const char *profile_name(enum profile p) { return profiles[p].name; }
const char *profile_digest(enum profile p) { return profiles[p].digest; }

int profile_parse(enum profile *p, const char *name)
{
    for (int i = 0; i < N_PROFILES; i++)
        if (strcmp(name, profiles[i].name) == 0) {
            *p = (enum profile)i;
            return 0;
        }
    return -1;
}

struct part {
    const char *name;
    void (*run)(struct battery *b);
};
static const struct part parts[] = {
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
    {"tiny", st_tiny},
};
static const struct part parts_int8[] = {
    {"int8 unit", st_int8_unit},
    {"int8 brims", st_int8_brims},
    {"int8 gemm", st_int8_gemm},
    {"int8 head", st_int8_head},
};
#define COUNT(table) (sizeof (table) / sizeof *(table))

/* ---- inputs ---- */

static real real_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return (real)f;
}

/* Factors a, b of 24 bits with a·b = 2^47 − r.  Up to r = 2^22 the product rounds to 2^47, so that scaled down
 * to 2^-126 it is kept; beyond, it is flushed (NUMERICS §1).  The first three a are bf16. */
static const uint32_t brims[][2] = {
    {217 << 16, 9896238},    /* r = 2·2^16 */
    {179 << 16, 11997115},   /* r = 63·2^16 */
    {189 << 16, 11362347},   /* r = 65·2^16 */
    {13264529, 10610063},    /* r = 1 */
    {9983807, 14096575},     /* r = 2^22 − 1 */
    {8659208, 16252928},     /* r = 2^22: halfway, to even */
    {15595643, 9024154},     /* r = 2^22 + 2 */
    {1 << 23, 1 << 23},      /* 2^46 */
};

real st_brim_side(uint32_t i, uint32_t side, int exponent)
{
    return real_of_bits((uint32_t)(exponent + 127) << 23 | (brims[i][side] & 0x7fffffu));
}

real st_brim(struct battery *b, int exponent)
{
    uint32_t u = rng_u32(&b->rng);
    real v = st_brim_side(u & 7, u >> 3 & 1, exponent);
    return u >> 31 ? -v : v;
}

/* Pairs of these exponents add to −127, where a product of two mantissas in [1, 2) is just below 2^-126, or to
 * −152, what an fma takes from 2^-126. */
static real brim(struct battery *b)
{
    static const int exponents[] = {-126, -125, -64, -63, -63, -89, -38, -1};
    uint32_t u = rng_u32(&b->rng);
    return u < 1u << 28 ? 0 : st_brim(b, exponents[u & 7]);
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
    case ST_BRIM: return brim(b);
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

/* Each part with a random stream of its own, into a digest that begins with what `first` points to. */
static int battery(struct digest *out, const struct nn *x, const struct part *part, size_t n, uint64_t key,
                   const struct digest *first, struct err *e)
{
    struct battery b = {.x = x, .hash = sha256_new()};
    b.arena = (struct arena){mem_map(ARENA_BYTES), 0, ARENA_BYTES};
    int rc = 0;
    if (!b.hash || !b.arena.base)
        rc = err_set(e, ERR_NOMEM, "no memory for the self-test (%d MiB)", ARENA_BYTES >> 20);
    kernels_fp_enter();
    if (rc == 0 && first)
        sha256_add(b.hash, first->b, sizeof first->b);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        b.arena.used = 0;
        rng_init(&b.rng, key, RNG_TEST, (uint32_t)i);
        sha256_add(b.hash, part[i].name, strlen(part[i].name) + 1);
        part[i].run(&b);
    }
    if (b.arena.base)
        mem_unmap(b.arena.base, ARENA_BYTES);
    if (b.hash)
        *out = sha256_end(&b.hash);
    return rc;
}

int selftest_digests(struct digest out[N_PROFILES], const struct nn *x, struct err *e)
{
    int rc = battery(&out[PROFILE_T1], x, parts, COUNT(parts), KEY_T1, NULL, e);
    return rc ? rc : battery(&out[PROFILE_T2], x, parts_int8, COUNT(parts_int8), KEY_T2, &out[PROFILE_T1], e);
}

int selftest_check_profile(const struct digest d[N_PROFILES], enum profile p, struct err *e)
{
    char hex[65];
    digest_hex(hex, &d[p]);
    if (strcmp(hex, profiles[p].digest) != 0)
        return err_set(e, ERR_NUMERIC, "this build does not compute by profile %s: its self-test gives %.16s…, "
                       "expected %.16s…", profiles[p].name, hex, profiles[p].digest);
    return 0;
}

int selftest_check(const struct digest d[N_PROFILES], struct err *e)
{
    int rc = 0;
    for (int p = 0; p < N_PROFILES && rc == 0; p++)
        rc = selftest_check_profile(d, (enum profile)p, e);
    return rc;
}
