"""Measurements in the database: the record as JSON text plus the columns it is searched by; and which of them are applied."""

from __future__ import annotations

import logging
from functools import lru_cache

from sqlmodel import Field, SQLModel, col, select

from facts.errors import InputError
from facts.settings import Settings
from probes.applying import Applied, Calibration, calibration_of
from probes.measurement import Measurement
from workloads.store import session, utc_text

LOG = logging.getLogger(__name__)
READ_KEPT = 32
"""Read measurements that stay in memory."""


class MeasurementRow(SQLModel, table=True):
    """A kept measurement."""

    __tablename__ = "measurement"

    id: str = Field(primary_key=True)
    created: str
    kind: str
    host: str
    model_id: str
    quantization: str
    engine: str
    status: str
    synthetic: bool
    document: str


class AppliedRow(SQLModel, table=True):
    """A measurement that the model follows; its id is the measurement's."""

    __tablename__ = "applied_measurement"

    id: str = Field(primary_key=True)
    created: str
    who: str
    document: str


def save_measurement(settings: Settings, measurement: Measurement) -> str:
    """Keep a sealed measurement and return its id; the same one saved again keeps its first row."""
    if not measurement.id:
        raise ValueError("a measurement is sealed before it is saved")
    with session(settings) as opened:
        if opened.get(MeasurementRow, measurement.id) is None:
            opened.add(_row(measurement))
    return measurement.id


def list_measurements(
    settings: Settings, *, kind: str | None = None, model_id: str | None = None, limit: int | None = None
) -> tuple[Measurement, ...]:
    """Kept measurements, newest first; of one kind or model where asked.

    One that cannot be read (edited, or written by a newer version into a shared database) is left out and named in the log.
    """
    query = select(MeasurementRow).order_by(col(MeasurementRow.created).desc(), col(MeasurementRow.id)).limit(limit)
    if kind is not None:
        query = query.where(MeasurementRow.kind == kind)
    if model_id is not None:
        query = query.where(MeasurementRow.model_id == model_id)
    with session(settings, read_only=True) as opened:
        return tuple(found for row in opened.exec(query).all() if (found := _readable(row)) is not None)


def get_measurement(settings: Settings, measurement_id: str) -> Measurement:
    """One measurement by its id, or by the beginning of it."""
    query = select(MeasurementRow).where(col(MeasurementRow.id).startswith(measurement_id, autoescape=True)).limit(2)
    with session(settings, read_only=True) as opened:
        rows = opened.exec(query).all() if measurement_id else []
        if len(rows) != 1:
            what = "more than one measurement's id begins" if rows else "no measurement's id begins"
            raise InputError(f"{what} with '{measurement_id}': python -m probes list shows them")
        return _measurement(rows[0])


def save_applied(settings: Settings, applied: Applied) -> None:
    """Let the model follow a kept measurement; applied again, it follows the newer statement of what it was taken on."""
    document = applied.model_dump_json()
    with session(settings) as opened:
        if opened.get(MeasurementRow, applied.measurement_id) is None:
            raise InputError(f"measurement {applied.measurement_id[:12]} is not kept here: upload or send it first")
        opened.merge(AppliedRow(id=applied.measurement_id, created=utc_text(applied.applied), who=applied.who, document=document))


def drop_applied(settings: Settings, measurement_id: str) -> bool:
    """Let the model follow a measurement no longer; whether it did."""
    with session(settings) as opened:
        row = opened.get(AppliedRow, measurement_id)
        if row is not None:
            opened.delete(row)
        return row is not None


def list_applied(settings: Settings) -> tuple[tuple[Measurement, Applied], ...]:
    """Every applied measurement with what it was taken on, the latest first."""
    query = select(AppliedRow).order_by(col(AppliedRow.created).desc(), col(AppliedRow.id))
    with session(settings, read_only=True) as opened:
        pairs = [(opened.get(MeasurementRow, row.id), row) for row in opened.exec(query).all()]
        read = [(_readable(kept), row) for kept, row in pairs if kept is not None]
        return tuple((measurement, Applied.model_validate_json(row.document)) for measurement, row in read if measurement is not None)


def applied_statements(settings: Settings) -> tuple[Applied, ...]:
    """What is applied, the latest first, without the measurements themselves."""
    query = select(AppliedRow).order_by(col(AppliedRow.created).desc(), col(AppliedRow.id))
    with session(settings, read_only=True) as opened:
        return tuple(Applied.model_validate_json(row.document) for row in opened.exec(query).all())


def applied_calibration(settings: Settings) -> Calibration:
    """What all applied measurements say together."""
    return calibration_of(list_applied(settings))


def _row(measurement: Measurement) -> MeasurementRow:
    return MeasurementRow(
        id=measurement.id,
        created=utc_text(measurement.created),
        kind=measurement.kind,
        host=measurement.environment.host,
        model_id=measurement.model_id or "",
        quantization=measurement.quantization,
        engine=measurement.engine,
        status=measurement.status.value,
        synthetic=bool(measurement.model_file and measurement.model_file.synthetic),
        document=measurement.to_json(),
    )


def _readable(row: MeasurementRow) -> Measurement | None:
    try:
        return _measurement(row)
    except InputError as error:
        LOG.warning("left out: %s", error)
        return None


def _measurement(row: MeasurementRow) -> Measurement:
    return _read(row.document, f"saved measurement {row.id[:12]}")


@lru_cache(maxsize=READ_KEPT)
def _read(document: str, where: str) -> Measurement:
    """A document checked and read once: a server's thousand requests take half a second, and pages ask at every click."""
    return Measurement.from_json(document, where)
