"""Numbers and records as a reader sees them: the only place that rounds."""

from __future__ import annotations

import re
from datetime import date

NOTHING = "–"
"""Stands where there is no number; never a zero, which would be read as one."""

ARM_NAMES = {
    "api": "GPT-4-class API",
    "api_small": "Small API model",
    "api_tuned": "Tuned API model",
    "hosted_open": "Open model, hosted",
    "small_untuned": "Small model, untuned",
    "self_hosted_mid": "Self-hosted mid-size",
    "self_hosted_70b": "Self-hosted 70B",
    "fine_tuned_7b": "Fine-tuned 7B",
    "encoder": "Encoder classifier",
    "cascade": "Cascade, small then large",
    "this_machine": "This machine",
    "edge": "Edge device",
    "own": "Your own option",
}
PLACEMENT_NAMES = {
    "api": "bought by the token",
    "managed": "managed by a provider",
    "rented": "rented servers",
    "owned": "own servers",
    "local": "this machine",
}
LINE_NAMES = {
    "tokens": "Tokens",
    "tokens_input": "Input tokens",
    "tokens_cached_input": "Cached input tokens",
    "tokens_output": "Output tokens",
    "rental": "Server rental",
    "energy": "Electricity",
    "hosting": "Hosting",
    "maintenance": "Maintenance",
    "supporting_infra": "Supporting infrastructure",
    "staff": "Staff",
    "double_running": "Today's bill until it is live",
    "retraining": "Retraining",
    "servers": "Servers",
    "implementation": "Implementation",
    "labels": "Labelling",
    "evaluation": "Evaluation",
    "finetune_runs": "Fine-tuning runs",
    "finetune_engineering": "Fine-tuning engineering",
    "resale": "Resale value",
}
ACTION_NAMES = {
    "stay": "Stay",
    "test_first": "Test first",
    "move": "Move",
    "none_feasible": "Nothing fits",
}


def usd(amount: float | None, *, cents: bool = False) -> str:
    """'$273,750'; below 100 USD, or asked for, with cents; `NOTHING` for None."""
    if amount is None:
        return NOTHING
    places = 2 if cents or (0 < abs(amount) < 100) else 0
    text = f"${abs(amount):,.{places}f}"
    return f"-{text}" if amount < 0 and float(text[1:].replace(",", "")) else text


def usd_short(amount: float | None) -> str:
    """'$274k', '$1.2M': for axes and narrow cards."""
    if amount is None:
        return NOTHING
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= unit * 0.9995:
            return f"{sign}${_three_digits(size / unit)}{letter}"
    return f"{sign}${size:,.0f}"


def tokens(count: float | None) -> str:
    """'50 M tokens', '18.3 B tokens'."""
    if count is None:
        return NOTHING
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= unit * 0.9995:
            return f"{_three_digits(count / unit)} {letter} tokens"
    return f"{count:,.0f} tokens"


def rate(tokens_per_s: float | None) -> str:
    """'41.3 tokens/s'."""
    return NOTHING if tokens_per_s is None else f"{_three_digits(tokens_per_s)} tokens/s"


def share(fraction: float | None) -> str:
    """0.935 as '94%'; below 10 % with one decimal, and never '0%' or '100%' for what is not."""
    if fraction is None:
        return NOTHING
    percent = fraction * 100
    if fraction not in (0.0, 1.0):
        if 0 < percent < 0.05:
            return "<0.1%"
        if 99.5 <= percent < 100:
            return ">99%"
    return f"{percent:.1f}%" if 0 < abs(percent) < 9.95 else f"{percent:,.0f}%"


def roi(ratio: float | None) -> str:
    """3.2 as '320%'; `NOTHING` where nothing is paid upfront."""
    return NOTHING if ratio is None else f"{ratio * 100:,.0f}%"


def months(count: float | None, horizon: int | None = None) -> str:
    """'4.2 months'; None is 'not within 12 months' when the horizon is given."""
    if count is None:
        return NOTHING if horizon is None else f"not within {months(float(horizon))}"
    if count == 0:
        return "at once"
    text = f"{count:.1f}".removesuffix(".0")
    return f"{text} month" if text == "1" else f"{text} months"


def duration(seconds: float) -> str:
    """'45 s', '1 min', '3 min 20 s', '1 h 05 min'."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def milliseconds(value: float | None) -> str:
    """'240 ms', '1.8 s'."""
    if value is None:
        return NOTHING
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{_three_digits(value)} ms"


def size(count: float | None) -> str:
    """Bytes in decimal units: '4.08 GB'."""
    if count is None:
        return NOTHING
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{_three_digits(count / unit)} {name}"
    return f"{count:.0f} bytes"


def number(value: float | None) -> str:
    """A plain number with thousands separators and at most four digits after the point."""
    if value is None:
        return NOTHING
    return f"{value:,.4f}".rstrip("0").rstrip(".")


def day(value: date | None) -> str:
    """'22 November 2026'."""
    return NOTHING if value is None else f"{value.day} {value:%B %Y}"


def age(days: int | None) -> str:
    """'today', '3 days', '14 months'."""
    if days is None:
        return NOTHING
    if days <= 0:
        return "today"
    if days == 1:
        return "1 day"
    return f"{days} days" if days < 90 else f"{days / 30.4:.0f} months"


def arm_name(arm: str) -> str:
    """The reader's name of an arm."""
    return ARM_NAMES.get(arm, words(arm))


def line_name(name: str) -> str:
    """The reader's name of a cost line."""
    return LINE_NAMES.get(name, words(name))


FIELD_NAMES = {
    "ttft_p95_ms": "Longest wait for the first token, p95 (ms)",
    "tpot_p95_ms": "Longest time per further token, p95 (ms)",
    "peak_to_mean": "Peak over daily mean",
    "baseline_model": "Model used today",
    "labelled_examples": "Labelled examples",
    "residency": "Where the data may go",
    "complexity": "What the model is asked to do",
    "allowed_providers": "Cleared providers",
    "input_tokens_mean": "Prompt length (tokens, mean)",
    "output_tokens_mean": "Answer length (tokens, mean)",
    "horizon_months": "Horizon (months)",
    "tokens_counted_with": "Whose tokens these are (model or tokenizer)",
    "months_to_live": "Months until it is live",
    "fte_month_usd": "Cost of one FTE (USD a month)",
    "staff_fte_api": "Staff for an API (FTE)",
    "staff_fte_rented": "Staff for rented servers (FTE)",
    "staff_fte_owned": "Staff for own servers (FTE)",
    "usd_per_wrong_case": "Cost of one wrong case (USD)",
}
UNITS = (
    ("_usd_per_mtok", " (USD per M tokens)"),
    ("_usd_per_hour", " (USD an hour)"),
    ("_usd_per_kwh", " (USD per kWh)"),
    ("_per_month_share", " per month (share)"),
    ("_share_per_year", " (share a year)"),
    ("_rate_per_year", " rate (share a year)"),
    ("_share", " (share)"),
    ("_per_day", " a day"),
    ("_per_year", " a year"),
    ("_month_usd", " (USD a month)"),
    ("_usd", " (USD)"),
    ("_ms", " (ms)"),
    ("_fte", " (FTE)"),
)


def field_label(name: str) -> str:
    """A record's field as a label with its unit: 'growth_per_month_share' as 'Growth per month (share)'."""
    if name in FIELD_NAMES:
        return FIELD_NAMES[name]
    for ending, unit in UNITS:
        if name.endswith(ending):
            return re.sub(r"\b(Gpu|Api|Usd|Fte)\b", lambda found: found[0].upper(), words(name.removesuffix(ending))) + unit
    return words(name)


def field_value(value: object) -> str:
    """A field's value as text: yes and no, lists with commas, numbers with separators."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(field_value(part) for part in value) or "none"
    return str(value)


def words(identifier: str) -> str:
    """'qa_closed' as 'QA closed': the fallback for names that a newer room brings."""
    text = " ".join("QA" if word == "qa" else word for word in identifier.split("_") if word)
    return text[:1].upper() + text[1:]


MARKDOWN_SIGNS = re.compile(
    r"""[\\`*\[\]<$~@]                    # emphasis, links, HTML, formulas, addresses
    |(?<!\w)_|_(?!\w)                     # emphasis; inside a word an underscore is a letter
    |:(?=//|[\w+\-/]+[:\[])              # addresses, emoji, icons, coloured text
    |&(?=\#?\w+;)                        # entities
    |-(?=[->])|(?<=[-=])>                 # dashes and arrows
    |(?<=www)\.                          # addresses
    |^[#>|]|^[+\-](?=\s)|(?<=^\d)[.)](?=\s)|(?<=^\d\d)[.)](?=\s)  # headings, quotes, lists
    """,
    re.VERBOSE,
)


def markdown_literal(text: str) -> str:
    """`text` so that Markdown shows it as it is: user text must never become a link, a formula or HTML."""
    return MARKDOWN_SIGNS.sub(lambda sign: "\\" + sign[0], " ".join(text.split()))


def markdown_cell(text: str) -> str:
    """`text` as it is, an http address at its beginning as a link that shows its host."""
    first, _, rest = text.partition(" ")
    match = re.fullmatch(r"https?://([A-Za-z0-9.\-]+)(?::\d+)?(/[A-Za-z0-9._~%/?=&+#,;:@!\-]*)?", first)
    return f"[{markdown_literal(match[1])}]({first}) {markdown_literal(rest)}".strip() if match else markdown_literal(text)


def csv_literal(text: str) -> str:
    """`text` so that a spreadsheet shows it as it is: a leading sign that begins a formula is quoted."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(text) else text


def _three_digits(value: float) -> str:
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
