"""One row of the batch door: which model on which devices under which load, and which figure is asked for."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path

from capacity.accelerators import Accelerator, Server, find_accelerator, largest_built
from capacity.footprint import Footprint, assumed_quantization, footprint, typical_footprint
from capacity.memory import physical_bytes
from capacity.models import ModelSpec, find_model, quantization
from capacity.roofline import OLD_BUILDS, Layout, engine_id, engine_kv_bits
from facts.errors import InputError
from facts.records import Source
from facts.units import BYTES_PER_GB, BYTES_PER_GIB

COLUMNS = (
    "source",
    "source_version",
    "engine",
    "model",
    "params_b",
    "active_params_b",
    "quant",
    "device",
    "device_count",
    "device_mem_bw_gbs",
    "device_peak_tflops_dense_16bit",
    "isl",
    "osl",
    "batch_or_concurrency",
    "metric",
    "note",
)
"""Columns of a row file, in order."""
RATES = ("prefill_tok_s", "decode_tok_s", "output_tok_s_total", "total_tok_s")
"""Metrics in tokens per second, the whole system."""
TIMES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
"""Metrics in milliseconds; `tpot_p50_ms` and so on are their quantiles, without one it is a mean."""
STATISTICS = {"mean": "mean", "avg": "mean", "p50": "p50", "median": "p50", "p90": "p90", "p95": "p95", "p99": "p99"}
"""Spellings of a statistic; `tpot_p50_ms`, `tpot_ms_p50` and `median_tpot_ms` are the same."""
DEFAULT_PROMPTS = 200
"""Length of an open-loop run where the note does not state it."""
DEVICES_PER_NODE = 8
"""Accelerators of one server, unless the note says otherwise."""
NETWORK_GB_PER_S = 50.0
"""One way per accelerator between servers: 400 Gbit/s each, as HGX servers are built."""
ONCE_A_SERVER = 4.0
"""Rows of an all-to-all over those that cross between servers: a row goes to another server once for its experts there, in 8 bits."""
LAST_OLD_YEAR = 2024
"""Rows of local engines up to this year ran on builds without captured graphs and fused attention."""
UNKNOWN_WORDS = frozenset({"", "-", "?", "nan", "na", "n/a", "none", "null", "unknown"})
"""What a column holds where nothing is known."""
FULLEST = 0.96
"""Share of a device's memory that weights can fill at most: driver, activations and one cache need the rest."""
SUSPECT_PARAMS_RATIO = 2.6
"""A row whose stated parameters differ from the named model's by more than this is another model."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one row asks.

    engine: engine id
    cost: the model's footprint
    server: device and count
    device_known: whether the device is in the catalogue
    model_known: whether the model's shape is
    input_tokens, output_tokens: of one request; 0 means that this phase was not part of the test
    mode: closed (a number in flight), max (saturated), offline (saturated, best layout), open (a rate)
    concurrency: sequences in flight (closed)
    rate_per_s: arrivals (open)
    prompts: requests of an open-loop run
    stated_prompts: whether the row states them
    metric: rate or time asked for, without its statistic
    statistic: mean, p50, p90, p95 or p99
    per_user: whether a decode rate is one user's (1 / TPOT)
    static_batch: whether all sequences start together
    depth: tokens already in context
    tensor_parallel, pipeline_parallel: as stated, or None
    data_parallel: whether attention is data-parallel with experts spread (DEP)
    max_sequences, batched_tokens: engine limits as stated, or None
    doubts: what makes the row or the answer uncertain
    """

    engine: str
    cost: Footprint
    server: Server
    device_known: bool
    model_known: bool
    input_tokens: float
    output_tokens: float
    mode: str
    concurrency: float
    rate_per_s: float
    prompts: float
    stated_prompts: bool
    metric: str
    statistic: str
    per_user: bool
    static_batch: bool
    depth: float
    tensor_parallel: int | None
    pipeline_parallel: int | None
    data_parallel: bool
    max_sequences: int | None
    batched_tokens: int | None
    doubts: tuple[str, ...] = field(default=())

    @property
    def layout(self) -> Layout:
        """The stated split, else tensor parallelism over all devices (pipelines across nodes of an engine that splits layers)."""
        gpus = self.server.gpus
        if self.tensor_parallel is None and self.pipeline_parallel is None:
            if self.engine.startswith("llama.cpp") and gpus > 1:
                return Layout(pipeline_parallel=float(gpus))
            return Layout(tensor_parallel=float(gpus), attention_data_parallel=self.data_parallel)
        pipeline = self.pipeline_parallel or max(1, gpus // (self.tensor_parallel or gpus) if self.tensor_parallel else 1)
        tensor = self.tensor_parallel or max(1, gpus // pipeline)
        if self.pipeline_parallel is None and tensor < gpus:
            pipeline = 1  # the devices beyond a stated TP are further copies
        return Layout(tensor_parallel=float(tensor), pipeline_parallel=float(pipeline), attention_data_parallel=self.data_parallel)

    @property
    def copies(self) -> int:
        """Copies of the model on the stated devices."""
        return max(1, self.server.gpus // int(self.layout.devices))


def read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """(column names, rows) of a row file; InputError names a missing column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names = list(reader.fieldnames or [])
            rows = [{key: (text or "") for key, text in row.items() if key is not None} for row in reader]
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    needed = {"engine", "model", "quant", "device", "isl", "osl", "batch_or_concurrency", "metric"}
    missing = sorted(needed - set(names))
    if missing:
        raise InputError(f"{path}: column '{missing[0]}' is missing; the columns are {', '.join(COLUMNS)}")
    return names, rows


def case_of(row: Mapping[str, str]) -> Case:
    """A row as a case; InputError names the fact that is missing or does not fit."""
    note = row.get("note", "")
    notes = _notes(note)
    metric, statistic = _metric(row["metric"])
    stated_count = _positive(row.get("device_count", ""), "device_count")
    count = max(1, round(stated_count or 1))
    nodes = _integer(notes.get("nodes", ""))
    device, device_known, doubts = _device(row)
    engine = engine_id(row.get("engine", ""))
    if engine == "llama.cpp" and _year(row.get("source_version", "")) <= LAST_OLD_YEAR and device.kind != "cpu":
        engine += OLD_BUILDS
    cost, model_known, more = _cost(row, notes, engine)
    tensor, pipeline, data_parallel = _parallel(notes, note, count if stated_count is not None else None)
    count, odd = _fitting_count(count, tensor, pipeline, stated=stated_count is not None)
    doubts = [*doubts, *more, *odd, *_said_doubts(note)]
    if device.memory_gb is not None and cost.weights_bytes > FULLEST * (memory := physical_bytes(largest_built(device), count)):
        raise InputError(
            f"the weights of {row['model']} in {row['quant']} are {float(cost.weights_bytes) / BYTES_PER_GB:.1f} GB, "
            f"{count} x {row['device']} has {memory / BYTES_PER_GB:.1f} GB: it does not fit"
        )
    split = (tensor or 1) * (pipeline or 1)
    if device.memory_gb is not None and (tensor or pipeline) and split < count:
        held = physical_bytes(device, split)
        if cost.weights_bytes > FULLEST * held:
            raise InputError(
                f"the weights of {row['model']} in {row['quant']} are {float(cost.weights_bytes) / BYTES_PER_GB:.1f} GB, the stated layout "
                f"spreads them over {split} x {row['device']} with {held / BYTES_PER_GB:.1f} GB: it does not fit"
            )
    mode, concurrency, rate = _load(row["batch_or_concurrency"])
    input_tokens, output_tokens = _tokens(row["isl"], "isl"), _tokens(row["osl"], "osl")
    _check_lengths(metric, input_tokens, output_tokens)
    if nodes and not tensor and not pipeline and count > 8:
        tensor, pipeline = min(8, count), max(1, count // 8)
    stated = _number(notes.get("prompts", "")) or _number(notes.get("num_prompts", ""))
    device, far = _linked(device, tensor, pipeline, count, nodes, crossings=ONCE_A_SERVER if data_parallel else 1.0)
    doubts += far
    return Case(
        engine=engine,
        cost=cost,
        server=Server(accelerator=device, gpus=count),
        device_known=device_known,
        model_known=model_known,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        mode=mode,
        concurrency=concurrency,
        rate_per_s=rate,
        prompts=stated or float(DEFAULT_PROMPTS),
        stated_prompts=bool(stated),
        metric=metric,
        statistic=statistic,
        per_user="per user" in note.lower() or "per-user" in note.lower(),
        static_batch=re.search(r"static[\s_-]*batch", note.lower()) is not None,
        depth=_tokens(notes.get("depth", ""), "depth"),
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        data_parallel=data_parallel,
        max_sequences=_integer(notes.get("max_num_seqs", "")),
        batched_tokens=round(_tokens(notes.get("max_num_batched_tokens", ""), "max_num_batched_tokens")) or None,
        doubts=tuple(doubts),
    )


def _linked(
    device: Accelerator, tensor: int | None, pipeline: int | None, count: int, nodes: int | None, *, crossings: float
) -> tuple[Accelerator, list[str]]:
    """The device with the link that its tensor-parallel group has: between servers it is the network's, unless a rack shares NVLink."""
    group = tensor or max(1, count // (pipeline or 1))
    inside = max(1, count // nodes) if nodes else DEVICES_PER_NODE
    if group <= inside or device.kind != "datacenter_gpu" or re.search(r"gb\d00|nvl72", device.id):
        return device, []
    slower = min(device.link_gb_per_s or NETWORK_GB_PER_S, NETWORK_GB_PER_S * crossings)
    said = f"{group} devices share each layer across servers: the link is taken as a network of {slower:g} GB/s"
    return device.model_copy(update={"link_gb_per_s": slower, "link_kind": "ethernet"}), [said]


def _tokens(text: str, name: str) -> float:
    """A length in tokens; blank is 0, '8k' is 8,192."""
    number = _number(text) or 0.0
    if number < 0:
        raise InputError(f"{name} {text.strip()} is below 0")
    return number * (1024.0 if re.fullmatch(r"[~≈]?[\d.,]+\s*k", text.strip().lower()) else 1.0)


def _check_lengths(metric: str, input_tokens: float, output_tokens: float) -> None:
    if input_tokens <= 0 and output_tokens <= 0:
        raise InputError("isl and osl are both 0 or missing: at least one of them is needed")
    if metric == "prefill_tok_s" and input_tokens <= 0:
        raise InputError("isl is 0 or missing: prefill_tok_s needs the prompt's length")


def _fitting_count(count: int, tensor: int | None, pipeline: int | None, *, stated: bool) -> tuple[int, list[str]]:
    """(devices, doubts): a stated layout of more devices than the row counts wins over the count."""
    needed = (tensor or 1) * (pipeline or 1)
    if needed <= count:
        return count, []
    return needed, [f"the layout needs {needed} devices, the row counts {count}: {needed} are taken"] if stated else []


def _said_doubts(note: str) -> list[str]:
    lowered, doubts = note.lower(), []
    if re.search(r"speculat|\bmtp\b|eagle|medusa|draft", lowered):
        doubts.append("speculative decoding is not in the estimate: with few requests in flight the answer is faster")
    if "disagg" in lowered:
        doubts.append("prompts and answers on devices of their own are not in the estimate: all devices are taken for both")
    if "suspect" in lowered:
        doubts.append("the row is marked suspect")
    return doubts


def _positive(text: str, name: str) -> float | None:
    """A number above 0, None for a blank, 0 or a word for unknown; anything else is refused by name."""
    if text.strip().lower() in UNKNOWN_WORDS:
        return None
    number = _number(text)
    if number == 0:
        return None
    if number is None or not 0 < number < float("inf"):
        raise InputError(f"{name} '{text.strip()}' is not a number above 0")
    return number


# --- columns ---------------------------------------------------------------------------------------------------------


def _device(row: Mapping[str, str]) -> tuple[Accelerator, bool, list[str]]:
    name, bandwidth = row.get("device", ""), _positive(row.get("device_mem_bw_gbs", ""), "device_mem_bw_gbs")
    tflops = _positive(row.get("device_peak_tflops_dense_16bit", ""), "device_peak_tflops_dense_16bit")
    return _resolved_device(name, bandwidth, tflops)


@lru_cache(maxsize=1024)
def _resolved_device(name: str, bandwidth: float | None, tflops: float | None) -> tuple[Accelerator, bool, list[str]]:
    found, doubts = find_accelerator(name), []
    if found is None:
        if bandwidth is None:
            raise InputError(f"device '{name}' is not in the catalogue and the row states no device_mem_bw_gbs")
        kind, memory_kind = _guessed_kind(name, bandwidth, tflops)
        doubts.append(f"device '{name}' is not in the catalogue: taken as {memory_kind} memory from its stated figures")
        found = Accelerator(
            id="stated-device",
            name=name or "stated device",
            kind=kind,
            memory_kind=memory_kind,
            mem_bw_gb_per_s=bandwidth,
            fp16_tflops=tflops,
            generation=_guessed_generation(name),
            joined=2 if kind == "apple_soc" and re.search(r"\bultra\b", name, re.IGNORECASE) else 1,
            link_kind="nvlink" if memory_kind == "hbm" else "pcie",
            source=Source(url="the row", checked=date(2026, 11, 22)),
        )
        return found, False, doubts
    update: dict[str, float] = {}
    if bandwidth is not None:
        update["mem_bw_gb_per_s"] = bandwidth
    if tflops is not None:
        update["fp16_tflops"] = tflops
        for wider in ("fp8_tflops", "int8_tops", "fp4_tflops"):  # their ratio to the 16-bit peak is the sheet's
            sheet = getattr(found, wider)
            if sheet is not None and found.fp16_tflops:
                update[wider] = sheet / found.fp16_tflops * tflops
    found = found.model_copy(update=update)
    if found.mem_bw_gb_per_s is None:
        raise InputError(f"device '{name}': its memory bandwidth is not known and the row states no device_mem_bw_gbs")
    return found, True, doubts


def _guessed_kind(name: str, bandwidth: float, tflops: float | None) -> tuple[str, str]:
    lowered = name.lower()
    if re.search(r"\bapple\b|\bm\d( |$)|macbook|mac ", lowered):
        return "apple_soc", "lpddr"
    if re.search(r"epyc|xeon|ryzen \d|threadripper|core i|core ultra|graviton|cpu", lowered) and (tflops is None or tflops < 20):
        return "cpu", "ddr"
    if re.search(r"strix|ryzen ai|jetson|thor|orin|gb10|spark|snapdragon|igpu|unified|n1x", lowered):
        return "unified_soc", "lpddr"
    if bandwidth >= 1400 and not re.search(r"rtx|geforce|radeon|arc", lowered):
        return "datacenter_gpu", "hbm"
    return "consumer_gpu", "gddr"


def _guessed_generation(name: str) -> str | None:
    lowered = name.lower()
    for pattern, generation in (
        (r"b100|b200|b300|gb\d00|rtx 50|blackwell|rubin|thor", "blackwell"),
        (r"h100|h200|h20\b|h800|gh200", "hopper"),
        (r"rtx 40|ada|l4\b|l40|l20\b", "ada"),
        (r"mi35|mi4\d\d", "cdna4"),
        (r"mi30|mi32", "cdna3"),
        (r"\bm5\b", "apple-matrix"),
        (r"\bm[34]\b", "apple-9"),
    ):
        if re.search(pattern, lowered):
            return generation
    return None


def _cost(row: Mapping[str, str], notes: Mapping[str, str], engine: str) -> tuple[Footprint, bool, list[str]]:
    params, active = _positive(row.get("params_b", ""), "params_b"), _positive(row.get("active_params_b", ""), "active_params_b")
    if params and active:
        active = min(params, active)
    file_gib = _number(notes.get("file", ""))
    kv_bits = _cache_bits(notes) or engine_kv_bits(engine)
    quant = row["quant"]
    if quant.strip().lower() in UNKNOWN_WORDS and (named := _NAMED_PRECISION.search(row["model"])):
        quant = named[1]
    return _resolved_cost(row["model"], quant, params, active, file_gib, kv_bits, engine.startswith("llama.cpp"))


_NAMED_PRECISION = re.compile(r"[-_ ](nvfp4|mxfp4|fp8|fp4|awq|gptq|int4|int8|w\d+a\d+|bf16|i?q\d_\w+|[3-8]bit)\b", re.IGNORECASE)
"""A precision that is part of a model's name, as in `Llama-3.3-70B-Instruct-FP8`."""


def _cache_bits(notes: Mapping[str, str]) -> float | None:
    """Bits per cache element where the note states its precision (kv_cache_dtype=fp8)."""
    for key in ("kv_cache_dtype", "kv_dtype", "kv_cache", "kv"):
        if found := re.search(r"(?:fp|int|bf|f|q)(\d+)", notes.get(key, "").lower()):
            return float(found[1])
    return None


@lru_cache(maxsize=8192)
def _resolved_cost(
    name: str, quant: str, params: float | None, active: float | None, file_gib: float | None, kv_bits: float | None, gguf: bool
) -> tuple[Footprint, bool, list[str]]:
    doubts: list[str] = []
    precision, precision_known = assumed_quantization(quant)
    if gguf and precision.id == "mxfp4":
        precision = quantization("mxfp4_moe")  # GGUF files of it keep everything but the experts in Q8_0
    if not precision_known and file_gib is None:
        doubts.append(f"precision '{quant}' is not known: taken as {precision.name}")
    spec: ModelSpec | None = find_model(name)
    if spec is not None and params is not None and _far_apart(spec, params):
        doubts.append(f"model '{name}' is stated with {params:g} B parameters, the catalogue's {spec.name} has another size")
        spec = None
    file_bytes = file_gib * BYTES_PER_GIB if file_gib else None
    if spec is not None:
        return footprint(spec, precision.id, kv_bits=kv_bits, file_bytes=file_bytes), True, doubts
    if params is None:
        raise InputError(f"model '{name}' is not in the catalogue and the row states no params_b")
    doubts.append(f"the shape of '{name}' is not known: a typical one for {params:g} B parameters is used")
    cost = typical_footprint(
        params=params * 1e9,
        active_params=(active or params) * 1e9,
        precision=precision,
        file_bytes=file_bytes,
        kv_bits=kv_bits,
    )
    return cost, False, doubts


def _far_apart(spec: ModelSpec, params_b: float) -> bool:
    try:
        ratio = spec.params_total / (params_b * 1e9)
    except InputError:
        return False
    return not 1 / SUSPECT_PARAMS_RATIO < ratio < SUSPECT_PARAMS_RATIO


def _metric(text: str) -> tuple[str, str]:
    name = text.strip().lower()
    if name in RATES:
        return name, "mean"
    for base in TIMES:
        stem = base.removesuffix("_ms")
        if name == base:
            return base, "mean"
        for spelling, statistic in STATISTICS.items():
            if name in {f"{stem}_{spelling}_ms", f"{base}_{spelling}", f"{spelling}_{base}"}:
                return base, statistic
    raise InputError(f"unknown metric '{text}': one of {', '.join((*RATES, *TIMES))} or a form such as tpot_p50_ms")


def _load(text: str) -> tuple[str, float, float]:
    """(mode, in flight, rate) of the batch_or_concurrency column."""
    word = text.strip().lower()
    if word in {"max", "saturated"}:
        return "max", 0.0, 0.0
    if word == "offline":
        return "offline", 0.0, 0.0
    if match := re.fullmatch(r"rate\s*=\s*~?(inf|\d*\.?\d+(?:e[-+]?\d+)?)\s*(?:/s|rps|req/s|qps)?", word):
        rate = float(match[1])
        if rate <= 0:
            raise InputError(f"batch_or_concurrency '{text}': a rate of 0 is no load")
        return "open", 0.0, rate
    number = _number(word)
    if number is None or number <= 0:
        if word:
            raise InputError(f"batch_or_concurrency '{text}' is not a number, 'max', 'offline' or 'rate=X/s'")
        return "closed", 1.0, 0.0
    return "closed", number, 0.0


def _parallel(notes: Mapping[str, str], note: str, count: int | None) -> tuple[int | None, int | None, bool]:
    """(TP, PP, whether attention is data-parallel) as stated; None where nothing is.

    `attn_dp` multiplies `tp` (attention of TP x DP devices), unless that is more than the row's devices: then it lies inside it,
    as some engines write it. `moe_tp` x `moe_ep` are the same devices seen from the experts.
    """
    tensor, pipeline = _integer(notes.get("tp", "")), _integer(notes.get("pp", ""))
    stated = notes.get("parallel", "").upper()
    attention = _integer(notes.get("attn_dp", "")) or 1
    for match in re.finditer(r"(TEP|DEP|TP|PP|EP|DP)(\d+)", stated):
        kind, size = match[1], int(match[2])
        if kind == "PP":
            pipeline = size
        elif kind != "DP":
            tensor = max(tensor or 1, size)
    if attention > 1:
        both = (tensor or 1) * attention
        inside = count is not None and both * (pipeline or 1) > count >= max(tensor or 1, attention) * (pipeline or 1)
        tensor = max(tensor or 1, attention) if inside else both
    experts = (_integer(notes.get("moe_tp", "")) or 1) * (_integer(notes.get("moe_ep", "")) or 1)
    if experts > 1 and (count is None or experts * (pipeline or 1) <= count):
        tensor = max(tensor or 1, experts)
    return tensor, pipeline, attention > 1 or "DEP" in stated or "dep" in re.split(r"[\s;,]+", note.lower())


def _year(version: str) -> int:
    """The first year a version names, or a late one."""
    found = re.search(r"\b20[12]\d\b", version)
    return int(found[0]) if found else 9999


def _notes(note: str) -> dict[str, str]:
    return {match[1].lower(): match[2] for match in re.finditer(r"(\w+)\s*=\s*(~?[\w.+\-/]+(?:,\d{3}\b)*)", note)}


def _number(text: str) -> float | None:
    """A number, '~' and thousands commas allowed; None for a blank."""
    cleaned = text.strip().lstrip("~≈").replace(",", "")
    if not cleaned:
        return None
    match = re.match(r"[-+]?\d*\.?\d+(?:e[-+]?\d+)?", cleaned, re.IGNORECASE)
    return float(match[0]) if match else None


def _integer(text: str) -> int | None:
    number = _number(text)
    return max(1, round(number)) if number is not None else None
