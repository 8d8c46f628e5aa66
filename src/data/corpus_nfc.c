#include "data/corpus_nfc.h"

#include <string.h>

#include "base/scan.h"
#include "text/unicode.h"

void nfc_init(void) { (void)uc_table(); }

uint64_t nfc_count_chars(const char *text, size_t n) { return scan_count_chars(text, n); }

/* Ends at the first character that shows, which in most documents is the first. */
static bool blank(const unsigned char *p, size_t n)
{
    const struct uc_table *t = uc_table();
    for (size_t i = 0; i < n;) {
        int32_t c;
        int len = uc_next(&c, p + i);
        if (!(uc_flags(t, c) & UC_SPACE) && c != 0x200b && c != 0xfeff)
            return false;
        i += (size_t)len;
    }
    return true;
}

bool nfc_look(struct nfc_look *look, const char *text, size_t n)
{
    bool maybe = false;
    if (n > 0 && (memchr(text, 0, n) || uc_valid((const unsigned char *)text, n, &maybe) != n))
        return false;
    *look = (struct nfc_look){nfc_count_chars(text, n), !maybe, blank((const unsigned char *)text, n)};
    return true;
}

int nfc_normalise(struct buf *out, uint64_t *chars, const char *text, size_t n, struct err *e)
{
    const struct uc_table *t = uc_table();
    const unsigned char *p = (const unsigned char *)text;
    size_t done = 0, last = 0; /* copied so far; start of the last character that stays */
    int rc = buf_reserve(out, n, e);
    buf_clear(out);
    for (size_t i = 0; i < n && rc == 0;) {
        int32_t c;
        size_t end = i + (size_t)uc_next(&c, p + i);
        if (!(uc_flags(t, c) & UC_NFC)) {
            last = i;
            i = end;
            continue;
        }
        /* [last, end): characters that may change, with the one before them, which they may join. */
        while (end < n) {
            int len = uc_next(&c, p + end);
            if (!(uc_flags(t, c) & UC_NFC))
                break;
            end += (size_t)len;
        }
        rc = buf_add(out, text + done, last - done, e);
        if (rc == 0)
            rc = uc_nfc(out, p + last, end - last, e);
        done = last = i = end;
    }
    if (rc == 0)
        rc = buf_add(out, text + done, n - done, e);
    *chars = nfc_count_chars(out->p, out->len);
    return rc;
}
