#include "data/sources.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "formats/textsrc.h"

struct pick {
    struct asides *a;
    struct stat out;
    bool has_out;
};

static void set_aside(struct asides *a, enum aside what, const char *path)
{
    if (a->of[what].n++ == 0)
        snprintf(a->of[what].first, sizeof a->of[what].first, "%s", path);
}

/* Hidden is what programs keep for themselves: .git, .ipynb_checkpoints. */
static bool leave(void *user, const char *path, const char *name, const struct stat *st)
{
    const struct pick *p = user;
    bool hidden = *name == '.', out = p->has_out && st->st_dev == p->out.st_dev && st->st_ino == p->out.st_ino;
    if (hidden || out)
        set_aside(p->a, out ? ASIDE_OUT : ASIDE_HIDDEN, path);
    return hidden || out;
}

int sources_list(struct file_list *l, struct asides *a, const char *in, const char *out, struct err *e)
{
    struct pick p = {.a = a};
    struct file_list odd = {0};
    size_t n = 0;
    *l = (struct file_list){0};
    if (file_exists(in) && !file_is_dir(in) && textsrc_kind(in) == TEXTSRC_NONE)
        return err_set(e, ERR_VALUE, "%s: not a text source; expected .txt, .md or .jsonl, plain, .gz or .zst", in);
    p.has_out = out && stat(out, &p.out) == 0;
    int rc = file_list_pick(l, &odd, in, leave, &p, e);
    for (size_t i = 0; i < l->n; i++) {
        if (textsrc_kind(l->path[i]) != TEXTSRC_NONE) {
            l->path[n++] = l->path[i];
            continue;
        }
        set_aside(a, ASIDE_KIND, l->path[i]);
        mem_free(l->path[i]);
    }
    l->n = n;
    for (size_t i = 0; i < odd.n; i++)
        set_aside(a, ASIDE_LINK, odd.path[i]);
    file_list_release(&odd);
    return rc;
}
