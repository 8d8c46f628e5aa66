#include "formats/gguf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "formats/half.h"

enum { MAX_PAIRS = 1 << 16, MAX_TENSORS = 1 << 20, MAX_ALIGN = 1 << 20, MAX_NAME = 64, MAX_KEY = 1 << 16 };
enum value_type { V_U8, V_I8, V_U16, V_I16, V_U32, V_I32, V_F32, V_BOOL, V_STRING, V_ARRAY, V_U64, V_I64, V_F64, N_V };
static const unsigned char value_size[N_V] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct block_kind {
    enum gguf_type type;
    unsigned weights, bytes; /* of a block */
};
static const struct block_kind kinds[] = {
    {GGUF_F32, 1, 4},     {GGUF_F16, 1, 2},     {GGUF_BF16, 1, 2},    {GGUF_Q4_0, 32, 18},
    {GGUF_Q8_0, 32, 34},  {GGUF_Q4_K, 256, 144}, {GGUF_Q6_K, 256, 210},
};
static const char *const type_name[] = {
    "F32", "F16", "Q4_0", "Q4_1", "4", "5", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
    "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8", "I16", "I32", "I64",
    "F64", "IQ1_M", "BF16", "31", "32", "33", "TQ1_0", "TQ2_0", "36", "37", "38", "MXFP4", "NVFP4", "Q1_0", "Q2_0"};

struct pair {
    const char *key;
    size_t n_key;
    enum value_type type, element;
    uint64_t count;                 /* of an array */
    const unsigned char *value;     /* of a string: its length; of an array: the first element */
};
struct gguf {
    struct file_map map;
    const char *path;
    struct pair *pair;              /* sorted by key */
    size_t n_pairs;
    struct gguf_tensor *t;
    const struct gguf_tensor **by_name;
    size_t n;
    char *names;                    /* MAX_NAME bytes each */
};

/* ---- a cursor over the header; after a failure nothing more is read ---- */

struct cursor {
    const unsigned char *at, *end;
    bool bad;
};

static uint64_t take(struct cursor *c, unsigned bytes)
{
    uint64_t v = 0;
    if ((size_t)(c->end - c->at) < bytes) {
        c->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) v |= (uint64_t)c->at[i] << 8 * i;
    c->at += bytes;
    return v;
}

static void skip(struct cursor *c, uint64_t bytes)
{
    if ((uint64_t)(c->end - c->at) < bytes) c->bad = true;
    else c->at += bytes;
}

static const char *take_string(struct cursor *c, size_t *n)
{
    uint64_t len = take(c, 8);
    const char *s = (const char *)c->at;
    skip(c, len);
    *n = c->bad ? 0 : (size_t)len;
    return s;
}

static int cut_short(const struct gguf *g, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: the file ends within %s", g->path, what);
}

/* ---- metadata ---- */

static int read_array(const struct gguf *g, struct cursor *c, struct pair *p, struct err *e)
{
    uint64_t element = take(c, 4);
    p->count = take(c, 8);
    p->value = c->at;
    if (c->bad) return cut_short(g, "an array", e);
    if (element >= N_V || element == V_ARRAY)
        return err_set(e, ERR_FORMAT, "%s: key \"%.*s\": an array of type %llu", g->path, (int)p->n_key, p->key,
                       (unsigned long long)element);
    p->element = (enum value_type)element;
    unsigned least = element == V_STRING ? 8 : value_size[element];
    if (p->count > (uint64_t)(c->end - c->at) / least)
        return err_set(e, ERR_LIMIT, "%s: key \"%.*s\": %llu elements do not fit the file", g->path, (int)p->n_key,
                       p->key, (unsigned long long)p->count);
    if (element != V_STRING) skip(c, p->count * least);
    for (uint64_t i = 0; element == V_STRING && i < p->count && !c->bad; i++) {
        size_t n;
        take_string(c, &n);
    }
    return c->bad ? cut_short(g, "an array", e) : 0;
}

static int read_pair(const struct gguf *g, struct cursor *c, struct pair *p, struct err *e)
{
    size_t n;
    p->key = take_string(c, &p->n_key);
    uint64_t type = take(c, 4);
    if (c->bad) return cut_short(g, "the metadata", e);
    if (!p->n_key || p->n_key > MAX_KEY)
        return err_set(e, ERR_FORMAT, "%s: a key of %zu bytes, expected 1 to %d", g->path, p->n_key, MAX_KEY);
    if (type >= N_V)
        return err_set(e, ERR_FORMAT, "%s: key \"%.*s\": unknown type %llu", g->path, (int)p->n_key, p->key,
                       (unsigned long long)type);
    p->type = (enum value_type)type;
    p->value = c->at;
    if (type == V_ARRAY) return read_array(g, c, p, e);
    if (type == V_STRING) take_string(c, &n);
    else skip(c, value_size[type]);
    return c->bad ? cut_short(g, "the metadata", e) : 0;
}

static int compare_keys(const char *a, size_t n, const char *b, size_t m)
{
    int d = memcmp(a, b, n < m ? n : m);
    return d ? d : (n > m) - (n < m);
}

static int by_key(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return compare_keys(x->key, x->n_key, y->key, y->n_key);
}

static int read_pairs(struct gguf *g, struct cursor *c, struct err *e)
{
    for (size_t i = 0; i < g->n_pairs; i++) {
        int rc = read_pair(g, c, &g->pair[i], e);
        if (rc) return rc;
    }
    if (g->n_pairs) qsort(g->pair, g->n_pairs, sizeof *g->pair, by_key);
    for (size_t i = 1; i < g->n_pairs; i++)
        if (!by_key(&g->pair[i - 1], &g->pair[i]))
            return err_set(e, ERR_FORMAT, "%s: key \"%.*s\" occurs twice", g->path, (int)g->pair[i].n_key,
                           g->pair[i].key);
    return 0;
}

static const struct pair *find_pair(const struct gguf *g, const char *key)
{
    struct pair want = {.key = key, .n_key = strlen(key)};
    return g->n_pairs ? bsearch(&want, g->pair, g->n_pairs, sizeof want, by_key) : NULL;
}

bool gguf_get_str(const struct gguf *g, const char *key, const char **s, size_t *n)
{
    const struct pair *p = find_pair(g, key);
    if (!p || p->type != V_STRING) return false;
    struct cursor c = {p->value, g->map.p + g->map.len, false};
    *s = take_string(&c, n);
    return true;
}

bool gguf_get_uint(const struct gguf *g, const char *key, uint64_t *v)
{
    const struct pair *p = find_pair(g, key);
    if (!p || p->type == V_F32 || p->type == V_F64 || p->type == V_STRING || p->type == V_ARRAY || p->type == V_BOOL)
        return false;
    struct cursor c = {p->value, g->map.p + g->map.len, false};
    *v = take(&c, value_size[p->type]);
    bool is_signed = p->type == V_I8 || p->type == V_I16 || p->type == V_I32 || p->type == V_I64;
    return !is_signed || !(*v >> (8 * value_size[p->type] - 1));
}

bool gguf_get_strings(const struct gguf *g, const char *key, struct gguf_strings *s)
{
    const struct pair *p = find_pair(g, key);
    if (!p || p->type != V_ARRAY || p->element != V_STRING) return false;
    *s = (struct gguf_strings){p->value, p->count};
    return true;
}

bool gguf_next_string(struct gguf_strings *s, const char **p, size_t *n)
{
    if (!s->left) return false;
    struct cursor c = {s->at, s->at + 8, false};
    *n = (size_t)take(&c, 8);      /* walked once at opening: it lies inside the file */
    *p = (const char *)s->at + 8;
    s->at += 8 + *n;
    s->left--;
    return true;
}

/* ---- the tensor table ---- */

static const struct block_kind *kind_of(uint64_t type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((uint64_t)kinds[i].type == type) return &kinds[i];
    return NULL;
}

static int tensor_bytes(const struct gguf *g, struct gguf_tensor *t, const struct block_kind *k, struct err *e)
{
    uint64_t n = t->dim[0] / k->weights * k->bytes;
    bool wraps = t->dim[0] % k->weights != 0 || __builtin_mul_overflow(t->dim[0] / k->weights, k->bytes, &n);
    for (int i = 1; i < t->n_dims; i++) wraps |= __builtin_mul_overflow(n, t->dim[i], &n);
    if (wraps || n > g->map.len)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": its shape fits neither its type nor the file", g->path,
                       t->name);
    t->bytes = n;
    return 0;
}

static int tensor_type(const struct gguf *g, struct gguf_tensor *t, uint64_t type, struct err *e)
{
    const struct block_kind *k = kind_of(type);
    if (!k)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": type %.8s (%llu) cannot be read here; expected F32, F16, "
                       "BF16, Q4_0, Q8_0, Q4_K or Q6_K", g->path, t->name,
                       type < sizeof type_name / sizeof *type_name ? type_name[type] : "unknown",
                       (unsigned long long)type);
    t->type = k->type;
    return tensor_bytes(g, t, k, e);
}

/* `offset` is relative to the data block, which is not known yet. */
static int read_tensor(struct gguf *g, struct cursor *c, size_t i, uint64_t *offset, struct err *e)
{
    struct gguf_tensor *t = &g->t[i];
    char *name = g->names + i * MAX_NAME;
    size_t n;
    const char *s = take_string(c, &n);
    uint64_t dims = take(c, 4);
    if (c->bad) return cut_short(g, "the tensor table", e);
    if (!n || n >= MAX_NAME || memchr(s, 0, n))
        return err_set(e, ERR_FORMAT, "%s: tensor %zu: a name of %zu bytes, expected 1 to %d without NUL", g->path, i,
                       n, MAX_NAME - 1);
    memcpy(name, s, n);
    t->name = name;
    if (dims > GGUF_MAX_DIMS)
        return err_set(e, ERR_LIMIT, "%s: tensor \"%s\": %llu dimensions, limit %d", g->path, name,
                       (unsigned long long)dims, GGUF_MAX_DIMS);
    t->n_dims = dims ? (int)dims : 1;
    t->dim[0] = 1;
    for (uint64_t k = 0; k < dims; k++) t->dim[k] = take(c, 8);
    uint64_t type = take(c, 4);
    *offset = take(c, 8);
    return c->bad ? cut_short(g, "the tensor table", e) : tensor_type(g, t, type, e);
}

static uint64_t aligned(uint64_t n, uint64_t align) { return (n + align - 1) / align * align; }

/* Offsets are running sums of padded sizes, and every tensor ends inside the file. */
static int place_tensors(struct gguf *g, const uint64_t *offset, uint64_t start, uint64_t align, struct err *e)
{
    uint64_t at = 0;
    for (size_t i = 0; i < g->n; i++) {
        struct gguf_tensor *t = &g->t[i];
        if (offset[i] != at)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": offset %llu, expected %llu", g->path, t->name,
                           (unsigned long long)offset[i], (unsigned long long)at);
        if (start > g->map.len || at > g->map.len - start || t->bytes > g->map.len - start - at)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\": its data end beyond the file", g->path, t->name);
        t->data = g->map.p + start + at;
        at = aligned(at + t->bytes, align);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct gguf_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int sort_names(struct gguf *g, struct err *e)
{
    for (size_t i = 0; i < g->n; i++) g->by_name[i] = &g->t[i];
    if (g->n) qsort(g->by_name, g->n, sizeof *g->by_name, by_name);
    for (size_t i = 1; i < g->n; i++)
        if (!strcmp(g->by_name[i - 1]->name, g->by_name[i]->name))
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" occurs twice", g->path, g->by_name[i]->name);
    return 0;
}

static int alignment(const struct gguf *g, uint64_t *align, struct err *e)
{
    const struct pair *p = find_pair(g, "general.alignment");
    *align = 32;
    if (!p) return 0;
    struct cursor c = {p->value, g->map.p + g->map.len, false};
    if (p->type == V_U32) *align = take(&c, 4);
    if (p->type != V_U32 || !*align || *align > MAX_ALIGN || (*align & (*align - 1)))
        return err_set(e, ERR_FORMAT, "%s: general.alignment is not a u32 power of two up to %d", g->path, MAX_ALIGN);
    return 0;
}

static int read_tensors(struct gguf *g, struct cursor *c, uint64_t *offset, struct err *e)
{
    uint64_t align;
    int rc = alignment(g, &align, e);
    for (size_t i = 0; i < g->n && !rc; i++) rc = read_tensor(g, c, i, &offset[i], e);
    if (!rc) rc = place_tensors(g, offset, aligned((uint64_t)(c->at - g->map.p), align), align, e);
    return rc ? rc : sort_names(g, e);
}

/* ---- the whole ---- */

static int read_head(struct gguf *g, struct cursor *c, struct err *e)
{
    if (g->map.len < 24 || memcmp(g->map.p, "GGUF", 4) != 0)
        return err_set(e, ERR_FORMAT, "%s: does not begin with a GGUF head", g->path);
    c->at += 4;
    uint64_t version = take(c, 4), n_tensors = take(c, 8), n_pairs = take(c, 8);
    if (version == 0x02000000 || version == 0x03000000)
        return err_set(e, ERR_FORMAT, "%s: a big-endian GGUF file cannot be read", g->path);
    if (version != 2 && version != 3)
        return err_set(e, ERR_FORMAT, "%s: GGUF version %llu, expected 2 or 3", g->path, (unsigned long long)version);
    /* The least a record takes: 8 + 1 + 4 + 1 bytes of a pair, 8 + 1 + 4 + 4 + 8 of a tensor. */
    if (n_pairs > MAX_PAIRS || n_pairs > g->map.len / 14)
        return err_set(e, ERR_LIMIT, "%s: %llu metadata pairs, limit %d and the file's size", g->path,
                       (unsigned long long)n_pairs, MAX_PAIRS);
    if (n_tensors > MAX_TENSORS || n_tensors > g->map.len / 25)
        return err_set(e, ERR_LIMIT, "%s: %llu tensors, limit %d and the file's size", g->path,
                       (unsigned long long)n_tensors, MAX_TENSORS);
    g->n_pairs = (size_t)n_pairs;
    g->n = (size_t)n_tensors;
    return 0;
}

static int parse(struct gguf *g, struct err *e)
{
    struct cursor c = {g->map.p, g->map.p + g->map.len, false};
    uint64_t splits;
    int rc = read_head(g, &c, e);
    if (rc) return rc;
    uint64_t *offset = mem_new(g->n, sizeof *offset);
    g->pair = mem_new(g->n_pairs, sizeof *g->pair);
    g->t = mem_new(g->n, sizeof *g->t);
    g->by_name = mem_new(g->n, sizeof *g->by_name);
    g->names = mem_new(g->n, MAX_NAME);
    if (!offset || !g->pair || !g->t || !g->by_name || !g->names)
        rc = err_set(e, ERR_NOMEM, "%s: out of memory", g->path);
    if (!rc) rc = read_pairs(g, &c, e);
    if (!rc && gguf_get_uint(g, "split.count", &splits) && splits > 1)
        rc = err_set(e, ERR_FORMAT, "%s: one of %llu split files; join them first", g->path,
                     (unsigned long long)splits);
    if (!rc) rc = read_tensors(g, &c, offset, e);
    mem_free(offset);
    return rc;
}

int gguf_open(struct gguf **out, const char *path, struct err *e)
{
    *out = NULL;
    struct gguf *g = mem_new(1, sizeof *g);
    if (!g) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    g->path = path;
    int rc = file_map_open(&g->map, path, e);
    if (!rc) rc = parse(g, e);
    g->path = NULL;    /* the caller's; only messages at opening name it */
    if (rc) gguf_close(g);
    else *out = g;
    return rc;
}

void gguf_close(struct gguf *g)
{
    if (!g) return;
    file_map_close(&g->map);
    mem_free(g->pair);
    mem_free(g->t);
    mem_free(g->by_name);
    mem_free(g->names);
    mem_free(g);
}

size_t gguf_count(const struct gguf *g) { return g->n; }

const struct gguf_tensor *gguf_at(const struct gguf *g, size_t i) { return i < g->n ? &g->t[i] : NULL; }

const struct gguf_tensor *gguf_find(const struct gguf *g, const char *name)
{
    struct gguf_tensor key = {.name = name};
    const struct gguf_tensor *k = &key, *const *found;
    if (!g->n) return NULL;
    found = bsearch(&k, g->by_name, g->n, sizeof *g->by_name, by_name);
    return found ? *found : NULL;
}

/* ---- values (ggml's block formats) ---- */

static float half_at(const unsigned char *p) { return half_f32((uint16_t)(p[0] | p[1] << 8)); }

static void q8_0(const unsigned char *p, float *y)
{
    float d = half_at(p);
    for (int i = 0; i < 32; i++) y[i] = d * (float)(int8_t)p[2 + i];
}

static void q4_0(const unsigned char *p, float *y)
{
    float d = half_at(p);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)((p[2 + i] & 15) - 8);
        y[16 + i] = d * (float)((p[2 + i] >> 4) - 8);
    }
}

/* Eight 6-bit scales and minima in 12 bytes: the first four of each whole, the rest in the bits left over. */
static void q4_k_scale(const unsigned char *q, int j, int *scale, int *least)
{
    if (j < 4) {
        *scale = q[j] & 63;
        *least = q[j + 4] & 63;
    } else {
        *scale = (q[j + 4] & 15) | (q[j - 4] >> 6) << 4;
        *least = q[j + 4] >> 4 | (q[j] >> 6) << 4;
    }
}

static void q4_k(const unsigned char *p, float *y)
{
    float d = half_at(p), dmin = half_at(p + 2);
    for (int j = 0; j < 8; j++) {
        int scale, least;
        q4_k_scale(p + 4, j, &scale, &least);
        const unsigned char *q = p + 16 + j / 2 * 32;
        for (int i = 0; i < 32; i++)
            y[32 * j + i] = d * (float)scale * (float)(j % 2 ? q[i] >> 4 : q[i] & 15) - dmin * (float)least;
    }
}

static void q6_k(const unsigned char *p, float *y)
{
    float d = half_at(p + 208);
    for (int half = 0; half < 2; half++) {
        const unsigned char *ql = p + 64 * half, *qh = p + 128 + 32 * half;
        const int8_t *scale = (const int8_t *)p + 192 + 8 * half;
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < 32; i++) {
                int low = k < 2 ? ql[32 * k + i] & 15 : ql[32 * (k - 2) + i] >> 4;
                int q = (low | (qh[i] >> 2 * k & 3) << 4) - 32;
                y[128 * half + 32 * k + i] = d * (float)scale[2 * k + i / 16] * (float)q;
            }
    }
}

static void plain(const struct gguf_tensor *t, const unsigned char *p, float *dst)
{
    for (uint64_t i = 0; i < t->dim[0]; i++) {
        if (t->type == GGUF_F16) {
            dst[i] = half_at(p + 2 * i);
            continue;
        }
        const unsigned char *q = p + (t->type == GGUF_F32 ? 4 : 2) * i;
        uint32_t bits = t->type == GGUF_F32 ? (uint32_t)q[0] | (uint32_t)q[1] << 8 | (uint32_t)q[2] << 16 |
                                                  (uint32_t)q[3] << 24
                                            : (uint32_t)q[0] << 16 | (uint32_t)q[1] << 24;
        memcpy(dst + i, &bits, 4);
    }
}

void gguf_row_f32(const struct gguf_tensor *t, uint64_t r, float *dst)
{
    const struct block_kind *k = kind_of(t->type);
    const uint64_t blocks = t->dim[0] / k->weights, row = blocks * k->bytes;
    assert(!row || r < t->bytes / row);
    const unsigned char *p = t->data + r * row;
    if (k->weights == 1) {
        plain(t, p, dst);
        return;
    }
    for (uint64_t i = 0; i < blocks; i++, p += k->bytes, dst += k->weights) {
        if (t->type == GGUF_Q8_0) q8_0(p, dst);
        else if (t->type == GGUF_Q4_0) q4_0(p, dst);
        else if (t->type == GGUF_Q4_K) q4_k(p, dst);
        else q6_k(p, dst);
    }
}
