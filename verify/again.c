/* Training segments again. */
#include "verify/verify.h"

static struct again {
    struct ref_state s;
    struct ref_trainer *trainer;
    const struct run *r;
    const char *shard; /* formats/shard.h: where it is, its tokens, how many bytes each */
    const uint8_t *id;
    uint64_t width;
    float *before; /* weights at the segment's beginning */
    int *tok, *pos, *target;
} t;

static uint64_t number(const uint8_t *p, uint64_t bytes)
{
    uint64_t v = 0;
    while (bytes > 0) v = v << 8 | p[--bytes];
    return v;
}
static void shard_open(const struct run *r, const char *path)
{
    struct bytes b = map_file(path);
    if (b.n < 128 || memcmp(b.p, "DKTOKENS\1\0\0", 12) != 0) refuse("%s: is not a token shard of version 1", path);
    uint64_t n = number(b.p + 16, 8), width = number(b.p + 12, 4);
    if (n != r->train.train_tokens || number(b.p + 24, 8) != r->train_docs || memcmp(b.p + 32, r->corpus.b, 32) != 0 ||
        memcmp(b.p + 64, r->tokenizer.b, 32) != 0)
        refuse("%s: its tokens, documents, corpus or tokenizer are not those of GENESIS", path);
    if ((width != 2 && width != 4) || n > (b.n - 128) / width || n <= (uint64_t)r->train.seq)
        refuse("%s: %llu tokens of %llu bytes do not lie in it", path, N(n), N(width));
    t.shard = path, t.id = b.p + 128, t.width = width;
}
static int token(uint64_t i)
{
    uint64_t id = number(t.id + i * t.width, t.width);
    if (id >= (uint64_t)t.r->train.vocab) refuse("%s: token %llu is %llu, not in the vocabulary", t.shard, N(i), N(id));
    return (int)id;
}

/* Rows of this step; a document begins at each bos, and a target in the next one counts for nothing. */
static void step(double *loss, double *norm)
{
    const struct ref_run *r = &t.r->train;
    int64_t at_step = (int64_t)t.s.step, seq = ref_seq(r, at_step);
    for (int64_t i = 0; i < r->batch_tokens; i++) {
        uint64_t at = ref_row(r, at_step, i / seq) * (uint64_t)seq + (uint64_t)(i % seq);
        int next = token(at + 1);
        t.tok[i] = token(at);
        t.pos[i] = i % seq == 0 || t.tok[i] == t.r->bos ? 0 : t.pos[i - 1] + 1;
        t.target[i] = next == t.r->bos ? -1 : next;
    }
    if (!ref_step(t.trainer, t.tok, t.pos, t.target, loss, norm))
        refuse("step %llu: loss or gradient is not finite", N(t.s.step + 1));
}
static void again_new(const struct run *r, const char *dir)
{
    uint64_t batch = (uint64_t)r->train.batch_tokens;
    shard_open(r, join(dir, "tokens/train.tokens"));
    const char *model = join(dir, "model.safetensors");
    ref_state_plan(&t.s, &r->train, take);
    if (file_there(model) && !model_has_room(&t.s, model))
        refuse("%s: has not the %zu weights of GENESIS' shape", model, t.s.total);
    ref_state_new(&t.s, &r->train, take);
    t.r = r, t.trainer = ref_trainer_new(&t.s, take);
    t.before = take(t.s.total, sizeof(float)), t.target = take(batch, sizeof(int));
    t.tok = take(batch, sizeof(int)), t.pos = take(batch, sizeof(int));
}

/* ---- segments ---- */

static bool differs(struct replayed *d, const struct segment *g, uint64_t at, const char *what, const char *name)
{
    d->segment = g->index, d->step = at;
    snprintf(d->what, sizeof d->what, "%s%s", what, name);
    return true;
}
static bool moved_differs(struct replayed *d, const struct segment *g)
{
    for (const struct ref_tensor *x = t.s.t; x < t.s.t_end; x++) {
        size_t i = (size_t)(x - t.s.t);
        float *b = t.before + x->at, most = 0;
        for (size_t j = 0; j < x->n; j++) {
            b[j] = t.s.w[x->at + j] - b[j];
            most = fabsf(b[j]) > most ? fabsf(b[j]) : most;
        }
        double moved[2] = {sqrt(ref_sum(b, x->n, true) / (double)x->n), (double)most};
        if (i >= g->tensors || memcmp(moved, g->moved + 2 * i, sizeof moved) != 0)
            return differs(d, g, g->to, "movement of ", x->name);
    }
    return false;
}
static bool segment_differs(struct replayed *d, const struct segment *g)
{
    struct digest root = state_root(&t.s);
    memcpy(t.before, t.s.w, t.s.total * sizeof(float));
    if (!same_digest(&root, &g->before)) return differs(d, g, g->from, "state root before", "");
    for (uint64_t i = 0; i < g->to - g->from; i++) {
        double loss, norm;
        step(&loss, &norm);
        if (memcmp(&loss, &g->loss[i], sizeof loss) != 0) return differs(d, g, g->from + i + 1, "loss", "");
        if (memcmp(&norm, &g->grad_norm[i], sizeof norm) != 0) return differs(d, g, g->from + i + 1, "grad_norm", "");
    }
    root = state_root(&t.s);
    return same_digest(&root, &g->after) ? moved_differs(d, g) : differs(d, g, g->to, "state root after", "");
}
static void choose(bool *wanted, uint64_t n, const char *list)
{
    for (size_t len; *list; list += len + (list[len] == ',')) {
        char *end = NULL;
        len = strcspn(list, ",");
        bool all = len == 3 && memcmp(list, "all", 3) == 0, last = len == 4 && memcmp(list, "last", 4) == 0;
        uint64_t k = all || last ? n - 1 : *list >= '0' && *list <= '9' ? strtoull(list, &end, 10) : n;
        if (k >= n || (end && end != list + len))
            refuse("--replay %s: expected numbers of the %llu segments, last or all, with commas", list, N(n));
        for (uint64_t i = all ? 0 : k; i <= k; i++) wanted[i] = true;
    }
}
static void resume(void *path) { state_load(&t.s, path); }

/* What FINAL is of; nothing else ties the model to its root when the state is gone. */
static bool model_differs(struct replayed *d, const struct story *s, const struct segment *g, const char *dir)
{
    const char *path = join(dir, "model.safetensors");
    if (!s->has[FINAL] || g->to != (uint64_t)s->r.train.steps || !file_there(path)) return false;
    model_load(&t.s, t.before, path);
    for (const struct ref_tensor *x = t.s.t; x < t.s.t_end; x++)
        if (memcmp(t.before + x->at, t.s.w + x->at, x->n * sizeof(float)) != 0)
            return differs(d, g, g->to, "model.safetensors: ", x->name);
    return false;
}

/* From INIT, or from the latest saved state that a segment up to the first wanted one begins with. */
void replay(struct replayed *out, const struct story *s, const char *dir, const char *list)
{
    bool *wanted = take(s->n_segments + 1, sizeof *wanted);
    uint64_t last = 0, first = 0, from = 0;
    for (uint64_t i = 0; i < s->n_segments; i++) /* others would show nothing */
        if (!segment_planned(s, i)) refuse("SEGMENT %llu has other steps", N(i));
    choose(wanted, s->n_segments, list);
    for (uint64_t i = 0; i < s->n_segments; i++) {
        if (wanted[i] && out->segments++ == 0) first = i;
        if (wanted[i]) last = i;
    }
    again_new(&s->r, dir);
    bool have = attempt(resume, (void *)(uintptr_t)join(dir, "state/state.safetensors"));
    struct digest root = state_root(&t.s);
    for (uint64_t i = first; i > 0 && from == 0; i--) {
        char name[64];
        snprintf(name, sizeof name, "states/step-%08llu.safetensors", N(s->segment[i].from));
        const char *path = join(dir, name);
        if (have && same_digest(&root, &s->segment[i].before)) from = i;
        if (from || !file_there(path)) continue;
        have = attempt(resume, (void *)(uintptr_t)path);
        root = state_root(&t.s);
        if (have && same_digest(&root, &s->segment[i].before)) from = i;
    }
    if (from == 0) ref_state_first(&t.s);
    for (uint64_t i = from; i <= last && out->segments; i++) {
        if (segment_differs(out, &s->segment[i]) || model_differs(out, s, &s->segment[i], dir)) return;
        out->matched += wanted[i];
        fprintf(stderr, "segment %llu: the same\n", N(i));
    }
}
