"""The report says what the decision says, on the page and on paper; the PDF is tagged and the same twice."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from pypdf import PdfReader

from dashboard import format as fmt
from dashboard import tables
from dashboard.pdf import render_pdf
from dashboard.report import Report, cards, report_of
from selector.results import Recommendation
from selector.tree import load_tree
from tests.dashboard import sample

HOSTILE = 'Tokens #panic() *b* $x$ @ref <b>&amp;</b> _u_ [l](http://x) \\ "q"'


def report(recommendation: Recommendation | None = None) -> Report:
    return report_of(recommendation or sample.recommendation(), load_tree())


def words_of(pdf: bytes) -> str:
    """Text of all pages, line breaks and soft spaces folded."""
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    return re.sub(r"[\s\u200b]+", " ", text)


def test_the_report_begins_with_the_verdict_and_three_numbers() -> None:
    made, recommendation = report(), sample.recommendation()
    assert made.verdict == recommendation.choice.sentence
    assert [card.value for card in made.cards] == [
        fmt.usd(recommendation.choice.saving_usd),
        fmt.months(recommendation.choice.payback_months),
        fmt.share(recommendation.choice.probability),
    ]


def test_a_stay_shows_the_bill_instead_of_a_saving() -> None:
    recommendation = sample.recommendation()
    stay = replace(recommendation, choice=replace(recommendation.choice, option_id="api:gpt-4o"))
    assert cards(stay)[0].value == fmt.usd(273_750.0 + 12 * 900.0)


def test_without_a_feasible_option_there_are_no_headline_numbers() -> None:
    recommendation = sample.recommendation()
    assert cards(replace(recommendation, choice=replace(recommendation.choice, option_id=None))) == ()


def test_the_fixed_table_has_the_three_arms_with_total_upfront_roi_and_both_paybacks() -> None:
    frame = tables.fixed_table(sample.recommendation())
    assert list(frame["Option"]) == ["GPT-4-class API", "Self-hosted 70B", "Fine-tuned 7B"]
    assert list(frame.columns) == ["Option", "12-month total", "Upfront", "ROI", "Payback vs API", "Payback vs 70B", "Allowed"]
    assert frame["12-month total"][0] == fmt.usd(12 * (22_812.5 + 900.0))
    assert frame["Upfront"][2] == "$42,610"


def test_a_refused_arm_keeps_its_numbers_and_says_why() -> None:
    recommendation = sample.recommendation()
    rows = (*recommendation.table[:1], replace(recommendation.table[1], refused_because="the data may not leave"), recommendation.table[2])
    refused = replace(recommendation, table=rows)
    frame = tables.fixed_table(refused)
    assert list(frame["Allowed"]) == ["yes", "no", "yes"]
    assert tables.fixed_table_notes(refused) == ("Self-hosted 70B is refused: the data may not leave.",)
    assert frame["12-month total"][1].startswith("$")


def test_every_option_stands_in_exactly_one_of_the_two_tables() -> None:
    recommendation = sample.recommendation()
    allowed, refused = tables.options_table(recommendation), tables.refused_table(recommendation)
    assert len(allowed) + len(refused) == len(recommendation.options)
    assert list(refused["Refused because"]) == [option.refused_because for option in recommendation.options if not option.feasible]
    assert allowed["Option"][0].endswith("(recommended, the tree's pick)")


def test_folded_months_say_the_same_as_all_months() -> None:
    option = sample.options()[0]
    full, folded = tables.months_table(option), tables.months_table(option, fold=True)
    assert len(full) == 1 + 12 + 1
    assert list(folded["Month"]) == ["upfront", "1 to 3, each", "4 to 12, each", "all"]
    assert full["Total"].iloc[-1] == folded["Total"].iloc[-1] == fmt.usd(option.total_usd, cents=True)


def test_the_csv_adds_up_to_every_total() -> None:
    recommendation = sample.recommendation()
    rows = [line.split(",") for line in tables.months_csv(recommendation).splitlines()[1:]]
    for option in recommendation.options:
        if option.total_usd is not None:
            assert sum(float(row[-1]) for row in rows if row[0] == option.id) == pytest.approx(option.total_usd)


def test_the_csv_holds_no_formula() -> None:
    recommendation = sample.recommendation()
    hostile = replace(recommendation.options[0], id="=cmd|' /C calc'!A0", title="@SUM(1)")
    rows = tables.months_csv(replace(recommendation, options=(hostile,))).splitlines()[1:]
    assert all(row.startswith("'=cmd") and ",'@SUM(1)," in row for row in rows)


def test_the_pdf_holds_every_headline_number_and_its_proof() -> None:
    recommendation = sample.recommendation()
    text = words_of(render_pdf(report(recommendation)))
    for said in (
        recommendation.choice.sentence,
        fmt.usd(recommendation.choice.saving_usd),
        fmt.months(recommendation.choice.payback_months),
        *(fmt.usd(row.total_usd) for row in recommendation.table),
        *(fmt.usd(row.upfront_usd) for row in recommendation.table),
        *(option.title for option in recommendation.options),
        *(step.question for step in recommendation.path),
        *(line.label for line in recommendation.sources),
        *recommendation.not_counted,
        recommendation.measured.sentence,
        "method version 1",
        recommendation.inputs_sha256,
    ):
        assert said in text


def test_page_one_has_verdict_table_and_chart() -> None:
    recommendation = sample.recommendation()
    first = PdfReader(io.BytesIO(render_pdf(report(recommendation)))).pages[0].extract_text()
    assert "Test the fine-tuned Qwen3-8B first" in first
    assert "Self-hosted 70B" in first
    assert "break-even: 5.3 months" in first


@pytest.mark.parametrize("paper", ["a4", "us-letter"])
def test_the_same_report_gives_the_same_bytes(paper: str) -> None:
    assert render_pdf(report(), paper=paper) == render_pdf(report(), paper=paper)


def test_the_pdf_is_tagged_for_screen_readers_and_the_archive() -> None:
    reader = PdfReader(io.BytesIO(render_pdf(report())))
    catalog = reader.root_object
    assert catalog["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in catalog
    assert catalog["/Lang"] == "en-US"
    xmp = catalog["/Metadata"].get_object().get_data().decode()
    assert "<pdfuaid:part>1</pdfuaid:part>" in xmp
    assert "<pdfaid:part>2</pdfaid:part>" in xmp
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in xmp
    assert reader.metadata.title.startswith("Document analysis")


def test_markup_in_a_name_is_printed_as_it_stands() -> None:
    text = words_of(render_pdf(report(sample.recommendation(HOSTILE))))
    assert HOSTILE in text


def test_the_pdf_is_as_short_as_a_reader_will_bear() -> None:
    assert 4 <= len(PdfReader(io.BytesIO(render_pdf(report()))).pages) <= 8


def test_an_unknown_paper_is_an_error() -> None:
    with pytest.raises(ValueError, match="a4 or us-letter"):
        render_pdf(report(), paper="a5")
