#include "train/trainer.h"

#include <assert.h>
#include <inttypes.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/net.h"
#include "model/store.h"
#include "train/state.h"

enum { MAX_TREE = 17, MICRO_TOKENS = 8192 };

static const double ln2 = 0x1.62e42fefa39efp-1;

struct trainer {
    const struct nn *x;
    struct run_config c;
    const struct tokens *tokens;
    const uint8_t *token_bytes, *token_chars;
    struct param_table table;
    struct net *net;
    struct optim optim;
    struct train_state state;
    struct trainer_plan plan;
    real *w, *before;              /* weights, and those at the last trainer_drift */
    real *grad[MAX_TREE];          /* partial sums of the worker tree, one more than its height */
    int n_grad;
    int *tok, *pos, *target;       /* the global batch, or one evaluation micro-batch */
    real *loss;
    int64_t batch_max;             /* tokens those arrays hold */
};

/* ---- memory ---- */

static int tree_buffers(int workers)
{
    int n = 1;
    for (; workers > 1; workers /= 2)
        n++;
    return n;
}

/* What the process holds before the run: its own memory (freed pages given back first, so that the figure repeats),
 * program and libraries, and the packing space of ops, which is touched in huge pages as it is needed. */
static uint64_t resident_now(const struct nn *x)
{
    enum { PROGRAM = 16 << 20, SPACE_PER_THREAD = 6 << 20 };
    unsigned long long pages = 0, of_files = 0, all = 0;
    malloc_trim(0);
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%llu %llu %llu", &all, &pages, &of_files) != 3)
            pages = of_files = 0;
        fclose(f);
    }
    return (pages - of_files) * (uint64_t)sysconf(_SC_PAGESIZE) + PROGRAM + (uint64_t)x->threads * SPACE_PER_THREAD;
}

/* Token shards are mapped: a row brings in the pages around it (64 KiB with Linux' fault-around), until all are. */
static uint64_t mapped_bytes(const struct trainer *t)
{
    uint64_t width = t->c.model.vocab <= 65536 ? 2 : 4, row = (uint64_t)t->c.seq * width + (64 << 10);
    uint64_t all = (tokens_count(t->tokens, TOKENS_TRAIN) + tokens_count(t->tokens, TOKENS_HELDOUT)) * width;
    uint64_t touched = (uint64_t)t->c.schedule.steps;
    bool beyond = __builtin_mul_overflow(touched, (uint64_t)run_batch_rows(&t->c), &touched) ||
                  __builtin_mul_overflow(touched, row, &touched);
    return !beyond && touched < all ? touched : all;
}

static uint64_t fixed_bytes(const struct trainer *t)
{
    uint64_t flat = t->table.total * sizeof(real);
    return flat * (2 + (uint64_t)t->n_grad) + optim_bytes(t->x, &t->table, &t->c.optim) +
           mapped_bytes(t) + (uint64_t)t->batch_max * (3 * sizeof(int) + sizeof(real));
}

static struct net_opts net_options(const struct trainer *t, int rows, bool checkpoint)
{
    return (struct net_opts){.max_rows = rows * t->c.seq, .max_len = t->c.seq, .checkpoint = checkpoint,
                             .i8 = t->c.profile == PROFILE_T2, .backward = true};
}

/* As --memory takes it, rounded up: what is said to be needed is enough. */
static void size_text(char out[24], uint64_t bytes)
{
    static const char unit[] = "KMG";
    double v = (double)bytes / 1024;
    int u = 0;
    for (; u < 2 && v >= 1024; u++)
        v /= 1024;
    if (bytes < 1024)
        snprintf(out, 24, "%d bytes", (int)bytes);
    else
        snprintf(out, 24, "%.2f%c", ceil(100 * v) / 100, unit[u]);
}

/* The largest micro-batch that fits, evened out over the worker's share; checkpointing only when a single
 * sequence would not fit without. */
static int choose_micro(struct trainer *t, int64_t memory, bool is_machine, struct err *e)
{
    int share = (int)(run_batch_rows(&t->c) / t->c.workers);
    int most = MICRO_TOKENS / t->c.seq > 1 ? MICRO_TOKENS / t->c.seq : 1;
    uint64_t fixed = resident_now(t->x) + fixed_bytes(t), need = 0;
    if (most > share)
        most = share;
    for (int checkpoint = 0; checkpoint < 2; checkpoint++)
        for (int rows = most; rows >= 1; rows--) {
            struct net_opts o = net_options(t, rows, checkpoint);
            need = fixed + net_bytes(t->x, &t->c.model, &o);
            if (memory > 0 && need > (uint64_t)memory)
                continue;
            int passes = (share + rows - 1) / rows;
            rows = (share + passes - 1) / passes;
            o = net_options(t, rows, checkpoint);
            t->plan = (struct trainer_plan){rows, checkpoint, fixed + net_bytes(t->x, &t->c.model, &o)};
            return 0;
        }
    char given[24], needed[24];
    size_text(given, (uint64_t)memory);
    size_text(needed, need);
    return err_set(e, ERR_LIMIT,
                   is_machine ? "this machine has %s of memory, and one sequence of %d tokens needs %s even when "
                                "activations are computed again"
                              : "--memory %s: one sequence of %d tokens needs %s even when activations are computed "
                                "again", given, t->c.seq, needed);
}

static int take_memory(struct trainer *t, struct err *e)
{
    size_t flat = t->table.total * sizeof(real);
    t->w = mem_map(flat);
    t->before = mem_map(flat);
    bool ok = t->w && t->before;
    for (int i = 0; i < t->n_grad; i++) {
        t->grad[i] = mem_map(flat);
        ok = ok && t->grad[i];
    }
    size_t n = (size_t)t->batch_max;
    t->tok = mem_new(n, sizeof(int));
    t->pos = mem_new(n, sizeof(int));
    t->target = mem_new(n, sizeof(int));
    t->loss = mem_new(n, sizeof(real));
    if (!ok || !t->tok || !t->pos || !t->target || !t->loss)
        return err_set(e, ERR_NOMEM, "no memory for weights and gradients of %zu parameters", t->table.total);
    return 0;
}

int trainer_new(struct trainer **out, const struct trainer_args *a, struct err *e)
{
    struct trainer *t = mem_new(1, sizeof *t);
    *out = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "trainer: out of memory");
    t->x = a->x;
    t->c = *a->config;
    t->tokens = a->tokens;
    t->token_bytes = a->token_bytes;
    t->token_chars = a->token_chars;
    t->n_grad = tree_buffers(t->c.workers);
    t->batch_max = t->c.batch_tokens > MICRO_TOKENS + t->c.seq ? t->c.batch_tokens : MICRO_TOKENS + t->c.seq;
    int rc = 0;
    if (t->n_grad > MAX_TREE)
        rc = err_set(e, ERR_LIMIT, "--workers %d: at most %d", t->c.workers, 1 << (MAX_TREE - 1));
    if (rc == 0)
        rc = param_table_new(&t->table, &t->c.model, e);
    if (rc == 0)
        rc = choose_micro(t, a->memory, a->memory_is_machine, e);
    if (rc == 0)
        rc = take_memory(t, e);
    if (rc == 0)
        rc = optim_init(&t->optim, t->x, &t->table, &t->c.optim, e);
    if (rc == 0) {
        struct net_opts o = net_options(t, t->plan.micro_rows, t->plan.checkpoint);
        rc = net_new(&t->net, t->x, &t->c.model, &t->table, &o, e);
    }
    if (rc) {
        trainer_free(t);
        return rc;
    }
    t->state = (struct train_state){.table = &t->table, .w = t->w, .optim = &t->optim};
    *out = t;
    return 0;
}

void trainer_free(struct trainer *t)
{
    if (!t)
        return;
    size_t flat = t->table.total * sizeof(real);
    net_free(t->net);
    optim_release(&t->optim);
    mem_unmap(t->w, flat);
    mem_unmap(t->before, flat);
    for (int i = 0; i < t->n_grad && i < MAX_TREE; i++)
        mem_unmap(t->grad[i], flat);
    mem_free(t->tok);
    mem_free(t->pos);
    mem_free(t->target);
    mem_free(t->loss);
    param_table_release(&t->table);
    mem_free(t);
}

struct trainer_plan trainer_planned(const struct trainer *t) { return t->plan; }
const struct param_table *trainer_params(const struct trainer *t) { return &t->table; }
int64_t trainer_step_done(const struct trainer *t) { return t->state.step; }
int64_t trainer_sample(const struct trainer *t) { return t->state.sample; }

void trainer_drift(struct trainer *t, struct drift *d) { drift_measure(d, t->x, &t->table, t->w, t->before); }

int trainer_root(const struct trainer *t, struct digest *root, struct err *e)
{
    return state_root(root, t->x, &t->state, e);
}

uint64_t trainer_chunks(const struct trainer *t) { return state_chunks(&t->state); }

int trainer_leaves(const struct trainer *t, struct digest *leaf, struct err *e)
{
    return state_leaves(leaf, t->x, &t->state, e);
}

struct eval_report trainer_last_eval(const struct trainer *t)
{
    return (struct eval_report){.bits_per_byte = t->state.last_bpb, .bits_per_char = t->state.last_bpc,
                                .error = (double)NAN};
}

void trainer_init(struct trainer *t)
{
    params_init(&t->table, t->w, t->c.seed);
    memcpy(t->before, t->w, t->table.total * sizeof(real));
    op_zero(t->x, t->optim.m, t->optim.m_total * sizeof(real));
    op_zero(t->x, t->optim.v, t->optim.v_total * sizeof(real));
    t->state.step = t->state.sample = 0;
    t->state.last_bpb = t->state.last_bpc = (double)NAN;
}

void trainer_set_run(struct trainer *t, const struct run_config *c)
{
    assert(c->seq == t->c.seq && c->batch_tokens == t->c.batch_tokens && c->workers == t->c.workers &&
           c->profile == t->c.profile);
    t->c = *c;
}

/* ---- a step ---- */

/* Fills the batch arrays with the rows of this step; returns the number of targets. */
static int64_t load_batch(struct trainer *t)
{
    int64_t seq = run_seq_at(&t->c, t->state.step), n = 0;
    for (int64_t i = 0; i < t->c.batch_tokens / seq; i++) {
        struct run_row r = run_row_at(&t->c, t->state.step, i);
        uint64_t row = tokens_order(t->tokens, t->c.seq, t->c.seed, r.sample) * (uint64_t)(t->c.seq / seq) + r.piece;
        tokens_row(t->tokens, TOKENS_TRAIN, (int)seq, row, t->tok + i * seq, t->pos + i * seq, t->target + i * seq);
    }
    for (int64_t i = 0; i < t->c.batch_tokens; i++)
        n += t->target[i] >= 0;
    return n;
}

static struct batch slice(const struct trainer *t, int64_t at, int64_t n)
{
    return (struct batch){.n = (int)n, .tok = t->tok + at, .pos = t->pos + at, .target = t->target + at};
}

/* Gradient of one worker's share into g (zeroed first). */
static void worker_gradient(struct trainer *t, int worker, real *g, real scale)
{
    int64_t share = t->c.batch_tokens / t->c.workers, micro = (int64_t)t->plan.micro_rows * t->c.seq;
    op_zero(t->x, g, t->table.total * sizeof(real));
    for (int64_t at = 0; at < share; at += micro) {
        int64_t lo = worker * share + at, n = share - at < micro ? share - at : micro;
        struct batch b = slice(t, lo, n);
        net_step(t->net, t->w, g, &b, t->loss + lo, scale);
    }
    net_grad_end(t->net, g);
}

/* Workers in order; equal subtrees are added as soon as both exist, like carries of a binary counter. */
static const real *batch_gradient(struct trainer *t, real scale)
{
    int top = 0;
    for (int w = 0; w < t->c.workers; w++) {
        worker_gradient(t, w, t->grad[top], scale);
        for (int done = w + 1; !(done & 1); done >>= 1, top--)
            op_add(t->x, t->grad[top - 1], t->grad[top], t->table.total);
        top++;
    }
    return t->grad[0];
}

int trainer_step(struct trainer *t, struct step_report *r, struct err *e)
{
    int64_t targets = load_batch(t);
    const char *bad;
    real scale = (real)(1.0 / (double)(targets > 0 ? targets : 1));
    const real *g = batch_gradient(t, scale);
    double loss = op_sum(t->x, t->loss, (size_t)t->c.batch_tokens) / (double)(targets > 0 ? targets : 1);
    double norm = optim_grad_norm(t->x, &t->table, g, &bad);
    if (!(loss < (double)INFINITY))
        return err_set(e, ERR_NUMERIC, "step %" PRId64 ": the loss is not a number", t->state.step + 1);
    if (bad)
        return err_set(e, ERR_NUMERIC, "step %" PRId64 ": the gradient of %s is not finite", t->state.step + 1, bad);
    double factor = schedule_lr(&t->c.schedule, t->state.step);
    double mu = schedule_momentum(&t->c.schedule, t->state.step, t->c.optim.momentum);
    optim_step(t->x, &t->optim, t->w, g, t->state.step, factor, mu, norm);
    t->state.step++;
    t->state.sample += run_batch_rows(&t->c);
    *r = (struct step_report){t->state.step, t->state.step * t->c.batch_tokens, loss, t->c.optim.lr_matrix * factor,
                              norm};
    return 0;
}

/* ---- evaluation ---- */

int trainer_eval(struct trainer *t, int64_t tokens, struct eval_report *r, struct err *e)
{
    int64_t all = (int64_t)tokens_rows(t->tokens, TOKENS_HELDOUT, t->c.seq), want = tokens / t->c.seq;
    int64_t rows = all;
    int64_t seq = t->c.seq, micro = t->plan.micro_rows, bytes = 0, chars = 0, n = 0;
    double nats = 0, squares = 0;
    if (want < 1)
        want = 1;
    if (rows > want)
        rows = want;
    if (rows < 1)
        return err_set(
            e, ERR_VALUE,
            "the held-out text has fewer than %d tokens: give a shorter --seq, a larger --heldout or more text",
            t->c.seq);
    for (int64_t at = 0; at < rows; at += micro) {
        int64_t k = rows - at < micro ? rows - at : micro;
        for (int64_t i = 0; i < k; i++)
            tokens_row(t->tokens, TOKENS_HELDOUT, t->c.seq, (uint64_t)((at + i) * all / rows), t->tok + i * seq,
                       t->pos + i * seq, t->target + i * seq);
        /* <|eos|> and the like stand for no text: their bits are not the text's bits. */
        for (int64_t i = 0; i < k * seq; i++) {
            int id = t->target[i];
            if (id < 0 || t->token_bytes[id] == 0) {
                t->target[i] = -1;
                continue;
            }
            bytes += t->token_bytes[id];
            chars += t->token_chars[id];
            n++;
        }
        struct batch b = slice(t, 0, k * seq);
        net_forward(t->net, t->w, &b, t->loss, NULL);
        for (int64_t i = 0; i < k; i++)   /* one sum a row: does not depend on the micro-batch */
            nats += op_sum(t->x, t->loss + i * seq, (size_t)seq);
        for (int64_t i = 0; i < k * seq; i++)
            squares += t->target[i] < 0 ? 0 : (double)t->loss[i] * (double)t->loss[i];
    }
    double spread = n > 1 ? fmax(squares - nats * nats / (double)n, 0) / (double)(n - 1) : (double)NAN;
    *r = (struct eval_report){.tokens = n, .loss = nats / (double)(n > 0 ? n : 1),
                              .bits_per_byte = nats / ln2 / (double)(bytes > 0 ? bytes : 1),
                              .bits_per_char = nats / ln2 / (double)(chars > 0 ? chars : 1),
                              .error = sqrt(spread * (double)n) / ln2 / (double)(bytes > 0 ? bytes : 1)};
    t->state.last_bpb = r->bits_per_byte;
    t->state.last_bpc = r->bits_per_char;
    return 0;
}

/* ---- files ---- */

int trainer_save(struct trainer *t, const char *dir, uint64_t metrics_bytes, struct err *e)
{
    struct buf path = {0};
    struct digest root;
    /* The state last: a state on disk implies the model files of that step or a later one. */
    int rc = model_save(dir, &t->c.model, &t->table, t->w, e);
    t->state.metrics_bytes = metrics_bytes;
    if (rc == 0)
        rc = file_join(&path, dir, "state", e);
    if (rc == 0)
        rc = file_mkdir_p(path.p, e);
    if (rc == 0)
        rc = file_join(&path, dir, "state/state.safetensors", e);
    if (rc == 0)
        rc = state_save(t->x, &t->state, path.p, &root, e);
    buf_release(&path);
    return rc;
}

int trainer_keep(struct trainer *t, const char *dir, struct err *e)
{
    struct buf path = {0};
    struct digest root;
    char name[48];
    snprintf(name, sizeof name, "states/step-%08" PRId64 ".safetensors", t->state.step);
    int rc = file_join(&path, dir, "states", e);
    if (rc == 0)
        rc = file_mkdir_p(path.p, e);
    if (rc == 0)
        rc = file_join(&path, dir, name, e);
    if (rc == 0)
        rc = state_save(t->x, &t->state, path.p, &root, e);
    buf_release(&path);
    return rc;
}

int trainer_compare(const struct trainer *t, const char *path, char what[TRAINER_PLACE], struct err *e)
{
    return state_compare(&t->state, path, what, TRAINER_PLACE, e);
}

int trainer_compare_model(struct trainer *t, const char *dir, const char **differs, struct err *e)
{
    *differs = NULL;
    int rc = model_load_weights(dir, &t->c.model, &t->table, t->before, e);
    for (int i = 0; rc == 0 && i < t->table.n && !*differs; i++) {
        const struct param *p = &t->table.p[i];
        if (memcmp(t->before + p->offset, t->w + p->offset, p->n * sizeof(real)) != 0)
            *differs = p->name;
    }
    memcpy(t->before, t->w, t->table.total * sizeof(real));   /* as trainer_drift left it */
    return rc;
}

int trainer_load(struct trainer *t, const char *path, struct err *e)
{
    int rc = state_load(t->x, &t->state, path, e);
    if (rc == 0 && (t->state.step > t->c.schedule.steps ||
                    t->state.sample != t->state.step * run_batch_rows(&t->c)))
        rc = err_set(e, ERR_FORMAT,
                     "%s: step %" PRId64 " and sample %" PRId64 " do not belong to run.json's %" PRId64
                     " steps of %" PRId64 " rows",
                     path, t->state.step, t->state.sample, t->c.schedule.steps, run_batch_rows(&t->c));
    if (rc == 0)
        memcpy(t->before, t->w, t->table.total * sizeof(real));
    return rc;
}

int trainer_resume(struct trainer *t, const char *dir, uint64_t *metrics_bytes, struct err *e)
{
    struct buf path = {0};
    int rc = file_join(&path, dir, "state/state.safetensors", e);
    if (rc == 0)
        rc = trainer_load(t, path.p, e);
    *metrics_bytes = t->state.metrics_bytes;
    buf_release(&path);
    return rc;
}
