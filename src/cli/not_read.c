#include "cli/not_read.h"

#include <inttypes.h>

#include "base/log.h"

/* Whose texts are all .hwp or .pdf should hear of it. */
uint64_t not_read_say(const struct asides *a)
{
    static const char *const what[N_ASIDES] = {
        [ASIDE_KIND] = "no .txt, .md or .jsonl (plain, .gz, .zst)",
        [ASIDE_LINK] = "links or special files",
        [ASIDE_HIDDEN] = "hidden, their names begin with a dot",
        [ASIDE_OUT] = "what this command writes"};
    uint64_t n = 0;
    for (int i = 0; i < N_ASIDES; i++) {
        n += a->of[i].n;
        if (a->of[i].n > 0)
            log_line("not read, being %s: %" PRIu64 ", the first %s", what[i], a->of[i].n, a->of[i].first);
    }
    return n;
}
