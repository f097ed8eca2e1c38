"""Prints the folder of an installed PyTorch 2.11 whose libraries load; prints nothing if there is none."""

import ctypes
import importlib.util
import pathlib
import sys

spec = importlib.util.find_spec("torch")
if spec is None or not spec.submodule_search_locations:
    sys.exit()
folder = pathlib.Path(spec.submodule_search_locations[0]).resolve()
library = folder / "lib" / ("libtorch_cpu.dylib" if sys.platform == "darwin" else "libtorch_cpu.so")
version = {}
exec((folder / "version.py").read_text(), version)
if version["__version__"].startswith("2.11.") and (folder / "include").is_dir():
    ctypes.CDLL(str(library))
    print(folder)
