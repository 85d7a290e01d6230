"""A user's own models and devices: found by an id that their content makes, bounded, beside the catalogue."""

import threading
from datetime import date

import pytest

from capacity.accelerators import accelerator, accelerators, own_accelerator
from capacity.models import ModelSpec, model, models, own_model
from capacity.shelf import Shelf, own_id
from facts.errors import InputError
from facts.records import Source


def renamed(spec, **changes):
    return type(spec).model_validate(spec.model_dump() | changes)


def test_an_own_model_and_device_are_found_by_their_ids_and_the_catalogue_stays_as_it_is():
    before = (models(), accelerators())
    mine = own_model(renamed(model("qwen3-8b"), name="Our 8B", layers=40))
    card = own_accelerator(renamed(accelerator("nvidia-l40s"), name="New card", mem_bw_gb_per_s=1300.0))
    assert (model(mine.id).layers, accelerator(card.id).mem_bw_gb_per_s) == (40, 1300.0)
    assert mine.id.startswith("own-our-8b-")
    assert card.id.startswith("own-new-card-")
    assert (models(), accelerators()) == before
    with pytest.raises(InputError, match="unknown model 'own-nothing'"):
        model("own-nothing")


def test_the_id_is_of_the_content_and_not_of_the_day_it_was_typed():
    first = renamed(model("qwen3-8b"), name="Ours")
    again = renamed(first, id="x", source=Source(url="typed again", checked=date(2030, 1, 1)))
    other = renamed(first, layers=first.layers + 1)
    assert own_id(first) == own_id(again) != own_id(other)
    assert own_model(own_model(first)).id == own_id(first)


def test_the_shelf_drops_what_was_asked_for_longest_ago():
    shelf: Shelf[ModelSpec] = Shelf(most=2)
    one, two, three = (shelf.put(renamed(model("qwen3-8b"), name=name)) for name in ("one", "two", "two"))
    assert two.id == three.id
    assert shelf.get(one.id) is not None  # asked for last: two goes
    shelf.put(renamed(model("qwen3-8b"), name="four"))
    assert (shelf.get(one.id) is not None, shelf.get(two.id)) == (True, None)


def test_many_threads_see_one_record_per_id():
    shelf: Shelf[ModelSpec] = Shelf()
    found: list[str] = []

    def put():
        for number in range(50):
            found.append(shelf.put(renamed(model("qwen3-0.6b"), name=f"model {number % 5}")).id)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 400
    assert len(set(found)) == 5
