#include "cli/print_json.h"

#include <stdio.h>

struct text {
    struct buf b;
    int rc;
};

/* jansson passes over what is refused here within a string, so it is kept. */
static int add(const char *p, size_t n, void *user)
{
    struct text *t = user;
    if (t->rc == 0)
        t->rc = buf_add(&t->b, p, n, NULL);
    return t->rc;
}

int cli_print_json(json_t *v, size_t flags, struct err *e)
{
    struct text t = {0};
    bool whole = v && json_dump_callback(v, add, &t, JSON_COMPACT | flags) == 0 && t.rc == 0;
    if (whole)
        puts(t.b.p);
    buf_release(&t.b);
    json_decref(v);
    return whole ? 0 : err_set(e, ERR_NOMEM, "out of memory for the result");
}
