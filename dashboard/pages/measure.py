"""Measure: what this machine and model servers really do, started from a button, beside what was predicted; and the ledger of both."""

import platform
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from capacity.models import model
from capacity.tensors import tensor_plan
from dashboard import fit_section, measure_ledger, measure_server, parts, probe_form, state, uploads
from dashboard import format as fmt
from dashboard.expectation import before, promised
from facts.errors import InputError
from facts.settings import settings
from probes.build import BuildPhase, BuildState, build_state
from probes.endpoint_job import EndpointJob
from probes.environment import read_environment
from probes.ledger import cost_of
from probes.lock import owner_of, queue_of
from probes.measurement import MAX_BYTES, Environment, Measurement, TestResult
from probes.progress import Estimate, Repetition
from probes.proxy import proxy_shape
from probes.runner import ProbeJob, ProbeRequest, State
from probes.speeds import Speeds
from probes.store import save_measurement

TICK_S = 1.0
SHOWN = 30
NOT_MEASURED = "not measured"


def page() -> None:
    st.title("Measure", anchor=False)
    st.markdown(
        "What machines and servers really do, beside what was predicted. On this machine a probe writes a model with random weights at its "
        "true shape and times llama\\.cpp on it: speed and memory are real, answers are not. A model server is asked over its API."
    )
    machine = this_machine()
    hardware(machine)
    running()
    here, server, kept, book, before = st.tabs(
        ["This machine", "A model server", "Measurements", "Ledger", "Before measuring"], key="measure.tabs"
    )
    found = state.saved_measurements()
    with here:
        build = build_state()
        if build.state is BuildPhase.READY:
            probe_form.form(machine)
        else:
            engine_build()
        quick_check(machine, ready=build.state is BuildPhase.READY)
        ended(state.probe_desk(), "measure.result")
    with server:
        measure_server.form()
        ended(state.server_desk(), "measure.server_result")
    with kept:
        saved(found)
        upload()
    with book:
        measure_ledger.page(found)
    with before:
        fit_section.form()


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


# ---- what stands in until llama.cpp is there ----


def quick_check(machine: Environment, *, ready: bool) -> None:
    """Ten seconds of copies and matrix products: a first figure of this machine that needs nothing built."""
    desk = state.speed_desk()
    with st.container(border=True, key="measure.check"):
        left, right = st.columns([3, 1], vertical_alignment="center")
        what = "Quick check: memory bandwidth and arithmetic of this machine, ten seconds."
        left.markdown(what if ready else f"{what} It stands in until llama\\.cpp is built.")
        if right.button("Check", key="measure.check_start", disabled=desk.running, width="stretch"):
            try:
                desk.start(datetime.now(UTC))
            except InputError as error:
                st.error(fmt.markdown_literal(str(error)), title="The check cannot start")
            else:
                st.rerun()
        if desk.running:
            st.fragment(_check_now, run_every=TICK_S)()
        elif desk.problem:
            st.error(fmt.markdown_literal(desk.problem), title="The check ended without figures")
        elif desk.speeds is not None:
            parts.text(checked(desk.speeds, machine))


def _check_now() -> None:
    if not state.speed_desk().running:
        st.rerun()
    st.caption("Copying memory and multiplying matrices.")


def checked(speeds: Speeds, machine: Environment) -> str:
    """The two figures, and what they would let the first model do at most."""
    copy = NOT_MEASURED if speeds.copy_gb_per_s is None else f"{speeds.copy_gb_per_s:.1f} GB/s"
    matrix = NOT_MEASURED if speeds.matrix_gflops is None else f"{speeds.matrix_gflops:.0f} GFLOP/s in 32-bit"
    said = f"Memory copies {copy}, read and written together; matrix product {matrix}."
    if speeds.copy_gb_per_s is None:
        return said
    first = model(probe_form.FIRST_MODEL)
    most = speeds.copy_gb_per_s * 1e9 / tensor_plan(first, probe_form.FIRST_QUANTIZATION).bytes
    return (
        f"{said} At that bandwidth {first.name} in {probe_form.FIRST_QUANTIZATION} would write {fmt.rate(most)} at most on "
        f"{machine.cpu or 'this processor'}: a stand-in from two figures, not a measurement of a model."
    )


# ---- while it runs, and after ----


def running() -> None:
    """Every probe that runs or waits on this machine, watched by a fragment; whoever else measures here is named too."""
    if state.probe_desk().running or state.server_desk().running:
        st.fragment(_running_now, run_every=TICK_S)()
        return
    owner = owner_of()
    if owner is not None:
        now = datetime.now(UTC)
        waiting = queue_of()
        st.info(
            fmt.markdown_literal(f"{owner.sentence(now)}. {len(waiting)} wait in the queue; a probe started here joins it."),
            title="This machine is being measured",
        )


def _running_now() -> None:
    probes, servers = state.probe_desk().running, state.server_desk().running
    if not probes and not servers:
        st.rerun()
    jobs: list[ProbeJob | EndpointJob] = [*probes, *servers]
    for number, job in enumerate(jobs):
        with st.container(border=True, key=f"measure.progress.{number}"):
            if isinstance(job, EndpointJob):
                measure_server.live(job)
            else:
                live(job)
            left, right = st.columns([3, 1], vertical_alignment="center")
            left.caption(f"{fmt.duration(job.elapsed_s)} so far")
            word = "Leave the queue" if job.state is State.WAITING else "Cancel"
            if right.button(word, key=f"measure.cancel.{number}" if number else "measure.cancel", width="stretch"):
                job.cancel()


def live(job: ProbeJob) -> None:
    """One running or waiting probe of this machine: how far, and each phase's last repetition beside its prediction."""
    st.progress(min(1.0, max(0.0, job.progress)), text=fmt.markdown_literal(f"{job.request.what}: {job.message}"))
    planned = next((event for event in job.events if isinstance(event, Estimate)), None)
    if planned is not None:
        st.caption(f"Measuring {', '.join(planned.tests)}: about {fmt.duration(planned.seconds)}.")
    latest: dict[tuple[bool, bool], Repetition] = {}
    repetitions = [event for event in job.events if isinstance(event, Repetition)]
    for event in repetitions:
        latest[bool(event.n_gen), event.slots > 1] = event
    cards, earlier = [event for _, event in sorted(latest.items())], state.saved_measurements() if latest else ()
    for column, event in zip(st.columns(max(2, len(cards))), cards, strict=False):
        like = promise(job.request, event, earlier)
        of_it = f"{fmt.share(event.tokens_per_s / like)} of the predicted {fmt.rate(like)}" if like else None
        same = [other for other in repetitions if (other.name, other.variant) == (event.name, event.variant)]
        counted = sum(not other.warmup for other in same)
        label = "Reads" if event.n_prompt else "Writes" if event.slots == 1 else f"Writes {event.slots} at once"
        place = f" after {fmt.number(event.depth)} tokens" if event.depth else ""
        changed = f", {event.variant}" if event.variant else ""
        note = f"{label}{place}{changed}, {f'repetition {counted}' if counted else 'warming up'}"
        column.metric(note, fmt.rate(event.tokens_per_s), delta=of_it, delta_color="off", delta_arrow="off", border=True)


def promise(request: ProbeRequest, event: Repetition, earlier: tuple[Measurement, ...]) -> float | None:
    """What a repetition's test was predicted to give; None for another setting than the chosen ones, or a file of unknown shape."""
    if request.shape is None or event.variant:
        return None
    try:
        cost = cost_of(request.shape, request.quantization or probe_form.FIRST_QUANTIZATION, request.settings)
        return promised(this_machine(), cost, event, earlier)
    except InputError:
        return None


def ended(desk: state.ProbeDesk | state.ServerDesk, key: str) -> None:
    """How the last probe of a desk ended, and what it measured."""
    job = desk.job
    if job is None or not job.state.over:
        return
    with st.container(border=True, key=key):
        if job.state is State.FAILED:
            st.error(fmt.markdown_literal(job.message), title="The probe ended before it was done")
        elif job.state is State.CANCELLED:
            st.info(fmt.markdown_literal(job.message), title="The probe was cancelled")
        if desk.not_saved:
            st.warning(fmt.markdown_literal(desk.not_saved), title="The measurement is not saved")
        if job.result is not None:
            result(job.result, key)


def result(measurement: Measurement, key: str) -> None:
    """A measurement whole: finding, figures, what may be concluded, doubts, and what can be done with it."""
    if measurement.kind == "endpoint":
        st.markdown(f"**{fmt.markdown_literal(f'{measurement.model_name} served by {measurement.engine}')}**")
        measure_server.result(measurement, key)
    else:
        st.markdown(f"**{fmt.markdown_literal(finding(measurement))}**")
        parts.table(predicted_against_measured(measurement), "Speed predicted against speed measured", key)
    parts.text(measurement.supports)
    if measurement.doubts:
        st.markdown("**Doubts**")
        parts.points(list(measurement.doubts))
        if measurement.kind == "llamacpp":
            acceptance(measurement, key)
    measure_ledger.apply_form(measurement, key)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Measurement as JSON",
            data=measurement.to_json,
            file_name=f"measurement-{measurement.id[:12]}.json",
            mime="application/json",
            on_click="ignore",
            key=f"{key}.json",
        )
        st.page_link("dashboard/pages/decide.py", label="See what it changes on Decide")


def acceptance(measurement: Measurement, key: str) -> None:
    """A disturbed probe counts only when somebody says so."""
    if measurement.usable_for_verdict:
        return
    if st.session_state.get(state.ACCEPT_DOUBTFUL):
        st.caption("It is used on Decide all the same: you said so. Switch it off under More assumptions.")
        return
    st.caption("Because of these doubts it is not used on Decide. Run it again on an idle machine, or:")
    st.button("Use it all the same", key=f"{key}.accept", on_click=accept)


def accept() -> None:
    st.session_state[state.ACCEPT_DOUBTFUL] = True


def predictions(measurement: Measurement) -> dict[str, float]:
    """By test what was predicted for it before; of a few layers, of those layers. Nothing for other settings."""
    try:
        if measurement.proxy is not None:
            shape = proxy_shape(model(measurement.proxy.model_id), measurement.proxy.layers)
        elif measurement.model_id is not None:
            shape = model(measurement.model_id)
        else:
            return {}
        size = float(measurement.weights_bytes) if measurement.weights_bytes else None
        cost = cost_of(shape, measurement.quantization, measurement.settings, size)
        tests = [test for test in measurement.tests if test.samples_tokens_per_s and not test.variant]
        earlier = before(measurement, state.saved_measurements())
        return {test.name: promised(measurement.environment, cost, test, earlier) for test in tests}
    except InputError:
        return {}


def finding(measurement: Measurement) -> str:
    answer, part = measurement.generation_test, measurement.proxy
    if answer is None:
        return f"{measurement.model_name}: no generation was measured."
    if part is not None:
        whole = fmt.rate(whole_of(measurement, answer))
        return f"{_named(measurement)} write {fmt.rate(answer.median)} on this machine; the whole model, extrapolated, {whole}."
    said = f"{_named(measurement)} writes {fmt.rate(answer.median)} on this machine"
    hoped = predictions(measurement).get(answer.name)
    if not hoped:
        return f"{said}."
    return f"{said}, {fmt.share(answer.median / hoped)} of what was predicted."


def _named(measurement: Measurement) -> str:
    """What was measured: the model, or how many of its layers, and its precision."""
    part = measurement.proxy
    name = measurement.model_id or measurement.model_name
    if part is not None:
        name = f"{part.layers} of {part.layers_of_model} layers of {part.model_id}"
    return f"{name} {measurement.quantization}".strip()


def whole_of(measurement: Measurement, test: TestResult) -> float | None:
    """The whole model's speed in a test of a few of its layers, tokens/s; None without it."""
    return next((figure.value for figure in measurement.derived if figure.name == f"{test.name}.extrapolated"), None)


def predicted_against_measured(measurement: Measurement) -> pd.DataFrame:
    """Every test with its speed and what was predicted for it, at its own depth and with as many sequences."""
    usual = predictions(measurement)
    rows = []
    for test in measurement.tests:
        if not test.samples_tokens_per_s:
            continue
        hoped = None if test.variant else usual.get(test.name)
        row = {
            "What": f"{_tested(test)} ({test.name})",
            "Predicted": fmt.rate(hoped),
            "Measured": fmt.rate(test.median),
            "Measured of predicted": fmt.share(test.median / hoped) if hoped else fmt.NOTHING,
            "Repetitions": str(len(test.samples_tokens_per_s)),
        }
        if measurement.proxy is not None:
            row["Extrapolated to the whole"] = fmt.rate(whole_of(measurement, test))
        rows.append(row)
    return pd.DataFrame(rows)


def _tested(test: TestResult) -> str:
    what = "Reading the prompt" if test.n_prompt else "Writing the answer" if test.slots == 1 else f"Writing {test.slots} answers at once"
    return what + (f" after {fmt.number(test.depth)} tokens" if test.depth else "") + (f", {test.variant}" if test.variant else "")


# ---- what is there ----


def saved(found: tuple[Measurement, ...]) -> None:
    """What was measured, here and by servers that reported; one of them can be opened."""
    if not found:
        st.caption(
            "None yet. A probe from the other tabs, a file opened below, or a server that reports to POST /api/measurements lands here."
        )
        return
    here = platform.node()
    rows = [
        {
            "Probe": measurement.id[:12],
            "When (UTC)": f"{measurement.created.astimezone(UTC):%Y-%m-%d %H:%M}",
            "Host": (measurement.environment.host or fmt.NOTHING) + (" (here)" if measurement.environment.host == here else ", reported"),
            "Model": _named(measurement),
            "Engine": f"{measurement.engine} {measurement.engine_version}".strip(),
            "Reads": _median(measurement, "prompt_test"),
            "Writes": _writes(measurement),
            "State": str(measurement.status) + (f", {len(measurement.doubts)} doubts" if measurement.doubts else ""),
        }
        for measurement in found[:SHOWN]
    ]
    parts.table(pd.DataFrame(rows), "Saved measurements, newest first")
    by_id = {measurement.id: measurement for measurement in found}
    chosen = st.selectbox(
        "Open",
        [None, *by_id],
        format_func=lambda name: "none" if name is None else _title(by_id[name]),
        key="measure.open",
    )
    if chosen is not None:
        with st.container(border=True, key="measure.opened"):
            result(by_id[chosen], "measure.opened")


def _title(measurement: Measurement) -> str:
    return f"{measurement.id[:12]}, {measurement.created.astimezone(UTC):%Y-%m-%d %H:%M}, {_named(measurement)}, {measurement.engine}"


def _writes(measurement: Measurement) -> str:
    """Generation of one sequence; of a server, the highest output rate of a level."""
    if measurement.kind == "llamacpp":
        return _median(measurement, "generation_test")
    rates = [figure.value for figure in measurement.derived if figure.name.endswith(".output_rate")]
    return fmt.rate(max(rates)) + " in all" if rates else fmt.NOTHING


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
        measurement = Measurement.from_json(uploads.content(file, MAX_BYTES / 1_000_000), "The file")
        save_measurement(settings(), measurement)
        st.session_state["measure.uploaded"] = (True, f"Measurement {measurement.id[:12]} is saved.")
    except InputError as error:
        st.session_state["measure.uploaded"] = (False, str(error))


page()
