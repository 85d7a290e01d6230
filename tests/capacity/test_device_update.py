"""What a measurement says about a device: the parts share an error by their spreads, more rows say more, other models inherit it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.calibration import NO_PROBE, probes_of
from capacity.cases import COLUMNS, case_of
from capacity.device_update import DECODE_MOVES, Move, Observation, changed, most_probable
from capacity.estimate import estimate_row, measured_case, predict
from capacity.roofline import efficiency_for

BASE = dict.fromkeys(COLUMNS, "") | {
    "engine": "llama.cpp",
    "model": "Llama 3.1 8B",
    "quant": "Q4_K_M",
    "device": "RTX 4090",
    "isl": "0",
    "osl": "128",
    "batch_or_concurrency": "1",
    "metric": "decode_tok_s",
    "source_version": "May 2024",
}
PROMPT = {"isl": "512", "osl": "0", "metric": "prefill_tok_s"}


def row(**changes):
    return {**BASE, **changes}


def value(probe=NO_PROBE, **changes):
    found = estimate_row(row(**changes), probe).predicted
    assert found is not None
    return found


def probe_of(*rows):
    return probes_of(rows, measured_case, predict)


def seen(ratio, **changes):
    return {**row(**changes), "value": str(value(**changes) * ratio)}


def test_two_halves_of_a_time_share_an_error_by_their_variances():
    base = efficiency_for("vllm", case_of(row(device="H100 SXM 80GB")).server.accelerator)
    moves = (Move(fields=("layer_s",), spread=0.1), Move(fields=("step_s",), spread=0.3))
    observed = Observation(time=lambda e: e.layer_s / base.layer_s + e.step_s / base.step_s, measured=2.02, spread=1e-6)
    found = most_probable(base, moves, [observed])
    assert found["step_s"] / found["layer_s"] == pytest.approx(0.3**2 / 0.1**2, rel=0.05)  # 9 to 1
    after = changed(base, found)
    assert after.layer_s / base.layer_s + after.step_s / base.step_s == pytest.approx(2.02, rel=1e-4)


def test_a_probe_moves_its_phase_and_leaves_the_others():
    probe = probe_of(seen(0.8))
    assert 0.78 < value(probe) / value() < 0.86
    assert value(probe, **PROMPT) == pytest.approx(value(**PROMPT), rel=0.05)  # weights stream in a prompt too, a small part of it
    prompts = probe_of(seen(0.8, **PROMPT))
    assert 0.78 < value(prompts, **PROMPT) / value(**PROMPT) < 0.88
    assert value(prompts) == pytest.approx(value(), rel=0.05)


def test_a_serving_probe_moves_serving_alone():
    serving = {"isl": "500", "osl": "200", "batch_or_concurrency": "16", "metric": "output_tok_s_total", "engine": "vllm"}
    at = {**serving, "device": "H100 SXM 80GB", "quant": "fp8"}
    probe = probe_of(seen(1.3, **at))
    assert 1.15 < value(probe, **at) / value(**at) < 1.3
    alone = {**at, "batch_or_concurrency": "1", "isl": "0", "metric": "decode_tok_s"}
    assert value(probe, **alone) == pytest.approx(value(**alone))
    assert value(probe, **{**at, "metric": "ttft_ms"}) < value(**{**at, "metric": "ttft_ms"})


def test_a_first_token_probe_says_nothing_about_throughput():
    at = {"isl": "500", "osl": "200", "batch_or_concurrency": "16", "engine": "vllm", "device": "H100 SXM 80GB", "quant": "fp8"}
    probe = probe_of(seen(2.0, **at, metric="ttft_ms"))
    assert 1.6 < value(probe, **at, metric="ttft_ms") / value(**at, metric="ttft_ms") <= 2.0
    assert value(probe, **at, metric="output_tok_s_total") == pytest.approx(value(**at, metric="output_tok_s_total"))


def test_a_batched_generation_row_of_a_local_engine_moves_its_like():
    at = {"batch_or_concurrency": "8"}
    assert value(probe_of(seen(0.7, **at)), **at) < value(**at) * 0.97


def test_more_rows_are_believed_more_than_one():
    one = probe_of(seen(0.8))
    many = probe_of(seen(0.8), seen(0.8, quant="F16"), seen(0.8, model="Mistral 7B", params_b="7.25"))
    assert abs(value(many) / value() / 0.8 - 1) < abs(value(one) / value() / 0.8 - 1)


def test_another_engine_on_the_device_learns_a_part_and_another_device_nothing():
    probe = probe_of(seen(0.8))
    newer = {"source_version": "2026"}
    assert value(probe) / value() < value(probe, **newer) / value(**newer) < 1
    assert value(probe, device="RTX 3090") == value(device="RTX 3090")


def test_rows_of_one_device_at_odds_are_reported():
    probe = probe_of(seen(1.0), seen(1.0, model="Mistral 7B", params_b="7.25"), seen(0.4, model="Qwen3-8B", params_b="8.2"))
    assert any("far from the" in sentence for sentence in probe.contradictions)
    assert probe.doubts_of(case_of(row()))
    assert probe_of(seen(0.9), seen(0.95, quant="F16")).contradictions == ()


@pytest.mark.parametrize("metric", ["decode_tok_s", "ttft_ms"])
def test_a_row_more_than_five_times_as_slow_as_its_sheet_is_used_and_said(metric):
    """One answer at 1/5.2 of the estimated rate, or its first token 5.2 times as late, is named; at 4.8 it is not."""
    at = {"metric": metric, "isl": "512", "osl": "64"}
    slow, less_slow = ((1 / factor if metric == "decode_tok_s" else factor) for factor in (5.2, 4.8))
    probe = probe_of(seen(slow, **at))
    assert [("5.2 times as slow" in sentence) for sentence in probe.contradictions] == [True]
    assert probe.doubts_of(case_of(row(**at)))
    moved = value(probe, **at) / value(**at)
    assert abs(moved - 1) > 0.5, "it was used all the same"
    assert probe_of(seen(less_slow, **at)).contradictions == ()


@settings(max_examples=25, deadline=None)
@given(ratio=st.floats(0.5, 1.1), quant=st.sampled_from(["Q4_K_M", "F16"]))
def test_a_probe_never_overshoots_what_was_measured_nor_turns_away(ratio, quant):
    after = value(probe_of(seen(ratio, quant=quant)), quant=quant) / value(quant=quant)
    assert min(ratio, 1.0) - 1e-3 <= after <= max(ratio, 1.0) + 1e-3


def test_every_move_names_parameters():
    base = efficiency_for("llama.cpp", case_of(row()).server.accelerator)
    assert all(hasattr(base, name) for move in DECODE_MOVES for name in move.fields)


SERVED = {
    "engine": "trtllm",
    "source_version": "2026",
    "quant": "fp8",
    "isl": "1000",
    "osl": "1000",
    "batch_or_concurrency": "64",
    "metric": "output_tok_s_total",
}


def test_a_device_unlike_the_fitted_ones_is_believed_more_than_another_of_them():
    """Left-out Hopper cards differ little from the fit; nothing says that of Blackwell, where one row decides most."""
    moved = {}
    for device in ("H100 SXM 80GB", "B200 SXM 180GB"):
        served = SERVED | {"device": device}
        moved[device] = value(probe_of(seen(0.7, **served)), **served) / value(**served)
    assert moved["H100 SXM 80GB"] > 0.9
    assert 0.7 <= moved["B200 SXM 180GB"] < 0.76


def test_a_kind_of_model_that_nothing_was_fitted_on_does_not_speak_for_the_others():
    many = SERVED | {"device": "H200 SXM 141GB", "model": "DeepSeek-R1", "device_count": "8"}
    dense = SERVED | {"device": "H200 SXM 141GB", "model": "Llama 3.3 70B", "device_count": "8"}
    probe = probe_of(seen(0.6, **many))
    assert value(probe, **many) / value(**many) < 0.67
    assert value(probe, **dense) / value(**dense) > 0.9


def test_a_first_token_under_load_is_believed_under_every_engine():
    for engine in ("trtllm", "vllm"):
        first = SERVED | {"device": "H100 SXM 80GB", "engine": engine, "metric": "ttft_ms"}
        assert 1.35 < value(probe_of(seen(1.5, **first)), **first) / value(**first) <= 1.5


@settings(max_examples=40)
@given(
    changes=st.sampled_from(
        [
            {},
            PROMPT,
            SERVED | {"device": "H100 SXM 80GB"},
            SERVED | {"device": "MI300X", "engine": "vllm"},
            SERVED | {"device": "B200 SXM 180GB", "metric": "ttft_ms"},
            SERVED | {"device": "B200 SXM 180GB", "metric": "tpot_p90_ms", "engine": "sglang"},
            SERVED | {"device": "H200 SXM 141GB", "engine": "vllm", "batch_or_concurrency": "rate=2/s", "metric": "tpot_ms"},
            {"device": "Apple M4 Max 40c", "source_version": "2026"},
            {"device": "DGX Spark", "source_version": "2026", "model": "gpt-oss-120b", "quant": "MXFP4"},
        ]
    ),
    ratio=st.floats(0.4, 1.6),
)
def test_a_probe_row_as_predicted_changes_nothing_and_another_draws_towards_it(changes, ratio):
    before = value(**changes)
    assert value(probe_of(seen(1.0, **changes)), **changes) == pytest.approx(before, rel=1e-3)
    probe = probe_of(seen(ratio, **changes))
    if not probe.contradictions:  # above the roofline it is reported instead
        after = value(probe, **changes)
        assert min(1.0, ratio) * 0.999 <= after / before <= max(1.0, ratio) * 1.001
        assert ratio == pytest.approx(1, abs=0.02) or abs(after / before - 1) > 0.05 * abs(ratio - 1)
