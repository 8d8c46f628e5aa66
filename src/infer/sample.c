#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "infer/generate.h"
#include "infer/rows.h"
#include "kernels/fp.h"

/* Bits of a float as an integer in the same order. */
static uint32_t order_key(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

static void penalise(float *z, int vocab, float penalty, const int32_t *recent, int n)
{
    for (int i = 0; i < n; i++) {
        bool seen = recent[i] < 0 || recent[i] >= vocab;
        for (int j = 0; j < i && !seen; j++)
            seen = recent[j] == recent[i];
        if (!seen)
            z[recent[i]] = z[recent[i]] > 0 ? z[recent[i]] / penalty : real_mul(z[recent[i]], penalty);
    }
}

/* The values in falling order, equal ones by id, are cut where their weights (1 or the value itself) first
 * reach `target`.  Found digit by digit of the key: no sort and no space that grows with the vocabulary. */
struct cut {
    uint32_t key;   /* of the last value that stays */
    double left;    /* target less the weights of all values above it */
};

enum { DIGITS = 3, DIGIT_BITS = 11, BINS = 1 << DIGIT_BITS };

static struct cut find_cut(const float *v, int n, bool count, double target)
{
    double bin[BINS];
    struct cut c = {0, target};
    uint32_t mask = 0;
    for (int d = 0, shift = 32 - DIGIT_BITS; d < DIGITS; d++, shift = shift > DIGIT_BITS ? shift - DIGIT_BITS : 0) {
        uint32_t digit = (1u << (d == DIGITS - 1 ? 32 - 2 * DIGIT_BITS : DIGIT_BITS)) - 1;
        memset(bin, 0, sizeof bin);
        int lowest = BINS;
        for (int i = 0; i < n; i++) {
            uint32_t key = order_key(v[i]);
            if ((key & mask) != c.key)
                continue;
            int b = (int)(key >> shift & digit);
            bin[b] += count ? 1 : (double)v[i];
            lowest = b < lowest ? b : lowest;
        }
        int b = (int)digit;
        while (b > lowest && bin[b] < c.left)
            c.left -= bin[b--];
        c.key |= (uint32_t)b << shift;
        mask |= digit << shift;
    }
    return c;
}

/* Sets what lies beyond the cut to `gone`. */
static void apply_cut(float *v, int n, struct cut c, bool count, float gone)
{
    double left = c.left;
    for (int i = 0; i < n; i++) {
        uint32_t key = order_key(v[i]);
        bool stays = key > c.key || (key == c.key && left > 0);
        if (key == c.key)
            left -= count ? 1 : (double)v[i];
        if (!stays)
            v[i] = gone;
    }
}

/* The first token at which the running sum of p passes u of the whole. */
static int32_t draw(const float *p, int n, double u)
{
    double total = 0, sum = 0;
    int32_t last = 0;
    for (int i = 0; i < n; i++)
        total += (double)p[i];
    for (int i = 0; i < n; i++) {
        if (!(p[i] > 0))
            continue;
        last = i;
        sum += (double)p[i];
        if (sum > u * total)
            return i;
    }
    return last;
}

int32_t sample_token(const struct kernels *k, float *z, int vocab, const struct gen_opts *o, const int32_t *recent,
                     int n_recent, uint64_t position)
{
    if (o->repeat_penalty > 0 && o->repeat_penalty != 1)
        penalise(z, vocab, o->repeat_penalty, recent, n_recent);
    int best = infer_argmax(z, vocab);
    if (!(o->temp > 0))
        return best;
    float top = z[best];
    /* Relative to the largest: a tiny temperature overflows nothing, and 200 below is a probability of +0. */
    for (int i = 0; i < vocab; i++) {
        z[i] = (z[i] - top) / o->temp;
        if (!(z[i] > -200))
            z[i] = -200;
    }
    if (o->top_k > 0 && o->top_k < vocab)
        apply_cut(z, vocab, find_cut(z, vocab, true, o->top_k), true, -200);
    k->softmax(z, z, vocab);
    if (o->top_p > 0 && o->top_p < 1)
        apply_cut(z, vocab, find_cut(z, vocab, false, o->top_p), false, 0);
    for (int i = 0; i < vocab && o->min_p > 0; i++)
        if (z[i] < real_mul(o->min_p, z[best]))
            z[i] = 0;
    struct rng4 r = rng_philox(o->seed, RNG_SAMPLE, 0, position);
    uint64_t bits = (uint64_t)r.v[0] << 32 | r.v[1];
    return draw(z, vocab, (double)(bits >> 11) * 0x1p-53);
}

int gen_check(const struct gen_opts *o, struct err *e)
{
    if (o->max_tokens < 1)
        return err_set(e, ERR_VALUE, "max tokens is %d, expected at least 1", o->max_tokens);
    if (!(o->temp >= 0) || isinf(o->temp))
        return err_set(e, ERR_VALUE, "temperature is %g, expected 0 or more", (double)o->temp);
    if (o->top_k < 0)
        return err_set(e, ERR_VALUE, "top-k is %d, expected 0 (off) or more", o->top_k);
    if (!(o->top_p >= 0 && o->top_p <= 1))
        return err_set(e, ERR_VALUE, "top-p is %g, expected 0 to 1", (double)o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return err_set(e, ERR_VALUE, "min-p is %g, expected 0 to 1", (double)o->min_p);
    if (!(o->repeat_penalty >= 0) || isinf(o->repeat_penalty))
        return err_set(e, ERR_VALUE, "repeat penalty is %g, expected 1 (off) or more", (double)o->repeat_penalty);
    if (o->temp == 0 && (o->top_k > 1 || (o->top_p > 0 && o->top_p < 1) || o->min_p > 0))
        return err_set(e, ERR_VALUE, "temperature 0 takes the most likely token; top-k, top-p and min-p need a "
                                     "temperature above 0");
    for (int i = 0; i < o->n_stop; i++)
        if (!o->stop[i] || !*o->stop[i])
            return err_set(e, ERR_VALUE, "a stop string is empty");
    return 0;
}
