"""Token bills, with the arithmetic in the assert."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.records import Source
from pricing.bill import token_bill_usd
from pricing.prices import ApiPrice, PriceBook, PriceOverrides, ProviderClass
from workloads.demand import Complexity, TokenVolume, Workload, token_volume

AS_OF = date(2026, 11, 22)
MTOK = st.floats(0, 1e6)


def price(**rates):
    rates = {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0} | rates
    source = Source(url="test", checked=AS_OF)
    return ApiPrice(provider="p", model="m", provider_class=ProviderClass.VENDOR, source=source, layer="test", **rates)


def volume(given=0.0, cached=0.0, output=0.0):
    as_month = lambda mtok: np.array([mtok * 1e6])  # noqa: E731
    return TokenVolume(
        input_tokens=as_month(given), cached_input_tokens=as_month(cached), output_tokens=as_month(output), requests=as_month(1)
    )


def total(*args, **kwargs):
    return float(token_bill_usd(*args, **kwargs).total_usd.sum())


def test_fifty_million_tokens_a_day_at_fifteen_dollars():
    """750 a day, 22,812.50 a month of 365/12 days, 273,750 a year: what an article printed as a month."""
    workload = Workload(name="all", tokens_per_day=50e6, input_share=0.8, complexity=Complexity.EXTRACTION)
    book = PriceBook.load(AS_OF, PriceOverrides(api_blended_usd_per_mtok=15.0))
    bill = token_bill_usd(token_volume(workload), book.baseline_price("openai:gpt-4o", input_tokens=1000))
    assert [line.name for line in bill.lines] == ["tokens"]
    assert bill.lines[0].usd.tolist() == pytest.approx([22_812.50] * 12, rel=1e-14)
    assert bill.total_usd.sum() == pytest.approx(365 * 750.0, rel=1e-14)
    assert 365 * 750.0 == 273_750.0 == 12 * 22_812.50


def test_each_kind_of_token_has_its_own_rate():
    bill = token_bill_usd(volume(8, 2, 1), price(cached_input_usd_per_mtok=1.25))
    assert {line.name: line.usd.tolist() for line in bill.lines} == {
        "tokens_input": [8 * 2.5],
        "tokens_cached_input": [2 * 1.25],
        "tokens_output": [1 * 10.0],
    }


def test_a_cache_discount_lowers_the_cached_input_only():
    """Not the whole bill times (1 - 0.9 x hit share): that would be 60 x 0.55 = 33."""
    cached = total(volume(10, 10, 1), price(input_usd_per_mtok=2.5, cached_input_usd_per_mtok=0.25))
    assert cached == pytest.approx(10 * 2.5 + 10 * 0.25 + 1 * 10.0)


def test_cached_tokens_cost_the_input_rate_where_there_is_no_cached_rate():
    assert total(volume(8, 2, 0), price()) == (8 + 2) * 2.5


def test_cache_writes_cost_their_own_rate():
    bill = token_bill_usd(volume(8, 0, 0), price(cache_write_usd_per_mtok=3.125), cache_write_share=0.25)
    assert float(bill.tokens_input_usd[0]) == 6 * 2.5
    assert float(bill.tokens_cache_write_usd[0]) == 2 * 3.125


def test_reasoning_is_billed_as_output_and_retries_bill_everything_again():
    assert total(volume(8, 0, 1), price(), output_multiplier=3.0) == pytest.approx(8 * 2.5 + 3 * 10.0)
    assert total(volume(8, 0, 1), price(), retry_share=0.02) == pytest.approx(1.02 * (8 * 2.5 + 10.0))
    assert total(volume(8, 2, 1), price(blended_usd_per_mtok=5.0), output_multiplier=2.0, retry_share=0.1) == pytest.approx(
        1.1 * (8 + 2 + 2) * 5
    )


def test_a_batch_bill_is_the_batch_price_and_nothing_else():
    gpt_4o = PriceBook.load(AS_OF).api_price("openai:gpt-4o", input_tokens=1000)
    batch = gpt_4o.in_batch()
    assert batch is not None
    assert total(volume(8, 0, 1), batch) == 8 * 1.25 + 1 * 5.0 == total(volume(8, 0, 1), gpt_4o) / 2


def test_a_price_path_scales_each_month():
    months = TokenVolume(input_tokens=np.full(3, 1e6), cached_input_tokens=np.zeros(3), output_tokens=np.zeros(3), requests=np.ones(3))
    bill = token_bill_usd(months, price(), price_factor=np.array([1.0, 0.8, 0.8]))
    assert bill.total_usd.tolist() == [2.5, 2.0, 2.0]


@given(given=MTOK, cached=MTOK, output=MTOK, more=MTOK, which=st.sampled_from(["given", "cached", "output"]))
def test_more_tokens_never_cost_less(given, cached, output, more, which):
    before = {"given": given, "cached": cached, "output": output}
    after = before | {which: before[which] + more}
    rates = price(cached_input_usd_per_mtok=1.25)
    assert total(volume(**after), rates) >= total(volume(**before), rates)


@given(given=MTOK, output=MTOK, factor=st.floats(0.1, 10), retry=st.floats(0, 1))
def test_a_bill_is_linear_in_its_tokens(given, output, factor, retry):
    small, large = volume(given, 0, output), volume(given * factor, 0, output * factor)
    assert total(large, price(), retry_share=retry) == pytest.approx(factor * total(small, price(), retry_share=retry))


@given(given=MTOK, cached=MTOK, output=MTOK)
def test_the_lines_of_a_bill_are_its_total(given, cached, output):
    bill = token_bill_usd(volume(given, cached, output), price())
    assert sum(float(line.usd.sum()) for line in bill.lines) == pytest.approx(float(bill.total_usd.sum()))
