/* The weight-lineage audit of a pair of models (docs/lineage.md): tests, their calibration, and a verdict that never
 * says "from scratch". */
#ifndef DK_LINEAGE_AUDIT_H
#define DK_LINEAGE_AUDIT_H

#include "lineage/compare.h"
#include "lineage/vocab.h"

enum { AUDIT_MAX_MODELS = 16, AUDIT_MAX_LAYERS = 64 };

/* In the order of the report. "mapped" tests look at A through the map between the embeddings. */
enum audit_test {
    TEST_TENSORS,          /* share of the smaller model's parameters in tensors with equal values */
    TEST_EMBEDDING,        /* same residual dimensions in the embeddings of shared tokens */
    TEST_ATTENTION, TEST_FFN, TEST_NEURONS,
    TEST_GAINS,            /* what norm gains learned; tells a child from a run with the same initial weights */
    TEST_MAP,              /* how much of B's embedding follows from A's; supports, never decides */
    TEST_MAPPED_ATTENTION, TEST_MAPPED_FFN, TEST_MAPPED_NEURONS,
    N_TESTS
};
enum verdict { VERDICT_DERIVED, VERDICT_SHARES, VERDICT_NONE, VERDICT_NOT_DECIDABLE };

struct test_result {
    bool done, flagged;
    const char *why_not;       /* not done: why */
    double effect, p_raw, p;   /* p: Holm-corrected over all tests of all pairs */
    double percentile;         /* of the effect among controls, 0 to 100; −1: no calibration */
    double needed;             /* least effect that counts */
    double z;                  /* against the draws; 0 where there are none */
    int64_t draws;
};
/* A model once opened; own: its projections in its own residual dimensions. */
struct subject {
    struct view v;
    struct vocab vocab;
    struct basis basis;
    struct sigset attn, ffn;
    struct digest *digest;     /* of v.w.t[i] */
    bool *telling;
    bool has_seed;             /* run.json says the seed of the initial weights */
    uint64_t seed;
};
struct audit_pair {
    const struct subject *a, *b;
    struct test_result test[N_TESTS];
    struct layer_match attn[AUDIT_MAX_LAYERS], ffn[AUDIT_MAX_LAYERS];  /* of the basis that shows more */
    int n_attn, n_ffn;
    double attn_covered, ffn_covered;     /* share of the layers (of the model with fewer) that are flagged */
    int shared_tokens;
    double jaccard;                       /* −1: no tokenizers, ids were taken as they are */
    double norm_cosine;                   /* the figure that misled people; NAN: none */
    double compensation;                  /* gains_compensation of feed-forwards that belong together; NAN: none */
    bool same_start;                      /* both began from the same seed in the same shape; taken away */
    enum verdict verdict;
    char reason[400];
};
struct audit_opts {
    const struct nn *x;
    int64_t draws;       /* of permutation tests */
    uint64_t seed;
};

int subject_open(struct subject *s, const char *path, const struct nn *x, struct err *e) MUST_CHECK;
void subject_close(struct subject *s); /* safe on zero */
int audit_run(struct audit_pair *p, const struct subject *a, const struct subject *b, const struct audit_opts *o,
              struct err *e) MUST_CHECK;
/* Holm over all pairs, then the verdicts. */
void audit_judge(struct audit_pair *p, int n);

const char *audit_test_name(enum audit_test t);
const char *audit_test_about(enum audit_test t);
const char *verdict_name(enum verdict v);

#endif
