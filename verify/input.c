#include <fcntl.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "verify/verify.h"

char why[400];
bool machine_short;
static jmp_buf *frame;

void give_up(void)
{
    if (frame) longjmp(*frame, 1);
    abort();
}
void refuse(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    machine_short = false;
    give_up();
}
bool attempt(void (*f)(void *), void *arg)
{
    jmp_buf here, *outer = frame;
    frame = &here;
    bool good = setjmp(here) == 0;
    if (good) f(arg);
    frame = outer;
    return good;
}
enum { HEADER = 64 }; /* room for a struct held, and alignment */
static struct held {
    struct held *before;
    void *map; /* NULL: the block itself */
    size_t mapped;
} *latest;
uint64_t most_memory;

void short_of(const char *what)
{
    snprintf(why, sizeof why, "no memory for %s", what);
    machine_short = true;
    give_up();
}
void *take(uint64_t n, size_t size)
{
    char what[60];
    uint64_t have = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (most_memory) have = most_memory;
    struct held *p = n < have / size ? calloc(1, HEADER + n * size) : NULL;
    snprintf(what, sizeof what, "%llu times %zu bytes", N(n), size);
    if (!p) short_of(what);
    p->before = latest;
    latest = p;
    return (char *)p + HEADER;
}
void give_back(void)
{
    for (struct held *p; (p = latest); free(p)) {
        if (p->map) munmap(p->map, p->mapped);
        latest = p->before;
    }
}
const char *join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *s = take(n, 1);
    return snprintf(s, n, "%s/%s", dir, name) > 0 ? s : NULL;
}
struct bytes map_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold it up */
    bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    size_t n = good ? (size_t)st.st_size : 0;
    void *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (fd >= 0) close(fd);
    if (!good || p == MAP_FAILED) refuse("%s: cannot be read", path);
    take(0, 1);
    latest->map = p, latest->mapped = n;
    return (struct bytes){p, n};
}
bool file_there(const char *path) { return access(path, F_OK) == 0; }

/* ---- hashes ---- */

struct digest sha256(const struct bytes *part, int n)
{
    struct digest d;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1;
    for (int i = 0; good && i < n; i++) good = EVP_DigestUpdate(c, part[i].p, part[i].n) == 1;
    good = good && EVP_DigestFinal_ex(c, d.b, NULL) == 1;
    EVP_MD_CTX_free(c);
    if (!good) short_of("a hash");
    return d;
}
struct digest sha256_of(struct bytes b) { return sha256(&b, 1); }
bool same_digest(const struct digest *a, const struct digest *b) { return memcmp(a->b, b->b, sizeof a->b) == 0; }
static struct digest node(const struct digest *l, const struct digest *r)
{
    return sha256((struct bytes[]){{(const uint8_t *)"\1", 1}, {l->b, 32}, {r->b, 32}}, 3);
}

/* The stack holds the perfect subtrees of what came, largest first: one a bit of n. */
void tree_add(struct tree *t, struct bytes b)
{
    struct digest leaf = sha256((struct bytes[]){{(const uint8_t *)"", 1}, b}, 2);
    int top = __builtin_popcountll(t->n);
    for (uint64_t full = t->n++; full & 1; full >>= 1) leaf = node(&t->stack[--top], &leaf);
    t->stack[top] = leaf;
}
struct digest tree_root(const struct tree *t)
{
    int top = __builtin_popcountll(t->n);
    struct digest d = top ? t->stack[--top] : sha256(NULL, 0);
    while (top > 0) d = node(&t->stack[--top], &d);
    return d;
}

/* ---- digits ---- */

void hex_of(char out[65], const struct digest *d)
{
    for (int i = 0; i < 32; i++) snprintf(out + 2 * i, 3, "%02x", d->b[i]);
}
bool hex_read(uint8_t *out, const char *p, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 2 * bytes; i++) {
        const char *at = memchr(digits, p[i], 16);
        if (!at) return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (at - digits));
    }
    return true;
}

/* What decodes and encodes to the same again. */
bool base64_read(uint8_t *out, size_t bytes, const char *p, size_t n)
{
    uint8_t raw[1026], again[1369];
    bool good = n == (bytes + 2) / 3 * 4 && n < sizeof again && EVP_DecodeBlock(raw, (const uint8_t *)p, (int)n) >= 0 &&
                EVP_EncodeBlock(again, raw, (int)bytes) == (int)n && memcmp(again, p, n) == 0;
    if (good) memcpy(out, raw, bytes);
    return good;
}

/* ---- JSON, as far as it is needed: what stands behind "key": ---- */

char *text_of(struct bytes b, const char *file)
{
    char *s = take(b.n + 1, 1);
    if (b.n && memchr(b.p, 0, b.n)) refuse("%s: holds a NUL byte", file);
    return b.n ? memcpy(s, b.p, b.n) : s;
}

/* A key may come twice only with the same value (rope_theta). */
const char *json_value(const char *text, const char *file, const char *key)
{
    char want[64];
    size_t n = (size_t)snprintf(want, sizeof want, "\"%s\":", key);
    const char *value = NULL, *at = text;
    while ((at = strstr(at, want))) {
        at += n + strspn(at + n, " \n\t\r");
        size_t m = strcspn(at, ",}\n");
        if (value && (strcspn(value, ",}\n") != m || strncmp(value, at, m) != 0)) refuse("%s: two of %s", file, key);
        value = value ? value : at;
    }
    if (!value) refuse("%s: has no %s", file, key);
    return value;
}
bool json_is(const char *text, const char *file, const char *key, const char *want)
{
    const char *v = json_value(text, file, key);
    size_t n = strlen(want);
    return *v == '"' && strncmp(v + 1, want, n) == 0 && v[n + 1] == '"';
}
double json_number(const char *text, const char *file, const char *key)
{
    const char *v = json_value(text, file, key);
    char *end;
    double x = strtod(v += *v == '"', &end); /* metadata are strings */
    if (end == v || !(x >= 0 && x < 0x1p63)) refuse("%s: %s is not a number", file, key);
    return x;
}
