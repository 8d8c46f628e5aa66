#include "cli/wrap.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/codepoint.h"

enum { LEAST = 80, MOST_TEXT = 2000 };

size_t wrap_columns(void)
{
    struct winsize w;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col < 2)
        return 0;
    return w.ws_col > LEAST ? w.ws_col : LEAST;
}

int wrap_bytes(const char *s, int columns)
{
    size_t n = strlen(s);
    return columns + (int)(n - text_width(s, n));
}

static void wrap(const char *s, size_t left, size_t columns)
{
    size_t at = 0;
    while (*s) {
        size_t blanks = strspn(s, " "), n = strcspn(s + blanks, " "), w = text_width(s + blanks, n);
        if (at > 0 && n > 0 && at + blanks + w > columns) {
            at = left + w <= columns ? left : w < columns ? columns - w : 0;
            printf("\n%*s%.*s", (int)at, "", (int)n, s + blanks);
        } else {
            at += blanks;
            printf("%.*s", (int)(blanks + n), s);
        }
        at += w;
        s += blanks + n;
    }
    putchar('\n');
}

void wrap_line(size_t left, const char *fmt, ...)
{
    char text[MOST_TEXT];
    size_t columns = wrap_columns();
    va_list ap;
    va_start(ap, fmt);
    if (columns)
        vsnprintf(text, sizeof text, fmt, ap);
    else
        vprintf(fmt, ap);
    va_end(ap);
    if (columns)
        wrap(text, left, columns);
    else
        putchar('\n');
}
