"""A decision replays with the prices it was made with: from the store, from a file, and after the catalogue has moved on."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from facts.errors import InputError
from pricing.kept import KeptBook, RecordingBook
from pricing.prices import PriceBook, PriceOverrides
from selector.catalog import load_catalog
from selector.public import to_json
from selector.recommendation import recommend
from selector.replay import kept_inputs, recording, replayed
from selector.scenarios import scenario_of
from selector.store import get_decision, get_inputs, save_decision
from tests.selector.decisions import scenario

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = NOON.date()


def no_probe(measurement_id):
    raise AssertionError(measurement_id)


def decided(asked, day=DAY):
    noted = recording(load_catalog(day, asked.prices))
    found = recommend(asked, noted)
    return found, kept_inputs(asked, noted)


def plain(found):
    return json.loads(json.dumps(to_json(found)))


def test_a_kept_decision_comes_out_the_same_from_the_store(kept):
    found, inputs = decided(scenario())
    decision_id = save_decision(kept, found, created=NOON, inputs=inputs)
    again = replayed(get_inputs(kept, decision_id), get_decision(kept, decision_id).document, no_probe)
    assert again.same
    assert to_json(again.recommendation) == to_json(found)


def test_it_is_made_with_the_kept_prices_and_not_with_todays(monkeypatch):
    asked = scenario()
    found, inputs = decided(asked)
    dear = PriceBook.api_price

    def dearer(self, ref, *, input_tokens):
        price = dear(self, ref, input_tokens=input_tokens)
        return replace(price, input_usd_per_mtok=price.input_usd_per_mtok * 3)

    monkeypatch.setattr(PriceBook, "api_price", dearer)
    monkeypatch.setattr(PriceBook, "rentals", lambda self, device_id: ())
    monkeypatch.setattr(PriceBook, "server", lambda self, device_id: None)
    assert plain(recommend(asked, load_catalog(DAY, asked.prices))) != plain(found)
    assert replayed(inputs, plain(found), no_probe).same


def test_a_changed_document_is_named_where_it_differs():
    found, inputs = decided(scenario())
    document = plain(found)
    document["recommendation"]["sentence"] = "Buy everything."
    document["options"][0]["total_usd"] += 1.0
    again = replayed(inputs, document, no_probe)
    assert not again.same
    assert again.total_differences == 2
    assert again.differences[0].startswith("recommendation.sentence: 'Buy everything.' -> ")
    assert again.differences[1].startswith("options[0].total_usd: ")


def test_another_method_version_is_said():
    found, inputs = decided(scenario())
    again = replayed(inputs, plain(found) | {"method_version": "0"}, no_probe)
    assert again.because.startswith("it was decided by method version 0")


WORKLOADS = st.fixed_dictionaries(
    {
        "tokens_per_day": st.sampled_from([1e5, 5e6, 3e8]),
        "complexity": st.sampled_from(["qa", "classification", "generation"]),
        "residency": st.sampled_from(["any", "region", "on_prem"]),
        "labelled_examples": st.sampled_from([0, 500, 20_000]),
        "input_tokens_mean": st.sampled_from([300.0, 1000.5, 90_000.0]),
        "can_wait_share": st.sampled_from([0.0, 0.4]),
    }
)
PRICES = st.sampled_from([{}, {"gpu_usd_per_hour": 0.02}, {"api_discount_share": 0.1}, {"rental_term": "reserved_from"}])


@given(WORKLOADS, PRICES)
@examples(max_examples=12, deadline=None)
def test_any_decision_replays_to_the_byte(workload, prices):
    cleared = {"allowed_providers": ["aws", "azure"]} if workload["residency"] == "region" else {}
    asked = scenario_of(workload | {"output_tokens_mean": 200.0, "prices": prices} | cleared, "the test")
    try:
        found, inputs = decided(asked, date(2026, 8, 1))
    except InputError:
        return
    document = json.loads(json.dumps(to_json(found)))
    assert json.dumps(to_json(replayed(inputs, document, no_probe).recommendation)) == json.dumps(to_json(found))


def test_a_kept_book_knows_nothing_that_was_not_asked_then():
    recorded = RecordingBook.of(PriceBook.load(DAY))
    price = recorded.api_price("openai:gpt-4o", input_tokens=1000)
    with pytest.raises(InputError, match="nearest are"):
        recorded.api_price("openai:gpt-4oo-nothing", input_tokens=1000)
    book = KeptBook.of(recorded.kept, PriceOverrides())
    assert book.api_price("openai:gpt-4o", input_tokens=1000) == price
    assert book.identity == PriceBook.load(DAY).identity
    with pytest.raises(InputError, match="nearest are"):
        book.api_price("openai:gpt-4oo-nothing", input_tokens=1000)
    with pytest.raises(InputError, match="was kept with this decision"):
        book.api_price("openai:gpt-4.1", input_tokens=1000)
    assert book.rentals("nvidia-h100-sxm-80") == ()
    assert book.server("nvidia-h100-sxm-80") is None
    with pytest.raises(TypeError):
        kept_inputs(scenario(), load_catalog(DAY))


def test_the_command_replays_by_id_and_from_a_file_of_its_own(kept, tmp_path):
    workload = tmp_path / "workload.toml"
    workload.write_text('name = "support"\ntokens_per_day = 5e6\ncomplexity = "qa"\n')
    environ = {"DATABASE_URL": kept.database_url, "RIGHTSIZE_DATA_DIR": str(kept.data_dir), "PATH": "/usr/bin:/bin"}

    def run(*words):
        command = [sys.executable, "-m", "selector", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=120)

    document = json.loads(run("decide", str(workload), "--json", "--as-of", "2026-10-01").stdout)
    again = run("replay", document["inputs_sha256"][:10])
    assert (again.returncode, again.stdout.strip()) == (
        0,
        "support, decided with the prices of 2026-10-01: the same in every number and word",
    )
    alone = tmp_path / "alone.json"
    alone.write_text(run("decide", str(workload), "--json", "--no-save", "--with-inputs", "--as-of", "2026-09-01").stdout)
    assert run("replay", str(alone)).returncode == 0
    changed = json.loads(alone.read_text())
    changed["options"][0]["total_usd"] = 1.0
    alone.write_text(json.dumps(changed))
    told = run("replay", str(alone))
    assert told.returncode == 1
    assert "1 entry differs" in told.stdout
    bare = tmp_path / "bare.json"
    bare.write_text(run("decide", str(workload), "--json", "--no-save", "--as-of", "2026-07-01").stdout)
    refused = run("replay", str(bare))
    assert refused.returncode == 2
    assert "decide with --with-inputs" in refused.stderr
