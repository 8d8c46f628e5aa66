/* Disclosures: what is shown is accepted with its file alone, and every changed, moved or cut one is refused; the steps
 * of a document against a walk over all of them. */
#include "harness.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/disclose.h"
#include "train/exposure.h"
#include "train/state.h"
#include "train/leaves.h"
#include "train/state_layout.h"

enum { DOCS = 11 };
static struct err e;
static char dir[300];
static struct run_config config;
static struct genesis genesis;
static struct corpus_found found;
static struct digest leaf[DOCS];
static struct logbook *book;
static struct sign_key *key;
static char state_path[400];

/* A run of two segments, as far as a ledger tells of one.  The state takes more than one chunk. */
static void small_run(void)
{
    config = (struct run_config){.seq = 64, .seq_start = 64, .batch_tokens = 64, .workers = 1, .segment_steps = 4,
                                 .heldout = 0.1, .final_eval_tokens = 64,
                                 .schedule = {.kind = SCHEDULE_WSD, .steps = 8, .warmup = 0.05, .decay = 0.6},
                                 .optim = {.kind = OPTIM_ADAMW, .lr_matrix = 0.02, .beta1 = 0.9, .beta2 = 0.99}};
    model_config_shape(&config.model, 1, 64, 1500, 64);
    config.model.bos = 0;
    config.model.eos = 1;
    genesis = (struct genesis){.compiler = "gcc", .holder = "한국 기관", .created = "2026-01-01T00:00:00Z",
                               .key = sign_key_public(key), .corpus_docs = DOCS, .train_docs = 9, .heldout_docs = 2,
                               .train_tokens = 900, .heldout_tokens = 100};
}

static void make_corpus(void)
{
    struct merkle m;
    merkle_init(&m);
    for (int i = 0; i < DOCS; i++) {
        char text[20], id[20];
        snprintf(text, sizeof text, "글 %d", i);
        snprintf(id, sizeof id, "doc-%d", i);
        struct digest h = sha256_of(text, strlen(text));
        struct digest meta = corpus_meta(id, "src", "CC0-1.0", "ko");
        leaf[i] = corpus_leaf(NULL, &h, &meta);
        merkle_add_hash(&m, &leaf[i]);
        if (i == 7)
            found = (struct corpus_found){.index = 7, .text = mem_strdup(text), .id = mem_strdup(id),
                                          .source = mem_strdup("src"), .license = mem_strdup("CC0-1.0"),
                                          .lang = mem_strdup("ko"), .n = strlen(text), .hash = h,
                                          .leaf = mem_new(DOCS, sizeof *leaf), .docs = DOCS, .trained = true};
    }
    memcpy(found.leaf, leaf, sizeof leaf);
    config.corpus_root = merkle_root(&m);
}

static struct digest make_state(void)
{
    struct nn x;
    struct param_table t;
    struct optim o;
    struct digest root;
    ok(nn_init(&x, kernels_get(ISA_REF), 1, &e));
    ok(param_table_new(&t, &config.model, &e));
    ok(optim_init(&o, &x, &t, &config.optim, &e));
    real *w = mem_map(t.total * sizeof *w);
    params_init(&t, w, 5);
    for (size_t i = 0; i < o.v_total; i++)
        o.v[i] = (real)i;
    struct train_state s = {.table = &t, .w = w, .optim = &o, .step = 8, .sample = 8};
    snprintf(state_path, sizeof state_path, "%s/state.safetensors", dir);
    ok(state_save(&x, &s, state_path, &root, &e));
    mem_unmap(w, t.total * sizeof *w);
    optim_release(&o);
    param_table_release(&t);
    nn_release(&x);
    return root;
}

static void record(struct ledger_log *l, enum ledger_kind kind, struct buf *b, const char *origin)
{
    ok(ledger_log_add(l, kind, b->p, b->len, &e));
    if (origin)
        ok(ledger_log_sign(l, origin, origin, key, &e));
    buf_clear(b);
}

static int setup(void **state)
{
    (void)state;
    struct ledger_log l;
    struct buf b = {0};
    char path[400], origin[LEDGER_ORIGIN];
    snprintf(dir, sizeof dir, "%s", test_dir());
    snprintf(path, sizeof path, "%s/ledger.bin", dir);
    ok(sign_key_new(&key, &e));
    small_run();
    make_corpus();
    struct digest end = make_state();
    ok(ledger_log_new(&l, path, &e));
    ok(genesis_text(&b, &genesis, &config, &e));
    record(&l, LEDGER_GENESIS, &b, NULL);
    ledger_origin(origin, &l.prev);
    ok(ledger_log_sign(&l, origin, origin, key, &e));
    struct circumstance c = {.at = "2026-01-01T00:00:00Z", .isa = "ref", .threads = 1};
    ok(beacon_text(&b, &(struct beacon){.source = BEACON_SELF, .value = "-", .seed = 3}, &e));
    record(&l, LEDGER_BEACON, &b, origin);
    ok(init_text(&b, &end, &c, &e));
    record(&l, LEDGER_INIT, &b, origin);
    for (uint64_t i = 0; i < 2; i++) {
        double four[] = {4, 3, 2, 1};
        struct segment s = {.index = i, .from = 4 * i, .to = 4 * i + 4, .before = end, .after = end,
                            .sample = 4 * i + 4, .tokens = 256 * (i + 1), .flops = 1e9, .loss = four,
                            .grad_norm = four, .c = c};
        ok(segment_text(&b, &s, &e));
        record(&l, LEDGER_SEGMENT, &b, origin);
    }
    static struct final f;
    f = (struct final){.root = end, .steps = 8, .tokens = 512, .flops = 1e9, .bits_per_byte = 2, .bits_per_char = 4,
                       .c = c};
    ok(final_text(&b, &f, &e));
    record(&l, LEDGER_FINAL, &b, origin);
    ledger_log_release(&l);
    buf_release(&b);
    char *copy = mem_strdup(path);
    ok(logbook_open(&book, copy, &e));
    mem_free(copy);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    logbook_close(book);
    corpus_found_release(&found);
    sign_key_free(key);
    test_dir_remove(dir);
    return 0;
}

static int check(const char *text, size_t n)
{
    static struct disclosure d;
    int rc = disclosure_read(&d, text, n, "file", &e);
    disclosure_release(&d);
    return rc;
}

/* The text with one string in it replaced by another. */
static int check_with(const struct buf *b, const char *from, const char *to)
{
    struct buf c = {0};
    const char *at = strstr(b->p, from);
    assert_non_null(at);
    ok(buf_add(&c, b->p, (size_t)(at - b->p), &e));
    ok(buf_adds(&c, to, &e));
    ok(buf_adds(&c, at + strlen(from), &e));
    int rc = check(c.p, c.len);
    buf_release(&c);
    return rc;
}

/* Every cut, and every letter or digit of a value changed into another one, at steps of `step`. */
static void check_damage(struct buf *b, size_t step)
{
    for (size_t i = 0; i < b->len - 2; i += step) {
        assert_true(check(b->p, i) < 0);
        char was = b->p[i];
        if ((was >= '0' && was <= '9') || (was >= 'a' && was <= 'z')) {
            b->p[i] = was == '1' ? '2' : was == 'b' ? 'c' : was <= '9' ? '1' : 'b';
            if (check(b->p, b->len) == 0)
                fail_msg("accepted with byte %zu changed: %.40s", i, b->p + (i < 20 ? 0 : i - 20));
            b->p[i] = was;
        }
    }
    assert_int_equal(check(b->p, b->len), 0);
}

static void test_document(void **state)
{
    (void)state;
    static struct disclosure d;
    struct buf b = {0};
    ok(disclose_document(&b, book, &found, true, &e));
    ok(disclosure_read(&d, b.p, b.len, "file", &e));
    assert_int_equal(d.what, DISCLOSED_DOCUMENT);
    assert_int_equal(d.document.index, 7);
    assert_string_equal(d.document.id, "doc-7");
    assert_string_equal(d.document.shown, "글 7");
    assert_int_equal(d.checkpoint.size, 6);
    assert_memory_equal(&d.genesis_hash, &book->hash, sizeof d.genesis_hash);
    assert_string_equal(d.genesis.holder, "한국 기관");
    disclosure_release(&d);
    refused(check_with(&b, "\"index\": 7", "\"index\": 6"), ERR_VALUE, "not in the corpus");
    refused(check_with(&b, "\"index\": 7", "\"index\": 11"), ERR_VALUE, "not in the corpus");
    refused(check_with(&b, "\"index\": 7", "\"index\": -1"), ERR_VALUE, "index");
    refused(check_with(&b, "CC0-1.0", "MIT"), ERR_VALUE, "not in the corpus");
    refused(check_with(&b, "글 7", "글 6"), ERR_VALUE, "SHA-256");
    refused(check_with(&b, "\"document\"", "\"segment\""), ERR_FORMAT, "record");
    refused(check_with(&b, "dokja-disclosure", "dokja-other"), ERR_FORMAT, "format");
    check_damage(&b, 1);
    buf_clear(&b);
    ok(disclose_document(&b, book, &found, false, &e));
    assert_null(strstr(b.p, "글 7"));
    assert_int_equal(check(b.p, b.len), 0);
    buf_release(&b);
    found.leaf[0].b[0] ^= 1;
    refused(disclose_document(&b, book, &found, false, &e), ERR_VALUE, "another corpus");
    found.leaf[0].b[0] ^= 1;
}

static void test_segment(void **state)
{
    (void)state;
    static struct disclosure d;
    struct buf b = {0};
    ok(disclose_segment(&b, book, 1, &e));
    ok(disclosure_read(&d, b.p, b.len, "file", &e));
    assert_int_equal(d.segment.index, 1);
    assert_int_equal(d.segment.to, 8);
    disclosure_release(&d);
    refused(check_with(&b, "\"number\": 4", "\"number\": 3"), ERR_VALUE, "not in the ledger");
    check_damage(&b, 1);
    buf_release(&b);
    refused(disclose_segment(&b, book, 2, &e), ERR_VALUE, "2 segments");
}

static void test_tensor(void **state)
{
    (void)state;
    static struct disclosure d;
    struct state_layout l;
    struct safetensors *f;
    struct buf b = {0};
    ok(state_layout_new(&l, &config, &e));
    ok(safetensors_open(&f, state_path, &e));
    assert_true(l.chunks > 1);
    assert_int_equal(l.n, safetensors_count(f));
    for (size_t i = 0; i < l.n; i++) {
        const struct st_tensor *t = safetensors_find(f, l.part[i].name);
        struct digest h = sha256_of(t->data, t->bytes);
        buf_clear(&b);
        ok(disclose_tensor(&b, book, state_path, l.part[i].name, &e));
        ok(disclosure_read(&d, b.p, b.len, "file", &e));
        assert_memory_equal(&d.tensor.values, &h, sizeof h);
        assert_string_equal(d.tensor.name, l.part[i].name);
        disclosure_release(&d);
    }
    buf_clear(&b);
    ok(disclose_tensor(&b, book, state_path, "model.norm.weight", &e));
    check_damage(&b, 9973);
    refused(check_with(&b, "weight.model.norm.weight", "moment2.model.norm.weight"), ERR_VALUE, "chunk 0 stands where");
    refused(check_with(&b, "weight.model.norm.weight", "weight.model.none"), ERR_VALUE, "no tensor");
    refused(disclose_tensor(&b, book, state_path, "model.none", &e), ERR_VALUE, "model.none");
    buf_release(&b);
    safetensors_close(f);
    state_layout_release(&l);
}

/* Whether it names the tensors that have bytes in the chunk, by a second way of looking for them. */
static void test_chunk_names(void **state)
{
    (void)state;
    struct state_layout l;
    char got[400], want[400];
    ok(state_layout_new(&l, &config, &e));
    for (uint64_t i = 0; i < l.chunks; i++) {
        const char *first = NULL, *last = "step and cursor";
        for (uint64_t at = i * STATE_CHUNK; at < i * STATE_CHUNK + state_chunk_bytes(&l, i); at += 4)
            for (size_t k = 0; k < l.n; k++)
                if (at >= l.part[k].at && at < l.part[k].at + l.part[k].bytes) {
                    last = l.part[k].name;
                    first = first ? first : last;
                    break;
                }
        state_chunk_name(got, sizeof got, &l, i);
        snprintf(want, sizeof want, "chunk %llu of %llu, %s%s%s%s", (unsigned long long)i, (unsigned long long)l.chunks,
                 first && first != last ? "from " : "in ", first ? first : last, first && first != last ? " to " : "",
                 first && first != last ? last : "");
        assert_string_equal(got, want);
    }
    state_layout_release(&l);
}

/* What is not there, or gives another root, is not believed. */
static void test_leaves(void **state)
{
    (void)state;
    enum { N = 3 };
    struct digest a[N], b[N], got[N];
    struct buf path = {0}, bytes = {0};
    for (int i = 0; i < N; i++) {
        a[i] = merkle_leaf(&i, sizeof i);
        b[i] = sha256_of(&i, sizeof i);
    }
    struct digest root_a = leaves_root(a, N), root_b = leaves_root(b, N);
    ok(file_join(&path, dir, "ledger.leaves", &e));
    assert_false(leaves_get(got, N, path.p, 0, &root_a));
    ok(leaves_put(path.p, 2, b, N, &e));
    assert_false(leaves_get(got, N, path.p, 0, &root_a));
    ok(leaves_put(path.p, 0, a, N, &e));
    ok(leaves_put(path.p, 0, a, N, &e));
    assert_true(leaves_get(got, N, path.p, 0, &root_a));
    assert_memory_equal(got, a, sizeof a);
    assert_true(leaves_get(got, N, path.p, 2, &root_b));
    assert_memory_equal(got, b, sizeof b);
    assert_false(leaves_get(got, N, path.p, 2, &root_a));
    assert_false(leaves_get(got, N, path.p, 3, &root_b));
    assert_false(leaves_get(got, N, path.p, UINT64_MAX, &root_b));
    ok(file_read(&bytes, path.p, 1 << 20, &e));
    for (size_t cut = 0; cut < bytes.len; cut += 7) {
        ok(file_replace(path.p, bytes.p, cut, &e));
        assert_false(leaves_get(got, N, path.p, 2, &root_b));
    }
    bytes.p[0] ^= 1;
    ok(file_replace(path.p, bytes.p, bytes.len, &e));
    assert_false(leaves_get(got, N, path.p, 0, &root_a));
    buf_release(&path);
    buf_release(&bytes);
}

/* A state that is not FINAL's is not shown. */
static void test_other_state(void **state)
{
    (void)state;
    struct buf b = {0}, path = {0}, out = {0};
    ok(file_read(&b, state_path, 1 << 26, &e));
    b.p[b.len - 9] ^= 1;
    ok(file_join(&path, dir, "other.safetensors", &e));
    ok(file_replace(path.p, b.p, b.len, &e));
    refused(disclose_tensor(&out, book, path.p, "model.norm.weight", &e), ERR_VALUE, "not the state");
    buf_release(&b);
    buf_release(&path);
    buf_release(&out);
}

/* Short memory anywhere is an error, never a disclosure that is not whole. */
static void test_short_memory(void **state)
{
    (void)state;
    for (long n = 1, failed = 1; failed; n++) {
        struct buf b = {0}, s = {0};
        mem_fail_at(n);
        int rc = disclose_document(&b, book, &found, true, &e), rc2 = disclose_segment(&s, book, 0, &e);
        failed = rc < 0 || rc2 < 0;
        mem_fail_at(0);
        if (rc == 0)
            ok(check(b.p, b.len));
        if (rc2 == 0)
            ok(check(s.p, s.len));
        for (long m = 1; !failed && m < 150; m++) {
            mem_fail_at(m);
            rc2 = check(b.p, b.len);
            mem_fail_at(0);
            if (rc2 != 0 && rc2 != ERR_NOMEM)
                fail_msg("allocation %ld failing gave %d \"%s\"", m, rc2, e.msg);
        }
        buf_release(&b);
        buf_release(&s);
    }
}

/* ---- in which steps ---- */

/* Walks over all rows of all steps. */
static size_t walk(bool *trained, const struct run_config *c, const struct exposure_span *s, int64_t steps)
{
    size_t n = 0;
    for (int64_t step = 0; step < steps; step++) {
        uint64_t seq = (uint64_t)run_seq_at(c, step);
        for (int64_t i = 0; i < c->batch_tokens / (int64_t)seq; i++) {
            struct run_row r = run_row_at(c, step, i);
            uint64_t row = rng_permute(c->seed, (uint32_t)(r.sample / s->rows), s->rows, r.sample % s->rows);
            uint64_t from = row * (uint64_t)c->seq + r.piece * seq;
            for (uint64_t t = from + 1; t <= from + seq; t++)
                trained[step] |= t > s->from && t < s->to;
        }
        n += trained[step];
    }
    return n;
}

static void test_exposure(void **state)
{
    (void)state;
    static struct run_config c;
    enum { STEPS = 40, TOKENS = 64 * 23 + 17 };
    c = (struct run_config){.seq = 64, .seq_start = 32, .start_steps = 9, .batch_tokens = 256, .seed = 12345};
    for (uint64_t from = 0; from + 2 < TOKENS; from += 13)
        for (uint64_t len = 2; from + len <= TOKENS && len < 400; len = len * 3 + 1) {
            struct exposure_span s = {.from = from, .to = from + len, .rows = (TOKENS - 1) / 64};
            bool trained[STEPS] = {false};
            struct exposure x;
            ok(exposure_find(&x, &c, &s, STEPS, &e));
            assert_int_equal(x.n, walk(trained, &c, &s, STEPS));
            for (size_t i = 0; i < x.n; i++)
                assert_true(trained[x.step[i] - 1]);
            exposure_release(&x);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_document), cmocka_unit_test(test_segment),
                                       cmocka_unit_test(test_tensor), cmocka_unit_test(test_chunk_names),
                                       cmocka_unit_test(test_leaves), cmocka_unit_test(test_other_state),
                                       cmocka_unit_test(test_short_memory),
                                       cmocka_unit_test(test_exposure)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
