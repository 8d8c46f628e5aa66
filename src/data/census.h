/* What a corpus consists of, counted from its documents: by source, web domain, licence and language. */
#ifndef DK_DATA_CENSUS_H
#define DK_DATA_CENSUS_H

#include "data/corpus.h"

enum { CENSUS_MAX_ROWS = 1 << 20 };   /* of a table; what comes later is counted under CENSUS_OTHERS */
#define CENSUS_OTHERS "(others)"
#define CENSUS_UNSTATED "(not stated)"
#define CENSUS_NO_DOMAIN "(no web address)"

struct census_row {
    const char *name;
    uint64_t docs, bytes;
};
struct census_table {
    struct census_row *row;    /* the most bytes first, then by name */
    size_t n, cap;
    json_t *at;                /* name to number, while counting */
};
enum census_kind { CENSUS_SOURCE, CENSUS_DOMAIN, CENSUS_LICENSE, CENSUS_LANG, N_CENSUS };
struct census {
    uint64_t docs, bytes, chars;
    struct census_table table[N_CENSUS];
};
/* Reads every document; their root must be that of the manifest. */
int census_take(struct census *s, const struct corpus *c, struct err *e) MUST_CHECK;
void census_release(struct census *s);   /* safe on zero */

/* Host of a source that is a web address, lower-case, without user and port, into out; false where it is none. */
bool census_domain(char *out, size_t size, const char *source);

#endif
