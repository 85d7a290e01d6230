"""A workload is stated once, agrees with itself, and gives the volumes that follow from it."""

import tomllib

import numpy as np
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from facts.errors import InputError
from facts.records import validated
from workloads.demand import Complexity, Workload, peak_load, read_workload, token_volume

SMALL = {"complexity": "extraction", "requests_per_day": 20_000, "input_tokens_mean": 1_500, "output_tokens_mean": 300}
BY_TOKENS = {"complexity": "qa", "tokens_per_day": 50_000_000}


def workload(**changes):
    return validated(Workload, {**SMALL, **changes}, "w")


def by_tokens(**changes):
    return validated(Workload, {**BY_TOKENS, **changes}, "w")


def test_twenty_thousand_requests_a_day_are_608_333_a_month():
    volume = token_volume(workload())
    assert volume.requests[0] == pytest.approx(20_000 * 365 / 12)
    assert volume.input_tokens[0] == pytest.approx(912.5e6)
    assert volume.output_tokens[0] == pytest.approx(182.5e6)


def test_fifty_million_tokens_a_day_are_exactly_a_year_of_them():
    volume = token_volume(by_tokens(input_share=0.8))
    assert volume.total_tokens.sum() * 15 / 1e6 == pytest.approx(273_750.0, abs=1e-6)


def test_growth_compounds_from_the_second_month_on():
    volume = token_volume(workload(growth_per_month_share=0.1, horizon_months=3))
    assert volume.requests / volume.requests[0] == pytest.approx([1.0, 1.1, 1.1 * 1.1])


def test_cached_input_is_taken_out_of_the_input():
    volume = token_volume(workload(cached_input_share=0.25))
    assert volume.cached_input_tokens[0] == pytest.approx(912.5e6 / 4)
    assert volume.input_tokens[0] == pytest.approx(912.5e6 * 3 / 4)


def test_the_peak_is_the_mean_rate_times_peak_to_mean():
    load = peak_load(workload(peak_to_mean=3, growth_per_month_share=0.5), month=2)
    assert load.requests_per_s == pytest.approx(20_000 / 86_400 * 3 * 1.5)
    assert (load.input_tokens, load.output_tokens) == (1_500, 300)


@pytest.mark.parametrize(
    ("given_", "sizes"),
    [
        ({}, (1_000, 200)),
        ({"input_share": 0.5}, (600, 600)),
        ({"input_share": 0.8, "input_tokens_mean": 800}, (800, 200)),
        ({"input_share": 0.8, "output_tokens_mean": 200}, (800, 200)),
        ({"input_tokens_mean": 3_000}, (3_000, 200)),
        ({"input_share": 0.8, "input_tokens_mean": 806, "output_tokens_mean": 200}, (806, 200)),
    ],
)
def test_the_size_of_a_request_behind_a_daily_total(given_, sizes):
    stated = by_tokens(**given_)
    assert (stated.input_tokens, stated.output_tokens) == pytest.approx(sizes)


def test_means_and_share_may_differ_by_one_percent_and_no_more():
    assert by_tokens(input_share=0.80, input_tokens_mean=807.9, output_tokens_mean=192.1).input_tokens == 807.9
    with pytest.raises(InputError, match="differ by more than 1 %"):
        by_tokens(input_share=0.80, input_tokens_mean=808.1, output_tokens_mean=191.9)


@given(share=st.floats(1e-6, 1 - 1e-6))
def test_a_share_alone_is_always_a_workload_and_is_kept(share):
    volume = token_volume(by_tokens(input_share=share))
    assert volume.input_tokens[0] / volume.total_tokens[0] == pytest.approx(share, rel=1e-9)


@given(
    tokens=st.floats(1, 1e14), share=st.floats(1e-6, 1 - 1e-6), cached=st.floats(0, 1), growth=st.floats(-0.5, 1), months=st.integers(1, 36)
)
def test_parts_make_the_whole(tokens, share, cached, growth, months):
    stated = by_tokens(
        tokens_per_day=tokens, input_share=share, cached_input_share=cached, growth_per_month_share=growth, horizon_months=months
    )
    volume = token_volume(stated)
    assert volume.total_tokens.shape == (months,)
    assert volume.total_tokens == pytest.approx(tokens * 365 / 12 * (1 + growth) ** np.arange(months), rel=1e-9)
    for part in (volume.input_tokens, volume.cached_input_tokens, volume.output_tokens, volume.requests):
        assert (part >= 0).all()


@given(
    requests=st.floats(1e-3, 1e10),
    mean_in=st.floats(1, 10_000_000),
    mean_out=st.floats(1, 1_000_000),
    complexity=st.sampled_from(Complexity),
    name=st.text(min_size=1, max_size=120).filter(lambda text: text.isprintable()),
    labelled=st.integers(0, 10**9),
)
def test_a_workload_written_as_toml_comes_back_the_same(requests, mean_in, mean_out, complexity, name, labelled):
    stated = Workload(
        name=name,
        requests_per_day=requests,
        input_tokens_mean=mean_in,
        output_tokens_mean=mean_out,
        complexity=complexity,
        labelled_examples=labelled,
    )
    text = tomli_w.dumps(stated.model_dump(mode="json", exclude_none=True))
    assert validated(Workload, tomllib.loads(text), "w") == stated


@given(share=st.floats(1e-6, 1 - 1e-6))
def test_a_saved_workload_agrees_with_itself_when_it_is_read_again(share):
    stated = by_tokens(input_share=share)
    assert Workload.model_validate_json(stated.model_dump_json()) == stated


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"requests_per_day": -1}, "'requests_per_day' = -1: input should be greater than 0"),
        ({"requests_per_day": 0}, "'requests_per_day' = 0"),
        ({"requests_per_day": "many"}, "'requests_per_day' = 'many'"),
        ({"requests_per_day": float("inf")}, "'requests_per_day' = inf"),
        ({"requests_per_day": None}, "neither is given"),
        ({"tokens_per_day": 5}, "both are given"),
        ({"input_tokens_mean": None}, "'input_tokens_mean' is missing"),
        ({"input_share": 0.5}, "input_share belongs to tokens_per_day"),
        ({"complexity": "magic"}, "'complexity' = 'magic': input should be 'classification'"),
        ({"complexity": None}, "'complexity'"),
        ({"task_type": "magic"}, "'task_type' = 'magic'"),
        ({"peak_to_mean": 0.99}, "'peak_to_mean' = 0.99"),
        ({"cached_input_share": 1.01}, "'cached_input_share' = 1.01"),
        ({"horizon_months": 37}, "'horizon_months' = 37"),
        ({"horizon_months": 1.5}, "'horizon_months' = 1.5"),
        ({"residency": "region"}, "needs allowed_providers"),
        ({"baseline_model": "gpt-4o"}, "'baseline_model' = 'gpt-4o'"),
        ({"labelled_exampels": 5}, "unknown key 'labelled_exampels' .nearest known: 'labelled_examples'."),
        ({"name": ""}, "'name' = ''"),
    ],
)
def test_a_wrong_workload_is_one_sentence(changes, message):
    with pytest.raises(InputError, match=message) as raised:
        workload(**changes)
    assert "\n" not in str(raised.value)


def test_no_complexity_is_named_as_missing():
    with pytest.raises(InputError, match="'complexity' is missing"):
        validated(Workload, {"tokens_per_day": 5}, "w")


@pytest.mark.parametrize(
    "changes", [{"input_share": 0}, {"input_share": 1}, {"input_share": True}, {"input_tokens_mean": -5}, {"input_tokens_mean": "x"}]
)
def test_a_wrong_size_names_its_own_field(changes):
    with pytest.raises(InputError, match=f"'{next(iter(changes))}' = "):
        by_tokens(**changes)


def test_a_workload_is_read_from_a_file(tmp_path):
    path = tmp_path / "w.toml"
    path.write_text(tomli_w.dumps(SMALL), encoding="utf-8")
    assert read_workload(path) == workload()
    path.write_text("complexty = 'qa'\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"w\.toml: unknown key 'complexty' .nearest known: 'complexity'."):
        read_workload(path)


def test_seasons_move_volume_between_months_and_not_over_the_year():
    factors = (0.5, 1.5) * 6
    seasonal = Workload(tokens_per_day=12e6, complexity="code", month_factors=factors)
    even = Workload(tokens_per_day=12e6, complexity="code")
    months = token_volume(seasonal).total_tokens
    assert months[0] == pytest.approx(12e6 * 365 / 12 * 0.5)
    assert months[1] == pytest.approx(12e6 * 365 / 12 * 1.5)
    assert months.sum() == pytest.approx(token_volume(even).total_tokens.sum())
    assert peak_load(seasonal, 2).requests_per_s == pytest.approx(1.5 * peak_load(even, 2).requests_per_s)
    assert peak_load(seasonal, 14).requests_per_s == pytest.approx(peak_load(seasonal, 2).requests_per_s)


@pytest.mark.parametrize("factors", [(1.0,) * 11, (1.1,) * 12, (-1.0, 3.0) + (1.0,) * 10])
def test_seasons_are_twelve_numbers_with_a_mean_of_one(factors):
    with pytest.raises(ValueError, match="twelve numbers from 0 up with a mean of 1"):
        Workload(tokens_per_day=12e6, complexity="code", month_factors=factors)
