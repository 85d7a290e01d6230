"""A measurement applied to the model: what it needs, what it moves, and what it leaves alone."""

import csv
from datetime import UTC, datetime, timedelta
from math import log

import pytest

from capacity.accelerators import Server, accelerator
from capacity.estimate import estimate_file
from capacity.models import model
from capacity.throughput import serving_curve
from facts.errors import InputError
from facts.records import Basis
from facts.settings import settings
from probes.applying import NO_CALIBRATION, THIS_MACHINE, applied_to, calibration_of, rows_of
from probes.measurement import Contention, Environment
from probes.store import applied_calibration, drop_applied, list_applied, save_applied, save_measurement
from tests.probes.test_ledger import H100, in_process, served

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def calibrated(*measurements, **more):
    return calibration_of([(one, applied_to(one, applied=NOW, **more)) for one in measurements])


def rate_at(efficiency, concurrency: int = 4, device: str = H100) -> float:
    curve = serving_curve(
        model("llama-3.1-8b"), "bf16", Server(accelerator=accelerator(device)), input_tokens=100, output_tokens=11, efficiency=efficiency
    )
    return next(point.output_tokens_per_s for point in curve.points if point.concurrency == concurrency)


def test_a_slower_server_than_the_sheet_promises_makes_every_model_on_it_slower_and_says_calibrated():
    promised, measured = rate_at(None), 4 * 11 / 0.7  # four at a time, each takes 0.5 s to the first token and 0.2 s for the rest
    found = calibrated(served(measured)).efficiency(accelerator(H100), "vllm")
    assert found.basis is Basis.CALIBRATED
    assert measured < promised / 4
    assert abs(log(rate_at(found) / measured)) < 0.5 * abs(log(rate_at(None) / measured))  # one probe halves the error at least
    other = serving_curve(
        model("qwen3-8b"), "bf16", Server(accelerator=accelerator(H100)), input_tokens=500, output_tokens=200, efficiency=found
    )
    assert other.basis is Basis.CALIBRATED


def test_a_measurement_moves_its_own_engine_and_device_only():
    found = calibrated(served(200.0))
    assert found.efficiency(accelerator(H100), "vllm 0.12") is not None
    assert found.efficiency(accelerator(H100), "sglang") is None
    assert found.efficiency(accelerator(H100), "llama.cpp") is None
    assert found.efficiency(accelerator("nvidia-a100-sxm-80"), "vllm") is None
    assert NO_CALIBRATION.efficiency(accelerator(H100), "vllm") is None


def test_a_llamacpp_figure_is_never_read_as_a_vllm_capacity():
    found = calibrated(in_process("llama-3.1-8b", 5000.0, 100.0, gpu=True))
    assert found.efficiency(accelerator(H100), "vllm") is None
    assert found.efficiency(accelerator(H100), "llama.cpp").basis is Basis.CALIBRATED


def test_one_request_at_a_time_says_too_little_of_a_server():
    with pytest.raises(InputError, match=r"one request in flight only.*measure at 2 or more"):
        applied_to(served(60.0, concurrency=1), applied=NOW)


def test_more_than_the_sheet_allows_is_a_contradiction_and_not_absorbed():
    impossible = in_process("llama-3.1-8b", 5000.0, 5000.0, gpu=True)
    with pytest.raises(InputError, match=r"contradicts the sheet: 5,000 tokens/s .decode_tok_s. is above the"):
        applied_to(impossible, applied=NOW)


def test_what_speaks_against_it_is_said():
    noisy = Environment(host="a", cpu="Some Processor", memory_bytes=32 << 30, before=Contention(window_s=2.0, idle_share=0.2))
    doubtful = in_process("llama-3.1-8b", 10.0, 5.0, environment=noisy).model_copy(
        update={"doubts": ("the machine was busy",), "verdict_doubts": ("the machine was busy",)}
    )
    with pytest.raises(InputError, match=r"doubts itself .the machine was busy.*yes"):
        applied_to(doubtful, applied=NOW)
    assert applied_to(doubtful, applied=NOW, accept_doubtful=True).device_id == THIS_MACHINE
    remote = served(200.0).model_copy(update={"environment": Environment(host="client")})
    with pytest.raises(InputError, match="does not say what the server runs on"):
        applied_to(remote, applied=NOW)
    assert applied_to(remote, applied=NOW, device="H100 SXM", gpus=2).gpus == 2
    with pytest.raises(InputError, match="'H1000' is not in the catalogue"):
        applied_to(remote, applied=NOW, device="H1000")
    with pytest.raises(InputError, match="no engine that capacity knows"):
        applied_to(served(200.0).model_copy(update={"engine": "uvicorn"}), applied=NOW)
    with pytest.raises(InputError, match="'house-model' is not in the catalogue"):
        applied_to(served(200.0).model_copy(update={"model_name": "house-model"}), applied=NOW)
    with pytest.raises(InputError, match="precision 'q99'"):
        applied_to(served(200.0), applied=NOW, quantization="q99")


def test_the_database_keeps_what_is_applied_until_it_is_taken_back(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGHTSIZE_DATA_DIR", str(tmp_path))
    environment, measurement = settings(), served(200.0)
    applied = applied_to(measurement, applied=NOW, who="a test")
    with pytest.raises(InputError, match="is not kept here"):
        save_applied(environment, applied)
    save_measurement(environment, measurement)
    save_applied(environment, applied)
    later = applied_to(measurement, applied=NOW + timedelta(hours=1), gpus=2)
    save_applied(environment, later)  # stated anew
    assert list_applied(environment) == ((measurement, later),)
    assert applied_calibration(environment).behind(accelerator(H100), "vllm") == (measurement.id,)
    assert drop_applied(environment, measurement.id)
    assert not drop_applied(environment, measurement.id)
    assert applied_calibration(environment) == NO_CALIBRATION


def test_the_same_rows_go_through_capacitys_own_door(tmp_path):
    measurement = served(400.0)
    rows = rows_of(measurement, applied_to(measurement, applied=NOW))
    assert [row["metric"] for row in rows] == ["output_tok_s_total", "ttft_p50_ms", "tpot_p50_ms"]
    probe, asked, out = tmp_path / "probe.csv", tmp_path / "asked.csv", tmp_path / "out.csv"
    for path, columns in ((probe, list(rows[0])), (asked, [name for name in rows[0] if name != "value"])):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    estimate_file(asked, out, probe)
    with out.open() as file:
        predictions = list(csv.DictReader(file))
    assert {row["basis"] for row in predictions} == {"calibrated"}
