/* A plain main for a fuzz target: runs every file of its corpus folder (or the files and folders given), and of
 * each also prefixes and copies with one byte changed.  Prints one "ok" line a corpus; a bug is a crash, or a file
 * that is refused where the target takes it for good (fuzz.h). */
#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

enum { MAX_SEED = 1 << 20, VARIANTS = 100 };

static unsigned long inputs, refused;

static void run(const uint8_t *p, size_t n)
{
    /* An exact heap copy: reading one byte beyond it is seen by the sanitizer. */
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) abort();
    if (n) memcpy(copy, p, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    inputs++;
}

static void run_variants(uint8_t *p, size_t n)
{
    uint32_t r = 2463534242u;
    run(p, n);
    refused += fuzz_verdict == FUZZ_REFUSED;
    for (int i = 0; n && i < VARIANTS; i++) {
        r ^= r << 13, r ^= r >> 17, r ^= r << 5;
        size_t at = r % n;
        if (i % 2) {
            uint8_t keep = p[at];
            p[at] = (uint8_t)(r >> 24);
            run(p, n);
            p[at] = keep;
        } else run(p, at);
    }
}

static bool run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st)) return false;
    if (S_ISDIR(st.st_mode)) {
        DIR *d = opendir(path);
        bool any = false;
        for (struct dirent *f; d && (f = readdir(d));) {
            char inner[1024];
            if (f->d_name[0] == '.') continue;
            snprintf(inner, sizeof inner, "%s/%s", path, f->d_name);
            any |= run_path(inner);
        }
        if (d) closedir(d);
        return any;
    }
    FILE *f = fopen(path, "rb");
    static uint8_t seed[MAX_SEED];
    if (!f) return false;
    size_t n = fread(seed, 1, sizeof seed, f);
    fclose(f);
    run_variants(seed, n);
    return true;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    char path[2][300];
    bool any = false;
    run((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) any |= run_path(argv[i]);
    snprintf(path[0], sizeof path[0], "tests/fuzz/corpus/%s", name);
    snprintf(path[1], sizeof path[1], "tests/fuzz/corpus/%s", strncmp(name, "fuzz_", 5) ? name : name + 5);
    for (int i = 0; argc == 1 && !any && i < 2; i++) any = run_path(path[i]);
    if (refused) {
        printf("FAIL %s: %lu files of the corpus are refused\n", name, refused);
        return 1;
    }
    printf(any ? "ok %s: %lu inputs\n" : "FAIL %s: no corpus (run it from the top of the tree), %lu inputs\n", name,
           inputs);
    return any ? 0 : 1;
}
