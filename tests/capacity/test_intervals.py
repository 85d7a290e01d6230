"""The 80 % intervals: by class, from devices and models left out alike, and never surer than the evidence."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from capacity.accuracy import LEAST_ROWS, Residual, intervals_of
from capacity.calibration import probes_of
from capacity.estimate import class_of, estimate_row, measured_case, parameters_of, predict
from capacity.intervals import interval_for
from tests.capacity import typical_row


def residuals(how, errors_by_group, name="decode.fitted.engine.gddr.one"):
    found = []
    for group, errors in errors_by_group.items():
        row = SimpleNamespace(device=group if how != "model" else "any", model=group if how == "model" else "any")
        found += [Residual(row=row, how=how, phase="decode", name=name, log_error=error) for error in errors]
    return found


def test_an_interval_spans_what_left_out_devices_and_left_out_models_show():
    calm = {device: [0.01] * 10 for device in "abcd"}
    slow = {model: [0.3 if model == "w" else 0.0] * 10 for model in "wxyz"}  # estimated 35 % too fast: measured exp(-0.3) of it
    low, high, _ = intervals_of([*residuals("device", calm), *residuals("model", slow)])["decode.fitted.engine.gddr.one"]
    assert low == pytest.approx(math.exp(-0.3))
    assert high == pytest.approx(1.06)


def test_a_long_table_does_not_vouch_for_the_next_device():
    """Beside 300 rows of one device stand 24 of three that are 22 % off: by rows they are 7 %, weighed as devices 33 %."""
    table = {"long": [0.0] * 300, "a": [0.2] * 8, "b": [0.2] * 8, "c": [0.2] * 8}
    weight_of_others = 3 * math.sqrt(8) / (3 * math.sqrt(8) + math.sqrt(300))
    assert weight_of_others > 0.08 > 24 / 324
    low, _, _ = intervals_of(residuals("device", table))["decode.fitted.engine.gddr.one"]
    assert low == pytest.approx(math.exp(-0.2))


def test_a_class_of_two_devices_also_spans_its_wider_class():
    narrow = residuals("device", {"a": [0.0] * 20, "b": [0.0] * 20}, "decode.fitted.engine.apple.one")
    others = residuals("device", {device: [0.25] * 40 for device in "cdef"}, "decode.fitted.other.gddr.one")
    found = intervals_of([*narrow, *others])
    assert found["decode.fitted.engine.apple.one"][0] == found["decode.fitted"][0] == pytest.approx(math.exp(-0.25))


def test_too_few_rows_make_no_class():
    found = intervals_of(residuals("device", {"a": [0.1] * (LEAST_ROWS // 2 - 1), "b": [0.1] * (LEAST_ROWS // 2)}))
    assert found == {}


# --- probes ----------------------------------------------------------------------------------------------------------

ROW = typical_row.ROW | {"batch_or_concurrency": "32"}


def width(answer):
    return answer.high80 / answer.low80


def test_a_probe_of_one_phase_does_not_make_another_phase_surer():
    """vLLM's serving was not fitted: a generation measured on the device leaves its interval that of a prior."""
    decode = ROW | {"isl": "0", "osl": "128", "batch_or_concurrency": "1", "metric": "decode_tok_s"}
    value = estimate_row(decode).predicted
    probe = probes_of([decode | {"value": str(value)}], measured_case, predict)
    assert width(estimate_row(ROW, probe)) == pytest.approx(width(estimate_row(ROW)))
    assert width(estimate_row(decode, probe)) < width(estimate_row(decode))


def test_a_probe_beside_a_prior_is_less_sure_than_one_beside_fitted_parameters():
    for engine, origin in (("vllm", "prior-probed"), ("trtllm", "probed")):
        row = ROW | {"engine": engine}
        probe = probes_of([row | {"value": str(estimate_row(row).predicted)}], measured_case, predict)
        case = measured_case(row | {"value": "1"})[0]
        efficiency, probed = probe.applied(parameters_of(case), case)
        assert class_of(case, efficiency, probed=probed).split(".")[1] == origin
    assert interval_for("serving.prior-probed").low < interval_for("serving.probed").low


@pytest.mark.parametrize(
    ("device", "origin"),
    [("RTX 4090", "fitted"), ("Apple M3 Max 40c", "fitted"), ("RX 7900 XTX", "prior"), ("GTX 1080 Ti", "prior"), ("Apple M5 10c", "prior")],
)
def test_a_chip_unlike_those_of_the_rows_is_not_as_sure_as_they_are(device, origin):
    row = ROW | {"engine": "llama.cpp", "source_version": "2024", "device": device, "quant": "Q4_K_M"}
    row |= {"isl": "0", "osl": "128", "batch_or_concurrency": "1", "metric": "decode_tok_s"}
    case = measured_case(row | {"value": "1"})[0]
    assert class_of(case, parameters_of(case), probed=False).split(".")[1] == origin
