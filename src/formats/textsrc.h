/* Documents out of text files: .txt, .md (one document a file), .jsonl (one a line, field "text"),
 * each plain, .gz or .zst.  A byte order mark at the beginning of a file is no part of a document.
 * Streaming and bounded: memory is the longest document, at most `limit`. */
#ifndef DK_FORMATS_TEXTSRC_H
#define DK_FORMATS_TEXTSRC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct textsrc;

enum textsrc_kind { TEXTSRC_NONE, TEXTSRC_TXT, TEXTSRC_JSONL };
/* By name; TEXTSRC_NONE: not a text source. */
enum textsrc_kind textsrc_kind(const char *path);

int textsrc_open(struct textsrc **s, const char *path, size_t limit, struct err *e) MUST_CHECK;
/* Goes on with another file, under the same limit and settings, using the memory again.  After an error only
 * another switch or the close may follow. */
int textsrc_switch(struct textsrc *s, const char *path, struct err *e) MUST_CHECK;
void textsrc_close(struct textsrc *s); /* safe on NULL */

struct textsrc_doc {
    const char *text; /* valid until the next call; as in the file (not yet normalised) */
    size_t n;
    const char *id;   /* "" when the record has none */
    const char *source, *license, *lang; /* "" when absent */
    uint64_t line;    /* 1-based line of a .jsonl, else 1 */
    int bad;          /* 0; only with textsrc_report: ERR_LIMIT or ERR_FORMAT */
    const char *why;  /* of a bad line, "line 12 …", below 512 bytes; else "" */
};
/* 1: a document; 0: end of file; negative: error.  A line that is too long or is not a JSON object with a string "text"
 * is an error naming the line. */
int textsrc_next(struct textsrc *s, struct textsrc_doc *d, struct err *e) MUST_CHECK;
/* Bad lines of a .jsonl are handed out instead: `bad` and `why` say what they are, text is the raw line (empty when it
 * was too long), the other strings are "". */
void textsrc_report(struct textsrc *s, bool on);

struct sha256;
/* instream_hash and instream_drain of the file that is open. */
void textsrc_hash(struct textsrc *s, struct sha256 *sha);
int textsrc_drain(struct textsrc *s, uint64_t *bytes, struct err *e) MUST_CHECK;

#endif
