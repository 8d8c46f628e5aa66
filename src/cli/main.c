/* dokja: picks the command and says in one sentence what went wrong. */
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/opt.h"
#include "cli/cli.h"
#include "cli/wrap.h"

#ifndef DOKJA_VERSION
#define DOKJA_VERSION "0.1.0"
#endif

static const struct command commands[] = {
    {"primer", "--bytes N --out FILE.jsonl", "write the built-in bilingual textbook", cmd_primer},
    {"corpus", "build|stats|show|verify …", "turn raw files into a curated, committed corpus", cmd_corpus},
    {"tokenizer", "train|encode|decode|report …", "byte-level BPE, tokenizer.json in and out", cmd_tokenizer},
    {"pretrain", "--corpus DIR --tokenizer DIR --out RUN", "train a model from random weights", cmd_pretrain},
    {"ledger", "show|verify|replay|sign|export|… RUN", "the proof of a run", cmd_ledger},
    {"generate", "-m MODEL …", "continue a text", cmd_generate},
    {"chat", "-m MODEL", "talk with a model", cmd_chat},
    {"score", "-m MODEL --in FILE…", "bits per byte and per character of any text", cmd_score},
    {"eval", "-m MODEL --tasks …", "questions of the primer, answers counted", cmd_eval},
    {"lineage", "A B…", "weight-lineage audit of models, ours or foreign", cmd_lineage},
    {"bench", "peak|gemm|train|prefill|decode|encode|report", "speed beside the hardware's measured limit", cmd_bench},
    {"selftest", "", "check the numeric profiles and print their digests", cmd_selftest},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *f)
{
    fprintf(f, "dokja: a language model of your own, from raw text, with proof\n\n"
               "Usage: dokja COMMAND [options]\n\nCommands:\n");
    for (int i = 0; i < N_COMMANDS; i++) fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].about);
    fprintf(f, "\n  dokja COMMAND --help shows a command's options; dokja --version the version.\n"
               "  Environment: OMP_NUM_THREADS (threads),\n"
               "  DOKJA_CPU=ref|avx2|avx512|avx512bf16|amx (default: the fastest here).\n");
}

static int fail(const char *name, const struct err *e)
{
    const char *sentence = e->msg[0] ? e->msg : "failed";
    fprintf(stderr, "dokja%s%s: ", *name ? " " : "", name);
    wrap_plain(stderr, sentence); /* it may quote foreign names */
    putc('\n', stderr);
    return e->code == ERR_USAGE ? 2 : 1;
}

/* Output that never arrived (full disk, closed pipe) must not look like success. */
static int close_stdout(struct err *e)
{
    bool bad = ferror(stdout) != 0;
    if (fflush(stdout) || bad) return err_set(e, ERR_IO, "standard output: not everything could be written");
    return 0;
}

static const struct command *find(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i].name, name)) return &commands[i];
    return NULL;
}

static int unknown(const char *name, struct err *e)
{
    const char *near = NULL;
    int least = INT_MAX;
    for (int i = 0; i < N_COMMANDS; i++)
        if (opt_nearer(name, strlen(name), commands[i].name, &least)) near = commands[i].name;
    if (near) return err_set(e, ERR_USAGE, "unknown command \"%s\"; did you mean %s?", name, near);
    return err_set(e, ERR_USAGE, "unknown command \"%s\"; dokja --help lists the commands", name);
}

static bool is(const char *arg, const char *word) { return arg && strcmp(arg, word) == 0; }

/* OpenMP threads that wait at length by spinning collapse as soon as another program wants their core (decoding on two
 * shared cores: 2.5 tokens a second, 120 with waiting in the kernel); those that sleep at once lose a quarter of a
 * decode step to being woken.  So they spin for some microseconds, then sleep; longer where training divides longer
 * work, whose partner is worth waiting for (bench/RESULTS.md).  The policy is read before main, so it takes starting
 * again; whoever sets one keeps it. */
static void wait_briefly(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || getenv("KMP_BLOCKTIME")) return;
    bool trains = is(argv[1], "pretrain") || is(argv[1], "ledger") || (is(argv[1], "bench") && is(argv[2], "train"));
    if (setenv("GOMP_SPINCOUNT", trains ? "1000" : "300", 1) == 0 && setenv("OMP_WAIT_POLICY", "passive", 1) == 0)
        execv("/proc/self/exe", argv); /* on failure: as it is */
}

/* OMP_NUM_THREADS is a number or, for levels of nesting, several with commas.  The OpenMP library reads it before
 * main and, where it cannot, prints a line of its own and takes all cores: refused before a second start repeats it. */
static int check_threads(struct err *e)
{
    enum { MOST = 4096 };
    const char *all = getenv("OMP_NUM_THREADS"), *s = all;
    while (s) {
        char *end;
        s += strspn(s, " \t");
        unsigned long n = strtoul(s, &end, 10);
        end += strspn(end, " \t");
        if (*s < '0' || *s > '9' || n < 1 || n > MOST || (*end && *end != ','))
            return err_set(e, ERR_USAGE, "the variable OMP_NUM_THREADS is \"%.40s\"; it takes a number of threads, "
                           "1 to %d, or is left out for all cores", all, MOST);
        s = *end ? end + 1 : NULL;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    if (check_threads(&e)) return fail("", &e);
    wait_briefly(argv);
    /* A reader that goes away is an ordinary write error, so that files in the making are cleaned up. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help(stdout);
        return close_stdout(&e) ? fail("", &e) : 0;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
        printf("dokja %s\n", DOKJA_VERSION);
        return close_stdout(&e) ? fail("", &e) : 0;
    }
    const struct command *c = find(name);
    if (!c) {
        unknown(name, &e);
        return fail("", &e);
    }
    int rc = c->run(argc - 1, argv + 1, &e);
    if (rc < 0 && e.code == 0) e.code = rc;
    if (rc >= 0) rc = close_stdout(&e);
    return rc < 0 ? fail(c->name, &e) : 0;
}
