"""Part of Measure: a model and server that were just looked at become an option of the decision, with a price of the user's own."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from capacity.accelerators import Accelerator, accelerators
from capacity.models import ModelSpec, models
from dashboard import format as fmt
from dashboard import state, undo
from facts.errors import InputError
from facts.records import validated
from selector.own_options import MOST, OwnOption

PLACEMENTS = {"rented": "Rented", "owned": "Owned"}
TUNINGS = {"none": "as it is", "to_do": "still to be tuned on your labels", "done": "tuned on your labels already"}
SAID = "own.said"


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What the page has just answered for.

    spec, device: the model and the device
    gpus, quantization, engine: how it is served
    """

    spec: ModelSpec
    device: Accelerator
    gpus: int
    quantization: str
    engine: str


def form(looked: Looked) -> None:
    """Where it would stand, what it costs, and the button that puts it beside the other options."""
    with st.container(border=True, key="own.form"):
        st.markdown("**Hold it against every other option**")
        left, middle, right = st.columns(3)
        placement = left.selectbox(
            "Its server is", list(PLACEMENTS), format_func=PLACEMENTS.__getitem__, key="own.placement", persist_state="session"
        )
        middle.selectbox("The model is", list(TUNINGS), format_func=TUNINGS.__getitem__, key="own.tuning", persist_state="session")
        right.text_input("Title, blank for its names", max_chars=80, key="own.title", persist_state="session")
        if looked.spec not in models() and not looked.spec.licence:
            right.text_input("Licence of its weights", max_chars=60, key="own.licence", placeholder="unknown", persist_state="session")
        known = "the catalogue's" if looked.device in accelerators() else "wanted"
        if placement == "rented":
            left.number_input(
                "Rent of one device, USD an hour",
                0.0,
                10_000.0,
                None,
                key="own.usd_per_gpu_hour",
                placeholder=known,
                persist_state="session",
            )
            middle.text_input("Who rents it to you", max_chars=80, key="own.provider", placeholder="not said", persist_state="session")
        else:
            left.number_input(
                "Price of one device with its share of the server, USD",
                0.0,
                10_000_000.0,
                None,
                key="own.server_usd_per_gpu",
                placeholder=known,
                persist_state="session",
            )
            middle.number_input(
                "Its power at full load, kW", 0.0, 100.0, None, key="own.server_kw_per_gpu", placeholder=known, persist_state="session"
            )
        st.button("Add it to the decision", key="own.add", on_click=_add, args=(looked,))
        said: tuple[bool, str] | None = st.session_state.pop(SAID, None)
        if said is not None:
            (st.success if said[0] else st.error)(fmt.markdown_literal(said[1]))
            if said[0]:
                st.page_link("dashboard/pages/decide.py", label="See it on Decide")
        st.caption(
            "Its speed has the interval above; its chance of being good enough is read with the published cases of models of its size, "
            "until you test it. It is saved with the scenario and stands in the workload file."
        )


def held() -> None:
    """The user's own options, each with the button that takes it out."""
    options: tuple[OwnOption, ...] = st.session_state.get(state.OWN, ())
    if not options:
        return
    st.markdown("**Your own options in the decision**")
    for place, option in enumerate(options):
        with st.container(horizontal=True, vertical_alignment="center", key=f"own.row.{place}"):
            st.markdown(fmt.markdown_literal(option.name))
            st.button("Take it out", key=f"own.drop.{place}", on_click=_drop, args=(option,))


# ---- below: how ----


def _add(looked: Looked) -> None:
    said, options = st.session_state, tuple(st.session_state.get(state.OWN, ()))
    rented = said["own.placement"] == "rented"
    licence = (said.get("own.licence") or "").strip() or looked.spec.licence
    stated = {
        "title": (said["own.title"] or "").strip(),
        "model": looked.spec.id if looked.spec in models() else "",
        "shape": None if looked.spec in models() else looked.spec.model_copy(update={"licence": licence}),
        "device": looked.device.id if looked.device in accelerators() else "",
        "sheet": None if looked.device in accelerators() else looked.device,
        "gpus": looked.gpus,
        "quantization": looked.quantization,
        "engine": looked.engine,
        "placement": said["own.placement"],
        "tuning": said["own.tuning"],
        "usd_per_gpu_hour": (said.get("own.usd_per_gpu_hour") or None) if rented else None,
        "provider": (said.get("own.provider") or "").strip() if rented else "",
        "server_usd_per_gpu": (said.get("own.server_usd_per_gpu") or None) if not rented else None,
        "server_kw_per_gpu": (said.get("own.server_kw_per_gpu") or None) if not rented else None,
    }
    try:
        option = validated(OwnOption, stated, "Your own option")
        if option.option_id in {other.option_id for other in options}:
            raise InputError(f"{option.name} is in the decision already")
        if len(options) >= MOST:
            raise InputError(f"{len(options)} options of your own are in the decision, {MOST} have room: take one out first")
    except InputError as error:
        said[SAID] = (False, str(error))
        return
    said[state.OWN] = (*options, option)
    said[SAID] = (True, f"{option.name} is an option of the decision now.")


def _drop(option: OwnOption) -> None:
    undo.offer(f"{option.name} was taken out of the decision.", undo.values_back((state.OWN,)))
    options: tuple[OwnOption, ...] = st.session_state.get(state.OWN, ())
    st.session_state[state.OWN] = tuple(other for other in options if other.option_id != option.option_id)
