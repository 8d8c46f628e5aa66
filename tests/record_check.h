/* The record scanner beside the full parser: what it takes, the parser takes, with the same strings in it; what it
 * leaves is untouched. */
#ifndef DK_TESTS_RECORD_CHECK_H
#define DK_TESTS_RECORD_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "formats/longint.h"
#include "formats/record.h"

enum record_outcome { RECORD_LEFT, RECORD_TAKEN, RECORD_DIFFERS };

static inline bool record_same(const json_t *full, const char *key, const char *s, size_t n)
{
    const json_t *v = json_object_get(full, key);
    size_t len = json_is_string(v) ? json_string_length(v) : 0;
    return len == n && (n == 0 || memcmp(json_string_value(v), s, n) == 0) && s[n] == 0;
}

/* The id as the full parser reads it: a string, or the digits of an integer. */
static inline bool record_same_id(const json_t *full, const char *line, size_t n, const char *id)
{
    const json_t *v = json_object_get(full, "id");
    size_t len;
    char text[32];
    if (!json_is_integer(v)) return record_same(full, "id", id, strlen(id));
    const char *digits = longint_find(line, n, json_integer_value(v), &len);
    if (digits) return strlen(id) == len && memcmp(id, digits, len) == 0;
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
    return strcmp(id, text) == 0;
}

static inline int record_full(json_t **full, const char *line, size_t n)
{
    struct buf hidden = {0};
    struct err e;
    int rc = longint_hide(&hidden, line, n, &e);
    if (rc == 0) rc = json_parse(full, hidden.len ? hidden.p : line, n, "full", &e);
    buf_release(&hidden);
    return rc;
}

static inline enum record_outcome record_check(const char *line, size_t n)
{
    struct record r = {0};
    json_t *full = NULL;
    char *copy = malloc(n + 1);
    if (!copy) abort();
    if (n) memcpy(copy, line, n);
    copy[n] = 0;
    enum record_outcome out = RECORD_DIFFERS;
    if (!record_scan(&r, copy, n)) {
        if (n == 0 || memcmp(copy, line, n) == 0) out = RECORD_LEFT;
    } else if (record_full(&full, line, n) == 0 && json_is_string(json_object_get(full, "text"))) {
        if (record_same(full, "text", r.text, r.n) && record_same_id(full, line, n, r.id) &&
            record_same(full, "source", r.source, strlen(r.source)) &&
            record_same(full, "license", r.license, strlen(r.license)) &&
            record_same(full, "lang", r.lang, strlen(r.lang)))
            out = RECORD_TAKEN;
    }
    json_decref(full);
    free(copy);
    return out;
}

#endif
