/* What folders of text hold beside text is said, whichever command reads them. */
#ifndef DK_CLI_NOT_READ_H
#define DK_CLI_NOT_READ_H

#include "data/sources.h"

/* A line on stderr for each kind, with the first of it; returns how many there are of all kinds. */
uint64_t not_read_say(const struct asides *a);

#endif
