"""Part of Sources: published claims recomputed, with the arithmetic; the user's own file of claims likewise."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from datetime import date

import streamlit as st

from dashboard import format as fmt
from dashboard import parts, uploads
from facts.errors import InputError
from selector.audit import AuditResult, AuditVerdict, Figure, audit_claims, audit_each
from selector.catalog import load_catalog
from selector.claims import Bound, Unreadable, each_claim, shipped_claims

UPLOAD_MB = 1
EVERY = "all sources"
VERDICT_NAMES = {
    AuditVerdict.REPRODUCES: "reproduces",
    AuditVerdict.DOES_NOT: "does not reproduce",
    AuditVerdict.UNDECIDABLE: "cannot be decided",
}
VERDICT_COLOURS = {AuditVerdict.REPRODUCES: "green", AuditVerdict.DOES_NOT: "red", AuditVerdict.UNDECIDABLE: "orange"}
BOUNDS = {Bound.EXACT: "", Bound.AT_MOST: "at most ", Bound.AT_LEAST: "at least "}


def show(as_of: date) -> None:
    """Claims of five articles, or those of a file, each with its verdict."""
    st.markdown(
        "A published figure is recomputed from its own facts and this day's rents and prices: it reproduces, it does not, or it cannot be "
        "decided and the missing fact is named."
    )
    file = st.file_uploader(
        "Your own claims (TOML) in place of the articles'",
        type=["toml"],
        key="claims.upload",
        max_upload_size=UPLOAD_MB,
        help="A [[claim]] table for each: id, kind, quote and the numbers with their units in the keys, as in selector/data/claims.toml; "
        "`python -m selector audit --keys` prints every key.",
    )
    try:
        results = shipped_results(as_of) if file is None else own_results(uploads.content(file, UPLOAD_MB), file.name, as_of)
        read = tuple(result for result in results if isinstance(result, AuditResult))
        for wrong in (result for result in results if isinstance(result, Unreadable)):
            if not read:
                raise InputError(wrong.because)
            st.warning(fmt.markdown_literal(wrong.because))
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="This file cannot be audited")
        return
    _results(read)


@st.cache_resource(max_entries=2, show_spinner="Recomputing the claims")
def shipped_results(as_of: date) -> tuple[AuditResult | Unreadable, ...]:
    """The claims of five articles on small models, recomputed."""
    return audit_claims(shipped_claims(), load_catalog(as_of))


def own_results(raw: bytes, name: str, as_of: date) -> tuple[AuditResult | Unreadable, ...]:
    """The claims of a file, recomputed, those too that cannot be read; InputError says what is wrong with the file."""
    return _own_results(hashlib.sha256(raw).hexdigest(), name, as_of, _raw=raw)


def counted(results: Sequence[AuditResult]) -> str:
    """'41 claims: 20 reproduce, 12 do not, 9 cannot be decided.'"""
    many = {verdict: sum(result.verdict is verdict for result in results) for verdict in AuditVerdict}
    named = "1 claim" if len(results) == 1 else f"{len(results)} claims"
    return (
        f"{named} recomputed: {many[AuditVerdict.REPRODUCES]} {_verb(many[AuditVerdict.REPRODUCES], 'reproduces', 'reproduce')}, "
        f"{many[AuditVerdict.DOES_NOT]} {_verb(many[AuditVerdict.DOES_NOT], 'does not', 'do not')}, "
        f"{many[AuditVerdict.UNDECIDABLE]} cannot be decided from what is stated."
    )


# ---- below: how ----


@st.cache_resource(max_entries=4, show_spinner="Recomputing the claims")
def _own_results(digest: str, name: str, as_of: date, *, _raw: bytes) -> tuple[AuditResult | Unreadable, ...]:
    try:
        document = tomllib.loads(_raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{name} is not UTF-8 text, so it is no TOML file") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{name} is not valid TOML: {error}") from None
    return audit_each(each_claim(document, name), load_catalog(as_of))[0]


def _results(results: Sequence[AuditResult]) -> None:
    st.subheader(counted(results), anchor=False)
    sources = [EVERY, *dict.fromkeys(result.source for result in results if result.source)]
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    wanted = left.pills("Verdict", list(AuditVerdict), format_func=VERDICT_NAMES.__getitem__, selection_mode="multi", key="claims.verdict")
    source = right.selectbox("Source", sources, key=f"claims.source.{len(sources)}")
    shown = [result for result in results if (not wanted or result.verdict in wanted) and (source == EVERY or result.source == source)]
    if not shown:
        st.caption("No claim has this verdict.")
    for result in shown:
        _claim(result)


def _claim(result: AuditResult) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(VERDICT_NAMES[result.verdict], color=VERDICT_COLOURS[result.verdict])  # type: ignore[arg-type]
            st.caption(fmt.markdown_literal(" · ".join(part for part in (result.source, str(result.kind).replace("_", " ")) if part)))
        st.markdown(f"**{fmt.markdown_literal(result.quote or result.id)}**")
        parts.text(f"Stated: {_figures(result.stated)}. Recomputed: {_figures(result.recomputed)}.")
        st.caption(fmt.markdown_literal(result.arithmetic))
        if result.missing:
            st.caption(fmt.markdown_literal(f"Missing: {', '.join(fmt.field_label(key) for key in result.missing)}"))


def _figures(figures: Sequence[Figure]) -> str:
    return ", ".join(_figure(figure) for figure in figures) or "nothing"


def _figure(figure: Figure) -> str:
    ends = [_end(figure.low)] if figure.low == figure.high else [_end(figure.low), _end(figure.high)]
    return f"{fmt.field_label(figure.key.removeprefix('stated_')).lower()} {BOUNDS[figure.bound]}{' to '.join(ends)}"


def _end(value: float) -> str:
    return "never" if value == float("inf") else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _verb(many: int, one: str, more: str) -> str:
    return one if many == 1 else more
