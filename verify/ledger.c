#include <openssl/err.h>
#include <openssl/evp.h>

#include "verify/verify.h"

enum { MAGIC = 8, FRAME = 4, MAX_ENTRY = 16 << 20, MAX_ENTRIES = 1 << 24, MAX_SIGNATURES = 64, ID = 4 };

/* ---- signed notes (C2SP signed-note, tlog-checkpoint) ---- */

static bool signature_good(const uint8_t key[32], const uint8_t sig[64], struct bytes text)
{
    ERR_clear_error();
    EVP_PKEY *k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ready = k && c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, k) == 1;
    bool good = ready && EVP_DigestVerify(c, sig, 64, text.p, text.n) == 1;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(k);
    if (!ready || (!good && ERR_peek_error())) short_of("a signature");
    return good;
}

/* One line "— NAME BASE64"; true when it is by that name and key, and then it must be good. */
static bool signed_by(const char *line, size_t n, const char *name, const uint8_t key[32], struct bytes text)
{
    static const char dash[] = "\xe2\x80\x94 ";
    size_t d = sizeof dash - 1, m = strlen(name);
    uint8_t blob[1024];
    struct digest id = sha256((struct bytes[]){{(const uint8_t *)name, m}, {(const uint8_t *)"\n\1", 2}, {key, 32}}, 3);
    const char *blank = n > d ? memchr(line + d, ' ', n - d) : NULL;
    size_t left = blank ? n - (size_t)(blank + 1 - line) : 0, bytes = left / 4 * 3;
    if (left > 1) bytes -= (size_t)(line[n - 1] == '=') + (line[n - 2] == '=');
    if (bytes <= ID || bytes > sizeof blob || blank == line + d || memcmp(line, dash, d) != 0 ||
        !base64_read(blob, bytes, blank + 1, left))
        refuse("a note has the signature line \"%.*s\", expected \"— NAME BASE64\"", n < 60 ? (int)n : 60, line);
    if ((size_t)(blank - line) != d + m || memcmp(line + d, name, m) != 0 || memcmp(blob, id.b, ID) != 0)
        return false; /* another's, or by another key */
    if (bytes != ID + 64 || (!signature_good(key, blob + ID, text) && !signature_good(key, blob + ID, text)))
        refuse("a note's signature by %s is not good", name); /* twice: libcrypto may run short without a word */
    return true;
}
uint64_t note_read(struct digest *root, struct bytes note, const char *origin, const uint8_t key[32])
{
    const char *p = (const char *)note.p, *end;
    size_t n = note.n, at = n, lines = 0, good = 0, m = strlen(origin);
    while (at > 1 && !(p[at - 1] == '\n' && p[at - 2] == '\n')) at--;
    if (at < 2 || at == n || p[n - 1] != '\n') refuse("a note has no signatures behind an empty line");
    size_t text = at - 1;
    for (size_t len; at < n; at += len + 1) {
        len = (size_t)((const char *)memchr(p + at, '\n', n - at) - (p + at));
        if (++lines > MAX_SIGNATURES) refuse("a note has more than %d signatures", MAX_SIGNATURES);
        good += signed_by(p + at, len, origin, key, (struct bytes){note.p, text});
    }
    if (!good) refuse("a note is not signed by %.80s with the key of GENESIS", origin);
    /* Lines origin, size, root; the text ends with a newline. */
    uint64_t size = 0;
    if (text <= m || memcmp(p, origin, m) != 0 || p[m] != '\n') refuse("a checkpoint is not of %.80s", origin);
    const char *first = p + m + 1, *c = first;
    for (; c < p + text && c < first + 19 && *c >= '0' && *c <= '9'; c++) size = size * 10 + (uint64_t)(*c - '0');
    if (c == first || c == p + text || *c != '\n' || (*first == '0' && c > first + 1) ||
        !(end = memchr(c + 1, '\n', (size_t)(p + text - c) - 1)) ||
        !base64_read(root->b, 32, c + 1, (size_t)(end - c) - 1))
        refuse("a checkpoint's size and root are not a decimal number and base64 of 32 bytes");
    return size;
}

/* ---- frame and chain ---- */

/* GENESIS, BEACON, INIT, then SEGMENT and EVENT, then FINAL. */
static bool may_follow(int last, int kind)
{
    return last < INIT ? kind == last + 1 : last != FINAL && kind >= SEGMENT && kind <= FINAL;
}
void ledger_read(struct ledger *l, const char *path)
{
    *l = (struct ledger){.path = path, .file = map_file(path), .whole = MAGIC};
    const uint8_t *p = l->file.p;
    struct digest prev = {{0}};
    uint64_t room = l->file.n / (FRAME + 1) + 1, at;
    int last = 0;
    char hex[65];
    if (l->file.n < MAGIC || memcmp(p, "dokjaLG1", MAGIC) != 0) refuse("%s: does not begin with \"dokjaLG1\"", path);
    l->entry = take(room < MAX_ENTRIES ? room : MAX_ENTRIES, sizeof *l->entry);
    while (at = l->whole, l->file.n - at >= FRAME) {
        uint32_t n = p[at] | (uint32_t)p[at + 1] << 8 | (uint32_t)p[at + 2] << 16 | (uint32_t)p[at + 3] << 24;
        if (n < 1 || n > MAX_ENTRY || l->n_entries == MAX_ENTRIES)
            refuse("%s: the entry at byte %llu has %u bytes (1 to %d), or is one too many", path, N(at), n, MAX_ENTRY);
        if (l->file.n - at - FRAME < n) break; /* torn */
        struct entry x = l->entry[l->n_entries++] = (struct entry){{p + at + FRAME, n}, p[at + FRAME]};
        l->whole = at + FRAME + n;
        if (x.kind == NOTE && l->n_records) continue;
        if (!may_follow(last, x.kind))
            refuse("%s: record %llu is of kind %d, which cannot follow kind %d", path, N(l->n_records), x.kind, last);
        if (n < 1 + PREV || memcmp(x.b.p + 1, prev.b, PREV) != 0)
            refuse("%s: record %llu does not hold the SHA-256 of the record before it", path, N(l->n_records));
        prev = sha256_of(x.b), last = x.kind;
        if (l->n_records++ == 0) l->genesis = prev;
    }
    if (l->n_records == 0) refuse("%s: has no whole record", path);
    hex_of(hex, &l->genesis);
    snprintf(l->origin, sizeof l->origin, "dokja-run/%s", hex);
}
struct digest ledger_root(const struct ledger *l, uint64_t records)
{
    struct tree t = {.n = 0};
    for (const struct entry *x = l->entry; x < l->entry + l->n_entries && t.n < records; x++)
        if (x->kind != NOTE) tree_add(&t, x->b);
    return tree_root(&t);
}
uint64_t ledger_signed(const struct ledger *l, const uint8_t key[32])
{
    struct tree t = {.n = 0};
    uint64_t covered = 0;
    for (const struct entry *x = l->entry; x < l->entry + l->n_entries; x++) {
        if (x->kind != NOTE) {
            tree_add(&t, x->b);
            continue;
        }
        struct digest said, root = tree_root(&t);
        covered = note_read(&said, (struct bytes){x->b.p + 1, x->b.n - 1}, l->origin, key);
        if (covered != t.n || !same_digest(&said, &root))
            refuse("the checkpoint after %llu record%s is of another tree, of %llu", N(t.n), S(t.n), N(covered));
    }
    return covered;
}
