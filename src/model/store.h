/* Models in folders: config.json + model.safetensors (or shards with an index). */
#ifndef DK_MODEL_STORE_H
#define DK_MODEL_STORE_H

#include "model/config.h"
#include "model/params.h"

/* Writes config.json, generation_config.json and model.safetensors (F32), each atomically. */
int model_save(const char *dir, const struct model_config *c, const struct param_table *t, const real *w,
               struct err *e) MUST_CHECK;
/* Reads the weights of `c` (model_config_read of the same folder): every tensor's presence, shape and dtype (F32,
 * BF16, F16) is checked and a tensor without a place is refused by name. w: t->total elements, the caller's. */
int model_load_weights(const char *dir, const struct model_config *c, const struct param_table *t, real *w,
                       struct err *e) MUST_CHECK;

#endif
