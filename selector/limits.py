"""What no claim gets past: the cheapest rent listed, and the most tokens that a GPU's memory and arithmetic allow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from capacity.accelerators import Accelerator, accelerators, find_accelerator
from capacity.roofline import precision_gain
from facts.errors import InputError
from facts.records import nearest
from facts.units import BYTES_PER_GB, BYTES_PER_GIB
from pricing.prices import PriceBook, RentalPrice

FEWEST_BITS: Final = 4.0
"""Bits per weight that a claim is given the benefit of where it names none."""


def cheapest_rent(book: PriceBook, *, devices: Iterable[str] | None = None, term: str = "on_demand") -> RentalPrice | None:
    """The lowest listed rent per GPU and hour, of any device or of the given ones; machines without a GPU are left out."""
    wanted = book.devices() if devices is None else devices
    rents = [rent for device in wanted for rent in book.rentals(device) if rent.term == term and rent.gpus]
    return min(rents, key=lambda rent: rent.usd_per_gpu_hour, default=None)


def devices_holding(weights_bytes: float, gpus: float) -> tuple[str, ...]:
    """Devices of which so many hold the weights; those whose memory is not known are left out."""
    return tuple(
        device.id for device in accelerators() if device.memory_gb and device.memory_gb * BYTES_PER_GIB * max(gpus, 1.0) >= weights_bytes
    )


def device_named(name: str, where: str) -> Accelerator:
    """The device that a free name means; InputError gives the nearest known one."""
    found = find_accelerator(name)
    if found is None:
        known = {device.name: device for device in accelerators()} | {device.id: device for device in accelerators()}
        raise InputError(f"{where}: unknown device '{name}'{nearest(name, known)}")
    return found


def weights_gb(params_b: float, bits_per_weight: float) -> float:
    """Memory of the weights alone, GB: parameters x bits / 8. Example: 70.55 B at 16 bits is 141.1 GB."""
    return params_b * bits_per_weight / 8.0


def fastest_tokens_per_s(
    device: Accelerator, *, params_b: float, bits_per_weight: float, gpus: float = 1.0, concurrency: float | None = None
) -> float:
    """More tokens per second than this no engine can give: every step reads the weights once and multiplies them for every sequence.

    B / max(P bits/8 / (BW n), B 2P / (F n)), the data sheet's bandwidth and dense peak taken whole, no cache and no overhead; without
    a concurrency B is unlimited and F n / 2P remains. Williams, Waterman, Patterson, CACM 52 (2009) 65.
    """
    weights = weights_gb(params_b, bits_per_weight) * BYTES_PER_GB
    streaming_s = weights / (device.need("mem_bw_gb_per_s") * BYTES_PER_GB * gpus)
    flops = _peak_flops(device, bits_per_weight) * gpus
    compute_s = 2.0 * params_b * 1e9 / flops if flops else 0.0
    if concurrency is None:
        return 1.0 / compute_s if compute_s else float("inf")
    return concurrency / max(streaming_s, concurrency * compute_s)


def fastest_device(*, params_b: float, bits_per_weight: float, gpus: float = 1.0, concurrency: float | None = None) -> tuple[str, float]:
    """The catalogue's fastest device for a model by the same bound: (its name, tokens per second)."""
    speeds = [
        (device.name, fastest_tokens_per_s(device, params_b=params_b, bits_per_weight=bits_per_weight, gpus=gpus, concurrency=concurrency))
        for device in accelerators()
        if device.mem_bw_gb_per_s and device.fp16_tflops
    ]
    return max(speeds, key=lambda pair: pair[1])


def _peak_flops(device: Accelerator, bits_per_weight: float) -> float:
    """Dense peak in the lowest precision that the weights allow, operations per second; 0 where the sheet gives none."""
    if device.fp16_tflops is None:
        return 0.0
    kinds = ["fp16"] if bits_per_weight > 9 else ["fp8", "int8"] if bits_per_weight > 5 else ["fp8", "int8", "fp4"]
    return device.fp16_tflops * 1e12 * max(precision_gain(device, kind) for kind in kinds)
