/* A corpus build whose n-th write or allocation fails: one sentence, and what was there stays whole. */
#include "folder.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/corpus.h"

static struct err err;

static void write_text(const char *name, int from)
{
    struct buf b = {0};
    for (int i = 0; i < 300; i++)
        assert_int_equal(buf_printf(&b, &err, "{\"text\":\"문서 %d e\xcc\x81 번호\"}\n", (from + i) % 280), 0);
    assert_int_equal(buf_adds(&b, "broken\n", &err), 0);
    assert_int_equal(file_replace(in_dir(name), b.p, b.len, &err), 0);
    buf_release(&b);
}

static int set_up(void **state)
{
    log_quiet(true);
    if (folder_up(state) != 0 || file_mkdir_p(in_dir("in"), &err) != 0 || file_mkdir_p(in_dir("in2"), &err) != 0)
        return -1;
    write_text("in/a.jsonl", 0);
    write_text("in2/a.jsonl", 500);
    return 0;
}

static int tear_down(void **state)
{
    file_fail_at(0);
    mem_fail_at(0);
    return folder_down(state);
}

static int build(const char *in, bool force)
{
    struct corpus_counts c;
    const char *paths[1] = {in_dir(in)};
    struct corpus_build_opts o = {.in = paths, .n_in = 1, .out = in_dir("out"), .threads = 1, .force = force,
                                  .shard_bytes = 2000};
    err = (struct err){0};
    return corpus_build(&o, &c, &err);
}

/* Every failure until none happens: without an old corpus nothing is there afterwards, and the same command
 * then succeeds. */
static void each_failure(void (*fail_at)(long), int want)
{
    int n = 1, late = 0, none = 0;
    for (;; n++) {
        bool was = file_exists(in_dir("out"));
        fail_at(n);
        int rc = build("in", false);
        fail_at(0);
        if (rc == 0)
            break;
        if (rc != want) fail_msg("failure %d: %d, %s", n, rc, err.msg);
        assert_true(err.code == want && strlen(err.msg) > 0);
        assert_false(file_exists(in_dir("out/.building")));
        if (!was && !file_exists(in_dir("out/docs-00000.jsonl.zst")))
            assert_false(file_exists(in_dir("out")));
        none += !file_exists(in_dir("out"));
        if (file_exists(in_dir("out/manifest.json"))) {
            /* only the folder's sync after the last rename failed: all of it is there */
            assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
            assert_int_equal(unlink(in_dir("out/manifest.json")), 0);
            late++;
        }
    }
    assert_true(n > 10 && late <= 1 && none > 5);
    assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
}

static void test_full_disk(void **state)
{
    (void)state;
    each_failure(file_fail_at, ERR_IO);
}

static void test_no_memory(void **state)
{
    (void)state;
    each_failure(mem_fail_at, ERR_NOMEM);
}

/* While a corpus is being replaced the old one answers, or none does; a mixture never. */
static void test_replacing(void **state)
{
    (void)state;
    struct corpus *c;
    assert_int_equal(build("in", false), 0);
    assert_int_equal(corpus_open(&c, in_dir("out"), &err), 0);
    struct digest old = corpus_root(c);
    corpus_close(c);
    int kept = 0, late = 0, lost = 0;
    for (int n = 1;; n++) {
        file_fail_at(n);
        int rc = build("in2", true);
        file_fail_at(0);
        if (rc == 0)
            break;
        if (!file_exists(in_dir("out/manifest.json"))) { /* between the two: an unfinished build */
            assert_non_null(strstr(err.msg, "cannot move")); /* nothing is written there any more */
            assert_int_equal(build("in", false), 0);
            lost++;
        }
        assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
        assert_int_equal(corpus_open(&c, in_dir("out"), &err), 0);
        struct digest now = corpus_root(c);
        corpus_close(c);
        kept += memcmp(&now, &old, sizeof now) == 0;
        if (memcmp(&now, &old, sizeof now) != 0) { /* the folder's sync alone failed, after everything */
            late++;
            assert_int_equal(build("in", true), 0);
        }
    }
    assert_true(kept > 10 && late <= 1 && lost > 2);
    assert_int_equal(corpus_open(&c, in_dir("out"), &err), 0);
    struct digest now = corpus_root(c);
    corpus_close(c);
    assert_memory_not_equal(&now, &old, sizeof now);
    assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
}

/* All that needs memory comes before the old corpus is touched. */
static void test_replacing_without_memory(void **state)
{
    (void)state;
    assert_int_equal(build("in", false), 0);
    int n = 1;
    for (;; n++) {
        mem_fail_at(n);
        int rc = build("in2", true);
        mem_fail_at(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, ERR_NOMEM);
        if (!file_exists(in_dir("out/manifest.json"))) fail_msg("failure %d: the old corpus is gone: %s", n, err.msg);
        assert_false(file_exists(in_dir("out/.building")));
    }
    assert_true(n > 100);
    assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_replacing, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_replacing_without_memory, set_up,
                                                                       tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
