#include "ledger/oms.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#define STATEMENT "https://in-toto.io/Statement/v1"
#define PREDICATE "https://model_signing/signature/v1.0"
enum { MAX_BUNDLE = 256 << 20 };

static const char *const GIT[] = {".git", ".gitattributes", ".github", ".gitignore", NULL};

/* ---- the files of a folder ---- */

struct files {
    const char *dir;
    struct file_list list;   /* whole paths, sorted */
    struct file_list odd;    /* links and special files: a signature says nothing about what they lead to */
    size_t cut;              /* of each, to the name in the folder */
    bool single;             /* `dir` is a file, whose name here is "." */
};

static int files_open(struct files *f, const char *dir, struct err *e)
{
    *f = (struct files){.dir = dir, .single = !file_is_dir(dir)};
    int rc = file_list_open(&f->list, &f->odd, dir, e);
    f->cut = strlen(dir);
    while (f->cut > 0 && dir[f->cut - 1] == '/')
        f->cut--;
    return rc;
}

static void files_release(struct files *f)
{
    file_list_release(&f->list);
    file_list_release(&f->odd);
}

static const char *name_in(const struct files *f, const char *path)
{
    path += f->cut;
    while (*path == '/')
        path++;
    return path;
}

static const char *files_name(const struct files *f, size_t i) { return f->single ? "." : name_in(f, f->list.path[i]); }

/* Is `name` the path, or within the folder of that path? */
static bool within(const char *name, const char *path)
{
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/')
        n--;
    return strncmp(name, path, n) == 0 && (name[n] == 0 || name[n] == '/');
}

static bool listed(const char *name, const char *const *paths)
{
    for (; paths && *paths; paths++)
        if (within(name, *paths))
            return true;
    return false;
}

/* The signature's own name in the folder, "" where it lies elsewhere: by identity, for a path can be written in many
 * ways. */
static const char *own_name(const struct files *f, const char *sig)
{
    struct stat a, b;
    for (size_t i = 0; !f->single && stat(sig, &a) == 0 && i < f->list.n; i++)
        if (stat(f->list.path[i], &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
            return files_name(f, i);
    return "";
}

static const char *base_name(const char *path, struct buf *b)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t at = n;
    while (at > 0 && path[at - 1] != '/')
        at--;
    return buf_add(b, path + at, n - at, NULL) ? "model" : b->p;
}

/* ---- signing ---- */

/* Hashes every file that is not ignored into resources, and the root over them. */
static int resources(json_t *out, const struct files *f, const char *const *ignore, const char *own,
                     struct digest *root, struct err *e)
{
    struct sha256 *all = sha256_new();
    int rc = all ? 0 : err_set(e, ERR_NOMEM, "%s: out of memory", f->dir);
    for (size_t i = 0; rc == 0 && i < f->list.n; i++) {
        const char *name = files_name(f, i);
        struct digest d;
        char hex[65];
        if (!f->single && (listed(name, GIT) || listed(name, ignore) || strcmp(name, own) == 0))
            continue;
        if ((rc = sha256_file(&d, f->list.path[i], e)))
            break;
        digest_hex(hex, &d);
        sha256_add(all, d.b, sizeof d.b);
        if (json_array_append_new(out, json_pack("{s:s,s:s,s:s}", "name", name, "algorithm", "sha256", "digest", hex)))
            rc = err_set(e, ERR_VALUE, "%s: cannot be listed: out of memory, or its name is not UTF-8",
                         f->list.path[i]);
    }
    if (all)
        *root = sha256_end(&all);
    if (rc == 0 && json_array_size(out) == 0)
        rc = err_set(e, ERR_VALUE, "%s: has no file to sign", f->dir);
    return rc;
}

/* What a reader must know of the files that are not listed; each of them, or none is signed. */
static int ignored(json_t **out, const char *const *ignore, const char *own, struct err *e)
{
    const char *last = "";
    json_t *a = json_array();
    for (size_t i = 0; a && GIT[i]; i++)
        a = json_and(a, json_string(last = GIT[i]));
    if (a && *own)
        a = json_and(a, json_string(last = own));
    for (; a && ignore && *ignore; ignore++)
        a = json_and(a, json_string(last = *ignore));
    *out = a;
    return a ? 0 : err_set(e, ERR_VALUE, "%s: cannot be left out: out of memory, or its name is not UTF-8", last);
}

int oms_sign(const char *dir, const char *out, const struct oms_opts *o, const struct dsse_key *k, struct digest *root,
             struct err *e)
{
    struct files f = {0};
    struct buf name = {0}, payload = {0}, bundle = {0};
    char hex[65];
    json_t *list = json_array(), *out_of_it = NULL, *s = NULL;
    int rc = files_open(&f, dir, e);
    for (size_t i = 0; rc == 0 && i < f.odd.n; i++)
        if (!listed(name_in(&f, f.odd.path[i]), GIT) && !listed(name_in(&f, f.odd.path[i]), o ? o->ignore : NULL))
            rc = err_set(e, ERR_VALUE, "%s: is a link or no file, and cannot be signed", f.odd.path[i]);
    /* The signature to be written may not lie there yet: then its name is what `out` says behind the folder. */
    const char *own = rc ? "" : own_name(&f, out);
    if (rc == 0 && !*own && strncmp(out, dir, f.cut) == 0 && out[f.cut] == '/')
        own = out + f.cut + 1;
    if (rc == 0)
        rc = resources(list, &f, o ? o->ignore : NULL, own, root, e);
    if (rc == 0)
        rc = ignored(&out_of_it, o ? o->ignore : NULL, own, e);
    if (rc == 0) {
        digest_hex(hex, root);
        s = json_pack("{s:s,s:[{s:s,s:{s:s}}],s:s,s:{s:O,s:{s:s,s:s,s:b,s:O}}}", "_type", STATEMENT, "subject", "name",
                      o && o->name ? o->name : base_name(dir, &name), "digest", "sha256", hex, "predicateType",
                      PREDICATE, "predicate", "resources", list, "serialization", "method", "files", "hash_type",
                      "sha256", "allow_symlinks", 0, "ignore_paths", out_of_it);
        rc = s ? json_print(&payload, s, 0, e) : err_set(e, ERR_NOMEM, "%s: out of memory", dir);
    }
    if (rc == 0)
        rc = dsse_sign(&bundle, DSSE_IN_TOTO, payload.p, payload.len, k, e);
    if (rc == 0)
        rc = file_replace(out, bundle.p, bundle.len, e);
    json_decref(s);
    json_decref(list);
    json_decref(out_of_it);
    files_release(&f);
    buf_release(&name);
    buf_release(&payload);
    buf_release(&bundle);
    return rc;
}

/* ---- verifying ---- */

/* A resource's place among the folder's files, or -1. */
static ptrdiff_t find(const struct files *f, const char *name)
{
    size_t lo = 0, hi = f->list.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(files_name(f, mid), name);
        if (c == 0)
            return (ptrdiff_t)mid;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

struct check {
    const struct files *f;
    const char *sig;
    bool *seen;              /* which of the folder's files a resource named */
    struct sha256 *all;
    struct oms_report *r;
};

static int check_resource(struct check *c, const json_t *x, struct err *e)
{
    const char *name, *algorithm, *hex;
    struct digest want, got;
    struct stat st;
    int rc = json_get_str(&name, x, "name", false, NULL, c->sig, e);
    if (rc == 0)
        rc = json_get_str(&algorithm, x, "algorithm", false, NULL, c->sig, e);
    if (rc == 0)
        rc = json_get_str(&hex, x, "digest", false, NULL, c->sig, e);
    if (rc)
        return rc;
    if (strcmp(algorithm, "sha256") != 0)
        return err_set(e, ERR_VALUE, "%s: %s is hashed with %.40s; sha256 alone is read", c->sig, name, algorithm);
    if (digest_parse(&want, hex) != 0)
        return err_set(e, ERR_FORMAT, "%s: the digest of %s is \"%.80s\", expected 64 hex digits", c->sig, name, hex);
    ptrdiff_t i = find(c->f, name);
    if (i < 0)
        return err_set(e, ERR_VALUE, "%s: signed, but missing in %s", name, c->f->dir);
    if (c->seen[i])
        return err_set(e, ERR_FORMAT, "%s: lists %s twice", c->sig, name);
    c->seen[i] = true;
    if ((rc = sha256_file(&got, c->f->list.path[i], e)))
        return rc;
    if (memcmp(got.b, want.b, sizeof got.b) != 0)
        return err_set(e, ERR_VALUE, "%s: its SHA-256 is not the one that was signed", c->f->list.path[i]);
    sha256_add(c->all, want.b, sizeof want.b);
    c->r->files++;
    c->r->bytes += stat(c->f->list.path[i], &st) == 0 ? (uint64_t)st.st_size : 0;
    return 0;
}

/* Whether a signature that ignores these need not list it. */
static bool left_out(const char *name, const json_t *ignore)
{
    bool out = listed(name, GIT);
    for (size_t k = 0; !out && k < json_array_size(ignore); k++) {
        const char *path = json_string_value(json_array_get(ignore, k));
        out = path && *path && within(name, path);
    }
    return out;
}

/* Files that nobody listed: git's, the signature itself and what the signer ignored may lie there, others not. */
static int check_others(const struct check *c, const json_t *ignore, struct err *e)
{
    const char *own = own_name(c->f, c->sig);
    for (size_t i = 0; i < c->f->list.n; i++) {
        const char *name = files_name(c->f, i);
        if (!c->seen[i] && strcmp(name, own) != 0 && !left_out(name, ignore))
            return err_set(e, ERR_VALUE, "%s: is not signed", c->f->list.path[i]);
    }
    for (size_t i = 0; i < c->f->odd.n; i++)
        if (!left_out(name_in(c->f, c->f->odd.path[i]), ignore))
            return err_set(e, ERR_VALUE, "%s: is a link or no file, and not signed", c->f->odd.path[i]);
    return 0;
}

static int statement_check(const json_t *s, const char *sig, struct digest *subject, const json_t **predicate,
                           struct err *e)
{
    const char *type, *kind, *method, *hex;
    int rc = json_get_str(&type, s, "_type", false, NULL, sig, e);
    if (rc == 0)
        rc = json_get_str(&kind, s, "predicateType", false, NULL, sig, e);
    if (rc)
        return rc;
    if (strcmp(type, STATEMENT) != 0 || strcmp(kind, PREDICATE) != 0)
        return err_set(e, ERR_FORMAT, "%s: is a %.80s of %.80s, expected %s", sig, kind, type, PREDICATE);
    const json_t *subjects = json_object_get(s, "subject"), *p = json_object_get(s, "predicate");
    if (json_array_size(subjects) != 1)
        return err_set(e, ERR_FORMAT, "%s: has %zu subjects, expected one", sig, json_array_size(subjects));
    rc = json_get_str(&hex, json_object_get(json_array_get(subjects, 0), "digest"), "sha256", false, NULL, sig, e);
    if (rc == 0 && digest_parse(subject, hex) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: the subject's sha256 is \"%.80s\", expected 64 hex digits", sig, hex);
    if (rc == 0)
        rc = json_get_str(&method, json_object_get(p, "serialization"), "method", false, NULL, sig, e);
    if (rc == 0 && strcmp(method, "files") != 0)
        rc = err_set(e, ERR_VALUE, "%s: serialization.method is \"%.40s\"; \"files\" alone is read", sig, method);
    *predicate = p;
    return rc;
}

static int files_check(struct check *c, const json_t *predicate, const struct digest *subject, struct err *e)
{
    const json_t *list = json_object_get(predicate, "resources");
    int rc = json_array_size(list) ? 0 : err_set(e, ERR_FORMAT, "%s: predicate.resources is missing or empty", c->sig);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
        rc = check_resource(c, json_array_get(list, i), e);
    if (rc)
        return rc;
    c->r->root = sha256_end(&c->all);
    if (memcmp(c->r->root.b, subject->b, sizeof subject->b) != 0)
        return err_set(e, ERR_VALUE, "%s: its subject's digest is not that of its resources", c->sig);
    const json_t *serialization = json_object_get(predicate, "serialization");
    return c->f->single ? 0 : check_others(c, json_object_get(serialization, "ignore_paths"), e);
}

int oms_verify(const char *dir, const char *sig, const struct dsse_key *k, struct oms_report *r, struct err *e)
{
    struct buf bundle = {0}, payload = {0};
    struct files f = {0};
    struct digest subject;
    const json_t *predicate = NULL;
    json_t *s = NULL;
    *r = (struct oms_report){0};
    struct check c = {.f = &f, .sig = sig, .r = r};
    int rc = file_read(&bundle, sig, MAX_BUNDLE, e);
    if (rc == 0)
        rc = dsse_verify(&payload, bundle.p ? bundle.p : "", bundle.len, DSSE_IN_TOTO, k, sig, e);
    if (rc == 0)
        rc = json_parse(&s, payload.p, payload.len, sig, e);
    if (rc == 0)
        rc = statement_check(s, sig, &subject, &predicate, e);
    if (rc == 0)
        rc = files_open(&f, dir, e);
    if (rc == 0) {
        c.seen = mem_new(f.list.n + 1, sizeof *c.seen);
        c.all = sha256_new();
        rc = c.seen && c.all ? files_check(&c, predicate, &subject, e)
                             : err_set(e, ERR_NOMEM, "%s: out of memory", dir);
    }
    if (c.all)
        (void)sha256_end(&c.all);
    mem_free(c.seen);
    json_decref(s);
    files_release(&f);
    buf_release(&bundle);
    buf_release(&payload);
    return rc;
}
