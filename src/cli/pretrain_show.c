/* What `dokja pretrain` prints: the plan, a line a step, the end. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/plural.h"
#include "cli/pretrain.h"
#include "cli/wrap.h"
#include "train/logbook.h"

/* Repetitions of a text that are worth nearly as much as new text (Muennighoff et al. 2023, "Scaling
 * Data-Constrained Language Models"). */
enum { TIMES_ADVISED = 4 };
enum { LEFT = 2 };   /* where a line goes on that the terminal has no room for */

static void stdout_line(const char *s)
{
    puts(s);
    fflush(stdout);
}

static void human_count(char out[16], double v)
{
    const char *unit = "";
    if (v >= 1e9)
        v /= 1e9, unit = "G";
    else if (v >= 1e6)
        v /= 1e6, unit = "M";
    else if (v >= 1e3)
        v /= 1e3, unit = "k";
    snprintf(out, 16, v < 10 && *unit ? "%.2f%s" : v < 100 && *unit ? "%.1f%s" : "%.0f%s", v, unit);
}

/* Where training begins, once; and what Ctrl-C will say, for a step of a large model is long. */
void pretrain_on_segment(void *user, int64_t done, int64_t to)
{
    struct pretrain *p = user;
    const int64_t steps = p->run.schedule.steps;
    if (!p->going && p->resume)
        log_line("goes on at step %" PRId64 " of %" PRId64 "%s", done + 1, steps,
                 p->req.minutes > 0 ? "; --minutes was counted when the run began" : "");
    else if (!p->going && p->again)
        log_line("nothing was saved yet: begins again at step 1 of %" PRId64, steps);
    p->going = true;
    if (to < steps)
        log_stop_sentence("stopping at the end of this segment, step %" PRId64 "; Ctrl-C again stops at once", to);
    else
        log_stop_sentence("this segment is the last and ends the run, at step %" PRId64
                          "; Ctrl-C again stops at once", steps);
}

/* The latest figures of both, whichever came last; first what is asked of a long run, for a screen may cut the end. */
static void show_progress(const struct loop_progress *l)
{
    char speed[16], left[16], heldout[48] = "";
    human_count(speed, l->tokens_per_s);
    clock_human(left, l->seconds_left);
    if (l->eval.bits_per_byte == l->eval.bits_per_byte)
        snprintf(heldout, sizeof heldout, " · held-out %.3f bits/byte", l->eval.bits_per_byte);
    log_progress("step %" PRId64 "/%" PRId64 " · %s left · loss %.3f%s · %s tok/s · %.0f %% of peak", l->step.step,
                 l->steps, left, l->step.loss, heldout, speed, 100 * l->fraction_of_peak);
}

void pretrain_on_step(void *user, const struct loop_progress *l)
{
    const struct pretrain *p = user;
    if (p->json) {
        char line[512];
        snprintf(line, sizeof line,
                 "{\"step\":%" PRId64 ",\"tokens\":%" PRId64 ",\"loss\":%.9g,\"lr\":%.9g,\"grad_norm\":%.9g,"
                 "\"tokens_per_s\":%.6g,\"fraction_of_peak\":%.4g}",
                 l->step.step, l->step.tokens, l->step.loss, l->step.lr, l->step.grad_norm, l->tokens_per_s,
                 l->fraction_of_peak);
        stdout_line(line);
    }
    show_progress(l);
}

void pretrain_on_eval(void *user, const struct loop_progress *l)
{
    const struct pretrain *p = user;
    if (p->json) {
        char line[320];
        loop_eval_json(line, sizeof line, l);
        stdout_line(line);
    }
    if (p->going)
        show_progress(l);
    log_line("step %" PRId64 ": held-out %.4f bits per byte, %.3f per character", l->step.step, l->eval.bits_per_byte,
             l->eval.bits_per_char);
}

static void say_few_held_out(const struct pretrain *p)
{
    uint64_t all = tokens_count(p->tokens, TOKENS_HELDOUT), docs = tokens_docs(p->tokens, TOKENS_HELDOUT);
    uint64_t used = recipe_heldout_used(&p->run, all);
    char of[64];
    if (used >= RECIPE_HELDOUT_LEAST)
        return;
    if (used < all)
        snprintf(of, sizeof of, "%" PRIu64 " of %" PRIu64 " tokens", used, all);
    else
        snprintf(of, sizeof of, "%" PRIu64 " token%s in %" PRIu64 " document%s", all, PLURAL(all), docs, PLURAL(docs));
    wrap_log(LEFT, "advice: held-out figures are of %s and may be %.0f %% off by chance, too much to compare runs "
             "by: %s", of, 100 * recipe_heldout_chance(used),
             used < all ? "give more --eval-tokens" : "give a larger --heldout, or more text");
}

void pretrain_describe(const struct pretrain *p)
{
    char params[16], tokens[16], flops[24], seq[48] = "";
    const struct model_config *m = &p->run.model;
    struct trainer_plan plan_ = trainer_planned(p->trainer);
    double all = (double)p->run.schedule.steps * (double)p->run.batch_tokens;
    human_count(params, (double)model_params_total(m));
    human_count(tokens, all);
    snprintf(flops, sizeof flops, "%.3g", all * run_flops_per_token(&p->run));
    if (p->run.start_steps > 0)
        snprintf(seq, sizeof seq, "%d (%d from step %" PRId64 ")", p->run.seq_start, p->run.seq,
                 p->run.start_steps + 1);
    else
        snprintf(seq, sizeof seq, "%d", p->run.seq);
    wrap_log(LEFT, "%d layer%s × %d, %s parameters, vocabulary %d, sequence %s; from random weights, seed "
             "0x%016" PRIx64,
             m->n_layer, PLURAL(m->n_layer), m->d_model, params, m->vocab, seq, p->run.seed);
    int advised = recipe_vocab(all * run_flops_per_token(&p->run));
    if (advised >= 4 * m->vocab || m->vocab >= 4 * advised)
        wrap_log(LEFT, "advice: with this compute a vocabulary of about %d learns more than the tokenizer's %d",
                 advised, m->vocab);
    wrap_log(LEFT, "%" PRId64 " step%s × %" PRId64 " tokens = %s tokens, %s FLOPs; %s, %s; %" PRIu64
             " training tokens in %" PRIu64 " document%s",
             p->run.schedule.steps, PLURAL(p->run.schedule.steps), p->run.batch_tokens, tokens, flops,
             optim_name(p->run.optim.kind), schedule_name(p->run.schedule.kind), tokens_count(p->tokens, TOKENS_TRAIN),
             tokens_docs(p->tokens, TOKENS_TRAIN), PLURAL(tokens_docs(p->tokens, TOKENS_TRAIN)));
    double times = all / (double)tokens_count(p->tokens, TOKENS_TRAIN);
    if (times > TIMES_ADVISED)
        wrap_log(LEFT, "advice: this reads the text %.0f times; beyond about %d a model learns it by heart rather than "
                 "from it: more text, or a shorter run", times, TIMES_ADVISED);
    say_few_held_out(p);
    wrap_log(LEFT, "profile %s, %s on %d thread%s; %d sequence%s at once%s; memory planned %.2f GB",
             profile_name(p->run.profile), isa_name(p->x.k->isa), p->x.threads, PLURAL(p->x.threads),
             plan_.micro_rows, PLURAL(plan_.micro_rows),
             plan_.checkpoint ? ", activations computed again" : "", (double)plan_.bytes / 0x1p30);
}

/* Of the whole run; NaN: nobody knows. */
static double seconds_in_all(const struct pretrain *p, const struct loop_result *r)
{
    struct buf path = {0};
    struct logbook *b = NULL;
    double s = (double)NAN;
    if (!p->resume && !p->again)
        return r->seconds;
    if (file_join(&path, p->out, "ledger.bin", NULL) == 0 && logbook_open(&b, path.p, NULL) == 0)
        s = logbook_seconds(b);
    logbook_close(b);
    buf_release(&path);
    return s;
}

/* "12s"; of a run that was stopped on the way "3m 20s in all, 12s since resuming". */
static void time_text(char out[80], const struct pretrain *p, const struct loop_result *r, double s)
{
    char all[16], now[16];
    clock_human(all, s);
    clock_human(now, r->seconds);
    if (!p->resume && !p->again)
        snprintf(out, 80, "%s", now);
    else if (!(s >= 0))
        snprintf(out, 80, "%s since resuming", now);
    else if (p->going)
        snprintf(out, 80, "%s in all, %s since resuming", all, now);
    else
        snprintf(out, 80, "%s in all", all);
}

static void report_json(const struct pretrain *p, const struct loop_result *r, double seconds, const char *root)
{
    char line[640], all[32] = "null", error[32] = "null", tokens[24] = "null";
    if (seconds >= 0)
        snprintf(all, sizeof all, "%.2f", seconds);
    if (r->eval.error == r->eval.error)
        snprintf(error, sizeof error, "%.3g", r->eval.error);
    if (r->eval.tokens > 0)
        snprintf(tokens, sizeof tokens, "%" PRId64, r->eval.tokens);
    snprintf(line, sizeof line,
             "{\"done\":true,\"steps\":%" PRId64 ",\"tokens\":%" PRId64 ",\"state_root\":\"%s\","
             "\"heldout_bits_per_byte\":%.9g,\"heldout_bits_per_char\":%.9g,\"heldout_standard_error\":%s,"
             "\"heldout_tokens\":%s,\"seconds\":%.2f,\"seconds_in_all\":%s,\"peak_rss_bytes\":%zu,"
             "\"planned_bytes\":%" PRIu64 ",\"ledger_seconds\":%.3f}",
             r->steps, r->tokens, root, r->eval.bits_per_byte, r->eval.bits_per_char, error, tokens, r->seconds, all,
             mem_peak_rss(), trainer_planned(p->trainer).bytes, r->ledger_seconds);
    stdout_line(line);
}

/* With its standard error, where this call has measured it. */
static void report_figure(const struct pretrain *p, const struct loop_result *r, double seconds)
{
    char took[80], about[64] = "";
    const struct eval_report *v = &r->eval;
    time_text(took, p, r, seconds);
    if (v->error == v->error)
        snprintf(about, sizeof about, " ± %.4f", v->error);
    printf("%s: %" PRId64 " step%s, held-out %.4f%s bits per byte, %.3f per character, %s\n", p->out, r->steps,
           PLURAL(r->steps), v->bits_per_byte, about, v->bits_per_char, took);
    if (v->tokens > 0 && v->tokens < RECIPE_HELDOUT_LEAST)
        printf(ONE_OR(v->tokens,
               "%" PRId64 " held-out token is too few to compare runs by: the figure may be %.0f %% off by chance\n",
               "%" PRId64 " held-out tokens are too few to compare runs by: the figure may be %.0f %% off by chance\n"),
               v->tokens, 100 * recipe_heldout_chance((uint64_t)v->tokens));
}

void pretrain_report(const struct pretrain *p, const struct loop_result *r)
{
    char root[65];
    double seconds = seconds_in_all(p, r);
    digest_hex(root, &r->root);
    if (p->json) {
        report_json(p, r, seconds, root);
        return;
    }
    report_figure(p, r, seconds);
    printf("peak memory %.2f GB (planned %.2f)\n", (double)mem_peak_rss() / 0x1p30,
           (double)trainer_planned(p->trainer).bytes / 0x1p30);
    if (r->ledger_seconds > 0)
        printf("ledger %s/ledger.bin: %.1f %% of the time; dokja ledger verify %s checks it\n", p->out,
               100 * r->ledger_seconds / r->seconds, p->out);
    printf("state root %s\n", root);
}

/* GENESIS is written and signed: what is to be shown before the beacon is drawn. */
int pretrain_lodged(const struct pretrain *p)
{
    char hex[65];
    struct digest d = journal_genesis(p->journal);
    digest_hex(hex, &d);
    if (p->json)
        printf("{\"genesis\":\"%s\"}\n", hex);
    else
        printf("genesis %s\nLodge this line before the value of \"%s\" is drawn; then run the same command with "
               "--beacon VALUE\ninstead of --lodge.\n", hex, p->ledger.lodge);
    return 0;
}
