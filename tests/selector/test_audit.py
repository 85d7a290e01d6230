"""The audit: the five articles' claims get their verdicts, generated claims too, and a file that is wrong is refused."""

import json
import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from facts.errors import InputError
from pricing.prices import PriceBook, PriceOverrides
from selector.__main__ import app
from selector.agreement import agrees, rounding
from selector.audit import AuditVerdict, audit_claim, audit_json
from selector.catalog import load_catalog
from selector.claims import CLAIMS, Bound, ClaimKind, Span, claim_of, claims_of, read_claims, shipped_claims
from selector.input_slips import input_alarms, period_alarms, price_alarms, rent_alarm, speed_alarm
from selector.limits import cheapest_rent, device_named, fastest_tokens_per_s
from tests.selector.decisions import scenario

DAY = date(2026, 11, 22)
CATALOG = load_catalog(DAY)
YES, NO, OPEN = AuditVerdict.REPRODUCES, AuditVerdict.DOES_NOT, AuditVerdict.UNDECIDABLE


def audit(kind, **numbers):
    return audit_claim(claim_of({"id": "x", "kind": kind, **numbers}), CATALOG)


def only(result):
    (figure,) = result.recomputed
    assert figure.low == figure.high
    return figure.low


# ---- the five articles ----

SHIPPED = {
    "000-price-drop": YES,
    "000-price-drop-year-over-year": NO,
    "000-gpqa-doubling": YES,
    "000-parameters-10x": YES,
    "000-phi-4-memory": YES,
    "000-phi-4-mini-memory": YES,
    "000-mistral-7b-memory": YES,
    "000-self-hosted-rent": YES,
    "000-api-bill": OPEN,
    "000-gpu-cluster": YES,
    "001-phi-3-mini-28x": YES,
    "001-gpt-4o-price": YES,
    "001-api-month": NO,
    "001-api-year": NO,
    "001-70b-month": NO,
    "001-70b-year": NO,
    "001-7b-month": NO,
    "001-7b-year": NO,
    "001-payback-against-api": NO,
    "001-payback-against-70b": NO,
    "001-payback-against-70b-on-its-own-bills": NO,
    "001-7b-rent": NO,
    "001-100m-saving": NO,
    "001-10-100x": NO,
    "001-70b-memory": OPEN,
    "001-70b-memory-16-bit": YES,
    "001-7b-latency": OPEN,
    "001-7b-latency-200-tokens": NO,
    "001-lora-run": OPEN,
    "001-premai-day": YES,
    "002-30x-in-three-years": YES,
    "002-four-bit-saves": YES,
    "002-four-bit-saves-in-q4-k-m": YES,
    "002-own-hardware-free": NO,
    "002-qwen-13x": YES,
    "003-one-fiftieth": YES,
    "003-gpt-5-price": NO,
    "003-four-gb": NO,
    "003-50-dollar-gpu": NO,
    "004-50k-a-day": OPEN,
    "004-five-percent-of-compute": YES,
}


def test_every_shipped_claim_has_its_verdict():
    assert {claim.id: audit_claim(claim, CATALOG).verdict for claim in shipped_claims()} == SHIPPED


def test_verdicts_do_not_hang_on_the_claims_names():
    for claim in shipped_claims():
        renamed = claim.model_copy(update={"id": "y", "source": ""})
        assert audit_claim(renamed, CATALOG).verdict is SHIPPED[claim.id]


def test_the_shipped_quotes_are_short_and_name_their_article():
    for claim in shipped_claims():
        assert 0 < len(claim.quote) <= 130
        assert "seed 00" in claim.source


def test_the_annual_figure_labelled_monthly():
    result = audit("cost_per_period", tokens_per_day=50e6, usd_per_mtok=15, stated_usd_per_month=273_750)
    assert result.verdict is NO
    assert only(result) == pytest.approx(50 * 15 * 365 / 12)
    assert "$22,812.50 a month" in result.arithmetic
    assert "is exactly 12 x: an annual figure labelled monthly" in result.arithmetic


def test_the_payback_of_the_article_and_the_right_one():
    result = audit("payback", tokens_per_day=50e6, baseline_usd_per_mtok=15, option_usd_per_mtok=0.15, upfront_usd=[50_000, 150_000])
    (months,) = (figure for figure in result.recomputed if figure.key == "stated_payback_months")
    # 50M x 14.85 / 1e6 x 365/12 = $22,584.375 a month
    assert months.low == pytest.approx(50_000 / 22_584.375)
    assert months.high == pytest.approx(150_000 / 22_584.375)
    assert result.verdict is OPEN
    assert result.missing == ("stated_payback_months",)


# ---- generated claims: true ones reproduce, twelvefold ones do not, missing facts are named ----

amounts = st.floats(0.05, 900).map(lambda number: float(f"{number:.3g}"))
volumes = st.integers(1, 5000).map(lambda count: count * 1e5)


def rounded_to(value, digits):
    return float(f"{value:.{digits}g}")


@given(volumes, amounts, st.integers(2, 6))
@settings(max_examples=60, deadline=None)
def test_bills_of_a_period(tokens, price, digits):
    day = tokens / 1e6 * price
    for period, days in (("day", 1), ("month", 365 / 12), ("year", 365)):
        key = f"stated_usd_per_{period}"
        assert audit("cost_per_period", tokens_per_day=tokens, usd_per_mtok=price, **{key: rounded_to(day * days, digits)}).verdict is YES
        slipped = audit("cost_per_period", tokens_per_day=tokens, usd_per_mtok=price, **{key: rounded_to(12 * day * days, 6)})
        assert slipped.verdict is NO
        assert "exactly 12 x" in slipped.arithmetic
        assert audit("cost_per_period", tokens_per_day=tokens, **{key: day}).missing == ("usd_per_mtok",)
        assert audit("cost_per_period", usd_per_mtok=price, **{key: day}).missing == ("tokens_per_day",)


@given(volumes, amounts, amounts, st.integers(2, 6))
@settings(max_examples=60, deadline=None)
def test_savings_and_paybacks(tokens, one, other, digits):
    low, high = sorted((one, other))
    if high - low < 0.01:
        high = low + 1.0
    month = tokens / 1e6 * (high - low) * 365 / 12
    facts = {"tokens_per_day": tokens, "baseline_usd_per_mtok": high, "option_usd_per_mtok": low}
    assert audit("saving_per_period", **facts, stated_usd_per_month=rounded_to(month, digits)).verdict is YES
    assert audit("saving_per_period", **facts, stated_usd_per_month=rounded_to(12 * month, digits)).verdict is NO
    assert audit("payback", **facts, upfront_usd=100_000, stated_payback_months=rounded_to(100_000 / month, digits)).verdict is YES
    assert audit("payback", **facts, upfront_usd=100_000, stated_payback_months=12 * 100_000 / month).verdict is NO
    assert audit("payback", **facts, stated_payback_months=3).missing == ("upfront_usd",)
    for key in facts:
        left = {name: value for name, value in facts.items() if name != key}
        result = audit("payback", **left, upfront_usd=100_000, stated_payback_months=3)
        assert result.verdict is OPEN
        assert result.missing == (key,)


@given(st.floats(0.5, 700), st.sampled_from([4.0, 4.85, 8.0, 16.0]))
@settings(max_examples=60, deadline=None)
def test_memory(params, bits):
    size = params * bits / 8
    assert audit("memory", params_b=params, bits_per_weight=bits, stated_gb=rounded_to(size, 3)).verdict is YES
    assert audit("memory", params_b=params, bits_per_weight=bits, stated_gb=12 * size).verdict is NO
    assert audit("memory", params_b=params, bits_per_weight=bits, stated_gb=0.8 * size).verdict is NO
    assert audit("memory", params_b=params, bits_per_weight=bits, kv_gb=10, stated_gb=rounded_to(size + 10, 4)).verdict is YES
    assert audit("memory", params_b=params, stated_gb=size).missing == ("bits_per_weight",)
    assert audit("memory", bits_per_weight=bits, stated_gb=size).missing == ("params_b",)


@given(st.integers(10, 4000), st.floats(5, 300), st.floats(0, 3000))
@settings(max_examples=60, deadline=None)
def test_latency(outputs, speed, first):
    total = first + outputs / speed * 1000
    facts = {"output_tokens": outputs, "tokens_per_s": speed, "ttft_ms": first}
    assert audit("latency", **facts, stated_latency_ms=rounded_to(total, 4)).verdict is YES
    assert audit("latency", **facts, stated_latency_ms=12 * total).verdict is NO
    assert audit("latency", output_tokens=outputs, tokens_per_s=speed, stated_latency_ms=0.5 * outputs / speed * 1000).verdict is NO
    assert audit("latency", tokens_per_s=speed, stated_latency_ms=total).missing == ("output_tokens",)
    assert audit("latency", output_tokens=outputs, stated_latency_ms=outputs * 100.0).missing == ("tokens_per_s",)


@given(amounts, amounts, st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_ratios(one, other, digits):
    assert audit("ratio", numerator=one, denominator=other, stated_ratio=rounded_to(one / other, digits)).verdict is YES
    assert audit("ratio", numerator=one, denominator=other, stated_ratio=12 * one / other).verdict is NO
    assert audit("ratio", numerator=one, stated_ratio=2).missing == ("denominator",)


@given(st.floats(0.5, 20), st.floats(10, 20_000))
@settings(max_examples=60, deadline=None)
def test_speeds_and_prices(rent, speed):
    price = rent / 3600 / speed * 1e6
    assert audit("implied_speed", usd_per_hour=rent, tokens_per_s=speed, stated_usd_per_mtok=rounded_to(price, 3)).verdict is YES
    assert audit("implied_speed", usd_per_hour=rent, tokens_per_s=speed, stated_usd_per_mtok=12 * price).verdict is NO
    implied = audit("implied_speed", usd_per_hour=rent, usd_per_mtok=price, stated_tokens_per_s=rounded_to(speed, 3))
    assert implied.verdict is YES
    assert audit("implied_speed", usd_per_mtok=price, stated_tokens_per_day=1e6).missing == ("usd_per_hour",)


# ---- rents and roofs ----


def test_both_sides_of_the_cheapest_rent():
    cheapest = cheapest_rent(CATALOG.prices, devices=["nvidia-l4"])
    assert cheapest is not None
    month = cheapest.usd_per_gpu_hour * 730
    assert audit("implied_rent", device="L4", stated_usd_per_month=month).verdict is YES
    below = audit("implied_rent", device="L4", stated_usd_per_month=month - 1)
    assert below.verdict is NO
    assert cheapest.provider in below.arithmetic
    assert audit("implied_rent", device="L4", gpus=2, stated_usd_per_month=month).verdict is NO
    assert audit("implied_rent", device="L4", hours_per_month=365, stated_usd_per_month=month / 2).verdict is YES


def test_a_rent_multiplied_out():
    assert audit("implied_rent", usd_per_hour=1.90, stated_usd_per_month=1_387).verdict is YES  # 1.90 x 730
    slipped = audit("implied_rent", usd_per_hour=1.90, stated_usd_per_month=16_644)
    assert slipped.verdict is NO
    assert "an annual figure labelled monthly" in slipped.arithmetic


def test_a_model_that_no_cheap_card_holds():
    assert audit("implied_rent", stated_usd_per_month=150).verdict is YES
    assert audit("implied_rent", params_b=70, bits_per_weight=16, stated_usd_per_month=150).verdict is NO


def test_both_sides_of_the_roofline():
    h100 = device_named("H100 SXM", "test")
    limit = fastest_tokens_per_s(h100, params_b=8, bits_per_weight=16, concurrency=1)
    # 8e9 x 2 bytes over 3.35e12 bytes a second
    assert limit == pytest.approx(3.35e12 / 16e9)
    facts = {"device": "H100 SXM", "params_b": 8, "bits_per_weight": 16, "concurrency": 1}
    assert audit("implied_speed", **facts, stated_tokens_per_s=limit).verdict is YES
    above = audit("implied_speed", **facts, stated_tokens_per_s=limit * 1.01)
    assert above.verdict is NO
    assert "above its roofline" in above.arithmetic
    many = fastest_tokens_per_s(h100, params_b=8, bits_per_weight=16)
    assert many == pytest.approx(h100.need("fp16_tflops") * 1e12 / 16e9)


@given(st.floats(1, 400), st.sampled_from([4.0, 8.0, 16.0]), st.integers(1, 512))
@settings(max_examples=50, deadline=None)
def test_more_requests_never_lower_the_roof_and_more_weights_never_raise_it(params, bits, batch):
    device = device_named("H100 SXM", "test")
    roof = fastest_tokens_per_s(device, params_b=params, bits_per_weight=bits, concurrency=batch)
    assert fastest_tokens_per_s(device, params_b=params, bits_per_weight=bits, concurrency=batch + 1) >= roof * (1 - 1e-12)
    assert fastest_tokens_per_s(device, params_b=2 * params, bits_per_weight=bits, concurrency=batch) <= roof
    assert roof <= fastest_tokens_per_s(device, params_b=params, bits_per_weight=bits) * (1 + 1e-12)


def test_a_speed_without_a_gpu_is_undecidable():
    assert audit("implied_speed", stated_tokens_per_s=5_000).missing == ("device", "params_b")
    assert audit("implied_speed", stated_tokens_per_s=5_000, device="H100 SXM").missing == ("params_b",)
    assert audit("implied_speed", stated_tokens_per_s=1e9, params_b=70).verdict is NO


def test_fits_in_is_stricter_than_takes():
    assert audit("memory", params_b=7, bits_per_weight=4, stated_gb=3.5).verdict is YES
    assert audit("memory", params_b=7, bits_per_weight=4, stated_gb=4).verdict is NO  # 3.5 + 0.6 of driver and runtime
    assert audit("memory", params_b=7, bits_per_weight=4, stated_gb_at_most=4.2).verdict is YES
    assert audit("memory", params_b=7, bits_per_weight=4, stated_gb_at_most=3.9).verdict is NO


def test_memory_of_a_catalogued_model_with_its_cache():
    result = audit("memory", model="llama-3.1-8b", quantization="fp16", context_tokens=100_000, stated_gb=29.2)
    # 16.06 GB of weights and 100,000 x 131,072 bytes
    assert only(result) == pytest.approx(16.06 + 13.1072, abs=0.02)
    assert result.verdict is YES


def test_a_seed_of_saving_per_query():
    facts = {"queries_per_day": 10e6, "tokens_per_query": 500, "baseline_usd_per_mtok": 10.3, "option_usd_per_mtok": 0.3}
    result = audit("saving_per_period", **facts, stated_usd_per_day=50_000)
    assert result.verdict is YES  # 10M x 500 / 1e6 x 10 = 50,000
    assert audit("saving_per_period", **facts, stated_usd_per_query=0.005).verdict is YES


def test_a_list_price_needs_its_mix():
    inside = audit("cost_per_period", model="openai:gpt-4o", stated_usd_per_mtok=5)
    assert inside.verdict is OPEN
    assert inside.missing == ("input_tokens_per_output_token",)
    assert audit("cost_per_period", model="openai:gpt-4o", stated_usd_per_mtok=15).verdict is NO
    assert audit("cost_per_period", model="openai:gpt-4o", input_tokens_per_output_token=3, stated_usd_per_mtok=4.375).verdict is YES


def test_servers_and_power_are_added_up():
    result = audit("cost_per_period", gpus=2, usd_per_hour=2.0, power_kw=1.5, usd_per_kwh=0.10, pue=1.4, stated_usd_per_month=3_073.3)
    assert only(result) == pytest.approx(2 * 2.0 * 730 + 1.5 * 1.4 * 730 * 0.10)
    assert result.verdict is YES


# ---- agreement ----


@pytest.mark.parametrize(
    ("stated", "recomputed", "same"),
    [
        (28, 28.85, True),  # cut off
        (28, 29.2, False),
        (28, 27.4, False),
        (2_737, 2_737.5, True),
        (273_750, 273_754, True),
        (273_750, 273_770, False),
        (4, 4.4, True),
        (4, 4.7, False),
        (30, 34, True),
        (30, 40, False),
        (0, 0, True),
        (0, 1, False),
    ],
)
def test_agreement_within_the_stated_digits(stated, recomputed, same):
    assert agrees(Span.model_validate(stated), recomputed, recomputed) is same


def test_a_rough_figure_has_ten_percent():
    assert not agrees(Span.model_validate(275), 300, 300)
    assert agrees(Span.model_validate(275), 300, 300, rough=True)
    assert claim_of({"id": "x", "kind": "ratio", "quote": "roughly 275 times"}).rough
    assert not claim_of({"id": "x", "kind": "ratio", "quote": "~275 times", "approximate": False}).rough


def test_ranges_hold_the_recomputed_one_and_claim_no_more():
    stated = Span.model_validate([10, 100])
    assert agrees(stated, 30, 30)
    assert agrees(stated, 10.2, 98)
    assert not agrees(stated, 5, 30)
    assert not agrees(stated, 10, 30)  # nothing gives 100
    assert not agrees(Span.model_validate(2), 2.2, 6.6)


@given(st.floats(1e-3, 1e9), st.integers(1, 8))
@settings(max_examples=80, deadline=None)
def test_a_figure_rounded_to_two_digits_or_more_agrees_with_itself(value, digits):
    if digits >= 2:
        assert agrees(Span.model_validate(float(f"{value:.{digits}g}")), value, value)
    below, above = rounding(float(f"{value:.{digits}g}"))
    assert 0 < below <= above < value


@pytest.mark.parametrize(("value", "at_most", "at_least"), [(1.9, True, False), (2.0, True, True), (2.1, False, True)])
def test_bounds(value, at_most, at_least):
    assert agrees(Span(low=2, high=2, bound=Bound.AT_MOST), value, value) is at_most
    assert agrees(Span(low=2, high=2, bound=Bound.AT_LEAST), value, value) is at_least


# ---- files ----


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a"}, "'kind' is missing; it is one of cost_per_period"),
        ({"id": "a", "kind": "memoru"}, r"unknown kind 'memoru' \(nearest known: 'memory'\)"),
        ({"id": "a", "kind": "memory", "param_b": 7}, r"unknown key 'param_b' \(nearest known: 'params_b'\)"),
        ({"id": "a", "kind": "memory", "params_b": "7"}, "'params_b' = '7': give a number"),
        ({"id": "a", "kind": "memory", "params_b": True}, "give a number"),
        ({"id": "a", "kind": "memory", "params_b": -7}, "greater than or equal to 0"),
        ({"id": "a", "kind": "memory", "params_b": [9, 7]}, "9 to 7 is no range"),
        ({"id": "a", "kind": "memory", "params_b": [7, 8, 9]}, "a range has two numbers"),
        ({"id": "a", "kind": "memory", "params_b_low": 7}, "'params_b_low' without 'params_b_high'"),
        ({"id": "a", "kind": "memory", "params_b_low": 7, "params_b_high": 8, "params_b": 7}, "give the same number twice"),
        ({"id": "a", "kind": "memory", "stated_gb": 7, "stated_gb_at_most": 8}, "state the same figure twice"),
        ({"id": "a", "kind": "memory", "assumed": ["params_b"]}, "'params_b' is marked as assumed, but the claim does not give it"),
        ({"kind": "memory"}, "'id' is missing"),
    ],
)
def test_a_claim_that_is_wrong(row, message):
    with pytest.raises(InputError, match=message):
        claim_of(row)


def test_a_file_that_is_wrong(tmp_path):
    for document, message in (
        ({"claims": []}, r"unknown table 'claims', only \[\[claim\]\] is read"),
        ({"claim": {"id": "a"}}, "two brackets"),
        ({}, "no claim to audit"),
        ({"claim": [{"id": "a", "kind": "ratio"}, {"id": "a", "kind": "ratio"}]}, "id 'a' stands twice"),
    ):
        with pytest.raises(InputError, match=message):
            claims_of(document, "the file")
    with pytest.raises(InputError, match="no such file"):
        read_claims(tmp_path / "none.toml")


def test_ranges_in_two_keys_are_ranges():
    assert claim_of({"id": "a", "kind": "payback", "upfront_usd_low": 1, "upfront_usd_high": 2}).upfront_usd == Span(low=1, high=2)


def test_an_unknown_device_or_a_zero_divisor_is_refused_by_name():
    with pytest.raises(InputError, match="unknown device 'H1000'"):
        audit("implied_rent", device="H1000", stated_usd_per_month=100)
    with pytest.raises(InputError, match="to be divided by 0"):
        audit("ratio", numerator=1, denominator=0, stated_ratio=2)


def test_every_kind_without_any_fact_is_undecidable_and_names_what_is_missing():
    for kind in ClaimKind:
        result = audit(kind.value)
        assert result.verdict is OPEN
        assert result.missing
        assert all(key in CLAIMS[kind].model_fields for key in result.missing)


def test_a_second_figure_that_nothing_supports_leaves_the_claim_open():
    result = audit("cost_per_period", tokens_per_day=1e6, usd_per_mtok=1, stated_usd_per_day=1, stated_usd_per_request=0.1)
    assert result.verdict is OPEN
    assert result.missing == ("tokens_per_request",)


WORDS = {"device": "L4", "quantization": "awq", "term": "spot"}


@given(st.sampled_from(list(ClaimKind)), st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_the_numbers_an_audit_answers_or_refuses_and_never_breaks(kind, data):
    row = {"id": "x", "kind": kind.value}
    for key in sorted(set(CLAIMS[kind].model_fields) - {"id", "kind", "quote", "source", "note", "assumed", "approximate"}):
        if key == "model":
            row |= {"model": "openai:gpt-4o" if kind is ClaimKind.COST_PER_PERIOD else "llama-3.1-8b"} if data.draw(st.booleans()) else {}
        elif data.draw(st.booleans()):
            row[key] = WORDS.get(key) or data.draw(st.sampled_from([0, 1e-6, 0.5, 1, 10, 1e3, 1e6, 1e9, [1, 5], [0, 1e4]]))
    try:
        result = audit_claim(claim_of(row), CATALOG)
    except InputError:
        return
    assert bool(result.missing) == (result.verdict is OPEN)
    json.dumps(audit_json(result), allow_nan=False)


# ---- the command ----


def test_the_command_prints_six_keys_per_claim(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text('[[claim]]\nid = "a"\nkind = "ratio"\nnumerator = 6\ndenominator = 3\nstated_ratio = 2\n')
    ended = CliRunner().invoke(app, ["audit", str(path), "--json"])
    assert json.loads(ended.stdout) == [
        {"id": "a", "verdict": "reproduces", "stated": 2.0, "recomputed": 2.0, "arithmetic": "6 / 3 = 2", "missing": []}
    ]
    shown = CliRunner().invoke(app, ["audit"])
    assert shown.exit_code == 0
    assert f"{len(SHIPPED)} claims: " in shown.stdout


def test_several_stated_figures_stand_under_their_keys():
    result = audit("cost_per_period", tokens_per_day=1e6, usd_per_mtok=1, stated_usd_per_day=1, stated_usd_per_year=365)
    assert audit_json(result)["recomputed"] == {"stated_usd_per_day": 1.0, "stated_usd_per_year": 365.0}
    assert result.verdict is YES


def test_a_wrong_file_is_one_line_and_exit_code_2(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text('[[claim]]\nid = "a"\nkind = "ratio"\nnumerater = 6\n')
    ended = subprocess.run([sys.executable, "-m", "selector", "audit", str(path)], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "unknown key 'numerater' (nearest known: 'numerator')" in ended.stderr
    assert ended.stderr.count("\n") == 1


# ---- alarms on the user's own inputs ----


def test_no_alarm_on_usual_inputs():
    assert input_alarms(scenario(), CATALOG) == ()


def test_an_annual_amount_typed_as_monthly():
    assert "an annual figure typed as monthly" in period_alarms(scenario(assumptions={"fte_month_usd": 216_000.0}))[0]
    assert period_alarms(scenario(assumptions={"fte_month_usd": 18_500.0})) == ()


def test_a_price_per_thousand_tokens():
    def alarms(usd_per_mtok):
        return price_alarms(scenario(), PriceBook.load(DAY, PriceOverrides(api_input_usd_per_mtok=usd_per_mtok)))

    assert "per 1,000 tokens" in alarms(0.0025)[0]
    assert alarms(2.0) == ()


def test_a_rent_below_the_cheapest_and_one_of_a_month():
    book = PriceBook.load(DAY)
    assert "below the cheapest" in rent_alarm(0.05, book)
    assert rent_alarm(2.99, book) == ""
    assert "a month's rent" in rent_alarm(2_190.0, book)
    assert "below the cheapest" in rent_alarm(0.5, book, device_id="nvidia-h100-sxm-80")


def test_a_speed_above_the_roofline():
    assert "above what NVIDIA H100" in speed_alarm(1_000, device="H100 SXM", params_b=70, bits_per_weight=16, concurrency=1)
    assert speed_alarm(20, device="H100 SXM", params_b=70, bits_per_weight=16, concurrency=1) == ""
