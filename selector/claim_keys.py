"""Other spellings and units of a claim's keys: which key of its record is meant, and by which factor the number is to be multiplied.

A key is a quantity with its unit; the same quantity may stand in another unit (`tokens_per_week`, `stated_payback_weeks`, `params_m`,
`usd_per_1k_tokens`, `tpot_ms`) or under another common word (`queries`, `api_`, `capex_usd`). Each rule rewrites one part of a key; rules
are followed until a key of the record is reached, the fewest rewrites first. What none of them reaches is an unknown key.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from facts.units import DAYS_PER_MONTH, DAYS_PER_YEAR, HOURS_PER_DAY, MONTHS_PER_YEAR, SECONDS_PER_DAY

DAYS_PER_WEEK: Final = 7.0
MONTHS_PER_QUARTER: Final = 3.0
MOST_REWRITES: Final = 4


@dataclass(frozen=True, kw_only=True)
class Meant:
    """What a key means.

    key: of the record
    factor: what the number is multiplied by
    inverse: the number is turned over first (a time per token is a speed)
    """

    key: str
    factor: float = 1.0
    inverse: bool = False


@lru_cache(maxsize=4096)
def meant_by(key: str, known: Collection[str]) -> Meant | None:
    """The key of a record that another spelling or unit means, or None; `known` is hashable, a frozenset of the record's keys."""
    reached = [Meant(key=key)]
    seen = {key}
    for _ in range(MOST_REWRITES + 1):
        found = next((one for one in reached if one.key in known), None)
        if found is not None:
            return found
        reached = [after for before in reached for after in _rewritten(before) if after.key not in seen]
        seen.update(one.key for one in reached)
    return None


# ---- below: how ----


def _rewritten(before: Meant) -> list[Meant]:
    after = []
    for pattern, replacement, factor, inverse in _RULES:
        key, count = pattern.subn(replacement, before.key, count=1)
        if count and key != before.key and not (inverse and before.key.startswith("stated_")):
            over = before.factor if not inverse else 1.0 / before.factor
            after.append(Meant(key=key, factor=over * factor, inverse=before.inverse or inverse))
    return after


def _word(text: str) -> str:
    """A whole word of a key."""
    return rf"(?:(?<=_)|^)(?:{text})(?=_|$)"


_SPELLINGS: Final = (
    (_word("claimed|quoted"), "stated"),
    (_word("queries|calls|messages|prompts|conversations"), "requests"),
    (_word("query|call|message|prompt|conversation"), "request"),
    (_word("dollars?"), "usd"),
    (_word("million_tokens|1m_tokens|m_tokens|mtokens|mtoks?|1m|million"), "mtok"),
    (_word("1k_tokens|1000_tokens|k_tokens|ktokens|ktoks|thousand_tokens|1k"), "ktok"),
    (_word("btokens|billion_tokens"), "btok"),
    (_word("token"), "tokens"),
    (_word("per_seconds?|per_sec|ps"), "per_s"),
    (_word("tps|tok_per_s|toks_per_s|tok_s|tokens_s"), "tokens_per_s"),
    (_word("seconds?|secs?"), "s"),
    (_word("milliseconds?|msec"), "ms"),
    (_word("hr|h"), "hour"),
    (_word("mo"), "month"),
    (_word("yr|annum"), "year"),
    (r"^(stated_)?(?:annual|yearly)_(.+)$", r"\1\2_per_year"),
    (r"^(stated_)?monthly_(.+)$", r"\1\2_per_month"),
    (r"^(stated_)?weekly_(.+)$", r"\1\2_per_week"),
    (r"^(stated_)?daily_(.+)$", r"\1\2_per_day"),
    (r"^(stated_)?hourly_(.+)$", r"\1\2_per_hour"),
    (_word("savings|saved|saves"), "saving"),
    (r"^stated_(?:saving|cost|bill|price|rent|total|spend)_(usd.*)$", r"stated_\1"),
    (r"^stated_(usd_.*)_saving$", r"stated_\1"),
    (r"^(?:cost|bill|price|rent|spend)_(usd.*)$", r"\1"),
    (r"^(baseline|option)_(?:cost|bill|price|rent|spend)_(usd.*)$", r"\1_\2"),
    (r"^(.*)price_per_(mtok|ktok|tokens)(_usd)?$", r"\1usd_per_\2"),
    (r"^(.*)(?:cost|price|bill|rent)_per_(hour|day|week|month|quarter|year|request)(_usd)?$", r"\1usd_per_\2"),
    (r"^usd_saving(_.*)?$", r"saving_usd\1"),
    (r"^usd_(baseline|option)_per_(.*)$", r"\1_usd_per_\2"),
    (r"^(usd_per_.*)_(baseline|option|input|output)$", r"\2_\1"),
    (r"^(stated_)?(?:gpu|server|instance)_usd_per_hour$", r"\1usd_per_hour"),
    (_word("usd_per_gpu_hour|usd_per_hour_per_gpu"), "usd_per_hour"),
    (_word("gpu_count|num_gpus|n_gpus|number_of_gpus"), "gpus"),
    (r"^(?:gpu|gpu_model|gpu_name|gpu_type|hardware|accelerator|card)$", "device"),
    (r"^(?:api|from|old|before|current|today|large|big|dearer|expensive)_(.+)$", r"baseline_\1"),
    (r"^(?:self_hosted|selfhosted|to|new|after|alternative|small|local|cheaper|tuned|finetuned|fine_tuned)_(.+)$", r"option_\1"),
    (r"^(.+)_(?:from|old|before|api|baseline)$", r"baseline_\1"),
    (r"^(.+)_(?:to|new|after|self_hosted|option)$", r"option_\1"),
    (r"^(?:capex|setup|investment|one_off|one_time|initial|up_front|upfront_cost|upfront_costs|upfront_investment)_usd$", "upfront_usd"),
    (r"^usd_upfront$|^upfront$", "upfront_usd"),
    (r"^training_tokens$|^tokens_total$|^total_tokens$", "tokens"),
    (r"^(stated_)?(?:payback|break_even|breakeven)_(.+)$", r"\1payback_\2"),
    (r"^stated_(months|years|weeks|days|quarters)$", r"stated_payback_\1"),
    (_word("parameters|model_params|params_total|total_params|active_params|params_active"), "params"),
    (r"^params_(?:billions?|bn)$", "params_b"),
    (_word("bits_per_param|bits_per_parameter|bits_per_weights|weight_bits|bpw"), "bits_per_weight"),
    (r"^bits$|^precision_bits$|^quantization_bits$", "bits_per_weight"),
    (r"^(?:bytes_per_(?:param|parameter))$", "bytes_per_weight"),
    (r"^stated_(?:vram|memory|ram|size|weights|model|disk|file|gpu_memory)_(t?[gm]?i?b)$", r"stated_\1"),
    (r"^(?:vram|memory|ram|gpu_memory|card|available_vram|available_memory)_(gi?b)$", r"available_\1"),
    (r"^(?:kv_cache|cache)_(.+)$", r"kv_\1"),
    (r"^context$|^context_length$|^context_length_tokens$|^sequence_tokens$", "context_tokens"),
    (r"^batch$|^batch_size$|^concurrent_requests$|^streams$|^concurrent_users$|^users$", "concurrency"),
    (r"^(?:decode|generation|output|stream)_tokens_per_s$", "tokens_per_s"),
    (r"^(?:tokens_out|answer_tokens|response_tokens|completion_tokens|generated_tokens)$", "output_tokens"),
    (r"^(?:tokens_in|prompt_tokens)$", "input_tokens"),
    (r"^(?:time_to_first_token|first_token)_(m?s)$", r"ttft_\1"),
    (r"^(?:itl|time_per_token|inter_token_latency|time_per_output_token|tpot)_(m?s)$", r"tpot_\1"),
    (
        r"^stated_(?:time|duration|response_time|p50|p90|p95|p99|latency_p50|latency_p90|latency_p95|latency_p99)_(m?s)$",
        r"stated_latency_\1",
    ),
    (r"^stated_(?:speed|throughput)_(tokens_per_.*)$", r"stated_\1"),
    (r"^(?:speed|throughput)_(tokens_per_.*)$", r"\1"),
    (r"^(?:mix|ratio_input_output|input_output_ratio|input_to_output)$", "input_tokens_per_output_token"),
    (r"^stated_(?:factor|times|x|multiple|cheaper_times|times_cheaper)$", "stated_ratio"),
    (r"^stated_(?:factor|times|x|multiple)_per_year$", "stated_ratio_per_year"),
    (r"^stated_(?:reduction|discount|cut|decrease|cheaper)_(share|percent)$", r"stated_saving_\1"),
    (_word("pct"), "percent"),
    (r"^electricity_usd_per_kwh$", "usd_per_kwh"),
    (r"^(?:hours_running|hours)$", "hours_per_month"),
    (r"^(?:api|self_hosted|selfhosted|list|blended)_(usd_.*)$", r"\1"),
    (r"^(?:prefill|prompt)_tokens_per_s$", "input_tokens_per_s"),
    (r"^(?:fits_on|fits_in|runs_on)$", "device"),
    (r"^overhead_(share|percent)$|^(?:runtime|activation|memory)_overhead_(share|percent)$", r"overhead_\1\2"),
    (r"^(?:baseline|larger|dividend|top)$", "numerator"),
    (r"^(?:option|smaller|divisor|bottom)$", "denominator"),
    (r"^baseline_.+$", "numerator"),
    (r"^option_.+$", "denominator"),
    (r"^stated_share$", "stated_ratio"),
    (r"^power_draw_(k?w)$", r"power_\1"),
    (r"^w$|^watts$|^power_watts$", "power_w"),
)
"""Other words for the same thing: (pattern, what it is called here)."""

_UNITS: Final = (
    (r"_per_year$", "_per_month", 1.0 / MONTHS_PER_YEAR),
    (r"_per_quarter$", "_per_month", 1.0 / MONTHS_PER_QUARTER),
    (r"_per_month$", "_per_year", MONTHS_PER_YEAR),
    (r"_per_week$", "_per_day", 1.0 / DAYS_PER_WEEK),
    (r"_per_day$", "_per_month", DAYS_PER_MONTH),
    (r"_per_month$", "_per_day", 1.0 / DAYS_PER_MONTH),
    (r"(?<!usd)_per_hour$", "_per_day", HOURS_PER_DAY),
    (r"(?<!usd)_per_minute$", "_per_day", SECONDS_PER_DAY / 60.0),
    (r"(?<!usd)_per_s$", "_per_day", SECONDS_PER_DAY),
    (r"(?<!usd)_per_minute$", "_per_s", 1.0 / 60.0),
    (r"(?<!usd)_per_hour$", "_per_s", 1.0 / 3600.0),
    (r"payback_days$", "payback_months", 1.0 / DAYS_PER_MONTH),
    (r"payback_weeks$", "payback_months", DAYS_PER_WEEK / DAYS_PER_MONTH),
    (r"payback_quarters$", "payback_months", MONTHS_PER_QUARTER),
    (r"^months$", "years", 1.0 / MONTHS_PER_YEAR),
    (r"^days$", "years", 1.0 / DAYS_PER_YEAR),
    (r"_per_ktok$", "_per_mtok", 1e3),
    (r"usd_per_tokens$", "usd_per_mtok", 1e6),
    (r"(?<!per_)mtok(?=_|$)", "tokens", 1e6),
    (r"(?<!per_)ktok(?=_|$)", "tokens", 1e3),
    (r"(?<!per_)btok(?=_|$)", "tokens", 1e9),
    (r"(?:(?<=_)|^)(?:cents|usd_cents)(?=_|$)", "usd", 1e-2),
    (r"(?:(?<=_)|^)(?:kusd|usd_k|usd_thousands?|thousand_usd)(?=_|$)", "usd", 1e3),
    (r"(?:(?<=_)|^)(?:musd|usd_m|usd_millions?|million_usd)(?=_|$)", "usd", 1e6),
    (r"_percent$", "_share", 1e-2),
    (r"_mb$", "_gb", 1e-3),
    (r"_tb$", "_gb", 1e3),
    (r"_mib$", "_gib", 1.0 / 1024.0),
    (r"(?<!stated)_gib$", "_gb", 2.0**30 / 1e9),
    (r"params_m$|params_millions?$", "params_b", 1e-3),
    (r"params_t$|params_trillions?$", "params_b", 1e3),
    (r"params$", "params_b", 1e-9),
    (r"^bytes_per_weight$", "bits_per_weight", 8.0),
    (r"^kv_bytes$", "kv_bits", 8.0),
    (r"(latency|ttft|tpot)_s$", r"\1_ms", 1e3),
    (r"(latency|ttft)_minutes$", r"\1_ms", 6e4),
    (r"power_w$", "power_kw", 1e-3),
    (r"power_mw$", "power_kw", 1e3),
    (r"usd_per_mwh$", "usd_per_kwh", 1e-3),
    (r"^hours_per_day$", "hours_per_month", DAYS_PER_MONTH),
    (r"^hours_per_week$", "hours_per_month", DAYS_PER_MONTH / DAYS_PER_WEEK),
    (r"^hours_per_year$", "hours_per_month", 1.0 / MONTHS_PER_YEAR),
)
"""Other units of the same quantity: (pattern, unit of the record, factor)."""

_TURNED: Final = ((r"^tpot_ms$", "tokens_per_s", 1e3),)
"""Quantities whose inverse is meant."""

_RULES: Final = (
    *((re.compile(pattern), key, 1.0, False) for pattern, key in _SPELLINGS),
    *((re.compile(pattern), key, factor, False) for pattern, key, factor in _UNITS),
    *((re.compile(pattern), key, factor, True) for pattern, key, factor in _TURNED),
)
