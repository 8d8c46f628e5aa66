/* Text as a corpus keeps it: valid UTF-8 without NUL, in normal form C (text/unicode.h). */
#ifndef DK_DATA_CORPUS_NFC_H
#define DK_DATA_CORPUS_NFC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Looks at n bytes: false when they are not UTF-8 or hold a NUL. *chars: code points; *plain: certainly in
 * normal form C already; *blank: nothing but white space. */
struct nfc_look {
    uint64_t chars;
    bool plain, blank;
};
bool nfc_look(struct nfc_look *look, const char *text, size_t n);

/* Normal form C of valid UTF-8 into out (cleared). Characters that stay as they are get copied; only the
 * runs around others are composed. *chars: code points of the result. */
int nfc_normalise(struct buf *out, uint64_t *chars, const char *text, size_t n, struct err *e) MUST_CHECK;

uint64_t nfc_count_chars(const char *text, size_t n);

/* Builds the tables; to be called before threads start. */
void nfc_init(void);

#endif
