"""The batch door: every row answered or refused with the missing fact, probes, intervals, definitions."""

from __future__ import annotations

import csv
import math
import subprocess
import sys

import pytest

from capacity.cases import COLUMNS, case_of
from capacity.estimate import ADDED_COLUMNS, estimate_file, estimate_row, predict
from capacity.roofline import efficiency_for
from facts.errors import InputError
from facts.records import Basis

BASE = {
    "source": "x",
    "source_version": "2026",
    "engine": "vllm",
    "model": "Llama 3.1 8B",
    "params_b": "8.03",
    "active_params_b": "8.03",
    "quant": "bf16",
    "device": "H100 SXM 80GB",
    "device_count": "1",
    "device_mem_bw_gbs": "3350",
    "device_peak_tflops_dense_16bit": "989.5",
    "isl": "1000",
    "osl": "200",
    "batch_or_concurrency": "16",
    "metric": "output_tok_s_total",
    "note": "",
}


def row(**changes):
    return {**BASE, **{key: str(text) for key, text in changes.items()}}


def value(**changes):
    answer = estimate_row(row(**changes))
    assert answer.refused_because is None, answer.refused_because
    return answer.predicted


def write(path, rows, extra=()):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*COLUMNS, *extra])
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "prefill_tok_s", "osl": 0, "batch_or_concurrency": 1},
        {"metric": "decode_tok_s", "isl": 0, "batch_or_concurrency": 1},
        {"metric": "decode_tok_s", "note": "per user"},
        {"metric": "total_tok_s", "batch_or_concurrency": "max"},
        {"batch_or_concurrency": "offline", "device_count": 8},
        {"batch_or_concurrency": "rate=2/s", "note": "prompts=500"},
        {"batch_or_concurrency": "rate=500/s"},
        {"batch_or_concurrency": "rate=inf"},
        {"note": "parallel=TP2PP4", "device_count": 8},
        {
            "note": "parallel=DEP8",
            "device_count": 8,
            "model": "DeepSeek-R1",
            "params_b": 671,
            "active_params_b": 37,
            "quant": "fp8",
            "device": "H200",
        },
        {"note": "tp=2; max_num_seqs=64; max_num_batched_tokens=4096; depth=2000; file=15.0 GiB", "device_count": 2},
        {"model": "Unheard-of 13B", "params_b": 13, "active_params_b": ""},
        {"model": "Unheard-of MoE", "params_b": 200, "active_params_b": 10, "device_count": 8, "quant": "fp8"},
        {"device": "Some New Card", "device_peak_tflops_dense_16bit": ""},
        {"quant": "weird-7"},
        {"engine": "an engine nobody knows"},
        {"params_b": "~8", "isl": "~1000"},
        *({"metric": f"{name}{form}_ms"} for name in ("ttft", "tpot", "itl", "e2e") for form in ("", "_mean", "_p50", "_p90", "_p99")),
    ],
)
def test_every_kind_of_row_is_answered_inside_its_interval(changes):
    answer = estimate_row(row(**changes))
    assert answer.refused_because is None
    assert 0 < answer.low80 < answer.predicted < answer.high80
    assert math.isfinite(answer.high80)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"device": "Some New Card", "device_mem_bw_gbs": ""},
            "device 'Some New Card' is not in the catalogue and the row states no device_mem_bw_gbs",
        ),
        ({"model": "Unheard-of", "params_b": ""}, "model 'Unheard-of' is not in the catalogue and the row states no params_b"),
        ({"metric": "words_per_minute"}, "unknown metric 'words_per_minute'"),
        ({"batch_or_concurrency": "many"}, "batch_or_concurrency 'many' is not a number"),
        ({"isl": "0", "osl": ""}, "isl and osl are both 0 or missing"),
        ({"model": "Llama 3.3 70B", "params_b": "70.6"}, "141.1 GB, 1 x H100 SXM 80GB has 85.9 GB: it does not fit"),
    ],
)
def test_a_refusal_names_the_missing_fact(changes, sentence):
    answer = estimate_row(row(**changes))
    assert answer.predicted is None
    assert answer.refused_because is not None
    assert sentence in answer.refused_because


def test_closed_loop_output_is_concurrency_times_answer_over_latency():
    ttft, tpot = value(metric="ttft_ms"), value(metric="tpot_ms")
    assert value() == pytest.approx(16 * 200 / (ttft + 199 * tpot) * 1000, rel=1e-6)
    assert value(metric="total_tok_s") == pytest.approx(value() * 1200 / 200)
    assert value(metric="e2e_ms") == pytest.approx(ttft + 199 * tpot, rel=1e-6)


def test_a_finite_open_loop_run_ends_when_its_last_answer_does():
    e2e = value(batch_or_concurrency="rate=2/s", metric="e2e_ms", note="prompts=100")
    assert value(batch_or_concurrency="rate=2/s", note="prompts=100") == pytest.approx(100 * 200 / (100 / 2 + e2e / 1000), rel=1e-6)


def test_an_open_loop_far_from_the_knee_is_as_sure_as_its_arrivals():
    calm = estimate_row(row(batch_or_concurrency="rate=0.5/s", note="prompts=400"))
    assert calm.high80 / calm.low80 < 1.25  # 400 random gaps scatter by 1.28 / 20 = 6.4 % either way
    busy = estimate_row(row(batch_or_concurrency="rate=500/s", note="prompts=400"))
    assert busy.high80 / busy.low80 > 1.8


def test_an_infinite_rate_is_all_prompts_at_once():
    burst = {"batch_or_concurrency": "rate=inf", "note": "prompts=64"}
    assert value(**burst, metric="ttft_p99_ms") > 20 * value(batch_or_concurrency="rate=0.1/s", metric="ttft_p99_ms")
    assert value(**burst) == pytest.approx(value(batch_or_concurrency="rate=1e9/s", note="prompts=64"), rel=1e-2)


def test_the_start_of_a_closed_loop_shows_in_its_last_percent():
    of64 = {"batch_or_concurrency": 64}
    long_run = value(**of64, metric="ttft_p99_ms", note="prompts=64000")
    short_run = value(**of64, metric="ttft_p99_ms", note="prompts=640")
    assert short_run > 2 * long_run
    assert value(**of64, metric="ttft_p50_ms", note="prompts=640") == pytest.approx(
        value(**of64, metric="ttft_p50_ms", note="prompts=64000"), rel=0.15
    )
    assert value(**of64, metric="ttft_ms") == pytest.approx(value(**of64, metric="ttft_mean_ms"))


def test_per_user_is_one_over_the_time_per_token():
    assert value(metric="decode_tok_s", note="per user") == pytest.approx(1000 / value(metric="tpot_ms"))
    assert value(metric="decode_tok_s") == pytest.approx(16_000 / value(metric="tpot_ms"))


def test_the_best_layout_is_never_worse_than_tensor_parallelism_over_everything():
    eight = {"device_count": 8, "engine": "TensorRT-LLM"}
    assert value(batch_or_concurrency="offline", **eight) >= value(batch_or_concurrency="max", **eight) * 0.999


def test_a_typical_shape_and_a_stated_device_widen_the_interval():
    def width(**changes):
        answer = estimate_row(row(**changes))
        return answer.high80 / answer.low80, answer.basis

    known, basis = width()
    shape, assumed = width(model="Unheard-of 8B")
    assert (basis, assumed) == (Basis.ESTIMATED, Basis.ASSUMED)
    assert shape > known


def test_a_queue_beyond_the_memory_is_estimated_with_a_doubt():
    answer = estimate_row(
        row(device="RTX 4090", device_mem_bw_gbs="1008", device_peak_tflops_dense_16bit="165.2", batch_or_concurrency="500")
    )
    assert answer.predicted is not None
    assert any("the rest queues" in doubt for doubt in answer.doubts)


def test_the_typical_shape_of_known_sizes_is_near_the_real_one():
    for name, params in (("Llama 3.1 8B", 8.03), ("Llama 3.3 70B", 70.6), ("Qwen3-32B", 32.8), ("Llama 3.1 405B", 405.9)):
        common = {"params_b": params, "active_params_b": params, "device_count": 8, "quant": "fp8", "note": "tp=8"}
        assert value(model="Unheard-of", **common) == pytest.approx(value(model=name, **common), rel=0.35)


def test_a_probe_row_moves_its_device_and_other_models_on_it_and_narrows_the_interval(tmp_path):
    local = {"engine": "llama.cpp", "quant": "Q4_K_M", "isl": 0, "osl": 128, "batch_or_concurrency": 1, "metric": "decode_tok_s"}
    card = {"device": "RTX 4090", "device_mem_bw_gbs": 1008, "device_peak_tflops_dense_16bit": 165.2}
    asked = [
        row(**local, **card),
        row(**local, **card, model="Qwen3-14B", params_b=14.77),
        row(**local, device="RTX 3090", device_mem_bw_gbs=936),
    ]
    before = [estimate_row(each) for each in asked]
    write(tmp_path / "rows.csv", asked)
    write(tmp_path / "probe.csv", [{**asked[0], "value": before[0].predicted * 0.8}], ["value"])
    assert estimate_file(tmp_path / "rows.csv", tmp_path / "out.csv", tmp_path / "probe.csv")[:2] == (3, 0)
    after = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    ratios = [float(found["predicted"]) / earlier.predicted for found, earlier in zip(after, before, strict=True)]
    assert 0.8 < ratios[0] < 0.9
    assert ratios[1] == pytest.approx(ratios[0], rel=0.05)  # a larger model spends less of its time per layer on fixed work
    assert ratios[2] == pytest.approx(1.0, rel=1e-4)
    assert [found["basis"] for found in after] == ["calibrated", "calibrated", "estimated"]
    assert float(after[0]["high80"]) / float(after[0]["low80"]) < before[0].high80 / before[0].low80


def test_a_measurement_above_the_roofline_is_reported_and_not_absorbed(tmp_path):
    local = row(
        engine="llama.cpp",
        quant="F16",
        isl=0,
        osl=128,
        batch_or_concurrency=1,
        metric="decode_tok_s",
        device="RTX 4090",
        device_mem_bw_gbs=1008,
    )
    before = estimate_row(local)
    write(tmp_path / "rows.csv", [local])
    write(tmp_path / "probe.csv", [{**local, "value": 900}], ["value"])
    _, _, contradictions = estimate_file(tmp_path / "rows.csv", tmp_path / "out.csv", tmp_path / "probe.csv")
    assert len(contradictions) == 1
    assert "above the" in contradictions[0]
    assert "its sheet allows" in contradictions[0]
    after = next(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    assert float(after["predicted"]) == pytest.approx(before.predicted, rel=1e-5)
    assert "its sheet allows" in after["doubts"]


def test_the_file_keeps_its_columns_and_adds_the_answers(tmp_path):
    write(tmp_path / "rows.csv", [row(), row(model="Unheard-of", params_b="")])
    assert estimate_file(tmp_path / "rows.csv", tmp_path / "out.csv")[:2] == (2, 1)
    reader = csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8"))
    found = list(reader)
    assert reader.fieldnames == [*COLUMNS, *ADDED_COLUMNS]
    assert {key: found[0][key] for key in COLUMNS} == row()
    assert found[1]["predicted"] == ""
    assert "params_b" in found[1]["refused_because"]


def test_a_file_without_a_column_is_refused(tmp_path):
    (tmp_path / "rows.csv").write_text("engine,model\nvllm,x\n", encoding="utf-8")
    with pytest.raises(InputError, match="column 'batch_or_concurrency' is missing"):
        estimate_file(tmp_path / "rows.csv", tmp_path / "out.csv")


def test_the_command_ends_wrong_input_with_one_line_and_code_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "capacity", "estimate", str(tmp_path / "none.csv"), "--out", str(tmp_path / "o.csv")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no such file")
    assert done.stderr.count("\n") == 1


@pytest.mark.shared
def test_published_rows_are_met_as_well_as_the_report_says(shared_data):
    errors = {"decode_tok_s": [], "output_tok_s_total": []}
    for name in ("llamacpp_single_gpu", "trtllm_offline_v015_v017"):
        for measured in csv.DictReader((shared_data / "calibration" / f"{name}.csv").open(encoding="utf-8")):
            if measured["metric"] in errors and "suspect" not in measured["note"]:
                predicted = estimate_row(measured).predicted
                assert predicted is not None
                errors[measured["metric"]].append(abs(predicted / float(measured["value"]) - 1))
    medians = {metric: sorted(found)[len(found) // 2] for metric, found in errors.items()}
    assert medians["decode_tok_s"] < 0.08
    assert medians["output_tok_s_total"] < 0.09


def test_the_same_formulas_answer_a_row_and_a_serving_curve():
    from capacity.accelerators import Server
    from capacity.models import model
    from capacity.throughput import serving_curve

    case = case_of(row())
    curve = serving_curve(
        model("llama-3.1-8b"), "bf16", Server(accelerator=case.server.accelerator), engine="vllm", input_tokens=1000, output_tokens=200
    )
    at16 = next(point for point in curve.points if point.concurrency == 16)
    answer, _ = predict(case, efficiency_for("vllm", case.server.accelerator))
    assert at16.output_tokens_per_s == pytest.approx(answer, rel=1e-9)
