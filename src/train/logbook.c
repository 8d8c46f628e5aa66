#include "train/logbook.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"

/* A record in its place?  The order is GENESIS, BEACON, INIT, SEGMENTs and EVENTs, FINAL. */
static int in_order(const struct logbook *b, const struct ledger_entry *x, const char *where, struct err *e)
{
    bool training = x->kind == LEDGER_SEGMENT || x->kind == LEDGER_EVENT || x->kind == LEDGER_FINAL;
    if ((x->kind == LEDGER_BEACON && b->has_beacon) || (x->kind == LEDGER_INIT && (!b->has_beacon || b->has_init)) ||
        (training && !b->has_init))
        return err_set(e, ERR_FORMAT, "%s: out of order, expected %s", where,
                       !b->has_beacon ? "BEACON" : !b->has_init ? "INIT" : "SEGMENT, EVENT or FINAL");
    return 0;
}

static int read_record(struct logbook *b, const struct ledger_entry *x, const char *where, struct err *e)
{
    size_t n;
    const char *text = ledger_text(x, &n);
    struct lines t = {text, n, where};
    int rc = in_order(b, x, where, e);
    if (rc)
        return rc;
    switch (x->kind) {
    case LEDGER_GENESIS: return genesis_read(&b->genesis, &b->config, &t, e);
    case LEDGER_BEACON:
        b->has_beacon = true;
        return beacon_read(&b->beacon, &t, e);
    case LEDGER_INIT:
        b->has_init = true;
        return init_read(&b->init, &b->begun, &t, e);
    case LEDGER_SEGMENT:
        rc = segment_read(&b->segment[b->n_segments], &t, e);
        b->n_segments += rc == 0;
        return rc;
    case LEDGER_EVENT: return event_read(&b->event[b->n_events++], &t, e);
    case LEDGER_FINAL:
        b->has_final = true;
        return final_read(&b->final, &t, e);
    case LEDGER_CHECKPOINT: return 0;
    }
    return 0;
}

static int read_all(struct logbook *b, struct err *e)
{
    struct buf where = {0};
    size_t n_segments = 0, n_events = 0;
    int rc = 0;
    if (b->ledger.n_records == 0)
        return err_set(e, ERR_FORMAT, "%s: has no record", b->ledger.path);
    for (uint64_t i = 0; i < b->ledger.n_entries; i++) {
        n_segments += b->ledger.entry[i].kind == LEDGER_SEGMENT;
        n_events += b->ledger.entry[i].kind == LEDGER_EVENT;
    }
    b->segment = mem_new(n_segments + 1, sizeof *b->segment);
    b->event = mem_new(n_events + 1, sizeof *b->event);
    if (!b->segment || !b->event)
        return err_set(e, ERR_NOMEM, "%s: no memory for %zu segments", b->ledger.path, n_segments);
    for (uint64_t i = 0; i < b->ledger.n_entries && rc == 0; i++)
        rc = read_record(b, &b->ledger.entry[i], ledger_where(&b->ledger, &b->ledger.entry[i], &where), e);
    buf_release(&where);
    b->hash = sha256_of(b->ledger.entry[0].p, b->ledger.entry[0].n);
    ledger_origin(b->origin, &b->hash);
    b->config.seed = b->beacon.seed;
    b->config.seed_awaited = !b->has_beacon;
    return rc;
}

int logbook_open(struct logbook **out, const char *path, struct err *e)
{
    struct logbook *b = mem_new(1, sizeof *b);
    *out = NULL;
    if (!b)
        return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    b->path = mem_strdup(path);
    int rc = b->path ? ledger_open(&b->ledger, b->path, true, e) : err_set(e, ERR_NOMEM, "%s: out of memory", path);
    if (rc == 0)
        rc = read_all(b, e);
    if (rc)
        logbook_close(b);
    else
        *out = b;
    return rc;
}

double logbook_seconds(const struct logbook *b)
{
    double sum = 0, last = 0;
    uint64_t segments = 0, events = 0;
    for (uint64_t i = 0; i < b->ledger.n_entries; i++) {
        enum ledger_kind k = b->ledger.entry[i].kind;
        bool begins = k == LEDGER_INIT || k == LEDGER_EVENT;
        const char *at = k == LEDGER_INIT      ? b->begun.at
                         : k == LEDGER_EVENT   ? b->event[events++].c.at
                         : k == LEDGER_SEGMENT ? b->segment[segments++].c.at
                         : k == LEDGER_FINAL   ? b->final.c.at
                                               : NULL;
        if (!at)
            continue;
        double now = clock_utc_read(at);
        sum += begins || now < last ? 0 : now - last;   /* a clock that was put back took no time away; NaN stays */
        last = now;
    }
    return sum;
}

void logbook_close(struct logbook *b)
{
    if (!b)
        return;
    for (uint64_t i = 0; i < b->n_segments; i++)
        segment_release(&b->segment[i]);
    mem_free(b->segment);
    mem_free(b->event);
    ledger_close(&b->ledger);
    mem_free(b->path);
    mem_free(b);
}
