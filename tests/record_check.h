/* The record scanner beside the full parser: what it takes, the parser takes, with the same strings in it; what it
 * leaves is untouched. */
#ifndef DK_TESTS_RECORD_CHECK_H
#define DK_TESTS_RECORD_CHECK_H

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "formats/record.h"

enum record_outcome { RECORD_LEFT, RECORD_TAKEN, RECORD_DIFFERS };

static inline bool record_same(const json_t *full, const char *key, const char *s, size_t n)
{
    const json_t *v = json_object_get(full, key);
    size_t len = json_is_string(v) ? json_string_length(v) : 0;
    return len == n && (n == 0 || memcmp(json_string_value(v), s, n) == 0) && s[n] == 0;
}

static inline enum record_outcome record_check(const char *line, size_t n)
{
    struct record r = {0};
    struct err e;
    json_t *full = NULL;
    char *copy = malloc(n + 1);
    if (!copy) abort();
    if (n) memcpy(copy, line, n);
    copy[n] = 0;
    enum record_outcome out = RECORD_DIFFERS;
    if (!record_scan(&r, copy, n)) {
        if (n == 0 || memcmp(copy, line, n) == 0) out = RECORD_LEFT;
    } else if (json_parse(&full, line, n, "full", &e) == 0 && json_is_string(json_object_get(full, "text"))) {
        const json_t *id = json_object_get(full, "id");
        if (record_same(full, "text", r.text, r.n) && record_same(full, "id", r.id, strlen(r.id)) &&
            record_same(full, "source", r.source, strlen(r.source)) &&
            record_same(full, "license", r.license, strlen(r.license)) &&
            record_same(full, "lang", r.lang, strlen(r.lang)) && r.id_is_number == json_is_integer(id) &&
            (!r.id_is_number || r.number == json_integer_value(id)))
            out = RECORD_TAKEN;
    }
    json_decref(full);
    free(copy);
    return out;
}

#endif
