/* Ledgers and what their records say.  As a file, an input seldom gets past the chain's hashes; so its bytes are also
 * read as each kind of text.  What is read and written again is the same text. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/mem.h"
#include "train/logbook.h"

static struct err e;

static void same(int read, int written, const struct buf *b, const uint8_t *data, size_t size)
{
    if (read == 0 && (written || b->len != size || memcmp(b->p, data, size) != 0))
        abort();
}

static void as_genesis(const uint8_t *data, size_t size)
{
    struct genesis *g = mem_new(1, sizeof *g);
    struct run_config *c = mem_new(1, sizeof *c);
    struct lines t = {(const char *)data, size, "GENESIS"};
    struct buf b = {0};
    int rc = genesis_read(g, c, &t, &e);
    same(rc, rc ? 0 : genesis_text(&b, g, c, &e), &b, data, size);
    buf_release(&b);
    mem_free(g);
    mem_free(c);
}

static void as_segment(const uint8_t *data, size_t size)
{
    struct segment s;
    struct lines t = {(const char *)data, size, "SEGMENT"};
    struct buf b = {0};
    int rc = segment_read(&s, &t, &e);
    same(rc, rc ? 0 : segment_text(&b, &s, &e), &b, data, size);
    if (rc == 0)
        segment_release(&s);
    buf_release(&b);
}

static void as_small(const uint8_t *data, size_t size)
{
    static struct final f;
    struct beacon v;
    struct event x;
    struct digest d;
    struct circumstance c;
    struct buf b = {0};
    struct lines t = {(const char *)data, size, "BEACON"}, u = t, w = t, z = t;
    int rc = beacon_read(&v, &t, &e);
    same(rc, rc ? 0 : beacon_text(&b, &v, &e), &b, data, size);
    buf_clear(&b);
    rc = event_read(&x, &u, &e);
    same(rc, rc ? 0 : event_text(&b, &x, &e), &b, data, size);
    buf_clear(&b);
    rc = init_read(&d, &c, &w, &e);
    same(rc, rc ? 0 : init_text(&b, &d, &c, &e), &b, data, size);
    buf_clear(&b);
    rc = final_read(&f, &z, &e);
    same(rc, rc ? 0 : final_text(&b, &f, &e), &b, data, size);
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct logbook *b;
    if (logbook_open(&b, fuzz_file("ledger.bin", data, size), &e) == 0)
        logbook_close(b);
    as_genesis(data, size);
    as_segment(data, size);
    as_small(data, size);
    return 0;
}
