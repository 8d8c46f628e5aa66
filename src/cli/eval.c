/* dokja eval: a model's accuracy on tasks with exact answers. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/plural.h"
#include "cli/cli.h"
#include "cli/machine.h"
#include "cli/wrap.h"
#include "eval/primer_eval.h"

struct eval_args {
    const char *model, *tasks;
    int64_t items, show;
    uint64_t seed;
    bool json, seen;
};

struct watch {
    const struct eval_args *a;
    int done, of, shown[PRIMER_MAX_SKILLS];
};

/* The question with its context, without the solved examples before it, and the model's answer. */
static void show(const struct primer_item *it, const char *text, size_t n, bool right)
{
    const char *end = memchr(text, '\n', n);

    log_line("%s%.*s  %s%s%s", it->prompt.p + it->question, (int)(end ? end - text : (long)n), text, right ? "(right)"
        : "(wrong: ",
             right ? "" : it->answer.p, right ? "" : ")");
}

static bool on_item(void *user, const struct primer_item *it, const char *text, size_t n, bool right)
{
    struct watch *w = user;

    w->done++;
    if (!w->a->json && w->shown[it->skill] < w->a->show) {
        w->shown[it->skill]++;
        show(it, text, n, right);
    }
    log_progress("eval: %s, %d of %d question%s", primer_skill(it->skill)->name, w->done, w->of, PLURAL(w->of));
    return !log_stop_asked();
}

static void print_json(const struct primer_score *score, const char *root, double seconds)
{
    int asked = 0, right = 0;

    printf("{\"task\":\"primer\",\"skills\":[");
    for (int i = 0; i < primer_skills(); i++) {
        const struct primer_score *s = &score[i];
        printf("%s{\"name\":\"%s\",\"lang\":\"%s\",\"items\":%d,\"correct\":%d,\"accuracy\":%.4f,\"chance\":%.4f}", i
            ? "," : "",
               primer_skill(i)->name, primer_skill(i)->lang, s->asked, s->right, (double)s->right / s->asked,
                   s->chance);
        asked += s->asked;
        right += s->right;
    }
    printf("],\"items\":%d,\"correct\":%d,\"accuracy\":%.4f,\"weights_root\":\"%s\",\"seconds\":%.2f}\n", asked, right,
           (double)right / asked, root, seconds);
}

static void print_table(const struct primer_score *score, bool seen)
{
    int good = 0;

    printf("%-13s %8s %8s   %s\n", "skill", "correct", "chance", "what it asks");
    for (int i = 0; i < primer_skills(); i++) {
        const struct primer_score *s = &score[i];
        const struct primer_skill *k = primer_skill(i);
        double share = (double)s->right / s->asked;
        wrap_line(34, "%-13s %7.1f%% %7.1f%%   %s (%s)", k->name, 100 * share, 100 * s->chance, k->about, k->about_ko);
        good += share >= 0.8;
    }
    printf("%d of %d skills at 80 %% or more, on facts the textbook %s\n", good, primer_skills(),
           seen ? "tells" : "never tells");
}

static int eval_primer(const struct eval_args *a, struct err *e)
{
    struct nn x = {0};
    struct infer_model *m = NULL;
    struct primer_score score[PRIMER_MAX_SKILLS];
    struct watch w = {.a = a, .of = (int)a->items * primer_skills()};
    const struct primer_eval_opts o = {.items = (int)a->items, .seed = a->seed, .seen = a->seen,
        .on_item = on_item, .user = &w};
    double start = clock_seconds();
    int rc = cli_machine(&x, 0, e);
    if (rc)
        return rc;
    rc = infer_model_open(&m, &x, a->model, e);
    if (rc == 0)
        rc = primer_eval(m, &o, score, e);
    log_progress_end();
    if (rc == 0) {
        struct digest root = infer_model_root(m);
        char hex[65];
        digest_hex(hex, &root);
        if (a->json)
            print_json(score, hex, clock_seconds() - start);
        else
            print_table(score, a->seen);
    }
    infer_model_close(m);
    nn_release(&x);
    return rc;
}

int cmd_eval(int argc, char **argv, struct err *e)
{
    struct eval_args a = {.tasks = "primer", .items = 100, .seed = 1};
    const struct opt opts[] = {
        {.name = "model", .letter = 'm', .type = OPT_STR, .dst = &a.model, .arg = "MODEL",
            .help = "run or Hugging Face folder"},
        {.name = "tasks", .type = OPT_STR, .dst = &a.tasks, .arg = "LIST",
            .help = "primer: exact questions about facts held out from the textbook"},
        {.name = "items", .letter = 'n', .type = OPT_INT, .dst = &a.items, .arg = "N",
            .help = "questions a skill (100)", .lo = 1, .hi = 100000},
        {.name = "seed", .type = OPT_SEED, .dst = &a.seed, .arg = "N", .help = "which questions (1)"},
        {.name = "seen", .type = OPT_FLAG, .dst = &a.seen, .help = "ask about facts of the textbook instead"},
        {.name = "show", .type = OPT_INT, .dst = &a.show, .arg = "N",
            .help = "print the first N questions of each skill with the answers", .lo = 0, .hi = 1e6},
        {.name = "json", .type = OPT_FLAG, .dst = &a.json, .help = "machine-readable result"},
        {0}};
    const struct opt_spec spec = {"dokja eval -m MODEL [--tasks primer] [--items N]",
        "Asks a model questions with exact answers and counts.",
                                  opts, 0, 0};
    int n_args = 0, rc = opt_parse(&spec, argc, argv, &n_args, e);

    if (rc)
        return rc > 0 ? 0 : rc;
    if (!a.model)
        return err_set(e, ERR_USAGE, "-m MODEL is missing: a run or model folder");
    if (strcmp(a.tasks, "primer"))
        return err_set(e, ERR_USAGE, "unknown task \"%s\"; there is: primer", a.tasks);
    log_catch_stop();
    return eval_primer(&a, e);
}
