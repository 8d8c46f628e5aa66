/* The compressed files of a corpus: zstd frames, each made on its own, written one behind another. */
#ifndef DK_DATA_CORPUS_FILE_H
#define DK_DATA_CORPUS_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"

struct sha256;
struct ZSTD_CCtx_s;

/* One thread's: lines are put into it and become a frame. */
struct packer {
    struct buf lines;
    struct ZSTD_CCtx_s *z; /* made at the first frame */
};
/* Puts the frame of p->lines into *out, whose memory is used again. */
int packer_frame(struct packer *p, struct buf *out, struct err *e) MUST_CHECK;
void packer_release(struct packer *p);

struct corpus_file {
    struct file_new *f; /* NULL: none is open */
    struct sha256 *sha;
    char name[32];
};
/* Begins dir/stem-NNNNN.jsonl.zst. */
int corpus_file_open(struct corpus_file *o, const char *dir, const char *stem, int number, struct err *e) MUST_CHECK;
int corpus_file_add(struct corpus_file *o, const struct buf *frame, struct err *e) MUST_CHECK;
/* Completes the file and appends {"name","bytes","sha256"} to `list`; does nothing when none is open. */
int corpus_file_close(struct corpus_file *o, json_t *list, struct err *e) MUST_CHECK;
void corpus_file_abort(struct corpus_file *o); /* safe when none is open */

#endif
