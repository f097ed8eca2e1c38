"""Unpacks what a C++ program needs from wheels: libraries, headers, licences.

Usage: unpack.py TO WHEEL...
"""

import pathlib
import sys
import zipfile


def wanted(name):
    parts = name.split("/")
    if parts[0].endswith(".dist-info"):
        return any(word in name.lower() for word in ("license", "notice", "copying"))
    library = ".so" in parts[-1] or parts[-1].endswith(".dylib")
    # Python's own extension modules are of no use without its sources.
    if library and ("_python" in parts[-1] or parts[-1].startswith("_")):
        return False
    if parts[0] == "torch":
        return (parts[1] == "lib" and library) or parts[1] == "include" or parts[1:3] == ["share", "cmake"]
    return library


def main():
    target = pathlib.Path(sys.argv[1]).resolve()
    for wheel in sys.argv[2:]:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target, [name for name in archive.namelist() if wanted(name)])


try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
except (OSError, zipfile.BadZipFile) as error:
    sys.exit(str(error))
