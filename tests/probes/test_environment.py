from pathlib import Path

from probes import environment
from probes.environment import ProcessorTimes


def test_reading_this_machine_gives_believable_numbers():
    machine = environment.read_environment()
    assert machine.cpu
    assert 1 <= environment.default_threads() <= machine.usable_cores <= machine.logical_cores
    assert 0 < machine.memory_available_bytes <= machine.memory_bytes


def test_cgroup_2_limits_are_read(tmp_path: Path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("2147483648\n")
    assert environment.cpu_quota_cores(tmp_path) == 1.5
    assert environment.memory_limit_bytes(tmp_path) == 2**31


def test_no_limit_is_none(tmp_path: Path):
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert environment.cpu_quota_cores(tmp_path) is None
    assert environment.memory_limit_bytes(tmp_path) is None


def test_cgroup_1_limits_are_read_and_its_huge_number_is_no_limit(tmp_path: Path):
    for folder in ("cpu", "memory"):
        (tmp_path / folder).mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("50000")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712")
    assert environment.cpu_quota_cores(tmp_path) == 0.5
    assert environment.memory_limit_bytes(tmp_path) is None
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1")
    assert environment.cpu_quota_cores(tmp_path) is None


def test_a_quota_below_the_affinity_is_what_may_be_used():
    assert environment.usable_cores(0.5) == 0.5
    assert environment.usable_cores(None) >= 1


def test_contention_by_hand():
    # 10 s of processor time: 5 idle, 1 stolen, 3 the probe's own, so 1 of others
    start = ProcessorTimes(at_s=0.0, total_s=100.0, idle_s=50.0, steal_s=0.0)
    end = ProcessorTimes(at_s=5.0, total_s=110.0, idle_s=55.0, steal_s=1.0)
    found = environment.contention_between(start, end, own_s=3.0)
    assert (found.idle_share, found.steal_share, found.others_share, found.window_s) == (0.5, 0.1, 0.1, 5.0)


def test_a_build_without_the_processors_instructions_is_understated():
    info = "CPU : SSE3 = 1 | AVX2 = 1 | AVX512 = 0 | LLAMAFILE = 1 | "
    assert environment.missing_instructions(info, ["avx2", "avx512f"]) == ("AVX512",)
    assert environment.missing_instructions(info, ["avx2"]) == ()
    assert environment.missing_instructions("", ["avx512f"]) == ()


def test_variables_that_change_the_engine_are_recorded_and_others_are_not():
    found = environment.engine_variables([("OMP_NUM_THREADS", "2"), ("HOME", "/root"), ("API_KEY", "secret"), ("GGML_X", "1")])
    assert found == ("GGML_X=1", "OMP_NUM_THREADS=2")


def test_a_machine_without_driver_has_no_accelerator_and_no_traceback(monkeypatch):
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(environment.importlib, "import_module", missing)
    assert environment.gpus() == ()


def write_cache(root: Path, processor: int, index: int, level: int, size: str, shared: str) -> None:
    folder = root / f"cpu{processor}" / "cache" / f"index{index}"
    folder.mkdir(parents=True)
    for name, text in (("level", str(level)), ("size", size), ("shared_cpu_list", shared)):
        (folder / name).write_text(f"{text}\n")


def test_a_last_level_cache_counts_once_however_many_processors_share_it(tmp_path: Path, monkeypatch):
    """Processors 0 and 1 share 32 MiB, 2 has 16 of its own; 3 may not be used: 48 MiB. Lower levels do not count."""
    monkeypatch.setattr(environment.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    for processor, size, shared in ((0, "32768K", "0-1"), (1, "32768K", "0-1"), (2, "16M", "2"), (3, "64M", "3")):
        write_cache(tmp_path, processor, 0, 1, "48K", str(processor))
        write_cache(tmp_path, processor, 3, 3, size, shared)
    assert environment.last_cache_bytes(tmp_path) == (32 + 16) << 20


def test_a_cache_that_the_system_does_not_state_is_none(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(environment.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert environment.last_cache_bytes(tmp_path) is None
    write_cache(tmp_path, 0, 3, 3, "much", "0")
    assert environment.last_cache_bytes(tmp_path) is None
