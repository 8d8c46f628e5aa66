/* The skills of the primer, one table entry each; primer.c lists them in order. */
#ifndef DK_DATA_PRIMER_SKILLS_H
#define DK_DATA_PRIMER_SKILLS_H

#include "data/primer_int.h"

/* primer_numbers.c */
extern const struct skill skill_ko_number, skill_en_number, skill_ko_counting, skill_ko_addition, skill_en_addition,
    skill_ko_weekday, skill_ko_clock, skill_ko_date, skill_ko_unit, skill_ko_compare, skill_ko_order;
/* primer_language.c */
extern const struct skill skill_ko_particle, skill_ko_pairs, skill_en_pairs, skill_ko_story, skill_en_story,
    skill_ko_code,
    skill_ko_form, skill_en_compare, skill_en_letters, skill_ko_copy;

/* A date the textbook may tell: v[0] month, v[1] day. */
void date_draw(struct fact *f, struct rng *r, bool held);

#endif
