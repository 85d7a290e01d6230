"""Every figure of a log against a computation of its own in numpy: other code, the definitions of docs/method.md."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facts.errors import InputError
from workloads.log_formats import LogFormat, TimeUnit
from workloads.trace_summary import WINDOWS_S
from workloads.traces import summarize

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START_US = 1_760_000_000_000_000


def log_of(seed: int, rows: int = 3_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in microseconds with ties, bursts, quiet hours and clocks that jump back; and tokens with many ties and a few giants."""
    random = np.random.default_rng(seed)
    steps = np.where(random.random(rows) < 0.1, 0, random.exponential(5e6, rows) * random.choice([0.01, 1, 30], rows)).astype(np.int64)
    times = START_US + np.cumsum(steps)
    times[random.integers(0, rows, rows // 50)] -= 600_000_000
    asked = random.integers(0, 50, rows) * 40
    asked[:2] = [2**32 - 1, 0]
    return times, asked, random.integers(0, 9, rows) ** 3


def expected(times_us, asked, answered) -> dict[str, float]:
    """The figures, from the definitions alone."""
    times, asked, answered = (np.asarray(part, dtype=np.int64) for part in (times_us, asked, answered))
    ordered = np.sort(times)
    span, gaps = int(ordered[-1] - ordered[0]), np.diff(ordered)
    found: dict[str, float] = {
        "requests": times.size,
        "span_s": span / 1e6,
        "asked": int(asked.sum()),
        "answered": int(answered.sum()),
        "gap_cv": float(gaps.std() / gaps.mean()),
        "jumps": int((np.diff(times) < 0).sum()),
    }
    for share in (0.5, 0.9, 0.95, 0.99):
        for name, tokens in (("asked", asked), ("answered", answered)):
            found[f"{name} p{share}"] = int(np.sort(tokens)[int(np.ceil(share * tokens.size)) - 1])
    for width in WINDOWS_S:
        windows = span // (width * 1_000_000)
        if windows < 2:
            continue
        slot = (times - ordered[0]) // (width * 1_000_000)
        inside = slot < windows
        requests = np.bincount(slot[inside], minlength=windows)
        tokens = [0] * windows
        for place, amount in zip(slot[inside].tolist(), (asked + answered)[inside].tolist(), strict=True):
            tokens[place] += amount
        found[f"requests {width}"] = int(requests.max()) * windows / int(requests.sum())
        found[f"tokens {width}"] = max(tokens) * windows / sum(tokens)
    return found


def figures(summary) -> dict[str, float]:
    found: dict[str, float] = {
        "requests": summary.requests,
        "span_s": summary.span_s,
        "asked": summary.input_lengths.total_tokens,
        "answered": summary.output_lengths.total_tokens,
        "gap_cv": summary.gap_cv,
        "jumps": summary.clock_jumps_back,
    }
    for share in (0.5, 0.9, 0.95, 0.99):
        for name, lengths in (("asked", summary.input_lengths), ("answered", summary.output_lengths)):
            found[f"{name} p{share}"] = lengths.quantile_tokens(share)
    for peak in summary.peaks:
        found[f"requests {peak.window_s}"] = peak.requests_to_mean
        found[f"tokens {peak.window_s}"] = peak.tokens_to_mean
    return found


def assert_same(summary, wanted) -> None:
    found = figures(summary)
    assert found.keys() == wanted.keys()
    assert {name: found[name] for name in found if name != "gap_cv"} == {name: wanted[name] for name in wanted if name != "gap_cv"}
    assert found["gap_cv"] == pytest.approx(wanted["gap_cv"], rel=1e-9)


def moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=int(us))


STAMPS = {
    "ISO, UTC": (TimeUnit.DATETIME, lambda us: moment(us).isoformat(timespec="microseconds")),
    "ISO with Z": (TimeUnit.DATETIME, lambda us: moment(us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
    "ISO, no zone, seven decimals": (TimeUnit.DATETIME, lambda us: moment(us).strftime("%Y-%m-%d %H:%M:%S.%f") + "9"),
    "ISO with the offset of India": (TimeUnit.DATETIME, lambda us: moment(us).astimezone(timezone(timedelta(hours=5.5))).isoformat()),
    "epoch s": (TimeUnit.EPOCH_S, lambda us: f"{us // 10**6}.{us % 10**6:06}"),
    "epoch ms": (TimeUnit.EPOCH_MS, lambda us: f"{us // 1000}.{us % 1000:03}"),
    "epoch us": (TimeUnit.EPOCH_US, str),
    "epoch ns": (TimeUnit.EPOCH_NS, lambda us: f"{us}999"),
    "elapsed s": (TimeUnit.ELAPSED_S, lambda us: f"{us - START_US}e-6"),
    "elapsed us": (TimeUnit.ELAPSED_US, lambda us: str(us - START_US)),
}
MAPPING = {"time": "at", "input_tokens": "asked", "output_tokens": "answered"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("stamp", STAMPS)
def test_every_way_to_write_a_moment_in_every_kind_of_file(tmp_path, stamp, kind):
    unit, written = STAMPS[stamp]
    times, asked, answered = log_of(len(stamp), 400)
    rows = [(written(int(us)), int(given), int(made)) for us, given, made in zip(times, asked, answered, strict=True)]
    path = tmp_path / f"log.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps({"at": at, "asked": given, "answered": made}) + "\n" for at, given, made in rows))
    else:
        path.write_text("at,asked,answered\n" + "".join(f"{at},{given},{made}\n" for at, given, made in rows))
    if kind == "parquet":
        text = path.rename(tmp_path / "text.csv")
        duckdb.sql(f"COPY (FROM read_csv('{text}', header = true, all_varchar = true)) TO '{path}' (FORMAT parquet)")
    assert_same(summarize(path, columns=LogFormat(**MAPPING, time_unit=unit)), expected(times, asked, answered))


@pytest.mark.parametrize("seed", range(4))
def test_ties_bursts_and_clocks_that_jump_back(tmp_path, seed):
    times, asked, answered = log_of(seed)
    path = tmp_path / "log.csv"
    rows = "".join(f"{moment(us)},{given},{made}\n" for us, given, made in zip(times, asked, answered, strict=True))
    path.write_text("at,asked,answered\n" + rows)
    assert_same(summarize(path, columns=LogFormat(**MAPPING, time_unit=TimeUnit.DATETIME)), expected(times, asked, answered))


@pytest.mark.parametrize("packed", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_packed_files_marks_quoted_line_ends_and_many_scripts(tmp_path, packed, end):
    times, asked, answered = log_of(9, 500)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(["note", "at", "answered", "asked"])
    notes = ["plain", 'with "quotes"', f"two{end}lines", "漢字, ünïcode, עברית", "", ";;|"]
    for number, (us, ask, made) in enumerate(zip(times, asked, answered, strict=True)):
        writer.writerow([notes[number % len(notes)], moment(us), made, ask])
    content = ("\ufeff" + text.getvalue()).encode()
    path = tmp_path / "log.bin"
    if packed == "gzip":
        path.write_bytes(gzip.compress(content))
    elif packed == "zstd":
        plain = tmp_path / "plain.csv"
        plain.write_bytes(content)
        duckdb.sql(
            f"COPY (FROM read_csv('{plain}', header = true, all_varchar = true, quote = '\"', delim = ',')) TO '{path}' "
            "(FORMAT csv, HEADER, COMPRESSION zstd)"
        )
    else:
        path.write_bytes(content)
    assert_same(summarize(path, columns=LogFormat(**MAPPING, time_unit=TimeUnit.DATETIME)), expected(times, asked, answered))


def test_a_log_in_many_files_is_the_log_in_one(tmp_path):
    times, asked, answered = log_of(11, 900)
    for part in range(3):
        rows = zip(times[part * 300 :][:300], asked[part * 300 :][:300], answered[part * 300 :][:300], strict=True)
        content = "at,asked,answered\n" + "".join(f"{moment(us).isoformat()},{given},{made}\n" for us, given, made in rows)
        (tmp_path / f"{part}.csv.gz").write_bytes(gzip.compress(content.encode()))
    columns = LogFormat(**MAPPING, time_unit=TimeUnit.DATETIME)
    assert_same(summarize(sorted(tmp_path.glob("*.gz")), columns=columns), expected(times, asked, answered))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.one_of(st.none(), st.sampled_from("abc")), st.integers(0, 10**7), st.integers(0, 20), st.integers(0, 20)),
        min_size=2,
        max_size=30,
    )
)
def test_a_request_that_stands_twice_counts_once_the_first_time(tmp_path, rows):
    """The same id is the same request, whatever else the row says; rows without an id are never the same, even if all else is."""
    path = tmp_path / "ids.jsonl"
    path.write_text("".join(json.dumps({"id": name, "at": at, "asked": given, "answered": made}) + "\n" for name, at, given, made in rows))
    seen: set[str] = set()
    kept = []
    for row in rows:
        if row[0] is None or row[0] not in seen:
            kept.append(row)
        seen |= {row[0]} if row[0] is not None else set()
    columns = LogFormat(**MAPPING, request_id="id", time_unit=TimeUnit.EPOCH_US)
    if len({row[1] for row in kept}) == 1:
        with pytest.raises(InputError, match="at one moment"):
            summarize(path, columns=columns)
        return
    summary = summarize(path, columns=columns)
    assert (summary.requests, summary.duplicates) == (len(kept), len(rows) - len(kept))
    assert summary.input_lengths.total_tokens == sum(row[2] for row in kept)
    ordered = np.sort([row[1] for row in kept])
    assert summary.span_s == (ordered[-1] - ordered[0]) / 1e6


@pytest.mark.parametrize("text", ["12.5", "-3", "nan", "inf", "0x10", "twelve", "4294967296", "1e300", "1,5", "", "null", "true"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_what_is_no_whole_number_of_tokens_is_counted_as_broken_and_never_rounded(tmp_path, text, kind):
    path = tmp_path / f"log.{kind}"
    good = [("2026-11-01 10:00:00", "5"), ("2026-11-01 10:00:09", "6.0")]
    rows = [good[0], ("2026-11-01 10:00:03", text), good[1]]
    if kind == "csv":
        path.write_text("at;asked;answered\n" + "".join(f"{at};{given};1\n" for at, given in rows))
    else:
        path.write_text("".join(json.dumps({"at": at, "asked": given, "answered": 1}) + "\n" for at, given in rows))
    summary = summarize(path, columns=LogFormat(**MAPPING, time_unit=TimeUnit.DATETIME))
    assert (summary.requests, summary.broken_rows, summary.input_lengths.total_tokens) == (2, 1, 11)
    assert summary.broken_examples[0].place == ("line 3" if kind == "csv" else "line 2")


def test_a_broken_row_below_a_row_of_two_lines_is_named_by_its_line(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        'note,at,asked,answered\n"two\nlines",2026-11-01 10:00:00,5,1\nx,2026-11-01 10:00:01,12.5,1\nx,2026-11-01 10:00:02,5,1\n'
    )
    (example,) = summarize(path, columns=LogFormat(**MAPPING, time_unit=TimeUnit.DATETIME)).broken_examples
    assert (example.place, example.text) == ("line 4", "x,2026-11-01 10:00:01,12.5,1")


def test_a_key_that_only_later_objects_have_is_read(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [{"at": 0, "asked": 100, "answered": 1}, {"at": 1, "asked": 100, "answered": 1, "cached": 50, "team": "a"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = LogFormat(**MAPPING, cached_input_tokens="cached", route="team", time_unit=TimeUnit.ELAPSED_S)
    summary = summarize(path, columns=columns)
    assert summary.cached_input_share == 0.5  # of the rows that say how many
    assert {route.name: route.requests for route in summary.routes} == {"": 1, "a": 1}


# ---- time zones ----


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Chatham"])
@pytest.mark.parametrize("month", [3, 10])
def test_the_hours_of_the_week_are_those_of_the_zone_also_when_clocks_are_changed(tmp_path, zone, month):
    random = np.random.default_rng(month)
    start = datetime(2026, month, 20, tzinfo=UTC)
    times = [start + timedelta(seconds=int(second)) for second in np.sort(random.integers(0, 16 * 86_400, 4_000))]
    path = tmp_path / "log.csv"
    path.write_text("at,asked,answered\n" + "".join(f"{at.isoformat()},10,1\n" for at in times))
    summary = summarize(path, columns=LogFormat(**MAPPING, time_unit=TimeUnit.DATETIME), zone=zone)
    assert summary.zone == zone
    place = ZoneInfo(zone)
    offset_s = int(times[0].astimezone(place).utcoffset().total_seconds())
    begin = -(-(times[0].timestamp() + offset_s) // 3600) * 3600 - offset_s
    end = (times[-1].timestamp() + offset_s) // 3600 * 3600 - offset_s
    total, hours = np.zeros((7, 24)), np.zeros((7, 24))
    for number in range(int(end - begin) // 3600):
        clock = datetime.fromtimestamp(begin + number * 3600, place)
        hours[clock.weekday(), clock.hour] += 1
    for at in times:
        if begin <= at.timestamp() < end:
            clock = datetime.fromtimestamp(begin + (at.timestamp() - begin) // 3600 * 3600, place)
            total[clock.weekday(), clock.hour] += 1
    assert summary.week is not None
    assert np.array_equal(summary.week, total / hours)


def test_a_moment_without_a_zone_is_read_in_the_logs_own(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "at,asked,answered\n2026-07-01 12:00:00,1,1\n2026-07-01T12:00:00+02:00,1,1\n2026-07-01T10:30:00Z,1,1\n2026-12-01 12:00:00,1,1\n"
    )
    summary = summarize(path, columns=LogFormat(**MAPPING, time_unit=TimeUnit.DATETIME, time_zone="Europe/Berlin"))
    assert summary.first == datetime(2026, 7, 1, 10, tzinfo=UTC)  # summer time: two hours ahead
    assert summary.last == datetime(2026, 12, 1, 11, tzinfo=UTC)  # winter time: one
    assert summary.clock_jumps_back == 0


def test_a_zone_that_is_none_is_one_sentence(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("at,asked,answered\n2026-07-01 12:00:00,1,1\n2026-07-02 12:00:00,1,1\n")
    columns = LogFormat(**MAPPING, time_unit=TimeUnit.DATETIME)
    with pytest.raises(InputError, match="'Berlin' is no time zone: write it as in Europe/Berlin"):
        summarize(path, columns=columns, zone="Berlin")
    with pytest.raises(ValueError, match="'Mars/One' is no time zone"):
        LogFormat(**MAPPING, time_unit=TimeUnit.DATETIME, time_zone="Mars/One")
