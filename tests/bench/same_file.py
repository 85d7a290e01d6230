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
from probes import llamacpp
from probes.measurement import LlamaCppSettings, Measurement, TestResult
from probes.proxy import proxy_shape
from probes.runner import ProbeJob, ProbeRequest
from tests.bench.timing import Timing

WHOLE, QUANTIZATION = "llama-2-7b", "Q4_K_M"
PROXY_LAYERS = (2, 8)
PROMPT_TOKENS, OUTPUT_TOKENS = 128, 32
SECONDS = {2: 15.0, 8: 30.0, 32: 90.0}
"""Budget of each measurement, by layers."""
SHEET = "cpu-desktop-ddr5-5600-2ch"
"""A processor's sheet to start from; two proxies replace its figures by this machine's."""


def main() -> list[Timing]:
    """Measure two proxies and the whole, and say by how much the whole was missed."""
    if not llamacpp.installed():
        return [Timing(name="same file: llama-cpp-python is not installed, nothing measured", seconds=(0.0,))]
    whole = model(WHOLE)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        before = [(layers, measured(proxy_shape(whole, layers), layers, Path(folder))) for layers in PROXY_LAYERS]
        truth = measured(whole, 32, Path(folder))
        after = [(layers, measured(proxy_shape(whole, layers), layers, Path(folder))) for layers in PROXY_LAYERS]
    seconds = (time.perf_counter() - begun,)
    server = Server(accelerator=accelerator(SHEET))
    points = [point(proxy_shape(whole, layers), found) for layers, found in before + after]
    efficiency = efficiency_from_probes(points, server)
    prompt, generation = single_rates(whole, QUANTIZATION, server, efficiency, prompt_tokens=PROMPT_TOKENS, generated_tokens=OUTPUT_TOKENS)
    return [
        Timing(name=verdict("generation", generation, result_of(truth, "tg"), 0.05), seconds=seconds),
        Timing(name=verdict("prompt", prompt, result_of(truth, "pp"), 0.08), seconds=seconds),
        *(Timing(name=f"the figures above are not to be trusted: {said}", seconds=(0.0,)) for said in disturbances(truth)),
    ]


def measured(shape: ModelSpec, layers: int, folder: Path) -> Measurement:
    """One measurement of random weights of that shape; the file stays for the second round."""
    settings = LlamaCppSettings(
        prompt_tokens=PROMPT_TOKENS, output_tokens=OUTPUT_TOKENS, seconds=SECONDS[layers], repack=False, passive_wait=True
    )
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
