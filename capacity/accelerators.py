"""The spec sheets: accelerators with memory, bandwidth, dense peaks, link and watts, and servers made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydantic import Field

from facts.errors import InputError
from facts.records import Fact, Source, nearest, read_facts
from facts.units import BYTES_PER_GIB


class Accelerator(Fact):
    """One GPU, system on a chip or CPU socket; a blank in its sources stays None."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")
    """Slug, as in `nvidia-h100-sxm-80`."""
    name: str
    """What its maker calls it."""
    aliases: tuple[str, ...] = ()
    """Other names under which measurements list it."""
    kind: str = "other"
    """datacenter_gpu, workstation_gpu, consumer_gpu, apple_soc, unified_soc, cpu, or other."""
    vendor: str = ""
    """Maker."""
    generation: str | None = None
    """Architecture generation, as in hopper."""
    memory_kind: str = "gddr"
    """hbm, gddr, lpddr (shared with the CPU) or ddr."""
    memory_gb: float | None = Field(default=None, gt=0)
    """Memory as on the data sheet; memory is built in binary sizes, so a 24 GB card holds 24 GiB."""
    mem_bw_gb_per_s: float | None = Field(default=None, gt=0)
    """Peak memory bandwidth, GB (1e9 bytes) per second."""
    fp16_tflops: float | None = Field(default=None, gt=0)
    """Dense peak with 16-bit inputs and 32-bit accumulation."""
    fp8_tflops: float | None = Field(default=None, gt=0)
    """Dense 8-bit floating-point peak; None where there is none or it is not known."""
    int8_tops: float | None = Field(default=None, gt=0)
    """Dense 8-bit integer peak."""
    fp4_tflops: float | None = Field(default=None, gt=0)
    """Dense 4-bit peak."""
    link_kind: str = "pcie"
    """nvlink, infinity_fabric, ethernet, pcie or none: how devices of one server reach each other."""
    link_gb_per_s: float | None = Field(default=None, ge=0)
    """One-way bandwidth of that link per device."""
    tdp_w: float | None = Field(default=None, gt=0)
    """Rated power; a server around it draws about 2.5 times that per GPU."""
    notes: str = ""
    """What a reader should know."""
    source: Source
    """Where the figures were read."""

    def need(self, field: str) -> float:
        """A figure that a formula cannot do without; InputError names it when the spec sheet lacks it."""
        number = getattr(self, field)
        if number is None:
            raise InputError(f"accelerator {self.id}: '{field}' is not known; state it for this device")
        return float(number)

    @property
    def unified_memory(self) -> bool:
        """Whether it shares its memory with the CPU and the operating system."""
        return self.memory_kind == "lpddr"


@dataclass(frozen=True, kw_only=True)
class Server:
    """Devices that serve one replica together, or several.

    accelerator: the device
    gpus: how many of them
    """

    accelerator: Accelerator
    gpus: int = 1

    def __post_init__(self) -> None:
        if self.gpus < 1:
            raise InputError(f"a server of {self.gpus} {self.accelerator.name} carries nothing; give at least 1")

    @property
    def memory_bytes(self) -> float:
        """Memory of all devices, bytes: the sheet's GB are GiB (an 80 GB H100 reports 81,559 MiB)."""
        return self.accelerator.need("memory_gb") * BYTES_PER_GIB * self.gpus


@cache
def accelerators() -> tuple[Accelerator, ...]:
    """The whole catalogue, sorted by id."""
    return read_facts(resources.files("capacity") / "data" / "accelerators.toml", "accelerator", Accelerator)


def accelerator(accelerator_id: str) -> Accelerator:
    """The device of that id; InputError gives the nearest known one."""
    by_id = _by_id()
    if accelerator_id not in by_id:
        raise InputError(f"unknown accelerator '{accelerator_id}'{nearest(accelerator_id, by_id)}")
    return by_id[accelerator_id]


@cache
def _by_id() -> dict[str, Accelerator]:
    return {device.id: device for device in accelerators()}


def find_accelerator(name: str) -> Accelerator | None:
    """The device that a free name means, by exact words ('RTX 4060' is not 'RTX 4060 Ti'), or None."""
    words = _words(name)
    found = _index().get(words)
    if found is None and re.match(r"m\d+\b", words):
        found = _index().get(f"apple {words}")
    return found


# --- names -----------------------------------------------------------------------------------------------------------

_FILLERS = {"nvidia", "amd", "intel", "geforce", "radeon", "instinct", "tesla", "gpu", "graphics", "generation", "corporation", "gb"}


def _words(name: str) -> str:
    """The words that tell devices apart, in order: makers and fillers dropped, '80 GB', '80gb' and '80' the same.

    '8 x H100' and 'H100 x8' are the H100; '(40-core GPU)' is '40c'.
    """
    plain = re.sub(r"(\d+)[\s-]*core(?:s)?\b(?:\s*gpu)?", r"\1c", name.lower().replace("+", " plus "))
    plain = re.sub(r"^\s*\d+\s*x\s*(?=[a-z])|\s+x\s*\d+\s*$", " ", plain)
    parts = re.findall(r"[a-z]+\d*[a-z]*|\d+[a-z]*", plain)
    return " ".join(re.sub(r"^(\d+)gb$", r"\1", part) for part in parts if part not in _FILLERS)


@cache
def _index() -> dict[str, Accelerator]:
    index: dict[str, Accelerator] = {}
    for device in accelerators():
        for text in (device.id.replace("-", " "), device.name, *device.aliases):
            index.setdefault(_words(text), device)
    return index
