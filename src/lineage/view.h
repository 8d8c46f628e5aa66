/* What the tensors of a model are: embedding, and per layer the projections of attention and feed-forward, found
 * from names and shapes alone (Llama, Qwen, Mistral, Gemma, Phi, GPT-NeoX, GPT-2, GPT-J, OPT, EXAONE, DeepSeek,
 * Mixtral and their GGUF names; fused, stacked and transposed storage).
 *
 * Every projection is seen as one matrix (units × residual): units are neurons or the dimensions of heads, the other
 * axis is the residual stream that all layers and the embedding share.  Tensors without a role here (other towers,
 * biases, routers) still count for identity. */
#ifndef DK_LINEAGE_VIEW_H
#define DK_LINEAGE_VIEW_H

#include "base/json.h"
#include "lineage/weights.h"

enum role { ROLE_Q, ROLE_K, ROLE_V, ROLE_O, ROLE_GATE, ROLE_UP, ROLE_DOWN, N_ROLES };
enum { ATTN_ROLES = 4, FFN_ROLES = 3, VIEW_MAX_LAYERS = 1024, VIEW_MAX_BLOCKS = 1 << 16, VIEW_MAX_MODEL = 1 << 15 };

/* Unit u lies in storage row or column first + w / run · step + w mod run, w = skip + u. t == NULL: there is none. */
struct slice {
    const struct weight *t;
    bool by_unit;              /* units are storage rows; else residual dimensions are */
    uint64_t res0;             /* first residual row (stacked experts) or column */
    uint64_t first, run, step;
    int skip, units;
};
struct layer_view {
    struct slice attn[ATTN_ROLES];
    const struct weight *norm[2];   /* gains before attention and before the feed-forward; NULL: none */
};
/* One feed-forward: a dense layer's, or one expert. */
struct ffn_view {
    int layer, expert;              /* −1: dense; shared experts come after the others */
    struct slice part[FFN_ROLES];   /* gate, up, down */
};
struct view {
    const char *path;
    struct weights w;
    int d_model, n_layer, vocab;
    int n_head;                     /* by config.json, GGUF metadata, or a norm over a head's q; 0: not told */
    bool gain_plus_one;             /* Gemma: the norm multiplies with 1 + gain */
    const struct weight *embed, *head;
    struct layer_view *layer;       /* (n_layer) */
    struct ffn_view *ffn;           /* by layer, then expert */
    int n_ffn;
    json_t *config;                 /* config.json beside it, or NULL */
    double params;
};

int view_open(struct view *v, const char *path, struct err *e) MUST_CHECK;
void view_close(struct view *v); /* safe on zero */

/* "attention" roles first: q k v o gate up down. */
const char *role_name(enum role r);

/* out[u·n + i] = element (unit u, residual dimension res[i]) for all units; res == NULL: all d_model of them. */
int slice_read(float *out, const struct slice *s, int d_model, const int *res, int n, struct err *e) MUST_CHECK;

#endif
