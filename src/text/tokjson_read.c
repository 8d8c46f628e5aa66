/* tokenizer.json to a tokenizer.  The format and its meaning: Hugging Face `tokenizers` 0.23,
 * src/tokenizer/serialization.rs and the components it names; what would give other ids here than there is refused
 * with the field's name. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer_impl.h"

enum { MAX_ADDED = 1 << 20 };

struct reader {
    struct tokenizer *t;
    const char *where;
    struct err *e;
    bool byte_level; /* a ByteLevel pre-tokenizer was seen */
};

static int bad(const struct reader *r, int code, const char *field, const char *what)
{
    return err_set(r->e, code, "%s: field \"%s\": %s", r->where, field, what);
}

static bool is_null(const json_t *v)
{
    return !v || json_is_null(v);
}

static bool is_empty(const json_t *v)
{
    return is_null(v) || (json_is_string(v) && json_string_length(v) == 0);
}

/* "type" of a component, or NULL. */
static const char *type_of(const json_t *v)
{
    return json_string_value(json_object_get(v, "type"));
}

/* ---- the vocabulary ---- */

/* The bytes of a token written in the printable alphabet; false when it is not in it. */
static bool unmap(char *out, size_t *n, const char *text, size_t len)
{
    size_t k = 0;
    for (size_t i = 0; i < len;) {
        int32_t cp;
        i += (size_t)uc_next(&cp, (const unsigned char *)text + i);
        int b = bpe_char_to_byte(cp);
        if (b < 0)
            return false;
        out[k++] = (char)b;
    }
    *n = k;
    return true;
}

static int vocab_size(struct reader *r, const json_t *vocab, uint32_t *n)
{
    json_int_t most = -1;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, v)
    {
        json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
        if (id < 0 || id >= BPE_MAX_VOCAB)
            return err_set(r->e, ERR_FORMAT, "%s: field \"model.vocab\": token \"%.60s\" has no id from 0 to %d",
                           r->where, key, BPE_MAX_VOCAB - 1);
        if (id > most)
            most = id;
    }
    *n = (uint32_t)(most + 1);
    return *n ? 0 : bad(r, ERR_FORMAT, "model.vocab", "is empty");
}

/* Where HF puts each added token: its id in the vocabulary, else the next free one. */
static int place_added(struct reader *r, const json_t *vocab, uint32_t *n)
{
    struct tokenizer *t = r->t;
    json_int_t next = (json_int_t)json_object_size(vocab);
    json_t *before = json_object();   /* ids of added tokens that the vocabulary does not have */
    int rc = before ? 0 : err_set(r->e, ERR_NOMEM, "%s: out of memory", r->where);
    for (size_t i = 0; i < t->n_added && rc == 0; i++) {
        struct added_token *a = &t->added[i];
        const json_t *known = json_object_get(vocab, a->content);
        if (!known)
            known = json_object_get(before, a->content);
        json_int_t id = known ? json_integer_value(known) : next++;
        if (!known && json_object_set_new(before, a->content, json_integer(id)))
            rc = err_set(r->e, ERR_NOMEM, "%s: out of memory", r->where);
        else if (id != a->id)
            rc = err_set(r->e, ERR_FORMAT,
                         "%s: field \"added_tokens[%zu].id\": \"%.60s\" is given %d but its place is %lld",
                         r->where, i, a->content, (int)a->id, (long long)id);
        else if (id >= BPE_MAX_VOCAB)
            rc = bad(r, ERR_LIMIT, "added_tokens", "ids beyond the limit");
        else if ((uint32_t)id >= *n)
            *n = (uint32_t)id + 1;
    }
    json_decref(before);
    return rc;
}

struct entry {
    const char *text;
    size_t n;
    bool added;
};

static int collect(struct reader *r, const json_t *vocab, struct entry *v, size_t *total)
{
    const char *key;
    json_t *id;
    *total = 0;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, id)
    {
        struct entry *x = &v[json_integer_value(id)];
        if (x->text)
            return err_set(r->e, ERR_FORMAT,
                           "%s: field \"model.vocab\": id %lld belongs to \"%.60s\" and to \"%.60s\"", r->where,
                           (long long)json_integer_value(id), x->text, key);
        *x = (struct entry){key, strlen(key), false};
        *total += x->n;
    }
    for (size_t i = 0; i < r->t->n_added; i++) {
        struct entry *x = &v[r->t->added[i].id];
        if (x->text && !x->added && strcmp(x->text, r->t->added[i].content) != 0)
            return err_set(r->e, ERR_FORMAT, "%s: field \"added_tokens[%zu].id\": %d belongs to \"%.60s\"", r->where,
                           i, (int)r->t->added[i].id, x->text);
        bool text = x->text != NULL && !x->added;
        *x = (struct entry){r->t->added[i].content, r->t->added[i].n, !text};
        *total += x->n;
    }
    return 0;
}

static int fill_tokens(struct reader *r, const struct entry *v, size_t total)
{
    struct bpe *b = &r->t->bpe;
    int rc = buf_reserve(&b->bytes, total + 1, r->e);
    if (rc)
        return rc;
    b->at = mem_new((size_t)b->n + 1, sizeof *b->at);
    b->flag = mem_new(b->n, 1);
    if (!b->at || !b->flag)
        return err_set(r->e, ERR_NOMEM, "%s: out of memory for %u tokens", r->where, b->n);
    for (uint32_t id = 0; id < b->n; id++) {
        size_t n = v[id].n;
        b->at[id] = (uint32_t)b->bytes.len;
        if (!v[id].text)
            continue;
        b->flag[id] = BPE_TOKEN_USED;
        char *to = b->bytes.p + b->bytes.len;
        if (!v[id].added && unmap(to, &n, v[id].text, v[id].n))
            b->flag[id] |= BPE_TOKEN_TEXT;
        else
            memcpy(to, v[id].text, n = v[id].n);
        b->bytes.len += n;
        b->bytes.p[b->bytes.len] = 0;
    }
    b->at[b->n] = (uint32_t)b->bytes.len;
    return 0;
}

static void mark_added(struct tokenizer *t)
{
    for (size_t i = 0; i < t->n_added; i++)
        if (t->added[i].special)
            t->bpe.flag[t->added[i].id] |= BPE_TOKEN_SPECIAL;
}

static int read_vocab(struct reader *r, const json_t *vocab)
{
    struct bpe *b = &r->t->bpe;
    if (!json_is_object(vocab))
        return bad(r, ERR_FORMAT, "model.vocab", "is not an object");
    int rc = vocab_size(r, vocab, &b->n);
    if (rc == 0)
        rc = place_added(r, vocab, &b->n);
    if (rc)
        return rc;
    struct entry *v = mem_new(b->n, sizeof *v);
    if (!v)
        return err_set(r->e, ERR_NOMEM, "%s: out of memory for %u tokens", r->where, b->n);
    size_t total;
    rc = collect(r, vocab, v, &total);
    if (rc == 0)
        rc = fill_tokens(r, v, total);
    mem_free(v);
    if (rc == 0)
        rc = bpe_index(b, r->e);
    if (rc == 0)
        mark_added(r->t);
    return rc;
}

/* ---- merges ---- */

static int merge_error(const struct reader *r, size_t i, const char *what)
{
    return err_set(r->e, ERR_FORMAT, "%s: field \"model.merges[%zu]\": %s", r->where, i, what);
}

/* The two parts of a merge: ["a", "b"] or "a b". */
static int merge_parts(const struct reader *r, const json_t *m, size_t i, const char *part[2], size_t n[2])
{
    if (json_is_array(m) && json_array_size(m) == 2) {
        for (size_t k = 0; k < 2; k++) {
            part[k] = json_string_value(json_array_get(m, k));
            n[k] = json_string_length(json_array_get(m, k));
        }
        return part[0] && part[1] ? 0 : merge_error(r, i, "is not a pair of strings");
    }
    const char *s = json_string_value(m), *gap = s ? strchr(s, ' ') : NULL;
    if (!gap || strchr(gap + 1, ' '))
        return merge_error(r, i, "is neither a pair of strings nor two tokens with a space between");
    part[0] = s;
    n[0] = (size_t)(gap - s);
    part[1] = gap + 1;
    n[1] = strlen(gap + 1);
    return 0;
}

static int read_merge(struct reader *r, struct buf *tmp, const json_t *m, size_t i)
{
    const char *part[2];
    size_t n[2], len[2];
    int32_t id[3];
    int rc = merge_parts(r, m, i, part, n);
    if (rc == 0) {
        buf_clear(tmp);
        rc = buf_reserve(tmp, n[0] + n[1] + 1, r->e);
    }
    if (rc)
        return rc;
    char *to = tmp->p;
    for (int k = 0; k < 2; k++) {
        if (!unmap(to, &len[k], part[k], n[k]) || (id[k] = len[k] ? bpe_find(&r->t->bpe, to, len[k]) : -1) < 0)
            return err_set(r->e, ERR_FORMAT, "%s: field \"model.merges[%zu]\": \"%.60s\" is not in the vocabulary",
                           r->where, i, part[k]);
        to += len[k];
    }
    id[2] = bpe_find(&r->t->bpe, tmp->p, len[0] + len[1]);
    if (id[2] < 0)
        return merge_error(r, i, "its result is not in the vocabulary");
    bpe_add_merge(&r->t->bpe, id[0], id[1], (uint32_t)i, id[2]);
    return 0;
}

static int read_merges(struct reader *r, const json_t *merges)
{
    if (!json_is_array(merges))
        return bad(r, ERR_FORMAT, "model.merges", "is not an array");
    size_t n = json_array_size(merges);
    if (n > BPE_MAX_VOCAB)
        return bad(r, ERR_LIMIT, "model.merges", "has too many entries");
    int rc = bpe_reserve_merges(&r->t->bpe, n, r->e);
    struct buf tmp = {0};
    bool pairs = n > 0 && json_is_array(json_array_get(merges, 0));
    for (size_t i = 0; i < n && rc == 0; i++) {
        const json_t *m = json_array_get(merges, i);
        rc = json_is_array(m) == pairs ? read_merge(r, &tmp, m, i)
                                       : merge_error(r, i, "is written another way than the first");
    }
    buf_release(&tmp);
    return rc;
}

/* ---- the model ---- */

static int read_model(struct reader *r, const json_t *m)
{
    struct bpe *b = &r->t->bpe;
    double dropout = 0;
    bool byte_fallback = false;
    if (!json_is_object(m))
        return bad(r, ERR_FORMAT, "model", "is missing");
    const char *type = type_of(m);
    if (json_object_get(m, "type") ? !type || strcmp(type, "BPE") != 0 : !json_object_get(m, "merges"))
        return err_set(r->e, ERR_FORMAT, "%s: field \"model.type\": \"%.40s\", expected \"BPE\"", r->where,
                       type ? type : "");
    if (!is_null(json_object_get(m, "dropout"))) {
        dropout = json_number_value(json_object_get(m, "dropout"));
        if (!json_is_number(json_object_get(m, "dropout")) || dropout != 0)
            return bad(r, ERR_FORMAT, "model.dropout",
                       "merges left out at random have no fixed ids; expected null or 0");
    }
    if (!is_empty(json_object_get(m, "continuing_subword_prefix")))
        return bad(r, ERR_FORMAT, "model.continuing_subword_prefix", "is not supported; expected null");
    if (!is_empty(json_object_get(m, "end_of_word_suffix")))
        return bad(r, ERR_FORMAT, "model.end_of_word_suffix", "is not supported; expected null");
    int rc = 0;
    static const char *const flag[] = {"fuse_unk", "ignore_merges", "byte_fallback"};
    bool *to[] = {&b->fuse_unk, &b->ignore_merges, &byte_fallback};
    for (int i = 0; i < 3 && rc == 0; i++)
        if (!is_null(json_object_get(m, flag[i])))
            rc = json_get_bool(to[i], m, flag[i], false, false, r->where, r->e);
    if (rc == 0)
        rc = read_vocab(r, json_object_get(m, "vocab"));
    if (rc)
        return rc;
    b->unk = -1;
    const json_t *unk = json_object_get(m, "unk_token");
    if (!is_null(unk)) {
        const json_t *id =
            json_is_string(unk) ? json_object_get(json_object_get(m, "vocab"), json_string_value(unk)) : NULL;
        bool whole = true;
        for (int i = 0; i < 256; i++)
            whole = whole && b->byte_id[i] >= 0;
        if (!id && !whole)
            return bad(r, ERR_FORMAT, "model.unk_token", "is not in the vocabulary, which lacks bytes");
        if (id)
            b->unk = (int32_t)json_integer_value(id);
    }
    if (byte_fallback)
        for (int i = 0; i < 256; i++)
            if (b->byte_id[i] < 0)
                return bad(r, ERR_FORMAT, "model.byte_fallback",
                           "is true in a byte-level vocabulary that lacks bytes");
    return read_merges(r, json_object_get(m, "merges"));
}

/* ---- added tokens ---- */

static int read_added_one(struct reader *r, const json_t *v, struct added_token *a, size_t i)
{
    char where[400];
    snprintf(where, sizeof where, "%.300s: added_tokens[%zu]", r->where, i);
    const char *content;
    int64_t id;
    if (!json_is_object(v))
        return err_set(r->e, ERR_FORMAT, "%s: is not an object", where);
    int rc = json_get_str(&content, v, "content", false, NULL, where, r->e);
    if (rc == 0)
        rc = json_get_int(&id, v, "id", 0, BPE_MAX_VOCAB - 1, false, 0, where, r->e);
    static const char *const flag[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    bool *to[] = {&a->single_word, &a->lstrip, &a->rstrip, &a->normalized, &a->special};
    for (int k = 0; k < 5 && rc == 0; k++)
        rc = json_get_bool(to[k], v, flag[k], false, false, where, r->e);
    if (rc)
        return rc;
    if (!*content)
        return err_set(r->e, ERR_FORMAT, "%s: \"content\" is empty", where);
    a->id = (int32_t)id;
    a->n = strlen(content);
    a->content = mem_strdup(content);
    return a->content ? 0 : err_set(r->e, ERR_NOMEM, "%s: out of memory", where);
}

static int read_added(struct reader *r, const json_t *list)
{
    if (is_null(list))
        return 0;
    if (!json_is_array(list))
        return bad(r, ERR_FORMAT, "added_tokens", "is not an array");
    size_t n = json_array_size(list);
    if (n > MAX_ADDED)
        return bad(r, ERR_LIMIT, "added_tokens", "has too many entries");
    r->t->added = mem_new(n ? n : 1, sizeof *r->t->added);
    if (!r->t->added)
        return err_set(r->e, ERR_NOMEM, "%s: out of memory for %zu added tokens", r->where, n);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = read_added_one(r, json_array_get(list, i), &r->t->added[i], i);
        r->t->n_added = i + 1;
    }
    return rc;
}

/* Contents that are matched on normalised text are normalised themselves. */
static int normalise_added(struct reader *r)
{
    struct tokenizer *t = r->t;
    int rc = 0;
    for (size_t i = 0; i < t->n_added && rc == 0 && t->nfc; i++) {
        struct added_token *a = &t->added[i];
        struct buf b = {0};
        if (!a->normalized)
            continue;
        rc = uc_nfc(&b, (const unsigned char *)a->content, a->n, r->e);
        if (rc == 0) {
            char *s = mem_strndup(b.p, b.len);
            if (s) {
                mem_free(a->content);
                a->content = s;
                a->n = b.len;
            } else {
                rc = err_set(r->e, ERR_NOMEM, "%s: out of memory", r->where);
            }
        }
        buf_release(&b);
    }
    return rc;
}

/* ---- normalizer, pre-tokenizer, decoder ---- */

static int read_normalizer(struct reader *r, const json_t *v, int depth)
{
    if (is_null(v))
        return 0;
    const char *type = type_of(v);
    if (type && strcmp(type, "NFC") == 0) {
        r->t->nfc = true;
        return 0;
    }
    const json_t *list = json_object_get(v, "normalizers");
    if (!type || strcmp(type, "Sequence") != 0 || !json_is_array(list) || depth > 8)
        return err_set(r->e, ERR_FORMAT,
                       "%s: field \"normalizer\": \"%.40s\" is not supported; expected null, NFC or a Sequence of it",
                       r->where, type ? type : "");
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
        rc = read_normalizer(r, json_array_get(list, i), depth + 1);
    return rc;
}

static int read_split(struct reader *r, const json_t *v)
{
    static const char *const name[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const json_t *pattern = json_object_get(v, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex")),
               *text = json_string_value(json_object_get(pattern, "String")), *how;
    bool invert;
    int rc = json_get_str(&how, v, "behavior", false, NULL, r->where, r->e);
    if (rc == 0)
        rc = json_get_bool(&invert, v, "invert", true, false, r->where, r->e);
    if (rc)
        return rc;
    int b = 0;
    while (b < 5 && strcmp(how, name[b]) != 0)
        b++;
    if (b == 5)
        return err_set(r->e, ERR_FORMAT, "%s: field \"pre_tokenizer.behavior\": \"%.40s\" is unknown", r->where, how);
    if (!regex == !text)
        return bad(r, ERR_FORMAT, "pre_tokenizer.pattern", "is neither {\"Regex\"} nor {\"String\"}");
    rc = regex ? splitter_add_regex(r->t->split, regex, (enum split_behavior)b, invert, r->e)
               : splitter_add_string(r->t->split, text, (enum split_behavior)b, invert, r->e);
    return rc ? err_prefix(r->e, "%s: field \"pre_tokenizer\"", r->where) : 0;
}

static int read_byte_level(struct reader *r, const json_t *v)
{
    bool prefix, regex;
    int rc = json_get_bool(&prefix, v, "add_prefix_space", false, true, r->where, r->e);
    if (rc == 0)
        rc = json_get_bool(&regex, v, "use_regex", true, true, r->where, r->e);
    if (rc == 0 && prefix)
        rc = splitter_add_prefix_space(r->t->split, r->e);
    if (rc == 0 && regex)
        rc = splitter_add_regex(r->t->split, lexer_pattern_gpt2, SPLIT_ISOLATED, false, r->e);
    r->byte_level = true;
    return rc;
}

static int read_pre_tokenizer(struct reader *r, const json_t *v, int depth)
{
    const char *type = type_of(v);
    if (!type)
        return bad(r, ERR_FORMAT, "pre_tokenizer", "has no type; a byte-level BPE is expected");
    if (r->byte_level)
        return err_set(r->e, ERR_FORMAT, "%s: field \"pre_tokenizer\": \"%.40s\" after ByteLevel is not supported",
                       r->where, type);
    if (strcmp(type, "Split") == 0)
        return read_split(r, v);
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(r, v);
    if (strcmp(type, "Digits") == 0) {
        bool each;
        int rc = json_get_bool(&each, v, "individual_digits", false, false, r->where, r->e);
        /* Rust's own tables decide here: Unicode 17.0, which adds these to the numbers. */
        return rc ? rc
                  : splitter_add_regex(r->t->split, "[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]",
                                       each ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, false, r->e);
    }
    const json_t *list = json_object_get(v, "pretokenizers");
    if (strcmp(type, "Sequence") != 0 || !json_is_array(list) || depth > 8)
        return err_set(r->e, ERR_FORMAT,
                       "%s: field \"pre_tokenizer\": \"%.40s\" is not supported; expected Split, Digits, ByteLevel "
                       "or a Sequence",
                       r->where, type);
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
        rc = read_pre_tokenizer(r, json_array_get(list, i), depth + 1);
    return rc;
}

static int read_decoder(struct reader *r, const json_t *v)
{
    const char *type = type_of(v);
    const json_t *list = json_object_get(v, "decoders");
    if (type && strcmp(type, "Sequence") == 0 && json_array_size(list) == 1)
        type = type_of(json_array_get(list, 0));
    if (is_null(v) || (type && strcmp(type, "ByteLevel") == 0))
        return 0;
    return err_set(r->e, ERR_FORMAT, "%s: field \"decoder\": \"%.40s\" is not supported; expected ByteLevel",
                   r->where, type ? type : "");
}

/* ---- the whole ---- */

static void find_specials(struct tokenizer *t)
{
    static const struct {
        size_t at;
        const char *name[4];
    } want[] = {{offsetof(struct tok_special, bos), {"<|bos|>", "<s>", "<|begin_of_text|>", "<|endoftext|>"}},
                {offsetof(struct tok_special, eos), {"<|eos|>", "</s>", "<|end_of_text|>", "<|endoftext|>"}},
                {offsetof(struct tok_special, user), {"<|user|>"}},
                {offsetof(struct tok_special, assistant), {"<|assistant|>"}},
                {offsetof(struct tok_special, end), {"<|end|>", "<|im_end|>", "<|eot_id|>", "[|endofturn|]"}},
                {offsetof(struct tok_special, tool), {"<|tool|>"}}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        int32_t id = -1;
        for (int k = 0; k < 4 && id < 0 && want[i].name[k]; k++)
            id = tokenizer_find_special(t, want[i].name[k]);
        memcpy((char *)&t->special + want[i].at, &id, sizeof id);
    }
}

static int read_all(struct reader *r, const json_t *root)
{
    struct tokenizer *t = r->t;
    if (!json_is_object(root))
        return err_set(r->e, ERR_FORMAT, "%s: is not a tokenizer.json: the top level is not an object", r->where);
    const json_t *version = json_object_get(root, "version");
    if (version && (!json_is_string(version) || strcmp(json_string_value(version), "1.0") != 0))
        return bad(r, ERR_FORMAT, "version", "expected \"1.0\"");
    int rc = splitter_new(&t->split, r->e);
    if (rc == 0)
        rc = read_added(r, json_object_get(root, "added_tokens"));
    if (rc == 0)
        rc = read_normalizer(r, json_object_get(root, "normalizer"), 0);
    if (rc == 0)
        rc = read_pre_tokenizer(r, json_object_get(root, "pre_tokenizer"), 0);
    if (rc == 0 && !r->byte_level)
        rc = bad(r, ERR_FORMAT, "pre_tokenizer", "has no ByteLevel; a byte-level BPE is expected");
    if (rc == 0)
        rc = read_decoder(r, json_object_get(root, "decoder"));
    if (rc == 0)
        rc = read_model(r, json_object_get(root, "model"));
    if (rc == 0)
        rc = normalise_added(r);
    if (rc == 0)
        rc = added_set_init(&t->raw, t->added, t->n_added, false, r->e);
    if (rc == 0)
        rc = added_set_init(&t->normal, t->added, t->n_added, true, r->e);
    if (rc == 0)
        rc = bpe_finish(&t->bpe, r->e);
    return rc;
}

int tokjson_read(struct tokenizer **out, struct buf *json, const char *where, struct err *e)
{
    json_t *root = NULL;
    struct tokenizer *t = mem_new(1, sizeof *t);
    *out = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "%s: out of memory", where);
    t->json = *json;
    *json = (struct buf){0};
    t->digest = sha256_of(t->json.p, t->json.len);
    int rc = json_parse(&root, t->json.p ? t->json.p : "", t->json.len, where, e);
    struct reader r = {.t = t, .where = where, .e = e};
    if (rc == 0)
        rc = read_all(&r, root);
    json_decref(root);
    if (rc) {
        tokenizer_close(t);
        return rc;
    }
    find_specials(t);
    *out = t;
    return 0;
}
