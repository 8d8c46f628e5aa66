/* Everything that can be checked of a run without training: the checks of docs/ledger.md. */
#ifndef DK_TRAIN_AUDIT_H
#define DK_TRAIN_AUDIT_H

#include "nn/nn.h"
#include "train/logbook.h"

enum check_result { CHECK_PASS, CHECK_FAIL, CHECK_NOT_DECIDABLE };
struct check {
    const char *name;
    enum check_result result;
    double figure;                 /* NaN: none */
    /* One sentence; in Korean "" where English is all there is: what the reader of some file said. */
    char detail[640], detail_ko[640];
};

struct audit_opts {
    const struct nn *x;
    const char *dir;               /* RUN */
    const char *corpus;            /* folder, or NULL */
    const struct digest *genesis;  /* the hash that was lodged, or NULL */
    const char *checkpoint;        /* file with a signed note that someone kept, or NULL */
    const char *model_key;         /* public key (PEM) of RUN/model.sig, or NULL */
};
enum { AUDIT_MAX_CHECKS = 24 };
struct audit {
    struct check check[AUDIT_MAX_CHECKS];
    int n;
};
enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_INCOMPLETE };

/* A damaged ledger is a check that fails, not an error.  Errors say nothing about the run: memory ran short, or a path
 * in the options cannot be read or is not what it should be. */
int audit_run(struct audit *a, const struct audit_opts *o, struct err *e) MUST_CHECK;
enum verdict audit_verdict(const struct audit *a);
const char *verdict_name(enum verdict v);          /* "pass", "fail", "incomplete" */
const char *check_result_name(enum check_result r);   /* "pass", "fail", "not-decidable" */

#endif
