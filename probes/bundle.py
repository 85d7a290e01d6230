"""One archive that measures a candidate server: it needs Python 3.11 to 3.13 there and no network.

`python rightsize-probe.pyz` is a zip with this project's modules, the pure packages they use, and the compiled ones for each
processor and Python; at start the ones that match are unpacked into a private folder and removed at the end.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import platform
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facts.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_NAME = "rightsize-probe.pyz"
PURE = (
    "httpx", "httpcore", "h11", "anyio", "idna", "certifi", "annotated-types", "typing-extensions", "typing-inspection", "pydantic",
    "nvidia-ml-py", "gguf", "pyyaml",
)  # fmt: skip
"""Packages that need no compiler; PyYAML without its compiled part."""
COMPILED = ("pydantic-core", "psutil")
WITH_LLAMA = ("numpy", "jinja2", "markupsafe", "diskcache")
"""What llama-cpp-python imports beside itself."""
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
PLATFORMS = ("manylinux_2_17", "manylinux2014", "manylinux_2_27", "manylinux_2_28")
"""C library versions of Debian 10, RHEL 8 and later."""
ROOMS = ("facts", "capacity", "probes")
OTHER_FILES = ("workloads/__init__.py", "workloads/demand.py")
LEFT_OUT = {"__main__.py", "store.py", "bundle.py", "build.py", "build_failure.py", "trial.py", "fitting.py", "accuracy.py", "own_rows.py"}
"""Files that need packages which the archive does not carry, and that a candidate server does not need."""
DOWNLOAD_LIMIT_S = 900.0


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An archive that was written.

    path: the file
    bytes: its size
    machines: processor and Python, as x86_64-cp311, for which compiled packages are inside
    """

    path: Path
    bytes: int
    machines: tuple[str, ...]


def write_bundle(target: Path, *, wheels: Sequence[Path] = (), this_machine: bool = False) -> Bundle:
    """Write the archive: compiled packages from `wheels`, or this environment's own ones with `this_machine`."""
    members = dict(_project_files())
    for package in PURE:
        members |= {f"pure/{name}": data for name, data in _installed(package, compiled=False)}
    if this_machine:
        folder = f"compiled/{platform.machine()}-cp{sys.version_info.major}{sys.version_info.minor}"
        for package in COMPILED:
            members |= {f"{folder}/{name}": data for name, data in _installed(package, compiled=True)}
    for wheel in wheels:
        members |= dict(_unpacked(wheel))
    machines = tuple(sorted({name.split("/")[1] for name in members if name.startswith("compiled/")}))
    if not machines:
        raise InputError("the archive would have no compiled packages: give wheels, or build it for machines like this one")
    members["__main__.py"] = (Path(__file__).parent / "data" / "bundle_start.py").read_bytes()
    members["BUNDLE.json"] = json.dumps({"machines": machines, "packages": _versions()}, indent=1).encode()
    _write(target, members)
    return Bundle(path=target, bytes=target.stat().st_size, machines=machines)


def download_wheels(folder: Path, *, packages: Sequence[str] = COMPILED, machines: Sequence[str] = MACHINES) -> tuple[Path, ...]:
    """Wheels of the compiled packages, in the versions of this environment, for every processor and Python; needs the network."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in packages]
    found: set[Path] = set()
    for machine in machines:
        for python in PYTHONS:
            place = folder / f"{machine}-{python}"
            _download(wanted, machine, python, place)
            found |= set(place.glob("*.whl"))
    return tuple({wheel.name: wheel for wheel in sorted(found)}.values())


def llama_wheels(wheel: Path, folder: Path) -> tuple[Path, ...]:
    """A llama-cpp-python wheel and what it imports, for its own processor."""
    machine = next((machine for machine in MACHINES if wheel.name.endswith(f"{machine}.whl")), None)
    if not wheel.is_file() or machine is None or not wheel.name.startswith("llama_cpp_python-"):
        raise InputError(f"{wheel} is not a llama-cpp-python wheel for Linux on {' or '.join(MACHINES)}")
    return (wheel, *download_wheels(folder, packages=WITH_LLAMA, machines=(machine,)))


# ---- below: how ----


def _project_files() -> Iterator[tuple[str, bytes]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and path.name not in LEFT_OUT:
                yield f"app/{path.relative_to(ROOT).as_posix()}", path.read_bytes()
    for name in OTHER_FILES:
        yield f"app/{name}", (ROOT / name).read_bytes()


def _installed(package: str, *, compiled: bool) -> Iterator[tuple[str, bytes]]:
    """The files of a package of this environment, its licence and metadata with them."""
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"{package} is not installed: run make, which brings everything the archive needs") from None
    for file in files:
        parts = PurePosixPath(file.as_posix()).parts
        if ".." in parts or "__pycache__" in parts or (file.suffix in (".so", ".pyd") and not compiled):
            continue
        yield file.as_posix(), Path(str(file.locate())).read_bytes()


def _unpacked(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a wheel under the folder of the processor and Python it is for."""
    parts = wheel.stem.split("-")
    if len(parts) < 5:
        raise InputError(f"{wheel.name} is not the name of a wheel")
    abi, tags = parts[-2], parts[-1]
    machine = next((machine for machine in MACHINES if tags.endswith(machine)), None)
    folder = "pure" if machine is None and tags == "any" else f"compiled/{machine}-{abi}"
    if machine is None and tags != "any":
        raise InputError(f"{wheel.name} is for another system: the archive carries Linux on {' and '.join(MACHINES)}")
    try:
        with zipfile.ZipFile(wheel) as opened:
            for entry in opened.infolist():
                if not entry.is_dir():
                    yield f"{folder}/{entry.filename}", opened.read(entry)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel} cannot be read ({error})") from None


def _download(wanted: Sequence[str], machine: str, python: str, folder: Path) -> None:
    platforms = [part for name in PLATFORMS for part in ("--platform", f"{name}_{machine}")]
    command = ["download", "--quiet", "--only-binary", ":all:", "--no-deps", "--dest", str(folder), "--python-version", python]
    ended = subprocess.run(  # noqa: S603 - pip with names and versions of this environment
        [sys.executable, "-m", "pip", *command, *platforms, *wanted], capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, check=False
    )
    if ended.returncode:
        last = next((line for line in reversed(ended.stderr.splitlines()) if "ERROR" in line), "pip gave no reason")
        raise InputError(
            f"the wheels for {machine} and Python {python} could not be downloaded ({last.strip()}): "
            "without a network, give --this-machine, or --wheels with a folder of them"
        )


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in (*PURE, *COMPILED)}


def _write(target: Path, members: dict[str, bytes]) -> None:
    """A zip that is the same for the same content, with a first line that makes it a program."""
    partial = target.with_name(target.name + ".part")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in sorted(members):
            opened.writestr(zipfile.ZipInfo(name), members[name], compress_type=zipfile.ZIP_DEFLATED)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(b"#!/usr/bin/env python3\n" + buffer.getvalue())
        partial.chmod(0o755)
        partial.replace(target)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}): give --out a path that you may write") from None


def wheels_in(folder: Path) -> Iterable[Path]:
    """The wheels of a folder."""
    found = sorted(folder.rglob("*.whl"))
    if not found:
        raise InputError(f"{folder} has no wheels")
    return found
