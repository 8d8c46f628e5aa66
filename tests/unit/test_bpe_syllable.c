/* Syllables that are settled beforehand against the same pieces from their bytes, under random vocabularies whose
 * merges cross the borders of characters and come in any order. */
#include "harness.h"

#include "base/mem.h"
#include "text/bpe.h"
#include "text/unicode.h"

enum { MERGES = 400, SYLLABLES = 6 };
static struct err e;
static uint64_t state = 0x9E3779B97F4A7C15u;

static uint32_t rnd(uint32_t n)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

/* A few syllables that share bytes, and what stands around them. */
static const char *const part[] = {"가", "각", "나", "낙", "히", "힣", " ", "a", "é", "中", "ㄱ", "😀", "\xEA", "\x80", "."};
enum { N_PART = sizeof part / sizeof part[0] };

static size_t random_piece(char *out, int parts)
{
    size_t n = 0;
    if (rnd(2))
        out[n++] = ' ';
    for (int i = 0; i < parts || n == 0; i++) {
        const char *s = part[rnd(3) ? rnd(SYLLABLES) : rnd(N_PART)];
        memcpy(out + n, s, strlen(s));
        n += strlen(s);
    }
    return n;
}

static void add_token(struct bpe *b, const void *p, size_t n)
{
    ok(buf_add(&b->bytes, p, n, &e));
    b->flag[b->n] = BPE_TOKEN_USED | BPE_TOKEN_TEXT;
    b->at[++b->n] = (uint32_t)b->bytes.len;
}

/* Merges of neighbours seen in random text after the merges so far; `mixed`: in no order of rank. */
static void make(struct bpe *b, bool mixed)
{
    *b = (struct bpe){.unk = -1};
    b->at = mem_new(256 + MERGES + 1, sizeof *b->at);
    b->flag = mem_new(256 + MERGES, sizeof *b->flag);
    assert_true(b->at && b->flag);
    for (int i = 0; i < 256; i++)
        add_token(b, &(char){(char)i}, 1);
    uint32_t rank[MERGES];
    int32_t pair[MERGES][2];
    for (uint32_t i = 0; i < MERGES; i++) {
        uint32_t k = mixed ? rnd(i + 1) : i;
        rank[i] = rank[k];
        rank[k] = i;
    }
    for (uint32_t m = 0; m < MERGES;) {
        char text[64], both[400];
        size_t n = random_piece(text, 4), k = 0;
        int32_t id[64];
        for (size_t i = 0; i < n; i++)
            id[k++] = (unsigned char)text[i];
        for (uint32_t j = 0; j < m; j++)
            for (size_t i = 0; i + 1 < k; i++)
                if (id[i] == pair[j][0] && id[i + 1] == pair[j][1]) {
                    id[i] = (int32_t)(256 + j);
                    memmove(id + i + 1, id + i + 2, (k - i - 2) * sizeof *id);
                    k--;
                }
        if (k < 2)
            continue;
        size_t at = rnd((uint32_t)k - 1), len[2];
        for (int s = 0; s < 2; s++) {
            pair[m][s] = id[at + (size_t)s];
            len[s] = b->at[pair[m][s] + 1] - b->at[pair[m][s]];
            memcpy(both + (s ? len[0] : 0), b->bytes.p + b->at[pair[m][s]], len[s]);
        }
        add_token(b, both, len[0] + len[1]);
        m++;
    }
    ok(bpe_index(b, &e));
    ok(bpe_reserve_merges(b, MERGES, &e));
    for (uint32_t m = 0; m < MERGES; m++)
        bpe_add_merge(b, pair[m][0], pair[m][1], rank[m], (int32_t)(256 + m));
    ok(bpe_finish(b, &e));
}

static void compare(struct bpe *b, const char *p, size_t n)
{
    struct bpe_work w = {0};
    struct token_vec fast = {0}, slow = {0};
    int32_t *syllable = b->syllable;
    ok(bpe_piece(b, &w, &fast, (const unsigned char *)p, n, &e));
    b->syllable = NULL;
    ok(bpe_piece(b, &w, &slow, (const unsigned char *)p, n, &e));
    b->syllable = syllable;
    if (fast.n != slow.n || memcmp(fast.v, slow.v, fast.n * sizeof *fast.v) != 0)
        fail_msg("%zu tokens, expected %zu: \"%.*s\"", fast.n, slow.n, (int)n, p);
    token_vec_release(&fast);
    token_vec_release(&slow);
    bpe_work_release(&w);
}

static void test_same_tokens(void **unused)
{
    (void)unused;
    int settled = 0, open = 0;
    for (int round = 0; round < 1500; round++) {
        struct bpe b;
        char text[4096];
        make(&b, round % 2);
        for (int s = 0; s < SYLLABLES; s++) {
            int32_t cp;
            uc_next(&cp, (const unsigned char *)part[s]);
            for (int32_t k = 0; k < 2; k++)
                *(b.syllable[cp - 0xAC00 + k * BPE_SYLLABLES] >= 0 ? &settled : &open) += 1;
        }
        for (int i = 0; i < 120; i++)
            compare(&b, text, random_piece(text, i % 20 ? 1 + (int)rnd(12) : 100));
        bpe_release(&b);
    }
    assert_true(settled > 300 && open > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_tokens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
