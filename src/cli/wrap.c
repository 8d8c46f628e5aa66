#include "cli/wrap.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/codepoint.h"
#include "base/log.h"

enum { LEAST = 40, LEAST_TABLE = 80, MOST_TEXT = 8000, MOST_LEFT = 64 };

static size_t columns_of(int fd)
{
    struct winsize w;
    if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &w) != 0 || w.ws_col < 2)
        return 0;
    return w.ws_col > LEAST ? w.ws_col : LEAST;
}

size_t wrap_columns(void)
{
    size_t w = columns_of(STDOUT_FILENO);
    return w > 0 && w < LEAST_TABLE ? LEAST_TABLE : w;
}

void wrap_plain(FILE *f, const char *s)
{
    for (; *s; s++)
        putc((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s, f);
}

int wrap_bytes(const char *s, int columns)
{
    size_t n = strlen(s);
    return columns + (int)(n - text_width(s, n));
}

static void to_stdout(const char *row) { puts(row); }
static void to_log(const char *row) { log_line("%s", row); }

static void wrap(const char *s, size_t left, size_t columns, void (*put)(const char *row))
{
    char row[MOST_TEXT + MOST_LEFT];
    size_t at = 0, end = 0;   /* columns and bytes of the row so far */
    assert(left < MOST_LEFT);
    while (*s) {
        size_t blanks = strspn(s, " "), n = strcspn(s + blanks, " "), w = text_width(s + blanks, n);
        if (at > 0 && n > 0 && at + blanks + w > columns) {
            row[end] = 0;
            put(row);
            at = end = left + w <= columns ? left : w < columns ? columns - w : 0;
            memset(row, ' ', end);
        } else {
            memcpy(row + end, s, blanks);
            at += blanks;
            end += blanks;
        }
        memcpy(row + end, s + blanks, n);
        at += w;
        end += n;
        s += blanks + n;
    }
    row[end] = 0;
    put(row);
}

static void line(int fd, size_t left, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);
static void line(int fd, size_t left, const char *fmt, va_list ap)
{
    char text[MOST_TEXT];
    size_t columns = columns_of(fd);
    vsnprintf(text, sizeof text, fmt, ap);
    wrap(text, left, columns ? columns : SIZE_MAX, fd == STDOUT_FILENO ? to_stdout : to_log);
}

void wrap_line(size_t left, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line(STDOUT_FILENO, left, fmt, ap);
    va_end(ap);
}

void wrap_log(size_t left, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line(STDERR_FILENO, left, fmt, ap);
    va_end(ap);
}
