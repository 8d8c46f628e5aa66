/* Time for progress, benchmarks, --minutes and records. Never used for a result. */
#ifndef DK_BASE_CLOCK_H
#define DK_BASE_CLOCK_H

double clock_seconds(void);   /* monotonic */

/* "1h 02m", "3m 20s", "12s" into out. */
void clock_human(char out[16], double seconds);

/* The calendar's time, "2026-01-31T23:59:59Z", for people to read. */
enum { CLOCK_UTC = 24 };
void clock_utc(char out[CLOCK_UTC]);
/* Seconds since 1970 of such a text; NaN: it is none. */
double clock_utc_read(const char *s);

#endif
