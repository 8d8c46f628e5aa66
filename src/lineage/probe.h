/* The text that activation tests run through models: sequences in normal form C, so that every tokenizer is given the
 * same bytes. */
#ifndef DK_LINEAGE_PROBE_H
#define DK_LINEAGE_PROBE_H

#include "base/buf.h"

enum { PROBE_MAX_SEQ = 256, PROBE_MAX_BYTES = 1 << 15 };

struct probe {
    struct buf text;                    /* the sequences one after the other */
    size_t start[PROBE_MAX_SEQ + 1];    /* of sequence i; its end is start[i + 1] */
    int n;
};
/* Sentences of this project's own, Korean and English in turn. */
int probe_builtin(struct probe *p, struct err *e) MUST_CHECK;
/* Every line of a file that holds more than blanks is a sequence; what lies beyond PROBE_MAX_SEQ sequences or
 * PROBE_MAX_BYTES bytes is left out. */
int probe_read(struct probe *p, const char *path, struct err *e) MUST_CHECK;
void probe_release(struct probe *p); /* safe on zero */

#endif
