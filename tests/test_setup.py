"""From a bare machine to the dashboard: the environment, the lock, the configuration, the two commands."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from streamlit import config as streamlit_config

from dashboard.__main__ import free_port
from facts.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["facts", "workloads", "pricing", "capacity", "probes", "selector", "dashboard"]


def toml(name: str) -> dict:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


# The lock


def test_the_lock_names_one_index_over_https_and_nothing_of_a_machine() -> None:
    sources = [package["source"] for package in toml("uv.lock")["package"]]
    registries = {source["registry"] for source in sources if "registry" in source}
    assert len(registries) == 1, "one index, the public one, stands behind every package"
    assert [source for source in sources if "registry" not in source] == [{"editable": "."}]
    addresses = re.findall(r"[a-z+]+://[^\s\"']+", (ROOT / "uv.lock").read_text(encoding="utf-8"))
    hosts = {address.split("/")[2] for address in addresses}
    assert all(address.startswith("https://") for address in addresses)
    assert len(hosts) == 2, "the index and its file store"
    assert not [host for host in hosts if "@" in host or ":" in host or re.fullmatch(r"[\d.]+|localhost", host)]


def test_the_lock_holds_every_requirement_of_pyproject() -> None:
    project = toml("pyproject.toml")["project"]
    wanted = [*project["dependencies"], *(item for extra in project["optional-dependencies"].values() for item in extra)]
    locked = {package["name"] for package in toml("uv.lock")["package"]}
    assert {re.match(r"[\w-]+", item)[0].lower() for item in wanted} <= locked


def test_every_package_that_a_room_imports_is_a_requirement_of_its_own() -> None:
    """One that only comes along with another may be gone after its next release."""
    imported = set()
    for path in [ROOT / "app.py", *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""]
            imported |= {name.split(".")[0] for name in names if isinstance(node, ast.Import | ast.ImportFrom)}
    packages = packages_distributions()
    owners = {re.sub(r"[-_.]+", "-", packages[name][0]).lower() for name in imported if name in packages and name not in ROOMS}
    project = toml("pyproject.toml")["project"]
    extras = [item for name in ("probe", "tokens") for item in project["optional-dependencies"][name]]
    required = {re.match(r"[\w-]+", item)[0].lower() for item in [*project["dependencies"], *extras]}
    assert owners - required == set()


def test_pip_is_held_to_the_versions_of_the_lock() -> None:
    told = subprocess.run([sys.executable, ".ci/constraints.py", "uv.lock"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = told.splitlines()
    assert "genai-prices==0.2.3" in lines
    assert not [line for line in lines if line.startswith("rightsize")], "the project itself is no constraint"
    twice = [line for line in lines if line.startswith("scipy-stubs==")]
    assert len(twice) == 1 or all("python_full_version" in line for line in twice), "one version per Python needs its marker"


def test_the_versions_install_on_the_oldest_python() -> None:
    """numpy 2.5 and scipy 1.18 want Python 3.12; Debian 12 has 3.11."""
    versions = {package["name"]: package["version"] for package in toml("uv.lock")["package"]}
    assert versions["numpy"].startswith("2.4.")
    assert versions["scipy"].startswith("1.17.")


# The wheel


def test_the_wheel_holds_every_room_with_its_data_and_no_module_called_app(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(ROOMS)
    ours = subprocess.run(["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert set(ours) <= set(names)


# .ci/environment, with interpreters that are a few lines of shell


def interpreter(folder: Path, name: str, *, version: tuple[int, int], venv: bool = True) -> None:
    """A stand-in that answers the script's questions and reports what it was told to make."""
    in_range = (3, 11) <= version < (3, 14)
    path = folder / name
    path.write_text(
        f"""#!/bin/sh
case "$*" in
  *version_info*"<"*) exit {0 if in_range else 1} ;;
  *ensurepip,*) exit {0 if venv else 1} ;;
  *%d.%d*) echo {version[0]}.{version[1]} ;;
  --version) echo "Python {version[0]}.{version[1]}.0" ;;
  *) echo "{name} $*"; exit 3 ;;
esac
"""
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def environment(tmp_path: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """.ci/environment of a copy without .venv, with nothing but a shell and the stand-ins on the PATH."""
    copy = tmp_path / "copy" / ".ci"
    copy.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "environment", copy)
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    return subprocess.run(
        ["sh", copy / "environment"], env={"PATH": str(tmp_path), **extra}, capture_output=True, text=True, check=False, timeout=60
    )


def test_no_python_in_the_range_is_one_line(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3", version=(3, 9))
    ended = environment(tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: Rightsize needs Python 3.11, 3.12 or 3.13, found Python 3.9.0: install one with its venv package, or install uv\n"
    )


def test_a_python_without_venv_is_one_line_that_names_the_package(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3", version=(3, 11), venv=False)
    interpreter(tmp_path, "python3.11", version=(3, 11), venv=False)
    ended = environment(tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: python3.11 cannot make a virtual environment, its package python3-venv is missing: sudo apt-get install python3-venv\n"
    )


def test_a_second_python_without_venv_names_its_own_package(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3", version=(3, 10))
    interpreter(tmp_path, "python3.12", version=(3, 12), venv=False)
    assert "sudo apt-get install python3.12-venv" in environment(tmp_path).stderr


def test_the_newest_python_that_can_make_an_environment_is_taken(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3.13", version=(3, 13), venv=False)
    interpreter(tmp_path, "python3.12", version=(3, 12))
    interpreter(tmp_path, "python3", version=(3, 11))
    assert environment(tmp_path).stdout == "python3.12 -m venv --clear .venv\n"


def test_a_python_can_be_named(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3.13", version=(3, 13))
    interpreter(tmp_path, "mine", version=(3, 11))
    assert environment(tmp_path, PYTHON="mine").stdout == "mine -m venv --clear .venv\n"


def test_python_3_14_is_not_taken(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3", version=(3, 14))
    assert environment(tmp_path).returncode == 2


def test_uv_is_taken_when_it_is_there_and_never_uninstalls(tmp_path: Path) -> None:
    interpreter(tmp_path, "uv", version=(0, 0))
    assert environment(tmp_path).stdout == "uv sync --locked --inexact\n", "--inexact keeps the llama-cpp-python that was built here"


def test_an_empty_uv_keeps_uv_out(tmp_path: Path) -> None:
    interpreter(tmp_path, "uv", version=(0, 0))
    interpreter(tmp_path, "python3", version=(3, 11))
    assert environment(tmp_path, UV="").stdout == "python3 -m venv --clear .venv\n"


# The Makefile


def test_help_lists_every_target_in_one_line() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    told = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in told.splitlines()] == targets
    assert {"run", "test", "check", "bench", "soak", "bundle", "accuracy", "evidence", "lock", "clean", "help"} == set(targets)


def test_the_scripts_are_valid_shell() -> None:
    subprocess.run(["sh", "-n", ROOT / ".ci" / "environment"], check=True)
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# The dashboard's configuration and its port


def theme(name: str) -> dict:
    return toml(".streamlit/config.toml")["theme"][name]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two #RRGGBB colours, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_of_black_on_white_is_21() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx((1 + 0.05) / (0 + 0.05))


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("background", ["backgroundColor", "secondaryBackgroundColor"])
def test_every_colour_can_be_read_on_both_backgrounds(name: str, background: str) -> None:
    colours = theme(name)
    assert contrast(colours["textColor"], colours[background]) >= 7
    assert contrast(colours["linkColor"], colours[background]) >= 4.5
    assert [colour for colour in colours["chartCategoricalColors"] if contrast(colour, colours[background]) < 3] == []


@pytest.mark.parametrize("name", ["light", "dark"])
def test_white_can_be_read_on_a_primary_button(name: str) -> None:
    assert contrast("#FFFFFF", theme(name)["primaryColor"]) >= 4.5


def test_both_themes_have_as_many_different_chart_colours() -> None:
    light, dark = theme("light")["chartCategoricalColors"], theme("dark")["chartCategoricalColors"]
    assert len(set(light)) == len(light) == len(dark) == len(set(dark))


def test_streamlit_knows_every_option_of_the_configuration() -> None:
    """A misspelt option would be passed over in silence."""
    known = set(streamlit_config._config_options_template)

    def options(table: dict, prefix: str = "") -> list[str]:
        return [
            option
            for key, value in table.items()
            for option in (options(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key])
        ]

    assert [option for option in options(toml(".streamlit/config.toml")) if option not in known] == []


def test_nothing_leaves_the_machine_by_configuration() -> None:
    configured = toml(".streamlit/config.toml")
    assert configured["browser"]["gatherUsageStats"] is False
    assert configured["server"]["address"] == "127.0.0.1"
    assert configured["server"]["showEmailPrompt"] is False


def test_a_taken_port_gives_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port(port) < port + 100


def test_a_free_port_is_taken_as_it_is() -> None:
    with socket.socket() as left:
        left.bind(("127.0.0.1", 0))
        port = left.getsockname()[1]
    assert free_port(port) == port


def test_a_port_outside_the_range_is_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "dashboard", "--no-build", "--port", "80"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == "error: port 80 is outside 1024 to 65535: choose one with PORT=8501\n"


@pytest.mark.parametrize("port", [-1, 0, 1023, 65536])
def test_free_port_refuses_a_port_outside_the_range(port: int) -> None:
    with pytest.raises(InputError, match="outside 1024 to 65535"):
        free_port(port)


def test_the_dashboard_ends_with_the_signal_that_make_sends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dashboard", "--no-build", "--port", str(free_port(18501))]
    environ = os.environ | {"RIGHTSIZE_DATA_DIR": str(tmp_path)}
    server = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline().startswith("Rightsize is at http://127.0.0.1:")
    for line in server.stdout:
        if "URL:" in line:
            break
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) in {0, -signal.SIGTERM}
    server.stdout.close()
