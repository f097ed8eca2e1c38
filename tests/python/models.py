"""Judges optimised models in ONNX Runtime: `models.py FOLDER`.

For each NAME.METHOD.onnx in the folder: ONNX's checker (with type inference) accepts it, and on the inputs of
NAME.inputs/ it computes what NAME.onnx computes, both with all of ONNX Runtime's own optimisations. Prints a line for
each model and fails if one differs.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

# Of the largest magnitude of an output. Float32 rounds to 6e-8; sums in another order gather some hundred roundings.
TOLERANCE = 1e-5


def run(path, arrays):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {value.name: array for value, array in zip(session.get_inputs(), arrays, strict=True)}
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def difference(expected, actual):
    """The largest difference over the largest magnitude; infinity where type, shape or special values differ."""
    if expected.dtype != actual.dtype or expected.shape != actual.shape:
        return np.inf
    if not np.issubdtype(expected.dtype, np.floating):
        return 0.0 if np.array_equal(expected, actual) else np.inf
    expected, actual = expected.astype(np.float64), actual.astype(np.float64)
    if not (np.isfinite(expected).all() and np.isfinite(actual).all()):
        return np.inf
    return np.abs(expected - actual).max() / np.abs(expected).max()


def judge(optimised):
    original = optimised.with_name(optimised.name.split(".")[0] + ".onnx")
    onnx.checker.check_model(optimised, full_check=True)
    files = sorted(original.with_suffix(".inputs").glob("*.npy"), key=lambda file: int(file.stem))
    arrays = [np.load(file) for file in files]
    expected, actual = run(original, arrays), run(optimised, arrays)
    if list(expected) != list(actual):
        return f"outputs {list(actual)} and not {list(expected)}"
    far = {name: difference(expected[name], actual[name]) for name in expected}
    worst = max(far, key=far.get)
    if not far[worst] <= TOLERANCE:
        return f"output {worst} differs by {far[worst]:.2e} of its magnitude"
    print(f"same {optimised.stem} {far[worst]:.1e}")
    return None


def main():
    faults = {}
    for optimised in sorted(Path(sys.argv[1]).glob("*.*.onnx")):
        try:
            fault = judge(optimised)
        except Exception as error:  # every other model is judged as well
            fault = f"{type(error).__name__}: {error}"
        if fault:
            faults[optimised.name] = fault
    for name, fault in faults.items():
        print(f"FAULT {name}: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
