"""The archive on a bare Python without a network: it measures, refuses in words, and leaves nothing."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from facts.errors import InputError
from probes import bundle
from probes.measurement import EndpointSettings, LlamaCppSettings, Measurement
from probes.portable import NOT_OPTIONS, _parser, main
from probes.serving_line import serving_lines
from tests.probes.fake_server import Behaviour, FakeServer
from tests.probes.tiny import tiny

BLOCK = """
import socket
_connect = socket.socket.connect
def connect(self, address, *rest):
    if self.family != socket.AF_UNIX and not str(address[0]).startswith("127."):
        raise OSError("no network here: " + str(address))
    return _connect(self, address, *rest)
socket.socket.connect = connect
socket.getaddrinfo_before = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if str(host) not in ("127.0.0.1", "localhost"):
        raise OSError("no network here: " + str(host))
    return socket.getaddrinfo_before(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return bundle.write_bundle(tmp_path_factory.mktemp("bundle") / "probe.pyz", this_machine=True).path


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A Python with nothing installed, whose sockets reach loopback only."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    (next(folder.glob("lib/python3*/site-packages")) / "sitecustomize.py").write_text(BLOCK)
    return folder / "bin" / "python"


@pytest.fixture
def run(archive: Path, bare: Path, tmp_path: Path):
    def run(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.defpath, "TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path)}
        (tmp_path / "tmp").mkdir(exist_ok=True)
        done = subprocess.run(
            [str(bare), str(archive), *arguments], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == expect, done.stderr
        left = [path.name for path in (tmp_path / "tmp").iterdir() if path.name != "rightsize-probe.lock"]
        assert left == []
        return done

    return run


def test_the_bare_python_has_neither_packages_nor_a_network(bare):
    asked = "import importlib.util as u, socket\nassert not u.find_spec('httpx')\nsocket.create_connection(('10.0.0.1', 80), 1)"
    done = subprocess.run([str(bare), "-c", asked], capture_output=True, text=True, timeout=60, check=False)
    assert "no network here" in done.stderr


def test_an_endpoint_is_measured_from_the_archive(run, tmp_path):
    with FakeServer(Behaviour(itl_s=0.005)) as server:
        load = ("--concurrencies", "1,2", "--seconds-per-level", "0.3", "--input-tokens", "64", "--output-tokens", "4")
        run("endpoint", server.url, *load, "--processes", "2", "--no-self-test", "--out", "found.json")
    measurement = Measurement.from_json((tmp_path / "found.json").read_bytes())
    assert [level.name for level in measurement.levels] == ["c1", "c2"]
    assert measurement.levels[1].processes == 2
    assert measurement.settings.lengths_spread == 0.2
    assert not any(request.error for level in measurement.levels for request in level.requests)


def test_the_hardware_is_told_as_json(run):
    told = json.loads(run("hardware").stdout)
    assert told["logical_cores"] >= 1
    assert told["copy_gb_per_s"] > 0
    assert "matrix_gflops" not in told  # it needs numpy, which is not in this archive


def test_wrong_input_is_one_line_and_code_2(run):
    for arguments in (
        ("endpoint", "http://127.0.0.1:9/v1", "--no-self-test"),
        ("endpoint", "ftp://x"),
        ("endpoint", "http://127.0.0.1:9/v1", "--seconds-per-level", "-1"),
        ("llamacpp", "--gguf", "none.gguf"),
        ("synthesize", "qwen3-0.6b"),  # it needs numpy, which is not in this archive
        ("send", "none.json", "http://127.0.0.1:9"),
    ):
        done = run(*arguments, expect=2)
        lines = [line for line in done.stderr.splitlines() if line != "asking who is there"]
        assert len(lines) == 1
        assert lines[0].startswith("error: ")


def test_another_python_or_processor_is_told_what_it_needs(archive, tmp_path):
    other = tmp_path / "other.pyz"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            new.writestr(name.replace("compiled/", "compiled/not-") if name.startswith("compiled/") else name, old.read(name))
    done = subprocess.run([sys.executable, str(other), "hardware"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "only for not-" in done.stderr


@pytest.mark.parametrize("machine", bundle.MACHINES)
@pytest.mark.parametrize("python", [(3, 11), (3, 13)])
def test_the_packages_of_this_processor_and_python_are_picked_at_start(machine, python, archive, tmp_path):
    """Each compiled folder holds a psutil that says where it comes from; the start believes the platform it is told."""
    many, told = tmp_path / "many.pyz", tmp_path / "told.py"
    tags = ("cp311", "cp313", "abi3")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(many, "w") as new:
        for name in old.namelist():
            if not name.startswith("compiled/"):
                new.writestr(name, old.read(name))
        for known in bundle.MACHINES:
            for tag in tags:
                package = "psutil" if tag == "abi3" else "pydantic_core"
                new.writestr(f"compiled/{known}-{tag}/{package}/__init__.py", f"raise SystemExit('{known}-{tag}')")
    told.write_text(
        f"import platform, runpy, sys\nplatform.machine = lambda: '{machine}'\n"
        f"sys.version_info = ({python[0]}, {python[1]}, 0, 'final', 0)\nsys.argv = ['probe', 'hardware']\n"
        f"sys.path.insert(0, '{many}')\nrunpy.run_path('{many}', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-S", str(told)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == f"{machine}-cp{python[0]}{python[1]}"


def test_the_archive_is_the_same_for_the_same_content(tmp_path):
    one, again = (bundle.write_bundle(tmp_path / name, this_machine=True).path for name in ("one.pyz", "again.pyz"))
    assert one.read_bytes() == again.read_bytes()


def test_the_archive_carries_no_code_of_other_rooms_and_every_licence(archive):
    names = zipfile.ZipFile(archive).namelist()
    assert {name.split("/")[1] for name in names if name.startswith("app/")} == {"facts", "capacity", "probes", "workloads"}
    assert not [name for name in names if name.endswith(".pyc")]
    metadata = [name for name in names if name.endswith(".dist-info/METADATA")]
    assert len(metadata) == len(bundle.PURE) + len(bundle.COMPILED)


def test_wheels_stand_under_their_processor_and_python(tmp_path):
    wheel = tmp_path / "psutil-7.2.2-cp36-abi3-manylinux2014_aarch64.manylinux_2_17_aarch64.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr("psutil/__init__.py", "")
    written = bundle.write_bundle(tmp_path / "probe.pyz", wheels=[wheel])
    assert written.machines == ("aarch64-abi3",)
    assert "compiled/aarch64-abi3/psutil/__init__.py" in zipfile.ZipFile(written.path).namelist()


@pytest.mark.parametrize("name", ["x.whl", "a-1-cp311-cp311-win_amd64.whl", "a-1-cp311-cp311-manylinux2014_x86_64.whl"])
def test_what_is_no_wheel_for_linux_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(InputError):
        bundle.write_bundle(tmp_path / "probe.pyz", wheels=[tmp_path / name])


def test_an_archive_without_compiled_packages_is_refused(tmp_path):
    with pytest.raises(InputError, match="no compiled packages"):
        bundle.write_bundle(tmp_path / "probe.pyz")


def test_every_setting_is_an_option():
    helped = {action.dest: action for group in _parser()._subparsers._group_actions for action in group.choices["endpoint"]._actions}
    assert {name for name in EndpointSettings.model_fields if name not in NOT_OPTIONS} <= set(helped)
    local = {action.dest for group in _parser()._subparsers._group_actions for action in group.choices["llamacpp"]._actions}
    assert {name for name in LlamaCppSettings.model_fields if name not in NOT_OPTIONS} <= local


def test_random_weights_are_written_where_they_are_to_be_served(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("capacity.models.model", lambda _: tiny())
    assert main(["synthesize", "tiny", "--models-dir", str(tmp_path), "--plan"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert main(["synthesize", "tiny", "--models-dir", str(tmp_path), "--slots", "4", "--context-tokens", "1000"]) == 0
    (file,) = tmp_path.iterdir()
    told = capsys.readouterr().out
    assert f"-m {file} --host 127.0.0.1 --port 8080 -np 4 -c 4000" in told  # 4 x 1,000
    assert main(["synthesize", "tiny", "--models-dir", str(tmp_path), "--slots", "0"]) == 2
    assert "0 slots of 2048 tokens serve nothing" in capsys.readouterr().err


def test_a_dummy_server_needs_a_shape_but_no_weights(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        serving_lines(str(tmp_path), gpus=1, context_tokens=4096)
    (tmp_path / "config.json").touch()
    (tmp_path / "tokenizer_config.json").touch()
    vllm = serving_lines(str(tmp_path), gpus=2, context_tokens=4096)[1]
    assert "HF_HUB_OFFLINE=1" in vllm
    assert "--load-format dummy" in vllm
    assert "--tensor-parallel-size 2" in vllm
    with pytest.raises(InputError):
        serving_lines("some/model", gpus=0, context_tokens=1)
