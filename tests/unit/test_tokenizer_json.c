/* tokenizer.json: files of Hugging Face `tokenizers` with the ids it gives, and damaged or foreign files. */
#include "folder.h"

#include "base/file.h"
#include "base/json.h"
#include "text/tokenizer.h"

static const char *write_file(const char *text, size_t n)
{
    struct err e = {0};
    static char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    ok(file_replace(path, text, n, &e));
    return path;
}

static void check_ids(struct tok_encoder *enc, const json_t *row, const char *key, bool special, const char *name)
{
    struct err e = {0};
    struct token_vec v = {0};
    const json_t *text = json_object_get(row, "text"), *want = json_object_get(row, key);
    ok(tok_encode(enc, &v, json_string_value(text), json_string_length(text), special, &e));
    for (size_t i = 0; i < v.n || i < json_array_size(want); i++)
        if (i >= v.n || i >= json_array_size(want) || v.v[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("%s: token %zu of \"%s\" differs", name, i, json_string_value(text));
    token_vec_release(&v);
}

static void test_golden(void **state)
{
    (void)state;
    struct err e = {0};
    static const char *const name[] = {"gpt2", "qwen", "o200k", "wordy", "merged", "unknown"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char path[200];
        json_t *root, *row;
        size_t k;
        snprintf(path, sizeof path, "tests/golden/tokenizer_%s.json", name[i]);
        ok(json_read(&root, path, 1 << 24, &e));
        char *text = json_dumps(json_object_get(root, "tokenizer"), JSON_COMPACT);
        struct tokenizer *t;
        struct tok_encoder *enc;
        ok(tokenizer_open(&t, write_file(text, strlen(text)), &e));
        ok(tok_encoder_new(&enc, t, &e));
        assert_true(json_array_size(json_object_get(root, "rows")) > 100);
        json_array_foreach(json_object_get(root, "rows"), k, row)
        {
            check_ids(enc, row, "ids", false, name[i]);
            check_ids(enc, row, "special", true, name[i]);
        }
        free(text);
        tok_encoder_free(enc);
        tokenizer_close(t);
        json_decref(root);
    }
}

/* A small valid file; each row below replaces one part of it. */
static const char part_head[] = "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":";
static const char part_added[] =
    "[{\"id\":0,\"content\":\"<|e|>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
    "\"normalized\":false,\"special\":true}]";
static const char part_norm[] = "{\"type\":\"NFC\"}";
static const char part_pre[] =
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}";
static const char part_dec[] = "{\"type\":\"ByteLevel\"}";
static const char part_model[] =
    "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1,\"b\":2,\"ab\":3},\"merges\":[[\"a\",\"b\"]]}";

static size_t assemble(char *out, size_t cap, const char *head, const char *added, const char *norm, const char *pre,
                       const char *dec, const char *model)
{
    return (size_t)snprintf(
        out, cap, "%s%s,\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":null,\"decoder\":%s,\"model\":%s}",
        head ? head : part_head, added ? added : part_added, norm ? norm : part_norm, pre ? pre : part_pre,
        dec ? dec : part_dec, model ? model : part_model);
}

static void test_damaged(void **state)
{
    (void)state;
    struct err e = {0};
    static const struct {
        const char *head, *added, *norm, *pre, *dec, *model, *want;
    } row[] = {
        {.head = "{\"version\":\"1.1\",\"added_tokens\":", .want = "version"},
        {.head = "{\"version\":7,\"added_tokens\":", .want = "version"},
        {.added = "{}", .want = "added_tokens"},
        {.added = "[7]", .want = "added_tokens[0]"},
        {.added = "[{\"id\":0}]", .want = "content"},
        {.added = "[{\"id\":0,\"content\":\"\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                  "\"normalized\":false,\"special\":true}]",
         .want = "content"},
        {.added = "[{\"id\":-1,\"content\":\"x\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                  "\"normalized\":false,\"special\":true}]",
         .want = "id"},
        {.added = "[{\"id\":9,\"content\":\"x\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                  "\"normalized\":false,\"special\":true}]",
         .want = "added_tokens[0].id"},
        {.added = "[{\"id\":2,\"content\":\"a\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                  "\"normalized\":false,\"special\":true}]",
         .want = "added_tokens[0].id"},
        {.added = "[{\"id\":0,\"content\":\"<|e|>\",\"single_word\":0,\"lstrip\":false,\"rstrip\":false,"
                  "\"normalized\":false,\"special\":true}]",
         .want = "single_word"},
        {.norm = "{\"type\":\"NFKC\"}", .want = "normalizer"},
        {.norm = "{\"type\":\"Lowercase\"}", .want = "Lowercase"},
        {.norm = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Strip\"}]}",
         .want = "Strip"},
        {.norm = "{\"type\":\"Sequence\"}", .want = "normalizer"},
        {.norm = "7", .want = "normalizer"},
        {.pre = "null", .want = "pre_tokenizer"},
        {.pre = "{\"type\":\"Metaspace\"}", .want = "Metaspace"},
        {.pre = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Isolated\",\"invert\":false}",
         .want = "ByteLevel"},
        {.pre = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"},\"behavior\":\"Isolated\",\"invert\":false}",
         .want = "(a"},
        {.pre = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Sideways\",\"invert\":false}",
         .want = "Sideways"},
        {.pre = "{\"type\":\"Split\",\"pattern\":{},\"behavior\":\"Isolated\",\"invert\":false}", .want = "pattern"},
        {.pre = "{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},\"behavior\":\"Isolated\",\"invert\":false}",
         .want = "empty"},
        {.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":false},{"
                "\"type\":\"Digits\"}]}",
         .want = "after ByteLevel"},
        {.pre = "{\"type\":\"ByteLevel\",\"add_prefix_space\":1}", .want = "add_prefix_space"},
        {.dec = "{\"type\":\"WordPiece\"}", .want = "decoder"},
        {.model = "null", .want = "model"},
        {.model = "{\"type\":\"WordPiece\",\"vocab\":{}}", .want = "WordPiece"},
        {.model = "{\"type\":\"BPE\",\"merges\":[]}", .want = "model.vocab"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}", .want = "vocab"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0,\"<|e|>\":1},\"merges\":[]}",
         .want = "added_tokens[0].id"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1,\"b\":1},\"merges\":[]}", .want = "id 1"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":\"1\"},\"merges\":[]}", .want = "\"a\""},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":-4},\"merges\":[]}", .want = "\"a\""},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":9999999999},\"merges\":[]}", .want = "\"a\""},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1},\"merges\":7}", .want = "model.merges"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1},\"merges\":[[\"a\"]]}",
         .want = "model.merges[0]"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1},\"merges\":[\"aa\"]}",
         .want = "model.merges[0]"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1},\"merges\":[\"a a a\"]}",
         .want = "model.merges[0]"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1},\"merges\":[\"a c\"]}", .want = "\"c\""},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1},\"merges\":[\"a a\"]}", .want = "result"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1,\"aa\":2},\"merges\":[\"a a\",[\"a\",\"a\"]]}",
         .want = "model.merges[1]"},
        {.model = "{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"<|e|>\":0},\"merges\":[]}", .want = "dropout"},
        {.model = "{\"type\":\"BPE\",\"continuing_subword_prefix\":\"##\",\"vocab\":{\"<|e|>\":0},\"merges\":[]}",
         .want = "continuing_subword_prefix"},
        {.model = "{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"vocab\":{\"<|e|>\":0},\"merges\":[]}",
         .want = "end_of_word_suffix"},
        {.model = "{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"<|e|>\":0},\"merges\":[]}",
         .want = "byte_fallback"},
        {.model = "{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{\"<|e|>\":0},\"merges\":[]}",
         .want = "unk_token"},
        {.model = "{\"type\":\"BPE\",\"ignore_merges\":3,\"vocab\":{\"<|e|>\":0},\"merges\":[]}",
         .want = "ignore_merges"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"<|e|>\":0,\"a\":1,\"a\":2},\"merges\":[]}",
         .want = "tokenizer.json"},
    };
    char text[4000];
    struct tokenizer *t;
    size_t n = assemble(text, sizeof text, NULL, NULL, NULL, NULL, NULL, NULL);
    ok(tokenizer_open(&t, write_file(text, n), &e));
    assert_int_equal(tokenizer_vocab(t), 4);
    tokenizer_close(t);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        n = assemble(text, sizeof text, row[i].head, row[i].added, row[i].norm, row[i].pre, row[i].dec, row[i].model);
        refused(tokenizer_open(&t, write_file(text, n), &e), e.code ? e.code : ERR_FORMAT, row[i].want);
        if (!strstr(e.msg, "tokenizer.json") || strchr(e.msg, '\n'))
            fail_msg("row %zu: \"%s\" does not name the file in one sentence", i, e.msg);
        assert_null(t);
    }
    /* Cut anywhere, a file is refused. */
    n = assemble(text, sizeof text, NULL, NULL, NULL, NULL, NULL, NULL);
    for (size_t k = 0; k < n; k += 4)
        assert_true(tokenizer_open(&t, write_file(text, k), &e) < 0);
    static const char binary[] = "\x7f"
                                 "ELF\0\1\2\3";
    assert_true(tokenizer_open(&t, write_file(binary, sizeof binary), &e) < 0);
    assert_true(tokenizer_open(&t, "/", &e) < 0);
}

/* Merges as arrays and as strings are the same tokenizer; so are a file and what is saved from it. */
static void test_both_merges(void **state)
{
    (void)state;
    struct err e = {0};
    char text[4000];
    struct token_vec v[2] = {{0}, {0}};
    static const char *const model[] = {NULL,
                                        "{\"vocab\":{\"<|e|>\":0,\"a\":1,\"b\":2,\"ab\":3},\"merges\":[\"a b\"]}"};
    for (int k = 0; k < 2; k++) {
        struct tokenizer *t;
        struct tok_encoder *enc;
        size_t n = assemble(text, sizeof text, NULL, NULL, NULL, NULL, NULL, model[k]);
        ok(tokenizer_open(&t, write_file(text, n), &e));
        ok(tok_encoder_new(&enc, t, &e));
        ok(tok_encode(enc, &v[k], "abba<|e|>ab", 11, true, &e));
        tok_encoder_free(enc);
        char other[300], path[400];
        snprintf(other, sizeof other, "%s/copy%d", dir, k);
        snprintf(path, sizeof path, "%s/tokenizer.json", other);
        ok(tokenizer_save(t, other, &e));
        struct digest a = tokenizer_digest(t), b;
        ok(sha256_file(&b, path, &e));
        assert_memory_equal(&a, &b, sizeof a);
        tokenizer_close(t);
    }
    static const int32_t want[] = {3, 2, 1, 0, 3};
    for (int k = 0; k < 2; k++) {
        assert_int_equal(v[k].n, 5);
        assert_memory_equal(v[k].v, want, sizeof want);
        token_vec_release(&v[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_damaged),
                                       cmocka_unit_test(test_both_merges)};
    return cmocka_run_group_tests(tests, folder_up, folder_down);
}
