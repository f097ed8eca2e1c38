#!/usr/bin/env python3
"""Rewrites the pinned requirement files: exact versions, with the SHA-256 of every wheel that we may fetch.

    python3 xtask/requirements/pin.py

Run it after changing a version below. It asks pip, which asks the package index, and downloads metadata only.
The libtorch sets are for Linux (x86-64 and Arm) and macOS (Arm); the tests' set is for those and each Python version below.
"""

import json
import pathlib
import subprocess
import sys

TORCH = "torch==2.11.0"
# libtorch_cpu.so of the Linux wheel links these two, also when no GPU is used.
CPU_RUNTIME = ["nvidia-cuda-runtime", "nvidia-cuda-cupti"]
# What torch 2.11.0's metadata asks for on Linux, without its Python-only needs.
CUDA = [
    "cuda-toolkit[cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.0.2",
    "nvidia-cudnn-cu13==9.19.0.56",
    "nvidia-cusparselt-cu13==0.8.0",
    "nvidia-nccl-cu13==2.28.9",
    "nvidia-nvshmem-cu13==3.4.5",
]
TESTS = ["onnx==1.23.2", "onnxruntime", "numpy", "z3-solver==4.13.0.0"]
TEST_PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
# The wheel holds the same libraries for every Python, so that one version is fetched whatever runs here.
WHEEL_PYTHON = "3.12"


def linux(arch):
    tags = ["2_28", "2_27", "2_26", "2_25", "2_24", "2_18", "2_17", "2_12", "2_5"]
    return [f"manylinux_{t}_{arch}" for t in tags] + [f"manylinux2014_{arch}"]


PLATFORMS = {
    "linux-x86_64": linux("x86_64"),
    "linux-aarch64": linux("aarch64"),
    "macos-arm64": [f"macosx_{v}_0_{a}" for v in (14, 13, 12, 11) for a in ("arm64", "universal2")],
}
LINUX = [p for p in PLATFORMS if p.startswith("linux")]


def resolve(requirements, platform, python):
    """pip's answer for one platform and Python: {name: (version, hash)}."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--target", "unused", "--only-binary=:all:", "--report", "-", "--python-version", python]
    command += [f"--platform={tag}" for tag in PLATFORMS[platform]]
    report = json.loads(subprocess.run(command + requirements, check=True, stdout=subprocess.PIPE).stdout)
    return {
        item["metadata"]["name"].lower().replace("_", "-"): (
            item["metadata"]["version"],
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in report["install"]
    }


def merge(answers):
    """{(name, version): (hashes, keys of the answers that have it)}"""
    merged = {}
    for key, answer in answers.items():
        for name, (version, digest) in answer.items():
            hashes, keys = merged.setdefault((name, version), (set(), set()))
            hashes.add(digest)
            keys.add(key)
    return merged


def write(path, title, lines):
    text = f"# {title}\n# Written by xtask/requirements/pin.py; do not edit by hand.\n"
    for name, version, marker, hashes in sorted(lines):
        text += f"{name}=={version}{marker}" + "".join(f" \\\n    --hash=sha256:{h}" for h in sorted(hashes)) + "\n"
    path.write_text(text)
    print(path, len(lines), "packages")


def main():
    here = pathlib.Path(__file__).resolve().parent
    on_linux = ' ; platform_system == "Linux"'

    torch = merge({p: resolve(["--no-deps", TORCH], p, WHEEL_PYTHON) for p in PLATFORMS})
    cuda = merge({p: resolve(CUDA, p, WHEEL_PYTHON) for p in LINUX})
    cpu_lines = [(n, v, "", hashes) for (n, v), (hashes, _) in torch.items()]
    cpu_lines += [(n, v, on_linux, hashes) for (n, v), (hashes, _) in cuda.items() if n in CPU_RUNTIME]
    cuda_lines = [(n, v, on_linux, hashes) for (n, v), (hashes, _) in cuda.items() if n not in CPU_RUNTIME + ["cuda-toolkit"]]
    write(here / "libtorch.txt", "libtorch and what its CPU library links.", cpu_lines)
    write(here / "libtorch-cuda.txt", "What libtorch's CUDA library links besides.", cuda_lines)

    tests = merge({(p, python): resolve(TESTS, p, python) for p in PLATFORMS for python in TEST_PYTHONS})
    lines = []
    for (name, version), (hashes, keys) in tests.items():
        pythons = [v for v in TEST_PYTHONS if any(v == python for _, python in keys)]
        first, last = TEST_PYTHONS.index(pythons[0]), TEST_PYTHONS.index(pythons[-1])
        assert len(pythons) == last - first + 1, f"{name} {version}: not one range of Python versions"
        marks = [f'python_version >= "{pythons[0]}"'] if first > 0 else []
        marks += [f'python_version < "{TEST_PYTHONS[last + 1]}"'] if last + 1 < len(TEST_PYTHONS) else []
        lines.append((name, version, " ; " + " and ".join(marks) if marks else "", hashes))
    write(here.parents[1] / "tests/python/requirements.txt", "What the tests need from Python.", lines)


if __name__ == "__main__":
    main()
