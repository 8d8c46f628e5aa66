/* What the files of this folder share about a loaded tokenizer; nobody else includes it. */
#ifndef DK_TEXT_TOKENIZER_IMPL_H
#define DK_TEXT_TOKENIZER_IMPL_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/split.h"
#include "text/tokenizer.h"

struct tokenizer {
    struct bpe bpe;
    struct splitter *split;
    bool nfc; /* the normaliser */
    struct added_token *added;
    size_t n_added;
    struct added_set raw, normal;
    struct tok_special special;
    struct buf json, config; /* tokenizer.json and tokenizer_config.json as they are in the folder */
    struct digest digest;
};

/* Builds a tokenizer from the bytes of a tokenizer.json; `where` names it in messages.  Takes json's storage. */
int tokjson_read(struct tokenizer **t, struct buf *json, const char *where, struct err *e) MUST_CHECK;

/* The bytes of a tokenizer.json for a newly trained vocabulary.  Token i of n is bytes[at[i]..at[i + 1]); the first
 * n_special are special tokens and the next 256 the alphabet; merge[2i], merge[2i + 1] are the parts of merge i. */
struct tokjson_model {
    const char *bytes;
    const uint32_t *at;
    uint32_t n, n_special;
    const int32_t *merge;
    uint32_t n_merge;
    const char *pattern;
};
int tokjson_write(struct buf *out, const struct tokjson_model *m, struct err *e) MUST_CHECK;
/* A tokenizer_config.json for Transformers' PreTrainedTokenizerFast, with our chat template when the tokens for it
 * are there. */
int tokjson_config(struct buf *out, const struct tokenizer *t, struct err *e) MUST_CHECK;

#endif
