/* Monotonic time for progress, benchmarks and --minutes. Never used for a result. */
#ifndef DK_BASE_CLOCK_H
#define DK_BASE_CLOCK_H

double clock_seconds(void);

/* "1h 02m", "3m 20s", "12s" into out. */
void clock_human(char out[16], double seconds);

#endif
