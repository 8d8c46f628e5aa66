/* dokja-verify RUN: the command line of the second verifier; see verify.h. */
#include "verify/verify.h"

static const char usage[] =
    "Usage: dokja-verify RUN [--genesis HASH] [--checkpoint FILE] [--corpus DIR] [--attest KEY --out FILE] [--json]\n"
    "       dokja-verify RUN --replay LIST [--attest KEY --out FILE] [--json]\n\n"
    "Checks a run's ledger (docs/ledger.md); with --replay LIST (segment numbers, last or all, with commas) it trains\n"
    "those segments again instead. --attest signs the verdict. HASH has 64 hex digits. Exit status: 0 pass,\n"
    "1 not (or a path that is not what it should be: then there is no verdict), 2 usage or machine.\n";
static const char *const result_name[] = {"pass", "fail", "not-decidable"}; /* JSON's; people's: */
static const char *const mark[] = {"pass", "FAIL", "not decidable"};

static const char *quoted(const char *s) { /* as the inside of a JSON string */
    static char out[2500];
    size_t n = 0;
    for (; *s && n + 8 < sizeof out; s++) {
        bool plain = (unsigned char)*s >= ' ' && *s != '"' && *s != '\\';
        n += (size_t)snprintf(out + n, sizeof out - n, plain ? "%c" : "\\u%04x", plain ? *s : (unsigned char)*s);
    }
    return n ? out : "";
}
static int verify(const struct asked *o)
{
    static struct audit a;
    char properties[2048], figure[32];
    a.asked = o;
    const char *verdict = audit_run(&a);
    int n = snprintf(properties, sizeof properties, "\"VERDICT_%s\"", verdict);
    if (o->json) printf("{\"verdict\":\"%s\",\"checks\":[", verdict);
    for (const struct check *c = a.check; c < a.check + a.n; c++) {
        const char *result = result_name[c->result];
        n += snprintf(properties + n, sizeof properties - (size_t)n, ",\"%s=%s\"", c->name, result);
        snprintf(figure, sizeof figure, "%.17g", c->figure);
        if (!o->json) printf("%-12s %-14s %s\n", c->name, mark[c->result], c->detail);
        else printf("%s{\"name\":\"%s\",\"result\":\"%s\",\"figure\":%s,\"detail\":\"%s\"}", c > a.check ? "," : "",
                    c->name, result, isfinite(c->figure) ? figure : "null", quoted(c->detail));
    }
    printf("%s%s\n", o->json ? "]}" : "\nverdict: ", o->json ? "" : verdict);
    if (o->attest) attest(o, a.s->l.file, properties);
    return strcmp(verdict, "pass") != 0;
}
static int again(const struct asked *o)
{
    static struct story s;
    static struct replayed r;
    char properties[300], first[300];
    story_read(&s, join(o->run, "ledger.bin"));
    if (ledger_signed(&s.l, s.r.key.b) + 1 < s.l.n_records)
        refuse("%s: more than its last record is not signed for", s.l.path);
    if (o->attest && strlen(o->replay) > 100) refuse("--replay %.40s…: is too long a list to attest", o->replay);
    replay(&r, &s, o->run, o->replay);
    bool same = r.matched == r.segments && !*r.what;
    snprintf(first, sizeof first, "{\"segment\":%llu,\"step\":%llu,\"what\":\"%s\"}", N(r.segment), N(r.step), r.what);
    printf(o->json ? "{\"segments\":%llu,\"matched\":%llu,\"first_difference\":%s}\n"
                   : "segments: %llu, what training gives: %llu; first difference: %s\n",
           N(r.segments), N(r.matched), !same ? first : o->json ? "null" : "none");
    snprintf(properties, sizeof properties, "\"REPLAY_%llu_OF_%llu_%s\",\"CHOSEN=%.100s\"", N(r.matched),
             N(s.n_segments), same ? "BITEXACT" : "DIFFERS", quoted(o->replay));
    if (o->attest) attest(o, s.l.file, properties);
    return !same;
}
static int status;
static void run(void *arg)
{
    const struct asked *o = arg;
    if (o->attest) attest_check(o);
    status = o->replay ? again(o) : verify(o);
    if (fflush(stdout) != 0 || ferror(stdout)) refuse("standard output: not everything could be written");
}
int main(int argc, char **argv)
{
    struct asked o = {0};
    const struct { const char *name, **value; } option[] = {
        {"--genesis", &o.genesis}, {"--checkpoint", &o.checkpoint}, {"--corpus", &o.corpus}, {"--replay", &o.replay},
        {"--attest", &o.attest}, {"--out", &o.out}};
    bool good = true;
    for (int i = 1; i < argc && good; i++) {
        const char **value = argv[i][0] == '-' ? NULL : &o.run;
        for (size_t k = 0; k < sizeof option / sizeof *option; k++)
            if (strcmp(argv[i], option[k].name) == 0 && i + 1 < argc) value = option[k].value;
        if (strcmp(argv[i], "--json") == 0) o.json = argv[i];
        else if (!value || *value) good = false;
        else *value = value == &o.run ? argv[i] : argv[++i];
    }
    uint8_t hash[32];
    if (o.replay) good = good && *o.replay && !o.genesis && !o.checkpoint && !o.corpus; /* it would not look at them */
    good = good && (!o.genesis || (strlen(o.genesis) == 64 && hex_read(hash, o.genesis, 32)));
    if (!good || !o.run || !o.attest != !o.out) {
        fputs(usage, stderr);
        return 2;
    }
    ref_begin();
    if (!attempt(run, &o)) {
        fprintf(stderr, "dokja-verify: %s\n", why);
        status = machine_short ? 2 : 1;
    }
    return status;
}
