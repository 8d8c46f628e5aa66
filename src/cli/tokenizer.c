/* dokja tokenizer train|encode|decode|report; train and report are in tokenizer_train.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/opt.h"
#include "cli/cli.h"
#include "cli/tokenizer_docs.h"
#include "cli/wrap.h"
#include "text/tokenizer.h"

struct lines {
    const char *name;
    FILE *f;
    char *line;
    size_t cap;
    uint64_t number;
};

static int lines_open(struct lines *l, const char *path, struct err *e)
{
    *l = (struct lines){.name = path ? path : "standard input", .f = path ? fopen(path, "rb") : stdin};
    return l->f ? 0 : err_set(e, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
}

static void lines_close(struct lines *l)
{
    if (l->f && l->f != stdin)
        fclose(l->f);
    free(l->line);
}

/* 1: a line without its newline; 0: the end. */
static int lines_next(struct lines *l, size_t *n, struct err *e)
{
    errno = 0;
    ssize_t got = getline(&l->line, &l->cap, l->f);
    if (got < 0)
        return ferror(l->f) || errno == ENOMEM ? err_set(e, ERR_IO, "%s: cannot read: %s", l->name, strerror(errno))
                                               : 0;
    l->number++;
    *n = (size_t)got - (l->line[got - 1] == '\n');
    l->line[*n] = 0;
    return 1;
}

struct task {
    const char *dir, *in;
    bool json, special, strings;
};

static int parse(struct task *k, const struct opt_spec *s, int argc, char **argv, struct err *e)
{
    int n_args, rc = opt_parse(s, argc, argv, &n_args, e);
    if (rc == 0 && !k->dir)
        return err_set(e, ERR_USAGE, "tokenizer %s needs --tokenizer DIR", argv[0]);
    return rc;
}

static void print_ids(const struct token_vec *v, bool json)
{
    if (json)
        putchar('[');
    for (size_t i = 0; i < v->n; i++)
        printf(i ? (json ? ",%d" : " %d") : "%d", (int)v->v[i]);
    fputs(json ? "]\n" : "\n", stdout);
}

static int encode_string(struct tok_encoder *enc, struct token_vec *v, const struct lines *l, size_t n, bool special,
                         struct err *e)
{
    json_t *s;
    int rc = json_parse_string(&s, l->line, n, l->name, e);
    if (rc == ERR_FORMAT)
        rc = err_set(e, rc, "%s: line %llu: is not a JSON string", l->name, (unsigned long long)l->number);
    if (rc == 0)
        rc = tok_encode(enc, v, json_string_value(s), json_string_length(s), special, e);
    json_decref(s);
    return rc;
}

static int encode(int argc, char **argv, struct err *e)
{
    struct task k = {0};
    const struct opt opts[] = {
        {"tokenizer", 't', OPT_STR, &k.dir, "DIR", "the tokenizer", 0, 0, NULL},
        {"in", 'i', OPT_STR, &k.in, "FILE", "read lines from a file, not from standard input", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &k.json, NULL, "one JSON array a line", 0, 0, NULL},
        {"strings", 0, OPT_FLAG, &k.strings, NULL, "each line is a JSON string, which may hold newlines", 0, 0, NULL},
        {"special", 's', OPT_FLAG, &k.special, NULL, "text such as <|end|> means the special token", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja tokenizer encode --tokenizer DIR [--in FILE]",
                                  "Ids of each line of text; bytes that are not UTF-8 have ids too.", opts, 0, 0};
    int rc = parse(&k, &spec, argc, argv, e), more = 0;
    if (rc)
        return rc > 0 ? 0 : rc;
    struct tokenizer *t = NULL;
    struct tok_encoder *enc = NULL;
    struct token_vec v = {0};
    struct lines l = {0};
    size_t n = 0;
    rc = tokenizer_open(&t, k.dir, e);
    if (rc == 0)
        rc = tok_encoder_new(&enc, t, e);
    if (rc == 0)
        rc = lines_open(&l, k.in, e);
    while (rc == 0 && (more = lines_next(&l, &n, e)) > 0) {
        v.n = 0;
        rc = k.strings ? encode_string(enc, &v, &l, n, k.special, e) : tok_encode(enc, &v, l.line, n, k.special, e);
        if (rc == 0)
            print_ids(&v, k.json);
    }
    lines_close(&l);
    token_vec_release(&v);
    tok_encoder_free(enc);
    tokenizer_close(t);
    return rc ? rc : more;
}

static int push(struct token_vec *v, long long id, const struct lines *l, struct err *e)
{
    if (id < INT32_MIN || id > INT32_MAX)
        return err_set(e, ERR_VALUE, "%s: line %llu: %lld is not a token id", l->name, (unsigned long long)l->number,
                       id);
    if (v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 256;
        int32_t *p = mem_resize(v->v, cap, sizeof *p);
        if (!p)
            return err_set(e, ERR_NOMEM, "out of memory");
        v->v = p;
        v->cap = cap;
    }
    v->v[v->n++] = (int32_t)id;
    return 0;
}

/* "[1, 2, 3]" or "1 2 3". */
static int read_ids(struct token_vec *v, const struct lines *l, size_t n, struct err *e)
{
    const char *p = l->line, *end = l->line + n;
    bool array = false;
    int rc = 0;
    v->n = 0;
    for (; p < end && rc == 0;) {
        if (strchr(" \t\r,", *p) && *p) {
            p++;
        } else if ((*p == '[' && !array && v->n == 0) || (*p == ']' && array)) {
            array = *p++ == '[';
        } else {
            char *stop;
            long long id = strtoll(p, &stop, 10);
            if (stop == p)
                return err_set(e, ERR_FORMAT, "%s: line %llu: \"%.20s\" is not a list of token ids", l->name,
                               (unsigned long long)l->number, p);
            rc = push(v, id, l, e);
            p = stop;
        }
    }
    return rc == 0 && array ? err_set(e, ERR_FORMAT, "%s: line %llu: the list is not closed", l->name,
                                      (unsigned long long)l->number)
                            : rc;
}

static int decode(int argc, char **argv, struct err *e)
{
    struct task k = {0};
    const struct opt opts[] = {
        {"tokenizer", 't', OPT_STR, &k.dir, "DIR", "the tokenizer", 0, 0, NULL},
        {"in", 'i', OPT_STR, &k.in, "FILE", "read lists of ids from a file, not from standard input", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &k.json, NULL, "one JSON string a line", 0, 0, NULL},
        {"special", 's', OPT_FLAG, &k.special, NULL, "show special tokens", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja tokenizer decode --tokenizer DIR [--in FILE]",
                                  "Text of each line of ids, as `dokja tokenizer encode` prints them.", opts, 0, 0};
    int rc = parse(&k, &spec, argc, argv, e), more = 0;
    if (rc)
        return rc > 0 ? 0 : rc;
    struct tokenizer *t = NULL;
    struct token_vec v = {0};
    struct buf text = {0}, quoted = {0};
    struct lines l = {0};
    size_t n = 0;
    rc = tokenizer_open(&t, k.dir, e);
    if (rc == 0)
        rc = lines_open(&l, k.in, e);
    while (rc == 0 && (more = lines_next(&l, &n, e)) > 0) {
        buf_clear(&text);
        buf_clear(&quoted);
        rc = read_ids(&v, &l, n, e);
        if (rc == 0)
            rc = tok_decode(t, &text, v.v, v.n, k.special, e);
        if (rc == 0 && k.json)
            rc = json_quote(&quoted, text.p ? text.p : "", text.len, e);
        const struct buf *out = k.json ? &quoted : &text;
        if (rc == 0 && out->len)
            fwrite(out->p, 1, out->len, stdout);
        if (rc == 0)
            putchar('\n');
    }
    lines_close(&l);
    token_vec_release(&v);
    buf_release(&text);
    buf_release(&quoted);
    tokenizer_close(t);
    return rc ? rc : more;
}

int cmd_tokenizer(int argc, char **argv, struct err *e)
{
    static const struct command sub[] = {
        {"train", "--corpus DIR --vocab N --out DIR", "train a vocabulary", tokenizer_train_command},
        {"encode", "--tokenizer DIR [--in FILE]", "text to ids, line by line", encode},
        {"decode", "--tokenizer DIR [--in FILE]", "ids to text, line by line", decode},
        {"report", "--tokenizer DIR --in FILE…", "bytes per token by language", tokenizer_report_command}};
    enum { N = sizeof sub / sizeof sub[0] };
    for (size_t i = 0; i < N && argc > 1; i++)
        if (strcmp(argv[1], sub[i].name) == 0)
            return sub[i].run(argc - 1, argv + 1, e);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        printf("Usage: dokja tokenizer COMMAND [options]\n\n");
        for (size_t i = 0; i < N; i++)
            printf("  %-8s %-*s %s\n", sub[i].name, wrap_bytes(sub[i].args, 34), sub[i].args, sub[i].about);
        return 0;
    }
    return err_set(e, ERR_USAGE, "expected train, encode, decode or report; got %.40s",
                   argc > 1 ? argv[1] : "nothing");
}
