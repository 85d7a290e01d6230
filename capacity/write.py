"""Writing the shipped parameter files; used by `python -m capacity refit` only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from capacity.intervals import Interval, judgements
from capacity.roofline import Efficiency
from facts.records import Source

TABLES = "TensorRT-LLM documentation 0.6.1, 0.15 and 0.17; community llama-bench runs of May 2024; mac-llm-bench of April 2026"
DATA = Path(__file__).parent / "data"


def write_efficiencies(parameters: Mapping[tuple[str, str], Efficiency], rows: int) -> None:
    """data/efficiency.toml: fitted where rows exist, else the priors, each with its source."""
    checked = next(iter(parameters.values())).source.checked
    blocks = []
    for key in sorted(parameters):
        entry = parameters[key]
        if entry.fitted:
            note = f"fitted on {rows} published rows: {TABLES}"
            entry = entry.model_copy(update={"source": Source(url="docs/accuracy.md", checked=checked, note=note)})
        blocks.append(_block("efficiency", entry))
    (DATA / "efficiency.toml").write_text("\n".join(blocks), encoding="utf-8")


def write_intervals(measured: Mapping[str, tuple[float, float, int]]) -> None:
    """data/intervals.toml: classes with rows from left-out residuals, the others by judgement."""
    judged = judgements()
    known = {entry.id: entry for entry in judged}
    checked = judged[0].source.checked
    for name, (low, high, rows) in measured.items():
        source = Source(url="docs/accuracy.md", checked=checked, note="residuals of left-out devices and models")
        known[name] = Interval(id=name, low=round(low, 3), high=round(high, 3), rows=rows, source=source)
    (DATA / "intervals.toml").write_text("\n".join(_block("interval", known[name]) for name in sorted(known)), encoding="utf-8")


def _block(table: str, record: Efficiency | Interval) -> str:
    lines = [f"[[{table}]]"]
    for key, text in record.model_dump(exclude_defaults=True).items():
        if key != "source":
            lines.append(f"{key} = {_value(text)}")
    source = record.source
    note = f', note = "{source.note}"' if source.note else ""
    return "\n".join([*lines, f'source = {{ url = "{source.url}", checked = {source.checked.isoformat()}{note} }}']) + "\n"


def _value(text: object) -> str:
    if isinstance(text, bool):
        return str(text).lower()
    if isinstance(text, float):
        return f"{text:.6g}" if "e" in f"{text:.6g}" or "." in f"{text:.6g}" else f"{text:.6g}.0"
    return str(text) if isinstance(text, int) else f'"{text}"'
