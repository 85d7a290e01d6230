"""The register of sources: every number in use, where it was read, when, and how it was come by."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

from capacity.accelerators import accelerator
from capacity.models import model
from capacity.roofline import efficiency_for
from facts.records import Basis, Source
from pricing.assumptions import register
from pricing.prices import ApiPrice, RentalPrice, ServerPrice
from selector.evaluation import Asked, Bill, Evaluation, params_b
from selector.options import Option
from selector.results import SourceLine
from selector.token_counts import counted_source

NOT_COUNTED: Final = (
    "taxes, depreciation for tax and currency: the view is pre-tax cash in USD",
    "network egress and storage of text, cents a month at these volumes",
    "volume discounts and committed-use contracts that you may negotiate",
    "what an owned server is still worth after the horizon (the amortised view beside the headline counts it)",
    "losses from outages and from answers that are slower, unless a service level is stated",
    "the worth of a better or worse answer, unless you state what a wrong case costs",
    "retrieval, guardrails and other software that every option would need alike",
)
"""What the bill leaves out."""


def sources_of(evaluations: tuple[Evaluation, ...], asked: Asked, chosen_id: str | None) -> tuple[SourceLine, ...]:
    """Prices and speeds of every option that has a bill, the chances, then the assumptions; the recommended option first."""
    ordered = sorted(evaluations, key=lambda found: found.option.id != chosen_id)
    lines: dict[str, SourceLine] = {}
    users: dict[str, tuple[str, ...]] = {}
    for evaluation in ordered:
        for line in _of_option(evaluation, asked):
            _note(lines, users, line, evaluation.option.id)
    for evaluation in ordered:
        quality = evaluation.quality
        key = f"chance.{evaluation.option.kind}"
        value = f"{quality.probability:.2f} ({quality.low:.2f} to {quality.high:.2f})"
        line = _line(
            key, f"Chance of being good enough: {evaluation.option.title}", value, None, quality.basis, asked, note=quality.because
        )
        _note(lines, users, line if not quality.source else replace(line, url=quality.source), evaluation.option.id)
    lines = {key: replace(line, option_ids=users[key]) for key, line in lines.items()}
    for note in register(asked.scenario.assumptions):
        value = f"{note.value} {note.unit}".strip()
        lines[f"assumption.{note.key}"] = _line(f"assumption.{note.key}", note.label, value, note.source, note.basis, asked, note=note.help)
    return tuple(lines.values())


def _of_option(evaluation: Evaluation, asked: Asked) -> tuple[SourceLine, ...]:
    option, bill = evaluation.option, evaluation.bill
    if bill is None:
        return ()
    found = [
        *(_price(bill.price, asked) if bill.price else ()),
        *(_rental(bill.rental, asked) if bill.rental else ()),
        *(_server(bill.server, asked) if bill.server else ()),
        *(_speed(option, bill, asked) if bill.plan else ()),
        *_tokens(evaluation, asked),
    ]
    return tuple(found)


def _price(price: ApiPrice, asked: Asked) -> tuple[SourceLine, ...]:
    if price.blended_usd_per_mtok is not None:
        value = f"{price.blended_usd_per_mtok:g} USD per Mtok, input and output alike"
    else:
        cached = "" if price.cached_input_usd_per_mtok is None else f", cached {price.cached_input_usd_per_mtok:g}"
        value = f"{price.input_usd_per_mtok:g} in / {price.output_usd_per_mtok:g} out{cached} USD per Mtok"
    note = "; ".join(text for text in (price.layer, price.source.note, price.time_rule) if text)
    return (_line(f"price.{price.ref}", f"Price of {price.ref}", value, price.source, price.basis, asked, note=note),)


def _rental(rental: RentalPrice, asked: Asked) -> tuple[SourceLine, ...]:
    value = f"{rental.usd_per_gpu_hour:g} USD per GPU-hour, {rental.term.replace('_', ' ')}"
    where = " ".join(text for text in (rental.provider, rental.instance, rental.region) if text)
    key = f"rent.{rental.provider}.{rental.device_id}"
    return (_line(key, f"Rent of {rental.device_id} at {where}", value, rental.source, rental.basis, asked, note=rental.source.note),)


def _server(server: ServerPrice, asked: Asked) -> tuple[SourceLine, ...]:
    value = f"{server.gpu_usd:,.0f} + {server.host_usd_per_gpu:,.0f} USD per GPU with its share of the host"
    power = f"{server.power_kw_per_gpu:g} kW per GPU"
    return (
        _line(
            f"server.{server.device_id}",
            f"Own server with {server.device}",
            value,
            server.source,
            server.basis,
            asked,
            note=server.price_kind,
        ),
        _line(f"power.{server.device_id}", f"Power of {server.device}", power, server.power_source, server.power_basis, asked),
    )


def _speed(option: Option, bill: Bill, asked: Asked) -> tuple[SourceLine, ...]:
    assert bill.plan is not None
    plan, spec = bill.plan, model(option.model)
    span = f"80 % interval {plan.speed_low:.0%} to {plan.speed_high:.0%} of it"
    value = f"{plan.output_tokens_per_s:,.0f} output tokens/s at {plan.concurrency:.0f} in flight ({span})"
    shape = _line(f"model.{spec.id}", f"Shape of {spec.name}", f"{params_b(spec.id):.2f} B parameters", spec.source, Basis.PUBLISHED, asked)
    if not plan.device_id:
        source = asked.machine.device.source if asked.machine else None
        return (shape, _line(f"speed.{option.id}", f"Speed of {option.title}", value, source, plan.basis, asked, note=plan.server))
    device = accelerator(plan.device_id)
    sheet = f"{device.mem_bw_gb_per_s or 0:g} GB/s, {device.fp16_tflops or 0:g} dense 16-bit TFLOPS, {device.memory_gb or 0:g} GB"
    engine = efficiency_for(option.engine, device)
    taken = asked.catalog.calibration.source(device, option.engine) if plan.basis in (Basis.MEASURED, Basis.CALIBRATED) else None
    moved = f", moved by {taken.url}" if taken is not None else ""
    return (
        shape,
        _line(f"device.{device.id}", f"Data sheet of {device.name}", sheet, device.source, Basis.PUBLISHED, asked),
        _line(
            f"speed.{option.id}.{device.id}",
            f"Speed of {option.title} on {plan.server}",
            value,
            taken or engine.source,
            plan.basis,
            asked,
            note=f"as {taken.url} saw it"
            if taken and plan.basis is Basis.MEASURED
            else f"roofline with the parameters of {engine.engine}{moved}",
        ),
    )


def _tokens(evaluation: Evaluation, asked: Asked) -> tuple[SourceLine, ...]:
    """What its tokenizer makes of the user's counts, where it is said whose those are."""
    count, model_id = evaluation.supplies[0].tokens, evaluation.option.api or evaluation.option.model
    if not count.because:
        return ()
    value = f"{count.factor:.3g} tokens for one of your counts"
    return (_line(f"tokens.{model_id}", f"Tokens of {model_id}", value, counted_source(), count.basis, asked, note=count.because),)


def _line(key: str, label: str, value: str, source: Source | None, basis: Basis, asked: Asked, note: str = "") -> SourceLine:
    checked: date | None = source.checked if source else None
    age = (asked.catalog.as_of - checked).days if checked else None
    return SourceLine(
        key=key,
        label=label,
        value=value,
        url=source.url if source else "",
        checked=checked,
        basis=basis,
        note=note or (source.note if source else ""),
        age_days=None if age is None else max(age, 0),
    )


def _note(lines: dict[str, SourceLine], users: dict[str, tuple[str, ...]], line: SourceLine, option_id: str) -> None:
    """Keep a line under its key, and that the option uses it."""
    lines.setdefault(line.key, line)
    users[line.key] = (*users.get(line.key, ()), option_id)
