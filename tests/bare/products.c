/* Matrix products on a processor by itself, without an operating system: the units that the build has, against the
 * reference kernels, bit for bit.  For emulated processors with AMX, where this machine has none; lines go to port
 * E9. */
#include <stdarg.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/fill.h"

/* ---- what the kernels expect of a C library and of Linux ---- */

void *memset(void *p, int c, size_t n)
{
    for (char *d = p; n-- > 0;)
        *d++ = (char)c;
    return p;
}

void *memcpy(void *restrict p, const void *restrict q, size_t n)
{
    const char *s = q;
    for (char *d = p; n-- > 0;)
        *d++ = *s++;
    return p;
}

int memcmp(const void *p, const void *q, size_t n)
{
    const unsigned char *a = p, *b = q;
    for (; n > 0 && *a == *b; n--)
        a++, b++;
    return n > 0 ? *a - *b : 0;
}

float fmaf(float x, float y, float z)
{
    __asm__("vfmadd213ss %2, %1, %0" : "+x"(x) : "x"(y), "x"(z));
    return x;
}

long syscall(long number, ...)
{
    (void)number; /* the permission to use tiles */
    return 0;
}

/* ---- words ---- */

static void put(char c) { __asm__ volatile("outb %0, $0xe9" ::"a"(c)); }

static void say(const char *s)
{
    while (*s)
        put(*s++);
}

static void say_number(unsigned long n)
{
    char digits[20];
    int k = 0;
    do digits[k++] = (char)('0' + n % 10);
    while (n /= 10);
    while (k > 0)
        put(digits[--k]);
}

static void say_bits(uint32_t v)
{
    for (int i = 28; i >= 0; i -= 4)
        put("0123456789abcdef"[v >> i & 15]);
}

/* ---- operands ---- */

static uint32_t random32(void)
{
    static uint64_t s = 88172645463325252u; /* Marsaglia's xorshift */
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return (uint32_t)(s >> 16);
}

static int below(int n) { return (int)(random32() % (uint32_t)n); }

/* WIDE overflows, TINY has denormals and products that are, SPECIAL infinities and NaN too. */
enum kind { PLAIN, WIDE, TINY, SPECIAL, N_KINDS };

static uint32_t value(enum kind kind)
{
    static const uint32_t least[N_KINDS] = {120, 64, 1, 1}, range[N_KINDS] = {14, 126, 70, 253};
    static const uint32_t odd[] = {0, 0x7f800000, 0x7fc00000, 0x7f7fffff, 1};
    uint32_t h = random32(), sign = h & 0x80000000u, mantissa = random32() & 0x7fffffu;
    if (kind == TINY && h % 7 == 0)
        return sign | mantissa;
    if (kind == SPECIAL && h % 37 < 5)
        return sign | odd[h % 37];
    return sign | (least[kind] + h % range[kind]) << 23 | mantissa;
}

enum { MOST = 66, DEEPEST = 513, SPARE = 3, SIDE = (MOST + SPARE) * (DEEPEST + SPARE), AREA = MOST * (MOST + SPARE) };
static uint32_t a_side[SIDE], b_side[SIDE], before[AREA], got[AREA], want[AREA];
static char a_packed[1 << 19] __attribute__((aligned(64))), b_packed[1 << 19] __attribute__((aligned(64)));

static void fill(uint32_t *p, int n, enum kind kind)
{
    for (int i = 0; i < n; i++)
        p[i] = value(kind);
}

/* ---- products ---- */

struct shape {
    int m, n, k, ldc;
    bool a_trans, b_trans, bf16, zero;
};

static void product(const struct gemm_unit *u, uint32_t *c, const struct shape *s)
{
    enum dtype type = s->bf16 ? DT_BF16 : DT_F32;
    struct gemm_src a = {a_side, type, s->a_trans, (s->a_trans ? s->m : s->k) + 1};
    struct gemm_src b = {b_side, type, s->b_trans, (s->b_trans ? s->n : s->k) + 2};
    u->pack_a(a_packed, a, s->m, s->k);
    u->pack_b(b_packed, b, s->n, s->k);
    u->enter();
    u->block((float *)c, s->ldc, a_packed, b_packed, s->m, s->n, gemm_depth(u, s->k), s->zero);
    u->leave();
}

/* No bits are promised of a NaN. */
static bool is_nan(uint32_t v) { return (v & 0x7fffffffu) > 0x7f800000u; }

static void tell(const char *name, const struct shape *s, enum kind kind, int at)
{
    say("FAIL bare: ");
    say(name);
    const int figures[] = {s->m, s->n, s->k, (int)kind, at};
    static const char *const words[] = {": m ", " n ", " k ", " kind ", " at "};
    for (int i = 0; i < 5; i++) {
        say(words[i]);
        say_number((unsigned long)figures[i]);
    }
    say(": ");
    say_bits(got[at]);
    say(", not ");
    say_bits(want[at]);
    put('\n');
}

static bool one(const struct gemm_unit *u, const struct gemm_unit *ref, enum kind kind)
{
    static const int edge[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 66};
    static const int deep[] = {1, 2, 31, 32, 33, 63, 64, 65, 96, 255, 256, 257, 320, 512, 513};
    struct shape s = {edge[below(13)], edge[below(13)], deep[below(15)], 0, below(2), below(2), below(2), below(2)};
    s.ldc = s.n + below(SPARE);
    fill(a_side, SIDE, kind);
    fill(b_side, SIDE, kind);
    fill(before, AREA, kind);
    memcpy(got, before, sizeof got);
    memcpy(want, before, sizeof want);
    product(u, got, &s);
    product(ref, want, &s);
    for (int i = 0; i < AREA; i++)
        if (got[i] != want[i] && !(is_nan(got[i]) && is_nan(want[i]))) {
            tell(u->name, &s, kind, i);
            return false;
        }
    return true;
}

/* Without its known answer a unit is not used; that may be the emulator's fault as well as ours. */
static void unit(const struct gemm_unit *u, const struct gemm_unit *ref, bool usable)
{
    if (!usable) {
        say("skip bare: this processor does not give the known answer of ");
        say(u->name);
        put('\n');
        return;
    }
    for (int i = 0; i < ROUNDS; i++)
        if (!one(u, ref, (enum kind)(i % N_KINDS)))
            return;
    say("ok bare: ");
    say(u->name);
    say(", ");
    say_number(ROUNDS);
    say(" products as the reference has them\n");
}

int main(void)
{
    static struct kernels ref, wide, dot, amx;
    kernels_fp_enter();
    gemm_fill_ref(&ref);
    gemm_i8_fill_ref(&ref);
    wide = ref;
    gemm_fill_avx512(&wide);
    dot = wide;
    gemm_fill_avx512bf16(&dot);
    gemm_i8_fill_avx512vnni(&dot);
    amx = dot;
    gemm_fill_amx(&amx);
    gemm_i8_fill_amx(&amx);
    say(cpu_isa() == ISA_AMX ? "ok bare: AMX is found and gives the known answer\n"
                             : "FAIL bare: AMX: not found, or not the known answer\n");
    kernels_fp_enter();
    unit(&wide.gemm, &ref.gemm, cpu_isa() >= ISA_AVX512);
    unit(&amx.gemm, &ref.gemm, cpu_isa() == ISA_AMX);
    unit(&amx.gemm_i8, &ref.gemm_i8, cpu_has_amx_int8(cpu_isa()));
    unit(&dot.gemm, &ref.gemm, cpu_has_dot(cpu_isa()));
    unit(&dot.gemm_i8, &ref.gemm_i8, cpu_has_vnni(cpu_isa()));
    say("end\n");
    return 0;
}
