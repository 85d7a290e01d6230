"""Measure: what this machine really does, started from a button, beside what its spec sheet promises."""

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from capacity.models import ModelSpec, model, models
from capacity.tensors import tensor_plan
from dashboard import format as fmt
from dashboard import parts, state
from dashboard.expectation import Expectation, expected
from facts.errors import InputError
from facts.settings import settings
from probes.build import BuildPhase, BuildState, build_state
from probes.environment import read_environment
from probes.measurement import MAX_BYTES, Environment, LlamaCppSettings, Measurement
from probes.runner import ProbeRequest, State
from probes.store import save_measurement

FIRST_MODEL, FIRST_QUANTIZATION = "qwen3-0.6b", "Q4_K_M"
QUANTIZATIONS = ("Q4_K_M", "Q4_K_S", "Q8_0", "F16")
BUDGETS_S = {"short, 15 s": 15.0, "normal, 60 s": 60.0, "long, 3 minutes": 180.0}
TICK_S = 1.0
LARGEST_SHARE = 0.7


def page() -> None:
    st.title("Measure this machine", anchor=False)
    st.markdown(
        "A probe writes a model with random weights at its true shape and times llama\\.cpp on it: "
        "speed and memory are real, answers are not. What it finds replaces the estimate of this machine on Decide."
    )
    machine = this_machine()
    hardware(machine)
    build = build_state()
    if build.state is BuildPhase.READY:
        form(machine)
    else:
        engine_build()
    progress()
    saved()
    upload()


@st.cache_resource(ttl=600, show_spinner=False)
def this_machine() -> Environment:
    return read_environment()


def hardware(machine: Environment) -> None:
    gpus = ", ".join(f"{gpu.name} ({fmt.size(gpu.memory_bytes)})" for gpu in machine.gpus) or "no NVIDIA GPU found"
    parts.text(
        f"{machine.host or 'This machine'}: {machine.cpu or 'unknown processor'}, {fmt.number(machine.usable_cores)} usable cores, "
        f"{fmt.size(machine.memory_available_bytes)} of {fmt.size(machine.memory_bytes)} memory free, {gpus}."
    )


# ---- the engine ----


def engine_build() -> None:
    """The build of llama-cpp-python while it is not ready, watched until it is."""
    every = TICK_S * 2 if build_state().running else None
    st.fragment(_build_now, run_every=every)()


def _build_now() -> None:
    build = build_state()
    if build.state is BuildPhase.READY:
        st.rerun()
    with st.container(border=True, key="measure.build"):
        st.markdown(f"**Engine: {build_word(build)}**")
        if build.message:
            parts.text(build.message)
        if build.remedy:
            parts.text(f"What to do: {build.remedy}")
        if build.running:
            st.caption(f"Running for {fmt.duration(build.seconds)}. The rest of the dashboard works meanwhile.")
        if build.state is BuildPhase.FAILED and build.log is not None:
            st.caption(f"Log: {fmt.markdown_literal(str(build.log))}")
    st.caption("Until it is ready, a measurement made elsewhere can be opened below.")


def build_word(build: BuildState) -> str:
    """The state in a word or two."""
    words = {
        BuildPhase.ABSENT: "not built",
        BuildPhase.BUILDING: "building",
        BuildPhase.INSTALLING: "installing",
        BuildPhase.FAILED: "build failed",
    }
    return words.get(build.state, "ready")


# ---- start ----


def form(machine: Environment) -> None:
    names = {spec.id: spec.name for spec in probeable(machine.memory_bytes)}
    running = is_running()
    with st.container(border=True, key="measure.form"):
        left, middle, right = st.columns(3)
        ids = list(names)
        chosen = left.selectbox(
            "Model",
            ids,
            index=ids.index(FIRST_MODEL) if FIRST_MODEL in ids else 0,
            format_func=lambda name: names[name],
            key="measure.model",
            disabled=running,
            persist_state="session",
        )
        quantization = middle.selectbox("Precision", QUANTIZATIONS, key="measure.quantization", disabled=running, persist_state="session")
        budget = right.selectbox(
            "Time to measure", list(BUDGETS_S), index=1, key="measure.budget", disabled=running, persist_state="session"
        )
        parts.text(what_it_takes(machine, chosen, quantization, BUDGETS_S[budget]))
        if st.button("Start the probe", type="primary", key="measure.start", disabled=running):
            start(chosen, quantization, BUDGETS_S[budget])


@st.cache_resource(show_spinner=False)
def probeable(memory_bytes: int) -> tuple[ModelSpec, ...]:
    """Models of the catalogue that this machine could hold in four bits and whose file can be written, smallest first."""
    found = []
    for spec in models():
        try:
            size = tensor_plan(spec, FIRST_QUANTIZATION).bytes
        except InputError:
            continue
        if size < LARGEST_SHARE * memory_bytes:
            found.append((size, spec))
    return tuple(spec for _, spec in sorted(found, key=lambda pair: pair[0]))


def what_it_takes(machine: Environment, model_id: str, quantization: str, seconds: float) -> str:
    try:
        size = fmt.size(tensor_plan(model(model_id), quantization).bytes)
    except InputError as error:
        return str(error)
    sentence = f"It writes a file of {size} once, loads it and measures for up to {fmt.duration(seconds)}."
    hoped = expected(machine, model(model_id), quantization)
    if hoped is not None:
        speeds = f"reads {fmt.rate(hoped.prompt_tokens_per_s)}, writes {fmt.rate(hoped.answer_tokens_per_s)}"
        sentence += f" Expected: {speeds}; this rests on {hoped.rests_on}."
    return sentence


def start(model_id: str, quantization: str, seconds: float) -> None:
    request = ProbeRequest(
        settings=LlamaCppSettings(seconds=seconds),
        models_dir=settings().models_dir,
        model=model(model_id),
        quantization=quantization,
    )
    try:
        state.probe_desk().start(request, datetime.now(UTC))
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="The probe cannot start")
        return
    st.rerun()


# ---- while it runs, and after ----


def is_running() -> bool:
    job = state.probe_desk().job
    return job is not None and not job.state.over


def progress() -> None:
    """The running probe, watched by a fragment; or, drawn by the page itself so that its buttons reach the inputs, how it ended."""
    if is_running():
        st.fragment(_progress_now, run_every=TICK_S)()
    elif state.probe_desk().job is not None:
        ended(state.probe_desk())


def _progress_now() -> None:
    desk = state.probe_desk()
    job = desk.job
    if job is None or job.state.over:
        st.rerun()
    with st.container(border=True, key="measure.progress"):
        st.progress(min(1.0, max(0.0, job.progress)), text=fmt.markdown_literal(f"{job.request.what}: {job.message}"))
        left, right = st.columns([3, 1], vertical_alignment="center")
        speed = f"last repetition {fmt.rate(job.tokens_per_s)}, " if job.tokens_per_s else ""
        left.caption(f"{speed}{fmt.duration(job.elapsed_s)} so far")
        if right.button("Cancel", key="measure.cancel", width="stretch"):
            desk.cancel()


def ended(desk: state.ProbeDesk) -> None:
    job = desk.job
    assert job is not None
    with st.container(border=True, key="measure.result"):
        if job.state is State.FAILED:
            st.error(fmt.markdown_literal(job.message), title="The probe ended before it was done")
        elif job.state is State.CANCELLED:
            st.info(fmt.markdown_literal(job.message), title="The probe was cancelled")
        if desk.not_saved:
            st.warning(fmt.markdown_literal(desk.not_saved), title="The measurement is not saved")
        if job.result is not None:
            result(job.result)


def result(measurement: Measurement) -> None:
    st.markdown(f"**{fmt.markdown_literal(finding(measurement, hoped_for(measurement)))}**")
    parts.table(predicted_against_measured(measurement), "Speed predicted from the spec sheet against speed measured")
    parts.text(measurement.supports)
    if measurement.doubts:
        st.markdown("**Doubts**")
        parts.points(list(measurement.doubts))
        acceptance(measurement)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Measurement as JSON",
            data=measurement.to_json(),
            file_name=f"measurement-{measurement.id[:12]}.json",
            mime="application/json",
            on_click="ignore",
            key="measure.json",
        )
        st.page_link("dashboard/pages/decide.py", label="See what it changes on Decide")


def acceptance(measurement: Measurement) -> None:
    """A disturbed probe counts only when somebody says so."""
    if measurement.usable_for_verdict:
        return
    if st.session_state.get(state.ACCEPT_DOUBTFUL):
        st.caption("It is used on Decide all the same: you said so. Switch it off under More assumptions.")
        return
    st.caption("Because of these doubts it is not used on Decide. Run it again on an idle machine, or:")
    st.button("Use it all the same", key="measure.accept", on_click=accept)


def accept() -> None:
    st.session_state[state.ACCEPT_DOUBTFUL] = True


def hoped_for(measurement: Measurement) -> Expectation | None:
    if measurement.model_id is None:
        return None
    try:
        return expected(measurement.environment, model(measurement.model_id), measurement.quantization)
    except InputError:
        return None


def finding(measurement: Measurement, hoped: Expectation | None) -> str:
    answer = measurement.generation_test
    if answer is None:
        return f"{measurement.model_name}: no generation was measured."
    said = f"{measurement.model_id or measurement.model_name} {measurement.quantization} writes {fmt.rate(answer.median)} on this machine"
    if hoped is None:
        return f"{said}."
    return f"{said}, {fmt.share(answer.median / hoped.answer_tokens_per_s)} of what the spec sheet promises."


def predicted_against_measured(measurement: Measurement) -> pd.DataFrame:
    hoped = hoped_for(measurement)
    promised = (hoped.prompt_tokens_per_s, hoped.answer_tokens_per_s) if hoped else (None, None)
    rows = []
    for what, test, expectation in (
        ("Reading the prompt", measurement.prompt_test, promised[0]),
        ("Writing the answer", measurement.generation_test, promised[1]),
    ):
        if test is not None:
            rows.append(
                {
                    "What": f"{what} ({test.name})",
                    "Predicted": fmt.rate(expectation),
                    "Measured": fmt.rate(test.median),
                    "Measured of predicted": fmt.share(test.median / expectation) if expectation else fmt.NOTHING,
                    "Repetitions": str(len(test.samples_tokens_per_s)),
                }
            )
    return pd.DataFrame(rows)


# ---- what is there ----


def saved() -> None:
    st.subheader("Measurements", anchor=False)
    found = state.saved_measurements()
    if not found:
        st.caption(
            "None yet. A probe from the button above, a file opened below, or a server that reports to POST /api/measurements lands here."
        )
        return
    rows = [
        {
            "Probe": measurement.id[:12],
            "When (UTC)": f"{measurement.created.astimezone(UTC):%Y-%m-%d %H:%M}",
            "Host": measurement.environment.host or fmt.NOTHING,
            "Model": f"{measurement.model_id or measurement.model_name} {measurement.quantization}".strip(),
            "Engine": f"{measurement.engine} {measurement.engine_version}".strip(),
            "Reads": _median(measurement, "prompt_test"),
            "Writes": _median(measurement, "generation_test"),
            "State": str(measurement.status) + (f", {len(measurement.doubts)} doubts" if measurement.doubts else ""),
        }
        for measurement in found
    ]
    parts.table(pd.DataFrame(rows), "Saved measurements, newest first")


def _median(measurement: Measurement, which: str) -> str:
    test = getattr(measurement, which)
    return fmt.NOTHING if test is None else fmt.rate(test.median)


def upload() -> None:
    with st.expander("Open a measurement made elsewhere"):
        st.file_uploader(
            "Measurement (JSON)",
            type=["json"],
            key="measure.upload",
            max_upload_size=MAX_BYTES // 1_000_000,
            on_change=take_upload,
            help="The file that `python -m probes llamacpp` writes.",
        )
        said = st.session_state.pop("measure.uploaded", None)
        if said:
            (st.success if said[0] else st.error)(fmt.markdown_literal(said[1]))


def take_upload() -> None:
    file = st.session_state["measure.upload"]
    if file is None:
        return
    try:
        measurement = Measurement.from_json(file.getvalue(), "The file")
        save_measurement(settings(), measurement)
        st.session_state["measure.uploaded"] = (True, f"Measurement {measurement.id[:12]} is saved.")
    except InputError as error:
        st.session_state["measure.uploaded"] = (False, str(error))


page()
