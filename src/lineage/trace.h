/* What a model answers to text: activations of its feed-forwards, and how its residual stream lies.
 *
 * The model is run one layer at a time over all sequences at once, its matrices read from the mapped file in blocks, so
 * that memory is that of the activations and not of the weights.  Numbers are those of infer/session.h (NUMERICS §3 to
 * §6), the same bits with any number of threads and any instruction set.  Models that src/model knows can be run: a
 * folder with config.json, safetensors and a byte-level tokenizer.json. */
#ifndef DK_LINEAGE_TRACE_H
#define DK_LINEAGE_TRACE_H

#include "lineage/probe.h"
#include "lineage/view.h"
#include "nn/nn.h"

enum { TRACE_MAX_TOKENS = 512, TRACE_MAX_LAYERS = 64, TRACE_MAX_NEURONS = 512 };

/* n tokens are kept: all but the first position of each sequence (every model treats that one alike), up to
 * TRACE_MAX_TOKENS positions in all and as many of a sequence as the model has positions.  Of more than
 * TRACE_MAX_LAYERS layers evenly spaced ones; of each the neurons whose gate varies most, most first, which no
 * permutation or rescaling of neurons and no rotation of the stream changes. */
struct trace {
    int n, n_layer, n_neuron;
    size_t end[TRACE_MAX_TOKENS];   /* byte of the probe's text at which token t ends, ascending */
    int layer[TRACE_MAX_LAYERS];
    bf16 *gate, *up;                /* (n_layer, n_neuron, n): before the gate's function, as projected */
    float *gram;                    /* (n_layer, n, n): cosines of the stream after the layer, centred over tokens */
};

int trace_run(struct trace *t, const struct view *v, const struct probe *p, const struct nn *x,
              struct err *e) MUST_CHECK;
void trace_release(struct trace *t); /* safe on zero */

static inline const bf16 *trace_neuron(const struct trace *t, const bf16 *of, int layer, int neuron)
{
    return of + ((size_t)layer * (size_t)t->n_neuron + (size_t)neuron) * (size_t)t->n;
}

#endif
