"""What the server stands on: each check of the machine and of the database's settings, well and not well."""

import os
import shutil
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleet import config as configuration
from fleet.checkup import database, machine
from fleet.checkup.checks import Check, Grade, ending, fault, has_fault, ok, warning
from fleet.config import Config
from tests.conftest import NOW

OK, WARNING, FAULT = Grade.OK, Grade.WARNING, Grade.FAULT
EARLIER = NOW - timedelta(hours=1)
_Usage = namedtuple("_Usage", ["total", "used", "free"])  # noqa: PYI024 (as shutil has it)


def config(folder: Path, **more: str) -> Config:
    return configuration.load({"FLEET_DATA_DIR": str(folder), "FLEET_PUBLIC_URL": "https://nett.prove.example", **more})


def grade(found: Check) -> Grade:
    assert "\n" not in found.seen + found.advice
    assert bool(found.advice) == (found.grade is not OK)
    return found.grade


@pytest.mark.parametrize(
    ("left", "expected"),
    [(timedelta(days=61), OK), (timedelta(days=59), WARNING), (timedelta(0), FAULT), (timedelta(days=-9), FAULT)],
)
def test_what_ends_is_warned_of_and_is_a_fault_once_it_has_ended(left: timedelta, expected: Grade) -> None:
    assert grade(ending("x", NOW + left, now=NOW, advice="renew it")) is expected


def test_only_a_fault_is_one() -> None:
    assert not has_fault([ok("a", "b"), warning("a", "b", "c")])
    assert has_fault([ok("a", "b"), fault("a", "b", "c")])


@pytest.mark.parametrize(
    ("free", "expected", "word"), [(4 * 2**30, OK, "ok"), (2**30, WARNING, "low"), (2**20, FAULT, "full")]
)
def test_a_disk_that_fills_is_warned_of_before_it_is_full(
    free: int, expected: Grade, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: _Usage(100 * 2**30, 0, free))
    assert grade(machine.disk("data-disk", tmp_path)) is expected
    assert machine.room(tmp_path) == word


def test_a_folder_that_is_not_there_or_not_ours_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert grade(machine.disk("data-disk", tmp_path / "none")) is FAULT
    assert machine.is_writable(tmp_path)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert machine.room(tmp_path) == "not-writable"


def test_the_folders_are_those_of_the_data_and_of_an_embedded_database_elsewhere(tmp_path: Path) -> None:
    assert machine.folders(config(tmp_path)) == (tmp_path,)
    elsewhere = config(tmp_path, FLEET_DATABASE_URL=f"sqlite:///{tmp_path}/other/x.sqlite3")
    assert machine.folders(elsewhere) == (tmp_path, tmp_path / "other")
    assert machine.folders(config(tmp_path, FLEET_DATABASE_URL="postgresql://fleet@/fleet")) == (tmp_path,)


@pytest.mark.parametrize("name", ["secrets/session.key", "secrets/root-keys/root-1.pem", "fleet.sqlite3", "exports"])
def test_what_others_may_open_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    found = tmp_path / name
    found.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found.touch(mode=0o600)
    assert grade(machine.rights(config(tmp_path))) is OK
    found.chmod(0o640)
    assert grade(machine.rights(config(tmp_path))) is FAULT
    assert str(found) in machine.rights(config(tmp_path)).seen


def test_a_vault_key_elsewhere_is_looked_at_too(tmp_path: Path) -> None:
    key = tmp_path / "credential"
    key.touch(mode=0o644)
    assert grade(machine.rights(config(tmp_path, FLEET_VAULT_KEY=str(key)))) is FAULT


def test_of_many_files_that_others_may_open_the_first_are_named(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    for number in range(5):
        (tmp_path / "secrets" / f"key-{number}").touch(mode=0o644)
    assert machine.rights(config(tmp_path)).seen.endswith("key-2 and 2 more")


def test_another_than_the_servers_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert grade(machine.user(config(tmp_path))) is OK
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert grade(machine.user(config(tmp_path))) is WARNING


def test_a_vault_key_may_be_missing_only_before_anything_is_sealed(tmp_path: Path) -> None:
    assert grade(machine.vault_key(config(tmp_path))) is OK
    sealed = tmp_path / "secrets" / "push-certificate.sealed"
    sealed.parent.mkdir()
    sealed.touch()
    assert grade(machine.vault_key(config(tmp_path))) is FAULT
    (tmp_path / "secrets" / "vault.key").touch()
    assert grade(machine.vault_key(config(tmp_path))) is OK


def test_root_keys_on_the_machine_are_warned_of(tmp_path: Path) -> None:
    assert grade(machine.root_keys(config(tmp_path))) is OK
    (tmp_path / "secrets" / "root-keys").mkdir(parents=True)
    (tmp_path / "secrets" / "root-keys" / "root-1.pem").touch()
    assert grade(machine.root_keys(config(tmp_path))) is WARNING


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, OK),
        ({"FLEET_METRICS": "loopback"}, WARNING),
        ({"FLEET_METRICS": "loopback", "FLEET_PROXIES": "127.0.0.1"}, OK),
        ({"FLEET_METRICS": "loopback", "FLEET_PUBLIC_URL": "http://127.0.0.1:8000"}, OK),
        ({"FLEET_METRICS": "token"}, OK),
    ],
)
def test_metrics_for_this_machine_are_guarded_from_an_unnamed_proxy(
    told: dict[str, str], expected: Grade, tmp_path: Path
) -> None:
    assert grade(machine.metrics(config(tmp_path, **told))) is expected


@pytest.mark.parametrize(("word", "expected"), [("", FAULT), ("guessed", FAULT), ("x" * 16, OK)])
def test_the_word_for_metrics_has_to_be_one(word: str, expected: Grade, tmp_path: Path) -> None:
    found = config(tmp_path, FLEET_METRICS="token")
    found.secrets_dir.mkdir()
    found.metrics_token_file.write_text(word)
    assert grade(machine.metrics(found)) is expected


@pytest.mark.parametrize(
    ("now", "newest", "expected"),
    [
        (NOW, None, OK),
        (NOW, NOW + timedelta(seconds=30), OK),
        (NOW, NOW + timedelta(hours=1), FAULT),
        (datetime(1970, 1, 2, tzinfo=UTC), None, FAULT),
    ],
)
def test_a_clock_that_shows_the_past_is_a_fault(now: datetime, newest: datetime | None, expected: Grade) -> None:
    assert grade(machine.clock(now, newest=newest)) is expected


@pytest.mark.parametrize(
    ("url", "served", "expected"),
    [
        ("https://nett.prove.example", None, OK),
        ("https://nett.prove.example", "https://nett.prove.example", OK),
        ("https://nett.prove.example", "https://gammel.prove.example", WARNING),
        ("http://127.0.0.1:8000", None, WARNING),
        ("http://nett.prove.example", None, FAULT),
    ],
)
def test_the_public_address_is_to_be_guarded_and_the_servers(
    url: str, served: str | None, expected: Grade, tmp_path: Path
) -> None:
    assert grade(machine.public_url(config(tmp_path, FLEET_PUBLIC_URL=url), served=served)) is expected


SOUND = {
    "server_version_num": "160004",
    "server_encoding": "UTF8",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_isolation": "read committed",
    "transaction_read_only": "off",
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
}


def test_postgresql_as_it_comes_is_sound() -> None:
    assert {grade(one) for one in database.settings(SOUND, connections=50)} == {OK}


@pytest.mark.parametrize(
    ("setting", "value", "name", "expected"),
    [
        ("server_version_num", "130011", "postgresql-version", WARNING),
        ("server_encoding", "SQL_ASCII", "postgresql-encoding", FAULT),
        ("max_connections", "52", "postgresql-connections", WARNING),
        ("max_connections", "53", "postgresql-connections", OK),
        ("statement_timeout", "5000", "postgresql-timeouts", WARNING),
        ("statement_timeout", "60000", "postgresql-timeouts", OK),
        ("lock_timeout", "200", "postgresql-timeouts", WARNING),
        ("idle_in_transaction_session_timeout", "100", "postgresql-timeouts", WARNING),
        ("default_transaction_isolation", "serializable", "postgresql-transactions", FAULT),
        ("transaction_read_only", "on", "postgresql-transactions", FAULT),
        ("synchronous_commit", "off", "postgresql-durability", WARNING),
        ("fsync", "off", "postgresql-durability", WARNING),
        ("full_page_writes", "off", "postgresql-durability", WARNING),
    ],
)
def test_a_setting_that_does_not_suit_is_told(setting: str, value: str, name: str, expected: Grade) -> None:
    found = {one.name: grade(one) for one in database.settings({**SOUND, setting: value}, connections=50)}
    assert found.pop(name) is expected
    assert set(found.values()) == {OK}


@pytest.mark.parametrize(("apart_s", "expected"), [(0.5, OK), (-1.5, OK), (3, WARNING), (-3, WARNING), (40, FAULT)])
def test_the_databases_clock_is_held_against_ours(apart_s: float, expected: Grade) -> None:
    there = NOW + timedelta(seconds=apart_s)
    assert grade(database.clocks(there, before=NOW, after=NOW + timedelta(milliseconds=2))) is expected


def test_a_slow_answer_does_not_make_clocks_differ() -> None:
    assert grade(database.clocks(NOW + timedelta(seconds=30), before=NOW, after=NOW + timedelta(minutes=1))) is OK


def test_sqlite_has_to_write_ahead_and_be_whole() -> None:
    assert [grade(database.journal(mode)) for mode in ("wal", "delete")] == [OK, FAULT]
    assert [grade(database.integrity(told)) for told in ("ok", "row 3 missing from index x")] == [OK, FAULT]


def test_indexes_that_are_not_made_yet_are_named() -> None:
    assert grade(database.indexes([])) is OK
    found = database.indexes(["ix_a", "ix_b"])
    assert (found.grade, "ix_a, ix_b" in found.seen) == (WARNING, True)


@pytest.mark.parametrize(
    ("done", "failed", "expected"),
    [(None, None, OK), (EARLIER, None, OK), (None, EARLIER, WARNING), (EARLIER, NOW, WARNING), (NOW, EARLIER, OK)],
)
def test_an_archive_that_fails_is_warned_of_until_it_takes_something_again(
    done: datetime | None, failed: datetime | None, expected: Grade
) -> None:
    assert grade(database.archive(done, failed)) is expected
