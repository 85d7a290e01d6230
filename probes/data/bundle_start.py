"""Start of the probe archive: unpack what fits this processor and Python into a private folder, run, remove it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import zipfile
from typing import NoReturn


def fail(text: str) -> NoReturn:
    """One line, exit code 2."""
    sys.stderr.write(f"error: {text}\n")
    sys.exit(2)


def main() -> int:
    """Unpack, run, remove."""
    python, machine = f"cp{sys.version_info[0]}{sys.version_info[1]}", platform.machine()
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        fail(f"this is Python {platform.python_version()}, the probe needs 3.11, 3.12 or 3.13: start it with one of them")
    archive = zipfile.ZipFile(os.path.dirname(os.path.abspath(__file__)))
    names = archive.namelist()
    fitting = [f"compiled/{machine}-{abi}/" for abi in (python, "abi3", "none")]
    if not any(name.startswith(fitting[0]) for name in names):
        known = ", ".join(sorted({name.split("/")[1] for name in names if name.startswith("compiled/")}))
        fail(f"no packages for {machine} and {python} are inside, only for {known}: build the archive anew for this machine")
    folder = tempfile.mkdtemp(prefix="rightsize-probe-")
    try:
        return unpacked(archive, folder, ("app/", "pure/", *fitting))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpacked(archive: zipfile.ZipFile, folder: str, wanted: tuple[str, ...]) -> int:
    """Run the probe from what was unpacked; children find it by PYTHONPATH."""
    archive.extractall(folder, [name for name in archive.namelist() if name.startswith(wanted)])
    places = [os.path.join(folder, part) for part in wanted if os.path.isdir(os.path.join(folder, part))]
    sys.path[0:1] = places
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    try:
        from probes.portable import main as run
    except ImportError as error:
        fail(f"the packages inside do not load here ({error}): it needs a system with glibc, and a temporary folder that may run programs")
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
