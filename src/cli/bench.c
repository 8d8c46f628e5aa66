#include "cli/bench.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/wrap.h"

static const struct command benches[] = {
    {"peak", "[--threads N] [--json]", "what units and memory can do", bench_peak},
    {"gemm", "--size N | --m --n --k [--json]", "the matrix product, profile T1 or T2", bench_gemm},
    {"train", "[--depth N] [--seq N] [--json]", "a training step on random tokens", bench_train},
    {"prefill", "[--depth N | -m MODEL] [--json]", "reading a prompt", bench_prefill},
    {"decode", "[--depth N | -m MODEL] [--json]", "one new token after the other", bench_decode},
    {"encode", "-t DIR --in FILE… [--json]", "text to ids, one thread", bench_encode},
    {"report", "[--in FILE.jsonl] [--out FILE]", "recorded measurements as a page", bench_report},
};
enum { N_BENCH = sizeof benches / sizeof *benches };

static void help(void)
{
    puts("dokja bench WHAT …: speed beside the machine's own measured limit\n");
    for (int i = 0; i < N_BENCH; i++)
        printf("  %-8s %-*s %s\n", benches[i].name, wrap_bytes(benches[i].args, 31), benches[i].args, benches[i].about);
}

int cmd_bench(int argc, char **argv, struct err *e)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        help();
        return 0;
    }
    for (int i = 0; argc >= 2 && i < N_BENCH; i++)
        if (strcmp(argv[1], benches[i].name) == 0)
            return benches[i].run(argc - 1, argv + 1, e);
    if (argc < 2)
        return err_set(e, ERR_USAGE, "which measurement? `dokja bench --help` lists what can be measured");
    return err_set(e, ERR_USAGE, "unknown measurement %.40s; `dokja bench --help` lists what can be measured", argv[1]);
}
