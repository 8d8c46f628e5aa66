/* libcrypto's one-shot digests of version 3 allocate and can fail; the plain context lives on
 * the stack, cannot fail, and runs the same code. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include <assert.h>
#include <errno.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct sha256 {
    SHA256_CTX c;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *s = mem_new(1, sizeof *s);
    if (s) SHA256_Init(&s->c);
    return s;
}

void sha256_add(struct sha256 *s, const void *p, size_t n)
{
    if (n) SHA256_Update(&s->c, p, n);
}

struct digest sha256_end(struct sha256 **s)
{
    struct digest d;
    SHA256_Final(d.b, &(*s)->c);
    mem_free(*s);
    *s = NULL;
    return d;
}

/* SHA-256 of a ‖ b. */
static struct digest hash2(const void *a, size_t na, const void *b, size_t nb)
{
    struct digest d;
    SHA256_CTX c;
    SHA256_Init(&c);
    if (na) SHA256_Update(&c, a, na);
    if (nb) SHA256_Update(&c, b, nb);
    SHA256_Final(d.b, &c);
    return d;
}

struct digest sha256_of(const void *p, size_t n) { return hash2(p, n, NULL, 0); }

struct digest sha256_parts(const struct hash_part *part, int n)
{
    struct digest d;
    SHA256_CTX c;
    SHA256_Init(&c);
    for (int i = 0; i < n; i++)
        if (part[i].n) SHA256_Update(&c, part[i].p, part[i].n);
    SHA256_Final(d.b, &c);
    return d;
}

int sha256_file(struct digest *d, const char *path, struct err *e)
{
    struct stat st;
    int fd, rc = file_open_regular(&fd, &st, path, e);
    if (rc) return rc;
    SHA256_CTX c;
    SHA256_Init(&c);
    size_t cap = 1 << 18;
    unsigned char *chunk = mem_new(cap, 1);
    if (!chunk) rc = err_set(e, ERR_NOMEM, "%s: out of memory", path);
    while (!rc) {
        ssize_t n = read(fd, chunk, cap);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = err_set(e, ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (n <= 0) break;
        SHA256_Update(&c, chunk, (size_t)n);
    }
    SHA256_Final(d->b, &c);
    mem_free(chunk);
    close(fd);
    return rc;
}

struct digest merkle_leaf(const void *leaf, size_t n) { return hash2("\0", 1, leaf, n); }

static struct digest node(const struct digest *l, const struct digest *r)
{
    unsigned char in[65];
    in[0] = 1;
    memcpy(in + 1, l->b, 32);
    memcpy(in + 33, r->b, 32);
    return sha256_of(in, sizeof in);
}

void merkle_init(struct merkle *m) { m->n = 0; }

/* The stack holds one perfect subtree for each bit set in n, the widest first; adding a leaf
 * carries like a binary counter. */
void merkle_add_hash(struct merkle *m, const struct digest *leaf)
{
    struct digest h = *leaf;
    int top = __builtin_popcountll(m->n);
    for (uint64_t n = m->n; n & 1; n >>= 1) h = node(&m->stack[--top], &h);
    assert(top < 64);
    m->stack[top] = h;
    m->n++;
}

void merkle_add(struct merkle *m, const void *leaf, size_t n)
{
    struct digest h = merkle_leaf(leaf, n);
    merkle_add_hash(m, &h);
}

struct digest merkle_root(const struct merkle *m)
{
    int top = __builtin_popcountll(m->n);
    if (top == 0) return sha256_of(NULL, 0);
    struct digest h = m->stack[top - 1];
    for (int i = top - 2; i >= 0; i--) h = node(&m->stack[i], &h);
    return h;
}

void digest_hex(char out[65], const struct digest *d)
{
    for (int i = 0; i < 32; i++) {
        out[2 * i] = "0123456789abcdef"[d->b[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[d->b[i] & 15];
    }
    out[64] = 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int digest_parse(struct digest *d, const char *hex)
{
    for (int i = 0; i < 32; i++) {
        int h = nibble(hex[2 * i]), l = h < 0 ? -1 : nibble(hex[2 * i + 1]);
        if (h < 0 || l < 0) return -1;
        d->b[i] = (uint8_t)(h << 4 | l);
    }
    return hex[64] ? -1 : 0;
}
