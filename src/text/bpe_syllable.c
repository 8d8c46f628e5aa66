/* Hangul syllables that are one token whatever stands beside them.
 *
 * Bytes of a piece merge in the order of ranks.  A syllable's own merges can be done beforehand when, at every step,
 * no merge across its borders has a rank as low as the next merge inside: whenever such a merge could be chosen, the
 * one inside is there too and comes first.  Across the left border a merge joins a token that ends inside a
 * character, or after one, with the syllable's first symbol; across the right border its last symbol with a token that
 * begins a character.  The least rank of all such merges is taken, so that neighbours and order do not matter.  The
 * token itself must not merge across a border by a rank below its own merges' either, or it would come too early;
 * vocabularies that were trained never have that.  A syllable and the space that begins the piece before it are looked
 * at together as well; nothing borders on those on the left. */
#include <string.h>

#include "base/mem.h"
#include "text/bpe.h"
#include "text/unicode.h"

struct borders {
    uint32_t *left, *right; /* [n] least rank of a merge across the border: as its right part, as its left part */
};

static bool is_text(const struct bpe *b, int32_t id)
{
    return (b->flag[id] & BPE_TOKEN_TEXT) && b->at[id + 1] > b->at[id];
}

static void note(uint32_t *least, uint32_t rank)
{
    if (rank < *least)
        *least = rank;
}

static int find_borders(struct borders *o, const struct bpe *b, struct err *e)
{
    o->left = mem_new(b->n, sizeof *o->left);
    o->right = mem_new(b->n, sizeof *o->right);
    if (!o->left || !o->right)
        return err_set(e, ERR_NOMEM, "out of memory for a vocabulary of %u tokens", b->n);
    memset(o->left, 0xFF, b->n * sizeof *o->left);
    memset(o->right, 0xFF, b->n * sizeof *o->right);
    for (uint32_t i = 0; i <= b->merge_mask; i++) {
        const struct bpe_slot *m = &b->merge[i];
        if (m->rank == UINT32_MAX)
            continue;
        int32_t l = (int32_t)(m->pair >> 32), r = (int32_t)(m->pair & 0xFFFFFFFFu);
        /* The symbols beside a syllable: what ends in a byte beyond ASCII, what begins with a lead. */
        if (!is_text(b, l) || (unsigned char)b->bytes.p[b->at[l + 1] - 1] >= 0x80)
            note(&o->left[r], m->rank);
        if (!is_text(b, r) || (unsigned char)b->bytes.p[b->at[r]] >= 0xC0)
            note(&o->right[l], m->rank);
    }
    return 0;
}

/* The one token of p[0..n), n ≤ 4, or −1: it is more than one, or something across a border may come first. */
static int32_t settled(const struct bpe *b, const struct borders *o, const unsigned char *p, size_t n, bool starts)
{
    int32_t id[4];
    uint32_t last = 0;
    for (size_t i = 0; i < n; i++)
        id[i] = b->byte_id[p[i]];
    while (n > 1) {
        const struct bpe_slot *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            const struct bpe_slot *m = bpe_find_merge(b, id[i], id[i + 1]);
            if (m->rank != UINT32_MAX && (!best || m->rank < best->rank)) {
                best = m;
                at = i;
            }
        }
        if (!best || o->right[id[n - 1]] <= best->rank || (!starts && o->left[id[0]] <= best->rank))
            return -1;
        last = best->rank > last ? best->rank : last;
        id[at] = best->id;
        memmove(id + at + 1, id + at + 2, (n - at - 2) * sizeof *id);
        n--;
    }
    /* Neighbours must not see the token before its time. */
    return o->right[id[0]] > last && (starts || o->left[id[0]] > last) ? id[0] : -1;
}

int bpe_settle_syllables(struct bpe *b, struct err *e)
{
    struct borders o = {0};
    for (int i = 0; i < 256; i++)
        if (b->byte_id[i] < 0)
            return 0; /* bytes that are dropped or unknown would have to be thought of */
    int rc = find_borders(&o, b, e);
    if (rc == 0 && !(b->syllable = mem_new(2 * BPE_SYLLABLES, sizeof *b->syllable)))
        rc = err_set(e, ERR_NOMEM, "out of memory for the syllables");
    for (int32_t s = 0; s < BPE_SYLLABLES && rc == 0; s++) {
        unsigned char p[5] = {' '};
        uc_put(p + 1, 0xAC00 + s);
        b->syllable[s] = settled(b, &o, p + 1, 3, false);
        b->syllable[BPE_SYLLABLES + s] = settled(b, &o, p, 4, true);
    }
    mem_free(o.left);
    mem_free(o.right);
    return rc;
}
