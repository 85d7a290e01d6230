"""Few layers for the whole, settings swept in one run, power, and names of other makers' devices."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from capacity.models import ModelSpec, model
from capacity.tensors import tensor_plan
from facts.errors import InputError
from probes import environment, lock
from probes.llamacpp import variants
from probes.measurement import LlamaCppSettings, Measurement
from probes.power import PowerMeter
from probes.proxy import block_elements, proxy_of, proxy_shape, read_bytes
from probes.runner import ProbeJob, ProbeRequest, State
from probes.speeds import copy_gb_per_s, matrix_gflops
from tests.probes.tiny import SHAPES, tiny, tiny_mixture

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
QUICK = LlamaCppSettings(seconds=2, prompt_tokens=64, output_tokens=8, repetitions=2, passive_wait=True, threads=1)


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(lock, "lock_path", lambda: tmp_path / "lock")


def test_a_proxy_reads_its_blocks_and_the_whole_head():
    whole, part = model("llama-3.1-8b"), proxy_shape(model("llama-3.1-8b"), 4)
    plan = tensor_plan(part, "F16")
    head = 2 * 4096 * 128_256
    block = 2 * (4096 * 4096 * 2 + 4096 * 1024 * 2 + 3 * 4096 * 14_336)  # q and o, k and v, three of the feed-forward
    assert read_bytes(plan) == pytest.approx(head + 4 * block, rel=1e-3)
    proxy = proxy_of(whole, "F16", 4)
    assert proxy.generation_share == pytest.approx((head + 4 * block) / (head + 32 * block), rel=1e-3)
    assert proxy.prompt_share == pytest.approx(4 / 32)


def test_of_experts_only_those_used_are_read():
    plan = tensor_plan(tiny_mixture(), "F16")
    experts = [tensor for tensor in plan.tensors if "_exps." in tensor.name]
    others = [tensor for tensor in plan.tensors if tensor.name.startswith("blk.") and "_exps." not in tensor.name]
    wanted = sum(tensor.n_elements for tensor in others) + sum(tensor.n_elements for tensor in experts) * 2 / 8
    assert block_elements(plan) == pytest.approx(wanted)


@pytest.mark.parametrize("layers", [0, 2, 3])
def test_a_proxy_has_fewer_layers_than_its_model(layers):
    with pytest.raises(InputError, match="which has 2: give 1 to 1"):
        proxy_shape(tiny(), layers)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_layout_has_a_proxy_whose_share_grows_with_its_layers(name):
    shape = ModelSpec.model_validate(SHAPES[name].model_dump() | {"layers": 6})
    shares = [proxy_of(shape, "Q4_K_M", layers).generation_share for layers in (1, 3, 5)]
    assert 0 < shares[0] < shares[1] < shares[2] < 1


@pytest.mark.probe
def test_a_proxy_is_measured_scaled_and_said_to_be_extrapolated(tmp_path):
    whole = tiny("qwen3", layers=6, tied_embeddings=True)
    request = ProbeRequest(settings=QUICK, models_dir=tmp_path, model=whole, quantization="Q4_K_M", watch_s=0.0, proxy_layers=2)
    job = ProbeJob.start(request, created=NOW)
    assert job.wait(60)
    assert job.state is State.DONE, job.message
    found = job.result
    figures = {figure.name: figure for figure in found.derived}
    assert figures["tg8.extrapolated"].value == pytest.approx(found.tests[1].median * found.proxy.generation_share)
    assert figures["pp64.extrapolated"].value == pytest.approx(found.tests[0].median * 2 / 6)
    assert found.model_id is None  # so no verdict takes the proxy's speed for the model's
    assert any("extrapolated: 2 of 6 layers" in doubt for doubt in found.doubts)
    assert Measurement.from_json(found.to_json()) == found


def test_a_proxy_of_a_users_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="random weights"):
        ProbeJob.start(ProbeRequest(settings=QUICK, models_dir=tmp_path, file=tmp_path / "x.gguf", proxy_layers=2), created=NOW)


def test_a_sweep_changes_one_setting_at_a_time():
    swept = QUICK.model_copy(update={"sweep": ("kv_type", "flash_attention", "repack")})
    assert [label for label, _ in variants(swept)] == [
        "kv_type=q8_0",
        "kv_type=q4_0",
        "flash_attention=on",
        "flash_attention=off",
        "repack=off",
    ]
    without = swept.model_copy(update={"flash_attention": "off", "sweep": ("kv_type",)})
    assert all(settings.flash_attention == "on" for _, settings in variants(without))  # a quantised cache needs it
    assert variants(QUICK) == ()


@pytest.mark.probe
def test_swept_settings_are_tests_of_their_own_and_not_the_headline(tmp_path):
    settings = QUICK.model_copy(update={"sweep": ("flash_attention", "repack"), "seconds": 4.0})
    request = ProbeRequest(settings=settings, models_dir=tmp_path, model=tiny(), quantization="Q4_K_M", watch_s=0.0)
    job = ProbeJob.start(request, created=NOW)
    assert job.wait(60)
    assert job.state is State.DONE, job.message
    names = [test.name for test in job.result.tests]
    assert names[:2] == ["pp64", "tg8"]
    assert {"tg8/flash_attention=on", "pp64/flash_attention=off", "tg8/repack=off"} <= set(names)
    assert job.result.generation_test.name == "tg8"
    assert Measurement.from_json(job.result.to_json()) == job.result


# ---- power ----


class Driver:
    """A driver of two devices at 100 and 50 W."""

    NVMLError = RuntimeError

    def __init__(self, counter: bool):
        self.counter, self.begun, self.over = counter, time.monotonic(), False

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetPowerUsage(self, handle):
        return 100_000 if handle == 0 else 50_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if not self.counter:
            raise self.NVMLError
        return (time.monotonic() - self.begun) * self.nvmlDeviceGetPowerUsage(handle)

    def nvmlShutdown(self):
        self.over = True


@pytest.mark.parametrize("counter", [True, False])
def test_energy_is_the_counters_or_power_times_time(counter):
    driver = Driver(counter)
    with PowerMeter(driver) as meter:
        time.sleep(0.3)
    found = meter.reading(output_tokens=300.0)
    assert driver.over
    assert found.mean_w == pytest.approx(150.0, rel=0.05)
    assert found.highest_w == 150.0
    assert found.tokens_per_j == pytest.approx(300.0 / (150.0 * found.seconds), rel=0.05)


def test_without_a_driver_there_is_no_reading():
    class NoDevices(Driver):
        def nvmlDeviceGetCount(self):
            return 0

    with PowerMeter(NoDevices(counter=False)) as meter:
        pass
    reading = meter.reading()
    assert reading is None or reading.energy_j == 0


# ---- devices and speeds ----


def test_an_amd_device_is_named_and_joined_to_the_catalogue(tmp_path):
    device = tmp_path / "class" / "drm" / "card0" / "device"
    device.mkdir(parents=True)
    for name, text in {"vendor": "0x1002", "mem_info_vram_total": str(192 << 30), "product_name": "AMD Instinct MI300X"}.items():
        (device / name).write_text(text + "\n")
    (found,) = environment.amd_gpus(tmp_path / "class" / "drm")
    assert (found.name, found.memory_bytes) == ("AMD Instinct MI300X", 192 << 30)
    assert found.catalog_id is not None
    assert "mi300x" in found.catalog_id
    (device / "mem_info_vram_total").write_text(str(512 << 20))  # graphics of a processor
    assert environment.amd_gpus(tmp_path / "class" / "drm") == ()


def test_an_apple_chip_is_an_accelerator_by_its_exact_name():
    (found,) = environment.apple_gpus("Darwin", "Apple M2 Ultra", 192 << 30)
    assert found.name == "Apple M2 Ultra"
    assert environment.apple_gpus("Darwin", "Intel(R) Core(TM) i9", 1) == ()
    assert environment.apple_gpus("Linux", "Apple M2 Ultra", 1) == ()


def test_copies_and_products_are_counted():
    assert copy_gb_per_s(0.05, threads=1, buffer_bytes=1 << 20) > 0.01
    assert matrix_gflops(0.01, size=64) > 0
