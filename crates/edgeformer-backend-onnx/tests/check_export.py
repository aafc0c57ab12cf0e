"""Checks an exported model with the onnx package and runs it with stock ONNX Runtime.

MODEL.onnx EXPECTED.json: the latter has inputs, the output's name, values, and what error is allowed.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime as ort

path, expected = sys.argv[1], json.load(open(sys.argv[2]))
onnx.checker.check_model(path)
options = ort.SessionOptions()
options.log_severity_level = 3
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
inputs = {port.name: port for port in session.get_inputs()}
outputs = [port.name for port in session.get_outputs()]
name = expected["output"]
assert outputs[0] == name, outputs


def error(found, wanted):
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def near(found, wanted, what):
    assert found.shape == wanted.shape, (what, found.shape, wanted.shape)
    distance = error(found, wanted)
    assert distance <= expected["limit"], (what, distance)


def feed(batch, past, cache):
    """Inputs for more tokens behind what is cached."""
    tokens = np.array(batch, dtype=np.int64)
    total = past + tokens.shape[1]
    made = {
        "input_ids": tokens,
        "position_ids": np.tile(np.arange(past, total), (len(tokens), 1)),
        "attention_mask": np.ones((len(tokens), total), dtype=np.int64),
    }
    made = {key: value for key, value in made.items() if key in inputs}
    for key, port in inputs.items():
        if key.startswith("past_key_values."):
            shape = [len(tokens), port.shape[1], 0, port.shape[3]]
            made[key] = cache.get(key, np.zeros(shape, dtype=np.float32))
    return made


def run(batch, past=0, cache={}):
    found = dict(zip(outputs, session.run(None, feed(batch, past, cache))))
    after = {
        "past_key_values" + key.removeprefix("present"): value
        for key, value in found.items()
        if key.startswith("present.")
    }
    return found[name], after


values = np.array(expected["values"], dtype=np.float64)
if "pixel_values" in expected:
    shape = [size if isinstance(size, int) else 1 for size in inputs["pixel_values"].shape]
    pixels = np.array(expected["pixel_values"], dtype=np.float32).reshape(shape)
    near(session.run(None, {"pixel_values": pixels})[0].reshape(-1), values, "image")
else:
    tokens = expected["input_ids"]
    whole, after = run([tokens])
    near(whole.reshape(-1), values, "in one piece")
    twice, _ = run([tokens, tokens])
    near(twice[1].reshape(-1), values, "in a batch")
    if after:
        cut = len(tokens) // 2
        first, cache = run([tokens[:cut]])
        rows = [first[0]]
        for place in range(cut, len(tokens)):
            row, cache = run([tokens[place : place + 1]], place, cache)
            rows.append(row[0])
        near(np.concatenate(rows).reshape(-1), values, "token by token")
print("fine")
