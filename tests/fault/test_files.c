/* Full disks and short memory: whatever call fails, what was there stays whole and no temporary is left. */
#include "folder.h"

#include <sys/resource.h>
#include <signal.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "formats/safetensors.h"
#include "formats/shard.h"
#include "formats/textsrc.h"
#include "model/store.h"

static char path[400];
static struct err e;
static unsigned char big[600000];

/* One way to write `path`; returns what the call returned. */
struct way {
    const char *name;
    int (*write)(struct err *err);
};

static int way_replace(struct err *err) { return file_replace(path, big, sizeof big, err); }

static int way_json(struct err *err)
{
    json_t *v = json_pack("{s:[i,i,i],s:f}", "a", 1, 2, 3, "b", 0.5);
    int rc = json_write(path, v, err);
    json_decref(v);
    return rc;
}

static int way_safetensors(struct err *err)
{
    static const char *const meta[] = {"format", "pt"};
    const struct st_write w[] = {{"a", ST_U8, 1, {sizeof big}, big}, {"b", ST_F32, 2, {10, 10}, big}};
    return safetensors_write(path, w, 2, meta, 1, err);
}

static int way_shard(struct err *err)
{
    static int tok[100000];
    struct shard_new *w;
    struct digest d = sha256_of("", 0);
    int rc = shard_new_open(&w, path, 300, &d, &d, err);
    for (int i = 0; !rc && i < 4; i++) rc = shard_new_doc(w, tok, sizeof tok / sizeof *tok, err);
    if (rc) shard_new_abort(&w);
    else rc = shard_new_commit(&w, err);
    return rc;
}

static int way_config(struct err *err)
{
    static struct model_config c;
    model_config_depth(&c, 3, 300, 64);
    c.eos = 1;
    c.layer[1].window = 32;
    return model_config_write(&c, path, err);
}

static const struct way ways[] = {
    {"file_replace", way_replace}, {"json_write", way_json}, {"safetensors_write", way_safetensors},
    {"shard_new", way_shard}, {"model_config_write", way_config}};

static int setup(void **state)
{
    folder_up(state);
    snprintf(path, sizeof path, "%s", in_dir("file"));
    for (size_t i = 0; i < sizeof big; i++) big[i] = (unsigned char)(i * 31);
    json_t *v; /* from the first text on, the JSON library's memory goes through the shim too */
    ok(json_parse(&v, "{}", 2, "setup", &e));
    json_decref(v);
    return 0;
}

static int teardown(void **state)
{
    mem_fail_at(0);
    file_fail_at(0);
    return folder_down(state);
}

static void put_old(void) { ok(file_replace(path, "old", 3, &e)); }

static bool is_old(void)
{
    struct buf b = {0};
    ok(file_read(&b, path, sizeof big * 4, &e));
    bool old = b.len == 3 && !memcmp(b.p, "old", 3);
    buf_release(&b);
    return old;
}

static void no_leftovers(const char *name, long n)
{
    struct file_list l;
    ok(file_list_open(&l, NULL, dir, &e));
    if (l.n != 1) fail_msg("%s, failure %ld: %zu files are left", name, n, l.n);
    file_list_release(&l);
}

/* Fails the 1st, 2nd, 3rd … call until the writer gets through, which it does with all of the file; returns how many
 * failures there were. */
static long fail_each(const struct way *w, void (*fail_at)(long), bool last_may_be_new)
{
    struct digest whole, got;
    ok(w->write(&e));
    ok(sha256_file(&whole, path, &e));
    for (long n = 1; n < 1000; n++) {
        struct err err = {0};
        put_old();
        fail_at(n);
        int rc = w->write(&err);
        fail_at(0);
        no_leftovers(w->name, n);
        if (rc == 0) {
            ok(sha256_file(&got, path, &e));
            if (memcmp(&got, &whole, sizeof got) != 0) fail_msg("%s, failure %ld: a part of the file", w->name, n);
            return n - 1;
        }
        if (!err.msg[0] || err.code != rc) fail_msg("%s, failure %ld: no sentence", w->name, n);
        /* Only the sync of the folder comes after the rename. */
        if (!is_old() && !(last_may_be_new && strstr(err.msg, "folder cannot be synced")))
            fail_msg("%s, failure %ld: the old file is gone: %s", w->name, n, err.msg);
    }
    fail_msg("%s never got through", w->name);
    return 0;
}

static void each_write_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        assert_true(fail_each(&ways[i], file_fail_at, true) >= 4); /* write, fsync, rename, folder */
}

static void each_allocation_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        assert_true(fail_each(&ways[i], mem_fail_at, true) >= 2);
}

/* Several files, each of them whole or not there. */
static void each_allocation_of_a_model_fails(void **state)
{
    (void)state;
    static struct model_config c;
    static const char *const name[] = {"config.json", "generation_config.json", "model.safetensors"};
    struct param_table t;
    struct digest whole[3], got;
    char file[500];
    model_config_depth(&c, 1, 32, 32);
    c.bos = 0;
    c.eos = 1;
    ok(param_table_new(&t, &c, &e));
    float *w = calloc(t.total, sizeof *w);
    ok(model_save(path, &c, &t, w, &e));
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/%s", path, name[i]);
        ok(sha256_file(&whole[i], file, &e));
    }
    long n = 1;
    for (int rc = -1; rc; n++) {
        struct err err = {0};
        for (int i = 0; i < 3; i++) {
            snprintf(file, sizeof file, "%s/%s", path, name[i]);
            ok(file_remove(file, &e));
        }
        mem_fail_at(n);
        rc = model_save(path, &c, &t, w, &err);
        mem_fail_at(0);
        if (rc && (rc != ERR_NOMEM || err.code != rc)) fail_msg("failure %ld: %d \"%s\"", n, rc, err.msg);
        for (int i = 0; i < 3; i++) {
            snprintf(file, sizeof file, "%s/%s", path, name[i]);
            if (rc && !file_exists(file)) continue;
            ok(sha256_file(&got, file, &e));
            if (memcmp(&got, &whole[i], sizeof got) != 0) fail_msg("failure %ld: a part of %s", n, name[i]);
        }
        assert_true(n < 10000);
    }
    assert_true(n > 20);
    free(w);
    param_table_release(&t);
}

/* The same from the kernel: no file may grow beyond a limit. */
static void real_limit(void **state)
{
    (void)state;
    struct rlimit keep, small;
    getrlimit(RLIMIT_FSIZE, &keep);
    signal(SIGXFSZ, SIG_IGN);
    small = keep;
    small.rlim_cur = 100000;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (ways[i].write == way_json || ways[i].write == way_config) continue; /* too small to meet it */
        put_old();
        setrlimit(RLIMIT_FSIZE, &small);
        refused(ways[i].write(&e), ERR_IO, "File too large");
        setrlimit(RLIMIT_FSIZE, &keep);
        assert_true(is_old());
        no_leftovers(ways[i].name, 0);
    }
}

static void append_lands_whole_or_not(void **state)
{
    (void)state;
    put_old();
    file_fail_at(1);
    refused(file_append(path, "more", 4, &e), ERR_IO, "No space left");
    assert_true(is_old());
    struct rlimit keep, small;
    getrlimit(RLIMIT_FSIZE, &keep);
    signal(SIGXFSZ, SIG_IGN);
    small = keep;
    small.rlim_cur = 5; /* two of the four bytes would fit */
    setrlimit(RLIMIT_FSIZE, &small);
    refused(file_append(path, "more", 4, &e), ERR_IO, "File too large");
    setrlimit(RLIMIT_FSIZE, &keep);
    assert_true(is_old());
    file_fail_at(1);
    refused(file_truncate(path, 1, &e), ERR_IO, "No space left");
    file_fail_at(1);
    refused(file_write_at(path, 0, "more", 4, &e), ERR_IO, "cannot write at byte 0: No space left");
    assert_true(is_old());
}

/* ---- readers under short memory: an error or the whole result, never a crash or a leak ---- */

static int read_safetensors(struct err *err)
{
    struct safetensors *s;
    float f[100];
    int rc = safetensors_open(&s, path, err);
    if (!rc) rc = safetensors_get_f32(s, "b", f, 100, err);
    safetensors_close(s);
    return rc;
}

static int read_json(struct err *err)
{
    json_t *v;
    int rc = json_read(&v, path, 1000, err);
    if (!rc && json_object_size(v) != 2) fail_msg("a part of the object");
    json_decref(v);
    return rc;
}

static int read_shard(struct err *err)
{
    struct shard *s;
    int rc = shard_open(&s, path, err);
    if (!rc) rc = shard_verify(s, err);
    shard_close(s);
    return rc;
}

static char text_path[400];

static int read_text(struct err *err)
{
    struct textsrc *s;
    struct textsrc_doc d;
    int rc = textsrc_open(&s, text_path, 1 << 20, err), n = 0;
    if (!rc) textsrc_report(s, true); /* short memory must not pass for a bad record */
    while (!rc && (rc = textsrc_next(s, &d, err)) == 1) n++, rc = 0;
    if (!rc && n != 3) fail_msg("%d documents, expected 3", n);
    textsrc_close(s);
    return rc;
}

static void readers_under_short_memory(void **state)
{
    (void)state;
    const struct {
        int (*make)(struct err *err), (*read)(struct err *err);
    } t[] = {{way_safetensors, read_safetensors}, {way_json, read_json}, {way_shard, read_shard}, {NULL, read_text}};
    const char *lines = "{\"text\":\"a\",\"id\":1}\n{\"text\":\"b\",\"x\":[1,2,{}]}\n{\"text\":\"c\"}\n";
    snprintf(text_path, sizeof text_path, "%s/a.jsonl", dir);
    ok(file_replace(text_path, lines, strlen(lines), &e));
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        if (t[i].make) ok(t[i].make(&e));
        long n = 1;
        for (int rc = -1; rc; n++) {
            struct err err = {0};
            mem_fail_at(n);
            rc = t[i].read(&err);
            mem_fail_at(0);
            if (rc && (rc != ERR_NOMEM || err.code != rc)) fail_msg("failure %ld: %d \"%s\"", n, rc, err.msg);
            assert_true(n < 1000);
        }
        assert_true(n > 2);
    }
}

/* jansson's buffer for a string doubles: with these lengths it is full before the closing quote. */
static void strings_under_short_memory(void **state)
{
    (void)state;
    static char text[5000];
    for (int full = 16; full <= 4096; full *= 2)
        for (int length = full - 4; length <= full; length++) {
            int size = snprintf(text, sizeof text, "[1,\"%0*d\",{\"a\":\"b\"}]", length, 0);
            long n = 1;
            for (int rc = -1; rc; n++) {
                struct err err = {0};
                json_t *v;
                mem_fail_at(n);
                rc = json_parse(&v, text, (size_t)size, "text", &err);
                mem_fail_at(0);
                if (rc && (rc != ERR_NOMEM || err.code != rc || v)) fail_msg("failure %ld: %d \"%s\"", n, rc, err.msg);
                if (!rc) assert_int_equal(json_string_length(json_array_get(v, 1)), length);
                json_decref(v);
                assert_true(n < 1000);
            }
            assert_true(n > 8);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_write_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(each_allocation_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(each_allocation_of_a_model_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(real_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(append_lands_whole_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(readers_under_short_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_under_short_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
