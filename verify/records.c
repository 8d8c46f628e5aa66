#include "verify/verify.h"

/* ---- lines "KEY VALUE" ---- */

struct text { const char *p, *end; char where[300]; };

/* The value of the next line, whose key must be that. */
static struct bytes line(struct text *t, const char *key)
{
    size_t n = strlen(key), left = (size_t)(t->end - t->p);
    const char *stop = left ? memchr(t->p, '\n', left) : NULL, *p = t->p + n + 1;
    size_t shown = stop ? (size_t)(stop - t->p) : left;
    if (!stop || stop < p || memcmp(t->p, key, n) != 0 || t->p[n] != ' ')
        refuse("%s: has \"%.*s\" where %s was expected", t->where, (int)(shown < 60 ? shown : 60), t->p, key);
    for (const char *c = p; c < stop; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) refuse("%s: %s holds a control character", t->where, key);
    t->p = stop + 1;
    return (struct bytes){(const uint8_t *)p, (size_t)(stop - p)};
}
static uint64_t count(struct text *t, const char *key, uint64_t most)
{
    struct bytes v = line(t, key);
    uint64_t x = 0;
    bool good = v.n > 0 && v.n <= 20 && (v.n == 1 || v.p[0] != '0');
    for (size_t i = 0; good && i < v.n; i++) {
        uint64_t d = (uint64_t)v.p[i] - '0';
        good = d <= 9 && x <= (UINT64_MAX - d) / 10;
        x = x * 10 + d;
    }
    if (!good || x > most) refuse("%s: %s is not a decimal number up to %llu", t->where, key, N(most));
    return x;
}

/* n reals of 16 digits, behind a prefix. */
static void reals(double *out, uint64_t n, struct text *t, const char *key, const char *prefix)
{
    struct bytes v = line(t, key);
    size_t skip = strlen(prefix);
    bool good = v.n >= skip && (v.n - skip) % 16 == 0 && (v.n - skip) / 16 == n && memcmp(v.p, prefix, skip) == 0;
    for (uint64_t i = 0; good && i < n; i++) {
        uint8_t b[8];
        uint64_t bits = 0;
        good = hex_read(b, (const char *)v.p + skip + 16 * i, 8);
        for (int k = 0; k < 8; k++) bits = bits << 8 | b[k];
        memcpy(&out[i], &bits, sizeof bits);
    }
    if (!good) refuse("%s: %s is not \"%s\" and %llu times 16 hex digits", t->where, key, prefix, N(n));
}

/* Lines as the shape says, "TYPE KEY" each: w words (char[TEXT]), c count, d digest, r real; capitals: passed over. */
static void scan(struct text *t, const char *shape, ...)
{
    static uint64_t ignored[TEXT / 8];
    char type, key[32];
    int n;
    va_list ap;
    va_start(ap, shape);
    for (; sscanf(shape, " %c %31s%n", &type, key, &n) == 2; shape += n) {
        void *out = type < 'a' ? ignored : va_arg(ap, void *);
        type |= 'a' ^ 'A';
        if (type == 'c') *(uint64_t *)out = count(t, key, UINT64_MAX);
        if (type == 'r') reals(out, 1, t, key, "0x");
        if (type != 'w' && type != 'd') continue;
        struct bytes v = line(t, key);
        if (type == 'd' ? v.n != 64 || !hex_read(out, (const char *)v.p, 32) : v.n >= TEXT)
            refuse("%s: %s is not %s", t->where, key, type == 'd' ? "64 hex digits" : "of fewer than 160 bytes");
        if (type == 'w') memcpy(out, v.p, v.n), ((char *)out)[v.n] = 0;
    }
    va_end(ap);
}
#define CIRCUMSTANCES "W at W isa C threads"

/* ---- GENESIS: its numbers, and where run.json (r) and config.json (c) have them ---- */

struct field { const char *key, *json; size_t at; bool real; double lo, hi; };
#define OWN(k, j, lo, hi) {#k, j, offsetof(struct run, k), false, lo, hi}
#define COUNT(k, j, lo, hi) {#k, j, offsetof(struct run, train.k), false, lo, hi}
#define REAL(k, j, lo, hi) {#k, j, offsetof(struct run, train.k), true, lo, hi}
#define RATE(k, hi) {#k, "r" #k, offsetof(struct run, train.k), true, 0, hi}
#define FACT(k, j, lo, hi) {#k, j, offsetof(struct ref_layer, k), false, lo, hi}
#define MANY 0x1p40

static const struct field model_fields[] = {
    COUNT(vocab, "cvocab_size", 1, 1 << 22), COUNT(d_model, "chidden_size", 16, 1 << 16),
    OWN(max_pos, "cmax_position_embeddings", 1, 1 << 24), COUNT(tied, "", 0, 1),
    REAL(norm_eps, "crms_norm_eps", 0x1p-1022, 1), REAL(rope_theta, "crope_theta", 1, 1e12),
    OWN(bos, "cbos_token_id", 0, 1 << 22), OWN(eos, "ceos_token_id", 0, 1 << 22),
    COUNT(n_layer, "cnum_hidden_layers", 1, REF_MAX_LAYERS), {0}};
static const struct field layer_fields[] = {
    FACT(n_head, "cnum_attention_heads", 1, 1024), FACT(n_kv, "cnum_key_value_heads", 1, 1024),
    FACT(d_head, "chead_dim", 2, 1024), FACT(d_ff, "cintermediate_size", 1, 1 << 20), FACT(window, "", 0, 1 << 24),
    FACT(qk_norm, "", 0, 1), FACT(rope, "", 0, 1), {0}};
static const struct field run_fields[] = {
    {"heldout", "rheldout", offsetof(struct run, heldout), true, 0, 1}, COUNT(seq, "rseq", 32, 1 << 20),
    COUNT(seq_start, "rseq_start", 32, 1 << 20), COUNT(start_steps, "rstart_steps", 0, MANY),
    COUNT(batch_tokens, "rbatch_tokens", 1, MANY), COUNT(workers, "rworkers", 1, REF_MAX_WORKERS),
    COUNT(steps, "rsteps", 1, MANY),
    OWN(segment_steps, "rsegment_steps", 1, MANY), RATE(warmup, 1), RATE(decay, 1), RATE(floor, 1),
    OWN(final_eval_tokens, "rfinal_eval_tokens", 1, MANY), {0}};
static const struct field optim_fields[] = {
    RATE(lr_matrix, 100), RATE(lr_embed, 100), RATE(lr_head, 100), RATE(lr_gain, 100), RATE(momentum, 1),
    RATE(beta1, 1), RATE(beta2, 1), RATE(eps, 1), RATE(beta2_row, 1), RATE(decay_matrix, 100), RATE(decay_embed, 100),
    RATE(clip, 1e9), {0}};

static void fields_read(void *base, const struct field *f, struct text *t)
{
    for (; f->key; f++) {
        int64_t n = f->real ? 0 : (int64_t)count(t, f->key, (uint64_t)f->hi);
        double x = (double)n;
        if (f->real) reals(&x, 1, t, f->key, "0x");
        if (!(x >= f->lo && x <= f->hi)) refuse("%s: %s is %g, expected %g to %g", t->where, f->key, x, f->lo, f->hi);
        memcpy((char *)base + f->at, f->real ? (void *)&x : (void *)&n, 8);
    }
}

/* What must fit together for a run to be made of it (reference/reference.h). */
static void run_check(const struct run *run, const char *where)
{
    const struct ref_run *r = &run->train;
    for (const struct ref_layer *l = r->layer; l < r->layer + r->n_layer; l++)
        if (l->n_head % l->n_kv || l->d_head % 2 || l->d_head != r->layer[0].d_head)
            refuse("%s: the heads of layer %d do not fit together", where, (int)(l - r->layer));
    if (r->d_model % 16 || run->bos >= r->vocab || run->eos >= r->vocab)
        refuse("%s: d_model is no multiple of 16, or bos or eos no token", where);
    if (r->seq % REF_ROWS || r->seq_start % REF_ROWS || r->seq % r->seq_start || r->seq > run->max_pos ||
        r->start_steps > r->steps || (r->workers & (r->workers - 1)) || r->batch_tokens % (r->seq * r->workers) ||
        (double)r->steps * (double)r->batch_tokens > 0x1p60)
        refuse("%s: seq, seq_start, workers, batch_tokens and steps do not fit together", where);
    if (r->profile == REF_T2 && (r->seq % I8_GROUP || r->seq_start % I8_GROUP))
        refuse("%s: in profile T2 seq and seq_start are multiples of %d", where, I8_GROUP);
}
const char *const profile_names[] = {"T1", "T2", NULL};
const char *const schedule_names[] = {"wsd", "cosine", NULL};
const char *const optimizer_names[] = {"normuon", "muon", "adamw", NULL};

static int named(struct text *t, const char *shape, const char *const *names)
{
    char word[TEXT];
    scan(t, shape, word);
    for (int i = 0; names[i]; i++)
        if (strcmp(word, names[i]) == 0) return i;
    refuse("%s: %s %.40s is not known", t->where, shape + 2, word);
}
static void genesis(struct run *r, struct text *t)
{
    char spec[TEXT];
    uint64_t ancestors;
    scan(t, "w spec", spec);
    r->train.profile = (enum ref_profile)named(t, "w profile", profile_names);
    scan(t, "d selftest D source W compiler W holder W created d key w beacon c ancestors", &r->selftest, &r->key,
         r->beacon, &ancestors);
    if (strcmp(spec, "dokja-ledger/1") != 0 || ancestors > 16)
        refuse("%s: is %s with %llu ancestors", t->where, spec, N(ancestors));
    for (uint64_t i = 0; i < ancestors; i++) scan(t, "D ancestor");
    scan(t, "d corpus_root d tokenizer C corpus_docs C corpus_bytes c train_docs c train_tokens C heldout_docs "
         "C heldout_tokens w arch", &r->corpus, &r->tokenizer, &r->train_docs,
         &r->train.train_tokens, r->arch);
    fields_read(r, model_fields, t);
    for (int64_t i = 0; i < r->train.n_layer; i++) fields_read(&r->train.layer[i], layer_fields, t);
    fields_read(r, run_fields, t);
    r->train.schedule = (enum ref_schedule)named(t, "w schedule", schedule_names);
    r->train.optimizer = (enum ref_optimizer)named(t, "w optimizer", optimizer_names);
    fields_read(r, optim_fields, t);
    run_check(r, t->where);
}

/* ---- the other records ---- */

static void segment(struct segment *s, struct text *t)
{
    scan(t, "c segment c from c to d before d after c sample c tokens r flops", &s->index, &s->from, &s->to, &s->before,
         &s->after, &s->sample, &s->tokens, &s->flops);
    uint64_t left = (uint64_t)(t->end - t->p), n = s->to - s->from;
    if (s->to > 1ULL << 40 || s->to <= s->from || n > left / 16)
        refuse("%s: from and to are not those of its losses", t->where);
    s->loss = take(n, sizeof *s->loss);
    s->grad_norm = take(n, sizeof *s->grad_norm);
    reals(s->loss, n, t, "loss", "");
    reals(s->grad_norm, n, t, "grad_norm", "");
    s->tensors = count(t, "tensors", left / 8);
    s->moved = take(s->tensors + 1, 2 * sizeof *s->moved);
    for (uint64_t i = 0; i < s->tensors; i++) reals(s->moved + 2 * i, 2, t, "moved", "");
    scan(t, CIRCUMSTANCES);
}
static void record(struct story *s, const struct entry *x, uint64_t number)
{
    static const char *const names[] = {"", "GENESIS", "BEACON", "INIT", "SEGMENT", "EVENT", "FINAL"};
    struct text t = {(const char *)x->b.p + 1 + PREV, (const char *)x->b.p + x->b.n, ""};
    snprintf(t.where, sizeof t.where, "%.200s: record %llu (%s)", s->l.path, N(number), names[x->kind]);
    s->has[x->kind] = true;
    if (x->kind == GENESIS) genesis(&s->r, &t);
    if (x->kind == BEACON) scan(&t, "w source w value c seed", s->source, s->value, &s->r.train.seed);
    if (x->kind == INIT) scan(&t, "d root " CIRCUMSTANCES, &s->init);
    if (x->kind == SEGMENT) segment(&s->segment[s->n_segments++], &t);
    if (x->kind == EVENT) scan(&t, "W what C step D root " CIRCUMSTANCES);
    if (x->kind == FINAL) {
        scan(&t, "d root c steps c tokens r flops r heldout_bits_per_byte r heldout_bits_per_char", &s->final,
             &s->final_steps, &s->final_tokens, &s->final_flops, &s->heldout[0], &s->heldout[1]);
        s->n_files = count(&t, "files", MAX_FILES);
        for (uint64_t i = 0; i < s->n_files; i++) scan(&t, "w file d sha256", s->file[i], &s->file_sha256[i]);
        scan(&t, CIRCUMSTANCES);
    }
    if (t.p != t.end) refuse("%s: goes on where it should end", t.where);
}
void story_read(struct story *s, const char *path)
{
    ledger_read(&s->l, path);
    s->segment = take(s->l.n_records, sizeof *s->segment);
    uint64_t n = 0;
    for (const struct entry *x = s->l.entry; x < s->l.entry + s->l.n_entries; x++)
        if (x->kind != NOTE) record(s, x, n++);
}

/* ---- run.json and config.json against GENESIS ---- */

static const char *path[2], *text[2]; /* run.json, config.json */
static const char *const beyond[] = {"attention_bias", "mlp_bias", "rope_scaling", "partial_rotary_factor",
                                     "full_attention", "sliding_attention", "quantization_config", NULL};

static void fields_compare(const void *base, const struct field *f)
{
    for (; f->key; f++) {
        int64_t n;
        double x;
        int in = *f->json == 'c';
        memcpy(&n, (const char *)base + f->at, 8);
        memcpy(&x, (const char *)base + f->at, 8);
        if (*f->json && json_number(text[in], path[in], f->json + 1) != (f->real ? x : (double)n))
            refuse("%s: %s is not GENESIS' %s", path[in], f->json + 1, f->key);
    }
}
void config_compare(const struct story *s, const char *dir)
{
    const struct run *r = &s->r;
    char corpus[65], tokenizer[65], seed[24], key[40];
    bool qwen = strcmp(r->arch, "Qwen3ForCausalLM") == 0;
    hex_of(corpus, &r->corpus);
    hex_of(tokenizer, &r->tokenizer);
    snprintf(seed, sizeof seed, "0x%016llx", N(r->train.seed));
    const char *const said[][2] = {{"rprofile", profile_names[r->train.profile]},
                                   {"rseed", s->has[BEACON] ? seed : "beacon"}, {"rcorpus_root", corpus},
                                   {"rtokenizer", tokenizer}, {"rschedule", schedule_names[r->train.schedule]},
                                   {"rkind", optimizer_names[r->train.optimizer]},
                                   {"rformat", "dokja-run-1"}, {"cmodel_type", qwen ? "qwen3" : "llama"},
                                   {"chidden_act", "silu"}, {"crope_type", "default"}};
    for (int i = 0; i < 2; i++) {
        path[i] = join(dir, i ? "config.json" : "run.json");
        text[i] = text_of(map_file(path[i]), path[i]);
        for (const char *p = text[i]; (p = strpbrk(p, "\\ \t\r\n")); p += strspn(p, " \t\r\n"))
            if (*p == '\\' || p[strspn(p, " \t\r\n")] == ':') refuse("%s: has a key not written plainly", path[i]);
    }
    for (const char *const *k = beyond; *k; k++) {
        snprintf(key, sizeof key, "\"%s\":", *k);
        if (strstr(text[1], key) && !strchr("fn", *json_value(text[1], path[1], *k)))
            refuse("%s: %s is set, and GENESIS describes a network without", path[1], *k);
    }
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        int in = said[i][0][0] == 'c';
        if (!json_is(text[in], path[in], said[i][0] + 1, said[i][1]) &&
            (i != 1 || s->has[INIT] || !json_is(text[0], path[0], "seed", "beacon"))) /* stopped before it had one */
            refuse("%s: %s is not \"%s\", as the ledger says", path[in], said[i][0] + 1, said[i][1]);
    }
    fields_compare(r, model_fields);
    fields_compare(r, run_fields);
    fields_compare(r, optim_fields);
    if ((*json_value(text[1], path[1], "tie_word_embeddings") == 't') != (r->train.tied == 1))
        refuse("%s: tie_word_embeddings is not GENESIS' tied", path[1]);
    const char *type = qwen ? json_value(text[1], path[1], "layer_types") : NULL;
    for (const struct ref_layer *l = r->train.layer; l < r->train.layer + r->train.n_layer; l++) {
        fields_compare(l, layer_fields);
        if (type) type += strcspn(type, "\"");
        bool sliding = type && strncmp(type, "\"sliding_attention\"", 19) == 0;
        if (sliding != (l->window > 0) || l->qk_norm != qwen || !l->rope ||
            (sliding && *json_value(text[1], path[1], "use_sliding_window") != 't') ||
            (sliding && json_number(text[1], path[1], "sliding_window") != (double)l->window))
            refuse("%s: layer %d is not GENESIS'", path[1], (int)(l - r->train.layer));
        for (int quotes = 0; type && *type && quotes < 2; type++) quotes += *type == '"'; /* behind the name */
    }
}
bool segment_planned(const struct story *s, uint64_t k)
{
    const struct segment *g = &s->segment[k];
    uint64_t steps = (uint64_t)s->r.train.steps, length = (uint64_t)s->r.segment_steps, from = k * length;
    if (k >= (steps + length - 1) / length) return false;
    return g->index == k && g->from == from && g->to == (steps - from < length ? steps : from + length);
}
