"""A record's fields as widgets: label, unit, limits and help come from the field itself. Every input stands in the address.

The widgets' keys are the scenario's own keys, so a share link reads like the TOML file. The address is written here and not
by the widgets' own binding, which knows a choice by its label only and does not follow a form that an example has filled.
What outlives a page is the `Scenario` that `inputs()` makes of them, kept in the session by `state`.
"""

from __future__ import annotations

import math
import re
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Any, Union, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from dashboard import format as fmt
from dashboard import state, undo, uploads
from facts.errors import InputError
from facts.records import Fact, validated
from pricing.assumptions import Assumptions
from pricing.prices import PriceOverrides
from selector.scenarios import Scenario, scenario_from_toml
from selector.tree import tree_ids
from workloads.demand import Residency, Workload
from workloads.requirements import presets

TOKENS, REQUESTS = "tokens", "requests"
MTOK = 1_000_000.0
UPLOAD_MB = 1
NONE = "none"
"""In a link: the value is taken away."""
MORE = "form.more"
"""Key of the folder with all but the first five inputs."""
SIZES = ("input_tokens_mean", "output_tokens_mean")
SAID = "form.said"
"""Key of what goes with what, since the form was last filled: a complexity's task type, a share's lengths, the lengths' share."""
LONGEST_TEXT = 400
SETTLED_S = 2.0
"""After which a browser has surely shown the address that it was sent."""
RECORDS: tuple[type[Fact], ...] = (Workload, PriceOverrides, Assumptions)
CHOICES_OF_THE_FORM = {"volume_unit": (TOKENS, REQUESTS), "tree": tuple(tree_ids())}
NUMBERS_OF_THE_FORM: dict[str, tuple[float | None, float | None]] = {"mtok_per_day": (None, None), "caution_percent": (0.0, 100.0)}
"""What the form asks in its own way: the scenario has no such field."""
OF_DECIDE: dict[str, Any] = {"tree": "corrected", "caution_percent": 0.0}
"""How Decide is read: which tree is drawn, and how much the bad case counts. They stand in the address, not in the scenario."""
COMMON_BASELINES = (
    "openai:gpt-4o",
    "openai:gpt-4o-mini",
    "openai:gpt-4.1",
    "openai:gpt-5",
    "openai:gpt-5-mini",
    "anthropic:claude-sonnet-4-5",
    "anthropic:claude-haiku-4-5",
    "google:gemini-2.5-pro",
    "google:gemini-2.5-flash",
)
"""Offered in the list; any provider:model can be typed."""

DETAILS = (
    "name",
    "task_type",
    "label_quality",
    "domain_specific",
    "knowledge_changes",
    "input_tokens_mean",
    "output_tokens_mean",
    "input_share",
    "cached_input_share",
    "tokens_counted_with",
    "peak_to_mean",
    "growth_per_month_share",
    "month_factors",
    "can_wait_share",
    "edge_device",
    "edge_devices",
    "budget_usd",
    "licences",
    "ttft_p95_ms",
    "tpot_p95_ms",
    "languages",
    "modality",
    "must_have",
    "tie_breakers",
    "horizon_months",
)
"""The workload's fields under 'More assumptions'."""


def inputs(page: str = "") -> None:
    """The input panel at the left of every page, `page` being its path; leaves the scenario, or what is wrong with it, in the session."""
    _follow_the_link(page)
    with st.sidebar:
        st.subheader("Your workload", anchor=False)
        _examples()
        _volume()
        _widget(Workload, "complexity", label="What the model is asked to do", on_change=_task_type_of_complexity)
        _widget(Workload, "labelled_examples", label="Labelled examples", step=100)
        _residency()
        _baseline()
        _more()
    _remember()
    _write_the_link(page)
    try:
        state.keep_scenario(scenario_of_widgets(st.session_state.to_dict()))
    except InputError as error:
        state.keep_problem(str(error))


def read_link(query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The widgets' values that a link's query says; what it does not name is the default, and so is what makes no sense.

    Lengths without a share, or a share without lengths, replace the first example's.
    """
    values = dict(defaults())
    for name, default in defaults().items():
        texts = list(query.get(name, ()))
        if texts:
            values[name] = _parsed(name, texts, default)
    if "input_share" not in query and any(name in query for name in SIZES):
        values["input_share"] = None
    elif values["input_share"] is not None and "input_share" in query:
        values |= {name: None for name in SIZES if name not in query}
    return values


def link_pairs(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The query of a link that opens these inputs: every value that differs from its default, under the scenario's own key."""
    pairs: dict[str, list[str]] = {}
    for name, default in defaults().items():
        value = _plain(values.get(name, default))
        if value == default:
            continue
        pairs[name] = [NONE] if value in (None, "", []) else [_url_text(part) for part in (value if isinstance(value, list) else [value])]
    return pairs


def _follow_the_link(page: str) -> None:
    """Fill the widgets from the address on the first run, and when the reader went back or forward; before they are drawn."""
    query = {name: st.query_params.get_all(name) for name in st.query_params}
    known: _Address | None = st.session_state.get("form.address")
    if known is None or known.left_by_the_reader(page, query):
        for name, value in read_link(query).items():
            st.session_state[name] = value
        _remember(anew=True)


def _write_the_link(page: str) -> None:
    """The address says what the widgets say; once they are drawn."""
    pairs = link_pairs(st.session_state.to_dict())
    if pairs != {name: st.query_params.get_all(name) for name in st.query_params}:
        if pairs:
            st.query_params.from_dict(pairs)
        else:
            st.query_params.clear()
    known: _Address | None = st.session_state.get("form.address")
    if known is None or (known.page, known.query) != (page, pairs):
        st.session_state["form.address"] = _Address(page=page, query=pairs, written_s=time.monotonic())


@dataclass(frozen=True, kw_only=True)
class _Address:
    """The address as it was last written.

    page: whose it is
    query: every value that differs from its default
    written_s: when
    """

    page: str
    query: dict[str, list[str]]
    written_s: float

    def left_by_the_reader(self, page: str, query: dict[str, list[str]]) -> bool:
        """Whether another query is the reader's doing: not a change of page, which drops it, nor a request that crossed our answer."""
        return page == self.page and query != self.query and time.monotonic() - self.written_s > SETTLED_S


def _parsed(name: str, texts: Sequence[str], default: Any) -> Any:
    """One value of a link, or the default where the field would not take it."""
    if name in CHOICES_OF_THE_FORM:
        return texts[0] if texts[0] in CHOICES_OF_THE_FORM[name] else default
    if name in NUMBERS_OF_THE_FORM:
        return _number(texts[0], float, *NUMBERS_OF_THE_FORM[name], default)
    if name == state.ACCEPT_DOUBTFUL:
        return texts[0] == "true"
    record = next(record for record in RECORDS if name in record.model_fields)
    kind, optional = _kind(record.model_fields[name])
    if texts == [NONE] and (optional or default in ("", [])):
        return NONE if isinstance(kind, type) and issubclass(kind, StrEnum) else None
    if kind is bool:
        return {"true": True, "false": False}.get(texts[0], default)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return texts[0] if texts[0] in list(kind) else default
    if kind in (int, float):
        return _number(texts[0], kind, *_limits(record.model_fields[name], kind), default)
    if isinstance(default, list):
        return [] if texts == [NONE] else texts
    return "" if texts[0] == NONE else texts[0][: _longest(record.model_fields[name]) or LONGEST_TEXT]


def _number(text: str, kind: type[int] | type[float], low: Any, high: Any, default: Any) -> Any:
    try:
        value = kind(float(text))
    except (ValueError, OverflowError):
        return default
    inside = (low is None or value >= low) and (high is None or value <= high)
    return value if inside and math.isfinite(value) else default


def fill(scenario: Scenario) -> None:
    """Put a scenario into the widgets; call it before they are drawn, or in a callback."""
    for name, value in values_of(scenario).items():
        st.session_state[name] = value
    _remember(anew=True)


def values_of(scenario: Scenario) -> dict[str, Any]:
    """The widgets' values that say a scenario."""
    workload = scenario.workload
    values: dict[str, Any] = {name: getattr(workload, name) for name in Workload.model_fields if name != "tokens_per_day"}
    values |= {name: _numbers_text(values[name]) for name, field in Workload.model_fields.items() if _is_numbers(field.annotation)}
    values["volume_unit"] = TOKENS if workload.tokens_per_day is not None else REQUESTS
    values["mtok_per_day"] = workload.mean_tokens_per_day / MTOK
    values["requests_per_day"] = workload.mean_requests_per_day
    for record in (scenario.prices, scenario.assumptions):
        values |= {name: getattr(record, name) for name in type(record).model_fields}
    values["month_factors"] = ", ".join(f"{factor:g}" for factor in workload.month_factors)
    values["task_type"] = NONE if workload.task_type is None else workload.task_type
    return {**{name: _plain(value) for name, value in values.items()}, state.OWN: scenario.own}


@cache
def defaults() -> dict[str, Any]:
    """What the widgets say before anyone touches them: the first example, so a page never begins empty."""
    values = {**values_of(Scenario(workload=example_workloads()[0])), state.ACCEPT_DOUBTFUL: False, **OF_DECIDE}
    del values[state.OWN]  # it has no widget, and no room in an address
    return values


def _url_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def scenario_of_widgets(values: dict[str, Any]) -> Scenario:
    """The scenario that the widgets' values say; InputError with one sentence where they cannot be used."""
    given = {name: _plain(values[name]) for name in Workload.model_fields if _plain(values.get(name)) is not None}
    if given.get("task_type") == NONE:
        del given["task_type"]
    if isinstance(given.get("month_factors"), str):
        given["month_factors"] = [part for part in re.split(r"[\s,;]+", given["month_factors"]) if part]
    for name, field in Workload.model_fields.items():
        if _is_numbers(field.annotation) and isinstance(given.get(name), str):
            given[name] = [part.strip() for part in given[name].split(",") if part.strip()]
    if values.get("volume_unit", TOKENS) == TOKENS:
        given.pop("requests_per_day", None)
        given["tokens_per_day"] = float(round((values.get("mtok_per_day") or 0.0) * MTOK))
    else:
        given.pop("input_share", None)
        for name, size in (("input_tokens_mean", 1000.0), ("output_tokens_mean", 200.0)):
            given.setdefault(name, size)
    if given.get("residency") != Residency.REGION:
        given.pop("allowed_providers", None)
    return Scenario(
        workload=validated(Workload, given, "The inputs"),
        prices=validated(PriceOverrides, _given(PriceOverrides, values), "Your own prices"),
        assumptions=validated(Assumptions, _given(Assumptions, values), "Your assumptions"),
        own=values.get(state.OWN, ()),
    )


# ---- the panel ----


def _examples() -> None:
    st.caption("Start from an example")
    for workload in example_workloads():
        st.button(
            workload.name,
            key=f"form.example.{workload.name}",
            on_click=fill,
            args=(Scenario(workload=workload),),
            width="stretch",
            help=f"{fmt.tokens(workload.mean_tokens_per_day)} a day, {fmt.words(workload.complexity)}",
        )
    with st.expander("Open a file"):
        st.file_uploader(
            "Workload (TOML)",
            type=["toml"],
            key="form.upload",
            max_upload_size=UPLOAD_MB,
            on_change=_open_upload,
            help="The file that the Report page saves, and that `python -m selector decide` reads.",
        )
        problem = st.session_state.pop("form.upload_problem", "")
        if problem:
            st.error(fmt.markdown_literal(problem), icon=":material/error:")


def _open_upload() -> None:
    upload = st.session_state["form.upload"]
    if upload is None:
        return
    try:
        fill(scenario_from_toml(uploads.content(upload, UPLOAD_MB).decode("utf-8-sig"), "The file"))
    except UnicodeDecodeError:
        st.session_state["form.upload_problem"] = "The file is not UTF-8 text, so it is no TOML file"
    except InputError as error:
        st.session_state["form.upload_problem"] = str(error)


def _volume() -> None:
    if st.session_state.get("volume_unit", TOKENS) == TOKENS:
        st.number_input(
            "Million tokens a day",
            min_value=0.001,
            max_value=1e8,
            value=defaults()["mtok_per_day"],
            step=5.0,
            format="%g",
            key="mtok_per_day",
            persist_state="session",
            help=_help(Workload, "tokens_per_day"),
        )
    else:
        st.number_input(
            "Requests a day",
            min_value=0.001,
            max_value=1e10,
            value=defaults()["requests_per_day"],
            step=1000.0,
            format="%g",
            key="requests_per_day",
            persist_state="session",
            help=_help(Workload, "requests_per_day"),
        )


def _residency() -> None:
    names = {"any": "anywhere", "region": "cleared providers only", "on_prem": "nowhere outside our premises"}
    st.selectbox(
        "Where the data may go",
        [str(place) for place in Residency],
        format_func=lambda value: names.get(value, value),
        key="residency",
        persist_state="session",
        help=_help(Workload, "residency"),
    )
    if st.session_state["residency"] == Residency.REGION:
        st.multiselect(
            "Cleared providers",
            _with_chosen(("aws", "azure", "google", "openai", "anthropic", "mistral", "together", "fireworks"), "allowed_providers"),
            key="allowed_providers",
            accept_new_options=True,
            persist_state="session",
            placeholder="Choose or type names",
            help=_help(Workload, "allowed_providers"),
        )


def _baseline() -> None:
    st.selectbox(
        "Model used today",
        _with_chosen(COMMON_BASELINES, "baseline_model"),
        index=COMMON_BASELINES.index(defaults()["baseline_model"]),
        key="baseline_model",
        accept_new_options=True,
        persist_state="session",
        help=_help(Workload, "baseline_model"),
    )


def _more() -> None:
    """Every other field, drawn while it is unfolded: a hundred widgets cost a quarter of a rerun. Folded, they keep their values."""
    folder = st.expander("More assumptions", key=MORE, on_change="rerun")
    if folder.open:
        with folder:
            _workload_details()
            _own_prices_and_assumptions()


def _workload_details() -> None:
    st.markdown("**The workload**")
    st.segmented_control(
        "Volume is stated in",
        [TOKENS, REQUESTS],
        default=defaults()["volume_unit"],
        required=True,
        key="volume_unit",
        persist_state="session",
    )
    for name in DETAILS:
        on_change = {"input_share": _sizes_of_share, "input_tokens_mean": _share_of_sizes, "output_tokens_mean": _share_of_sizes}.get(name)
        if name != "input_share" or st.session_state.get("volume_unit", TOKENS) == TOKENS:
            _widget(Workload, name, on_change=on_change)


def _own_prices_and_assumptions() -> None:
    st.markdown("**Your own prices**")
    st.caption("Empty means the dated list price on the Sources page.")
    for name in PriceOverrides.model_fields:
        _widget(PriceOverrides, name)
    st.markdown("**Costs and people**")
    st.caption("Empty means the default on the Sources page.")
    for name in Assumptions.model_fields:
        _widget(Assumptions, name)
    st.toggle(
        "Use a doubtful probe of this machine",
        key=state.ACCEPT_DOUBTFUL,
        persist_state="session",
        help="A probe that was disturbed by other work is otherwise not used for this machine.",
    )
    st.button("Reset prices and assumptions", key="form.reset", on_click=_reset, width="stretch")


def _task_type_of_complexity() -> None:
    """Another complexity means other task types; the most cautious is taken until one is chosen."""
    st.session_state["task_type"] = _said("task_type", ("complexity",), NONE)


def _share_of_sizes() -> None:
    """The two lengths say the share; an older share must not contradict them."""
    st.session_state["input_share"] = _said("input_share", SIZES, None)


def _sizes_of_share() -> None:
    """The share says nothing of the lengths; older ones must not contradict it."""
    for name in SIZES:
        st.session_state[name] = _said(name, ("input_share",), None)


def _said(name: str, beside: tuple[str, ...], otherwise: Any) -> Any:
    """What was said for a field beside these fields' values, else `otherwise`.

    Nothing that was said is lost by a value that comes and goes. A reader's are few; a browser that has not yet drawn
    an example sends the values from before it, and a moment later the example's.
    """
    said: dict[Any, Any] = st.session_state.get(SAID, {})
    return said.get((name, *map(st.session_state.get, beside)), otherwise)


def _remember(*, anew: bool = False) -> None:
    """Note what goes with what now; `anew` where the whole form was filled, and what was said before is of another workload."""
    known: dict[Any, Any] = {} if anew else st.session_state.get(SAID, {})
    for name, beside in (("task_type", ("complexity",)), ("input_share", SIZES), *((size, ("input_share",)) for size in SIZES)):
        known[(name, *map(st.session_state.get, beside))] = st.session_state.get(name)
    st.session_state[SAID] = known


def _reset() -> None:
    names = tuple(name for record in (PriceOverrides, Assumptions) for name in record.model_fields)
    undo.offer("Your own prices and assumptions were reset.", undo.values_back((*names, state.ACCEPT_DOUBTFUL)))
    for record in (PriceOverrides(), Assumptions()):
        for name in type(record).model_fields:
            st.session_state[name] = _plain(getattr(record, name))
    st.session_state[state.ACCEPT_DOUBTFUL] = False


# ---- one field, one widget ----


def _widget(
    record: type[Fact], name: str, *, label: str = "", step: float | None = None, on_change: Callable[[], None] | None = None
) -> None:
    field = record.model_fields[name]
    kind, optional = _kind(field)
    said: dict[str, Any] = {"key": name, "persist_state": "session", "help": _help(record, name)}
    if on_change is not None:
        said["on_change"] = on_change
    label = label or fmt.field_label(name)
    default = defaults()[name]
    if kind is bool:
        st.toggle(label, value=bool(default), **said)
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        values = [*([NONE] if optional else []), *(str(value) for value in kind)]
        index = values.index(default)
        st.selectbox(label, values, index=index, format_func=lambda value: "Not given" if value == NONE else fmt.words(value), **said)
    elif kind in (int, float):
        low, high = _limits(field, kind)
        small = default is not None and abs(float(default)) < 1
        shown = kind(default) if default is not None else None
        change = kind(step or (1 if kind is int else 0.05 if small or name.endswith("_share") else 1.0))
        if kind is float:
            said["format"] = "%g"
        st.number_input(label, min_value=low, max_value=high, value=shown, step=change, placeholder="default" if optional else None, **said)
    elif _is_numbers(kind):
        st.text_input(label, value=_numbers_text(default or ()), placeholder="numbers with commas between", **said)
    elif get_origin(kind) is tuple and get_args(kind)[0] is float:
        st.text_input(label, value=default or "", placeholder="none given", **said)
    elif get_origin(kind) is tuple:
        part = get_args(kind)[0]
        choices = [str(value) for value in part] if isinstance(part, type) and issubclass(part, StrEnum) else []
        st.multiselect(
            label, _with_chosen(choices, name), default=default or None, accept_new_options=not choices, placeholder="none given", **said
        )
    else:
        st.text_input(label, value=str(default or ""), max_chars=_longest(field), **said)


def _kind(field: FieldInfo) -> tuple[Any, bool]:
    """The type of a field without None, and whether None is allowed."""
    annotation = field.annotation
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return parts[0], True
    return annotation, False


def _is_numbers(kind: Any) -> bool:
    """A list of numbers, which may repeat: typed as text."""
    return get_origin(kind) is tuple and get_args(kind)[0] is float


def _numbers_text(numbers: Sequence[Any]) -> str:
    return ", ".join(f"{float(number):g}" for number in numbers)


def _limits(field: FieldInfo, kind: type[int] | type[float]) -> tuple[Any, Any]:
    """The smallest and the largest value that the field takes; an open bound is left to the record's own check."""
    low = next((bound.ge for bound in field.metadata if getattr(bound, "ge", None) is not None), None)
    above = next((bound.gt for bound in field.metadata if getattr(bound, "gt", None) is not None), None)
    high = next((bound.le for bound in field.metadata if getattr(bound, "le", None) is not None), None)
    smallest = low if low is not None else above
    return (kind(smallest) if smallest is not None else None), (kind(high) if high is not None else None)


def _longest(field: FieldInfo) -> int | None:
    return next((bound.max_length for bound in field.metadata if getattr(bound, "max_length", None) is not None), None)


def _help(record: type[Fact], name: str) -> str:
    return record.model_fields[name].description or ""


def _with_chosen(choices: Sequence[str], key: str) -> list[str]:
    """The offered values and whatever is chosen already, so that a link or a file can bring one that is not offered."""
    chosen = st.session_state.get(key)
    held = [chosen] if isinstance(chosen, str) else list(chosen or ())
    return list(dict.fromkeys([*choices, *(str(value) for value in held)]))


def _given(record: type[Fact], values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in record.model_fields if values.get(name) not in (None, "")}


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum | date):
        return str(value)
    return [str(part) for part in value] if isinstance(value, list | tuple) else value


@cache
def example_workloads() -> tuple[Workload, ...]:
    """The starting workloads; the first fills the form."""
    named = presets()
    first = [workload for workload in named if workload.name == "Document analysis"]
    return (*first, *(workload for workload in named if workload not in first))
