/* What this program was built from. */
#ifndef DK_BASE_BUILD_H
#define DK_BASE_BUILD_H

/* SHA-256, 64 hex digits, of the output of `sha256sum` over Makefile and the .c, .h and .html files below include/ and
 * src/, in the order of their paths' bytes: `make source-digest` prints it. */
const char *build_source(void);
const char *build_compiler(void);   /* "gcc 12.2.0" */

#endif
