/* What a tokenizer costs on a text: bytes per token and tokens per eojeol, by language. */
#ifndef DK_TEXT_TOK_REPORT_H
#define DK_TEXT_TOK_REPORT_H

#include <stdint.h>

#include "base/json.h"
#include "text/tokenizer.h"

/* A document belongs to the script of most of its letters. */
enum report_lang { REPORT_KO, REPORT_EN, REPORT_OTHER, REPORT_ALL, REPORT_LANGS };

struct tok_report {
    struct {
        uint64_t documents, bytes, chars, tokens;
        uint64_t words; /* runs without white space: eojeols in Korean */
    } lang[REPORT_LANGS];
    struct tok_encoder *enc;
    struct token_vec ids;
};

int tok_report_init(struct tok_report *r, const struct tokenizer *t, struct err *e) MUST_CHECK;
void tok_report_release(struct tok_report *r);
int tok_report_add(struct tok_report *r, const char *text, size_t n, struct err *e) MUST_CHECK;
extern const char *const report_lang_name[REPORT_LANGS];
/* {"vocab", "byte_baseline": 1, "languages": {"ko": {"documents", "bytes", "chars", "tokens", "words",
 * "bytes_per_token", "chars_per_token", "tokens_per_word"}, …}, "tokens": {"hangul", "hangul_one_syllable",
 * "hangul_more"}} */
json_t *tok_report_json(const struct tok_report *r, const struct tokenizer *t);

#endif
