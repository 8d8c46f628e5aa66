#include "lineage/initial.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/params.h"

enum { MAX_RUN = 1 << 20 };
static const size_t MAX_VALUES = (size_t)256 << 20; /* 1 GiB */

int initial_seed(bool *has, uint64_t *seed, const struct view *v, struct err *e)
{
    struct buf path = {0};
    json_t *run = NULL;
    *has = false;
    int rc = file_is_dir(v->path) ? file_join(&path, v->path, "run.json", e) : 0;
    if (rc == 0 && path.len && file_exists(path.p))
        rc = json_read(&run, path.p, MAX_RUN, e);
    *has = rc == 0 && rng_seed_read(seed, json_string_value(json_object_get(run, "seed")));
    json_decref(run);
    buf_release(&path);
    return rc;
}

static void attach(struct initial *s, struct view *v, const struct param_table *t)
{
    for (size_t i = 0; i < v->w.n; i++) {
        struct weight *w = &v->w.t[i];
        const struct param *p = param_find(t, w->name);
        if (p && (uint64_t)p->rows == w->rows && (uint64_t)p->cols == w->cols)
            w->minus = s->w + p->offset;
    }
}

int initial_take_away(struct initial *s, bool *done, struct view *v, uint64_t seed, struct err *e)
{
    struct model_config *c = mem_new(1, sizeof *c);
    struct param_table t = {0};
    struct buf path = {0};
    struct err not_ours;
    *s = (struct initial){0};
    *done = false;
    int rc = c ? file_join(&path, v->path, "config.json", e) : err_set(e, ERR_NOMEM, "%s: out of memory", v->path);
    bool ours = rc == 0 && model_config_read(c, path.p, &not_ours) == 0;
    if (ours)
        rc = param_table_new(&t, c, e);
    if (ours && rc == 0 && t.total <= MAX_VALUES) {
        s->w = mem_new(t.total, sizeof *s->w);
        if (s->w) {
            params_init(&t, s->w, seed);
            attach(s, v, &t);
            *done = true;
        } else {
            rc = err_set(e, ERR_NOMEM, "%s: no memory for its initial weights", v->path);
        }
    }
    param_table_release(&t);
    buf_release(&path);
    mem_free(c);
    return rc;
}

void initial_restore(struct initial *s, struct view *v)
{
    for (size_t i = 0; i < v->w.n; i++)
        v->w.t[i].minus = NULL;
    mem_free(s->w);
    *s = (struct initial){0};
}
