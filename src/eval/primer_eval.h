/* Accuracy on the primer's held-out facts, skill by skill, beside chance. */
#ifndef DK_EVAL_PRIMER_EVAL_H
#define DK_EVAL_PRIMER_EVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "data/primer.h"
#include "infer/session.h"

struct primer_score {
    int asked, right;
    double chance;          /* mean over the questions asked */
};
struct primer_eval_opts {
    int items;              /* questions a skill */
    uint64_t seed;          /* which questions */
    bool seen;              /* about facts of the textbook instead of held-out ones */
    /* After each question; text is what the model wrote, up to the stop.  NULL: none; false stops. */
    bool (*on_item)(void *user, const struct primer_item *it, const char *text, size_t n, bool right);
    void *user;
};
/* The most likely token at each step, no sampling: the result is a function of the weights.
 * score: primer_skills() entries. */
int primer_eval(struct infer_model *m, const struct primer_eval_opts *o, struct primer_score *score,
    struct err *e) MUST_CHECK;

#endif
