/* What a corpus is built from: the files named or found below the folders named, and the documents in them,
 * in an order that depends on names alone. */
#ifndef DK_DATA_CORPUS_INPUT_H
#define DK_DATA_CORPUS_INPUT_H

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "data/corpus.h"
#include "formats/textsrc.h"

/* The longest line of a .jsonl whose text may be one of max_doc bytes: a quoted character takes up to six, and a record
 * has other fields too. */
static inline size_t corpus_line_limit(size_t max_doc) { return 6 * max_doc + ((size_t)1 << 20); }

struct input_file {
    char *path;
    char *name;          /* below the folder that was named, or the last part of the path */
    uint64_t bytes;      /* of the file as it lies there */
    struct digest sha256; /* known after inputs_digest or once an input_stream has passed its end */
    enum textsrc_kind kind;
};
struct inputs {
    struct input_file *f;
    int n;
};
/* What sources_list gives for each of o->in, in the order given; finding nothing is an error.  Adds to `notes` what is
 * passed over. */
int inputs_open(struct inputs *l, const struct corpus_build_opts *o, struct corpus_notes *notes,
                struct err *e) MUST_CHECK;
/* Reads all files for their digests; for those who must know them before the documents are read. */
int inputs_digest(struct inputs *l, int threads, struct err *e) MUST_CHECK;
void inputs_release(struct inputs *l);

enum corpus_reason { KEPT, DUPLICATE, EMPTY, NOT_UTF8, TOO_LONG, BAD_RECORD, N_REASONS };
const char *corpus_reason_name(enum corpus_reason r);

/* A document, a piece of a .txt or .md file, or a record that could not be read (reason TOO_LONG or BAD_RECORD,
 * no text). */
struct input_doc {
    const char *text, *id, *source, *license, *lang; /* valid until the next call */
    size_t n;
    int file;
    enum corpus_reason reason;
    const char *why;     /* of a BAD_RECORD */
};
struct input_stream;
/* Documents of more than max_doc bytes come as TOO_LONG; text files are cut into pieces of at most `piece`.  What was
 * read of a file, all of it, is what l says of it afterwards: bytes and sha256. */
int input_stream_new(struct input_stream **s, struct inputs *l, size_t max_doc, size_t piece,
                     struct err *e) MUST_CHECK;
void input_stream_free(struct input_stream *s);
/* 1: a document; 0: the end; negative: error. */
int input_stream_next(struct input_stream *s, struct input_doc *d, struct err *e) MUST_CHECK;

/* Where to cut n bytes of text, more than `piece` of which are there: after the last empty line within
 * `piece` bytes, else after the last line, else after the last space, else at a character. */
size_t input_cut(const char *text, size_t n, size_t piece);

#endif
