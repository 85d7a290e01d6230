"""Usage that a provider has added up: sums and means, and no more than buckets can say."""

import json

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as law
from hypothesis import strategies as st

from facts.errors import InputError
from facts.records import validated
from workloads.demand import Complexity, Workload, read_workload
from workloads.usage import is_usage, summarize_usage, usage_toml, workload_of_usage

DAY = 86_400


def bucket(number: int, width: int = DAY, **results):
    start = 1_767_225_600 + number * width
    line = {"object": "organization.usage.completions.result", "project_id": None, "batch": None, **results}
    return {"object": "bucket", "start_time": start, "end_time": start + width, "results": [line] if results else []}


def page(*buckets):
    return {"object": "page", "data": list(buckets), "has_more": False, "next_page": None}


@pytest.fixture
def export(tmp_path):
    def write(document):
        path = tmp_path / "usage.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


def sums(requests: int, input_tokens: int, output_tokens: int, cached: int = 0, model: str | None = None):
    return {
        "num_model_requests": requests,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "input_cached_tokens": cached,
        "model": model,
    }


def test_two_days_of_usage_as_a_workload(export):
    usage = summarize_usage(export(page(bucket(0, **sums(5, 1000, 500, 800)), bucket(1, **sums(15, 3000, 500, 200)))))
    assert (usage.span_s, usage.bucket_s, usage.requests) == (2 * DAY, DAY, 20)
    stated = workload_of_usage(usage, complexity=Complexity.QA)
    assert stated.requests_per_day == 20 / 2
    assert (stated.input_tokens, stated.output_tokens) == (4000 / 20, 1000 / 20)
    assert stated.cached_input_share == 1000 / 4000
    assert stated.peak_to_mean == Workload.model_fields["peak_to_mean"].default


def test_a_day_without_usage_counts_as_a_day(export):
    usage = summarize_usage(export(page(bucket(0, **sums(10, 10, 10)), bucket(1))))
    assert workload_of_usage(usage).requests_per_day == 10 / 2


def test_minutes_show_the_peak(export):
    usage = summarize_usage(
        export(page(bucket(0, 60, **sums(1, 100, 0)), bucket(1, 60, **sums(1, 400, 100)), bucket(2, 60, **sums(1, 0, 0))))
    )
    assert usage.busiest_to_mean == 500 / (600 / 3)
    assert workload_of_usage(usage, name="m").peak_to_mean == 2.5


def test_pages_lists_and_models(export):
    pages = [page(bucket(0, **sums(1, 10, 1, model="a"))), page(bucket(1, **sums(2, 20, 2, model="b")))]
    usage = summarize_usage(export(pages))
    assert [(one.name, one.requests, one.input_tokens) for one in usage.models] == [("b", 2, 20), ("a", 1, 10)]
    assert summarize_usage(export([pages[0]["data"][0], pages[1]["data"][0]])) == usage


def test_the_workload_says_what_to_check(export, tmp_path):
    usage = summarize_usage(export(page(bucket(0, **sums(5, 1000, 500)))))
    text = usage_toml(workload_of_usage(usage), usage, complexity_given=False)
    assert "CHECK peak_to_mean: buckets of 86400 s hide the busiest minute" in text
    assert "CHECK complexity" in text
    out = tmp_path / "w.toml"
    out.write_text(text, encoding="utf-8")
    assert read_workload(out) == validated(Workload, workload_of_usage(usage).model_dump(exclude_unset=True), "w")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "holds no bucket"),
        ({"a": 1}, "is no bucket"),
        (page(bucket(0)), "1 buckets and 0 requests"),
        (page({"start_time": 5, "end_time": 5, "results": []}), "start_time 5 and end_time 5"),
        (page({"start_time": "x", "end_time": 5, "results": []}), "start_time 'x'"),
        (page(bucket(0, **sums(-1, 1, 1))), "'num_model_requests' = -1"),
        (page(bucket(0, **sums(1, "many", 1))), "'input_tokens' = 'many'"),
        (page({"start_time": 1, "end_time": 5, "results": [7]}), "a result is 7"),
    ],
)
def test_what_is_no_usage_is_one_sentence(export, document, message):
    with pytest.raises(InputError, match=message) as raised:
        summarize_usage(export(document))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_json(tmp_path):
    path = tmp_path / "usage.json"
    path.write_bytes(b"\xff{")
    with pytest.raises(InputError, match="is not JSON"):
        summarize_usage(path)
    with pytest.raises(InputError, match="no such file"):
        summarize_usage(tmp_path / "none.json")


CSV = (
    "start_time,end_time,start_time_iso,project_id,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens,batch\n"
    "1760000000,1760086400,2025-10-09T08:53:20+00:00,p,100,gpt-4o,50000,4000,10000,False\n"
    "1760000000,1760086400,2025-10-09T08:53:20+00:00,q,20,gpt-4o-mini,2000,,0,False\n"
    "2025-10-10T08:53:20,2025-10-11T08:53:20+00:00,,p,60,gpt-4o,30000,3000,,False\n"
)


def test_the_csv_of_the_usage_page_is_the_same_sums(tmp_path):
    path = tmp_path / "completions_usage.csv"
    path.write_text("\ufeff" + CSV.replace("\n", "\r\n"), encoding="utf-8")
    assert is_usage(path)
    found = summarize_usage(path)
    assert (found.requests, found.input_tokens, found.output_tokens, found.cached_input_tokens) == (180, 82_000, 7_000, 10_000)
    assert (found.span_s, found.bucket_s) == (2 * 86_400, 86_400)
    assert found.busiest_to_mean == (50_000 + 4_000 + 2_000) * 2 / 89_000
    assert [(model.name, model.requests) for model in found.models] == [("gpt-4o", 160), ("gpt-4o-mini", 20)]


EXPORTED = (
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,service_tier,"
    "compute_units,input_tokens,output_tokens,input_cached_tokens,input_cache_write_tokens,input_uncached_tokens,input_text_tokens,"
    "output_text_tokens,input_cached_text_tokens,input_audio_tokens,input_cached_audio_tokens,output_audio_tokens,input_image_tokens,"
    "input_cached_image_tokens,output_image_tokens\n"
    "1785542400,1785628800,2026-08-01T00:00:00+00:00,2026-08-02T00:00:00+00:00,,,,,,,,,,,,,,,,,,,,,,\n"
    "1785628800,1785715200,2026-08-02T00:00:00+00:00,2026-08-03T00:00:00+00:00,p,4.0,u,k,gpt-4o-mini-2024-07-18,False,default,,"
    "31422.0,29.0,0.0,0.0,31422.0,31422.0,29.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
    "1785628800,1785715200,2026-08-02T00:00:00+00:00,2026-08-03T00:00:00+00:00,p,12.0,u,k,gpt-4.1-2025-04-14,True,default,,"
    "8000.0,900.0,2000.0,0.0,6000.0,8000.0,900.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
    "1785715200,1785801600,2026-08-03T00:00:00+00:00,2026-08-04T00:00:00+00:00,,,,,,,,,,,,,,,,,,,,,,\n"
)
"""The columns of August 2026, counts with a decimal point, and days without use."""


def test_an_export_with_decimal_points_and_empty_days_is_read_and_told(tmp_path):
    path = tmp_path / "completions_usage_2026-08-01_2026-08-31.csv"
    path.write_text(EXPORTED, encoding="utf-8")
    found = summarize_usage(path)
    assert (found.requests, found.input_tokens, found.output_tokens, found.cached_input_tokens) == (16, 39_422, 929, 2_000)
    assert (found.buckets, found.empty_before, found.batch_share) == (3, 1, 12 / 16)
    assert [model.name for model in found.models] == ["gpt-4o-mini-2024-07-18", "gpt-4.1-2025-04-14"]
    stated = workload_of_usage(found)
    assert (stated.requests_per_day, stated.can_wait_share, stated.tokens_counted_with) == (16 / 3, 0.75, "o200k_base")
    assert "the first 1 of 3 buckets hold no request" in found.remarks[1]
    assert "it is 1.5 times as much" in found.remarks[1]
    assert found.remarks[1] in usage_toml(stated, found, complexity_given=False)
    path.write_text(EXPORTED.replace(",4.0,", ",4.5,"), encoding="utf-8")
    with pytest.raises(InputError, match=r"line 3: 'num_model_requests' = '4\.5'"):
        summarize_usage(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("num_model_requests", "requests"), "it has no column 'num_model_requests'"),
        (("1760000000,", "yesterday,"), "line 2: start_time is 'yesterday'"),
        (("50000", "-1"), "line 2: 'input_tokens'"),
        (("1760086400", "1760000000"), "line 2: start_time 1760000000 and end_time 1760000000 are no span"),
    ],
)
def test_what_is_wrong_in_a_usage_csv_names_its_line(tmp_path, change, message):
    path = tmp_path / "usage.csv"
    path.write_text(CSV.replace(*change, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        summarize_usage(path)


CELLS = st.one_of(
    st.integers(-5, 10**20).map(str),
    st.sampled_from(
        ["", "1760000000", "1760086400", "2025-10-09T08:53:20+00:00", "0001-01-01", "9999-12-31T23:59:59", "1e400", "nan", "inf"]
    ),
    st.sampled_from(["4.0", "4.5", "True", '"', "\u2028", "9" * 25]),
    st.text(max_size=5),
)
COLUMNS = ("start_time", "end_time", "num_model_requests", "model", "batch", "input_tokens", "output_tokens", "input_cached_tokens", "x")
VALUES = st.one_of(st.none(), st.integers(-5, 10**25), st.floats(), st.booleans(), st.text(max_size=3))
BUCKETS = st.fixed_dictionaries(
    {
        "start_time": st.one_of(VALUES, st.just(10)),
        "end_time": st.one_of(VALUES, st.just(20)),
        "results": st.one_of(VALUES, st.lists(st.one_of(st.dictionaries(st.sampled_from(COLUMNS[2:]), VALUES), VALUES), max_size=3)),
    }
)
ANY = law(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def is_a_workload_or_one_sentence(path):
    said = ""
    try:
        workload_of_usage(summarize_usage(path))
    except InputError as error:
        said = str(error)
    assert "\n" not in said


@ANY
@given(
    rows=st.lists(st.lists(CELLS, min_size=9, max_size=9), max_size=4),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
)
@example(rows=[["0", '"', *"0000000"], ["0"] * 9, [*"00000000", '"']], delimiter=",", end="\n", mark=False)
def test_any_csv_is_a_workload_or_one_sentence(tmp_path, rows, delimiter, end, mark):
    path = tmp_path / "usage.csv"
    text = end.join(delimiter.join(row) for row in [COLUMNS, *rows]) + end
    path.write_bytes((("\ufeff" if mark else "") + text).encode("utf-8", "replace"))
    is_a_workload_or_one_sentence(path)


@ANY
@given(document=st.one_of(BUCKETS, st.lists(BUCKETS, max_size=3), st.fixed_dictionaries({"data": st.lists(BUCKETS, max_size=3)})))
def test_any_json_is_a_workload_or_one_sentence(tmp_path, document):
    path = tmp_path / "usage.json"
    path.write_text(json.dumps(document))
    is_a_workload_or_one_sentence(path)
