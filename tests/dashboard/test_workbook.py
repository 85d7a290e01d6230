"""The workbook can be audited: every formula, computed anew, gives what is stored beside it, and that is what the JSON says."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import openpyxl
import pytest

from dashboard import format as fmt
from dashboard.report import Owners
from dashboard.workbook import workbook
from selector.catalog import load_catalog
from selector.public import to_json
from selector.recommendation import recommend
from selector.results import OptionResult, Recommendation
from selector.scenarios import Scenario
from tests.dashboard import sample
from workloads.requirements import presets

DAY = date(2026, 11, 22)


class Book:
    """A workbook twice: its formulas, and the values stored with them; and a small spreadsheet that computes the formulas anew."""

    def __init__(self, content: bytes) -> None:
        self.formulas = openpyxl.load_workbook(io.BytesIO(content))
        self.stored = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
        self.computed = lru_cache(maxsize=None)(self._computed)

    def cells(self) -> list[tuple[str, str]]:
        """(sheet, address) of every formula."""
        return [
            (sheet.title, cell.coordinate) for sheet in self.formulas for row in sheet.iter_rows() for cell in row if cell.data_type == "f"
        ]

    def value(self, sheet: str, address: str) -> Any:
        return self.stored[sheet][address].value

    def _computed(self, sheet: str, address: str) -> Any:
        cell = self.formulas[sheet][address]
        return self.solve(sheet, str(cell.value)[1:]) if cell.data_type == "f" else cell.value

    def solve(self, sheet: str, formula: str) -> Any:
        def reference(found: re.Match[str]) -> str:
            if found["text"] is not None:
                return found["text"]
            where = (found["quoted"] or found["plain"] or sheet).replace("$", "")
            first, last = found["first"].replace("$", ""), (found["last"] or "").replace("$", "")
            return f"span({where!r}, {first!r}, {last!r})" if last else f"one({where!r}, {first!r})"

        cell = r"\$?[A-Z]{1,2}\$?[0-9]+"
        text = re.sub(
            rf"(?P<text>\"[^\"]*\")|(?:'(?P<quoted>[^']+)'!|(?P<plain>[A-Z][a-z]+)!)?(?P<first>{cell})(?::(?P<last>{cell}))?",
            reference,
            formula,
        )
        text = re.sub(r"(?<![<>=])=(?![=])", "==", text.replace("^", "**"))
        names = {
            "one": lambda where, at: self.computed(where, at),
            "span": self.span,
            "SUM": lambda values: np.nansum(values),
            "SUMPRODUCT": lambda left, right: float((left * right).sum()),
            "IF": lambda asked, yes, no: yes() if asked else no(),
            "AND": lambda *all_of: all(all_of),
            "COUNT": lambda values: int(np.isfinite(values).sum()),
            "MAX": lambda values: float(np.nanmax(values)),
            "MIN": min,
        }
        return eval(lazy(text), {"__builtins__": {}, **names})  # our own workbook

    def span(self, where: str, first: str, last: str) -> Any:
        rows = self.formulas[where][f"{first}:{last}"]
        numbers = [[self.computed(where, cell.coordinate) for cell in row] for row in rows]
        return np.array([[float(value) if isinstance(value, int | float) else np.nan for value in row] for row in numbers])


def lazy(text: str) -> str:
    """IF(a,b,c) with its branches put off, so that no division by zero is tried."""
    start = text.rfind("IF(")
    while start >= 0:
        depth, commas, end = 0, [], start
        for end in range(start + 2, len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if text[end] == "," and depth == 1:
                commas.append(end)
            if depth == 0:
                break
        asked, yes, no = text[start + 3 : commas[0]], text[commas[0] + 1 : commas[1]], text[commas[1] + 1 : end]
        text = f"{text[:start]}_if_({asked},lambda:{yes},lambda:{no}){text[end + 1 :]}"
        start = text.rfind("IF(", 0, start)
    return text.replace("_if_(", "IF(")


def with_true_npv(made: Recommendation) -> Recommendation:
    """The sample's NPVs are made up; these follow from its bills."""
    rate = made.scenario.assumptions.discount_rate_per_year
    today = made.option(made.choice.baseline_option_id)
    assert today is not None

    def npv(option: OptionResult) -> float | None:
        if not option.months or today is None:
            return None
        flows = [(today.upfront_usd or 0.0) - (option.upfront_usd or 0.0)]
        flows += [now.total_usd - then.total_usd for now, then in zip(today.months, option.months, strict=True)]
        return sum(flow / (1.0 + rate) ** (month / 12.0) for month, flow in enumerate(flows))

    return replace(made, options=tuple(replace(option, npv_usd=npv(option)) for option in made.options))


def decided(which: int) -> Recommendation:
    scenario = Scenario(workload=presets()[which].model_copy(update={"tokens_per_day": 400e6, "growth_per_month_share": 0.03}))
    return recommend(scenario, load_catalog(DAY, scenario.prices))


@pytest.fixture(scope="module")
def real() -> Recommendation:
    return decided(2)


@pytest.mark.parametrize("made", ["sample", "decided"])
def test_every_formula_computed_anew_gives_the_stored_value(made: str, real: Recommendation) -> None:
    book = Book(workbook(with_true_npv(sample.recommendation()) if made == "sample" else real))
    cells = book.cells()
    assert len(cells) > 300
    for sheet, address in cells:
        stored, anew = book.value(sheet, address), book.computed(sheet, address)
        if isinstance(stored, str) or stored is None:
            assert (stored or "") == anew, (sheet, address)
        else:
            assert anew == pytest.approx(stored, rel=1e-9, abs=1e-6), (sheet, address, book.formulas[sheet][address].value)


def test_totals_are_formulas_whose_stored_values_are_the_json(real: Recommendation) -> None:
    book, document = Book(workbook(real)), to_json(real)
    sheet = book.formulas["Options"]
    for row, option in enumerate(document["options"], 3):
        if option["total_usd"] is None:
            continue
        for column, key in (("E", "upfront_usd"), ("F", "total_usd"), ("I", "npv_usd"), ("M", "expected_usd"), ("N", "run_rate_year_usd")):
            stored = book.value("Options", f"{column}{row}")
            if option[key] is None:
                assert stored == fmt.NOTHING
            else:
                assert stored == pytest.approx(option[key], rel=1e-12), (option["id"], key)
        for column in "EFGHINO":
            assert str(sheet[f"{column}{row}"].value).startswith("="), (option["id"], column)
        assert book.value("Options", f"Q{row}") == option["id"]


def test_the_first_sheet_says_the_headline_numbers(real: Recommendation) -> None:
    book, choice = Book(workbook(real)), real.choice
    said = {str(row[0].value).partition(":")[0]: row[1].value for row in book.stored["Decision"].iter_rows(min_row=6, max_row=11)}
    assert said["Saving against today"] == pytest.approx(choice.saving_usd)
    assert said["Payback in months"] == pytest.approx(choice.payback_months)
    assert said["NPV"] == pytest.approx(choice.npv_usd)
    assert said["Chance of being good enough"] == choice.probability
    assert book.stored["Decision"]["A3"].value == choice.sentence


def test_a_bill_without_payback_says_so_in_words() -> None:
    made = sample.recommendation()
    dear = replace(made.options[3], id="dear", payback_months=None, expected_usd=1.0)
    months = tuple(replace(month, lines=(replace(month.lines[0], usd=99_000.0),), total_usd=99_000.0) for month in dear.months)
    total = (dear.upfront_usd or 0.0) + sum(month.total_usd for month in months)
    dear = replace(dear, months=months, total_usd=total)
    stay = replace(made, options=(made.options[2], dear), choice=replace(made.choice, option_id="api:gpt-4o"))
    book = Book(workbook(stay))
    assert book.value("Cash flow", "B9") == book.computed("Cash flow", "B9") == "not within 12 months"


def test_text_is_never_a_formula_a_link_or_a_number() -> None:
    hostile = sample.recommendation('=HYPERLINK("http://evil.example","x")')
    options = tuple(replace(option, title=f"+cmd|' /C calc'!A{number}") for number, option in enumerate(hostile.options))
    made = replace(hostile, options=options, alarms=("@SUM(1+1)", "-2+3", "\t=1"), not_counted=("https://evil.example",))
    book = Book(workbook(made, owners=Owners(prices="=1+1"), link="=2+2"))
    for sheet in book.formulas:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.hyperlink is None
                if isinstance(cell.value, str) and cell.data_type != "f" and cell.value[:1] in "=+-@\t" and cell.value:
                    assert cell.data_type == "s"
                    assert cell.quotePrefix
                if cell.data_type == "f":
                    assert re.match(r"=(SUM\(|IF\(|\(1\+|[A-Z]{1,2}\d|'|Options!|0$|-?\$)", str(cell.value)), cell.value
    assert book.value("Decision", "A1").startswith("=HYPERLINK")


def test_the_same_decision_gives_the_same_bytes() -> None:
    assert workbook(sample.recommendation()) == workbook(sample.recommendation())


def test_the_register_names_owner_date_and_which_options_use_a_number(real: Recommendation) -> None:
    book = Book(workbook(real, owners=Owners(prices="Ada Ng")))
    rows = list(book.stored["Assumptions"].iter_rows(min_row=2, values_only=True))
    assert len(rows) == len(real.sources)
    price = next(row for row in rows if row[9] == "price.openai:gpt-4o")
    assert price[6] == "Ada Ng"
    assert "openai:gpt-4o" in price[8]
    assert price[3] is not None
    assert {row[6] for row in rows} == {"Ada Ng", "Engineering", "Product", "Finance"}
    assert next(row for row in rows if row[9] == "assumption.fte_month_usd")[8] == "every option"


def test_a_decision_without_any_option_is_a_workbook_too() -> None:
    made = sample.recommendation()
    none = replace(made, options=(made.options[-1],), table=(), choice=replace(made.choice, option_id=None, saving_usd=None))
    book = Book(workbook(none))
    assert "No other option" in book.value("Cash flow", "A1")
    assert book.cells() == [] or all(sheet == "Costs by month" for sheet, _ in book.cells())


def test_control_signs_and_endless_names_are_cut_not_refused() -> None:
    made = sample.recommendation()
    long = replace(made, choice=replace(made.choice, sentence="x" * 50_000), alarms=("bell \x07 and \x00 nul",))
    assert len(Book(workbook(long)).value("Decision", "A3")) == 32_000
