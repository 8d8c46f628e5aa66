#!/usr/bin/env python3
"""The same scores as qwen3_numpy.py from llama.cpp (needs llama-cpp-python, gguf and safetensors).

    compare_llamacpp.py MODEL_DIR IDS.json > scores.json

llama.cpp gets the weights as a GGUF without a vocabulary, matrices in bf16 as dokja computes with them: its own
converter takes no tokenizer but those whose way of splitting text it knows by name.  Input and output as described in
qwen3_numpy.py.  bench/peers/infer.py times what stands here.
"""
import ctypes
import json
import os
import sys
import tempfile

import numpy as np

PIECE = 512  # rows computed at once


# ---- a model as GGUF ----

def shapes(c):
    """Hugging Face's name → GGUF's name and the shape of each tensor of a Qwen3."""
    width, wide, d = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * d, c["num_key_value_heads"] * d
    out = {"model.embed_tokens.weight": ("token_embd.weight", (c["vocab_size"], width)),
           "model.norm.weight": ("output_norm.weight", (width,))}
    if not c["tie_word_embeddings"]:
        out["lm_head.weight"] = ("output.weight", (c["vocab_size"], width))
    layer = {"input_layernorm": ("attn_norm", (width,)), "self_attn.q_proj": ("attn_q", (q, width)),
             "self_attn.k_proj": ("attn_k", (kv, width)), "self_attn.v_proj": ("attn_v", (kv, width)),
             "self_attn.q_norm": ("attn_q_norm", (d,)), "self_attn.k_norm": ("attn_k_norm", (d,)),
             "self_attn.o_proj": ("attn_output", (width, q)), "post_attention_layernorm": ("ffn_norm", (width,)),
             "mlp.gate_proj": ("ffn_gate", (wide, width)), "mlp.up_proj": ("ffn_up", (wide, width)),
             "mlp.down_proj": ("ffn_down", (width, wide))}
    for i in range(c["num_hidden_layers"]):
        for theirs, (name, shape) in layer.items():
            out["model.layers.%d.%s.weight" % (i, theirs)] = ("blk.%d.%s.weight" % (i, name), shape)
    return out


def write_gguf(path, c, tensor):
    """tensor(name, shape): its values as f32.  Matrices become bf16, gains stay f32."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants
    w = GGUFWriter(path, "qwen3")
    w.add_block_count(c["num_hidden_layers"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    w.add_key_length(c["head_dim"])
    w.add_value_length(c["head_dim"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_rope_freq_base(c["rope_theta"])
    w.add_vocab_size(c["vocab_size"])
    w.add_tokenizer_model("no_vocab")
    bf16 = GGMLQuantizationType.BF16
    for theirs, (name, shape) in shapes(c).items():
        x = tensor(theirs, shape)
        if x.shape != shape:
            sys.exit("%s has the shape %s, expected %s" % (theirs, x.shape, shape))
        if len(shape) == 1:
            w.add_tensor(name, x.astype(np.float32))
        else:
            w.add_tensor(name, quants.quantize(x, bf16), raw_dtype=bf16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def gguf_of_run(path, folder):
    """Returns its configuration."""
    from safetensors import safe_open
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        c = json.load(f)
    if c["model_type"] != "qwen3":
        sys.exit("%s/config.json: model_type %s, expected qwen3" % (folder, c["model_type"]))
    with safe_open(os.path.join(folder, "model.safetensors"), framework="np") as f:
        write_gguf(path, c, lambda name, shape: f.get_tensor(name).astype(np.float32))
    return c


# ---- llama.cpp ----

class Llama:
    """A model in a context of so many positions."""

    def __init__(self, path, threads, positions):
        import llama_cpp
        self.l = llama_cpp
        self.quiet = llama_cpp.llama_log_callback(lambda level, text, user: None)
        llama_cpp.llama_log_set(self.quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        mp = llama_cpp.llama_model_default_params()
        mp.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), mp)
        cp = llama_cpp.llama_context_default_params()
        cp.n_ctx = cp.n_batch = positions
        cp.n_ubatch = PIECE
        cp.n_threads = cp.n_threads_batch = threads
        self.context = self.model and llama_cpp.llama_init_from_model(self.model, cp)
        if not self.context:
            sys.exit("llama.cpp does not load %s" % path)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(cp.n_batch, 0, 1)
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def feed(self, tokens, at, all_logits=False):
        b = self.batch
        b.n_tokens = len(tokens)
        for i, t in enumerate(tokens):
            b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0] = t, at + i, 1, 0
            b.logits[i] = all_logits or i + 1 == len(tokens)
        if self.l.llama_decode(self.context, b):
            sys.exit("llama_decode failed")

    def forget(self, from_position):
        self.l.llama_memory_seq_rm(self.memory, 0, from_position, -1)

    def logits(self, row):
        return np.ctypeslib.as_array(self.l.llama_get_logits_ith(self.context, row), (self.vocab,))

    def score(self, ids):
        self.forget(0)
        self.feed(ids, 0, all_logits=True)
        x = np.array([self.logits(i) for i in range(len(ids) - 1)], np.float64)
        top = x.max(axis=1)
        total = top + np.log(np.exp(x - top[:, None]).sum(axis=1))
        return (total - x[np.arange(len(ids) - 1), ids[1:]]).tolist(), x.argmax(axis=1).tolist()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[2], encoding="utf-8") as f:
        ids = json.load(f)
    several = bool(ids) and isinstance(ids[0], list)
    with tempfile.TemporaryDirectory(prefix="dokja-golden-") as folder:
        path = os.path.join(folder, "model.gguf")
        gguf_of_run(path, sys.argv[1])
        llama = Llama(path, len(os.sched_getaffinity(0)), max(map(len, ids)) if several else len(ids))
        scores = [llama.score(one) for one in (ids if several else [ids])]
    nll, top = ([s[i] for s in scores] for i in (0, 1))
    json.dump({"nll": nll, "top": top} if several else {"nll": nll[0], "top": top[0]}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
