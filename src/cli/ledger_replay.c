/* dokja ledger replay: segments of a run, trained again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/plural.h"
#include "cli/cli.h"
#include "cli/ledger_page.h"
#include "cli/ledger_sub.h"
#include "cli/machine.h"
#include "data/corpus.h"
#include "data/tokens.h"
#include "text/tokenizer.h"

struct replay {
    const char *run, *segments, *nonce, *corpus, *html;
    int64_t threads, memory;
    bool all, json, force;
    struct nn x;
    struct logbook *b;
    struct tokens *tokens;
    struct trainer *trainer;
    struct replay_choice choice;
    double started;
};

/* The text as the run kept it, or made again from the corpus, which must then be the one GENESIS commits to. */
static int open_tokens(struct replay *p, struct err *e)
{
    struct buf dir = {0}, manifest = {0};
    struct corpus *c = NULL;
    struct tokenizer *t = NULL;
    const struct genesis *g = &p->b->genesis;
    int rc = file_join(&dir, p->run, p->corpus ? "replay-tokens" : "tokens", e);
    if (rc == 0 && p->corpus) {
        struct tokens_opts o = {.heldout = p->b->config.heldout, .threads = p->x.threads};
        rc = corpus_open(&c, p->corpus, e);
        struct digest root = rc ? (struct digest){0} : corpus_root(c);
        if (rc == 0 && memcmp(root.b, p->b->config.corpus_root.b, sizeof root.b) != 0)
            rc = err_set(e, ERR_VALUE, "%s: is another corpus than the one GENESIS commits to", p->corpus);
        if (rc == 0)
            rc = corpus_verify(p->corpus, e);
        if (rc == 0)
            rc = tokenizer_open(&t, p->run, e);
        struct digest digest = rc ? (struct digest){0} : tokenizer_digest(t);
        if (rc == 0 && memcmp(digest.b, p->b->config.tokenizer.b, sizeof digest.b) != 0)
            rc = err_set(e, ERR_VALUE, "%s/tokenizer.json: is another tokenizer than GENESIS'", p->run);
        if (rc == 0)
            rc = file_join(&manifest, dir.p, "tokens.json", e);
        if (rc == 0)
            rc = file_remove(manifest.p, e);   /* so that it is made anew */
        if (rc == 0)
            rc = tokens_prepare(dir.p, c, t, &o, e);
    }
    if (rc == 0)
        rc = tokens_open(&p->tokens, dir.p, e);
    const struct run_config *r = &p->b->config;
    if (rc == 0)
        rc = tokens_need_source(p->tokens, &r->corpus_root, &r->tokenizer, r->model.vocab, r->model.bos, e);
    if (rc == 0 && (tokens_count(p->tokens, TOKENS_TRAIN) != g->train_tokens ||
                    tokens_docs(p->tokens, TOKENS_TRAIN) != g->train_docs))
        rc = err_set(e, ERR_VALUE, "%s: holds %" PRIu64 " token%s of %" PRIu64 " document%s, GENESIS says %" PRIu64
                     " of %" PRIu64, dir.p, tokens_count(p->tokens, TOKENS_TRAIN),
                     PLURAL(tokens_count(p->tokens, TOKENS_TRAIN)), tokens_docs(p->tokens, TOKENS_TRAIN),
                     PLURAL(tokens_docs(p->tokens, TOKENS_TRAIN)),
                     g->train_tokens, g->train_docs);
    if (rc == 0)
        rc = tokens_need_row(p->tokens, p->b->config.seq, e);
    tokenizer_close(t);
    corpus_close(c);
    buf_release(&dir);
    buf_release(&manifest);
    return rc;
}

static bool asked_to_stop(void *user)
{
    (void)user;
    return log_stop_asked();
}

static void on_step(void *user, uint64_t done, uint64_t all)
{
    const struct replay *p = user;
    char left[16];
    double gone = clock_seconds() - p->started;
    clock_human(left, gone / (double)done * (double)(all - done));
    log_progress("replay: step %" PRIu64 " of %" PRIu64 " · %s left", done, all, left);
}

/* Segments that come out alike say nothing of who wrote them down.  A run that was stopped between a record and its
 * checkpoint has one that is not signed for. */
static int check_signed(const struct logbook *b, struct err *e)
{
    struct note_signer s = {b->origin, b->genesis.key};
    uint64_t covered = 0;
    int rc = ledger_signed_check(&b->ledger, b->origin, &s, &covered, e);
    if (rc == 0 && covered + 1 < b->ledger.n_records)
        rc = err_set(e, ERR_VALUE, "%s: only %" PRIu64 " of %" PRIu64 " records are signed for", b->ledger.path,
                     covered, b->ledger.n_records);
    return rc;
}

static int replay_open(struct replay *p, struct err *e)
{
    int rc = cli_machine(&p->x, p->threads, e);
    if (rc == 0)
        rc = ledger_book_open(&p->b, p->run, e);
    if (rc == 0)
        rc = check_signed(p->b, e);
    if (rc == 0 && !p->b->has_init)
        rc = err_set(e, ERR_VALUE, "%s: training has not begun", p->b->ledger.path);
    if (rc == 0)
        rc = replay_choose(&p->choice, p->b, p->all ? "all" : p->segments, p->nonce, e);
    if (rc == 0)
        rc = open_tokens(p, e);
    if (rc == 0)
        rc = replay_check_model(p->b, p->run, e);
    struct trainer_args a = {.x = &p->x, .config = p->b ? &p->b->config : NULL, .tokens = p->tokens,
                             .memory = p->memory, .memory_is_machine = p->memory == 0};
    if (rc)
        return rc;
    if (p->memory == 0)   /* what a forged GENESIS claims must not bring the machine down */
        a.memory = (int64_t)mem_physical();
    rc = trainer_new(&p->trainer, &a, e);
    return rc == ERR_LIMIT ? err_prefix(e, "%s: the model of GENESIS", p->b->ledger.path) : rc;
}

/* Before any work: without kept states a short list may well mean the whole run. */
static void tell_plan(const struct replay_choice *c)
{
    char all[32] = "all ";
    if (c->train < c->n)
        snprintf(all, sizeof all, "%" PRIu64 " of ", c->train);
    if (c->train == c->k)
        log_line("replay: trains %s%" PRIu64 " segment%s, %" PRIu64 " step%s", all, c->n, PLURAL(c->n), c->steps,
                 PLURAL(c->steps));
    else
        log_line("replay: %s: trains %s%" PRIu64 " segment%s, %" PRIu64 " step%s, to reach the %" PRIu64 " chosen",
                 c->kept ? "no kept state lies right before some of them"
                         : "no states were kept (pretrain --keep-states N)", all, c->n, PLURAL(c->n), c->steps,
                 PLURAL(c->steps), c->k);
}

static int replay_report(struct replay *p, const struct replay_result *r, struct err *e)
{
    struct replayed done = {&p->choice, r};
    int rc = p->json ? ledger_replay_json(&done, e) : 0;
    if (!p->json)
        ledger_replay_show(p->b, &done, clock_seconds() - p->started, p->corpus != NULL);
    if (rc == 0 && p->html) {
        static struct audit a;
        struct ledger_wish w = {.corpus = p->corpus, .threads = p->threads};
        rc = ledger_run_audit(&a, p->run, &w, e);
        struct ledger_page page = {.run = p->run, .book = p->b, .audit = &a, .replayed = &done};
        if (rc == 0)
            rc = ledger_write_page(p->html, page, p->corpus, e);
    }
    if (rc == 0 && r->differs)
        rc = err_set(e, ERR_VALUE, "%s: segment %" PRIu64 " is not what training gives: at step %" PRIu64 " %s", p->run,
                     r->segment, r->step, r->what);
    return rc;
}

int ledger_replay(int argc, char **argv, struct err *e)
{
    struct replay p = {.segments = "0,last"};
    int n;
    const struct opt opts[] = {
        {"segments", 0, OPT_STR, &p.segments, "LIST",
         "numbers, last, outliers, random:K (with the first, last, outlying and resumed ones), all (default 0,last)", 0,
         0, NULL},
        {"all", 0, OPT_FLAG, &p.all, NULL, "the whole run", 0, 0, NULL},
        {"nonce", 0, OPT_STR, &p.nonce, "N", "draws random:K: a value that became public after the run ended", 0, 0,
         NULL},
        {"corpus", 0, OPT_STR, &p.corpus, "DIR", "takes the text from the committed corpus, not from RUN/tokens", 0, 0,
         NULL},
        {"threads", 't', OPT_INT, &p.threads, "N", "threads (OMP_NUM_THREADS, or all cores)", 1, 4096, NULL},
        {"memory", 0, OPT_SIZE, &p.memory, "SIZE", "budget, e.g. 8G (what the machine has)", 1, 1e15, NULL},
        {"html", 0, OPT_STR, &p.html, "FILE", "also writes one page: curve, segments, checks", 0, 0, NULL},
        CLI_FORCE(&p.force),
        {"json", 0, OPT_FLAG, &p.json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja ledger replay RUN [--segments LIST | --all] [options]",
                                  "Trains segments of a run again, from the states kept in RUN/states or from the "
                                  "beginning, and compares what comes out with the ledger, bit by bit. Exit status 0 "
                                  "only when all chosen segments match.", opts, 1, 1};
    int rc = opt_parse(&spec, argc, argv, &n, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    struct replay_result r = {0};
    p.run = argv[0];
    rc = cli_may_write(p.html, LEDGER_PAGE_MARK, p.force, e);
    if (rc == 0)
        rc = replay_open(&p, e);
    log_catch_stop();
    struct replay_opts o = {.dir = p.run, .choice = &p.choice, .stop = asked_to_stop, .on_step = on_step, .user = &p};
    if (rc == 0)
        rc = replay_plan(&p.choice, p.trainer, p.b, p.run, e);
    if (rc == 0)
        tell_plan(&p.choice);
    p.started = clock_seconds();
    if (rc == 0)
        rc = replay_run(&r, p.trainer, p.b, &o, e);
    log_progress_end();
    if (rc == 0)
        rc = replay_report(&p, &r, e);
    trainer_free(p.trainer);
    tokens_close(p.tokens);
    replay_choice_release(&p.choice);
    logbook_close(p.b);
    nn_release(&p.x);
    return rc;
}
