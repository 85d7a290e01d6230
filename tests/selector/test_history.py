"""A scenario through time: versions, edits at once, archive, approval, links; the same on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import inspect

from facts.errors import InputError
from facts.settings import Settings
from selector.catalog import load_catalog
from selector.comparison import compare
from selector.history import (
    approval_status,
    approve,
    archive_scenario,
    duplicate_scenario,
    end_share,
    find_scenario,
    list_approvals,
    restore_scenario,
    scenario_versions,
    share_scenario,
    shared_scenario,
)
from selector.recommendation import recommend
from selector.results import METHOD_VERSION
from selector.scenarios import changes, renamed, scenario_from_toml, scenario_sha256, scenario_to_toml
from selector.store import list_decisions, list_scenarios, save_decision, save_scenario, settled
from tests.selector.decisions import DAY, decide, scenario
from workloads.store import downgrade, engine, upgrade

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def mail(**document):
    return scenario(name="Mail", **document)


# ---- versions ----


def test_two_of_one_second_stand_in_the_order_they_were_saved(kept):
    for parts, name in enumerate("ZAM"):
        save_scenario(kept, scenario(name=name), created=NOON + timedelta(microseconds=parts))
    assert [saved.name for saved in list_scenarios(kept)] == ["M", "A", "Z"]
    for parts, labels in enumerate((3, 1, 2)):
        save_decision(kept, decide(labelled_examples=labels), created=NOON + timedelta(milliseconds=parts))
    assert [found.document["workload"]["labelled_examples"] for found in list_decisions(kept)] == [2, 1, 3]


def test_two_of_one_moment_stand_in_the_same_order_whoever_came_first(tmp_path):
    orders = []
    for names in ("ABC", "CAB", "BCA"):
        database = Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / names}.sqlite3")
        for name in names:
            save_scenario(database, scenario(name=name), created=NOON)
        orders.append([saved.name for saved in list_scenarios(database)])
    assert orders[0] == orders[1] == orders[2]


def test_a_version_says_who_when_why_and_with_which_prices_and_method(kept):
    given = mail()
    catalog = load_catalog(DAY, given.prices)
    save_scenario(kept, given, created=NOON, who=" Ann ", note="first", catalog=catalog)
    (saved,) = list_scenarios(kept)
    assert (saved.version, saved.who, saved.note, saved.created) == (1, "Ann", "first", "2026-11-22T12:00:00+00:00")
    assert (saved.as_of, saved.prices, saved.method_version) == (DAY.isoformat(), catalog.prices.identity, METHOD_VERSION)
    assert saved.scenario == given


def test_every_version_stays_and_the_newest_stands_in_the_list(kept):
    for turn, labels in enumerate((0, 100, 100, 500)):
        save_scenario(kept, mail(labelled_examples=labels), created=NOON + timedelta(hours=turn))
    assert [saved.scenario.workload.labelled_examples for saved in scenario_versions(kept, "Mail")] == [0, 100, 500]
    assert [saved.version for saved in list_scenarios(kept)] == [3]
    assert find_scenario(kept, "Mail").version == 3
    second = find_scenario(kept, "Mail@2")
    assert second.scenario.workload.labelled_examples == 100
    assert find_scenario(kept, second.id) == second


def test_an_unknown_name_says_which_is_near(kept):
    with pytest.raises(InputError, match="none has been saved"):
        find_scenario(kept, "Mail")
    save_scenario(kept, mail(), created=NOON)
    with pytest.raises(InputError, match="nearest known: 'Mail'"):
        find_scenario(kept, "Mial@1")
    with pytest.raises(InputError, match="Mail@2"):
        find_scenario(kept, "Mail@2")


def test_of_two_who_changed_the_same_version_the_second_is_told_and_nothing_is_overwritten(kept):
    save_scenario(kept, mail(labelled_examples=1), created=NOON, expected_version=0)
    save_scenario(kept, mail(labelled_examples=2), created=NOON, who="Ann", expected_version=1)
    with pytest.raises(InputError, match=r"saved as version 2 by Ann .* after you opened version 1, and nothing was overwritten"):
        save_scenario(kept, mail(labelled_examples=3), created=NOON, who="Bob", expected_version=1)
    assert [saved.scenario.workload.labelled_examples for saved in scenario_versions(kept, "Mail")] == [1, 2]
    assert save_scenario(kept, mail(labelled_examples=2), created=NOON, expected_version=1).version == 2  # both wrote the same


def test_a_name_that_is_thought_new_and_is_not(kept):
    save_scenario(kept, mail(labelled_examples=1), created=NOON)
    with pytest.raises(InputError, match="before you saved it as a new one"):
        save_scenario(kept, mail(labelled_examples=2), created=NOON, expected_version=0)
    with pytest.raises(InputError, match="never saved here"):
        save_scenario(kept, scenario(name="Other"), created=NOON, expected_version=3)


def test_of_many_who_save_at_once_one_wins_and_the_others_are_told(kept):
    save_scenario(kept, mail(labelled_examples=0), created=NOON)

    def change(labels):
        try:
            return save_scenario(kept, mail(labelled_examples=labels), created=NOON, expected_version=1).version
        except InputError:
            return None

    with ThreadPoolExecutor(6) as threads:
        versions = list(threads.map(change, range(1, 7)))
    assert sorted(version for version in versions if version) == [2]
    assert len(scenario_versions(kept, "Mail")) == 2


def test_without_an_expected_version_all_are_kept_one_after_another(kept):
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda labels: save_scenario(kept, mail(labelled_examples=labels), created=NOON), range(1, 13)))
    assert [saved.version for saved in scenario_versions(kept, "Mail")] == list(range(1, 13))


# ---- differences ----


def test_no_change_is_no_change():
    assert changes(mail(), mail()) == ()


def test_exactly_the_changed_inputs_are_named():
    before = mail(horizon_months=12, prices={"gpu_usd_per_hour": 2.0})
    after = mail(horizon_months=24, prices={"gpu_usd_per_hour": 2.5}, assumptions={"spare_replicas": 0})
    assert [(change.table, change.key, change.before, change.after) for change in changes(before, after)] == [
        ("workload", "horizon_months", 12, 24),
        ("prices", "gpu_usd_per_hour", 2.0, 2.5),
        ("assumptions", "spare_replicas", 1, 0),
    ]


def test_a_size_that_follows_from_another_input_is_no_change_of_its_own():
    found = changes(mail(input_share=0.8), mail(input_share=0.5))
    assert [(change.key, change.before, change.after) for change in found] == [("input_share", 0.8, 0.5)]
    through_file = [scenario_from_toml(scenario_to_toml(mail(input_share=share))) for share in (0.8, 0.5)]
    assert [change.key for change in changes(*through_file)] == ["input_share"]


def test_the_volume_stated_the_other_way_is_named_with_what_belongs_to_it():
    by_requests = scenario(name="Mail", requests_per_day=1000, input_tokens_mean=1000, output_tokens_mean=200)
    assert {change.key for change in changes(mail(), by_requests)} == {
        "requests_per_day",
        "tokens_per_day",
        "input_tokens_mean",
        "output_tokens_mean",
    }


def test_two_decisions_differ_in_their_inputs_and_their_verdict():
    small, large = decide(tokens_per_day=1e5), decide(tokens_per_day=5e9)
    found = compare(small, large)
    assert [change.key for change in found.changes] == ["tokens_per_day"]
    assert found.verdict_changed
    assert found.before.option_id == small.choice.option_id
    assert found.after.option_id == large.choice.option_id
    assert found.sentence.startswith("1 input differs; ")
    assert found.other_numbers == ()


def test_the_same_inputs_on_another_day_name_the_day():
    given = scenario()
    later = recommend(given, load_catalog(date(2026, 11, 23), given.prices))
    found = compare(decide(), later)
    assert found.changes == ()
    assert found.other_numbers == ("prices of 2026-11-22 before, of 2026-11-23 after",)
    assert not found.verdict_changed


# ---- duplicate, archive, restore ----


def test_a_duplicate_has_the_same_inputs_under_its_own_name(kept):
    save_scenario(kept, mail(), created=NOON)
    copy = duplicate_scenario(kept, "Mail", "Mail 2", created=NOON, who="Ann")
    assert [change.key for change in changes(mail(), copy.scenario)] == ["name"]
    assert (copy.version, copy.note) == (1, "duplicate of Mail, version 1")
    with pytest.raises(InputError, match="already there"):
        duplicate_scenario(kept, "Mail", "Mail 2", created=NOON)
    with pytest.raises(InputError, match="'name'"):
        duplicate_scenario(kept, "Mail", "", created=NOON)


def test_what_is_archived_leaves_the_list_and_loses_nothing(kept):
    save_scenario(kept, mail(labelled_examples=1), created=NOON)
    save_scenario(kept, mail(labelled_examples=2), created=NOON)
    for _ in range(2):
        archive_scenario(kept, "Mail", created=NOON, who="Ann")
    assert list_scenarios(kept) == ()
    assert [saved.name for saved in list_scenarios(kept, archived=True)] == ["Mail"]
    assert len(scenario_versions(kept, "Mail")) == 2
    restore_scenario(kept, "Mail", created=NOON)
    restore_scenario(kept, "Mail", created=NOON)
    assert [saved.version for saved in list_scenarios(kept)] == [2]
    assert list_scenarios(kept, archived=True) == ()
    with pytest.raises(InputError, match="Mail"):
        archive_scenario(kept, "Mial", created=NOON)


# ---- approval ----


def approved(kept, given, **details):
    catalog = load_catalog(DAY, given.prices)
    saved = save_scenario(kept, given, created=NOON, catalog=catalog)
    return approve(kept, saved, recommend(given, catalog), catalog, created=NOON, **details)


def test_an_approval_has_a_name_a_date_a_note_and_the_frozen_hash(kept):
    given = mail()
    approval = approved(kept, given, who="Ann", note="go")
    assert (approval.who, approval.note, approval.created, approval.version) == ("Ann", "go", "2026-11-22T12:00:00+00:00", 1)
    assert approval.inputs_sha256 == scenario_sha256(given)
    assert approval.sentence == decide(name="Mail").choice.sentence
    assert list_approvals(kept, "Mail") == (approval,)
    assert approved(kept, given, who="Ann", note="go") == approval


def test_an_input_that_is_changed_after_approval_shows(kept):
    assert not approval_status(kept, mail()).holds
    approved(kept, mail(), who="Ann", note="go")
    status = approval_status(kept, mail())
    assert status.holds
    assert status.sentence == "Approved as version 1 by Ann on 2026-11-22: go."
    changed = approval_status(kept, mail(labelled_examples=7, horizon_months=24))
    assert not changed.holds
    assert changed.sentence == "Changed since version 1 was approved by Ann on 2026-11-22: labelled_examples, horizon_months."


def test_an_approval_needs_a_name_and_the_decision_on_these_inputs(kept):
    given = mail()
    catalog = load_catalog(DAY, given.prices)
    saved = save_scenario(kept, given, created=NOON)
    with pytest.raises(InputError, match="needs a name"):
        approve(kept, saved, recommend(given, catalog), catalog, created=NOON, who=" ")
    with pytest.raises(InputError, match="other inputs"):
        approve(kept, saved, decide(), catalog, created=NOON, who="Ann")
    assert list_approvals(kept, "Mail") == ()


# ---- links ----


def test_a_link_shows_its_version_until_it_is_withdrawn(kept):
    first = save_scenario(kept, mail(labelled_examples=1), created=NOON)
    link = share_scenario(kept, first, created=NOON, who="Ann")
    save_scenario(kept, mail(labelled_examples=2), created=NOON)
    assert shared_scenario(kept, link.id) == first
    assert len(link.id) >= 22  # 128 bits
    assert share_scenario(kept, first, created=NOON).id != link.id
    assert end_share(kept, link.id, ended=NOON).ended
    with pytest.raises(InputError, match="withdrawn"):
        shared_scenario(kept, link.id)
    with pytest.raises(InputError, match="withdrawn"):
        shared_scenario(kept, first.id)  # the version's own id is no link
    with pytest.raises(InputError, match="no link"):
        end_share(kept, "nope", ended=NOON)


# ---- drafts ----


def draft(kept, labels):
    return save_scenario(kept, mail(labelled_examples=labels), created=NOON, draft=True)


def test_a_draft_gives_its_place_to_the_next_and_to_what_is_saved_on_purpose(kept):
    drafts = [draft(kept, labels) for labels in (1, 2, 3)]
    assert [saved.version for saved in drafts] == [1, 1, 1]
    assert scenario_versions(kept, "Mail") == (drafts[-1],)
    saved = save_scenario(kept, mail(labelled_examples=4), created=NOON, who="Ann", expected_version=0)
    assert (saved.version, saved.draft) == (1, False)
    assert draft(kept, 4) == saved  # nothing new: no draft
    assert [(one.version, one.draft) for one in (draft(kept, 5), draft(kept, 6))] == [(2, True), (2, True)]
    assert [one.scenario.workload.labelled_examples for one in scenario_versions(kept, "Mail")] == [4, 6]
    named = save_scenario(kept, mail(labelled_examples=6), created=NOON, who="Bob", note="agreed")
    assert (named.version, named.draft, named.who, named.note) == (2, False, "Bob", "agreed")


def test_a_draft_that_is_approved_or_shared_or_opened_stays(kept):
    catalog = load_catalog(DAY)
    for turn, keep in enumerate(
        (
            lambda saved: approve(kept, saved, recommend(saved.scenario, catalog), catalog, created=NOON, who="Ann"),
            lambda saved: share_scenario(kept, saved, created=NOON),
            lambda saved: settled(kept, saved, created=NOON),
        ),
        1,
    ):
        keep(draft(kept, turn))
        draft(kept, 100)
        assert [(one.version, one.draft) for one in scenario_versions(kept, "Mail")][-2:] == [(turn, False), (turn + 1, True)]


def test_a_draft_that_was_replaced_while_somebody_looked_at_it_is_shared_all_the_same(kept):
    looked_at = draft(kept, 1)
    draft(kept, 2)
    link = share_scenario(kept, looked_at, created=NOON)
    assert shared_scenario(kept, link.id).scenario == looked_at.scenario


# ---- the schema, both ways ----


def test_the_schema_goes_forward_and_back_on_both_engines(kept):
    upgrade(kept)
    tables = set(inspect(engine(kept.database_url)).get_table_names())
    assert {"scenario", "approval", "share_link", "scenario_event", "actual", "gate_result"} <= tables
    for revision in ("0002", "0001"):
        downgrade(kept, revision)
    columns = {column["name"] for column in inspect(engine(kept.database_url)).get_columns("scenario")}
    assert columns == {"id", "name", "version", "created", "who", "document"}
    upgrade(kept)
    assert set(inspect(engine(kept.database_url)).get_table_names()) == tables
    downgrade(kept, "base")
    assert inspect(engine(kept.database_url)).get_table_names() == ["alembic_version"]


def test_scenarios_of_the_first_schema_are_kept_by_the_newest(kept):
    upgrade(kept)
    downgrade(kept, "0001")
    document = scenario_to_toml(mail())
    with engine(kept.database_url).begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO scenario (id, name, version, created, who, document) VALUES ('old', 'Mail', 1, '2026-01-01', 'Ann', '"
            + document.replace("'", "''")
            + "')"
        )
    (saved,) = list_scenarios(kept)
    assert (saved.id, saved.who, saved.note, saved.prices) == ("old", "Ann", "", "")
    assert saved.scenario == mail()


def test_a_decision_is_kept_on_both_engines(kept):
    assert save_decision(kept, decide(), created=NOON) == save_decision(kept, decide(), created=NOON)


def test_a_new_name_changes_nothing_else():
    assert [change.key for change in changes(mail(input_share=0.7), renamed(mail(input_share=0.7), "New"))] == ["name"]
