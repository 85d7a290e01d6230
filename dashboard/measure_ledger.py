"""The part of the Measure page that keeps the ledger: predicted against measured, what a token costs, and what the model follows."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from capacity.accelerators import accelerator, accelerators
from capacity.models import models
from dashboard import format as fmt
from dashboard import measure_charts, parts, state, undo
from facts.errors import InputError
from facts.settings import settings
from facts.units import SECONDS_PER_DAY
from pricing.prices import PriceBook
from probes import ledger
from probes.applying import THIS_MACHINE, Applied, applied_to
from probes.measurement import Measurement
from probes.store import applied_statements, drop_applied, list_applied, save_applied

SAID = "measure.applied_said"
MOST_LINES = 40


def page(found: tuple[Measurement, ...]) -> None:
    """Errors per metric and over time, every line, cost per token, what is applied."""
    pairs = _applied()
    written = ledger.ledger(found, {one.measurement_id: one for _, one in pairs})
    _errors(written)
    _applied_list(pairs)
    _costs(found)


def apply_form(measurement: Measurement, key: str) -> None:
    """Let the model follow a measurement; what it does not say itself is asked for."""
    said = st.session_state.pop(SAID, None)
    if said:
        (st.success if said[0] else st.error)(fmt.markdown_literal(said[1]))
    if any(one.measurement_id == measurement.id for one in _statements()):
        st.caption("This measurement is applied: options with its engine on its device are calibrated by it.")
        st.button("Take it back", key=f"{key}.unapply", on_click=_take_back, args=(measurement.id,))
        return
    if said and not said[0]:
        st.session_state[f"{key}.stays_open"] = True  # what was refused is corrected in the same form
    with st.expander("Apply to the model", expanded=st.session_state.get(f"{key}.stays_open", False)):
        st.caption("Every option with this engine on this device is then calibrated by it, for all models, and says so on Decide.")
        if measurement.kind == "endpoint":
            left, middle, right = st.columns([3, 3, 1])
            devices = {"": "as the probe saw it"} | {device.id: device.name for device in accelerators()}
            left.selectbox("It ran on", list(devices), format_func=lambda name: devices[name], key=f"{key}.device")
            shapes = {"": "by the served name"} | {spec.id: spec.name for spec in models()}
            middle.selectbox("Model", list(shapes), format_func=lambda name: shapes[name], key=f"{key}.model")
            right.number_input("GPUs", 1, 64, 1, key=f"{key}.gpus")
            left, right = st.columns(2)
            engines = ("", "vllm", "sglang", "trtllm", "llama.cpp")
            left.selectbox("Engine", engines, format_func=lambda name: name or "as the server says", key=f"{key}.engine")
            precisions = ("bf16", "fp8", "awq-int4", "q4_k_m", "q8_0")
            right.selectbox("Precision", precisions, key=f"{key}.precision")
        if not measurement.usable_for_verdict:
            st.checkbox("Although it doubts itself", key=f"{key}.doubtful")
        st.button("Apply", key=f"{key}.apply", on_click=_apply, args=(measurement, key))


# ---- below: how ----


def _applied() -> tuple[tuple[Measurement, Applied], ...]:
    try:
        return list_applied(settings())
    except InputError:
        return ()


def _statements() -> tuple[Applied, ...]:
    try:
        return applied_statements(settings())
    except InputError:
        return ()


def _apply(measurement: Measurement, key: str) -> None:
    said = st.session_state
    device = said.get(f"{key}.device", "")
    try:
        found = applied_to(
            measurement,
            applied=datetime.now(UTC),
            who="Measure page",
            engine=said.get(f"{key}.engine", ""),
            model_name=said.get(f"{key}.model", ""),
            quantization=said.get(f"{key}.precision", "") if measurement.kind == "endpoint" else "",
            device=device,
            gpus=int(said[f"{key}.gpus"]) if device else None,
            accept_doubtful=bool(said.get(f"{key}.doubtful", False)),
        )
        save_applied(settings(), found)
        said[SAID] = (True, f"Applied: {found.engine} on {where(found)} is calibrated by measurement {measurement.id[:12]}.")
    except InputError as error:
        said[SAID] = (False, str(error))


def _take_back(measurement_id: str) -> None:
    try:
        applied = next((found for found in applied_statements(settings()) if found.measurement_id == measurement_id), None)
        drop_applied(settings(), measurement_id)
        if applied is not None:
            undo.offer(f"Measurement {measurement_id[:12]} is not applied any more.", lambda: save_applied(settings(), applied))
        st.session_state[SAID] = (True, f"Measurement {measurement_id[:12]} is not applied any more.")
    except InputError as error:
        st.session_state[SAID] = (False, str(error))


def where(applied: Applied) -> str:
    """The devices of an applied measurement in words."""
    return "this machine" if applied.device_id == THIS_MACHINE else f"{applied.gpus} x {accelerator(applied.device_id).name}"


def _errors(written: ledger.Ledger) -> None:
    st.subheader("Predicted against measured", anchor=False)
    if not written.lines:
        st.caption("No prediction can be compared with a measurement yet.")
    else:
        parts.chart(measure_charts.error_history(written.lines), "")
        found = ledger.errors(written.lines)
        if found:
            rows = [
                {
                    "Quantity": error.quantity,
                    "Engine": error.engine,
                    "Prediction": error.basis.value,
                    "Typically off": fmt.share(error.typical_share),
                    "Too high (+) or low (-)": f"{error.median_share:+.0%}",
                    "At worst": fmt.share(error.worst_share),
                    "Figures": str(error.lines),
                    "Machines": str(error.machines),
                }
                for error in found
            ]
            parts.table(pd.DataFrame(rows), "Error of the predictions by quantity, engine and basis")
        else:
            st.caption("Every measurement so far doubts itself, so none counts for the error.")
        with st.expander(f"Every figure ({len(written.lines)})", key="ledger.every"):
            parts.table(_lines(written.lines[-MOST_LINES:]), "Every predicted and measured figure, oldest first")
    if written.left_out:
        with st.expander(f"Not compared ({len(written.left_out)})", key="ledger.left_out"):
            parts.points(list(written.left_out[-MOST_LINES:]))


def _lines(lines: tuple[ledger.LedgerLine, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Measured (UTC)": f"{line.created.astimezone(UTC):%Y-%m-%d %H:%M}",
                "Machine": line.machine,
                "Engine": line.engine,
                "Model": f"{line.model_id} {line.quantization}",
                "Figure": line.metric,
                "Predicted": f"{fmt.number(round(line.predicted, 1))} {line.unit}",
                "Measured": f"{fmt.number(round(line.measured, 1))} {line.unit}",
                "Error": f"{line.error_share:+.0%}" + (", doubtful" if line.doubtful else ""),
                "Prediction rests on": line.rests_on,
            }
            for line in lines
        ]
    )


def _applied_list(pairs: tuple[tuple[Measurement, Applied], ...]) -> None:
    st.subheader("What the model follows", anchor=False)
    if not pairs:
        st.caption("No measurement is applied: speeds of servers come from their spec sheets. Open one under Measurements and apply it.")
        return
    for measurement, found in pairs:
        with st.container(horizontal=True, vertical_alignment="center"):
            what = f"{measurement.id[:12]}: {found.engine} with {found.model_id} in {found.quantization} on {where(found)}"
            parts.text(f"{what}, since {found.applied.astimezone(UTC):%Y-%m-%d %H:%M} UTC, by {found.who or 'someone'}")
            st.button("Take it back", key=f"measure.drop.{measurement.id[:12]}", on_click=_take_back, args=(measurement.id,))


def _costs(found: tuple[Measurement, ...]) -> None:
    st.subheader("From probe to dollar", anchor=False)
    left, right = st.columns(2)
    price = left.number_input("A measured machine costs, USD per hour (0: its rent)", 0.0, 10_000.0, 0.0, key="measure.usd_per_hour")
    offered = right.number_input("Offered load, million tokens per day", 0.0, 1e9, _offered_mtok_per_day(), key="measure.offered")
    rents = {one.id: rent for one in found if (rent := price or _rent_usd_per_hour(one)) is not None}
    costs = ledger.machine_costs(found, rents, offered * 1e6 / SECONDS_PER_DAY if offered else None)
    if not costs:
        st.caption("No measured machine has a price yet: state what an hour of it costs. Only complete measurements are priced.")
        return
    rows = [
        {
            "Machine": cost.machine,
            "Engine": cost.engine,
            "Model": f"{cost.model} {cost.quantization}".strip(),
            "Load": cost.load,
            "One carries": fmt.rate(cost.tokens_per_s),
            "Machines": str(cost.servers),
            "USD per Mtok": fmt.usd(cost.usd_per_mtok, cents=True),
        }
        for cost in costs[:MOST_LINES]
    ]
    parts.table(pd.DataFrame(rows), "Cost of a million tokens on each measured machine, at saturation and at the offered load")
    st.caption(
        "Each line is of the engine it names, with prompt and answer tokens together for a server and generated tokens for llama\\.cpp in "
        "process; a llama\\.cpp figure says nothing of a vLLM server."
    )


def _offered_mtok_per_day() -> float:
    scenario = st.session_state.get(state.SCENARIO)
    workload = scenario.workload if scenario is not None else None
    return round(workload.tokens_per_day / 1e6, 3) if workload is not None and workload.tokens_per_day else 1.0


@st.cache_resource(ttl=3600, show_spinner=False)
def _prices(day: str) -> PriceBook:
    return PriceBook.load(datetime.fromisoformat(day).date())


def _rent_usd_per_hour(measurement: Measurement) -> float | None:
    gpus = measurement.environment.gpus
    if not gpus or not gpus[0].catalog_id or not (measurement.gpu_offload or measurement.kind == "endpoint"):
        return None
    rent = _prices(datetime.now(UTC).date().isoformat()).rental(gpus[0].catalog_id)
    return None if rent is None else rent.usd_per_gpu_hour * len(gpus)
