#include "harness.h"

#include <math.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/codepoint.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/rng.h"

/* ---- err ---- */

static void err_cuts_whole_characters(void **state)
{
    (void)state;
    struct err e = {0};
    char long_name[1024] = "";
    for (int shift = 0; shift < 3; shift++) {
        memset(long_name, 'x', (size_t)shift);
        long_name[shift] = 0;
        for (int i = 0; i < 300; i++) strcat(long_name, "독");
        assert_int_equal(err_set(&e, ERR_FORMAT, "%s", long_name), ERR_FORMAT);
        size_t n = strlen(e.msg);
        assert_true(n >= sizeof e.msg - 4 && n < sizeof e.msg);
        assert_int_equal((n - (size_t)shift) % 3, 0);
    }
    assert_int_equal(err_prefix(&e, "%s", "앞"), ERR_FORMAT);
    assert_memory_equal(e.msg, "앞: xx독", strlen("앞: xx독"));
    for (size_t i = 0, n = strlen(e.msg); i < n;) {
        int32_t cp;
        i += codepoint_next(&cp, e.msg + i, n - i);
        assert_true(cp >= 0);
    }
}

static void err_takes_its_own_text(void **state)
{
    (void)state;
    struct err e = {0};
    err_set(&e, ERR_IO, "b");
    err_set(&e, ERR_VALUE, "a %s c", e.msg);
    assert_string_equal(e.msg, "a b c");
    assert_int_equal(e.code, ERR_VALUE);
    assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

/* ---- mem ---- */

static void mem_refuses_overflow(void **state)
{
    (void)state;
    assert_null(mem_new(SIZE_MAX / 2, 3));
    assert_null(mem_new((size_t)PTRDIFF_MAX + 1, 1));
    assert_null(mem_resize(NULL, SIZE_MAX, SIZE_MAX));
    assert_null(mem_map(SIZE_MAX));
    void *p = mem_new(0, 8);
    assert_non_null(p);
    mem_free(p);
}

static void mem_fails_where_told(void **state)
{
    (void)state;
    for (long n = 1; n <= 3; n++) {
        mem_fail_at(n);
        for (long i = 1; i <= 4; i++) {
            void *p = i % 2 ? mem_new(1, 8) : mem_resize(NULL, 1, 8);
            if (i == n) assert_null(p);
            else assert_non_null(p);
            mem_free(p);
        }
    }
    mem_fail_at(0);
}

static void mem_map_is_zeroed_and_aligned(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 4096, 4097, (2 << 20) - 1, 2 << 20, (5 << 20) + 3};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = mem_map(sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (sizes[i] >= 2 << 20 ? 2 << 20 : 4096), 0);
        for (size_t k = 0; k < sizes[i]; k += 511) assert_int_equal(p[k], 0);
        if (sizes[i]) p[0] = p[sizes[i] - 1] = 1;
        mem_unmap(p, sizes[i]);
    }
}

static void mem_forbid_counts(void **state)
{
    (void)state;
    mem_forbid(true);
    assert_int_equal(mem_forbidden_count(), 0);
#ifndef DK_DEBUG
    mem_free(mem_new(1, 1));
    assert_int_equal(mem_forbidden_count(), 1);
#endif
    mem_forbid(false);
    long before = mem_forbidden_count();
    mem_free(mem_new(1, 1));
    assert_int_equal(mem_forbidden_count(), before);
}

static void mem_strings(void **state)
{
    (void)state;
    char *s = mem_strndup("abcdef", 3), *t = mem_strdup("xyz"), *u = mem_strndup("ab", 9);
    assert_string_equal(s, "abc");
    assert_string_equal(t, "xyz");
    assert_string_equal(u, "ab");
    mem_free(s);
    mem_free(t);
    mem_free(u);
    assert_true(mem_peak_rss() > 1 << 20);
}

static size_t lay_out(struct arena *a, unsigned char **x, double **y)
{
    *x = arena_take(a, 3, 1);
    *y = arena_take(a, 10, sizeof **y);
    return a->used;
}

static void arena_measures_then_places(void **state)
{
    (void)state;
    struct arena a = {0};
    unsigned char *x;
    double *y;
    size_t n = lay_out(&a, &x, &y);
    assert_null(y);
    unsigned char *base = mem_map(n);
    struct arena b = {.base = base, .cap = n};
    assert_int_equal(lay_out(&b, &x, &y), n);
    assert_ptr_equal(x, base);
    assert_ptr_equal((unsigned char *)y, base + 64);
    assert_int_equal(n, 64 + 80);
    mem_unmap(base, n);
}

/* ---- buf ---- */

static void buf_grows_and_ends_in_nul(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf b = {0};
    char want[5000] = "";
    for (int i = 0; i < 500; i++) {
        ok(buf_printf(&b, &e, "%d,", i));
        sprintf(want + strlen(want), "%d,", i);
        assert_int_equal(b.p[b.len], 0);
    }
    assert_string_equal(b.p, want);
    mem_fail_at(1);
    size_t len = b.len;
    refused(buf_reserve(&b, 1 << 20, &e), ERR_NOMEM, "memory");
    mem_fail_at(0);
    assert_int_equal(b.len, len);
    assert_string_equal(b.p, want);
    refused(buf_reserve(&b, SIZE_MAX - 4, &e), ERR_NOMEM, "memory");
    buf_clear(&b);
    ok(buf_addc(&b, 'x', &e));
    ok(buf_add(&b, NULL, 0, &e));
    assert_string_equal(b.p, "x");
    buf_release(&b);
    assert_null(b.p);
}

static void strings_by_offset(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf b = {0};
    size_t at[3];
    ok(buf_addz(&b, &at[0], "one", &e));
    ok(buf_addz(&b, &at[1], "", &e));
    ok(buf_addz(&b, &at[2], "two", &e));
    assert_int_equal(b.len, 9);
    assert_memory_equal(b.p, "one\0\0two", 10);
    assert_true(at[0] == 0 && at[1] == 4 && at[2] == 5);
    buf_release(&b);
}

static void buf_printf_fails_whole(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf b = {0};
    ok(buf_adds(&b, "abc", &e));
    mem_fail_at(1);
    refused(buf_printf(&b, &e, "%0200d", 1), ERR_NOMEM, "memory");
    mem_fail_at(0);
    assert_string_equal(b.p, "abc");
    assert_int_equal(b.len, 3);
    buf_release(&b);
}

/* ---- code points ---- */

static void codepoint_ill_formed(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t used;
        int32_t cp;
    } t[] = {
        {"A", 1, 'A'},          {"\xC2\xA2", 2, 0xA2},      {"\xED\x95\x9C", 3, 0xD55C},
        {"\xF0\x9F\x98\x80", 4, 0x1F600},                   {"\x80", 1, -1},
        {"\xC0\x80", 1, -1},    {"\xC1\xBF", 1, -1},        {"\xE0\x80\x80", 1, -1},
        {"\xED\xA0\x80", 1, -1}, {"\xF4\x90\x80\x80", 1, -1}, {"\xF5\x80\x80\x80", 1, -1},
        {"\xE2\x82", 2, -1},    {"\xF0\x9F\x98" "A", 3, -1}, {"\xF4\x8F\xBF\xBF", 4, 0x10FFFF},
        {"\xFF", 1, -1},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        int32_t cp = -7;
        assert_int_equal(codepoint_next(&cp, t[i].s, strlen(t[i].s)), t[i].used);
        assert_int_equal(cp, t[i].cp);
    }
}

static void text_is_measured_and_cut(void **state)
{
    (void)state;
    const char *s = "ab한글é e\xCC\x81!";
    assert_int_equal(text_width(s, strlen(s)), 2 + 4 + 1 + 1 + 1 + 1);
    assert_int_equal(text_cut(s, strlen(s), 3), 2);
    assert_int_equal(text_cut(s, strlen(s), 4), 5);
    assert_int_equal(text_cut(s, strlen(s), 100), strlen(s));
    assert_int_equal(text_cut(s, strlen(s), 0), 0);
}

/* ---- digests ---- */

static void sha256_published(void **state)
{
    (void)state;
    char hex[65];
    struct digest d = sha256_of("abc", 3), back; /* FIPS 180-2 B.1 */
    digest_hex(hex, &d);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct sha256 *s = sha256_new();
    for (int i = 0; i < 1000; i++) {
        char a[1000];
        memset(a, 'a', sizeof a);
        sha256_add(s, a, sizeof a);
    }
    d = sha256_end(&s); /* B.3, a million times "a" */
    assert_null(s);
    digest_hex(hex, &d);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_int_equal(digest_parse(&back, hex), 0);
    assert_memory_equal(&d, &back, 32);
    hex[63] = 'G';
    assert_int_equal(digest_parse(&back, hex), -1);
    hex[63] = 0;
    assert_int_equal(digest_parse(&back, hex), -1);
    assert_int_equal(digest_parse(&back, ""), -1);
}

/* The tree of the Certificate Transparency project's reference tests, at every size. */
static void merkle_published(void **state)
{
    (void)state;
    static const struct {
        const char *leaf;
        size_t n;
        const char *root;
    } t[] = {
        {"", 0, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {"\x00", 1, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {"\x10", 1, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {"\x20\x21", 2, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {"\x30\x31", 2, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {"\x40\x41\x42\x43", 4, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {"\x50\x51\x52\x53\x54\x55\x56\x57", 8, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16,
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
    };
    struct merkle m;
    char hex[65];
    merkle_init(&m);
    struct digest d = merkle_root(&m), empty = sha256_of("", 0);
    assert_memory_equal(&d, &empty, 32);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        merkle_add(&m, t[i].leaf, t[i].n);
        d = merkle_root(&m);
        digest_hex(hex, &d);
        assert_string_equal(hex, t[i].root);
    }
}

/* ---- randomness ---- */

static void philox_published(void **state)
{
    (void)state;
    /* Random123 kat_vectors, philox4x32 10 */
    static const uint32_t t[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (size_t i = 0; i < 3; i++) {
        struct rng4 r = rng_philox_raw(t[i] + 4, t[i]);
        assert_memory_equal(r.v, t[i] + 6, 16);
    }
    struct rng4 r = rng_philox(0x299f31d0a4093822u, 0x03707344, 0x13198a2e, 0x85a308d3243f6a88u);
    assert_memory_equal(r.v, t[2] + 6, 16);
}

static void rng_reads_in_order(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 5, RNG_TEST, 9);
    for (uint64_t i = 0; i < 3; i++) {
        struct rng4 want = rng_philox(5, RNG_TEST, 9, i);
        for (int k = 0; k < 4; k++) assert_int_equal(rng_u32(&r), want.v[k]);
    }
    unsigned seen[7] = {0};
    for (int i = 0; i < 70000; i++) seen[rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++) assert_in_range(seen[i], 9600, 10400); /* ± 4.3 standard deviations */
    for (int i = 0; i < 100; i++) assert_int_equal(rng_below(&r, 1), 0);
    for (int i = 0; i < 100; i++) assert_true(rng_below(&r, 0xC0000000u) < 0xC0000000u);
}

static void permutation_is_one_and_undone(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 255, 1000, 4097};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint64_t n = sizes[k];
        unsigned char *hit = mem_new(n, 1);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t j = rng_permute(42, 3, n, i);
            assert_true(j < n && !hit[j]);
            hit[j] = 1;
            assert_int_equal(rng_permute_inverse(42, 3, n, j), i);
        }
        mem_free(hit);
    }
    static const uint64_t big[] = {(1ull << 32) + 7, 1ull << 62, UINT64_MAX};
    for (size_t k = 0; k < 3; k++)
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t at = big[k] / 200 * i, j = rng_permute(1, 0, big[k], at);
            assert_true(j < big[k]);
            assert_true(rng_permute_inverse(1, 0, big[k], j) == at);
        }
}

static void permutation_depends_on_key_and_epoch(void **state)
{
    (void)state;
    int same_key = 0, same_epoch = 0, fixed = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t j = rng_permute(1, 0, 1000, i);
        same_key += j == rng_permute(2, 0, 1000, i);
        same_epoch += j == rng_permute(1, 1, 1000, i);
        fixed += j == i;
    }
    /* Each is about Poisson(1). */
    assert_true(same_key < 8 && same_epoch < 8 && fixed < 8);
}

/* ---- clock ---- */

static void clock_texts(void **state)
{
    (void)state;
    static const struct {
        double s;
        const char *text;
    } t[] = {{0, "0s"}, {12.4, "12s"}, {59.6, "1m 00s"}, {200, "3m 20s"}, {3720, "1h 02m"}, {86399.9, "1d 00h"},
             {90000, "1d 01h"}, {-1, "?"}, {1e300, "?"}, {8e9, "92592d 14h"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char out[16];
        clock_human(out, t[i].s);
        assert_string_equal(out, t[i].text);
    }
    double a = clock_seconds();
    assert_true(clock_seconds() >= a);
    char now[CLOCK_UTC];
    clock_utc(now);
    assert_true(fabs(clock_utc_read(now) - (double)time(NULL)) < 60);
    assert_true(clock_utc_read("2026-03-01T00:00:01Z") - clock_utc_read("2026-02-28T23:59:59Z") == 2);
    assert_true(clock_utc_read("1970-01-02T00:00:00Z") == 86400);
    static const char *const none[] = {"", "2026-03-01", "2026-03-01T00:00:01Z ", "2026-13-01T00:00:00Z", "now"};
    for (int i = 0; i < 5; i++)
        assert_true(isnan(clock_utc_read(none[i])));
}

static void seeds_have_one_form(void **state)
{
    (void)state;
    static const char *const none[] = {NULL, "", "0x", "5", "0x-5", "0x 5", "010", "0x000000000000000", "beacon",
                                       "0x00000000000000005", "0X0000000000000005", "0x000000000000000g"};
    uint64_t seed = 7;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        if (rng_seed_read(&seed, none[i])) fail_msg("\"%s\" is a seed", none[i]);
        assert_int_equal(seed, 7);
    }
    assert_true(rng_seed_read(&seed, "0xbdb6c7fcefeaadba") && seed == 0xbdb6c7fcefeaadba);
    assert_true(rng_seed_read(&seed, "0x0000000000000005") && seed == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_cuts_whole_characters),
        cmocka_unit_test(err_takes_its_own_text),
        cmocka_unit_test(mem_refuses_overflow),
        cmocka_unit_test(mem_fails_where_told),
        cmocka_unit_test(mem_map_is_zeroed_and_aligned),
        cmocka_unit_test(mem_forbid_counts),
        cmocka_unit_test(mem_strings),
        cmocka_unit_test(arena_measures_then_places),
        cmocka_unit_test(buf_grows_and_ends_in_nul),
        cmocka_unit_test(strings_by_offset),
        cmocka_unit_test(buf_printf_fails_whole),
        cmocka_unit_test(codepoint_ill_formed),
        cmocka_unit_test(text_is_measured_and_cut),
        cmocka_unit_test(sha256_published),
        cmocka_unit_test(merkle_published),
        cmocka_unit_test(philox_published),
        cmocka_unit_test(rng_reads_in_order),
        cmocka_unit_test(permutation_is_one_and_undone),
        cmocka_unit_test(permutation_depends_on_key_and_epoch),
        cmocka_unit_test(clock_texts),
        cmocka_unit_test(seeds_have_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
