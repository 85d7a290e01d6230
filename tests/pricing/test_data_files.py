"""Every data file loads, is sorted and unique, has no date in the future, and loses nothing on the way in."""

from __future__ import annotations

import csv
import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

import pricing
from facts.errors import InputError
from facts.records import Fact, read_facts
from pricing import finetune, prices
from pricing.assumptions import Assumptions, _Note, register
from pricing.finetune import ManagedTuning
from pricing.prices import PriceRow, Rent, ServerRow

DATA = Path(pricing.__file__).parent / "data"
SHARED = Path(__file__).parents[3] / "shared" / "data"
KINDS: dict[str, tuple[str, type[Fact]]] = {
    "api": ("price", PriceRow),
    "rental": ("rent", Rent),
    "assumptions.toml": ("assumption", _Note),
    "finetune.toml": ("managed", ManagedTuning),
    "servers.toml": ("server", ServerRow),
}


def data_files():
    return sorted(path for path in DATA.rglob("*.toml"))


def kind(path):
    return KINDS[path.relative_to(DATA).parts[0]]


def shared(name):
    path = SHARED / name
    if not path.exists():
        message = f"{name} of the project's shared data folder is not here"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("path", data_files(), ids=lambda path: path.name)
def test_a_data_file_loads_and_every_field_survives(path):
    key, cls = kind(path)
    written = tomllib.loads(path.read_text(encoding="utf-8"))[key]
    facts = read_facts(path, key, cls)
    assert len(facts) == len(written) > 0
    for row, fact in zip(written, facts, strict=True):
        loaded = fact.model_dump()
        assert set(row) <= set(loaded)
        for name, value in row.items():
            kept = loaded[name]
            if name == "tiers":
                assert all(
                    set(tier) <= set(got) and all(got[k] == v for k, v in tier.items()) for tier, got in zip(value, kept, strict=True)
                )
            else:
                assert kept == value or (isinstance(value, dict) and kept == {"note": ""} | value), name


@pytest.mark.parametrize("path", data_files(), ids=lambda path: path.name)
def test_every_entry_was_checked_and_not_tomorrow(path):
    today = datetime.now(UTC).date()
    key, cls = kind(path)
    for fact in read_facts(path, key, cls):
        assert fact.source.url
        assert fact.source.checked <= today


def test_ids_are_unique_over_all_rental_files():
    ids = [rent.id for path in (DATA / "rental").glob("*.toml") for rent in read_facts(path, "rent", Rent)]
    assert len(ids) == len(set(ids)) == 210


def test_a_file_out_of_order_is_refused(tmp_path):
    path = DATA / "rental" / "nebius.toml"
    blocks = path.read_text(encoding="utf-8").split("[[rent]]")
    wrong = tmp_path / "nebius.toml"
    wrong.write_text("[[rent]]".join(["", blocks[2], blocks[1]]), encoding="utf-8")
    with pytest.raises(InputError, match="not sorted by id: move"):
        read_facts(wrong, "rent", Rent)


def test_every_default_has_one_note_and_lies_in_its_range():
    notes = register()
    assert [note.key for note in notes] == list(Assumptions.model_fields)
    assert {note.id for note in read_facts(DATA / "assumptions.toml", "assumption", _Note)} == set(Assumptions.model_fields)
    for note in notes:
        assert note.help, note.key
        assert note.low <= note.high, note.key
        if note.base is not None:
            assert note.low <= note.base <= note.high, note.key
        else:
            assert note.value not in ("", "None"), note.key


@pytest.mark.shared
def test_every_published_rent_is_here_to_the_cent():
    wanted = sorted(
        (
            row["provider"],
            row["device_id"],
            row["instance"],
            int(row["gpus"]),
            float(row["usd_per_hour"]),
            row["term"],
            row["as_of"],
            row["source"],
        )
        for row in shared("gpu_rental_prices.csv")
    )
    rents = [rent for rows in prices._rents().values() for rent in rows]
    found = sorted(
        (r.provider, r.device_id, r.instance, r.gpus, r.usd_per_hour, r.term, r.source.checked.isoformat(), r.source.url) for r in rents
    )
    assert found == wanted


@pytest.mark.shared
def test_every_published_training_price_is_here():
    wanted = sorted(
        (row["provider"], row["model_class"], row["method"], float(row["usd_per_m_training_tokens"]))
        for row in shared("fine_tuning_prices.csv")
    )
    assert sorted((row.provider, row.model_class, row.method, row.usd_per_mtok) for row in finetune._managed()) == wanted


@pytest.mark.shared
def test_every_priced_device_can_be_owned_at_the_published_price():
    for row in shared("hardware_specs.csv"):
        server = prices._servers().get(row["device_id"])
        if row["kind"] == "cpu" or not row["price_usd"] or not row["tdp_w"]:
            assert server is None
        else:
            assert server is not None, row["device_id"]
            assert server.gpu_usd == float(row["price_usd"])
            assert server.it_power_kw_per_gpu >= float(row["tdp_w"]) / 1000 * 0.99
