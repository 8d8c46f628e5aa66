/* Any bytes as text, under our own pattern and under one that runs through PCRE2: decoding gives the bytes back, or,
 * where the text was not in normal form C, something that encodes to the same ids. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/buf.h"
#include "text/bpe_train.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

static struct tokenizer *make(const char *pattern)
{
    static const char text[] =
        "독자는 자기 힘으로 읽고 자기 힘으로 쓴다. The reader's own words, don't the reader's own 123 123 1234!!\n\n"
        "독자는 자기 힘으로 읽는다. The reader's own.\xff\xff\xff\xff";
    struct err e = {0};
    struct bpe_trainer *tr;
    struct tokenizer *t;
    if (bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 310, .threads = 1, .pattern = pattern}, &e) ||
        bpe_trainer_add(tr, text, sizeof text - 1, &e) || bpe_trainer_add(tr, text, sizeof text - 1, &e) ||
        bpe_trainer_finish(tr, &t, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    bpe_trainer_free(tr);
    return t;
}

static void encode(const struct tokenizer *t, struct token_vec *v, const char *p, size_t n, bool special)
{
    struct err e = {0};
    struct tok_encoder *enc;
    if (tok_encoder_new(&enc, t, &e) || tok_encode(enc, v, p, n, special, &e))
        abort();
    tok_encoder_free(enc);
}

static void check(const struct tokenizer *t, const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct token_vec v = {0}, again = {0};
    struct buf b = {0}, shown = {0};
    struct tok_stream s = {0};
    bool maybe = false, valid = uc_valid(data, size, &maybe) == size;
    encode(t, &v, (const char *)data, size, false);
    if (tok_decode(t, &b, v.v, v.n, false, &e))
        abort();
    if (valid && !maybe && (b.len != size || (size && memcmp(b.p, data, size) != 0)))
        abort();
    encode(t, &again, b.len ? b.p : "", b.len, false);
    if (again.n != v.n || (v.n && memcmp(again.v, v.v, v.n * sizeof *v.v) != 0))
        abort();
    for (size_t i = 0; i < v.n; i++) {
        if (tok_stream_next(t, &s, &shown, v.v[i], &e))
            abort();
        if (shown.len && uc_valid((const unsigned char *)shown.p, shown.len, &maybe) != shown.len)
            abort();
    }
    if (tok_stream_end(&s, &shown, &e))
        abort();
    if (valid && (shown.len != b.len || (b.len && memcmp(shown.p, b.p, b.len) != 0)))
        abort();
    v.n = 0;
    encode(t, &v, (const char *)data, size, true);
    token_vec_release(&v);
    token_vec_release(&again);
    buf_release(&b);
    buf_release(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *ours, *other;
    if (!ours) {
        ours = make(NULL);
        other = make("[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,2}| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");
    }
    if (size > 1 << 14)
        return 0;
    check(ours, data, size);
    check(other, data, size);
    return 0;
}
