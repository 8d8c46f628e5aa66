/* dokja generate: continues a text. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/infer_args.h"
#include "text/unicode.h"

enum { MAX_PROMPT = 256 << 20, PREFILL_ROWS = 512 };

struct generate_args {
    const char *model, *prompt, *prompt_file;
    int64_t threads;
    bool json, special, echo;
    struct sample_args s;
};

static bool on_text(void *user, const char *text, size_t n)
{
    (void)user;
    bool sent = fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0;
    return sent && !log_stop_asked();
}
static bool on_text_json(void *user, const char *text, size_t n)
{
    (void)user;
    (void)text;
    (void)n;
    return !log_stop_asked();
}

static int read_all(struct buf *b, FILE *f, const char *name, struct err *e)
{
    char chunk[65536];
    int rc = 0;
    for (size_t n; rc == 0 && (n = fread(chunk, 1, sizeof chunk, f)) > 0;) {
        rc = buf_add(b, chunk, n, e);
        if (rc == 0 && b->len > MAX_PROMPT)
            rc = err_set(e, ERR_LIMIT, "%s: the prompt is longer than %d bytes", name, MAX_PROMPT);
    }
    if (rc == 0 && ferror(f))
        rc = err_set(e, ERR_IO, "%s: cannot be read", name);
    return rc;
}

static int read_prompt(struct buf *b, const struct generate_args *a, struct err *e)
{
    if (a->prompt && a->prompt_file)
        return err_set(e, ERR_USAGE, "give -p or --prompt-file, not both");
    const char *name = "standard input";
    int rc;
    if (a->prompt) {
        name = "-p";
        rc = buf_adds(b, a->prompt, e);
    } else if (a->prompt_file && strcmp(a->prompt_file, "-") != 0) {
        FILE *f = fopen(a->prompt_file, "rb");
        if (!f)
            return err_set(e, ERR_IO, "%s: cannot open", a->prompt_file);
        name = a->prompt_file;
        rc = read_all(b, f, name, e);
        fclose(f);
    } else if (a->prompt_file || !isatty(STDIN_FILENO)) {
        rc = read_all(b, stdin, name, e);
    } else {
        return err_set(e, ERR_USAGE, "-p TEXT is missing: what to continue");
    }
    if (rc == 0 && b->len == 0)
        rc = err_set(e, ERR_VALUE, "the prompt is empty");
    return rc == 0 ? uc_check(name, b->p, b->len, e) : rc;
}

static int run(const struct generate_args *a, const struct cli_model *c, const struct buf *prompt, struct err *e)
{
    struct session *s = NULL;
    struct gen_result r = {0};
    struct gen_opts o;
    struct token_vec ids = {0};
    const struct tokenizer *t = infer_model_tokenizer(c->m);
    int32_t bos = tokenizer_special(t).bos;
    int rc = sample_opts(&o, &a->s, e), max_pos = infer_model_config(c->m)->max_pos;
    o.on_text = a->json ? on_text_json : on_text;
    if (rc == 0 && bos >= 0)
        rc = cli_push(&ids, bos, e);
    if (rc == 0)
        rc = cli_encode(&ids, t, prompt->p, prompt->len, a->special, e);
    if (rc == 0 && ids.n >= (size_t)max_pos)
        rc = err_set(e, ERR_LIMIT, "the prompt has %zu tokens, the model's context holds %d with the answer", ids.n,
                     max_pos);
    if (rc == 0)
        rc = session_new(&s, c->m, a->s.max_tokens < max_pos - (int64_t)ids.n ? (int)((int64_t)ids.n + a->s.max_tokens)
                                                                              : max_pos,
                         PREFILL_ROWS, e);
    double t0 = clock_seconds();
    if (rc == 0 && a->echo && !a->json)
        on_text(NULL, prompt->p, prompt->len);
    if (rc == 0)
        rc = generate(s, ids.v, (int)ids.n, &o, &r, e);
    if (rc == 0 && a->json)
        rc = cli_print_result(&r, c->m, clock_seconds() - t0, e);
    if (rc == 0 && !a->json)
        putchar('\n');
    gen_result_release(&r);
    session_free(s);
    token_vec_release(&ids);
    return rc;
}

int cmd_generate(int argc, char **argv, struct err *e)
{
    struct generate_args a = {.s = sample_args_default()};
    const struct opt opts[] = {
        {"model", 'm', OPT_STR, &a.model, "MODEL", "a run or model folder", 0, 0, NULL},
        {"prompt", 'p', OPT_STR, &a.prompt, "TEXT", "what to continue; else standard input", 0, 0, NULL},
        {"prompt-file", 0, OPT_STR, &a.prompt_file, "FILE", "the same from a file", 0, 0, NULL},
        SAMPLE_OPTS(a.s),
        {"special", 0, OPT_FLAG, &a.special, NULL, "names of special tokens in the prompt become those tokens", 0, 0,
         NULL},
        {"echo", 0, OPT_FLAG, &a.echo, NULL, "print the prompt first", 0, 0, NULL},
        {"threads", 0, OPT_INT, &a.threads, "N", "threads (OMP_NUM_THREADS or all cores)", 1, 1024, NULL},
        {"json", 0, OPT_FLAG, &a.json, NULL, "one JSON document instead of streamed text", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja generate -m MODEL -p TEXT [options]",
                                  "Continues a text. The same seed gives the same text on any machine with any number "
                                  "of threads.",
                                  opts, 0, 0};
    struct buf prompt = {0};
    struct cli_model c = {0};
    struct gen_opts check;
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    rc = a.model ? sample_opts(&check, &a.s, e) : err_set(e, ERR_USAGE, "-m MODEL is missing: a run or model folder");
    if (rc == 0)
        rc = read_prompt(&prompt, &a, e);
    if (rc == 0)
        rc = cli_model_open(&c, a.model, (int)a.threads, e);
    log_catch_stop();
    if (rc == 0)
        rc = run(&a, &c, &prompt, e);
    cli_model_close(&c);
    buf_release(&prompt);
    return rc;
}
