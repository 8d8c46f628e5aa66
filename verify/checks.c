/* The checks of docs/ledger.md in its order; those of movement are motion.c's. */
#include "verify/verify.h"

static const char *const selftest[] = {"5e906e106cc2e7c07d78fb85145d300ceb747370c756409742706a67c19088ae", /* T1, T2 */
                                       "2f04841674e3baa6f0bc02782cc83d762d867f1319121f61811a47087ac72c72"};
static const double NONE = (double)NAN;

void say(struct audit *a, enum result r, double figure, const char *fmt, ...)
{
    struct check *c = &a->check[a->n];
    va_list ap;
    va_start(ap, fmt);
    c->result = r, c->figure = figure;
    vsnprintf(c->detail, sizeof c->detail, fmt, ap);
    va_end(ap);
}
static void chain(struct audit *a)
{
    const char *path = join(a->asked->run, "ledger.bin");
    a->s = take(1, sizeof *a->s);
    a->given = true;
    map_file(path);
    a->given = false;
    story_read(a->s, path);
    say(a, PASS, (double)a->s->l.n_records, "%llu record%s, each with the hash of the one before",
        N(a->s->l.n_records), S(a->s->l.n_records));
}
static void signatures(struct audit *a)
{
    const struct ledger *l = &a->s->l;
    uint64_t n = a->covered = ledger_signed(l, a->s->r.key.b), notes = l->n_entries - l->n_records;
    if (n + 1 < l->n_records) refuse("only %llu of %llu records are signed for", N(n), N(l->n_records));
    say(a, UNDECIDED, (double)n, "the last record is not signed for: the run was stopped there, or the rest cut off");
    if (n == l->n_records) say(a, PASS, (double)notes, "%llu checkpoint%s by the key of GENESIS", N(notes), S(notes));
}
static void lodged(struct audit *a)
{
    char hex[65];
    hex_of(hex, &a->s->l.genesis);
    a->lodged = a->asked->genesis && strcmp(a->asked->genesis, hex) == 0;
    say(a, a->lodged ? PASS : UNDECIDED, NONE, "GENESIS is %s", hex);
    if (a->asked->genesis && !a->lodged) refuse("GENESIS is %s, not the one lodged", hex);
}
static void witnessed(struct audit *a)
{
    const struct ledger *l = &a->s->l;
    struct digest said, root;
    say(a, UNDECIDED, NONE, "no checkpoint that someone kept was given");
    if (!a->asked->checkpoint) return;
    a->given = true;
    struct bytes note = map_file(a->asked->checkpoint);
    if (note.n < 10 || memcmp(note.p, "dokja-run/", 10) != 0 || !memmem(note.p, note.n, "\n\n\xe2\x80\x94 ", 6))
        refuse("%s: is not a signed checkpoint of a run", a->asked->checkpoint);
    a->given = false;
    uint64_t n = note_read(&said, note, l->origin, a->s->r.key.b);
    root = ledger_root(l, n);
    if (n > l->n_records || !same_digest(&said, &root))
        refuse("the checkpoint kept is of %llu other record%s", N(n), S(n));
    say(a, PASS, (double)n, "the checkpoint that was kept is of the first %llu of these records", N(n));
}
static void profile(struct audit *a)
{
    char hex[65];
    hex_of(hex, &a->s->r.selftest);
    int p = a->s->r.train.profile;
    if (strcmp(hex, selftest[p]) != 0) refuse("the self-test of GENESIS is %s, not that of %s", hex, profile_names[p]);
    say(a, PASS, NONE, "%s, by whose reference kernels this program computes; it runs no self-test of its own",
        profile_names[p]);
}
static void seed(struct audit *a)
{
    const struct story *s = a->s;
    struct digest d = sha256((struct bytes[]){{(const uint8_t *)"run-seed", 8}, {s->l.genesis.b, 32},
                                              {(const uint8_t *)s->value, strlen(s->value)}}, 3);
    bool own = s->has[BEACON] && strcmp(s->source, "self") == 0;
    say(a, UNDECIDED, NONE, own ? "the run chose its seed itself" : "the run still waits for its beacon");
    if (s->has[BEACON] && strcmp(s->source, s->r.beacon) != 0)
        refuse("the value is of \"%.99s\", GENESIS names \"%.99s\"", s->source, s->r.beacon);
    if (own && strcmp(s->value, "-") != 0) refuse("the run chose its seed itself, and names a value \"%s\"", s->value);
    if (own || !s->has[BEACON]) return;
    if (memcmp(d.b, &s->r.train.seed, 8) != 0)
        refuse("seed 0x%016llx does not follow from GENESIS and the value", N(s->r.train.seed));
    bool named = strcmp(s->source, "not named") != 0; /* as old ledgers say */
    say(a, named && a->lodged ? PASS : UNDECIDED, NONE, "follows from GENESIS and the value \"%.99s\" of %.99s%s",
        s->value, s->source, !named ? ": others may have been tried" : a->lodged ? ", and GENESIS was lodged" :
        "; whether it was chosen cannot be told without the hash of a GENESIS lodged before the draw");
}
static void initial(struct audit *a)
{
    ref_state_plan(&a->first, &a->s->r.train, take);
    say(a, UNDECIDED, NONE, "training has not begun");
    if (!a->s->has[INIT]) return;
    say(a, UNDECIDED, NONE, "not made again without a model file of GENESIS' shape");
    if (!model_has_room(&a->first, join(a->asked->run, "model.safetensors"))) return;
    ref_state_new(&a->first, &a->s->r.train, take);
    struct digest root = state_root(&a->first);
    if (!same_digest(&root, &a->s->init))
        refuse("INIT's root is not that of the random weights of seed 0x%016llx", N(a->s->r.train.seed));
    say(a, PASS, NONE, "weights made again from seed 0x%016llx give INIT's root", N(a->s->r.train.seed));
}

/* 6 for every parameter that multiplies a token, and attention's products over the keys a query sees. */
static double flops_per_token(const struct ref_run *r, int64_t seq)
{
    int64_t d = r->d_model, n = r->vocab * d + d;
    for (const struct ref_layer *l = r->layer; l < r->layer + r->n_layer; l++)
        n += d * l->d_head * (2 * l->n_head + 2 * l->n_kv) + 3 * d * l->d_ff + 2 * d + (l->qk_norm ? 2 * l->d_head : 0);
    double f = 6.0 * (double)n;
    for (const struct ref_layer *l = r->layer; l < r->layer + r->n_layer; l++) {
        double w = (double)(l->window && l->window < seq ? l->window : seq);
        f += 6.0 * (double)l->n_head * (double)l->d_head * (2 * w - w * w / (double)seq);
    }
    return f;
}
static double flops_until(const struct ref_run *r, int64_t steps)
{
    int64_t first = steps < r->start_steps ? steps : r->start_steps;
    return (double)first * (double)r->batch_tokens * flops_per_token(r, r->seq_start) +
           (double)(steps - first) * (double)r->batch_tokens * flops_per_token(r, r->seq);
}
static void segments(struct audit *a)
{
    const struct ref_run *r = &a->s->r.train;
    struct digest before = a->s->init;
    uint64_t batch = (uint64_t)r->batch_tokens, rows = batch / (uint64_t)r->seq;
    for (uint64_t k = 0; k < a->s->n_segments; k++) {
        const struct segment *g = &a->s->segment[k];
        if (!segment_planned(a->s, k)) refuse("SEGMENT %llu has other steps", N(k));
        if (!same_digest(&g->before, &before)) refuse("SEGMENT %llu does not begin where the one before ended", N(k));
        if (g->tokens != g->to * batch || g->sample != g->to * rows || g->flops != flops_until(r, (int64_t)g->to))
            refuse("SEGMENT %llu has another cursor, token or FLOP count than its steps give", N(k));
        if (g->tensors != (uint64_t)(a->first.t_end - a->first.t)) refuse("SEGMENT %llu has other tensors", N(k));
        for (const double *m = g->moved; m < g->moved + 2 * g->tensors; m += 2)
            if (!(m[0] >= 0 && m[1] < INFINITY && m[0] <= 1.001 * m[1] + 1e-20))
                refuse("SEGMENT %llu tells of a movement that no tensor can make", N(k));
        for (uint64_t i = 0; i < g->to - g->from; i++)
            if (!isfinite(g->loss[i] + g->grad_norm[i])) refuse("SEGMENT %llu has a loss that is no number", N(k));
        before = g->after;
    }
    a->joined = a->s->n_segments > 0;
    say(a, PASS, (double)a->s->n_segments, "%llu segment%s joined as planned", N(a->s->n_segments),
        S(a->s->n_segments));
}
static void complete(struct audit *a)
{
    const struct story *s = a->s;
    const struct ref_run *r = &s->r.train;
    const struct segment *last = s->n_segments ? &s->segment[s->n_segments - 1] : NULL;
    uint64_t done = last ? last->to : 0, steps = (uint64_t)r->steps;
    double share = (double)done / (double)steps;
    say(a, UNDECIDED, share, "the ledger ends at step %llu of %llu, %s", N(done), N(steps),
        s->l.whole < s->l.file.n ? "within an entry" : "without a signed FINAL");
    if (s->l.whole < s->l.file.n || !s->has[FINAL] || a->covered < s->l.n_records) return;
    if (!last || done != steps || s->final_steps != steps || s->final_tokens != steps * (uint64_t)r->batch_tokens ||
        s->final_flops != flops_until(r, r->steps) || !same_digest(&s->final, &last->after) ||
        !isfinite(s->heldout[0] + s->heldout[1]))
        refuse("FINAL is not the end of the %llu planned step%s, or its figures are no numbers", N(steps), S(steps));
    say(a, PASS, share, "%llu step%s, %llu tokens, %.4g FLOPs", N(steps), S(steps), N(s->final_tokens), s->final_flops);
}
static void files(struct audit *a)
{
    const struct story *s = a->s;
    static const char *const must[] = {"config.json", "model.safetensors", "run.json", "tokenizer.json"};
    say(a, UNDECIDED, NONE, "run.json is not there yet: the run was stopped before it began");
    if (!s->has[INIT] && !file_there(join(a->asked->run, "run.json"))) return;
    config_compare(s, a->asked->run);
    for (int k = 0; s->has[FINAL] && k < 4; k++) {
        uint64_t i = 0;
        while (i < s->n_files && strcmp(s->file[i], must[k]) != 0) i++;
        if (i == s->n_files) refuse("FINAL does not name %s", must[k]);
        if (k == 3 && !same_digest(&s->file_sha256[i], &s->r.tokenizer)) refuse("FINAL has not GENESIS' tokenizer");
    }
    for (uint64_t i = 0; i < s->n_files; i++) {
        if (strchr(s->file[i], '/')) refuse("FINAL names %s, which lies outside the run", s->file[i]);
        struct digest d = sha256_of(map_file(join(a->asked->run, s->file[i])));
        if (!same_digest(&d, &s->file_sha256[i])) refuse("%s is not the file that FINAL names", s->file[i]);
    }
    say(a, PASS, (double)s->n_files, "%llu file%s and the configuration are the ledger's", N(s->n_files),
        S(s->n_files));
}
static void weights(struct audit *a)
{
    struct ref_state last;
    say(a, UNDECIDED, NONE, "no FINAL says what they should be");
    if (!a->s->has[FINAL]) return;
    if (!a->first.w) refuse("model.safetensors has not the %zu weights of GENESIS' shape", a->first.total);
    float *w = take(a->first.total, sizeof *w);
    model_load(&a->first, w, join(a->asked->run, "model.safetensors"));
    a->w = w;
    ref_state_new(&last, &a->s->r.train, take);
    say(a, UNDECIDED, NONE, "the state is not here: only a replay ties the model to FINAL's root");
    const char *path = join(a->asked->run, "state/state.safetensors");
    if (!file_there(path)) return;
    state_load(&last, path);
    struct digest root = state_root(&last);
    if (!same_digest(&root, &a->s->final)) refuse("the state is of step %llu and not FINAL's", N(last.step));
    if (memcmp(w, last.w, last.total * sizeof *w) != 0) refuse("model.safetensors has other weights than the state");
    say(a, PASS, (double)(last.t_end - last.t), "the tensors of the model file are those of FINAL's state");
}
static void corpus(struct audit *a)
{
    say(a, UNDECIDED, NONE, "no corpus was given");
    if (!a->asked->corpus) return;
    a->given = true;
    const char *path = join(a->asked->corpus, "manifest.json"), *text = text_of(map_file(path), path);
    char hex[65], name[65], sum[65];
    static const char file[] = " { \"name\": \"%64[^\"/]\", \"bytes\": %*d, \"sha256\": \"%64[0-9a-f]\" } %n";
    int n = 0, used = 0;
    hex_of(hex, &a->s->r.corpus);
    if (!json_is(text, path, "format", "dokja-corpus")) refuse("%s: its format is not dokja-corpus", path);
    a->given = json_is(text, path, "root", hex);
    if (!a->given) refuse("%s: its root is not that of GENESIS", path);
    const char *p = json_value(text, path, "files") + 1;
    for (; sscanf(p, file, name, sum, &used) == 2 && used; n++, p += used + (p[used] == ','), used = 0) {
        struct digest d = sha256_of(map_file(join(a->asked->corpus, name)));
        hex_of(hex, &d);
        a->given = strcmp(hex, sum) == 0;
        if (!a->given) refuse("%s: %s is not the file it names", path, name);
    }
    if (*p != ']' || n == 0) refuse("%s: its files are not names without a folder, bytes and sha256", path);
    a->given = false;
    say(a, PASS, (double)n, "the manifest has GENESIS' root, and %d file%s the digest it states; no document was "
        "hashed again", n, S(n));
}
static const struct {
    const char *name;
    void (*run)(struct audit *a);
} all[] = {{"chain", chain}, {"signatures", signatures}, {"lodged", lodged}, {"witnessed", witnessed},
           {"profile", profile}, {"seed", seed}, {"initial", initial}, {"segments", segments}, {"complete", complete},
           {"files", files}, {"weights", weights}, {"corpus", corpus}, {"step-bound", step_bound},
           {"continuity", continuity}, {"travel", travel}, {"birth", birth}};

static void run_one(void *arg) { all[((struct audit *)arg)->n].run(arg); }

/* A ledger that cannot be read says nothing else. */
const char *audit_run(struct audit *a)
{
    bool whole = false, failed = false;
    for (; a->n < (int)(sizeof all / sizeof *all) && (a->n < 1 || a->check[0].result == PASS); a->n++) {
        struct check *c = &a->check[a->n];
        c->name = all[a->n].name;
        if (!attempt(run_one, a)) {
            if (machine_short || a->given) give_up(); /* neither says anything about the run */
            say(a, FAIL, NONE, "%s", why);
        }
        failed = failed || c->result == FAIL;
        whole = whole || (all[a->n].run == complete && c->result == PASS);
    }
    return failed ? "fail" : whole ? "pass" : "incomplete";
}
