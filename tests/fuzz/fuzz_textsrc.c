/* The first byte picks the name; documents must keep to the limit and the stream must end. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "formats/textsrc.h"

enum { LIMIT = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.txt", "a.jsonl", "a.txt.gz", "a.jsonl.gz", "a.txt.zst", "a.jsonl.zst"};
    struct textsrc *s;
    struct textsrc_doc d;
    struct err e;
    if (!size) return 0;
    const char *path = fuzz_file(names[*data % 6], data + 1, size - 1);
    if (textsrc_open(&s, path, LIMIT, &e)) abort();
    textsrc_report(s, *data & 64);
    uint64_t line = 0;
    while (textsrc_next(s, &d, &e) == 1) {
        if (d.n > LIMIT || d.line <= line || d.text[d.n] || !d.id || !d.source || !d.license || !d.lang) abort();
        if ((d.bad != 0) != (strncmp(d.why, "line ", 5) == 0)) abort();
        line = d.line;
    }
    textsrc_close(s);
    return 0;
}
