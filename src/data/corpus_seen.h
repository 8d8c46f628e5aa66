/* The documents a build has kept: by the hash of their text, the id of the first that had it. */
#ifndef DK_DATA_CORPUS_SEEN_H
#define DK_DATA_CORPUS_SEEN_H

#include "base/digest.h"
#include "base/err.h"

struct seen;
int seen_new(struct seen **s, struct err *e) MUST_CHECK;
void seen_free(struct seen *s);
/* The id kept with this hash, or NULL and `id` is kept from now on; *first is valid until the next call. */
int seen_add(struct seen *s, const struct digest *hash, const char *id, const char **first, struct err *e) MUST_CHECK;

#endif
