/* Files: whole reads, maps, folders, and atomic replacement.
 *
 * Writes go through a shim so that a test can fail the n-th one (full disk). */
#ifndef DK_BASE_FILE_H
#define DK_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"

/* Opens for reading what must be a regular file: not a folder, and not a fifo or device, which would not end. */
int file_open_regular(int *fd, struct stat *st, const char *path, struct err *e) MUST_CHECK;
/* Reads a whole regular file of at most `limit` bytes into b (cleared first). */
int file_read(struct buf *b, const char *path, size_t limit, struct err *e) MUST_CHECK;

/* A read-only private map of a file; an empty file gives p = "" and len = 0. */
struct file_map {
    const unsigned char *p;
    size_t len;
};
int file_map_open(struct file_map *m, const char *path, struct err *e) MUST_CHECK;
void file_map_close(struct file_map *m);

/* Atomic replacement: bytes go to a temporary beside `path`; commit flushes, fsyncs,
 * renames and fsyncs the folder.  Without commit nothing at `path` changes. Buffered.
 * Devices and pipes are refused. */
struct file_new;
int file_new_open(struct file_new **f, const char *path, struct err *e) MUST_CHECK;
int file_new_write(struct file_new *f, const void *p, size_t n, struct err *e) MUST_CHECK;
uint64_t file_new_tell(const struct file_new *f);
/* Overwrites n bytes already written, at `at` (a header whose counts are known at the end). */
int file_new_patch(struct file_new *f, uint64_t at, const void *p, size_t n, struct err *e) MUST_CHECK;
int file_new_commit(struct file_new **f, struct err *e) MUST_CHECK; /* frees, sets *f = NULL, also on failure */
void file_new_abort(struct file_new **f);                           /* removes the temporary; safe on NULL */
int file_replace(const char *path, const void *p, size_t n, struct err *e) MUST_CHECK;
/* The same, readable and writable by its owner alone from the first byte on: keys. */
int file_replace_private(const char *path, const void *p, size_t n, struct err *e) MUST_CHECK;

/* Appends to a log (created if absent); a write either lands whole or is reported. */
int file_append(const char *path, const void *p, size_t n, struct err *e) MUST_CHECK;
/* The same, and on the disk before it returns. */
int file_append_sync(const char *path, const void *p, size_t n, struct err *e) MUST_CHECK;
/* Puts n bytes at their place in a file (created if absent), for what a reader can check by itself: a write that fails
 * may have left a part. */
int file_write_at(const char *path, uint64_t at, const void *p, size_t n, struct err *e) MUST_CHECK;
/* Cuts a file to `len` bytes (a log, to the last complete checkpoint). */
int file_truncate(const char *path, uint64_t len, struct err *e) MUST_CHECK;

bool file_exists(const char *path);
bool file_is_dir(const char *path);
uint64_t file_size(const char *path);   /* 0: none there */
/* What may still be written on the disk that holds `path`; false where it does not say. */
bool file_disk_free(const char *path, uint64_t *bytes);
/* Removes a file; none there is no error. */
int file_remove(const char *path, struct err *e) MUST_CHECK;
/* Within a file system, over what is there; the folder is not synced. */
int file_move(const char *from, const char *to, struct err *e) MUST_CHECK;
int file_mkdir_p(const char *path, struct err *e) MUST_CHECK;
/* One program at a time: an error with the sentence `busy` while another holds the folder.  *lock: a descriptor of it,
 * held until file_unlock (which takes −1 too) or the end of the process. */
int file_lock_folder(int *lock, const char *dir, const char *busy, struct err *e) MUST_CHECK;
void file_unlock(int lock);
/* A folder to write in, locked as above; it and those above it are made where there are none.  Closing removes those it
 * made that are empty again: whoever is refused leaves nothing. */
struct file_claim {
    int lock;
    char *path;
    size_t made; /* path[0..made) is the highest folder it made; 0: none */
};
int file_claim_open(struct file_claim *c, const char *dir, const char *busy, struct err *e) MUST_CHECK;
void file_claim_close(struct file_claim *c); /* safe on zero */
/* Removes leftovers "*.tmp-PID-COUNT" of interrupted writers in a folder. */
int file_clean_tmp(const char *dir, struct err *e) MUST_CHECK;
/* "dir/name" into b (cleared first). */
int file_join(struct buf *b, const char *dir, const char *name, struct err *e) MUST_CHECK;

/* Every regular file under `path` (or `path` itself), sorted by byte order of the path, links not followed.  odd (or
 * NULL): links and special files, in no order.  Free with file_list_release. */
struct file_list {
    char **path;
    size_t n;
};
int file_list_open(struct file_list *l, struct file_list *odd, const char *path, struct err *e) MUST_CHECK;
/* The same without what leave() is true for, a folder with all it holds; it is asked about what lies below `path`, not
 * about `path` itself. */
typedef bool file_leave(void *user, const char *path, const char *name, const struct stat *st);
int file_list_pick(struct file_list *l, struct file_list *odd, const char *path, file_leave *leave, void *user,
                   struct err *e) MUST_CHECK;
void file_list_release(struct file_list *l);

/* Tests: the n-th write (or fsync or rename) from now fails with ENOSPC (0: none). */
void file_fail_at(long n);

#endif
