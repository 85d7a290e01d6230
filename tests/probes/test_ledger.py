"""Predicted against measured, and what a measured token costs."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.accelerators import Server, accelerator
from capacity.models import model
from capacity.throughput import serving_curve
from facts.records import Basis
from probes.ledger import carried, errors, ledger, machine_costs, usd_per_mtok, usd_per_mtok_at
from probes.measurement import (
    EndpointSettings,
    Environment,
    Gpu,
    LevelResult,
    LlamaCppSettings,
    Measurement,
    Proxy,
    RequestTiming,
    Status,
    TestResult,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
H100 = "nvidia-h100-sxm-80"


def in_process(
    model_id: str, prompt: float, generation: float, *, day: int = 0, host: str = "a", gpu: bool = False, **changes
) -> Measurement:
    gpus = (Gpu(name="H100", memory_bytes=80 << 30, catalog_id=H100),) if gpu else ()
    values = {
        "kind": "llamacpp",
        "created": NOW + timedelta(days=day),
        "status": Status.COMPLETE,
        "model_id": model_id,
        "quantization": "Q4_K_M",
        "engine": "llama.cpp",
        "settings": LlamaCppSettings(),
        "environment": Environment(host=host, cpu="Some Processor", memory_bytes=32 << 30, gpus=gpus),
        "gpu_offload": gpu,
        "tests": (
            TestResult(name="pp512", n_prompt=512, n_gen=0, samples_tokens_per_s=(prompt,) * 6),
            TestResult(name="tg128", n_prompt=0, n_gen=128, samples_tokens_per_s=(generation,) * 6),
        ),
    }
    return Measurement(**(values | changes)).sealed()


def served(rate: float, *, concurrency: int = 4) -> Measurement:
    """Requests of 100 and 11 tokens for ten seconds, `rate` output tokens a second in all."""
    count = round(rate * 10 / 11)
    requests = tuple(
        RequestTiming(
            scheduled_s=0.0,
            sent_s=0.0,
            first_content_s=0.5,
            content_s=tuple(0.5 + 0.02 * step for step in range(11)),
            done_s=1.0,
            input_tokens=100,
            output_tokens=11,
        )
        for _ in range(count)
    )
    return Measurement(
        kind="endpoint",
        created=NOW,
        status=Status.COMPLETE,
        engine="vllm",
        model_name="Llama-3.1-8B-Instruct",
        settings=EndpointSettings(url="http://127.0.0.1:1/v1", model="Llama-3.1-8B-Instruct", input_tokens=100, output_tokens=11),
        environment=Environment(host="a", gpus=(Gpu(name="H100", memory_bytes=80 << 30, catalog_id=H100),)),
        levels=(LevelResult(name=f"c{concurrency}", concurrency=concurrency, duration_s=10.0, window_s=(0.0, 10.0), requests=requests),),
    ).sealed()


def test_a_first_probe_of_an_unknown_processor_predicts_the_later_ones():
    first, again = in_process("qwen3-0.6b", 100.0, 40.0), in_process("qwen3-0.6b", 110.0, 50.0, day=1)
    found = ledger([again, first])  # in any order
    assert len(found.left_out) == 1
    assert first.id[:12] in found.left_out[0]
    by_name = {line.metric: line for line in found.lines}
    # the same model is predicted as it was measured before: 100 against 110, 40 against 50
    assert by_name["pp512"].predicted == pytest.approx(100.0)
    assert by_name["tg128"].predicted == pytest.approx(40.0)
    assert by_name["tg128"].error_share == pytest.approx(40 / 50 - 1)
    assert {line.basis for line in found.lines} == {Basis.CALIBRATED}


def test_a_prediction_knows_nothing_of_its_own_measurement_or_another_machine():
    other = in_process("qwen3-0.6b", 1000.0, 400.0, host="b")
    first = in_process("qwen3-0.6b", 100.0, 40.0, day=1)
    assert ledger([other, first]).lines == ()


def test_a_known_accelerator_is_predicted_from_its_sheet_at_once():
    line = ledger([in_process("llama-3.1-8b", 5000.0, 120.0, gpu=True)]).lines[1]
    assert (line.metric, line.basis, line.engine) == ("tg128", Basis.ESTIMATED, "llama.cpp")
    # 4.9 GB of weights at 3,350 GB/s is at most 680 tokens/s
    assert 20 < line.predicted < 680


def test_an_endpoint_is_predicted_by_the_curve_of_its_own_engine():
    found = ledger([served(110.0)])
    curve = serving_curve(
        model("llama-3.1-8b"), "bf16", Server(accelerator=accelerator(H100)), engine="vllm", input_tokens=100, output_tokens=11
    )
    point = next(point for point in curve.points if point.concurrency == 4)
    by_name = {line.metric: line for line in found.lines}
    assert by_name["c4.output_rate"].predicted == point.output_tokens_per_s
    assert by_name["c4.output_rate"].measured == pytest.approx(110.0)
    assert by_name["c4.ttft.p95"].measured == pytest.approx(500.0)
    assert by_name["c4.ttft.p95"].predicted == point.ttft_p95_ms


def test_what_cannot_be_compared_says_why():
    proxy = Proxy(model_id="llama-3.1-8b", layers=2, layers_of_model=32, generation_share=0.1, prompt_share=0.06)
    cases = {
        "it failed": in_process("qwen3-0.6b", 1, 1, status=Status.FAILED),
        "proxy": in_process("qwen3-0.6b", 1, 1, proxy=proxy),
        "not in the catalogue": in_process("qwen3-0.6b", 1, 1).model_copy(update={"model_id": None}),
        "accelerator is not known": served(10.0).model_copy(update={"environment": Environment(host="a")}),
        "not a point|none of its levels": served(11.0, concurrency=3),
    }
    for says, measurement in cases.items():
        found = ledger([measurement])
        assert found.lines == ()
        assert any(part in found.left_out[0] for part in says.split("|"))


def test_errors_are_the_same_for_too_high_and_too_low():
    first = in_process("qwen3-0.6b", 100.0, 40.0)
    later = [in_process("qwen3-0.6b", 100.0, 40.0 * factor, day=1, host="a") for factor in (2.0, 0.5)]
    for measurement in later:
        summary = {found.quantity: found for found in errors(ledger([first, measurement]).lines)}
        assert summary["generation"].typical_share == pytest.approx(1.0)  # twice or half is 100 % off
        assert summary["prompt"].worst_share == pytest.approx(0.0, abs=1e-9)


def test_doubtful_measurements_do_not_count():
    doubtful = in_process("qwen3-0.6b", 100.0, 40.0, day=1, verdict_doubts=("busy",))
    lines = ledger([in_process("qwen3-0.6b", 90.0, 30.0), doubtful]).lines
    assert len(lines) == 2
    assert errors(lines) == ()


def test_a_token_of_a_full_server_costs_its_hour_over_its_tokens():
    # 1,000 tokens/s are 3.6 million an hour: at 7.20 USD an hour 2 USD per million
    assert usd_per_mtok(7.20, 1000.0) == pytest.approx(2.0)
    served_ = served(110.0)
    costs = machine_costs([served_], {served_.id: 7.20}, offered_tokens_per_s=600.0)
    # 110 output tokens/s with 100 prompt tokens for each 11: 110 + 1,000 = 1,110 tokens/s
    full, offered = costs
    assert full.tokens_per_s == pytest.approx(1110.0)
    assert full.usd_per_mtok == pytest.approx(7.20 / (1110 * 3600) * 1e6)
    assert full.engine == "vllm"
    assert (offered.servers, offered.usd_per_mtok) == (1, pytest.approx(7.20 / (600 * 3600) * 1e6))


@given(st.floats(0.1, 100), st.floats(1, 1e5), st.floats(1, 1e5))
def test_an_offered_load_never_costs_less_than_a_full_server(price, offered, carried_rate):
    servers, cost = usd_per_mtok_at(price, offered, carried_rate)
    assert cost >= usd_per_mtok(price, carried_rate) * (1 - 1e-9)
    assert (servers - 1) * carried_rate < offered * (1 + 1e-9)


def test_one_request_over_a_server_needs_another():
    assert usd_per_mtok_at(1.0, 1000.0, 1000.0)[0] == 1
    assert usd_per_mtok_at(1.0, 1000.001, 1000.0)[0] == 2


def test_llamacpp_is_priced_by_its_generation_and_says_so():
    measurement = in_process("qwen3-0.6b", 100.0, 40.0)
    assert carried(measurement) == (("tg128, generation only, one at a time", 40.0),)
    assert machine_costs([measurement], {}) == ()  # no price, no cost
