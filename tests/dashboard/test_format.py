"""Numbers as a reader sees them, and text that no renderer takes for markup."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import format as fmt


@pytest.mark.parametrize(
    ("amount", "text"),
    [(273_750.0, "$273,750"), (-1_234.6, "-$1,235"), (0.0, "$0"), (4.2, "$4.20"), (99.994, "$99.99"), (-0.4, "-$0.40"), (None, "–")],
)
def test_usd_rounds_to_dollars_and_small_amounts_to_cents(amount: float | None, text: str) -> None:
    assert fmt.usd(amount) == text


def test_usd_with_cents_keeps_half_a_dollar() -> None:
    assert fmt.usd(50e6 / 1e6 * 15 * 365 / 12, cents=True) == "$22,812.50"


def test_a_rounded_zero_has_no_sign() -> None:
    assert fmt.usd(-0.001) == "$0.00"


@pytest.mark.parametrize(
    ("amount", "text"),
    [(999.0, "$999"), (999.6, "$1k"), (1_500.0, "$1.5k"), (273_750.0, "$274k"), (1_234_567.0, "$1.23M"), (-2e9, "-$2B"), (0.0, "$0")],
)
def test_usd_short_has_three_digits(amount: float, text: str) -> None:
    assert fmt.usd_short(amount) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "0%"), (1.0, "100%"), (0.9999, ">99%"), (0.0001, "<0.1%"), (0.0312, "3.1%"), (0.994, "99%"), (0.31, "31%"), (None, "–")],
)
def test_share_never_says_certain_of_what_is_not(fraction: float | None, text: str) -> None:
    assert fmt.share(fraction) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0.0, "at once"), (1.0, "1 month"), (4.23, "4.2 months"), (12.0, "12 months"), (None, "not within 12 months")]
)
def test_months(count: float | None, text: str) -> None:
    assert fmt.months(count, 12) == text


@pytest.mark.parametrize(("seconds", "text"), [(45.0, "45 s"), (59.6, "1 min"), (200.0, "3 min 20 s"), (3_900.0, "1 h 05 min")])
def test_duration(seconds: float, text: str) -> None:
    assert fmt.duration(seconds) == text


def test_counts_and_sizes() -> None:
    assert fmt.tokens(50e6) == "50 M tokens"
    assert fmt.tokens(912.0) == "912 tokens"
    assert fmt.rate(41.34) == "41.3 tokens/s"
    assert fmt.rate(1834.5) == "1,830 tokens/s"
    assert fmt.size(4_080_281_216) == "4.08 GB"
    assert fmt.milliseconds(1_840.0) == "1.8 s"
    assert fmt.day(date(2026, 11, 4)) == "4 November 2026"
    assert (fmt.age(0), fmt.age(1), fmt.age(89), fmt.age(456)) == ("today", "1 day", "89 days", "15 months")


def test_labels_carry_the_unit_of_the_field() -> None:
    assert fmt.field_label("growth_per_month_share") == "Growth per month (share)"
    assert fmt.field_label("gpu_usd_per_hour") == "GPU (USD an hour)"
    assert fmt.field_label("api_blended_usd_per_mtok") == "API blended (USD per M tokens)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>x</b>", r"\<b>x\</b>"),
        ("[a](http://x.y)", r"\[a\](http\://x.y)"),
        (":red[x] :smile:", r"\:red\[x\] \:smile:"),
        ("$1 and $2", r"\$1 and \$2"),
        ("# head", r"\# head"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("openai:gpt-4o, qa_closed", "openai:gpt-4o, qa_closed"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, shown: str) -> None:
    assert fmt.markdown_literal(text) == shown


@given(st.text(max_size=60))
def test_escaping_adds_only_backslashes(text: str) -> None:
    flat = " ".join(text.split())
    assert fmt.markdown_literal(text).replace("\\", "") == flat.replace("\\", "")


def test_only_an_address_at_the_beginning_of_a_cell_becomes_a_link() -> None:
    assert fmt.markdown_cell("https://a.example/p?x=1 read by hand") == "[a.example](https://a.example/p?x=1) read by hand"
    assert fmt.markdown_cell("javascript:alert(1)") == "javascript:alert(1)"
    assert fmt.markdown_cell("https://a.example/)[x](y) z").startswith(r"https\://")


@pytest.mark.parametrize(("text", "shown"), [("=1+1", "'=1+1"), ("@x", "'@x"), ("-3.5", "-3.5"), ("+a", "'+a"), ("Rent", "Rent")])
def test_a_spreadsheet_takes_no_text_for_a_formula(text: str, shown: str) -> None:
    assert fmt.csv_literal(text) == shown


@pytest.mark.parametrize(
    ("identifier", "text"), [("qa", "QA"), ("qa_closed", "QA closed"), ("extraction", "Extraction"), ("on_prem", "On prem")]
)
def test_a_name_of_the_code_reads_as_words(identifier: str, text: str) -> None:
    assert fmt.words(identifier) == text
