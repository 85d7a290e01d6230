from datetime import UTC, datetime

import pytest

from facts.errors import InputError
from facts.records import Basis
from probes.curves import measured_curve
from probes.measurement import EndpointSettings, Environment, LevelResult, LlamaCppSettings, Measurement, RequestTiming, Status


def request(sent: float, tokens: int = 11, **changes) -> RequestTiming:
    """First token after 0.5 s, then one each 0.1 s."""
    content = tuple(sent + 0.5 + 0.1 * number for number in range(tokens))
    values = {"scheduled_s": sent, "sent_s": sent, "first_content_s": content[0], "content_s": content, "done_s": content[-1]}
    return RequestTiming(**(values | {"input_tokens": 100, "output_tokens": tokens} | changes))


def level(concurrency: int | None, *requests: RequestTiming, window=(0.0, 10.0), **changes) -> LevelResult:
    return LevelResult(name=f"c{concurrency}", concurrency=concurrency, duration_s=10.0, window_s=window, requests=requests, **changes)


def endpoint(*levels: LevelResult) -> Measurement:
    return Measurement(
        kind="endpoint",
        created=datetime(2026, 11, 20, tzinfo=UTC),
        status=Status.COMPLETE,
        engine="vllm",
        settings=EndpointSettings(url="http://127.0.0.1:8000/v1"),
        environment=Environment(),
        levels=levels,
    ).sealed()


def test_a_level_is_a_point_with_the_arithmetic_of_its_stamps():
    curve = measured_curve(endpoint(level(1, *(request(1.5 * number) for number in range(6)))), model_id="m")
    point = curve.points[0]
    assert (curve.basis, curve.engine, curve.max_concurrency) == (Basis.MEASURED, "vllm", 1)
    assert point.ttft_ms == pytest.approx(500)
    assert point.tpot_ms == pytest.approx(100)
    assert point.requests_per_s == 6 / 10
    assert point.output_tokens_per_s == pytest.approx(6 * 11 / 10)
    assert point.input_tokens_per_s == 6 * 100 / 10
    assert point.low80 <= point.output_tokens_per_s <= point.high80
    assert (curve.input_tokens, curve.output_tokens) == (100, 11)


def test_what_happens_outside_the_window_counts_neither_as_rate_nor_as_latency():
    slow = request(0.0, first_content_s=5.0)
    curve = measured_curve(endpoint(level(1, slow, request(6.0), window=(5.9, 9.9))), model_id="m")
    assert curve.points[0].ttft_ms == pytest.approx(500)
    assert curve.points[0].output_tokens_per_s == pytest.approx(11 / 4)


def test_points_are_sorted_and_open_loops_and_empty_levels_left_out():
    failed = RequestTiming(scheduled_s=0.0, sent_s=0.0, error="HTTP 500")
    measurement = endpoint(level(4, request(0.0)), level(2, request(0.0)), level(8, failed), level(None, request(0.0), rate_per_s=1.0))
    assert [point.concurrency for point in measured_curve(measurement, model_id="m").points] == [2, 4]


def test_no_closed_loop_and_a_llama_cpp_figure_are_no_serving_curve():
    with pytest.raises(InputError, match="requests in flight"):
        measured_curve(endpoint(), model_id="m")
    local = Measurement(
        kind="llamacpp",
        created=datetime(2026, 11, 20, tzinfo=UTC),
        status=Status.COMPLETE,
        engine="llama.cpp",
        settings=LlamaCppSettings(),
        environment=Environment(),
    ).sealed()
    with pytest.raises(InputError, match=r"is of llama\.cpp in process"):
        measured_curve(local, model_id="m")
