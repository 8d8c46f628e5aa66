/* What a step is made of: randomness, rows, rates. */
#include "reference/reference_int.h"

uint32_t ref_philox(uint64_t key, uint32_t purpose, uint32_t stream, uint64_t index, int word)
{
    uint32_t c[4] = {(uint32_t)index, (uint32_t)(index >> 32), stream, purpose};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        c[0] = (uint32_t)(b >> 32) ^ c[1] ^ k0;
        c[2] = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)b;
        c[3] = (uint32_t)a;
    }
    return c[word];
}

uint64_t ref_permuted(uint64_t key, uint32_t epoch, uint64_t n, uint64_t x)
{
    enum { PURPOSE = 2 };
    int half = n > 1 ? (64 - __builtin_clzll(n - 1) + 1) / 2 : 0;
    uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t l = x >> half, r = x & mask;
        for (uint64_t i = 0; i < 8; i++) {
            uint64_t t = l ^ (ref_philox(key, PURPOSE, epoch, i << 32 | r, 0) & mask);
            l = r;
            r = t;
        }
        x = l << half | r;
    } while (x >= n);
    return x;
}

int64_t ref_seq(const struct ref_run *r, int64_t step) { return step < r->start_steps ? r->seq_start : r->seq; }

/* Samples are rows of `seq`; while rows are short, laps of first, then second, … pieces of samples. */
uint64_t ref_row(const struct ref_run *r, int64_t step, int64_t i)
{
    uint64_t pieces = (uint64_t)(r->seq / ref_seq(r, step)), rows = (uint64_t)(r->batch_tokens / r->seq);
    uint64_t sample = (uint64_t)step * rows * pieces + (uint64_t)i, lap = (uint64_t)r->start_steps * rows;
    uint64_t all = (r->train_tokens - 1) / (uint64_t)r->seq, piece = step < r->start_steps ? sample / lap : 0;
    sample -= piece * lap;
    return ref_permuted(r->seed, (uint32_t)(sample / all), all, sample % all) * pieces + piece;
}

double ref_factor(const struct ref_run *r, int64_t step)
{
    int64_t warm = (int64_t)((double)r->steps * r->warmup), decay = (int64_t)((double)r->steps * r->decay);
    int64_t start = r->steps - decay;
    if (step < warm)
        return (double)(step + 1) / (double)(warm + 1);
    if (r->schedule == REF_COSINE) {
        double x = (double)(step - warm) / (double)(r->steps - warm);
        return r->floor + (1 - r->floor) * 0.5 * (1 + t1_cos_f64(0x1.921fb54442d18p+1 * x));
    }
    return step < start ? 1 : 1 + (r->floor - 1) * ((double)(step - start + 1) / (double)(decay + 1));
}

double ref_momentum(const struct ref_run *r, int64_t step)
{
    int64_t ramp = r->steps / 4 < 200 ? r->steps / 4 : 200;
    return step >= ramp ? r->momentum : 0.85 + (r->momentum - 0.85) * ((double)step / (double)ramp);
}
