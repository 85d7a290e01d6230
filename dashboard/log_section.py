"""Part of Saved: a request log or usage export in, its figures and charts, and the workload that follows from it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import available_timezones

import pandas as pd
import streamlit as st
import tomli_w

from dashboard import demand_charts, forms, parts, uploads
from dashboard import format as fmt
from facts.errors import InputError
from facts.records import validated
from facts.settings import settings
from facts.units import SECONDS_PER_DAY
from selector.scenarios import Scenario
from workloads.demand import Complexity, Workload
from workloads.log_formats import LogFormat, TimeUnit, log_formats
from workloads.log_job import LogJob
from workloads.store import list_workloads, save_workload
from workloads.text_tokens import tokenizer_names, tokenizer_of
from workloads.trace_summary import ASSUMED_COMPLEXITY, TraceSummary, workload_of
from workloads.usage import UsageSummary, workload_of_usage

UPLOAD_MB = 500
TICK_S = 0.5
JOB = "saved.log.job"
MAPPING = "saved.log.mapping"
NO_COLUMN = "(none)"
CHARACTERS, OWN_GGUF = "characters", "a GGUF file's own"
GGUF_MB = 64
COLUMNS = {
    "time": "Moment of the request",
    "input_tokens": "Prompt tokens",
    "output_tokens": "Answer tokens",
    "input_text": "Prompt text, where no tokens are stated",
    "output_text": "Answer text, likewise",
    "cached_input_tokens": "Cached prompt tokens",
    "request_id": "Request id",
    "route": "Route, tenant or model",
    "prefix_hashes": "Hashes of the prompt's blocks",
}
"""The fields of a mapping that name a column, as the form asks for them."""


def section() -> None:
    """From files to a workload."""
    st.caption(
        "CSV, JSON lines or Parquet, gzip or zstd, one file or many: Azure, BurstGPT, Mooncake, LiteLLM and Langfuse columns are known, "
        "and OpenAI's usage export. Nothing leaves this machine."
    )
    files = st.file_uploader(
        "Request log", accept_multiple_files=True, key="saved.log.files", max_upload_size=UPLOAD_MB, help=f"Up to {UPLOAD_MB} MB a file."
    )
    left, right = st.columns(2)
    zones = ["UTC", *sorted(available_timezones() - {"UTC"})]
    zone = left.selectbox("Time zone of hours and days", zones, key="saved.log.zone", persist_state="session")
    tokenizer = right.selectbox(
        "Tokens of texts by",
        [CHARACTERS, *tokenizer_names(), OWN_GGUF],
        index=_own_tokenizer(),
        key="saved.log.tokenizer",
        help="Only for logs that hold texts and no token counts. The tokenizer of today's model is preselected where it is known.",
    )
    counting = _gguf() if tokenizer == OWN_GGUF else None if tokenizer == CHARACTERS else tokenizer
    job: LogJob | None = st.session_state.get(JOB)
    own = _mapping(job)
    with st.container(horizontal=True, vertical_alignment="center"):
        waits = not files or (tokenizer == OWN_GGUF and counting is None)
        pressed = st.button("Read the log", type="primary", key="saved.log.read", disabled=waits)
        st.caption("Larger logs, wildcards and PostgreSQL tables: `python -m workloads summarize`.")
    if pressed and files:
        if job is not None:
            job.cancel()
        try:
            job = LogJob.start(
                [(file.name, uploads.content(file, UPLOAD_MB)) for file in files], columns=own, zone=zone, tokenizer=counting
            )
        except InputError as error:
            st.error(fmt.markdown_literal(str(error)))
            return
        st.session_state[JOB] = job
    if job is None:
        _kept()
        return
    if not job.over:
        st.fragment(_watch, run_every=TICK_S)()
        return
    _result(job)
    _kept()


def _gguf() -> tuple[str, bytes] | None:
    """A GGUF file whose own tokenizer is to count, by name and content."""
    file = st.file_uploader(
        "GGUF file, or its first 32 MB",
        type=["gguf"],
        key="saved.log.gguf",
        max_upload_size=GGUF_MB,
        help="Its tokenizer stands before the weights, so the beginning is enough: head -c 32M model.gguf > header.gguf",
    )
    try:
        return None if file is None else (file.name, uploads.content(file, GGUF_MB))
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)))
        return None


def _watch() -> None:
    """How far the reading is; the page is drawn again when it has ended."""
    job: LogJob | None = st.session_state.get(JOB)
    if job is None or job.over:
        st.rerun()
    assert job is not None
    st.progress(job.share, text=f"Reading: {job.share:.0%} of the bytes")
    if st.button("Cancel", key="saved.log.cancel"):
        job.cancel()
        st.rerun()


def _result(job: LogJob) -> None:
    if job.state == "cancelled":
        st.info("The reading was cancelled; nothing of it is left.")
    elif job.state == "failed":
        st.error(fmt.markdown_literal(job.problem), title="This log cannot be read")
        if job.columns:
            st.caption("Name its columns under 'Columns of a log that is not known' and read it again.")
    elif isinstance(job.summary, UsageSummary):
        _usage(job.summary)
    elif job.summary is not None:
        _summary(job.summary)


# ---- the columns ----


def _mapping(job: LogJob | None) -> LogFormat | None:
    """The user's own columns, from the form or a TOML file; None to let the log's columns say what it is."""
    failed = job is not None and job.state == "failed" and bool(job.columns)
    with st.expander("Columns of a log that is not known", expanded=failed):
        file = st.file_uploader(
            "Mapping (TOML)", type=["toml"], key="saved.log.toml", max_upload_size=1, help="The file that this form saves, below."
        )
        if file is not None:
            try:
                return _from_toml(uploads.content(file, 1))
            except InputError as error:
                st.error(fmt.markdown_literal(str(error)))
                return None
        if not st.toggle("Name the columns here", key=f"saved.log.own.{failed}", value=failed):
            st.caption("Known: " + ", ".join(fmt.markdown_literal(known.title) for known in log_formats()) + ".")
            return None
        offered = [NO_COLUMN, *(job.columns if job is not None else ())]
        chosen: dict[str, str] = {}
        grid = st.columns(2)
        for number, (field, label) in enumerate(COLUMNS.items()):
            chosen[field] = grid[number % 2].selectbox(
                label,
                offered,
                index=_likely(field, offered),
                key=f"saved.log.column.{field}.{len(offered)}",
                accept_new_options=True,
                help="Type a name; a dot steps into nested JSON, as in usage.input.",
            )
        unit = grid[0].selectbox("The moment is written as", list(TimeUnit), format_func=_unit_words, key="saved.log.unit")
        zone = grid[1].selectbox(
            "Zone of a moment that names none", ["UTC", *sorted(available_timezones() - {"UTC"})], key="saved.log.time_zone"
        )
        given = {field: column for field, column in chosen.items() if column and column != NO_COLUMN}
        try:
            own = validated(LogFormat, {**given, "time_unit": str(unit), "time_zone": zone}, "The columns")
        except InputError as error:
            st.caption(fmt.markdown_literal(str(error)))
            return None
        st.download_button(
            "Save this mapping (TOML)",
            tomli_w.dumps(own.model_dump(mode="json", exclude_defaults=True, exclude_none=True)),
            file_name="log-columns.toml",
            mime="application/toml",
            on_click="ignore",
            key="saved.log.save_mapping",
        )
        return own


def _from_toml(raw: bytes) -> LogFormat:
    import tomllib

    try:
        return validated(LogFormat, tomllib.loads(raw.decode("utf-8-sig")), "The mapping")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"The mapping is not valid TOML: {error}") from None


def _likely(field: str, offered: list[str]) -> int:
    """The column whose name says most plainly what it is."""
    signs = {
        "time": ("timestamp", "start_time", "starttime", "created", "time", "date"),
        "input_tokens": ("prompt_tokens", "input_tokens", "contexttokens", "input_length"),
        "output_tokens": ("completion_tokens", "output_tokens", "generatedtokens", "output_length"),
        "input_text": ("prompt", "input", "question"),
        "output_text": ("completion", "response", "answer", "output"),
        "cached_input_tokens": ("cached_tokens", "cached_input_tokens"),
        "request_id": ("request_id", "id"),
        "route": ("route", "model", "tenant", "team"),
        "prefix_hashes": ("hash_ids",),
    }[field]
    names = [name.casefold() for name in offered]
    return next((names.index(sign) for sign in signs if sign in names), 0)


def _unit_words(unit: TimeUnit) -> str:
    if unit is TimeUnit.DATETIME:
        return "date and time (ISO 8601)"
    kind, _, size = unit.value.partition("_")
    return f"{size} since {'1970' if kind == 'epoch' else 'the first request'}"


def _own_tokenizer() -> int:
    """The tokenizer of today's model in the list, characters where it is not known."""
    model = str(st.session_state.get("baseline_model") or "")
    return [CHARACTERS, *tokenizer_names()].index(tokenizer_of(model) or CHARACTERS)


# ---- the figures ----


def _summary(summary: TraceSummary) -> None:
    st.subheader(fmt.markdown_literal(_headline(summary)), anchor=False)
    with st.grid(4, min_column_width=240, border=True):
        _card("Requests a day", f"{summary.requests_per_day:,.0f}", f"{summary.requests:,} in {fmt.duration(summary.span_s)}")
        minute = summary.planning_peak_to_mean
        _card(
            "Busiest minute, × mean", fmt.NOTHING if minute is None else f"{minute:.1f}", f"CV of gaps {summary.gap_cv:.3g}, 1 is Poisson"
        )
        asked, made = summary.input_lengths, summary.output_lengths
        _card("Tokens a request", f"{asked.mean_tokens:,.0f} + {made.mean_tokens:,.0f}", "prompt and answer, mean")
        shared = summary.prefix_reuse_share if summary.cached_input_share is None else summary.cached_input_share
        kind = "could be cached" if summary.cached_input_share is None else "was billed as cached"
        _card("Of the prompts", "unknown" if shared is None else f"{shared:.1%}", kind if shared is not None else "cached: not in the log")
    parts.points(summary.remarks)
    if summary.broken_examples:
        st.markdown("**Rows that could not be read**")
        rows = [{"Where": row.place, "Why": row.reason, "Row": row.text or fmt.NOTHING} for row in summary.broken_examples]
        parts.table(pd.DataFrame(rows), "The first rows that could not be read, each with its line and the reason")
    parts.chart(demand_charts.week(summary), "Hours of the week: the log does not say which days it is from, or covers no whole hour.")
    if summary.week is not None:
        st.caption(f"Hours in {fmt.markdown_literal(summary.zone)}. An hour without colour had no request, a blank one is not in the log.")
    parts.chart(demand_charts.lengths(summary), "No lengths.")
    parts.chart(demand_charts.volume(summary), "Volume by day: the log covers less than two whole days.")
    with st.expander("All figures"):
        parts.table(_lengths_table(summary), "Quantiles of the lengths of prompts and answers")
        if summary.peaks:
            parts.table(_peaks_table(summary), "The busiest windows over the mean, at three widths")
        if summary.routes:
            parts.table(_routes_table(summary), "Requests and tokens of each part of the traffic")
        st.caption("Every figure's exact definition stands on Sources, under the method: Request logs.")
    try:
        _take_over(workload_of(summary, complexity=_complexity()), f"request log {summary.name}")
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)))


def _headline(summary: TraceSummary) -> str:
    when = f", {summary.first:%d %b %Y %H:%M} to {summary.last:%d %b %Y %H:%M} UTC" if summary.first and summary.last else ""
    return f"{summary.requests:,} requests in {summary.name}{when}"


def _card(label: str, value: str, note: str) -> None:
    with st.container(gap="xsmall"):
        st.metric(label, value)
        st.caption(fmt.markdown_literal(note))


def _lengths_table(summary: TraceSummary) -> pd.DataFrame:
    rows = []
    for name, found in (("Prompt", summary.input_lengths), ("Answer", summary.output_lengths)):
        quantiles = {f"p{share * 100:g}": f"{found.quantile_tokens(share):,}" for share in (0.5, 0.9, 0.95, 0.99)}
        rows.append({"Tokens": name, "Mean": f"{found.mean_tokens:,.1f}", **quantiles, "Longest": f"{found.max_tokens:,}"})
    return pd.DataFrame(rows)


def _peaks_table(summary: TraceSummary) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Window": fmt.duration(peak.window_s),
                "Requests": f"{peak.requests_to_mean:.2f} × mean",
                "Tokens": f"{peak.tokens_to_mean:.2f} × mean",
                "Windows": f"{peak.windows:,}",
            }
            for peak in summary.peaks
        ]
    )


def _routes_table(summary: TraceSummary) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Route": route.name or "(none)",
                "Requests": f"{route.requests:,}",
                "Prompt tokens": f"{route.input_tokens:,}",
                "Answer tokens": f"{route.output_tokens:,}",
            }
            for route in summary.routes
        ]
    )


def _usage(usage: UsageSummary) -> None:
    days = usage.span_s / SECONDS_PER_DAY
    st.subheader(fmt.markdown_literal(f"{usage.requests:,} requests in {days:.1f} days of usage"), anchor=False)
    st.caption(f"Added up by the provider in buckets of {fmt.duration(usage.bucket_s)}: lengths are means, no single request is known.")
    parts.points(usage.remarks)
    rows = [
        {
            "Model": part.name or "(all)",
            "Requests": f"{part.requests:,}",
            "Prompt tokens": f"{part.input_tokens:,}",
            "Answer tokens": f"{part.output_tokens:,}",
        }
        for part in usage.models
    ]
    parts.table(pd.DataFrame(rows), "Requests and tokens of each model")
    try:
        _take_over(workload_of_usage(usage, complexity=_complexity()), f"usage export {usage.name}")
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)))


# ---- the workload ----


def _complexity() -> Complexity:
    chosen = st.selectbox(
        "What the answers are for (a log does not say)",
        list(Complexity),
        index=list(Complexity).index(ASSUMED_COMPLEXITY),
        format_func=fmt.words,
        key="saved.log.complexity",
    )
    return Complexity(chosen or ASSUMED_COMPLEXITY)


def _take_over(workload: Workload, note: str) -> None:
    """The workload as it would be, and the two things one can do with it."""
    stated = workload.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    frame = pd.DataFrame([{"Input": fmt.field_label(key), "Value": fmt.field_value(value)} for key, value in stated.items()])
    parts.table(frame, "The workload that follows from the log")
    with st.container(horizontal=True):
        st.button(
            "Use it: fill the form",
            type="primary",
            key="saved.log.use",
            on_click=_use,
            args=(workload,),
            help="Every number can be changed at the left afterwards.",
        )
        if st.button("Keep it", key="saved.log.keep"):
            try:
                save_workload(settings(), workload, created=datetime.now(UTC), note=note)
                st.toast("Kept with the saved workloads.")
            except InputError as error:
                st.error(fmt.markdown_literal(str(error)))


def _use(workload: Workload) -> None:
    forms.fill(Scenario(workload=workload))


def _kept() -> None:
    """The workloads that were kept."""
    try:
        kept = list_workloads(settings())
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)))
        return
    if not kept:
        return
    st.subheader("Kept workloads", anchor=False)
    rows = [
        {
            "Workload": saved.workload.name,
            "Tokens a day": fmt.tokens(saved.workload.mean_tokens_per_day).removesuffix(" tokens"),
            "From": saved.note or fmt.NOTHING,
            "Kept": saved.created[:10],
        }
        for saved in kept
    ]
    parts.table(pd.DataFrame(rows), "Workloads that were kept, with where they come from")
    names = {saved.id: f"{saved.workload.name}, {saved.created[:10]}" for saved in kept}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Kept workload", list(names), format_func=names.__getitem__, key=f"saved.log.kept.{len(names)}")
        workload = next(saved.workload for saved in kept if saved.id == chosen)
        st.button("Use it", key="saved.log.use_kept", on_click=_use, args=(workload,))
