"""The same training with PyTorch: what `training.rs` lays beside its own figures."""

import json
import resource
import statistics
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

settings = json.loads(sys.argv[1])
torch.set_num_threads(settings["threads"])
torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=settings["vocabulary"],
        hidden_size=settings["width"],
        intermediate_size=settings["inner"],
        num_hidden_layers=settings["layers"],
        num_attention_heads=settings["heads"],
        max_position_embeddings=settings["context"],
        use_cache=False,
    )
)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)
shape = (settings["batch"], settings["context"])
tokens = torch.randint(settings["vocabulary"], shape)
seconds = []
for _ in range(settings["warm"] + settings["steps"]):
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    model(input_ids=tokens, labels=tokens).loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    seconds.append(time.perf_counter() - start)
second = statistics.median(seconds[settings["warm"] :])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"tokens_per_second": tokens.numel() / second, "peak_mib": peak}))
