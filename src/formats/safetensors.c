#include "formats/safetensors.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/plural.h"
#include "formats/half.h"
#include "formats/safetensors_dtype.h"

enum { MAX_PARTS = 4096, MAX_INDEX = 64 << 20 };

struct part {
    struct file_map map;
    char *path;
};

struct safetensors {
    struct part *part;
    size_t n_parts;
    struct st_tensor *t;                /* parts in order, within a part by offset */
    size_t n, cap;
    const struct st_tensor **by_name;   /* sorted */
    json_t *meta;                       /* the first part's, or NULL */
    char *path;
};

/* ---- one tensor's entry ---- */

static int entry_shape(struct st_tensor *t, const json_t *entry, const char *path, struct err *e)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": \"shape\" is not an array", path, t->name);
    size_t n = json_array_size(shape);
    if (n > ST_MAX_DIMS)
        return err_set(e, ERR_LIMIT, "%s: tensor \"%s\": %zu dimensions, limit %d", path, t->name, n, ST_MAX_DIMS);
    t->n_dims = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": dimension %zu is not an unsigned integer", path,
                           t->name, i);
        t->dim[i] = (uint64_t)json_integer_value(d);
    }
    return 0;
}

static int entry_range(uint64_t range[2], const struct st_tensor *t, const json_t *entry, uint64_t size,
                       const char *path, struct err *e)
{
    const json_t *o = json_object_get(entry, "data_offsets");
    if (!json_is_array(o) || json_array_size(o) != 2)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": \"data_offsets\" is not a pair", path, t->name);
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_array_get(o, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": a data offset is not an unsigned integer", path,
                           t->name);
        range[i] = (uint64_t)json_integer_value(v);
    }
    if (range[0] > range[1] || range[1] > size)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": data [%llu, %llu) does not lie in the buffer of %llu bytes",
                       path, t->name, (unsigned long long)range[0], (unsigned long long)range[1],
                       (unsigned long long)size);
    return 0;
}

/* `buffer` holds `size` bytes: everything after the header. t->name is set. */
static int read_entry(struct st_tensor *t, const json_t *entry, const unsigned char *buffer, uint64_t size,
                      const char *path, struct err *e)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    uint64_t range[2], bytes;
    if (!json_is_object(entry))
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": its entry is not an object", path, t->name);
    if (json_object_size(entry) != 3)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": %zu fields, expected dtype, shape, data_offsets", path,
                       t->name, json_object_size(entry));
    for (int i = 0; i < 3; i++)
        if (!json_object_get(entry, keys[i]))
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": \"%s\" is missing", path, t->name, keys[i]);
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const struct st_kind *k = dtype ? st_kind_named(dtype) : NULL;
    if (!k)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": unknown dtype \"%.32s\"", path, t->name,
                       dtype ? dtype : "(not a string)");
    t->dtype = k->dtype;
    int rc = entry_shape(t, entry, path, e);
    if (!rc) rc = entry_range(range, t, entry, size, path, e);
    if (rc) return rc;
    if (!st_bytes(&bytes, k, t->dim, t->n_dims) || bytes != range[1] - range[0])
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": %llu bytes of data do not fit its shape and dtype %s", path,
                       t->name, (unsigned long long)(range[1] - range[0]), k->name);
    t->data = buffer + range[0];
    t->bytes = bytes;
    return 0;
}

/* ---- one file ---- */

static int by_place(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Sorted by place, tensors must fill the buffer without hole or overlap. */
static int check_tiling(const struct st_tensor *t, size_t n, const unsigned char *at, const unsigned char *end,
                        const char *path, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (t[i].data != at)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": its data %s what lies before it", path, t[i].name,
                           t[i].data < at ? "overlaps" : "leaves a hole after");
        at += t[i].bytes;
    }
    if (at != end)
        return err_set(e, ERR_FORMAT, "%s: %llu byte%s after the last tensor", path, (unsigned long long)(end - at),
                       PLURAL(end - at));
    return 0;
}

static int check_meta(const json_t *meta, const char *path, struct err *e)
{
    const char *key;
    json_t *v;
    if (!json_is_object(meta)) return err_set(e, ERR_FORMAT, "%s: __metadata__ is not an object", path);
    json_object_foreach((json_t *)(uintptr_t)meta, key, v)
        if (!json_is_string(v)) return err_set(e, ERR_FORMAT, "%s: __metadata__: \"%s\" is not a string", path, key);
    return 0;
}

static int reserve(struct safetensors *s, size_t more, const char *path, struct err *e)
{
    if (more > ST_MAX_TENSORS || s->n + more > ST_MAX_TENSORS)
        return err_set(e, ERR_LIMIT, "%s: %zu tensors, limit %d", path, s->n + more, ST_MAX_TENSORS);
    if (s->n + more <= s->cap) return 0;
    struct st_tensor *t = mem_resize(s->t, s->n + more, sizeof *t);
    if (!t) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    s->t = t;
    s->cap = s->n + more;
    return 0;
}

/* The entries of a parsed header become tensors. */
static int add_entries(struct safetensors *s, json_t *header, const struct part *p, uint64_t n_header,
                       struct err *e)
{
    const unsigned char *buffer = p->map.p + 8 + n_header, *end = p->map.p + p->map.len;
    const size_t first = s->n;
    const char *key;
    json_t *entry;
    int rc = reserve(s, json_object_size(header), p->path, e);
    if (rc) return rc;
    json_object_foreach(header, key, entry) {
        if (!strcmp(key, "__metadata__")) {
            if ((rc = check_meta(entry, p->path, e))) return rc;
            if (!s->meta) s->meta = json_incref(entry);
            continue;
        }
        char *name = mem_strdup(key);
        if (!name) return err_set(e, ERR_NOMEM, "%s: out of memory", p->path);
        s->t[s->n] = (struct st_tensor){.name = name};
        rc = read_entry(&s->t[s->n++], entry, buffer, (uint64_t)(end - buffer), p->path, e);
        if (rc) return rc;
    }
    struct st_tensor *mine = s->n > first ? s->t + first : NULL;
    if (mine) qsort(mine, s->n - first, sizeof *mine, by_place);
    return check_tiling(mine, s->n - first, buffer, end, p->path, e);
}

static int read_part(struct safetensors *s, const struct part *p, struct err *e)
{
    uint64_t n = 0;
    json_t *header;
    if (p->map.len < 8)
        return err_set(e, ERR_FORMAT, "%s: %zu bytes, too short for a safetensors file", p->path, p->map.len);
    for (int i = 0; i < 8; i++) n |= (uint64_t)p->map.p[i] << 8 * i;
    if (n > ST_MAX_HEADER)
        return err_set(e, ERR_LIMIT, "%s: header of %llu bytes, limit %d", p->path, (unsigned long long)n,
                       ST_MAX_HEADER);
    if (n > p->map.len - 8)
        return err_set(e, ERR_FORMAT, "%s: header of %llu bytes, but the file has %zu", p->path,
                       (unsigned long long)n, p->map.len);
    if (n < 2 || p->map.p[8] != '{')
        return err_set(e, ERR_FORMAT, "%s: the header does not begin with '{'", p->path);
    int rc = json_parse(&header, (const char *)p->map.p + 8, (size_t)n, p->path, e);
    if (rc) return rc;
    rc = add_entries(s, header, p, n, e);
    json_decref(header);
    return rc;
}

/* Opens one more file; takes its own copy of `path`. */
static int add_part(struct safetensors *s, const char *path, struct err *e)
{
    if (s->n_parts == MAX_PARTS) return err_set(e, ERR_LIMIT, "%s: more than %d shards", s->path, MAX_PARTS);
    struct part *p = mem_resize(s->part, s->n_parts + 1, sizeof *p);
    if (!p) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    s->part = p;
    p += s->n_parts;
    *p = (struct part){.path = mem_strdup(path)};
    if (!p->path) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    s->n_parts++;
    int rc = file_map_open(&p->map, path, e);
    return rc ? rc : read_part(s, p, e);
}

/* ---- names ---- */

static int by_name(const void *a, const void *b)
{
    const struct st_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int sort_names(struct safetensors *s, struct err *e)
{
    s->by_name = mem_new(s->n, sizeof *s->by_name);
    if (!s->by_name) return err_set(e, ERR_NOMEM, "%s: out of memory", s->path);
    for (size_t i = 0; i < s->n; i++) s->by_name[i] = &s->t[i];
    qsort(s->by_name, s->n, sizeof *s->by_name, by_name);
    for (size_t i = 1; i < s->n; i++)
        if (!strcmp(s->by_name[i - 1]->name, s->by_name[i]->name))
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" lies in two shards", s->path, s->by_name[i]->name);
    return 0;
}

const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    struct st_tensor key = {.name = name};
    const struct st_tensor *k = &key, *const *found;
    if (!s->n) return NULL;
    found = bsearch(&k, s->by_name, s->n, sizeof *s->by_name, by_name);
    return found ? *found : NULL;
}

/* ---- the index of several files ---- */

static int shard_name_ok(const char *file, const char *path, struct err *e)
{
    if (*file && !strpbrk(file, "/\\") && !strstr(file, "..")) return 0;
    return err_set(e, ERR_FORMAT, "%s: weight_map names \"%.64s\", expected a file beside the index", path, file);
}

static int by_string(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Opens each file of weight_map once, in the order of their names. */
static int open_shards(struct safetensors *s, const json_t *map, struct err *e)
{
    const char *key, **file = mem_new(json_object_size(map), sizeof *file);
    json_t *v;
    size_t n = 0;
    int rc = file ? 0 : err_set(e, ERR_NOMEM, "%s: out of memory", s->path);
    json_object_foreach((json_t *)(uintptr_t)map, key, v) {
        if (rc) break;
        if (!json_is_string(v)) rc = err_set(e, ERR_FORMAT, "%s: weight_map: \"%s\" is not a string", s->path, key);
        else if (!(rc = shard_name_ok(json_string_value(v), s->path, e))) file[n++] = json_string_value(v);
    }
    if (!rc) qsort(file, n, sizeof *file, by_string);
    const char *slash = strrchr(s->path, '/');
    int dir = slash ? (int)(slash - s->path) + 1 : 0;
    struct buf path = {0};
    for (size_t i = 0; !rc && i < n; i++) {
        if (i && !strcmp(file[i], file[i - 1])) continue;
        buf_clear(&path);
        rc = buf_printf(&path, e, "%.*s%s", dir, s->path, file[i]);
        if (!rc) rc = add_part(s, path.p, e);
    }
    buf_release(&path);
    mem_free(file);
    return rc;
}

static const char *file_of(const struct safetensors *s, const struct st_tensor *t)
{
    for (size_t i = 0; i < s->n_parts; i++) {
        const struct part *p = &s->part[i];
        if (t->data < p->map.p || t->data > p->map.p + p->map.len) continue;
        const char *slash = strrchr(p->path, '/');
        return slash ? slash + 1 : p->path;
    }
    return "";
}

/* The map and the files must tell the same. */
static int check_map(const struct safetensors *s, const json_t *map, struct err *e)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)map, key, v) {
        const struct st_tensor *t = safetensors_find(s, key);
        if (!t || (t->bytes && strcmp(file_of(s, t), json_string_value(v)) != 0))
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is not in \"%s\"", s->path, key, json_string_value(v));
    }
    for (size_t i = 0; i < s->n; i++)
        if (!json_object_get(map, s->t[i].name))
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" of a shard is not in weight_map", s->path, s->t[i].name);
    return 0;
}

static int open_index(struct safetensors *s, struct err *e)
{
    json_t *index;
    int rc = json_read(&index, s->path, MAX_INDEX, e);
    if (rc) return rc;
    const json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map)) rc = err_set(e, ERR_FORMAT, "%s: \"weight_map\" is missing or not an object", s->path);
    if (!rc && json_object_size(map) > ST_MAX_TENSORS)
        rc = err_set(e, ERR_LIMIT, "%s: weight_map has %zu tensors, limit %d", s->path, json_object_size(map),
                     ST_MAX_TENSORS);
    if (!rc) rc = open_shards(s, map, e);
    if (!rc) rc = sort_names(s, e);
    if (!rc) rc = check_map(s, map, e);
    json_decref(index);
    return rc;
}

/* ---- the whole ---- */

/* The file to open: of a folder, the single file or else the index. */
static int choose(struct buf *b, const char *path, struct err *e)
{
    if (!file_is_dir(path)) return buf_adds(b, path, e);
    int rc = file_join(b, path, "model.safetensors", e);
    if (rc || file_exists(b->p)) return rc;
    rc = file_join(b, path, "model.safetensors.index.json", e);
    if (rc || file_exists(b->p)) return rc;
    return err_set(e, ERR_IO, "%s: holds neither model.safetensors nor model.safetensors.index.json", path);
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && !strcmp(s + n - k, tail);
}

int safetensors_open(struct safetensors **out, const char *path, struct err *e)
{
    struct buf b = {0};
    *out = NULL;
    struct safetensors *s = mem_new(1, sizeof *s);
    int rc = s ? choose(&b, path, e) : err_set(e, ERR_NOMEM, "%s: out of memory", path);
    if (!rc && !(s->path = mem_strdup(b.p))) rc = err_set(e, ERR_NOMEM, "%s: out of memory", path);
    if (!rc && ends_with(s->path, ".json")) rc = open_index(s, e);
    else if (!rc) {
        rc = add_part(s, s->path, e);
        if (!rc) rc = sort_names(s, e);
    }
    buf_release(&b);
    if (rc) safetensors_close(s);
    else *out = s;
    return rc;
}

void safetensors_close(struct safetensors *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) mem_free((char *)(uintptr_t)s->t[i].name);
    for (size_t i = 0; i < s->n_parts; i++) {
        file_map_close(&s->part[i].map);
        mem_free(s->part[i].path);
    }
    json_decref(s->meta);
    mem_free(s->part);
    mem_free(s->t);
    mem_free(s->by_name);
    mem_free(s->path);
    mem_free(s);
}

size_t safetensors_count(const struct safetensors *s) { return s->n; }

const struct st_tensor *safetensors_at(const struct safetensors *s, size_t i) { return i < s->n ? &s->t[i] : NULL; }

const char *safetensors_meta(const struct safetensors *s, const char *key)
{
    return json_string_value(json_object_get(s->meta, key));
}

/* ---- values as f32 ---- */

bool safetensors_is_float(enum st_dtype dtype) { return dtype == ST_F32 || dtype == ST_BF16 || dtype == ST_F16; }

void safetensors_values_f32(const struct st_tensor *t, uint64_t first, size_t n, float *dst)
{
    assert(safetensors_is_float(t->dtype));
    const size_t size = t->dtype == ST_F32 ? 4 : 2;
    assert(first <= t->bytes / size && n <= t->bytes / size - first);
    const unsigned char *from = t->data + first * size;
    if (size == 4) {
        if (n) memcpy(dst, from, n * 4);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h = (uint16_t)(from[2 * i] | from[2 * i + 1] << 8);
        uint32_t bits = t->dtype == ST_BF16 ? (uint32_t)h << 16 : half_bits(h);
        memcpy(dst + i, &bits, 4);
    }
}

int safetensors_get_f32(const struct safetensors *s, const char *name, float *dst, size_t n, struct err *e)
{
    const struct st_tensor *t = safetensors_find(s, name);
    if (!t) return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is missing", s->path, name);
    if (!safetensors_is_float(t->dtype))
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": its dtype is not F32, BF16 or F16", s->path, name);
    uint64_t have = t->bytes / (t->dtype == ST_F32 ? 4 : 2);
    if (have != n)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": %llu elements, expected %zu", s->path, name,
                       (unsigned long long)have, n);
    safetensors_values_f32(t, 0, n, dst);
    return 0;
}
