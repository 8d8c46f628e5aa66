/* dokja pretrain: from a corpus and a tokenizer to a model trained from random weights. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/plural.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/machine.h"
#include "cli/pretrain.h"
#include "cli/wrap.h"
#include "train/agree.h"
#include "train/room.h"

/* Share of its unit's peak that training reaches at least as a rule: a first guess, before it is measured.  Of T2 some
 * products stay T1's, and 8-bit integers leave all else a larger part of a step. */
static double usual_share(enum profile p) { return p == PROFILE_T2 ? 0.3 : 0.45; }

static bool stop_asked(void *user)
{
    (void)user;
    return log_stop_asked();
}

/* ---- inputs ---- */

/* Bytes and characters each token stands for; a character belongs to the token its first byte is in. */
static int token_tables(struct pretrain *p, struct err *e)
{
    int vocab = tokenizer_vocab(p->tokenizer);
    p->token_bytes = mem_new((size_t)vocab, 1);
    p->token_chars = mem_new((size_t)vocab, 1);
    if (!p->token_bytes || !p->token_chars)
        return err_set(e, ERR_NOMEM, "no memory for %d tokens", vocab);
    for (int i = 0; i < vocab; i++) {
        size_t n;
        const char *s = tokenizer_token(p->tokenizer, i, &n);
        int bytes = tokenizer_token_bytes(p->tokenizer, i), chars = 0;
        if (bytes > 255)
            return err_set(e, ERR_LIMIT, "%s: token %d has %d bytes, limit 255", p->tokenizer_dir, i, bytes);
        for (int k = 0; k < bytes; k++)
            chars += ((unsigned char)s[k] & 0xc0) != 0x80;
        p->token_bytes[i] = (uint8_t)bytes;
        p->token_chars[i] = (uint8_t)chars;
    }
    return 0;
}

/* The run folder is a whole Hugging Face folder: the tokenizer's own bytes travel with it.  A run that goes on has
 * them back where they were lost or changed, for FINAL will name what lies there; how else it is described stays. */
static int copy_tokenizer(const struct pretrain *p, bool again, struct err *e)
{
    static const char *const name[] = {"tokenizer.json", "tokenizer_config.json"};
    struct buf from = {0}, to = {0}, bytes = {0};
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        if (file_is_dir(p->tokenizer_dir))
            rc = file_join(&from, p->tokenizer_dir, name[i], e);
        else if (i == 0)
            rc = buf_adds(&from, p->tokenizer_dir, e);
        else
            break;
        if (rc == 0 && i == 1 && !file_exists(from.p))
            break;
        if (rc == 0)
            rc = file_join(&to, p->out, name[i], e);
        if (rc == 0 && i == 1 && again && file_exists(to.p))
            break;
        if (rc == 0)
            rc = file_read(&bytes, from.p, 1u << 30, e);
        if (rc == 0)
            rc = file_replace(to.p, bytes.p, bytes.len, e);
    }
    buf_release(&from);
    buf_release(&to);
    buf_release(&bytes);
    return rc;
}

/* What GENESIS fixes and run.json does not know: nobody changes it afterwards. */
static int genesis_agrees(const struct pretrain *p, struct err *e)
{
    const struct run_ledger *l = &p->ledger;
    const char *lodge = p->run.seed_awaited ? l->lodge : NULL, *holder = l->holder;
    struct genesis g;
    int rc = holder || lodge ? journal_read_genesis(&g, p->out, e) : 0;
    if (rc == 0 && holder && strcmp(g.holder, *holder ? holder : "not named") != 0)
        rc = err_set(e, ERR_VALUE, "%s/ledger.bin: this run's holder is \"%s\", fixed by GENESIS, and you ask for "
                     "--holder \"%s\"; give the same, or another --out", p->out, g.holder, holder);
    if (rc == 0 && lodge && strcmp(g.beacon, lodge) != 0)
        rc = err_set(e, ERR_VALUE, "%s/ledger.bin: this run awaits the value of \"%s\", as GENESIS says, and you ask "
                     "for --lodge \"%s\"; give the same, or another --out", p->out, g.beacon, lodge);
    return rc;
}

/* Leftovers of a program that was killed while it wrote. */
static int clean(const struct pretrain *p, struct err *e)
{
    static const char *const written[] = {"", "state", "states"};
    struct buf dir = {0};
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = file_join(&dir, p->out, written[i], e);
        if (rc == 0 && file_is_dir(dir.p))
            rc = file_clean_tmp(dir.p, e);
    }
    buf_release(&dir);
    return rc;
}

/* A full disk is told before training; before the text is tokenized, with what its ids will take, about. */
static int check_room(const struct pretrain *p, const char *tokens_dir, struct err *e)
{
    struct run_room r;
    uint64_t left = 0, ids = corpus_count(p->corpus).bytes;
    struct tokens *there = NULL;
    if (p->ledger.lodge)
        return 0;
    int rc = run_room_find(&r, &p->run, p->out, (int)p->keep_states, e);
    if (rc == 0)
        rc = run_room_check(&r, p->out, e);
    if (rc || r.all == 0 || !tokens_dir || !file_disk_free(p->out, &left) ||
        tokens_open(&there, tokens_dir, NULL) == 0) {
        tokens_close(there);
        return rc;
    }
    ids = p->req.vocab > 65536 ? ids : ids / 2;   /* a token of about 4 bytes of text, as 2 bytes or 4 */
    char need[24], free_[24], of_ids[24];
    run_room_text(need, r.all + ids);
    run_room_text(of_ids, ids);
    run_room_text(free_, left);
    if (r.all + ids > left)
        wrap_log(2, "advice: %s: the run takes about %s there (the text's token ids %s of it), and %s are free",
                 p->out, need, of_ids, free_);
    return 0;
}

static int open_inputs(struct pretrain *p, struct err *e)
{
    struct buf dir = {0};
    int rc = corpus_open(&p->corpus, p->corpus_dir, e);
    if (rc == 0)
        rc = tokenizer_open(&p->tokenizer, p->tokenizer_dir, e);
    if (rc)
        return rc;
    struct tok_special s = tokenizer_special(p->tokenizer);
    p->req.corpus_root = corpus_root(p->corpus);
    p->req.tokenizer = tokenizer_digest(p->tokenizer);
    p->req.vocab = tokenizer_vocab(p->tokenizer);
    p->req.bos = s.bos;
    p->req.eos = s.eos;
    rc = file_claim_open(&p->claim, p->out, "another program trains here", e);
    if (rc == 0)
        rc = clean(p, e);
    if (rc == 0)
        rc = file_join(&dir, p->out, "run.json", e);
    p->resume = rc == 0 && file_exists(dir.p);
    if (rc == 0 && p->resume) {
        rc = run_read(&p->run, p->out, e);
        if (rc == 0)
            rc = run_agrees(&p->run, &p->req, p->out, e);
        if (rc == 0)
            rc = genesis_agrees(p, e);
    } else if (rc == 0) {
        p->req.budget = p->req.flops > 0 ? p->req.flops : p->req.minutes * 60 * usual_share(p->measured) * p->peak;
        rc = run_ledger_check(&p->ledger, e);
        if (rc == 0)
            rc = run_resolve_shape(&p->run, &p->req, e);
    }
    if (rc == 0)
        rc = file_join(&dir, p->out, "tokens", e);
    p->new_tokens = rc == 0 && !file_exists(dir.p);
    if (rc == 0)
        rc = check_room(p, dir.p, e);
    struct tokens_opts o = {.heldout = p->run.heldout, .threads = p->x.threads};
    if (rc == 0)
        rc = tokens_prepare(dir.p, p->corpus, p->tokenizer, &o, e);
    if (rc == 0)
        rc = tokens_open(&p->tokens, dir.p, e);
    if (rc == 0 && !p->resume)
        run_fit_text(&p->run, &p->req, tokens_count(p->tokens, TOKENS_TRAIN));
    if (rc == 0 && tokens_rows(p->tokens, TOKENS_TRAIN, p->run.seq) < 1)
        rc = err_set(e, ERR_VALUE, "%s: the training text has %" PRIu64 " token%s, fewer than one sequence of %d",
                     p->corpus_dir, tokens_count(p->tokens, TOKENS_TRAIN),
                     PLURAL(tokens_count(p->tokens, TOKENS_TRAIN)), p->run.seq);
    if (rc == 0)
        rc = token_tables(p, e);
    buf_release(&dir);
    return rc;
}

/* The machine's own limit in a profile, for the share of it that training reaches. */
static int measure_peak(struct pretrain *p, enum profile profile, struct err *e)
{
    struct bench_machine m;
    int rc = bench_machine_open(&m, (int)p->threads, e);
    if (rc)
        return rc;
    if (profile == PROFILE_T2)
        bench_use_i8(&m);
    p->peak = 1e9 * bench_unit_rate(&m, 0.3);
    p->measured = profile;
    bench_machine_close(&m);
    return 0;
}

/* ---- length ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Speed of real steps, before the run begins: the trainer starts afresh afterwards.  Their mean, for others take their
 * share of a whole run too; but a program that was held for a while (a machine asleep, a stopped container) must
 * not plan a run of a few steps: where half of the steps took less than half the mean, theirs is the speed. */
static int measure_speed(struct pretrain *p, double *tokens_per_s, struct err *e)
{
    enum { MOST = 64 };
    struct step_report r;
    double took[MOST], all = 0, before = 0;
    int n = -1;   /* the first step touches the memory */
    log_progress_now("measuring this machine's training speed …");
    trainer_init(p->trainer);
    while (n < 2 || (n < MOST - 1 && all <= 0.02 * 60 * p->req.minutes)) {
        int rc = trainer_step(p->trainer, &r, e);
        if (rc)
            return rc;
        double now = clock_seconds();
        if (n >= 0)
            all += took[n] = now - before;
        n++;
        before = now;
    }
    qsort(took, (size_t)n, sizeof *took, by_size);
    double mean = all / n, median = took[(n - 1) / 2];
    *tokens_per_s = (double)p->run.batch_tokens / (median < mean / 2 ? median : mean);
    return 0;
}

static int new_trainer(struct pretrain *p, struct err *e)
{
    struct trainer_args a = {.x = &p->x, .config = &p->run, .tokens = p->tokens, .token_bytes = p->token_bytes,
                             .token_chars = p->token_chars, .memory = p->memory};
    mem_peak_rss_reset();   /* the figure at the end is of training, not of what prepared it */
    return trainer_new(&p->trainer, &a, e);
}

/* A new run: its length becomes a number of steps, written to run.json before the first one. */
static int plan_new(struct pretrain *p, struct err *e)
{
    p->req.tokens_per_s = usual_share(p->run.profile) * p->peak / model_flops_per_token(&p->run.model, p->run.seq);
    int rc = run_resolve_length(&p->run, &p->req, e);
    if (rc == 0)
        rc = check_room(p, NULL, e);
    if (rc == 0)
        rc = new_trainer(p, e);
    if (rc == 0 && p->req.minutes > 0) {
        rc = measure_speed(p, &p->req.tokens_per_s, e);
        p->req.tokens_per_s *= 0.94;   /* evaluations and checkpoints; rows grow */
        p->req.tokens_per_s *= model_flops_per_token(&p->run.model, p->run.seq_start) / run_flops_per_token(&p->run);
        p->req.batch_tokens = p->run.batch_tokens;
        if (rc == 0)
            rc = run_resolve_length(&p->run, &p->req, e);
    }
    if (rc == 0)
        rc = copy_tokenizer(p, false, e);
    if (rc == 0)
        rc = run_ledger_new(&p->journal, &p->ledger, &p->run, e);
    if (rc == 0)
        rc = run_write(&p->run, p->out, e);
    return rc;
}

static int plan_resume(struct pretrain *p, struct err *e)
{
    bool settled = false;
    int rc = new_trainer(p, e);
    if (rc == 0)
        rc = copy_tokenizer(p, true, e);
    if (rc == 0)
        rc = run_ledger_resume(&p->journal, &p->ledger, &p->run, &settled, e);
    p->again = !settled;   /* else it waited for its beacon */
    return rc == 0 && settled ? run_write(&p->run, p->out, e) : rc;
}

static int plan(struct pretrain *p, struct err *e)
{
    struct buf state = {0};
    p->ledger.dir = p->out;
    p->ledger.x = &p->x;
    p->ledger.corpus = p->corpus;
    p->ledger.tokens = p->tokens;
    int rc = run_ledger_selftest(&p->ledger, e);
    if (rc == 0)
        rc = p->resume ? plan_resume(p, e) : plan_new(p, e);
    if (rc == 0)
        trainer_set_run(p->trainer, &p->run);
    if (rc == 0)
        rc = file_join(&state, p->out, "state/state.safetensors", e);
    p->resume = rc == 0 && file_exists(state.p);   /* run.json without a state: killed before the first */
    p->again = p->again && !p->resume;
    buf_release(&state);
    return rc;
}

static int train(struct pretrain *p, struct err *e)
{
    struct loop_result r;
    if (p->ledger.lodge)
        return pretrain_lodged(p);
    struct loop_opts o = {.dir = p->out, .save_every = p->save_every, .peak_flops = p->peak,
                          .resume = p->resume, .journal = p->journal, .keep_states = (int)p->keep_states,
                          .stop = stop_asked, .on_segment = pretrain_on_segment, .on_step = pretrain_on_step,
                          .on_eval = pretrain_on_eval, .user = p};
    pretrain_describe(p);
    log_stop_sentence("stopping at the end of the first segment; Ctrl-C again stops at once");
    log_catch_stop();
    int rc = train_loop(p->trainer, &p->run, &o, &r, e);
    log_progress_end();
    if (rc == 0)
        pretrain_report(p, &r);
    return rc;
}

/* A run that is refused before it has begun leaves nothing. */
static void withdraw(const struct pretrain *p)
{
    struct buf run = {0}, tokens = {0};
    if (p->new_tokens && file_join(&run, p->out, "run.json", NULL) == 0 && !file_exists(run.p) &&
        file_join(&tokens, p->out, "tokens", NULL) == 0)
        tokens_drop(tokens.p);
    buf_release(&run);
    buf_release(&tokens);
}

static void release(struct pretrain *p)
{
    journal_close(p->journal);
    trainer_free(p->trainer);
    tokens_close(p->tokens);
    mem_free(p->token_bytes);
    mem_free(p->token_chars);
    tokenizer_close(p->tokenizer);
    corpus_close(p->corpus);
    nn_release(&p->x);
    file_claim_close(&p->claim);
}

int cmd_pretrain(int argc, char **argv, struct err *e)
{
    struct pretrain p = {.req = {.warmup = -1, .decay = -1, .weight_decay = -1, .clip = -1}, .eval_every = -1,
                         .save_every = 60};
    int rc = pretrain_args(&p, argc, argv, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    if ((rc = measure_peak(&p, p.int8 ? PROFILE_T2 : PROFILE_T1, e)) || (rc = cli_machine(&p.x, p.threads, e)))
        return rc;
    rc = open_inputs(&p, e);
    if (rc == 0 && p.run.profile != p.measured)   /* an older run says otherwise */
        rc = measure_peak(&p, p.run.profile, e);
    if (rc || (rc = plan(&p, e)) || (rc = train(&p, e)))
        log_progress_end();
    if (rc)
        withdraw(&p);
    release(&p);
    return rc;
}
