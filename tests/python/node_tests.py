"""ONNX's own node tests, about 1,900 tiny models with inputs and expected outputs.

`node_tests.py dump FOLDER` writes each as NAME.onnx, and the data as cases.pickle.

`node_tests.py judge FOLDER` runs the originals and what was made of them (NAME.TREATMENT.onnx) in ONNX Runtime, and,
where that does not know the original or disagrees with the expected outputs, in ONNX's reference evaluator. The expected
outputs judge, with the case's own tolerances, wherever one of the two agrees with them on the original. Prints a JSON
document.
"""

import json
import pickle
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

# Cases that draw random numbers: the expected outputs are one draw, and any other is as good.
RANDOM = ("test_bernoulli", "test_training_dropout")


def dump(folder):
    from onnx.backend.test.case.node import collect_testcases

    cases = {}
    for case in collect_testcases(None):
        if case.name.startswith(RANDOM):
            continue
        if case.name in cases:
            raise SystemExit(f"two cases are called {case.name}")
        (folder / f"{case.name}.onnx").write_bytes(case.model.SerializeToString())
        cases[case.name] = (case.data_sets[0], case.rtol, case.atol)
    with open(folder / "cases.pickle", "wb") as file:
        pickle.dump(cases, file)


def array(value):
    """A value of a case as NumPy has it; lists are sequences."""
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list):
        return [array(element) for element in value]
    return value if value is None else np.asarray(value)


def equal(expected, actual, rtol, atol):
    if expected is None or actual is None:
        return expected is actual
    if isinstance(expected, list):
        pairs_up = isinstance(actual, list) and len(expected) == len(actual)
        return pairs_up and all(equal(e, a, rtol, atol) for e, a in zip(expected, actual))
    actual = np.asarray(actual)
    if expected.dtype != actual.dtype or expected.shape != actual.shape:
        return False
    if expected.dtype.kind in "biuUSO":
        return np.array_equal(expected, actual)
    if expected.dtype.isbuiltin != 1:  # bfloat16 and narrower, which are not NumPy's own
        expected, actual = expected.astype(np.float32), actual.astype(np.float32)
    return np.allclose(expected, actual, rtol=rtol, atol=atol, equal_nan=True)


def in_onnx_runtime(path, inputs):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # A case's inputs come in order; optional ones that it leaves out are None.
    named = {value.name: given for value, given in zip(session.get_inputs(), inputs) if given is not None}
    return session.run(None, named)


def in_reference(path, inputs):
    evaluator = ReferenceEvaluator(str(path))
    named = {name: given for name, given in zip(evaluator.input_names, inputs) if given is not None}
    return evaluator.run(None, named)


def fault_of(run, path, case):
    """What is wrong with the outputs; `None` if they are as expected."""
    (inputs, outputs), rtol, atol = case
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            actual = run(path, [array(value) for value in inputs])
        expected = [array(value) for value in outputs]
        if len(actual) != len(expected):
            return f"{len(actual)} outputs and not {len(expected)}"
        wrong = [str(i) for i, (e, a) in enumerate(zip(expected, actual)) if not equal(e, a, rtol, atol)]
        return f"output {', '.join(wrong)} differs" if wrong else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def checker_fault(path):
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def judge(folder):
    with open(folder / "cases.pickle", "rb") as file:
        cases = pickle.load(file)
    counts, faults = Counter(), {}
    for name, case in cases.items():
        original = folder / f"{name}.onnx"
        changed = []
        for path in sorted(folder.glob(f"{name}.*.onnx")):
            same = path.read_bytes() == original.read_bytes()
            counts["unchanged" if same else "changed"] += 1
            changed += [] if same else [path]
        if not changed:
            continue
        judges = {"onnx_runtime": in_onnx_runtime, "reference": in_reference}
        found = next(((label, run) for label, run in judges.items() if fault_of(run, original, case) is None), None)
        counts["cases judged by " + found[0] if found else "cases not judged"] += 1
        accepted = checker_fault(original) is None
        for path in changed:
            fault = fault_of(found[1], path, case) if found else None
            fault = fault or (checker_fault(path) if accepted else None)
            if fault:
                faults[path.name] = fault
    json.dump({"cases": len(cases), "counts": counts, "faults": faults}, sys.stdout, indent=1)


if __name__ == "__main__":
    {"dump": dump, "judge": judge}[sys.argv[1]](Path(sys.argv[2]))
