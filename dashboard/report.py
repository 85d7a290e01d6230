"""What a decision says, before any layout: headings, sentences, tables, figures. The Report page and the PDF read the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
import segno

from dashboard import charts, doubt_charts, doubt_words, tables, tree_svg
from dashboard import format as fmt
from dashboard.chart_svg import chart_svg
from probes.measurement import Measurement
from selector.results import Action, OptionResult, Recommendation, SourceLine
from selector.sensitivity import Doubt
from selector.sentences import span

QR_BYTES = 1_200
"""A longer link makes a code too dense to be read from paper."""

INPUT_COLUMNS = 3
ALARMS_SHOWN = 2
"""On page 1; the others stand with the options."""
ROWS_OF_A_YEAR, ROWS_OF_A_LONG_BILL = 13, 8
FLIPS_SHOWN = 4
SOURCE_LETTERS = 44
"""Of a source that is no address: what paper has room for; all of it stands in the workbook."""


@dataclass(frozen=True, kw_only=True)
class Owners:
    """Who answers for which numbers of the register; a role where nobody is named.

    prices: list prices, rents, server prices
    speeds: data sheets, shapes of models, speeds
    quality: chances of being good enough
    assumptions: every other assumption
    """

    prices: str = "Procurement"
    speeds: str = "Engineering"
    quality: str = "Product"
    assumptions: str = "Finance"

    def of(self, line: SourceLine) -> str:
        """The owner of a number, by what kind of number it is."""
        kind = line.key.partition(".")[0]
        if kind in ("price", "rent", "server", "power"):
            return self.prices
        return {"speed": self.speeds, "device": self.speeds, "model": self.speeds, "chance": self.quality}.get(kind, self.assumptions)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A line to sign.

    role: what the signature says
    name: who signs, or "" to be filled in by hand
    """

    role: str
    name: str = ""


SIGNATURES = (Signature(role="Prepared by"), Signature(role="Checked by, finance"), Signature(role="Approved by"))


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
    compact: in small type
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...] = ()
    right: tuple[int, ...] = ()
    compact: bool = False


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
    link: the address that opens these inputs again, or ""
    qr_svg: the same as a QR code; "" without a link, or with one too long to be read from paper
    signatures: the lines to sign
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
    link: str = ""
    qr_svg: str = ""
    signatures: tuple[Signature, ...] = field(default=SIGNATURES)


def report_of(
    recommendation: Recommendation,
    tree: tree_svg.DecisionTree,
    measurements: Sequence[Measurement] = (),
    doubt: Doubt | None = None,
    *,
    link: str = "",
    owners: Owners | None = None,
    signatures: Sequence[Signature] = SIGNATURES,
) -> Report:
    """The whole report; `measurements` are the ones the decision used, for host and engine; without a doubt it says nothing of it."""
    workload = recommendation.scenario.workload
    sections = (
        _headline(recommendation, doubt),
        _path(recommendation, tree),
        _options(recommendation),
        _months(recommendation),
        _doubt(recommendation, doubt),
        _measurements(recommendation, measurements),
        _inputs(recommendation),
        _assumptions(recommendation, owners or Owners()),
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
        link=link,
        qr_svg=qr_svg(link),
        signatures=tuple(signatures),
    )


def qr_svg(link: str) -> str:
    """A link as a QR code in SVG, error correction M; "" where it is empty or longer than `QR_BYTES`."""
    if not link or len(link.encode()) > QR_BYTES:
        return ""
    code: str = segno.make_qr(link, error="m", boost_error=False).svg_inline(scale=4, border=2, dark="#000000", light="#FFFFFF")
    return code.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def heading(recommendation: Recommendation) -> str:
    """The verdict in one short line: what to do, the amount, against what. The whole sentence stands below it."""
    choice, horizon = recommendation.choice, span(recommendation.scenario.workload.horizon_months)
    option, baseline = recommendation.option(choice.option_id), recommendation.option(choice.baseline_option_id)
    if option is None or baseline is None:
        return "No option passes"
    if choice.action is Action.STAY:
        return f"Stay on {option.title}: {fmt.usd(option.total_usd)} over {horizon}"
    do = f"{'Move to' if choice.action is Action.MOVE else 'Test'} {option.title}{'' if choice.action is Action.MOVE else ' first'}"
    if choice.saving_usd is None:
        return f"{do}: {fmt.usd(option.total_usd)} over {horizon}"
    more = "less" if choice.saving_usd >= 0 else "more"
    return f"{do}: {fmt.usd(abs(choice.saving_usd))} {more} than {baseline.title} over {horizon}"


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
    sentences = [
        doubt_words.matters_most_sentence(doubt, recommendation) if doubt else "",
        doubt_words.sure_sentence(doubt, recommendation) if doubt else "",
        recommendation.measured.sentence,
        *(f"Watch out: {alarm}" for alarm in recommendation.alarms[:ALARMS_SHOWN]),
    ]
    return Section(
        heading="At a glance",
        sentences=tuple(sentence for sentence in sentences if sentence),
        tables=(fixed_table(recommendation),),
        figures=_figures([charts.cumulative_cost(recommendation, doubt.simulation if doubt else None)], height=290.0),
    )


def _doubt(recommendation: Recommendation, doubt: Doubt | None) -> Section | None:
    if doubt is None:
        return None
    bands = _table(
        doubt_words.bands_table(doubt, tables.shown_ids(recommendation)),
        f"{doubt.simulation.draws:,} draws of every uncertain number, seed {doubt.simulation.seed}",
        widths=(2.8, 1, 1, 1, 1, 0.8, 0.9, 0.8, 1),
        right=tuple(range(1, 9)),
    )
    return Section(
        heading="How sure this is",
        sentences=(doubt_words.negotiation_sentence(doubt, recommendation),),
        figures=_figures([doubt_charts.tornado(doubt.tornado, recommendation)], height=300.0),
        tables=(bands,),
        points=tuple(f"Flips if: {said}" for said in doubt_words.flip_sentences(doubt, recommendation, shown=FLIPS_SHOWN)),
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
        tables=(_table(tables.path_table(recommendation), "Each question with your value", widths=(1.9, 1.1, 1.8, 2.6), compact=True),),
    )


def _months(recommendation: Recommendation) -> Section | None:
    choice = recommendation.choice
    ids = dict.fromkeys([choice.option_id, choice.baseline_option_id])
    shown = [option for option in (recommendation.option(option_id) for option_id in ids) if option is not None and option.months]
    if not shown:
        return None
    return Section(
        heading="Cost by month",
        sentences=(
            "Every month is 365/12 days. Amounts in USD before tax. The workbook holds every month of every option, with its formulas.",
            *(said for option in shown if (said := _paid_upfront(option))),
        ),
        tables=tuple(_bill(option) for option in shown),
    )


def _bill(option: OptionResult) -> Table:
    frame = tables.months_table(option, fold=True, rows=ROWS_OF_A_YEAR if len(option.months) <= ROWS_OF_A_YEAR else ROWS_OF_A_LONG_BILL)
    return _table(frame, f"{option.title}: the bill", right=tuple(range(1, len(frame.columns))))


def _paid_upfront(option: OptionResult) -> str:
    parts = "; ".join(f"{fmt.line_name(line.name)} {fmt.usd(line.usd)}" for line in option.upfront_lines if line.usd)
    return f"{option.title} asks for {fmt.usd(option.upfront_usd)} upfront: {parts}." if parts else ""


def _options(recommendation: Recommendation) -> Section:
    allowed, refused = tables.options_table(recommendation), tables.refused_by_reason(recommendation)
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
        found.append(_table(refused, "Options that were refused, with what they would cost, and why", widths=(1, 1.15)))
    rule = (
        "Ranked by expected cost: chance of being good enough times the option's total, plus the other chance times "
        "what the test cost and what is paid instead."
    )
    said = (rule, *tables.fixed_table_notes(recommendation), recommendation.choice.why_they_differ, *_alarms_left(recommendation))
    return Section(heading="Every option", sentences=tuple(sentence for sentence in said if sentence), tables=tuple(found))


def _alarms_left(recommendation: Recommendation) -> tuple[str, ...]:
    """The alarms that page 1 has no room for."""
    return tuple(f"Watch out: {alarm}" for alarm in recommendation.alarms[ALARMS_SHOWN:])


def _inputs(recommendation: Recommendation) -> Section:
    scenario = recommendation.scenario
    given = {
        **scenario.workload.model_dump(mode="json", exclude_none=True),
        **scenario.prices.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
        **scenario.assumptions.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
    }
    pairs = [(fmt.field_label(name), fmt.field_value(value)) for name, value in given.items() if value not in ([], "")]
    height = -(-len(pairs) // INPUT_COLUMNS)
    pairs += [("", "")] * (height * INPUT_COLUMNS - len(pairs))
    rows = tuple(tuple(cell for pair in pairs[row::height] for cell in pair) for row in range(height))
    table = Table(
        caption="What was asked; what is not named was left empty",
        columns=("Input", "Value") * INPUT_COLUMNS,
        rows=rows,
        widths=(1.9, 1.2) * INPUT_COLUMNS,
    )
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
    return Section(heading="What was measured", sentences=(share, *support), tables=found, points=points)


def _assumptions(recommendation: Recommendation, owners: Owners) -> Section:
    heading = "Assumptions register"
    if not recommendation.sources:
        return Section(heading=heading, sentences=("No number came from outside.",))
    shown = tables.shown_ids(recommendation)
    lines = [line for line in recommendation.sources if not line.option_ids or not shown.isdisjoint(line.option_ids)]
    rows = tuple(
        (
            line.label,
            line.value,
            _short(line.url or line.note or fmt.NOTHING),
            line.checked.isoformat() if line.checked else fmt.NOTHING,
            str(line.basis),
            owners.of(line),
        )
        for line in lines
    )
    table = Table(
        caption=f"{len(lines)} numbers that this decision rests on",
        columns=("What", "Value", "Source", "Read on", "Basis", "Owner"),
        rows=rows,
        widths=(2.7, 2.7, 1.8, 0.8, 0.8, 0.95),
    )
    left_out = len(recommendation.sources) - len(lines)
    sentences = ("The owner answers for the number and says when it is no longer true.",)
    if left_out:
        sentences = (
            f"{sentences[0]} {left_out} further numbers belong to options that are neither compared nor chosen here: "
            "they stand in the workbook, in the JSON and on the Sources page, each with its full address.",
        )
    return Section(heading=heading, sentences=sentences, tables=(table,))


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


def _figures(drawn: Sequence[charts.Chart | None], height: float | None = None) -> tuple[Figure, ...]:
    return tuple(
        Figure(caption=chart.title, alt=chart.alt, svg=chart_svg(chart.figure, height=height)) for chart in drawn if chart is not None
    )


def _table(
    frame: pd.DataFrame, caption: str, *, widths: tuple[float, ...] = (), right: tuple[int, ...] = (), compact: bool = False
) -> Table:
    rows = tuple(tuple(str(cell) for cell in row) for row in frame.itertuples(index=False, name=None))
    return Table(
        caption=caption, columns=tuple(str(column) for column in frame.columns), rows=rows, widths=widths, right=right, compact=compact
    )


def _short(source: str) -> str:
    """A source as paper has room for; an address stays whole, because paper shows its host only."""
    if source.startswith("http") or len(source) <= SOURCE_LETTERS:
        return source
    return source[:SOURCE_LETTERS].rsplit(" ", 1)[0].rstrip(",;:( ") + " …"


def _speeds(measurement: Measurement) -> str:
    spoken = [
        f"{name} {fmt.rate(test.median)}"
        for name, test in (("prompt", measurement.prompt_test), ("answer", measurement.generation_test))
        if test is not None
    ]
    return ", ".join([measurement.model_id or measurement.model_name, measurement.quantization, *spoken])
