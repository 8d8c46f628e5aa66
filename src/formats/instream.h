/* Bytes out of a file that may be compressed, by its name: .gz (several members allowed), .zst (several
 * frames allowed), else as they are.  Streaming: memory does not depend on the file's length, except for the
 * window a zstd frame asks for (at most 128 MiB). */
#ifndef DK_FORMATS_INSTREAM_H
#define DK_FORMATS_INSTREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct instream;
int instream_open(struct instream **s, const char *path, struct err *e) MUST_CHECK;
/* Goes on with another file in the same object, whose decompressor and its memory are used again.  After an error
 * only another switch or the close may follow. */
int instream_switch(struct instream *s, const char *path, struct err *e) MUST_CHECK;
void instream_close(struct instream *s); /* safe on NULL */
/* Up to n bytes (n > 0) into out: *got of them, 0 only at the end.  A file that ends inside compressed data
 * is an error. */
int instream_read(struct instream *s, void *out, size_t n, size_t *got, struct err *e) MUST_CHECK;

struct sha256;
/* From here to the next switch, what is read of the file is hashed too, as it lies there; `sha` is the caller's. */
void instream_hash(struct instream *s, struct sha256 *sha);
/* Passes over what is left, for the hash of a whole file of which only the beginning was wanted.  *bytes: the
 * file's length as it was read. */
int instream_drain(struct instream *s, uint64_t *bytes, struct err *e) MUST_CHECK;

/* Length of `path` without a trailing ".gz" or ".zst". */
size_t instream_stem(const char *path);

#endif
