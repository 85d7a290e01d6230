"""Every option worth naming for a workload: one model, one placement, and how it is bought or served."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Self

from pydantic import model_validator

from capacity.models import model
from facts.errors import InputError
from facts.records import Fact, read_facts
from selector.own_options import OwnOption
from selector.quality import Kind
from selector.results import Arm, Placement
from workloads.demand import Workload

MIN_LABELS_TO_TUNE = 100
"""Tuned small models equal prompted large ones at about 100 labels on average (Pecher et al., EMNLP 2025)."""


SMALL_BELOW_B, LARGE_FROM_B = 15.0, 50.0
"""Parameters, billions, below which an own model is read with the published cases of small ones, and from which with those of 70B ones."""
READ_WITH = {
    Kind.TUNED_SMALL: "tuned small models",
    Kind.SMALL_UNTUNED: "small models that were not tuned",
    Kind.PROMPTED_MID: "prompted mid-size models",
    Kind.PROMPTED_70B: "prompted 70B models",
}


class ArmFact(Fact):
    """One entry of selector/data/arms.toml."""

    id: str
    """Begins the ids of its options."""
    arm: Arm
    """The kind of answer."""
    placements: tuple[Placement, ...]
    """Where it may run."""
    kind: Kind
    """Which published cases it is read with."""
    title: str
    """For the reader; {model} is the base model's name."""
    model: str = ""
    """Id in the model catalogue, for what is served."""
    also: tuple[str, ...] = ()
    """Other base models of the same class; of equal cost the first stands."""
    api: str = ""
    """provider:model of a named API."""
    hosted_as: str = ""
    """Model family whose hosts' prices are looked up."""
    hosts: tuple[str, ...] = ()
    """If given, only these hosts."""
    quantization: str = ""
    """How the weights are served."""
    engine: str = ""
    """What serves them."""
    servers: tuple[str, ...] = ()
    """device id:GPU count, the servers to choose from."""
    tuned: bool = False
    """Whether it needs training on the user's labels."""
    training_usd_per_mtok: float | None = None
    """The vendor's price of training tokens, where the training catalogue has none."""
    training_source: str = ""
    """Where that price was read."""
    note: str = ""
    """What a reader should know."""

    @model_validator(mode="after")
    def _has_what_its_placement_needs(self) -> Self:
        for placement in self.placements:
            if placement is Placement.API and not self.api:
                raise ValueError(f"'{self.id}' is placed at an API and names none")
            if placement is Placement.MANAGED and (not self.hosted_as or (self.also and self.hosted_as != self.model)):
                raise ValueError(f"'{self.id}' is managed and names no hosted_as, or one that is not its model")
            if placement in (Placement.RENTED, Placement.OWNED) and not (self.model and self.servers and self.engine):
                raise ValueError(f"'{self.id}' is {placement} and lacks model, servers or engine")
        return self


@dataclass(frozen=True, kw_only=True)
class Option:
    """One model, one placement, one way to serve it.

    id: unique in a decision
    title: for the reader
    arm, placement, kind: what it is
    model: id in the model catalogue, or the API's provider:model
    also: other base models that may stand in its place
    title_form: the title with {model} for the name of the base model, '' where it names none
    api: provider:model, for placement api
    hosted_as, hosts: for placement managed
    servers: (device id, GPUs) to choose from, for placements rented and owned
    quantization, engine: how it is served
    tuned: needs training on the user's labels
    baseline: today's model at its list price
    batch: today's model, with what can wait sent in batches
    training_usd_per_mtok: the vendor's own training price, or None
    training_source: where that was read
    note: what a reader should know
    own: the user's own option behind it, with its price, or None
    """

    id: str
    title: str
    arm: Arm
    placement: Placement
    kind: Kind
    model: str
    also: tuple[str, ...] = ()
    title_form: str = ""
    api: str = ""
    hosted_as: str = ""
    hosts: tuple[str, ...] = ()
    servers: tuple[tuple[str, int], ...] = ()
    quantization: str = ""
    engine: str = ""
    tuned: bool = False
    baseline: bool = False
    batch: bool = False
    training_usd_per_mtok: float | None = None
    training_source: str = ""
    note: str = ""
    own: OwnOption | None = None


def list_options(workload: Workload, own: tuple[OwnOption, ...] = (), *, blended_price: bool = False) -> tuple[Option, ...]:
    """The baseline first, then every arm of the catalogue in each of its placements, then the user's own options.

    With a blended price of the user's own the baseline is the only option of its arm: no other form of it can be told apart.
    """
    baseline = Option(
        id="api-" + slug(workload.baseline_model),
        title=f"{workload.baseline_model} (today's API)",
        arm=Arm.API,
        placement=Placement.API,
        kind=Kind.BASELINE,
        model=workload.baseline_model,
        api=workload.baseline_model,
        baseline=True,
    )
    others = [_option(arm, placement) for arm in arms() for placement in arm.placements if arm.api != workload.baseline_model]
    if workload.can_wait_share > 0:
        others.insert(0, _in_batches(baseline, workload))
    kept = [
        option
        for option in others
        if not (blended_price and option.arm is Arm.API) and not (option.arm is Arm.EDGE and not workload.edge_device)
    ]
    return (baseline, *(_untuned_without_labels(option, workload) for option in kept), *(_own(option) for option in own))


@cache
def arms() -> tuple[ArmFact, ...]:
    """Every arm of selector/data/arms.toml."""
    return read_facts(resources.files("selector") / "data" / "arms.toml", "arm", ArmFact)


def slug(text: str) -> str:
    """Lower case, other signs as hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def _option(arm: ArmFact, placement: Placement) -> Option:
    suffix = "" if len(arm.placements) == 1 else f"-{placement}"
    words = {Placement.RENTED: ", rented", Placement.OWNED: ", own servers"}.get(placement, "")
    return Option(
        id=arm.id + suffix,
        title=arm.title.replace("{model}", model(arm.model).name if arm.model else "") + words,
        arm=arm.arm,
        placement=placement,
        kind=arm.kind,
        model=arm.api if placement is Placement.API else arm.model,
        also=() if placement is Placement.API else arm.also,
        title_form=arm.title + words if "{model}" in arm.title else "",
        api=arm.api if placement is Placement.API else "",
        hosted_as=arm.hosted_as,
        hosts=arm.hosts,
        servers=tuple(_server(text) for text in arm.servers),
        quantization=arm.quantization,
        engine=arm.engine,
        tuned=arm.tuned,
        training_usd_per_mtok=arm.training_usd_per_mtok,
        training_source=arm.training_source,
        note=arm.note,
    )


def _own(stated: OwnOption) -> Option:
    """An option of the user's own, read with the published cases of its class."""
    billions = stated.spec.params_total / 1e9
    untuned = Kind.SMALL_UNTUNED if billions < SMALL_BELOW_B else Kind.PROMPTED_MID if billions < LARGE_FROM_B else Kind.PROMPTED_70B
    kind = untuned if stated.tuning == "none" else Kind.TUNED_SMALL
    return Option(
        id=stated.option_id,
        title=stated.name,
        arm=Arm.OWN,
        placement=Placement(stated.placement),
        kind=kind,
        model=stated.spec.id,
        servers=((stated.accelerator.id, stated.gpus),),
        quantization=stated.quantization,
        engine=stated.engine,
        tuned=stated.tuning == "to_do",
        note=f"your own option: read with the published cases of {READ_WITH[kind]}, which is assumed until you test it",
        own=stated,
    )


def _in_batches(baseline: Option, workload: Workload) -> Option:
    """The baseline's model with the requests that can wait at its batch price."""
    title = f"{workload.baseline_model}, {workload.can_wait_share:.0%} in batches"
    return replace(baseline, id=f"{baseline.id}-batch", title=title, baseline=False, batch=True, note="batches are answered within a day")


def _untuned_without_labels(option: Option, workload: Workload) -> Option:
    """Machines at hand run the tuned model where there are labels to tune it, else the untuned one."""
    if option.placement is Placement.LOCAL and workload.labelled_examples < MIN_LABELS_TO_TUNE:
        return replace(option, kind=Kind.SMALL_UNTUNED, tuned=False)
    return option


def _server(text: str) -> tuple[str, int]:
    device, _, count = text.partition(":")
    if not count.isdigit() or int(count) < 1:
        raise InputError(f"server '{text}' is not 'device id:GPU count'")
    return device, int(count)
