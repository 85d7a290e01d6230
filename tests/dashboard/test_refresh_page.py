"""Price refresh: off unless pressed, a difference before anything is used, and a failure that changes nothing. Loopback only."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.price_desk import changes, price_desk
from facts.settings import settings
from pricing.prices import wheel_rows
from pricing.refresh import FEED_URLS, Feed, PriceChange, PriceDiff
from pricing.store import accepted_lists, accepted_prices

ROOT = Path(__file__).resolve().parents[2]
TODAY = datetime.now(UTC).date()


class Served:
    """A loopback server that answers everything with one body, and counts how often it was asked."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = b"", 200, 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.asked += 1
                self.send_response(served.status)
                self.send_header("Content-Length", str(len(served.body)))
                self.end_headers()
                self.wfile.write(served.body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/prices.json"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    found = Served()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    for feed in Feed:
        monkeypatch.setitem(FEED_URLS, feed, found.url)
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def openrouter(*, factor: float = 1.0, models: int | None = None) -> bytes:
    """OpenRouter's list as the program has it, the first model's price times `factor`."""
    rows = [row for row in wheel_rows(TODAY) if row.provider == "openrouter"][:models]
    listed = []
    for number, row in enumerate(rows):
        times = factor if number == 0 else 1.0
        tier = row.tiers[0]
        pricing = {
            "prompt": f"{tier.input_usd_per_mtok * times / 1e6:.12f}",
            "completion": f"{tier.output_usd_per_mtok * times / 1e6:.12f}",
        }
        listed.append({"id": row.model, "context_length": 8192, "pricing": pricing})
    return json.dumps({"data": listed}).encode()


def opened() -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("dashboard/pages/sources.py").run()
    return app.button_group(key="sources.part").set_value("Price refresh").run()


def said(app: AppTest) -> str:
    parts: list[str] = []
    for kind in (app.markdown, app.caption, app.subheader, app.error, app.info, app.success):
        parts += [str(element.value) for element in kind]
    parts += [str(cell) for table in app.table for row in table.value.itertuples(index=False) for cell in row]
    return " ".join(parts).replace("\\", "")


def fetched(app: AppTest, feed: Feed = Feed.OPENROUTER) -> AppTest:
    app.selectbox(key="prices.feed").set_value(feed).run()
    app.button(key="prices.fetch").click().run()
    until = time.monotonic() + 60
    while price_desk().fetching is not None:
        assert time.monotonic() < until
        time.sleep(0.05)
    return app.run()


def test_nothing_is_fetched_unless_the_button_is_pressed(served: Served) -> None:
    app = opened()
    assert not app.exception
    assert served.asked == 0
    assert "No live list has been accepted" in said(app)
    assert "prices.accept" not in [button.key for button in app.button]


def test_a_fetched_list_is_shown_and_used_only_once_accepted(served: Served) -> None:
    served.body = openrouter(factor=2.0)
    app = fetched(opened())
    assert not app.exception
    assert served.asked == 1
    assert "1 price would change, 0 new, 0 not in the list" in said(app)
    assert "2 times" in said(app)
    assert accepted_prices(settings(), TODAY) is None
    app.button(key="prices.accept").click().run()
    assert not app.exception
    accepted = accepted_prices(settings(), TODAY)
    assert accepted is not None
    assert accepted.feed == "openrouter"
    assert "accepted live prices (openrouter, fetched" in said(app)
    assert [found.feed for found in accepted_lists(settings(), TODAY)] == ["openrouter"]


def test_a_rejected_list_changes_nothing(served: Served) -> None:
    served.body = openrouter(factor=2.0)
    app = fetched(opened())
    app.button(key="prices.reject").click().run()
    assert "Rejected. The prices in use stay as they are." in said(app)
    assert accepted_prices(settings(), TODAY) is None


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [(b"{not json", 200, "not whole JSON"), (b"", 503, "answered 503"), (b'{"data": []}', 200, "no usable price at all")],
)
def test_a_failure_is_one_sentence_and_keeps_the_last_accepted(served: Served, body: bytes, status: int, sentence: str) -> None:
    served.body = openrouter(factor=2.0)
    app = fetched(opened())
    app.button(key="prices.accept").click().run()
    before = accepted_prices(settings(), TODAY)
    served.body, served.status = body, status
    app = fetched(app)
    assert not app.exception
    (error,) = app.error
    assert sentence in error.value.replace("\\", "")
    assert accepted_prices(settings(), TODAY) == before


def test_a_list_that_looks_cut_off_is_refused(served: Served) -> None:
    served.body = openrouter(models=3)
    assert "looks cut off" in fetched(opened()).error[0].value


def test_the_second_opinion_is_compared_and_never_offered(served: Served) -> None:
    rows = [row for row in wheel_rows(TODAY) if row.provider == "openai"]
    entries = {
        row.model: {
            "litellm_provider": "openai",
            "input_cost_per_token": row.tiers[0].input_usd_per_mtok / 1e6,
            "output_cost_per_token": row.tiers[0].output_usd_per_mtok / 1e6,
        }
        for row in rows
    }
    served.body = json.dumps(entries).encode()
    app = fetched(opened(), Feed.LITELLM)
    assert not app.exception
    assert "two sources agree" in said(app)
    assert "prices.accept" not in [button.key for button in app.button]


def test_far_moves_of_vendors_stand_first_and_are_marked() -> None:
    near = PriceChange(id="a:near", before=(1.0, 1.0), after=(1.5, 1.5), first_party=True)
    far = PriceChange(id="b:far", before=(1.0, 1.0), after=(4.0, 4.0), first_party=True)
    same = PriceChange(id="c:cached", before=(1.0, 1.0), after=(1.0, 1.0), first_party=True)
    found = changes(PriceDiff(changed=(near, same, far), added=(), removed=(), same=0, to_confirm=(far,)))
    assert [row[0] for row in found] == ["b:far", "a:near"]
    assert found[0][3] == "vendor's own price, 4 times: look at it"


def test_an_accepted_price_reaches_the_decision(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard import state

    assert state.stored_ids("Document analysis", TODAY) == ()
    served.body = openrouter(factor=2.0)
    app = fetched(opened())
    app.button(key="prices.accept").click().run()
    assert len(state.stored_ids("Document analysis", TODAY)) == 1
    assert state.stored_ids("Document analysis", date(2020, 1, 1)) == ()
