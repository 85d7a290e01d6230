"""What a decision says, before any layout: headings, sentences, tables, figures. The Report page and the PDF read the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dashboard import charts, doubt_charts, doubt_words, tables, tree_svg
from dashboard import format as fmt
from dashboard.chart_svg import chart_svg
from probes.measurement import Measurement
from selector.results import OptionResult, Recommendation
from selector.sensitivity import Doubt


@dataclass(frozen=True, kw_only=True)
class Card:
    """One headline number.

    label: what it is
    value: the number as text
    note: what it is measured against
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text.

    caption: what it shows
    columns: headings
    rows: cells
    widths: relative widths of the columns, on paper
    right: indices of the columns with numbers, set flush right
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...] = ()
    right: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture.

    caption: the finding
    alt: the same for someone who cannot see it
    svg: the picture
    """

    caption: str
    alt: str
    svg: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands under it, in this order.

    heading: in a few words
    sentences: paragraphs
    figures: pictures
    tables: tables
    points: a list
    """

    heading: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    points: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """A decision as it is read.

    title: the workload's name
    subtitle: what it is, and of which day
    action: the verdict in a word or two
    verdict: the verdict in a sentence
    cards: the headline numbers
    sections: the rest; the first stands on page 1
    method_version, inputs_sha256: by which it can be computed again
    as_of: the day whose prices it uses, ISO
    """

    title: str
    subtitle: str
    action: str
    verdict: str
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    method_version: str
    inputs_sha256: str
    as_of: str


def report_of(
    recommendation: Recommendation,
    tree: tree_svg.DecisionTree,
    measurements: Sequence[Measurement] = (),
    doubt: Doubt | None = None,
) -> Report:
    """The whole report; `measurements` are the ones the decision used, for host and engine; without a doubt it says nothing of it."""
    workload = recommendation.scenario.workload
    sections = (
        _headline(recommendation, doubt),
        _doubt(recommendation, doubt),
        _path(recommendation, tree),
        _months(recommendation),
        _options(recommendation),
        _inputs(recommendation),
        _measurements(recommendation, measurements),
        _assumptions(recommendation),
        _not_counted(recommendation),
        _method(recommendation),
    )
    return Report(
        title=workload.name,
        subtitle=(
            f"Which model should run where, and what it costs over {workload.horizon_months} months. "
            f"Prices as of {fmt.day(recommendation.as_of)}."
        ),
        action=fmt.ACTION_NAMES.get(str(recommendation.choice.action), str(recommendation.choice.action)),
        verdict=recommendation.choice.sentence,
        cards=cards(recommendation),
        sections=tuple(section for section in sections if section is not None),
        method_version=recommendation.method_version,
        inputs_sha256=recommendation.inputs_sha256,
        as_of=recommendation.as_of.isoformat(),
    )


def cards(recommendation: Recommendation) -> tuple[Card, ...]:
    """The three headline numbers: saving, payback, chance of being good enough; for a stay, the bill instead."""
    choice, horizon = recommendation.choice, recommendation.scenario.workload.horizon_months
    option, baseline = recommendation.option(choice.option_id), recommendation.option(choice.baseline_option_id)
    against = baseline.title if baseline else "today"
    if option is None:
        return ()
    if choice.option_id == choice.baseline_option_id:
        return (
            Card(label=f"Cost over {horizon} months", value=fmt.usd(option.total_usd), note=option.title),
            Card(label="Cost of a million tokens", value=fmt.usd(option.usd_per_mtok, cents=True), note="input and output together"),
            Card(label="Rests on a measurement", value=fmt.share(recommendation.measured.share), note="of this option's cost"),
        )
    return (
        Card(label=f"Saving over {horizon} months", value=fmt.usd(choice.saving_usd), note=f"if it is good enough, against {against}"),
        Card(label="Payback", value=fmt.months(choice.payback_months, horizon), note="from the start of the project"),
        Card(label="Good enough", value=fmt.share(choice.probability), note="chance, before your own test"),
    )


def measured_share(recommendation: Recommendation) -> str:
    """What share of the recommended option's cost rests on a measurement, in a sentence."""
    portion = fmt.share(recommendation.measured.share)
    return f"{portion} of the recommended option's cost rests on a measurement of its own server and engine."


def fixed_table(recommendation: Recommendation) -> Table:
    """GPT-4-class API, self-hosted 70B, fine-tuned 7B: the same table on Decide and on page 1."""
    return _table(
        tables.fixed_table(recommendation),
        "The three arms of the question",
        widths=(2.2, 1.6, 1.4, 0.9, 1.6, 1.6, 2.6),
        right=(1, 2, 3, 4, 5),
    )


# ---- sections ----


def _headline(recommendation: Recommendation, doubt: Doubt | None) -> Section:
    choice = recommendation.choice
    sentences = [
        *tables.fixed_table_notes(recommendation),
        choice.why_they_differ,
        recommendation.measured.sentence,
        *(f"Watch out: {alarm}" for alarm in recommendation.alarms),
    ]
    return Section(
        heading="At a glance",
        sentences=tuple(sentence for sentence in sentences if sentence),
        tables=(fixed_table(recommendation),),
        figures=_figures([charts.cumulative_cost(recommendation, doubt.simulation if doubt else None)]),
    )


def _doubt(recommendation: Recommendation, doubt: Doubt | None) -> Section | None:
    if doubt is None:
        return None
    bands = _table(
        doubt_words.bands_table(doubt),
        f"{doubt.simulation.draws:,} draws of every uncertain number, seed {doubt.simulation.seed}",
        widths=(2.8, 1, 1, 1, 1, 0.8, 0.9, 0.8, 1),
        right=tuple(range(1, 9)),
    )
    return Section(
        heading="How sure this is",
        sentences=(doubt_words.sure_sentence(doubt, recommendation), doubt_words.negotiation_sentence(doubt, recommendation)),
        figures=_figures([doubt_charts.tornado(doubt.tornado, recommendation)]),
        tables=(bands,),
        points=tuple(f"Flips if: {said}" for said in doubt_words.flip_sentences(doubt, recommendation)),
    )


def _path(recommendation: Recommendation, tree: tree_svg.DecisionTree) -> Section:
    leaf = recommendation.leaf
    picture = Figure(
        caption="The decision tree; the walked path is filled",
        alt=tree_svg.path_text(recommendation.path, leaf),
        svg=tree_svg.tree_svg(tree, recommendation.path, leaf, colours=tree_svg.PAPER_COLOURS),
    )
    return Section(
        heading="The path through the decision tree",
        sentences=(f"The tree ends in: {leaf.title}. {leaf.advice} It is marked below, not binding.",),
        figures=(picture,),
        tables=(_table(tables.path_table(recommendation), "Each question with your value", widths=(1.6, 1.3, 1.6, 2.6)),),
    )


def _months(recommendation: Recommendation) -> Section | None:
    choice = recommendation.choice
    ids = dict.fromkeys([choice.option_id, choice.baseline_option_id])
    shown = [option for option in (recommendation.option(option_id) for option_id in ids) if option is not None and option.months]
    if not shown:
        return None
    return Section(
        heading="Cost by month",
        sentences=("Every month is 365/12 days. Amounts in USD before tax.",),
        tables=tuple(table for option in shown for table in _bills(option)),
    )


def _bills(option: OptionResult) -> list[Table]:
    frame = tables.months_table(option, fold=True)
    found = [_table(frame, f"{option.title}: the bill", right=tuple(range(1, len(frame.columns))))]
    upfront = tables.upfront_table(option)
    if len(upfront):
        found.append(
            _table(upfront, f"{option.title}: what is paid upfront, {fmt.usd(option.upfront_usd)} in all", widths=(3, 1), right=(1,))
        )
    return found


def _options(recommendation: Recommendation) -> Section:
    allowed, refused = tables.options_table(recommendation), tables.refused_table(recommendation)
    found = []
    if len(allowed):
        found.append(
            _table(
                allowed,
                "Options that may be chosen, best first",
                widths=(2.6, 2.0, 0.9, 1.2, 1.2, 1.1, 1.0, 1.2, 0.9, 1.2),
                right=tuple(range(2, 10)),
            )
        )
    if len(refused):
        found.append(_table(refused, "Options that were refused, and why", widths=(2, 1.6, 1, 3.6), right=(2,)))
    rule = (
        "Ranked by expected cost: chance of being good enough times the option's total, plus the other chance times "
        "what the test cost and what is paid instead."
    )
    return Section(heading="Every option", sentences=(rule,), tables=tuple(found))


def _inputs(recommendation: Recommendation) -> Section:
    scenario = recommendation.scenario
    given = {
        **scenario.workload.model_dump(mode="json", exclude_none=True),
        **scenario.prices.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
        **scenario.assumptions.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
    }
    pairs = [(fmt.field_label(name), fmt.field_value(value)) for name, value in given.items()]
    half = (len(pairs) + 1) // 2
    left, right = pairs[:half], [*pairs[half:], ("", "")][:half]
    rows = tuple((*one, *other) for one, other in zip(left, right, strict=True))
    table = Table(caption="What was asked", columns=("Input", "Value", "Input", "Value"), rows=rows, widths=(2, 1.6, 2, 1.6))
    return Section(heading="The inputs", tables=(table,))


def _measurements(recommendation: Recommendation, measurements: Sequence[Measurement]) -> Section:
    rows = tuple(
        (
            measurement.id[:12],
            measurement.environment.host,
            f"{measurement.engine} {measurement.engine_version}".strip(),
            _speeds(measurement),
        )
        for measurement in measurements
    )
    found: tuple[Table, ...] = ()
    if rows:
        found = (
            Table(caption="Measurements used", columns=("Probe id", "Host", "Engine", "Measured"), rows=rows, widths=(1.2, 1.2, 1.4, 3)),
        )
    points = tuple(f"{measurement.id[:12]}: {doubt}" for measurement in measurements for doubt in measurement.doubts)
    support = tuple(measurement.supports for measurement in measurements)
    ids = ", ".join(measurement_id[:12] for measurement_id in recommendation.measured.measurement_ids) or "none"
    share = f"{measured_share(recommendation)} Probe: {ids}."
    return Section(heading="What was measured", sentences=(recommendation.measured.sentence, share, *support), tables=found, points=points)


def _assumptions(recommendation: Recommendation) -> Section:
    frame = tables.sources_table(recommendation)
    if not len(frame):
        return Section(heading="Assumptions and their sources", sentences=("No number came from outside.",))
    table = _table(frame, "Every number in use", widths=(2.2, 1.9, 3.2, 0.9, 0.8, 0.8))
    sentence = "What a number means and what else to know of it stands on the Sources page."
    return Section(heading="Assumptions and their sources", sentences=(sentence,), tables=(table,))


def _not_counted(recommendation: Recommendation) -> Section | None:
    return Section(heading="What is not counted", points=recommendation.not_counted) if recommendation.not_counted else None


def _method(recommendation: Recommendation) -> Section:
    return Section(
        heading="How to compute it again",
        sentences=(
            f"Method version {recommendation.method_version}, prices as of {recommendation.as_of.isoformat()}, "
            f"inputs hash {recommendation.inputs_sha256}. The same inputs give the same report, to the byte.",
        ),
    )


# ---- below: how ----


def _figures(drawn: Sequence[charts.Chart | None]) -> tuple[Figure, ...]:
    return tuple(Figure(caption=chart.title, alt=chart.alt, svg=chart_svg(chart.figure)) for chart in drawn if chart is not None)


def _table(frame: pd.DataFrame, caption: str, *, widths: tuple[float, ...] = (), right: tuple[int, ...] = ()) -> Table:
    rows = tuple(tuple(str(cell) for cell in row) for row in frame.itertuples(index=False, name=None))
    return Table(caption=caption, columns=tuple(str(column) for column in frame.columns), rows=rows, widths=widths, right=right)


def _speeds(measurement: Measurement) -> str:
    spoken = [
        f"{name} {fmt.rate(test.median)}"
        for name, test in (("prompt", measurement.prompt_test), ("answer", measurement.generation_test))
        if test is not None
    ]
    return ", ".join([measurement.model_id or measurement.model_name, measurement.quantization, *spoken])
