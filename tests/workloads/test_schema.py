"""The tables that the migrations make and the row classes of the rooms agree, column by column, both ways."""

import importlib
from pathlib import Path

import pytest
from sqlalchemy import inspect
from sqlalchemy.dialects import sqlite
from sqlmodel import SQLModel

from facts.settings import Settings
from workloads.store import engine, upgrade

ROW_CLASSES = {
    "workloads.store": "workload",
    "selector.store": "scenario scenario_event decision decision_inputs gate_result project actual",
    "selector.history": "approval share_link",
    "probes.store": "measurement applied_measurement",
    "pricing.store": "price_snapshot",
}
"""Where the row classes of each table stand."""


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    settings = Settings(data_dir=folder, database_url=f"sqlite:///{folder / 'r.sqlite3'}")
    upgrade(settings)
    return inspect(engine(settings.database_url))


def test_every_table_has_a_row_class_and_every_row_class_a_table(migrated):
    for module in ROW_CLASSES:
        importlib.import_module(module)
    tables = set(migrated.get_table_names()) - {"alembic_version"}
    assert tables == set(SQLModel.metadata.tables) == set(" ".join(ROW_CLASSES.values()).split())


@pytest.mark.parametrize(("module", "table"), [(module, table) for module, tables in ROW_CLASSES.items() for table in tables.split()])
def test_the_columns_of_a_row_class_are_those_of_its_table(migrated, module, table):
    importlib.import_module(module)
    declared = SQLModel.metadata.tables[table].columns
    made = migrated.get_columns(table)
    assert {column.name: (_kind(column.type), column.nullable, column.primary_key) for column in declared} == {
        column["name"]: (_kind(column["type"]), column["nullable"], bool(column["primary_key"])) for column in made
    }


def test_the_history_is_one_line():
    folder = Path(__file__).resolve().parents[2] / "workloads" / "migrations" / "versions"
    modules = [importlib.import_module(f"workloads.migrations.versions.{path.stem}") for path in sorted(folder.glob("v*.py"))]
    assert [module.down_revision for module in modules] == [None, *(module.revision for module in modules[:-1])]
    assert all(callable(module.upgrade) and callable(module.downgrade) for module in modules)


def _kind(column_type) -> str:
    return column_type.compile(dialect=sqlite.dialect())
