#include "ledger/note.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/codepoint.h"

enum { MAX_SIGNATURES = 64, MAX_NAME = 255, MAX_SIZE_DIGITS = 20, ED25519 = 0x01, ID = 4 };
static const char DASH[] = "\xe2\x80\x94 ";
enum { DASH_LEN = sizeof DASH - 1 };

int note_name_check(const char *name, struct err *e)
{
    size_t n = strlen(name);
    if (n < 1 || n > MAX_NAME)
        return err_set(e, ERR_VALUE, "a signer's name has %zu bytes, expected 1 to %d", n, MAX_NAME);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == '+' || *c == 0x7f)
            return err_set(e, ERR_VALUE,
                           "\"%.80s\" cannot name a signer: blanks, control characters and '+' are barred", name);
    return 0;
}

static void key_id(uint8_t id[ID], const struct note_signer *s)
{
    uint8_t b[MAX_NAME + 2 + sizeof s->key.b];
    size_t n = strlen(s->name);
    memcpy(b, s->name, n);
    b[n++] = '\n';
    b[n++] = ED25519;
    memcpy(b + n, s->key.b, sizeof s->key.b);
    struct digest d = sha256_of(b, n + sizeof s->key.b);
    memcpy(id, d.b, ID);
}

uint32_t note_key_id(const struct note_signer *s)
{
    uint8_t id[ID];
    key_id(id, s);
    return (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
}

/* Well-formed UTF-8 lines without control characters, the last one ended. */
static int text_check(const char *text, size_t n, struct err *e)
{
    if (n == 0 || text[n - 1] != '\n')
        return err_set(e, ERR_FORMAT, "a note's text of %zu bytes does not end with a newline", n);
    for (size_t at = 0; at < n;) {
        int32_t cp;
        at += codepoint_next(&cp, text + at, n - at);
        if (cp < 0 || (cp < ' ' && cp != '\n') || cp == 0x7f)
            return err_set(e, ERR_FORMAT, "a note's text holds a control character or bytes that are not UTF-8 before "
                           "byte %zu", at);
    }
    return 0;
}

int note_sign(struct buf *b, const char *text, size_t n, const char *name, const struct sign_key *k, struct err *e)
{
    struct note_signer s = {name, sign_key_public(k)};
    uint8_t blob[ID + sizeof(struct signature)];
    struct signature sig;
    int rc = note_name_check(name, e);
    if (rc == 0)
        rc = text_check(text, n, e);
    if (rc == 0)
        rc = sign_bytes(&sig, k, text, n, e);
    if (rc)
        return rc;
    key_id(blob, &s);
    memcpy(blob + ID, sig.b, sizeof sig.b);
    if ((rc = buf_add(b, text, n, e)) || (rc = buf_printf(b, e, "\n%s%s ", DASH, name)) ||
        (rc = base64_add(b, blob, sizeof blob, e)))
        return rc;
    return buf_addc(b, '\n', e);
}

/* One signature line, without its newline. */
struct line {
    const char *name;
    size_t name_len, blob_len;
    uint8_t blob[1024];
};

static int line_read(struct line *l, const char *p, size_t n, struct err *e)
{
    const char *blank = n > DASH_LEN ? memchr(p + DASH_LEN, ' ', n - DASH_LEN) : NULL;
    if (!blank || memcmp(p, DASH, DASH_LEN) != 0 || blank == p + DASH_LEN)
        return err_set(e, ERR_FORMAT, "a note has the signature line \"%.*s\", expected \"— NAME BASE64\"",
                       n < 60 ? (int)n : 60, p);
    l->name = p + DASH_LEN;
    l->name_len = (size_t)(blank - l->name);
    ptrdiff_t got = base64_read(l->blob, sizeof l->blob, blank + 1, n - (size_t)(blank + 1 - p));
    if (got <= ID)
        return err_set(e, ERR_FORMAT, "a note's signature by %.*s is not base64 of an id and a signature",
                       l->name_len < 60 ? (int)l->name_len : 60, l->name);
    l->blob_len = (size_t)got;
    return 0;
}

/* Text and signatures meet at the last empty line. */
static int split(const char *note, size_t n, size_t *text_n, struct err *e)
{
    for (size_t at = n; at-- > 1;)
        if (note[at] == '\n' && note[at - 1] == '\n') {
            *text_n = at;
            return at + 1 < n && note[n - 1] == '\n'
                       ? 0 : err_set(e, ERR_FORMAT, "a note has no signature lines behind its empty line");
        }
    return err_set(e, ERR_FORMAT, "a note of %zu bytes has no empty line before its signatures", n);
}

int note_verify(const char *note, size_t n, const struct note_signer *s, size_t *text_n, struct err *e)
{
    uint8_t id[ID];
    int lines = 0, good = 0, rc = note_name_check(s->name, e);
    if (rc == 0)
        rc = split(note, n, text_n, e);
    if (rc == 0)
        rc = text_check(note, *text_n, e);
    if (rc)
        return rc;
    key_id(id, s);
    for (const char *p = note + *text_n + 1; p < note + n;) {
        struct line l;
        const char *end = memchr(p, '\n', (size_t)(note + n - p));
        if (++lines > MAX_SIGNATURES)
            return err_set(e, ERR_LIMIT, "a note has more than %d signatures", MAX_SIGNATURES);
        if ((rc = line_read(&l, p, (size_t)(end - p), e)))
            return rc;
        p = end + 1;
        if (l.name_len != strlen(s->name) || memcmp(l.name, s->name, l.name_len) != 0 || memcmp(l.blob, id, ID) != 0)
            continue;
        struct signature sig;
        if (l.blob_len != ID + sizeof sig.b)
            return err_set(e, ERR_FORMAT, "a note's signature by %s has %zu bytes, expected %zu", s->name,
                           l.blob_len - ID, sizeof sig.b);
        memcpy(sig.b, l.blob + ID, sizeof sig.b);
        if ((rc = sign_verify(&sig, &s->key, note, *text_n, e)) == ERR_SIGNATURE)
            err_set(e, rc, "a note's signature by %s does not fit its text", s->name);
        if (rc)
            return rc;
        good++;
    }
    return good ? 0 : err_set(e, ERR_SIGNATURE, "a note is not signed by %s with the key %08" PRIx32, s->name,
                              note_key_id(s));
}

/* ---- checkpoints ---- */

int checkpoint_text(struct buf *b, const char *origin, const struct checkpoint *c, struct err *e)
{
    int rc = buf_printf(b, e, "%s\n%" PRIu64 "\n", origin, c->size);
    if (rc == 0)
        rc = base64_add(b, c->root.b, sizeof c->root.b, e);
    return rc ? rc : buf_addc(b, '\n', e);
}

/* A decimal number as it is written: no sign, no zero in front. */
static bool decimal(uint64_t *v, const char *p, size_t n)
{
    *v = 0;
    if (n < 1 || n > MAX_SIZE_DIGITS || (n > 1 && p[0] == '0'))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t d = (uint64_t)(p[i] - '0');
        if (p[i] < '0' || p[i] > '9' || *v > (UINT64_MAX - d) / 10)
            return false;
        *v = *v * 10 + d;
    }
    return true;
}

int checkpoint_read(struct checkpoint *c, const char *text, size_t n, const char *origin, struct err *e)
{
    const char *line[3];
    size_t len[3];
    for (int i = 0; i < 3; i++) {
        const char *end = memchr(text, '\n', n);
        if (!end)
            return err_set(e, ERR_FORMAT, "a checkpoint has %d lines, expected origin, size and root", i);
        line[i] = text;
        len[i] = (size_t)(end - text);
        n -= len[i] + 1;
        text = end + 1;
    }
    if (len[0] != strlen(origin) || memcmp(line[0], origin, len[0]) != 0)
        return err_set(e, ERR_VALUE, "a checkpoint is of \"%.*s\", expected \"%.80s\"", len[0] < 80 ? (int)len[0] : 80,
                       line[0], origin);
    if (!decimal(&c->size, line[1], len[1]))
        return err_set(e, ERR_FORMAT, "a checkpoint's size is \"%.*s\", expected a decimal number",
                       len[1] < 40 ? (int)len[1] : 40, line[1]);
    if (base64_read(c->root.b, sizeof c->root.b, line[2], len[2]) != (ptrdiff_t)sizeof c->root.b)
        return err_set(e, ERR_FORMAT, "a checkpoint's root is \"%.*s\", expected base64 of 32 bytes",
                       len[2] < 60 ? (int)len[2] : 60, line[2]);
    return 0;
}
