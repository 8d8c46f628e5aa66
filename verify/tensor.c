/* The state's root, and the tensors of safetensors files. */
#include "verify/verify.h"

#include <unistd.h>

struct digest state_root(const struct ref_state *s)
{
    enum { CHUNK = 1 << 20 };
    struct tree t = {.n = 0};
    size_t n;
    const uint8_t *p = ref_state_bytes(s, &n);
    for (size_t at = 0; at < n; at += CHUNK) tree_add(&t, (struct bytes){p + at, n - at < CHUNK ? n - at : CHUNK});
    return tree_root(&t);
}

/* safetensors: u64 length of a JSON header, the header, the data; here tensors in table order without a gap.  The
 * header must be what the table says of each, behind metadata, and nothing else: whoever reads a key that came twice or
 * lies deeper would have other weights.  all: the whole state, else weights alone. */
static const char *read_tensors(const struct ref_state *s, float *out, const char *path, bool all)
{
    struct bytes b = map_file(path);
    size_t want = (all ? 2 * s->total + s->v_total : s->total) * sizeof *out, at = 0;
    uint64_t n = 0;
    if (b.n >= 8) memcpy(&n, b.p, 8);
    if (b.n < 8 || n > b.n - 8 || n > 64 << 20 || b.n - 8 - n != want)
        refuse("%s: expected a safetensors file of %zu bytes of tensors", path, want);
    const char *header = text_of((struct bytes){b.p + 8, n}, path), *p = header + (*header == '{');
    if (strncmp(p, "\"__metadata__\":{", 16) == 0 && strncmp(p += strcspn(p, "}"), "},", 2) == 0) p += 2;
    for (int k = 0; k < (all ? 3 : 1); k++)
        for (const struct ref_tensor *t = s->t; t < s->t_end; t++) {
            const char *kind = all ? (const char *[]){"weight.", "moment1.", "moment2."}[k] : "";
            size_t here = k < 2 ? t->n : t->v_n, end = at + here * sizeof *out, cols = here / (size_t)t->rows;
            char rows[16] = "", line[300];
            if (here == 0) continue;
            if (all || t->group != REF_GAIN) snprintf(rows, sizeof rows, "%d,", t->rows);
            int len = snprintf(line, sizeof line, "%s\"%s%s\":{\"dtype\":\"F32\",\"shape\":[%s%zu],"
                               "\"data_offsets\":[%zu,%zu]}", at ? "," : "", kind, t->name, rows, cols, at, end);
            if (strncmp(p, line, (size_t)len) != 0) refuse("%s: its header does not have %s in its place", path, line);
            p += len;
            at = end;
        }
    if (*p != '}' || p[1 + strspn(p + 1, " ")]) refuse("%s: its header goes on behind its tensors", path);
    memcpy(out, b.p + 8 + n, want);
    return header;
}
void model_load(const struct ref_state *s, float *w, const char *path) { read_tensors(s, w, path, false); }
bool model_has_room(const struct ref_state *s, const char *path)
{
    uint64_t most = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / (4 * sizeof(float));
    return file_there(path) ? map_file(path).n / sizeof(float) > s->total : s->total <= most;
}
void state_load(struct ref_state *s, const char *path)
{
    const char *header = read_tensors(s, s->w, path, true);
    s->step = (uint64_t)json_number(header, path, "step");
    s->sample = (uint64_t)json_number(header, path, "sample");
}
