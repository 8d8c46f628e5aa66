/* Messages and progress on stderr, results on stdout.
 *
 * On a terminal a progress line is rewritten in place and never wider than the screen (East Asian width counted, 80
 * columns where it does not tell): of one that is, parts between " · " or ", " are left out from the end, so what
 * matters most comes first.  In a pipe it is a plain line at most every few seconds. */
#ifndef DK_BASE_LOG_H
#define DK_BASE_LOG_H

#include <stdbool.h>

#include "base/err.h"

void log_quiet(bool on);
void log_line(const char *fmt, ...) PRINTF_LIKE(1, 2);   /* a whole line; clears a progress line first */
void log_progress(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_progress_now(const char *fmt, ...) PRINTF_LIKE(1, 2); /* not rate-limited in a pipe */
void log_progress_end(void);                              /* leaves the last line standing */
bool log_is_tty(void);

/* SIGINT and SIGTERM ask for a clean stop; the second one ends the program at once. */
void log_catch_stop(void);
/* What the first one says at once, however long the work under way takes: written by the signal's handler, and replaced
 * by the next sentence until a signal came.  For one thread at a time; none while log_quiet. */
void log_stop_sentence(const char *fmt, ...) PRINTF_LIKE(1, 2);
bool log_stop_asked(void);

#endif
