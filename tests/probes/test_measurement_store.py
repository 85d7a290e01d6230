from datetime import UTC, datetime
from pathlib import Path

import pytest

from facts.errors import InputError
from facts.settings import settings
from probes.applying import THIS_MACHINE, Applied
from probes.measurement import Environment, LlamaCppSettings, Measurement, Status, TestResult
from probes.store import get_measurement, list_applied, list_measurements, save_applied, save_measurement

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
APPLIED_TO = {"engine": "llama.cpp", "model_id": "qwen3-0.6b", "quantization": "Q4_K_M", "device_id": THIS_MACHINE, "gpus": 1}


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


def test_one_that_a_newer_version_wrote_does_not_hide_the_others(tmp_path, caplog):
    from sqlalchemy import text

    from workloads.store import session

    newer, kept = measured(9), measured(10)
    for measurement in (newer, kept):
        save_measurement(place(tmp_path), measurement)
        save_applied(place(tmp_path), Applied(measurement_id=measurement.id, applied=NOON, who="a", **APPLIED_TO))
    with session(place(tmp_path)) as opened:
        change = text(
            "UPDATE measurement SET document = replace(document, '\"schema_version\": 1', '\"schema_version\": 2') WHERE id = :id"
        )
        opened.execute(change, {"id": newer.id})
    assert list_measurements(place(tmp_path)) == (kept,)
    assert [measurement for measurement, _ in list_applied(place(tmp_path))] == [kept]
    assert f"saved measurement {newer.id[:12]}" in caplog.text


def test_an_unsealed_measurement_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="sealed"):
        save_measurement(place(tmp_path), measured(9).model_copy(update={"id": ""}))
