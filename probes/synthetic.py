"""A random-weight GGUF at a model's true shape: the plan of capacity.tensors, filled with valid blocks and written as a stream.

The blocks are finite, zero in the mean and of an ordinary size (standard deviation near 0.02): raw random bytes would hold
infinities, make every logit a NaN and run 10 to 15 % slower.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.gguf_writer import WriterState
from numpy.typing import NDArray

from capacity.tensors import ALIGNMENT_BYTES, GGML_BLOCKS, MetadataEntry, TensorEntry, TensorPlan, gguf_metadata
from facts.errors import InputError
from facts.units import BYTES_PER_GB, BYTES_PER_GIB
from probes.environment import usable_memory_bytes
from probes.vocabulary import vocabulary

Bytes = NDArray[np.uint8]

WEIGHT_SD = 0.02
POOL_BYTES = 32 * 1024 * 1024
"""Valid blocks made per type; tensors are tiled from a random block of it."""
ROOM_SHARE = 1.05
"""Free space wanted over the exact size."""
FILL_VERSION = 1
"""Raised when the filling changes, so that older files are not taken for new ones."""
LOADED_ARCHITECTURES = {"llama", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3", "gpt-oss"}
"""Layouts that llama.cpp has loaded and run from a file written here; Mixtral's is llama's."""
RANDOM_KEY = "rightsize.random_weights"
MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}


@dataclass(frozen=True, kw_only=True)
class SyntheticFile:
    """A synthetic model on disk.

    path: the file
    bytes: its size
    shape_sha256: of its plan; also in its name
    reused: whether it was there already
    """

    path: Path
    bytes: int
    shape_sha256: str
    reused: bool


def synthesize(
    plan: TensorPlan, folder: Path, report: Callable[[int, int], None] = lambda done, total: None, *, servable: bool = False
) -> SyntheticFile:
    """The plan's file in the folder, written now or found there; `report` is told bytes written and bytes in all.

    A servable one has a vocabulary, made up as its weights are: a server reads and writes text. Written under another name and renamed
    when whole, deleted when anything fails, never more than one pool per type in memory.
    """
    check_types(plan)
    path, shape = synthetic_path(plan, folder, servable=servable), shape_sha256(plan, servable=servable)
    if path.is_file():
        return SyntheticFile(path=path, bytes=path.stat().st_size, shape_sha256=shape, reused=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        check_room(plan, folder, servable=servable)
        partial = folder / f"{path.name}.part-{os.getpid()}"
        try:
            _write(plan, partial, report, servable=servable)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}): set RIGHTSIZE_DATA_DIR to a place with room that you may write"
        ) from None
    return SyntheticFile(path=path, bytes=path.stat().st_size, shape_sha256=shape, reused=False)


def file_bytes(plan: TensorPlan, *, servable: bool = False) -> int:
    """Exact size of the plan's file, with the key that marks its weights as random."""
    return len(_header(plan, servable)) + plan.bytes


def synthetic_path(plan: TensorPlan, folder: Path, *, servable: bool = False) -> Path:
    """Where the plan's file lies in a folder: model, quantization and shape are in its name."""
    kind = "-servable" if servable else ""
    return folder / f"{plan.model.id}-{plan.quantization}{kind}-{shape_sha256(plan, servable=servable)[:12]}.synthetic.gguf"


@cache
def shape_sha256(plan: TensorPlan, *, servable: bool = False) -> str:
    """SHA-256 of everything that decides the file's content: header keys, tensors, version of the filling."""
    keys = [[entry.key, entry.kind, entry.value] for entry in _metadata(plan, servable)]
    tensors = [[tensor.name, list(tensor.shape), tensor.ggml_type] for tensor in plan.tensors]
    return hashlib.sha256(json.dumps([FILL_VERSION, keys, tensors]).encode()).hexdigest()


def check_types(plan: TensorPlan) -> None:
    """InputError when llama.cpp would not load the plan's layout from these header keys, or a block type cannot be filled."""
    if plan.model.architecture not in LOADED_ARCHITECTURES:
        raise InputError(
            f"{plan.model.name} has the layout '{plan.model.architecture}', which cannot be written with random weights yet "
            f"({', '.join(sorted(LOADED_ARCHITECTURES))} can): measure a GGUF file of it with --model"
        )
    missing = sorted({tensor.ggml_type for tensor in plan.tensors} - set(_FILLS))
    if missing:
        raise InputError(
            f"{plan.model.name} in {plan.quantization} has {missing[0]} blocks, which cannot be made at random here: "
            f"choose a quantization of {', '.join(sorted(_FILLS))}"
        )


def check_room(plan: TensorPlan, folder: Path, *, servable: bool = False) -> None:
    """InputError when the disk, or the memory behind a memory file system, has too little room for the file plus 5 %."""
    need = file_bytes(plan, servable=servable) * ROOM_SHARE
    free = psutil.disk_usage(str(folder)).free
    if need > free:
        raise InputError(
            f"{plan.model.name} in {plan.quantization} needs {_gb(need)} in {folder}, {_gb(free)} are free: "
            "set RIGHTSIZE_DATA_DIR to a larger disk or choose a smaller model"
        )
    memory = usable_memory_bytes()
    if file_system(folder) in MEMORY_FILE_SYSTEMS and need > memory:
        raise InputError(
            f"{folder} is kept in memory: {plan.model.name} in {plan.quantization} needs {_gb(need)}, {_gb(memory)} are available: "
            "set RIGHTSIZE_DATA_DIR to a disk"
        )


def check_memory(file_bytes: int, name: str, *, repack: bool) -> None:
    """InputError when the model would not stay in memory: reading it from disk again and again is a test of the disk.

    Weights laid out anew at load stand in memory beside the mapped file; a quarter more is asked for then.
    """
    need, memory = file_bytes * (1.25 if repack else 1.05), usable_memory_bytes()
    if need > memory:
        raise InputError(
            f"{name} needs about {_gb(need)} of memory, {_gb(memory)} are available: the figure would be one of the disk; "
            "choose a smaller model or quantization, or free memory"
        )


def file_system(folder: Path) -> str:
    """Type of the file system that a folder lies on, as ext4 or tmpfs; empty where it is not known."""
    place = folder.resolve()
    mounted = [part for part in psutil.disk_partitions(all=True) if place.is_relative_to(part.mountpoint)]
    return max(mounted, key=lambda part: len(part.mountpoint)).fstype if mounted else ""


def remove_abandoned(folder: Path) -> None:
    """Delete unfinished files of processes that are no more."""
    for partial in folder.glob("*.synthetic.gguf.part-*"):
        owner = partial.name.rpartition("-")[2]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            partial.unlink(missing_ok=True)


def size_lines(plan: TensorPlan, *, servable: bool = False) -> tuple[str, ...]:
    """The plan in words: exact size in GB and GiB, and each tensor type with its count and bytes."""
    total = file_bytes(plan, servable=servable)
    lines = [f"{plan.model.name} {plan.quantization}: {total:,} bytes = {total / BYTES_PER_GB:.3f} GB = {total / BYTES_PER_GIB:.3f} GiB"]
    lines.append(f"{plan.n_elements / 1e9:.3f} B parameters, {plan.bits_per_weight:.3f} bits per weight, {len(plan.tensors)} tensors")
    for name in sorted({tensor.ggml_type for tensor in plan.tensors}):
        same = [tensor for tensor in plan.tensors if tensor.ggml_type == name]
        lines.append(f"{name}: {len(same)} tensors, {sum(tensor.bytes for tensor in same):,} bytes")
    return tuple(lines)


# ---- below: how ----


def _gb(size: float) -> str:
    return f"{size / BYTES_PER_GB:.2f} GB"


def _metadata(plan: TensorPlan, servable: bool) -> tuple[MetadataEntry, ...]:
    keys = gguf_metadata(plan.model, plan.quantization)
    if servable:
        keys = (*(entry for entry in keys if entry.key != "tokenizer.ggml.model"), *vocabulary(plan.model.need("vocab")))
    return (*keys, MetadataEntry(key=RANDOM_KEY, kind="bool", value=True))


@cache
def _header(plan: TensorPlan, servable: bool) -> bytes:
    """Everything before the first tensor, padded to the alignment."""
    writer = GGUFWriter(None, plan.model.architecture or "")
    for entry in _metadata(plan, servable):
        _add(writer, entry)
    for tensor in plan.tensors:
        kind = GGMLQuantizationType[tensor.ggml_type]
        writer.add_tensor_info(tensor.name, tuple(reversed(tensor.shape)), np.dtype(np.float32), tensor.bytes, raw_dtype=kind)
    buffer = io.BytesIO()
    writer.fout, writer.state = [buffer], WriterState.EMPTY  # type: ignore[list-item]  # into memory instead of a file
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    return buffer.getvalue() + bytes(-buffer.tell() % ALIGNMENT_BYTES)


def _write(plan: TensorPlan, path: Path, report: Callable[[int, int], None], *, servable: bool) -> None:
    rng = np.random.default_rng(int(shape_sha256(plan, servable=servable)[:16], 16))
    with path.open("wb", buffering=0) as file:
        _write_all(file.fileno(), memoryview(_header(plan, servable)))
        _stream(plan, file.fileno(), rng, report)


def _stream(plan: TensorPlan, handle: int, rng: np.random.Generator, report: Callable[[int, int], None]) -> None:
    pools: dict[str, Bytes] = {}
    done = os.lseek(handle, 0, os.SEEK_CUR)
    total = done + plan.bytes
    if hasattr(os, "posix_fallocate"):
        with contextlib.suppress(OSError):  # not every file system can; then a full disk is found while writing
            os.posix_fallocate(handle, 0, total)
    for tensor in plan.tensors:
        for part in _parts(tensor, pools, rng):
            _write_all(handle, part)
            done += len(part)
            report(done, total)
        padding = -tensor.bytes % ALIGNMENT_BYTES
        os.write(handle, b"\0" * padding)
        done += padding
    report(done, total)


def _write_all(handle: int, part: memoryview) -> None:
    while len(part):
        part = part[os.write(handle, part) :]


def _parts(tensor: TensorEntry, pools: dict[str, Bytes], rng: np.random.Generator) -> list[memoryview]:
    """Slices of the type's pool, from a random block on and round again, until the tensor is full."""
    kind = _fill_of(tensor)
    block_bytes = GGML_BLOCKS[tensor.ggml_type][1]
    if kind in ("ones", "zeros"):
        number = np.float32(1.0 if kind == "ones" else 0.0)
        return [memoryview(np.full(tensor.bytes // 4, number).tobytes())]
    if kind not in pools:
        pools[kind] = _FILLS[kind](rng, POOL_BYTES // block_bytes).reshape(-1)
    pool = pools[kind]
    start = int(rng.integers(len(pool) // block_bytes)) * block_bytes
    parts, left = [], tensor.bytes
    while left:
        size = min(left, len(pool) - start)
        parts.append(pool.data[start : start + size])
        left -= size
        start = 0
    return parts


def _fill_of(tensor: TensorEntry) -> str:
    """What a tensor is filled with: norms and scales are one, biases and sinks zero, the rest random blocks of its type."""
    if tensor.ggml_type != "F32":
        return tensor.ggml_type
    if tensor.name.endswith(".bias") or "attn_sinks" in tensor.name:
        return "zeros"
    one_dimensional = len(tensor.shape) == 1
    return (
        "ones" if one_dimensional and ("norm" in tensor.name or tensor.name.endswith(".scale") or "scale.weight" in tensor.name) else "F32"
    )


def _add(writer: GGUFWriter, entry: MetadataEntry) -> None:
    if entry.key == "general.architecture":
        return  # the writer has it
    if entry.kind == "uint32":
        writer.add_uint32(entry.key, int(entry.value))  # type: ignore[arg-type]
    elif entry.kind == "float32":
        writer.add_float32(entry.key, float(entry.value))  # type: ignore[arg-type]
    elif entry.kind == "bool":
        writer.add_bool(entry.key, bool(entry.value))
    elif entry.kind == "string":
        writer.add_string(entry.key, str(entry.value))
    else:
        writer.add_array(entry.key, list(entry.value))  # type: ignore[arg-type]


# ---- valid random blocks, one function per ggml type (layouts: ggml-common.h) ----


def _f32(rng: np.random.Generator, blocks: int) -> Bytes:
    return rng.normal(0.0, WEIGHT_SD, blocks).astype(np.float32).view(np.uint8)


def _f16(rng: np.random.Generator, blocks: int) -> Bytes:
    return rng.normal(0.0, WEIGHT_SD, blocks).astype(np.float16).view(np.uint8)


def _bf16(rng: np.random.Generator, blocks: int) -> Bytes:
    words = rng.normal(0.0, WEIGHT_SD, blocks).astype(np.float32).view(np.uint32)
    return (words >> 16).astype(np.uint16).view(np.uint8)


def _q4_0(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = d (q - 8); q from 1 to 15, because the grid 0 to 15 is off centre by half a step."""
    return _joined(_scales(rng, blocks, 4.32), _nibbles(rng, blocks, 16, lowest=1))


def _q4_1(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = d q + m with m = -7.5 d."""
    d = _scale_numbers(rng, blocks, 4.61)
    return _joined(_half(d), _half(-7.5 * d), _nibbles(rng, blocks, 16))


def _q5_0(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = d (q - 16): a word of fifth bits and nibbles from 1 to 15, so that q has the mean 16."""
    return _joined(_scales(rng, blocks, 9.09), _raw(rng, blocks, 4), _nibbles(rng, blocks, 16, lowest=1))


def _q5_1(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = d q + m with m = -15.5 d."""
    d = _scale_numbers(rng, blocks, 9.23)
    return _joined(_half(d), _half(-15.5 * d), _raw(rng, blocks, 4), _raw(rng, blocks, 16))


def _q8_0(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = d q, q from -127 to 127."""
    q = rng.integers(-127, 128, (blocks, 32), dtype=np.int8).view(np.uint8)
    return _joined(_scales(rng, blocks, 73.3), q)


def _q2_k(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = d sc q - dmin m, q from 0 to 3; m = sc and dmin = 1.5 d make the mean zero."""
    scale = rng.integers(5, 16, (blocks, 16), dtype=np.uint8)
    d = _scale_numbers(rng, blocks, 1.118 * 10.0)
    return _joined(np.bitwise_or(scale, scale << 4), _raw(rng, blocks, 64), _half(d), _half(1.5 * d))


def _q3_k(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = d (sc - 32) (q - 4), 6-bit scales of both signs, so the mean is near zero."""
    return _joined(_raw(rng, blocks, 32), _raw(rng, blocks, 64), _raw(rng, blocks, 12), _scales(rng, blocks, 43.0))


def _q4_k(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = d sc q - dmin m, q from 0 to 15; m = sc and dmin = 7.5 d make the mean zero."""
    d = _scale_numbers(rng, blocks, 4.61 * 41.5)
    return _joined(_half(d), _half(7.5 * d), _six_bit_pairs(rng, blocks), _raw(rng, blocks, 128))


def _q5_k(rng: np.random.Generator, blocks: int) -> Bytes:
    """The same with fifth bits: dmin = 15.5 d."""
    d = _scale_numbers(rng, blocks, 9.23 * 41.5)
    return _joined(_half(d), _half(15.5 * d), _six_bit_pairs(rng, blocks), _raw(rng, blocks, 32), _raw(rng, blocks, 128))


def _q6_k(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = d sc (q - 32), int8 scales of both signs in equal parts."""
    sign = rng.choice(np.array([-1, 1], dtype=np.int8), (blocks, 16))
    scale = (rng.integers(32, 128, (blocks, 16), dtype=np.int8) * sign).astype(np.int8).view(np.uint8)
    return _joined(_raw(rng, blocks, 128), _raw(rng, blocks, 64), scale, _scales(rng, blocks, 18.5 * 84.0))


def _mxfp4(rng: np.random.Generator, blocks: int) -> Bytes:
    """w = 2^(e - 127) x a symmetric 4-bit float; the power of two nearest to the wanted size."""
    exponents = rng.integers(119, 121, (blocks, 1), dtype=np.uint8)
    return _joined(exponents, _raw(rng, blocks, 16))


def _six_bit_pairs(rng: np.random.Generator, blocks: int) -> Bytes:
    """Eight 6-bit scales and eight equal 6-bit mins in twelve bytes, scales from 20 to 63."""
    scale = rng.integers(20, 64, (blocks, 8), dtype=np.uint8)
    low, high = scale[:, :4], scale[:, 4:]
    first = np.bitwise_or(low, (high >> 4) << 6)
    second = np.bitwise_or(high & 0x0F, (high & 0x0F) << 4)
    return _joined(first, first, second)


def _scale_numbers(rng: np.random.Generator, blocks: int, sd_of_steps: float) -> NDArray[np.float64]:
    """Block scales that give WEIGHT_SD, with a log-normal jitter of 10 %."""
    return WEIGHT_SD / sd_of_steps * np.exp(rng.normal(0.0, 0.1, blocks))


def _scales(rng: np.random.Generator, blocks: int, sd_of_steps: float) -> Bytes:
    return _half(_scale_numbers(rng, blocks, sd_of_steps))


def _half(numbers: NDArray[np.float64]) -> Bytes:
    return numbers.astype(np.float16).view(np.uint8).reshape(-1, 2)


def _raw(rng: np.random.Generator, blocks: int, width: int) -> Bytes:
    return rng.integers(0, 256, (blocks, width), dtype=np.uint8)


def _nibbles(rng: np.random.Generator, blocks: int, width: int, lowest: int = 0) -> Bytes:
    low, high = (rng.integers(lowest, 16, (blocks, width), dtype=np.uint8) for _ in range(2))
    return _joined(np.bitwise_or(low, high << 4))


def _joined(*columns: Any) -> Bytes:
    return np.concatenate(columns, axis=1, dtype=np.uint8, casting="no")


_FILLS: dict[str, Callable[[np.random.Generator, int], Bytes]] = {
    "F32": _f32,
    "F16": _f16,
    "BF16": _bf16,
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
    "MXFP4": _mxfp4,
}
