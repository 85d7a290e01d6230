"""The same file, predicted and measured: two proxies of few layers, before and after, calibrate this machine for a 7B.

All files hold random weights of the true shape. What the repetitions scatter is said beside the error: below it there is
nothing to win. Aim: 5 % for generation, 8 % for prompts, on a machine that does nothing else.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from capacity.accelerators import Server, accelerator
from capacity.calibration import ProbePoint, efficiency_from_probes, single_rates
from capacity.models import ModelSpec, model
from capacity.tensors import tensor_plan
from probes import llamacpp
from probes.environment import last_cache_bytes
from probes.measurement import LlamaCppSettings, Measurement, TestResult
from probes.proxy import proxy_shape
from probes.runner import ProbeJob, ProbeRequest
from tests.bench.timing import Timing

WHOLE, QUANTIZATION = "llama-2-7b", "Q4_K_M"
FEWEST_LAYERS, TIMES_THE_CACHE, TIMES_THE_LAYERS = 2, 2.0, 4
"""A proxy that fits the processor's caches says nothing of a 7B: the smaller one is twice as large at least."""
PROMPT_TOKENS, OUTPUT_TOKENS = 128, 32
SECONDS_PER_LAYER, LEAST_SECONDS = 3.0, 15.0
"""Budget of each measurement."""
SHEET = "cpu-desktop-ddr5-5600-2ch"
"""A processor's sheet to start from; two proxies replace its figures by this machine's."""


def main() -> list[Timing]:
    """Measure two proxies and the whole, and say by how much the whole was missed."""
    if not llamacpp.installed():
        return [Timing(name="same file: llama-cpp-python is not installed, nothing measured", seconds=(0.0,))]
    whole = model(WHOLE)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        layers_of_both = proxy_layers(whole, last_cache_bytes() or 0)
        before = [(layers, measured(proxy_shape(whole, layers), layers, Path(folder))) for layers in layers_of_both]
        truth = measured(whole, whole.need("layers"), Path(folder))
        after = [(layers, measured(proxy_shape(whole, layers), layers, Path(folder))) for layers in layers_of_both]
    seconds = (time.perf_counter() - begun,)
    server = Server(accelerator=accelerator(SHEET))
    points = [point(proxy_shape(whole, layers), found) for layers, found in before + after]
    efficiency = efficiency_from_probes(points, server)
    prompt, generation = single_rates(whole, QUANTIZATION, server, efficiency, prompt_tokens=PROMPT_TOKENS, generated_tokens=OUTPUT_TOKENS)
    every = [*before, (whole.need("layers"), truth), *after]
    of_layer = "; ".join(
        f"{layers}: {result_of(found, 'pp').median * layers:.0f} and {result_of(found, 'tg').median * layers:.0f}"
        for layers, found in every
    )
    print(f"layers x tokens/s, prompt and generation (all alike if a layer costs the same everywhere): {of_layer}")
    return [
        Timing(name=verdict("generation", generation, result_of(truth, "tg"), 0.05), seconds=seconds),
        Timing(name=verdict("prompt", prompt, result_of(truth, "pp"), 0.08), seconds=seconds),
        *(Timing(name=f"the figures above are not to be trusted: {said}", seconds=(0.0,)) for said in disturbances(truth)),
    ]


def proxy_layers(whole: ModelSpec, cache_bytes: int) -> tuple[int, int]:
    """Layers of the two proxies: the fewest whose blocks are larger than the caches, and four times as many, half of the whole at most."""
    counts = range(FEWEST_LAYERS, whole.need("layers") // 2)
    blocks = sum(tensor.bytes for tensor in tensor_plan(whole, QUANTIZATION).tensors if tensor.name.startswith("blk."))
    large = (count for count in counts if blocks * count / whole.need("layers") >= TIMES_THE_CACHE * cache_bytes)
    few = next(large, counts[-1])
    return few, max(few + 1, min(TIMES_THE_LAYERS * few, whole.need("layers") // 2))


def measured(shape: ModelSpec, layers: int, folder: Path) -> Measurement:
    """One measurement of random weights of that shape; the file stays for the second round."""
    seconds = max(LEAST_SECONDS, SECONDS_PER_LAYER * layers)
    settings = LlamaCppSettings(prompt_tokens=PROMPT_TOKENS, output_tokens=OUTPUT_TOKENS, seconds=seconds, repack=False, passive_wait=True)
    request = ProbeRequest(settings=settings, models_dir=folder, model=shape, quantization=QUANTIZATION, keep=True, wait=True)
    job = ProbeJob.start(request, created=datetime.now(UTC))
    job.wait()
    if job.result is None or not job.result.tests:
        raise RuntimeError(f"{shape.name} was not measured: {job.message}")
    return job.result


def result_of(found: Measurement, kind: str) -> TestResult:
    """The prompt (pp) or generation (tg) test of a measurement."""
    return next(result for result in found.tests if result.name.startswith(kind))


def disturbances(found: Measurement) -> list[str]:
    """What the probe says of other work on this machine."""
    return [doubt for doubt in found.doubts if doubt.startswith(("other processes", "the machine was only"))]


def point(shape: ModelSpec, found: Measurement) -> ProbePoint:
    """A measurement as calibration takes it."""
    prompt, generation = result_of(found, "pp"), result_of(found, "tg")
    return ProbePoint(
        model=shape,
        quantization=QUANTIZATION,
        prompt_tokens=float(prompt.n_prompt),
        prompt_tokens_per_s=prompt.median,
        generated_tokens=float(generation.n_gen),
        generated_tokens_per_s=generation.median,
    )


def verdict(what: str, predicted: float, result: TestResult, aim: float) -> str:
    """One line: predicted, measured, the error, and the scatter of the repetitions."""
    scatter = result.sd / result.mean if result.mean else 0.0
    error = predicted / result.median - 1.0
    return (
        f"7B {QUANTIZATION} {what}: {predicted:.2f} tok/s predicted, {result.median:.2f} measured in {len(result.samples_tokens_per_s)} "
        f"repetitions, error {error:+.1%} (aim {aim:.0%}); repetitions scatter {scatter:.1%}"
    )
