#include "train/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/store.h"
#include "train/bounds.h"
#include "train/leaves.h"
#include "train/state.h"
#include "train/state_layout.h"

/* ---- which segments ---- */

static void choose(struct replay_choice *c, uint64_t k)
{
    if (k < c->n && !c->chosen[k]) {
        c->chosen[k] = true;
        c->k++;
    }
}

/* The three segments that stand out most among their neighbours. */
static int choose_outliers(struct replay_choice *c, const struct logbook *b, struct err *e)
{
    struct param_table t;
    double *ratio = mem_new((size_t)c->n + 1, sizeof *ratio);
    int rc = param_table_new(&t, &b->config.model, e);
    if (rc == 0 && !ratio)
        rc = err_set(e, ERR_NOMEM, "no memory for %" PRIu64 " segments", c->n);
    for (uint64_t k = 0; rc == 0 && k < c->n; k++)
        if (b->segment[k].n_drift != (uint64_t)t.n)
            rc = err_set(e, ERR_FORMAT, "%s: SEGMENT %" PRIu64 " tells of %" PRIu64 " tensors, the model has %d",
                         b->ledger.path, k, b->segment[k].n_drift, t.n);
    if (rc == 0)
        rc = bounds_ratios(ratio, b, &t, e);
    for (int i = 0; rc == 0 && i < 3 && (uint64_t)i < c->n; i++) {
        uint64_t best = 0;
        for (uint64_t k = 1; k < c->n; k++)
            if (ratio[k] > ratio[best])
                best = k;
        choose(c, best);
        ratio[best] = -1;
    }
    mem_free(ratio);
    param_table_release(&t);
    return rc;
}

static void choose_events(struct replay_choice *c, const struct logbook *b)
{
    for (uint64_t i = 0; i < b->n_events; i++) {
        uint64_t k = b->event[i].step / (uint64_t)b->config.segment_steps;
        choose(c, k);
        if (k > 0)
            choose(c, k - 1);
    }
}

/* Without replacement: a number that was drawn before is drawn again. */
static int choose_random(struct replay_choice *c, const struct logbook *b, uint64_t k, const char *nonce,
                         struct err *e)
{
    const struct digest *root = b->has_final ? &b->final.root : &b->segment[c->n - 1].after;
    bool *drawn = mem_new((size_t)c->n, sizeof *drawn);
    if (!drawn)
        return err_set(e, ERR_NOMEM, "no memory for %" PRIu64 " segments", c->n);
    for (uint64_t i = 0, counter = 0; i < k; counter++) {
        struct sha256 *h = sha256_new();
        uint8_t count[8];
        uint64_t v = 0;
        if (!h) {
            mem_free(drawn);
            return err_set(e, ERR_NOMEM, "replay: out of memory");
        }
        for (int j = 0; j < 8; j++)
            count[j] = (uint8_t)(counter >> (8 * j));
        sha256_add(h, "replay", 6);
        sha256_add(h, nonce, strlen(nonce));
        sha256_add(h, root->b, sizeof root->b);
        sha256_add(h, count, sizeof count);
        struct digest d = sha256_end(&h);
        for (int j = 0; j < 8; j++)
            v = v << 8 | d.b[j];
        if (drawn[v % c->n])
            continue;
        drawn[v % c->n] = true;
        choose(c, v % c->n);
        i++;
    }
    mem_free(drawn);
    c->drawn = k > c->drawn ? k : c->drawn;   /* one nonce draws alike each time: a second list adds none */
    return 0;
}

static int choose_word(struct replay_choice *c, const struct logbook *b, const char *word, const char *nonce,
                       struct err *e)
{
    char *end = NULL;
    unsigned long long v;
    if (strcmp(word, "last") == 0)
        return choose(c, c->n - 1), 0;
    if (strcmp(word, "outliers") == 0)
        return choose_outliers(c, b, e);
    if (strcmp(word, "all") == 0) {
        for (uint64_t k = 0; k < c->n; k++)
            choose(c, k);
        return 0;
    }
    bool random = strncmp(word, "random:", 7) == 0;
    const char *digits = random ? word + 7 : word;
    v = strtoull(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end)
        return err_set(e, ERR_USAGE, "--segments has \"%.40s\", expected numbers, last, outliers, random:K or all",
                       word);
    if (!random && v >= c->n)
        return err_set(e, ERR_VALUE, "--segments has %llu, the ledger tells of segments 0 to %" PRIu64, v, c->n - 1);
    if (!random)
        return choose(c, v), 0;
    if (!nonce)
        return err_set(e, ERR_USAGE, "--segments random:%llu needs --nonce: a value that became public after FINAL", v);
    if (v > c->n)
        v = c->n;
    int rc = choose_random(c, b, v, nonce, e);
    if (rc == 0)
        rc = choose_outliers(c, b, e);
    choose(c, 0);
    choose(c, c->n - 1);
    choose_events(c, b);
    return rc;
}

int replay_choose(struct replay_choice *c, const struct logbook *b, const char *list, const char *nonce,
                  struct err *e)
{
    char word[64];
    int rc = 0;
    *c = (struct replay_choice){.n = b->n_segments};
    if (c->n == 0)
        return err_set(e, ERR_VALUE, "%s: tells of no segment", b->ledger.path);
    c->chosen = mem_new((size_t)c->n, sizeof *c->chosen);
    if (!c->chosen)
        return err_set(e, ERR_NOMEM, "no memory for %" PRIu64 " segments", c->n);
    for (const char *p = list; rc == 0; p++) {
        size_t n = strcspn(p, ",");
        if (n == 0 || n >= sizeof word)
            rc = err_set(e, ERR_USAGE, "--segments %.60s: expected numbers, last, outliers, random:K or all", list);
        else {
            memcpy(word, p, n);
            word[n] = 0;
            rc = choose_word(c, b, word, nonce, e);
        }
        p += n;
        if (!*p)
            break;
    }
    if (rc)
        replay_choice_release(c);
    return rc;
}

void replay_choice_release(struct replay_choice *c)
{
    mem_free(c->chosen);
    mem_free(c->trained);
    *c = (struct replay_choice){0};
}

double replay_detection(uint64_t n, uint64_t c, uint64_t k)
{
    double missed = 1;   /* C(n−c, k) / C(n, k) */
    if (k > n - c)
        return 1;
    for (uint64_t i = 0; i < k; i++)
        missed *= (double)(n - c - i) / (double)(n - i);
    return 1 - missed;
}

/* ---- training again ---- */

/* Where a saved state of that step may lie; false: it is not there. */
static bool state_path(struct buf *path, const char *dir, uint64_t step)
{
    char name[48];
    struct err e;
    snprintf(name, sizeof name, "states/step-%08" PRIu64 ".safetensors", step);
    return file_join(path, dir, name, &e) == 0 && file_exists(path->p);
}

/* The state the ledger tells of at a step, from a file; false when there is none or it is another. */
static bool load_at(struct trainer *t, const struct logbook *b, const char *dir, uint64_t k)
{
    struct buf path = {0};
    struct digest root;
    struct err e;
    uint64_t step = b->segment[k].from;
    bool good = state_path(&path, dir, step);
    if (!good && !b->has_final)   /* a finished run's state begins no segment, another's one at most */
        good = file_join(&path, dir, "state/state.safetensors", &e) == 0 && state_step(path.p) == (int64_t)step;
    good = good && trainer_load(t, path.p, &e) == 0 && (uint64_t)trainer_step_done(t) == step &&
           trainer_root(t, &root, &e) == 0 && memcmp(root.b, b->segment[k].before.b, sizeof root.b) == 0;
    buf_release(&path);
    return good;
}

/* The segment to begin at so that segment k can be reached: the nearest one whose first state lies in a file, or 0. */
static uint64_t begin_before(struct trainer *t, const struct logbook *b, const char *dir, uint64_t k, uint64_t least)
{
    for (uint64_t i = k; i > least; i--)
        if (load_at(t, b, dir, i))
            return i;
    return least;
}

static uint64_t count_kept(const struct logbook *b, const char *dir)
{
    struct buf path = {0};
    uint64_t n = 0;
    for (uint64_t k = 1; k < b->n_segments; k++)
        n += state_path(&path, dir, b->segment[k].from);
    buf_release(&path);
    return n;
}

static int check_shape(struct trainer *t, const struct logbook *b, struct err *e)
{
    uint64_t n = (uint64_t)trainer_params(t)->n;
    for (uint64_t k = 0; k < b->n_segments; k++) {
        const struct segment *s = &b->segment[k];
        uint64_t from = k * (uint64_t)b->config.segment_steps;
        if (s->index != k || s->from != from || from >= (uint64_t)b->config.schedule.steps ||
            s->to != (uint64_t)run_segment_end(&b->config, (int64_t)from) || s->n_drift != n)
            return err_set(e, ERR_FORMAT, "%s: SEGMENT %" PRIu64 " is not the one planned there", b->ledger.path, k);
    }
    return 0;
}

int replay_plan(struct replay_choice *c, struct trainer *t, const struct logbook *b, const char *dir, struct err *e)
{
    uint64_t at = 0;
    int rc = check_shape(t, b, e);
    if (rc)
        return rc;
    c->trained = mem_new((size_t)c->n + 1, sizeof *c->trained);
    if (!c->trained)
        return err_set(e, ERR_NOMEM, "no memory for %" PRIu64 " segments", c->n);
    for (uint64_t k = 0; k < c->n; k++) {
        if (!c->chosen[k])
            continue;
        for (uint64_t i = begin_before(t, b, dir, k, at); i <= k; i++)
            c->trained[i] = true;
        at = k + 1;
    }
    for (uint64_t k = 0; k < c->n; k++)
        if (c->trained[k]) {
            c->train++;
            c->steps += b->segment[k].to - b->segment[k].from;
        }
    c->kept = count_kept(b, dir);
    return 0;
}

int replay_check_model(const struct logbook *b, const char *dir, struct err *e)
{
    struct param_table t = {0};
    struct buf path = {0};
    int rc = file_join(&path, dir, "model.safetensors", e);
    if (rc == 0 && file_exists(path.p)) {
        rc = param_table_new(&t, &b->config.model, e);
        if (rc == 0)
            rc = model_check_weights(dir, &b->config.model, &t, e);
        param_table_release(&t);
    }
    buf_release(&path);
    return rc;
}

struct replayer {
    struct replay_result *r;
    struct trainer *t;
    const struct logbook *b;
    const struct replay_opts *o;
    struct drift *drift;
    uint64_t done;               /* steps */
};

/* Where the saved end of the segment, if it is here, differs from what came out. */
static bool name_element(struct replayer *p, const struct segment *s, char *place)
{
    struct buf path = {0};
    struct err e;
    bool there = state_path(&path, p->o->dir, s->to);
    if (!there)
        there = file_join(&path, p->o->dir, "state/state.safetensors", &e) == 0 && file_exists(path.p) &&
                s->to == (uint64_t)p->b->config.schedule.steps;
    bool named = there && trainer_compare(p->t, path.p, place, &e) == 0 && place[0];
    buf_release(&path);
    return named;
}

/* The first chunk in which the end that the ledger tells of differs, by the hashes that lie beside it. */
static bool name_chunk(struct replayer *p, const struct segment *s, char *place, size_t size)
{
    uint64_t n = trainer_chunks(p->t), i = 0, differ = 0;
    struct digest *said = mem_new(2 * (size_t)n, sizeof *said), *mine = said ? said + n : NULL;
    struct state_layout l = {0};
    struct buf path = {0};
    struct err e;
    bool named = said && file_join(&path, p->o->dir, "ledger.leaves", &e) == 0 &&
                 leaves_get(said, n, path.p, s->index, &s->after) && trainer_leaves(p->t, mine, &e) == 0 &&
                 state_layout_new(&l, &p->b->config, &e) == 0;
    for (uint64_t k = n; named && k-- > 0;)
        if (memcmp(&said[k], &mine[k], sizeof *said) != 0) {
            i = k;
            differ++;
        }
    named = named && differ > 0;
    if (named) {
        state_chunk_name(place, size, &l, i);
        size_t at = strlen(place);
        if (differ > 1)
            snprintf(place + at, size - at, " (%" PRIu64 " differ)", differ);
    }
    state_layout_release(&l);
    buf_release(&path);
    mem_free(said);
    return named;
}

static void differ(struct replayer *p, const struct segment *s, uint64_t step, const char *what)
{
    struct replay_result *r = p->r;
    if (r->differs)
        return;
    char place[TRAINER_PLACE + 128] = "";
    r->differs = true;
    r->segment = s->index;
    r->step = step;
    bool named = name_element(p, s, place) || name_chunk(p, s, place, sizeof place);
    snprintf(r->what, sizeof r->what, "%s%s%s", what, named ? "; its state differs first in " : "", named ? place : "");
}

/* The end of a segment against its record. */
static int compare_end(struct replayer *p, const struct segment *s, uint64_t first, struct err *e)
{
    const struct param_table *table = trainer_params(p->t);
    struct digest root;
    char what[200];
    int rc = trainer_root(p->t, &root, e);
    if (rc)
        return rc;
    trainer_drift(p->t, p->drift);
    if (first)
        differ(p, s, first, "the loss or the gradient's norm is another");
    for (int i = 0; i < table->n && (uint64_t)i < s->n_drift && !p->r->differs; i++)
        if (memcmp(&p->drift[i], &s->drift[i], sizeof *p->drift) != 0) {
            snprintf(what, sizeof what, "%s moved otherwise", table->p[i].name);
            differ(p, s, s->to, what);
        }
    if (memcmp(root.b, s->after.b, sizeof root.b) != 0)
        differ(p, s, s->to, "the state root is another");
    return 0;
}

/* The model file is what the whole run comes down to: nothing else ties it to FINAL's root when the state is gone. */
static void compare_model(struct replayer *p, const struct segment *s)
{
    struct buf path = {0};
    struct err e;
    const char *other = NULL;
    char what[TRAINER_PLACE];
    if (p->r->differs || !p->b->has_final || s->to != (uint64_t)p->b->config.schedule.steps)
        return;
    bool there = file_join(&path, p->o->dir, "model.safetensors", &e) == 0 && file_exists(path.p);
    if (there && trainer_compare_model(p->t, p->o->dir, &other, &e) != 0)
        differ(p, s, s->to, e.msg);
    snprintf(what, sizeof what, "model.safetensors has another %s", other ? other : "");
    if (other)
        differ(p, s, s->to, what);
    buf_release(&path);
}

static int train_segment(struct replayer *p, uint64_t k, struct err *e)
{
    const struct segment *s = &p->b->segment[k];
    struct step_report r;
    uint64_t first = 0;          /* the first step that differs */
    for (uint64_t i = s->from; i < s->to; i++) {
        int rc = trainer_step(p->t, &r, e);
        if (rc)
            return rc;
        uint64_t j = i - s->from;
        if (!first && (memcmp(&r.loss, &s->loss[j], sizeof r.loss) != 0 ||
                       memcmp(&r.grad_norm, &s->grad_norm[j], sizeof r.grad_norm) != 0))
            first = i + 1;
        if (p->o->on_step)
            p->o->on_step(p->o->user, ++p->done, p->o->choice->steps);
        if (p->o->stop && p->o->stop(p->o->user))
            return err_set(e, ERR_STOPPED, "stopped in segment %" PRIu64, k);
    }
    int rc = compare_end(p, s, first, e);
    if (rc == 0)
        compare_model(p, s);
    return rc;
}

int replay_run(struct replay_result *r, struct trainer *t, const struct logbook *b, const struct replay_opts *o,
               struct err *e)
{
    struct replayer p = {.r = r, .t = t, .b = b, .o = o};
    bool joined = false;         /* the trainer stands at the segment's beginning */
    p.drift = mem_new((size_t)trainer_params(t)->n, sizeof *p.drift);
    *r = (struct replay_result){.segments = o->choice->k};
    int rc = p.drift ? 0 : err_set(e, ERR_NOMEM, "replay: out of memory");
    for (uint64_t k = 0; k < b->n_segments && rc == 0 && !r->differs; k++) {
        if (!o->choice->trained[k]) {
            joined = false;
            continue;
        }
        if (!joined && k == 0)
            trainer_init(t);
        else if (!joined && !load_at(t, b, o->dir, k))
            rc = err_set(e, ERR_IO, "%s: the state before segment %" PRIu64 " is gone", o->dir, k);
        if (rc == 0)
            rc = train_segment(&p, k, e);
        joined = true;
        r->same += rc == 0 && !r->differs;
        r->matched += rc == 0 && !r->differs && o->choice->chosen[k];
    }
    mem_free(p.drift);
    return rc;
}
