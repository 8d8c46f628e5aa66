/* Any bytes as a tokenizer.json: refused with a sentence, or a tokenizer that takes any text.  The ids it gives are
 * in its vocabulary and decode without error; opening what it saves gives it again. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/buf.h"
#include "text/tokenizer.h"

static void use(const struct tokenizer *t)
{
    static const char *const text[] = {"a", "don't 가나다 12345  \n\n x", "<|e|> [SEP] <|end|>\xff\xfe",
                                       "e\xcc\x81 \xe1\x84\x80\xe1\x85\xa1",
                                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct err e = {0};
    struct tok_encoder *enc;
    struct token_vec v = {0};
    struct buf b = {0};
    struct tok_stream s = {0};
    if (tok_encoder_new(&enc, t, &e))
        abort();
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        for (int special = 0; special < 2; special++)
            if (tok_encode(enc, &v, text[i], strlen(text[i]), special, &e) && !e.msg[0])
                abort();
    for (size_t i = 0; i < v.n; i++) {
        if (v.v[i] < 0 || v.v[i] >= tokenizer_vocab(t))
            abort();
        if (tok_stream_next(t, &s, &b, v.v[i], &e))
            abort();
    }
    if (tok_stream_end(&s, &b, &e) || tok_decode(t, &b, v.v, v.n, true, &e))
        abort();
    tok_encoder_free(enc);
    token_vec_release(&v);
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct tokenizer *t = NULL;
    fuzz_verdict = FUZZ_REFUSED;
    if (tokenizer_open(&t, fuzz_file("tokenizer.json", data, size), &e)) {
        if (t || !e.msg[0])
            abort();
        return 0;
    }
    fuzz_verdict = FUZZ_TAKEN;
    use(t);
    tokenizer_close(t);
    return 0;
}
