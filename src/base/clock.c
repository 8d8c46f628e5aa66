#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void clock_utc(char out[CLOCK_UTC])
{
    struct tm t;
    time_t now = time(NULL);
    gmtime_r(&now, &t);
    strftime(out, CLOCK_UTC, "%Y-%m-%dT%H:%M:%SZ", &t);
}

double clock_utc_read(const char *s)
{
    struct tm t = {0};
    const char *end = strptime(s, "%Y-%m-%dT%H:%M:%SZ", &t);
    return end && !*end ? (double)timegm(&t) : (double)NAN;
}

void clock_human(char out[16], double seconds)
{
    if (!(seconds >= 0 && seconds < 86400.0 * 99999)) {
        memcpy(out, "?", 2);
        return;
    }
    unsigned s = (unsigned)(seconds < 86400 ? seconds + 0.5 : 0), days = (unsigned)(seconds / 86400);
    if (days || s >= 86400)
        snprintf(out, 16, "%ud %02uh", days ? days : 1, days ? (unsigned)(seconds / 3600) % 24 : 0);
    else if (s >= 3600) snprintf(out, 16, "%uh %02um", s / 3600, s / 60 % 60);
    else if (s >= 60) snprintf(out, 16, "%um %02us", s / 60, s % 60);
    else snprintf(out, 16, "%us", s);
}
