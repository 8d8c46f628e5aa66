/* dokja-verify: a second reader of docs/ledger.md, small enough to be read.  What it trains again it computes with
 * src/reference, docs/numerics.md as a program, on the portable reference kernels; with the writer of ledgers it shares
 * these kernels and nothing else.
 * What does not hold ends in `refuse` with one sentence; `attempt` hears it. */
#ifndef DK_VERIFY_VERIFY_H
#define DK_VERIFY_VERIFY_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/reference.h"

#define N(x) ((unsigned long long)(x)) /* for %llu */
#define S(x) ((x) == 1 ? "" : "s")     /* behind a noun: 1 file, 2 files */

/* ---- input.c: memory, files, hashes, JSON ---- */
struct bytes { const uint8_t *p; size_t n; };
struct digest { uint8_t b[32]; };
struct tree { struct digest stack[64]; uint64_t n; }; /* RFC 6962 */
extern char why[400]; /* the sentence of the latest refusal */
extern bool machine_short; /* it was for want of memory: says nothing about the run */
_Noreturn void refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void short_of(const char *what), give_up(void); /* memory; the same refusal again, to who attempted this */
bool attempt(void (*f)(void *), void *arg); /* false: f refused */
void *take(uint64_t n, size_t size);        /* zeroed; refuses what the machine cannot have; held until give_back */
extern uint64_t most_memory;                /* bytes that take gives at once; 0: what the machine has */
void give_back(void);                       /* all that was taken and mapped */
const char *join(const char *dir, const char *name);
struct bytes map_file(const char *path);
bool file_there(const char *path);
struct digest sha256(const struct bytes *part, int n); /* of the parts, one behind the other */
struct digest sha256_of(struct bytes b);
bool same_digest(const struct digest *a, const struct digest *b);
void hex_of(char out[65], const struct digest *d);
bool hex_read(uint8_t *out, const char *p, size_t bytes);
bool base64_read(uint8_t *out, size_t bytes, const char *p, size_t n); /* exactly so many */
void tree_add(struct tree *t, struct bytes leaf);
struct digest tree_root(const struct tree *t);
char *text_of(struct bytes b, const char *file); /* with a NUL behind it, refuses one within */
const char *json_value(const char *text, const char *file, const char *key);
bool json_is(const char *text, const char *file, const char *key, const char *want); /* that string */
double json_number(const char *text, const char *file, const char *key);

/* ---- ledger.c: frame, chain, signed checkpoints ---- */
enum { GENESIS = 1, BEACON, INIT, SEGMENT, EVENT, FINAL, NOTE = 16, PREV = 32 };
struct entry { struct bytes b; int kind; };
struct ledger {
    const char *path;
    struct bytes file;
    struct entry *entry;
    uint64_t n_entries, n_records, whole; /* whole: bytes up to the end of the last whole entry */
    struct digest genesis;                /* hash of the first record */
    char origin[80];
};
void ledger_read(struct ledger *l, const char *path);
/* Size and root of the checkpoint in a note signed by that key. */
uint64_t note_read(struct digest *root, struct bytes note, const char *origin, const uint8_t key[32]);
struct digest ledger_root(const struct ledger *l, uint64_t records);
uint64_t ledger_signed(const struct ledger *l, const uint8_t key[32]); /* records covered; refuses a wrong note */

/* ---- records.c: what they say ---- */
enum { TEXT = 160, MAX_FILES = 64 };
extern const char *const profile_names[], *const schedule_names[], *const optimizer_names[];
struct run { /* GENESIS, and BEACON's seed */
    struct digest selftest, corpus, tokenizer, key;
    uint64_t train_docs;
    char beacon[TEXT], arch[TEXT];
    int64_t max_pos, bos, eos, segment_steps, final_eval_tokens;
    double heldout;
    struct ref_run train; /* what training is a function of */
};
struct segment {
    uint64_t index, from, to, sample, tokens, tensors;
    struct digest before, after;
    double flops, *loss, *grad_norm, *moved; /* moved: rms and maximum of each tensor */
};
struct story { /* all records */
    struct ledger l;
    struct run r;
    bool has[FINAL + 1]; /* a record of that kind */
    char source[TEXT], value[TEXT], file[MAX_FILES][TEXT];
    struct digest init, final, file_sha256[MAX_FILES];
    struct segment *segment;
    uint64_t n_segments, n_files, final_steps, final_tokens;
    double final_flops, heldout[2];
};
void story_read(struct story *s, const char *path);
bool segment_planned(const struct story *s, uint64_t k); /* whether it has the index and steps that the run plans */
void config_compare(const struct story *s, const char *dir); /* refuses where run.json or config.json say otherwise */

/* ---- tensor.c: the state's root, and files of tensors ---- */
struct digest state_root(const struct ref_state *s);
void state_load(struct ref_state *s, const char *path);
void model_load(const struct ref_state *s, float *w, const char *path);
/* A model file has as many weights, before memory is taken; or none is there, and a quarter of the memory has. */
bool model_has_room(const struct ref_state *s, const char *path);

/* ---- again.c: segments trained again ---- */
struct replayed { uint64_t segments, matched, segment, step; char what[200]; }; /* segment, step, what: differ first */
void replay(struct replayed *r, const struct story *s, const char *dir, const char *list);

/* ---- checks.c, motion.c, attest.c: what is found ---- */
enum result { PASS, FAIL, UNDECIDED };
struct check { const char *name; enum result result; double figure; char detail[400]; }; /* figure NaN: none */
struct asked { const char *run, *genesis, *checkpoint, *corpus, *replay, *attest, *out, *json; };
struct audit {
    const struct asked *asked;
    struct story *s;
    struct check check[24];
    int n;
    uint64_t covered;   /* records that a signed checkpoint stands behind */
    struct ref_state first; /* weights made again */
    float *w;           /* final ones, NULL: none */
    bool joined;        /* segments are of the form that the checks of movement need */
    bool lodged;        /* GENESIS is the one asked for */
    bool given;         /* what is read is what the caller named: a refusal is no finding, and there is no verdict */
};
void say(struct audit *a, enum result r, double figure, const char *fmt, ...)
    __attribute__((format(printf, 4, 5))); /* of the check at hand */
const char *audit_run(struct audit *a); /* the verdict */
void step_bound(struct audit *a), continuity(struct audit *a), travel(struct audit *a), birth(struct audit *a);
void attest_check(const struct asked *o); /* refuses a key that cannot sign and a place that cannot be written */
void attest(const struct asked *o, struct bytes ledger, const char *properties); /* JSON strings with commas */
#endif
