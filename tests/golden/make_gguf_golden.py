"""Writes gguf_blocks.gguf and gguf_blocks.f32 beside this file: random blocks of each type that can be read, with the
values that the `gguf` package (of llama.cpp) gives for them."""
import os

import gguf
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS, COLS = 3, 512
rng = np.random.default_rng(5)
out = gguf.GGUFWriter(os.path.join(HERE, "gguf_blocks.gguf"), "llama")
out.add_block_count(1)
out.add_token_list(["a", "b", "c"])
values = []
for name in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"):
    kind = gguf.GGMLQuantizationType[name]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if block == 1:
        raw = gguf.quants.quantize(rng.normal(size=(ROWS, COLS)).astype(np.float32), kind)
    else:
        raw = rng.integers(0, 256, (ROWS, COLS // block, size), dtype=np.uint8)
        scale = rng.normal(size=(ROWS, COLS // block, 2)).astype(np.float16).view(np.uint8).reshape(ROWS, -1, 4)
        at = 208 if name == "Q6_K" else 0
        n = 4 if name == "Q4_K" else 2
        raw[..., at:at + n] = scale[..., :n]
        raw = raw.reshape(ROWS, -1)
    out.add_tensor(name, raw, raw_dtype=kind)
    values.append(gguf.quants.dequantize(raw, kind).astype("<f4").ravel())
out.write_header_to_file()
out.write_kv_data_to_file()
out.write_tensors_to_file()
out.close()
np.concatenate(values).tofile(os.path.join(HERE, "gguf_blocks.f32"))
