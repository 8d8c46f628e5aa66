/* Which files are text below what a user names: one rule for all commands that read text. */
#ifndef DK_DATA_SOURCES_H
#define DK_DATA_SOURCES_H

#include <stdint.h>

#include "base/err.h"
#include "base/file.h"

/* What lies below the folders that were named and is not read. */
enum aside { ASIDE_KIND, ASIDE_LINK, ASIDE_HIDDEN, ASIDE_OUT, N_ASIDES };
struct asides {
    struct {
        uint64_t n;           /* a folder counts once */
        char first[512];      /* path, perhaps cut */
    } of[N_ASIDES];
};

/* The text sources (formats/textsrc.h) that `in` is or, being a folder, holds, in byte order.  What is named itself is
 * taken, through a link and by any name, but must be a text source where it is a file.  Below a folder what begins with
 * a dot, links, other kinds of files and `out` (what the command writes; NULL: nothing) are passed over and added to
 * *a.  An empty list is no error. */
int sources_list(struct file_list *l, struct asides *a, const char *in, const char *out, struct err *e) MUST_CHECK;

#endif
