from datetime import UTC, datetime
from pathlib import Path

import pytest

from facts.errors import InputError
from facts.settings import settings
from probes.measurement import Environment, LlamaCppSettings, Measurement, Status, TestResult
from probes.store import get_measurement, list_measurements, save_measurement


def place(tmp_path: Path):
    return settings({"RIGHTSIZE_DATA_DIR": str(tmp_path)})


def measured(hour: int, model_id: str | None = "qwen3-0.6b") -> Measurement:
    return Measurement(
        kind="llamacpp",
        created=datetime(2026, 11, 20, hour, tzinfo=UTC),
        status=Status.COMPLETE,
        model_id=model_id,
        engine="llama.cpp",
        settings=LlamaCppSettings(),
        environment=Environment(),
        tests=(TestResult(name="tg128", n_prompt=0, n_gen=128, samples_tokens_per_s=(40.0, 41.0)),),
    ).sealed()


def test_what_was_saved_comes_back_equal_and_newest_first(tmp_path):
    old, new, other = measured(9), measured(11), measured(10, model_id=None)
    for measurement in (new, old, other, new):
        assert save_measurement(place(tmp_path), measurement) == measurement.id
    assert list_measurements(place(tmp_path)) == (new, other, old)
    assert list_measurements(place(tmp_path), model_id="qwen3-0.6b") == (new, old)
    assert list_measurements(place(tmp_path), kind="endpoint") == ()
    assert list_measurements(place(tmp_path), limit=1) == (new,)


def test_the_beginning_of_an_id_is_enough_where_it_says_which(tmp_path):
    measurement = measured(9)
    save_measurement(place(tmp_path), measurement)
    save_measurement(place(tmp_path), measured(10))
    assert get_measurement(place(tmp_path), measurement.id[:12]) == measurement
    for text, says in (("", "no measurement"), ("%", "no measurement"), ("zzz", "no measurement")):
        with pytest.raises(InputError, match=says):
            get_measurement(place(tmp_path), text)


def test_a_row_that_was_edited_in_the_database_is_not_believed(tmp_path):
    from sqlalchemy import text

    from workloads.store import session

    measurement = measured(9)
    save_measurement(place(tmp_path), measurement)
    with session(place(tmp_path)) as opened:
        opened.execute(text("UPDATE measurement SET document = replace(document, '40.0', '90.0')"))
    with pytest.raises(InputError, match="changed after it was written"):
        get_measurement(place(tmp_path), measurement.id)


def test_an_unsealed_measurement_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="sealed"):
        save_measurement(place(tmp_path), measured(9).model_copy(update={"id": ""}))
