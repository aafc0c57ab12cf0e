#!/usr/bin/env python3
"""Train tiny-shakespeare and write it as a GGUF file.

    pip install torch numpy tokenizers gguf
    python train.py --text input.txt --output first.gguf
    python train.py --text input.txt --start first.gguf --output tiny-shakespeare.gguf

Everything is made here from the text alone: the byte-level BPE tokenizer, the
weights (a small llama-architecture model, trained on the CPU), and the
quantized file.  All settings are the constants below.  The last part of
training rounds the weights to the grid they are stored on
("quantization-aware"), so that the file loses next to nothing.
"""

import argparse
import json
import math
import os
import time

import gguf
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

# ---- settings ---------------------------------------------------------------

SEED = 1623
THREADS = 2

# data: the last tenth of the text is held out
HELD_OUT = 0.10

# tokenizer
VOCAB = 896  # including the 256 byte symbols and END
END = "<|endoftext|>"

# model
CONTEXT = 512
WIDTH = 192
LAYERS = 6
HEADS = 6
KV_HEADS = 2
FFN = 512
HEAD_DIM = WIDTH // HEADS
ROPE_BASE = 10000.0
EPS = 1e-5

# training
STEPS = 1000
BATCH_TOKENS = 16 * 256
SHORT = 256  # window length for most of training ...
LONG_FROM = 0.80  # ... and CONTEXT from this share of the steps on
END_PREFIX = 0.10  # share of windows that start with END at the start of a line
LR = 2e-3
WARM_UP = 100
WEIGHT_DECAY = 0.1
BETAS = (0.9, 0.98)
CLIP = 1.0
DROPOUT = 0.15
QAT_FROM = 0.60  # round the weights from this share of the steps on
EVAL_EVERY = 250

# a further run from a file written before (--start): rounded from the first step
START_STEPS = 450
START_LR = 8e-4
START_WARM_UP = 30
START_DROPOUT = 0.10
START_EVAL_EVERY = 75

MAX_BYTES = 1_572_864

# storage: the (tied) embedding in Q8_0, all other matrices in Q4_0, norms in F32
EMBED_TYPE = gguf.GGMLQuantizationType.Q8_0
MATRIX_TYPE = gguf.GGMLQuantizationType.Q4_0

# ---- tokenizer --------------------------------------------------------------


def train_tokenizer(text):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tok.train_from_iterator([text], trainer)
    assert tok.get_vocab_size() == VOCAB
    assert all(tok.token_to_id(b) is not None for b in pre_tokenizers.ByteLevel.alphabet())
    return tok


# ---- the storage grids ------------------------------------------------------


def round_q4_0(w):
    """Q4_0: blocks of 32, one f16 scale, the largest value maps to -8."""
    x = w.reshape(-1, 32)
    peak = x.gather(1, x.abs().argmax(1, keepdim=True))
    d = peak / -8
    inv = torch.where(d == 0, torch.zeros_like(d), 1 / d)
    q = torch.trunc(x * inv + 8.5).clamp(0, 15) - 8
    return (q * d.half().float()).reshape(w.shape)


def round_q8_0(w):
    """Q8_0: blocks of 32, one f16 scale, the largest magnitude maps to 127."""
    x = w.reshape(-1, 32)
    d = x.abs().amax(1, keepdim=True) / 127
    inv = torch.where(d == 0, torch.zeros_like(d), 1 / d)
    q = torch.round(x * inv)
    return (q * d.half().float()).reshape(w.shape)


ROUND = {gguf.GGMLQuantizationType.Q4_0: round_q4_0, gguf.GGMLQuantizationType.Q8_0: round_q8_0}


def straight_through(w, kind):
    return w + (ROUND[kind](w.detach()) - w.detach())


# ---- model ------------------------------------------------------------------


def rms_norm(x, weight):
    x32 = x.float()
    return x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + EPS) * weight


def rotate(x, cos, sin):
    """RoPE on the pairs (2i, 2i+1)."""
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    out = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1)
    return out.flatten(-2).to(x.dtype)


def rope_tables(length):
    freq = ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * freq
    return angle.cos().float(), angle.sin().float()


def tensor_shapes():
    """GGUF tensor name -> shape (rows, columns)."""
    kv = KV_HEADS * HEAD_DIM
    shapes = {"token_embd.weight": (VOCAB, WIDTH), "output_norm.weight": (WIDTH,)}
    for i in range(LAYERS):
        shapes |= {
            f"blk.{i}.attn_norm.weight": (WIDTH,),
            f"blk.{i}.attn_q.weight": (WIDTH, WIDTH),
            f"blk.{i}.attn_k.weight": (kv, WIDTH),
            f"blk.{i}.attn_v.weight": (kv, WIDTH),
            f"blk.{i}.attn_output.weight": (WIDTH, WIDTH),
            f"blk.{i}.ffn_norm.weight": (WIDTH,),
            f"blk.{i}.ffn_gate.weight": (FFN, WIDTH),
            f"blk.{i}.ffn_up.weight": (FFN, WIDTH),
            f"blk.{i}.ffn_down.weight": (WIDTH, FFN),
        }
    return shapes


def storage(name):
    if name == "token_embd.weight":
        return EMBED_TYPE
    return None if "norm" in name else MATRIX_TYPE


def forward(w, ids, masks=None):
    """Logits of a batch of token ids; w maps GGUF tensor names to weights."""
    cos, sin = rope_tables_cached(ids.shape[1])
    b, t = ids.shape
    masks = iter(masks or ())

    def drop(v):
        return v * next(masks, 1.0)

    x = drop(F.embedding(ids, w["token_embd.weight"]))
    for i in range(LAYERS):
        p = f"blk.{i}."
        h = rms_norm(x, w[p + "attn_norm.weight"])
        q = F.linear(h, w[p + "attn_q.weight"]).view(b, t, HEADS, HEAD_DIM).transpose(1, 2)
        k = F.linear(h, w[p + "attn_k.weight"]).view(b, t, KV_HEADS, HEAD_DIM).transpose(1, 2)
        v = F.linear(h, w[p + "attn_v.weight"]).view(b, t, KV_HEADS, HEAD_DIM).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k = k.repeat_interleave(HEADS // KV_HEADS, 1)
        v = v.repeat_interleave(HEADS // KV_HEADS, 1)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        a = a.transpose(1, 2).reshape(b, t, WIDTH)
        x = x + drop(F.linear(a, w[p + "attn_output.weight"]))
        h = rms_norm(x, w[p + "ffn_norm.weight"])
        gate = F.silu(F.linear(h, w[p + "ffn_gate.weight"]))
        h = drop(gate * F.linear(h, w[p + "ffn_up.weight"]))
        x = x + drop(F.linear(h, w[p + "ffn_down.weight"]))
    return F.linear(rms_norm(x, w["output_norm.weight"]), w["token_embd.weight"])


_tables = {}


def rope_tables_cached(length):
    if length not in _tables:
        _tables[length] = rope_tables(length)
    return _tables[length]


class Masks:
    """Dropout masks cut at random places from one large random mask.

    Drawing every mask afresh took as long as all the matrix products.
    """

    SIZE = 1 << 24

    def __init__(self, gen, share):
        self.gen = gen
        self.share = share
        self.uses = 0

    def draw(self, batch, length):
        if self.uses % 64 == 0:
            keep = torch.rand(self.SIZE, generator=self.gen) >= self.share
            self.pool = keep.to(torch.bfloat16) / (1 - self.share)
        self.uses += 1
        masks = []
        for width in [WIDTH] + [WIDTH, FFN, WIDTH] * LAYERS:
            n = batch * length * width
            at = 64 * torch.randint((self.SIZE - n) // 64, (1,), generator=self.gen).item()
            masks.append(self.pool[at : at + n].view(batch, length, width))
        return masks


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.names = list(tensor_shapes())
        params = []
        for name, shape in tensor_shapes().items():
            if len(shape) == 1:
                value = torch.ones(shape)
            else:
                value = torch.randn(shape) * (0.02 if "embd" in name else shape[1] ** -0.5 * 0.6)
                if "attn_output" in name or "ffn_down" in name:
                    value /= math.sqrt(2 * LAYERS)
            params.append(nn.Parameter(value))
        self.params = nn.ParameterList(params)

    def weights(self, rounded):
        out = {}
        for name, p in zip(self.names, self.params):
            kind = storage(name)
            out[name] = straight_through(p, kind) if rounded and kind is not None else p
        return out

    def forward(self, ids, targets, rounded, masks):
        logits = forward(self.weights(rounded), ids, masks)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


@torch.no_grad()
def mean_loss(w, ids):
    """Mean loss per token in nats, over windows of CONTEXT tokens side by side."""
    total, count = 0.0, 0
    n = (len(ids) - 1) // CONTEXT
    x = ids[: n * CONTEXT].view(n, CONTEXT)
    y = ids[1 : n * CONTEXT + 1].view(n, CONTEXT)
    for i in range(0, n, 8):
        logits = forward(w, x[i : i + 8])
        total += F.cross_entropy(logits.flatten(0, 1), y[i : i + 8].flatten(), reduction="sum").item()
        count += y[i : i + 8].numel()
    return total / count


@torch.no_grad()
def sample(w, tok, prompt, count, temperature, seed):
    gen = torch.Generator().manual_seed(seed)
    ids = tok.encode(prompt).ids
    for _ in range(count):
        logits = forward(w, torch.tensor([ids[-CONTEXT:]]))[0, -1]
        probs = F.softmax(logits / temperature, -1)
        ids.append(torch.multinomial(probs, 1, generator=gen).item())
    return tok.decode(ids, skip_special_tokens=False)


# ---- GGUF -------------------------------------------------------------------


def write_gguf(path, w, tok):
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("tiny-shakespeare")
    out.add_description(
        "A tiny llama-architecture model trained from scratch on Shakespeare's plays, for tests and demonstrations"
    )
    out.add_license("MIT")
    out.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    out.add_quantization_version(gguf.GGML_QUANT_VERSION)
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FFN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KV_HEADS)
    out.add_layer_norm_rms_eps(EPS)
    out.add_rope_dimension_count(HEAD_DIM)
    out.add_rope_freq_base(ROPE_BASE)
    out.add_vocab_size(VOCAB)

    end = tok.token_to_id(END)
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list([tok.id_to_token(i) for i in range(VOCAB)])
    out.add_token_types([control if i == end else normal for i in range(VOCAB)])
    merges = json.loads(tok.to_str())["model"]["merges"]
    out.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    out.add_bos_token_id(end)
    out.add_eos_token_id(end)
    out.add_add_bos_token(False)

    for name, p in w.items():
        data = p.detach().float().numpy()
        kind = storage(name)
        if kind is None:
            out.add_tensor(name, data)
        else:
            out.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    size = os.path.getsize(path)
    assert size <= MAX_BYTES, f"{size} bytes is over the limit of {MAX_BYTES}"
    return size


def read_gguf(path):
    """Tensor name -> dequantized weights, as the file has them."""
    w = {}
    for t in gguf.GGUFReader(path).tensors:
        data = gguf.quants.dequantize(t.data, t.tensor_type)
        w[t.name] = torch.from_numpy(np.array(data, dtype=np.float32))
    shapes = tensor_shapes()
    assert {n: tuple(p.shape) for n, p in w.items()} == shapes
    return w


# ---- training ---------------------------------------------------------------


def learning_rate(step, steps, peak, warm_up):
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--text", required=True)
    args.add_argument("--output", required=True)
    args.add_argument("--start", metavar="GGUF", help="go on from this file, with the START settings")
    args.add_argument("--steps", type=int, help="another number of steps, for a trial")
    args = args.parse_args()
    if args.start:
        peak, warm_up, dropout, qat_from = START_LR, START_WARM_UP, START_DROPOUT, 0.0
        steps, eval_every, seed = args.steps or START_STEPS, START_EVAL_EVERY, SEED + 1
    else:
        peak, warm_up, dropout, qat_from = LR, WARM_UP, DROPOUT, QAT_FROM
        steps, eval_every, seed = args.steps or STEPS, EVAL_EVERY, SEED
    torch.manual_seed(seed)
    torch.set_num_threads(THREADS)
    start = time.time()

    raw = open(args.text, encoding="utf-8").read()
    cut = int(len(raw) * (1 - HELD_OUT))
    cut = raw.index("\n\n", cut) + 2
    tok = train_tokenizer(raw[:cut])
    train = torch.tensor(tok.encode(raw[:cut]).ids)
    held = torch.tensor(tok.encode(raw[cut:]).ids)
    held_bytes = len(raw[cut:].encode()) / len(held)
    assert tok.decode(held.tolist()) == raw[cut:]
    newline = tok.encode("\n").ids[0]
    line_starts = (train[:-CONTEXT - 1] == newline).nonzero().flatten() + 1
    end = tok.token_to_id(END)
    print(f"{len(train)} training tokens, {len(held)} held out, {held_bytes:.3f} bytes a token", flush=True)

    model = Model()
    if args.start:
        for name, value in read_gguf(args.start).items():
            model.params[model.names.index(name)].data.copy_(value)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    matrices = [p for p in model.params if p.dim() == 2]
    norms = [p for p in model.params if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": norms, "weight_decay": 0.0}],
        lr=peak,
        betas=BETAS,
        fused=True,
    )
    step_loss = torch.compile(model, dynamic=False)
    gen = torch.Generator().manual_seed(seed)
    masks = Masks(gen, dropout)
    best, best_weights = math.inf, None
    running = 0.0
    for step in range(steps):
        rounded = step >= qat_from * steps
        length = CONTEXT if step >= LONG_FROM * steps else SHORT
        batch = BATCH_TOKENS // length
        at = torch.randint(len(train) - length - 1, (batch,), generator=gen)
        x = torch.stack([train[i : i + length] for i in at.tolist()])
        y = torch.stack([train[i + 1 : i + length + 1] for i in at.tolist()])
        for row in (torch.rand(batch, generator=gen) < END_PREFIX).nonzero().flatten().tolist():
            i = line_starts[torch.randint(len(line_starts), (1,), generator=gen).item()].item()
            y[row] = train[i : i + length]
            x[row, 0], x[row, 1:] = end, y[row, :-1]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak, warm_up)
        with torch.autocast("cpu", torch.bfloat16):
            loss = step_loss(x, y, rounded, masks.draw(batch, length))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % eval_every == 0 or step + 1 == steps:
            with torch.no_grad():
                w = {n: p.detach().clone() for n, p in model.weights(rounded).items()}
            val = mean_loss(w, held)
            print(
                f"step {step + 1}: batches {running:.4f}, held out {val:.4f} ({val / held_bytes:.4f} a byte)"
                f"{' rounded' if rounded else ''}, {time.time() - start:.0f} s",
                flush=True,
            )
            # only rounded weights count: they are what the file holds
            if rounded and val < best:
                best = val
                best_weights = {n: p.detach().clone() for n, p in zip(model.names, model.params)}
                size = write_gguf(args.output, best_weights, tok)

    stored = read_gguf(args.output)
    part = train[: len(held)]
    part_bytes = len(tok.decode(part.tolist()).encode()) / len(part)
    for label, w in (("before rounding", best_weights), ("as stored", stored)):
        t, v = mean_loss(w, part), mean_loss(w, held)
        print(f"{label}: training {t:.4f} ({t / part_bytes:.4f} a byte), held out {v:.4f} ({v / held_bytes:.4f} a byte)")
    print(f"{size} bytes, {time.time() - start:.0f} s")
    for prompt, temperature in (("To be", 0.8), ("ROMEO:", 0.8), ("ROMEO:", 0.4)):
        print(f"---- {prompt!r} at {temperature}\n{sample(stored, tok, prompt, 150, temperature, SEED)}")


if __name__ == "__main__":
    main()
