"""Reads usage that a provider has already added up, bucket by bucket (OpenAI's usage API), into a workload.

Such exports know volumes and means, but no single request: no quantiles, and peaks only as fine as their buckets. The fields of the JSON
are those of https://developers.openai.com/api/docs/api-reference/usage; the columns of the usage page's CSV are those of a file exported in
August 2026 (in pmutua/afyaplus-multimodal-intake-assistant): counts with a decimal point, and empty cells in buckets without use. Both were
read on 2026-11-26.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field

from facts.errors import InputError
from facts.records import Fact, validated
from facts.units import SECONDS_PER_DAY
from workloads.demand import Complexity, Workload
from workloads.text_tokens import common_tokenizer
from workloads.trace_summary import ASSUMED_COMPLEXITY, PLANNING_WINDOW_S, RouteVolume

SHOWN = 40
"""Characters of a wrong cell that are shown."""
LOOK_BYTES = 65_536
"""Of a file's beginning, in which a usage export names its fields."""


class UsageResult(Fact):
    """One line of a bucket: the sums of one model, project or key, or of all together."""

    input_tokens: int = Field(default=0, ge=0)
    """Input tokens, cached ones included."""
    output_tokens: int = Field(default=0, ge=0)
    """Output tokens, hidden reasoning included."""
    input_cached_tokens: int = Field(default=0, ge=0)
    """Input tokens that were billed as cached."""
    num_model_requests: int = Field(default=0, ge=0)
    """Requests."""
    model: str | None = None
    """The model, when the export was grouped by it."""
    batch: bool | None = None
    """Whether these requests were sent in batches, when the export was grouped by that."""


@dataclass(frozen=True, kw_only=True)
class UsageSummary:
    """What a usage export says.

    name: of the file
    span_s: from the start of the first bucket to the end of the last, seconds
    bucket_s: width of a bucket, seconds
    requests, input_tokens, cached_input_tokens, output_tokens: in all
    busiest_to_mean: tokens of the busiest bucket over the mean bucket of the span
    empty_before: buckets before the first request
    buckets: of the span
    batch_share: share of the requests that were sent in batches, as far as the export says
    models: largest first; one without a name when the export was not grouped by model
    """

    name: str
    span_s: float
    bucket_s: float
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    busiest_to_mean: float
    empty_before: int
    buckets: int
    batch_share: float
    models: tuple[RouteVolume, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must check before using the numbers, one sentence each."""
        found = []
        if self.bucket_s > PLANNING_WINDOW_S:
            found.append(f"CHECK peak_to_mean: buckets of {self.bucket_s:.0f} s hide the busiest minute, so it is the default.")
        if self.empty_before:
            found.append(
                f"CHECK requests_per_day: the first {self.empty_before} of {self.buckets} buckets hold no request and count as quiet ones; "
                f"if the traffic began later, it is {self.buckets / (self.buckets - self.empty_before):.3g} times as much."
            )
        return tuple(found)


def is_usage(path: Path) -> bool:
    """Whether a file looks like a usage export: its beginning names the requests of a bucket, and it is not packed."""
    try:
        with path.open("rb") as file:
            return b"num_model_requests" in file.read(LOOK_BYTES)
    except OSError:
        return False


def summarize_usage(path: Path) -> UsageSummary:
    """Sums of a usage export: one page of the usage API's JSON, a list of pages, a list of buckets, or the CSV of the usage page."""
    text = _text(path)
    opened = _csv_buckets(text, str(path)) if not text.lstrip().startswith(("{", "[")) else _buckets(_document(text, path), str(path))
    buckets = sorted(opened, key=lambda bucket: bucket[0])
    if not buckets:
        raise InputError(f"{path} holds no bucket: wanted is the JSON of OpenAI's usage API, with start_time, end_time and results")
    start, end = buckets[0][0], max(bucket[1] for bucket in buckets)
    results = [result for _, _, found in buckets for result in found]
    requests = sum(result.num_model_requests for result in results)
    if requests == 0:
        raise InputError(f"{path} holds {len(buckets)} buckets and 0 requests: nothing can be planned for that")
    per_bucket: dict[int, int] = {}
    asked: dict[int, int] = {}
    for first, _, found in buckets:
        per_bucket[first] = per_bucket.get(first, 0) + sum(result.input_tokens + result.output_tokens for result in found)
        asked[first] = asked.get(first, 0) + sum(result.num_model_requests for result in found)
    width = min(bucket[1] - bucket[0] for bucket in buckets)
    tokens = sum(per_bucket.values())
    return UsageSummary(
        name=path.name.split(".")[0] or path.name,
        span_s=float(end - start),
        bucket_s=float(width),
        requests=requests,
        input_tokens=sum(result.input_tokens for result in results),
        cached_input_tokens=sum(result.input_cached_tokens for result in results),
        output_tokens=sum(result.output_tokens for result in results),
        busiest_to_mean=max(per_bucket.values()) * (end - start) / (tokens * width) if tokens else 1.0,
        empty_before=next(place for place, count in enumerate(asked.values()) if count),
        buckets=len(asked),
        batch_share=sum(result.num_model_requests for result in results if result.batch) / requests,
        models=_models(results),
    )


def workload_of_usage(usage: UsageSummary, *, complexity: Complexity | None = None, name: str | None = None) -> Workload:
    """The workload behind a usage export: its mean rate and lengths, its cached and batched shares; the peak only from minutes."""
    stated: dict[str, object] = {
        "name": (name or usage.name)[:120],
        "requests_per_day": usage.requests / usage.span_s * SECONDS_PER_DAY,
        "input_tokens_mean": usage.input_tokens / usage.requests,
        "output_tokens_mean": usage.output_tokens / usage.requests,
        "complexity": complexity or ASSUMED_COMPLEXITY,
    }
    if counted_with := common_tokenizer(model.name for model in usage.models):
        stated["tokens_counted_with"] = counted_with
    if usage.cached_input_tokens:
        stated["cached_input_share"] = min(1.0, usage.cached_input_tokens / usage.input_tokens) if usage.input_tokens else 0.0
    if usage.batch_share:
        stated["can_wait_share"] = usage.batch_share
    if usage.bucket_s <= PLANNING_WINDOW_S:
        stated["peak_to_mean"] = min(1000.0, max(1.0, usage.busiest_to_mean))
    return validated(Workload, stated, f"the workload of {usage.name}")


def usage_toml(workload: Workload, usage: UsageSummary, *, complexity_given: bool) -> str:
    """The workload as TOML, with where it comes from and what to check in comment lines above."""
    comments = [
        f"From the usage export {usage.name}: {usage.requests} requests in {usage.span_s / SECONDS_PER_DAY:.2f} days, "
        f"in buckets of {usage.bucket_s:.0f} s. Lengths are means; no single request is known.",
        *usage.remarks,
    ]
    if not complexity_given:
        comments.append(f"CHECK complexity: the export does not say what the answers are for. One of: {', '.join(Complexity)}.")
    top = "".join(f"# {' '.join(comment.split())}\n" for comment in comments)
    return top + "\n" + tomli_w.dumps(workload.model_dump(mode="json", exclude_unset=True, exclude_none=True))


# ---- below: how ----


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, a usage export is wanted") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not JSON in UTF-8: wanted is the answer of OpenAI's usage API") from None


def _document(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON in UTF-8: wanted is the answer of OpenAI's usage API") from None


def _csv_buckets(text: str, where: str) -> Iterator[tuple[int, int, list[UsageResult]]]:
    """A bucket per row of the usage page's CSV; rows of one span are added up like results of one bucket."""
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    if missing := [name for name in ("start_time", "end_time", "num_model_requests") if name not in (reader.fieldnames or [])]:
        raise InputError(f"{where} is no JSON and no usage CSV: it has no column '{missing[0]}'")
    try:
        for row in reader:
            place = f"{where}, line {reader.line_num}"
            known = {key: value for key, value in row.items() if key in UsageResult.model_fields and value not in (None, "")}
            start, end = (_moment_s(row.get(name), f"{place}: {name}") for name in ("start_time", "end_time"))
            if end <= start:
                raise InputError(f"{place}: start_time {start} and end_time {end} are no span of seconds")
            yield start, end, [validated(UsageResult, known, place)]
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num} is no CSV: {error}") from None


def _moment_s(text: str | None, where: str) -> int:
    """Seconds since 1970 of a whole number or an ISO 8601 time, UTC where no zone is given."""
    given = (text or "").strip()
    if given.isdecimal():
        return int(given)
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise InputError(f"{where} is {given[:SHOWN]!r}, and seconds since 1970 or an ISO 8601 time is wanted") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _buckets(document: Any, where: str) -> Iterator[tuple[int, int, list[UsageResult]]]:
    """Every bucket as start, end and results; pages and lists are opened."""
    if isinstance(document, list):
        for number, part in enumerate(document, 1):
            yield from _buckets(part, f"{where} [{number}]")
    elif isinstance(document, dict) and isinstance(document.get("data"), list):
        yield from _buckets(document["data"], where)
    elif isinstance(document, dict) and isinstance(document.get("results"), list):
        start, end = document.get("start_time"), document.get("end_time")
        if not isinstance(start, int) or not isinstance(end, int) or end <= start:
            raise InputError(f"{where}: start_time {start!r} and end_time {end!r} are no span of seconds")
        yield start, end, [_result(result, where) for result in document["results"]]
    else:
        raise InputError(f"{where} is no bucket of OpenAI's usage API: wanted are start_time, end_time and results")


def _result(result: Any, where: str) -> UsageResult:
    if not isinstance(result, dict):
        raise InputError(f"{where}: a result is {result!r}, and an object with token counts is wanted")
    known = {key: value for key, value in result.items() if key in UsageResult.model_fields and value is not None}  # it has many more
    return validated(UsageResult, known, where)


def _models(results: list[UsageResult]) -> tuple[RouteVolume, ...]:
    results = [result for result in results if result.num_model_requests or result.input_tokens or result.output_tokens]
    names = sorted({result.model or "" for result in results})
    found = [_model(name, [result for result in results if (result.model or "") == name]) for name in names]
    return tuple(sorted(found, key=lambda one: -(one.input_tokens + one.output_tokens)))


def _model(name: str, results: list[UsageResult]) -> RouteVolume:
    return RouteVolume(
        name=name,
        requests=sum(result.num_model_requests for result in results),
        input_tokens=sum(result.input_tokens for result in results),
        output_tokens=sum(result.output_tokens for result in results),
    )
