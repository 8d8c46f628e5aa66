/* The weight-lineage audit of a pair of models (docs/lineage.md): tests, their calibration, and a verdict that never
 * says "from scratch". */
#ifndef DK_LINEAGE_LINEAGE_H
#define DK_LINEAGE_LINEAGE_H

#include "lineage/activation.h"
#include "lineage/compare.h"
#include "lineage/spectrum.h"
#include "lineage/vocab.h"

enum { LINEAGE_MAX_MODELS = 16, LINEAGE_MAX_LAYERS = 64 };

/* In the order of the report. "mapped" tests look at A through the map between the embeddings. */
enum lineage_test {
    TEST_TENSORS,          /* share of the smaller model's parameters in tensors with equal values */
    TEST_EMBEDDING,        /* same residual dimensions in the embeddings of shared tokens */
    TEST_ATTENTION, TEST_FFN, TEST_NEURONS,
    TEST_GAINS,            /* what norm gains learned; tells a child from a run with the same initial weights */
    TEST_SPECTRA,          /* singular values of what attention heads compute: no dimensions, no tokens needed */
    TEST_HEADS,            /* angles between the rows of a head; as little is needed */
    TEST_MAP,              /* how much of B's embedding follows from A's; supports, never decides */
    TEST_MAPPED_ATTENTION, TEST_MAPPED_FFN, TEST_MAPPED_NEURONS,
    TEST_ACTIVATIONS,      /* neurons that find each other by what they answer to text */
    TEST_STREAM,           /* UCKA of the residual stream on that text; supports, never decides */
    N_TESTS
};
enum lineage_verdict { LINEAGE_DERIVED, LINEAGE_SHARES, LINEAGE_NONE, LINEAGE_NOT_DECIDABLE };

struct test_result {
    bool done, flagged;
    const char *why_not;       /* not done: why */
    double effect, p_raw, p;   /* p: Holm-corrected over all tests of all pairs */
    double percentile;         /* of the effect among controls, 0 to 100; −1: not done */
    bool decides;              /* can be a finding */
    double needed;             /* least effect that counts, where it decides */
    double z;                  /* against the draws; 0 where there are none */
    int64_t draws;
};
/* A model once opened; own: its projections in its own residual dimensions. */
struct subject {
    struct view v;
    struct vocab vocab;
    struct basis basis;
    struct sigset attn, ffn;
    struct head_sets heads;
    struct digest *digest;     /* of v.w.t[i] */
    bool *telling;
    bool has_seed;             /* run.json says the seed of the initial weights */
    uint64_t seed;
    struct trace trace;        /* n = 0: the model was not run, why_not_run says why */
    char why_not_run[512];
};
struct lineage_pair {
    const struct subject *a, *b;
    struct test_result test[N_TESTS];
    struct layer_match attn[LINEAGE_MAX_LAYERS], ffn[LINEAGE_MAX_LAYERS];  /* of the basis that shows more */
    int n_attn, n_ffn;
    double heads_twice;                   /* share of heads that find one head twice (kin.h), of the better test */
    double attn_covered, ffn_covered;     /* share of the layers (of the model with fewer) that are flagged */
    double act_covered;                   /* the same by answers to text */
    struct activations act;
    int shared_tokens;
    double jaccard;                       /* −1: no tokenizers, ids were taken as they are */
    double norm_cosine;                   /* the figure that misled people; NAN: none */
    double compensation;                  /* gains_compensation of feed-forwards that belong together; NAN: none */
    bool same_start;                      /* both began from the same seed in the same shape; taken away */
    enum lineage_verdict verdict;
    char reason[400];
};
struct lineage_opts {
    const struct nn *x;
    int64_t draws;       /* of permutation tests */
    uint64_t seed;
};

int subject_open(struct subject *s, const char *path, const struct nn *x, struct err *e) MUST_CHECK;
void subject_close(struct subject *s); /* safe on zero */
/* Its projections once more, after v's weights were changed in place (initial_take_away). */
int subject_features(struct subject *s, const struct nn *x, struct err *e) MUST_CHECK;
/* Runs the model over the text for the activation tests; one that cannot be run, or has more than most_params
 * parameters, is none the worse for it but for why_not_run. */
int subject_run(struct subject *s, const struct probe *text, double most_params, const struct nn *x,
                struct err *e) MUST_CHECK;
int lineage_run(struct lineage_pair *p, const struct subject *a, const struct subject *b, const struct lineage_opts *o,
              struct err *e) MUST_CHECK;
/* Holm over all pairs, then the verdicts. */
void lineage_judge(struct lineage_pair *p, int n);
/* The fewest draws with which a permutation test of n pairs can be a finding whatever tests are done beside it. */
int64_t lineage_least_draws(int n);

const char *lineage_test_name(enum lineage_test t);
bool lineage_test_supports(enum lineage_test t);   /* a figure to support others: no p-value, never a finding */
const char *lineage_test_about(enum lineage_test t);
const char *lineage_verdict_name(enum lineage_verdict v);

#endif
