"""A decision as a workbook for auditors: every total is a formula, stored with the value that the decision has for it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_rowcol_to_cell
from xlsxwriter.worksheet import Worksheet

from dashboard import format as fmt
from dashboard import tables
from dashboard.report import Owners
from probes.measurement import Measurement
from selector.results import Line, OptionResult, Recommendation
from workloads.requirements import requirements_of

LOOKS: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 16},
    "verdict": {"bold": True, "text_wrap": True, "valign": "top"},
    "head": {"bold": True, "bg_color": "#EEF3F9", "bottom": 1, "text_wrap": True, "valign": "top"},
    "text": {"valign": "top"},
    "wrap": {"text_wrap": True, "valign": "top"},
    "usd": {"num_format": "$#,##0.00;[Red]-$#,##0.00"},
    "usd_total": {"num_format": "$#,##0.00;[Red]-$#,##0.00", "bold": True, "top": 1},
    "total": {"bold": True, "top": 1},
    "share": {"num_format": "0.0%"},
    "number": {"num_format": "#,##0.0###"},
    "months": {"num_format": "0.0"},
    "day": {"num_format": "yyyy-mm-dd", "align": "left", "valign": "top"},
}
"""How cells look. A spreadsheet shows the numbers with the separators of its reader's country."""
LONGEST_CELL = 32_000
"""Letters; a spreadsheet takes 32,767."""
FIRST_MONTH = 3
"""Column of month 1 on the sheet of costs: after option, line and upfront."""
COSTS, OPTIONS = "'Costs by month'!", "Options!"
NEARLY = 1e-9


def workbook(
    recommendation: Recommendation,
    *,
    measurements: Sequence[Measurement] = (),
    owners: Owners | None = None,
    link: str = "",
) -> bytes:
    """The decision as XLSX, the same bytes for the same decision.

    Sheets: the decision, all options, all costs by month, the cash flow against today, the register of assumptions, the inputs, what
    was measured, notes. Text is stored as text: nothing that a user typed is ever a formula.
    """
    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    moment = datetime.combine(recommendation.as_of, time())
    book.set_properties({"title": f"Rightsize: {recommendation.scenario.workload.name}"[:250], "created": moment, "author": "Rightsize"})
    book.set_size(2400, 1400)
    paper = _Paper(book)
    sheets = {name: paper.sheet(name) for name in ("Decision", "Options", "Costs by month", "Cash flow")}
    places = _costs(paper, sheets["Costs by month"], recommendation)
    _options(paper, sheets["Options"], recommendation, places)
    flow = _cash_flow(paper, sheets["Cash flow"], recommendation, places)
    _decision(paper, sheets["Decision"], recommendation, flow)
    _register(paper, paper.sheet("Assumptions"), recommendation, owners or Owners())
    _inputs(paper, paper.sheet("Inputs"), recommendation)
    _measured(paper, paper.sheet("Measurements"), recommendation, measurements)
    _notes(paper, paper.sheet("Notes"), recommendation, link)
    book.close()
    return out.getvalue()


# ---- cells ----


class _Paper:
    """A workbook with its looks; text goes in as text, numbers as numbers, formulas with the value they must have."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self.book = book
        self.looks: dict[str, Format] = {name: book.add_format(look) for name, look in LOOKS.items()}
        # A leading sign that begins a formula: the cell is marked as text for whoever saves it as CSV.
        self.quoted: dict[str, Format] = {name: book.add_format({**look, "quote_prefix": True}) for name, look in LOOKS.items()}

    def sheet(self, name: str) -> Worksheet:
        made: Worksheet = self.book.add_worksheet(name)
        made.set_landscape()
        made.set_paper(9)
        made.fit_to_pages(1, 0)
        made.hide_gridlines(2)
        return made

    def text(self, sheet: Worksheet, row: int, column: int, said: object, look: str = "text") -> None:
        shown = str(said)[:LONGEST_CELL]
        looks = self.quoted if shown[:1] in ("=", "+", "-", "@", "\t", "\r") else self.looks
        sheet.write_string(row, column, shown, looks[look])

    def number(self, sheet: Worksheet, row: int, column: int, value: float | None, look: str = "number") -> None:
        if value is None or not math.isfinite(value):
            self.text(sheet, row, column, fmt.NOTHING)
        else:
            sheet.write_number(row, column, value, self.looks[look])

    def formula(self, sheet: Worksheet, row: int, column: int, formula: str, value: float | str | None, look: str = "usd") -> None:
        """A formula and the decision's value for it, which is what a reader sees before anything is computed again."""
        sheet.write_formula(row, column, formula, self.looks[look], fmt.NOTHING if value is None else value)

    def row(self, sheet: Worksheet, row: int, cells: Sequence[object], look: str = "text") -> None:
        for column, cell in enumerate(cells):
            self.text(sheet, row, column, cell, look)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where an option's bill ends on the sheet of costs.

    row: of its totals, from 0
    last: column of the last month, from 0
    """

    row: int
    last: int

    @property
    def upfront(self) -> str:
        return f"{COSTS}{xl_rowcol_to_cell(self.row, FIRST_MONTH - 1, row_abs=True, col_abs=True)}"

    @property
    def total(self) -> str:
        return f"{COSTS}{xl_rowcol_to_cell(self.row, self.last + 1, row_abs=True, col_abs=True)}"

    @property
    def months(self) -> str:
        return f"{COSTS}{_span(self.row, FIRST_MONTH, self.last)}"

    @property
    def last_month(self) -> str:
        return f"{COSTS}{xl_rowcol_to_cell(self.row, self.last, row_abs=True, col_abs=True)}"


@dataclass(frozen=True, kw_only=True)
class _Flow:
    """Cells of the cash flow that the first sheet shows; "" where there is no other option."""

    payback: str = ""
    npv: str = ""
    option: OptionResult | None = None
    payback_value: float | str | None = None
    cells: dict[str, str] = field(default_factory=dict)


def _span(row: int, first: int, last: int) -> str:
    return f"{xl_rowcol_to_cell(row, first, row_abs=True, col_abs=True)}:{xl_rowcol_to_cell(row, last, row_abs=True, col_abs=True)}"


# ---- sheets ----


def _costs(paper: _Paper, sheet: Worksheet, recommendation: Recommendation) -> dict[str, _Place]:
    """Every bill, line by line and month by month; the totals are sums."""
    horizon = recommendation.scenario.workload.horizon_months
    last = FIRST_MONTH + horizon - 1
    rate = recommendation.scenario.assumptions.discount_rate_per_year
    paper.text(sheet, 0, 0, "USD before tax; a month is 365/12 days", "text")
    paper.text(sheet, 1, 0, "Discount rate a year")
    paper.number(sheet, 1, 1, rate, "share")
    paper.text(sheet, 1, 2, "Discount factor")
    paper.row(sheet, 2, ["Option", "Line", "Upfront", *(f"Month {month}" for month in range(1, horizon + 1)), "Total"], "head")
    for month in range(1, horizon + 1):
        paper.formula(sheet, 1, FIRST_MONTH + month - 1, f"=(1+$B$2)^(-{month}/12)", (1.0 + rate) ** (-month / 12.0), "number")
    places: dict[str, _Place] = {}
    row = 3
    for option in recommendation.options:
        if option.total_usd is None or not option.months:
            continue
        first = row
        for name in _line_names(option):
            upfront = _sum(option.upfront_lines, name)
            amounts = [_sum(month.lines, name) for month in option.months]
            paper.text(sheet, row, 0, option.title)
            paper.text(sheet, row, 1, fmt.line_name(name))
            paper.number(sheet, row, FIRST_MONTH - 1, upfront, "usd")
            for column, amount in enumerate(amounts, FIRST_MONTH):
                paper.number(sheet, row, column, amount, "usd")
            whole = f"=SUM({_span(row, FIRST_MONTH - 1, last).replace('$', '')})"
            paper.formula(sheet, row, last + 1, whole, upfront + sum(amounts))
            row += 1
        paper.text(sheet, row, 0, option.title, "total")
        paper.text(sheet, row, 1, "All lines", "total")
        values = [option.upfront_usd or 0.0, *(month.total_usd for month in option.months), option.total_usd]
        for column, value in enumerate(values, FIRST_MONTH - 1):
            top, bottom = xl_rowcol_to_cell(first, column), xl_rowcol_to_cell(row - 1, column)
            paper.formula(sheet, row, column, f"=SUM({top}:{bottom})" if row > first else "=0", value, "usd_total")
        places[option.id] = _Place(row=row, last=last)
        row += 2
    sheet.freeze_panes(3, FIRST_MONTH)
    sheet.repeat_rows(0, 2)
    sheet.set_column(0, 0, 38)
    sheet.set_column(1, 1, 30)
    sheet.set_column(2, last + 1, 13)
    return places


OPTION_HEADS = (
    "Option",
    "Runs on",
    "Allowed",
    "Good enough (chance)",
    "Upfront",
    "Total",
    "Saving against today",
    "ROI",
    "NPV against today",
    "Payback (months)",
    "Spent if it fails its test",
    "Cost of wrong answers",
    "Expected cost",
    "A year once all runs",
    "Per million tokens",
    "Refused because",
    "Id",
)


def _options(paper: _Paper, sheet: Worksheet, recommendation: Recommendation, places: dict[str, _Place]) -> None:
    """Every option in a row; what follows from the bills is a formula over them."""
    scenario, choice = recommendation.scenario, recommendation.choice
    mtok = float(requirements_of(scenario.workload).volume.total_tokens.sum()) / 1e6
    paper.text(sheet, 0, 0, "Million tokens over the horizon")
    paper.number(sheet, 0, 1, mtok)
    paper.row(sheet, 1, OPTION_HEADS, "head")
    today = places.get(choice.baseline_option_id)
    baseline = recommendation.option(choice.baseline_option_id)
    fallback = recommendation.option(choice.fallback_option_id)
    for row, option in enumerate(recommendation.options, 2):
        place = places.get(option.id)
        paper.text(sheet, row, 0, option.title + tables.marks(recommendation, option))
        paper.text(sheet, row, 1, tables.runs_on(option))
        paper.text(sheet, row, 2, "yes" if option.feasible else "no")
        paper.number(sheet, row, 3, option.quality.probability, "share")
        paper.text(sheet, row, 15, option.refused_because or "")
        paper.text(sheet, row, 16, option.id)
        if place is None or option.total_usd is None:
            continue
        upfront, total = f"E{row + 1}", f"F{row + 1}"
        paper.formula(sheet, row, 4, f"={place.upfront}", option.upfront_usd)
        paper.formula(sheet, row, 5, f"={place.total}", option.total_usd)
        if today is not None and baseline is not None and baseline.total_usd is not None:
            saving = baseline.total_usd - option.total_usd
            paper.formula(sheet, row, 6, f"={today.total}-{total}", saving)
            paper.formula(sheet, row, 7, f'=IF({upfront}=0,"{fmt.NOTHING}",G{row + 1}/{upfront})', option.roi, "share")
            discount = f"{COSTS}{_span(1, FIRST_MONTH, place.last)}"
            npv = f"={today.upfront}-{place.upfront}+SUMPRODUCT({today.months}-{place.months},{discount})"
            paper.formula(sheet, row, 8, npv, option.npv_usd)
        paper.number(sheet, row, 9, option.payback_months, "months")
        paper.number(sheet, row, 10, option.spent_if_it_fails_usd, "usd")
        paper.number(sheet, row, 11, option.error_cost_usd, "usd")
        _expected(paper, sheet, row, option, fallback, places)
        paper.formula(sheet, row, 13, f"={place.last_month}*12", option.run_rate_year_usd)
        paper.formula(sheet, row, 14, f"={total}/$B$1", option.usd_per_mtok)
    sheet.freeze_panes(2, 1)
    sheet.repeat_rows(1)
    sheet.set_column(0, 1, 40)
    sheet.set_column(2, 14, 14)
    sheet.set_column(15, 16, 60)


def _expected(
    paper: _Paper, sheet: Worksheet, row: int, option: OptionResult, fallback: OptionResult | None, places: dict[str, _Place]
) -> None:
    """P x (total + wrong answers) + (1 - P) x (what the test cost + the fallback's total); a plain number where that is not the rule."""
    if option.expected_usd is None or fallback is None or fallback.total_usd is None or fallback.id not in places:
        paper.number(sheet, row, 12, option.expected_usd, "usd")
        return
    at, chance = row + 1, option.quality.probability
    own = (option.total_usd or 0.0) + (option.error_cost_usd or 0.0)
    if option.id == fallback.id:
        formula, value = f"=F{at}+L{at}", own
    else:
        formula = f"=D{at}*(F{at}+L{at})+(1-D{at})*(K{at}+{places[fallback.id].total})"
        value = chance * own + (1.0 - chance) * ((option.spent_if_it_fails_usd or 0.0) + fallback.total_usd)
    if math.isclose(value, option.expected_usd, rel_tol=NEARLY, abs_tol=0.005):
        paper.formula(sheet, row, 12, formula, option.expected_usd)
    else:
        paper.number(sheet, row, 12, option.expected_usd, "usd")


def _cash_flow(paper: _Paper, sheet: Worksheet, recommendation: Recommendation, places: dict[str, _Place]) -> _Flow:
    """Today's bill less the other one, month by month, its running total and the month in which that is back at zero for good."""
    choice = recommendation.choice
    baseline = recommendation.option(choice.baseline_option_id)
    other = _other(recommendation)
    if baseline is None or other is None or baseline.id not in places or other.id not in places:
        paper.text(sheet, 0, 0, "No other option may be chosen, so there is no cash flow against today.")
        return _Flow()
    here, there = places[other.id], places[baseline.id]
    horizon = len(other.months)
    paper.text(sheet, 0, 0, f"{other.title} against {baseline.title}: positive is money saved")
    paper.row(sheet, 1, ["", "Upfront", *(f"Month {month.month}" for month in other.months), "Total"], "head")
    labels = ("Today's bill", "The other bill", "Saved", "Running total", "Back at zero in")
    for row, label in enumerate(labels, 2):
        paper.text(sheet, row, 0, label)
    bills = [[baseline.upfront_usd or 0.0, *(month.total_usd for month in baseline.months)]]
    bills.append([other.upfront_usd or 0.0, *(month.total_usd for month in other.months)])
    saved = [today - instead for today, instead in zip(*bills, strict=True)]
    running = [sum(saved[: place + 1]) for place in range(horizon + 1)]
    for place in range(horizon + 1):
        column, above = place + 1, xl_rowcol_to_cell
        for row, spot in ((2, there), (3, here)):
            source = COSTS + xl_rowcol_to_cell(spot.row, FIRST_MONTH - 1 + place)
            paper.formula(sheet, row, column, f"={source}", bills[row - 2][place])
        paper.formula(sheet, 4, column, f"={above(2, column)}-{above(3, column)}", saved[place])
        before = f"{above(5, column - 1)}+" if place else ""
        paper.formula(sheet, 5, column, f"={before}{above(4, column)}", running[place])
        if place:
            old, new = above(5, column - 1), above(5, column)
            crossing = f'=IF(AND({old}<-0.0001,{new}>=-0.0001),{place - 1}+MIN(-{old}/({new}-{old}),1),"")'
            paper.formula(sheet, 6, column, crossing, _crossing(running[place - 1], running[place], place), "months")
    for row, values in ((2, bills[0]), (3, bills[1]), (4, saved)):
        cells = f"{xl_rowcol_to_cell(row, 1)}:{xl_rowcol_to_cell(row, horizon + 1)}"
        paper.formula(sheet, row, horizon + 2, f"=SUM({cells})", sum(values), "usd_total")
    last = xl_rowcol_to_cell(5, horizon + 1)
    crossings = f"{xl_rowcol_to_cell(6, 2)}:{xl_rowcol_to_cell(6, horizon + 1)}"
    shown = fmt.months(None, horizon) if other.payback_months is None else other.payback_months
    paper.text(sheet, 8, 0, "Payback (months)", "total")
    whole = f'=IF({last}<-0.0001,"{fmt.months(None, horizon)}",IF(COUNT({crossings})=0,0,MAX({crossings})))'
    paper.formula(sheet, 8, 1, whole, shown, "months")
    paper.text(sheet, 9, 0, "NPV", "total")
    discount = f"{COSTS}{_span(1, FIRST_MONTH, FIRST_MONTH + horizon - 1)}"
    paper.formula(sheet, 9, 1, f"=B5+SUMPRODUCT({_span(4, 2, horizon + 1)},{discount})", other.npv_usd, "usd_total")
    sheet.freeze_panes(2, 1)
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, horizon + 2, 13)
    return _Flow(payback="='Cash flow'!B9", npv="='Cash flow'!B10", option=other, payback_value=shown)


def _decision(paper: _Paper, sheet: Worksheet, recommendation: Recommendation, flow: _Flow) -> None:
    """The verdict and the numbers in it, as formulas over the other sheets."""
    choice, workload = recommendation.choice, recommendation.scenario.workload
    paper.text(sheet, 0, 0, workload.name, "title")
    action = str(choice.action)
    paper.text(sheet, 1, 0, fmt.ACTION_NAMES.get(action, action), "total")
    sheet.merge_range(2, 0, 2, 3, "", paper.looks["verdict"])
    paper.text(sheet, 2, 0, choice.sentence, "verdict")
    sheet.set_row(2, 62)
    rows = {option.id: number for number, option in enumerate(recommendation.options, 3)}
    paper.row(sheet, 4, ["Headline", "Value", "Where it is computed"], "head")
    at = 5
    for label, option_id in (("Recommended", choice.option_id), ("Today", choice.baseline_option_id)):
        option = recommendation.option(option_id)
        if option is not None and option.total_usd is not None and option.months:
            paper.text(sheet, at, 0, f"{label}: {option.title}, total over {fmt.months(float(workload.horizon_months))}", "wrap")
            paper.formula(sheet, at, 1, f"={OPTIONS}F{rows[option.id]}", option.total_usd)
            paper.text(sheet, at, 2, "Options, Costs by month")
            at += 1
    chosen = recommendation.option(choice.option_id)
    if chosen is not None and choice.saving_usd is not None and chosen.months:
        paper.text(sheet, at, 0, "Saving against today")
        paper.formula(sheet, at, 1, f"={OPTIONS}G{rows[chosen.id]}", choice.saving_usd)
        paper.text(sheet, at, 2, "Options")
        at += 1
    if chosen is not None and flow.option is not None:
        against = "" if flow.option.id == chosen.id else f" of the best alternative, {flow.option.title}"
        for label, formula, value, look in (
            (f"Payback in months{against}", flow.payback, flow.payback_value, "months"),
            (f"NPV{against}", flow.npv, flow.option.npv_usd, "usd"),
        ):
            paper.text(sheet, at, 0, label, "wrap")
            paper.formula(sheet, at, 1, formula, value, look)
            paper.text(sheet, at, 2, "Cash flow")
            at += 1
    if chosen is not None:
        paper.text(sheet, at, 0, "Chance of being good enough")
        paper.formula(sheet, at, 1, f"={OPTIONS}D{rows[chosen.id]}", chosen.quality.probability, "share")
        paper.text(sheet, at, 2, chosen.quality.because, "wrap")
        at += 1
    at += 1
    paper.row(sheet, at, ["The three arms of the question", "Total", "Upfront", "Payback against today (months)"], "head")
    for row in recommendation.table:
        at += 1
        paper.text(sheet, at, 0, row.label + (f" (refused: {row.refused_because})" if row.refused_because else ""), "wrap")
        option = recommendation.option(row.option_id)
        if option is not None and option.months:
            paper.formula(sheet, at, 1, f"={OPTIONS}F{rows[option.id]}", row.total_usd)
            paper.formula(sheet, at, 2, f"={OPTIONS}E{rows[option.id]}", row.upfront_usd)
        paper.number(sheet, at, 3, row.payback_vs_api_months, "months")
    at += 2
    paper.text(sheet, at, 0, f"Method version {recommendation.method_version}; prices as of")
    sheet.write_datetime(at, 1, datetime.combine(recommendation.as_of, time()), paper.looks["day"])
    paper.text(sheet, at + 1, 0, f"Inputs hash {recommendation.inputs_sha256}")
    sheet.set_column(0, 0, 66)
    sheet.set_column(1, 1, 18)
    sheet.set_column(2, 3, 30)


def _register(paper: _Paper, sheet: Worksheet, recommendation: Recommendation, owners: Owners) -> None:
    """Every number in use, those of options that are not compared included."""
    titles = {option.id: option.title for option in recommendation.options}
    paper.row(sheet, 0, ["What", "Value", "Source", "Read on", "Age (days)", "Basis", "Owner", "Note", "Used by", "Key"], "head")
    for row, line in enumerate(recommendation.sources, 1):
        for column, said in ((0, line.label), (1, line.value), (2, line.url), (5, line.basis), (6, owners.of(line)), (7, line.note)):
            paper.text(sheet, row, column, said, "wrap")
        if line.checked is not None:
            sheet.write_datetime(row, 3, datetime.combine(line.checked, time()), paper.looks["day"])
        if line.age_days is not None:
            paper.number(sheet, row, 4, float(line.age_days))
        used = "; ".join(titles.get(option_id, option_id) for option_id in line.option_ids) or "every option"
        paper.text(sheet, row, 8, used, "wrap")
        paper.text(sheet, row, 9, line.key)
    sheet.freeze_panes(1, 1)
    sheet.repeat_rows(0)
    sheet.autofilter(0, 0, max(1, len(recommendation.sources)), 9)
    for column, width in enumerate((42, 42, 42, 12, 10, 12, 14, 50, 50, 34)):
        sheet.set_column(column, column, width)


def _inputs(paper: _Paper, sheet: Worksheet, recommendation: Recommendation) -> None:
    scenario = recommendation.scenario
    paper.row(sheet, 0, ["Input", "Value", "Part", "Key"], "head")
    row = 1
    for part, record in (("Workload", scenario.workload), ("Your prices", scenario.prices), ("Assumption", scenario.assumptions)):
        for name, value in record.model_dump(mode="json", exclude_none=True).items():
            paper.text(sheet, row, 0, fmt.field_label(name))
            if isinstance(value, int | float) and not isinstance(value, bool):
                paper.number(sheet, row, 1, float(value))
            else:
                paper.text(sheet, row, 1, fmt.field_value(value), "wrap")
            paper.text(sheet, row, 2, part)
            paper.text(sheet, row, 3, name)
            row += 1
    sheet.freeze_panes(1, 0)
    for column, width in enumerate((48, 40, 14, 34)):
        sheet.set_column(column, column, width)


def _measured(paper: _Paper, sheet: Worksheet, recommendation: Recommendation, measurements: Sequence[Measurement]) -> None:
    paper.text(sheet, 0, 0, recommendation.measured.sentence)
    paper.row(sheet, 1, ["Measurement", "Made", "Host", "Engine", "Model", "Test", "Median (tokens/s)", "Doubts"], "head")
    row = 2
    for found in measurements:
        for test in found.tests:
            paper.text(sheet, row, 0, found.id)
            sheet.write_datetime(row, 1, found.created.astimezone(UTC).replace(tzinfo=None), paper.looks["day"])
            paper.text(sheet, row, 2, found.environment.host)
            paper.text(sheet, row, 3, f"{found.engine} {found.engine_version}".strip())
            paper.text(sheet, row, 4, f"{found.model_id or found.model_name} {found.quantization}".strip())
            paper.text(sheet, row, 5, test.name)
            paper.number(sheet, row, 6, test.median)
            paper.text(sheet, row, 7, "; ".join(found.doubts), "wrap")
            row += 1
    if not measurements:
        paper.text(sheet, 2, 0, "None.")
    for column, width in enumerate((40, 12, 20, 24, 30, 12, 16, 80)):
        sheet.set_column(column, column, width)


def _notes(paper: _Paper, sheet: Worksheet, recommendation: Recommendation, link: str) -> None:
    lines = [
        ("Not counted", recommendation.not_counted),
        ("Watch out", recommendation.alarms),
        ("Link", (link,) if link else ()),
        ("Method", (f"version {recommendation.method_version}", f"inputs hash {recommendation.inputs_sha256}")),
        ("Ranked by", ("P x (total + wrong answers) + (1 - P) x (what the test cost + the fallback's total)",)),
    ]
    row = 0
    for head, sentences in lines:
        for sentence in sentences:
            paper.text(sheet, row, 0, head, "text")
            paper.text(sheet, row, 1, sentence, "wrap")
            row += 1
    sheet.set_column(0, 0, 16)
    sheet.set_column(1, 1, 120)


# ---- below: how ----


def _line_names(option: OptionResult) -> list[str]:
    """Upfront lines, then monthly ones, in the order of the bill; those that are zero throughout left out."""
    names = dict.fromkeys(line.name for line in option.upfront_lines if line.usd)
    return list(names | dict.fromkeys(tables.line_names(option)))


def _sum(lines: Sequence[Line], name: str) -> float:
    return float(sum(line.usd for line in lines if line.name == name))


def _other(recommendation: Recommendation) -> OptionResult | None:
    """The recommended option; where the advice is to stay, the best of the others that may be chosen."""
    choice = recommendation.choice
    if choice.option_id != choice.baseline_option_id:
        return recommendation.option(choice.option_id)
    others = [option for option in recommendation.options if option.feasible and option.id != choice.option_id and option.months]
    return min(others, key=lambda option: option.expected_usd if option.expected_usd is not None else math.inf, default=None)


def _crossing(before: float, after: float, month: int) -> float | str:
    if before < -1e-4 <= after:
        return month - 1 + min(-before / (after - before), 1.0)
    return ""
