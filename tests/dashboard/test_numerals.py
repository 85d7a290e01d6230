"""Numbers are written in the reader's way; names, versions and addresses keep their points."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.numerals import STYLES, report_in, style_of, written
from dashboard.report import report_of
from dashboard.tables import months_csv
from selector.tree import load_tree
from tests.dashboard import sample


@pytest.mark.parametrize(
    ("text", "german"),
    [
        ("saves $4,558,864.50 in 4.2 months", "saves $4.558.864,50 in 4,2 months"),
        ("-$22,350 at 8.5 % or 8.5%", "-$22.350 at 8,5 % or 8,5%"),
        ("10,000 draws of 47.1 M tokens", "10.000 draws of 47,1 M tokens"),
        ("2.5 in / 10 out, cached 1.25 USD per Mtok", "2,5 in / 10 out, cached 1,25 USD per Mtok"),
        ("Llama 3.3 70B, gpt-4.1, Qwen2.5-1.5B, v0.5.1", "Llama 3.3 70B, gpt-4.1, Qwen2.5-1.5B, v0.5.1"),
        ("2026-11-25, 127.0.0.1:8501, vllm 0.11.0", "2026-11-25, 127.0.0.1:8501, vllm 0.11.0"),
    ],
)
def test_only_numbers_of_the_decision_change(text: str, german: str) -> None:
    assert written(text, "de") == german
    assert written(text, "en") == text


@given(st.floats(0.0, 1e12), st.sampled_from(sorted(STYLES)))
def test_an_amount_reads_back_in_every_style(amount: float, style: str) -> None:
    numerals = STYLES[style]
    back = written(f"${amount:,.2f}", style).removeprefix("$").replace(numerals.group, "").replace(numerals.point, ".")
    assert float(back) == round(amount, 2)


@given(st.text(max_size=60))
def test_no_text_breaks_it_and_no_digit_is_lost(text: str) -> None:
    for style in STYLES:
        assert re.findall(r"\d", written(text, style)) == re.findall(r"\d", text)


@pytest.mark.parametrize(
    ("locale", "style"),
    [
        ("de-DE", "de"),
        ("de_CH", "ch"),
        ("fr", "fr"),
        ("en-GB", "en"),
        ("pt-BR", "de"),
        ("es-MX", "en"),
        ("", "en"),
        (None, "en"),
        ("xx-?", "en"),
    ],
)
def test_a_locale_has_its_style(locale: str | None, style: str) -> None:
    assert style_of(locale) == style


def test_a_report_changes_its_numbers_but_not_its_names_pictures_and_proof() -> None:
    made = report_of(sample.recommendation("Plan 1,000.5 USD"), load_tree(), link="http://127.0.0.1/?a=1,000")
    german = report_in(made, "de")
    assert (german.title, german.link, german.inputs_sha256) == (made.title, made.link, made.inputs_sha256)
    assert german.verdict == written(made.verdict, "de") != made.verdict
    assert [figure.svg for figure in german.sections[0].figures] == [figure.svg for figure in made.sections[0].figures]
    assert german.sections[0].tables[0].rows[0][1].count(".") == 1
    assert report_in(made, "en") == made


def test_the_csv_of_a_comma_country_reads_back_to_the_same_numbers() -> None:
    recommendation = sample.recommendation()
    rows = [line.rsplit(";", 1) for line in months_csv(recommendation, "de").splitlines()[1:]]
    plain = [line.rsplit(",", 1) for line in months_csv(recommendation).splitlines()[1:]]
    assert [float(row[1].replace(",", ".")) for row in rows] == [float(row[1]) for row in plain]
