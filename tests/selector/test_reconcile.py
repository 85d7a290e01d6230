"""Bills against the forecast: the arithmetic of each variance, what is forecast for the rest, and when the verdict falls."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import settings as law
from hypothesis import strategies as st

from facts.errors import InputError
from selector.public import to_json
from selector.reconcile import Actual, actuals_from_csv, read_actuals, reconcile
from selector.store import get_decision, list_actuals, save_actuals, save_decision
from tests.selector.decisions import decide

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
API = "api-openai-gpt-4o"
DECISION = decide()
DOCUMENT = json.loads(json.dumps(to_json(DECISION)))
CHOSEN = DECISION.option(DECISION.choice.option_id)


def forecast_of(option_id, document=DOCUMENT):
    return next(option for option in document["options"] if option["id"] == option_id)


def bills(option_id, months, factor=1.0, *, tokens=False, document=DOCUMENT):
    """Every line of some months, times a factor."""
    option = forecast_of(option_id, document)
    volume = {"tokens_input": 50e6 * 365 / 12 / 1.2, "tokens_output": 50e6 * 365 / 12 / 6}
    return [
        Actual(month=month, line=line, usd=usd * factor, tokens=volume[line] * factor if tokens and line in volume else None)
        for month in months
        for line, usd in option["months"][month - 1]["lines"].items()
    ]


# ---- variance ----


def test_bills_as_forecast_change_nothing():
    found = reconcile(DOCUMENT, bills(CHOSEN.id, (1, 2, 3)))
    assert found.actual_usd == pytest.approx(found.forecast_usd)
    assert all(line.difference_usd == pytest.approx(0.0, abs=1e-6) for line in found.lines)
    assert found.recalibrated_total_usd == pytest.approx(CHOSEN.total_usd)
    assert "as forecast" in found.sentence


def test_a_line_that_costs_half_more_costs_half_more_for_the_rest_too():
    api = forecast_of(API)
    monthly = api["months"][0]["lines"]["tokens_output"]
    actuals = [
        Actual(month=actual.month, line=actual.line, usd=actual.usd * (1.5 if actual.line == "tokens_output" else 1.0))
        for actual in bills(API, (1, 2))
    ]
    found = reconcile(DOCUMENT, actuals, option_id=API)
    (line,) = [line for line in found.lines if line.line == "tokens_output"]
    assert line.difference_usd == pytest.approx(0.5 * monthly * 2)
    assert line.factor == pytest.approx(1.5)
    assert found.recalibrated_total_usd == pytest.approx(api["total_usd"] + 0.5 * monthly * 12)
    assert found.recalibrated_months_usd[11] == pytest.approx(api["months"][11]["total_usd"] + 0.5 * monthly)


def test_more_tokens_at_the_forecast_price_are_volume_and_no_price():
    found = reconcile(DOCUMENT, bills(API, (1,), 1.2, tokens=True), option_id=API)
    assert found.volume_factor == pytest.approx(1.2)
    for line in found.lines:
        if line.line.startswith("tokens"):
            assert line.volume_usd == pytest.approx(0.2 * line.forecast_usd)
            assert line.price_usd == pytest.approx(0.0, abs=1e-6)


def test_the_same_tokens_at_another_price_are_price_and_no_volume():
    actuals = [
        Actual(month=actual.month, line=actual.line, usd=actual.usd * 1.1, tokens=actual.tokens) for actual in bills(API, (1,), tokens=True)
    ]
    found = reconcile(DOCUMENT, actuals, option_id=API)
    assert found.volume_factor == pytest.approx(1.0)
    (line,) = [line for line in found.lines if line.line == "tokens_input"]
    assert (line.volume_usd, line.price_usd) == (pytest.approx(0.0, abs=1e-6), pytest.approx(0.1 * line.forecast_usd))


def test_one_bill_for_all_tokens_stands_against_the_sum_of_their_lines():
    lines = forecast_of(API)["months"][0]["lines"]
    whole = lines["tokens_input"] + lines["tokens_output"]
    found = reconcile(DOCUMENT, [Actual(month=1, line="tokens", usd=2 * whole)], option_id=API)
    (line,) = [line for line in found.lines if line.line == "tokens"]
    assert line.forecast_usd == pytest.approx(whole)
    assert not [line for line in found.lines if line.line.startswith("tokens_")]
    assert found.recalibrated_total_usd == pytest.approx(forecast_of(API)["total_usd"] + 12 * whole)


def test_a_line_without_a_bill_is_named_and_stays_as_forecast():
    found = reconcile(DOCUMENT, [Actual(month=1, line="staff", usd=900)], option_id=API)
    assert any("No bill has tokens_input, tokens_output" in note for note in found.notes)
    assert found.actual_usd == 900
    assert found.recalibrated_total_usd == pytest.approx(forecast_of(API)["total_usd"])


def test_what_was_billed_though_not_forecast_goes_on():
    actuals = [*bills(API, (1, 2)), Actual(month=1, line="monitoring", usd=100), Actual(month=2, line="monitoring", usd=300)]
    found = reconcile(DOCUMENT, actuals, option_id=API)
    assert found.recalibrated_total_usd == pytest.approx(forecast_of(API)["total_usd"] + 400 + 10 * 200)


def test_what_was_paid_before_the_first_month_is_a_line_too():
    option = forecast_of(CHOSEN.id)
    actuals = [Actual(month=0, line="implementation", usd=option["upfront_lines"]["implementation"] + 5_000), *bills(CHOSEN.id, (1,))]
    found = reconcile(DOCUMENT, actuals)
    assert found.recalibrated_total_usd == pytest.approx(CHOSEN.total_usd + 5_000)


@law(max_examples=25)
@given(st.floats(0.2, 5.0), st.integers(1, 12))
def test_a_common_factor_scales_the_forecast_by_it(factor, months):
    found = reconcile(DOCUMENT, bills(API, range(1, months + 1), factor), option_id=API)
    assert found.recalibrated_total_usd == pytest.approx(forecast_of(API)["total_usd"] * factor)
    assert found.actual_usd - found.forecast_usd == pytest.approx(sum(line.difference_usd for line in found.lines))


# ---- the verdict ----


def test_a_verdict_that_is_billed_as_forecast_holds():
    found = reconcile(DOCUMENT, bills(CHOSEN.id, (1, 2, 3)))
    assert found.verdict_holds, found.alerts


def test_when_it_costs_more_than_staying_would_the_verdict_falls():
    found = reconcile(DOCUMENT, bills(CHOSEN.id, (1, 2, 3), 30.0))
    assert not found.verdict_holds
    assert "more than the" in found.alerts[0]
    assert found.recalibrated_total_usd > found.baseline_total_usd
    assert found.alternative is not None
    assert found.alternative.expected_usd < found.alternative.stay_usd


def test_more_volume_raises_what_staying_would_have_cost():
    api = forecast_of(API)
    lines = api["months"][0]["lines"]
    tokens = 12 * (lines["tokens_input"] + lines["tokens_output"])
    found = reconcile(DOCUMENT, bills(API, (1,), 2.0, tokens=True), option_id=API)
    assert found.baseline_total_usd == pytest.approx(api["total_usd"] + tokens)


def test_a_volume_beyond_the_planned_servers_is_said():
    decision = decide(residency="on_prem", tokens_per_day=5e7)
    document = to_json(decision)
    plan = decision.option(decision.choice.option_id).plan
    month = 50e6 * 365 / 12
    beyond = plan.capacity_tokens_per_month * 1.01
    servers = bills(decision.choice.option_id, (1, 2, 3, 4), document=document)

    def said(tokens):
        alerts = reconcile(document, [*servers, Actual(month=4, line="tokens", usd=0.0, tokens=tokens)]).alerts
        return any("more servers are needed" in alert for alert in alerts)

    assert not said(month)
    assert said(beyond)


def test_after_the_last_month_nothing_is_left_to_change():
    found = reconcile(DOCUMENT, bills(CHOSEN.id, range(1, 13)))
    assert found.alternative is None
    assert found.recalibrated_total_usd == pytest.approx(CHOSEN.total_usd)


def test_what_cannot_be_compared_is_wrong_input():
    with pytest.raises(InputError, match="behind the decision's horizon of 12"):
        reconcile(DOCUMENT, [Actual(month=13, line="staff", usd=1)])
    with pytest.raises(InputError, match="no option 'x'"):
        reconcile(DOCUMENT, bills(API, (1,)), option_id="x")
    with pytest.raises(InputError, match="no month has been billed"):
        reconcile(DOCUMENT, [Actual(month=0, line="implementation", usd=1)])


# ---- the file ----


def test_months_by_number_or_by_calendar_and_rows_added_up(tmp_path):
    path = tmp_path / "bills.csv"
    path.write_bytes("\ufeffMonth,Line,USD,Tokens\r\n1,tokens_input,10.5,1000\r\n1,tokens_input,2,\r\n2,staff,900,\r\n".encode())
    assert read_actuals(path) == (
        Actual(month=1, line="tokens_input", usd=12.5, tokens=1000),
        Actual(month=2, line="staff", usd=900),
    )
    (found,) = actuals_from_csv("month;line;usd\n2027-02;staff;1\n", first_month="2026-12")
    assert found.month == 3


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,staf,1", r"line 2: 'staf' is no line of a bill \(nearest known: 'staff'\)"),
        ("x,staff,1", "neither a number nor YYYY-MM"),
        ("2026-12,staff,1", "say which is the project's first"),
        ("0,staff,1", "its month is 1 or more, not 0"),
        ("1,servers,1", "its month is 0, not 1"),
        ("1,staff,one", "'one' is no number"),
        ("1,staff,nan", "no amount"),
        ("1,staff,1e300", "no amount"),
        ("1,tokens,1,-5", "cannot be negative"),
        ('1,"staff,1', "is no CSV"),
    ],
)
def test_what_is_wrong_names_its_line(row, words):
    with pytest.raises(InputError, match=words):
        actuals_from_csv(f"month,line,usd,tokens\n{row}\n")


def test_a_file_without_bills():
    with pytest.raises(InputError, match="no column 'line'"):
        actuals_from_csv("month,usd\n1,2\n")
    with pytest.raises(InputError, match="holds no bill"):
        actuals_from_csv("month,line,usd\n")
    with pytest.raises(InputError, match="lies before"):
        actuals_from_csv("month,line,usd\n2026-11,staff,1\n", first_month="2026-12")


# ---- kept ----


def test_bills_are_kept_beside_their_decision_and_a_changed_one_is_not_overwritten_silently(kept):
    decision_id = save_decision(kept, DECISION, created=NOON)
    assert get_decision(kept, decision_id[:8]).document == DOCUMENT
    first = (Actual(month=1, line="staff", usd=900), Actual(month=1, line="tokens_input", usd=5, tokens=7))
    assert save_actuals(kept, decision_id, first, created=NOON) == first
    assert save_actuals(kept, decision_id, first, created=NOON) == first
    changed = (Actual(month=1, line="staff", usd=901), Actual(month=2, line="staff", usd=1))
    with pytest.raises(InputError, match=r"kept as 900.00 USD .* is 901.00 now"):
        save_actuals(kept, decision_id, changed, created=NOON)
    assert list_actuals(kept, decision_id) == first
    assert save_actuals(kept, decision_id, changed, created=NOON, replace_changed=True)[0].usd == 901
    with pytest.raises(InputError, match="no kept decision"):
        save_actuals(kept, "nope", first, created=NOON)
    with pytest.raises(InputError, match="no kept decision"):
        get_decision(kept, "nope")
