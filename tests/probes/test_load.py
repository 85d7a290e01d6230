"""Rates, replays, the search for the largest load, several processes, and the client's test of itself."""

import asyncio
import contextlib
import gzip
import itertools
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.errors import InputError
from probes import endpoint, saturation, selftest
from probes.caller import Allowance, Budget
from probes.doubts import doubts
from probes.endpoint import measure_endpoint
from probes.goodput import FINE_RATIO, LEAST_COUNTED, counted, next_rate
from probes.load import Arrival, LevelPlan, answer_lengths, schedule
from probes.measurement import ClientLimit, Contention, EndpointSettings, Environment, LevelResult, Measurement, RequestTiming
from probes.replay import read_trace
from probes.selftest import Step, limit_of
from tests.probes.fake_server import Behaviour, FakeServer

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_watching(monkeypatch):
    monkeypatch.setattr(endpoint.environment, "contention_over", lambda _=2.0: Contention(window_s=1.0, idle_share=1.0))


def measure(behaviour: Behaviour, *, replayed=(), client=None, **changes) -> tuple[Measurement, FakeServer]:
    values = {"concurrencies": (), "seconds_per_level": 0.5, "input_tokens": 64, "output_tokens": 4, "timeout_s": 20.0}
    with FakeServer(behaviour) as server:
        settings = EndpointSettings(**(values | {"url": server.url} | changes))
        return measure_endpoint(settings, created=NOW, trace=replayed, client=client), server


def figures(measurement: Measurement) -> dict[str, float]:
    return {figure.name: figure.value for figure in measurement.derived}


def arrivals(*due: float) -> tuple[Arrival, ...]:
    return tuple(Arrival(due_s=at, input_tokens=40 + number, output_tokens=2 + number) for number, at in enumerate(due))


# ---- schedules ----


def test_a_constant_rate_has_equal_gaps_and_a_poisson_one_its_mean():
    even = schedule(10.0, 2.0, poisson=False, seed=1, most=1000, input_tokens=5, output_tokens=6)
    assert [round(arrival.due_s * 10) for arrival in even] == list(range(20))
    chance = schedule(1000.0, 10.0, poisson=True, seed=1, most=100_000, input_tokens=5, output_tokens=6)
    assert len(chance) == pytest.approx(10_000, rel=0.05)  # 10,000 +- 500 is five standard deviations


@given(st.integers(1, 40), st.integers(1, 7))
def test_parts_of_a_plan_are_the_whole(count, parts):
    plan = LevelPlan(name="x", hold_s=1, input_tokens=1, output_tokens=1, concurrency=count, arrivals=arrivals(*range(count)))
    shares = [plan.share(part, parts) for part in range(parts)]
    assert sum(share.concurrency for share in shares) == count
    assert sorted(arrival.due_s for share in shares for arrival in share.arrivals) == list(range(count))
    allowance = Allowance(requests=count, tokens=1000, stated=("a", "b", "c"))
    assert sum(allowance.share(part, parts).requests for part in range(parts)) == count


def test_a_budget_names_the_cap_that_one_more_request_would_break():
    budget = Budget(Allowance(requests=2, tokens=25, usd=1.0, input_usd_per_mtok=1e5, stated=("2 requests", "25 tokens", "1 USD")))
    assert budget.book(5, 5) == ""  # 5 x 100,000 / 1,000,000 = 0.50 USD
    assert budget.left.requests == 1
    assert "25 tokens" in budget.book(10, 10)
    assert "1 USD" in budget.book(6, 1)
    assert budget.book(5, 5) == ""
    assert "2 requests" in budget.book(1, 1)


# ---- replay ----


def test_the_azure_columns_are_read_in_their_own_time(tmp_path: Path):
    file = tmp_path / "azure.csv"
    file.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n", newline=""
    )
    first, second = read_trace(file, most=10, speed=2.0)
    assert (first.due_s, first.input_tokens, first.output_tokens) == (0.0, 374, 44)
    assert second.due_s == pytest.approx((50.995169 - 46.680590) / 2)


def test_a_gzipped_trace_is_read_and_a_broken_one_refused(tmp_path: Path):
    file = tmp_path / "trace.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"timestamp": 0, "input_length": 10, "output_length": 3}\n'))
    assert read_trace(file, most=9)[0].output_tokens == 3
    for broken in (file.read_bytes()[:-9], b"no gzip"):
        file.write_bytes(broken)
        with pytest.raises(InputError):
            read_trace(file, most=9)


def test_no_level_is_run_twice():
    measurement, _ = measure(
        Behaviour(itl_s=0.01),
        concurrencies=(1,),
        top_shares=(0.7,),
        search=True,
        ttft_limit_ms=5000.0,
        max_requests=80,
        seconds_per_level=0.4,
    )
    names = [level.name for level in measurement.levels]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("loads", "says"),
    [
        ({"concurrencies": (1, 4, 4)}, "the load c4 is asked for 2 times"),
        ({"concurrencies": (), "rates_per_s": (2.0, 2.00001)}, "the load 2/s is asked for 2 times"),
    ],
)
def test_a_load_that_is_asked_for_twice_is_refused_before_it_is_sent(loads, says):
    with FakeServer() as server, pytest.raises(InputError, match=says):
        measure_endpoint(EndpointSettings(url=server.url, **loads), created=NOW)
    assert not server.requests


def test_two_open_levels_of_one_name_are_run_once():
    measurement, _ = measure(Behaviour(itl_s=0.01), concurrencies=(1,), top_shares=(0.7, 0.7), max_requests=40, seconds_per_level=0.4)
    assert len(measurement.levels) == 2
    assert len({figure.name for figure in measurement.derived}) == len(measurement.derived)


def test_the_mooncake_lines_are_read_in_their_own_time(tmp_path: Path):
    file = tmp_path / "mooncake.jsonl"
    file.write_text(
        '{"timestamp": 3000, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1]}\n'
        '{"timestamp": 0, "input_length": 10, "output_length": 0, "hash_ids": []}\n'
    )
    assert [(arrival.due_s, arrival.input_tokens, arrival.output_tokens) for arrival in read_trace(file, most=9)] == [
        (0.0, 10, 1),
        (3.0, 6755, 500),
    ]
    assert len(read_trace(file, most=1)) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column|no requests"),
        ("TIMESTAMP,ContextTokens\n", "no column 'GeneratedTokens'"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nsoon,1,2\n", "line 2"),
        ('{"timestamp": 1, "input_length": 2}\n', "line 1: not a request"),
        ('{"timestamp": 1\n', "line 1"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,x,2\n", "line 2"),
    ],
)
def test_what_is_no_trace_is_said_with_its_line(text, says, tmp_path):
    file = tmp_path / "trace"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        read_trace(file, most=10)


@given(st.binary(max_size=200))
def test_any_file_is_a_trace_or_one_sentence(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("fuzz") / "trace"
    file.write_bytes(data)
    with contextlib.suppress(InputError):
        assert read_trace(file, most=10)


def test_a_replay_keeps_the_times_and_sizes_of_the_trace():
    # four requests of 40, 41, 42, 43 and 2, 3, 4, 5 tokens; the server counts two a word and seven before
    measurement, _ = measure(Behaviour(), replayed=arrivals(0.0, 0.1, 0.2, 0.4), trace="some.csv")
    level = measurement.levels[0]
    assert level.name == "trace"
    assert [round(request.scheduled_s, 3) for request in level.requests] == [0.0, 0.1, 0.2, 0.4]
    assert [request.output_tokens for request in level.requests] == [2, 3, 4, 5]
    assert [request.wanted_input_tokens for request in level.requests] == [40, 41, 42, 43]
    assert all(abs(request.input_tokens - request.wanted_input_tokens) <= 1 for request in level.requests)
    assert Measurement.from_json(measurement.to_json()) == measurement


# ---- the largest load that meets a service level ----


@given(st.floats(0.05, 500.0), st.floats(0.1, 50.0))
def test_the_search_brackets_the_true_limit_within_its_ratio(true_limit, first):
    tried: list[tuple[float, bool]] = []
    while (rate := next_rate(tried, first)) is not None:
        tried.append((rate, rate <= true_limit))
    best = max((rate for rate, met in tried if met), default=0.0)
    assert best <= true_limit
    if len(tried) < 12:
        assert true_limit <= best * FINE_RATIO * (1 + 1e-9)


def test_goodput_counts_failures_as_not_good():
    # every third request fails: two of three are good, which is below 0.95 and above 0.6
    limits = {"rates_per_s": (30.0,), "arrivals": "constant", "seconds_per_level": 1.0, "ttft_limit_ms": 5000.0}
    strict, _ = measure(Behaviour(fail_every=3), **limits)
    assert figures(strict)["30/s.good_share"] == pytest.approx(2 / 3, abs=0.05)
    assert figures(strict)["goodput.highest_rate"] == 0.0
    lax, _ = measure(Behaviour(fail_every=3), good_share=0.6, **limits)
    assert figures(lax)["goodput.highest_rate"] == 30.0


def test_a_request_that_waits_too_long_is_not_good():
    measurement, _ = measure(Behaviour(ttft_s=0.2), rates_per_s=(20.0,), ttft_limit_ms=100.0)
    assert figures(measurement)["20/s.good_share"] == 0.0
    measurement, _ = measure(Behaviour(ttft_s=0.2), rates_per_s=(20.0,), ttft_limit_ms=3000.0)
    assert figures(measurement)["20/s.good_share"] == 1.0


def test_a_search_needs_a_limit_and_ends_with_a_rate():
    with pytest.raises(InputError, match="service level"):
        measure(Behaviour(), search=True)
    measurement, _ = measure(
        Behaviour(itl_s=0.02), search=True, concurrencies=(1,), ttft_limit_ms=5000.0, max_requests=60, seconds_per_level=0.3
    )
    rates = [level.rate_per_s for level in measurement.levels if level.rate_per_s]
    assert len(rates) >= 2
    met = figures(measurement)[f"{rates[0]:.4g}/s.good_share"] >= 0.95
    assert rates[1] == pytest.approx(rates[0] * (2.0 if met else 0.5))  # on a machine that is too busy the first may miss the limit


def test_open_levels_after_a_ladder_are_shares_of_its_top():
    measurement, _ = measure(Behaviour(itl_s=0.02), concurrencies=(2,), top_shares=(0.5,))
    closed, after = measurement.levels
    start, end = closed.window_s
    top = sum(start <= request.done_s <= end for request in closed.requests) / (end - start)
    assert after.rate_per_s == pytest.approx(0.5 * top)


# ---- stops ----


def test_rising_queues_are_over_saturation_and_noise_is_not():
    times = [0.5 * step for step in range(1, 30)]
    rising = [(at, 10.0 * at) for at in times]
    level = [(at, 20.0 + step % 3) for step, at in enumerate(times)]
    assert saturation.over_saturated(rising, rising)
    assert not saturation.over_saturated(level, rising)
    assert not saturation.over_saturated(rising, level)
    assert not saturation.over_saturated(rising[:8], rising[:8])  # 4 s are too short to tell


# ---- several processes ----


@pytest.mark.parametrize("load", [{"concurrencies": (3,)}, {"rates_per_s": (20.0,), "arrivals": "constant"}])
def test_two_processes_ask_what_one_would(load):
    measurement, server = measure(Behaviour(itl_s=0.005), processes=2, **load)
    level = measurement.levels[0]
    assert level.processes == 2
    assert not any(request.error for request in level.requests)
    assert server.most_in_flight <= 3 or "rates_per_s" in load
    prompts = [body["messages"][0]["content"] for body in server.requests]
    assert len({prompt[:40] for prompt in prompts}) == len(prompts)
    if "rates_per_s" in load:
        assert sorted(round(request.scheduled_s * 20) for request in level.requests) == list(range(10))


def test_processes_end_with_a_cancel_and_keep_what_they_heard():
    cancel = threading.Event()
    with FakeServer(Behaviour(itl_s=0.005)) as server:
        settings = EndpointSettings(
            url=server.url, concurrencies=(2,), processes=2, seconds_per_level=60, input_tokens=64, output_tokens=4, timeout_s=20
        )
        measurement = measure_endpoint(settings, created=NOW, cancel=cancel, report=lambda now: cancel.set() if now.requests > 4 else None)
    assert measurement.message.startswith("cancelled")
    assert len(measurement.levels[0].requests) > 4


def test_caps_hold_over_processes():
    _, server = measure(Behaviour(), concurrencies=(4,), processes=2, seconds_per_level=20, max_requests=12)
    assert len(server.requests) == 12


def open_level(due: int, done: int) -> LevelResult:
    """Ten seconds at a rate: so many requests due, the first of them done at once, the rest after the window."""
    stamps = [(number * 10.0 / due, 0.01 if number < done else 30.0) for number in range(due)]
    requests = tuple(
        RequestTiming(scheduled_s=at, sent_s=at, first_content_s=at + 0.005, content_s=(at + 0.005,), done_s=at + took, output_tokens=1)
        for at, took in stamps
    )
    return LevelResult(name="x/s", rate_per_s=due / 10.0, duration_s=40.0, window_s=(0.0, 10.0), requests=requests)


@pytest.mark.parametrize(
    ("due", "done", "missed"),
    [(100, 96, False), (100, 79, True), (100, 81, False), (4, 2, False), (400, 370, False), (400, 350, True)],
)
def test_a_rate_is_missed_beyond_five_percent_and_beyond_chance(due, done, missed):
    """Chance is twice the root of the number: 20 of 100, 4 of 4, 40 of 400."""
    measurement = Measurement(
        kind="endpoint",
        created=NOW,
        status="complete",
        engine="vllm",
        settings=EndpointSettings(url="http://127.0.0.1:1/v1"),
        environment=Environment(),
        levels=(open_level(due, done),),
    ).sealed()
    assert any("above what the server carries" in doubt.text for doubt in doubts(measurement)) is missed


@pytest.mark.parametrize(("due", "said"), [(0, True), (19, True), (20, False)])
def test_too_few_counted_requests_are_said_and_none_is_the_fewest(due, said):
    level = open_level(20, 20).model_copy(update={"window_s": (0.0, 10.0 * due / 20.0 - 0.1)})
    measurement = Measurement(
        kind="endpoint",
        created=NOW,
        status="complete",
        engine="vllm",
        settings=EndpointSettings(url="http://127.0.0.1:1/v1", ttft_limit_ms=500.0),
        environment=Environment(),
        levels=(level,),
    ).sealed()
    assert len(counted(level)) == due
    few = f"x/s: {due} requests counted, {LEAST_COUNTED} are needed to tell a share of good ones: hold it longer"
    assert (few in [doubt.text for doubt in doubts(measurement)]) is said


def test_a_search_counts_enough_requests_at_every_rate_or_says_that_they_are_few():
    measurement, _ = measure(
        Behaviour(ttft_s=0.1), search=True, ttft_limit_ms=500.0, seconds_per_level=0.3, max_requests=120, output_tokens=2
    )
    for level in measurement.levels:
        few = any(doubt.startswith(f"{level.name}: ") and "are needed to tell a share" in doubt for doubt in measurement.doubts)
        assert few or len(counted(level)) >= LEAST_COUNTED


# ---- the client itself ----


def test_the_client_limit_is_the_last_rate_in_time():
    found = limit_of(
        [Step(events_per_s=400, delay_p99_ms=1), Step(events_per_s=1600, delay_p99_ms=4), Step(events_per_s=3000, delay_p99_ms=9)]
    )
    assert (found.events_per_s, found.delay_p99_ms, found.failed_events_per_s) == (1600, 4, 3000)
    assert limit_of([Step(events_per_s=100, delay_p99_ms=9)]).events_per_s == 0


def test_the_self_test_reads_every_event_of_its_own_server():
    found = selftest.steps((2,), 0.2, 1e9)
    assert found[0].events_per_s == pytest.approx(2 / selftest.GAP_S, rel=0.5)
    assert found[0].delay_p99_ms > 0


def test_a_level_beyond_what_the_client_reads_is_flagged():
    slow = ClientLimit(events_per_s=10.0, delay_p99_ms=1.0, failed_events_per_s=20.0)
    measurement, _ = measure(Behaviour(), concurrencies=(2,), client=slow, processes=1)
    assert any("this client reads 10 in time" in doubt for doubt in measurement.verdict_doubts)
    fast = ClientLimit(events_per_s=1e9, delay_p99_ms=1.0)
    measurement, _ = measure(Behaviour(), concurrencies=(2,), client=fast)
    assert not any("in time" in doubt for doubt in measurement.verdict_doubts)


def test_a_self_test_that_was_late_at_once_is_one_doubt_and_not_one_per_level():
    busy = ClientLimit(events_per_s=0.0, delay_p99_ms=14.0, failed_events_per_s=380.0)
    measurement, _ = measure(Behaviour(), concurrencies=(1, 2), client=busy)
    late = [doubt for doubt in measurement.verdict_doubts if "late at its lightest load, 380 events/s with a p99 of 14 ms" in doubt]
    assert len(late) == 1
    assert not any("in time" in doubt for doubt in measurement.doubts)


def test_an_open_loop_held_for_less_than_ten_answers_says_that_its_rate_reads_low():
    measurement, _ = measure(Behaviour(ttft_s=0.2), concurrencies=(), rates_per_s=(20.0,), seconds_per_level=1.0)
    assert any("its rate reads low; hold it 10 answers long" in doubt for doubt in measurement.doubts)
    assert not any("above what the server carries" in doubt for doubt in measurement.doubts)


def test_more_processes_ask_where_one_would_be_the_bottleneck(monkeypatch):
    monkeypatch.setattr(endpoint.environment, "usable_cores", lambda quota: 2.0)
    # 20 requests/s of 4 tokens are 80 events/s, above half of 100
    measurement, _ = measure(Behaviour(), rates_per_s=(20.0,), client=ClientLimit(events_per_s=100.0, delay_p99_ms=1.0))
    assert measurement.levels[0].processes == 2


def test_a_first_level_is_shared_out_by_the_pace_of_one_answer(monkeypatch):
    monkeypatch.setattr(endpoint.environment, "usable_cores", lambda quota: 2.0)
    # one answer of 4 tokens takes about 0.2 s: 20 events/s a stream, 8 streams 160/s, above half of 100
    slow = ClientLimit(events_per_s=100.0, delay_p99_ms=1.0)
    measurement, _ = measure(Behaviour(ttft_s=0.05, itl_s=0.05), concurrencies=(8,), client=slow)
    assert measurement.levels[0].processes == 2
    fast = ClientLimit(events_per_s=1e6, delay_p99_ms=1.0)
    measurement, _ = measure(Behaviour(ttft_s=0.05, itl_s=0.05), concurrencies=(8,), client=fast)
    assert measurement.levels[0].processes == 1


def test_the_window_of_a_server_on_loopback_is_told_by_its_own_stamps():
    async def one():
        with selftest.loopback_server(ttft_s=0.05, gap_s=0.01) as url:
            return await selftest._step(url, 1, 0.2)

    assert asyncio.run(one()).delay_p99_ms < 1000


def test_answers_of_different_lengths_are_asked_for_and_counted_as_asked():
    """Of 40 tokens and a fifth either way: none outside 32 to 48, not all alike, and none told as too short."""
    measurement, _ = measure(
        Behaviour(ttft_s=0.001, itl_s=0.0002), concurrencies=(4,), rates_per_s=(20.0,), output_tokens=40, lengths_spread=0.2
    )
    for level in measurement.levels:
        lengths = [request.output_tokens for request in level.requests]
        assert all(request.wanted_output_tokens == request.output_tokens for request in level.requests)
        assert min(lengths) >= 32
        assert max(lengths) <= 48
        assert len(set(lengths)) > 5
    assert not any("shorter than" in doubt for doubt in measurement.doubts)


def test_lengths_are_even_around_their_mean_and_equal_without_a_spread():
    some = list(itertools.islice(answer_lengths(100, 0.2, 1), 2000))
    assert (min(some), max(some)) == (80, 120)
    assert sum(some) / len(some) == pytest.approx(100, abs=1)  # 2,000 draws with a deviation of 11.5: 0.26
    assert set(itertools.islice(answer_lengths(100, 0.0, 1), 50)) == {100}
    assert set(itertools.islice(answer_lengths(1, 0.9, 1), 50)) <= {1, 2}


def test_the_most_a_run_can_cost_is_every_request_at_its_longest():
    """1,000 requests of 500 tokens at 2 USD and 100 at 10 USD per Mtok: 1,000 x (1,000 + 1,000) / 10^6 USD; a fifth longer 1,200."""
    asked = {"url": "http://127.0.0.1:1/v1", "input_tokens": 500, "output_tokens": 100, "max_requests": 1000}
    prices = {"input_usd_per_mtok": 2.0, "output_usd_per_mtok": 10.0}
    equal, spread = (EndpointSettings(**asked, **prices, lengths_spread=width) for width in (0.0, 0.2))
    assert endpoint.estimate_usd(equal) == pytest.approx(2.0)
    assert endpoint.estimate_usd(spread) == pytest.approx(2.2)
    few = spread.model_copy(update={"max_tokens": 5800})  # ten of the shortest, 500 + 80
    assert endpoint.estimate_usd(few) == pytest.approx(0.022)
