/* Inside the primer: facts, slots, sentence patterns, and the tables the writer loops over.
 *
 * A skill draws a *fact* (a few integers), turns it into *slots* (short strings) and owns tables of
 * sentences with slots in them.  Whether a fact is held out is a hash of the fact in its *space*, the
 * same for every seed.  Skills that speak of the same thing (a number read in Korean and in English)
 * share a space, so a fact held out from one is held out from both. */
#ifndef DK_DATA_PRIMER_INT_H
#define DK_DATA_PRIMER_INT_H

#include <stddef.h>

#include "data/primer.h"

/* ---- primer_text.c: output, sentence patterns, numbers in words ---- */

/* Appends to a buffer; after the first failure every call is a no-op and `rc` keeps the code. */
struct pr_out {
    struct buf *b;
    struct err *e;
    int rc;
};
void pr_add(struct pr_out *o, const char *s, size_t n);
void pr_str(struct pr_out *o, const char *s);
void pr_newline(struct pr_out *o);        /* a new line begins, unless one just did; spaces before it go */

enum { SLOT_MAX = 24, SLOT_BYTES = 1024 };
struct slots {
    const char *s[SLOT_MAX];
    char mem[SLOT_BYTES];
    size_t used;
};
/* Slot i becomes the joined pieces (NULL ends them), kept in the slots' own memory. */
void slot_join(struct slots *sl, int i, const char *a, const char *b, const char *c);
void slot_int(struct slots *sl, int i, int v);

/* Writes `pattern` with slots: {0} … {9} {a} … {n} insert a slot; {0:을} inserts only the particle that
 * fits the slot's last syllable.  Particles are named by their form after a consonant: 을 이 은 과 로 다 고
 * 라 야 며 므. */
void pr_pattern(struct pr_out *o, const char *pattern, const struct slots *sl);

/* Final consonant of the last syllable as a Korean reader says it: 0 none, 8 ㄹ, otherwise the jongseong's
 * index.  Digits count as read; closing quotes are passed over; −1 for anything else. */
int ko_final(const char *word);

/* Readings; out must hold 64 bytes. */
void ko_sino(char *out, int n);           /* 1..9999: 삼백사십칠 */
void ko_sino_places(char *out, int n);    /* 1..999, place by place: 삼백-사십-칠 */
void ko_native(char *out, int n);         /* 1..99 before a counting word: 스물세 */
void en_number(char *out, int n);         /* 0..999: three hundred forty-seven */

/* ---- primer_facts.c: spaces and the split ---- */
enum fact_space {
    SPACE_NUMBER = 1, SPACE_COUNT, SPACE_PARTICLE, SPACE_SUM, SPACE_WEEKDAY, SPACE_CLOCK, SPACE_DATE, SPACE_UNIT,
    SPACE_LESS, SPACE_SORTED, SPACE_STORY_KO, SPACE_STORY_EN, SPACE_CODE, SPACE_FORM, SPACE_PAIR, SPACE_TALL,
        SPACE_LETTERS, SPACE_COPY
};
bool fact_held(enum fact_space space, int a, int b, int c, int d);
bool sum_held(int a, int b);              /* unordered */
bool less_held(int a, int b);             /* unordered */

/* ---- skills ---- */
enum { FACT_MAX = 24 };
struct fact {
    int v[FACT_MAX];
};
struct qa {
    const char *q, *a;
    double chance;                        /* 0: occurs in documents, is not asked in primer_question */
};
struct skill {
    struct primer_skill pub;
    int weight;                           /* share of documents within its language */
    int rows;                             /* > 1: a context of that many rows; v[0] is the row asked about */
    void (*draw)(struct fact *f, struct rng *r, bool held);
    void (*fill)(struct slots *sl, const struct fact *f);
    const char *title;                    /* a noun phrase */
    const char *const *explain;           /* NULL-terminated lists */
    const char *const *context;           /* NULL for skills without one */
    const char *const *shorter[2];        /* documents also have contexts of the first one and the first two rows */
    const char *const *state;
    const char *drill;                    /* a line of a table: the fact in as few words as it takes; or NULL */
    const struct qa *qa;                  /* ends with a NULL q */
};
extern const struct skill *const primer_table[];
extern const int primer_table_n;

static inline int pick(struct rng *r, int n) { return (int)rng_below(r, (uint32_t)n); }
static inline int between(struct rng *r, int lo, int hi) { return lo + pick(r, hi - lo + 1); }
/* Length of a NULL-terminated list, and one of its members. */
int list_len(const char *const *l);
const char *list_pick(struct rng *r, const char *const *l);
/* k different values below n into v. */
void pick_distinct(struct rng *r, int *v, int k, int n);

/* ---- primer_words.c ---- */
struct counted {
    const char *noun, *counter;
};
struct word_pair {
    const char *ko, *en;
};
struct polar {
    const char *more, *less;
};
extern const char *const ko_names[], *const ko_things[], *const ko_places[], *const ko_surnames[], *const ko_depts[],
    *const ko_rooms[], *const ko_errands[], *const ko_codes[], *const ko_meanings[], *const ko_days[],
        *const ko_weather[],
    *const particle_nouns[];
extern const char *const en_names[], *const en_things[], *const en_places[], *const en_weather[], *const en_months[];
extern const struct counted counted_nouns[];
extern const struct word_pair pair_adjs[], pair_nouns[], big_small_units[];
extern const struct polar polar_adjs[];
enum {
    N_KO_NAMES = 24, N_KO_THINGS = 20, N_KO_PLACES = 16, N_SURNAMES = 12, N_DEPTS = 12, N_ROOMS = 8, N_ERRANDS = 8,
    N_CODES = 60, N_MEANINGS = 40, N_PARTICLE_NOUNS = 72, N_EN_NAMES = 24, N_EN_THINGS = 20, N_EN_PLACES = 14,
    N_COUNTED = 44, N_PAIR_ADJS = 14, N_PAIR_NOUNS = 28, N_UNITS = 5, N_POLAR = 6,
    N_COPY_WORDS = N_CODES + N_MEANINGS + N_KO_THINGS + N_KO_PLACES
};

/* ---- primer_genres.c ---- */
/* One document about skill a, and a shorter part about b (NULL: none). */
void pr_document(struct pr_out *o, struct rng *r, const struct skill *a, const struct skill *b);
/* "문제: …\n답: ": a question, up to its answer. */
void pr_ask(struct pr_out *o, const struct qa *qa, const struct slots *sl, const char *label, const char *answer_label);

#endif
