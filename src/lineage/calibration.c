#include "lineage/calibration.h"

enum { QUANTILES = 21, PAIRS = 378 };

/* Effects of independent pairs, at 0, 5, … 100 % of them: `bench/lineage-zoo … table`.  The controls are models of 64
 * to 192 dimensions and 3 to 6 layers, trained for 400 or 500 steps by this program (NorMuon) or by PyTorch (AdamW),
 * with other seeds on the same data, on other data, with another tokenizer, and in other shapes. */
static const float control[N_TESTS][QUANTILES] = {
    [TEST_TENSORS] = {0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000,
        0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000},
    [TEST_EMBEDDING] = {-0.0491, -0.0236, -0.0180, -0.0135, -0.0102, -0.0076, -0.0041, -0.0024,
        -0.0005, 0.0024, 0.0045, 0.0065, 0.0088, 0.0108, 0.0130, 0.0153, 0.0187, 0.0219, 0.0268, 0.0349, 0.0503},
    [TEST_ATTENTION] = {-0.0158, -0.0105, -0.0080, -0.0063, -0.0054, -0.0047, -0.0038, -0.0030,
        -0.0023, -0.0015, -0.0008, 0.0002, 0.0015, 0.0024, 0.0033, 0.0038, 0.0052, 0.0065, 0.0074, 0.0093, 0.0134},
    [TEST_FFN] = {-0.0205, -0.0108, -0.0083, -0.0069, -0.0057, -0.0046, -0.0038, -0.0023,
        -0.0015, -0.0008, -0.0001, 0.0006, 0.0019, 0.0024, 0.0037, 0.0044, 0.0056, 0.0073, 0.0096, 0.0112, 0.0205},
    [TEST_NEURONS] = {0.0010, 0.0039, 0.0049, 0.0049, 0.0059, 0.0059, 0.0065, 0.0068,
        0.0068, 0.0078, 0.0078, 0.0078, 0.0088, 0.0088, 0.0088, 0.0098, 0.0098, 0.0107, 0.0117, 0.0127, 0.0156},
    [TEST_GAINS] = {-0.0889, -0.0443, -0.0232, -0.0162, -0.0119, -0.0069, -0.0027, 0.0028,
        0.0055, 0.0108, 0.0142, 0.0177, 0.0210, 0.0262, 0.0326, 0.0374, 0.0436, 0.0479, 0.0541, 0.0691, 0.1175},
    [TEST_MAP] = {-0.0431, 0.1132, 0.1212, 0.1277, 0.1335, 0.1478, 0.1545, 0.1598,
        0.1625, 0.1658, 0.1681, 0.1702, 0.1740, 0.1824, 0.2312, 0.2405, 0.2593, 0.2688, 0.3031, 0.3470, 0.4515},
    [TEST_MAPPED_ATTENTION] = {0.0217, 0.0591, 0.0636, 0.0668, 0.0706, 0.0724, 0.0749, 0.0760,
        0.0777, 0.0793, 0.0810, 0.0822, 0.0845, 0.0864, 0.0883, 0.0900, 0.0922, 0.0981, 0.1479, 0.2719, 0.2965},
    [TEST_MAPPED_FFN] = {0.0072, 0.0401, 0.0455, 0.0484, 0.0507, 0.0545, 0.0559, 0.0573,
        0.0592, 0.0614, 0.0634, 0.0647, 0.0687, 0.0732, 0.0765, 0.0819, 0.0896, 0.0976, 0.3293, 0.4507, 0.4865},
    [TEST_MAPPED_NEURONS] = {0.0026, 0.0059, 0.0068, 0.0078, 0.0078, 0.0088, 0.0088, 0.0098,
        0.0098, 0.0107, 0.0107, 0.0117, 0.0117, 0.0127, 0.0137, 0.0146, 0.0156, 0.0176, 0.0195, 0.0234, 0.0332},
};

/* Above all control pairs and below all relatives, with the distance shared out: see docs/lineage.md. */
static const double needed[N_TESTS] = {0.02, 0.2, 0.2, 0.2, 0.15, 0.4, 2, 0.15, 0.15, 0.15};
/* The same beyond equal initial weights, from pairs of runs that share a seed. */
static const double beyond_start[N_TESTS] = {0.02, 0.7, 0.3, 0.3, 0.3, 0.5, 2, 0.3, 0.3, 0.3};

double calibration_percentile(enum audit_test t, double effect)
{
    const float *q = control[t];
    int i = 0;
    while (i < QUANTILES && (double)q[i] < effect)
        i++;
    if (i == 0 || i == QUANTILES)
        return i ? 100 : 0;
    double share = (effect - (double)q[i - 1]) / ((double)q[i] - (double)q[i - 1]);
    return 100 * (i - 1 + share) / (QUANTILES - 1);
}

double calibration_needed(enum audit_test t, bool same_start)
{
    return same_start ? beyond_start[t] : needed[t];
}

int calibration_pairs(void)
{
    return PAIRS;
}
