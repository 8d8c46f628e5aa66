/* dokja chat: talks with a model, on a terminal or through a pipe. */
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/infer_args.h"
#include "text/unicode.h"

enum { DEFAULT_CONTEXT = 4096, PREFILL_ROWS = 512, HISTORY = 500 };

/* How a line becomes a prompt.  CHAT is the tokenizer's own template, for models tuned on it; QA asks in the
 * form of a textbook; PLAIN goes on writing where the line ends. */
enum form { AUTO, CHAT, QA, PLAIN };

struct chat {
    const char *model, *form_name, *system;
    int64_t threads, context;
    bool json;
    struct sample_args args;
    struct gen_opts o;
    struct cli_model c;
    struct session *s;
    const struct tokenizer *tok;
    struct tok_special sp;
    enum form form;
    struct token_vec said;   /* everything so far; the session holds the first session_len of it */
    uint64_t lines;          /* read so far */
    bool system_told, out_failed;
    bool tty;                /* line editing: Ctrl-C never ends the program */
};

static volatile sig_atomic_t interrupted;
static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

static void catch_interrupt(bool on)
{
    struct sigaction a = {.sa_handler = on ? on_interrupt : SIG_DFL};
    interrupted = 0;
    sigaction(SIGINT, &a, NULL);
}

static bool on_text(void *user, const char *text, size_t n)
{
    struct chat *c = user;
    if (!c->json && (fwrite(text, 1, n, stdout) != n || fflush(stdout) != 0))
        c->out_failed = true;
    return !interrupted && !c->out_failed;
}

/* ---- which form ---- */

static bool has_template(const char *dir)
{
    struct buf path = {0};
    json_t *config = NULL;
    bool found = file_join(&path, dir, "tokenizer_config.json", NULL) == 0 && file_exists(path.p) &&
                 json_read(&config, path.p, 16 << 20, NULL) == 0 &&
                 json_is_string(json_object_get(config, "chat_template"));
    json_decref(config);
    buf_release(&path);
    return found;
}

/* A run of ours was tuned when its run.json says so; a foreign folder when it brings a template. */
static bool was_tuned(const char *dir)
{
    struct buf path = {0};
    json_t *run = NULL;
    bool ours = file_join(&path, dir, "run.json", NULL) == 0 && file_exists(path.p);
    bool tuned = ours ? json_read(&run, path.p, 16 << 20, NULL) == 0 && json_is_true(json_object_get(run, "tuned"))
                      : has_template(dir);
    json_decref(run);
    buf_release(&path);
    return tuned;
}

static int choose_form(struct chat *c, struct err *e)
{
    static const char *const name[] = {"auto", "chat", "qa", "plain"};
    int i = 0;
    while (i < 4 && strcmp(c->form_name, name[i]) != 0)
        i++;
    if (i == 4)
        return err_set(e, ERR_USAGE, "--form is \"%s\"; it takes auto, chat, qa or plain", c->form_name);
    bool tokens = c->sp.user >= 0 && c->sp.assistant >= 0 && c->sp.end >= 0;
    c->form = (enum form)i;
    if (c->form == AUTO)
        c->form = tokens && was_tuned(c->model) ? CHAT : QA;
    if (c->form == CHAT && !tokens)
        return err_set(e, ERR_VALUE, "%s: the tokenizer lacks <|user|>, <|assistant|> or <|end|>, which --form chat "
                                     "needs", c->model);
    if (c->system && c->form != CHAT)
        return err_set(e, ERR_USAGE, "--system needs --form chat");
    return c->system ? uc_check("--system", c->system, strlen(c->system), e) : 0;
}

/* ---- one turn ---- */

static bool has_hangul(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)s[0] >= 0xea && (unsigned char)s[0] <= 0xed)
            return true;
    return false;
}

static int add(struct chat *c, const char *text, struct err *e)
{
    return cli_encode(&c->said, c->tok, text, strlen(text), false, e);
}

static int add_chat(struct chat *c, const char *line, struct err *e)
{
    struct buf b = {0};
    int rc = buf_printf(&b, e, "\n%s%s%s", c->system && !c->system_told ? c->system : "",
                        c->system && !c->system_told ? "\n\n" : "", line);
    c->system_told = true;
    if (rc == 0)
        rc = cli_push(&c->said, c->sp.user, e);
    if (rc == 0)
        rc = add(c, b.p, e);
    if (rc == 0)
        rc = cli_push(&c->said, c->sp.end, e);
    if (rc == 0)
        rc = add(c, "\n", e);
    if (rc == 0)
        rc = cli_push(&c->said, c->sp.assistant, e);
    if (rc == 0)
        rc = add(c, "\n", e);
    buf_release(&b);
    return rc;
}

static int add_turn(struct chat *c, const char *line, struct err *e)
{
    struct buf b = {0};
    int rc = c->said.n == 0 && c->sp.bos >= 0 ? cli_push(&c->said, c->sp.bos, e) : 0;
    if (rc != 0 || c->form == CHAT)
        return rc != 0 ? rc : add_chat(c, line, e);
    bool ko = has_hangul(line);
    rc = c->form == PLAIN ? buf_adds(&b, line, e)
                          : buf_printf(&b, e, "%s%s\n%s", ko ? "문제: " : "Question: ", line, ko ? "답:" : "Answer:");
    if (rc == 0)
        rc = add(c, b.p, e);
    buf_release(&b);
    return rc;
}

/* What stands between an answer and the next turn. */
static int end_turn(struct chat *c, const struct gen_result *r, struct err *e)
{
    for (size_t i = 0; i < r->tokens.n; i++) {
        int rc = cli_push(&c->said, r->tokens.v[i], e);
        if (rc != 0)
            return rc;
    }
    /* A stop string's tokens are already among them. */
    if (c->form != CHAT)
        return r->stop == GEN_STOP_STRING ? 0 : add(c, "\n", e);
    int rc = cli_push(&c->said, c->sp.end, e);
    return rc == 0 ? add(c, "\n", e) : rc;
}

static void reset(struct chat *c)
{
    session_reset(c->s, 0);
    c->said.n = 0;
    c->system_told = false;
}

static int answer(struct chat *c, const char *line, struct err *e)
{
    struct gen_result r = {0};
    size_t before = c->said.n;
    bool told = c->system_told;
    int rc = add_turn(c, line, e), room = session_max_pos(c->s);
    if (rc == 0 && c->said.n >= (size_t)room && before > 0) {
        log_line("(the context of %d tokens is full: what was said before is forgotten)", room);
        reset(c);
        before = 0;
        told = false;
        rc = add_turn(c, line, e);
    }
    if (rc == 0 && c->said.n >= (size_t)room)
        rc = err_set(e, ERR_LIMIT, "the line has %zu tokens, the context holds %d", c->said.n, room);
    double t0 = clock_seconds();
    int have = session_len(c->s);
    if (rc == 0) {
        catch_interrupt(true);
        rc = generate(c->s, c->said.v + have, (int)c->said.n - have, &c->o, &r, e);
        catch_interrupt(c->tty);
    }
    if (rc == 0)
        rc = c->json ? cli_print_result(&r, c->c.m, clock_seconds() - t0, e) : (putchar('\n'), fflush(stdout), 0);
    if (rc == 0)
        rc = end_turn(c, &r, e);
    if (rc != 0) { /* as if it had not been said */
        if (session_len(c->s) > (int)before)
            session_reset(c->s, (int)before);
        c->said.n = before;
        c->system_told = told;
    }
    gen_result_release(&r);
    return rc;
}

/* ---- lines ---- */

static const char help_text[] = "/reset  forget what was said\n/help   this\n/quit   leave (or Ctrl-D); Ctrl-C stops "
                                "an answer and empties a line";

/* `line` ends with a NUL.  1: go on; 0: leave; negative: error that ends the program. */
static int one_line(struct chat *c, char *line, size_t n, bool tty, struct err *e)
{
    char name[48];
    snprintf(name, sizeof name, "standard input: line %llu", (unsigned long long)++c->lines);
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        line[--n] = 0;
    if (n == 0)
        return 1;
    if (strcmp(line, "/quit") == 0 || strcmp(line, "/exit") == 0)
        return 0;
    if (strcmp(line, "/reset") == 0) {
        reset(c);
        if (tty)
            puts("(forgotten)");
        return 1;
    }
    if (strcmp(line, "/help") == 0) {
        fprintf(c->json ? stderr : stdout, "%s\n", help_text);
        return 1;
    }
    /* A mistyped command; a path or a sentence has more to it than letters. */
    if (tty && line[0] == '/' && n > 1 && strspn(line + 1, "abcdefghijklmnopqrstuvwxyz") == n - 1) {
        log_line("unknown command %s; /help lists them", line);
        return 1;
    }
    int rc = uc_check(name, line, n, e);
    if (rc == 0)
        rc = answer(c, line, e);
    if (c->out_failed)
        return err_set(e, ERR_IO, "standard output: not everything could be written");
    if (rc == 0)
        return 1;
    if (!tty || rc == ERR_NOMEM)
        return rc;
    log_line("%s", e->msg);
    *e = (struct err){0};
    return 1;
}

static int talk_pipe(struct chat *c, struct err *e)
{
    char *line = NULL;
    size_t cap = 0;
    int go = 1;
    for (ssize_t n; go > 0 && (n = getline(&line, &cap, stdin)) >= 0;)
        go = one_line(c, line, (size_t)n, false, e);
    free(line);
    return go < 0 ? go : 0;
}

static char *prompt(EditLine *el)
{
    static char text[] = "> ";
    (void)el;
    return text;
}

/* Ctrl-C at the prompt empties the line: pressed for an answer that has just ended, it must not lose the talk. */
static unsigned char empty_line(EditLine *el, int key)
{
    const LineInfoW *l = el_wline(el);
    int n = (int)(l->lastchar - l->buffer);
    (void)key;
    if (n == 0)
        fputs("\n(Ctrl-D leaves)\n", stdout);
    el_cursor(el, (int)(l->lastchar - l->cursor));
    el_deletestr(el, n);
    return n == 0 ? CC_REDISPLAY : CC_REFRESH;
}

static int talk_tty(struct chat *c, struct err *e)
{
    HistEvent ev;
    EditLine *el = el_init("dokja", stdin, stdout, stderr);
    History *h = history_init();
    if (!el || !h) {
        if (el)
            el_end(el);
        return talk_pipe(c, e);
    }
    history(h, &ev, H_SETSIZE, HISTORY);
    history(h, &ev, H_SETUNIQUE, 1);
    el_set(el, EL_PROMPT, prompt);
    el_set(el, EL_EDITOR, "emacs");
    el_set(el, EL_SIGNAL, 1); /* restores the terminal when a signal ends the program */
    el_set(el, EL_HIST, history, h);
    el_set(el, EL_SETTY, "-d", "-intr", "intr=", NULL); /* a key like others while a line is edited, not a signal */
    el_set(el, EL_ADDFN, "empty-line", "empties the line", empty_line);
    el_set(el, EL_BIND, "^C", "empty-line", NULL);
    el_source(el, NULL);
    c->tty = true;
    catch_interrupt(true); /* keys typed ahead reach the terminal before a line is edited */
    puts("/help lists the commands.");
    int go = 1, n;
    const char *got;
    while (go > 0 && (got = el_gets(el, &n)) && n > 0) {
        char *line = mem_strdup(got);
        if (!line) {
            go = err_set(e, ERR_NOMEM, "no memory for a line of %d bytes", n);
            break;
        }
        if (line[0] != '\n')
            history(h, &ev, H_ENTER, got);
        go = one_line(c, line, strlen(line), true, e);
        mem_free(line);
    }
    history_end(h);
    el_end(el);
    return go < 0 ? go : 0;
}

/* Line editing needs a character type; any UTF-8 locale has the same. */
static void use_utf8(void)
{
    const char *l = setlocale(LC_CTYPE, "");
    if (!l || MB_CUR_MAX < 4)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static int start(struct chat *c, struct err *e)
{
    int rc = cli_model_open(&c->c, c->model, (int)c->threads, e);
    if (rc != 0)
        return rc;
    c->tok = infer_model_tokenizer(c->c.m);
    c->sp = tokenizer_special(c->tok);
    int most = infer_model_config(c->c.m)->max_pos;
    if (c->context > most)
        return err_set(e, ERR_USAGE, "--context %lld is longer than the model's %d positions", (long long)c->context,
                       most);
    int context = c->context > 0 ? (int)c->context : most < DEFAULT_CONTEXT ? most : DEFAULT_CONTEXT;
    rc = choose_form(c, e);
    if (rc == 0)
        rc = sample_opts(&c->o, &c->args, e);
    if (rc != 0)
        return rc;
    c->o.on_text = on_text;
    c->o.user = c;
    c->o.stop_token = c->form == CHAT ? c->sp.end : -1;
    return session_new(&c->s, c->c.m, context, PREFILL_ROWS, e);
}

int cmd_chat(int argc, char **argv, struct err *e)
{
    struct chat c = {.form_name = "auto", .args = sample_args_default()};
    const struct opt opts[] = {
        {"model", 'm', OPT_STR, &c.model, "MODEL", "a run or model folder", 0, 0, NULL},
        {"form", 'f', OPT_STR, &c.form_name, "FORM",
         "chat (the tokenizer's template), qa (question and answer, one line), plain (goes on writing); auto: chat "
         "for tuned models, else qa", 0, 0, NULL},
        {"system", 0, OPT_STR, &c.system, "TEXT", "instruction before the first turn, with --form chat", 0, 0, NULL},
        {"context", 0, OPT_INT, &c.context, "N", "tokens remembered (the model's, at most 4096)", 2, 1 << 24, NULL},
        SAMPLE_OPTS(c.args),
        {"threads", 0, OPT_INT, &c.threads, "N", "threads (OMP_NUM_THREADS or all cores)", 1, 1024, NULL},
        {"json", 0, OPT_FLAG, &c.json, NULL, "one JSON document an answer", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja chat -m MODEL [options]",
                                  "Talks with a model. In a pipe it reads lines and answers each with one; on a "
                                  "terminal lines can be edited, /reset forgets, /help helps, /quit leaves.",
                                  opts, 0, 0};
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    if (!c.model)
        return err_set(e, ERR_USAGE, "-m MODEL is missing: a run or model folder");
    use_utf8();
    rc = start(&c, e);
    /* An answer in the textbook's form is one line. */
    if (c.form == QA && c.args.stop.n == 0) {
        c.args.stop.v[0] = "\n";
        c.args.stop.n = 1;
        c.o.n_stop = 1;
    }
    if (rc == 0)
        rc = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !c.json ? talk_tty(&c, e) : talk_pipe(&c, e);
    session_free(c.s);
    token_vec_release(&c.said);
    cli_model_close(&c.c);
    return rc;
}
