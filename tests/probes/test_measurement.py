import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.errors import InputError
from probes.doubts import with_doubts
from probes.measurement import (
    BYTES_PER_REQUEST,
    BYTES_PER_STAMP,
    MAX_BYTES,
    Contention,
    EndpointSettings,
    Environment,
    LevelResult,
    LlamaCppSettings,
    Measurement,
    RequestTiming,
    Status,
    TestResult,
    content_hash,
    most_requests,
)

CREATED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def generation(*samples, **changes):
    return TestResult(**({"name": "tg128", "n_prompt": 0, "n_gen": 128, "samples_tokens_per_s": samples} | changes))


def measured(*tests, **changes):
    return Measurement(
        **(
            {
                "kind": "llamacpp",
                "created": CREATED,
                "status": Status.COMPLETE,
                "engine": "llama.cpp",
                "settings": LlamaCppSettings(),
                "environment": Environment(cpu="A processor"),
                "tests": tests,
            }
            | changes
        )
    )


def test_json_brings_back_an_equal_measurement():
    measurement = with_doubts(measured(generation(40.0, 41.0, 42.5))).sealed()
    assert Measurement.from_json(measurement.to_json()) == measurement
    assert Measurement.from_json(measurement.to_json().encode()) == measurement


@given(st.lists(st.floats(min_value=1e-3, max_value=1e6), min_size=1, max_size=30))
def test_any_samples_survive_the_way_through_json(samples):
    measurement = measured(generation(*samples)).sealed()
    assert Measurement.from_json(measurement.to_json()) == measurement


def test_a_request_takes_no_more_room_than_is_reckoned_with():
    stamps = tuple(round(1244.123456 + number * 0.0123457, 6) for number in range(600))
    one = request(1234.123456, 1244.123456, [], tokens=600, input_tokens=4096, content_s=stamps, headers_s=1234.123457)
    levels = [LevelResult(name="c1", concurrency=1, duration_s=1.0, window_s=(0.0, 9999.0), requests=(one,) * count) for count in (1, 101)]
    settings = EndpointSettings(url="http://127.0.0.1:1/v1")
    small, large = (len(measured(kind="endpoint", settings=settings, levels=(level,)).sealed().to_json()) for level in levels)
    assert (large - small) / 100 < BYTES_PER_REQUEST + 600 * BYTES_PER_STAMP
    assert most_requests(600) * (BYTES_PER_REQUEST + 600 * BYTES_PER_STAMP) < MAX_BYTES


def test_a_row_of_numbers_stands_on_one_line_and_words_stay_as_they_are():
    text = measured(generation(40.5, 1e-05, 42.0), log=("[\n 1,\n 2\n]", "n_ctx = 1")).sealed().to_json()
    assert '"samples_tokens_per_s": [40.5,1e-05,42.0]' in text
    assert Measurement.from_json(text).log == ("[\n 1,\n 2\n]", "n_ctx = 1")


def test_layers_left_on_the_processor_are_said():
    partly = measured(generation(40.0, 41.0), gpu_offload=True, log=("load_tensors: offloaded 20/33 layers to GPU",))
    assert any("20 of 33 layers were on the accelerator" in doubt for doubt in with_doubts(partly).doubts)
    whole = measured(generation(40.0, 41.0), gpu_offload=True, log=("load_tensors: offloaded 33/33 layers to GPU",))
    assert not any("layers were on the accelerator" in doubt for doubt in with_doubts(whole).doubts)


@pytest.mark.parametrize(("url", "doubted"), [("http://127.0.0.1:1/v1", True), ("https://elsewhere.example/v1", False)])
def test_a_busy_machine_is_a_doubt_where_the_server_is_on_it(url, doubted):
    busy = Environment(before=Contention(window_s=1.0, idle_share=0.4, others_share=0.6))
    requests = tuple(request(1.0, 2.0, [], tokens=1, input_tokens=1) for _ in range(6))
    level = LevelResult(name="c2", concurrency=2, duration_s=4.0, window_s=(0.5, 3.0), requests=requests)
    settings = EndpointSettings(url=url, output_tokens=1)
    found = with_doubts(measured(kind="endpoint", settings=settings, levels=(level,), environment=busy).sealed())
    assert any("only 40% idle before the run" in doubt for doubt in found.verdict_doubts) is doubted


@pytest.mark.parametrize(
    ("seconds", "says"),
    [((1.0,), "c2: one request was counted"), ((1.0, 1.5, 2.0, 2.5), "c2: the 95 % interval of the median"), ((1.0, 1.01, 1.02), "")],
)
def test_a_level_of_few_or_uneven_answers_is_kept_from_a_verdict(seconds, says):
    requests = tuple(request(1.0, 1.0 + took, [], tokens=1, input_tokens=1) for took in seconds)
    level = LevelResult(name="c2", concurrency=2, duration_s=4.0, window_s=(0.5, 3.0), requests=requests)
    settings = EndpointSettings(url="http://127.0.0.1:1/v1", output_tokens=1)
    found = with_doubts(measured(kind="endpoint", settings=settings, levels=(level,)).sealed()).verdict_doubts
    assert any(doubt.startswith(says) for doubt in found) if says else found == ()


def test_the_id_is_the_hash_of_the_content_and_of_nothing_else():
    first, second = measured(generation(40.0)).sealed(), measured(generation(40.0)).sealed()
    assert first.id == second.id == content_hash(first)
    assert measured(generation(40.1)).sealed().id != first.id


@pytest.mark.parametrize("change", [{"engine": "vllm"}, {"doubts": []}, {"created": "2026-11-21T12:00:00Z"}])
def test_an_edited_measurement_fails_its_hash(change):
    measurement = measured(generation(40.0, 41.0, 60.0), doubts=("a doubt",)).sealed()
    edited = json.loads(measurement.to_json()) | change
    with pytest.raises(InputError, match="changed after it was written"):
        Measurement.from_json(json.dumps(edited))


def test_a_better_figure_with_a_new_hash_does_not_follow_from_the_samples():
    measurement = measured(generation(40.0, 41.0)).sealed()
    figure = measurement.derived[0].model_copy(update={"value": 400.0})
    forged = measurement.model_copy(update={"derived": (figure, *measurement.derived[1:])})
    forged = forged.model_copy(update={"id": content_hash(forged)})
    with pytest.raises(InputError, match="do not follow"):
        Measurement.from_json(forged.to_json())


def test_a_newer_version_is_named():
    text = measured(generation(40.0)).sealed().to_json().replace('"schema_version": 1', '"schema_version": 2')
    with pytest.raises(InputError, match="schema_version 2, this program reads 1"):
        Measurement.from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": 1}', '{"schema_version": NaN}', "[" * 100_000, b"\xff\xfe"])
def test_what_is_no_measurement_is_one_sentence(text):
    with pytest.raises(InputError) as error:
        Measurement.from_json(text, "upload")
    assert str(error.value).startswith("upload: ")


@given(st.binary(max_size=200))
def test_any_bytes_end_in_an_input_error(data):
    with pytest.raises(InputError):
        Measurement.from_json(data)


def test_median_mean_and_sd_by_hand():
    test = generation(10.0, 20.0, 60.0)
    assert (test.median, test.mean) == (20.0, (10 + 20 + 60) / 3)
    assert test.sd == pytest.approx(((20**2 + 10**2 + 30**2) / 2) ** 0.5)


def test_every_figure_names_its_formula():
    assert all(figure.formula and figure.unit for figure in measured(generation(10.0, 20.0, 60.0)).sealed().derived)


def test_a_quiet_complete_run_supports_a_verdict_and_contention_forbids_it():
    quiet = with_doubts(measured(generation(*[40.0, 40.1, 39.9, 40.2, 40.0, 39.8]))).sealed()
    assert quiet.usable_for_verdict
    busy = Environment(before=Contention(window_s=2.0, idle_share=0.89))
    contended = with_doubts(measured(generation(*[40.0] * 6), environment=busy)).sealed()
    assert not contended.usable_for_verdict
    assert "89% idle" in contended.verdict_doubts[0]
    idle = Environment(before=Contention(window_s=2.0, idle_share=0.90))
    assert with_doubts(measured(generation(*[40.0] * 6), environment=idle)).sealed().usable_for_verdict


def test_a_partial_run_is_kept_but_supports_no_verdict():
    partial = with_doubts(measured(generation(40.0, 40.1), status=Status.PARTIAL, message="cancelled")).sealed()
    assert not partial.usable_for_verdict
    assert any("cancelled" in doubt for doubt in partial.doubts)


def test_understated_builds_are_named():
    environment = Environment(cpu_flags=("avx2", "avx512f", "avx512_vnni"))
    doubts = with_doubts(measured(generation(40.0), environment=environment, engine_system_info="CPU : AVX2 = 1 | OPENMP = 1 | ")).doubts
    assert any("understated build" in doubt and "AVX512, AVX512_VNNI" in doubt for doubt in doubts)
    whole = "CPU : AVX2 = 1 | AVX512 = 1 | AVX512_VNNI = 1 | OPENMP = 1 | "
    assert not any(
        "understated" in text for text in with_doubts(measured(generation(40.0), environment=environment, engine_system_info=whole)).doubts
    )


def test_a_build_is_not_understated_by_the_processor_where_every_layer_is_on_the_accelerator():
    environment = Environment(cpu_flags=("avx2", "avx512f"))
    plain = {"environment": environment, "engine_system_info": "CPU : AVX2 = 1 | OPENMP = 1 | ", "gpu_offload": True}
    for layers, understated in (("33/33", False), ("20/33", True)):
        log = (f"load_tensors: offloaded {layers} layers to GPU",)
        doubts = with_doubts(measured(generation(40.0), log=log, **plain)).doubts
        assert any("understated build" in doubt for doubt in doubts) is understated


@pytest.mark.parametrize(
    ("weights", "offload", "fits"),
    [(199, False, "fit"), (299, False, "nearly fit"), (300, False, ""), (199, True, ""), (None, False, "")],
)
def test_weights_that_fit_the_processors_caches_say_little_of_a_model_that_does_not(weights, offload, fits):
    environment = Environment(cache_bytes=200_000_000)
    size = None if weights is None else weights * 1_000_000
    doubted = with_doubts(measured(generation(40.0), environment=environment, weights_bytes=size, gpu_offload=offload))
    said = [doubt for doubt in doubted.doubts if "into the processor's caches (0.20 GB)" in doubt]
    assert [f"GB) {fits} into" in doubt for doubt in said] == ([True] if fits else [])
    assert not any("caches" in doubt for doubt in doubted.verdict_doubts)


def request(sent, first, gaps, tokens=None, **changes):
    content = tuple(first + sum(gaps[:i]) for i in range(len(gaps) + 1))
    values = {
        "scheduled_s": sent,
        "sent_s": sent,
        "first_content_s": first,
        "content_s": content,
        "done_s": content[-1],
        "output_tokens": tokens,
    }
    return RequestTiming(**(values | changes))


def test_ttft_and_tpot_by_hand():
    timing = request(1.0, 1.25, [0.1, 0.1, 0.2], tokens=5)
    assert timing.ttft_s == pytest.approx(0.25)
    assert timing.tpot_s == pytest.approx((0.1 + 0.1 + 0.2) / (5 - 1))
    assert request(1.0, 1.2, []).tpot_s is None


def test_errors_stand_in_the_denominator_and_the_window_cuts_ramp_and_drain():
    good, bad = request(0.0, 0.5, [0.5, 0.5, 0.5], tokens=8, input_tokens=100), RequestTiming(scheduled_s=0.0, sent_s=0.0, error="HTTP 500")
    level = LevelResult(name="c2", concurrency=2, duration_s=2.0, window_s=(0.75, 2.0), requests=(good, bad))
    settings = EndpointSettings(url="http://127.0.0.1:1/v1", model="m")
    measurement = measured(kind="endpoint", settings=settings, levels=(level,)).sealed()
    values = {figure.name: figure.value for figure in measurement.derived}
    assert values["c2.error_share"] == 1 / 2
    assert values["c2.output_rate"] == pytest.approx(8 * 3 / 4 / 1.25)  # 3 of its 4 events lie inside the window
    assert Measurement.from_json(measurement.to_json()) == measurement
    assert "c2.ttft.p99" not in values  # one sample has no p99
