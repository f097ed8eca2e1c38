"""Times models in PyTorch, eager and compiled, by turns in one run.

    python3 benches/pytorch.py [--threads N] [--rounds N] [--eager-only] A.json B.json ... > rows.csv

The models are graphopt-graph files with the same inputs (an original and what searches made of it). Each is written as a
Python function of torch operators and run as it is, and as torch.compile makes it. Weights that a file draws at random are
other random numbers here: nothing is compared but time. Needs torch, numpy and safetensors from PyPI.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open

DTYPES = {"f32": torch.float32, "f64": torch.float64, "i64": torch.int64, "i32": torch.int32, "bool": torch.bool}
# The numbers of ONNX, as Cast has them.
ONNX_DTYPES = {1: "torch.float32", 6: "torch.int32", 7: "torch.int64", 9: "torch.bool", 11: "torch.float64"}
POINTWISE = {
    "Add": "{0} + {1}", "Sub": "{0} - {1}", "Mul": "{0} * {1}", "Div": "{0} / {1}", "Pow": "{0} ** {1}",
    "Relu": "{0}.relu()", "Sigmoid": "{0}.sigmoid()", "Tanh": "{0}.tanh()", "Erf": "{0}.erf()", "Sqrt": "{0}.sqrt()",
    "Exp": "{0}.exp()", "Neg": "-{0}", "Sin": "{0}.sin()", "Cos": "{0}.cos()", "Equal": "{0} == {1}", "Less": "{0} < {1}",
    "Greater": "{0} > {1}", "Or": "{0} | {1}", "And": "{0} & {1}", "Not": "~{0}", "Where": "torch.where({0}, {1}, {2})",
    "Identity": "{0}", "MatMul": "torch.matmul({0}, {1})", "Reciprocal": "{0}.reciprocal()",
}  # fmt: skip


class Writer:
    """Writes a graph as the body of a function."""

    def __init__(self, path):
        self.graph = json.loads(Path(path).read_text())
        self.folder = Path(path).parent
        self.names, self.values, self.lines = {}, {}, []
        for index, given in enumerate(self.graph["inputs"]):
            self.names[given["name"]] = f"x{index}"
        for weight in self.graph.get("weights", []):
            self.values[weight["name"]] = self.weight(weight)
            self.names[weight["name"]] = f"w[{len(self.values) - 1}]"
        for node in self.graph["nodes"]:
            self.node(node)

    def weight(self, weight):
        shape, dtype, data = weight["shape"], DTYPES[weight["dtype"]], weight["data"]
        if "inline" in data:
            # What JSON has no number for is text.
            number = float if dtype.is_floating_point else int
            return torch.tensor([number(v) for v in data["inline"]], dtype=dtype).reshape(shape)
        if "file" in data:
            with safe_open(self.folder / data["file"], framework="pt") as tensors:
                return tensors.get_tensor(data["tensor"]).reshape(shape)
        if not dtype.is_floating_point:
            raise SystemExit(f"{weight['name']}: integers drawn at random")
        # Positive, since some are variances.
        return torch.rand(shape, dtype=dtype) * 0.1 + 0.01

    def constant(self, name):
        return [int(v) for v in self.values[name].reshape(-1).tolist()]

    def node(self, node):
        kind, attrs = node["op"], node.get("attrs", {})
        inputs = [self.names[name] if name else None for name in node["inputs"]]
        given = [name for name in node["inputs"]]
        outputs = [f"v{len(self.names) + i}" for i in range(len(node["outputs"]))]
        self.names.update(zip(node["outputs"], outputs))
        self.lines.append(f"{', '.join(outputs)} = {self.expression(kind, attrs, inputs, given)}")

    def padded(self, x, attrs, rank, value=0.0):
        """The operand with pads that torch's window operators do not have themselves, and those that they have."""
        pads = attrs.get("pads", [0] * (2 * rank))
        begin, end = pads[:rank], pads[rank:]
        if begin == end:
            return x, tuple(begin)
        sides = [side for axis in reversed(range(rank)) for side in (begin[axis], end[axis])]
        return f"F.pad({x}, {sides}, value={value})", (0,) * rank

    def expression(self, kind, attrs, inputs, given):
        x = inputs[0] if inputs else None
        if kind in POINTWISE:
            return POINTWISE[kind].format(*inputs)
        if kind == "Conv":
            rank = len(attrs["kernel_shape"])
            x, pads = self.padded(x, attrs, rank)
            bias = inputs[2] if len(inputs) > 2 and inputs[2] else None
            stride, dilation = attrs.get("strides", [1] * rank), attrs.get("dilations", [1] * rank)
            return f"F.conv{rank}d({x}, {inputs[1]}, {bias}, {tuple(stride)}, {pads}, {tuple(dilation)}, {attrs.get('group', 1)})"
        if kind in ("MaxPool", "AveragePool"):
            rank, ceil = len(attrs["kernel_shape"]), bool(attrs.get("ceil_mode", 0))
            window, stride = tuple(attrs["kernel_shape"]), tuple(attrs.get("strides", [1] * rank))
            if kind == "MaxPool":
                x, pads = self.padded(x, attrs, rank, float("-inf"))
                return f"F.max_pool{rank}d({x}, {window}, {stride}, {pads}, ceil_mode={ceil})"
            x, pads = self.padded(x, attrs, rank)
            counts = bool(attrs.get("count_include_pad", 0))
            return f"F.avg_pool{rank}d({x}, {window}, {stride}, {pads}, {ceil}, {counts})"
        if kind == "BatchNormalization":
            scale, bias, mean, variance = inputs[1:5]
            return f"F.batch_norm({x}, {mean}, {variance}, {scale}, {bias}, False, 0.0, {attrs.get('epsilon', 1e-5)})"
        if kind == "LayerNormalization":
            scale, bias = inputs[1], inputs[2] if len(inputs) > 2 else None
            return f"F.layer_norm({x}, {scale}.shape, {scale}, {bias}, {attrs.get('epsilon', 1e-5)})"
        if kind == "Gemm":
            a = f"{x}.mT" if attrs.get("transA") else x
            b = f"{inputs[1]}.mT" if attrs.get("transB") else inputs[1]
            product = f"{attrs.get('alpha', 1.0)} * ({a} @ {b})" if attrs.get("alpha", 1.0) != 1 else f"{a} @ {b}"
            if len(inputs) < 3:
                return product
            plain = attrs.get("alpha", 1.0) == 1 and attrs.get("beta", 1.0) == 1
            return f"torch.addmm({inputs[2]}, {a}, {b})" if plain else f"{product} + {attrs.get('beta', 1.0)} * {inputs[2]}"
        if kind == "Clip":
            low, high = (f"{i}" if i else None for i in (inputs[1:] + [None, None])[:2])
            return f"{x}.clamp({low}, {high})"
        if kind == "Reshape":
            return f"{x}.reshape({self.constant(given[1])})"
        if kind == "Transpose":
            return f"{x}.permute({attrs['perm']})" if "perm" in attrs else f"{x}.permute(*reversed(range({x}.ndim)))"
        if kind == "Concat":
            return f"torch.cat([{', '.join(inputs)}], {attrs['axis']})"
        if kind == "Split":
            return f"{x}.split({self.constant(given[1])}, {attrs.get('axis', 0)})"
        if kind in ("Softmax", "LogSoftmax"):
            return f"{x}.{'softmax' if kind == 'Softmax' else 'log_softmax'}({attrs.get('axis', -1)})"
        if kind == "Flatten":
            return f"{x}.flatten({attrs.get('axis', 1)})"
        if kind == "Cast":
            return f"{x}.to({ONNX_DTYPES[attrs['to']]})"
        if kind == "Gather":
            axis = attrs.get("axis", 0)
            if given[1] in self.values and self.values[given[1]].ndim == 0:
                return f"{x}.select({axis}, {self.constant(given[1])[0]})"
            return f"F.embedding({inputs[1]}, {x})" if axis == 0 else f"{x}.index_select({axis}, {inputs[1]})"
        if kind == "Unsqueeze":
            axes = sorted(self.constant(given[1]))
            return x + "".join(f".unsqueeze({axis})" for axis in axes)
        if kind == "Squeeze":
            return f"{x}.squeeze({tuple(self.constant(given[1]))})"
        if kind == "GlobalAveragePool":
            return f"{x}.mean((-2, -1), keepdim=True)"
        if kind in ("ReduceMean", "ReduceSum"):
            axes = tuple(attrs["axes"]) if "axes" in attrs else tuple(self.constant(given[1]))
            name = "mean" if kind == "ReduceMean" else "sum"
            return f"{x}.{name}({axes}, keepdim={bool(attrs.get('keepdims', 1))})"
        if kind == "Slice":
            starts, ends = self.constant(given[1]), self.constant(given[2])
            axes = self.constant(given[3]) if len(given) > 3 and given[3] else list(range(len(starts)))
            steps = self.constant(given[4]) if len(given) > 4 and given[4] else [1] * len(starts)
            # Negative axes count from the end: narrowed one by one.
            parts = (f"slice_axis({{}}, {a}, {s}, {e}, {t})" for a, s, e, t in zip(axes, starts, ends, steps))
            for part in parts:
                x = part.format(x)
            return x
        if kind == "Pad":
            pads = self.constant(given[1])
            rank = len(pads) // 2
            sides = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[rank + axis])]
            value = float(self.values[given[2]].item()) if len(given) > 2 and given[2] else 0.0
            return f"F.pad({x}, {sides}, value={value})"
        if kind == "Trilu":
            return f"{x}.{'triu' if attrs.get('upper', 1) else 'tril'}()"
        if kind == "Einsum":
            return f"torch.einsum({attrs['equation']!r}, {', '.join(inputs)})"
        if kind == "Expand":
            return f"{x}.broadcast_to({self.constant(given[1])})"
        raise SystemExit(f"{kind} is not known here")

    def function(self):
        parameters = ", ".join(f"x{i}" for i in range(len(self.graph["inputs"])))
        results = ", ".join(self.names[output["name"]] for output in self.graph["outputs"])
        body = "\n    ".join(self.lines)
        scope = {"torch": torch, "F": F, "w": list(self.values.values()), "slice_axis": slice_axis}
        exec(f"def model({parameters}):\n    {body}\n    return {results},", scope)
        return scope["model"]

    def inputs(self):
        drawn = []
        for given in self.graph["inputs"]:
            dtype = DTYPES[given["dtype"]]
            # Small integers are indices into tables, and masks.
            drawn.append(torch.rand(given["shape"]) if dtype.is_floating_point else torch.ones(given["shape"], dtype=dtype))
        return drawn


def slice_axis(x, axis, start, end, step):
    """A slice of one axis."""
    index = [slice(None)] * x.ndim
    index[axis] = slice(start, min(end, x.shape[axis]), step)
    return x[tuple(index)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--eager-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for path in options.models:
        writer = Writer(path)
        inputs = writer.inputs()
        rows.append((path, "eager", writer.function(), inputs))
        if not options.eager_only:
            rows.append((path, "compiled", torch.compile(writer.function()), inputs))
    times = [[] for _ in rows]
    with torch.inference_mode():
        for _, _, function, inputs in rows:
            for _ in range(3):
                function(*inputs)
        for turn in range(options.rounds):
            order = range(len(rows)) if turn % 2 else reversed(range(len(rows)))
            for at in order:
                begin = time.perf_counter()
                rows[at][2](*rows[at][3])
                times[at].append(time.perf_counter() - begin)
    print("model,mode,threads,rounds,median_us,spread_us")
    for (path, mode, _, _), own in zip(rows, times):
        low, middle, high = statistics.quantiles(own, n=4)
        print(f"{Path(path).stem},{mode},{options.threads},{options.rounds},{1e6 * middle:.0f},{1e6 * (high - low):.0f}", flush=True)


if __name__ == "__main__":
    main()
