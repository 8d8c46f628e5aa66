/* What really arrives on a terminal and in a pipe, seen from the other end of it. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "base/log.h"

static const char *term = "xterm";

/* Runs `talk` in a child with stderr on `fd` and collects what it says at `from`. */
static void collect(char *out, size_t cap, int fd, int from, void (*talk)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("TERM", term, 1);
        dup2(fd, 2);
        close(from);
        close(fd);
        talk();
        fflush(NULL);
        _exit(0);
    }
    close(fd);
    size_t n = 0;
    for (ssize_t k; (k = read(from, out + n, cap - 1 - n)) > 0;) n += (size_t)k;
    out[n] = 0;
    close(from);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void in_pipe(char *out, size_t cap, void (*talk)(void))
{
    int p[2];
    assert_int_equal(pipe(p), 0);
    collect(out, cap, p[1], p[0], talk);
}

static void on_terminal(char *out, size_t cap, unsigned short columns, void (*talk)(void))
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0) skip();
    assert_int_equal(grantpt(master) | unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    struct winsize w = {.ws_row = 25, .ws_col = columns};
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &w), 0);
    collect(out, cap, slave, master, talk);
}

static void talk_progress(void)
{
    for (int i = 1; i <= 100; i++) log_progress("step %d", i);
    log_progress_end();
    log_line("done %d", 1);
}

static void talk_wide(void)
{
    log_progress_now("진행 상황 %d/10 매우 긴 줄입니다", 3);
    log_line("알림");
    log_progress_end();
}

static void talk_quiet(void)
{
    log_quiet(true);
    talk_progress();
    log_progress_now("x");
    log_quiet(false);
    log_line("end");
}

static void pipe_gets_few_plain_lines(void **state)
{
    (void)state;
    char out[4096];
    in_pipe(out, sizeof out, talk_progress);
    /* The first at once, the last because it must stand. */
    assert_string_equal(out, "step 1\nstep 100\ndone 1\n");
    in_pipe(out, sizeof out, talk_wide);
    assert_string_equal(out, "진행 상황 3/10 매우 긴 줄입니다\n알림\n");
}

static void terminal_line_is_rewritten(void **state)
{
    (void)state;
    char out[4096];
    on_terminal(out, sizeof out, 80, talk_progress);
    assert_string_equal(out, "\rstep 1\033[K\rstep 100\033[K\r\ndone 1\r\n");
}

static void terminal_line_fits_wide_characters(void **state)
{
    (void)state;
    char out[4096];
    on_terminal(out, sizeof out, 14, talk_wide);
    /* Cut at 11 columns: four wide characters, a blank each and a digit; the last three stay empty. */
    const char *cut = "\r진행 상황 3\033[K";
    char want[200];
    snprintf(want, sizeof want, "%s\r\033[K알림\r\n%s%s\r\n", cut, cut, cut);
    assert_string_equal(out, want);
}

static void talk_parts(void)
{
    log_progress_now("단계 1/2 · 손실 2.5 · 3 tok/s");
    log_progress_end();
}

static void terminal_line_ends_with_a_whole_part(void **state)
{
    (void)state;
    char out[4096];
    /* 29 columns, 19 without the last part, 8 without both; three stay empty. */
    const struct {
        unsigned short columns;
        const char *want;
    } row[] = {{32, "단계 1/2 · 손실 2.5 · 3 tok/s"}, {31, "단계 1/2 · 손실 2.5"}, {22, "단계 1/2 · 손실 2.5"}, {21, "단계 1/2"},
               {11, "단계 1/2"}, {10, "단계 1/"}, {2, ""}, {0, "단계 1/2 · 손실 2.5 · 3 tok/s"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char want[200];
        snprintf(want, sizeof want, "\r%s\033[K\r%s\033[K\r\n", row[i].want, row[i].want);
        on_terminal(out, sizeof out, row[i].columns, talk_parts);
        assert_string_equal(out, want);
        snprintf(want, sizeof want, "%s\r\n", row[i].want);
        term = "dumb";
        on_terminal(out, sizeof out, row[i].columns, talk_parts);
        term = "xterm";
        assert_string_equal(out, want);
    }
    in_pipe(out, sizeof out, talk_parts);
    assert_string_equal(out, "단계 1/2 · 손실 2.5 · 3 tok/s\n");
}

static void quiet_is_quiet(void **state)
{
    (void)state;
    char out[4096];
    in_pipe(out, sizeof out, talk_quiet);
    assert_string_equal(out, "end\n");
}

static void first_signal_asks_second_ends(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        log_catch_stop();
        if (log_stop_asked()) _exit(1);
        raise(SIGINT);
        if (!log_stop_asked()) _exit(2);
        raise(SIGTERM);
        _exit(3);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void talk_stop(void)
{
    log_stop_sentence("stopping at step %d", 1);
    log_catch_stop();
    log_stop_sentence("stopping at step %d", 2);
    log_stop_sentence("stopping at step %d", 3);
    log_progress("step %d", 2);
    raise(SIGINT);
    log_stop_sentence("stopping at step %d", 4);
    log_line("saved");
    log_progress_end();
}

static void talk_stop_quiet(void)
{
    log_quiet(true);
    log_stop_sentence("stopping");
    log_catch_stop();
    raise(SIGTERM);
    log_quiet(false);
    log_line("%s", log_stop_asked() ? "asked" : "not asked");
}

/* The sentence that stood when the signal came, at once and once, on a line of its own. */
static void first_signal_says_its_sentence(void **state)
{
    (void)state;
    char out[4096];
    in_pipe(out, sizeof out, talk_stop);
    assert_string_equal(out, "step 2\nstopping at step 3\nsaved\n");
    on_terminal(out, sizeof out, 80, talk_stop);
    assert_string_equal(out, "\rstep 2\033[K\r\033[Kstopping at step 3\r\n\r\033[Ksaved\r\n\rstep 2\033[K"
                             "\rstep 2\033[K\r\n");
    in_pipe(out, sizeof out, talk_stop_quiet);
    assert_string_equal(out, "asked\n");
}

static void talk_stop_long(void)
{
    log_stop_sentence("%0300d", 7);
    log_catch_stop();
    raise(SIGINT);
}

static void long_sentence_is_cut(void **state)
{
    (void)state;
    char out[4096];
    in_pipe(out, sizeof out, talk_stop_long);
    size_t n = strlen(out);
    assert_true(n > 200 && n < 300 && strchr(out, '\n') == out + n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipe_gets_few_plain_lines),          cmocka_unit_test(terminal_line_is_rewritten),
        cmocka_unit_test(terminal_line_fits_wide_characters), cmocka_unit_test(terminal_line_ends_with_a_whole_part),
        cmocka_unit_test(quiet_is_quiet),
        cmocka_unit_test(first_signal_asks_second_ends),      cmocka_unit_test(first_signal_says_its_sentence),
        cmocka_unit_test(long_sentence_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
