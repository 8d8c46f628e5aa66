#include "cli/run_ledger.h"

#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "base/clock.h"
#include "nn/selftest.h"

static struct journal_opts opts_of(const struct run_ledger *l)
{
    return (struct journal_opts){.dir = l->dir, .key_path = l->key, .isa = isa_name(l->x->k->isa),
                                 .threads = l->x->threads};
}

/* "VALUE@SOURCE", or "VALUE" where GENESIS names the source already; source: GENESIS', or NULL where it is to be
 * written yet. */
static int parse_beacon(struct beacon *b, const char *text, const char *source, struct err *e)
{
    const char *at = strrchr(text, '@');
    size_t n = at ? (size_t)(at - text) : strlen(text);
    *b = (struct beacon){0};
    if (n == 0 || n >= sizeof b->value || (at && (at[1] == 0 || strlen(at + 1) >= sizeof b->source)))
        return err_set(e, ERR_USAGE, "--beacon %.60s: expected VALUE or VALUE@SOURCE, each of 1 to %zu bytes", text,
                       sizeof b->value - 1);
    if (source && strcmp(source, BEACON_SELF) == 0)
        return err_set(e, ERR_VALUE, "--beacon %.60s: the run's GENESIS names no beacon, its seed is its own", text);
    if (!at && !source)
        return err_set(e, ERR_USAGE, "--beacon %.60s: names no source, expected VALUE@SOURCE (a value alone is for a "
                       "run whose source was lodged)", text);
    memcpy(b->value, text, n);
    snprintf(b->source, sizeof b->source, "%s", at ? at + 1 : source);
    if (strcmp(b->source, BEACON_SELF) == 0)
        return err_set(e, ERR_USAGE, "--beacon %.60s: a source cannot be called " BEACON_SELF, text);
    if (source && strcmp(b->source, source) != 0)
        return err_set(e, ERR_VALUE, "--beacon %.60s: GENESIS names another source, \"%s\"", text, source);
    return 0;
}

/* What the seed will be made of, as far as it is known. */
static int name_beacon(struct genesis *g, const struct run_ledger *l, struct err *e)
{
    struct beacon b = {.source = BEACON_SELF};
    int rc = l->beacon ? parse_beacon(&b, l->beacon, NULL, e) : 0;
    const char *source = l->lodge ? l->lodge : b.source;
    if (rc == 0 && (strlen(source) >= sizeof g->beacon || !*source || (l->lodge && strcmp(source, BEACON_SELF) == 0)))
        rc = err_set(e, ERR_USAGE, "--lodge %.60s: expected whose value it will be and when it is drawn, at most %zu "
                     "bytes", source, sizeof g->beacon - 1);
    if (rc == 0)
        snprintf(g->beacon, sizeof g->beacon, "%s", source);
    return rc;
}

int run_ledger_check(const struct run_ledger *l, struct err *e)
{
    struct genesis g = {0};
    return name_beacon(&g, l, e);
}

/* Every profile is T1 and more; whether a run's own holds is asked where its ledger begins or goes on. */
int run_ledger_selftest(struct run_ledger *l, struct err *e)
{
    int rc = selftest_digests(l->selftest, l->x, e);
    return rc ? rc : selftest_check_profile(l->selftest, PROFILE_T1, e);
}

/* What GENESIS says of program, text and holder. */
static int describe(struct genesis *g, const struct run_ledger *l, enum profile profile, struct err *e)
{
    struct corpus_counts n = corpus_count(l->corpus);
    g->selftest = l->selftest[profile];
    if (digest_parse(&g->source, build_source()) != 0)
        return err_set(e, ERR_VALUE, "this program does not know the digest of its source");
    snprintf(g->compiler, sizeof g->compiler, "%s", build_compiler());
    if (l->holder && strlen(l->holder) >= sizeof g->holder)
        return err_set(e, ERR_USAGE, "--holder has %zu bytes, limit %zu", strlen(l->holder), sizeof g->holder - 1);
    snprintf(g->holder, sizeof g->holder, "%s", l->holder && *l->holder ? l->holder : "not named");
    clock_utc(g->created);
    g->corpus_docs = n.docs;
    g->corpus_bytes = n.bytes;
    g->train_docs = tokens_docs(l->tokens, TOKENS_TRAIN);
    g->train_tokens = tokens_count(l->tokens, TOKENS_TRAIN);
    g->heldout_docs = tokens_docs(l->tokens, TOKENS_HELDOUT);
    g->heldout_tokens = tokens_count(l->tokens, TOKENS_HELDOUT);
    return 0;
}

/* From the public value, or the run's own. */
static int settle_seed(struct journal *j, const struct run_ledger *l, struct run_config *c, struct err *e)
{
    struct beacon b = {.source = BEACON_SELF, .value = "-", .seed = c->seed};
    struct digest genesis = journal_genesis(j);
    if (l->beacon) {
        int rc = parse_beacon(&b, l->beacon, journal_beacon_source(j), e);
        if (rc)
            return rc;
        b.seed = beacon_seed(&genesis, b.value);
    }
    c->seed = b.seed;
    c->seed_awaited = false;
    return journal_beacon(j, &b, e);
}

int run_ledger_new(struct journal **j, const struct run_ledger *l, struct run_config *c, struct err *e)
{
    struct genesis g = {0};
    struct journal_opts o = opts_of(l);
    int rc = selftest_check_profile(l->selftest, c->profile, e);
    if (rc == 0)
        rc = name_beacon(&g, l, e);
    if (rc == 0)
        rc = describe(&g, l, c->profile, e);
    if (rc == 0)
        rc = journal_new(j, &o, &g, c, e);
    if (rc == 0 && l->lodge) {
        c->seed = 0;
        c->seed_awaited = true;
    } else if (rc == 0) {
        rc = settle_seed(*j, l, c, e);
    }
    return rc;
}

int run_ledger_resume(struct journal **j, const struct run_ledger *l, struct run_config *c, bool *settled,
                      struct err *e)
{
    struct journal_opts o = opts_of(l);
    *settled = false;
    if (c->seed_awaited && !l->beacon && !l->lodge)
        return err_set(e, ERR_VALUE, "%s: waits for the value its seed is made of: give --beacon VALUE", l->dir);
    if (!c->seed_awaited && l->lodge)
        return err_set(e, ERR_VALUE, "%s: has its seed already; --lodge is for before", l->dir);
    int rc = selftest_check_profile(l->selftest, c->profile, e);
    if (rc == 0)
        rc = journal_open(j, &o, c, e);
    *settled = rc == 0 && c->seed_awaited && l->beacon;
    return rc == 0 && l->beacon ? settle_seed(*j, l, c, e) : rc;
}
