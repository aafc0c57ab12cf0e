"""Writes the golden files of this folder with gguf-py (`pip install gguf==0.19.0`).

NAME.decode: three random blocks, then their values as f32.
NAME.encode: four blocks of f32 values, then their bytes.
NAME.llama: 1024 weights as f16, then as llama.cpp quantized them; taken from the folder that the
first argument names, which holds one model in every format (`fixtures/gguf-blocks`).
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader
from gguf.quants import dequantize, quantize

# Name, bytes of a block, where its halves are.
BLOCKS = {
    "Q8_0": (34, [0]), "Q4_0": (18, [0]), "Q4_1": (20, [0, 2]), "Q5_0": (22, [0]),
    "Q5_1": (24, [0, 2]), "Q2_K": (84, [80, 82]), "Q3_K": (110, [108]), "Q4_K": (144, [0, 2]),
    "Q5_K": (176, [0, 2]), "Q6_K": (210, [208]), "IQ4_NL": (18, [0]), "IQ4_XS": (136, [0]),
}
ENCODED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]

random = np.random.default_rng(20261122)
for name, (size, halves) in BLOCKS.items():
    blocks = random.integers(0, 256, (3, size), dtype=np.uint8)
    for at in halves:
        scales = random.uniform(-2, 2, (3, 1)).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8)
    values = dequantize(blocks, Type[name]).astype("<f4")
    open(f"{name.lower()}.decode", "wb").write(blocks.tobytes() + values.tobytes())

for name in ENCODED:
    values = random.standard_normal((4, 32)).astype("<f4")
    values[1] *= 1000.0
    values[2, ::3] = 0.0
    values[3] = np.round(values[3] * 4) / 4  # ties
    blocks = quantize(values, Type[name])
    open(f"{name.lower()}.encode", "wb").write(values.tobytes() + blocks.tobytes())

SEARCHED = {
    "Q2_K": "q2_k", "Q3_K": "q3_k_m", "Q4_K": "q4_k_m", "Q5_K": "q5_k_m", "Q6_K": "q6_k",
    "IQ4_NL": "iq4_nl", "IQ4_XS": "iq4_xs",
}
source = {tensor.name: tensor for tensor in GGUFReader(f"{sys.argv[1]}/f16.gguf").tensors}
for name, file in SEARCHED.items():
    tensors = GGUFReader(f"{sys.argv[1]}/{file}.gguf").tensors
    tensor = next(tensor for tensor in tensors if tensor.tensor_type == Type[name])
    rows = 1024 // int(tensor.shape[0])
    weights = source[tensor.name].data.reshape(-1, int(tensor.shape[0]))[:rows]
    blocks = tensor.data.reshape(-1, tensor.data.shape[-1])[:rows]
    open(f"{name.lower()}.llama", "wb").write(weights.astype("<f2").tobytes() + blocks.tobytes())
