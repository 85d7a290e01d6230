"""A log read in a child process: the same summary, a sentence when it fails, and nothing left behind."""

import json
import time
from pathlib import Path

import duckdb
import pytest

from facts.errors import InputError
from tests.workloads.test_text_tokens import COLUMNS, write_vocabulary
from workloads.log_formats import LogFormat, TimeUnit
from workloads.log_job import LogJob
from workloads.trace_summary import summary_json
from workloads.traces import summarize
from workloads.usage import UsageSummary

LOG = b"TIMESTAMP,ContextTokens,GeneratedTokens\n2026-11-01 10:00:00,10,1\n2026-11-01 11:30:00,20,2\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where temporary folders are made; every test must leave it empty."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


def ended(files, **wanted) -> LogJob:
    job = LogJob.start(files, **wanted)
    job.wait()
    return job


def test_the_summary_is_the_one_of_this_process(tmp_path):
    job = ended([("office.csv", LOG)], zone="Europe/Berlin")
    path = tmp_path / "office.csv"
    path.write_bytes(LOG)
    assert (job.state, job.problem, job.share) == ("done", "", 1.0)
    assert job.columns == ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
    assert summary_json(job.summary) == summary_json(summarize(path, zone="Europe/Berlin"))


def test_files_of_one_name_stay_apart_and_a_mapping_goes_along():
    own = LogFormat(time="at", time_unit=TimeUnit.EPOCH_S, input_tokens="i", output_tokens="o")
    job = ended([("log.csv", b"at,i,o\n1760000000,1,1\n"), ("log.csv", b"at,i,o\n1760000060,3,1\n")], columns=own)
    assert (job.state, job.summary.requests, job.summary.input_lengths.total_tokens) == ("done", 2, 4)


def test_a_usage_export_is_read_as_one():
    job = ended([("usage.csv", b"start_time,end_time,num_model_requests,input_tokens,output_tokens\n0,3600,5,50,5\n")])
    assert isinstance(job.summary, UsageSummary)
    assert job.summary.requests == 5


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "empty.csv is empty"),
        ("../../x/other.csv", b"a,b\n1,2\n", "other.csv is no request log that is known: it has the columns a, b"),
        ("one.csv", LOG[:70], "one.csv holds 1 request(s) at one moment"),
    ],
)
def test_what_cannot_be_read_is_a_sentence_about_the_file_by_its_name(name, content, words):
    job = ended([(name, content)])
    assert job.state == "failed"
    assert job.problem.startswith(words)
    assert "rightsize-read-" not in job.problem


def test_no_file_is_wrong_input():
    with pytest.raises(InputError, match="no request log is given"):
        LogJob.start([])


def test_a_reading_that_is_cancelled_or_dies_leaves_nothing(tmp_path):
    path = tmp_path / "long.csv"
    query = "SELECT 1760000000 + i AS t, 5 AS i, 1 AS o FROM range(3000000) t(i)"
    duckdb.sql(f"COPY ({query}) TO '{path}' (HEADER)")
    own = LogFormat(time="t", time_unit=TimeUnit.EPOCH_S, input_tokens="i", output_tokens="o")
    content = Path(path).read_bytes()
    cancelled = LogJob.start([("long.csv", content)], columns=own)
    while not cancelled.columns and not cancelled.over:
        time.sleep(0.01)
    cancelled.cancel()
    cancelled.wait()
    assert (cancelled.state, cancelled.summary) == ("cancelled", None)
    died = LogJob.start([("long.csv", content)], columns=own)
    while not died.columns and not died.over:
        time.sleep(0.01)
    died._process.kill()
    died.wait()
    assert died.state == "failed"
    assert "the reading ended by itself" in died.problem


def test_texts_are_counted_with_the_beginning_of_a_gguf_file(tmp_path):
    pytest.importorskip("llama_cpp")
    rows = [{"id": str(number), "at": number * 60, "asked": None, "prompt": "hello hello", "answer": "hello"} for number in range(3)]
    log = "".join(json.dumps(row) + "\n" for row in rows).encode()
    job = LogJob.start(
        [("texts.jsonl", log)], columns=COLUMNS, tokenizer=("../llama-3.gguf", write_vocabulary(tmp_path / "tiny.gguf").read_bytes())
    )
    job.wait()
    assert (job.state, job.problem) == ("done", "")
    assert (job.summary.input_lengths.total_tokens, job.summary.output_lengths.total_tokens) == (15, 6)
    assert job.summary.counted_with == "llama3"
    wrong = LogJob.start([("texts.jsonl", log)], columns=COLUMNS, tokenizer=("zip.gguf", b"PK"))
    wrong.wait()
    assert wrong.state == "failed"
    assert wrong.problem == "zip.gguf cannot count tokens here: llama.cpp cannot read it"
