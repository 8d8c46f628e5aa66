/* The page of `dokja ledger`: what a run's ledger says, what was checked of it, what that proves. */
#ifndef DK_CLI_LEDGER_PAGE_H
#define DK_CLI_LEDGER_PAGE_H

#include "cli/ledger_show.h"
#include "ui/html.h"

/* r: what was replayed just now, or NULL. */
void ledger_page(struct html *h, const char *run, const struct logbook *b, const struct audit *a,
                 const struct replayed *r);

#endif
