"""The time of one engine step: bytes over bandwidth, operations over peak, a fixed time per layer, and the link between devices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from math import inf

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from capacity.accelerators import Accelerator
from capacity.footprint import Footprint, Numbers
from capacity.memory import kv_copies
from facts.errors import InputError
from facts.records import Basis, Fact, Source, read_facts

FP8_GENERATIONS = frozenset({"ada", "hopper", "blackwell", "cdna3", "cdna4", "rdna4"})
"""Generations whose 8-bit floating-point peak is twice the 16-bit one."""
FP4_GENERATIONS = frozenset({"blackwell", "cdna4"})
"""Generations whose 4-bit peak is twice the 8-bit one."""
WARP_GROUP_GENERATIONS = frozenset({"hopper", "blackwell"})
"""Data-centre generations whose sheet counts products by warp groups; consumer Blackwell has none, its sheet counts what it has."""
MMA_SHARE = 0.63
"""Of that peak, what the older warp-wide products reach that llama.cpp is written in: 62.9 % measured on H100 (Luo et al. 2024,
arXiv 2402.13499); the same is taken for data-centre Blackwell. With it, prompts of left-out data-centre cards err by 7 %, not 17 %."""
CDNA = frozenset({"cdna3", "cdna4"})
"""Instinct accelerators, whose sheets state the peak at a clock that matrix products do not hold."""
CDNA_FLOPS = 0.7
"""Operations reached on them over those reached elsewhere: AMD's max-achievable FLOPs of MI300X are 0.54 of the sheet in BF16 (ROCm
blogs, Measuring Max-Achievable FLOPs, 2025), where Hopper reaches 0.77 under TensorRT-LLM. A prior: no rows."""
CDNA_BANDWIDTH = 0.92
"""The same of the bandwidth: streams reach near 0.8 of the sheet there, 0.9 on HBM elsewhere. A prior: no rows."""
MOST_GAIN = 8.0
"""Dense 4-bit peak over the 16-bit one, at most."""
HALVED_GAIN = 8.0
"""The same of GeForce Blackwell, whose 16-bit products with 32-bit accumulation run at half rate and whose 4-bit ones do not: 1,676 over
209.5 TFLOPS on RTX 5090 (NVIDIA RTX Blackwell whitepaper)."""
TYPICAL_FLOPS_PER_BYTE = {"hbm": 250.0, "gddr": 130.0, "lpddr": 35.0, "ddr": 8.0}
"""16-bit operations per byte of bandwidth, for a device whose peak is not stated."""
OLD_BUILDS = "-2024"
"""Suffix of an engine's name for builds of 2024 and before, whose published rows are told apart from today's."""
MATRIX_GAIN = 2.5
"""16-bit matrix products over the sheet's 32-bit figure on Apple chips with matrix units in the GPU (M5): a prior, at most 4."""
WITHOUT_MATRIX_UNITS = frozenset({"pascal"})
"""NVIDIA generations whose 16-bit products accumulate no faster in 16 bits: there are no matrix units that could."""
MOST_REACHED = 0.9
"""Share of a peak that no kernel exceeds: shares that grow as the peak falls were fitted on cards of 40 TFLOPS and more, and would pass
the peak of smaller ones."""
INTEGER_GAIN = 2.0
"""8-bit integer products over 16-bit ones, which llama.cpp multiplies quantised weights with."""
INTEGER_BITS = 9.0
"""Weights with fewer bits are quantised (Q8_0 has 8.5)."""
UNPACK_TOGETHER = frozenset({"apple-9", "apple-matrix"})
"""Apple GPUs from M3 on (family 9), whose integer and floating-point pipes run side by side."""
UNPACK_GAIN = 1.25
"""Weights unpacked per operation there over M1 and M2: a prior. The one such chip with rows (M3 Max) streams 4-bit weights at 0.88 of its
bandwidth, which needs 24 operations a weight or fewer, where M1 and M2 chips take 27 to 36."""
PACKED_BITS = 7.5
"""Weights with fewer bits are unpacked before they are multiplied."""
NARROW_POWER = 2.0
"""A matrix grows with the square of its width, what starting and ending its product costs does not."""
REFERENCE_FLOPS = 1e14
"""Peak at which `flops_share` is stated."""
UNPACK_REFERENCE_FLOPS = 1e13
"""Peak at which `unpack_flops` is stated."""
TYPICAL_LINK_GB_PER_S = {"nvlink": 450.0, "infinity_fabric": 448.0, "ethernet": 50.0, "pcie": 32.0, "none": 1.0}
"""One-way link bandwidth where the sheet does not state it."""


LARGE_MEMORY_GB = 70.0
"""Devices below it, and every A100, are given smaller limits by vLLM's defaults: 256 sequences and 2,048 tokens a step instead of 1,024
and 8,192 (vllm/engine/arg_utils.py, held by its test_defaults_with_usage_context)."""
STAGED_SHARE = 0.5
"""Of a PCIe link, what devices reach that cannot read each other's memory: every byte crosses it twice, through the host. GeForce drivers
offer no peer-to-peer access."""
FAST_LINKS = frozenset({"nvlink", "infinity_fabric"})
"""Links of the accelerators' own, over which a small all-reduce is one kernel and not a chain of copies."""


class Efficiency(Fact):
    """What an engine gets out of a kind of device: shares of the sheet's figures and fixed times."""

    engine: str
    """Engine, as in `vllm`."""
    memory_kind: str
    """hbm, gddr, lpddr, apple (lpddr of an Apple chip) or ddr."""
    bandwidth_share: float = Field(gt=0, le=1.2)
    """Share of the peak bandwidth at which weights stream."""
    packed_bandwidth_share: float = Field(gt=0, le=1.2)
    """The same for weights packed in fewer than 8 bits, which have to be unpacked."""
    kv_bandwidth_share: float = Field(gt=0, le=1.2)
    """Share of the peak bandwidth at which the cache streams."""
    kv_repeat: float = Field(default=0.0, ge=0, le=1)
    """Times that the cache is read, as a power of the query heads per KV head: 0 with fused attention, near 1 without."""
    flops_share: float = Field(gt=0, le=1.5)
    """Share of the dense peak in prompt processing and large batches."""
    unpack_flops: float = Field(ge=0)
    """Operations per packed weight and step that unpacking costs, in units of the 16-bit peak."""
    packed_flops_share: float = Field(gt=0, le=1.5)
    """The same with weights packed in fewer than 8 bits."""
    attention_share: float = Field(gt=0, le=1.5)
    """Share of the 16-bit peak that a prompt's attention reaches: its products are small and masked."""
    flops_exponent: float = Field(default=1.0, gt=0, le=1)
    """How the reached operations grow with the peak: below 1 where kernels do not use what the newest units offer."""
    precision_exponent: float = Field(default=1.0, gt=0, le=1)
    """How much of the peak's gain at 8 and 4 bits is reached: gain to this power."""
    consumer_gain: float = Field(default=1.0, ge=1, le=2)
    """2 where an engine accumulates in 16 bits or integers, which GeForce cards do at twice the sheet's 32-bit rate."""
    unpack_exponent: float = Field(default=1.0, gt=0, le=1)
    """How the unpacking rate grows with the 16-bit peak of one chip: large GPUs keep fewer of their units busy with one row."""
    narrow_width: float = Field(default=0.0, ge=0)
    """Width of a model at which a product of packed weights takes twice its time, as such small matrices leave units idle; 0 for none."""
    layer_s: float = Field(ge=0)
    """Fixed time per layer and generation step, seconds."""
    expert_layer_s: float = Field(default=0.0, ge=0)
    """Added to it in a mixture: routing, sorting, small matrices."""
    linear_layer_s: float = Field(default=0.0, ge=0)
    """Added per layer of linear attention: its state is read and written by several small operations."""
    state_passes: float = Field(default=1.0, ge=0)
    """Times that the state of linear attention crosses memory per step, over the once that a fused kernel needs."""
    prefill_layer_s: float = Field(ge=0)
    """Fixed time per layer and prompt pass, seconds."""
    step_s: float = Field(ge=0)
    """Fixed time per step (scheduler, sampling), seconds."""
    sequence_s: float = Field(ge=0)
    """Time per sequence and step (detokenising, bookkeeping, sampling on the device), seconds."""
    draw_s: float = Field(default=0.0, ge=0)
    """Time per entry of the vocabulary to draw a served token on the processor, one sequence after another; 0 where the device draws.
    2.7 ns by `python -m tests.bench drawing`."""
    kept_bytes_per_s: float = Field(default=0.0, ge=0)
    """Rate at which a server copies an ended request's cache to the host's memory before it begins the next, while every answer waits;
    0 where none does. By `python -m tests.bench keeping`."""
    activation_passes: float = Field(ge=0)
    """Times that a token's hidden state crosses memory per layer."""
    expert_share: float = Field(gt=0, le=1.2)
    """Bandwidth and operations of expert matrices relative to dense ones."""
    link_share: float = Field(gt=0, le=1)
    """Share of the link's bandwidth in an all-reduce."""
    link_s: float = Field(ge=0)
    """Fixed time per all-reduce and doubling of devices, seconds."""
    fast_link_s: float | None = Field(default=None, ge=0)
    """The same over NVLink or Infinity Fabric; None is `link_s`."""
    request_s: float = Field(default=0.0, ge=0)
    """Time of a request outside the device before its first token: HTTP, tokenising, scheduling, the first event; seconds."""
    prefill_chunk: int = Field(ge=1)
    """Tokens of one prompt pass: the engine's batch budget."""
    scheduled_tokens: int = Field(default=0, ge=0)
    """Tokens of several prompts that are read before any of them is answered; 0 is one pass."""
    max_sequences: int = Field(ge=1)
    """Sequences that the engine serves at once, by default."""
    memory_share: float = Field(default=0.9, gt=0, le=1)
    """Share of the memory that the engine takes."""
    memory_share_is_of_free: bool = False
    """Whether that share is of what the weights leave, as in TensorRT-LLM, and not of the whole."""
    reserves_whole_answers: bool = False
    """Whether a request is admitted only with cache for its whole answer, as in TensorRT-LLM, and not for what it holds so far."""
    fitted: bool
    """Whether rows of this engine and memory kind were fitted; otherwise the numbers are priors."""
    decode_factor: float = Field(default=1.0, gt=0)
    """Measured over estimated generation time, from a probe."""
    prefill_factor: float = Field(default=1.0, gt=0)
    """Measured over estimated prompt time, from a probe."""
    serving_factor: float = Field(default=1.0, gt=0)
    """Measured over estimated serving time, from a probe."""
    first_factor: float = Field(default=1.0, gt=0)
    """Measured over estimated time to first token under load, from a probe."""
    basis: Basis = Basis.ESTIMATED
    """Estimated from the sheet, or calibrated with a measurement."""
    source: Source
    """What the numbers rest on."""

    @property
    def budget_tokens(self) -> int:
        """Tokens that the scheduler gives out at once, in one pass or several."""
        return self.scheduled_tokens or self.prefill_chunk


@dataclass(frozen=True, kw_only=True)
class Rates:
    """A device's figures as the formulas take them; one device, per second.

    bandwidth: bytes
    flops16: dense 16-bit operations
    unpacking: 16-bit operations as unpacking scales with them
    flops: dense operations in the model's precision
    most_flops: what no kernel exceeds with 16-bit weights, or those of the precision
    link: bytes one way to a neighbour
    fast_link: whether that link is a switched one of the accelerators' own (NVLink, Infinity Fabric)
    assumed: figures that the sheet lacks and that were filled with typical ones
    """

    bandwidth: Numbers
    flops16: Numbers
    unpacking: Numbers
    flops: Numbers
    link: Numbers
    most_flops: Numbers = inf
    fast_link: bool | NDArray[np.bool_] = False
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one replica spreads over devices.

    tensor_parallel: devices that share every layer
    pipeline_parallel: groups of layers in a row
    expert_parallel: devices over which experts are spread, 1 for none
    attention_data_parallel: whether attention is repeated per device with its own requests (DEP)
    """

    tensor_parallel: Numbers = 1.0
    pipeline_parallel: Numbers = 1.0
    expert_parallel: Numbers = 1.0
    attention_data_parallel: bool = False

    @property
    def devices(self) -> Numbers:
        """Devices of one replica."""
        return self.tensor_parallel * self.pipeline_parallel


def rates(device: Accelerator, compute: str, efficiency: Efficiency) -> Rates:
    """The sheet's figures in SI units as an engine can use them; a missing peak is typical for the memory kind, and named.

    Operations grow as 100 TFLOPS x (peak / 100 TFLOPS)^exponent, and with the precision's gain to its own exponent.
    """
    assumed = []
    bandwidth = device.need("mem_bw_gb_per_s") * 1e9
    if device.fp16_tflops is None:
        assumed.append("fp16_tflops")
        flops16 = bandwidth * TYPICAL_FLOPS_PER_BYTE.get(device.memory_kind, 130.0)
    else:
        flops16 = device.fp16_tflops * 1e12
    if device.kind == "consumer_gpu" and device.vendor in {"NVIDIA", ""} and device.generation not in WITHOUT_MATRIX_UNITS:
        flops16 *= efficiency.consumer_gain
    reached = REFERENCE_FLOPS * (flops16 / REFERENCE_FLOPS) ** efficiency.flops_exponent
    link = device.link_gb_per_s
    if link is None:
        assumed.append("link_gb_per_s")
        link = TYPICAL_LINK_GB_PER_S.get(device.link_kind, 32.0)
    if device.kind == "consumer_gpu" and device.vendor in {"NVIDIA", ""} and device.link_kind == "pcie":
        link *= STAGED_SHARE
    if device.generation == "apple-matrix":
        reached *= MATRIX_GAIN
    if efficiency.engine.startswith("llama.cpp") and device.generation in WARP_GROUP_GENERATIONS and memory_class(device) == "hbm":
        reached *= MMA_SHARE
    peak = flops16 * (MATRIX_GAIN if device.generation == "apple-matrix" else 1.0)
    gain = precision_gain(device, compute)
    instinct = device.generation in CDNA
    if instinct:
        reached *= CDNA_FLOPS
    return Rates(
        bandwidth=bandwidth * (CDNA_BANDWIDTH if instinct else 1.0),
        flops16=flops16,
        unpacking=UNPACK_REFERENCE_FLOPS
        * device.joined
        * (flops16 / device.joined / UNPACK_REFERENCE_FLOPS) ** efficiency.unpack_exponent
        * (UNPACK_GAIN if device.generation in UNPACK_TOGETHER else 1.0),
        flops=reached * gain**efficiency.precision_exponent,
        most_flops=MOST_REACHED * peak * gain,
        link=max(link, 0.5) * 1e9,
        fast_link=device.link_kind in FAST_LINKS,
        assumed=tuple(assumed),
    )


def precision_gain(device: Accelerator, compute: str) -> float:
    """Peak in a precision over the 16-bit peak: 8 bits doubles it on Ada, Hopper, Blackwell and MI300, 4 bits again on Blackwell.

    Weight-only formats compute in 16 bits and gain nothing. Chips without 4-bit units unpack 4-bit weights and multiply in 16 bits;
    MXFP4 weights meet 8-bit activations where there are 4-bit units, 16-bit ones elsewhere.
    """
    if compute == "mxfp4":
        compute = "fp8" if device.generation in FP4_GENERATIONS else "fp16"
    stated = {"fp8": device.fp8_tflops, "int8": device.int8_tops, "fp4": device.fp4_tflops}.get(compute)
    if stated and device.fp16_tflops:
        return max(1.0, min(stated / device.fp16_tflops, MOST_GAIN))
    if compute == "fp4":
        if device.generation == "blackwell" and device.kind == "consumer_gpu":
            return HALVED_GAIN
        return 4.0 if device.generation in FP4_GENERATIONS else 1.0
    if compute in {"fp8", "int8"} and device.generation in FP8_GENERATIONS:
        return 2.0
    return 1.0


def decode_step_s(
    cost: Footprint,
    device: Rates,
    efficiency: Efficiency,
    *,
    batch: Numbers,
    context_tokens: Numbers,
    layout: Layout | None = None,
    drawn: bool = False,
) -> Numbers:
    """Time of one generation step of `batch` sequences at a mean context, seconds; every sequence gains one token.

    `drawn`: with drawing the tokens, which a server does and llama.cpp's speed tests leave out.

    Weights and cache over bandwidth, plus operations over peak, plus a fixed time per layer and step, plus all-reduces:
    t = (W(B) + B kv + activations) / (e BW n) + B (2A + pairs) / (e F n) + L a + s + t_comm.
    """
    layout = layout or Layout()
    devices = layout.tensor_parallel
    waves = layout.pipeline_parallel  # every stage works on its own B/pp sequences: a token crosses all stages one after another
    per_wave = np.maximum(batch / waves, 1.0)
    streaming = _weight_stream_s(cost, device, efficiency, per_wave, layout)
    cache = (
        per_wave
        * cost.sequence_kv_bytes(context_tokens)
        * np.power(cost.kv_group, efficiency.kv_repeat)
        * cache_copies(cost, layout)
        / (efficiency.kv_bandwidth_share * device.bandwidth * devices)
    )
    moved = _activation_bytes(cost, efficiency) + cost.linear_state_bytes * efficiency.state_passes
    activations = per_wave * moved / (efficiency.bandwidth_share * device.bandwidth * devices)
    work = per_wave * (2.0 * cost.matmul_params + cost.attention_flops * context_tokens)
    compute = work / (_reached_flops(cost, device, efficiency) * devices)
    per_layer = efficiency.layer_s + (efficiency.expert_layer_s if cost.is_mixture else 0.0)
    fixed = cost.layers * per_layer + cost.linear_layers * efficiency.linear_layer_s + efficiency.step_s + per_wave * efficiency.sequence_s
    total = streaming + cache + activations + compute + fixed + exchange_s(cost, device, efficiency, per_wave, layout)
    drawing = per_wave * cost.vocabulary * efficiency.draw_s if drawn else 0.0  # by the processor: no probe of generation scales it
    return total * efficiency.decode_factor + drawing


def prefill_s(
    cost: Footprint,
    device: Rates,
    efficiency: Efficiency,
    *,
    tokens: Numbers,
    sequences: Numbers = 1.0,
    depth: Numbers = 0.0,
    layout: Layout | None = None,
) -> Numbers:
    """Time to process `sequences` prompts of `tokens` tokens on top of `depth` cached ones, seconds.

    The prompt goes in passes of the engine's chunk; each pass streams the touched weights once:
    (2 A T + pairs T (d + T/2) + 2 head) / (e F n) + passes (W(chunk) / (e BW n) + L a) + t_comm. The logits are for last tokens only.
    """
    layout = layout or Layout()
    total_tokens = tokens * sequences
    passes = np.maximum(1.0, np.ceil(total_tokens / efficiency.prefill_chunk))
    fixed = passes * (cost.layers * efficiency.prefill_layer_s + efficiency.step_s)
    time = prefill_work_s(cost, device, efficiency, tokens=tokens, sequences=sequences, depth=depth, layout=layout, passes=passes) + fixed
    bubble = 1.0 + (layout.pipeline_parallel - 1.0) / (passes + layout.pipeline_parallel - 1.0)
    return time * bubble * efficiency.prefill_factor


def prefill_work_s(
    cost: Footprint,
    device: Rates,
    efficiency: Efficiency,
    *,
    tokens: Numbers,
    sequences: Numbers,
    depth: Numbers,
    layout: Layout,
    passes: Numbers,
) -> Numbers:
    """The part of prompt processing that grows with the tokens: operations, activations, weights streamed per pass, all-reduces."""
    devices = layout.tensor_parallel
    total_tokens = tokens * sequences
    work = 2.0 * (cost.matmul_params - cost.head_params) * total_tokens + 2.0 * cost.head_params * sequences
    pairs = cost.prompt_attention_flops * total_tokens * (depth + tokens / 2.0)
    compute = work / (_reached_flops(cost, device, efficiency) * devices) + pairs / (efficiency.attention_share * device.flops16 * devices)
    activations = total_tokens * _activation_bytes(cost, efficiency) / (efficiency.bandwidth_share * device.bandwidth * devices)
    streaming = passes * _weight_stream_s(cost, device, efficiency, total_tokens / np.maximum(passes, 1e-9), layout)
    return (
        compute + activations + streaming + passes * exchange_s(cost, device, efficiency, total_tokens / np.maximum(passes, 1e-9), layout)
    )


def all_reduce_s(cost: Footprint, device: Rates, efficiency: Efficiency, rows: Numbers, devices: Numbers) -> Numbers:
    """Two ring all-reduces per layer of `rows` hidden states in 16 bits: each 2 (n-1)/n bytes over the link, plus a fixed time.

    Nothing on one device. Example: 8 devices, 2 (7/8) = 1.75 times the bytes.
    """
    share = (devices - 1.0) / devices
    one = 2.0 * share * rows * cost.hidden * 2.0 / (efficiency.link_share * device.link) + link_fixed_s(device, efficiency, devices)
    return 2.0 * cost.layers * one


def exchange_s(cost: Footprint, device: Rates, efficiency: Efficiency, rows: Numbers, layout: Layout) -> Numbers:
    """What devices of one replica send each other per pass: all-reduces, or with data-parallel attention two all-to-alls per layer.

    An all-to-all takes each of a device's T/n rows to k experts: (T/n) k h (n-1)/n bytes x 2, out and back.
    """
    devices = layout.tensor_parallel
    if not layout.attention_data_parallel:
        return all_reduce_s(cost, device, efficiency, rows, devices)
    sent = rows / devices * cost.experts_per_token * cost.hidden * 2.0 * (devices - 1.0) / devices
    return 2.0 * cost.layers * (sent / (efficiency.link_share * device.link) + link_fixed_s(device, efficiency, devices))


def link_fixed_s(device: Rates, efficiency: Efficiency, devices: Numbers) -> Numbers:
    """The fixed part of one exchange: a time per doubling of devices, shorter over the accelerators' own links."""
    fast = efficiency.link_s if efficiency.fast_link_s is None else efficiency.fast_link_s
    return np.where(device.fast_link, fast, efficiency.link_s) * np.log2(devices)


@cache
def efficiencies() -> tuple[Efficiency, ...]:
    """Parameters of every engine and memory kind: fitted where rows exist, else priors."""
    return read_facts(resources.files("capacity") / "data" / "efficiency.toml", "efficiency", Efficiency)


def efficiency_for(engine: str, device: Accelerator) -> Efficiency:
    """The parameters of an engine on a device's kind of memory; an unknown engine gets the generic ones."""
    name, kind = engine if engine.endswith(OLD_BUILDS) else engine_id(engine), memory_class(device)
    by_key = {(entry.engine, entry.memory_kind): entry for entry in efficiencies()}
    if (name, kind) not in by_key:
        name = name.removesuffix(OLD_BUILDS)  # only CUDA builds are told apart by age
    for key in ((name, kind), (name, "hbm"), (name, "lpddr"), ("generic", kind), ("generic", "gddr")):
        if key in by_key:
            small = key[0] == "vllm" and device.memory_gb is not None and (device.memory_gb < LARGE_MEMORY_GB or "a100" in device.id)
            return _on_small_memory(by_key[key]) if small else by_key[key]
    raise InputError(f"no parameters for engine '{engine}' on {device.name}")


@lru_cache(maxsize=64)
def _on_small_memory(efficiency: Efficiency) -> Efficiency:
    return efficiency.model_copy(update={"max_sequences": 256, "prefill_chunk": 2048})


def memory_class(device: Accelerator) -> str:
    """The memory kind that parameters are kept by: Apple chips apart from other shared memory."""
    return "apple" if device.kind == "apple_soc" else device.memory_kind


@lru_cache(maxsize=1024)
def engine_id(engine: str) -> str:
    """The engine that a free name means, by its beginning: 'llama.cpp/llamafile 0.9' is llama.cpp, 'TensorRT-LLM' trtllm."""
    lowered = engine.strip().lower()
    for prefix, name in _ENGINE_PREFIXES:
        if lowered.startswith(prefix):
            return name
    for word, name in _ENGINE_WORDS:
        if word in lowered:
            return name
    return "generic"


def engine_kv_bits(engine: str) -> float | None:
    """Bits per cache element that an engine keeps unless told otherwise; None where they go with the precision of the weights."""
    return 16.0 if engine_id(engine) in {"vllm", "sglang", "generic"} else None


def with_factors(efficiency: Efficiency, *, decode: float = 1.0, prefill: float = 1.0, serving: float = 1.0) -> Efficiency:
    """The parameters corrected by a measurement, phase by phase."""
    return efficiency.model_copy(
        update={
            "decode_factor": efficiency.decode_factor * decode,
            "prefill_factor": efficiency.prefill_factor * prefill,
            "serving_factor": efficiency.serving_factor * serving,
            "basis": Basis.CALIBRATED,
        }
    )


def single(layout: Layout) -> Layout:
    """The same layout with one pipeline stage."""
    return replace(layout, pipeline_parallel=1.0)


def cache_copies(cost: Footprint, layout: Layout) -> Numbers:
    """Copies of one sequence's cache in a replica: none with data-parallel attention, which keeps each sequence on one device."""
    return 1.0 if layout.attention_data_parallel else kv_copies(cost, layout.tensor_parallel)


# --- parts -----------------------------------------------------------------------------------------------------------

_ENGINE_PREFIXES = (
    ("llama.cpp", "llama.cpp"),
    ("llamacpp", "llama.cpp"),
    ("llama-cpp", "llama.cpp"),
    ("llamafile", "llama.cpp"),
    ("ollama", "llama.cpp"),
    ("lm studio", "llama.cpp"),
    ("llama-bench", "llama.cpp"),
    ("llama-server", "llama.cpp"),
    ("llama_cpp", "llama.cpp"),
    ("koboldcpp", "llama.cpp"),
    ("ik_llama", "llama.cpp"),
    ("trtllm", "trtllm"),
    ("trt-llm", "trtllm"),
    ("trt", "trtllm"),
    ("tensorrt", "trtllm"),
    ("nim", "trtllm"),
    ("vllm", "vllm"),
    ("sglang", "sglang"),
    ("sgl", "sglang"),
    ("mlx", "mlx"),
)
_ENGINE_WORDS = (("vllm", "vllm"), ("sglang", "sglang"), ("tensorrt", "trtllm"), ("trt", "trtllm"), ("llama.cpp", "llama.cpp"))
"""Names inside longer ones, as in 'dynamo-sglang'; only where no prefix fits."""


def _weight_stream_s(cost: Footprint, device: Rates, efficiency: Efficiency, rows: Numbers, layout: Layout) -> Numbers:
    """Weights over bandwidth, and the work of unpacking them once a step; data-parallel attention streams the dense part everywhere."""
    devices = layout.tensor_parallel
    packed = cost.weight_bits < PACKED_BITS
    share = efficiency.packed_bandwidth_share if packed else efficiency.bandwidth_share
    experts = (cost.streamed_bytes(rows) - cost.dense_bytes) / devices
    dense = cost.dense_bytes / (1.0 if layout.attention_data_parallel else devices)
    streamed = (dense + experts / efficiency.expert_share) / (share * device.bandwidth)
    if not packed or efficiency.unpack_flops == 0.0:
        return streamed
    unpacked = (dense + experts) * 8.0 / cost.weight_bits * efficiency.unpack_flops / device.unpacking
    both: Numbers = np.power(np.power(streamed, 8.0) + np.power(unpacked, 8.0), 0.125)
    return both * (1.0 + np.power(efficiency.narrow_width / cost.hidden, NARROW_POWER))


def _activation_bytes(cost: Footprint, efficiency: Efficiency) -> Numbers:
    return cost.layers * cost.hidden * 2.0 * efficiency.activation_passes


def _reached_flops(cost: Footprint, device: Rates, efficiency: Efficiency) -> Numbers:
    integers = efficiency.engine.startswith("llama.cpp") and cost.weight_bits < INTEGER_BITS
    return np.minimum(_flops_share(cost, efficiency) * device.flops, device.most_flops * (INTEGER_GAIN if integers else 1.0))


def _flops_share(cost: Footprint, efficiency: Efficiency) -> float:
    share = efficiency.packed_flops_share if cost.weight_bits < PACKED_BITS else efficiency.flops_share
    return share * (efficiency.expert_share if cost.is_mixture else 1.0)
