"""Tables of a decision: results to data frames of text, as page and paper show them, and to CSV with the full numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pandas as pd

from dashboard import format as fmt
from dashboard.numerals import STYLES
from selector.results import BaseModelChoice, Line, Month, OptionResult, Recommendation


def factors_table(option: OptionResult) -> pd.DataFrame:
    """What an option means for the organisation, factor by factor."""
    return pd.DataFrame(
        [
            {"Factor": fmt.words(factor.name.value), "Met": fmt.words(factor.level.value), "Why": f"{factor.because}."}
            for factor in option.factors
        ]
    )


def factors_of_all(recommendation: Recommendation) -> pd.DataFrame:
    """How far every option meets every factor."""
    return pd.DataFrame(
        [
            {
                "Option": option.title + ("" if option.feasible else " (refused)"),
                **{fmt.words(factor.name.value): factor.level.value for factor in option.factors},
            }
            for option in recommendation.options
        ]
    )


def shortlist_table(choice: BaseModelChoice) -> pd.DataFrame:
    """The pilot's base models; a bill that was not worked out is no number."""
    return pd.DataFrame(
        [
            {
                "Model": entry.name,
                "Total with it": fmt.usd(entry.total_usd),
                "Licence": entry.licence or "the vendor's terms",
                "Context": fmt.NOTHING if entry.context_tokens is None else f"{entry.context_tokens:,}",
                "Languages": entry.languages or "ask the vendor",
            }
            for entry in choice.shortlist
        ]
    )


def fixed_table(recommendation: Recommendation) -> pd.DataFrame:
    """The table that never changes its form: GPT-4-class API, self-hosted 70B, fine-tuned 7B."""
    horizon = recommendation.scenario.workload.horizon_months
    rows = []
    for row in recommendation.table:
        option = recommendation.option(row.option_id)
        is_baseline = row.option_id is not None and row.option_id == recommendation.choice.baseline_option_id
        is_70b = option is not None and str(option.arm) == "self_hosted_70b"
        rows.append(
            {
                "Option": row.label,
                f"{horizon}-month total": fmt.usd(row.total_usd),
                "Upfront": fmt.usd(row.upfront_usd),
                "ROI": fmt.roi(row.roi),
                "Payback vs API": _payback(row.payback_vs_api_months, row.total_usd, horizon, is_itself=is_baseline),
                "Payback vs 70B": _payback(row.payback_vs_70b_months, row.total_usd, horizon, is_itself=is_70b),
                "Allowed": "yes" if row.refused_because is None else "no",
            }
        )
    return pd.DataFrame(rows)


def fixed_table_by_arm(recommendation: Recommendation) -> pd.DataFrame:
    """The same table with an arm per column: four narrow columns, so it fits on a phone."""
    frame = fixed_table(recommendation).set_index("Option").transpose()
    return frame.rename_axis(None, axis="columns").rename_axis("").reset_index()


def fixed_table_notes(recommendation: Recommendation) -> tuple[str, ...]:
    """Why an arm of the fixed table may not be chosen."""
    return tuple(f"{row.label} is refused: {row.refused_because}." for row in recommendation.table if row.refused_because)


def options_table(recommendation: Recommendation) -> pd.DataFrame:
    """Every option that may be chosen, best first by expected cost."""
    return pd.DataFrame(
        [
            {
                "Option": option.title + marks(recommendation, option),
                "Runs on": runs_on(option),
                "Good enough": fmt.share(option.quality.probability),
                "Total": fmt.usd(option.total_usd),
                "Expected": fmt.usd(option.expected_usd),
                "Upfront": fmt.usd(option.upfront_usd),
                "Per M tokens": fmt.usd(option.usd_per_mtok, cents=True),
                "NPV": fmt.usd(option.npv_usd),
                "ROI": fmt.roi(option.roi),
                "Payback": fmt.NOTHING if option.id == recommendation.choice.baseline_option_id else fmt.months(option.payback_months),
            }
            for option in recommendation.options
            if option.feasible
        ]
    )


def refused_table(recommendation: Recommendation) -> pd.DataFrame:
    """Every option that was refused, with the sentence of the first gate that refused it."""
    return pd.DataFrame(
        [
            {
                "Option": option.title,
                "Runs on": runs_on(option),
                "Would cost": fmt.usd(option.total_usd),
                "Refused because": option.refused_because or "no reason was given",
            }
            for option in recommendation.options
            if not option.feasible
        ]
    )


def refused_by_reason(recommendation: Recommendation) -> pd.DataFrame:
    """The same in fewer lines, for paper: a row per reason, with every option it refused and what that would cost."""
    reasons: dict[str, list[str]] = {}
    for option in recommendation.options:
        if not option.feasible:
            cost = "" if option.total_usd is None else f" {fmt.usd(option.total_usd)}"
            reasons.setdefault(option.refused_because or "no reason was given", []).append(f"{option.title}{cost}")
    return pd.DataFrame([{"Options": "; ".join(found), "Refused because": reason} for reason, found in reasons.items()])


def shown_ids(recommendation: Recommendation) -> frozenset[str]:
    """The options that paper compares: those that may be chosen, the three arms, today's model and the fallback."""
    choice = recommendation.choice
    named = {choice.option_id, choice.baseline_option_id, choice.fallback_option_id, *(row.option_id for row in recommendation.table)}
    return frozenset(option.id for option in recommendation.options if option.feasible or option.id in named)


def months_table(option: OptionResult, *, fold: bool = False, rows: int | None = None) -> pd.DataFrame:
    """The bill of one option: a row per month, a column per cost line, the upfront first, the totals last.

    `fold` puts equal months that follow one another into one row: '4 to 12, each'. Where that leaves more than `rows` of them, the
    months are added up by quarter, half year or year: '1 to 3, together'.
    """
    names = line_names(option)
    found = []
    if option.upfront_usd:
        found.append(
            {"Month": "upfront", **{fmt.line_name(name): fmt.NOTHING for name in names}, "Total": fmt.usd(option.upfront_usd, cents=True)}
        )
    runs = _runs(option) if fold else [(month.month, month.month, month) for month in option.months]
    word = "each"
    if rows is not None and len(runs) > rows:
        runs, word = _together(option, rows), "together"
    for first, last, month in runs:
        label = str(first) if first == last else f"{first} to {last}, {word}"
        amounts = {fmt.line_name(name): fmt.usd(_of(month.lines, name), cents=True) for name in names}
        found.append({"Month": label, **amounts, "Total": fmt.usd(month.total_usd, cents=True)})
    sums = {fmt.line_name(name): fmt.usd(sum(_of(month.lines, name) for month in option.months), cents=True) for name in names}
    found.append({"Month": "all", **sums, "Total": fmt.usd(option.total_usd, cents=True)})
    return pd.DataFrame(found)


def upfront_table(option: OptionResult) -> pd.DataFrame:
    """What is paid before the first month, line by line."""
    return pd.DataFrame(
        [{"Paid upfront": fmt.line_name(line.name), "Amount": fmt.usd(line.usd)} for line in option.upfront_lines if line.usd]
    )


def key_figures(option: OptionResult) -> pd.DataFrame:
    """The figures of one option that are not in its bill."""
    plan = option.plan
    figures = {
        "Total": fmt.usd(option.total_usd),
        "Per million tokens": fmt.usd(option.usd_per_mtok, cents=True),
        "A year once all runs": fmt.usd(option.run_rate_year_usd),
        "NPV against today": fmt.usd(option.npv_usd),
        "ROI": fmt.roi(option.roi),
        "Payback": fmt.months(option.payback_months),
        "Live after": fmt.months(option.live_after_months),
        "Good enough": f"{fmt.share(option.quality.probability)} ({fmt.share(option.quality.low)} to {fmt.share(option.quality.high)})",
    }
    if plan is not None:
        figures |= {
            "Servers": f"{plan.replicas} of {plan.server}" + (f", {plan.spare_replicas} of them spare" if plan.spare_replicas else ""),
            "Busy": fmt.share(plan.utilization_share),
            "Speed of one": f"{fmt.rate(plan.output_tokens_per_s)}, {plan.basis}",
            "First token, at the peak": fmt.milliseconds(plan.ttft_ms),
            "Each further token": fmt.milliseconds(plan.tpot_ms),
        }
    return pd.DataFrame([{"Figure": name, "Value": value} for name, value in figures.items()])


def linear_table(recommendation: Recommendation) -> pd.DataFrame:
    """The three arms by the article's own method, beside ours; why the two differ stands in the rows of `article_method`."""
    return pd.DataFrame(
        [
            {
                "Arm": row.label,
                "The article's price": f"{fmt.usd(row.usd_per_mtok, cents=True)} per M tokens",
                "A month of your volume": fmt.usd(row.usd_per_month),
                "A year": fmt.usd(row.usd_per_year),
                "Ours": fmt.NOTHING if row.our_usd_per_mtok is None else f"{fmt.usd(row.our_usd_per_mtok, cents=True)} per M tokens",
            }
            for row in recommendation.article_method
        ]
    )


def views_table(recommendation: Recommendation) -> pd.DataFrame:
    """What stands beside the total and is never ranked: amortised view, electricity, emissions; options with servers only."""
    return pd.DataFrame(
        [
            {
                "Option": option.title,
                "Cash total": fmt.usd(option.total_usd),
                "Amortised total": fmt.usd(option.amortised_total_usd),
                "Electricity": fmt.NOTHING if option.energy_kwh is None else f"{option.energy_kwh:,.0f} kWh",
                "Per million tokens": fmt.NOTHING if option.kwh_per_mtok is None else f"{option.kwh_per_mtok:.3g} kWh",
                "Emissions": fmt.NOTHING if option.co2e_kg is None else f"{option.co2e_kg:,.0f} kg CO2e",
            }
            for option in recommendation.options
            if option.total_usd is not None and (option.amortised_total_usd is not None or option.energy_kwh is not None)
        ]
    )


def path_table(recommendation: Recommendation) -> pd.DataFrame:
    """The walk through the decision tree, one row per question."""
    return pd.DataFrame(
        [
            {"Question": step.question, "Your value": step.value, "Answer": step.answer, "Because": step.because}
            for step in recommendation.path
        ]
    )


def sources_table(recommendation: Recommendation) -> pd.DataFrame:
    """Every number in use with where it comes from, when it was read and how it was come by."""
    return pd.DataFrame(
        [
            {
                "What": line.label,
                "Value": line.value,
                "Source": line.url or line.note or fmt.NOTHING,
                "Read on": line.checked.isoformat() if line.checked else fmt.NOTHING,
                "Age": fmt.age(line.age_days),
                "Basis": str(line.basis),
            }
            for line in recommendation.sources
        ]
    )


def sources_overview(recommendation: Recommendation) -> pd.DataFrame:
    """The same for the page, in fewer columns: date with age, address with note."""
    return pd.DataFrame(
        [
            {
                "What": line.label,
                "Value": line.value,
                "Basis": str(line.basis),
                "Read on": f"{line.checked.isoformat()}, {fmt.age(line.age_days)}" if line.checked else fmt.NOTHING,
                "Source and note": " ".join(part for part in (line.url, line.note) if part) or fmt.NOTHING,
            }
            for line in recommendation.sources
        ]
    )


def line_names(option: OptionResult) -> list[str]:
    """The cost lines of an option that are not zero in every month, in the order of the bill."""
    names = dict.fromkeys(line.name for month in option.months for line in month.lines)
    return [name for name in names if any(_of(month.lines, name) for month in option.months)]


def months_csv(recommendation: Recommendation, style: str = "en") -> str:
    """Every option's bill as CSV: one row per option, month and line, unrounded USD; month 0 is the upfront.

    `style` names the numerals: where the decimal point is a comma, fields are parted by semicolons, as spreadsheets there expect.
    """
    numerals = STYLES[style]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n", delimiter=numerals.field)
    writer.writerow(["option_id", "option", "arm", "placement", "feasible", "month", "line", "usd"])
    for option in recommendation.options:
        head = [
            fmt.csv_literal(option.id),
            fmt.csv_literal(option.title),
            str(option.arm),
            str(option.placement),
            "yes" if option.feasible else "no",
        ]
        for line in option.upfront_lines:
            writer.writerow([*head, 0, fmt.csv_literal(line.name), repr(float(line.usd)).replace(".", numerals.point)])
        for month in option.months:
            for line in month.lines:
                writer.writerow([*head, month.month, fmt.csv_literal(line.name), repr(float(line.usd)).replace(".", numerals.point)])
    return out.getvalue()


def runs_on(option: OptionResult) -> str:
    """Where an option runs, in a few words: provider, servers."""
    where = fmt.PLACEMENT_NAMES.get(str(option.placement), fmt.words(str(option.placement)))
    if option.plan is None:
        return f"{option.provider}, {where}" if option.provider else where
    count = option.plan.replicas
    if str(option.placement) == "local":
        return where if count == 1 else f"{count} machines like this one"
    return f"{count} {'server' if count == 1 else 'servers'} of {option.plan.server}, {option.provider or where}"


def marks(recommendation: Recommendation, option: OptionResult) -> str:
    """' (recommended, the tree's pick)': what an option is to the decision."""
    choice = recommendation.choice
    names = {
        "recommended": choice.option_id == option.id,
        "today": choice.baseline_option_id == option.id,
        "the tree's pick": option.tree_pick,
        "cheapest": choice.cheapest_option_id == option.id,
    }
    found = ", ".join(name for name, holds in names.items() if holds)
    return f" ({found})" if found else ""


def _payback(months: float | None, total_usd: float | None, horizon: int, *, is_itself: bool) -> str:
    if is_itself or total_usd is None:
        return fmt.NOTHING
    return fmt.months(months, horizon)


def _runs(option: OptionResult) -> list[tuple[int, int, Month]]:
    """(first, last, month) of each stretch of months with the same lines."""
    runs: list[tuple[int, int, Month]] = []
    for month in option.months:
        if runs and runs[-1][2].lines == month.lines:
            runs[-1] = (runs[-1][0], month.month, month)
        else:
            runs.append((month.month, month.month, month))
    return runs


def _together(option: OptionResult, rows: int) -> list[tuple[int, int, Month]]:
    """(first, last, sum) of stretches of 3, 6 or 12 months, as short as `rows` of them allow."""
    months = option.months
    size = next((size for size in (3, 6) if len(months) <= size * rows), 12)
    found = []
    for start in range(0, len(months), size):
        part = months[start : start + size]
        names = dict.fromkeys(line.name for month in part for line in month.lines)
        lines = tuple(Line(name=name, usd=sum(_of(month.lines, name) for month in part)) for name in names)
        total = sum(month.total_usd for month in part)
        found.append((part[0].month, part[-1].month, Month(month=part[0].month, lines=lines, total_usd=total)))
    return found


def _of(lines: Sequence[Line], name: str) -> float:
    return sum(line.usd for line in lines if line.name == name)
