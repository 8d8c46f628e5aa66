/* SHA-256 and RFC 6962 Merkle trees (leaf prefix 0x00, node prefix 0x01). */
#ifndef DK_BASE_DIGEST_H
#define DK_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct digest {
    uint8_t b[32];
};

struct sha256; /* streaming, over libcrypto */
struct sha256 *sha256_new(void); /* NULL when out of memory */
void sha256_add(struct sha256 *s, const void *p, size_t n);
struct digest sha256_end(struct sha256 **s); /* frees */

struct digest sha256_of(const void *p, size_t n);
struct hash_part {
    const void *p;
    size_t n;
};
/* Of the parts one behind the other; takes no memory. */
struct digest sha256_parts(const struct hash_part *part, int n);
int sha256_file(struct digest *d, const char *path, struct err *e) MUST_CHECK;

/* Streaming Merkle root: leaves in order, O(log n) memory. An empty tree is SHA-256(""). */
struct merkle {
    struct digest stack[64];
    uint64_t n;
};
void merkle_init(struct merkle *m);
void merkle_add(struct merkle *m, const void *leaf, size_t n);      /* hashes 0x00 ‖ leaf */
void merkle_add_hash(struct merkle *m, const struct digest *leaf);  /* a leaf hash made elsewhere */
struct digest merkle_leaf(const void *leaf, size_t n);
struct digest merkle_root(const struct merkle *m);

/* 64 lower-case hex digits and NUL. */
void digest_hex(char out[65], const struct digest *d);
int digest_parse(struct digest *d, const char *hex); /* 0 or -1 */

#endif
