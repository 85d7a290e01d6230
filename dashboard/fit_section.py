"""Part of Measure: any model on any server before it is measured: catalogued, or from a config.json, a GGUF header, a data sheet."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pandas as pd
import streamlit as st

from capacity.accelerators import Accelerator, Server, accelerator, accelerators
from capacity.choices import LOCAL_PRECISIONS, SERVING_PRECISIONS, PrecisionChoice, precision_choices
from capacity.gguf_header import GgufFile, read_gguf_beginning
from capacity.hf_config import fetch_config, read_config, slug
from capacity.models import BenchmarkScore, ModelSpec, benchmark_attribution, benchmark_scores, model, models, quantization
from capacity.throughput import ServingCurve, engine_fit, serving_curve
from dashboard import format as fmt
from dashboard import own_section, parts, uploads
from facts.errors import InputError
from facts.records import validated
from facts.units import BYTES_PER_GB

CATALOGUE, CONFIG, HUB, GGUF = "From the catalogue", "Its config.json", "Its name on Hugging Face", "Its GGUF file"
OWN_DEVICE = "From its data sheet"
ENGINES = ("vllm", "sglang", "trtllm", "llama.cpp", "mlx")
LOCAL_ENGINES = frozenset({"llama.cpp", "mlx"})
MEMORY_KINDS = {
    "hbm": "HBM, as in data centre GPUs",
    "gddr": "GDDR, as in graphics cards",
    "lpddr": "LPDDR, shared with the processor",
    "ddr": "DDR, of a processor",
}
UPLOAD_MB = 64
FIRST_MODEL, FIRST_DEVICE = "llama-3.1-8b", "nvidia-l40s"
KEPT_GGUF = "fit.gguf.read"
"""Where the header that was read last is kept in the session: an upload does not outlive its page."""
KEPT_FETCHED, FETCH_PROBLEM = "fit.hub.read", "fit.hub.problem"
POINTS_SHOWN = 12


def form() -> None:
    """Model, server and request, and what the one carries on the other."""
    st.caption(
        "Nothing is measured here: the answer is the estimate that every decision uses, with its interval. A model or a server of your own "
        "can then stand in the decision beside every other option."
    )
    own_section.held()
    with st.container(border=True, key="fit.form"):
        left, right = st.columns(2)
        with left:
            spec = _read(_model)
        with right:
            device = _read(_device)
        engine, precision, gpus, prompt, answer = _how()
    if spec is None or device is None:
        return
    try:
        server = Server(accelerator=device, gpus=gpus)
        _result(spec, server, engine, precision, float(prompt), float(answer))
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="This cannot be answered")


def _read(part: Any) -> Any:
    """A part of the form, or the sentence that says what is wrong with it."""
    try:
        return part()
    except InputError as error:
        st.warning(fmt.markdown_literal(str(error)))
        return None


# ---- the model ----


def _model() -> ModelSpec | None:
    way = st.radio("Model", (CATALOGUE, CONFIG, HUB, GGUF), key="fit.model_from", horizontal=True, persist_state="session")
    if way == CONFIG:
        return _pasted()
    if way == HUB:
        return _fetched()
    if way == GGUF:
        return _uploaded()
    names = {spec.id: spec.name for spec in models()}
    chosen = st.selectbox(
        "Which model",
        list(names),
        index=list(names).index(FIRST_MODEL),
        format_func=lambda one: names[one],
        key="fit.model",
        persist_state="session",
    )
    return model(chosen)


def _pasted() -> ModelSpec | None:
    name = st.text_input("Name of the model", value="My model", max_chars=80, key="fit.config_name", persist_state="session")
    text = st.text_area(
        "Its config.json",
        key="fit.config",
        height=160,
        max_chars=200_000,
        placeholder='{"model_type": "llama", "hidden_size": 4096, ...}',
        help="The whole file from the model's page on Hugging Face. Nothing is fetched.",
        persist_state="session",
    )
    if not text.strip():
        st.caption("Paste the file's text.")
        return None
    return read_config(text, name=name.strip() or "My model", as_of=_today())


def _fetched() -> ModelSpec | None:
    """A repository's config.json, asked for by a press of the button and never by itself."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    left.text_input("owner/name", max_chars=200, key="fit.hub", placeholder="Qwen/Qwen3-8B", persist_state="session")
    right.button("Fetch", key="fit.hub_fetch", on_click=_fetch, width="stretch", help="Asks huggingface.co for config.json, 5 s at most.")
    said: str = st.session_state.pop(FETCH_PROBLEM, "")
    if said:
        st.warning(fmt.markdown_literal(said))
    found: ModelSpec | None = st.session_state.get(KEPT_FETCHED)
    if found is None:
        st.caption("Only config.json is asked for, when you press Fetch. Without a network, paste its text instead.")
        return None
    parts.text(f"{found.hf_id or found.name}, fetched on {found.source.checked}.")
    return found


def _fetch() -> None:
    try:
        st.session_state[KEPT_FETCHED] = fetch_config((st.session_state["fit.hub"] or "").strip(), as_of=_today())
    except InputError as error:
        st.session_state[FETCH_PROBLEM] = str(error)


def _uploaded() -> ModelSpec | None:
    file = st.file_uploader(
        "GGUF file, or its first 32 MB",
        type=["gguf"],
        key="fit.gguf",
        max_upload_size=UPLOAD_MB,
        help="The header alone is read. Of a large file the beginning is enough: head -c 32M model.gguf > header.gguf",
    )
    if file is not None:
        st.session_state[KEPT_GGUF] = read_gguf_beginning(uploads.content(file, UPLOAD_MB), name=file.name, as_of=_today())
    found: GgufFile | None = st.session_state.get(KEPT_GGUF)
    if found is None:
        st.caption("Of a large file the first 32 MB are enough: `head -c 32M model.gguf > header.gguf`")
        return None
    parts.text(f"{found.model.name}: {found.quantization or 'unknown'} file type, weights of {fmt.size(found.tensor_bytes)}.")
    return found.model


# ---- the server ----


def _device() -> Accelerator | None:
    way = st.radio("Device", (CATALOGUE, OWN_DEVICE), key="fit.device_from", horizontal=True, persist_state="session")
    if way == OWN_DEVICE:
        return _own_device()
    names = {device.id: device.name for device in accelerators()}
    ids = list(names)
    chosen = st.selectbox(
        "Which device",
        ids,
        index=ids.index(FIRST_DEVICE) if FIRST_DEVICE in ids else 0,
        format_func=lambda one: names[one],
        key="fit.device",
        persist_state="session",
    )
    return accelerator(chosen)


def _own_device() -> Accelerator | None:
    name = st.text_input("Name of the device", value="My device", max_chars=80, key="fit.device_name", persist_state="session")
    left, right = st.columns(2)
    memory = left.number_input("Memory, GB", 0.0, 100_000.0, None, key="fit.memory_gb", persist_state="session")
    bandwidth = right.number_input("Memory bandwidth, GB/s", 0.0, 1_000_000.0, None, key="fit.mem_bw_gb_per_s", persist_state="session")
    peak = left.number_input("Dense 16-bit TFLOPS", 0.0, 1_000_000.0, None, key="fit.fp16_tflops", persist_state="session")
    eight = right.number_input("Dense FP8 TFLOPS, blank for none", 0.0, 1_000_000.0, None, key="fit.fp8_tflops", persist_state="session")
    kind = left.selectbox(
        "Kind of memory", list(MEMORY_KINDS), index=1, format_func=MEMORY_KINDS.__getitem__, key="fit.memory_kind", persist_state="session"
    )
    link = right.number_input("Link to another, GB/s one way", 0.0, 100_000.0, None, key="fit.link_gb_per_s", persist_state="session")
    missing = [label for label, number in (("memory", memory), ("memory bandwidth", bandwidth), ("16-bit TFLOPS", peak)) if not number]
    if missing:
        st.caption(f"Still wanted from the data sheet: {', '.join(missing)}. Dense figures: vendors print twice as much for sparse ones.")
        return None
    stated = {
        "id": slug(name),
        "name": name.strip() or "My device",
        "memory_kind": kind,
        "memory_gb": memory,
        "mem_bw_gb_per_s": bandwidth,
        "fp16_tflops": peak,
        "fp8_tflops": eight or None,
        "link_kind": "pcie" if link else "none",
        "link_gb_per_s": link or None,
        "source": {"url": "entered by the user", "checked": _today()},
    }
    return validated(Accelerator, {key: value for key, value in stated.items() if value is not None}, "The device")


def _how() -> tuple[str, str, int, int, int]:
    """Engine, precision, GPUs, prompt and answer tokens."""
    columns = st.columns(5)
    engine = columns[0].selectbox("Engine", ENGINES, key="fit.engine", persist_state="session")
    usual = LOCAL_PRECISIONS if engine in LOCAL_ENGINES else SERVING_PRECISIONS
    precision = columns[1].selectbox(
        "Precision", usual, format_func=lambda one: quantization(one).name, key=f"fit.precision.{engine in LOCAL_ENGINES}"
    )
    gpus = columns[2].number_input("Devices", 1, 64, 1, key="fit.gpus", persist_state="session")
    prompt = columns[3].number_input("Prompt tokens", 1, 10_000_000, 1_000, key="fit.prompt", persist_state="session")
    answer = columns[4].number_input("Answer tokens", 1, 1_000_000, 200, key="fit.answer", persist_state="session")
    return engine, precision or usual[0], int(gpus), int(prompt), int(answer)


# ---- the answer ----


def _result(spec: ModelSpec, server: Server, engine: str, precision: str, prompt: float, answer: float) -> None:
    st.markdown(f"**{fmt.markdown_literal(_headline(spec, server))}**")
    sentence, curve, choices = _answered(spec, server, engine, precision, prompt, answer)
    parts.text(sentence)
    if curve.points:
        doubts = curve.note.removeprefix(sentence).lstrip("; ")
        st.caption(fmt.markdown_literal(f"{curve.engine}, {curve.layout}" + (f": {doubts}" if doubts else "")))
        parts.table(_curve_table(curve), "Requests in flight against waiting time and speed, with the 80 % interval of the speed")
        own_section.form(own_section.Looked(spec=spec, device=server.accelerator, gpus=server.gpus, quantization=precision, engine=engine))
    if choices:
        st.markdown("**Other precisions on the same server**")
        parts.table(_precision_table(choices), "Precisions with their size, speed and published loss of quality")
    scores = benchmark_scores(spec.id)
    if scores:
        with st.expander(f"Published benchmark scores ({len(scores)})", key="fit.scores"):
            st.caption("Shown beside the model and used for nothing: what its own maker reports, or an article claims, ranks no option.")
            parts.table(_scores_table(scores), f"Published benchmark scores of {spec.name}")
            st.caption(fmt.markdown_literal(benchmark_attribution()))


@lru_cache(maxsize=64)
def _answered(
    spec: ModelSpec, server: Server, engine: str, precision: str, prompt: float, answer: float
) -> tuple[str, ServingCurve, tuple[PrecisionChoice, ...]]:
    """Whether it fits, in words; what it serves; and the other precisions."""
    return (
        engine_fit(spec, precision, server, prompt + answer, engine=engine).sentence,
        serving_curve(spec, precision, server, engine=engine, input_tokens=prompt, output_tokens=answer),
        precision_choices(spec, server, engine=engine, input_tokens=prompt, output_tokens=answer),
    )


def _headline(spec: ModelSpec, server: Server) -> str:
    count = f"{server.gpus} x " if server.gpus > 1 else ""
    try:
        active = f", {spec.params_active / 1e9:.3g} B active" if spec.is_mixture else ""
        return f"{spec.name}, {spec.params_total / 1e9:.3g} B parameters{active}, on {count}{server.accelerator.name}"
    except InputError:  # a layout that is not known: memory and speed then say what is missing
        return f"{spec.name} on {count}{server.accelerator.name}"


def _curve_table(curve: ServingCurve) -> pd.DataFrame:
    step = max(1, -(-len(curve.points) // POINTS_SHOWN))
    shown = [*curve.points[:-1:step], curve.points[-1]]
    return pd.DataFrame(
        [
            {
                "In flight": fmt.number(point.concurrency),
                "First token, ms": f"{point.ttft_ms:,.0f}",
                "Per further token, ms": f"{point.tpot_ms:,.1f}",
                "Tokens/s out": f"{point.output_tokens_per_s:,.0f}",
                "80 % interval": f"{point.low80:,.0f} to {point.high80:,.0f}",
            }
            for point in shown
        ]
    )


def _precision_table(choices: tuple[PrecisionChoice, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Precision": quantization(choice.quantization).name,
                "Weights, GB": f"{choice.weights_bytes / BYTES_PER_GB:,.1f}",
                "At once": fmt.number(choice.max_concurrency) if choice.fits else "does not fit",
                "Tokens/s of one": fmt.NOTHING if choice.one_tokens_per_s is None else f"{choice.one_tokens_per_s:,.1f}",
                "Tokens/s of all": fmt.NOTHING if choice.most_tokens_per_s is None else f"{choice.most_tokens_per_s:,.0f}",
                "Perplexity": fmt.NOTHING if choice.loss_share is None else f"{choice.loss_share:+.1%} ({choice.loss_of})",
            }
            for choice in choices
        ]
    )


def _scores_table(scores: tuple[BenchmarkScore, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Benchmark": score.benchmark,
                "Score": f"{score.score:g}",
                "How": score.method or fmt.NOTHING,
                "By": "claimed in an article" if score.claim else "its own maker" if score.self_reported else "others",
                "As of": score.as_of or fmt.NOTHING,
                "Source": score.source,
            }
            for score in scores
        ]
    )


def _today() -> Any:
    return datetime.now(UTC).date()
