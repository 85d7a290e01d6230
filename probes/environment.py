"""This machine: processor, memory, limits of the container, accelerators, and what else is running on it."""

from __future__ import annotations

import importlib
import os
import platform
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from capacity import accelerators
from facts.units import BYTES_PER_GIB
from probes.measurement import Contention, Environment, Gpu

VECTOR_FLAGS = (
    "sse3",
    "ssse3",
    "avx",
    "avx2",
    "f16c",
    "fma",
    "bmi2",
    "avx_vnni",
    "avx512f",
    "avx512vbmi",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
    "sve2",
    "sme",
)
"""Processor flags, as Linux writes them, that llama.cpp has kernels for."""
BUILD_NAMES = {
    "avx": "AVX",
    "avx2": "AVX2",
    "f16c": "F16C",
    "fma": "FMA",
    "bmi2": "BMI2",
    "avx_vnni": "AVX_VNNI",
    "avx512f": "AVX512",
    "avx512vbmi": "AVX512_VBMI",
    "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16",
    "amx_int8": "AMX_INT8",
    "asimd": "NEON",
    "asimddp": "DOTPROD",
    "i8mm": "MATMUL_INT8",
    "sve": "SVE",
}
"""Processor flag -> its name in llama.cpp's system info."""
ENGINE_VARIABLES = ("OMP_", "GOMP_", "KMP_", "GGML_", "LLAMA_", "CUDA_", "HIP_", "MKL_", "OPENBLAS_")
"""Environment variables that change how an engine runs begin with one of these."""
CACHE_SIZE = re.compile(r"(\d{1,12})([KMG]?)")
AMD_VENDOR = "0x1002"
SMALLEST_GPU_BYTES = 2 << 30
"""Less is the share of the main memory that a processor's own graphics begin with."""
IDLE_LIMIT = 0.90
"""Idle share before a run below which the machine counts as busy."""
STEAL_LIMIT = 0.02
OTHERS_LIMIT = 0.10


def read_environment(before: Contention | None = None) -> Environment:
    """The facts of this machine; what cannot be read is left empty, never guessed."""
    memory = psutil.virtual_memory()
    quota = cpu_quota_cores()
    return Environment(
        host=platform.node(),
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=cpu_name(),
        cpu_flags=cpu_flags(),
        sockets_numa=numa_nodes(),
        physical_cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        logical_cores=psutil.cpu_count() or 1,
        usable_cores=usable_cores(quota),
        quota_cores=quota,
        governor=_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        virtual_machine="hypervisor" in _all_flags(),
        memory_bytes=memory.total,
        memory_available_bytes=memory.available,
        memory_limit_bytes=memory_limit_bytes(),
        gpus=gpus(),
        cache_bytes=last_cache_bytes(),
        before=before,
    )


def default_threads() -> int:
    """Physical cores that this process may use: the smaller of the cores, the affinity and the quota, at least one."""
    physical = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    return max(1, min(physical, int(usable_cores(cpu_quota_cores()))))


def usable_cores(quota: float | None) -> float:
    """Processors this process may use, after affinity and quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    return float(min(allowed, quota) if quota is not None else allowed)


def last_cache_bytes(root: Path = Path("/sys/devices/system/cpu")) -> int | None:
    """Last-level caches of the processors that this process may use, each counted once; None where the system does not say."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(psutil.cpu_count() or 1)
    found: dict[str, int] = {}
    for number in allowed:
        levels = {_text(str(index / "level")): index for index in (root / f"cpu{number}" / "cache").glob("index[0-9]*")}
        last = levels.get(max(levels, default=""))
        size = CACHE_SIZE.fullmatch(_text(str(last / "size"))) if last is not None else None
        if last is not None and size is not None:
            shared = _text(str(last / "shared_cpu_list")) or str(number)
            found[shared] = int(size[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[size[2]]
    return sum(found.values()) or None


def usable_memory_bytes() -> int:
    """Memory that can still be used: what is available, and what the container leaves."""
    available = int(psutil.virtual_memory().available)
    limit, used = memory_limit_bytes(), _cgroup_number("memory.current", "memory/memory.usage_in_bytes")
    return available if limit is None else min(available, max(0, limit - (used or 0)))


# ---- what else is running ----


@dataclass(frozen=True, kw_only=True)
class ProcessorTimes:
    """Processor time since boot.

    at_s: monotonic clock when read
    total_s, idle_s, steal_s: of all processors together
    """

    at_s: float
    total_s: float
    idle_s: float
    steal_s: float


def processor_times() -> ProcessorTimes:
    """A reading to take before and after; two of them make a Contention."""
    times = psutil.cpu_times()
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # Linux counts it inside user and nice too
    idle = times.idle + getattr(times, "iowait", 0.0)
    return ProcessorTimes(at_s=time.monotonic(), total_s=float(sum(times)) - guest, idle_s=idle, steal_s=getattr(times, "steal", 0.0))


def contention_between(start: ProcessorTimes, end: ProcessorTimes, own_s: float = 0.0) -> Contention:
    """What the machine did between two readings; `own_s` is the processor time of the probe itself in between."""
    total = max(end.total_s - start.total_s, 1e-9)
    idle = _share(end.idle_s - start.idle_s, total)
    steal = _share(end.steal_s - start.steal_s, total)
    own = _share(own_s, total)
    return Contention(
        window_s=round(end.at_s - start.at_s, 3),
        idle_share=idle,
        steal_share=steal,
        others_share=max(0.0, round(1.0 - idle - steal - own, 4)),
        load_1min=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )


def contention_over(seconds: float = 2.0) -> Contention:
    """Watch the machine for some seconds."""
    start = processor_times()
    time.sleep(seconds)
    return contention_between(start, processor_times())


def _share(part_s: float, total_s: float) -> float:
    return min(1.0, max(0.0, round(part_s / total_s, 4)))


# ---- understated builds ----


def missing_instructions(system_info: str, flags: Iterable[str]) -> tuple[str, ...]:
    """Instructions that the processor has and this llama.cpp build does not use, by their name in its system info."""
    built = {name for name, value in re.findall(r"(\w+) = (\d+)", system_info) if value != "0"}
    if not built:
        return ()
    return tuple(name for flag, name in BUILD_NAMES.items() if flag in set(flags) and name not in built)


def engine_variables(environ: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The environment variables that change how an engine runs, as NAME=value, sorted."""
    return tuple(sorted(f"{name}={value}" for name, value in environ if name.startswith(ENGINE_VARIABLES)))


# ---- processor ----


@lru_cache(maxsize=1)
def cpu_name() -> str:
    """The processor as it names itself."""
    for line in _text("/proc/cpuinfo").splitlines():
        if line.startswith(("model name", "Model\t", "Hardware")):
            return " ".join(line.partition(":")[2].split())
    return str(_cpuinfo().get("brand_raw") or platform.processor() or platform.machine())


def cpu_flags() -> tuple[str, ...]:
    """The vector instructions of the processor, of those llama.cpp has kernels for."""
    flags = _all_flags()
    return tuple(flag for flag in VECTOR_FLAGS if flag in flags)


@lru_cache(maxsize=1)
def _all_flags() -> frozenset[str]:
    for line in _text("/proc/cpuinfo").splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset("sse3" if flag == "pni" else flag for flag in line.partition(":")[2].split())
    return frozenset(str(flag) for flag in _cpuinfo().get("flags", ()))


def _cpuinfo() -> dict[str, Any]:
    """py-cpuinfo's answer where /proc/cpuinfo is not there or does not name the processor."""
    try:
        return dict(importlib.import_module("cpuinfo").get_cpu_info())
    except Exception:  # it runs system tools; whatever fails there is "not known"
        return {}


def numa_nodes() -> int:
    """Memory nodes; 1 where the system does not say."""
    return max(1, len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))))


# ---- container limits ----


def cpu_quota_cores(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Processors that the container's quota allows (cgroup 2, else 1), or None."""
    for folder in _cgroup_folders(root):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.strip().isdigit():
            return int(quota) / int(period)
    quota, period = _text(root / "cpu/cpu.cfs_quota_us"), _text(root / "cpu/cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def memory_limit_bytes(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The container's memory limit (cgroup 2, else 1), or None; version 1 writes 'no limit' as a number near 2^63."""
    limit = _cgroup_number("memory.max", "memory/memory.limit_in_bytes", root)
    return limit if limit is not None and limit < 1 << 60 else None


def _cgroup_number(version2: str, version1: str, root: Path = Path("/sys/fs/cgroup")) -> int | None:
    for path in (*(folder / version2 for folder in _cgroup_folders(root)), root / version1):
        text = _text(path)
        if text.isdigit():
            return int(text)
    return None


def _cgroup_folders(root: Path) -> tuple[Path, ...]:
    """This process' own control group and those above it, innermost first, in the cgroup 2 tree."""
    own = next((line[3:] for line in _text("/proc/self/cgroup").splitlines() if line.startswith("0::")), "/")
    folder = root / own.lstrip("/")
    return tuple(path for path in (folder, *folder.parents) if path == root or root in path.parents)


# ---- accelerators ----


def gpus() -> tuple[Gpu, ...]:
    """Accelerators as their drivers show them: NVIDIA's by NVML, AMD's by the kernel, Apple's by its chip; empty where none is."""
    return _nvidia_gpus() or amd_gpus() or apple_gpus()


def amd_gpus(root: Path = Path("/sys/class/drm")) -> tuple[Gpu, ...]:
    """AMD devices with memory of their own, as the amdgpu driver shows them; one without a product name is named by its device number."""
    found = []
    for device in sorted(card / "device" for card in root.glob("card[0-9]*") if "-" not in card.name):
        memory = _text(device / "mem_info_vram_total")
        if _text(device / "vendor") == AMD_VENDOR and memory.isdigit() and int(memory) >= SMALLEST_GPU_BYTES:
            name = _text(device / "product_name") or f"AMD device {_text(device / 'device')}"
            found.append(_named_gpu(name, int(memory), _text(root.parent.parent / "module/amdgpu/version")))
    return tuple(found)


def apple_gpus(system: str | None = None, chip: str | None = None, memory_bytes: int | None = None) -> tuple[Gpu, ...]:
    """The accelerator of an Apple chip, which shares its memory with the processor; the arguments stand for this machine's own."""
    if (system or platform.system()) != "Darwin":
        return ()
    name = cpu_name() if chip is None else chip
    if not name.startswith("Apple "):
        return ()
    return (_named_gpu(name, memory_bytes if memory_bytes is not None else int(psutil.virtual_memory().total), ""),)


def _named_gpu(name: str, memory_bytes: int, driver: str) -> Gpu:
    """A device, joined to the catalogue by the exact words of its name, or by them and its memory."""
    gib = f"{memory_bytes / BYTES_PER_GIB:.0f}"
    known = accelerators.find_accelerator(name) or accelerators.find_accelerator(f"{name} {gib}GB")
    return Gpu(name=name, memory_bytes=memory_bytes, driver=driver, catalog_id=known.id if known else None)


def _nvidia_gpus() -> tuple[Gpu, ...]:
    """Accelerators as the NVIDIA driver shows them; an empty tuple without driver or device."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # no library, no driver, no permission: then there is none to name
        return ()
    try:
        driver = _word(nvml.nvmlSystemGetDriverVersion())
        return tuple(_gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(index), driver) for index in range(nvml.nvmlDeviceGetCount()))
    except nvml.NVMLError:
        return ()
    finally:
        nvml.nvmlShutdown()


def _gpu(nvml: Any, handle: Any, driver: str) -> Gpu:
    name = _word(nvml.nvmlDeviceGetName(handle))
    memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    return _named_gpu(name, memory, driver)


def _word(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
