/* A command's result for machines. */
#ifndef DK_CLI_PRINT_JSON_H
#define DK_CLI_PRINT_JSON_H

#include "base/json.h"

/* A line on stdout, whole or, where memory is short, not at all: ERR_NOMEM.  Takes v; NULL: it could not be made.
 * flags: jansson's, besides JSON_COMPACT. */
int cli_print_json(json_t *v, size_t flags, struct err *e) MUST_CHECK;

#endif
