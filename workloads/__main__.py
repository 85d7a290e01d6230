"""python -m workloads summarize LOG.csv: a request log -> its figures -> a workload file."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from facts import commandline
from facts.errors import InputError
from facts.settings import settings
from facts.units import SECONDS_PER_DAY
from workloads.demand import Complexity
from workloads.log_formats import read_log_format
from workloads.store import save_workload
from workloads.text_tokens import tokenizer_of
from workloads.trace_summary import LengthDistribution, TraceSummary, summary_json, workload_of, workload_toml
from workloads.traces import log_files
from workloads.traces import summarize as summarize_log
from workloads.usage import summarize_usage, usage_toml, workload_of_usage

app = typer.Typer(add_completion=False, help="Workloads: what is asked of a model.")


@app.callback()
def main() -> None:
    """Workloads: what is asked of a model."""


@app.command()
def summarize(
    logs: Annotated[
        list[str], typer.Argument(help="Request logs: CSV, JSON lines or Parquet, may be packed with gzip or zstd; wildcards work.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write the workload to this TOML file.")] = None,
    complexity: Annotated[Complexity | None, typer.Option(help="What the answers are for; the log does not say.")] = None,
    columns: Annotated[Path | None, typer.Option(help="TOML file that says which columns hold what, for a log that is not known.")] = None,
    route: Annotated[str | None, typer.Option(help="Only this part of the traffic, by the log's own column.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the hours of the week and of days, as in Europe/Berlin.")] = "UTC",
    tokenizer: Annotated[
        str | None,
        typer.Option(help="For logs that hold only text: whose tokens, by tokenizer (o200k_base), model (openai:gpt-4o) or GGUF file."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the workload; the log's name if not given.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Keep the workload in the database.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
) -> None:
    """Figures of a request log, and the workload they make."""
    mapping = read_log_format(columns) if columns is not None else None
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as shown:
        reading = shown.add_task("reading", total=1.0)
        told = lambda share: shown.update(reading, completed=share)  # noqa: E731 - one line of glue
        counting = tokenizer if tokenizer is None or ":" not in tokenizer else tokenizer_of(tokenizer)
        summary = summarize_log(log_files(logs), columns=mapping, route=route, zone=zone, tokenizer=counting, progress=told)
    if as_json:
        typer.echo(json.dumps(summary_json(summary), indent=2, allow_nan=False))
    else:
        _print(summary)
    if out is None and not save:
        return
    workload = workload_of(summary, complexity=complexity, name=name)
    if save:
        workload_id = save_workload(settings(), workload, created=datetime.now(UTC), note=f"request log {summary.name}")
        typer.echo(f"saved as {workload_id}", err=True)
    if out is not None:
        _write(out, workload_toml(workload, summary, complexity_given=complexity is not None))
        typer.echo(f"wrote {out}", err=True)


@app.command()
def usage(
    export: Annotated[Path, typer.Argument(help="JSON of OpenAI's usage API: a page, a list of pages, or a list of buckets.")],
    out: Annotated[Path | None, typer.Option(help="Write the workload to this TOML file.")] = None,
    complexity: Annotated[Complexity | None, typer.Option(help="What the answers are for; the export does not say.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the workload; the file's name if not given.")] = None,
) -> None:
    """Figures of usage that a provider has added up, and the workload they make."""
    summary = summarize_usage(export)
    table = Table("model", "requests", "input tokens", "output tokens", title=escape(summary.name))
    for part in summary.models:
        table.add_row(escape(part.name) or "(all)", f"{part.requests:,}", f"{part.input_tokens:,}", f"{part.output_tokens:,}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{summary.span_s / SECONDS_PER_DAY:.2f} days in buckets of {summary.bucket_s:,.0f} s", markup=False, soft_wrap=True)
    if out is not None:
        workload = workload_of_usage(summary, complexity=complexity, name=name)
        _write(out, usage_toml(workload, summary, complexity_given=complexity is not None))
        typer.echo(f"wrote {out}", err=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def _print(summary: TraceSummary) -> None:
    console = Console(highlight=False)
    figures = Table(title=escape(summary.name), show_header=False)
    for label, value in _figures(summary):
        figures.add_row(label, value)
    lengths = Table("tokens", *(f"{name}" for name in ("mean", "p50", "p90", "p95", "p99", "max")))
    lengths.add_row("prompt", *_lengths(summary.input_lengths))
    lengths.add_row("answer", *_lengths(summary.output_lengths))
    peaks = Table("busiest window over the mean", "requests", "tokens", "windows")
    for peak in summary.peaks:
        peaks.add_row(f"{peak.window_s} s", f"{peak.requests_to_mean:.2f}", f"{peak.tokens_to_mean:.2f}", f"{peak.windows:,}")
    for table in (figures, lengths, peaks):
        console.print(table)
    if summary.routes:
        console.print(_routes(summary))
    for row in summary.broken_examples:
        console.print(f"not read: {row.place}: {row.reason}: {row.text}", markup=False, soft_wrap=True)
    for remark in summary.remarks:
        console.print(f"Note: {remark}", markup=False, soft_wrap=True)


def _routes(summary: TraceSummary) -> Table:
    table = Table("route", "requests", "prompt tokens", "answer tokens")
    for part in summary.routes[:20]:
        table.add_row(escape(part.name) or "(none)", f"{part.requests:,}", f"{part.input_tokens:,}", f"{part.output_tokens:,}")
    return table


def _figures(summary: TraceSummary) -> list[tuple[str, str]]:
    when = (
        f"{summary.first:%Y-%m-%d %H:%M:%S} to {summary.last:%Y-%m-%d %H:%M:%S} UTC" if summary.first and summary.last else "not in the log"
    )
    return [
        ("columns", summary.format_id),
        ("requests", f"{summary.requests:,}"),
        ("rows not read", f"{summary.broken_rows:,}"),
        ("rows counted once or left out", f"{summary.duplicates + summary.other_rows:,}"),
        ("when", when),
        ("span", f"{summary.span_s:,.0f} s"),
        ("mean rate", f"{summary.mean_requests_per_s:.2f} requests/s"),
        ("kept up for a day", f"{summary.requests_per_day:,.0f} requests"),
        ("input share of tokens", f"{summary.input_share:.1%}"),
        ("cached share of input", "not in the log" if summary.cached_input_share is None else f"{summary.cached_input_share:.1%}"),
        ("CV of gaps", f"{summary.gap_cv:.3g} (1 is Poisson)"),
    ]


def _lengths(lengths: LengthDistribution) -> list[str]:
    quantiles = (lengths.quantile_tokens(share) for share in (0.5, 0.9, 0.95, 0.99))
    return [f"{lengths.mean_tokens:,.0f}", *(f"{length:,}" for length in quantiles), f"{lengths.max_tokens:,}"]


if __name__ == "__main__":
    commandline.run(app)
