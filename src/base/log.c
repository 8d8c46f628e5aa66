#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codepoint.h"

/* Seconds between two progress lines: quick enough to live on a screen, slow enough for a file. */
#define EVERY_TTY 0.1
#define EVERY_PIPE 5.0

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool quiet;
static char line[1024];   /* the last progress line */
static bool shown;        /* …is what stderr shows now (terminal) or has printed (pipe) */
static double last_time = -1e9;

bool log_is_tty(void)
{
    static int tty = -1; /* every thread would find the same */
    int t = __atomic_load_n(&tty, __ATOMIC_RELAXED);
    if (t < 0) {
        const char *term = getenv("TERM");
        t = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
        __atomic_store_n(&tty, t, __ATOMIC_RELAXED);
    }
    return t;
}

void log_quiet(bool on) { quiet = on; }

static size_t columns(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1) return w.ws_col;
    return 80;
}

/* Bytes of the line that fit.  A longer one ends with a whole part of it, for half a figure reads like another one;
 * and at a character where it has no parts. */
static size_t fitting(size_t room)
{
    size_t all = strlen(line), n = text_cut(line, all, room);
    if (n == all) return n;
    for (size_t i = n; i > 0; i--)
        if (!strncmp(line + i, " · ", strlen(" · ")) || !strncmp(line + i, ", ", 2)) return i;
    return n;
}

/* The last column stays empty: a character there makes some terminals wrap.  And two before it: the terminal writes
 * "^C" where the cursor stands, and what it breaks over into the next row could not be cleared. */
static size_t room(void)
{
    enum { KEPT = 3 };
    size_t w = columns();
    return w > KEPT ? w - KEPT : 1;
}

static void draw(void)
{
    fprintf(stderr, "\r%.*s\033[K", (int)fitting(room()), line);
    fflush(stderr);
}

/* A file gets the whole line; a terminal that cannot rewrite it what fits. */
static void print(void)
{
    size_t n = isatty(STDERR_FILENO) ? fitting(room()) : strlen(line);
    fprintf(stderr, "%.*s\n", (int)n, line);
}

void log_line(const char *fmt, ...)
{
    if (quiet) return;
    va_list ap;
    va_start(ap, fmt);
    pthread_mutex_lock(&lock);
    bool again = shown && log_is_tty();
    if (again) fputs("\r\033[K", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    if (again) draw();
    pthread_mutex_unlock(&lock);
    va_end(ap);
}

static void progress(bool now, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
static void progress(bool now, const char *fmt, va_list ap)
{
    if (quiet) return;
    pthread_mutex_lock(&lock);
    double t = clock_seconds();
    vsnprintf(line, sizeof line, fmt, ap);
    bool due = now || t - last_time >= (log_is_tty() ? EVERY_TTY : EVERY_PIPE);
    if (due) {
        last_time = t;
        if (log_is_tty()) draw();
        else print();
    }
    shown = due || (shown && log_is_tty());
    pthread_mutex_unlock(&lock);
}

void log_progress(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    progress(false, fmt, ap);
    va_end(ap);
}

void log_progress_now(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    progress(true, fmt, ap);
    va_end(ap);
}

void log_progress_end(void)
{
    if (quiet) return;
    pthread_mutex_lock(&lock);
    if (line[0]) {
        if (log_is_tty()) draw(), fputc('\n', stderr);
        else if (!shown) print();
    }
    line[0] = 0;
    shown = false;
    last_time = -1e9;
    pthread_mutex_unlock(&lock);
}

static sig_atomic_t stop_asked;
static char stop_text[2][256];    /* one is what the handler may be writing, the other is free */
static const char *stop_sentence; /* one of them, or NULL */

static void on_stop(int sig)
{
    int saved = errno;
    (void)sig;
    __atomic_store_n(&stop_asked, 1, __ATOMIC_SEQ_CST); /* before the sentence is looked at, which stays then */
    signal(SIGINT, SIG_DFL); /* the next one ends the program */
    signal(SIGTERM, SIG_DFL);
    const char *s = __atomic_load_n(&stop_sentence, __ATOMIC_SEQ_CST);
    ssize_t n = s ? write(STDERR_FILENO, s, strlen(s)) : 0;
    (void)n;
    errno = saved;
}

/* The handler may run in any thread between any two lines here.  It writes the sentence that it finds, and that one is
 * overwritten only after another was published and no signal had come by then: never under the handler's eyes. */
void log_stop_sentence(const char *fmt, ...)
{
    if (log_stop_asked()) return;
    char *s = stop_text[__atomic_load_n(&stop_sentence, __ATOMIC_SEQ_CST) == stop_text[0]];
    int head = log_is_tty() ? snprintf(s, sizeof stop_text[0], "\r\033[K") : 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s + head, sizeof stop_text[0] - 1 - (size_t)head, fmt, ap);
    va_end(ap);
    strcat(s, "\n");
    if (quiet) s[0] = 0;
    __atomic_store_n(&stop_sentence, s, __ATOMIC_SEQ_CST);
}

void log_catch_stop(void)
{
    struct sigaction a = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    sigemptyset(&a.sa_mask);
    __atomic_store_n(&stop_asked, 0, __ATOMIC_SEQ_CST);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

bool log_stop_asked(void) { return __atomic_load_n(&stop_asked, __ATOMIC_SEQ_CST) != 0; }
