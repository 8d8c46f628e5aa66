/* Lines for people that fit the terminal they are shown on. */
#ifndef DK_CLI_WRAP_H
#define DK_CLI_WRAP_H

#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

/* Columns for a table on the terminal that stdout is, 80 at least; 0 where it is a file or a pipe. */
size_t wrap_columns(void);
/* The width for printf's "%-*s", which counts bytes, that makes s so many columns wide. */
int wrap_bytes(const char *s, int columns);
/* Foreign text, a name above all: its control characters are shown as '?', so that they neither begin another line nor
 * move the cursor. */
void wrap_plain(FILE *f, const char *s);
/* Prints the text and ends the line; one that is wider than the terminal (or than 40 columns, where it has fewer) goes
 * on at a blank, below column `left`; in a file or a pipe it stays whole.  A
 * word that has no room there begins further left, so that nothing is cut that fits a line. */
void wrap_line(size_t left, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same on stderr, for messages (base/log.h). */
void wrap_log(size_t left, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
