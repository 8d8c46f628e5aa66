/* Architecture facts: filled from Hugging Face config.json or from the depth dial. */
#ifndef DK_MODEL_CONFIG_H
#define DK_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"

enum { MODEL_MAX_LAYERS = 256 };

/* Facts of one layer; the blocks compose ops from these and never look at an architecture name. */
struct layer_facts {
    int n_head, n_kv, d_head, d_ff;
    int window;      /* 0: full attention */
    bool qk_norm;
    bool rope;
};

struct model_config {
    char arch[48];   /* "Qwen3ForCausalLM", "LlamaForCausalLM" */
    int vocab, d_model, n_layer, max_pos;
    bool tied;
    double norm_eps, rope_theta;
    int bos, eos;    /* −1: none */
    struct layer_facts layer[MODEL_MAX_LAYERS];
};

/* Heads of 64, d_ff = 8/3·width rounded up to a multiple of 64; width is a multiple of 64.  Every value is
 * overridable afterwards. */
void model_config_shape(struct model_config *c, int layers, int width, int vocab, int max_pos);
/* The dial: width 64·depth. */
void model_config_depth(struct model_config *c, int depth, int vocab, int max_pos);
/* Checks ranges and divisibility; one sentence naming the field. */
int model_config_check(const struct model_config *c, const char *where, struct err *e) MUST_CHECK;
/* config.json in and out (formats reference §4). An unknown model_type or feature that changes the
 * result (rope scaling, biases) is refused by name. */
int model_config_read(struct model_config *c, const char *path, struct err *e) MUST_CHECK;
int model_config_write(const struct model_config *c, const char *path, struct err *e) MUST_CHECK;

uint64_t model_params_total(const struct model_config *c);
/* Parameters that multiply every token: all but the input embedding (a tied table counts once). */
uint64_t model_params_matmul(const struct model_config *c);
/* 6·model_params_matmul + Σ layers 6·n_head·d_head·seq (DESIGN §2.2; a window shortens seq). */
double model_flops_per_token(const struct model_config *c, int seq);

#endif
