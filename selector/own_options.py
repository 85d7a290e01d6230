"""Options of a user's own: a model or a server that no catalogue has, with its price, held beside every other option."""

from __future__ import annotations

import hashlib
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from capacity.accelerators import Accelerator, accelerator, own_accelerator
from capacity.models import ModelSpec, model, own_model, quantization
from capacity.shelf import PREFIX
from facts.errors import InputError
from facts.records import Basis, Fact, Source
from pricing.prices import OWN, RentalClass, RentalPrice, ServerPrice

BASIS: Final = Basis.ASSUMED
ENGINES: Final = ("vllm", "sglang", "trtllm", "llama.cpp", "mlx")
MOST: Final = 8
LONGEST_NAME: Final = 80
SHEET_LIMITS: Final = {
    "memory_gb": (0.1, 100_000.0),
    "mem_bw_gb_per_s": (0.1, 1_000_000.0),
    "fp16_tflops": (0.001, 1_000_000.0),
    "fp8_tflops": (0.001, 1_000_000.0),
    "int8_tops": (0.001, 1_000_000.0),
    "fp4_tflops": (0.001, 1_000_000.0),
    "link_gb_per_s": (0.0, 100_000.0),
    "tdp_w": (0.1, 100_000.0),
}
"""Figures of a data sheet outside these are a slip of the unit."""


class OwnOption(Fact):
    """One `[[own]]` of a scenario: which model, on what, and what that costs."""

    title: str = Field(default="", max_length=80)
    """For the reader; empty names the model and the server."""
    model: str = Field(default="", max_length=120)
    """Id of a model of the catalogue, where it is one."""
    shape: ModelSpec | None = None
    """The model itself where the catalogue lacks it."""
    device: str = Field(default="", max_length=120)
    """Id of a device of the catalogue, where it is one."""
    sheet: Accelerator | None = None
    """The device's data sheet where the catalogue lacks it."""
    gpus: int = Field(default=1, ge=1, le=64)
    """Devices of one replica."""
    quantization: str = "fp8"
    """Precision of the weights."""
    engine: str = "vllm"
    """What serves them."""
    placement: Literal["rented", "owned"]
    """Rented or owned."""
    tuning: Literal["none", "to_do", "done"] = "none"
    """Whether it is tuned on your labels: not at all, still to be done and then in the bill, or done already."""
    usd_per_gpu_hour: float | None = Field(default=None, gt=0, le=10_000)
    """Your rent of one device for an hour, USD; empty takes the catalogue's where there is one."""
    provider: str = Field(default="", max_length=80)
    """Who rents it to you, as in aws: asked for only where data may go to cleared providers alone."""
    server_usd_per_gpu: float | None = Field(default=None, gt=0, le=10_000_000)
    """Your price of one device with its share of the server, USD; empty takes the catalogue's where there is one."""
    server_kw_per_gpu: float | None = Field(default=None, gt=0, le=100)
    """Power of one device with its share of the server at full load, kW; goes with the price."""

    @field_validator("shape")
    @classmethod
    def _found_by_its_id(cls, shape: ModelSpec | None) -> ModelSpec | None:
        return None if shape is None else own_model(shape)

    @field_validator("sheet")
    @classmethod
    def _found_by_its_own_id(cls, sheet: Accelerator | None) -> Accelerator | None:
        return None if sheet is None else own_accelerator(sheet)

    @model_validator(mode="after")
    def _can_be_priced(self) -> Self:
        if bool(self.model) == (self.shape is not None):
            raise ValueError("give either model, the id of a catalogued one, or shape, your own")
        if bool(self.device) == (self.sheet is not None):
            raise ValueError("give either device, the id of a catalogued one, or sheet, your own")
        if self.engine not in ENGINES:
            raise ValueError(f"engine '{self.engine}' is none of {', '.join(ENGINES)}")
        for record in (self.shape, self.sheet):
            if record is not None and not 0 < len(record.name) <= LONGEST_NAME:
                raise ValueError(f"a name of {len(record.name)} characters is none: give 1 to {LONGEST_NAME}")
        for field, (low, high) in SHEET_LIMITS.items() if self.sheet is not None else ():
            figure = getattr(self.sheet, field)
            if figure is not None and not low <= figure <= high:
                raise ValueError(f"{field} of your own device is {figure:g}: a data sheet states {low:g} to {high:,.0f}")
        try:
            quantization(self.quantization)
            self.spec.params_total  # noqa: B018 - counts them, or says what is missing
            for figure in ("memory_gb", "mem_bw_gb_per_s", "fp16_tflops"):
                self.accelerator.need(figure)
        except InputError as error:
            raise ValueError(str(error)) from None
        if self.placement == "rented" and self.sheet is not None and self.usd_per_gpu_hour is None:
            raise ValueError("usd_per_gpu_hour is missing: nobody's rent of your own device is known")
        if (self.server_usd_per_gpu is None) != (self.server_kw_per_gpu is None):
            raise ValueError("server_usd_per_gpu and server_kw_per_gpu go together: give both or none")
        if self.placement == "owned" and self.sheet is not None and self.server_usd_per_gpu is None:
            raise ValueError("server_usd_per_gpu and server_kw_per_gpu are missing: no price to own your own device is known")
        return self

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        return self.shape if self.shape is not None else model(self.model)

    @property
    def accelerator(self) -> Accelerator:
        """The device."""
        return self.sheet if self.sheet is not None else accelerator(self.device)

    @property
    def option_id(self) -> str:
        """Made of everything in it, so that a test of one option is never read as one of another."""
        text = self.model_dump_json(exclude={"title"}, exclude_none=True)
        return f"{PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    @property
    def name(self) -> str:
        """The title, or what it is."""
        count = f"{self.gpus} x " if self.gpus > 1 else ""
        where = "rented" if self.placement == "rented" else "own servers"
        plain = f"{self.spec.name} in {quantization(self.quantization).name} on {count}{self.accelerator.name}, {where}"
        return self.title or plain

    def rent(self, source: Source) -> RentalPrice | None:
        """The user's own rent, or None where the catalogue's counts."""
        if self.usd_per_gpu_hour is None:
            return None
        return RentalPrice(
            id="",
            provider=self.provider or "your own rate",
            provider_class=RentalClass.NEOCLOUD,
            instance="",
            device_id=self.accelerator.id,
            gpus=1,
            usd_per_gpu_hour=self.usd_per_gpu_hour,
            term="on_demand",
            region="",
            source=source,
            basis=BASIS,
            layer=OWN,
        )

    def price_to_own(self, source: Source) -> ServerPrice | None:
        """The user's own price of the server, or None where the catalogue's counts."""
        if self.server_usd_per_gpu is None or self.server_kw_per_gpu is None:
            return None
        return ServerPrice(
            device_id=self.accelerator.id,
            device=self.accelerator.name,
            gpu_usd=self.server_usd_per_gpu,
            host_usd_per_gpu=0.0,
            power_kw_per_gpu=self.server_kw_per_gpu,
            price_kind=OWN,
            source=source,
            basis=BASIS,
            power_source=source,
            power_basis=BASIS,
        )


def keep(options: tuple[OwnOption, ...]) -> None:
    """Put what the options describe where it is found by id: in another process than the one that read them, and after a long time."""
    for option in options:
        if option.shape is not None:
            own_model(option.shape)
        if option.sheet is not None:
            own_accelerator(option.sheet)
