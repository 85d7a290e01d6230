"""What any option must satisfy, and the starting workloads."""

import pytest

from workloads.demand import Residency, Workload
from workloads.requirements import preset_records, presets, requirements_of


def workload(**changes):
    stated = {"complexity": "qa", "requests_per_day": 86_400, "input_tokens_mean": 900, "output_tokens_mean": 100, "peak_to_mean": 2}
    return Workload.model_validate({**stated, **changes})


def test_growth_makes_the_last_month_the_busiest():
    required = requirements_of(workload(growth_per_month_share=0.1, horizon_months=3))
    assert [load.requests_per_s for load in required.peak_loads] == pytest.approx([2.0, 2.2, 2.42])
    assert required.busiest_month == 3
    assert required.peak_load.requests_per_s == pytest.approx(86_400 / 86_400 * 2 * 1.1**2)
    assert required.volume.total_tokens.shape == (3,)


def test_without_growth_the_first_month_is_the_busiest_and_with_decline_too():
    assert requirements_of(workload()).busiest_month == 1
    assert requirements_of(workload(growth_per_month_share=-0.1)).busiest_month == 1


def test_the_window_must_hold_prompt_and_answer():
    assert requirements_of(workload()).context_tokens == 900 + 100


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"residency": "region", "allowed_providers": ["Azure"]}, True),
        ({"residency": "region", "allowed_providers": ["aws"]}, False),
        ({"residency": "on_prem"}, False),
        ({"residency": "on_prem", "allowed_providers": ["azure"]}, False),
    ],
)
def test_where_the_data_may_go(changes, allowed):
    required = requirements_of(workload(**changes))
    assert required.provider_allowed("azure") is allowed
    assert required.residency is Residency(changes.get("residency", "any"))


def test_the_starting_workloads_are_fifty_million_tokens_a_day():
    assert [stated.name for stated in presets()] == ["Code assistance", "Customer support", "Document analysis"]
    assert sum(stated.mean_tokens_per_day for stated in presets()) == 50_000_000


def test_every_starting_workload_says_where_its_numbers_are_from():
    ids = [record.id for record in preset_records()]
    assert ids == sorted(set(ids))
    assert all(record.source.url.startswith("https://") and record.because.endswith(".") for record in preset_records())


def test_the_lengths_of_the_starting_workloads_are_the_traces_means():
    by_name = {stated.name: stated for stated in presets()}
    assert (by_name["Code assistance"].input_tokens, by_name["Code assistance"].output_tokens) == (2_048, 28)
    assert (by_name["Customer support"].input_tokens, by_name["Customer support"].output_tokens) == (1_155, 211)
