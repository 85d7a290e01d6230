"""An endpoint's measurement as a serving curve: the same record as an estimate, with the basis 'measured'."""

from __future__ import annotations

from collections.abc import Sequence

from capacity.throughput import ServingCurve, Throughput
from facts.errors import InputError
from facts.records import Basis
from facts.units import MS_PER_S
from probes import timing
from probes.measurement import EndpointSettings, LevelResult, Measurement, RequestTiming, output_tokens_between

KNEE_TOKENS = 128
NORMAL_80 = 1.2816
"""Quantile of the normal distribution with 80 % within plus and minus it."""


def measured_curve(measurement: Measurement, *, model_id: str, quantization: str = "", device_id: str = "", gpus: int = 1) -> ServingCurve:
    """The closed-loop levels of an endpoint measurement, one point each; InputError where there is none.

    A level counts requests sent inside its window for latency and what arrived inside it for rates; the 80 % interval of the
    output rate is that of ten equal parts of the window.
    """
    settings = measurement.settings
    if not isinstance(settings, EndpointSettings):
        raise InputError(f"measurement {measurement.id[:12]} is of llama.cpp in process: its speed is read by capacity.calibration")
    levels = sorted((level for level in measurement.levels if level.concurrency and _good(level)), key=lambda level: level.concurrency or 0)
    if not levels:
        raise InputError(
            f"measurement {measurement.id[:12]} has no level with a held number of requests in flight: measure with --concurrency"
        )
    answered = [request for level in levels for request in _good(level)]
    return ServingCurve(
        points=tuple(_point(level) for level in levels),
        basis=Basis.MEASURED,
        engine=measurement.engine,
        max_concurrency=max(level.concurrency or 0 for level in levels),
        note="; ".join((measurement.supports, *measurement.doubts)),
        model_id=model_id,
        quantization=quantization,
        device_id=device_id,
        gpus=gpus,
        layout="",
        input_tokens=timing.mean([request.input_tokens or settings.input_tokens for request in answered]),
        output_tokens=timing.mean([request.tokens for request in answered]),
        interval_class="measured",
    )


def knee(points: Sequence[Throughput]) -> Throughput | None:
    """The load beyond which waiting grows faster than throughput: the point of greatest power, output rate over response time.

    Power is Kleinrock's (1979); response time is TTFT plus 128 tokens at TPOT, so that curves of different lengths have one knee.
    None with fewer than two points: one load says nothing of others.
    """

    def power(point: Throughput) -> float:
        return point.output_tokens_per_s / max(point.ttft_ms + KNEE_TOKENS * point.tpot_ms, 1e-9)

    return max(points, key=power) if len(points) > 1 else None


# ---- below: how ----


def _good(level: LevelResult) -> list[RequestTiming]:
    start, end = level.window_s
    return [request for request in level.requests if request.ok and start <= request.sent_s <= end] if end > start else []


def _point(level: LevelResult) -> Throughput:
    start, end = level.window_s
    span, held = end - start, _good(level)
    everything = [request for request in level.requests if request.ok]
    done = [request for request in everything if start <= request.done_s <= end]
    ttft_ms = [request.ttft_s * MS_PER_S for request in held]
    tpot_ms = [gap * MS_PER_S for request in held if (gap := request.tpot_s) is not None] or [0.0]
    edges = [start + span * part / 10 for part in range(11)]
    parts = [output_tokens_between(everything, edges[part], edges[part + 1]) / (span / 10) for part in range(10)]
    rate = output_tokens_between(everything, start, end) / span
    half = NORMAL_80 * timing.sample_sd(parts) / len(parts) ** 0.5
    return Throughput(
        concurrency=level.concurrency or 1,
        ttft_ms=timing.mean(ttft_ms),
        tpot_ms=timing.mean(tpot_ms),
        ttft_p95_ms=timing.quantile(ttft_ms, 0.95),
        tpot_p95_ms=timing.quantile(tpot_ms, 0.95),
        input_tokens_per_s=sum(request.input_tokens or 0 for request in done) / span,
        output_tokens_per_s=rate,
        requests_per_s=len(done) / span,
        low80=max(0.0, rate - half),
        high80=rate + half,
    )
