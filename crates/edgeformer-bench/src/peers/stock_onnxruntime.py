"""An exported model in stock ONNX Runtime, as its users run one: `onnxruntime` of PyPI, the CPU
execution provider, outputs of a step bound as inputs of the next one.

    python3 stock_onnxruntime.py MODEL.onnx THREADS

Reads a line of token ids a step from standard input, or `clear`; answers each with a line.
"""

import sys

import numpy
import onnxruntime

TYPES = {"tensor(float)": numpy.float32, "tensor(float16)": numpy.float16}


def empty_past(session):
    """What is cached of no token, by the name of its input."""
    past = {}
    for port in session.get_inputs():
        if port.name.startswith("past_key_values."):
            # Free dimensions are the batch, first, and the tokens.
            shape = [size if isinstance(size, int) else 0 for size in port.shape]
            shape[0] = 1
            values = numpy.zeros(shape, TYPES[port.type])
            past[port.name] = onnxruntime.OrtValue.ortvalue_from_numpy(values)
    return past


def step(session, past, seen, tokens):
    """Runs one step; what is cached then."""
    ports = {port.name for port in session.get_inputs()}
    feeds = {
        "input_ids": numpy.array([tokens], numpy.int64),
        "attention_mask": numpy.ones((1, seen + len(tokens)), numpy.int64),
        "position_ids": numpy.arange(seen, seen + len(tokens), dtype=numpy.int64)[None],
    }
    binding = session.io_binding()
    for name, values in feeds.items():
        if name in ports:
            binding.bind_cpu_input(name, values)
    for name, value in past.items():
        binding.bind_ortvalue_input(name, value)
    for port in session.get_outputs():
        binding.bind_output(port.name, "cpu")
    session.run_with_iobinding(binding)
    outputs = dict(zip((port.name for port in session.get_outputs()), binding.get_outputs()))
    return {name: outputs[name.replace("past_key_values.", "present.")] for name in past}


def main():
    path, threads = sys.argv[1], int(sys.argv[2])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    vocabulary = next(port for port in session.get_outputs() if port.name == "logits").shape[-1]
    print(onnxruntime.__version__, vocabulary, flush=True)
    past, seen = empty_past(session), 0
    for line in sys.stdin:
        if line.strip() == "clear":
            past, seen = empty_past(session), 0
        else:
            tokens = [int(token) for token in line.split()]
            past = step(session, past, seen, tokens)
            seen += len(tokens)
        print("done", flush=True)


main()
