"""Part of Measure: the form that starts a probe of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import streamlit as st

from capacity.models import ModelSpec, model, models
from capacity.tensors import TensorPlan, tensor_plan
from dashboard import format as fmt
from dashboard import parts, state
from dashboard.expectation import Expectation, context_of, expected, out_of_reach
from facts.errors import InputError
from facts.settings import settings
from probes.llamacpp import test_names
from probes.measurement import Environment, LlamaCppSettings
from probes.proxy import proxy_shape
from probes.runner import ProbeRequest

Swept: TypeAlias = Literal["kv_type", "flash_attention", "repack"]

FIRST_MODEL, FIRST_QUANTIZATION = "qwen3-0.6b", "Q4_K_M"
QUANTIZATIONS = ("Q4_K_M", "Q4_K_S", "Q8_0", "F16")
BUDGETS_S = {"short, 15 s": 15.0, "normal, 60 s": 60.0, "long, 3 minutes": 180.0, "thorough, 10 minutes": 600.0}
LARGEST_SHARE = 0.7
"""Of the memory that a model's file may take at most to be offered whole."""
FEW_LAYERS = (2, 4, 8, 16)
AT_ONCE = (2, 4, 8, 16, 32)
SWEPT: dict[Swept, str] = {
    "kv_type": "a smaller key-value cache (q8_0, q4_0)",
    "flash_attention": "flash attention on, and off",
    "repack": "weights as they lie in the file",
}
SHORT_TEST_S = 5.0


@dataclass(frozen=True, kw_only=True)
class More:
    """What stands under More settings.

    layers: layers that stand for the whole model, None for all of them
    slots: answers written at once, beside one
    sweep: settings that are measured at their other values too
    threads: None for the physical cores that may be used
    """

    layers: int | None = None
    slots: tuple[int, ...] = ()
    sweep: tuple[Swept, ...] = ()
    threads: int | None = None


def form(machine: Environment) -> None:
    """Model, precision and time; what it takes; and the button."""
    waits = bool(state.probe_desk().running or state.server_desk().running)
    whole = {spec.id for spec in probeable(machine.memory_bytes)}
    names = {spec.id: spec.name for spec in (*probeable(machine.memory_bytes), *in_part(machine.memory_bytes))}
    with st.container(border=True, key="measure.form"):
        left, middle, right = st.columns(3)
        ids = list(names)
        chosen = left.selectbox(
            "Model",
            ids,
            index=ids.index(FIRST_MODEL) if FIRST_MODEL in ids else 0,
            format_func=lambda name: names[name] if name in whole else f"{names[name]} (a few layers)",
            key="measure.model",
            help="What is too large for this machine is measured by a few of its layers at true width, and the whole is extrapolated.",
            persist_state="session",
        )
        quantization = middle.selectbox("Precision", QUANTIZATIONS, key="measure.quantization", persist_state="session")
        budget = right.selectbox("Time to measure", list(BUDGETS_S), index=1, key="measure.budget", persist_state="session")
        seconds, spec = BUDGETS_S[budget], model(chosen)
        said, depth_place = st.empty(), st.container()
        more = _more(spec, quantization, machine.memory_bytes, whole=chosen in whole)
        shape = spec if more.layers is None else proxy_shape(spec, more.layers)
        hoped = expected(machine, shape, quantization, state.saved_measurements())
        with said.container():
            parts.text(what_it_takes(spec, more.layers, quantization, seconds, hoped))
        with depth_place:
            depth = depth_choice(shape, seconds, hoped)
        asked = _settings(more, seconds, depth)
        tests = len(test_names(asked))
        if seconds / tests < SHORT_TEST_S:
            st.caption(
                f"{tests} tests share {fmt.duration(seconds)}: {fmt.duration(seconds / tests)} each is little, take more time or fewer."
            )
        if st.button("Put it in the queue" if waits else "Start the probe", type="primary", key="measure.start"):
            start(spec, quantization, asked, more.layers)


@st.cache_resource(show_spinner=False)
def probeable(memory_bytes: int) -> tuple[ModelSpec, ...]:
    """Models of the catalogue that this machine could hold in four bits and whose file can be written, smallest first."""
    return _offered(memory_bytes, None)


@st.cache_resource(show_spinner=False)
def in_part(memory_bytes: int) -> tuple[ModelSpec, ...]:
    """Those that it could hold a few layers of but not the whole, smallest first."""
    whole = {spec.id for spec in probeable(memory_bytes)}
    return tuple(spec for spec in _offered(memory_bytes, FEW_LAYERS[0]) if spec.id not in whole)


def _offered(memory_bytes: int, layers: int | None) -> tuple[ModelSpec, ...]:
    found = []
    for spec in models():
        try:
            size = tensor_plan(spec, FIRST_QUANTIZATION).bytes
            if _plan(spec, FIRST_QUANTIZATION, layers).bytes < LARGEST_SHARE * memory_bytes:
                found.append((size, spec))
        except InputError:
            continue
    return tuple(spec for _, spec in sorted(found, key=lambda pair: pair[0]))


def _plan(spec: ModelSpec, quantization: str, layers: int | None) -> TensorPlan:
    return tensor_plan(spec if layers is None else proxy_shape(spec, layers), quantization)


def what_it_takes(spec: ModelSpec, layers: int | None, quantization: str, seconds: float, hoped: Expectation | None) -> str:
    """The file, the time, and what is expected, in two sentences."""
    try:
        size = fmt.size(_plan(spec, quantization, layers).bytes)
    except InputError as error:
        return str(error)
    what = "a file" if layers is None else f"{layers} of the {spec.need('layers')} layers to a file"
    sentence = f"It writes {what} of {size} once, loads it and measures for up to {fmt.duration(seconds)}."
    if layers is not None:
        sentence += " The whole model's speed is extrapolated by bytes and operations, and said to be."
    if hoped is not None:
        speeds = f"reads {fmt.rate(hoped.prompt_tokens_per_s)}, writes {fmt.rate(hoped.answer_tokens_per_s)}"
        of_them = "" if layers is None else " of these layers"
        sentence += f" Expected{of_them}: {speeds}; this rests on {hoped.rests_on}."
    return sentence


def depth_choice(spec: ModelSpec, seconds: float, hoped: Expectation | None) -> int:
    """Tokens of context to measure at beside an empty one: those of the scenario, where they fit and are wanted; else 0."""
    scenario = st.session_state.get(state.SCENARIO)
    wanted = context_of(scenario.workload) if scenario is not None else 0
    if not wanted:
        return 0
    against = out_of_reach(wanted, spec, hoped, seconds)
    if against:
        st.caption(fmt.markdown_literal(against))
        return 0
    chosen = st.checkbox(
        f"Also at your workload's context, {fmt.number(wanted)} tokens",
        value=True,
        key="measure.depth",
        help="Its prompt and half its answer. Answers are written slower the more tokens stand before them; the usual figures are of none.",
        persist_state="session",
    )
    return wanted if chosen else 0


def _more(spec: ModelSpec, quantization: str, memory_bytes: int, *, whole: bool) -> More:
    """What an engineer sets; a manager never opens it."""
    with st.expander("More settings"):
        left, middle = st.columns(2)
        layers = _layers(spec, quantization, memory_bytes, left, whole=whole)
        slots = middle.multiselect(
            "Answers at once, beside one",
            AT_ONCE,
            key="measure.slots",
            help="A server answers several requests in one pass over the weights; each number adds a test.",
            persist_state="session",
        )
        sweep = left.multiselect(
            "Measure also with",
            list(SWEPT),
            format_func=lambda name: SWEPT[name],
            key="measure.sweep",
            help="One setting changed at a time, at an empty context and one answer at a time.",
            persist_state="session",
        )
        threads = middle.number_input(
            "Threads, 0 for the physical cores", 0, 1024, 0, key="measure.threads", step=1, persist_state="session"
        )
    return More(layers=layers, slots=tuple(sorted(slots)), sweep=tuple(sweep), threads=int(threads) or None)


def _layers(spec: ModelSpec, quantization: str, memory_bytes: int, place: st.delta_generator.DeltaGenerator, *, whole: bool) -> int | None:
    """How many layers are measured: all where they fit, else as few as stand in the list."""
    all_layers = spec.need("layers")
    few = [count for count in FEW_LAYERS if count < all_layers and _fits(spec, quantization, count, memory_bytes)]
    choices: list[int | None] = [*([None] if whole or not few else []), *few]
    chosen: int | None = place.selectbox(
        "Layers to measure",
        choices,
        index=0 if whole or len(choices) < 2 else 1,
        format_func=lambda count: f"all {all_layers}" if count is None else f"{count} of {all_layers}, extrapolated",
        key=f"measure.layers.{spec.id}",
        persist_state="session",
    )
    return chosen


def _fits(spec: ModelSpec, quantization: str, layers: int, memory_bytes: int) -> bool:
    try:
        return _plan(spec, quantization, layers).bytes < LARGEST_SHARE * memory_bytes
    except InputError:
        return False


def _settings(more: More, seconds: float, depth: int) -> LlamaCppSettings:
    return LlamaCppSettings(
        seconds=seconds, depths=(0, depth) if depth else (0,), slots=(1, *more.slots), sweep=more.sweep, threads=more.threads
    )


def start(spec: ModelSpec, quantization: str, asked: LlamaCppSettings, layers: int | None) -> None:
    """Hand the probe to the desk, or say why it cannot start."""
    request = ProbeRequest(
        settings=asked, models_dir=settings().models_dir, model=spec, quantization=quantization, proxy_layers=layers, wait=True
    )
    try:
        state.probe_desk().start(request, datetime.now(UTC))
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="The probe cannot start")
        return
    st.rerun()
