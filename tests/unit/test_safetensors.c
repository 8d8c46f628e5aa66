#include "folder.h"

#include "base/file.h"
#include "base/mem.h"
#include "formats/safetensors.h"

static struct err e;

/* Writes a file of header length `n` (−1: the true one), header text and `data` bytes of 0, 1, 2 … */
static void craft(const char *name, const char *header, long long n, size_t data)
{
    struct buf b = {0};
    uint64_t len = n < 0 ? strlen(header) : (uint64_t)n;
    for (int i = 0; i < 8; i++) ok(buf_addc(&b, (char)(len >> 8 * i), &e));
    ok(buf_adds(&b, header, &e));
    for (size_t i = 0; i < data; i++) ok(buf_addc(&b, (char)i, &e));
    ok(file_replace(in_dir(name), b.p, b.len, &e));
    buf_release(&b);
}

/* ---- what must be refused ---- */

#define T "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
static const struct {
    const char *what, *header;
    long long n;
    size_t data;
    int code;
    const char *part;
} bad[] = {
    {"header beyond the file", T "}", 4000, 8, ERR_FORMAT, "header of 4000 bytes, but the file has"},
    {"header over the limit", T "}", 100000001, 8, ERR_LIMIT, "limit 100000000"},
    {"header of 2^63", T "}", INT64_MAX, 8, ERR_LIMIT, "limit"},
    {"header of nothing", "", 0, 8, ERR_FORMAT, "does not begin with '{'"},
    {"header begins with a blank", " " T "}", -1, 8, ERR_FORMAT, "does not begin with '{'"},
    {"header is an array", "[]", -1, 0, ERR_FORMAT, "does not begin with '{'"},
    {"header cut short", T, -1, 8, ERR_FORMAT, "not valid JSON"},
    {"text behind the header", T "} x", -1, 8, ERR_FORMAT, "not valid JSON"},
    {"NUL behind the header", T "}", 58, 8, ERR_FORMAT, "not valid JSON"},
    {"duplicate tensor", T ",\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}", -1, 16, ERR_FORMAT,
     "duplicate"},
    {"duplicate field", "{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", -1, 8,
     ERR_FORMAT, "duplicate"},
    {"NUL in a name", "{\"t\\u0000\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "not valid JSON"},
    {"name not UTF-8", "{\"t\xFF\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "not valid JSON"},
    {"entry no object", "{\"t\":[1]}", -1, 0, ERR_FORMAT, "tensor \"t\": its entry is not an object"},
    {"field missing", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2]}}", -1, 8, ERR_FORMAT, "2 fields"},
    {"other field", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "\"data_offsets\" is missing"},
    {"field too many", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", -1, 8, ERR_FORMAT,
     "4 fields"},
    {"unknown dtype", "{\"t\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "unknown dtype \"F33\""},
    {"dtype in lower case", "{\"t\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "unknown dtype"},
    {"dtype a number", "{\"t\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "not a string"},
    {"shape a number", "{\"t\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "\"shape\" is not an array"},
    {"negative dimension", "{\"t\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "dimension 0 is not an unsigned integer"},
    {"two negatives make a plus", "{\"t\":{\"dtype\":\"F32\",\"shape\":[-2,-1],\"data_offsets\":[0,8]}}", -1, 8,
     ERR_FORMAT, "dimension 0"},
    {"real dimension", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "dimension 0"},
    {"dimension of 2^64", "{\"t\":{\"dtype\":\"F32\",\"shape\":[18446744073709551616],\"data_offsets\":[0,8]}}", -1, 8,
     ERR_FORMAT, "integer"},
    {"nine dimensions", "{\"t\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", -1, 8,
     ERR_LIMIT, "9 dimensions"},
    {"product wraps to 8", "{\"t\":{\"dtype\":\"F32\",\"shape\":[4611686018427387906,4],\"data_offsets\":[0,8]}}", -1,
     8, ERR_FORMAT, "do not fit"},
    {"bits wrap to 64", "{\"t\":{\"dtype\":\"F32\",\"shape\":[576460752303423490],\"data_offsets\":[0,8]}}", -1, 8,
     ERR_FORMAT, "do not fit"},
    {"shape too small", "{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "8 bytes of data do not fit"},
    {"half a byte", "{\"t\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", -1, 1, ERR_FORMAT, "do not fit"},
    {"offsets not a pair", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", -1, 8, ERR_FORMAT,
     "not a pair"},
    {"negative offset", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", -1, 8, ERR_FORMAT,
     "not an unsigned integer"},
    {"offsets backwards", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", -1, 8, ERR_FORMAT,
     "does not lie in the buffer"},
    {"offset beyond the buffer", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", -1, 7, ERR_FORMAT,
     "does not lie in the buffer of 7 bytes"},
    {"offset near 2^63", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[9223372036854775799,"
     "9223372036854775807]}}", -1, 8, ERR_FORMAT, "does not lie in the buffer"},
    {"hole at the start", "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", -1, 12, ERR_FORMAT,
     "leaves a hole"},
    {"hole between", T ",\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[9,10]}}", -1, 10, ERR_FORMAT,
     "tensor \"u\": its data leaves a hole"},
    {"overlap", T ",\"u\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", -1, 8, ERR_FORMAT,
     "tensor \"u\": its data overlaps"},
    {"the same place twice", T ",\"u\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", -1, 8, ERR_FORMAT,
     "overlaps"},
    {"bytes left over", T "}", -1, 9, ERR_FORMAT, "1 byte after the last tensor"},
    {"bytes without a tensor", "{}", -1, 3, ERR_FORMAT, "3 bytes after"},
    {"metadata no object", "{\"__metadata__\":[]}", -1, 0, ERR_FORMAT, "__metadata__ is not an object"},
    {"metadata not strings", "{\"__metadata__\":{\"a\":1}}", -1, 0, ERR_FORMAT, "\"a\" is not a string"},
};

static void malicious_files_are_refused(void **state)
{
    (void)state;
    struct safetensors *s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        craft("bad.safetensors", bad[i].header, bad[i].n, bad[i].data);
        memset(&e, 0, sizeof e);
        int rc = safetensors_open(&s, in_dir("bad.safetensors"), &e);
        if (rc != bad[i].code || !strstr(e.msg, bad[i].part) || !strstr(e.msg, "bad.safetensors"))
            fail_msg("%s: gave %d \"%s\"", bad[i].what, rc, e.msg);
        assert_null(s);
    }
}

static void short_files_are_refused(void **state)
{
    (void)state;
    struct safetensors *s;
    for (size_t n = 0; n < 8; n++) {
        ok(file_replace(in_dir("x"), "\2\0\0\0\0\0\0", n, &e));
        refused(safetensors_open(&s, in_dir("x"), &e), ERR_FORMAT, "too short");
    }
    refused(safetensors_open(&s, in_dir("none"), &e), ERR_IO, "none");
    refused(safetensors_open(&s, dir, &e), ERR_IO, "holds neither model.safetensors nor");
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct safetensors *s;
    char *deep = mem_new(100001, 1);
    memset(deep, '[', 100000);
    memcpy(deep, "{\"t\":", 5);
    craft("deep", deep, -1, 0);
    refused(safetensors_open(&s, in_dir("deep"), &e), ERR_FORMAT, "depth");
    mem_free(deep);
}

/* ---- what must be read ---- */

static void odd_but_valid(void **state)
{
    (void)state;
    struct safetensors *s;
    craft("a", "{}", -1, 0);
    ok(safetensors_open(&s, in_dir("a"), &e));
    assert_int_equal(safetensors_count(s), 0);
    assert_null(safetensors_find(s, "x"));
    assert_null(safetensors_meta(s, "x"));
    safetensors_close(s);
    craft("a", "{\"__metadata__\":{\"format\":\"pt\"},\"empty\":{\"dtype\":\"I64\",\"shape\":[0,5],\"data_offsets\":"
               "[4,4]},\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F4\","
               "\"shape\":[2,3],\"data_offsets\":[4,7]}}      ", -1, 7);
    ok(safetensors_open(&s, in_dir("a"), &e));
    assert_int_equal(safetensors_count(s), 3);
    assert_string_equal(safetensors_meta(s, "format"), "pt");
    const struct st_tensor *t = safetensors_find(s, "b");
    assert_int_equal(t->dtype, ST_OTHER);
    assert_int_equal(t->bytes, 3);
    assert_memory_equal(t->data, "\4\5\6", 3);
    assert_int_equal(safetensors_find(s, "scalar")->n_dims, 0);
    assert_int_equal(safetensors_find(s, "empty")->bytes, 0);
    assert_string_equal(safetensors_at(s, 0)->name, "scalar");
    assert_null(safetensors_at(s, 3));
    float f;
    refused(safetensors_get_f32(s, "b", &f, 6, &e), ERR_FORMAT, "tensor \"b\": its dtype is not");
    refused(safetensors_get_f32(s, "c", &f, 1, &e), ERR_FORMAT, "tensor \"c\" is missing");
    refused(safetensors_get_f32(s, "scalar", &f, 2, &e), ERR_FORMAT, "1 elements, expected 2");
    safetensors_close(s);
}

static void halves_become_floats_exactly(void **state)
{
    (void)state;
    static const struct {
        uint16_t h;
        uint32_t f;
    } t[] = {
        {0x0000, 0x00000000}, {0x8000, 0x80000000}, {0x3C00, 0x3F800000}, {0xC000, 0xC0000000}, {0x7BFF, 0x477FE000},
        {0x0400, 0x38800000}, {0x0001, 0x33800000}, {0x03FF, 0x387FC000}, {0x8200, 0xB8000000}, {0x7C00, 0x7F800000},
        {0xFC00, 0xFF800000}, {0x7E01, 0x7FC02000}, {0x3555, 0x3EAAA000},
    };
    enum { N = sizeof t / sizeof *t };
    uint16_t half[N], brain[N];
    float out[N];
    for (int i = 0; i < N; i++) half[i] = t[i].h, brain[i] = (uint16_t)(t[i].f >> 16);
    const struct st_write w[] = {{"h", ST_F16, 1, {N}, half}, {"b", ST_BF16, 1, {N}, brain}};
    struct safetensors *s;
    ok(safetensors_write(in_dir("a"), w, 2, NULL, 0, &e));
    ok(safetensors_open(&s, in_dir("a"), &e));
    ok(safetensors_get_f32(s, "h", out, N, &e));
    for (int i = 0; i < N; i++) assert_memory_equal(&out[i], &t[i].f, 4);
    ok(safetensors_get_f32(s, "b", out, N, &e));
    for (int i = 0; i < N; i++) {
        uint32_t want = t[i].f & 0xFFFF0000;
        assert_memory_equal(&out[i], &want, 4);
    }
    safetensors_close(s);
}

static void round_trip(void **state)
{
    (void)state;
    float x[6] = {1, 2, 3, 4, 5, 6}, back[6];
    uint8_t u[3] = {7, 8, 9};
    const struct st_write w[] = {
        {"z.weight", ST_U8, 1, {3}, u}, {"a \"quoted\" 이름", ST_F32, 2, {2, 3}, x}, {"none", ST_F64, 2, {0, 4}, NULL}};
    static const char *const meta[] = {"format", "pt", "이름", "독자"};
    struct safetensors *s;
    ok(safetensors_write(in_dir("a"), w, 3, meta, 2, &e));
    struct file_map m;
    ok(file_map_open(&m, in_dir("a"), &e));
    assert_int_equal((m.p[0] + 8) % 64, 0);
    file_map_close(&m);
    ok(safetensors_open(&s, in_dir("a"), &e));
    assert_int_equal(safetensors_count(s), 3);
    assert_string_equal(safetensors_at(s, 0)->name, "z.weight");
    assert_string_equal(safetensors_meta(s, "이름"), "독자");
    ok(safetensors_get_f32(s, w[1].name, back, 6, &e));
    assert_memory_equal(x, back, sizeof x);
    /* Replacing the file that is mapped leaves the reader its old bytes. */
    ok(safetensors_write(in_dir("a"), w, 1, NULL, 0, &e));
    ok(safetensors_get_f32(s, w[1].name, back, 6, &e));
    assert_memory_equal(x, back, sizeof x);
    safetensors_close(s);
}

static void writer_refuses(void **state)
{
    (void)state;
    uint8_t u = 1;
    struct st_write w[2] = {{"a", ST_U8, 1, {1}, &u}, {"a", ST_U8, 1, {1}, &u}};
    refused(safetensors_write(in_dir("a"), w, 2, NULL, 0, &e), ERR_VALUE, "\"a\"");
    w[1].name = "__metadata__";
    refused(safetensors_write(in_dir("a"), w, 2, NULL, 0, &e), ERR_VALUE, "__metadata__");
    w[1] = (struct st_write){"b", ST_OTHER, 1, {1}, &u};
    refused(safetensors_write(in_dir("a"), w, 2, NULL, 0, &e), ERR_VALUE, "\"b\"");
    w[1] = (struct st_write){"b", ST_F64, 2, {1ull << 62, 4}, &u};
    refused(safetensors_write(in_dir("a"), w, 2, NULL, 0, &e), ERR_LIMIT, "overflows");
    static const char *const meta[] = {"k", "1", "k", "2"};
    refused(safetensors_write(in_dir("a"), w, 1, meta, 2, &e), ERR_VALUE, "\"k\"");
    assert_false(file_exists(in_dir("a")));
}

/* ---- several files ---- */

static void write_shards(void)
{
    uint8_t a[2] = {1, 2}, b[3] = {3, 4, 5};
    const struct st_write wa[] = {{"a", ST_U8, 1, {2}, a}};
    const struct st_write wb[] = {{"b", ST_U8, 1, {2}, b}, {"c", ST_U8, 1, {1}, b + 2}};
    ok(safetensors_write(in_dir("m-1.safetensors"), wa, 1, NULL, 0, &e));
    ok(safetensors_write(in_dir("m-2.safetensors"), wb, 2, NULL, 0, &e));
}

static void put_index(const char *map)
{
    struct buf b = {0};
    ok(buf_printf(&b, &e, "{\"metadata\":{\"total_size\":5},\"weight_map\":%s}", map));
    ok(file_replace(in_dir("model.safetensors.index.json"), b.p, b.len, &e));
    buf_release(&b);
}

static void shards_are_one_model(void **state)
{
    (void)state;
    struct safetensors *s;
    write_shards();
    put_index("{\"c\":\"m-2.safetensors\",\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}");
    const char *ways[] = {dir, in_dir("model.safetensors.index.json")};
    for (int i = 0; i < 2; i++) {
        ok(safetensors_open(&s, ways[i], &e));
        assert_int_equal(safetensors_count(s), 3);
        assert_string_equal(safetensors_at(s, 0)->name, "a");
        assert_int_equal(safetensors_find(s, "c")->data[0], 5);
        safetensors_close(s);
    }
}

static void bad_indexes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *map, *part;
        int code;
    } t[] = {
        {"{\"a\":\"../m-1.safetensors\"}", "expected a file beside the index", ERR_FORMAT},
        {"{\"a\":\"/etc/passwd\"}", "expected a file beside the index", ERR_FORMAT},
        {"{\"a\":\"x\\\\y\"}", "expected a file beside the index", ERR_FORMAT},
        {"{\"a\":\"..\"}", "expected a file beside the index", ERR_FORMAT},
        {"{\"a\":\"\"}", "expected a file beside the index", ERR_FORMAT},
        {"{\"a\":1}", "\"a\" is not a string", ERR_FORMAT},
        {"[]", "\"weight_map\" is missing or not an object", ERR_FORMAT},
        {"{\"a\":\"m-9.safetensors\"}", "m-9.safetensors: cannot open", ERR_IO},
        {"{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\"}", "tensor \"b\" is not in", ERR_FORMAT},
        {"{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\",\"c\":\"m-2.safetensors\"}", "is not in", ERR_FORMAT},
        {"{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}", "\"c\" of a shard is not in weight_map", ERR_FORMAT},
        {"{\"a\":\"m-1.safetensors\",\"a\":\"m-2.safetensors\"}", "duplicate", ERR_FORMAT},
        {"{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\",\"c\":\"copy\"}", "lies in two shards", ERR_FORMAT},
    };
    struct safetensors *s;
    uint8_t a[2] = {1, 2};
    const struct st_write w[] = {{"a", ST_U8, 1, {2}, a}};
    write_shards();
    ok(safetensors_write(in_dir("copy"), w, 1, NULL, 0, &e));
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        put_index(t[i].map);
        refused(safetensors_open(&s, dir, &e), t[i].code, t[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(malicious_files_are_refused, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(short_files_are_refused, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(deep_nesting_is_refused, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(odd_but_valid, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(halves_become_floats_exactly, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(round_trip, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(writer_refuses, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(shards_are_one_model, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(bad_indexes_are_refused, folder_up, folder_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
