/* The room that a run still takes on the disk, beside the files that it writes. */
#include "harness.h"

#include <unistd.h>

#include "base/file.h"
#include "train/room.h"

static char dir[] = "/tmp/dokja-room-XXXXXX";

static void small_run(struct run_config *c)
{
    *c = (struct run_config){.seq = 32, .seq_start = 32, .batch_tokens = 32, .workers = 1, .segment_steps = 4,
                             .schedule = {.kind = SCHEDULE_WSD, .steps = 40, .warmup = 0.05, .decay = 0.6},
                             .optim = {.kind = OPTIM_ADAMW, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-10}};
    model_config_shape(&c->model, 2, 64, 128, 32);
}

static void put(const char *name, size_t n)
{
    struct buf path = {0}, bytes = {0};
    struct err e;
    ok(file_join(&path, dir, name, &e));
    ok(buf_reserve(&bytes, n, &e));
    memset(bytes.p, 0, n);
    ok(file_replace(path.p, bytes.p, n, &e));
    buf_release(&path);
    buf_release(&bytes);
}

static void find(struct run_room *r, const struct run_config *c, int keep)
{
    struct err e;
    ok(run_room_find(r, c, dir, keep, &e));
    assert_true(r->all == r->model + r->state + r->copy + r->kept + r->logs);
}

static void test_counts_what_is_not_there(void **state)
{
    (void)state;
    struct run_config c;
    struct run_room fresh, kept, more;
    struct err e;
    small_run(&c);
    uint64_t weights = (uint64_t)model_params_total(&c.model) * 4;
    find(&fresh, &c, 0);
    /* AdamW: weights and two moments of each. */
    assert_true(fresh.model > weights && fresh.model < weights + 16384);
    assert_true(fresh.state > 3 * weights && fresh.state < 3 * weights + 32768);
    assert_true(fresh.copy == fresh.state);
    assert_true(fresh.kept == 0 && fresh.logs > 0);
    find(&kept, &c, 3);
    assert_true(kept.kept == 3 * fresh.state);
    find(&kept, &c, 1000);   /* ten segments end, the last one in the state itself */
    assert_true(kept.kept == 9 * fresh.state);
    /* Files that are there are replaced, which takes the copy alone. */
    put("model.safetensors", 1000);
    find(&more, &c, 0);
    assert_true(more.model == fresh.model - 1000 && more.state == fresh.state);
    c.schedule.steps = 80;
    find(&more, &c, 0);
    assert_true(more.logs > fresh.logs);
    /* Nobody knows the length yet. */
    c.schedule.steps = 0;
    find(&more, &c, 3);
    assert_true(more.logs == 0 && more.kept == 0 && more.state == fresh.state);
    ok(run_room_check(&more, dir, &e));
    more.all = UINT64_C(1) << 60;
    assert_int_equal(run_room_check(&more, dir, &e), ERR_LIMIT);
    assert_non_null(strstr(e.msg, dir));
    assert_non_null(strstr(e.msg, "takes 1152921504.61 GB there"));
    assert_non_null(strstr(e.msg, "B are free"));
    /* A disk that says nothing of itself has enough. */
    ok(run_room_check(&more, "/tmp/dokja-room-none", &e));
}

static int folder_up(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int folder_down(void **state)
{
    (void)state;
    struct buf path = {0};
    int rc = file_join(&path, dir, "model.safetensors", NULL);
    if (rc == 0)
        unlink(path.p);
    buf_release(&path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, folder_up, folder_down);
}
