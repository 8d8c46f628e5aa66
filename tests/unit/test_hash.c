/* Entries prepared to collide under one key lie apart in the tables of tokenizers, which draw their own. */
#include "harness.h"

#include "base/hash.h"
#include "base/mem.h"
#include "text/bpe.h"
#include "text/piece_count.h"

enum { N = 4000, LONGEST = 200 /* beyond any run in a table half full whose places are random */ };
static struct err e;

/* Sixteen bytes whose hash under k is the same for every i: the second word takes back what the first one did. */
static void colliding(unsigned char out[16], struct hash_key k, uint64_t i)
{
    uint64_t w[2] = {i, hash_fold(k.a ^ 16 ^ i, k.b)}; /* the length is where a hash begins */
    memcpy(out, w, 16);
}

static void test_prepared(void **state)
{
    (void)state;
    struct hash_key k, other;
    unsigned char s[16];
    ok(hash_key_draw(&k, &e));
    ok(hash_key_draw(&other, &e));
    assert_true(k.a != other.a && k.b != other.b);
    colliding(s, k, 0);
    uint64_t one = hash_bytes(k, s, 16), another = hash_bytes(other, s, 16);
    for (uint64_t i = 1; i < 100; i++) {
        colliding(s, k, i);
        assert_true(hash_bytes(k, s, 16) == one);
        assert_true(hash_bytes(other, s, 16) != another);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    static const unsigned char zero[40] = {0};
    struct hash_key k;
    ok(hash_key_draw(&k, &e));
    for (size_t n = 0; n <= sizeof zero; n++)
        for (size_t m = 0; m < n; m++)
            assert_true(hash_bytes(k, zero, n) != hash_bytes(k, zero, m));
}

/* The longest run of full places among n, which is the longest way of a look-up. */
struct run {
    size_t now, longest;
};
static void step(struct run *r, bool full)
{
    r->now = full ? r->now + 1 : 0;
    if (r->now > r->longest)
        r->longest = r->now;
}

static void test_vocabulary(void **state)
{
    (void)state;
    struct hash_key k;
    struct bpe b = {.unk = -1, .n = N};
    struct run run = {0};
    b.at = mem_new(N + 1, sizeof *b.at);
    b.flag = mem_new(N, sizeof *b.flag);
    assert_true(b.at && b.flag);
    ok(hash_key_draw(&k, &e));
    for (uint32_t i = 0; i < N; i++) {
        unsigned char s[16];
        colliding(s, k, i);
        ok(buf_add(&b.bytes, s, 16, &e));
        b.flag[i] = BPE_TOKEN_USED | BPE_TOKEN_TEXT;
        b.at[i + 1] = (uint32_t)b.bytes.len;
    }
    ok(bpe_index(&b, &e));
    for (size_t i = 0; i <= b.lookup_mask; i++)
        step(&run, b.lookup[i] >= 0);
    assert_in_range(run.longest, 1, LONGEST);
    for (int32_t i = 0; i < N; i++)
        assert_int_equal(bpe_find(&b, b.bytes.p + b.at[i], 16), i);
    bpe_release(&b);
}

/* Pairs of ids that fall into the first places under k. */
static void test_merges(void **state)
{
    (void)state;
    struct hash_key k;
    struct bpe b = {.unk = -1};
    struct run run = {0};
    ok(hash_key_draw(&k, &e));
    ok(bpe_index(&b, &e));
    ok(bpe_reserve_merges(&b, N, &e));
    uint32_t n = 0;
    for (uint64_t pair = 0; n < N; pair++) {
        uint64_t left = pair >> 12, right = pair & 4095;
        if (((uint32_t)hash_word(k, left << 32 | right) & b.merge_mask) < 8)
            bpe_add_merge(&b, (int32_t)left, (int32_t)right, n++, 0);
    }
    for (size_t i = 0; i <= b.merge_mask; i++)
        step(&run, b.merge[i].rank != UINT32_MAX);
    assert_in_range(run.longest, 1, LONGEST);
    bpe_release(&b);
}

static void test_pieces(void **state)
{
    (void)state;
    struct hash_key k;
    struct splitter *split;
    struct piece_counter *c;
    size_t longest = 0;
    ok(hash_key_draw(&k, &e));
    ok(splitter_new(&split, &e));
    ok(piece_counter_new(&c, split, 1, &e));
    for (uint64_t i = 0; i < 5 * N; i++) {
        unsigned char s[16];
        colliding(s, k, i);
        ok(piece_counter_one(c, (const char *)s, 16, 1, &e));
    }
    assert_int_equal(piece_counter_distinct(c), 5 * N);
    for (int i = 0; i < PIECE_SHARDS; i++) {
        const struct piece_shard *s = piece_counter_shard(c, i);
        struct run run = {0};
        for (size_t j = 0; s->mask && j <= s->mask; j++)
            step(&run, s->slot[j].count);
        longest = run.longest > longest ? run.longest : longest;
    }
    assert_in_range(longest, 1, LONGEST);
    piece_counter_free(c);
    splitter_free(split);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prepared), cmocka_unit_test(test_lengths), cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_merges),   cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
