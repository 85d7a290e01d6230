"""python -m selector: decide on a workload file from the command line."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from json import dumps as json_dumps
from json import loads as json_loads
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from capacity.accelerators import accelerators as catalogued_accelerators
from capacity.described import described_device, described_model
from capacity.models import models as catalogued_models
from facts.commandline import run
from facts.errors import InputError
from facts.records import validated
from facts.settings import settings
from pricing.own_files import read_rents, read_servers
from pricing.prices import PriceOverrides
from probes.store import get_measurement
from selector.audit import AuditResult, AuditVerdict, audit_each, audit_json
from selector.case_scores import CaseScores, read_scores
from selector.catalog import Catalog, load_catalog
from selector.claims import CLAIMS, ClaimKind, Unreadable, keys_of, read_each_claim, shipped_claims
from selector.comparison import compare
from selector.doubt_text import doubt_lines
from selector.evidence import units
from selector.evidence_report import report as evidence_report
from selector.evidence_report import unseen_report
from selector.gap_gate import ALPHA, MARGIN_SHARE, POWER, GateResult, Margin, gate_by_holm, gate_json, gate_sealed, plan_test
from selector.gap_gate import gate as run_gate
from selector.history import (
    approval_status,
    approve,
    archive_scenario,
    duplicate_scenario,
    end_share,
    find_scenario,
    restore_scenario,
    scenario_versions,
    share_scenario,
    shared_scenario,
)
from selector.looks import Stage, sketch
from selector.own_options import OwnOption
from selector.playbook import Playbook, State, next_alpha, next_test, playbook_json, playbook_of
from selector.portfolio import decide_all, read_portfolio
from selector.public import dumps, result_json, to_json
from selector.recommendation import conclude, consider, recommend
from selector.reconcile import read_actuals, read_decision, reconcile
from selector.replay import Replay, kept_inputs, recording, replayed
from selector.results import Recommendation
from selector.scenarios import Scenario, own_to_toml, read_scenario, scenario_to_toml
from selector.sensitivity import DRAWS, SEED, doubt, widened
from selector.sensitivity import to_json as doubt_json
from selector.sentences import months, percent, usd
from selector.store import (
    get_decision,
    get_inputs,
    list_entries,
    list_gates,
    list_scenarios,
    save_actuals,
    save_decision,
    save_entry,
    save_gates,
    save_scenario,
    stored_catalog,
    stored_gates,
)
from selector.transfer import export_file, import_file
from selector.tree import Tree, load_tree, read_tree
from selector.validation import score_unseen

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Which model should run where, and what will it cost?")


@app.callback()
def _selector() -> None:
    """Which model should run where, and what will it cost?"""


@app.command()
def decide(
    workload: Annotated[Path, typer.Argument(help=r"TOML file with the workload, \[prices] and \[assumptions]")],
    json: Annotated[bool, typer.Option("--json", help="print the decision as JSON")] = False,
    as_of: Annotated[str, typer.Option(help="use the prices of this day, YYYY-MM-DD (default: today)")] = "",
    tree: Annotated[str, typer.Option(help="decision tree to walk: corrected, seed-2026, or your own TOML file")] = "corrected",
    accept_doubtful: Annotated[bool, typer.Option(help="use this machine's probe even where it doubts itself")] = False,
    rents: Annotated[Path | None, typer.Option(help="CSV of your own GPU rents, over the bundled ones")] = None,
    servers: Annotated[Path | None, typer.Option(help="CSV of your own server prices, over the bundled ones")] = None,
    save: Annotated[bool, typer.Option("--save/--no-save", help="keep the scenario and the decision in the database")] = True,
    with_inputs: Annotated[
        bool, typer.Option(help="with --json: add the prices it was made with, so that the file can be replayed")
    ] = False,
) -> None:
    """Decide for one workload: the sentence, the path through the tree, and every option with its bill."""
    now = datetime.now(tz=UTC)
    scenario = read_scenario(workload)
    day = _day(as_of, now)
    own_rents, own_servers = read_rents(rents) if rents else (), read_servers(servers) if servers else ()
    if save:
        catalog = stored_catalog(
            settings(),
            day,
            scenario,
            accept_doubtful=accept_doubtful,
            host=platform.node(),
            own_rents=own_rents,
            own_servers=own_servers,
        )
        save_scenario(settings(), scenario, created=now, catalog=catalog)
    else:
        catalog = load_catalog(day, scenario.prices, own_rents=own_rents, own_servers=own_servers)
    noted, walked = recording(catalog), _tree(tree)
    recommendation = recommend(scenario, noted, walked)
    inputs = kept_inputs(scenario, noted, walked)
    if save:
        save_decision(settings(), recommendation, created=now, inputs=inputs)
    if json:
        document = to_json(recommendation)
        print(dumps(document | {"inputs": json_loads(inputs)} if with_inputs else document))
    else:
        _show(recommendation)


@app.command("own")
def own_option(
    model: Annotated[str, typer.Option(help="model, or its config.json ('-' reads a pasted one), its GGUF file, or hf:owner/name")],
    device: Annotated[str, typer.Option(help="device, or a TOML file with its data sheet")],
    placement: Annotated[str, typer.Option(help="rented or owned")],
    gpus: Annotated[int, typer.Option(help="devices of one replica")] = 1,
    quantization: Annotated[str, typer.Option(help="precision of the weights, as fp8 or Q4_K_M")] = "fp8",
    engine: Annotated[str, typer.Option(help="vllm, sglang, trtllm, llama.cpp, mlx")] = "vllm",
    tuning: Annotated[str, typer.Option(help="none, to_do or done: whether it is tuned on your labels")] = "none",
    usd_per_gpu_hour: Annotated[float | None, typer.Option(help="your rent of one device for an hour")] = None,
    provider: Annotated[str, typer.Option(help="who rents it to you")] = "",
    usd_per_gpu: Annotated[float | None, typer.Option(help="your price of one device with its share of the server")] = None,
    kw_per_gpu: Annotated[float | None, typer.Option(help="its power at full load")] = None,
    title: Annotated[str, typer.Option(help="for the reader")] = "",
) -> None:
    """Print an option of your own, with everything that describes it, to stand at the end of a workload file."""
    spec, accelerator = described_model(model), described_device(device)
    catalogued, known = catalogued_models(), catalogued_accelerators()
    stated = {
        "title": title,
        "model": spec.id if spec in catalogued else "",
        "shape": None if spec in catalogued else spec,
        "device": accelerator.id if accelerator in known else "",
        "sheet": None if accelerator in known else accelerator,
        "gpus": gpus,
        "quantization": quantization,
        "engine": engine,
        "placement": placement,
        "tuning": tuning,
        "usd_per_gpu_hour": usd_per_gpu_hour,
        "provider": provider,
        "server_usd_per_gpu": usd_per_gpu,
        "server_kw_per_gpu": kw_per_gpu,
    }
    print(own_to_toml(validated(OwnOption, stated, "your own option")), end="")


@app.command("replay")
def replay_decision(
    decision: Annotated[str, typer.Argument(help="id of a kept decision, its beginning, or a file that decide --json wrote")],
    json: Annotated[bool, typer.Option("--json", help="print the decision as it comes out now, as JSON")] = False,
) -> None:
    """Make a kept decision again with the prices, tests and probes it was made with, and say whether it is the same."""
    document, inputs = _kept_decision(decision)
    found = replayed(inputs, document, lambda measurement_id: get_measurement(settings(), measurement_id))
    if json:
        print(dumps(to_json(found.recommendation)))
    else:
        print(f"{document['workload']['name']}, decided with the prices of {document['as_of']}: {_replay_words(found)}")
        for line in found.differences:
            print(f"    {line}")
        if found.total_differences > len(found.differences):
            print(f"    and {found.total_differences - len(found.differences)} more")
    if not found.same:
        raise typer.Exit(1)


def _replay_words(found: Replay) -> str:
    if found.same:
        return "the same in every number and word"
    because = f"; {found.because}" if found.because else ""
    return f"{found.total_differences} {'entry differs' if found.total_differences == 1 else 'entries differ'}{because}"


def _kept_decision(decision: str) -> tuple[dict[str, Any], str]:
    """The JSON of a kept decision and what it was made from, by id or from a file."""
    path = Path(decision)
    if not path.suffix and not path.exists():
        kept = get_decision(settings(), decision)
        return kept.document, get_inputs(settings(), kept.id)
    try:
        document = json_loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a kept decision's id or a file of decide --json") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("inputs_sha256"), str) or "workload" not in document:
        raise InputError(f"{path} is no decision: decide WORKLOAD.toml --json writes one")
    inputs = document.pop("inputs", None)
    if inputs is not None:
        return document, json_dumps(inputs)
    try:
        return document, get_inputs(settings(), document["inputs_sha256"][:32])
    except InputError:
        sha = document["inputs_sha256"][:12]
        way_out = "decide with --with-inputs, or import the store it was kept in"
        raise InputError(f"{path}: the prices of decision {sha} are not in it and not kept here: {way_out}") from None


@app.command("doubt")
def show_doubt(
    workload: Annotated[Path, typer.Argument(help=r"TOML file with the workload, \[prices] and \[assumptions]")],
    draws: Annotated[int, typer.Option(help="how many worlds are drawn", min=1, max=1_000_000)] = DRAWS,
    seed: Annotated[int, typer.Option(help="which random numbers; the same seed gives the same result", min=0)] = SEED,
    json: Annotated[bool, typer.Option("--json", help="print everything as JSON")] = False,
    as_of: Annotated[str, typer.Option(help="use the prices of this day, YYYY-MM-DD (default: today)")] = "",
) -> None:
    """How sure the decision is: totals and chances over many draws, what moves the saving most, and where the verdict changes."""
    scenario, day = read_scenario(workload), _day(as_of, datetime.now(tz=UTC))
    considered = consider(scenario, stored_catalog(settings(), day, scenario, host=platform.node()))
    found = widened(considered, doubt(considered, draws=draws, seed=seed))
    if json:
        print(dumps(doubt_json(found)))
        return
    print(conclude(considered).choice.sentence)
    titles = {one.option.id: one.option.title for one in considered.evaluations}
    for line in doubt_lines(found, titles):
        print(line)


@app.command("playbook")
def show_playbook(
    workload: Annotated[Path, typer.Argument(help=r"TOML file with the workload, \[prices] and \[assumptions]")],
    json: Annotated[bool, typer.Option("--json", help="print the project as JSON")] = False,
    done: Annotated[Stage | None, typer.Option(help="note that this stage is done")] = None,
    reopen: Annotated[Stage | None, typer.Option(help="note that this stage is open again")] = None,
    note: Annotated[str, typer.Option(help="what was found, kept with --done or --reopen")] = "",
    who: Annotated[str, typer.Option(help="who did it, kept with --done, --reopen or --scores")] = "",
    option: Annotated[str, typer.Option(help="id of the option to pursue (default: the recommended one)")] = "",
    scores: Annotated[Path | None, typer.Option(help="CSV of scores per case: run the next test on it and keep what it says")] = None,
    margin: Annotated[float, typer.Option(help="with --scores: how much worse is still good enough, 0.05 is 5 %")] = MARGIN_SHARE,
    relative: Annotated[bool, typer.Option("--relative/--absolute", help="with --scores: of the baseline's score, or in points")] = True,
    as_of: Annotated[str, typer.Option(help="use the prices of this day, YYYY-MM-DD (default: today)")] = "",
) -> None:
    """The six stages from an idea to production: what is done, what comes next, what it costs, and whether it is worth it."""
    now = datetime.now(tz=UTC)
    if done is not None and done is reopen:
        raise InputError(f"stage '{done}' cannot be done and open again at once: give --done or --reopen")
    if done is None and reopen is None and (note or (who and scores is None)):
        raise InputError("--note and --who are kept with a stage: add --done STAGE or --reopen STAGE")
    scenario, day = read_scenario(workload), _day(as_of, now)
    name = scenario.workload.name
    recommendation = recommend(scenario, stored_catalog(settings(), day, scenario, host=platform.node()))
    for stage, closes in ((reopen, False), (done, True)):
        if stage is not None:
            save_entry(settings(), name, stage, created=now, done=closes, who=who, note=note)
    project = playbook_of(recommendation, list_entries(settings(), name), list_gates(settings(), name), option_id=option or None)
    if scores is not None:
        _test_next(project, recommendation, read_scores(scores), Margin(share=margin, relative=relative), now, who)
        recommendation = recommend(scenario, stored_catalog(settings(), day, scenario, host=platform.node()))
        project = playbook_of(recommendation, list_entries(settings(), name), list_gates(settings(), name), option_id=option or None)
    if json:
        print(dumps(playbook_json(project)))
    else:
        _show_playbook(project)


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


def _test_next(project: Playbook, recommendation: Recommendation, scores: CaseScores, limit: Margin, now: datetime, who: str) -> None:
    """Run the project's next test at the level its cases still hold, and keep the result."""
    name, cases = project.scenario_name, sketch(scores.items)
    stage, option_id, arm = next_test(project, recommendation)
    alpha = next_alpha(stage, project, list_gates(settings(), name), cases)
    found = run_gate(scores, limit, alpha=alpha, option_id=option_id, arm=arm, as_of=now.date())
    save_gates(settings(), name, [found], stage=stage, created=now, alpha=alpha, items=scores.items, who=who)


def _show_playbook(project: Playbook) -> None:
    console = Console(highlight=False)
    console.print(project.sentence, style="bold", markup=False)
    for status in project.stages:
        marks = {State.DONE: "done", State.NEXT: "next", State.WAITING: "later", State.NOT_NEEDED: "not needed", State.STOPPED: "stopped"}
        console.print(f"\n{status.number} {status.title}: {marks[status.state]}, {usd(status.cost_usd)}", style="bold", markup=False)
        if status.because:
            console.print(f"  {status.because}", markup=False)
        if status.state is State.NEXT:
            for text in (
                status.question,
                f"Done when: {status.done_when}",
                f"Needs: {status.needs}",
                f"Measured elsewhere: {status.evidence}",
            ):
                console.print(f"  {text}", markup=False)
    shown = [status.gate for status in project.stages]
    for result in project.tested:
        if result not in shown:
            console.print(f"\nTested before ({result.option_id or result.arm or 'no option named'}): {result.sentence}", markup=False)
    console.print()
    if project.looks_rule:
        console.print(project.looks_rule, markup=False)
    if project.saving_month_usd is not None and project.saving_month_usd > 0 and project.next is not None:
        console.print(f"Each month of waiting forgoes {usd(project.saving_month_usd)} if the option turns out good enough.")
    if project.retraining_year_usd > 0:
        once, year = usd(project.retraining_once_usd), usd(project.retraining_year_usd)
        console.print(f"The bill holds {year} a year for keeping it good, {once} each time.")
    if project.drift is not None and project.next is not None:
        console.print(project.drift.sentence, markup=False)


def _tree(name: str) -> Tree:
    return read_tree(Path(name)) if name.endswith(".toml") else load_tree(name)


@app.command()
def audit(
    claims: Annotated[Path | None, typer.Argument(help=r"TOML file of \[\[claim]] tables (default: those of five articles)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="print every key that a claim may have, by kind, and audit nothing")] = False,
    as_of: Annotated[str, typer.Option(help="use the prices of this day, YYYY-MM-DD (default: today)")] = "",
) -> None:
    """Recompute stated claims: each reproduces, does not, or cannot be decided and which fact is missing."""
    if keys:
        _claim_keys()
        return
    read = shipped_claims() if claims is None else read_each_claim(claims)
    results, wrong = audit_each(read, load_catalog(_day(as_of, datetime.now(tz=UTC))))
    if as_json:
        print(json_dumps([audit_json(result) for result in results], indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _audited(results)
    if wrong:
        raise InputError(wrong)


def _audited(results: Sequence[AuditResult | Unreadable]) -> None:
    for result in results:
        if isinstance(result, Unreadable):
            print(f"{result.id}: cannot be read\n    {result.because}")
            continue
        print(f"{result.id}: {_VERDICTS[result.verdict]}")
        for line in (result.quote, result.arithmetic, f"missing: {', '.join(result.missing)}" if result.missing else ""):
            if line:
                print(f"    {line}")
    read = [result for result in results if isinstance(result, AuditResult)]
    counted = ", ".join(f"{sum(result.verdict is verdict for result in read)} {words}" for verdict, words in _VERDICTS.items())
    unread = f", {len(results) - len(read)} cannot be read" if len(read) < len(results) else ""
    print(f"{len(results)} claims: {counted}{unread}")


def _claim_keys() -> None:
    """Every key of every kind, as --keys prints them."""
    for kind in ClaimKind:
        print(f"{kind}: {CLAIMS[kind].__doc__}")
        for key, meaning in keys_of(kind).items():
            print(f"    {key}: {meaning}")


_VERDICTS = {
    AuditVerdict.REPRODUCES: "reproduces",
    AuditVerdict.DOES_NOT: "does not reproduce",
    AuditVerdict.UNDECIDABLE: "cannot be decided",
}


@app.command()
def gate(
    results: Annotated[list[Path], typer.Argument(help="CSV of scores per case: item, baseline, candidate, optional cluster, slice, seed")],
    margin: Annotated[float, typer.Option(help="how much worse is still good enough, 0.05 is 5 %")] = MARGIN_SHARE,
    relative: Annotated[bool, typer.Option("--relative/--absolute", help="of the baseline's score, or in points")] = True,
    alpha: Annotated[float, typer.Option(help="one-sided level; two gates in a row: 0.02, then 0.03")] = ALPHA,
    seed: Annotated[str | None, typer.Option(help="only the rows of this seed, the one that ships")] = None,
    planned: Annotated[int | None, typer.Option(help="cases planned in all, when this is an early look")] = None,
    sealed: Annotated[bool, typer.Option("--sealed", help="choose among several files on half of the cases, test on the other")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """Test whether a model holds on your own cases: shown good enough, shown not, or not decided. Several files are held to Holm."""
    scores = [read_scores(path, seed=seed) for path in results]
    limit, today = Margin(share=margin, relative=relative), datetime.now(tz=UTC).date()
    if planned is not None and (sealed or len(scores) > 1):
        raise InputError(
            f"--planned is for one file of scores, here are {len(scores)}: test several candidates once, when all cases are in"
        )
    found: tuple[GateResult, ...]
    if sealed:
        found = (gate_sealed(scores, limit, alpha=alpha, as_of=today),)
    elif len(scores) > 1:
        found = gate_by_holm(scores, limit, alpha=alpha, as_of=today)
    else:
        found = (run_gate(scores[0], limit, alpha=alpha, planned_items=planned, as_of=today),)
    if as_json:
        documents = [gate_json(one) for one in found]
        print(json_dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False, allow_nan=False))
        return
    for one in found:
        _show_gate(one)


def _show_gate(result: GateResult) -> None:
    print(result.sentence)
    if result.counts is not None:
        counts = result.counts
        print(
            f"    {counts.baseline_only:,} cases only the baseline solved, {counts.option_only:,} only the candidate, {counts.both:,} both"
        )
    if result.probability is not None:
        print(f"    chance that it is within the margin, given these cases: {result.probability:.1%} (the bar is 95%)")
    for one in result.slices:
        print(f"    slice {one.name} ({one.n:,}): {one.difference:+.1%}, {one.low:+.1%} to {one.high:+.1%}")
    for note in result.notes:
        print(f"    {note}")


@app.command("plan-test")
def plan(
    p_ref: Annotated[float, typer.Option(help="score of the baseline, 0 to 1")],
    psi: Annotated[float, typer.Option(help="share of cases where exactly one of the two is right; a pilot of 100 shows it")],
    difference: Annotated[float, typer.Option(help="true difference, candidate less baseline")] = 0.0,
    margin: Annotated[float, typer.Option(help="how much worse is still good enough, 0.05 is 5 %")] = MARGIN_SHARE,
    relative: Annotated[bool, typer.Option("--relative/--absolute", help="of the baseline's score, or in points")] = True,
    alpha: Annotated[float, typer.Option(help="one-sided level")] = ALPHA,
    power: Annotated[float, typer.Option(help="chance of showing it")] = POWER,
    per_cluster: Annotated[float, typer.Option(help="cases that share a document, customer or template")] = 1.0,
    cluster_correlation: Annotated[float, typer.Option(help="how alike such cases are, 0 to 1")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="print the plan as JSON")] = False,
) -> None:
    """Say beforehand how many cases a test takes."""
    found = plan_test(
        baseline_share=p_ref,
        discordant_share=psi,
        difference=difference,
        margin=Margin(share=margin, relative=relative),
        alpha=alpha,
        power=power,
        items_per_cluster=per_cluster,
        cluster_correlation=cluster_correlation,
    )
    if as_json:
        print(json_dumps(gate_json(found), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print(found.sentence)
    for true, items in found.by_difference:
        print(f"    true difference {true:+.0%}: {'cannot be shown' if items is None else f'{items:,} cases'}")


@app.command()
def evidence(
    out: Annotated[Path | None, typer.Option("--out", help="write the whole report there (docs/evidence.md)")] = None,
    score: Annotated[Path | None, typer.Option("--score", help="CSV of other studies, with the columns of a table of studies")] = None,
) -> None:
    """How far to trust the chances of being good enough; with --score, how they do on studies that were not in the fit."""
    if score is not None:
        print(unseen_report(score_unseen(score)))
    elif out is None:
        print(evidence_report(), end="")
    if out is not None:
        try:
            out.write_text(evidence_report(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{out} cannot be written: {error.strerror}") from None
        print(f"{len(units())} published units: {out}")


# ---- what is kept ----

kept = typer.Typer(no_args_is_help=True, help="Saved scenarios: list, compare, duplicate, archive, approve, share, export, import.")
app.add_typer(kept, name="scenarios")
Who = Annotated[str, typer.Option(help="your name, kept with what you do")]
Note = Annotated[str, typer.Option(help="why, in your words")]
Reference = Annotated[str, typer.Argument(help="a saved scenario: its name, NAME@VERSION, or the id of a version")]


@kept.command("list")
def list_saved(
    archived: Annotated[bool, typer.Option("--archived", help="those in the archive")] = False,
    name: Annotated[str, typer.Option(help="every version of this scenario")] = "",
) -> None:
    """Show the saved scenarios: version, when, who, price book, and whether they are approved."""
    found = scenario_versions(settings(), name) if name else list_scenarios(settings(), archived=archived)
    table = _table("id", "name", "version", "saved", "by", "prices", "approval")
    for saved in found:
        approval = approval_status(settings(), saved.scenario).sentence
        prices = f"{saved.prices}, {saved.as_of}" if saved.prices else "-"
        table.add_row(
            saved.id, escape(saved.name), str(saved.version), saved.created[:16], escape(saved.who) or "-", prices, escape(approval)
        )
    Console(highlight=False).print(table if found else "nothing is saved here" + (" in the archive" if archived else ""))


@kept.command("diff")
def diff_saved(
    before: Reference,
    after: Reference,
    as_of: Annotated[str, typer.Option(help="decide both with the prices of this day, YYYY-MM-DD (default: today)")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print the comparison as JSON")] = False,
) -> None:
    """Show exactly the inputs in which two saved scenarios differ, and what becomes of the verdict."""
    day = _day(as_of, datetime.now(tz=UTC))
    old, new = (find_scenario(settings(), reference).scenario for reference in (before, after))
    found = compare(*(recommend(one, stored_catalog(settings(), day, one, host=platform.node())) for one in (old, new)))
    if as_json:
        print(dumps(result_json(found)))
        return
    for change in found.changes:
        print(f"{change.table}.{change.key}: {_stated(change.before)} -> {_stated(change.after)}")
    print(found.sentence)


@kept.command()
def duplicate(source: Reference, name: Annotated[str, typer.Argument(help="the new name")], who: Who = "") -> None:
    """Keep the inputs of a saved scenario under another name."""
    copy = duplicate_scenario(settings(), source, name, created=datetime.now(tz=UTC), who=who)
    print(f"{copy.name}, version {copy.version}: {copy.id}")


@kept.command()
def archive(name: Annotated[str, typer.Argument(help="the scenario's name")], who: Who = "", note: Note = "") -> None:
    """Take a scenario off the list; nothing of it is deleted."""
    archive_scenario(settings(), name, created=datetime.now(tz=UTC), who=who, note=note)


@kept.command()
def restore(name: Annotated[str, typer.Argument(help="the scenario's name")], who: Who = "", note: Note = "") -> None:
    """Put an archived scenario back on the list."""
    restore_scenario(settings(), name, created=datetime.now(tz=UTC), who=who, note=note)


@kept.command("approve")
def approve_saved(
    source: Reference,
    who: Annotated[str, typer.Option(help="who approves")],
    note: Note = "",
    as_of: Annotated[str, typer.Option(help="decide with the prices of this day, YYYY-MM-DD (default: today)")] = "",
) -> None:
    """Decide on a saved scenario and note that you approve the verdict; a later change of its inputs shows."""
    now = datetime.now(tz=UTC)
    saved = find_scenario(settings(), source)
    catalog = stored_catalog(settings(), _day(as_of, now), saved.scenario, host=platform.node())
    decision = recommend(saved.scenario, catalog)
    save_decision(settings(), decision, created=now)
    approval = approve(settings(), saved, decision, catalog, created=now, who=who, note=note)
    print(f"{approval.sentence}\napproved by {approval.who}: {saved.name}, version {saved.version}, inputs {approval.inputs_sha256[:12]}")


@kept.command("share")
def share_saved(source: Reference, who: Who = "") -> None:
    """Make a link by which this version can be read and not changed."""
    print(share_scenario(settings(), find_scenario(settings(), source), created=datetime.now(tz=UTC), who=who).id)


@kept.command()
def show(link: Annotated[str, typer.Argument(help="the id of a link")]) -> None:
    """Print the scenario that a link shows, as TOML."""
    print(scenario_to_toml(shared_scenario(settings(), link).scenario), end="")


@kept.command("end-share")
def end_saved_share(link: Annotated[str, typer.Argument(help="the id of a link")]) -> None:
    """Withdraw a link."""
    end_share(settings(), link, ended=datetime.now(tz=UTC))


@kept.command("export")
def export_all(out: Annotated[Path, typer.Argument(help="the file to write")]) -> None:
    """Write everything that is kept to one file: scenarios, decisions, approvals, measurements, prices, bills."""
    print(f"wrote {export_file(settings(), out, created=datetime.now(tz=UTC)):,} bytes to {out}")


@kept.command("import")
def import_all(source: Annotated[Path, typer.Argument(help="a file that export wrote")]) -> None:
    """Add what a file holds and this database does not; all of it or nothing."""
    found = import_file(settings(), source)
    print(f"{found.added_rows:,} rows are new, {found.known:,} were here already")


@app.command()
def portfolio(
    workloads: Annotated[Path | None, typer.Argument(help="CSV with a workload a row (default: every saved scenario)")] = None,
    as_of: Annotated[str, typer.Option(help="use the prices of this day, YYYY-MM-DD (default: today)")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print the portfolio as JSON")] = False,
) -> None:
    """Decide on many workloads at once: a verdict each, the total, and what shared servers would save."""
    day = _day(as_of, datetime.now(tz=UTC))
    scenarios = read_portfolio(workloads) if workloads else tuple(saved.scenario for saved in list_scenarios(settings()))
    catalogs: dict[PriceOverrides, Catalog] = {}

    def catalog_of(scenario: Scenario) -> Catalog:
        if scenario.prices not in catalogs:
            catalogs[scenario.prices] = stored_catalog(settings(), day, scenario, host=platform.node())
        gates = stored_gates(settings(), scenario.workload.name, day) if workloads is None else ()
        return replace(catalogs[scenario.prices], gates=gates)

    found = decide_all(scenarios, catalog_of)
    if as_json:
        print(dumps(result_json(found)))
        return
    console = Console(highlight=False, markup=False)
    console.print(found.sentence, style="bold")
    table = _table("workload", "verdict", "today", f"{found.horizon_months}-month total", "saving", "good enough", "pool")
    for row in found.rows:
        chance = "-" if row.probability is None else percent(row.probability)
        action = row.error or f"{row.action}: {row.title}" if row.action else row.error
        table.add_row(
            escape(row.name), escape(action), _usd(row.baseline_usd), _usd(row.total_usd), _usd(row.saving_usd), chance, row.pool_id
        )
    console.print(table)
    for pool in found.pools:
        console.print(f"{pool.id}: {pool.sentence}", soft_wrap=True)


@app.command("reconcile")
def reconcile_bills(
    decision: Annotated[str, typer.Argument(help="id of a kept decision, or a JSON file that `decide --json` printed")],
    bills: Annotated[Path, typer.Argument(help="CSV with month, line, usd and, if known, tokens")],
    option: Annotated[str, typer.Option(help="id of the option in use (default: the recommended one)")] = "",
    first_month: Annotated[str, typer.Option(help="the project's first month, YYYY-MM, where the bills name calendar months")] = "",
    save: Annotated[bool, typer.Option("--save/--no-save", help="keep the bills beside a kept decision")] = True,
    replace_changed: Annotated[bool, typer.Option("--replace", help="bills that were kept with another amount are replaced")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Compare bills with the forecast: variance by line, the rest forecast again, and whether the verdict still holds."""
    actuals = read_actuals(bills, first_month=first_month or None)
    if decision.endswith(".json"):
        document = read_decision(Path(decision))
    else:
        kept_decision = get_decision(settings(), decision)
        document = kept_decision.document
        if save:
            now = datetime.now(tz=UTC)
            actuals = save_actuals(settings(), kept_decision.id, actuals, created=now, replace_changed=replace_changed)
    found = reconcile(document, actuals, option_id=option or None)
    if as_json:
        print(dumps(result_json(found)))
        return
    console = Console(highlight=False, markup=False)
    console.print(found.sentence, style="bold")
    table = _table("line", "forecast", "billed", "difference", "by volume", "by price")
    for line in found.lines:
        amounts = (line.forecast_usd, line.actual_usd, line.difference_usd, line.volume_usd, line.price_usd)
        table.add_row(line.line, *(_usd(amount) for amount in amounts))
    console.print(table)
    for text in (*found.alerts, *found.notes):
        console.print(text, soft_wrap=True)
    console.print("The verdict holds." if found.verdict_holds else "The verdict no longer holds.", style="bold")


def _stated(value: object) -> str:
    return "not stated" if value is None else json_dumps(value, ensure_ascii=False)


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
    for said in (recommendation.choice.why_they_differ, recommendation.choice.tie_broken):
        if said:
            console.print(said)
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
    for said in _about_the_choice(recommendation):
        console.print(said)
    console.print(recommendation.measured.sentence)
    inputs = recommendation.inputs_sha256[:12]
    console.print(f"Prices as of {recommendation.as_of}, method {recommendation.method_version}, inputs {inputs}.")


def _about_the_choice(recommendation: Recommendation) -> list[str]:
    """The recommended option's shortlist and what it means for the organisation, line by line."""
    option = recommendation.option(recommendation.choice.option_id)
    if option is None:
        return []
    lines = []
    if option.base_model is not None:
        names = ", ".join(entry.name for entry in option.base_model.shortlist)
        lines.append(f"Shortlist of the pilot: {names} ({option.base_model.because}). {option.base_model.sentence}".rstrip())
        lines.extend(f"Left out: {said}." for said in option.base_model.left_out)
    return [*lines, *(f"{factor.name.capitalize()}: {factor.level}; {factor.because}." for factor in option.factors)]


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
