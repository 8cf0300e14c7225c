"""A database copied into another: every table and value, all or nothing, verified, and what is refused."""

import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from fleet import copying
from fleet.app import create_app
from fleet.audit import AuditEntry
from fleet.config import database_url
from fleet.copying import (
    CopyDiffersError,
    DatabaseMissingError,
    OtherRevisionError,
    RowRefusedError,
    SameDatabaseError,
    SourceInUseError,
    TargetNotEmptyError,
    tables,
)
from fleet.db import Base
from fleet.job_runs import JobLease
from fleet.schools.models import School
from tests import copied, postgres
from tests.conftest import NOW

assert create_app is not None  # imports all models, so that the metadata is whole
MakeOf = Callable[[str], str]
WAYS = [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("sqlite", "sqlite"), ("postgresql", "postgresql")]


def quiet(_step: str, _table: str, _rows: int, _of: int) -> None:
    """Hear of nothing."""


@pytest.fixture
def make(sqlite_template: Path, postgres_server: postgres.Server, postgres_template: str, tmp_path: Path) -> MakeOf:
    """Return a function that makes a new empty database of a kind."""

    def of(kind: str) -> str:
        if kind == "postgresql":
            return database_url(postgres_server.url(postgres_server.create(template=postgres_template)))
        path = tmp_path / f"{secrets.token_hex(4)}.sqlite3"
        shutil.copyfile(sqlite_template, path)
        return f"sqlite:///{path}"

    return of


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def filled_template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with rows in every table, to copy."""
    path = tmp_path_factory.mktemp("filled") / "fleet.sqlite3"
    shutil.copyfile(sqlite_template, path)
    copied.fill(f"sqlite:///{path}")
    return path


@pytest.fixture
def filled(filled_template: Path, tmp_path: Path) -> str:
    """Return a SQLite database with rows in every table."""
    shutil.copyfile(filled_template, tmp_path / "filled.sqlite3")
    return f"sqlite:///{tmp_path / 'filled.sqlite3'}"


def rows_of(url: str) -> dict[str, list[dict[str, object]]]:
    """Return all rows as the program reads them."""
    with copying.opened(url) as engine, engine.connect() as connection:
        return {
            one.name: [dict(row) for row in connection.execute(select(one).order_by(*one.primary_key)).mappings()]
            for one in tables()
        }


def run(url: str, statement: str) -> None:
    with copying.opened(url) as engine, engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(("source_kind", "target_kind"), WAYS)
def test_every_row_of_every_table_means_the_same_afterwards(make: MakeOf, source_kind: str, target_kind: str) -> None:
    source, target = make(source_kind), make(target_kind)
    copied.fill(source)
    compared = copying.copy(source, target, now=NOW, progress=quiet)
    assert [one.table for one in compared] == [one.name for one in tables()]
    assert all(one.is_same and one.source.rows == (1 if one.table in copied.ONLY_ONE else 3) for one in compared)
    assert rows_of(source) == rows_of(target)


def test_new_rows_are_counted_on_after_the_copy(make: MakeOf, filled: str, kind: str) -> None:
    target = make(kind)
    copying.copy(filled, target, now=NOW, progress=quiet)
    with copying.opened(target) as engine, engine.begin() as connection:
        made = connection.execute(insert(School).values(name="Ny skole").returning(School.id)).scalar_one()
        entry = {"at": NOW, "actor_kind": "cli", "actor_id": "", "action": "x", "subject": "x", "fields": {}}
        noted = connection.execute(insert(AuditEntry).values(entry).returning(AuditEntry.id)).scalar_one()
    assert (made, noted) == (copied.FIRST + 3, copied.FIRST + 3)


def test_every_tables_sequence_is_after_its_highest_number(make: MakeOf, filled: str) -> None:
    target = make("postgresql")
    copying.copy(filled, target, now=NOW, progress=quiet)
    with copying.opened(target) as engine, engine.begin() as connection:
        counted = [one for one in tables() if one.autoincrement_column is not None]
        found = {
            one.name: connection.scalar(
                text("SELECT nextval(pg_get_serial_sequence(:name, :column))"),
                {"name": f'"{one.name}"', "column": one.autoincrement_column.name},  # type: ignore[union-attr]
            )
            for one in counted
        }
    assert len(found) > 50
    assert found == {name: 2 if name in copied.ONLY_ONE else copied.FIRST + 3 for name in found}


def test_a_rehearsal_does_it_all_and_leaves_nothing(make: MakeOf, filled: str, kind: str) -> None:
    target = make(kind)
    compared = copying.copy(filled, target, now=NOW, progress=quiet, rehearses=True)
    assert all(one.is_same and one.target.rows for one in compared)
    assert copied.counts(target) == {}
    with copying.opened(target) as engine, engine.begin() as connection:
        assert connection.execute(insert(School).values(name="Ny").returning(School.id)).scalar_one() == 1


def test_who_is_killed_half_way_leaves_the_target_empty(make: MakeOf, filled: str, kind: str) -> None:
    target = make(kind)
    code = f"""
import os, signal
import fleet.app
from datetime import UTC, datetime
from fleet import copying
def progress(step, table, rows, of):
    if rows > of / 2:
        os.kill(os.getpid(), signal.SIGKILL)
copying.copy({filled!r}, {target!r}, now=datetime(2026, 9, 14, tzinfo=UTC), progress=progress)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert copied.counts(target) == {}
    assert all(one.is_same for one in copying.copy(filled, target, now=NOW, progress=quiet))


def test_a_row_that_is_not_kept_as_it_was_written_ends_the_copy(make: MakeOf, filled: str, kind: str) -> None:
    target = make(kind)
    changed = "UPDATE school SET name = 'Annen' WHERE id = NEW.id"
    if kind == "sqlite":
        run(target, f"CREATE TRIGGER t AFTER INSERT ON school WHEN NEW.id = 42 BEGIN {changed}; END")
    else:
        run(target, f"CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN {changed}; RETURN NULL; END $$ LANGUAGE plpgsql")
        run(target, "CREATE TRIGGER t AFTER INSERT ON school FOR EACH ROW WHEN (NEW.id = 42) EXECUTE FUNCTION f()")
    with pytest.raises(CopyDiffersError) as raised:
        copying.copy(filled, target, now=NOW, progress=quiet)
    assert raised.value.data == {"tables": ["school"]}
    assert copied.counts(target) == {}


CHANGES = {
    "person": "UPDATE person SET given_name = 'Annen' WHERE id = 42",
    "job_run": "DELETE FROM job_run WHERE id = 42",
    "device_note": "UPDATE device_note SET written_at = '2020-01-01 00:00:00' WHERE id = 42",
    # two rows change places: as much of each value as before
    "audit_entry": """UPDATE audit_entry SET action = CASE id WHEN 41 THEN (SELECT action FROM audit_entry WHERE id = 42)
                      ELSE (SELECT action FROM audit_entry WHERE id = 41) END WHERE id < 43""",
}


def test_rows_that_were_changed_afterwards_are_found(make: MakeOf, filled: str, kind: str) -> None:
    target = make(kind)
    copying.copy(filled, target, now=NOW, progress=quiet)
    assert all(one.is_same for one in copying.compare(filled, target, progress=quiet))
    for change in CHANGES.values():
        run(target, change)
    different = {one.table for one in copying.compare(target, filled, progress=quiet) if not one.is_same}
    assert different == CHANGES.keys()


@pytest.mark.parametrize("source_kind", ["sqlite", "postgresql"])
def test_what_is_written_meanwhile_is_not_in_the_copy(make: MakeOf, source_kind: str) -> None:
    source, target = make(source_kind), make("postgresql")
    copied.fill(source)
    written: list[str] = []

    def writing(step: str, _table: str, _rows: int, _of: int) -> None:
        if not written:
            written.append(step)
            with copying.opened(source) as engine, engine.begin() as connection:
                connection.execute(insert(JobLease).values(name="x", holder="x", epoch=1, expires_at=NOW))
                connection.execute(update(School).values(name="Annen"))

    copying.copy(source, target, now=NOW, progress=writing)
    different = [one.table for one in copying.compare(source, target, progress=quiet) if not one.is_same]
    assert different == ["job_lease", "school"]


def test_a_server_that_works_on_the_source_has_to_be_stopped_first(make: MakeOf, kind: str) -> None:
    source, target = make(kind), make("postgresql")
    until = NOW + timedelta(seconds=30)
    with copying.opened(source) as engine, engine.begin() as connection:
        connection.execute(insert(JobLease).values(name="timetable", holder="x", epoch=7, expires_at=until))
    with pytest.raises(SourceInUseError) as raised:
        copying.copy(source, target, now=NOW, progress=quiet)
    assert raised.value.data == {"until": until}
    copying.copy(source, target, now=NOW, progress=quiet, rehearses=True)
    copying.copy(source, target, now=until, progress=quiet)  # it was killed, and its lease is over
    assert copied.counts(target) == {"job_lease": 1}


def test_a_target_with_rows_is_left_as_it_is(make: MakeOf, filled: str, kind: str) -> None:
    target = make(kind)
    with copying.opened(target) as engine, engine.begin() as connection:
        connection.execute(insert(School).values(name="Prøveskolen"))
    with pytest.raises(TargetNotEmptyError) as raised:
        copying.copy(filled, target, now=NOW, progress=quiet)
    assert raised.value.data["tables"] == ["school"]
    assert copied.counts(target) == {"school": 1}


def test_a_row_that_the_target_cannot_keep_is_named(make: MakeOf, filled: str) -> None:
    target = make("postgresql")
    run(
        filled, "UPDATE school SET name = replace(hex(zeroblob(999)), '0', 'x') WHERE id = 42"
    )  # SQLite takes any length
    with pytest.raises(RowRefusedError) as raised:
        copying.copy(filled, target, now=NOW, progress=quiet)
    assert (raised.value.data["table"], raised.value.data["key"]) == ("school", "id 42")
    assert "too long" in raised.value.data["reason"]
    assert copied.counts(target) == {}


@pytest.mark.parametrize("is_source", [True, False])
def test_a_database_of_another_revision_is_refused(make: MakeOf, filled: str, kind: str, is_source: bool) -> None:
    other = make(kind)
    run(other, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(OtherRevisionError) as raised:
        copying.copy(*((other, filled) if is_source else (filled, other)), now=NOW, progress=quiet)
    assert raised.value.data["found"] == "0000"


def test_a_database_without_tables_is_refused(filled: str, postgres_server: postgres.Server) -> None:
    target = database_url(postgres_server.url(postgres_server.create()))
    with pytest.raises(OtherRevisionError) as raised:
        copying.copy(filled, target, now=NOW, progress=quiet)
    assert raised.value.data["found"] is None


def test_a_database_is_not_copied_to_itself(filled: str, make: MakeOf, kind: str, tmp_path: Path) -> None:
    url = filled if kind == "sqlite" else make(kind)
    with pytest.raises(SameDatabaseError):
        copying.copy(url, url, now=NOW, progress=quiet)
    (tmp_path / "link").symlink_to(filled.removeprefix("sqlite:///"))
    with pytest.raises(SameDatabaseError):
        copying.compare(filled, f"sqlite:///{tmp_path / 'link'}", progress=quiet)


def test_a_file_that_is_not_there_is_not_made(filled: str, tmp_path: Path) -> None:
    for source, target in [(filled, "none"), ("none", filled)]:
        addresses = [one if one == filled else f"sqlite:///{tmp_path / 'none'}" for one in (source, target)]
        with pytest.raises(DatabaseMissingError):
            copying.copy(*addresses, now=NOW, progress=quiet)
    assert not (tmp_path / "none").exists()


def test_only_a_batch_is_held_at_once(make: MakeOf) -> None:
    source, target = make("sqlite"), make("postgresql")
    with copying.opened(source) as engine, engine.begin() as connection:
        connection.execute(insert(School), [{"name": f"Skole {number}"} for number in range(2_500)])
    told: list[tuple[str, str, int, int]] = []
    copying.copy(source, target, now=NOW, progress=lambda *step: told.append(step))
    assert told == [
        *(("copied", "school", rows, 2_500) for rows in (1_000, 2_000, 2_500)),
        *(("verified", "school", rows, 2_500) for rows in (1_000, 2_000, 2_500)),
    ]


def test_no_table_refers_to_itself_or_in_a_circle() -> None:
    before: set[str] = set()
    for table in Base.metadata.sorted_tables:
        assert {key.column.table.name for key in table.foreign_keys} <= before, table.name
        before.add(table.name)


def test_numbers_are_compared_by_what_they_are() -> None:
    assert copying.canonical([1e5, -0.0, 1e300]) == [100_000, 0, 10**300]
    assert copying.canonical({"a": 0.1}) == {"a": 0.1}
    assert copying.canonical(b"\x00") != copying.canonical(b"\x01")
    with pytest.raises(TypeError):
        copying.canonical(object())
