#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "formats/safetensors_dtype.h"

enum { DATA_ALIGN = 64 };

static int by_string(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static int check_unique(const char *path, const char **name, size_t n, struct err *e)
{
    qsort(name, n, sizeof *name, by_string);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(name[i], "__metadata__") || (i && !strcmp(name[i], name[i - 1])))
            return err_set(e, ERR_VALUE, "%s: the name \"%s\" cannot be used, or not twice", path, name[i]);
    return 0;
}

static int check_names(const char *path, const struct st_write *t, size_t n, const char *const *meta, size_t n_meta,
                       struct err *e)
{
    const char **name = mem_new(n > n_meta ? n : n_meta, sizeof *name);
    if (!name) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < n; i++) name[i] = t[i].name;
    int rc = check_unique(path, name, n, e);
    for (size_t i = 0; i < n_meta; i++) name[i] = meta[2 * i];
    if (!rc) rc = check_unique(path, name, n_meta, e);
    mem_free(name);
    return rc;
}

static int quote(struct buf *b, const char *s, struct err *e) { return json_quote(b, s, strlen(s), e); }

static int add_meta(struct buf *b, const char *const *meta, size_t n_meta, struct err *e)
{
    int rc = buf_adds(b, "\"__metadata__\":{", e);
    for (size_t i = 0; !rc && i < n_meta; i++) {
        if (i) rc = buf_addc(b, ',', e);
        if (!rc) rc = quote(b, meta[2 * i], e);
        if (!rc) rc = buf_addc(b, ':', e);
        if (!rc) rc = quote(b, meta[2 * i + 1], e);
    }
    return rc ? rc : buf_addc(b, '}', e);
}

/* The entry of t, whose data begin at *at; moves *at behind them. */
static int add_entry(struct buf *b, const struct st_write *t, uint64_t *at, const char *path, struct err *e)
{
    const struct st_kind *k = st_kind_of(t->dtype);
    uint64_t bytes, end;
    if (!k || t->n_dims < 0 || t->n_dims > ST_MAX_DIMS)
        return err_set(e, ERR_VALUE, "%s: tensor \"%s\": a dtype or %d dimensions that cannot be written", path,
                       t->name, t->n_dims);
    if (!st_bytes(&bytes, k, t->dim, t->n_dims) || __builtin_add_overflow(*at, bytes, &end) || end > INT64_MAX)
        return err_set(e, ERR_LIMIT, "%s: tensor \"%s\": its size overflows", path, t->name);
    int rc = quote(b, t->name, e);
    if (!rc) rc = buf_printf(b, e, ":{\"dtype\":\"%s\",\"shape\":[", k->name);
    for (int i = 0; !rc && i < t->n_dims; i++)
        rc = buf_printf(b, e, "%s%llu", i ? "," : "", (unsigned long long)t->dim[i]);
    if (!rc)
        rc = buf_printf(b, e, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)*at, (unsigned long long)end);
    *at = end;
    return rc;
}

/* Length, JSON and the spaces that bring the data to a multiple of DATA_ALIGN. */
static int make_header(struct buf *b, const char *path, const struct st_write *t, size_t n, const char *const *meta,
                       size_t n_meta, struct err *e)
{
    uint64_t at = 0;
    int rc = buf_add(b, "\0\0\0\0\0\0\0\0{", 9, e);
    if (!rc && n_meta) rc = add_meta(b, meta, n_meta, e);
    for (size_t i = 0; !rc && i < n; i++) {
        if (i || n_meta) rc = buf_addc(b, ',', e);
        if (!rc) rc = add_entry(b, &t[i], &at, path, e);
    }
    if (!rc) rc = buf_addc(b, '}', e);
    while (!rc && b->len % DATA_ALIGN) rc = buf_addc(b, ' ', e);
    if (rc) return rc;
    if (b->len - 8 > ST_MAX_HEADER)
        return err_set(e, ERR_LIMIT, "%s: header of %zu bytes, limit %d", path, b->len - 8, ST_MAX_HEADER);
    for (int i = 0; i < 8; i++) b->p[i] = (char)((uint64_t)(b->len - 8) >> 8 * i);
    return 0;
}

int safetensors_write(const char *path, const struct st_write *t, size_t n, const char *const *meta, size_t n_meta,
                      struct err *e)
{
    struct buf header = {0};
    struct file_new *f = NULL;
    if (n > ST_MAX_TENSORS) return err_set(e, ERR_LIMIT, "%s: %zu tensors, limit %d", path, n, ST_MAX_TENSORS);
    int rc = check_names(path, t, n, meta, n_meta, e);
    if (!rc) rc = make_header(&header, path, t, n, meta, n_meta, e);
    if (!rc) rc = file_new_open(&f, path, e);
    if (!rc) rc = file_new_write(f, header.p, header.len, e);
    for (size_t i = 0; !rc && i < n; i++) {
        uint64_t bytes;
        st_bytes(&bytes, st_kind_of(t[i].dtype), t[i].dim, t[i].n_dims);
        rc = file_new_write(f, t[i].data, (size_t)bytes, e);
    }
    buf_release(&header);
    if (rc) file_new_abort(&f);
    else rc = file_new_commit(&f, e);
    return rc;
}
