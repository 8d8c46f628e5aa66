/* The primer: the project's own bilingual textbook of any length, made from a seed (DESIGN §7). */
#ifndef DK_DATA_PRIMER_H
#define DK_DATA_PRIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/rng.h"

enum { PRIMER_MAX_SKILLS = 32 };

struct primer_skill {
    const char *name;      /* "ko-number-reading" */
    const char *lang;      /* "ko" or "en" */
    const char *about;     /* one line each, for reports */
    const char *about_ko;
};
int primer_skills(void);
const struct primer_skill *primer_skill(int i);

/* Document number `index` of the textbook: text into b (cleared). Only training facts occur in it. */
int primer_document(struct buf *b, uint64_t seed, uint64_t index, struct err *e) MUST_CHECK;
/* Writes documents as JSON lines until `bytes` of text are there; deterministic in (bytes, seed). */
int primer_write(const char *path, uint64_t bytes, uint64_t seed, struct err *e) MUST_CHECK;

/* A question about a fact, in the textbook's own form: the model continues `prompt` and its answer ends
 * at the first `stop`.  held_out: the fact never occurs in any document of any seed. */
struct primer_item {
    struct buf prompt, answer;
    const char *stop;
    int skill;
    size_t question;       /* where in the prompt the question proper begins, after the solved examples */
    double chance;         /* probability that a guesser who knows the answer's form is right */
};
int primer_question(struct primer_item *it, int skill, bool held_out, uint64_t seed, uint64_t index,
                    struct err *e) MUST_CHECK;
void primer_item_release(struct primer_item *it);
/* Exact checker: leading and trailing space aside, the answer up to the stop. */
bool primer_check(const struct primer_item *it, const char *answer, size_t n);

#endif
