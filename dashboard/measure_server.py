"""The part of the Measure page that asks a model server: form, cost, live progress, levels, knee."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from capacity.accelerators import Server, accelerator, accelerators
from capacity.models import find_model, models
from capacity.roofline import engine_id
from capacity.throughput import ServingCurve, serving_curve
from dashboard import format as fmt
from dashboard import measure_charts, parts, state
from facts.errors import InputError
from facts.records import validated
from facts.settings import settings
from probes.applying import SERVED_PRECISION
from probes.curves import measured_curve
from probes.endpoint import KEY_VARIABLE, estimate_usd
from probes.endpoint_job import EndpointJob, EndpointProbe
from probes.measurement import LENGTHS_SPREAD, EndpointSettings, Measurement

WAYS = ("Sweep to saturation", "Levels of my own", "Search for the highest rate within limits")
LADDER_TOP = 10
TOP_SHARES = (0.7, 0.9)
SELF_TEST_S = 8.0
SEARCH_LEVELS = 6
NOT_STATED = ""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What the user says the server is, so that it can be predicted.

    model_id, quantization: what is served
    device_id, gpus: on what
    engine: by what
    """

    model_id: str = ""
    quantization: str = SERVED_PRECISION
    device_id: str = ""
    gpus: int = 1
    engine: str = "vllm"

    def curve(self, chosen: EndpointSettings) -> ServingCurve | None:
        """The predicted curve, or None where something is not stated or does not fit."""
        if not self.model_id or not self.device_id:
            return None
        known = find_model(self.model_id)
        if known is None:
            return None
        try:
            return serving_curve(
                known,
                self.quantization,
                Server(accelerator=accelerator(self.device_id), gpus=self.gpus),
                engine=self.engine,
                input_tokens=chosen.input_tokens,
                output_tokens=chosen.output_tokens,
            )
        except InputError:
            return None


def form() -> None:
    """Where, how long, how much at most, and what it runs on; a button that starts it or puts it in the queue."""
    hosts = ", ".join(settings().allowed_endpoints)
    st.caption(
        fmt.markdown_literal(
            f"From this page only these hosts are asked: {hosts}. Others: set RIGHTSIZE_ALLOWED_ENDPOINTS, or run "
            f"the command python -m probes endpoint there. A key is read from {KEY_VARIABLE} of the dashboard and never stored."
        )
    )
    with st.container(border=True, key="measure.server_form"):
        left, right = st.columns(2)
        left.text_input("Address", value="http://127.0.0.1:8000/v1", key="measure.url", persist_state="session")
        right.text_input("Model", key="measure.served", placeholder="the first that it lists", persist_state="session")
        left, middle, right = st.columns(3)
        left.number_input("Prompt tokens", 1, 1_000_000, 512, key="measure.input_tokens", persist_state="session")
        drawn = f"The mean: answers are asked for up to {LENGTHS_SPREAD:.0%} shorter and longer, as equal ones march in step."
        middle.number_input("Answer tokens", 1, 100_000, 128, key="measure.output_tokens", help=drawn, persist_state="session")
        right.number_input("Seconds per level", 1, 3600, 15, key="measure.level_s", persist_state="session")
        way = st.radio("Load", WAYS, key="measure.way", horizontal=True, persist_state="session")
        if way == WAYS[1]:
            st.text_input("Requests in flight, separated by commas", value="1, 4, 16", key="measure.levels", persist_state="session")
        if way == WAYS[2]:
            left, right = st.columns(2)
            left.number_input("Longest wait for the first token, ms", 1, 600_000, 1000, key="measure.ttft_ms", persist_state="session")
            right.number_input("Longest time per further token, ms", 1, 60_000, 50, key="measure.tpot_ms", persist_state="session")
        _what_it_is()
        _caps()
        try:
            probe = wanted()
        except InputError as error:
            st.warning(fmt.markdown_literal(str(error)), title="This cannot be started")
            return
        cost = estimate_usd(probe.settings)
        parts.text(_what_it_takes(probe.settings, cost))
        agreed = cost <= 0 or st.checkbox(f"Spend up to {fmt.usd(_most_usd(probe.settings, cost), cents=True)}", key="measure.spend")
        waits = bool(state.probe_desk().running or state.server_desk().running)
        if st.button(
            "Put it in the queue" if waits else "Start measuring", type="primary", key="measure.server_start", disabled=not agreed
        ):
            _start(probe)


def _what_it_is() -> None:
    with st.expander("What it runs on (for the prediction beside the measurement)"):
        left, middle, right = st.columns([3, 3, 1])
        names = {NOT_STATED: "not stated"} | {device.id: device.name for device in accelerators()}
        left.selectbox("Accelerator", list(names), format_func=lambda key: names[key], key="measure.device", persist_state="session")
        shapes = {NOT_STATED: "by the served name"} | {spec.id: spec.name for spec in models()}
        middle.selectbox("Catalogue model", list(shapes), format_func=lambda key: shapes[key], key="measure.shape", persist_state="session")
        right.number_input("GPUs", 1, 64, 1, key="measure.gpus", persist_state="session")
        left, right = st.columns(2)
        left.selectbox("Engine", ("vllm", "sglang", "trtllm", "llama.cpp"), key="measure.engine", persist_state="session")
        right.selectbox("Precision", ("bf16", "fp8", "awq-int4", "q4_k_m", "q8_0"), key="measure.precision", persist_state="session")


def _caps() -> None:
    with st.expander("Caps and prices"):
        left, middle, right = st.columns(3)
        left.number_input("Most requests", 1, 1_000_000, 2_000, key="measure.max_requests", persist_state="session")
        middle.number_input("Input, USD per Mtok", 0.0, 1_000.0, 0.0, key="measure.input_price", persist_state="session")
        right.number_input("Output, USD per Mtok", 0.0, 1_000.0, 0.0, key="measure.output_price", persist_state="session")
        left.number_input("Most USD (0 for none)", 0.0, 100_000.0, 0.0, key="measure.max_usd", persist_state="session")


def wanted() -> EndpointProbe:
    """The probe that the form describes; InputError says what is wrong with it."""
    said = st.session_state
    way = said["measure.way"]
    ladder = tuple(2**step for step in range(LADDER_TOP + 1)) if way == WAYS[0] else ()
    given = {
        "url": said["measure.url"].strip(),
        "model": said["measure.served"].strip(),
        "input_tokens": said["measure.input_tokens"],
        "output_tokens": said["measure.output_tokens"],
        "concurrencies": _levels(said["measure.levels"]) if way == WAYS[1] else ladder,
        "sweep": way == WAYS[0],
        "top_shares": TOP_SHARES if way == WAYS[0] else (),
        "search": way == WAYS[2],
        "ttft_limit_ms": said["measure.ttft_ms"] if way == WAYS[2] else None,
        "tpot_limit_ms": said["measure.tpot_ms"] if way == WAYS[2] else None,
        "seconds_per_level": float(said["measure.level_s"]),
        "lengths_spread": LENGTHS_SPREAD,
        "max_requests": said["measure.max_requests"],
        "input_usd_per_mtok": said["measure.input_price"],
        "output_usd_per_mtok": said["measure.output_price"],
        "max_usd": said["measure.max_usd"] or None,
    }
    chosen = validated(EndpointSettings, given, "server")
    return EndpointProbe(settings=chosen, allowed_hosts=settings().allowed_endpoints, wait=True)


def stated() -> Stated:
    """What the form says the server is."""
    said = st.session_state
    return Stated(
        model_id=said.get("measure.shape") or said.get("measure.served", ""),
        quantization=said.get("measure.precision", SERVED_PRECISION),
        device_id=said.get("measure.device", ""),
        gpus=int(said.get("measure.gpus", 1)),
        engine=said.get("measure.engine", "vllm"),
    )


def _levels(text: str) -> tuple[int, ...]:
    try:
        found = tuple(dict.fromkeys(int(part) for part in text.replace(";", ",").split(",") if part.strip()))
    except ValueError:
        raise InputError(f"'{text}' is no list of whole numbers: write 1, 4, 16") from None
    if not found:
        raise InputError("no level is given: write the numbers of requests in flight, as 1, 4, 16")
    return found


def _most_usd(chosen: EndpointSettings, cost: float) -> float:
    return min(cost, chosen.max_usd) if chosen.max_usd is not None else cost


def _what_it_takes(chosen: EndpointSettings, cost: float) -> str:
    levels = len(chosen.concurrencies) + len(chosen.top_shares) + (SEARCH_LEVELS if chosen.search else 0)
    most = SELF_TEST_S + levels * (chosen.seconds_per_level + 2.0)
    how = "at most about" if chosen.sweep else "about"
    sentence = f"It first tests this client for some seconds, then asks for {how} {fmt.duration(most)}, "
    sentence += f"with at most {chosen.max_requests:,} requests."
    if chosen.sweep:
        sentence += " The sweep doubles the load until that adds less than 5 %."
    if cost > 0:
        sentence += f" At these prices it costs at most {fmt.usd(_most_usd(chosen, cost), cents=True)}."
    predicted = stated().curve(chosen)
    if predicted is not None and predicted.points:
        top = max(predicted.points, key=lambda point: point.output_tokens_per_s)
        sentence += f" Predicted: up to {fmt.rate(top.output_tokens_per_s)} at {top.concurrency} in flight."
    return sentence


def _start(probe: EndpointProbe) -> None:
    try:
        state.server_desk().start(probe, datetime.now(UTC))
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="The probe cannot start")
        return
    st.rerun()


# ---- while it runs, and after ----


def live(job: EndpointJob) -> None:
    """One running or waiting probe of a server: how far, how fast, how fast it was predicted."""
    st.progress(min(1.0, max(0.0, job.progress)), text=fmt.markdown_literal(f"{job.probe.what}: {job.message}"))
    now = job.now
    if now is None:
        return
    left, middle, right = st.columns(3)
    left.metric("Level", f"{now.level[1:]} in flight" if now.level.startswith("c") else now.level, border=True)
    predicted = _predicted_at(job, now.level)
    of_it = f"{fmt.share(now.output_tokens_per_s / predicted)} of the predicted {fmt.rate(predicted)}" if predicted else None
    middle.metric("Output now", fmt.rate(now.output_tokens_per_s), delta=of_it, delta_color="off", delta_arrow="off", border=True)
    right.metric("Requests", f"{now.requests:,}", delta=f"{now.errors} failed" if now.errors else None, delta_color="inverse", border=True)


def _predicted_at(job: EndpointJob, level: str) -> float | None:
    curve = stated().curve(job.probe.settings)
    if curve is None or not level.startswith("c"):
        return None
    return next((point.output_tokens_per_s for point in curve.points if f"c{point.concurrency}" == level), None)


def result(measurement: Measurement, key: str) -> None:
    """The levels of a server's measurement, its knee, and its doubts."""
    parts.table(levels(measurement), "Load levels of the measured server", key)
    try:
        curve = measured_curve(measurement, model_id=measurement.model_id or measurement.model_name)
    except InputError as error:
        st.caption(fmt.markdown_literal(str(error)))
    else:
        said = stated()
        same = said.engine == engine_id(measurement.engine) and isinstance(measurement.settings, EndpointSettings)
        predicted = said.curve(measurement.settings) if same and isinstance(measurement.settings, EndpointSettings) else None
        parts.chart(measure_charts.load_curve(curve, predicted, key=key), "")
    values = {figure.name: figure for figure in measurement.derived}
    best = values.get("goodput.highest_rate")
    if best is not None:
        parts.text(f"Highest rate within the limits: {best.value:.3g} requests/s ({best.formula}).")
    limit = measurement.client
    if limit is not None and limit.events_per_s > 0:
        parts.text(f"This client reads {limit.events_per_s:,.0f} events/s in time; levels beyond that are flagged below.")


def levels(measurement: Measurement) -> pd.DataFrame:
    """One row per level, with the percentiles a service level is stated in."""
    values = {figure.name: figure.value for figure in measurement.derived}
    rows = []
    says = any(name.endswith(".engine_prompt.p50") for name in values)
    for level in measurement.levels:
        found = {name: values.get(f"{level.name}.{name}") for name in ("output_rate", "request_rate", "error_share")}
        rows.append(
            {
                "Level": f"{level.concurrency} in flight" if level.concurrency else f"{level.name} open loop",
                "Output": fmt.rate(found["output_rate"]),
                "Requests/s": fmt.number(round(found["request_rate"] or 0.0, 2)),
                "TTFT p50 / p95": f"{_ms(values, level.name, 'ttft.p50')} / {_ms(values, level.name, 'ttft.p95')}",
                **({"of it outside the engine": _ms(values, level.name, "outside_engine.p50")} if says else {}),
                "TPOT p50 / p95": f"{_ms(values, level.name, 'tpot.p50')} / {_ms(values, level.name, 'tpot.p95')}",
                **({"TPOT by the engine": _ms(values, level.name, "engine_tpot.p50")} if says else {}),
                "Failed": fmt.share(found["error_share"]),
                "Ended": level.stopped_because or "held to its end",
            }
        )
    return pd.DataFrame(rows)


def _ms(values: dict[str, float], level: str, name: str) -> str:
    return fmt.milliseconds(values.get(f"{level}.{name}"))
