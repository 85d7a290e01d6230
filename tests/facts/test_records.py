"""Records refuse what they do not know, and say in one sentence what is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from facts.errors import InputError
from facts.records import Fact, Source, nearest, read_facts, read_json, read_toml, validated

SOURCE = 'source = { url = "https://example.org/a", checked = 2026-11-01 }'


class Thing(Fact):
    """A thing."""

    id: str
    """Its name."""
    weight_kg: float = Field(default=1.0, gt=0)
    """What it weighs."""
    source: Source | None = None
    """Where that was read."""


def test_a_record_is_frozen():
    with pytest.raises(ValidationError):
        Thing(id="a").id = "b"


def test_the_string_under_a_field_is_its_description():
    assert Thing.model_fields["weight_kg"].description == "What it weighs."


def test_an_unknown_key_names_the_nearest_known_one():
    with pytest.raises(InputError, match=r"^f: unknown key 'weigth_kg' \(nearest known: 'weight_kg'\)$"):
        validated(Thing, {"id": "a", "weigth_kg": 2}, "f")


def test_an_unknown_key_inside_a_record_inside_is_named_with_its_place():
    with pytest.raises(InputError, match=r"^f: unknown key 'source\.link'"):
        validated(Thing, {"id": "a", "source": {"url": "u", "checked": "2026-11-01", "link": "x"}}, "f")


def test_a_missing_key_is_named():
    with pytest.raises(InputError, match=r"^f: 'id' is missing$"):
        validated(Thing, {}, "f")


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "heavy", None])
def test_a_wrong_value_is_named_with_its_field(value):
    with pytest.raises(InputError, match=r"^f: 'weight_kg' = "):
        validated(Thing, {"id": "a", "weight_kg": value}, "f")


@given(st.text(), st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_nearest_always_offers_one_of_the_known_words(word, known):
    assert any(repr(one)[1:-1] in nearest(word, known) or one in nearest(word, known) for one in known)


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("Q9", ["awq", "q8_0"], "q8_0"),
        ("kwen3-8b", ["kimi-k2", "qwen3-8b"], "qwen3-8b"),
        ("LLAMA-31-8B", ["gemma-3-1b", "llama-3.1-8b"], "llama-3.1-8b"),
    ],
)
def test_the_nearest_word_is_the_one_that_was_meant(word, known, found):
    assert nearest(word, known) == f" (nearest known: '{found}')"


def test_nothing_known_is_nothing_near():
    assert nearest("q9", []) == ""


def test_facts_are_read_with_every_field(tmp_path):
    path = tmp_path / "things.toml"
    path.write_text(f'[[thing]]\nid = "a"\nweight_kg = 2.5\n{SOURCE}\n[[thing]]\nid = "b"\n', encoding="utf-8")
    first, second = read_facts(path, "thing", Thing)
    assert (first.id, first.weight_kg, second.id, second.weight_kg) == ("a", 2.5, "b", 1.0)
    assert first.source is not None
    assert first.source.url == "https://example.org/a"
    assert first.source.checked.isoformat() == "2026-11-01"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[thing]]\nid = "b"\n[[thing]]\nid = "a"\n', "move 'a' before 'b'"),
        ('[[thing]]\nid = "a"\n[[thing]]\nid = "a"\n', "id 'a' stands twice"),
        ('[[thin]]\nid = "a"\n', "unknown table 'thin'"),
        ('[[thing]]\nid = "a"\nsize = 1\n', "unknown key 'size'"),
        ("[[thing]\n", "not valid TOML"),
    ],
)
def test_a_mistake_in_a_data_file_says_what_to_do(tmp_path, text, message):
    path = tmp_path / "things.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_facts(path, "thing", Thing)


def test_a_toml_file_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read_toml(path) == {"a": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not UTF-8"),
    ],
)
def test_a_toml_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, make, message):
    path = tmp_path / "a.toml"
    make(path)
    with pytest.raises(InputError, match=message):
        read_toml(path)


def test_json_comes_back_as_the_record_it_was():
    thing = Thing(id="a", weight_kg=2.5)
    assert read_json(Thing, thing.model_dump_json(), "f") == thing


@pytest.mark.parametrize(("text", "message"), [("{", "f is not valid JSON"), ("[1]", "not an object"), ('{"a": 1}', "unknown key 'a'")])
def test_json_that_is_no_record_is_one_sentence(text, message):
    with pytest.raises(InputError, match=message):
        read_json(Thing, text, "f")
