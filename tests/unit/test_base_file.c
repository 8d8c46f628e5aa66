#include "folder.h"

#include <sys/stat.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"

static struct err e;

static void put(const char *name, const char *text) { ok(file_replace(in_dir(name), text, strlen(text), &e)); }

static void holds(const char *name, const char *text)
{
    struct buf b = {0};
    ok(file_read(&b, in_dir(name), 1 << 20, &e));
    assert_int_equal(b.len, strlen(text));
    if (b.len) assert_string_equal(b.p, text);
    buf_release(&b);
}

static size_t files_in_dir(void)
{
    struct file_list l;
    ok(file_list_open(&l, NULL, dir, &e));
    size_t n = l.n;
    file_list_release(&l);
    return n;
}

static void reads_within_limits(void **state)
{
    (void)state;
    struct buf b = {0};
    put("a", "hello");
    put("empty", "");
    holds("a", "hello");
    holds("empty", "");
    refused(file_read(&b, in_dir("a"), 4, &e), ERR_LIMIT, "/a: 5 bytes, limit 4");
    refused(file_read(&b, in_dir("none"), 4, &e), ERR_IO, "No such file");
    refused(file_read(&b, dir, 4, &e), ERR_IO, "is a folder");
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    refused(file_read(&b, in_dir("fifo"), 4, &e), ERR_IO, "not a regular file");
    buf_release(&b);
}

static void maps(void **state)
{
    (void)state;
    struct file_map m;
    put("a", "hello");
    put("empty", "");
    ok(file_map_open(&m, in_dir("a"), &e));
    assert_int_equal(m.len, 5);
    assert_memory_equal(m.p, "hello", 5);
    put("a", "other"); /* a new file; the map still shows the old one */
    assert_memory_equal(m.p, "hello", 5);
    file_map_close(&m);
    file_map_close(&m);
    ok(file_map_open(&m, in_dir("empty"), &e));
    assert_int_equal(m.len, 0);
    assert_non_null(m.p);
    file_map_close(&m);
    refused(file_map_open(&m, in_dir("none"), &e), ERR_IO, "none: cannot open");
}

static void replaces_only_on_commit(void **state)
{
    (void)state;
    struct file_new *f;
    put("a", "old");
    ok(file_new_open(&f, in_dir("a"), &e));
    ok(file_new_write(f, "new", 3, &e));
    holds("a", "old");
    file_new_abort(&f);
    assert_null(f);
    holds("a", "old");
    assert_int_equal(files_in_dir(), 1);
    ok(file_new_open(&f, in_dir("a"), &e));
    ok(file_new_write(f, "new-2", 5, &e));
    assert_int_equal(file_new_tell(f), 5);
    ok(file_new_commit(&f, &e));
    assert_null(f);
    holds("a", "new-2");
    assert_int_equal(files_in_dir(), 1);
    refused(file_new_open(&f, in_dir("none/a"), &e), ERR_IO, "cannot create");
    file_new_abort(&f);
}

static void leaves_pipes_where_they_are(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
    refused(file_replace(in_dir("pipe"), "x", 1, &e), ERR_IO, "/pipe: is a device, a pipe or a link to one");
    assert_int_equal(symlink("pipe", in_dir("link")), 0);
    refused(file_replace(in_dir("link"), "x", 1, &e), ERR_IO, "/link: is a device, a pipe or a link to one");
    assert_int_equal(lstat(in_dir("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(in_dir("pipe"), &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
}

/* Errors name the file that was asked for, not the temporary beside it. */
static void names_the_file_asked_for(void **state)
{
    (void)state;
    refused(file_replace(in_dir("none/page.html"), "x", 1, &e), ERR_IO, "none/page.html: cannot create: No such file");
    assert_null(strstr(e.msg, ".tmp-"));
}

static void room_on_the_disk(void **state)
{
    (void)state;
    uint64_t n = 0;
    put("a", "12345");
    assert_int_equal(file_size(in_dir("a")), 5);
    assert_int_equal(file_size(in_dir("none")), 0);
    assert_true(file_disk_free(dir, &n) && n > 0 && n < UINT64_C(1) << 60);
    assert_false(file_disk_free(in_dir("none"), &n));
}

static void large_writes_and_patches(void **state)
{
    (void)state;
    struct file_new *f;
    struct file_map m;
    enum { N = 700000 };
    unsigned char *p = mem_new(N, 1);
    for (int i = 0; i < N; i++) p[i] = (unsigned char)(i * 7 + i / 251);
    ok(file_new_open(&f, in_dir("big"), &e));
    size_t sizes[] = {1, 100, 262144, 5, 300000, 262143, 0}, at = 0;
    for (int i = 0; i < 7 && at < N; i++) {
        size_t n = at + sizes[i] > N ? N - at : sizes[i];
        ok(file_new_write(f, p + at, n, &e));
        at += n;
    }
    ok(file_new_write(f, p + at, N - at, &e));
    memcpy(p + 3, "HEAD", 4);
    memcpy(p + N - 4, "TAIL", 4);
    ok(file_new_patch(f, 3, "HEAD", 4, &e));
    ok(file_new_patch(f, N - 4, "TAIL", 4, &e));
    ok(file_new_write(f, "end", 3, &e));
    assert_int_equal(file_new_tell(f), N + 3);
    ok(file_new_commit(&f, &e));
    ok(file_map_open(&m, in_dir("big"), &e));
    assert_int_equal(m.len, N + 3);
    assert_memory_equal(m.p, p, N);
    assert_memory_equal(m.p + N, "end", 3);
    struct digest a = sha256_of(m.p, m.len), b;
    ok(sha256_file(&b, in_dir("big"), &e));
    assert_memory_equal(&a, &b, 32);
    file_map_close(&m);
    mem_free(p);
}

static void appends_and_cuts(void **state)
{
    (void)state;
    ok(file_append(in_dir("log"), "one\n", 4, &e));
    ok(file_append(in_dir("log"), "two\n", 4, &e));
    holds("log", "one\ntwo\n");
    ok(file_truncate(in_dir("log"), 4, &e));
    holds("log", "one\n");
    refused(file_truncate(in_dir("log"), 5, &e), ERR_FORMAT, "log: 4 bytes, expected at least 5");
    refused(file_truncate(in_dir("none"), 5, &e), ERR_IO, "none");
}

static void writes_at_a_place(void **state)
{
    (void)state;
    ok(file_write_at(in_dir("at"), 3, "abc", 3, &e));
    ok(file_write_at(in_dir("at"), 0, "xyz", 3, &e));
    holds("at", "xyzabc");
    ok(file_write_at(in_dir("at"), 2, "--", 2, &e));
    holds("at", "xy--bc");
    refused(file_write_at(in_dir("none/at"), 0, "x", 1, &e), ERR_IO, "none/at: cannot open");
}

static void folders(void **state)
{
    (void)state;
    struct buf b = {0};
    ok(file_mkdir_p(in_dir("x/y//z"), &e));
    ok(file_mkdir_p(in_dir("x/y/z/"), &e));
    assert_true(file_is_dir(in_dir("x/y/z")));
    put("a", "");
    assert_true(file_exists(in_dir("a")) && !file_is_dir(in_dir("a")));
    assert_false(file_exists(in_dir("b")));
    refused(file_mkdir_p(in_dir("a"), &e), ERR_IO, "not a folder");
    refused(file_mkdir_p(in_dir("a/b"), &e), ERR_IO, "Not a directory");
    ok(file_join(&b, "d", "f", &e));
    assert_string_equal(b.p, "d/f");
    ok(file_join(&b, "d/", "f", &e));
    assert_string_equal(b.p, "d/f");
    ok(file_join(&b, "", "f", &e));
    assert_string_equal(b.p, "f");
    buf_release(&b);
}

/* What a claim made and left empty goes with it; what was there, or holds something, stays. */
static void claims(void **state)
{
    (void)state;
    struct file_claim c, other;
    ok(file_mkdir_p(in_dir("was"), &e));
    ok(file_claim_open(&c, in_dir("was/a//b/"), "busy", &e));
    assert_true(file_is_dir(in_dir("was/a/b")));
    refused(file_claim_open(&other, in_dir("was/a/b"), "in use by another", &e), ERR_IO, "in use by another");
    assert_true(file_is_dir(in_dir("was/a/b")));
    file_claim_close(&c);
    assert_true(file_is_dir(in_dir("was")) && !file_exists(in_dir("was/a")));
    ok(file_claim_open(&c, in_dir("was"), "busy", &e));
    file_claim_close(&c);
    assert_true(file_is_dir(in_dir("was")));
    ok(file_claim_open(&c, in_dir("x/y/z"), "busy", &e));
    put("x/kept", "1");
    file_claim_close(&c);
    assert_true(file_exists(in_dir("x/kept")) && !file_exists(in_dir("x/y")));
    ok(file_claim_open(&c, in_dir("x/y"), "busy", &e));
    put("x/y/kept", "1");
    file_claim_close(&c);
    file_claim_close(&c);
    assert_true(file_exists(in_dir("x/y/kept")));
    put("file", "");
    refused(file_claim_open(&c, in_dir("file"), "busy", &e), ERR_IO, "not a folder");
    char path[700];
    snprintf(path, sizeof path, "%s/new/%0300d/b", dir, 0);
    refused(file_claim_open(&c, path, "busy", &e), ERR_IO, "name too long");
    assert_false(file_exists(in_dir("new")));
    ok(file_mkdir_p(in_dir("others"), &e));
    ok(file_claim_open(&c, in_dir("new/../others/b"), "busy", &e));
    file_claim_close(&c);
    assert_true(file_is_dir(in_dir("others")));
}

static void lists_in_byte_order(void **state)
{
    (void)state;
    ok(file_mkdir_p(in_dir("b"), &e));
    put("b/2", ""), put("b/1", ""), put("a", ""), put("b.x", ""), put("가", "");
    assert_int_equal(symlink(dir, in_dir("loop")), 0);
    assert_int_equal(symlink(in_dir("a"), in_dir("link")), 0);
    struct file_list l, odd;
    ok(file_list_open(&l, &odd, dir, &e));
    assert_int_equal(odd.n, 2);
    bool first = strcmp(odd.path[0], in_dir("link")) == 0;
    assert_string_equal(odd.path[first], in_dir("loop"));
    file_list_release(&odd);
    static const char *const want[] = {"a", "b.x", "b/1", "b/2", "가"};
    assert_int_equal(l.n, 5);
    for (int i = 0; i < 5; i++) assert_string_equal(l.path[i], in_dir(want[i]));
    file_list_release(&l);
    ok(file_list_open(&l, NULL, in_dir("link"), &e));
    assert_int_equal(l.n, 1);
    file_list_release(&l);
    refused(file_list_open(&l, NULL, in_dir("none"), &e), ERR_IO, "none: cannot open");
}

static void removes_leftovers_only(void **state)
{
    (void)state;
    put("a", "1"), put("a.tmp-12-0", "2"), put("tmp-1", "3");
    ok(file_clean_tmp(dir, &e));
    holds("a", "1");
    holds("tmp-1", "3");
    assert_int_equal(files_in_dir(), 2);
    static const char *const kept[] = {"b.tmp-old", "b.tmp-12",       "b.tmp-12-",
                                       "b.tmp--3",  "b.tmp-12-3.txt", "b.tmp-1-2x"};
    for (int i = 0; i < 6; i++) put(kept[i], "4");
    put("b.tmp-x.tmp-1-22", "5");
    ok(file_clean_tmp(dir, &e));
    for (int i = 0; i < 6; i++) holds(kept[i], "4");
    assert_int_equal(files_in_dir(), 8);
    refused(file_clean_tmp(in_dir("none"), &e), ERR_IO, "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_within_limits, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(maps, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(replaces_only_on_commit, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(leaves_pipes_where_they_are, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(names_the_file_asked_for, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(room_on_the_disk, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(large_writes_and_patches, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(writes_at_a_place, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(appends_and_cuts, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(folders, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(claims, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(lists_in_byte_order, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(removes_leftovers_only, folder_up, folder_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
