#include "formats/safetensors_dtype.h"

#include <stddef.h>
#include <string.h>

static const struct st_kind kinds[] = {
    {"BOOL", ST_BOOL, 8},       {"U8", ST_U8, 8},           {"I8", ST_I8, 8},
    {"I16", ST_I16, 16},        {"U16", ST_U16, 16},        {"F16", ST_F16, 16},
    {"BF16", ST_BF16, 16},      {"I32", ST_I32, 32},        {"U32", ST_U32, 32},
    {"F32", ST_F32, 32},        {"F64", ST_F64, 64},        {"I64", ST_I64, 64},
    {"U64", ST_U64, 64},        {"C64", ST_OTHER, 64},      {"F4", ST_OTHER, 4},
    {"F6_E2M3", ST_OTHER, 6},   {"F6_E3M2", ST_OTHER, 6},   {"F8_E5M2", ST_OTHER, 8},
    {"F8_E4M3", ST_OTHER, 8},   {"F8_E8M0", ST_OTHER, 8},   {"F8_E4M3FNUZ", ST_OTHER, 8},
    {"F8_E5M2FNUZ", ST_OTHER, 8},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

const struct st_kind *st_kind_named(const char *name)
{
    for (int i = 0; i < N_KINDS; i++)
        if (!strcmp(kinds[i].name, name)) return &kinds[i];
    return NULL;
}

const struct st_kind *st_kind_of(enum st_dtype dtype)
{
    for (int i = 0; i < N_KINDS; i++)
        if (kinds[i].dtype == dtype && dtype != ST_OTHER) return &kinds[i];
    return NULL;
}

bool st_bytes(uint64_t *bytes, const struct st_kind *k, const uint64_t *dim, int n_dims)
{
    uint64_t n = k->bits;
    for (int i = 0; i < n_dims; i++)
        if (__builtin_mul_overflow(n, dim[i], &n)) return false;
    *bytes = n / 8;
    return n % 8 == 0;
}
