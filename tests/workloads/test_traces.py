"""Request logs: the published figures come out again, and no row is lost without being counted."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facts.errors import InputError
from workloads.demand import Complexity
from workloads.log_formats import log_formats
from workloads.trace_summary import LengthDistribution, summary_json, workload_of
from workloads.traces import _in_words, summarize

TRACES = Path(__file__).resolve().parents[3] / "shared" / "data" / "traces"
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
GOOD = ["2026-11-01 10:00:00.5,100,10", "2026-11-01 10:00:01.0,300,30"]


@pytest.fixture
def log(tmp_path):
    def write(*lines: str, header: str = HEADER, end: str = "\n", name: str = "log.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(end.join((header, *lines)).encode())
        return path

    return write


# ---- the published traces ----


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "requests", "span_s", "rate", "prompt", "answer", "gap_cv"),
    [
        ("AzureLLMInferenceTrace_2023_code.csv.gz", 8_819, 3_436, 2.57, (1469, 5194, 7436, 2048, 7437), (13, 55, 252, 28, 1899), 13.2),
        ("AzureLLMInferenceTrace_2023_conv.csv.gz", 19_366, 3_502, 5.53, (1020, 2735, 4142, 1155, 14050), (129, 424, 601, 211, 1000), 1.09),
    ],
)
def test_the_figures_of_the_azure_traces(name, requests, span_s, rate, prompt, answer, gap_cv):
    summary = summarize(TRACES / name)
    assert (summary.requests, summary.broken_rows, summary.clock_jumps_back) == (requests, 0, 0)
    assert round(summary.span_s) == span_s
    assert round(summary.mean_requests_per_s, 2) == rate
    for lengths, expected in ((summary.input_lengths, prompt), (summary.output_lengths, answer)):
        found = (*(lengths.quantile_tokens(share) for share in (0.5, 0.9, 0.99)), round(lengths.mean_tokens), lengths.max_tokens)
        assert found == expected
    assert float(f"{summary.gap_cv:.3g}") == gap_cv


@pytest.mark.shared
@pytest.mark.parametrize(("name", "minute", "ten_seconds"), [("conv", "1.76", "2.36"), ("code", "4.28", "13.4")])
def test_the_peaks_of_the_azure_traces(name, minute, ten_seconds):
    summary = summarize(TRACES / f"AzureLLMInferenceTrace_2023_{name}.csv.gz")
    peaks = {peak.window_s: peak.tokens_to_mean for peak in summary.peaks}
    assert f"{peaks[60]:.3g}" == minute
    assert f"{peaks[10]:.3g}" == ten_seconds
    assert 3600 not in peaks  # the log is shorter than two hours


@pytest.mark.shared
def test_the_figures_of_the_mooncake_trace():
    summary = summarize(TRACES / "mooncake_fast25_synthetic_trace.jsonl.gz")
    assert (summary.requests, round(summary.span_s), round(summary.mean_requests_per_s, 2)) == (3_993, 1_022, 3.91)
    assert (summary.first, summary.last) == (None, None)
    assert (round(summary.input_lengths.mean_tokens), summary.input_lengths.max_tokens) == (15_325, 191_378)
    assert (round(summary.output_lengths.mean_tokens), summary.output_lengths.max_tokens) == (149, 893)
    assert (summary.input_lengths.quantile_tokens(0.5), summary.output_lengths.quantile_tokens(0.5)) == (11_587, 69)


@pytest.mark.shared
def test_a_trace_equals_an_independent_count():
    path = TRACES / "AzureLLMInferenceTrace_2023_conv.csv.gz"
    summary = summarize(path)
    rows = pd.read_csv(path)
    for lengths, column in ((summary.input_lengths, "ContextTokens"), (summary.output_lengths, "GeneratedTokens")):
        assert lengths.total_tokens == rows[column].sum()
        for share in (0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0):
            assert lengths.quantile_tokens(share) == np.quantile(rows[column], share, method="inverted_cdf")


@pytest.mark.shared
def test_the_conversation_trace_as_a_workload():
    stated = workload_of(summarize(TRACES / "AzureLLMInferenceTrace_2023_conv.csv.gz"), complexity=Complexity.QA)
    assert stated.requests_per_day == pytest.approx(19_366 / 3_501.721937 * 86_400)
    assert stated.mean_tokens_per_day == pytest.approx(stated.requests_per_day * (1154.697408 + 211.125942), rel=1e-8)
    assert f"{stated.peak_to_mean:.2f}" == "1.76"


# ---- arithmetic on small logs ----


def test_the_figures_of_a_log_of_four(log):
    summary = summarize(
        log("2026-11-01 10:00:00,100,10", "2026-11-01 10:00:10,200,20", "2026-11-01 10:00:20,300,30", "2026-11-01 10:00:40,300,0")
    )
    assert summary.span_s == 40
    assert summary.mean_requests_per_s == 4 / 40
    assert summary.requests_per_day == 4 / 40 * 86_400
    assert summary.input_lengths.mean_tokens == (100 + 200 + 300 + 300) / 4
    assert summary.input_share == 900 / (900 + 60)
    # Complete windows of 10 s: 110, 220, 330, 0 tokens; the request at 40 s stands in an incomplete one.
    (peak,) = summary.peaks
    assert (peak.window_s, peak.windows) == (10, 4)
    assert peak.tokens_to_mean == 330 / (660 / 4)
    assert peak.requests_to_mean == 1 / (3 / 4)
    # Gaps 10, 10, 20: mean 40/3, variance (2 x (10/3)^2 + (20/3)^2) / 3.
    assert summary.gap_cv == pytest.approx((((2 * (10 / 3) ** 2 + (20 / 3) ** 2) / 3) ** 0.5) / (40 / 3))
    assert (summary.first, summary.last) == (datetime(2026, 11, 1, 10, tzinfo=UTC), datetime(2026, 11, 1, 10, 0, 40, tzinfo=UTC))


def test_a_zone_is_kept_and_no_zone_is_utc(log):
    summary = summarize(log("2026-11-01 12:00:00+02:00,1,1", "2026-11-01T10:00:05Z,1,1", "2026-11-01 10:00:10,1,1"))
    assert summary.span_s == 10
    assert summary.first == datetime(2026, 11, 1, 10, tzinfo=UTC)


def test_a_quantile_is_a_length_that_occurs():
    lengths = LengthDistribution(lengths_tokens=np.array([1, 5, 9]), counts=np.array([5, 4, 1]))
    assert [lengths.quantile_tokens(share) for share in (0.0, 0.5, 0.51, 0.9, 0.91, 1.0)] == [1, 1, 5, 5, 9, 9]
    assert lengths.mean_tokens == (5 * 1 + 4 * 5 + 9) / 10


def test_a_clock_that_jumps_back_is_counted_and_the_times_are_sorted(log):
    summary = summarize(log("2026-11-01 10:00:20,1,1", "2026-11-01 10:00:00,1,1", "2026-11-01 10:00:10,1,1"))
    assert summary.clock_jumps_back == 1
    assert (summary.span_s, summary.gap_cv) == (20, 0)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_do_not_matter(log, end, mark):
    assert summarize(log(*GOOD, header=mark + HEADER, end=end)).requests == 2


def test_line_ends_of_both_kinds_in_one_file(log):
    summary = summarize(log(GOOD[0] + "\r", GOOD[1], "x,1,1\r", GOOD[1]))
    assert (summary.requests, summary.broken_rows, summary.broken_examples[0].place) == (3, 1, "line 4")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_other_columns_their_order_and_the_delimiter_do_not_matter(log, delimiter):
    header = delimiter.join(["user", "generatedtokens", "ContextTokens", "note", "TimeStamp"])
    rows = [delimiter.join(["é", "10", "100", '"a ""b"" c"', f"2026-11-01 10:00:0{second}"]) for second in range(3)]
    summary = summarize(log(*rows, header=header))
    assert (summary.requests, summary.broken_rows) == (3, 0)
    assert (summary.input_lengths.total_tokens, summary.output_lengths.total_tokens) == (300, 30)


def test_a_packed_log_is_known_by_its_content(tmp_path):
    path = tmp_path / "log.csv"  # no .gz in the name
    path.write_bytes(gzip.compress("\n".join((HEADER, *GOOD)).encode(), mtime=0))
    assert summarize(path).requests == 2


def test_a_name_with_stars_is_one_file(tmp_path):
    for name in ("log[1]*.csv", "log1x.csv"):
        (tmp_path / name).write_text("\n".join((HEADER, *GOOD)), encoding="utf-8")
    assert summarize(tmp_path / "log[1]*.csv").requests == 2


# ---- rows that cannot be read ----


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-11-01 10:00:02,-1,10", "'ContextTokens' is missing or no such number"),
        ("2026-11-01 10:00:02,,10", "'ContextTokens' is missing or no such number"),
        ("2026-11-01 10:00:02,1,", "'GeneratedTokens' is missing or no such number"),
        ("2026-11-01 10:00:02,1,99999999999999999999", "'GeneratedTokens' is missing or no such number"),
        ("2026-11-01 10:00:02,1,nan", "'GeneratedTokens' is missing or no such number"),
        ("yesterday,1,1", "'TIMESTAMP' is missing or no such number or time"),
        (",1,1", "'TIMESTAMP' is missing or no such number or time"),
        ("2026-13-01 10:00:02,1,1", "'TIMESTAMP' is missing or no such number or time"),
        ("2026-11-01 10:00:02,1", "missing columns"),
        ("2026-11-01 10:00:02,4,808,10", "too many columns"),
    ],
)
def test_a_broken_row_is_counted_and_shown_with_its_line(log, row, reason):
    summary = summarize(log(GOOD[0], row, GOOD[1]))
    assert (summary.requests, summary.broken_rows) == (2, 1)
    (example,) = summary.broken_examples
    assert example.place == "line 3"
    assert example.reason.startswith(reason)
    assert example.text == row.strip()
    assert any(remark.startswith("1 of 3 rows could not be read and are not counted, the first at line 3") for remark in summary.remarks)


def test_a_time_without_end_is_broken(log):
    summary = summarize(log(*GOOD, "infinity,1,1"))
    assert (summary.requests, summary.broken_rows) == (2, 1)


def test_bytes_that_are_no_text_break_their_row_only(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes("\n".join((HEADER, GOOD[0])).encode() + b"\n2026-11-01 10:00:02,1,\xff\n" + GOOD[1].encode())
    summary = summarize(path)
    assert (summary.requests, summary.broken_rows, summary.broken_examples[0].place) == (2, 1, "line 3")


def test_broken_json_lines_are_counted_and_shown_with_their_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"timestamp": 0, "input_length": 5, "output_length": 1}\r\n\r\n{"timestamp": 1, \xff}\n\n'
        b'{"timestamp": 10, "input_length": -5, "output_length": 1}\nfoo "bar\n[1]\n'
        b'{"timestamp": "nan", "input_length": 7, "output_length": 1}\n'
        b'{"timestamp": 2000, "input_length": 7, "output_length": 1, "x": "\xc3\xa9"}'
    )
    summary = summarize(path)
    assert (summary.requests, summary.broken_rows, summary.span_s) == (2, 5, 2.0)
    assert [(row.place, row.reason) for row in summary.broken_examples] == [
        ("line 3", "not UTF-8 text"),
        ("line 5", "'input_length' is missing or no such number or time"),
        ("line 6", "not a JSON object"),
        ("line 7", "'timestamp' is missing or no such number or time"),
        ("line 8", "'timestamp' is missing or no such number or time"),
    ]


# ---- logs that are none ----


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "no line of UTF-8 text"),
        (b"a,b\n1,2\n", r"has the columns a, b, and wanted are those of azure-2023: TIMESTAMP, ContextTokens, GeneratedTokens"),
        (HEADER.encode(), "holds no request: 0 rows"),
        ((HEADER + "\nx,y,z\n").encode(), "0 rows could be read and 1 could not; the first, line 2"),
        ((HEADER + "\n" + GOOD[0]).encode(), "at one moment"),
        (b"\x1f\x8bjunk", "cannot be read"),
        (gzip.compress(b"TIMESTAMP,b\n" * 10_000, mtime=0)[:60], "cannot be read"),
        (HEADER.encode("utf-16"), "is UTF-16 text"),
        (bytes(range(256)) * 100, "no request log|cannot be read|no line"),
        (b"x" * 200_000, "no header that can be read"),
        (b'{"a": 1}\n', "has the columns a, and wanted"),
        (b'{"a":\n1}\n', "one whole object a line"),
    ],
)
def test_a_file_that_is_no_log_is_one_sentence(tmp_path, content, message):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        summarize(path)
    assert "\n" not in str(raised.value)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        summarize(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        summarize(tmp_path)


@pytest.mark.parametrize("error", [duckdb.InterruptException("Interrupted!"), RuntimeError("Query interrupted")])
def test_ctrl_c_while_a_log_is_read_is_no_wrong_input(error):
    with pytest.raises(KeyboardInterrupt), _in_words(Path("log.csv")):
        raise error


def test_answers_of_no_tokens_are_no_workload(log):
    summary = summarize(log("2026-11-01 10:00:00,100,0", "2026-11-01 10:00:01,100,0"))
    with pytest.raises(InputError, match=r"answers 0\.00 tokens"):
        workload_of(summary)


def test_the_known_formats_say_where_they_are_from():
    assert all(known.source is not None and known.source.url.startswith("https://") for known in log_formats())


# ---- any log ----

TOKENS = st.one_of(st.integers(0, 2**32 - 1), st.integers(-(2**70), 2**70), st.text(max_size=8))
TIMES = st.one_of(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)).map(str),
    st.text(max_size=8),
)


def readable(row) -> bool:
    """Whether a row's tokens are certainly readable, decided without the importer."""
    return all(isinstance(number, int) and 0 <= number < 2**32 for number in row[1:3])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(TIMES, TOKENS, TOKENS, st.text(max_size=12)), max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_every_row_of_any_csv_is_either_read_or_counted(tmp_path, rows, end, mark, quoting):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=quoting)
    writer.writerow([*HEADER.split(","), "note"])
    writer.writerow(["2026-11-01 00:00:00", 1, 1, ""])
    writer.writerow(["2026-11-01 00:00:01", 1, 1, ""])
    clean = [tuple(_without_line_ends(value) for value in row) for row in rows]
    writer.writerows(clean)
    path = tmp_path / "any.csv"
    path.write_bytes((mark + text.getvalue()).encode("utf-8", "surrogatepass"))
    summary = summarize(path)
    assert summary.requests + summary.broken_rows == 2 + len(rows)
    certain = [row for row in clean if readable(row) and row[0][:2] in ("20", "21") and len(row[0]) >= 19 and _encodable(row[3])]
    assert summary.requests >= 2 + len(certain)
    json.dumps(summary_json(summary), allow_nan=False)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps_us=st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=30),
    lengths=st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), min_size=31, max_size=31),
)
def test_the_figures_of_any_log_equal_an_independent_count(tmp_path, steps_us, lengths):
    times_us = np.concatenate([[0], np.cumsum(steps_us)])
    rows = [(int(moment), *pair) for moment, pair in zip(times_us, lengths, strict=False)]
    start = datetime(2026, 11, 1)
    path = tmp_path / "any.csv"
    path.write_text(
        "\n".join([HEADER, *(f"{start + timedelta(microseconds=moment)},{mean_in},{mean_out}" for moment, mean_in, mean_out in rows)]),
        encoding="utf-8",
    )
    if len(set(times_us.tolist())) == 1:
        with pytest.raises(InputError, match="at one moment"):
            summarize(path)
        return
    summary = summarize(path)
    ordered = np.sort(times_us)
    assert summary.clock_jumps_back == sum(step < 0 for step in steps_us)
    assert summary.span_s == pytest.approx((ordered[-1] - ordered[0]) / 1e6)
    assert summary.input_lengths.total_tokens == sum(row[1] for row in rows)
    assert summary.output_lengths.quantile_tokens(0.9) == np.quantile([row[2] for row in rows], 0.9, method="inverted_cdf")
    gaps = np.diff(ordered)
    assert summary.gap_cv == pytest.approx(gaps.std() / gaps.mean(), rel=1e-6, abs=1e-9)
    for peak in summary.peaks:
        width = peak.window_s * 1_000_000
        numbers = (times_us - ordered[0]) // width
        tokens = [0] * peak.windows
        for number, (_, mean_in, mean_out) in zip(numbers, rows, strict=True):
            if number < peak.windows:
                tokens[number] += mean_in + mean_out
        if sum(tokens):
            assert peak.tokens_to_mean == pytest.approx(max(tokens) * peak.windows / sum(tokens))


def _without_line_ends(value):
    return value.replace("\r", " ").replace("\n", " ") if isinstance(value, str) else value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


# ---- progress ----


def test_the_reading_says_how_far_it_is_and_ends_at_the_whole(log):
    shares: list[float] = []
    assert summarize(log(*GOOD), progress=shares.append).requests == 2
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_what_progress_raises_ends_the_reading_and_leaves_nothing(tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    def stop(_share: float) -> None:
        raise Stop

    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    path = tmp_path / "log.csv"
    query = (
        "SELECT make_timestamp(1760000000000000 + i * 1000) AS TIMESTAMP, 5 AS ContextTokens, 1 AS GeneratedTokens FROM range(2000000) t(i)"
    )
    duckdb.sql(f"COPY ({query}) TO '{path}' (HEADER)")
    with pytest.raises(Stop):
        summarize(path, progress=stop)
    assert list(folder.iterdir()) == []
