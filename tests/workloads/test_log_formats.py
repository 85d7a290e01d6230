"""Logs of other kinds: known columns, one's own mapping, many files, parts of the traffic, repeats, caches."""

import json
from pathlib import Path

import duckdb
import pytest

from facts.errors import InputError
from workloads.log_formats import LogFormat, fitting_format, log_formats, read_log_format
from workloads.trace_summary import workload_of
from workloads.traces import log_files, summarize

TRACES = Path(__file__).resolve().parents[3] / "shared" / "data" / "traces"

OWN = """
time = "when"
time_unit = "epoch_s"
input_tokens = "usage.in"
output_tokens = "usage.out"
cached_input_tokens = "usage.cached"
route = "tenant"
"""


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_burstgpt(tmp_path):
    path = tmp_path / "BurstGPT_1.csv"
    path.write_text(
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,230,1317,Conversation log\n118,GPT-4,417,276,693,API log\n",
        encoding="utf-8",
    )
    summary = summarize(path)
    assert (summary.format_id, summary.requests, summary.span_s, summary.first) == ("burstgpt", 3, 113.0, None)
    assert [(part.name, part.requests, part.input_tokens, part.output_tokens) for part in summary.routes] == [
        ("ChatGPT", 2, 472 + 1087, 18 + 230),
        ("GPT-4", 1, 417, 276),
    ]


def test_litellm_spend_logs_count_a_repeated_request_once(tmp_path):
    path = tmp_path / "spend.csv"
    path.write_text(
        "request_id,call_type,startTime,prompt_tokens,completion_tokens,model_group,metadata\n"
        'a,acompletion,2026-11-01 10:00:00.123,100,10,small,"{""x"": ""a,b""}"\n'
        "b,acompletion,2026-11-01 10:00:05,200,20,small,{}\n"
        "a,acompletion,2026-11-01 10:00:00.123,100,10,small,{}\n"
        "c,acompletion,2026-11-01 10:00:10,300,30,large,{}\n",
        encoding="utf-8",
    )
    summary = summarize(path)
    assert (summary.format_id, summary.requests, summary.duplicates, summary.broken_rows) == ("litellm", 3, 1, 0)
    assert summary.input_lengths.total_tokens == 100 + 200 + 300
    assert "1 rows repeat a request id and are counted once." in summary.remarks


LANGFUSE = [
    {
        "id": "1",
        "type": "GENERATION",
        "start_time": "2026-11-01 10:00:00.000001",
        "name": "chat",
        "usage_details": {"input": 100, "output": 10},
    },
    {"id": "2", "type": "SPAN", "start_time": "2026-11-01 10:00:01", "name": "step", "usage_details": {}},
    {
        "id": "3",
        "type": "GENERATION",
        "start_time": "2026-11-01 10:00:02",
        "name": "chat",
        "usage_details": {"input": 300, "output": 30, "input_cached_tokens": 150},
    },
    {"id": "4", "type": "GENERATION", "start_time": "2026-11-01 10:00:03", "name": "chat", "usage_details": {"output": 30}},
]


def test_langfuse_counts_generations_and_says_what_it_left_out(tmp_path):
    summary = summarize(lines(tmp_path / "observations.jsonl", LANGFUSE))
    assert (summary.format_id, summary.requests, summary.other_rows, summary.broken_rows) == ("langfuse", 2, 1, 1)
    assert (summary.input_lengths.total_tokens, summary.output_lengths.total_tokens) == (400, 40)
    assert summary.cached_input_share == 150 / 300  # of the row that says
    (broken,) = summary.broken_examples
    assert (broken.place, broken.reason) == ("line 4", "'usage_details.input' is missing or no such number or time")


def test_the_same_rows_as_csv_and_as_parquet_give_the_same_figures(tmp_path):
    source = lines(tmp_path / "o.jsonl", LANGFUSE)
    with duckdb.connect() as database:
        types = "{id: 'VARCHAR', type: 'VARCHAR', start_time: 'TIMESTAMP', name: 'VARCHAR', usage_details: 'JSON'}"
        table = f"read_json('{source}', format = 'newline_delimited', columns = {types})"
        shape = '{"input": "INT", "output": "INT", "input_cached_tokens": "INT"}'
        nested = f"(SELECT * REPLACE (from_json(usage_details, '{shape}') AS usage_details) FROM {table})"
        for what, name, how in (
            (table, "o.csv", "HEADER"),
            (table, "o.parquet", "FORMAT parquet"),
            (nested, "nested.parquet", "FORMAT parquet"),
        ):
            database.execute(f"COPY (SELECT * FROM {what}) TO '{tmp_path / name}' ({how})")
    for name in ("o.csv", "o.parquet", "nested.parquet"):
        summary = summarize(tmp_path / name)
        assert (summary.requests, summary.other_rows, summary.broken_rows, summary.cached_input_share) == (2, 1, 1, 0.5), name
        assert (summary.input_lengths.total_tokens, summary.span_s) == (400, pytest.approx(1.999999)), name
    assert summarize(tmp_path / "o.csv").broken_examples[0].place == "line 5"
    assert summarize(tmp_path / "o.parquet").broken_examples[0].place == "row 4"


def test_a_mapping_of_ones_own(tmp_path):
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(OWN, encoding="utf-8")
    rows = [
        {"when": 1_767_225_600 + second, "usage": {"in": 100, "out": 10, "cached": 25}, "tenant": "a" if second < 3 else "b's"}
        for second in range(5)
    ]
    path = lines(tmp_path / "log.jsonl", rows)
    summary = summarize(path, columns=read_log_format(mapping))
    assert (summary.requests, summary.cached_input_share, summary.span_s) == (5, 0.25, 4.0)
    assert str(summary.first) == "2026-01-01 00:00:00+00:00"
    assert workload_of(summary).cached_input_share == 0.25
    part = summarize(path, columns=read_log_format(mapping), route="b's")
    assert (part.requests, part.name) == (2, "log, b's")
    with pytest.raises(InputError, match="no route 'c': the largest in its column 'tenant' are 'a', 'b's'"):
        summarize(path, columns=read_log_format(mapping), route="c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('time = "when"\n', "'time_unit' is missing"),
        (OWN + 'tme = "x"\n', "unknown key 'tme' .nearest known: 'time'."),
        (OWN.replace("epoch_s", "minutes"), "'time_unit' = 'minutes'"),
        (OWN + 'only_column = "type"\n', "only_column and only_value belong together"),
    ],
)
def test_a_wrong_mapping_is_one_sentence(tmp_path, change, message):
    path = tmp_path / "mapping.toml"
    path.write_text(change, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_log_format(path)


def test_a_mapping_that_does_not_fit_names_its_columns(tmp_path):
    own = LogFormat(time="a", time_unit="epoch_s", input_tokens="b", output_tokens="c")
    with pytest.raises(InputError, match="has the columns x, y, and wanted are those of own mapping: a, b, c"):
        fitting_format(("x", "y"), "log", own)


def test_every_known_format_is_found_by_its_own_columns():
    for known in log_formats():
        assert fitting_format(known.columns, "log") is known


HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"


def test_many_files_are_one_log(tmp_path):
    for day in (1, 2, 3):
        (tmp_path / f"day{day}.csv").write_text(f"{HEADER}\n2026-11-0{day} 12:00:00,{day},1\nx,1,1\n", encoding="utf-8")
    summary = summarize(log_files([str(tmp_path / "day*.csv")]))
    assert (summary.files, summary.requests, summary.broken_rows, summary.span_s) == (3, 3, 3, 2 * 86_400)
    assert [row.place for row in summary.broken_examples] == ["day1.csv, line 3", "day2.csv, line 3", "day3.csv, line 3"]
    assert summary.name == "day1 and 2 more"


def test_files_of_two_kinds_are_not_mixed(tmp_path):
    (tmp_path / "a.csv").write_text(f"{HEADER}\n2026-11-01 12:00:00,1,1\n", encoding="utf-8")
    other = lines(tmp_path / "b.jsonl", [{"timestamp": 1, "input_length": 1, "output_length": 1}])
    with pytest.raises(InputError, match="summarise them apart"):
        summarize([tmp_path / "a.csv", other])
    with pytest.raises(InputError, match="count from their own start"):
        summarize([other, other])


def test_wildcards_find_files_and_a_name_without_match_stays(tmp_path):
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).touch()
    assert log_files([str(tmp_path / "*.csv"), str(tmp_path / "a.csv"), "none*.csv"]) == (
        tmp_path / "a.csv",
        tmp_path / "b.csv",
        Path("none*.csv"),
    )


def test_prefix_reuse_counts_blocks_that_stood_before(tmp_path):
    rows = [
        {"timestamp": 0, "input_length": 1_500, "output_length": 1, "hash_ids": [1, 2, 3]},
        {"timestamp": 1_000, "input_length": 1_100, "output_length": 1, "hash_ids": [1, 2, 9]},
        {"timestamp": 2_000, "input_length": 500, "output_length": 1, "hash_ids": [1]},
    ]
    summary = summarize(lines(tmp_path / "t.jsonl", rows))
    # Nothing of the first, two blocks of the second, all 500 tokens of the third.
    assert summary.prefix_reuse_share == (0 + 2 * 512 + 500) / (1_500 + 1_100 + 500)


@pytest.mark.shared
def test_the_prefix_reuse_of_the_mooncake_trace():
    summary = summarize(TRACES / "mooncake_fast25_synthetic_trace.jsonl.gz")
    assert summary.prefix_reuse_share is not None
    assert round(summary.prefix_reuse_share, 3) == 0.651


def test_no_hashes_no_reuse(tmp_path):
    rows = [{"timestamp": second, "input_length": 1, "output_length": 1} for second in range(2)]
    summary = summarize(lines(tmp_path / "t.jsonl", rows))
    assert (summary.prefix_reuse_share, summary.cached_input_share, summary.routes) == (None, None, ())
