"""Times original and optimised models in ONNX Runtime: is the result faster in an engine that optimises by itself?

    python benches/onnx_runtime.py [options] ORIGINAL.onnx OPTIMISED.onnx [ORIGINAL.onnx OPTIMISED.onnx ...]

Needs `onnxruntime` and `numpy`. Both models of a pair run on the CPU with all of ONNX Runtime's own optimisations, on
the same random inputs, by turns in random order, so that drifts of the machine meet both. Symbolic dimensions are 1
unless `--dim NAME=N` says otherwise. Prints for each pair the median times in milliseconds, the speed-up (the ratio of
the medians) with a 95 % interval from a bootstrap over the rounds, and how far the outputs are apart.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

RESAMPLES = 2000

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def session(path, threads):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def draw_inputs(model, dims, rng):
    """Standard normal floats; integers 0 and 1, which every vocabulary and every mask has."""
    inputs = {}
    for value in model.get_inputs():
        shape = [dim if isinstance(dim, int) else dims.get(dim, 1) for dim in value.shape]
        if value.type not in DTYPES:
            raise SystemExit(f"input {value.name}: no values are drawn for {value.type}")
        dtype = DTYPES[value.type]
        drawn = rng.standard_normal(shape) if np.issubdtype(dtype, np.floating) else rng.integers(0, 2, shape)
        inputs[value.name] = np.asarray(drawn, dtype)
    return inputs


def distance(expected, actual):
    """The largest difference, relative to the largest magnitude of each output."""
    worst = 0.0
    for left, right in zip(expected, actual, strict=True):
        if left.size:
            left, right = left.astype(np.float64), right.astype(np.float64)
            worst = max(worst, np.abs(left - right).max() / max(np.abs(left).max(), 1e-30))
    return worst


def time_by_turns(sessions, inputs, warmup, rounds, rng):
    """Milliseconds, [rounds, sessions]."""
    times = np.zeros((rounds, len(sessions)))
    for number in range(-warmup, rounds):
        for at in rng.permutation(len(sessions)):
            start = time.perf_counter_ns()
            sessions[at].run(None, inputs)
            if number >= 0:
                times[number, at] = (time.perf_counter_ns() - start) / 1e6
    return times


def compare(original, optimised, args, rng):
    sessions = [session(path, args.threads) for path in (original, optimised)]
    inputs = draw_inputs(sessions[0], args.dims, rng)
    apart = distance(*(s.run(None, inputs) for s in sessions))
    times = time_by_turns(sessions, inputs, args.warmup, args.rounds, rng)
    before, after = np.median(times, axis=0)
    # Rounds are drawn, not single times: what slows a round down slows both of its runs down.
    drawn = times[rng.integers(0, args.rounds, (RESAMPLES, args.rounds))]
    medians = np.median(drawn, axis=1)
    low, high = np.percentile(medians[:, 0] / medians[:, 1], [2.5, 97.5])
    name = Path(original).stem
    print(
        f"{name:<24} {before:12.3f} {after:13.3f} {before / after:8.3f}  [{low:.3f}, {high:.3f}]  {apart:11.1e}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="pairs of files: original and optimised")
    parser.add_argument("--threads", type=int, default=2, help="threads of each operator [default: 2]")
    parser.add_argument("--rounds", type=int, default=100, help="timed runs of each model [default: 100]")
    parser.add_argument("--warmup", type=int, default=10, help="runs of each model before those [default: 10]")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=N", help="size of a symbolic dimension")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs, the order and the bootstrap [default: 0]")
    args = parser.parse_args()
    if len(args.files) % 2:
        parser.error("files come in pairs: ORIGINAL.onnx OPTIMISED.onnx")
    args.dims = {name: int(size) for name, size in (dim.split("=") for dim in args.dim)}
    print(f"onnxruntime {ort.__version__}, {args.threads} threads, {args.rounds} rounds")
    columns = f"{'original ms':>12} {'optimised ms':>13} {'speed-up':>8}  {'95 % interval':<14}  {'difference':>11}"
    print(f"{'model':<24} {columns}")
    for original, optimised in zip(args.files[::2], args.files[1::2]):
        compare(original, optimised, args, np.random.default_rng(args.seed))


if __name__ == "__main__":
    main()
