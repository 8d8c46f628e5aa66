/* Models in folders: config.json + model.safetensors (or shards with an index). */
#ifndef DK_MODEL_STORE_H
#define DK_MODEL_STORE_H

#include "model/config.h"
#include "model/params.h"

/* Writes config.json, generation_config.json and model.safetensors (F32), each atomically. */
int model_save(const char *dir, const struct model_config *c, const struct param_table *t, const real *w,
               struct err *e) MUST_CHECK;
/* Whether the tensors in `dir` are those of `c` (model_config_read of the same folder): every one's presence, shape and
 * dtype (F32, BF16, F16) is checked and a tensor without a place is refused by name.  Reads no values. */
int model_check_weights(const char *dir, const struct model_config *c, const struct param_table *t,
                        struct err *e) MUST_CHECK;
/* Checks and reads them. w: t->total elements, the caller's; not touched before the check has passed, so that a
 * config.json alone costs no memory. */
int model_load_weights(const char *dir, const struct model_config *c, const struct param_table *t, real *w,
                       struct err *e) MUST_CHECK;

#endif
