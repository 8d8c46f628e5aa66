/* What the tests gave on pairs of models that are known to be independent (bench/lineage-zoo). */
#ifndef DK_LINEAGE_CALIBRATION_H
#define DK_LINEAGE_CALIBRATION_H

#include "lineage/lineage.h"

/* Percent of control pairs with a smaller effect; −1 where the test has no controls. */
double calibration_percentile(enum lineage_test t, double effect);
/* Whether a test can find anything: two support others only, and activations cannot be freed of a common beginning. */
bool calibration_decides(enum lineage_test t, bool same_start);
/* The least effect that counts as a finding; above any effect where the test decides nothing. */
double calibration_needed(enum lineage_test t, bool same_start);
int calibration_pairs(void);

#endif
