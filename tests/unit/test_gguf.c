/* GGUF: values of every block type against the `gguf` package's, and the malformed files of the format reference. */
#include "harness.h"

#include <math.h>

#include "base/buf.h"
#include "base/file.h"
#include "formats/gguf.h"

static struct err e;

static void blocks_equal_the_package(void **state)
{
    (void)state;
    static const char *const name[] = {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"};
    struct gguf *g;
    struct buf want = {0};
    float row[512];
    ok(file_read(&want, "tests/golden/gguf_blocks.f32", 1 << 20, &e));
    ok(gguf_open(&g, "tests/golden/gguf_blocks.gguf", &e));
    assert_int_equal(gguf_count(g), 7);
    for (size_t i = 0; i < 7; i++) {
        const struct gguf_tensor *t = gguf_find(g, name[i]);
        assert_non_null(t);
        assert_int_equal(t->dim[0], 512);
        assert_int_equal(t->dim[1], 3);
        for (uint64_t r = 0; r < 3; r++) {
            const float *w = (const float *)(const void *)want.p + (i * 3 + r) * 512;
            gguf_row_f32(t, r, row);
            for (int k = 0; k < 512; k++)
                if (!(fabsf(row[k] - w[k]) <= 1e-6f * (1 + fabsf(w[k]))))
                    fail_msg("%s row %d value %d: %.9g, expected %.9g", name[i], (int)r, k, (double)row[k],
                             (double)w[k]);
        }
    }
    const char *s;
    size_t n;
    uint64_t v;
    struct gguf_strings list;
    assert_true(gguf_get_str(g, "general.architecture", &s, &n) && n == 5 && memcmp(s, "llama", 5) == 0);
    assert_true(gguf_get_uint(g, "llama.block_count", &v) && v == 1);
    assert_false(gguf_get_uint(g, "general.architecture", &v));
    assert_true(gguf_get_strings(g, "tokenizer.ggml.tokens", &list) && list.left == 3);
    for (char c = 'a'; c <= 'c'; c++)
        assert_true(gguf_next_string(&list, &s, &n) && n == 1 && *s == c);
    assert_false(gguf_next_string(&list, &s, &n));
    gguf_close(g);
    buf_release(&want);
}

/* ---- files made here ---- */

static void put(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        ok(buf_addc(b, (char)(v >> 8 * i), &e));
}

static void put_string(struct buf *b, const char *s)
{
    put(b, strlen(s), 8);
    ok(buf_adds(b, s, &e));
}

static void head(struct buf *b, uint64_t tensors, uint64_t pairs)
{
    buf_clear(b);
    ok(buf_add(b, "GGUF", 4, &e));
    put(b, 3, 4);
    put(b, tensors, 8);
    put(b, pairs, 8);
}

static void tensor(struct buf *b, const char *name, uint64_t cols, unsigned type, uint64_t offset)
{
    put_string(b, name);
    put(b, 1, 4);
    put(b, cols, 8);
    put(b, type, 4);
    put(b, offset, 8);
}

static void pad(struct buf *b, size_t data)
{
    while (b->len % 32)
        put(b, 0, 1);
    for (size_t i = 0; i < data; i++)
        put(b, 1, 1);
}

static void check(const struct buf *b, int code, const char *part)
{
    const char *dir = test_dir();
    char path[300];
    struct gguf *g;
    snprintf(path, sizeof path, "%s/x.gguf", dir);
    ok(file_replace(path, b->p, b->len, &e));
    if (code == 0) {
        ok(gguf_open(&g, path, &e));
        gguf_close(g);
    } else {
        refused(gguf_open(&g, path, &e), code, part);
        assert_null(g);
    }
    test_dir_remove(dir);
}

static void heads_are_checked(void **state)
{
    (void)state;
    struct buf b = {0};
    head(&b, 0, 0);
    check(&b, 0, "");
    b.p[4] = 4;
    check(&b, ERR_FORMAT, "version 4");
    memcpy(b.p + 4, "\0\0\0\3", 4);
    check(&b, ERR_FORMAT, "big-endian");
    b.p[0] = 'X';
    check(&b, ERR_FORMAT, "head");
    head(&b, 1ull << 40, 0);
    check(&b, ERR_LIMIT, "tensors");
    head(&b, 0, UINT64_MAX);
    check(&b, ERR_LIMIT, "metadata pairs");
    buf_release(&b);
}

static void pairs_are_checked(void **state)
{
    (void)state;
    struct buf b = {0};
    static const uint64_t bad[] = {0, 33, 1u << 31};
    for (int i = 0; i < 3; i++) {
        head(&b, 1, 1);
        put_string(&b, "general.alignment");
        put(&b, 4, 4);
        put(&b, bad[i], 4);
        tensor(&b, "t", 4, 0, 0);
        pad(&b, 16);
        check(&b, ERR_FORMAT, "general.alignment");
    }
    head(&b, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_string(&b, "same.key");
        put(&b, 7, 4);
        put(&b, 1, 1);
    }
    check(&b, ERR_FORMAT, "occurs twice");
    head(&b, 0, 1);
    put_string(&b, "list.of.lists");
    put(&b, 9, 4);
    put(&b, 9, 4);
    put(&b, 1, 8);
    put(&b, 0, 8);
    check(&b, ERR_FORMAT, "array");
    head(&b, 0, 1);
    put_string(&b, "list.too.long");
    put(&b, 9, 4);
    put(&b, 8, 4);
    put(&b, 1ull << 61, 8);
    put(&b, 0, 8);
    check(&b, ERR_LIMIT, "do not fit");
    buf_release(&b);
}

static void tensors_are_checked(void **state)
{
    (void)state;
    struct buf b = {0};
    head(&b, 1, 0);
    tensor(&b, "t", 4, 0, 0);
    pad(&b, 16);
    check(&b, 0, "");
    b.len--;
    check(&b, ERR_FORMAT, "beyond the file");
    head(&b, 1, 0);
    tensor(&b, "t", 4, 0, 32);
    pad(&b, 64);
    check(&b, ERR_FORMAT, "offset 32, expected 0");
    head(&b, 1, 0);
    tensor(&b, "t", 256, 10, 0);
    pad(&b, 84);
    check(&b, ERR_FORMAT, "Q2_K");
    head(&b, 1, 0);
    tensor(&b, "t", 33, 8, 0);
    pad(&b, 68);
    check(&b, ERR_FORMAT, "shape");
    head(&b, 1, 0);
    tensor(&b, "t", 1ull << 62, 0, 0);
    pad(&b, 16);
    check(&b, ERR_FORMAT, "shape");
    head(&b, 2, 0);
    tensor(&b, "t", 8, 0, 0);
    tensor(&b, "t", 8, 0, 32);
    pad(&b, 64);
    check(&b, ERR_FORMAT, "occurs twice");
    head(&b, 1, 0);
    tensor(&b, "0123456789012345678901234567890123456789012345678901234567890123", 4, 0, 0);
    pad(&b, 16);
    check(&b, ERR_FORMAT, "name of 64 bytes");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(blocks_equal_the_package), cmocka_unit_test(heads_are_checked),
        cmocka_unit_test(pairs_are_checked),
        cmocka_unit_test(tensors_are_checked),
    };
    return cmocka_run_group_tests(t, NULL, NULL);
}
