#include "harness.h"

#include "base/opt.h"

static struct {
    int64_t depth, bytes;
    double lr, count;
    bool json, depth_seen;
    uint64_t seed;
    const char *out;
    struct opt_list in;
} o;

static const struct opt opts[] = {
    {"depth", 'd', OPT_INT, &o.depth, "N", "layers", .lo = 1, .hi = 128, .seen = &o.depth_seen},
    {"lr", 0, OPT_REAL, &o.lr, "X", "learning rate", .lo = 0, .hi = 1},
    {"flops", 0, OPT_COUNT, &o.count, "F", "length", .lo = 0, .hi = 0},
    {"bytes", 'b', OPT_SIZE, &o.bytes, "N", "size", .lo = 0, .hi = 0},
    {"seed", 's', OPT_SEED, &o.seed, "N", "seed", .lo = 0, .hi = 0},
    {"any", 0, OPT_INT, &o.bytes, "N", "any integer", .lo = 0, .hi = 0},
    {"json", 0, OPT_FLAG, &o.json, NULL, "machine-readable output", .lo = 0, .hi = 0},
    {"out", 'o', OPT_STR, &o.out, "FILE", "output", .lo = 0, .hi = 0},
    {"in", 'i', OPT_LIST, &o.in, "FILE", "input", .lo = 0, .hi = 0},
    {0},
};

static struct opt_spec spec = {"dokja try FILE", "Tries.", opts, 0, 2};
static struct err e;
static int n_args;
static char *argv_[80];

/* Splits a line at blanks (a static copy) and parses it. */
static int parse(const char *line)
{
    static char copy[4096];
    int argc = 0;
    memset(&o, 0, sizeof o);
    memset(&e, 0, sizeof e);
    snprintf(copy, sizeof copy, "try %s", line);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " ")) argv_[argc++] = p;
    return opt_parse(&spec, argc, argv_, &n_args, &e);
}

static void takes_every_form(void **state)
{
    (void)state;
    ok(parse("--depth 12 --lr=3e-4 --flops 2e14 -b8G --json a -o x.txt -i 1 --in=2 -- -b"));
    assert_int_equal(o.depth, 12);
    assert_true(o.depth_seen && o.json);
    assert_true(o.lr == 3e-4 && o.count == 2e14);
    assert_true(o.bytes == 8ll << 30);
    assert_string_equal(o.out, "x.txt");
    assert_int_equal(o.in.n, 2);
    assert_string_equal(o.in.v[1], "2");
    assert_int_equal(n_args, 2);
    assert_string_equal(argv_[0], "a");
    assert_string_equal(argv_[1], "-b");
    ok(parse("-"));
    assert_int_equal(n_args, 1);
    assert_string_equal(argv_[0], "-");
    assert_false(o.depth_seen);
}

static void scales(void **state)
{
    (void)state;
    ok(parse("--flops 24M"));
    assert_true(o.count == 24e6);
    ok(parse("--flops 1.5k"));
    assert_true(o.count == 1500);
    ok(parse("--flops 2T"));
    assert_true(o.count == 2e12);
    ok(parse("--bytes 24M"));
    assert_true(o.bytes == 24ll << 20);
    ok(parse("--bytes 1.5K"));
    assert_true(o.bytes == 1536);
    ok(parse("--bytes 77"));
    assert_true(o.bytes == 77);
}

/* All of 64 bits, to the last one, as they are written. */
static void seeds_are_unsigned_64_bits(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint64_t seed;
    } t[] = {{"--seed 0xbdb6c7fcefeaadba", 0xbdb6c7fcefeaadba}, {"--seed 13670333608100539834", 0xbdb6c7fcefeaadba},
             {"-s 18446744073709551615", UINT64_MAX},           {"-s0xFFFFFFFFFFFFFFFF", UINT64_MAX},
             {"--seed=0x0000000000000005", 5},                  {"--seed 0", 0},
             {"--seed -0", 0},                                  {"--seed 9007199254740993", 9007199254740993},
             {"--seed 010", 10}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ok(parse(t[i].line));
        assert_true(o.seed == t[i].seed);
    }
    ok(parse("--any 9223372036854775807"));
    assert_true(o.bytes == INT64_MAX);
    ok(parse("--any -9223372036854775808"));
    assert_true(o.bytes == INT64_MIN);
}

static void names_option_and_value(void **state)
{
    (void)state;
    static const struct {
        const char *line, *part;
    } t[] = {
        {"--dept 3", "unknown option --dept; did you mean --depth?"},
        {"--bites=3", "did you mean --bytes?"},
        {"--qwertz", "unknown option --qwertz; --help lists them"},
        {"-q", "unknown option -q"},
        {"--depth", "--depth needs a value (N)"},
        {"--depth x", "--depth: \"x\" is not an integer"},
        {"--depth 3.5", "--depth: \"3.5\" is not an integer"},
        {"--depth=", "--depth: \"\" is not an integer"},
        {"--depth 0", "--depth: 0 is out of range, expected 1 to 128"},
        {"--depth 99999999999999999999", "99999999999999999999 is out of range, expected 1 to 128"},
        {"--any -9223372036854775809", "is out of range, expected -9223372036854775808 to 9223372036854775807"},
        {"--seed 18446744073709551616", "18446744073709551616 is out of range, expected 0 to 18446744073709551615"},
        {"--seed 0x10000000000000000", "is out of range"},
        {"--seed -1", "--seed: -1 is out of range"},
        {"--seed 1.5", "--seed: \"1.5\" is not a seed such as 5 or 0x"},
        {"--seed 1e3", "is not a seed"},
        {"--seed bdb6c7fcefeaadba", "is not a seed"},
        {"--seed 0x", "is not a seed"},
        {"--seed +5", "is not a seed"},
        {"--seed=", "--seed: \"\" is not a seed"},
        {"--lr nan", "--lr: \"nan\" is not a number"},
        {"--lr inf", "is not a number"},
        {"--lr 0x1p-3", "is not a number"},
        {"--lr 1e999", "is not a number"},
        {"--lr 1k", "is not a number"},
        {"--lr 2", "out of range, expected 0 to 1"},
        {"--flops 3q", "--flops: \"3q\" is not a count"},
        {"--flops 3MM", "is not a count"},
        {"--flops -3", "is not a count"},
        {"--bytes 0.3", "is not a whole number of bytes"},
        {"--bytes 1e30", "whole number of bytes"},
        {"--json=1", "--json takes no value, got \"1\""},
        {"a b c", "unexpected argument \"c\""},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) refused(parse(t[i].line), ERR_USAGE, t[i].part);
    spec.min_args = 1;
    refused(parse("--json"), ERR_USAGE, "needs at least 1 argument, got 0");
    spec.min_args = 0;
}

static void list_is_bounded(void **state)
{
    (void)state;
    char line[1024] = "";
    for (int i = 0; i < 65; i++) strcat(line, "-ix ");
    refused(parse(line), ERR_USAGE, "--in: given more than 64 times");
}

/* --help goes to stdout: catch it in a file. */
static void help_is_a_table(void **state)
{
    (void)state;
    char text[4096];
    FILE *f = tmpfile();
    fflush(stdout);
    int keep = dup(1);
    dup2(fileno(f), 1);
    int rc = parse("--json --help --nonsense");
    fflush(stdout);
    dup2(keep, 1);
    close(keep);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    assert_int_equal(rc, 1);
    assert_non_null(strstr(text, "Usage: dokja try FILE\n\nTries.\n\nOptions:\n"));
    assert_non_null(strstr(text, "\n  -d, --depth N   layers\n"));
    assert_non_null(strstr(text, "\n      --json      machine-readable output\n"));
    assert_non_null(strstr(text, "\n  -h, --help      shows this text\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_are_unsigned_64_bits),
        cmocka_unit_test(takes_every_form), cmocka_unit_test(scales),          cmocka_unit_test(names_option_and_value),
        cmocka_unit_test(list_is_bounded),  cmocka_unit_test(help_is_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
