"""After going live: what was billed against what was forecast, the forecast that follows from it, and whether the verdict still holds.

The forecast is a decision's public JSON, as it was saved. Actual amounts are compared line by line over the months that were billed.
What is left of the horizon is forecast again: each line times what it cost of its forecast so far. A verdict no longer holds when
staying would have been cheaper at the measured volume, or when another option is expected to cost less for the rest.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from facts.errors import InputError
from facts.records import nearest, validated
from pricing.costs import LINE_NAMES, UPFRONT_NAMES
from selector.recommendation import SERVER_LINES, expected_usd
from selector.sentences import percent, usd
from workloads.demand import Workload
from workloads.requirements import requirements_of

TOKEN_LINES: Final = frozenset({"tokens", "tokens_input", "tokens_cached_input", "tokens_cache_write", "tokens_output"})
SWITCH_SHARE: Final = 0.05
"""Another option must be expected to cost this much less for the rest before it is named: a smaller difference is noise of the bill."""
MONTHS_OF_A_YEAR: Final = 12
MOST_USD: Final = 1e12


@dataclass(frozen=True, kw_only=True)
class Actual:
    """One line of one month as it was billed or metered.

    month: 1 is the project's first, 0 is what was paid before it
    line: a line of a bill by its name
    usd: billed
    tokens: metered, None where the line has none or they are not known
    """

    month: int
    line: str
    usd: float
    tokens: float | None = None


@dataclass(frozen=True, kw_only=True)
class LineVariance:
    """One line over the months that were billed.

    line: its name
    forecast_usd: in the decision, over those months
    actual_usd: billed; None where no bill has the line
    difference_usd: billed less forecast, 0 where no bill has it
    volume_usd: of the difference, what more or fewer tokens make; None where they are not known
    price_usd: the rest of it, what another price per token makes; None likewise
    factor: billed over forecast, None where nothing was forecast
    """

    line: str
    forecast_usd: float
    actual_usd: float | None
    difference_usd: float
    volume_usd: float | None
    price_usd: float | None
    factor: float | None


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """Another option for the rest of the horizon.

    option_id, title: which
    expected_usd: for the rest, at the measured volume, going there and the chance of failing counted
    stay_usd: what is in use now, for the rest
    """

    option_id: str
    title: str
    expected_usd: float
    stay_usd: float


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """Bills against a decision.

    option_id, title: what is in use
    months: billed, as numbers of the project's months
    horizon_months: of the decision
    lines: by cost line, in the order of a bill
    forecast_usd, actual_usd: of the lines and months that were billed, upfront included where it was
    volume_factor: metered tokens over forecast ones, None where no bill names tokens
    forecast_total_usd: of the decision, whole horizon
    recalibrated_months_usd: billed months as billed, the others forecast again, (horizon)
    recalibrated_total_usd: their sum and the upfront
    baseline_total_usd: staying on today's model, whole horizon, at the measured volume; None where it may not run
    alternative: what is expected to cost clearly less for the rest, or None
    verdict_holds: no alert
    alerts: why the verdict no longer holds, a sentence each
    notes: what a reader should know
    sentence: the whole in words
    """

    option_id: str
    title: str
    months: tuple[int, ...]
    horizon_months: int
    lines: tuple[LineVariance, ...]
    forecast_usd: float
    actual_usd: float
    volume_factor: float | None
    forecast_total_usd: float
    recalibrated_months_usd: tuple[float, ...]
    recalibrated_total_usd: float
    baseline_total_usd: float | None
    alternative: Alternative | None
    verdict_holds: bool
    alerts: tuple[str, ...]
    notes: tuple[str, ...]
    sentence: str


def reconcile(document: Mapping[str, Any], actuals: Sequence[Actual], *, option_id: str | None = None) -> Reconciliation:
    """Bills against a decision's public JSON; `option_id` is what is in use, the recommended option where it is not given."""
    used = _option(document, option_id or document["recommendation"]["option_id"])
    forecast = _Forecast(document, used)
    _check(actuals, forecast)
    billed = _billed(actuals, forecast)
    months = tuple(sorted({actual.month for actual in actuals if actual.month > 0}))
    volume = _volume_factor(actuals, forecast)
    lines = tuple(_variance(line, billed, months, forecast, volume) for line in _order(billed, forecast, months))
    by_month = _recalibrated(lines, billed, months, forecast)
    upfront = sum(billed.get((0, line), usd) for line, usd in forecast.upfront.items())
    upfront += sum(usd for (month, line), usd in billed.items() if month == 0 and line not in forecast.upfront)
    total = float(by_month.sum()) + upfront
    scale = 1.0 if volume is None else volume
    baseline = _baseline_usd(document, scale, forecast)
    alternative = _alternative(document, used, by_month, months, scale, forecast)
    stays = used["id"] == document["recommendation"]["baseline_option_id"]
    alerts = tuple(_alerts(used, total, None if stays else baseline, alternative, scale, forecast, months))
    known = [line for line in lines if line.actual_usd is not None]
    actual, expected = sum(line.actual_usd or 0.0 for line in known), sum(line.forecast_usd for line in known)
    return Reconciliation(
        option_id=used["id"],
        title=used["title"],
        months=months,
        horizon_months=forecast.horizon,
        lines=lines,
        forecast_usd=expected,
        actual_usd=actual,
        volume_factor=volume,
        forecast_total_usd=float(used["total_usd"]),
        recalibrated_months_usd=tuple(by_month.tolist()),
        recalibrated_total_usd=total,
        baseline_total_usd=baseline,
        alternative=alternative,
        verdict_holds=not alerts,
        alerts=alerts,
        notes=tuple(_notes(lines, months, volume)),
        sentence=_sentence(used, months, forecast.horizon, actual, expected, total, float(used["total_usd"])),
    )


def read_actuals(path: Path, *, first_month: str | None = None) -> tuple[Actual, ...]:
    """Bills from a CSV file with the columns month, line, usd and, if known, tokens.

    month: 1, 2, ... of the project, 0 for what was paid before it; or YYYY-MM, counted from `first_month`
    Several rows of one month and line are added up.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None
    return actuals_from_csv(text, str(path), first_month=first_month)


def actuals_from_csv(text: str, where: str = "the text", *, first_month: str | None = None) -> tuple[Actual, ...]:
    """The same from CSV text; `where` begins every error."""
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    found: dict[tuple[int, str], Actual] = {}
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        for column in ("month", "line", "usd"):
            if column not in header:
                raise InputError(f"{where} has no column '{column}': wanted are month, line, usd and, if known, tokens")
        for cells in reader:
            if any(cell.strip() for cell in cells):
                row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
                actual = _actual(row, f"{where}, line {reader.line_num}", first_month)
                found[actual.month, actual.line] = _added(found.get((actual.month, actual.line)), actual)
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num} is no CSV: {error}") from None
    if not found:
        raise InputError(f"{where} holds no bill: a header and a row per month and line are wanted")
    return tuple(found[key] for key in sorted(found))


def read_decision(path: Path) -> dict[str, Any]:
    """A decision's public JSON from a file; InputError where it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no decision: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(document, dict) or not {"recommendation", "options", "workload"} <= set(document):
        raise InputError(f"{path} is no decision: give the JSON that 'decide --json' prints")
    return document


# ---- reading ----


def _actual(row: dict[str, str], where: str, first_month: str | None) -> Actual:
    known = [*LINE_NAMES, *UPFRONT_NAMES]
    line = row.get("line", "").lower()
    if line not in known:
        raise InputError(f"{where}: '{line}' is no line of a bill{nearest(line, known)}")
    month = _month(row.get("month", ""), where, first_month)
    if (month == 0) is not (line in UPFRONT_NAMES):
        when = (
            "is paid before the first month, so its month is 0" if line in UPFRONT_NAMES else "is paid by month, so its month is 1 or more"
        )
        raise InputError(f"{where}: '{line}' {when}, not {month}")
    tokens = _number(row["tokens"], "tokens", where) if row.get("tokens") else None
    if tokens is not None and tokens < 0:
        raise InputError(f"{where}: tokens {tokens:g} cannot be negative")
    return Actual(month=month, line=line, usd=_number(row.get("usd", ""), "usd", where), tokens=tokens)


def _month(text: str, where: str, first_month: str | None) -> int:
    if text.isdecimal() and len(text) <= 3:
        return int(text)
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise InputError(f"{where}: month '{text}' is neither a number nor YYYY-MM")
    if first_month is None or not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", first_month):
        raise InputError(f"{where}: month '{text}' is a calendar month: say which is the project's first, as YYYY-MM")
    number = _calendar(text) - _calendar(first_month) + 1
    if number < 1:
        raise InputError(f"{where}: month '{text}' lies before the project's first, {first_month}")
    return number


def _calendar(text: str) -> int:
    year, _, month = text.partition("-")
    return int(year) * MONTHS_OF_A_YEAR + int(month)


def _number(text: str, name: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise InputError(f"{where}: {name} '{text}' is no number: write 1234.56") from None
    if not abs(number) <= (1e18 if name == "tokens" else MOST_USD):
        raise InputError(f"{where}: {name} '{text}' is no amount of a bill")
    return number


def _added(kept: Actual | None, more: Actual) -> Actual:
    if kept is None:
        return more
    tokens = None if kept.tokens is None and more.tokens is None else (kept.tokens or 0.0) + (more.tokens or 0.0)
    return Actual(month=more.month, line=more.line, usd=kept.usd + more.usd, tokens=tokens)


# ---- the forecast ----


class _Forecast:
    """One option's forecast out of a decision's JSON: its lines by month, and the tokens behind them."""

    def __init__(self, document: Mapping[str, Any], option: Mapping[str, Any]) -> None:
        if option.get("total_usd") is None:
            raise InputError(f"{option['title']} has no forecast: {option.get('refused_because')}")
        self.months: list[dict[str, float]] = [dict(month["lines"]) for month in option["months"]]
        self.upfront: dict[str, float] = dict(option["upfront_lines"])
        self.horizon = len(self.months)
        self.names = list(dict.fromkeys(name for month in self.months for name in month))
        self.plan: Mapping[str, Any] | None = option["plan"]
        self.volume = requirements_of(validated(Workload, document["workload"], "the decision's workload")).volume
        self.tokens_factor = float((option.get("tokens") or {}).get("factor", 1.0))

    def of(self, line: str, month: int) -> float:
        """A line's USD in a month; `tokens` stands for all token lines, month 0 for what is paid before."""
        if month == 0:
            return self.upfront.get(line, 0.0)
        lines = self.months[month - 1]
        if line == "tokens" and line not in lines:
            return sum(amount for name, amount in lines.items() if name in TOKEN_LINES)
        return lines.get(line, 0.0)

    def tokens(self, line: str, month: int) -> float:
        """The tokens that a line pays for in a month, in the option's own; all of them for a line that is not of one kind."""
        place = month - 1
        return self.tokens_factor * float(
            {
                "tokens_input": self.volume.input_tokens,
                "tokens_cached_input": self.volume.cached_input_tokens,
                "tokens_output": self.volume.output_tokens,
            }.get(line, self.volume.total_tokens)[place]
        )


def _option(document: Mapping[str, Any], option_id: str | None) -> Mapping[str, Any]:
    if option_id is None:
        raise InputError("the decision recommends nothing, so there is no forecast: say which option is in use")
    ids = [option["id"] for option in document["options"]]
    if option_id not in ids:
        raise InputError(f"the decision has no option '{option_id}'{nearest(option_id, ids)}")
    found: Mapping[str, Any] = document["options"][ids.index(option_id)]
    return found


def _check(actuals: Sequence[Actual], forecast: _Forecast) -> None:
    if not any(actual.month > 0 for actual in actuals):
        raise InputError("no month has been billed yet: at least one line with month 1 or more is wanted")
    last = max(actual.month for actual in actuals)
    if last > forecast.horizon:
        raise InputError(f"month {last} lies behind the decision's horizon of {forecast.horizon} months: decide anew for the time after it")


def _billed(actuals: Sequence[Actual], forecast: _Forecast) -> dict[tuple[int, str], float]:
    """USD by month and line; where any bill has `tokens` as one line, parts of it are added to it."""
    whole = "tokens" in forecast.names or any(actual.line == "tokens" for actual in actuals)
    billed: dict[tuple[int, str], float] = {}
    for actual in actuals:
        line = "tokens" if whole and actual.line in TOKEN_LINES else actual.line
        billed[actual.month, line] = billed.get((actual.month, line), 0.0) + actual.usd
    return billed


def _order(billed: Mapping[tuple[int, str], float], forecast: _Forecast, months: Iterable[int]) -> list[str]:
    """Every line that was billed, or forecast for a billed month, in the order of a bill."""
    upfront = any(month == 0 for month, _ in billed)
    names = {line for _, line in billed} | {name for name in forecast.names if any(forecast.of(name, month) for month in months)}
    names |= set(forecast.upfront) if upfront else set()
    if any(line == "tokens" for _, line in billed):
        names -= TOKEN_LINES - {"tokens"}
    return [name for name in (*UPFRONT_NAMES, *LINE_NAMES) if name in names]


# ---- variance ----


def _volume_factor(actuals: Sequence[Actual], forecast: _Forecast) -> float | None:
    """Metered over forecast tokens, over the lines and months that name tokens."""
    metered = [actual for actual in actuals if actual.tokens is not None and actual.month > 0]
    expected = sum(forecast.tokens(actual.line, actual.month) for actual in metered)
    return sum(actual.tokens or 0.0 for actual in metered) / expected if expected > 0 else None


def _variance(
    line: str, billed: Mapping[tuple[int, str], float], months: Sequence[int], forecast: _Forecast, volume: float | None
) -> LineVariance:
    """Difference = volume (tokens above forecast, at the forecast price) + price (the rest)."""
    when = (0,) if line in UPFRONT_NAMES else tuple(months)
    expected = sum(forecast.of(line, month) for month in when)
    found = [billed[month, line] for month in when if (month, line) in billed]
    if not found:
        return LineVariance(
            line=line, forecast_usd=expected, actual_usd=None, difference_usd=0.0, volume_usd=None, price_usd=None, factor=None
        )
    difference = sum(found) - expected
    by_volume = (volume - 1.0) * expected if volume is not None and line in TOKEN_LINES else None
    return LineVariance(
        line=line,
        forecast_usd=expected,
        actual_usd=sum(found),
        difference_usd=difference,
        volume_usd=by_volume,
        price_usd=None if by_volume is None else difference - by_volume,
        factor=sum(found) / expected if expected > 0 else None,
    )


def _recalibrated(
    lines: Iterable[LineVariance], billed: Mapping[tuple[int, str], float], months: Sequence[int], forecast: _Forecast
) -> NDArray[np.float64]:
    """USD of each month: as billed where it was (a line that no bill has stays as forecast), else each line by its factor so far."""
    known = {line.line: line for line in lines if line.line not in UPFRONT_NAMES}
    whole = any(name == "tokens" for name in known) and "tokens" not in forecast.names
    names = [name for name in forecast.names if not (whole and name in TOKEN_LINES)] + (["tokens"] if whole else [])
    names += [name for name in known if name not in names]
    amounts = np.zeros(forecast.horizon)
    for name in names:
        variance = known.get(name)
        unforeseen = 0.0
        if variance is not None and variance.actual_usd is not None and variance.factor is None:
            unforeseen = variance.actual_usd / len(months)  # billed though not forecast: goes on as it was
        factor = 1.0 if variance is None or variance.factor is None else variance.factor
        for month in range(1, forecast.horizon + 1):
            if month in months:
                missing = forecast.of(name, month) if variance is None or variance.actual_usd is None else 0.0
                amounts[month - 1] += billed.get((month, name), missing)
            elif month > max(months):
                amounts[month - 1] += forecast.of(name, month) * factor + unforeseen
            else:
                amounts[month - 1] += forecast.of(name, month)
    return amounts


# ---- the verdict ----


def _baseline_usd(document: Mapping[str, Any], scale: float, forecast: _Forecast) -> float | None:
    baseline = _option(document, document["recommendation"]["baseline_option_id"])
    if not baseline["feasible"] or baseline["total_usd"] is None:
        return None
    months = sum(_at_volume(baseline, month, scale, forecast) for month in range(1, forecast.horizon + 1))
    return float(baseline["upfront_usd"]) + months


def _at_volume(option: Mapping[str, Any], month: int, scale: float, forecast: _Forecast) -> float:
    """An option's month at the measured volume, without double running: token lines by volume, servers by whole replicas."""
    lines: Mapping[str, float] = option["months"][month - 1]["lines"]
    servers = _replica_factor(option["plan"], month, scale, forecast)
    return sum(
        amount * (scale if name in TOKEN_LINES else servers if name in SERVER_LINES else 1.0)
        for name, amount in lines.items()
        if name != "double_running"
    )


def _replica_factor(plan: Mapping[str, Any] | None, month: int, scale: float, forecast: _Forecast) -> float:
    """Whole replicas at the measured volume over those at the forecast one."""
    if plan is None or not plan["replica_tokens_per_month"]:
        return 1.0
    one, spares = plan["replica_tokens_per_month"], plan["spare_replicas"]
    tokens = float(forecast.volume.total_tokens[month - 1])
    planned, needed = (max(1.0, np.ceil(amount / one * (1.0 - 1e-12))) + spares for amount in (tokens, tokens * scale))
    return float(needed / planned)


def _alternative(
    document: Mapping[str, Any],
    used: Mapping[str, Any],
    by_month: NDArray[np.float64],
    months: Sequence[int],
    scale: float,
    forecast: _Forecast,
) -> Alternative | None:
    """The option that is expected to cost least for the rest, if that is clearly less than what is in use."""
    rest = range(max(months) + 1, forecast.horizon + 1)
    stay = float(by_month[max(months) :].sum())
    found: list[Alternative] = []
    for option in document["options"]:
        if option["id"] == used["id"] or not option["feasible"] or option["total_usd"] is None:
            continue
        baseline = option["id"] == document["recommendation"]["baseline_option_id"]
        wait = int(option["live_after_months"])
        cost = 0.0 if baseline else float(option["upfront_usd"])
        for place, month in enumerate(rest):
            live = max(month, min(wait + 1, forecast.horizon))  # a month of the forecast in which the option itself served
            cost += _at_volume(option, live, scale, forecast) if place >= wait else float(by_month[month - 1])
        spent = 0.0 if baseline else float(option["spent_if_it_fails_usd"])
        chance = float(option["good_enough_probability"])
        found.append(
            Alternative(
                option_id=option["id"],
                title=option["title"],
                expected_usd=expected_usd(chance, cost, spent, stay),
                stay_usd=stay,
            )
        )
    best = min(found, key=lambda one: (one.expected_usd, one.option_id), default=None)
    return best if best is not None and best.expected_usd < stay * (1.0 - SWITCH_SHARE) else None


def _alerts(
    used: Mapping[str, Any],
    total: float,
    baseline: float | None,
    alternative: Alternative | None,
    scale: float,
    forecast: _Forecast,
    months: Sequence[int],
) -> Iterable[str]:
    if baseline is not None and baseline < total:
        yield (
            f"{used['title']} is now forecast at {usd(total)} over the horizon, more than the {usd(baseline)} "
            "that staying on today's model would cost at the measured volume."
        )
    if alternative is not None:
        yield (
            f"{alternative.title} is expected to cost {usd(alternative.expected_usd)} for the rest, {used['title']} "
            f"{usd(alternative.stay_usd)}: decide anew with the measured volume."
        )
    plan, last = forecast.plan, max(months)
    if plan is not None and last < forecast.horizon:
        tokens = float(forecast.volume.total_tokens[last:].max()) * scale
        if tokens > plan["capacity_tokens_per_month"] * (1.0 + 1e-9):
            yield (
                f"At the measured volume a month brings {tokens / 1e6:,.0f} million tokens, and the planned servers carry "
                f"{plan['capacity_tokens_per_month'] / 1e6:,.0f} million: more servers are needed than were planned."
            )


def _notes(lines: Iterable[LineVariance], months: Sequence[int], volume: float | None) -> Iterable[str]:
    missing = [line.line for line in lines if line.actual_usd is None and line.forecast_usd > 0]
    if missing:
        yield f"No bill has {', '.join(missing)}: they are left out of the variance and stay as forecast."
    gaps = sorted(set(range(1, max(months) + 1)) - set(months))
    if gaps:
        yield f"Month {', '.join(str(month) for month in gaps)} was not billed and stays as forecast."
    if volume is None:
        yield "No bill names tokens, so the volume is taken as forecast and a difference cannot be parted into volume and price."


def _sentence(
    used: Mapping[str, Any], months: Sequence[int], horizon: int, actual: float, expected: float, total: float, forecast_total: float
) -> str:
    difference = actual - expected
    share = f" ({percent(abs(difference) / expected)})" if expected > 0 else ""
    word = (
        "as forecast" if round(difference) == 0 else f"{usd(abs(difference))}{share} {'more' if difference > 0 else 'less'} than forecast"
    )
    count = f"{len(months)} month{'s' if len(months) > 1 else ''}"
    return (
        f"{used['title']} was billed {usd(actual)} in {count}, {word}; over {horizon} months it comes to {usd(total)} instead of "
        f"{usd(forecast_total)}."
    )
