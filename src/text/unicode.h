/* What the tokenizer needs to know about characters: classes, UTF-8 and normal form C.
 *
 * Identical ids with Hugging Face `tokenizers` need its Unicode versions, and it has two: its regular
 * expressions (Oniguruma 6.9.10) know 16.0, its normal forms (unicode-normalization-alignments) know
 * 9.0.  utf8proc and PCRE2 of Debian 12 know 15.0 and 14.0: classes come from utf8proc plus the
 * characters of unicode_new.h, normal form C from utf8proc less the characters newer than 9.0, which
 * count as unassigned (starters without decomposition). */
#ifndef DK_TEXT_UNICODE_H
#define DK_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum uc_flag {
    UC_L = 1,       /* letter: general category L* */
    UC_N = 2,       /* number: N* */
    UC_M = 4,       /* combining mark: M* */
    UC_SPACE = 8,   /* property White_Space */
    UC_HANGUL = 16, /* Hangul letter: jamo, compatibility jamo, syllable */
    UC_NFC = 32,    /* normal form C may change it or what stands before it */
    UC_WORD = 64    /* \w of Unicode TR18: Alphabetic, M, Nd, Pc, join controls */
};

/* Two stages over blocks of 256 code points; built once, never changes afterwards. */
struct uc_table {
    uint16_t block[0x1100];
    uint8_t flag[512][256];
};
const struct uc_table *uc_table(void);

static inline uint8_t uc_flags(const struct uc_table *t, int32_t cp)
{
    return t->flag[t->block[cp >> 8]][cp & 255];
}

/* Decodes one character of text known to be valid; returns its length. */
static inline int uc_next(int32_t *cp, const unsigned char *p)
{
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    if (p[0] < 0xE0) {
        *cp = (p[0] & 0x1F) << 6 | (p[1] & 0x3F);
        return 2;
    }
    if (p[0] < 0xF0) {
        *cp = (p[0] & 0x0F) << 12 | (p[1] & 0x3F) << 6 | (p[2] & 0x3F);
        return 3;
    }
    *cp = (p[0] & 0x07) << 18 | (p[1] & 0x3F) << 12 | (p[2] & 0x3F) << 6 | (p[3] & 0x3F);
    return 4;
}
/* Writes the UTF-8 of a code point; returns its length. */
int uc_put(unsigned char out[4], int32_t cp);
/* Bytes of the character that ends at `end`, in valid text with start < end. */
size_t uc_last(const unsigned char *start, const unsigned char *end);

/* Length of the longest prefix of p[0..n) that is valid UTF-8.  *nfc_maybe becomes true when a character in
 * it may change under normal form C; it is never set to false. */
size_t uc_valid(const unsigned char *p, size_t n, bool *nfc_maybe);
/* ERR_FORMAT, naming the first byte at fault, unless p[0..n) is text as a corpus takes it: UTF-8 without NUL.  `name`
 * says in the message what was read. */
int uc_check(const char *name, const char *text, size_t n, struct err *e) MUST_CHECK;
/* Length of the run at p that is not UTF-8: up to the next byte that begins a valid character. */
size_t uc_invalid(const unsigned char *p, size_t n);

/* Appends the normal form C of n bytes of valid UTF-8.  Linear in n up to sorting runs of marks. */
int uc_nfc(struct buf *out, const unsigned char *p, size_t n, struct err *e) MUST_CHECK;

/* Code points assigned after Unicode 14.0 whose category begins with `cat`: the i-th range, or false. */
bool uc_new_range(int32_t *lo, int32_t *hi, const char *cat, size_t i);

#endif
