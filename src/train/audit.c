#include "train/audit.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/codepoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/plural.h"
#include "data/corpus.h"
#include "ledger/oms.h"
#include "model/store.h"
#include "nn/selftest.h"
#include "train/bounds.h"
#include "train/state.h"

struct auditor {
    struct audit *a;
    const struct audit_opts *o;
    struct logbook *b;
    struct param_table table;
    struct optim optim;
    real *w0, *w;              /* initial and final weights; NULL where they are not to be had */
    struct err no_model;       /* why there is no w0: what RUN's model file lacks */
    uint64_t signed_for;       /* records */
    bool form_is_good;         /* segments have one movement a tensor */
};

const char *verdict_name(enum verdict v) { return (const char *[]){"pass", "fail", "incomplete"}[v]; }

const char *check_result_name(enum check_result r) { return (const char *[]){"pass", "fail", "not-decidable"}[r]; }

enum verdict audit_verdict(const struct audit *a)
{
    bool complete = false;
    for (int i = 0; i < a->n; i++) {
        if (a->check[i].result == CHECK_FAIL)
            return VERDICT_FAIL;
        if (strcmp(a->check[i].name, "complete") == 0)
            complete = a->check[i].result == CHECK_PASS;
    }
    return complete ? VERDICT_PASS : VERDICT_INCOMPLETE;
}

static struct check *add(struct auditor *u, const char *name, enum check_result r, double figure)
{
    assert(u->a->n < AUDIT_MAX_CHECKS);
    struct check *c = &u->a->check[u->a->n++];
    *c = (struct check){.name = name, .result = r, .figure = figure};
    return c;
}

/* One sentence in both languages, so that none has but one; the compiler sees that both take the same arguments.  In
 * Korean no particle follows a name or a number, whose last sound would have to choose it. */
static void say(struct auditor *u, const char *name, enum check_result r, double figure, const char *en,
                const char *ko, ...) PRINTF_LIKE(5, 7) PRINTF_LIKE(6, 7);
static void say(struct auditor *u, const char *name, enum check_result r, double figure, const char *en,
                const char *ko, ...)
{
    struct check *c = add(u, name, r, figure);
    va_list ap, again;
    va_start(ap, ko);
    va_copy(again, ap);
    vsnprintf(c->detail, sizeof c->detail, en, ap);
    vsnprintf(c->detail_ko, sizeof c->detail_ko, ko, again);
    va_end(again);
    va_end(ap);
}

/* What the reader of some file said, which has English alone; `ko` where its code tells enough, else "". */
static void quote(struct auditor *u, const char *name, enum check_result r, const struct err *why, const char *ko)
{
    struct check *c = add(u, name, r, (double)NAN);
    snprintf(c->detail, sizeof c->detail, "%s", why->msg);
    snprintf(c->detail_ko, sizeof c->detail_ko, "%s", ko);
}

/* A check that fails by what a reader said; that memory was short says nothing about the run. */
static int refute(struct auditor *u, const char *name, const struct err *why, const char *ko, struct err *e)
{
    if (why->code == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "%s", why->msg);
    quote(u, name, CHECK_FAIL, why, ko);
    return 0;
}

static const double NONE = (double)NAN;

/* ---- the ledger by itself ---- */

static int check_signatures(struct auditor *u, struct err *e)
{
    const struct logbook *b = u->b;
    struct note_signer s = {b->origin, b->genesis.key};
    struct err why;
    uint64_t covered = 0, notes = b->ledger.n_entries - b->ledger.n_records;
    int bad = ledger_signed_check(&b->ledger, b->origin, &s, &covered, &why), rc = 0;
    if (bad)
        rc = refute(u, "signatures", &why,
                    bad == ERR_SIGNATURE ? "GENESIS의 키로 한 올바른 서명이 없는 검인이 있다" : "", e);
    else if (covered + 1 == b->ledger.n_records)
        say(u, "signatures", CHECK_NOT_DECIDABLE, (double)covered, "the last record is not signed for: the run was "
            "stopped there, or somebody cut the rest off",
            "마지막 기록에 서명이 없다. 거기서 학습이 멈췄거나 누군가 뒤를 잘라 냈다");
    else if (covered < b->ledger.n_records)
        say(u, "signatures", CHECK_FAIL, (double)covered, "only the first %" PRIu64 " of %" PRIu64
            " records are signed for", "기록 %2$" PRIu64 "개 가운데 앞의 %1$" PRIu64 "개에만 서명이 있다", covered,
            b->ledger.n_records);
    else
        say(u, "signatures", CHECK_PASS, (double)notes, ONE_OR(notes, "%" PRIu64 " checkpoint by the key of GENESIS",
            "%" PRIu64 " checkpoints by the key of GENESIS"), "GENESIS의 키로 서명한 검인 %" PRIu64 "개", notes);
    u->signed_for = covered;
    return rc;
}

static bool is_lodged(const struct auditor *u)
{
    return u->o->genesis && memcmp(u->o->genesis->b, u->b->hash.b, sizeof u->b->hash.b) == 0;
}

static void check_lodged(struct auditor *u)
{
    char hex[65];
    digest_hex(hex, &u->b->hash);
    if (!u->o->genesis)
        say(u, "lodged", CHECK_NOT_DECIDABLE, NONE, "nobody said which GENESIS was lodged; this one is %s",
            "미리 맡겨 둔 GENESIS를 알려 주지 않았다. 이 원장의 것: %s", hex);
    else if (!is_lodged(u))
        say(u, "lodged", CHECK_FAIL, NONE, "GENESIS is %s, not the one that was lodged",
            "맡겨 둔 GENESIS가 아니다. 이 원장의 것: %s", hex);
    else
        say(u, "lodged", CHECK_PASS, NONE, "GENESIS is the one that was lodged", "맡겨 둔 GENESIS와 같다");
}

/* The tree of the first n records. */
static struct digest root_of_first(const struct ledger *l, uint64_t n)
{
    struct merkle m;
    merkle_init(&m);
    for (uint64_t i = 0; i < l->n_entries; i++)
        if (l->entry[i].kind != LEDGER_CHECKPOINT && l->entry[i].record < n)
            merkle_add(&m, l->entry[i].p, l->entry[i].n);
    return merkle_root(&m);
}

/* Whether a file is such a checkpoint at all; one that is, of another run or signed by another, is a finding. */
static bool like_checkpoint(const struct buf *b)
{
    static const char begin[] = "dokja-run/", behind[] = "\n\n\xe2\x80\x94 ";
    return b->len > sizeof begin && memcmp(b->p, begin, sizeof begin - 1) == 0 &&
           memmem(b->p, b->len, behind, sizeof behind - 1);
}

static int check_witnessed(struct auditor *u, struct err *e)
{
    const struct logbook *b = u->b;
    struct note_signer s = {b->origin, b->genesis.key};
    struct checkpoint c;
    struct buf note = {0};
    struct err why;
    size_t n;
    if (!u->o->checkpoint) {
        say(u, "witnessed", CHECK_NOT_DECIDABLE, NONE, "no checkpoint that someone kept was given",
            "보관된 검인을 알려 주지 않았다");
        return 0;
    }
    int rc = file_read(&note, u->o->checkpoint, 1 << 20, e);
    if (rc == 0 && !like_checkpoint(&note))
        rc = err_set(e, ERR_FORMAT, "%s: is not a signed checkpoint of a run", u->o->checkpoint);
    if (rc) {
        buf_release(&note);
        return rc;
    }
    int bad = note_verify(note.p, note.len, &s, &n, &why);
    if (bad == 0)
        bad = checkpoint_read(&c, note.p, n, b->origin, &why);
    if (bad) {
        err_prefix(&why, "%s", u->o->checkpoint);
        rc = refute(u, "witnessed", &why,
                    bad == ERR_SIGNATURE ? "보관된 검인에 GENESIS의 키로 한 올바른 서명이 없다" : "", e);
    } else {
        struct digest root = root_of_first(&b->ledger, c.size);
        bool same = c.size <= b->ledger.n_records && memcmp(root.b, c.root.b, sizeof root.b) == 0;
        if (same)
            say(u, "witnessed", CHECK_PASS, (double)c.size, "the checkpoint that was kept is of the first %" PRIu64
                " of these records", "앞의 기록 %" PRIu64 "개가 보관된 검인의 것과 같다", c.size);
        else
            say(u, "witnessed", CHECK_FAIL, (double)c.size, ONE_OR(c.size, "the checkpoint that was kept is of %" PRIu64
                " record, and not of this one", "the checkpoint that was kept is of %" PRIu64
                " records, and not of these"), "보관된 검인은 기록 %" PRIu64 "개의 것이며, 이 기록들의 것이 아니다", c.size);
    }
    buf_release(&note);
    return rc;
}

static int check_profile(struct auditor *u, struct err *e)
{
    struct digest mine[N_PROFILES];
    char hex[65];
    const enum profile p = u->b->config.profile;
    int rc = selftest_digests(mine, u->o->x, e);
    if (rc)
        return rc;
    digest_hex(hex, &u->b->genesis.selftest);
    bool same = memcmp(mine[p].b, u->b->genesis.selftest.b, sizeof mine[p].b) == 0 &&
                strcmp(hex, profile_digest(p)) == 0;
    if (same)
        say(u, "profile", CHECK_PASS, NONE, "%s, self-test %.16s…", "%s, 자체 점검 %.16s…", profile_name(p), hex);
    else
        say(u, "profile", CHECK_FAIL, NONE, "the self-test of GENESIS is %.16s…, not that of %s or of this machine",
            "GENESIS의 자체 점검 값이 %2$s의 것이나 이 기계의 것과 다르다: %1$.16s…", hex, profile_name(p));
    return 0;
}

static void check_seed(struct auditor *u)
{
    const struct beacon *v = &u->b->beacon;
    if (!u->b->has_beacon)
        say(u, "seed", CHECK_NOT_DECIDABLE, NONE, "the run still waits for its beacon", "공개될 값을 아직 기다리고 있다");
    else if (strcmp(v->source, u->b->genesis.beacon) != 0)
        say(u, "seed", CHECK_FAIL, NONE, "the value is of \"%s\", GENESIS names \"%s\"",
            "값의 출처가 GENESIS에 적힌 것과 다르다: 값은 ‘%s’, GENESIS는 ‘%s’", v->source, u->b->genesis.beacon);
    else if (strcmp(v->source, BEACON_SELF) == 0 && strcmp(v->value, "-") != 0)
        say(u, "seed", CHECK_FAIL, NONE, "a seed that is the run's own was made of no value, BEACON has \"%s\"",
            "스스로 정한 시드에는 공개된 값이 없어야 하는데 BEACON에 값이 있다: ‘%s’", v->value);
    else if (strcmp(v->source, BEACON_SELF) == 0)
        say(u, "seed", CHECK_NOT_DECIDABLE, NONE, "the run chose its seed itself: others may have been tried",
            "시드를 스스로 정했다. 다른 시드를 시험해 보고 골랐을 수 있다");
    else if (beacon_seed(&u->b->hash, v->value) != v->seed)
        say(u, "seed", CHECK_FAIL, NONE, "seed 0x%016" PRIx64 " does not follow from GENESIS and the value \"%s\"",
            "GENESIS와 값 ‘%2$s’에서 나오는 시드가 아니다: 0x%1$016" PRIx64, v->seed, v->value);
    else if (strcmp(v->source, BEACON_UNNAMED) == 0)
        say(u, "seed", CHECK_NOT_DECIDABLE, NONE, "follows from GENESIS and the value \"%s\", whose source is not "
            "named: others may have been tried",
            "GENESIS와 값 ‘%s’에서 나온다. 값의 출처가 적혀 있지 않으니 다른 값을 시험해 보고 골랐을 수 있다", v->value);
    else if (!is_lodged(u))
        say(u, "seed", CHECK_NOT_DECIDABLE, NONE, "follows from GENESIS and the value \"%s\" of %s; whether it was "
            "chosen cannot be told without the hash of a GENESIS lodged before the draw",
            "GENESIS와 값 ‘%s’(출처: %s)에서 나온다. 추첨 전에 맡겨 둔 GENESIS의 해시 없이는 골랐는지 알 수 없다", v->value, v->source);
    else
        say(u, "seed", CHECK_PASS, NONE, "follows from the GENESIS that was lodged and the value \"%s\" of %s",
            "맡겨 둔 GENESIS와 값 ‘%s’(출처: %s)에서 나온다", v->value, v->source);
}

/* ---- the beginning ---- */

/* Anyone can write a GENESIS that claims terabytes: memory is taken for a model whose file shows the tensors that it
 * claims, and, for a ledger that came without one, where it is a fraction of what this machine has. */
static int may_take(struct auditor *u, bool *may, struct err *e)
{
    struct buf path = {0};
    int rc = model_check_weights(u->o->dir, &u->b->config.model, &u->table, &u->no_model);
    if (rc == ERR_NOMEM)
        return err_set(e, rc, "%s", u->no_model.msg);
    *may = rc == 0;
    if (rc)
        rc = file_join(&path, u->o->dir, "model.safetensors", e);
    if (rc == 0 && !*may)
        *may = !file_exists(path.p) && u->table.total <= mem_physical() / (4 * sizeof(real));
    buf_release(&path);
    return rc;
}

static int make_initial(struct auditor *u, struct err *e)
{
    const struct run_config *c = &u->b->config;
    bool may = false;
    int rc = param_table_new(&u->table, &c->model, e);
    if (rc == 0 && u->b->has_init)
        rc = may_take(u, &may, e);
    if (rc || !may)
        return rc;
    rc = optim_init(&u->optim, u->o->x, &u->table, &c->optim, e);
    if (rc == 0 && !(u->w0 = mem_map(u->table.total * sizeof(real))))
        rc = err_set(e, ERR_NOMEM, "no memory for %zu parameters", u->table.total);
    if (rc == 0)
        params_init(&u->table, u->w0, c->seed);
    return rc;
}

static int check_initial(struct auditor *u, struct err *e)
{
    struct digest root;
    if (!u->b->has_init) {
        say(u, "initial", CHECK_NOT_DECIDABLE, NONE, "training has not begun", "학습을 시작하지 않았다");
        return 0;
    }
    if (!u->w0) {
        struct err why = u->no_model;
        err_prefix(&why, "not made again without a model file of GENESIS' shape");
        quote(u, "initial", CHECK_NOT_DECIDABLE, &why,
              "GENESIS의 형태에 맞는 모델 파일이 없어 처음 가중치를 다시 만들지 않았다");
        return 0;
    }
    struct train_state s = {.table = &u->table, .w = u->w0, .optim = &u->optim};
    int rc = state_root(&root, u->o->x, &s, e);
    if (rc)
        return rc;
    bool same = memcmp(root.b, u->b->init.b, sizeof root.b) == 0;
    if (same)
        say(u, "initial", CHECK_PASS, (double)u->table.total, "weights made again from seed 0x%016" PRIx64
            " give INIT's root", "시드 0x%016" PRIx64 "에서 다시 만든 가중치의 해시가 INIT의 것과 같다", u->b->config.seed);
    else
        say(u, "initial", CHECK_FAIL, (double)u->table.total, "INIT's root is not that of the random weights of "
            "seed 0x%016" PRIx64, "INIT의 해시가 시드 0x%016" PRIx64 "의 무작위 가중치의 것이 아니다", u->b->config.seed);
    return 0;
}

/* ---- segments ---- */

static bool fault(struct auditor *u, uint64_t k, const char *en, const char *ko)
{
    struct check *c = add(u, "segments", CHECK_FAIL, (double)k);
    snprintf(c->detail, sizeof c->detail, "SEGMENT %" PRIu64 " %s", k, en);
    snprintf(c->detail_ko, sizeof c->detail_ko, "구간 %" PRIu64 "%s", k, ko);
    return false;
}

/* Whether a segment says what it must, given the one before. */
static bool segment_fits(struct auditor *u, uint64_t k, const struct digest *before)
{
    const struct run_config *c = &u->b->config;
    const struct segment *s = &u->b->segment[k];
    uint64_t from = k * (uint64_t)c->segment_steps, rows = (uint64_t)run_batch_rows(c);
    if (from >= (uint64_t)c->schedule.steps)
        return fault(u, k, "lies behind the planned steps", ": 계획한 단계를 넘어선다");
    if (s->index != k || s->from != from || s->to != (uint64_t)run_segment_end(c, (int64_t)from))
        return fault(u, k, "has other steps than planned", "의 단계가 계획과 다르다");
    if (memcmp(s->before.b, before->b, sizeof before->b) != 0)
        return fault(u, k, "does not begin with the state the one before ended with", ": 앞 구간의 마지막 상태에서 시작하지 않는다");
    if (s->sample != s->to * rows || s->tokens != s->to * (uint64_t)c->batch_tokens)
        return fault(u, k, "has another cursor or token count than its steps give", ": 글 위치나 토큰 수가 단계 수와 맞지 않는다");
    if (s->flops != run_flops_until(c, (int64_t)s->to))
        return fault(u, k, "has another FLOP count than its steps give", ": 연산량이 단계 수와 맞지 않는다");
    if (s->n_drift != (uint64_t)u->table.n)
        return fault(u, k, "tells of another number of tensors than the model has", ": 텐서 수가 모델과 다르다");
    for (uint64_t i = 0; i < s->n_drift; i++)
        if (!drift_possible(&s->drift[i]))
            return fault(u, k, "tells of a movement that no tensor can make", ": 어떤 텐서도 할 수 없는 움직임이 적혀 있다");
    for (uint64_t i = 0; i < s->to - s->from; i++)
        if (!isfinite(s->loss[i]) || !isfinite(s->grad_norm[i]))
            return fault(u, k, "has a loss that is not a number", ": 손실 하나가 수가 아니다");
    return true;
}

static void check_segments(struct auditor *u)
{
    const struct logbook *b = u->b;
    struct digest before = b->init;
    for (uint64_t k = 0; k < b->n_segments; k++) {
        if (!segment_fits(u, k, &before))
            return;
        before = b->segment[k].after;
    }
    u->form_is_good = true;
    say(u, "segments", CHECK_PASS, (double)b->n_segments, ONE_OR(b->n_segments,
        "%" PRIu64 " segment joins, as the configuration plans it",
        "%" PRIu64 " segments join, as the configuration plans them"),
        "구간 %" PRIu64 "개가 설정의 계획대로 이어진다", b->n_segments);
}

static void check_complete(struct auditor *u)
{
    const struct logbook *b = u->b;
    const struct run_config *c = &b->config;
    uint64_t done = b->n_segments ? b->segment[b->n_segments - 1].to : 0, steps = (uint64_t)c->schedule.steps;
    double share = (double)done / (double)steps;
    if (b->ledger.whole < b->ledger.map.len)
        say(u, "complete", CHECK_NOT_DECIDABLE, share, "the file ends within an entry, at step %" PRIu64 " of %" PRIu64,
            "파일이 항목 중간에서 끝난다. 전체 %2$" PRIu64 "단계 가운데 %1$" PRIu64 "단계", done, steps);
    else if (!b->has_final || u->signed_for < b->ledger.n_records)
        say(u, "complete", CHECK_NOT_DECIDABLE, share, "no signed FINAL: the ledger ends at step %" PRIu64 " of %"
            PRIu64,
            "서명된 FINAL이 없다. 원장은 전체 %2$" PRIu64 "단계 가운데 %1$" PRIu64 "단계에서 끝난다", done, steps);
    else if (done != steps || b->final.steps != steps || b->final.tokens != steps * (uint64_t)c->batch_tokens ||
             b->final.flops != run_flops_until(c, (int64_t)steps) ||
             memcmp(b->final.root.b, b->segment[b->n_segments - 1].after.b, sizeof b->final.root.b) != 0 ||
             !isfinite(b->final.bits_per_byte) || !isfinite(b->final.bits_per_char))
        say(u, "complete", CHECK_FAIL, share, ONE_OR(steps,
            "FINAL is not the end of the %" PRIu64 " planned step, or its figures are no numbers",
            "FINAL is not the end of the %" PRIu64 " planned steps, or its figures are no numbers"),
            "FINAL이 계획한 %" PRIu64 "단계의 끝이 아니거나 적힌 값이 수가 아니다", steps);
    else
        say(u, "complete", CHECK_PASS, share, ONE_OR(steps, "%" PRIu64 " step, %" PRIu64 " tokens, %.4g FLOPs",
            "%" PRIu64 " steps, %" PRIu64 " tokens, %.4g FLOPs"),
            "%" PRIu64 "단계, %" PRIu64 "토큰, %.4g FLOPs", steps, b->final.tokens, b->final.flops);
}

/* ---- files ---- */

/* RUN's configuration, put as GENESIS puts it, against GENESIS. */
static int same_config(const struct auditor *u, struct err *why)
{
    struct run_config *c = mem_new(1, sizeof *c);
    struct buf text = {0};
    size_t n;
    const char *was = ledger_text(&u->b->ledger.entry[0], &n);
    int rc = c ? run_read(c, u->o->dir, why) : err_set(why, ERR_NOMEM, "out of memory");
    if (rc == 0)
        rc = genesis_text(&text, &u->b->genesis, c, why);
    if (rc == 0 && (text.len != n || memcmp(text.p, was, n) != 0))
        rc = err_set(why, ERR_VALUE, "run.json or config.json is not the configuration of GENESIS");
    const struct logbook *b = u->b;
    bool between = b->has_beacon && !b->has_init && c && c->seed_awaited;   /* stopped before run.json had the seed */
    if (rc == 0 && b->has_beacon && !between && (c->seed_awaited || c->seed != b->beacon.seed))
        rc = err_set(why, ERR_VALUE, "run.json has another seed than BEACON");
    if (rc == 0 && !b->has_beacon && !c->seed_awaited)
        rc = err_set(why, ERR_VALUE, "run.json has a seed, and the ledger no BEACON that it came from");
    buf_release(&text);
    mem_free(c);
    return rc;
}

/* It is written behind the ledger's first records. */
static int run_written(const struct auditor *u, bool *yes, struct err *e)
{
    struct buf path = {0};
    int rc = file_join(&path, u->o->dir, "run.json", e);
    *yes = rc == 0 && file_exists(path.p);
    buf_release(&path);
    return rc;
}

static int check_files(struct auditor *u, struct err *e)
{
    struct err why;
    const struct logbook *b = u->b;
    bool begun = true;
    int rc = b->has_init ? 0 : run_written(u, &begun, e);
    if (rc)
        return rc;
    if (!begun) {
        say(u, "files", CHECK_NOT_DECIDABLE, NONE, "run.json is not there yet: the run was stopped before it began",
            "run.json이 아직 없다. 학습을 시작하기 전에 멈췄다");
        return 0;
    }
    if (same_config(u, &why) ||
        (b->has_final && final_files_check(&b->final, &b->config.tokenizer, u->o->dir, &why)))
        return refute(u, "files", &why, "", e);
    say(u, "files", CHECK_PASS, (double)b->final.n_files, ONE_OR(u->b->final.n_files,
        "%" PRIu64 " file and the configuration are the ledger's",
        "%" PRIu64 " files and the configuration are the ledger's"),
        "파일 %" PRIu64 "개와 설정이 원장의 것과 같다", b->final.n_files);
    return 0;
}

static int same_state(struct auditor *u, const char *path, struct err *e)
{
    struct train_state s = {.table = &u->table, .w = u->w0, .optim = &u->optim};
    struct digest root;
    int rc = state_load(u->o->x, &s, path, e);
    if (rc == 0)
        rc = state_root(&root, u->o->x, &s, e);
    if (rc == 0 && memcmp(root.b, u->b->final.root.b, sizeof root.b) != 0)
        rc = err_set(e, ERR_VALUE, "%s: is of step %" PRId64 ", and not FINAL's state", path, s.step);
    for (int i = 0; rc == 0 && i < u->table.n; i++) {
        const struct param *p = &u->table.p[i];
        if (memcmp(u->w + p->offset, u->w0 + p->offset, p->n * sizeof(real)) != 0)
            rc = err_set(e, ERR_VALUE, "model.safetensors: %s is not that of FINAL's state", p->name);
    }
    params_init(&u->table, u->w0, u->b->config.seed);   /* w0 was lent to the state */
    return rc;
}

static int check_weights(struct auditor *u, struct err *e)
{
    struct buf path = {0};
    struct err why;
    if (!u->b->has_final) {
        say(u, "weights", CHECK_NOT_DECIDABLE, NONE, "no FINAL says what they should be",
            "어떤 가중치여야 하는지 말해 주는 FINAL이 없다");
        return 0;
    }
    if (!u->w0) {
        quote(u, "weights", CHECK_FAIL, &u->no_model, "");
        return 0;
    }
    int rc = file_join(&path, u->o->dir, "state/state.safetensors", e);
    if (rc == 0 && !(u->w = mem_map(u->table.total * sizeof(real))))
        rc = err_set(e, ERR_NOMEM, "no memory for %zu parameters", u->table.total);
    if (rc) {
        buf_release(&path);
        return rc;
    }
    if (model_load_weights(u->o->dir, &u->b->config.model, &u->table, u->w, &why)) {
        rc = refute(u, "weights", &why, "", e);
        mem_unmap(u->w, u->table.total * sizeof(real));
        u->w = NULL;
    } else if (!file_exists(path.p)) {
        say(u, "weights", CHECK_NOT_DECIDABLE, NONE, "the state is not here: only a replay can tie the model to "
            "FINAL's root", "마지막 상태가 여기 없다. 모델이 FINAL의 해시와 맞는지는 재현해야 알 수 있다");
    } else if (same_state(u, path.p, &why)) {
        rc = refute(u, "weights", &why, "", e);
    } else {
        say(u, "weights", CHECK_PASS, u->table.n, "the %d tensors of the model file are those of FINAL's state",
            "모델 파일의 텐서 %d개가 FINAL의 상태와 같다", u->table.n);
    }
    buf_release(&path);
    return rc;
}

static int check_corpus(struct auditor *u, struct err *e)
{
    struct corpus *c = NULL;
    struct err why;
    if (!u->o->corpus) {
        say(u, "corpus", CHECK_NOT_DECIDABLE, NONE, "no corpus was given", "말뭉치를 알려 주지 않았다");
        return 0;
    }
    int rc = corpus_open(&c, u->o->corpus, e);
    if (rc)
        return rc;
    struct digest root = corpus_root(c);
    uint64_t docs = corpus_count(c).docs;
    corpus_close(c);
    if (memcmp(root.b, u->b->config.corpus_root.b, sizeof root.b) != 0)
        rc = err_set(&why, ERR_VALUE, "%s: is another corpus than GENESIS'", u->o->corpus);
    else
        rc = corpus_verify(u->o->corpus, &why);
    if (rc && rc != ERR_VALUE && rc != ERR_FORMAT)
        return err_set(e, rc, "%s", why.msg);   /* it was not read */
    if (rc)
        quote(u, "corpus", CHECK_FAIL, &why, "");
    else
        say(u, "corpus", CHECK_PASS, (double)docs, ONE_OR(docs, "its %" PRIu64 " document has the root of GENESIS",
            "its %" PRIu64 " documents have the root of GENESIS"),
            "문서 %" PRIu64 "개의 해시가 GENESIS의 것과 같다", docs);
    return 0;
}

static int check_model_sig(struct auditor *u, struct err *e)
{
    struct oms_report r;
    struct dsse_key *k = NULL;
    struct buf path = {0};
    struct err why;
    int rc = file_join(&path, u->o->dir, "model.sig", e);
    bool asked = u->o->model_key != NULL, there = rc == 0 && file_exists(path.p);
    if (rc == 0 && asked && (rc = dsse_public_read(&k, u->o->model_key, e)) == 0) {
        int bad = oms_verify(u->o->dir, path.p, k, &r, &why);
        if (bad)
            rc = refute(u, "model-sig", &why,
                        bad == ERR_SIGNATURE ? "model.sig에 알려 준 키로 이 내용에 한 서명이 없다" : "", e);
        else
            say(u, "model-sig", CHECK_PASS, (double)r.files, ONE_OR(r.files,
                "%" PRIu64 " file is the one that was signed", "%" PRIu64 " files are those that were signed"),
                "파일 %" PRIu64 "개가 서명한 것과 같다", r.files);
    } else if (rc == 0 && there) {   /* not signed, and nobody asks: no check */
        say(u, "model-sig", CHECK_NOT_DECIDABLE, NONE, "there is a model.sig, and no public key was given",
            "model.sig가 있으나 공개 키를 알려 주지 않았다");
    }
    dsse_key_free(k);
    buf_release(&path);
    return rc;
}

/* ---- how far the weights moved ---- */

/* Runs on ordinary text stay below 6 (bench/RESULTS.md).  A state that comes from elsewhere goes beyond, and so does an
 * honest run on text that it soon knows by heart: the optimizer allows both, so this is where to look and no fault. */
static const double MOST_RATIO = 10;
/* A chance of 10^-9 for weights that have nothing to do with the seed. */
static const double LEAST_Z = 6;

static const char *tensor_name(const struct auditor *u, int i) { return i < 0 ? "no tensor" : u->table.p[i].name; }

static int check_movement(struct auditor *u, struct err *e)
{
    const struct logbook *b = u->b;
    struct worst w;
    struct err why;
    int rc;
    if (b->n_segments == 0 || !u->form_is_good) {
        say(u, "step-bound", CHECK_NOT_DECIDABLE, NONE, "no segments to judge", "판단할 구간이 없다");
        say(u, "continuity", CHECK_NOT_DECIDABLE, NONE, "no segments to judge", "판단할 구간이 없다");
        return 0;
    }
    rc = u->w0 ? bounds_steps(&w, b, &u->table, u->w0, &why) : 0;
    if (rc == ERR_NOMEM)
        return err_set(e, rc, "%s", why.msg);
    if (!u->w0)
        say(u, "step-bound", CHECK_NOT_DECIDABLE, NONE, "no initial weights to judge by",
            "견줄 처음 가중치가 없다");
    else if (rc)
        quote(u, "step-bound", CHECK_NOT_DECIDABLE, &why, "");
    else
        say(u, "step-bound", w.figure <= 1 ? CHECK_PASS : CHECK_FAIL, w.figure,
            "%s moved %.0f %% of what %s allows in segment %" PRIu64,
            "한도에 가장 가까운 것: 구간 %4$" PRIu64 "의 %1$s, %3$s의 한도의 %2$.0f %%만큼 움직였다", tensor_name(u, w.tensor),
            100 * w.figure, optim_name(b->config.optim.kind), w.segment);
    rc = bounds_continuity(&w, b, &u->table, e);
    if (rc == 0 && b->n_segments < 5)
        say(u, "continuity", CHECK_NOT_DECIDABLE, w.figure, ONE_OR(b->n_segments,
            "%" PRIu64 " segment is too few to compare", "%" PRIu64 " segments are too few to compare"),
            "구간이 %" PRIu64 "개뿐이라 견줄 수 없다", b->n_segments);
    else if (rc == 0 && w.figure <= MOST_RATIO)
        say(u, "continuity", CHECK_PASS, w.figure, "%s moved %.1f times as fast in segment %" PRIu64 " as around it",
            "가장 튀는 것: 구간 %3$" PRIu64 "의 %1$s, 앞뒤 구간의 %2$.1f배 빠르기로 움직였다", tensor_name(u, w.tensor), w.figure,
            w.segment);
    else if (rc == 0)
        say(u, "continuity", CHECK_NOT_DECIDABLE, w.figure, "%s moved %.1f times as fast in segment %" PRIu64 " as "
            "around it: text that is soon known by heart does that, and so does a state from elsewhere; a replay of "
            "that segment tells", "가장 튀는 것: 구간 %3$" PRIu64 "의 %1$s, 앞뒤 구간의 %2$.1f배 빠르기로 움직였다. 곧 외워지는 글도, "
            "다른 데서 온 상태도 그렇게 한다. 그 구간을 재현하면 알 수 있다", tensor_name(u, w.tensor), w.figure, w.segment);
    return rc;
}

static void check_end(struct auditor *u)
{
    const struct logbook *b = u->b;
    if (!u->w || !u->form_is_good) {
        say(u, "travel", CHECK_NOT_DECIDABLE, NONE, "no final weights to judge",
            "판단할 마지막 가중치가 없다");
        say(u, "birth", CHECK_NOT_DECIDABLE, NONE, "no final weights to judge",
            "판단할 마지막 가중치가 없다");
        return;
    }
    struct worst w = bounds_travel(b, &u->table, u->w, u->w0);
    say(u, "travel", w.figure <= 1 ? CHECK_PASS : CHECK_FAIL, w.figure,
        "%s lies %.0f %% as far from its beginning as its segments moved it",
        "가장 멀리 간 것: %s, 시작에서 떨어진 거리가 구간마다 움직인 거리 합의 %.0f %%", tensor_name(u, w.tensor), 100 * w.figure);
    w = bounds_birth(&u->table, u->w, u->w0);
    /* Long training with weight decay wears it off, so its absence proves nothing either. */
    say(u, "birth", w.figure >= LEAST_Z ? CHECK_PASS : CHECK_NOT_DECIDABLE, w.figure,
        "%s correlates least with its own beginning, z = %.1f (chance: below %g); alone this proves nothing",
        "시작을 가장 덜 닮은 것: %s, z = %.1f (우연이면 %g 미만). 이것만으로는 아무것도 증명하지 못한다",
        tensor_name(u, w.tensor), w.figure, LEAST_Z);
}

/* ---- all ---- */

static int checks(struct auditor *u, struct err *e)
{
    int rc = 0;
    const struct ledger *l = &u->b->ledger;
    say(u, "chain", CHECK_PASS, (double)l->n_records, ONE_OR(l->n_records, "%" PRIu64 " record, and none before it",
        "%" PRIu64 " records, each holds the hash of the one before"),
        "기록 %" PRIu64 "개가 저마다 앞 기록의 해시를 담고 있다", l->n_records);
    rc = check_signatures(u, e);
    check_lodged(u);
    if (rc == 0)
        rc = check_witnessed(u, e);
    if (rc == 0)
        rc = check_profile(u, e);
    check_seed(u);
    if (rc == 0)
        rc = make_initial(u, e);
    if (rc == 0)
        rc = check_initial(u, e);
    if (rc)
        return rc;
    check_segments(u);
    check_complete(u);
    if ((rc = check_files(u, e)) || (rc = check_weights(u, e)) || (rc = check_model_sig(u, e)) ||
        (rc = check_corpus(u, e)) || (rc = check_movement(u, e)))
        return rc;
    check_end(u);
    return 0;
}

/* What a damaged file says can be any bytes; a verdict is text. */
static void as_text(char *s)
{
    int32_t cp;
    for (size_t at = 0, n = strlen(s), k; at < n; at += k) {
        k = codepoint_next(&cp, s + at, n - at);
        if (cp < 0)
            memset(s + at, '?', k);
    }
}

int audit_run(struct audit *a, const struct audit_opts *o, struct err *e)
{
    struct auditor u = {.a = a, .o = o};
    struct buf path = {0};
    struct err why;
    *a = (struct audit){0};
    struct file_map there;
    int rc = file_join(&path, o->dir, "ledger.bin", e);
    if (rc == 0 && (rc = file_map_open(&there, path.p, e)) == 0) {   /* else it is no run */
        file_map_close(&there);
        int bad = logbook_open(&u.b, path.p, &why);
        if (bad == ERR_NOMEM)
            rc = err_set(e, bad, "%s", why.msg);
        else if (bad)
            quote(&u, "chain", CHECK_FAIL, &why, "");
        else
            rc = checks(&u, e);
    }
    for (int i = 0; i < a->n; i++) {
        as_text(a->check[i].detail);
        as_text(a->check[i].detail_ko);
    }
    size_t flat = u.table.total * sizeof(real);
    mem_unmap(u.w0, flat);
    mem_unmap(u.w, flat);
    optim_release(&u.optim);
    param_table_release(&u.table);
    logbook_close(u.b);
    buf_release(&path);
    return rc;
}
