"""This machine as a probe saw it: the measured model comes back, others follow, doubts keep it out until someone says yes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from capacity.models import model
from capacity.tensors import tensor_plan
from probes.applying import applied_to, calibration_of
from probes.measurement import Environment, LlamaCppSettings, Measurement, ModelFile, Status, TestResult
from selector.catalog import load_catalog
from selector.local import local_curve, local_machine, why_no_machine
from selector.results import Arm
from tests.probes.test_ledger import served
from tests.selector.decisions import DAY, decide
from workloads.demand import Load

SMALL = {"requests_per_day": 50, "input_tokens_mean": 400, "output_tokens_mean": 40, "labelled_examples": 5000, "complexity": "extraction"}


def measurement(*, model_id="qwen3-0.6b", pp=112.8, tg=47.7, doubts=(), host="here", status=Status.COMPLETE, minutes=0):
    return Measurement(
        kind="llamacpp",
        created=datetime(2026, 11, 21, 12, minutes, tzinfo=UTC),
        status=status,
        model_id=model_id,
        model_name=model_id,
        model_file=ModelFile(name="m.gguf", bytes=400_000_000, synthetic=True),
        quantization="Q4_K_M",
        engine="llama.cpp",
        settings=LlamaCppSettings(),
        environment=Environment(host=host, cpu="Test CPU", memory_bytes=24 * 2**30),
        tests=(
            TestResult(name="pp512", n_prompt=512, n_gen=0, samples_tokens_per_s=(pp,) * 5, settled=True),
            TestResult(name="tg128", n_prompt=0, n_gen=128, samples_tokens_per_s=(tg,) * 5, settled=True),
        ),
        verdict_doubts=doubts,
    ).sealed()


def machine_of(*measurements, **options):
    return local_machine(load_catalog(DAY, None, measurements, **options))


def test_the_probed_model_is_given_back_as_measured():
    machine = machine_of(measurement())
    curve = local_curve(machine, model("qwen3-0.6b"), "Q4_K_M", Load(requests_per_s=0.1, input_tokens=512, output_tokens=128))
    assert curve.basis == "measured"
    (point,) = curve.points
    assert point.concurrency == 1
    assert 512 / (point.ttft_ms / 1000) == pytest.approx(112.8, rel=0.02)
    # tg128 runs at a mean depth of 64 tokens, this request at 576: a little slower, never faster.
    assert 0.80 * 47.7 < 1000 / point.tpot_ms <= 47.7 * 1.001
    drawing = replace(machine, efficiency=machine.efficiency.model_copy(update={"draw_s": 1e-6, "kept_bytes_per_s": 1e8}))
    assert local_curve(drawing, model("qwen3-0.6b"), "Q4_K_M", Load(requests_per_s=0.1, input_tokens=512, output_tokens=128)) == curve


def test_another_model_follows_from_the_probed_one_within_the_published_ratio():
    # One 2-core server, llama.cpp Q4_K_M: generation streamed 13.1 GB/s on a 0.5B shape, and a 7B ran at 4.28 tok/s.
    streamed_gb = tensor_plan(model("qwen3-0.6b"), "Q4_K_M").bytes / 1e9
    machine = machine_of(measurement(pp=100.0, tg=13.1 / streamed_gb))
    curve = local_curve(machine, model("llama-2-7b"), "Q4_K_M", Load(requests_per_s=0.001, input_tokens=64, output_tokens=128))
    assert curve.basis == "calibrated"
    assert 1000 / curve.points[0].tpot_ms == pytest.approx(4.28, rel=0.20)


def test_a_probe_moves_the_this_machine_option_and_nothing_else():
    before, after = decide(**SMALL), decide(**SMALL, measurements=(measurement(),))
    (was,), (now,) = ([o for o in d.options if o.arm is Arm.THIS_MACHINE] for d in (before, after))
    assert was.total_usd is None
    assert now.feasible
    assert now.plan.basis == "calibrated"
    assert now.plan.measured == measurement().id
    others = [(o.id, o.total_usd, o.feasible) for o in before.options if o.arm is not Arm.THIS_MACHINE]
    assert sorted(others) == sorted((o.id, o.total_usd, o.feasible) for o in after.options if o.arm is not Arm.THIS_MACHINE)
    assert before.inputs_sha256 != after.inputs_sha256
    assert after.measured.measurement_ids == (measurement().id,)
    assert "says nothing of another server, of vLLM or of an API" in after.measured.sentence


def test_a_faster_machine_is_never_planned_with_more_of_it():
    slow, fast = (decide(**SMALL, measurements=(measurement(tg=tg),)) for tg in (20.0, 60.0))
    (one,), (other,) = ([o for o in d.options if o.arm is Arm.THIS_MACHINE] for d in (slow, fast))
    assert other.plan.replica_tokens_per_month > one.plan.replica_tokens_per_month


def test_a_peak_beyond_one_machine_is_refused_with_the_number_of_machines():
    decision = decide(measurements=(measurement(),))
    (option,) = [o for o in decision.options if o.arm is Arm.THIS_MACHINE]
    assert not option.feasible
    assert f"needs {option.plan.replicas:,} machines like this one" in option.refused_because
    assert option.total_usd > 0


def test_a_doubtful_probe_waits_for_a_yes_and_an_older_sound_one_is_used_meanwhile():
    doubtful = measurement(doubts=("something else was running",), minutes=30)
    assert machine_of(doubtful) is None
    assert "something else was running" in why_no_machine(load_catalog(DAY, None, (doubtful,)))
    assert machine_of(doubtful, accept_doubtful=True).measurement_id == doubtful.id
    sound = measurement(tg=30.0)
    assert machine_of(doubtful, sound).measurement_id == sound.id
    assert machine_of(doubtful, sound, accept_doubtful=True).measurement_id == doubtful.id


def test_a_failed_probe_or_one_of_another_host_is_not_this_machine():
    assert machine_of(measurement(status=Status.FAILED)) is None
    assert machine_of(measurement(host="elsewhere"), host="here") is None
    assert machine_of(measurement(host="here"), host="here") is not None


def test_only_the_probed_model_counts_as_measured_and_only_its_server_lines_rest_on_it():
    whole = decide(**SMALL, measurements=(measurement(model_id="qwen3-8b", pp=60.0, tg=9.0),))
    (option,) = [o for o in whole.options if o.arm is Arm.THIS_MACHINE]
    assert option.plan.basis == "measured"
    energy = sum(line.usd for month in option.months for line in month.lines if line.name == "energy")
    assert 0 < energy / option.total_usd < 0.05
    chosen = whole.option(whole.choice.option_id)
    assert whole.measured.share == (0.0 if chosen.plan is None else pytest.approx(energy / option.total_usd))


def applied(*measurements, **more):
    return calibration_of([(one, applied_to(one, applied=datetime(2026, 11, 21, 13, tzinfo=UTC), **more)) for one in measurements])


def generating(decision):
    """Options on a device of the catalogue that write tokens, as an encoder does not."""
    return [option for option in decision.options if option.plan and option.plan.device_id and option.arm is not Arm.ENCODER]


def test_an_applied_measurement_calibrates_every_option_with_its_engine_on_its_device_and_no_other():
    before = decide()
    devices = {option.plan.device_id for option in generating(before)}
    assert devices
    slow = served(15.0)  # tokens/s with four in flight: far below what any sheet promises
    calibrations = {device: applied(slow, device=device) for device in devices}
    for device, calibration in calibrations.items():
        after = decide(calibration=calibration)
        on_it = [option for option in generating(after) if option.plan.device_id == device]
        elsewhere = [option for option in generating(after) if option.plan.device_id != device]
        assert all(option.plan.basis == "calibrated" and option.plan.measured == slow.id for option in on_it)
        assert all(option.plan.basis != "calibrated" and not option.plan.measured for option in elsewhere)
        plans = {option.id: option.plan for option in generating(before)}
        moved = [option for option in generating(after) if plans[option.id].device_id == device]
        assert moved
        for option in moved:  # slower where it stays, or another device carries it now
            slower = option.plan.capacity_tokens_per_month / option.plan.replicas
            assert option.plan.device_id != device or slower < plans[option.id].capacity_tokens_per_month / plans[option.id].replicas
        assert after.inputs_sha256 != before.inputs_sha256


def test_an_option_that_a_measurement_moved_names_it_as_its_source():
    slow = served(15.0)
    device = next(option.plan.device_id for option in decide().options if option.plan and option.plan.device_id)
    after = decide(calibration=applied(slow, device=device))
    lines = [line for line in after.sources if line.key.startswith("speed.") and line.key.endswith(device)]
    assert all(line.basis == "calibrated" and slow.id[:12] in line.url for line in lines if line.basis == "calibrated")
    if any(option.plan and option.plan.device_id == device for option in after.options):
        assert slow.id in after.measured.measurement_ids


def test_a_measurement_of_this_machine_that_was_applied_stands_for_it_although_it_doubts_itself():
    doubtful, clean = measurement(doubts=("busy",), tg=40.0), measurement(minutes=5)
    assert machine_of(doubtful, clean).measurement_id == clean.id
    chosen = applied(doubtful, accept_doubtful=True)
    assert machine_of(doubtful, clean, calibration=chosen).measurement_id == doubtful.id


def test_a_server_measured_with_its_own_model_and_lengths_is_taken_as_measured():
    """Prompts of 100 and answers of 11 tokens, as the measurement had; the reach ends at the four in flight that were measured."""
    asked_for, rate = {"requests_per_day": 20_000, "input_tokens_mean": 100, "output_tokens_mean": 11}, 4 * 11 / 0.7
    option = next(found for found in generating(decide(**asked_for)) if found.id == "small-untuned-8b-rented")
    real = served(rate)
    known = applied(real, device=option.plan.device_id, gpus=1, model_name=option.model, quantization=option.quantization)
    (now,) = [found for found in generating(decide(calibration=known, **asked_for)) if found.id == option.id]
    assert (now.plan.basis, now.plan.measured, now.plan.device_id) == ("measured", real.id, option.plan.device_id)
    assert now.plan.concurrency == 4
    assert now.plan.output_tokens_per_s == pytest.approx(rate, rel=0.05)
    longer = decide(calibration=known, **(asked_for | {"input_tokens_mean": 150}))
    assert all(found.plan.basis != "measured" for found in generating(longer))  # half as long again is another load
