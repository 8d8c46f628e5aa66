/* tokenizer.json and tokenizer_config.json of a tokenizer trained here. */
#include <string.h>

#include "base/json.h"
#include "text/tokenizer_impl.h"

/* The token's bytes in the printable alphabet, as a JSON string. */
static int put_token(struct buf *out, const struct tokjson_model *m, uint32_t id, struct err *e)
{
    const char *p = m->bytes + m->at[id];
    size_t n = m->at[id + 1] - m->at[id];
    if (id < m->n_special)
        return json_quote(out, p, n, e);
    int rc = buf_addc(out, '"', e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        int32_t cp = bpe_byte_to_char((unsigned char)p[i]);
        unsigned char c[4];
        int len = uc_put(c, cp);
        if (cp == '"' || cp == '\\')
            rc = buf_addc(out, '\\', e);
        if (rc == 0)
            rc = buf_add(out, c, (size_t)len, e);
    }
    return rc ? rc : buf_addc(out, '"', e);
}

static int put_added(struct buf *out, const struct tokjson_model *m, struct err *e)
{
    int rc = buf_adds(out, "  \"added_tokens\": [", e);
    for (uint32_t id = 0; id < m->n_special && rc == 0; id++) {
        rc = buf_printf(out, e, "%s\n    {\"id\": %u, \"content\": ", id ? "," : "", id);
        if (rc == 0)
            rc = put_token(out, m, id, e);
        if (rc == 0)
            rc = buf_adds(out,
                          ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                          "\"special\": true}",
                          e);
    }
    return rc ? rc : buf_adds(out, "\n  ],\n", e);
}

static int put_components(struct buf *out, const struct tokjson_model *m, struct err *e)
{
    int rc = buf_adds(out,
                      "  \"normalizer\": {\"type\": \"NFC\"},\n"
                      "  \"pre_tokenizer\": {\n"
                      "    \"type\": \"Sequence\",\n"
                      "    \"pretokenizers\": [\n"
                      "      {\"type\": \"Split\", \"pattern\": {\"Regex\": ",
                      e);
    if (rc == 0)
        rc = json_quote(out, m->pattern, strlen(m->pattern), e);
    if (rc == 0)
        rc = buf_adds(out,
                      "}, \"behavior\": \"Isolated\", \"invert\": false},\n"
                      "      {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, "
                      "\"use_regex\": false}\n"
                      "    ]\n"
                      "  },\n"
                      "  \"post_processor\": null,\n"
                      "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": "
                      "false, \"use_regex\": false},\n",
                      e);
    return rc;
}

int tokjson_write(struct buf *out, const struct tokjson_model *m, struct err *e)
{
    int rc = buf_adds(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n", e);
    if (rc == 0)
        rc = put_added(out, m, e);
    if (rc == 0)
        rc = put_components(out, m, e);
    if (rc == 0)
        rc = buf_adds(
            out,
            "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
            "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
            "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {",
            e);
    for (uint32_t id = 0; id < m->n && rc == 0; id++) {
        rc = buf_adds(out, id ? ",\n      " : "\n      ", e);
        if (rc == 0)
            rc = put_token(out, m, id, e);
        if (rc == 0)
            rc = buf_printf(out, e, ": %u", id);
    }
    if (rc == 0)
        rc = buf_adds(out, "\n    },\n    \"merges\": [", e);
    for (uint32_t i = 0; i < m->n_merge && rc == 0; i++) {
        rc = buf_adds(out, i ? ",\n      [" : "\n      [", e);
        if (rc == 0)
            rc = put_token(out, m, (uint32_t)m->merge[2 * i], e);
        if (rc == 0)
            rc = buf_adds(out, ", ", e);
        if (rc == 0)
            rc = put_token(out, m, (uint32_t)m->merge[2 * i + 1], e);
        if (rc == 0)
            rc = buf_addc(out, ']', e);
    }
    return rc ? rc : buf_adds(out, "\n    ]\n  }\n}\n", e);
}

/* One turn: the role's token, a newline, the text, <|end|>, a newline.  A system message has no token of its own
 * and opens the first user turn. */
static const char chat_template[] =
    "{{ bos_token }}"
    "{%- set ns = namespace(system='') -%}"
    "{%- for m in messages -%}"
    "{%- if m['role'] == 'system' -%}{%- set ns.system = m['content'] + '\\n\\n' -%}"
    "{%- elif m['role'] == 'user' -%}{{ '<|user|>\\n' + ns.system + m['content'] + '<|end|>\\n' }}{%- set ns.system "
    "= '' -%}"
    "{%- elif m['role'] == 'tool' -%}{{ '<|tool|>\\n' + m['content'] + '<|end|>\\n' }}"
    "{%- else -%}{{ '<|assistant|>\\n' + m['content'] + '<|end|>\\n' }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}";

static int put_named(struct buf *out, const struct tokenizer *t, const char *key, int32_t id, struct err *e)
{
    size_t n = 0;
    const char *p = id >= 0 ? tokenizer_token(t, id, &n) : NULL;
    int rc = buf_printf(out, e, "  \"%s\": ", key);
    if (rc == 0)
        rc = p ? json_quote(out, p, n, e) : buf_adds(out, "null", e);
    return rc ? rc : buf_adds(out, ",\n", e);
}

int tokjson_config(struct buf *out, const struct tokenizer *t, struct err *e)
{
    struct tok_special s = t->special;
    bool chat = s.user >= 0 && s.assistant >= 0 && s.end >= 0;
    int rc = buf_adds(out, "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n", e);
    if (rc == 0)
        rc = put_named(out, t, "bos_token", s.bos, e);
    if (rc == 0)
        rc = put_named(out, t, "eos_token", s.eos, e);
    if (rc == 0)
        rc = put_named(out, t, "pad_token", s.eos, e);
    if (rc == 0)
        rc = buf_adds(out, "  \"unk_token\": null,\n  \"added_tokens_decoder\": {", e);
    for (size_t i = 0; i < t->n_added && rc == 0; i++) {
        const struct added_token *a = &t->added[i];
        rc = buf_printf(out, e, "%s\n    \"%d\": {\"content\": ", i ? "," : "", (int)a->id);
        if (rc == 0)
            rc = json_quote(out, a->content, a->n, e);
        if (rc == 0)
            rc = buf_printf(
                out, e, ", \"lstrip\": %s, \"normalized\": %s, \"rstrip\": %s, \"single_word\": %s, \"special\": %s}",
                a->lstrip ? "true" : "false", a->normalized ? "true" : "false", a->rstrip ? "true" : "false",
                a->single_word ? "true" : "false", a->special ? "true" : "false");
    }
    if (rc == 0)
        rc = buf_adds(out, "\n  },\n", e);
    if (rc == 0 && chat) {
        rc = buf_adds(out, "  \"chat_template\": ", e);
        if (rc == 0)
            rc = json_quote(out, chat_template, sizeof chat_template - 1, e);
        if (rc == 0)
            rc = buf_adds(out, ",\n", e);
    }
    return rc ? rc : buf_adds(out, "  \"clean_up_tokenization_spaces\": false\n}\n", e);
}
