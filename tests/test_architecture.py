"""The rooms keep to their doors: import contracts, a thin app.py, and nothing of one machine in the tracked files."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PUBLIC_INDEXES = {"https://pypi.org/simple", "https://files.pythonhosted.org"}
MACHINE_PATHS = re.compile(rb"(?<![\w./:-])/(?:work|root|home)/[\w.]")
# Words of documentation that look like such a path, and the tests that need one.
ALLOWED_PATHS = {"tests/test_architecture.py", "tests/facts/test_settings.py"}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so there are no tracked files to read")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_the_rooms_import_downwards_only():
    ended = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0 broken" in ended.stdout


def test_app_knows_only_streamlit_and_the_dashboard():
    tree = ast.parse((ROOT / "app.py").read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).split(".")[0])
    third_party = {name for name in imported if name not in sys.stdlib_module_names}
    assert third_party <= {"streamlit", "dashboard"}


def test_no_module_hides_a_room_or_a_standard_module():
    rooms = {"facts", "workloads", "pricing", "capacity", "probes", "selector", "dashboard"}
    hidden = [path for path in tracked_files() if path.suffix == ".py" and path.stem in rooms | set(sys.stdlib_module_names) - {"__main__"}]
    assert hidden == []


def test_the_lock_names_public_indexes_only():
    lock = (ROOT / "uv.lock").read_text(encoding="utf-8")
    hosts = {match.rstrip("/") for match in re.findall(r'registry = "([^"]+)"', lock)}
    hosts |= {"/".join(match.split("/")[:3]) for match in re.findall(r'url = "([^"]+)"', lock)}
    assert hosts
    assert hosts <= PUBLIC_INDEXES


def test_no_file_asks_for_another_package_index():
    for path in tracked_files():
        if path.suffix in (".txt", ".toml", ".cfg", ".sh", ".md") or path.name in ("Makefile", "run"):
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not re.search(r"--(?:extra-)?index-url|--find-links|--trusted-host|index-url\s*=", text), path


def test_no_file_names_a_path_of_one_machine():
    named = [
        f"{path.relative_to(ROOT)}: {line.strip()[:120]!r}"
        for path in tracked_files()
        if str(path.relative_to(ROOT)) not in ALLOWED_PATHS
        for line in path.read_bytes().splitlines()
        if MACHINE_PATHS.search(line)
    ]
    assert named == []


def test_no_tracked_file_is_large():
    assert [f"{path.name}: {path.stat().st_size}" for path in tracked_files() if path.stat().st_size > 2_000_000] == []
