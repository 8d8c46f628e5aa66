#include "lineage/weights.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "base/mem.h"

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

/* The one .gguf file of a folder without safetensors, into b; b stays empty where there is none. */
static int gguf_in(struct buf *b, const char *dir, struct err *e)
{
    struct file_list l = {0};
    size_t found = 0;
    int rc = file_list_open(&l, NULL, dir, e);
    for (size_t i = 0; i < l.n && rc == 0; i++) {
        const char *slash = strrchr(l.path[i], '/');
        if (!ends_with(l.path[i], ".gguf") || (size_t)(slash - l.path[i]) > strlen(dir))
            continue;
        buf_clear(b);
        rc = ++found > 1 ? err_set(e, ERR_VALUE, "%s: holds several .gguf files; name one", dir)
                         : buf_adds(b, l.path[i], e);
    }
    file_list_release(&l);
    return rc;
}

static bool has_safetensors(const char *dir)
{
    static const char *const name[] = {"model.safetensors", "model.safetensors.index.json"};
    struct buf b = {0};
    bool has = false;
    for (int i = 0; i < 2; i++)
        has = has || (file_join(&b, dir, name[i], NULL) == 0 && file_exists(b.p));
    buf_release(&b);
    return has;
}

static void set_shape(struct weight *t)
{
    t->rows = 1;
    t->cols = t->n_dims ? t->dim[t->n_dims - 1] : 1;
    for (int i = 0; i + 1 < t->n_dims; i++)
        t->rows *= t->dim[i];
    if (t->rows == 0)
        t->cols = 0;
}

static void add_st(struct weights *w, const struct st_tensor *st)
{
    if (!safetensors_is_float(st->dtype) || st->n_dims > WEIGHTS_MAX_DIMS) {
        w->n_skipped++;
        return;
    }
    struct weight *t = &w->t[w->n++];
    *t = (struct weight){.name = st->name, .n_dims = st->n_dims, .data = st->data, .bytes = st->bytes, .st = st};
    memcpy(t->dim, st->dim, sizeof t->dim);
    set_shape(t);
}

static void add_gguf(struct weights *w, const struct gguf_tensor *g)
{
    struct weight *t = &w->t[w->n++];
    *t = (struct weight){.name = g->name, .n_dims = g->n_dims, .data = g->data, .bytes = g->bytes, .gguf = g};
    for (int i = 0; i < g->n_dims; i++)
        t->dim[i] = g->dim[g->n_dims - 1 - i];
    set_shape(t);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct weight *)a)->name, ((const struct weight *)b)->name);
}

static int collect(struct weights *w, const char *path, struct err *e)
{
    size_t n = w->st ? safetensors_count(w->st) : gguf_count(w->gguf);
    w->t = mem_new(n, sizeof *w->t);
    if (!w->t)
        return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < n; i++) {
        if (w->st)
            add_st(w, safetensors_at(w->st, i));
        else
            add_gguf(w, gguf_at(w->gguf, i));
    }
    if (w->n)
        qsort(w->t, w->n, sizeof *w->t, by_name);
    return 0;
}

int weights_open(struct weights *w, const char *path, struct err *e)
{
    struct buf b = {0};
    int rc = 0;
    *w = (struct weights){0};
    if (ends_with(path, ".gguf"))
        rc = buf_adds(&b, path, e);
    else if (file_is_dir(path) && !has_safetensors(path))
        rc = gguf_in(&b, path, e);
    if (rc == 0)
        rc = b.len ? gguf_open(&w->gguf, b.p, e) : safetensors_open(&w->st, path, e);
    if (rc == 0)
        rc = collect(w, path, e);
    buf_release(&b);
    if (rc)
        weights_close(w);
    return rc;
}

void weights_close(struct weights *w)
{
    mem_free(w->t);
    safetensors_close(w->st);
    gguf_close(w->gguf);
    *w = (struct weights){0};
}

const struct weight *weights_find(const struct weights *w, const char *name)
{
    struct weight key = {.name = name};
    return w->n ? bsearch(&key, w->t, w->n, sizeof key, by_name) : NULL;
}

void weight_row(const struct weight *t, uint64_t r, float *dst)
{
    assert(r < t->rows);
    if (t->st)
        safetensors_values_f32(t->st, r * t->cols, (size_t)t->cols, dst);
    else
        gguf_row_f32(t->gguf, r, dst);
    for (uint64_t i = 0; t->minus && i < t->cols; i++)
        dst[i] -= t->minus[r * t->cols + i];
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Whether n values, as bits, are at least 64 different ones; sorts them. */
static bool various(uint32_t *v, size_t n)
{
    size_t different = n > 0;
    qsort(v, n, sizeof *v, by_value);
    for (size_t i = 1; i < n; i++)
        different += v[i] != v[i - 1];
    return different >= 64;
}

int weight_digest(struct digest *d, bool *telling, const struct weight *t, struct err *e)
{
    enum { LOOK = 4096 };
    uint32_t look[LOOK];
    size_t n = 0, cols = (size_t)t->cols;
    float *row = mem_new(cols, sizeof *row);
    struct sha256 *s = row ? sha256_new() : NULL;
    if (!s) {
        mem_free(row);
        return err_set(e, ERR_NOMEM, "tensor \"%s\": no memory for a row of %zu values", t->name, cols);
    }
    for (uint64_t r = 0; r < t->rows && cols; r++) {
        weight_row(t, r, row);
        sha256_add(s, row, cols * sizeof *row);
        for (size_t i = 0; i < cols && n < LOOK; i++)
            memcpy(&look[n++], &row[i], 4);
    }
    *d = sha256_end(&s);
    *telling = t->rows * t->cols >= 256 && various(look, n);
    mem_free(row);
    return 0;
}

/* Pages that lie wholly inside the tensor's range. */
void weight_drop(const struct weight *t)
{
    const uintptr_t page = 4096, from = ((uintptr_t)t->data + page - 1) / page * page,
                    to = ((uintptr_t)t->data + t->bytes) / page * page;
    if (to > from)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}
