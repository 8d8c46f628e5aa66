#include "lineage/heads.h"

#include <string.h>

#include "base/mem.h"

enum { CHUNK = 1 << 25, MOST_GRAM = 1 << 23 };    /* values: read at once; of a role's Gram matrices */

/* false: they are not known. */
static bool heads_of(struct heads *h, const struct view *v, const struct layer_view *l)
{
    const struct slice *s = l->attn;
    for (int r = 0; r < ATTN_ROLES; r++)
        if (!s[r].t)
            return false;
    if (v->n_head < 1 || s[ROLE_Q].units != s[ROLE_O].units || s[ROLE_K].units != s[ROLE_V].units ||
        s[ROLE_Q].units % v->n_head)
        return false;
    h->q = v->n_head;
    h->size = s[ROLE_Q].units / h->q;
    h->kv = s[ROLE_K].units / h->size;
    return h->size >= HEAD_MIN_SIZE && h->size <= HEAD_MAX_SIZE && h->size <= MOST_GRAM / s[ROLE_Q].units &&
           h->kv && s[ROLE_K].units % h->size == 0 && h->q % h->kv == 0;
}

int heads_choose(int layer[VIEW_MAX_LAYERS], struct heads *h, const struct view *v)
{
    int n = 0;
    struct heads other;
    for (int l = 0; l < v->n_layer; l++)
        if (heads_of(n ? &other : h, v, &v->layer[l]) && (n == 0 || memcmp(&other, h, sizeof other) == 0))
            layer[n++] = l;
    int keep = n && h->q <= HEAD_MAX_HEADS ? HEAD_MAX_HEADS / h->q : 0;
    for (int i = 0; i < keep && keep < n; i++)
        layer[i] = layer[(int)((int64_t)i * n / keep)];
    return keep < n ? keep : n;
}

int head_grams_init(struct head_grams *g, const struct view *v, const struct heads *h, int threads, struct err *e)
{
    bool room = true;
    *g = (struct head_grams){.v = v, .h = *h, .threads = threads};
    for (int r = 0; r < ATTN_ROLES; r++) {
        int n = r == ROLE_Q || r == ROLE_O ? h->q : h->kv;
        g->gram[r] = mem_new((size_t)n, (size_t)h->size * (size_t)h->size * sizeof(double));
        room = room && g->gram[r];
    }
    g->gain = mem_new((size_t)v->d_model, sizeof *g->gain);
    return room && g->gain ? 0 : err_set(e, ERR_NOMEM, "%s: out of memory for %d heads of %d", v->path, h->q, h->size);
}

void head_grams_release(struct head_grams *g)
{
    for (int r = 0; r < ATTN_ROLES; r++)
        mem_free(g->gram[r]);
    mem_free(g->gain);
    *g = (struct head_grams){0};
}

const double *head_gram(const struct head_grams *g, enum role r, int i)
{
    int at = r == ROLE_Q || r == ROLE_O ? i : i / (g->h.q / g->h.kv);
    return g->gram[r] + (size_t)at * (size_t)g->h.size * (size_t)g->h.size;
}

/* In four sums, so that no order of addition is left to the compiler. */
static double dot(const float *a, const float *b, int d)
{
    double s[4] = {0};
    int k = 0;
    for (; k + 4 <= d; k += 4)
        for (int i = 0; i < 4; i++)
            s[i] += (double)a[k + i] * b[k + i];
    for (; k < d; k++)
        s[0] += (double)a[k] * b[k];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static void gram(double *g, const float *a, int size, int d)
{
    for (int i = 0; i < size; i++)
        for (int j = 0; j <= i; j++)
            g[i * size + j] = dot(a + (size_t)i * (size_t)d, a + (size_t)j * (size_t)d, d);
}

static void fold(float *w, int units, int d, const float *gain)
{
    for (int u = 0; u < units; u++)
        for (int i = 0; i < d; i++)
            w[(size_t)u * (size_t)d + (size_t)i] *= gain[i];
}

/* All heads of one projection, some at a time; gain == NULL: none. */
static int read_role(struct head_grams *g, double *to, const struct slice *s, const float *gain, struct err *e)
{
    const int d = g->v->d_model, size = g->h.size, n = s->units / size, room = CHUNK / size / d;
    int rc = 0, step = room < 1 ? 1 : room < n ? room : n;
    float *w = mem_new((size_t)step * (size_t)size, (size_t)d * sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, "%s: tensor \"%s\": out of memory", g->v->path, s->t->name);
    for (int first = 0; first < n && rc == 0; first += step) {
        struct slice part = *s;
        int some = n - first < step ? n - first : step;
        part.skip += first * size;
        part.units = some * size;
        rc = slice_read(w, &part, d, NULL, 0, e);
        if (rc)
            break;
        if (gain)
            fold(w, part.units, d, gain);
#pragma omp parallel for schedule(static) num_threads(g->threads)
        for (int i = 0; i < some; i++)
            gram(to + (size_t)(first + i) * (size_t)(size * size), w + (size_t)i * (size_t)size * (size_t)d, size, d);
    }
    mem_free(w);
    weight_drop(s->t);
    return rc;
}

int head_grams_read(struct head_grams *g, const struct layer_view *l, struct err *e)
{
    const float *gain = l->norm[0] ? g->gain : NULL;
    if (gain)
        weight_row(l->norm[0], 0, g->gain);
    for (int i = 0; gain && g->v->gain_plus_one && i < g->v->d_model; i++)
        g->gain[i] += 1;
    int rc = 0;
    for (int r = 0; r < ATTN_ROLES && rc == 0; r++)
        rc = read_role(g, g->gram[r], &l->attn[r], r == ROLE_O ? NULL : gain, e);
    return rc;
}
