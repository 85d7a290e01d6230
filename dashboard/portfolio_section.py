"""Part of Saved: many workloads decided at once, from the saved scenarios or a CSV file, and what sharing servers would save."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import pandas as pd
import streamlit as st

from dashboard import format as fmt
from dashboard import parts, uploads
from facts.errors import InputError
from facts.settings import settings
from pricing.prices import PriceOverrides
from selector.catalog import Catalog
from selector.portfolio import Portfolio, PortfolioRow, decide_all, portfolio_from_csv
from selector.scenarios import Scenario, scenario_to_toml
from selector.store import list_scenarios, stored_catalog, stored_gates

UPLOAD_MB = 10
SHOWN = 100
"""Rows of the table on the page; the file has them all."""
EXAMPLE = (
    "name,requests_per_day,input_tokens_mean,output_tokens_mean,complexity\n"
    "Mail sorting,40000,600,10,classification\nContract search,3000,9000,300,qa\n"
)


def section() -> None:
    """Which workloads, the total, a verdict each, and the pools."""
    file = st.file_uploader(
        "Workloads (CSV), one a row; without a file the saved scenarios are taken",
        type=["csv"],
        key="saved.portfolio.file",
        max_upload_size=UPLOAD_MB,
        help="Columns are the inputs' names, as in the TOML file; prices.NAME and assumptions.NAME for your own numbers.",
    )
    st.download_button(
        "Example (CSV)", EXAMPLE, file_name="workloads.csv", mime="text/csv", on_click="ignore", key="saved.portfolio.example"
    )
    try:
        scenarios = _from_file(file.name, uploads.content(file, UPLOAD_MB)) if file is not None else _saved()
        if not scenarios:
            st.info("No scenario is chosen. Save some, or give a CSV file.")
            return
        found = _decided(_digest(scenarios), datetime.now(UTC).date(), file is None, _scenarios=scenarios)
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="This portfolio cannot be decided")
        return
    _shown(found)


def _from_file(name: str, raw: bytes) -> tuple[Scenario, ...]:
    try:
        return portfolio_from_csv(raw.decode("utf-8-sig"), name)
    except UnicodeDecodeError:
        raise InputError(f"{name} is not UTF-8 text: save it as CSV in UTF-8") from None


def _saved() -> tuple[Scenario, ...]:
    kept = {saved.name: saved.scenario for saved in list_scenarios(settings())}
    left_out = st.multiselect("Leave out", list(kept), key="saved.portfolio.without", placeholder="none") if kept else []
    return tuple(scenario for name, scenario in kept.items() if name not in left_out)


def _digest(scenarios: Sequence[Scenario]) -> str:
    return hashlib.sha256("\0".join(scenario_to_toml(scenario) for scenario in scenarios).encode()).hexdigest()


@st.cache_resource(max_entries=8, show_spinner="Deciding on every workload")
def _decided(digest: str, day: date, own_tests: bool, *, _scenarios: tuple[Scenario, ...]) -> Portfolio:
    catalogs: dict[PriceOverrides, Catalog] = {}

    def catalog_of(scenario: Scenario) -> Catalog:
        if scenario.prices not in catalogs:
            catalogs[scenario.prices] = stored_catalog(settings(), day, scenario, host=platform.node())
        gates = stored_gates(settings(), scenario.workload.name, day) if own_tests else ()
        return replace(catalogs[scenario.prices], gates=gates)

    return decide_all(_scenarios, catalog_of)


def _shown(found: Portfolio) -> None:
    st.subheader(fmt.markdown_literal(found.sentence), anchor=False)
    with st.grid(4, min_column_width=200, border=True):
        for label, amount, note in (
            ("Today's models", found.baseline_usd, f"over {found.horizon_months} months, where they may run"),
            ("As advised", found.total_usd, "every workload's own verdict"),
            ("Saving", found.saving_usd, "today's models less the verdicts"),
            ("Saved by sharing", found.pooled_saving_usd, "pools beyond the verdicts, in expected cost"),
        ):
            with st.container(gap="xsmall"):
                st.metric(label, fmt.usd(amount))
                st.caption(note)
    parts.table(_table(found.rows[:SHOWN]), "A verdict for every workload, with its total and the saving")
    if len(found.rows) > SHOWN:
        st.caption(f"The first {SHOWN} of {len(found.rows):,}; the file below has them all.")
    st.download_button(
        "Table as CSV", _csv(found.rows), file_name="portfolio.csv", mime="text/csv", on_click="ignore", key="saved.portfolio.csv"
    )
    st.markdown("**Shared servers**")
    if not found.pools:
        st.caption("No two workloads would share servers for less than their verdicts cost.")
        return
    rows = [
        {
            "Pool": pool.id,
            "Base model and server": pool.title,
            "Workloads": f"{len(pool.members)}, {pool.adapters} with an adapter",
            "Servers": f"{pool.replicas} instead of {pool.separate_replicas}",
            "Pooled": fmt.usd(pool.total_usd),
            "Separate": fmt.usd(pool.separate_usd),
            "Saves": fmt.usd(pool.saving_usd),
        }
        for pool in found.pools
    ]
    parts.table(pd.DataFrame(rows), "Workloads on shared servers with one base model, against the same workloads on servers of their own")
    parts.points([pool.sentence for pool in found.pools])


def _table(rows: Sequence[PortfolioRow]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Workload": row.name,
                "Verdict": row.error or f"{fmt.ACTION_NAMES.get(str(row.action), fmt.words(str(row.action)))}: {row.title}",
                "Today": fmt.usd(row.baseline_usd),
                "Total": fmt.usd(row.total_usd),
                "Saving": fmt.usd(row.saving_usd),
                "Good enough": fmt.share(row.probability),
                "Pool": row.pool_id or fmt.NOTHING,
            }
            for row in rows
        ]
    )


def _csv(rows: Sequence[PortfolioRow]) -> str:
    frame = pd.DataFrame(
        [
            {
                "workload": fmt.csv_literal(row.name),
                "action": str(row.action or ""),
                "option_id": row.option_id,
                "baseline_usd": row.baseline_usd,
                "total_usd": row.total_usd,
                "saving_usd": row.saving_usd,
                "expected_usd": row.expected_usd,
                "probability": row.probability,
                "pool_id": row.pool_id,
                "error": fmt.csv_literal(row.error),
            }
            for row in rows
        ]
    )
    return str(frame.to_csv(index=False))
