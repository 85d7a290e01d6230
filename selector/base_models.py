"""Which base model stands in an arm: hard filters first, then cost, never a quality score. Those left are the pilot's shortlist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from typing import Final, Self

from pydantic import Field, model_validator

from capacity.models import model
from facts.records import Fact, Source, read_facts
from selector.languages import NAMES, code_of, name_of
from selector.options import Option
from selector.results import BaseModelChoice, BaseModelEntry, Placement
from workloads.demand import Modality, Workload

SHORTLISTED: Final = 3
"""Models that a pilot tries."""
SAME_COST_SHARE: Final = 0.01
"""Totals this close count as equal: the order of selector/data/arms.toml then decides, far inside the doubt of any of them."""
NOT_BY_QUALITY: Final = "Quality does not separate them before a test on your own cases: try these on them, and keep the best."


class BaseModelFact(Fact):
    """One entry of selector/data/base_models.toml."""

    model: str
    """Id in the model catalogue."""
    languages: tuple[str, ...] = ()
    """Codes of the languages that its maker names."""
    many_languages: int = Field(default=0, ge=0)
    """How many its maker states, where the list is not given in full."""
    reads: tuple[Modality, ...] = ()
    """What it takes beside text."""
    source: Source
    """Where that was read."""

    @model_validator(mode="after")
    def _knows_its_languages(self) -> Self:
        if not self.languages and not self.many_languages:
            raise ValueError(f"'{self.model}' names no language")
        unknown = [code for code in self.languages if code not in NAMES]
        if unknown:
            raise ValueError(f"'{self.model}': {', '.join(unknown)} is no language code of selector/languages.py")
        model(self.model)
        return self

    def covers(self, code: str | None) -> bool:
        """Whether its maker says that it knows a language; a list that is given counts, else a stated number covers the common ones."""
        return code in self.languages if self.languages else code is not None


@cache
def base_models() -> dict[str, BaseModelFact]:
    """By model id."""
    facts = read_facts(resources.files("selector") / "data" / "base_models.toml", "base_model", BaseModelFact)
    return {fact.model: fact for fact in facts}


def candidates(option: Option) -> tuple[Option, ...]:
    """An option with each of its base models, in the order of selector/data/arms.toml."""
    return tuple(_with(option, model_id) for model_id in (option.model, *option.also))


def languages_missing(option: Option, languages: Sequence[str]) -> tuple[str, ...]:
    """Of the languages wanted, those that the maker of an option's model does not name; none for an API, whose vendor has to be asked."""
    fact = base_models().get(option.model)
    if option.placement is Placement.API or fact is None:
        return ()
    return tuple(text for text in languages if not fact.covers(code_of(text)))


def languages_words(option: Option) -> str:
    """What its maker states, in a few words; '' where nothing is known."""
    fact = base_models().get(option.model)
    if fact is None or option.placement is Placement.API:
        return ""
    if not fact.languages:
        return f"{fact.many_languages:,} languages"
    if len(fact.languages) == 1:
        return f"{name_of(fact.languages[0])} only"
    return f"{len(fact.languages)} languages named"


def reads(option: Option) -> frozenset[Modality] | None:
    """What an option takes beside text; None for an API, whose vendor has to be asked."""
    if option.placement is Placement.API:
        return None
    fact = base_models().get(option.model)
    return frozenset(fact.reads) if fact else frozenset()


def why_left_out(option: Option, workload: Workload) -> str | None:
    """The hard filter that a base model does not pass, in a sentence; None where it passes those that need no server."""
    spec = model(option.model)
    allowed = {name.casefold() for name in workload.licences}
    if allowed and (spec.licence or "unknown").casefold() not in allowed:
        return f"its licence, {spec.licence or 'unknown'}, is not among those you allow"
    missing = languages_missing(option, workload.languages)
    if missing:
        return f"its maker does not name {', '.join(name_of(code_of(text) or text) for text in missing)} ({languages_words(option)})"
    unread = [kind for kind in workload.modality if kind is not Modality.TEXT and kind not in (reads(option) or ())]
    if unread:
        return f"it does not read {' and '.join(unread)}"
    need = workload.input_tokens + workload.output_tokens
    if spec.context_tokens and need > spec.context_tokens:
        return f"a mean request of {need:,.0f} tokens does not fit its window of {spec.context_tokens:,}"
    return None


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A base model that was priced.

    option: with that model
    total_usd: its bill, None where it has none
    refused_because: why it may not be taken, or None
    """

    option: Option
    total_usd: float | None
    refused_because: str | None


def chosen(tried: Sequence[Tried]) -> int:
    """The first, in the order given, of those that may be taken and cost no more than 1 % above the cheapest of them.

    Where none may be taken, the first of those that have a bill; else the first.

    >>> from selector.results import Arm
    >>> from selector.quality import Kind
    >>> option = Option(id="x", title="x", arm=Arm.FINE_TUNED_7B, placement=Placement.RENTED, kind=Kind.TUNED_SMALL, model="qwen3-8b")
    >>> [chosen([Tried(option=option, total_usd=usd, refused_because=None) for usd in totals]) for totals in ((100, 99.5), (100, 98))]
    [0, 1]
    """
    for taken in (
        [one.refused_because is None and one.total_usd is not None for one in tried],
        [one.total_usd is not None for one in tried],
    ):
        totals = [one.total_usd for one, may in zip(tried, taken, strict=True) if may and one.total_usd is not None]
        if totals:
            limit = min(totals) * (1.0 + SAME_COST_SHARE)
            return next(place for place, one in enumerate(tried) if taken[place] and (one.total_usd or 0.0) <= limit)
    return 0


def choice_of(
    option: Option, tried: Sequence[Tried], left_out: Sequence[tuple[str, str]], others: Sequence[BaseModelEntry] = ()
) -> BaseModelChoice | None:
    """What stands on the page: the model taken, the shortlist, and who was left out and why; None for what is bought as an API.

    tried: every model of the option that passes the filters which need no server, with its bill where it was priced
    others: models of the same arm and placement that stand as options of their own, for the shortlist
    """
    if option.placement is Placement.API or not option.model:
        return None
    first = [one for one in tried if one.option.model == option.model and one.refused_because is None]
    rest = [_entry(one) for one in tried if one.option.model != option.model and one.refused_because is None]
    rest = sorted([*rest, *others], key=lambda one: (one.total_usd is None, one.total_usd or 0.0))
    entries = (*(_entry(one) for one in first), *(rest if first else ()))[:SHORTLISTED]
    refused = [
        (one.option.model, one.refused_because) for one in tried if one.refused_because is not None and one.option.model != option.model
    ]
    return BaseModelChoice(
        model=option.model,
        name=model(option.model).name,
        because=_because(option, tried, left_out),
        shortlist=entries,
        left_out=tuple(f"{model(name).name}: {why}" for name, why in (*left_out, *refused)),
        sentence=NOT_BY_QUALITY if len(entries) > 1 else "",
    )


# ---- below: how ----


@lru_cache(maxsize=1024)
def _with(option: Option, model_id: str) -> Option:
    title = option.title_form.replace("{model}", model(model_id).name) if option.title_form else option.title
    return replace(option, model=model_id, title=title, hosted_as=model_id if option.hosted_as else "")


def entry_of(option: Option, total_usd: float | None) -> BaseModelEntry:
    """A model as a line of a shortlist; of an API only its name is known."""
    if option.placement is Placement.API:
        return BaseModelEntry(model=option.model, name=option.model, licence="", context_tokens=None, languages="", total_usd=total_usd)
    return _entry(Tried(option=option, total_usd=total_usd, refused_because=None))


def _entry(one: Tried) -> BaseModelEntry:
    spec = model(one.option.model)
    return BaseModelEntry(
        model=spec.id,
        name=spec.name,
        licence=spec.licence or "unknown",
        context_tokens=spec.context_tokens,
        languages=languages_words(one.option),
        total_usd=one.total_usd,
    )


def _because(option: Option, tried: Sequence[Tried], left_out: Sequence[tuple[str, str]]) -> str:
    count = len(tried) + len(left_out)
    name = model(option.model).name
    if count == 1:
        return f"{name} is the only base model of this class that is held here"
    passing = [one for one in tried if one.refused_because is None]
    filters = f"{len(passing)} of {count} base models pass the filters of licence, languages, what goes in, context and memory"
    if not passing:
        return f"none of {count} base models may be taken; {name} comes nearest"
    if len(passing) == 1:
        return f"{filters}: {name}"
    cheapest = min((one.total_usd for one in passing if one.total_usd is not None), default=0.0)
    own = next((one.total_usd for one in tried if one.option.model == option.model), None)
    if own is not None and own > cheapest:
        return f"{filters}; {name} stands first among those within 1 % of the lowest cost"
    return f"{filters}; none costs less than {name}"
