#include "base/base64.h"

#include <openssl/evp.h>
#include <string.h>

enum { PIECE = 48 };   /* bytes encoded at a time, a multiple of 3 */

int base64_add(struct buf *b, const void *p, size_t n, struct err *e)
{
    const unsigned char *from = p;
    unsigned char text[PIECE / 3 * 4 + 1];
    for (size_t at = 0; at < n; at += PIECE) {
        size_t part = n - at < PIECE ? n - at : PIECE;
        int rc = buf_add(b, text, (size_t)EVP_EncodeBlock(text, from + at, (int)part), e);
        if (rc)
            return rc;
    }
    return 0;
}

/* Four characters to up to three bytes. libcrypto's decoder skips blanks and ignores spare bits: encoding again
 * tells. */
static int quad(unsigned char out[3], const char *text)
{
    unsigned char again[5];
    int pad = (text[3] == '=') + (text[3] == '=' && text[2] == '=');
    if (EVP_DecodeBlock(out, (const unsigned char *)text, 4) != 3)
        return -1;
    EVP_EncodeBlock(again, out, 3 - pad);
    return memcmp(again, text, 4) ? -1 : 3 - pad;
}

ptrdiff_t base64_read(unsigned char *out, size_t cap, const char *text, size_t n)
{
    size_t len = 0;
    if (n % 4)
        return -1;
    for (size_t at = 0; at < n; at += 4) {
        unsigned char three[3];
        int k = quad(three, text + at);
        if (k < 0 || (k < 3 && at + 4 < n) || len + (size_t)k > cap)
            return -1;
        memcpy(out + len, three, (size_t)k);
        len += (size_t)k;
    }
    return (ptrdiff_t)len;
}
