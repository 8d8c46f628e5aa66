/* See tok_report.h. */
#include "text/tok_report.h"

#include "text/unicode.h"

const char *const report_lang_name[REPORT_LANGS] = {"ko", "en", "other", "all"};

int tok_report_init(struct tok_report *r, const struct tokenizer *t, struct err *e)
{
    *r = (struct tok_report){0};
    return tok_encoder_new(&r->enc, t, e);
}

void tok_report_release(struct tok_report *r)
{
    tok_encoder_free(r->enc);
    token_vec_release(&r->ids);
    *r = (struct tok_report){0};
}

struct look {
    uint64_t chars, words, hangul, latin, other;
};

static struct look look_at(const unsigned char *p, size_t n)
{
    const struct uc_table *t = uc_table();
    struct look k = {0};
    bool in_word = false;
    for (size_t i = 0; i < n;) {
        bool maybe = false;
        size_t end = i + uc_valid(p + i, n - i, &maybe);
        while (i < end) {
            int32_t cp;
            i += (size_t)uc_next(&cp, p + i);
            uint8_t f = uc_flags(t, cp);
            k.chars++;
            k.hangul += (f & UC_HANGUL) != 0;
            k.latin += (f & UC_L) && cp < 0x250;
            k.other += (f & UC_L) && cp >= 0x250 && !(f & UC_HANGUL);
            k.words += !(f & UC_SPACE) && !in_word;
            in_word = !(f & UC_SPACE);
        }
        i += uc_invalid(p + i, n - i);
    }
    return k;
}

int tok_report_add(struct tok_report *r, const char *text, size_t n, struct err *e)
{
    struct look k = look_at((const unsigned char *)text, n);
    r->ids.n = 0;
    int rc = tok_encode(r->enc, &r->ids, text, n, false, e);
    if (rc)
        return rc;
    /* A Hangul syllable says as much as two or three Latin letters. */
    enum report_lang lang = k.hangul * 2 >= k.latin && k.hangul >= k.other && k.hangul ? REPORT_KO
                            : k.latin && k.latin >= k.other                            ? REPORT_EN
                                                                                       : REPORT_OTHER;
    const enum report_lang to[2] = {lang, REPORT_ALL};
    for (int i = 0; i < 2; i++) {
        r->lang[to[i]].documents++;
        r->lang[to[i]].bytes += n;
        r->lang[to[i]].chars += k.chars;
        r->lang[to[i]].words += k.words;
        r->lang[to[i]].tokens += r->ids.n;
    }
    return 0;
}

/* Tokens of nothing but Hangul syllables, after one space at most. */
static json_t *hangul_tokens(const struct tokenizer *t)
{
    json_int_t one = 0, more = 0;
    for (int32_t id = 0; id < tokenizer_vocab(t); id++) {
        size_t n;
        const unsigned char *p = (const unsigned char *)tokenizer_token(t, id, &n);
        if (n && *p == ' ') {
            p++;
            n--;
        }
        bool maybe = false, all = n > 0 && uc_valid(p, n, &maybe) == n;
        json_int_t k = 0;
        for (size_t i = 0; i < n && all; k++) {
            int32_t cp;
            i += (size_t)uc_next(&cp, p + i);
            all = cp >= 0xAC00 && cp <= 0xD7A3;
        }
        one += all && k == 1;
        more += all && k > 1;
    }
    return json_pack("{s:I, s:I, s:I}", "hangul", one + more, "hangul_one_syllable", one, "hangul_more", more);
}

static json_t *ratio(uint64_t a, uint64_t b)
{
    return b ? json_real((double)(a * 10000 / b) / 10000.0) : json_null();
}

json_t *tok_report_json(const struct tok_report *r, const struct tokenizer *t)
{
    json_t *langs = json_object();
    for (int i = 0; i < REPORT_LANGS; i++) {
        json_t *v = json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "documents", (json_int_t)r->lang[i].documents, "bytes",
            (json_int_t)r->lang[i].bytes, "chars", (json_int_t)r->lang[i].chars, "tokens",
            (json_int_t)r->lang[i].tokens, "words", (json_int_t)r->lang[i].words, "bytes_per_token",
            ratio(r->lang[i].bytes, r->lang[i].tokens), "chars_per_token", ratio(r->lang[i].chars, r->lang[i].tokens),
            "tokens_per_word", ratio(r->lang[i].tokens, r->lang[i].words));
        if (json_object_set_new(langs, report_lang_name[i], v)) {
            json_decref(langs);
            return NULL;
        }
    }
    return json_pack("{s:i, s:f, s:o, s:o}", "vocab", tokenizer_vocab(t), "byte_baseline", 1.0, "languages", langs,
                     "tokens", hangul_tokens(t));
}
