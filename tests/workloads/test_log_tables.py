"""A log in PostgreSQL gives the same summary as the same log in a file: one SQL counts in both."""

import csv
import random
from datetime import UTC, datetime, timedelta

import pytest

from facts.errors import InputError
from tests.postgres_server import new_database
from workloads.log_formats import LogFormat, TimeUnit
from workloads.log_tables import summarize_table
from workloads.trace_summary import summary_json
from workloads.traces import summarize

START = datetime(2026, 11, 1, tzinfo=UTC)
OWN = LogFormat(
    time="at",
    time_unit=TimeUnit.DATETIME,
    input_tokens="asked",
    output_tokens="answered",
    cached_input_tokens="cached",
    request_id="id",
    route="team",
)

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def database(postgres):
    return new_database(postgres, "logs")


def rows(count=3000, seed=7):
    chance, moment = random.Random(seed), START
    for number in range(count):
        moment += timedelta(microseconds=int(chance.expovariate(1 / 40e6)))
        asked, answered = chance.randint(1, 4000), chance.randint(0, 900)
        yield moment, asked, answered, chance.randint(0, asked), f"r{number % (count - 20)}", chance.choice(["a", "b", "it's"])


def fill(database, table, kinds, values):
    import psycopg

    with psycopg.connect(database.replace("postgresql://rightsize@/", "dbname=").replace("?host=", " user=rightsize host=")) as connection:
        connection.execute(f"CREATE TABLE {table} ({kinds})")
        with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
            for value in values:
                copy.write_row(value)


def figures(summary):
    document = summary_json(summary)
    for key in ("name", "format", "broken_examples", "remarks"):
        document.pop(key)
    return document


@pytest.mark.parametrize("route", [None, "it's"])
def test_the_same_log_in_a_table_and_in_a_file(database, tmp_path, route):
    table = f"own_{'all' if route is None else 'one'}"
    fill(database, table, "at timestamptz, asked int, answered int, cached int, id text, team text", rows())
    path = tmp_path / "log.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["at", "asked", "answered", "cached", "id", "team"])
        writer.writerows((moment.isoformat(), *rest) for moment, *rest in rows())
    there, here = summarize_table(database, table, columns=OWN, route=route), summarize(path, columns=OWN, route=route)
    ours, theirs = figures(there), figures(here)
    assert ours.pop("gap_cv") == pytest.approx(theirs.pop("gap_cv"), rel=1e-9)
    assert ours == theirs
    assert there.duplicates == 20


@pytest.mark.parametrize("unit", [TimeUnit.EPOCH_NS, TimeUnit.EPOCH_US, TimeUnit.EPOCH_MS])
def test_numbers_of_every_unit_and_hours_of_a_zone(database, tmp_path, unit):
    factor = {TimeUnit.EPOCH_NS: 1000, TimeUnit.EPOCH_US: 1, TimeUnit.EPOCH_MS: 0.001}[unit]
    own = LogFormat(time="at", time_unit=unit, input_tokens="asked", output_tokens="answered")
    values = [(int(moment.timestamp() * 1e6 * factor), asked, answered) for moment, asked, answered, *_ in rows(900)]
    fill(database, f"numbers_{unit.value}", "at bigint, asked int, answered int", values)
    path = tmp_path / "log.csv"
    path.write_text("at,asked,answered\n" + "".join(f"{at},{asked},{answered}\n" for at, asked, answered in values))
    there = figures(summarize_table(database, f"numbers_{unit.value}", columns=own, zone="Asia/Kathmandu"))
    here = figures(summarize(path, columns=own, zone="Asia/Kathmandu"))
    assert there.pop("gap_cv") == pytest.approx(here.pop("gap_cv"), rel=1e-9)
    assert there == here


def test_a_time_without_a_zone_is_read_in_the_logs_own_there_and_here(database, tmp_path):
    """Also in the hour that comes twice and in the one that there is not, where clocks are changed."""
    own = OWN.model_copy(update={"time_zone": "Europe/Berlin"})
    times = ["2026-03-29 01:30:00", "2026-03-29 02:30:00", "2026-03-29 03:30:00", "2026-10-25 02:30:00", "2026-10-25 04:00:00"]
    values = [(at, 5, 1, 0, str(number), "a") for number, at in enumerate(times)]
    fill(database, "local_times", "at timestamp, asked int, answered int, cached int, id text, team text", values)
    path = tmp_path / "log.csv"
    path.write_text("at,asked,answered,cached,id,team\n" + "".join(",".join(map(str, row)) + "\n" for row in values))
    there, here = (
        summarize_table(database, "local_times", columns=own, zone="Europe/Berlin"),
        summarize(path, columns=own, zone="Europe/Berlin"),
    )
    assert there.first == here.first == datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert there.last == here.last == datetime(2026, 10, 25, 3, 0, tzinfo=UTC)
    ours, theirs = figures(there), figures(here)
    ours.pop("gap_cv"), theirs.pop("gap_cv")
    assert ours == theirs


def test_a_table_of_texts_is_to_be_given_as_a_file(database):
    fill(database, "texts", "at timestamptz, asked text, answered int", [])
    own = LogFormat(time="at", time_unit=TimeUnit.DATETIME, input_text="asked", output_tokens="answered")
    with pytest.raises(InputError, match="counted from text, which needs a file"):
        summarize_table(database, "texts", columns=own)


def test_the_table_of_litellm_is_known(database):
    kinds = '"request_id" text, "startTime" timestamp, "prompt_tokens" int, "completion_tokens" int, "model_group" text'
    values = [("a", "2026-11-01 10:00:00", 5, 1, "x"), ("b", "2026-11-01 10:02:00", None, 1, "x"), ("c", "2026-11-01 10:05:00", 7, 2, None)]
    fill(database, '"LiteLLM_SpendLogs"', kinds, values)
    found = summarize_table(database, "LiteLLM_SpendLogs")
    assert (found.format_id, found.requests, found.broken_rows) == ("litellm", 2, 1)
    assert found.first == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert found.broken_examples[0].place == "row b"
    assert "'prompt_tokens'" in found.broken_examples[0].reason
    assert summarize_table(database, "public.LiteLLM_SpendLogs").requests == 2


def test_fields_inside_json_and_rows_that_are_no_requests(database):
    own = OWN.model_copy(
        update={
            "input_tokens": "usage.input",
            "output_tokens": "usage.output",
            "cached_input_tokens": None,
            "only_column": "kind",
            "only_value": "gen",
        }
    )
    values = [
        ("2026-11-01 10:00:00", '{"input": 5, "output": 1}', "a", "t", "gen"),
        ("2026-11-01 10:01:00", '{"input": -5, "output": 1}', "b", "t", "gen"),
        ("2026-11-01 10:02:00", '{"input": "9", "output": 2.0}', "c", "t", "gen"),
        ("2026-11-01 10:03:00", '{"input": 99999999999, "output": 2}', "d", "t", "gen"),
        ("2026-11-01 10:04:00", '{"input": "many"}', "e", "t", "gen"),
        ("2026-11-01 10:05:00", "{}", "f", "t", "span"),
    ]
    fill(database, "nested", "at timestamptz, usage jsonb, id text, team text, kind text", values)
    found = summarize_table(database, "nested", columns=own)
    assert (found.requests, found.broken_rows, found.other_rows) == (2, 3, 1)
    assert found.input_lengths.total_tokens == 14


def test_what_cannot_be_summarised_is_wrong_input(database, tmp_path):
    with pytest.raises(InputError, match="no table 'nope'"):
        summarize_table(database, "nope")
    with pytest.raises(InputError, match="no table"):
        summarize_table(database, "x'; DROP TABLE y; --")
    fill(database, "empty", "at timestamptz, asked int, answered int", [])
    with pytest.raises(InputError, match="holds 0 request"):
        summarize_table(database, "empty", columns=OWN)
    fill(database, "odd", "at text, asked int, answered int", [])
    with pytest.raises(InputError, match="'at' is text, and a time is wanted"):
        summarize_table(database, "odd", columns=OWN)
    with pytest.raises(InputError, match="only logs in PostgreSQL"):
        summarize_table(f"sqlite:///{tmp_path / 'r.sqlite3'}", "odd")
