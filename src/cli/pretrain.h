/* dokja pretrain: what was asked, what it became, and what is printed of it. */
#ifndef DK_CLI_PRETRAIN_H
#define DK_CLI_PRETRAIN_H

#include "base/file.h"
#include "cli/run_ledger.h"
#include "data/corpus.h"
#include "text/tokenizer.h"
#include "train/loop.h"
#include "train/recipe.h"

struct pretrain {
    /* what was asked */
    const char *corpus_dir, *tokenizer_dir, *out;
    int64_t depth, seq, seq_start, workers, threads, memory, keep_states;
    double batch, steps, eval_every, eval_tokens;
    bool json, untied, int8;
    double save_every;
    struct run_request req;
    struct run_ledger ledger;
    /* what it became */
    struct nn x;
    struct corpus *corpus;
    struct tokenizer *tokenizer;
    struct tokens *tokens;
    uint8_t *token_bytes, *token_chars;
    struct run_config run;
    struct trainer *trainer;
    struct journal *journal;
    double peak;        /* FLOP/s of the unit that `measured` multiplies on */
    enum profile measured;
    bool resume;        /* from a saved state */
    bool again;         /* it was begun before and left no state */
    bool going;         /* it was said where training begins */
    struct file_claim claim; /* of `out` */
    bool new_tokens;    /* out/tokens was not there before */
};

/* Fills in what was asked, beside the defaults that stand in p.  0: go on; 1: --help was printed; ERR_USAGE. */
int pretrain_args(struct pretrain *p, int argc, char **argv, struct err *e) MUST_CHECK;
void pretrain_describe(const struct pretrain *p);   /* before the first step */
void pretrain_on_segment(void *p, int64_t done, int64_t to);
void pretrain_on_step(void *p, const struct loop_progress *l);
void pretrain_on_eval(void *p, const struct loop_progress *l);
void pretrain_report(const struct pretrain *p, const struct loop_result *r);
/* GENESIS is written and signed: what is to be shown before the beacon is drawn. */
int pretrain_lodged(const struct pretrain *p);

#endif
