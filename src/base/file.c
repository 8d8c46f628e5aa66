#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { NEW_BUF = 1 << 18 };

/* ---- the shim: what others rely on is written, synced, moved and removed through here ---- */

static atomic_long fail_in;

void file_fail_at(long n) { atomic_store(&fail_in, n); }

static bool fault(void)
{
    long n = atomic_load_explicit(&fail_in, memory_order_relaxed);
    while (n > 0)
        if (atomic_compare_exchange_weak(&fail_in, &n, n - 1)) {
            if (n != 1) return false;
            errno = ENOSPC;
            return true;
        }
    return false;
}

static int write_all(int fd, const unsigned char *p, size_t n)
{
    while (n) {
        if (fault()) return -1;
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static int sync_fd(int fd) { return fault() ? -1 : fsync(fd); }

static int rename_path(const char *from, const char *to) { return fault() ? -1 : rename(from, to); }

int file_move(const char *from, const char *to, struct err *e)
{
    return rename_path(from, to) ? err_set(e, ERR_IO, "%s: cannot move to %s: %s", from, to, strerror(errno)) : 0;
}

int file_remove(const char *path, struct err *e)
{
    if ((fault() || unlink(path)) && errno != ENOENT)
        return err_set(e, ERR_IO, "%s: cannot remove: %s", path, strerror(errno));
    return 0;
}

/* ---- reading ---- */

int file_open_regular(int *fd, struct stat *st, const char *path, struct err *e)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not hang */
    if (*fd < 0) return err_set(e, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    int rc = 0;
    if (fstat(*fd, st)) rc = err_set(e, ERR_IO, "%s: cannot stat: %s", path, strerror(errno));
    else if (S_ISDIR(st->st_mode)) rc = err_set(e, ERR_IO, "%s: is a folder, expected a file", path);
    else if (!S_ISREG(st->st_mode)) rc = err_set(e, ERR_IO, "%s: is not a regular file", path);
    if (rc) close(*fd);
    return rc;
}

int file_read(struct buf *b, const char *path, size_t limit, struct err *e)
{
    int fd, rc;
    struct stat st;
    buf_clear(b);
    rc = file_open_regular(&fd, &st, path, e);
    if (rc) return rc;
    size_t n = (size_t)st.st_size;
    if (n > limit) rc = err_set(e, ERR_LIMIT, "%s: %zu bytes, limit %zu", path, n, limit);
    if (!rc && buf_reserve(b, n, NULL)) rc = err_set(e, ERR_NOMEM, "%s: out of memory for %zu bytes", path, n);
    while (!rc && b->len < n) {
        ssize_t k = read(fd, b->p + b->len, n - b->len);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) rc = err_set(e, ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        else if (k == 0) rc = err_set(e, ERR_IO, "%s: became shorter while it was read", path);
        else b->len += (size_t)k;
    }
    if (rc) buf_clear(b);
    else b->p[b->len] = 0;
    close(fd);
    return rc;
}

int file_map_open(struct file_map *m, const char *path, struct err *e)
{
    int fd, rc;
    struct stat st;
    *m = (struct file_map){(const unsigned char *)"", 0};
    rc = file_open_regular(&fd, &st, path, e);
    if (rc) return rc;
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) rc = err_set(e, ERR_IO, "%s: cannot map: %s", path, strerror(errno));
        else *m = (struct file_map){p, (size_t)st.st_size};
    }
    close(fd);
    return rc;
}

void file_map_close(struct file_map *m)
{
    if (m->len) munmap((void *)(uintptr_t)m->p, m->len);
    *m = (struct file_map){0};
}

/* ---- atomic replacement ---- */

struct file_new {
    int fd;
    char *path, *tmp;
    uint64_t told;      /* bytes accepted so far */
    size_t n;           /* of them still in buf */
    unsigned char buf[NEW_BUF];
};

/* fsync of the folder that holds `path`: the rename itself must survive a crash. */
static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = !slash ? mem_strdup(".") : mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!dir) {
        errno = ENOMEM;
        return -1;
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(dir);
    if (fd < 0) return -1;
    int rc = sync_fd(fd), why = errno;
    close(fd);
    errno = why;
    return rc && why != EINVAL ? -1 : 0; /* some file systems cannot sync folders */
}

/* "path.tmp-PID-COUNT": never met by another writer that lives now. */
static char *tmp_name(const char *path)
{
    static atomic_uint count;
    struct buf b = {0};
    if (buf_printf(&b, NULL, "%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&count, 1))) return NULL;
    return b.p;
}

static void free_new(struct file_new *f)
{
    mem_free(f->path);
    mem_free(f->tmp);
    mem_free(f);
}

/* A rename would put a file in the place of a device, a pipe or a name such as /dev/stdout, which others need. */
static bool is_special(const char *path)
{
    struct stat st;
    if (!stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return true;
    return !strncmp(path, "/dev/", 5) && !lstat(path, &st) && S_ISLNK(st.st_mode);
}

int file_new_open(struct file_new **out, const char *path, struct err *e)
{
    *out = NULL;
    if (is_special(path))
        return err_set(e, ERR_IO, "%s: is a device, a pipe or a link to one, expected the name of a file", path);
    struct file_new *f = mem_new(1, sizeof *f);
    if (!f) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    f->path = mem_strdup(path);
    f->tmp = tmp_name(path);
    int rc = f->path && f->tmp ? 0 : err_set(e, ERR_NOMEM, "%s: out of memory", path);
    if (!rc) {
        /* A leftover of an earlier process with our number is not in use. */
        f->fd = open(f->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (f->fd < 0) rc = err_set(e, ERR_IO, "%s: cannot create: %s", path, strerror(errno));
    }
    if (rc) free_new(f);
    else *out = f;
    return rc;
}

static int flush(struct file_new *f, struct err *e)
{
    if (write_all(f->fd, f->buf, f->n)) return err_set(e, ERR_IO, "%s: cannot write: %s", f->path, strerror(errno));
    f->n = 0;
    return 0;
}

int file_new_write(struct file_new *f, const void *p, size_t n, struct err *e)
{
    const unsigned char *from = p;
    if (n > NEW_BUF - f->n) {
        int rc = flush(f, e);
        if (rc) return rc;
    }
    if (n >= NEW_BUF) {
        if (write_all(f->fd, from, n)) return err_set(e, ERR_IO, "%s: cannot write: %s", f->path, strerror(errno));
    } else if (n) {
        memcpy(f->buf + f->n, from, n);
        f->n += n;
    }
    f->told += n;
    return 0;
}

uint64_t file_new_tell(const struct file_new *f) { return f->told; }

int file_new_patch(struct file_new *f, uint64_t at, const void *p, size_t n, struct err *e)
{
    assert(at <= f->told && n <= f->told - at);
    int rc = flush(f, e);
    if (rc) return rc;
    for (const unsigned char *from = p; n;) {
        ssize_t k = fault() ? -1 : pwrite(f->fd, from, n, (off_t)at);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return err_set(e, ERR_IO, "%s: cannot write: %s", f->path, strerror(errno));
        from += k;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return 0;
}

int file_new_commit(struct file_new **fp, struct err *e)
{
    struct file_new *f = *fp;
    *fp = NULL;
    int rc = flush(f, e);
    if (!rc && sync_fd(f->fd)) rc = err_set(e, ERR_IO, "%s: cannot sync: %s", f->path, strerror(errno));
    if (close(f->fd) && !rc) rc = err_set(e, ERR_IO, "%s: cannot close: %s", f->path, strerror(errno));
    if (!rc && rename_path(f->tmp, f->path))
        rc = err_set(e, ERR_IO, "%s: cannot rename into place: %s", f->path, strerror(errno));
    if (rc) unlink(f->tmp);
    else if (sync_folder(f->path))
        rc = err_set(e, errno == ENOMEM ? ERR_NOMEM : ERR_IO, "%s: written, but its folder cannot be synced: %s",
                     f->path, strerror(errno));
    free_new(f);
    return rc;
}

void file_new_abort(struct file_new **fp)
{
    struct file_new *f = *fp;
    *fp = NULL;
    if (!f) return;
    close(f->fd);
    unlink(f->tmp);
    free_new(f);
}

static int replace(const char *path, const void *p, size_t n, bool private, struct err *e)
{
    struct file_new *f;
    int rc = file_new_open(&f, path, e);
    if (rc) return rc;
    if (private && fchmod(f->fd, 0600))
        rc = err_set(e, ERR_IO, "%s: cannot be closed to others: %s", path, strerror(errno));
    if (!rc) rc = file_new_write(f, p, n, e);
    if (rc) file_new_abort(&f);
    else rc = file_new_commit(&f, e);
    return rc;
}

int file_replace(const char *path, const void *p, size_t n, struct err *e) { return replace(path, p, n, false, e); }

int file_replace_private(const char *path, const void *p, size_t n, struct err *e)
{
    return replace(path, p, n, true, e);
}

/* ---- logs ---- */

static int append(const char *path, const void *p, size_t n, bool sync, struct err *e)
{
    int rc = 0, fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return err_set(e, ERR_IO, "%s: cannot open for appending: %s", path, strerror(errno));
    off_t end = lseek(fd, 0, SEEK_END);
    if (end < 0 || write_all(fd, p, n) || (sync && sync_fd(fd))) {
        rc = err_set(e, ERR_IO, "%s: cannot append: %s", path, strerror(errno));
        if (end >= 0 && ftruncate(fd, end)) /* no half records */
            rc = err_set(e, ERR_IO, "%s: cannot append, and a part of a record was left at byte %lld", path,
                         (long long)end);
    }
    if (close(fd) && !rc) rc = err_set(e, ERR_IO, "%s: cannot close: %s", path, strerror(errno));
    return rc;
}

int file_append(const char *path, const void *p, size_t n, struct err *e) { return append(path, p, n, false, e); }

int file_append_sync(const char *path, const void *p, size_t n, struct err *e) { return append(path, p, n, true, e); }

int file_write_at(const char *path, uint64_t at, const void *p, size_t n, struct err *e)
{
    int rc = 0, fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return err_set(e, ERR_IO, "%s: cannot open for writing: %s", path, strerror(errno));
    if (lseek(fd, (off_t)at, SEEK_SET) < 0 || write_all(fd, p, n))
        rc = err_set(e, ERR_IO, "%s: cannot write at byte %llu: %s", path, (unsigned long long)at, strerror(errno));
    if (close(fd) && !rc) rc = err_set(e, ERR_IO, "%s: cannot close: %s", path, strerror(errno));
    return rc;
}

int file_truncate(const char *path, uint64_t len, struct err *e)
{
    struct stat st;
    if (stat(path, &st)) return err_set(e, ERR_IO, "%s: cannot stat: %s", path, strerror(errno));
    if ((uint64_t)st.st_size < len)
        return err_set(e, ERR_FORMAT, "%s: %lld bytes, expected at least %llu", path, (long long)st.st_size,
                       (unsigned long long)len);
    if (fault() || truncate(path, (off_t)len))
        return err_set(e, ERR_IO, "%s: cannot cut to %llu bytes: %s", path, (unsigned long long)len, strerror(errno));
    return 0;
}
