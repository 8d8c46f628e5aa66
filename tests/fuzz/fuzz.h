/* What fuzz targets share: libFuzzer's entry, and the input as a file of a given name, for readers that take
 * a path.  The file lies in memory where the system has such a folder. */
#ifndef DK_TESTS_FUZZ_H
#define DK_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Set by a target whose corpus holds nothing but good inputs: the plain main (corpus_main.c) then fails when a file of
 * the corpus is refused, for a corpus that stops at the first check tests nothing behind it. */
enum fuzz_verdict { FUZZ_SILENT, FUZZ_REFUSED, FUZZ_TAKEN };
__attribute__((weak)) enum fuzz_verdict fuzz_verdict;

static char fuzz_dir[64];

static inline void fuzz_clean(void)
{
    char cmd[100];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", fuzz_dir);
    if (system(cmd)) fprintf(stderr, "cannot remove %s\n", fuzz_dir);
}

/* Valid until the next call. */
static inline const char *fuzz_file(const char *name, const uint8_t *data, size_t size)
{
    static char path[200];
    if (!*fuzz_dir) {
        snprintf(fuzz_dir, sizeof fuzz_dir, "%s/dokja-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        if (!mkdtemp(fuzz_dir)) abort();
        atexit(fuzz_clean);
    }
    snprintf(path, sizeof path, "%s/%s", fuzz_dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
    return path;
}

#endif
