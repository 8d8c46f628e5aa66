/* A tokenizer.json without merges, for tests that need a tokenizer and no training: six special tokens, then
 * one token a byte in byte order, so byte b has id BYTE_TOKEN + b. */
#ifndef DK_TESTS_BYTE_TOKENIZER_H
#define DK_TESTS_BYTE_TOKENIZER_H

#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"

enum { BYTE_TOKEN = 6, BYTE_VOCAB = BYTE_TOKEN + 256 };

/* GPT-2's printable stand-ins for bytes: 33–126, 161–172, 174–255 as they are, the rest from U+0100 on. */
static inline unsigned byte_stand_in(unsigned b)
{
    unsigned next = 256;
    for (unsigned i = 0; i < 256; i++) {
        int plain = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
        if (i == b)
            return plain ? i : next;
        next += !plain;
    }
    return 0;
}

static inline int byte_tokenizer_write(const char *dir, const char *const special[BYTE_TOKEN], struct err *e)
{
    struct buf b = {0}, path = {0};
    int rc = buf_adds(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[", e);
    for (int i = 0; i < BYTE_TOKEN && rc == 0; i++)
        rc = buf_printf(&b, e,
                        "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                        "\"normalized\":false,\"special\":true}", i ? "," : "", i, special[i]);
    if (rc == 0)
        rc = buf_adds(&b,
                      "],\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                      "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,"
                      "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                      "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                      "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                      "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{", e);
    for (int i = 0; i < BYTE_TOKEN && rc == 0; i++)
        rc = buf_printf(&b, e, "\"%s\":%d,", special[i], i);
    for (unsigned i = 0; i < 256 && rc == 0; i++)
        rc = buf_printf(&b, e, "\"\\u%04x\":%u%s", byte_stand_in(i), BYTE_TOKEN + i, i < 255 ? "," : "");
    if (rc == 0)
        rc = buf_adds(&b, "},\"merges\":[]}}", e);
    if (rc == 0)
        rc = file_mkdir_p(dir, e);
    if (rc == 0)
        rc = file_join(&path, dir, "tokenizer.json", e);
    if (rc == 0)
        rc = file_replace(path.p, b.p, b.len, e);
    buf_release(&b);
    buf_release(&path);
    return rc;
}

static const char *const byte_specials[BYTE_TOKEN] = {"<|bos|>", "<|eos|>", "<|user|>", "<|assistant|>", "<|end|>",
                                                      "<|tool|>"};

#endif
