/* run.json beside a good config.json: what is read is a run that can be trained, and comes back the same.  The model
 * has as many positions as any run may ask for, so that none is refused for its rows. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "train/run.h"

static const char config[] =
    "{\"architectures\":[\"Qwen3ForCausalLM\"],\"model_type\":\"qwen3\",\"vocab_size\":64,\"hidden_size\":64,"
    "\"intermediate_size\":64,\"num_hidden_layers\":1,\"num_attention_heads\":1,\"num_key_value_heads\":1,"
    "\"head_dim\":64,\"hidden_act\":\"silu\",\"max_position_embeddings\":1048576,\"rms_norm_eps\":1e-06,"
    "\"rope_theta\":10000.0,\"attention_bias\":false,\"tie_word_embeddings\":true,\"bos_token_id\":0,"
    "\"eos_token_id\":1}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run_config c, again;
    struct err e;
    char dir[200];
    fuzz_verdict = FUZZ_REFUSED;
    fuzz_file("config.json", (const uint8_t *)config, sizeof config - 1);
    fuzz_file("run.json", data, size);
    snprintf(dir, sizeof dir, "%s", fuzz_dir);
    if (run_read(&c, dir, &e))
        return 0;
    fuzz_verdict = FUZZ_TAKEN;
    if (run_check(&c, "run.json", &e) || run_segment_end(&c, 0) < 1)
        abort();
    if (run_write(&c, dir, &e) || run_read(&again, dir, &e) || memcmp(&c, &again, sizeof c) != 0)
        abort();
    return 0;
}
