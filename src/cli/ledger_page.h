/* The page of `dokja ledger`: what a run's ledger says, what was checked of it, what that proves. */
#ifndef DK_CLI_LEDGER_PAGE_H
#define DK_CLI_LEDGER_PAGE_H

#include "base/json.h"
#include "cli/ledger_show.h"
#include "ui/html.h"

/* What a page begins with, for cli_may_write. */
#define LEDGER_PAGE_TITLE "The ledger of a run"
#define LEDGER_PAGE_MARK "<title>" LEDGER_PAGE_TITLE

struct ledger_page {
    const char *run;
    const struct logbook *book;
    const struct audit *audit;
    const struct replayed *replayed;   /* just now, or NULL */
    const json_t *manifest;            /* of the corpus, or NULL */
};
void ledger_page(struct html *h, const struct ledger_page *p);

#endif
