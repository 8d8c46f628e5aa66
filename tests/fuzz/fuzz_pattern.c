/* Any bytes as a split pattern: refused, or pieces that cover the text in order. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "text/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "aab don't 가나 123  \n x²é\xe1\xa0\x8e!\xf0\x9f\x98\x80";
    struct err e = {0};
    struct splitter *s;
    char pattern[64];
    if (size >= sizeof pattern || memchr(data, 0, size))
        return 0;
    memcpy(pattern, data, size);
    pattern[size] = 0;
    bool maybe = false;
    if (uc_valid(data, size, &maybe) != size)
        return 0; /* JSON strings are UTF-8 */
    if (splitter_new(&s, &e))
        abort();
    if (splitter_add_regex(s, pattern, SPLIT_ISOLATED, false, &e) == 0) {
        struct split_work w = {0};
        if (splitter_run(s, &w, text, sizeof text - 1, &e) == 0) {
            size_t at = 0;
            for (size_t i = 0; i < w.n; i++) {
                if (w.piece[i].at != at || w.piece[i].n == 0)
                    abort();
                at += w.piece[i].n;
            }
            if (at != sizeof text - 1)
                abort();
        }
        split_work_release(&w);
    } else if (!e.msg[0]) {
        abort();
    }
    splitter_free(s);
    return 0;
}
