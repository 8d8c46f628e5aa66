/* Errors that come from input or the environment.
 *
 * A fallible function takes `struct err *e` as its last parameter, returns a
 * negative code and leaves one sentence that names the file, the field or
 * tensor, what was found and what was expected.  The caller decides what to do
 * with it; library code never prints and never exits.  `e` may be NULL.
 * Bugs are asserted instead. */
#ifndef DK_BASE_ERR_H
#define DK_BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum err_code {
    ERR_OK = 0,
    ERR_IO = -1,       /* open, read, write, rename: the message has strerror */
    ERR_FORMAT = -2,   /* the bytes are not what the format says */
    ERR_LIMIT = -3,    /* a count or size beyond what is accepted */
    ERR_NOMEM = -4,
    ERR_VALUE = -5,    /* a value that is well formed but makes no sense here */
    ERR_NUMERIC = -6,  /* NaN in a tensor */
    ERR_STOPPED = -7,  /* interrupted by the user; state was saved */
    ERR_USAGE = -8,    /* wrong options, exit 2: only from cli/ and what resolves its requests (train/recipe.h) */
    ERR_SIGNATURE = -9 /* well formed, but not signed by the key that was asked for */
};

struct err {
    int code;
    char msg[512];
};

/* Formats the sentence (cut at whole UTF-8 characters) and returns `code`. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the sentence already there; returns e->code. */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
