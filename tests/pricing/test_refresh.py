"""Live prices against loopback servers: what is taken, what is refused, and that nothing changes before it is accepted."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from facts.errors import InputError
from facts.records import Source
from facts.settings import Settings
from pricing import refresh
from pricing.prices import PriceBook, PriceRow, PriceSnapshot, PriceTier, rows_sha256, wheel_rows
from pricing.refresh import Agreement, Feed, agreement, check_acceptable, diff, fetch_json, litellm_rows, openrouter_rows, propose
from pricing.store import accepted_prices, get_snapshot, save_snapshot

AS_OF = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
URL = "https://feed.example/models"


@contextmanager
def serving(body=b"[]", status=200, headers=(), truncate=False, delay_s=0.0):
    """A server on loopback that answers everything with one body; `seen` collects the request headers."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(dict(self.headers))
            etag = dict(headers).get("ETag")
            unchanged = etag is not None and self.headers.get("If-None-Match") == etag
            time.sleep(delay_s)
            try:
                self.send_response(304 if unchanged else status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", "0" if unchanged else str(len(body) + (100 if truncate else 0)))
                self.end_headers()
                self.wfile.write(b"" if unchanged else body)
            except BrokenPipeError:
                pass

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/prices.json", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def row(model="m-1", given=1.0, output=2.0, provider="openai", **changes):
    tier = PriceTier(input_usd_per_mtok=given, output_usd_per_mtok=output)
    return PriceRow(provider=provider, model=model, tiers=(tier,), source=Source(url="test", checked=AS_OF), **changes)


def openrouter(*models):
    return {
        "data": [{"id": name, "context_length": 8192, "pricing": {"prompt": given, "completion": output}} for name, given, output in models]
    }


def genai(models):
    listed = [
        {"id": name, "match": {"equals": name}, "prices": {"input_mtok": given, "output_mtok": output}} for name, given, output in models
    ]
    return [
        {"id": "openai", "name": "OpenAI", "api_pattern": "https://api.example", "pricing_urls": ["https://x.example"], "models": listed}
    ]


def settings(tmp_path):
    return Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / 'prices.sqlite3'}")


def test_a_price_per_token_becomes_one_per_million_exactly():
    rows, dropped = openrouter_rows(
        openrouter(("openai/gpt-4.1", "0.000002", "0.000008"), ("x:free", "0", "0"), ("auto", "-1", "-1")), AS_OF, URL
    )
    assert [(r.id, r.tiers[0].input_usd_per_mtok, r.tiers[0].output_usd_per_mtok) for r in rows] == [
        ("openrouter:openai/gpt-4.1", 2.0, 8.0)
    ]
    assert dropped == 2
    assert rows[0].context_tokens == 8192


def test_litellm_is_read_under_the_catalogues_names():
    entries = {
        "gpt-4.1": {
            "litellm_provider": "openai",
            "input_cost_per_token": 2e-06,
            "output_cost_per_token": 8e-06,
            "cache_read_input_token_cost": 5e-07,
        },
        "groq/llama-3.1-8b-instant": {"litellm_provider": "groq", "input_cost_per_token": 5e-08, "output_cost_per_token": 8e-08},
        "ollama/x": {"litellm_provider": "ollama", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
        "gpt-bad": {"litellm_provider": "openai", "input_cost_per_token": "?", "output_cost_per_token": 1e-6},
    }
    rows, dropped = litellm_rows(entries, AS_OF, URL)
    assert [r.id for r in rows] == ["groq:llama-3.1-8b-instant", "openai:gpt-4.1"]
    assert rows[1].tiers[0].cached_input_usd_per_mtok == 0.5
    assert dropped == 1
    second = {r.id: r for r in rows}
    bundled = {r.id: r for r in wheel_rows(AS_OF)}
    assert agreement(bundled["openai:gpt-4.1"], second) is Agreement.YES
    assert agreement(bundled["groq:llama-3.1-8b-instant"], second) is Agreement.YES
    assert agreement(bundled["openai:gpt-4o"], second) is Agreement.ONE
    assert agreement(row("gpt-4.1", 2.1, 8.0), second) is Agreement.NO


@pytest.mark.parametrize("document", [[], {}, {"data": {}}, {"data": [1]}, {"data": [{"name": "no id"}]}, "x", None])
def test_another_shape_is_refused(document):
    with pytest.raises(InputError, match="not a list of models"):
        openrouter_rows(document, AS_OF, URL)


def test_a_diff_counts_what_would_change():
    before = [row("a"), row("b"), row("c")]
    after = [row("a"), row("b", 2.0, 2.0), row("d")]
    found = diff(before, after)
    assert (len(found.changed), found.added, found.removed, found.same) == (1, ("openai:d",), ("openai:c",), 1)
    assert found.sentence == "1 changed, 1 new, 1 removed, 1 as before"


@pytest.mark.parametrize(
    ("given", "output", "provider", "asks"),
    [
        (3.0, 2.0, "openai", False),
        (3.01, 2.0, "openai", True),
        (0.33, 2.0, "openai", True),
        (1.0, 6.1, "openai", True),
        (9.0, 9.0, "novita", False),
    ],
)
def test_a_vendors_price_that_moved_by_more_than_three_must_be_confirmed(given, output, provider, asks):
    rows = (row("a", given, output, provider),)
    found = diff([row("a", provider=provider)], rows)
    snapshot = PriceSnapshot(as_of=AS_OF, feed="genai-prices", sha256=rows_sha256(rows), rows=rows)
    assert bool(found.to_confirm) is asks
    if asks:
        with pytest.raises(InputError, match="look at them, then accept with --confirm"):
            check_acceptable(snapshot, found, confirmed=False)
    check_acceptable(snapshot, found, confirmed=True)


def test_a_list_that_is_not_what_was_fetched_is_refused():
    snapshot = PriceSnapshot(as_of=AS_OF, feed="genai-prices", sha256="0" * 64, rows=(row(),))
    with pytest.raises(InputError, match="hash does not fit"):
        check_acceptable(snapshot, diff([], [row()]), confirmed=True)


def test_a_second_opinion_is_never_a_price():
    rows = (row(),)
    snapshot = PriceSnapshot(as_of=AS_OF, feed="litellm", sha256=rows_sha256(rows), rows=rows)
    with pytest.raises(InputError, match="second opinion"):
        check_acceptable(snapshot, diff([], rows), confirmed=True)


def test_the_hash_is_of_the_prices_not_of_their_order():
    assert rows_sha256([row("a"), row("b")]) == rows_sha256([row("b"), row("a")]) != rows_sha256([row("a"), row("b", 1.1)])


def test_an_unchanged_list_is_not_sent_again():
    body = json.dumps(openrouter(("m", "0.000001", "0.000002"))).encode()
    with serving(body, headers=(("ETag", '"v1"'),)) as (url, seen):
        fetched = fetch_json(url)
        assert fetched is not None
        assert fetched[1] == '"v1"'
        assert fetch_json(url, etag='"v1"') is None
        assert propose(Feed.OPENROUTER, AS_OF, current=[], url=url, etag='"v1"') is None
    assert [request.get("If-None-Match") for request in seen] == [None, '"v1"', '"v1"']


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 500}, "answered 500"),
        ({"status": 302, "headers": (("Location", "http://127.0.0.1:1/"),)}, "answered 302"),
        ({"body": b'{"data": [{"id": "x"'}, "not whole JSON"),
        ({"body": b'{"data": []}', "truncate": True}, "cannot be read"),
        ({"body": b"[" * 100_000}, "not whole JSON"),
    ],
)
def test_what_is_broken_is_refused_in_one_sentence(answer, words):
    with serving(**answer) as (url, _), pytest.raises(InputError, match=words) as error:
        fetch_json(url)
    assert "the prices in use stay" in str(error.value)


def test_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(refresh, "MAX_BYTES", 1000)
    with serving(b" " * 1001) as (url, _), pytest.raises(InputError, match="more than 1000 bytes"):
        fetch_json(url)
    with serving(b" " * 997 + b"{}") as (url, _):
        assert fetch_json(url) == ({}, "")


def test_too_slow_is_refused():
    with serving(b"{}", delay_s=1.0) as (url, _), pytest.raises(InputError, match="in time"):
        fetch_json(url, timeout_s=0.2)


@pytest.mark.parametrize("url", ["http://prices.example/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "prices.json"])
def test_only_https_or_loopback_is_an_address(url):
    with pytest.raises(InputError, match="https://"):
        propose(Feed.OPENROUTER, AS_OF, current=[], url=url)


def test_genai_prices_list_is_fetched_in_a_child():
    with serving(json.dumps(genai([("gpt-4o", 2.0, 9.0), ("free", 0, 0)])).encode()) as (url, _):
        proposal = propose(Feed.GENAI_PRICES, AS_OF, current=[row("gpt-4o", 2.5, 10.0)], url=url)
    assert proposal is not None
    assert [r.id for r in proposal.snapshot.rows] == ["openai:gpt-4o"]
    assert proposal.snapshot.rows[0].source.checked == AS_OF
    assert [(change.before, change.after) for change in proposal.diff.changed] == [((2.5, 10.0), (2.0, 9.0))]
    assert PriceBook.load(AS_OF).api_price("openai:gpt-4o", input_tokens=1).input_usd_per_mtok == 2.5  # nothing was replaced


@pytest.mark.parametrize(("kept", "refused"), [(8, False), (7, True)])
def test_a_list_that_lost_a_fifth_is_kept_and_one_that_lost_more_is_not(kept, refused):
    before = [row(f"m-{number}", provider="openrouter") for number in range(10)]
    body = json.dumps(openrouter(*((f"m-{number}", "0.000001", "0.000002") for number in range(kept)))).encode()
    with serving(body) as (url, _):
        if refused:
            with pytest.raises(InputError, match="7 priced models where 10 are in use"):
                propose(Feed.OPENROUTER, AS_OF, current=before, url=url)
        else:
            proposal = propose(Feed.OPENROUTER, AS_OF, current=before, url=url)
            assert proposal is not None
            assert len(proposal.diff.removed) == 2


@pytest.mark.parametrize("body", [b'[{"id": "openai"}]', json.dumps(genai([("a", 1, 2)])).encode()[:-20]])
def test_a_tampered_or_truncated_list_is_refused(body):
    with serving(body) as (url, _), pytest.raises(InputError, match="cannot be read"):
        propose(Feed.GENAI_PRICES, AS_OF, current=[], url=url)


def test_an_empty_list_is_refused():
    with serving(b"[]") as (url, _), pytest.raises(InputError, match="no usable price at all"):
        propose(Feed.GENAI_PRICES, AS_OF, current=[], url=url)


def test_the_child_is_stopped_when_it_takes_too_long():
    with serving(b"[]", delay_s=2.0) as (url, _), pytest.raises(InputError, match="took longer than"):
        propose(Feed.GENAI_PRICES, AS_OF, current=[], url=url, timeout_s=0.1)


def test_an_unknown_list_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no fetched price list has the id 'nothing'"):
        get_snapshot(settings(tmp_path), "nothing")


def test_nothing_is_accepted_until_somebody_accepts(tmp_path):
    place = settings(tmp_path)
    assert accepted_prices(place, AS_OF) is None
    assert not (tmp_path / "prices.sqlite3").exists()  # looking made nothing
    rows = (row("gpt-4o", 2.0, 9.0),)
    snapshot = PriceSnapshot(as_of=AS_OF, feed="genai-prices", sha256=rows_sha256(rows), rows=rows)
    snapshot_id = save_snapshot(place, snapshot, created=NOW, accepted=False)
    assert accepted_prices(place, AS_OF) is None
    assert get_snapshot(place, snapshot_id) == snapshot
    assert save_snapshot(place, snapshot, created=NOW, accepted=True) == snapshot_id
    accepted = accepted_prices(place, AS_OF)
    assert accepted is not None
    book = PriceBook.load(AS_OF, snapshot=accepted)
    assert book.api_price("openai:gpt-4o", input_tokens=1).input_usd_per_mtok == 2.0
    assert accepted.sha256[:16] in book.identity
    # A decision of the day before replays with the prices of its day.
    assert accepted_prices(place, date(2026, 11, 21)) is None


def test_two_accepted_feeds_are_one_list_and_the_newer_row_wins(tmp_path):
    place = settings(tmp_path)
    for feed, day, given in (("genai-prices", 20, 2.0), ("openrouter", 21, 3.0), ("genai-prices", 19, 9.0)):
        rows = (row("a", given), row(feed))
        snapshot = PriceSnapshot(as_of=date(2026, 11, day), feed=feed, sha256=rows_sha256(rows), rows=rows)
        save_snapshot(place, snapshot, created=NOW, accepted=True)
    accepted = accepted_prices(place, AS_OF)
    assert accepted is not None
    assert [(r.id, r.tiers[0].input_usd_per_mtok) for r in accepted.rows] == [
        ("openai:a", 3.0),
        ("openai:genai-prices", 1.0),
        ("openai:openrouter", 1.0),
    ]
    assert accepted.as_of == date(2026, 11, 21)


def test_a_stored_list_that_was_edited_is_refused(tmp_path):
    import sqlite3

    place = settings(tmp_path)
    rows = (row("a", 2.0),)
    snapshot_id = save_snapshot(
        place, PriceSnapshot(as_of=AS_OF, feed="genai-prices", sha256=rows_sha256(rows), rows=rows), created=NOW, accepted=True
    )
    with sqlite3.connect(tmp_path / "prices.sqlite3") as opened:
        opened.execute("UPDATE price_snapshot SET document = replace(document, '2.0', '1.0')")
    opened.close()
    with pytest.raises(InputError, match="changed after it was stored"):
        get_snapshot(place, snapshot_id)
    with pytest.raises(InputError, match="changed after it was stored"):
        accepted_prices(place, AS_OF)


def test_the_commands_fetch_show_and_accept(pricing):
    models = [(f"maker/m-{number}", "0.000001", "0.000002") for number in range(900)]
    with serving(json.dumps(openrouter(*models)).encode(), headers=(("ETag", '"v1"'),)) as (url, _):
        code, out, err = pricing("refresh", "openrouter", "--url", url)
        again = pricing("refresh", "openrouter", "--url", url)
    assert code == 0, err
    assert "900 prices" in out
    assert pricing("show", "openrouter:maker/m-1")[0] == 2
    snapshot_id = out.strip().splitlines()[-1].split()[-1]
    assert again[1].strip() == f"openrouter: nothing newer than {snapshot_id}"
    code, out, err = pricing("accept", snapshot_id)
    assert (code, out.split()[:2]) == (0, ["accepted:", "900"]), err
    code, out, err = pricing("show", "openrouter:maker/m-1")
    assert code == 0, err
    assert "input            1\n" in out


def test_the_second_opinion_is_counted_and_not_kept(pricing, tmp_path):
    entries = {
        "gpt-4.1": {"litellm_provider": "openai", "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06},
        **{
            f"m-{number}": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}
            for number in range(120)
        },
    }
    with serving(json.dumps(entries).encode()) as (url, _):
        code, out, err = pricing("refresh", "litellm", "--url", url)
    assert code == 0, err
    assert "two sources agree: 1;" in out
    assert not (tmp_path / "rightsize.sqlite3").exists()
