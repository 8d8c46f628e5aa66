"""The network of `dokja bench train` written for PyTorch, as fast on a CPU as plain PyTorch gets.

Qwen3's shape: RMSNorm before each block, RMSNorm of every query and key head, RoPE, SwiGLU, a head tied to the
embedding.  What a careful user does is done: one product for q, k and v, one for gate and up, fused attention,
fused AdamW, everything but the optimizer in one compiled graph."""
import torch
import torch.nn.functional as F
from torch import nn

HEAD = 64


def feed_forward_width(width):
    return ((8 * width + 2) // 3 + 63) // 64 * 64


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ff = feed_forward_width(width)
        self.heads = width // HEAD
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * self.ff, bias=False)
        self.down = nn.Linear(self.ff, width, bias=False)
        self.norm1 = nn.RMSNorm(width, eps=1e-6)
        self.norm2 = nn.RMSNorm(width, eps=1e-6)
        self.q_norm = nn.RMSNorm(HEAD, eps=1e-6)
        self.k_norm = nn.RMSNorm(HEAD, eps=1e-6)

    def forward(self, x, cos, sin):
        b, t, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, HEAD).unbind(2)
        q, k = rotate(self.q_norm(q), cos, sin), rotate(self.k_norm(k), cos, sin)
        a = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        x = x + self.out(a.transpose(1, 2).reshape(b, t, width))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


class Model(nn.Module):
    def __init__(self, width, layers, vocab, seq):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        angle = torch.outer(torch.arange(seq), 1e4 ** -(torch.arange(0, HEAD, 2) / HEAD))
        self.register_buffer("cos", angle.cos()[:, None, :])
        self.register_buffer("sin", angle.sin()[:, None, :])
        nn.init.normal_(self.embed.weight, std=4 / width)
        # Counted as dokja counts: every parameter, the tied table once, and the causal half of attention.
        self.parameter_count = sum(p.numel() for p in self.parameters())
        self.flops_per_token = 6 * self.parameter_count + 6 * layers * width * seq

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        # Head and loss in one: faster than logits and cross_entropy, most of all without the compiler.
        return F.linear_cross_entropy(self.norm(x).flatten(0, 1), self.embed.weight, targets.flatten())


class Trainer:
    """Modes share one set of weights and one optimizer: a step of one differs from a step of another only in how it
    is computed."""

    MODES = {  # name: (compiled, bf16 autocast)
        "eager-f32": (False, False),
        "compile-f32": (True, False),
        "eager-bf16": (False, True),
        "compile-bf16": (True, True),
    }

    def __init__(self, width, layers, vocab, seq, batch, threads):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.model = Model(width, layers, vocab, seq)
        self.compiled = None
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)
        self.tokens = torch.randint(vocab, (batch, seq))
        self.targets = torch.randint(vocab, (batch, seq))

    def step(self, mode):
        compiled, bf16 = self.MODES[mode]
        if compiled and self.compiled is None:
            self.compiled = torch.compile(self.model, dynamic=False)
        run = self.compiled if compiled else self.model
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = run(self.tokens, self.targets)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()
