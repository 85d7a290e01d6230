import asyncio
import contextlib
import itertools
import json
import threading
import tracemalloc
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import SecretStr

from facts.errors import InputError
from probes import endpoint
from probes.endpoint import check_url, measure_endpoint
from probes.measurement import Contention, EndpointSettings, Measurement, Status
from probes.send import send_measurement
from probes.stream import Reading, Stream, open_client
from tests.probes.fake_server import Behaviour, FakeServer

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_watching(monkeypatch):
    """Two seconds of watching the machine are of no use here."""
    monkeypatch.setattr(endpoint.environment, "contention_over", lambda _=2.0: Contention(window_s=1.0, idle_share=1.0))


def measure(behaviour: Behaviour, **changes) -> tuple[Measurement, FakeServer]:
    cancel = changes.pop("cancel", None)
    values = {"concurrencies": (2,), "seconds_per_level": 0.3, "input_tokens": 64, "output_tokens": 6, "timeout_s": 5.0}
    with FakeServer(behaviour) as server:
        settings = EndpointSettings(**(values | {"url": server.url} | changes))
        return measure_endpoint(settings, created=NOW, cancel=cancel), server


def figures(measurement: Measurement) -> dict[str, float]:
    return {figure.name: figure.value for figure in measurement.derived}


def test_what_the_server_was_told_is_what_the_probe_reads():
    measurement, _ = measure(Behaviour(ttft_s=0.02, itl_s=0.01))
    assert measurement.status is Status.COMPLETE
    assert (measurement.engine, measurement.settings.model) == ("vllm", "fake-model")
    level = measurement.levels[0]
    assert all(request.output_tokens == len(request.content_s) == 6 for request in level.requests)
    # no client can see a token before it was sent: the told waits are lower bounds
    assert all(request.ttft_s >= 0.02 for request in level.requests)
    assert all(request.content_s[-1] - request.sent_s >= 0.02 + 5 * 0.01 for request in level.requests)
    assert figures(measurement)["c2.error_share"] == 0
    assert Measurement.from_json(measurement.to_json()) == measurement


def test_the_wanted_load_is_held_and_never_passed():
    _, server = measure(Behaviour(itl_s=0.005), concurrencies=(3,))
    assert server.most_in_flight == 3


def test_the_role_chunk_is_not_the_first_token():
    measurement, _ = measure(Behaviour(ttft_s=0.3, role_chunk=True))
    request = measurement.levels[0].requests[0]
    assert request.first_chunk_s < request.first_content_s
    assert request.first_content_s - request.first_chunk_s >= 0.1  # told 0.3; a busy machine reads the first chunk late


def test_a_token_without_text_is_a_token_where_the_count_shows_it():
    """As a server of random weights answers: six tokens, two of them with text, and an end that is no token."""
    measurement, _ = measure(Behaviour(ttft_s=0.02, itl_s=0.01, text_every=3))
    requests = measurement.levels[0].requests
    assert all((request.wordless_tokens, len(request.content_s), request.tokens) == (4, 6, 6) for request in requests)
    # from the first token, not from the first text two gaps later: five gaps lie between first and last
    assert all(request.content_s[-1] - request.content_s[0] >= 0.04 for request in requests)
    assert any("67% of the tokens came without text" in doubt for doubt in measurement.doubts)


def test_an_answer_of_tokens_without_any_text_is_no_failure():
    measurement, _ = measure(Behaviour(itl_s=0.01, text_every=1000))
    assert figures(measurement)["c2.error_share"] == 0
    assert measurement.levels[0].requests[0].wordless_tokens == 6


def test_an_empty_greeting_is_not_the_first_token():
    """Six tokens with text and an empty event at once: seven events for six tokens, so one of them is none."""
    measurement, _ = measure(Behaviour(ttft_s=0.1, itl_s=0.001, greeting=True))
    assert all(request.ttft_s >= 0.1 and request.wordless_tokens is None for request in measurement.levels[0].requests)


@pytest.mark.parametrize("text_every", [1, 3])
def test_without_the_servers_count_only_text_is_told_from_nothing(text_every):
    measurement, _ = measure(Behaviour(itl_s=0.01, text_every=text_every, usage=False))
    assert all(len(request.content_s) == 6 // text_every for request in measurement.levels[0].requests)


def test_reasoning_counts_as_text_but_not_as_the_answer():
    measurement, _ = measure(Behaviour(reasoning=4, itl_s=0.01))
    request = measurement.levels[0].requests[0]
    assert request.reasoning_tokens == 4
    assert request.first_answer_s == request.content_s[4] > request.first_content_s


def test_prompts_are_as_long_as_the_server_counts_and_differ_from_the_first_word():
    measurement, server = measure(Behaviour(words_before=11), input_tokens=301)
    # the server counts two tokens a word and eleven before: (301 - 11) / 2 = 145 words
    assert {request.input_tokens for request in measurement.levels[0].requests} == {301}
    prompts = [body["messages"][0]["content"] for body in server.requests]
    assert len({prompt[:40] for prompt in prompts}) == len(prompts)


def test_a_second_run_repeats_no_prompt_of_the_first():
    """Else a server's prefix cache answers: with one seed for all, the second run of a sweep reads far too fast."""
    with FakeServer(Behaviour(itl_s=0.01)) as server:
        settings = EndpointSettings(url=server.url, concurrencies=(1,), seconds_per_level=0.2, output_tokens=4)
        for minute in (0, 1):
            measure_endpoint(settings, created=NOW.replace(minute=minute))
        prompts = [body["messages"][0]["content"] for body in server.requests]
    assert len(set(prompts)) == len(prompts)


def test_errors_stand_in_the_denominator_and_raise_a_doubt():
    measurement, _ = measure(Behaviour(fail_every=4, itl_s=0.002), concurrencies=(1,))
    requests = measurement.levels[0].requests
    failed = [request for request in requests if request.error]
    assert failed
    assert failed[0].error == "HTTP 500: broken"
    assert figures(measurement)["c1.error_share"] == len(failed) / len(requests)
    assert any("requests failed" in doubt for doubt in measurement.verdict_doubts)


def test_a_level_of_nothing_but_errors_ends_early():
    measurement, _ = measure(Behaviour(fail_after=8), concurrencies=(1,), seconds_per_level=60, output_tokens=4)
    assert "of the last 20 requests failed" in measurement.levels[0].stopped_because
    assert measurement.levels[0].duration_s < 30


@pytest.mark.parametrize("refused", [("ignore_eos",), ("stream_options", "ignore_eos"), ("max_tokens", "ignore_eos")])
def test_options_that_a_server_refuses_are_left_out(refused):
    measurement, server = measure(Behaviour(refuses=refused))
    assert measurement.status is Status.COMPLETE
    assert not any(request.error for request in measurement.levels[0].requests)
    assert all(name not in server.requests[-1] for name in refused)


def test_a_server_without_usage_is_counted_by_events_and_says_so():
    measurement, _ = measure(Behaviour(usage=False))
    assert measurement.levels[0].requests[0].tokens == 6
    assert any("no usage" in doubt for doubt in measurement.doubts)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_kept_connection_that_the_server_has_closed_is_no_failed_request(concurrency):
    """llama-server closes after each streamed answer, without saying so: the next request may be on its way already."""
    measurement, server = measure(Behaviour(closes=True), concurrencies=(concurrency,), seconds_per_level=1.0, output_tokens=2)
    level = measurement.levels[0]
    assert len(level.requests) > 20
    assert [request.error for request in level.requests if request.error] == []
    assert len(server.requests) >= len(level.requests)


def test_a_server_that_closes_every_connection_unanswered_is_an_error_and_not_asked_for_ever():
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(FakeServer(Behaviour(trick="hang_up")))
        found = asyncio.run(one_request(server.url))
    assert found.error.startswith(("RemoteProtocolError", "ReadError"))
    assert len(server.requests) == 1


async def one_request(url: str):
    stream = Stream(scheduled=0.0, zero=0.0, most_bytes=10_000)
    async with open_client(url, key=None, timeout_s=5.0) as client:
        await stream.read(client, f"{url}/chat/completions", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}, 5.0)
    return stream.timing()


TIMINGS = {"cache_n": 3, "prompt_n": 60, "prompt_ms": 5.0, "predicted_n": 6, "predicted_ms": 20.0}
"""As llama-server ends a stream."""


def test_what_the_engine_says_of_itself_stands_beside_what_was_seen():
    """20 ms over 5 gaps are 4 ms a token; of at least 30 ms to the first token the engine counts 5 as reading."""
    measurement, _ = measure(Behaviour(ttft_s=0.03, timings=TIMINGS), concurrencies=(1,))
    found = figures(measurement)
    assert (found["c1.engine_prompt.p50"], found["c1.engine_tpot.p50"]) == (5.0, 4.0)
    assert found["c1.outside_engine.p50"] == pytest.approx(found["c1.ttft.p50"] - 5.0)
    assert any("to the first token (medians) pass outside the engine" in doubt for doubt in measurement.doubts)
    assert Measurement.from_json(measurement.to_json()) == measurement


@pytest.mark.parametrize(
    ("told", "version"),
    [
        ('{"version": "0.26.0"}', "0.26.0"),
        ("", ""),
        ("<html>", ""),
        ('{"version": 26}', ""),
        ('["0.26.0"]', ""),
        ('{"version": "' + "9" * 81 + '"}', ""),
        ('{"version": "0.26\\u0007"}', ""),
    ],
)
def test_the_engine_is_asked_for_its_version_and_nothing_else_is_taken_for_one(told, version):
    measurement, server = measure(Behaviour(version=told), concurrencies=(1,))
    assert (measurement.engine, measurement.engine_version) == ("vllm", version)
    assert all("messages" in request or "prompt" in request for request in server.requests)


def test_waiting_beside_others_is_no_doubt_of_the_way_there():
    measurement, _ = measure(Behaviour(ttft_s=0.03, timings=TIMINGS), concurrencies=(2,))
    assert not any("outside the engine" in doubt for doubt in measurement.doubts)


def test_a_server_that_says_nothing_of_itself_has_no_such_figure():
    measurement, _ = measure(Behaviour())
    assert not [name for name in figures(measurement) if "engine" in name]


@pytest.mark.parametrize("each", [False, True])
def test_the_engines_counts_stand_in_where_there_is_no_usage(each):
    measurement, _ = measure(Behaviour(usage=False, timings=TIMINGS, timings_each=each))
    request = measurement.levels[0].requests[0]
    assert (request.input_tokens, request.cached_input_tokens, request.output_tokens) == (63, 3, 6)


def test_usage_stands_over_the_engines_counts():
    measurement, _ = measure(Behaviour(timings=TIMINGS | {"predicted_n": 99}))
    assert measurement.levels[0].requests[0].output_tokens == 6


@pytest.mark.parametrize("said", ["fast", [1], -3, True, 1e300, 10**400])
def test_a_time_that_is_none_is_left_out(said):
    reading = Reading()
    event = json.dumps(
        {"choices": [{"delta": {"content": "a"}, "finish_reason": "length"}], "timings": {"prompt_ms": said, "prompt_n": said}}
    )
    assert reading.read([(1.0, f"data: {event}\n\n".encode())]) == ""
    assert (reading.engine_prompt_ms, reading.input_tokens) == (None, None)


def test_a_prefix_cache_is_noticed():
    measurement, _ = measure(Behaviour(cached_tokens=32))
    assert any("cache" in doubt for doubt in measurement.verdict_doubts)


def test_the_beginning_of_every_prompt_in_a_cache_is_said_and_keeps_nothing_from_a_verdict():
    """A chat template begins each prompt alike: its first block is cached whatever the prompts are."""
    measurement, _ = measure(Behaviour(cached_tokens=16), input_tokens=400)
    assert any("(4%) came from the server's cache" in doubt for doubt in measurement.doubts)
    assert not any("cache" in doubt for doubt in measurement.verdict_doubts)


def test_a_first_letter_in_a_cache_is_nothing_to_say():
    """1 of 200 prompt tokens is half a hundredth; 4 are two hundredths."""
    for cached, said in ((1, False), (4, True)):
        measurement, _ = measure(Behaviour(cached_tokens=cached), input_tokens=200)
        assert any("cache" in doubt for doubt in measurement.doubts) is said


def test_no_more_is_asked_than_a_measurement_has_room_for(monkeypatch):
    """The stamps of two million answers would be written and could never be read again."""
    monkeypatch.setattr("probes.measurement.MAX_BYTES", 20_000)
    measurement, server = measure(Behaviour(), max_requests=2_000_000, seconds_per_level=20.0)
    assert measurement.levels[0].stopped_because.endswith("requests, all that a measurement has room for, was reached")
    assert len(server.requests) < 40
    assert len(measurement.to_json()) < 20_000 + 5_000  # the machine and the settings stand beside the requests


def test_a_failed_answer_keeps_a_thousand_stamps_at_most():
    stream = Stream(scheduled=0.0, zero=0.0, most_bytes=1)
    stream._error = "it never ended"
    stream._pieces.extend((float(number), b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n') for number in range(3000))
    assert len(stream.timing().content_s) == 1000


@pytest.mark.parametrize(
    ("trick", "says"),
    [
        ("truncate", "ended before the answer did"),
        ("cut", "RemoteProtocolError|ReadError"),
        ("bad_json", "no JSON"),
        ("error_event", "out of memory"),
        ("endless", "does not keep to max_tokens"),
        ("long_line", "longer than"),
        ("redirect", "redirected"),
        ("html", "no event stream"),
        ("stall", "no end within 1 s"),
        ("huge_header", "RemoteProtocolError"),
        ("many_headers", "RemoteProtocolError|no end within"),
        ("claims_10_gb", "longer than .* bytes"),
        ("deep_json", "no JSON"),
        ("drip", "in more than .* pieces: the server drips it"),
    ],
)
def test_a_hostile_answer_is_one_clear_error_in_bounded_time(trick, says):
    with pytest.raises(InputError, match=says):
        measure(Behaviour(trick=trick), timeout_s=1.0 if trick == "stall" else 20.0)


@pytest.mark.parametrize(
    "listing",
    [
        b"[]",
        b"null",
        b'"models"',
        b"[" * 100_000,
        b'{"data": {"id": "x"}}',
        b'{"data": [null, 7]}',
        b'{"data": [{"id": ["a"]}]}',
        b"\xff\xfe\x00",
        b"{" + b" " * 5_000_000 + b"}",
        b"drip",
        b'{"data": [' + b",".join(b'{"id": "m%d"}' % number for number in range(1000)) + b"]}",
    ],
)
def test_whatever_stands_in_the_model_list_the_end_is_words_in_bounded_memory(listing):
    tracemalloc.start()
    try:
        with contextlib.suppress(InputError):
            measure(Behaviour(listing=listing), timeout_s=20.0, seconds_per_level=0.2)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


@examples(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=12))
def test_bytes_of_any_kind_after_a_good_beginning_end_in_one_reading(pieces):
    begun = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    reading = Reading()
    said = reading.read([(1.0, begun), *((2.0 + number, piece) for number, piece in enumerate(pieces))])
    assert isinstance(said, str)
    assert reading.content[:1] == [1.0]


def test_the_cap_on_requests_holds():
    measurement, server = measure(Behaviour(), concurrencies=(1,), seconds_per_level=30, max_requests=6)
    assert "6 requests" in measurement.levels[0].stopped_because
    assert len(server.requests) == 6


def test_the_cap_on_tokens_counts_what_the_server_counted():
    measurement, server = measure(Behaviour(), concurrencies=(1,), seconds_per_level=30, max_tokens=1000)
    assert "1000 tokens" in measurement.levels[0].stopped_because
    counted = sum(len(body["messages"][0]["content"].split()) * 2 + 7 + 6 for body in server.requests)
    assert 1000 - 70 < counted <= 1000


def test_a_cap_in_money_holds_and_needs_prices():
    # a request of 64 in and 6 out at 1000 and 6000 USD a million costs 0.064 + 0.036 = 0.10 USD
    prices = {"input_usd_per_mtok": 1000.0, "output_usd_per_mtok": 6000.0, "max_usd": 0.55}
    _, server = measure(Behaviour(), concurrencies=(1,), seconds_per_level=30, **prices)
    assert len(server.requests) == 5
    with pytest.raises(InputError, match="needs the prices"):
        measure(Behaviour(), max_usd=1.0)


def test_an_open_loop_keeps_its_schedule_whatever_the_answers_do():
    measurement, _ = measure(Behaviour(ttft_s=0.3), concurrencies=(), rates_per_s=(20.0,), arrivals="constant", seconds_per_level=1.0)
    level = measurement.levels[0]
    assert sorted(round(request.scheduled_s * 20) for request in level.requests) == list(range(20))
    assert all(request.sent_s >= request.scheduled_s for request in level.requests)
    assert level.window_s == (0.1, 1.0)


def test_a_sweep_ends_when_more_load_adds_nothing():
    # answers come at once, so one request in flight already does what the client can: the ladder stops before its end
    measurement, _ = measure(Behaviour(), sweep=True, concurrencies=tuple(2**step for step in range(9)), seconds_per_level=0.2)
    assert len(measurement.levels) < 9


def test_a_cancel_keeps_the_levels_so_far():
    cancel = threading.Event()
    threading.Timer(0.7, cancel.set).start()
    measurement, _ = measure(Behaviour(itl_s=0.005), concurrencies=(1, 2, 4), seconds_per_level=0.4, cancel=cancel)
    assert measurement.status is Status.PARTIAL
    assert 1 <= len(measurement.levels) < 3


def test_nobody_there_is_said_at_once():
    with pytest.raises(InputError, match="nobody answers"):
        measure_endpoint(EndpointSettings(url="http://127.0.0.1:9/v1"), created=NOW)


def test_a_model_that_is_not_served_is_named_beside_those_that_are():
    with pytest.raises(InputError, match="has no model 'other': it serves fake-model"):
        measure(Behaviour(), model="other")


def test_the_key_is_sent_and_stored_nowhere(monkeypatch):
    monkeypatch.setenv(endpoint.KEY_VARIABLE, "a-very-secret-key")
    measurement, server = measure(Behaviour())
    assert all(headers["authorization"] == "Bearer a-very-secret-key" for headers in server.headers)
    assert "a-very-secret-key" not in measurement.to_json()


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "ftp://a/b", "http://", "http://[::1", "http://a:99999/v1", "http://user:pw@host/v1"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InputError):
        check_url(url)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://10.0.0.1/v1", "http://localhost.evil.example/v1", "http://[::ffff:10.0.0.1]/v1"]
)
def test_from_a_page_only_listed_hosts_are_asked(url):
    with pytest.raises(InputError, match="not on the list"):
        check_url(url, ("127.0.0.1", "localhost", "::1"))


def test_listed_hosts_are_allowed():
    assert check_url("http://127.0.0.1:8000/v1/", ("127.0.0.1",)) == "http://127.0.0.1:8000/v1"
    assert check_url("http://[::1]:8000/v1", ("::1",)) == "http://[::1]:8000/v1"


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_are_read_without_a_crash(pieces):
    reading = Reading()
    reading.read([(float(number + 1), piece) for number, piece in enumerate(pieces)])


EVENTS = (
    b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(min_value=1, max_value=len(EVENTS) - 1), max_size=6))
def test_an_event_counts_from_the_piece_that_ends_it_however_it_is_cut(cuts):
    edges = [0, *sorted(set(cuts)), len(EVENTS)]
    pieces = [(float(end), EVENTS[start:end]) for start, end in itertools.pairwise(edges)]
    reading = Reading()
    assert reading.read(pieces) == ""
    ends = [EVENTS.index(b"\n"), EVENTS.index(b"\n", EVENTS.index(b'"b"'))]
    assert reading.content == [min(edge for edge in edges if edge > end) for end in ends]


def test_send_says_what_became_of_it():
    measurement, _ = measure(Behaviour())
    seen = []

    def answer(status):
        def reply(request):
            seen.append(request)
            return httpx.Response(status, text="no")

        return httpx.MockTransport(reply)

    def send(status):
        return send_measurement(measurement, "https://host.example", SecretStr("token"), transport=answer(status))

    assert "taken" in send(201)
    assert str(seen[0].url) == "https://host.example/api/measurements"
    assert seen[0].headers["authorization"] == "Bearer token"
    assert json.loads(seen[0].content)["id"] == measurement.id
    assert "there already" in send(200)
    for status, says in ((403, "switched off"), (401, "token"), (404, "no intake"), (302, "redirected"), (500, "no")):
        with pytest.raises(InputError, match=says):
            send(status)
    with pytest.raises(InputError, match="no token"):
        send_measurement(measurement, "https://host.example", None)
