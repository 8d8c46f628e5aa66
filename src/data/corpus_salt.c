#include "data/corpus_salt.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"

static int path_of(struct buf *b, const char *dir, struct err *e) { return file_join(b, dir, "salt.key", e); }

int corpus_salt_read(struct corpus_salt *s, const char *dir, struct err *e)
{
    struct buf path = {0}, text = {0};
    struct digest d;
    int rc = path_of(&path, dir, e);
    if (rc == 0)
        rc = file_read(&text, path.p, 4096, e);
    if (rc == 0 && text.len > 0 && text.p[text.len - 1] == '\n')
        text.p[--text.len] = 0;
    if (rc == 0 && (text.len != 64 || digest_parse(&d, text.p) != 0))
        rc = err_set(e, ERR_FORMAT, "%s: expected 64 hexadecimal digits", path.p);
    if (rc == 0)
        memcpy(s->key, d.b, sizeof s->key);
    buf_release(&path);
    buf_release(&text);
    return rc;
}

static int make_new(struct corpus_salt *s, const char *path, struct err *e)
{
    struct digest d;
    char line[66];
    if (getrandom(d.b, sizeof d.b, 0) != (ssize_t)sizeof d.b)
        return err_set(e, ERR_IO, "%s: no random bytes: %s", path, strerror(errno));
    memcpy(s->key, d.b, sizeof s->key);
    digest_hex(line, &d);
    line[64] = '\n';
    return file_replace_private(path, line, 65, e);
}

int corpus_salt_make(struct corpus_salt *s, const char *dir, bool *made, struct err *e)
{
    struct buf path = {0};
    int rc = path_of(&path, dir, e);
    bool there = rc == 0 && file_exists(path.p);
    if (rc == 0)
        rc = there ? corpus_salt_read(s, dir, e) : make_new(s, path.p, e);
    *made = rc == 0 && !there;
    buf_release(&path);
    return rc;
}

void corpus_salt_drop(const char *dir)
{
    struct buf path = {0};
    if (path_of(&path, dir, NULL) == 0)
        unlink(path.p);
    buf_release(&path);
}

struct digest corpus_salt_name(const struct corpus_salt *s)
{
    static const char purpose[] = "corpus-salt";
    uint8_t all[sizeof purpose - 1 + sizeof s->key];
    memcpy(all, purpose, sizeof purpose - 1);
    memcpy(all + sizeof purpose - 1, s->key, sizeof s->key);
    return sha256_of(all, sizeof all);
}

struct digest corpus_salt_part(const struct corpus_salt *s, const struct digest *text, const struct digest *meta)
{
    static const char purpose[] = "document-salt";
    enum { WORD = sizeof purpose - 1 };
    uint8_t all[WORD + 96];
    memcpy(all, purpose, WORD);
    memcpy(all + WORD, s->key, 32);
    memcpy(all + WORD + 32, text->b, 32);
    memcpy(all + WORD + 64, meta->b, 32);
    return sha256_of(all, sizeof all);
}
