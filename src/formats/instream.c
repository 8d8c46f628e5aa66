#include "formats/instream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
/* ZSTD_customMem, which is as it was in zstd 1.0 but not yet called stable. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#include "base/digest.h"
#include "base/mem.h"

enum { IN_BUF = 1 << 17 };

struct instream {
    int fd;
    char *path;
    int (*read)(struct instream *s, void *out, size_t n, size_t *got, struct err *e);
    z_stream z;
    bool z_ready, z_between;      /* between: a member ended, the next may begin */
    ZSTD_DStream *zst;
    bool zst_inside;              /* a frame is not complete yet */
    bool eof;
    struct sha256 *sha;           /* or NULL */
    uint64_t bytes;               /* read of the file */
    size_t at, len;               /* unread part of in */
    unsigned char in[IN_BUF];
};

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n > k && !strcasecmp(s + n - k, tail);
}

size_t instream_stem(const char *path)
{
    return strlen(path) - (ends_with(path, ".gz") ? 3 : ends_with(path, ".zst") ? 4 : 0);
}

/* ---- plain ---- */

static int read_plain(struct instream *s, void *out, size_t n, size_t *got, struct err *e)
{
    ssize_t k;
    do k = read(s->fd, out, n);
    while (k < 0 && errno == EINTR);
    *got = k > 0 ? (size_t)k : 0;
    s->bytes += *got;
    if (s->sha) sha256_add(s->sha, out, *got);
    return k < 0 ? err_set(e, ERR_IO, "%s: cannot read: %s", s->path, strerror(errno)) : 0;
}

/* Refills `in` when it is used up; afterwards at == len means the end of the file. */
static int refill(struct instream *s, struct err *e)
{
    if (s->at < s->len || s->eof) return 0;
    s->at = 0;
    int rc = read_plain(s, s->in, IN_BUF, &s->len, e);
    s->eof = s->len == 0;
    return rc;
}

static int cut_short(const struct instream *s, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: ends in the middle of compressed data", s->path);
}

/* ---- gzip ---- */

static voidpf z_new(voidpf opaque, uInt n, uInt size)
{
    (void)opaque;
    return mem_new(n, size);
}

static void z_free(voidpf opaque, voidpf p)
{
    (void)opaque;
    mem_free(p);
}

/* After a member: another one, or zeros (tapes and block devices pad), or the end. */
static int next_member(struct instream *s, bool *end, struct err *e)
{
    int rc;
    while (!(rc = refill(s, e)) && s->at < s->len && s->in[s->at] == 0) s->at++;
    *end = rc || s->at == s->len;
    if (*end) return rc;
    if (s->in[s->at] != 0x1F) return err_set(e, ERR_FORMAT, "%s: not gzip data after a complete member", s->path);
    inflateReset(&s->z);
    s->z_between = false;
    return 0;
}

static int read_gz(struct instream *s, void *out, size_t n, size_t *got, struct err *e)
{
    uInt room = n > (1u << 30) ? 1u << 30 : (uInt)n;
    s->z.next_out = out;
    s->z.avail_out = room;
    *got = 0;
    while (s->z.avail_out == room) { /* until something came out */
        bool end = false;
        int rc = s->z_between ? next_member(s, &end, e) : refill(s, e);
        if (rc) return rc;
        if (end) break;
        if (s->at == s->len) return cut_short(s, e);
        s->z.next_in = s->in + s->at;
        s->z.avail_in = (uInt)(s->len - s->at);
        int z = inflate(&s->z, Z_NO_FLUSH);
        s->at = s->len - s->z.avail_in;
        if (z == Z_MEM_ERROR) return err_set(e, ERR_NOMEM, "%s: out of memory", s->path);
        if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
            return err_set(e, ERR_FORMAT, "%s: not valid gzip data: %s", s->path, s->z.msg ? s->z.msg : zError(z));
        s->z_between = z == Z_STREAM_END;
    }
    *got = room - s->z.avail_out;
    return 0;
}

/* ---- zstd ---- */

static void *zst_new(void *opaque, size_t n)
{
    (void)opaque;
    return mem_resize(NULL, n, 1);
}

static void zst_free(void *opaque, void *p)
{
    (void)opaque;
    mem_free(p);
}

static int read_zst(struct instream *s, void *out, size_t n, size_t *got, struct err *e)
{
    ZSTD_outBuffer o = {out, n, 0};
    *got = 0;
    while (o.pos == 0) {
        int rc = refill(s, e);
        if (rc) return rc;
        /* At the end a frame may still hold output: ask once more with no input. */
        bool drained = s->at == s->len;
        if (drained && !s->zst_inside) break;
        ZSTD_inBuffer i = {s->in, s->len, s->at};
        size_t left = ZSTD_decompressStream(s->zst, &o, &i);
        s->at = i.pos;
        if (ZSTD_isError(left) && ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
            return err_set(e, ERR_NOMEM, "%s: out of memory for its window", s->path);
        if (ZSTD_isError(left))
            return err_set(e, ERR_FORMAT, "%s: not valid zstd data: %s", s->path, ZSTD_getErrorName(left));
        s->zst_inside = left != 0;
        if (drained && left && o.pos == 0) return cut_short(s, e);
    }
    *got = o.pos;
    return 0;
}

/* ---- the whole ---- */

static int start_codec(struct instream *s, struct err *e)
{
    s->read = read_plain;
    if (ends_with(s->path, ".gz")) {
        s->read = read_gz;
        s->z.zalloc = z_new;
        s->z.zfree = z_free;
        s->z_ready = inflateInit2(&s->z, 15 + 16) == Z_OK;
        if (!s->z_ready) return err_set(e, ERR_NOMEM, "%s: out of memory", s->path);
    } else if (ends_with(s->path, ".zst")) {
        s->read = read_zst;
        s->zst_inside = true; /* an empty file is no frame */
        if (!s->zst) s->zst = ZSTD_createDStream_advanced((ZSTD_customMem){zst_new, zst_free, NULL});
        if (!s->zst) return err_set(e, ERR_NOMEM, "%s: out of memory", s->path);
        ZSTD_initDStream(s->zst);
    }
    return 0;
}

static int start_file(struct instream *s, const char *path, struct err *e)
{
    struct stat st;
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) return err_set(e, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(s->fd, &st)) return err_set(e, ERR_IO, "%s: cannot stat: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) return err_set(e, ERR_IO, "%s: is a folder, expected a file", path);
    if (!(s->path = mem_strdup(path))) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    return start_codec(s, e);
}

int instream_open(struct instream **out, const char *path, struct err *e)
{
    *out = NULL;
    struct instream *s = mem_new(1, sizeof *s);
    if (!s) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    int rc = start_file(s, path, e);
    if (rc) instream_close(s);
    else *out = s;
    return rc;
}

static void end_file(struct instream *s)
{
    if (s->z_ready) inflateEnd(&s->z);
    if (s->fd >= 0) close(s->fd);
    mem_free(s->path);
}

int instream_switch(struct instream *s, const char *path, struct err *e)
{
    ZSTD_DStream *zst = s->zst;
    end_file(s);
    memset(s, 0, offsetof(struct instream, in));
    s->zst = zst;
    return start_file(s, path, e);
}

void instream_close(struct instream *s)
{
    if (!s) return;
    end_file(s);
    ZSTD_freeDStream(s->zst);
    mem_free(s);
}

int instream_read(struct instream *s, void *out, size_t n, size_t *got, struct err *e)
{
    return s->read(s, out, n, got, e);
}

void instream_hash(struct instream *s, struct sha256 *sha) { s->sha = sha; }

int instream_drain(struct instream *s, uint64_t *bytes, struct err *e)
{
    int rc;
    size_t got;
    do rc = read_plain(s, s->in, IN_BUF, &got, e);
    while (!rc && got > 0);
    s->at = s->len = 0;
    s->eof = true;
    *bytes = s->bytes;
    return rc;
}
