"""The spec sheets: accelerators with memory, bandwidth, dense peaks, link and watts, and servers made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydantic import Field

from capacity.shelf import Shelf
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
    joined: int = Field(default=1, ge=1)
    """Chips of a smaller device that are joined into it: 2 in an Apple Ultra."""
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
    """The device of that id, of the catalogue or a user's own; InputError gives the nearest known one."""
    by_id = _by_id()
    found = by_id.get(accelerator_id) or _OWN.get(accelerator_id)
    if found is None:
        raise InputError(f"unknown accelerator '{accelerator_id}'{nearest(accelerator_id, by_id)}")
    return found


def own_accelerator(device: Accelerator) -> Accelerator:
    """A device that the catalogue lacks, under the id by which `accelerator` finds it from now on."""
    return _OWN.put(device)


_OWN: Shelf[Accelerator] = Shelf()


@cache
def _by_id() -> dict[str, Accelerator]:
    return {device.id: device for device in accelerators()}


def find_accelerator(name: str) -> Accelerator | None:
    """The device that a free name means, or None: by exact words ('RTX 4060' is not 'RTX 4060 Ti'), else by the same words in another
    order beside its own memory size or words that tell no devices apart ('H100 80GB PCIe', 'NVIDIA H200 141GB HBM3e').
    """
    words = _words(name)
    found = _index().get(words)
    if found is None and re.match(r"m\d+\b", words):
        found = _index().get(f"apple {words}")
    return found if found is not None else _by_set_of_words(frozenset(words.split()))


def largest_built(device: Accelerator) -> Accelerator:
    """The device with the most memory it is sold with: Apple chips of one name come with several sizes, whatever their cores."""
    if device.kind != "apple_soc":
        return device
    chip = re.sub(r" \d+c$", "", device.name)
    sizes = [other.memory_gb for other in accelerators() if re.sub(r" \d+c$", "", other.name) == chip and other.memory_gb is not None]
    return device.model_copy(update={"memory_gb": max(sizes, default=device.memory_gb)})


# --- names -----------------------------------------------------------------------------------------------------------

_FILLERS = {"nvidia", "amd", "intel", "geforce", "radeon", "instinct", "tesla", "gpu", "graphics", "generation", "corporation", "gb"}


def _words(name: str) -> str:
    """The words that tell devices apart, in order: makers and fillers dropped, '80 GB', '80gb' and '80' the same.

    '8 x H100' and 'H100 x8' are the H100; '(40-core GPU)' is '40c'.
    """
    plain = re.sub(r"(\d+)[\s-]*core(?:s)?\b(?:\s*gpu)?", r"\1c", name.lower().replace("+", " plus "))
    plain = re.sub(r"^\s*\d+\s*x\s*(?=[a-z])|\s+x\s*\d+\s*$", " ", plain)
    plain = re.sub(r"\b(?:macbook (?:pro|air)|mac (?:studio|mini|pro)|imac)\b", "apple", plain)
    plain = re.sub(r"\b([rg]tx|rx)(?=\d)", r"\1 ", plain)
    parts = re.findall(r"[a-z]+\d*[a-z]*|\d+[a-z]*", plain)
    return " ".join(re.sub(r"^sxm\d$", "sxm", re.sub(r"^(\d+)gb$", r"\1", part)) for part in parts if part not in _FILLERS)


@cache
def _index() -> dict[str, Accelerator]:
    index: dict[str, Accelerator] = {}
    for device in accelerators():
        for text in (device.id.replace("-", " "), device.name, *device.aliases):
            index.setdefault(_words(text), device)
    return index


_TELLS_NOTHING = re.compile(
    r"hbm\w*|[gl]p?ddr\w+|dgx|hgx|oam|edition|workstation|blackwell|hopper|ampere|desktop|framework|unified|memory|nvl\w*"
)
MEMORY_SLACK = 0.08
"""How far a stated memory size may lie from the sheet's: 192 GB are built into a B200 and 180 GB are usable."""


def _by_set_of_words(words: frozenset[str]) -> Accelerator | None:
    """The one device of most words among those whose words are all there and of which no other word tells it apart."""
    if any(re.fullmatch(r"m\d", word) for word in words):
        words |= {"apple"}
    best: dict[int, dict[str, Accelerator]] = {}
    for text, device in _index().items():
        own = frozenset(text.split())
        if own <= words and all(_says_nothing(word, device) for word in words - own):
            best.setdefault(len(own), {})[device.id] = device
    found = best[max(best)] if best else {}
    return next(iter(found.values())) if len(found) == 1 else None


def _says_nothing(word: str, device: Accelerator) -> bool:
    """Whether a word beside a device's own leaves it the same: its memory, or a word of packaging."""
    if word.isdigit():
        optional = device.kind == "apple_soc"  # memory is bought in several sizes
        return optional or (device.memory_gb is not None and abs(float(word) / device.memory_gb - 1.0) <= MEMORY_SLACK)
    return _TELLS_NOTHING.fullmatch(word) is not None or word == {"pcie": "pcie", "nvlink": "sxm"}.get(device.link_kind)
