/* The command line of `dokja pretrain`. */
#include <assert.h>

#include "base/opt.h"
#include "cli/cli.h"
#include "cli/pretrain.h"
#include "data/corpus.h"

static struct opt *add(struct opt *to, const struct opt *group)
{
    while (group->name)
        *to++ = *group++;
    return to;
}

/* What is trained on what, and for how long. */
static struct opt *run_opts(struct opt *to, struct pretrain *p)
{
    struct run_request *r = &p->req;
    const struct opt o[] = {
        {.name = "corpus", .type = OPT_STR, .dst = &p->corpus_dir, .arg = "DIR", .help = "made by dokja corpus build"},
        {.name = "tokenizer", .type = OPT_STR, .dst = &p->tokenizer_dir, .arg = "DIR",
         .help = "folder with tokenizer.json"},
        {.name = "out", .type = OPT_STR, .dst = &p->out, .arg = "RUN",
         .help = "the run; an existing one goes on where it stopped, with the settings it began with"},
        {.name = "depth", .letter = 'd', .type = OPT_INT, .dst = &p->depth, .arg = "N",
         .help = "layers; width is 64·N (default: fits --flops or --minutes; else 4)", .lo = 1, .hi = 128},
        {.name = "config", .type = OPT_STR, .dst = &r->config_path, .arg = "FILE",
         .help = "a Hugging Face config.json instead of --depth"},
        {.name = "flops", .type = OPT_COUNT, .dst = &r->flops, .arg = "F",
         .help = "length as compute, e.g. 2e14; without --depth and --config it chooses the shape too", .lo = 1,
         .hi = 1e30},
        {.name = "tokens", .type = OPT_COUNT, .dst = &r->tokens, .arg = "N",
         .help = "length as tokens, e.g. 50M", .lo = 1, .hi = 1e18},
        {.name = "steps", .type = OPT_COUNT, .dst = &p->steps, .arg = "N",
         .help = "length as optimizer steps", .lo = 1, .hi = 1e12},
        {.name = "minutes", .type = OPT_REAL, .dst = &r->minutes, .arg = "N",
         .help = "length as time: speed is measured, then the number of steps is fixed", .lo = 0.01, .hi = 1e7},
        {0}};
    return add(to, o);
}

/* How the text is cut, and what of the machine is used. */
static struct opt *batch_opts(struct opt *to, struct pretrain *p)
{
    struct run_request *r = &p->req;
    const struct opt o[] = {
        {.name = "seq", .type = OPT_INT, .dst = &p->seq, .arg = "N",
         .help = "tokens of a sequence (default 512; 1024 from depth 9; fits --flops)", .lo = 32, .hi = 1 << 20},
        {.name = "seq-start", .type = OPT_INT, .dst = &p->seq_start, .arg = "N",
         .help = "tokens of a sequence at first, a divisor of --seq (default: half where --flops or --minutes choose; "
                 "else no difference)", .lo = 32, .hi = 1 << 20},
        {.name = "seq-switch", .type = OPT_REAL, .dst = &r->seq_switch, .arg = "X",
         .help = "fraction of the steps with --seq-start (default 0.7)", .lo = 1e-6, .hi = 1},
        {.name = "batch-tokens", .type = OPT_COUNT, .dst = &p->batch, .arg = "N",
         .help = "tokens of a step (default: from the length)", .lo = 32, .hi = 1e10},
        {.name = "workers", .type = OPT_INT, .dst = &p->workers, .arg = "V",
         .help = "virtual workers of the batch, a power of two (default 1)", .lo = 1, .hi = 65536},
        {.name = "memory", .type = OPT_SIZE, .dst = &p->memory, .arg = "SIZE",
         .help = "budget, e.g. 8G: decides how many sequences are computed at once", .lo = 1, .hi = 1e15},
        {.name = "threads", .type = OPT_INT, .dst = &p->threads, .arg = "N",
         .help = "default: OMP_NUM_THREADS or all cores; bits do not depend on it", .lo = 1, .hi = 4096},
        {0}};
    return add(to, o);
}

/* Where the seed comes from, and who answers for the run. */
static struct opt *ledger_opts(struct opt *to, struct pretrain *p)
{
    struct run_request *r = &p->req;
    const struct opt o[] = {
        {.name = "seed", .type = OPT_SEED, .dst = &r->seed, .arg = "N",
         .help = "64 bits, decimal or 0x… (default: derived from corpus, tokenizer and shape)", .seen = &r->seed_given},
        {.name = "lodge", .type = OPT_STR, .dst = &p->ledger.lodge, .arg = "SOURCE",
         .help = "names the public value that the seed will be made of, e.g. \"drand round 5100000\"; only writes the "
                 "ledger's first record and prints its hash, to be shown before the value is drawn"},
        {.name = "beacon", .type = OPT_STR, .dst = &p->ledger.beacon, .arg = "VALUE",
         .help = "that value, when it is known (without --lodge before: VALUE@SOURCE, and then nobody can tell whether "
                 "the seed was chosen)"},
        {.name = "holder", .type = OPT_STR, .dst = &p->ledger.holder, .arg = "NAME",
         .help = "who trains, as the ledger shall say it"},
        {.name = "key", .type = OPT_STR, .dst = &p->ledger.key, .arg = "FILE",
         .help = "Ed25519 key (PEM) that signs the ledger (default: RUN/state/key.pem, made new)"},
        {0}};
    return add(to, o);
}

/* How it learns. */
static struct opt *learning_opts(struct opt *to, struct pretrain *p)
{
    struct run_request *r = &p->req;
    const struct opt o[] = {
        {.name = "optimizer", .type = OPT_STR, .dst = &r->optimizer, .arg = "NAME",
         .help = "normuon (default), muon or adamw"},
        {.name = "schedule", .type = OPT_STR, .dst = &r->schedule, .arg = "NAME", .help = "wsd (default) or cosine"},
        {.name = "lr", .type = OPT_REAL, .dst = &r->lr_matrix, .arg = "X",
         .help = "learning rate of the matrices", .lo = 1e-9, .hi = 10},
        {.name = "lr-embed", .type = OPT_REAL, .dst = &r->lr_embed, .arg = "X",
         .help = "learning rate of embedding and head", .lo = 1e-9, .hi = 10},
        {.name = "weight-decay", .type = OPT_REAL, .dst = &r->weight_decay, .arg = "X",
         .help = "of the matrices", .lo = 0, .hi = 10},
        {.name = "clip", .type = OPT_REAL, .dst = &r->clip, .arg = "X",
         .help = "gradient norm limit (default 1; 0: off)", .lo = 0, .hi = 1e9},
        {.name = "warmup", .type = OPT_REAL, .dst = &r->warmup, .arg = "X",
         .help = "fraction of the steps (default 0.05)", .lo = 0, .hi = 1},
        {.name = "decay", .type = OPT_REAL, .dst = &r->decay, .arg = "X",
         .help = "wsd: fraction of the steps at the end (default 0.6)", .lo = 0, .hi = 1},
        {0}};
    return add(to, o);
}

/* What is held out, kept and told. */
static struct opt *watch_opts(struct opt *to, struct pretrain *p)
{
    struct run_request *r = &p->req;
    const struct opt o[] = {
        {.name = "heldout", .type = OPT_REAL, .dst = &r->heldout, .arg = "X",
         .help = "fraction of documents held out, by hash (default " TEXT_OF(CORPUS_HELDOUT) ")", .lo = 1e-6,
         .hi = 0.5},
        {.name = "eval-every", .type = OPT_COUNT, .dst = &p->eval_every, .arg = "N",
         .help = "steps between held-out evaluations (default: ten in a run; 0: only at the end)", .lo = 0, .hi = 1e12},
        {.name = "eval-tokens", .type = OPT_COUNT, .dst = &p->eval_tokens, .arg = "N",
         .help = "held-out tokens of an evaluation", .lo = 1, .hi = 1e12},
        {.name = "save-every", .type = OPT_REAL, .dst = &p->save_every, .arg = "SECONDS",
         .help = "between checkpoints (default 60)", .lo = 0, .hi = 1e9},
        {.name = "keep-states", .type = OPT_INT, .dst = &p->keep_states, .arg = "N",
         .help = "states on the way that stay in RUN/states, evenly spaced: a replay can begin there", .lo = 0,
         .hi = 10000},
        {.name = "int8", .type = OPT_FLAG, .dst = &p->int8,
         .help = "matrix products of training by 8-bit integers (profile T2); sequences of multiples of 256 tokens"},
        {.name = "untied", .type = OPT_FLAG, .dst = &p->untied, .help = "separate output head"},
        {.name = "json", .type = OPT_FLAG, .dst = &p->json, .help = "JSON lines on stdout"},
        {0}};
    return add(to, o);
}

static int check(struct pretrain *p, struct err *e)
{
    if (!p->corpus_dir || !p->tokenizer_dir || !p->out)
        return err_set(e, ERR_USAGE, "%s is required",
                       !p->corpus_dir ? "--corpus DIR" : !p->tokenizer_dir ? "--tokenizer DIR" : "--out RUN");
    if (p->depth > 0 && p->req.config_path)
        return err_set(e, ERR_USAGE, "--depth and --config contradict each other: give one");
    if ((p->req.flops > 0) + (p->req.tokens > 0) + (p->req.minutes > 0) + (p->steps > 0) > 1)
        return err_set(e, ERR_USAGE, "give one of --flops, --tokens, --steps and --minutes, not several");
    if (p->ledger.lodge && p->ledger.beacon)
        return err_set(e, ERR_USAGE, "--lodge comes before --beacon: give one");
    if (p->req.seed_given && (p->ledger.lodge || p->ledger.beacon))
        return err_set(e, ERR_USAGE, "--seed and --beacon contradict each other: the beacon makes the seed");
    struct run_request *r = &p->req;
    r->depth = (int)p->depth;
    r->seq = (int)p->seq;
    r->seq_start = (int)p->seq_start;
    r->workers = (int)p->workers;
    r->batch_tokens = (int64_t)p->batch;
    r->steps = (int64_t)p->steps;
    r->eval_every = (int64_t)p->eval_every;
    r->eval_tokens = (int64_t)p->eval_tokens;
    r->untied = p->untied;
    r->int8 = p->int8;
    return 0;
}

int pretrain_args(struct pretrain *p, int argc, char **argv, struct err *e)
{
    enum { MOST = 64 };
    struct opt opts[MOST] = {{0}}, *end = run_opts(opts, p);
    end = batch_opts(end, p);
    end = ledger_opts(end, p);
    end = learning_opts(end, p);
    end = watch_opts(end, p);
    assert(end < opts + MOST);
    const struct opt_spec spec = {
        .usage = "dokja pretrain --corpus DIR --tokenizer DIR --out RUN [--depth N | --config FILE] [options]",
        .about = "Trains a language model from random weights. The same inputs give the same bits on any machine and "
                 "thread count; stopped or killed, the same command goes on to the same bits.",
        .opts = opts, .min_args = 0, .max_args = 0};
    int n_args;
    int rc = opt_parse(&spec, argc, argv, &n_args, e);
    return rc ? rc : check(p, e);
}
