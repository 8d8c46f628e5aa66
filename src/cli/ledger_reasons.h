/* The reasons that `dokja ledger verify` gives, in Korean, for the page. */
#ifndef DK_CLI_LEDGER_REASONS_H
#define DK_CLI_LEDGER_REASONS_H

#include <stdbool.h>
#include <stddef.h>

/* False where the reason is none of train/audit's own sentences: an error that some file gave, in English alone. */
bool ledger_reason_ko(char *ko, size_t size, const char *reason);

#endif
