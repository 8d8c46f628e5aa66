/* The part of base/file.h about folders. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { MAX_DEPTH = 64, MAX_FILES = 50 * 1000 * 1000 };

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

uint64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

/* What is set aside for root counts for root.  Some network file systems say 0 of 0. */
bool file_disk_free(const char *path, uint64_t *bytes)
{
    struct statvfs v;
    if (statvfs(path, &v) || v.f_blocks == 0) return false;
    *bytes = (uint64_t)(geteuid() == 0 ? v.f_bfree : v.f_bavail) * (v.f_frsize ? v.f_frsize : v.f_bsize);
    return true;
}

/* *made: the length of the highest folder that was not there, 0 where all were. */
static int make_folders(const char *path, size_t *made, struct err *e)
{
    char *p = mem_strdup(path);
    *made = 0;
    if (!p) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    int rc = 0;
    for (char *s = p + (*p == '/'); !rc; s++) {
        if (*s && *s != '/') continue;
        char c = *s;
        *s = 0;
        bool new = *p && mkdir(p, 0777) == 0;
        if (*p && !new && errno != EEXIST)
            rc = err_set(e, ERR_IO, "%s: cannot make the folder: %s", p, strerror(errno));
        if (new && !*made) *made = (size_t)(s - p);
        *s = c;
        if (!c) break;
    }
    if (!rc && !file_is_dir(path)) rc = err_set(e, ERR_IO, "%s: exists and is not a folder", path);
    mem_free(p);
    return rc;
}

int file_mkdir_p(const char *path, struct err *e)
{
    size_t made;
    return make_folders(path, &made, e);
}

int file_join(struct buf *b, const char *dir, const char *name, struct err *e)
{
    size_t n = strlen(dir);
    buf_clear(b);
    return buf_printf(b, e, "%s%s%s", dir, n && dir[n - 1] != '/' ? "/" : "", name);
}

/* NAME.tmp-PID-COUNT, as file_new_open makes them; a user's "notes.tmp-old" is none. */
static bool is_leftover(const char *name)
{
    static const char digits[] = "0123456789";
    const char *at = NULL;
    for (const char *p = name; (p = strstr(p, ".tmp-")); p++) at = p + 5;
    size_t pid = at ? strspn(at, digits) : 0;
    if (!pid || at[pid] != '-') return false;
    size_t count = strspn(at + pid + 1, digits);
    return count && !at[pid + 1 + count];
}

int file_clean_tmp(const char *dir, struct err *e)
{
    DIR *d = opendir(dir);
    if (!d) return err_set(e, ERR_IO, "%s: cannot open the folder: %s", dir, strerror(errno));
    int rc = 0;
    for (struct dirent *f; !rc && (f = readdir(d));)
        if (is_leftover(f->d_name) && unlinkat(dirfd(d), f->d_name, 0) && errno != ENOENT)
            rc = err_set(e, ERR_IO, "%s/%s: cannot remove: %s", dir, f->d_name, strerror(errno));
    closedir(d);
    return rc;
}

int file_lock_folder(int *lock, const char *dir, const char *busy, struct err *e)
{
    *lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0) return err_set(e, ERR_IO, "%s: cannot open the folder: %s", dir, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        close(*lock);
        *lock = -1;
        return err_set(e, ERR_IO, "%s: %s", dir, busy);
    }
    return 0; /* a file system without locks: as it was before there were any */
}

void file_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

/* ---- claims ---- */

/* The last part first; a folder that holds something stays, and so do those above it, for they hold it. */
static void remove_empty(char *path, size_t made)
{
    for (size_t n = strlen(path); n >= made; n--) {
        if (path[n] && path[n] != '/') continue;
        path[n] = 0;
        if (path[n - 1] != '/') rmdir(path);
    }
}

/* A folder that its holder removed before it let it go has no name any more. */
static bool still_there(const struct file_claim *c)
{
    struct stat held, named;
    return !fstat(c->lock, &held) && !stat(c->path, &named) && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

int file_claim_open(struct file_claim *c, const char *dir, const char *busy, struct err *e)
{
    enum { TRIES = 8 };
    *c = (struct file_claim){.lock = -1, .path = mem_strdup(dir)};
    if (!c->path) return err_set(e, ERR_NOMEM, "%s: out of memory", dir);
    int rc = 0;
    for (int i = 0; !rc && i < TRIES; i++) {
        size_t made;
        rc = make_folders(dir, &made, e);
        if (made && (!c->made || made < c->made)) c->made = made;
        if (!rc && (rc = file_lock_folder(&c->lock, dir, busy, e))) c->made = 0; /* it is another's now */
        if (rc || still_there(c)) break;
        file_unlock(c->lock);
        c->lock = -1;
        if (i == TRIES - 1) rc = err_set(e, ERR_IO, "%s: is removed again and again", dir);
    }
    if (rc) file_claim_close(c);
    return rc;
}

void file_claim_close(struct file_claim *c)
{
    if (!c->path) return;
    /* Behind "new/.." there may be others' folders. */
    if (c->made && !strstr(c->path + c->made, "/..")) remove_empty(c->path, c->made);
    file_unlock(c->lock);
    mem_free(c->path);
    *c = (struct file_claim){.lock = -1};
}

/* ---- lists ---- */

static int list_add(struct file_list *l, size_t *cap, const char *path, struct err *e)
{
    if (l->n == MAX_FILES) return err_set(e, ERR_LIMIT, "%s: more than %d files", path, MAX_FILES);
    if (l->n == *cap) {
        size_t more = *cap ? 2 * *cap : 16;
        char **p = mem_resize(l->path, more, sizeof *p);
        if (!p) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
        l->path = p;
        *cap = more;
    }
    char *copy = mem_strdup(path);
    if (!copy) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    l->path[l->n++] = copy;
    return 0;
}

/* Lists that grow; odd NULL: links and special files are passed over. */
struct walk {
    struct file_list *l, *odd;
    size_t cap, odd_cap;
    file_leave *leave; /* NULL: everything is taken */
    void *user;
};

static int walk(struct walk *w, const char *dir, int depth, struct err *e)
{
    if (depth > MAX_DEPTH) return err_set(e, ERR_LIMIT, "%s: folders nested deeper than %d", dir, MAX_DEPTH);
    DIR *d = opendir(dir);
    if (!d) return err_set(e, ERR_IO, "%s: cannot open the folder: %s", dir, strerror(errno));
    struct buf path = {0};
    int rc = 0;
    for (;;) {
        errno = 0;
        struct dirent *f = readdir(d);
        if (!f && errno) rc = err_set(e, ERR_IO, "%s: cannot list: %s", dir, strerror(errno));
        if (!f || rc) break;
        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, "..")) continue;
        struct stat st;
        if ((rc = file_join(&path, dir, f->d_name, e))) break;
        if (lstat(path.p, &st)) rc = err_set(e, ERR_IO, "%s: cannot stat: %s", path.p, strerror(errno));
        else if (w->leave && w->leave(w->user, path.p, f->d_name, &st)) continue;
        else if (S_ISREG(st.st_mode)) rc = list_add(w->l, &w->cap, path.p, e);
        else if (S_ISDIR(st.st_mode)) rc = walk(w, path.p, depth + 1, e);
        else if (w->odd) rc = list_add(w->odd, &w->odd_cap, path.p, e);
        if (rc) break;
    }
    buf_release(&path);
    closedir(d);
    return rc;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int file_list_open(struct file_list *l, struct file_list *odd, const char *path, struct err *e)
{
    return file_list_pick(l, odd, path, NULL, NULL, e);
}

int file_list_pick(struct file_list *l, struct file_list *odd, const char *path, file_leave *leave, void *user,
                   struct err *e)
{
    struct stat st;
    struct walk w = {.l = l, .odd = odd, .leave = leave, .user = user};
    int rc;
    *l = (struct file_list){0};
    if (odd) *odd = (struct file_list){0};
    /* What the user names is taken even through a link; what lies inside is not. */
    if (stat(path, &st)) return err_set(e, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    if (S_ISREG(st.st_mode)) rc = list_add(l, &w.cap, path, e);
    else if (S_ISDIR(st.st_mode)) rc = walk(&w, path, 0, e);
    else rc = err_set(e, ERR_IO, "%s: is neither a file nor a folder", path);
    if (rc) {
        file_list_release(l);
        if (odd) file_list_release(odd);
    } else if (l->n) qsort(l->path, l->n, sizeof *l->path, by_bytes);
    return rc;
}

void file_list_release(struct file_list *l)
{
    for (size_t i = 0; i < l->n; i++) mem_free(l->path[i]);
    mem_free(l->path);
    *l = (struct file_list){0};
}
