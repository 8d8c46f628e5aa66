#include "ledger/proof.h"

#include <assert.h>
#include <string.h>

static struct digest node(const struct digest *left, const struct digest *right)
{
    unsigned char b[1 + 2 * sizeof left->b] = {0x01};
    memcpy(b + 1, left->b, sizeof left->b);
    memcpy(b + 1 + sizeof left->b, right->b, sizeof right->b);
    return sha256_of(b, sizeof b);
}

static struct digest root_of(const struct digest *leaf, uint64_t n)
{
    struct merkle m;
    merkle_init(&m);
    for (uint64_t i = 0; i < n; i++)
        merkle_add_hash(&m, &leaf[i]);
    return merkle_root(&m);
}

/* The largest power of two below n; n > 1. */
static uint64_t left_size(uint64_t n)
{
    uint64_t k = 1;
    while (k < n - k)
        k *= 2;
    return k;
}

static void push(struct proof *p, struct digest d)
{
    assert(p->n < PROOF_MAX);
    p->hash[p->n++] = d;
}

/* ---- making: the recursions of RFC 6962 ---- */

static void path(struct proof *p, const struct digest *leaf, uint64_t n, uint64_t i)
{
    if (n == 1)
        return;
    uint64_t k = left_size(n);
    if (i < k) {
        path(p, leaf, k, i);
        push(p, root_of(leaf + k, n - k));
    } else {
        path(p, leaf + k, n - k, i - k);
        push(p, root_of(leaf, k));
    }
}

void proof_inclusion(struct proof *p, const struct digest *leaf, uint64_t n, uint64_t i)
{
    assert(i < n);
    p->n = 0;
    path(p, leaf, n, i);
}

/* `whole`: the small tree is one that the reader has the root of. */
static void subproof(struct proof *p, const struct digest *leaf, uint64_t n, uint64_t m, bool whole)
{
    if (m == n) {
        if (!whole)
            push(p, root_of(leaf, n));
        return;
    }
    uint64_t k = left_size(n);
    if (m <= k) {
        subproof(p, leaf, k, m, whole);
        push(p, root_of(leaf + k, n - k));
    } else {
        subproof(p, leaf + k, n - k, m - k, false);
        push(p, root_of(leaf, k));
    }
}

void proof_consistency(struct proof *p, const struct digest *leaf, uint64_t n, uint64_t m)
{
    assert(m > 0 && m <= n);
    p->n = 0;
    subproof(p, leaf, n, m, true);
}

/* ---- checking: along the bits of the last node's number, fn in the proof's tree and sn in the whole one ---- */

static bool same(const struct digest *a, const struct digest *b) { return memcmp(a->b, b->b, sizeof a->b) == 0; }

bool proof_included(const struct proof *p, const struct digest *leaf, uint64_t i, uint64_t n, const struct digest *root)
{
    if (i >= n || p->n > PROOF_MAX)
        return false;
    uint64_t fn = i, sn = n - 1;
    struct digest r = *leaf;
    for (int k = 0; k < p->n; k++) {
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            r = node(&p->hash[k], &r);
            for (; fn != 0 && !(fn & 1); fn >>= 1)
                sn >>= 1;
        } else {
            r = node(&r, &p->hash[k]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && same(&r, root);
}

bool proof_consistent(const struct proof *p, uint64_t m, const struct digest *root_m, uint64_t n,
                      const struct digest *root_n)
{
    if (m == 0 || m > n || p->n > PROOF_MAX)
        return false;
    if (m == n)
        return p->n == 0 && same(root_m, root_n);
    bool power = (m & (m - 1)) == 0;   /* then the small tree is a node of the large one, and its root is known */
    int k = power ? 0 : 1;
    if (p->n < 1)
        return false;
    uint64_t fn = m - 1, sn = n - 1;
    for (; fn & 1; fn >>= 1)
        sn >>= 1;
    struct digest fr = power ? *root_m : p->hash[0], sr = fr;
    for (; k < p->n; k++) {
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            fr = node(&p->hash[k], &fr);
            sr = node(&p->hash[k], &sr);
            for (; fn != 0 && !(fn & 1); fn >>= 1)
                sn >>= 1;
        } else {
            sr = node(&sr, &p->hash[k]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && same(&fr, root_m) && same(&sr, root_n);
}
