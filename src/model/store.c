#include "model/store.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "formats/safetensors.h"

/* ---- saving ---- */

static int save_generation_config(const char *path, const struct model_config *c, struct err *e)
{
    json_t *o = json_object();
    bool whole = (c->bos < 0 || json_object_set_new(o, "bos_token_id", json_integer(c->bos)) == 0) &&
                 (c->eos < 0 || json_object_set_new(o, "eos_token_id", json_integer(c->eos)) == 0) &&
                 json_object_set_new(o, "do_sample", json_true()) == 0;
    int rc = whole ? json_write(path, o, e) : err_set(e, ERR_NOMEM, "%s: out of memory", path);
    json_decref(o);
    return rc;
}

static int save_weights(const char *path, const struct param_table *t, const real *w, struct err *e)
{
    static const char *const meta[] = {"format", "pt"}; /* transformers refuses files without it */
    struct st_write *list = mem_new((size_t)t->n, sizeof *list);
    if (!list)
        return err_set(e, ERR_NOMEM, "%s: no memory for a list of %d tensors", path, t->n);
    for (int i = 0; i < t->n; i++) {
        const struct param *p = &t->p[i];
        list[i] = (struct st_write){.name = p->name, .dtype = ST_F32, .n_dims = p->n_dims, .data = w + p->offset};
        list[i].dim[0] = (uint64_t)(p->n_dims == 1 ? p->cols : p->rows);
        list[i].dim[1] = (uint64_t)(p->n_dims == 1 ? 0 : p->cols);
    }
    int rc = safetensors_write(path, list, (size_t)t->n, meta, 1, e);
    mem_free(list);
    return rc;
}

int model_save(const char *dir, const struct model_config *c, const struct param_table *t, const real *w,
               struct err *e)
{
    struct buf path = {0};
    int rc = file_mkdir_p(dir, e);
    if (!rc)
        rc = file_join(&path, dir, "config.json", e);
    if (!rc)
        rc = model_config_write(c, path.p, e);
    if (!rc)
        rc = file_join(&path, dir, "generation_config.json", e);
    if (!rc)
        rc = save_generation_config(path.p, c, e);
    if (!rc)
        rc = file_join(&path, dir, "model.safetensors", e);
    if (!rc)
        rc = save_weights(path.p, t, w, e);
    buf_release(&path);
    return rc;
}

/* ---- loading ---- */

static void shape_text(char out[64], const uint64_t *dim, int n)
{
    int at = snprintf(out, 64, "[");
    for (int i = 0; i < n && at < 56; i++)
        at += snprintf(out + at, (size_t)(64 - at), "%s%llu", i ? ", " : "", (unsigned long long)dim[i]);
    if (at < 63)
        snprintf(out + at, (size_t)(64 - at), "]");
}

static int check_tensor(const char *dir, const struct st_tensor *s, const struct param *p, struct err *e)
{
    if (!s)
        return err_set(e, ERR_FORMAT, "%s: tensor %s is missing", dir, p->name);
    if (s->dtype != ST_F32 && s->dtype != ST_BF16 && s->dtype != ST_F16)
        return err_set(e, ERR_FORMAT, "%s: tensor %s is not F32, BF16 or F16", dir, p->name);
    uint64_t want[2] = {(uint64_t)(p->n_dims == 1 ? p->cols : p->rows), (uint64_t)p->cols};
    bool same = s->n_dims == p->n_dims;
    for (int i = 0; same && i < p->n_dims; i++)
        same = s->dim[i] == want[i];
    if (!same) {
        char found[64], expected[64];
        shape_text(found, s->dim, s->n_dims);
        shape_text(expected, want, p->n_dims);
        return err_set(e, ERR_FORMAT, "%s: tensor %s has shape %s, config.json expects %s", dir, p->name, found,
                       expected);
    }
    return 0;
}

/* Tensors that change no result: a tied head written out all the same, and stored rotary tables. */
static bool harmless(const struct model_config *c, const char *name)
{
    static const char tail[] = ".rotary_emb.inv_freq";
    size_t n = strlen(name), m = sizeof tail - 1;
    return (c->tied && strcmp(name, "lm_head.weight") == 0) || (n > m && strcmp(name + n - m, tail) == 0);
}

/* A tensor the facts do not know (a bias, an adapter) would be left out silently: refused by name. */
static int check_strangers(const char *dir, const struct safetensors *s, const struct model_config *c,
                           const struct param_table *t, struct err *e)
{
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const char *name = safetensors_at(s, i)->name;
        if (!param_find(t, name) && !harmless(c, name))
            return err_set(e, ERR_FORMAT, "%s: tensor %.200s has no place in %s as config.json describes it", dir,
                           name, c->arch);
    }
    return 0;
}

static int check_all(const char *dir, const struct safetensors *s, const struct model_config *c,
                     const struct param_table *t, struct err *e)
{
    int rc = check_strangers(dir, s, c, t, e);
    for (int i = 0; !rc && i < t->n; i++)
        rc = check_tensor(dir, safetensors_find(s, t->p[i].name), &t->p[i], e);
    return rc;
}

int model_check_weights(const char *dir, const struct model_config *c, const struct param_table *t, struct err *e)
{
    struct safetensors *s = NULL;
    int rc = safetensors_open(&s, dir, e);
    if (!rc)
        rc = check_all(dir, s, c, t, e);
    safetensors_close(s);
    return rc;
}

int model_load_weights(const char *dir, const struct model_config *c, const struct param_table *t, real *w,
                       struct err *e)
{
    struct safetensors *s = NULL;
    int rc = safetensors_open(&s, dir, e);
    if (rc)
        return rc;
    rc = check_all(dir, s, c, t, e);
    if (!rc)
        memset(w, 0, t->total * sizeof *w);
    for (int i = 0; !rc && i < t->n; i++)
        rc = safetensors_get_f32(s, t->p[i].name, w + t->p[i].offset, t->p[i].n, e);
    safetensors_close(s);
    return rc;
}
