/* What the tests gave on pairs of models that are known to be independent (bench/lineage-zoo). */
#ifndef DK_LINEAGE_CALIBRATION_H
#define DK_LINEAGE_CALIBRATION_H

#include "lineage/lineage.h"

/* Percent of the test's control pairs with a smaller effect, and how many pairs those are. */
double calibration_percentile(enum lineage_test t, double effect);
int calibration_pairs(enum lineage_test t);
/* Whether a test can find anything: two support others only, and activations cannot be freed of a common beginning. */
bool calibration_decides(enum lineage_test t, bool same_start);
/* The least effect that counts as a finding; above any effect where the test decides nothing. */
double calibration_needed(enum lineage_test t, bool same_start);

#endif
