"""How sure an estimate is: 80 % intervals by class, from residuals of devices and models that were left out of the fit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TypeVar

import numpy as np
from pydantic import Field

from capacity.accelerators import Server
from capacity.footprint import Footprint
from capacity.roofline import Efficiency, memory_class
from facts.records import Basis, Fact, Source, read_facts

T = TypeVar("T")

FITTED_GENERATIONS = frozenset({"ampere", "ada", "hopper", "apple", "apple-9"})
"""Chips of the rows that engines were fitted on."""
UNFITTED_PRECISIONS = frozenset({"fp4", "mxfp4"})
"""Precisions that no row of a serving engine has."""
MOST_EXPERTS = 16
"""Routed experts per layer in the rows of serving engines, at most."""


class Interval(Fact):
    """An 80 % interval as ratios of the estimate."""

    id: str
    """Class, from the widest word to the narrowest, as in `decode.gddr`."""
    low: float = Field(gt=0, le=1)
    """Lower end over the estimate, for a rate (tokens per second)."""
    high: float = Field(ge=1)
    """Upper end over the estimate, for a rate."""
    rows: int = Field(ge=0)
    """Left-out rows it was taken from; 0 is a judgement."""
    source: Source
    """What it rests on."""


@cache
def intervals() -> tuple[Interval, ...]:
    """All classes."""
    return read_facts(resources.files("capacity") / "data" / "intervals.toml", "interval", Interval)


def judgements() -> tuple[Interval, ...]:
    """Classes that no row was fitted for, by judgement."""
    return read_facts(resources.files("capacity") / "data" / "intervals_judged.toml", "interval", Interval)


def interval_for(name: str) -> Interval:
    """The interval of a class, or of the nearest wider one: `serving.trtllm.hbm.moe` falls back to `serving.trtllm.hbm`, ..."""
    return nearest_class(_by_class(), name)


def nearest_class(known: Mapping[str, T], name: str) -> T:
    """What is known of a class, or of the nearest wider one, at last of `any`."""
    parts = name.split(".")
    while parts and ".".join(parts) not in known:
        parts.pop()
    return known[".".join(parts) or "any"]


@cache
def _by_class() -> dict[str, Interval]:
    return {entry.id: entry for entry in intervals()}


def outside_rows(cost: Footprint, server: Server, efficiency: Efficiency) -> bool:
    """Whether fitted parameters are asked about something that no fitted row was like: other chips, mixtures of many experts."""
    if server.accelerator.generation not in FITTED_GENERATIONS:
        return True
    return efficiency.engine == "trtllm" and (cost.compute in UNFITTED_PRECISIONS or bool(np.any(np.asarray(cost.experts) > MOST_EXPERTS)))


def interval_class(
    cost: Footprint, server: Server, efficiency: Efficiency, phase: str, *, stated_device: bool = False, probed: bool | None = None
) -> str:
    """The class of an estimate: phase, how it was come by, engine, memory kind, and what is special about the model or layout.

    probed: whether this phase was measured on this device; None takes calibrated parameters as that. A measurement beside parameters
    that nothing like it was fitted on is less sure than one beside fitted ones: `prior-probed`.
    """
    if stated_device or not cost.exact:
        origin = "typical"
    elif not efficiency.fitted or outside_rows(cost, server, efficiency):
        origin = "prior"
    else:
        origin = "fitted"
    if efficiency.basis is Basis.CALIBRATED if probed is None else probed:
        origin = "probed" if origin == "fitted" else "prior-probed"
    kind = memory_class(server.accelerator)
    special = "moe" if cost.is_mixture else ("tp" if server.gpus > 1 else "one")
    return ".".join((phase, origin, efficiency.engine.replace(".", ""), kind, special))
