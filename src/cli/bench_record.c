/* `--record FILE` of the measurements: one line each, as cli/bench_lines.h says. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cli/bench.h"
#include "cli/cli.h"

/* The value of "NAME : value" in /proc/cpuinfo's first block, at most n - 1 bytes of it, or "". */
static void cpuinfo(char *out, size_t n, const char *name)
{
    char line[512];
    size_t len = strlen(name);
    FILE *f = fopen("/proc/cpuinfo", "r");
    *out = 0;
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, name, len) != 0 || line + len + strspn(line + len, " \t") != colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(out, n, "%s", colon + 1 + strspn(colon + 1, " \t"));
        break;
    }
    if (f)
        fclose(f);
}

void bench_machine_name(char out[200])
{
    char model[80], family[12], number[12];
    cpuinfo(model, sizeof model, "model name");
    cpuinfo(family, sizeof family, "cpu family");
    cpuinfo(number, sizeof number, "model");
    double gib = (double)mem_physical() / 0x1p30;
    int at = snprintf(out, 200, "%s", *model ? model : "unknown processor");
    if (*family && *number)
        at += snprintf(out + at, 200 - (size_t)at, " (family %s, model %s)", family, number);
    snprintf(out + at, 200 - (size_t)at, ", %d cores, %.0f GiB", omp_get_num_procs(), gib);
}

static void now(char out[32])
{
    time_t t = time(NULL);
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        *out = 0;
}

/* The command as it was given, without the option that records it. */
static int command(struct buf *b, int argc, char **argv, struct err *e)
{
    const char *cpu = getenv("DOKJA_CPU");
    int rc = cpu && *cpu ? buf_printf(b, e, "DOKJA_CPU=%s dokja bench", cpu) : buf_adds(b, "dokja bench", e);
    for (int i = 0; i < argc && rc == 0; i++) {
        if (strcmp(argv[i], "--record") == 0)
            i++;
        else if (strncmp(argv[i], "--record=", 9) != 0)
            rc = buf_printf(b, e, " %s", argv[i]);
    }
    return rc;
}

/* What differs from all of the machine belongs to what was measured. */
static int limits_set(struct buf *b, const struct bench_machine *m, struct err *e)
{
    int rc = 0;
    if (!m)
        return 0;
    if (m->nn.k->isa != kernels_detect())
        rc = buf_printf(b, e, ", %s", isa_name(m->nn.k->isa));
    if (rc == 0 && m->nn.threads != omp_get_num_procs())
        rc = buf_printf(b, e, ", %d thread%s", m->nn.threads, m->nn.threads > 1 ? "s" : "");
    return rc;
}

void bench_line_set(struct bench_line *l, const struct bench_result *r, double scale)
{
    l->value = r->figure * scale;
    l->min = r->lo * scale;
    l->max = r->hi * scale;
    l->limit = r->limit * scale;
    l->fraction = r->fraction;
    l->n = r->runs;
    l->higher = true;
}

int bench_record(const char *path, const struct bench_machine *m, const struct bench_line *line, int argc, char **argv,
                 struct err *e)
{
    char machine[200], date[32];
    struct buf what = {0}, said = {0};
    struct bench_line l = *line;
    if (cli_may_write(path, "\"bench\":", false, e))
        return err_set(e, ERR_VALUE, "%s: exists and does not begin with measurements of bench", path);
    bench_machine_name(machine);
    now(date);
    int rc = buf_adds(&what, line->what, e);
    if (rc == 0)
        rc = limits_set(&what, m, e);
    if (rc == 0)
        rc = command(&said, argc, argv, e);
    if (rc == 0) {
        l.what = what.p;
        l.command = said.p;
        l.machine = machine;
        l.date = date;
        if (!l.who)
            l.who = "dokja";
        if (m && !l.limit_name && l.limit > 0)
            l.limit_name = m->limit_name;
        rc = bench_line_append(path, &l, e);
    }
    buf_release(&what);
    buf_release(&said);
    return rc;
}
