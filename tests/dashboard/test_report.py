"""The report says what the decision says, on the page and on paper; the PDF is tagged and the same twice."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date

import pytest
from pypdf import PdfReader

from dashboard import format as fmt
from dashboard import tables
from dashboard.doubt_desk import doubted
from dashboard.pdf import render_pdf
from dashboard.report import QR_BYTES, Owners, Report, Signature, cards, qr_svg, report_of
from selector.catalog import load_catalog
from selector.public import to_json
from selector.recommendation import recommend
from selector.results import Recommendation
from selector.scenarios import Scenario
from selector.tree import load_tree
from tests.dashboard import sample
from workloads.requirements import presets

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
    assert 4 <= len(PdfReader(io.BytesIO(render_pdf(report()))).pages) <= 6


def test_an_unknown_paper_is_an_error() -> None:
    with pytest.raises(ValueError, match="a4 or us-letter"):
        render_pdf(report(), paper="a5")


# ---- a real decision: the paper against the JSON ----


@pytest.fixture(scope="module")
def real() -> Recommendation:
    workload = presets()[2].model_copy(update={"tokens_per_day": 400e6, "horizon_months": 36, "growth_per_month_share": 0.03})
    scenario = Scenario(workload=workload)
    return recommend(scenario, load_catalog(date(2026, 11, 22), scenario.prices))


def test_every_amount_on_page_one_is_a_number_of_the_json(real: Recommendation) -> None:
    """Each dollar amount in the text of page 1 is one of the JSON's numbers, rounded; the axes of the chart apart."""
    document = to_json(real)
    page = words_of_page(render_pdf(report(real)), 0)
    known = {fmt.usd(number) for number in numbers_of(document)} | {f"${number:,.0f}" for number in numbers_of(document) if number >= 0}
    amounts = {found.rstrip(",") for found in re.findall(r"-?\$[\d,]+(?:\.\d\d)?(?![\d.]*[kMB])", page)}
    assert len(amounts) >= 6
    assert amounts <= known, amounts - known


def test_the_headline_of_the_paper_is_the_headline_of_the_json(real: Recommendation) -> None:
    document = to_json(real)["recommendation"]
    page = words_of_page(render_pdf(report(real), paper="us-letter"), 0)
    assert document["sentence"] in page
    assert fmt.usd(document["saving_usd"]) in page
    assert fmt.months(document["payback_months"]) in page
    assert fmt.share(document["probability"]) in page
    for row in to_json(real)["table"]:
        assert fmt.usd(row["total_usd"]) in page
        assert fmt.usd(row["upfront_usd"]) in page


@pytest.mark.parametrize("paper", ["a4", "us-letter"])
def test_a_long_horizon_fits_on_six_pages_too(real: Recommendation, paper: str) -> None:
    """With its doubt, as the page hands it out."""
    link = "http://127.0.0.1:8501/?mtok_per_day=400&horizon_months=36"
    doubt = doubted(real, load_catalog(real.as_of, real.scenario.prices)).doubt
    assert doubt is not None
    made = report_of(real, load_tree(), doubt=doubt, link=link)
    assert 4 <= len(PdfReader(io.BytesIO(render_pdf(made, paper=paper))).pages) <= 6


def test_a_long_bill_is_added_up_by_quarter_and_loses_nothing(real: Recommendation) -> None:
    option = real.option(real.choice.option_id)
    assert option is not None
    short = tables.months_table(option, fold=True, rows=14)
    assert "together" in " ".join(short["Month"])
    assert len(short) <= 14 + 2
    amounts = [float(text.replace("$", "").replace(",", "")) for text in short["Total"]]
    assert sum(amounts[:-1]) == pytest.approx(amounts[-1], abs=0.02 * len(amounts))
    assert short["Total"].iloc[-1] == fmt.usd(option.total_usd, cents=True)


def test_the_register_names_owner_source_and_date_of_what_the_decision_rests_on(real: Recommendation) -> None:
    made = report_of(real, load_tree(), owners=Owners(prices="Ada Ng, procurement"))
    register = next(section for section in made.sections if section.heading == "Assumptions register")
    table = register.tables[0]
    assert table.columns == ("What", "Value", "Source", "Read on", "Basis", "Owner")
    by_label = {row[0]: row for row in table.rows}
    assert by_label["Price of openai:gpt-4o"][3:] == ("2026-11-04", "published", "Ada Ng, procurement")
    assert by_label["Discount rate"][-1] == "Finance"
    shown = tables.shown_ids(real)
    wanted = [line for line in real.sources if not line.option_ids or shown & set(line.option_ids)]
    assert len(table.rows) == len(wanted)
    assert f"{len(real.sources) - len(wanted)} further numbers" in register.sentences[0]


def test_every_number_of_the_register_says_which_options_use_it(real: Recommendation) -> None:
    known = {option.id for option in real.options}
    for line in real.sources:
        assert set(line.option_ids) <= known
        assert bool(line.option_ids) != line.key.startswith("assumption.")
    price = next(line for line in real.sources if line.key == "price.openai:gpt-4o")
    assert real.choice.baseline_option_id in price.option_ids


def test_the_link_stands_as_text_and_as_a_code_that_holds_the_same() -> None:
    link = "http://127.0.0.1:8501/?mtok_per_day=30&name=A+%26+B"
    made = report_of(sample.recommendation(), load_tree(), link=link)
    assert made.qr_svg == qr_svg(link) != qr_svg(link + "x")
    assert made.qr_svg.startswith("<svg xmlns")
    pdf = render_pdf(made)
    assert link in words_of(pdf).replace(" ", "")
    targets = [
        annotation.get_object()["/A"]["/URI"]
        for page in PdfReader(io.BytesIO(pdf)).pages
        for annotation in page.get("/Annots", [])
        if "/A" in annotation.get_object()
    ]
    assert link in targets


def test_a_link_too_long_for_a_code_stands_as_text_only() -> None:
    link = "http://127.0.0.1/?name=" + "a" * QR_BYTES
    made = report_of(sample.recommendation(), load_tree(), link=link)
    assert (made.link, made.qr_svg) == (link, "")
    assert qr_svg("") == ""
    render_pdf(made)


def test_the_signature_lines_stand_together_on_the_last_page_with_their_names() -> None:
    made = report_of(
        sample.recommendation(), load_tree(), signatures=(Signature(role="Approved by", name="Ada #Ng"), Signature(role="Seen by"))
    )
    last = words_of_page(render_pdf(made), -1)
    assert "Approved by: Ada #Ng" in last
    assert "Seen by" in last
    assert last.count("Name, date") == 2
    assert made.inputs_sha256[:16] in last


def words_of_page(pdf: bytes, number: int) -> str:
    return re.sub(r"[\s\u200b]+", " ", PdfReader(io.BytesIO(pdf)).pages[number].extract_text())


def numbers_of(document: object) -> list[float]:
    if isinstance(document, dict):
        return [number for value in document.values() for number in numbers_of(value)]
    if isinstance(document, list):
        return [number for value in document for number in numbers_of(value)]
    return [float(document)] if isinstance(document, int | float) and not isinstance(document, bool) else []
