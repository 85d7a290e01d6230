"""python -m selector: decide on a workload file from the command line."""

from __future__ import annotations

import platform
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from facts.commandline import run
from facts.errors import InputError
from facts.settings import settings
from selector.catalog import load_catalog
from selector.public import dumps, to_json
from selector.recommendation import recommend
from selector.results import Recommendation
from selector.scenarios import read_scenario
from selector.sentences import months, percent, usd
from selector.store import save_decision, save_scenario, stored_catalog
from selector.tree import Tree, load_tree, read_tree

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Which model should run where, and what will it cost?")


@app.callback()
def _selector() -> None:
    """Which model should run where, and what will it cost?"""


@app.command()
def decide(
    workload: Annotated[Path, typer.Argument(help="TOML file with the workload, [prices] and [assumptions]")],
    json: Annotated[bool, typer.Option("--json", help="print the decision as JSON")] = False,
    as_of: Annotated[str, typer.Option(help="use the prices of this day, YYYY-MM-DD (default: today)")] = "",
    tree: Annotated[str, typer.Option(help="decision tree to walk: corrected, seed-2026, or your own TOML file")] = "corrected",
    accept_doubtful: Annotated[bool, typer.Option(help="use this machine's probe even where it doubts itself")] = False,
    save: Annotated[bool, typer.Option("--save/--no-save", help="keep the scenario and the decision in the database")] = True,
) -> None:
    """Decide for one workload: the sentence, the path through the tree, and every option with its bill."""
    now = datetime.now(tz=UTC)
    scenario = read_scenario(workload)
    day = _day(as_of, now)
    if save:
        save_scenario(settings(), scenario, created=now)
        catalog = stored_catalog(settings(), day, scenario.prices, accept_doubtful=accept_doubtful, host=platform.node())
    else:
        catalog = load_catalog(day, scenario.prices)
    recommendation = recommend(scenario, catalog, _tree(tree))
    if save:
        save_decision(settings(), recommendation, created=now)
    if json:
        print(dumps(to_json(recommendation)))
    else:
        _show(recommendation)


@app.command("tree")
def check_tree(
    tree: Annotated[str, typer.Argument(help="corrected, seed-2026, or your own TOML file")] = "corrected",
) -> None:
    """Check that a decision tree is complete, and print its questions and where they lead."""
    found = _tree(tree)
    console = Console(highlight=False)
    console.print(f"{found.title} ({found.id} {found.version}): complete, every input reaches exactly one of {len(found.leaf)} ends")
    for node in found.node:
        console.print(f"\n{node.id}: {node.question}", style="bold")
        for branch in node.branch:
            console.print(f"  {branch.answer} [dim]->[/dim] {branch.to}")
            if branch.departs_from_article:
                console.print(f"    [dim]{branch.departs_from_article}[/dim]")
        console.print(f"  [dim]{node.source}[/dim]")


def _tree(name: str) -> Tree:
    return read_tree(Path(name)) if name.endswith(".toml") else load_tree(name)


def _day(text: str, now: datetime) -> date:
    if not text:
        return now.date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--as-of {text!r} is no day: write it as YYYY-MM-DD") from None


def _show(recommendation: Recommendation) -> None:
    console = Console(highlight=False, markup=False)
    horizon = recommendation.scenario.workload.horizon_months
    console.print(recommendation.choice.sentence, style="bold")
    if recommendation.choice.why_they_differ:
        console.print(recommendation.choice.why_they_differ)
    for alarm in recommendation.alarms:
        console.print(f"Note: {alarm}", style="yellow")
    console.print()
    for step in recommendation.path:
        console.print(f"{step.question} {step.answer}.")
    console.print(f"The tree says: {recommendation.leaf.title}.")
    console.print()
    console.print(_three_arms(recommendation, horizon))
    console.print()
    console.print(_feasible(recommendation, horizon))
    console.print()
    for option in recommendation.options:
        if not option.feasible:
            console.print(f"Refused: {option.title}: {option.refused_because}", style="dim")
    console.print()
    console.print(recommendation.measured.sentence)
    inputs = recommendation.inputs_sha256[:12]
    console.print(f"Prices as of {recommendation.as_of}, method {recommendation.method_version}, inputs {inputs}.")


def _three_arms(recommendation: Recommendation, horizon: int) -> Table:
    table = _table("", f"{horizon}-month total", "upfront", "ROI", "payback vs API", "payback vs 70B")
    for row in recommendation.table:
        roi = "-" if row.roi is None else percent(row.roi)
        paybacks = (_months(row.payback_vs_api_months, horizon), _months(row.payback_vs_70b_months, horizon))
        table.add_row(row.label, _usd(row.total_usd), _usd(row.upfront_usd), roi, *paybacks)
    return table


def _feasible(recommendation: Recommendation, horizon: int) -> Table:
    table = _table("option", f"{horizon}-month total", "expected", "good enough", "USD/Mtok", "servers")
    for option in recommendation.options:
        if option.feasible:
            per_mtok = "-" if option.usd_per_mtok is None else f"{option.usd_per_mtok:,.2f}"
            servers = "-" if option.plan is None else f"{option.plan.replicas} of {option.plan.server}"
            chance = percent(option.quality.probability)
            table.add_row(option.title, _usd(option.total_usd), _usd(option.expected_usd), chance, per_mtok, servers)
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right")
    return table


def _usd(amount: float | None) -> str:
    return "-" if amount is None else usd(amount)


def _months(count: float | None, horizon: int) -> str:
    return "-" if count is None else months(count, horizon).removeprefix("after ")


if __name__ == "__main__":
    run(app)
