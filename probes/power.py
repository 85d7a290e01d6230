"""What the accelerators draw while a probe measures: power samples and the driver's energy counter."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from types import TracebackType
from typing import Any

from probes.measurement import Power
from probes.timing import mean

SAMPLE_S = 0.2
W_PER_MW = 1e-3
J_PER_MJ = 1e-3


class PowerMeter:
    """Samples all NVIDIA devices in a thread from entering to leaving; `reading` is None where there is none."""

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml if nvml is not None else _driver()
        self._stop = threading.Event()
        self._watts: list[float] = []
        self._thread = threading.Thread(target=self._watch, name="power", daemon=True)
        self._energy_j: float | None = None
        self._seconds = 0.0

    def __enter__(self) -> PowerMeter:
        if self._nvml is not None:
            self._handles = [self._nvml.nvmlDeviceGetHandleByIndex(index) for index in range(self._nvml.nvmlDeviceGetCount())]
            self._begun, self._counter = time.monotonic(), self._counted_j()
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._nvml is None:
            return
        self._stop.set()
        self._thread.join()
        self._seconds, after = time.monotonic() - self._begun, self._counted_j()
        if self._counter is not None and after is not None and after > self._counter:
            self._energy_j = after - self._counter
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def reading(self, output_tokens: float = 0.0) -> Power | None:
        """What was drawn, with the tokens that were written meanwhile."""
        if not self._watts or self._seconds <= 0:
            return None
        energy = self._energy_j if self._energy_j is not None else mean(self._watts) * self._seconds
        return Power(
            seconds=round(self._seconds, 3),
            energy_j=energy,
            mean_w=energy / self._seconds,
            highest_w=max(self._watts),
            samples=len(self._watts),
            output_tokens=output_tokens,
        )

    def _watch(self) -> None:
        while True:
            with contextlib.suppress(self._nvml.NVMLError):
                self._watts.append(sum(self._nvml.nvmlDeviceGetPowerUsage(handle) for handle in self._handles) * W_PER_MW)
            if self._stop.wait(SAMPLE_S):
                return

    def _counted_j(self) -> float | None:
        """The energy counters of all devices, or None where one has none."""
        try:
            return float(sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in self._handles)) * J_PER_MJ
        except self._nvml.NVMLError:
            return None


def _driver() -> Any:
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # no library, no driver, no permission: then nothing is sampled
        return None
    return nvml
