#include "train/leaves.h"

#include <string.h>

#include "base/file.h"

enum { MAGIC = 8 };
static const char magic[MAGIC + 1] = "dokjaLV1";

struct digest leaves_root(const struct digest *leaf, uint64_t n)
{
    struct merkle m;
    merkle_init(&m);
    for (uint64_t i = 0; i < n; i++)
        merkle_add_hash(&m, &leaf[i]);
    return merkle_root(&m);
}

int leaves_put(const char *path, uint64_t segment, const struct digest *leaf, uint64_t n, struct err *e)
{
    uint64_t bytes = n * sizeof *leaf;
    int rc = file_write_at(path, 0, magic, MAGIC, e);
    return rc ? rc : file_write_at(path, MAGIC + segment * bytes, leaf, (size_t)bytes, e);
}

bool leaves_get(struct digest *leaf, uint64_t n, const char *path, uint64_t segment, const struct digest *root)
{
    struct file_map m;
    struct err e;
    uint64_t bytes = n * sizeof *leaf;
    bool good = false;
    if (file_map_open(&m, path, &e))
        return false;
    if (m.len >= MAGIC && memcmp(m.p, magic, MAGIC) == 0 && (m.len - MAGIC) / bytes > segment) {
        memcpy(leaf, m.p + MAGIC + segment * bytes, (size_t)bytes);
        struct digest d = leaves_root(leaf, n);
        good = memcmp(d.b, root->b, sizeof d.b) == 0;
    }
    file_map_close(&m);
    return good;
}
