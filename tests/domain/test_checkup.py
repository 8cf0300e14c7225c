"""What areas and the database say of how they stand: jobs, mail, webhooks, what ends; each well and not well."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text, update

from fleet import job_runs
from fleet.access import Principal
from fleet.alerts import mail_server, troubles
from fleet.alerts.mail_server import Settings
from fleet.alerts.models import Letter, LetterKind, LetterState, MailSecurity, Webhook
from fleet.app import create_app
from fleet.checkup import database
from fleet.checkup.checks import Check, Grade
from fleet.config import Config
from fleet.crypto import vault_key
from fleet.db import db, transaction
from fleet.job_runs import JobLease, JobOutcome, Scheduled
from fleet.jobs import timetable
from fleet.mdm import authority, errands, queries, renewals
from fleet.mdm.models import Client
from fleet.mdm.push_keeper import PushKeeper
from tests import apns, factories
from tests.conftest import NOW

BY = Principal.command_line()
OK, WARNING, FAULT = Grade.OK, Grade.WARNING, Grade.FAULT
LIFE = timedelta(seconds=60)


def grades(found: list[Check]) -> dict[str, Grade]:
    assert all(bool(one.advice) == (one.grade is not OK) for one in found)
    return {one.name: one.grade for one in found}


def examined() -> dict[str, Grade]:
    return grades(database.examine(connections=25, now=lambda: NOW))


# -- the database ------------------------------------------------------------------------------------------------------


def test_a_database_of_this_program_is_sound(app: Flask, database_kind: str) -> None:
    found = examined()
    assert (found["database"], found["schema"]) == (OK, OK)
    if database_kind == "sqlite":
        assert (found["sqlite-journal"], found["sqlite-integrity"]) == (OK, OK)
    else:
        assert {"postgresql-version", "postgresql-encoding", "postgresql-connections", "database-clock"} <= set(found)
        assert (found["postgresql-transactions"], found["postgresql-timeouts"]) == (OK, OK)
        assert found["postgresql-indexes"] is OK
        assert found["database-clock"] is FAULT, "the test's clock is not the database's"


def test_postgresqls_settings_are_those_of_our_own_connection(app: Flask, database_kind: str) -> None:
    if database_kind == "sqlite":
        pytest.skip("has no such settings")
    db.session.execute(text("SET LOCAL statement_timeout = '5s'"))
    assert examined()["postgresql-timeouts"] is WARNING


@pytest.mark.parametrize(
    ("revision", "grade", "advice"), [("0000", WARNING, "newer program"), (None, FAULT, "upgrade")]
)
def test_an_older_shape_is_a_fault_and_a_newer_one_is_to_be_followed(
    revision: str | None, grade: Grade, advice: str, app: Flask
) -> None:
    db.session.execute(text("DELETE FROM alembic_version"))
    if revision is not None:
        db.session.execute(text("INSERT INTO alembic_version VALUES ('0000')"))
    found = database.schema()
    assert found.grade is grade
    assert advice in found.seen + found.advice


def test_a_database_that_is_away_is_a_fault_without_its_password(tmp_path: Path) -> None:
    away = create_app(
        environ={
            "FLEET_DATA_DIR": str(tmp_path),
            "FLEET_DATABASE_URL": f"postgresql://fleet:hemmelig@/x?host={tmp_path}",
            "FLEET_PUBLIC_URL": "http://fleet.test",
        }
    )
    with away.app_context():
        (found,) = database.examine(connections=25, now=lambda: NOW)
    assert (found.name, found.grade) == ("database", FAULT)
    assert "FLEET_DATABASE_URL" in found.advice
    assert "hemmelig" not in found.seen


def test_a_damaged_file_is_a_fault(own_app: Flask, database_kind: str) -> None:
    if database_kind != "sqlite":
        pytest.skip("PostgreSQL looks after its files itself")
    with own_app.app_context():
        db.session.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        db.session.rollback()
        db.engine.dispose()
        file = Path(db.engine.url.database or "")
        content = bytearray(file.read_bytes())
        content[20 * 4096 :] = bytes(len(content) - 20 * 4096)
        file.write_bytes(content)
        found = grades(database.examine(connections=25, now=lambda: NOW))
    assert FAULT in {found.get("sqlite-integrity"), found["database"]}


def test_what_is_no_database_is_to_be_restored_not_started(own_app: Flask, database_kind: str) -> None:
    if database_kind != "sqlite":
        pytest.skip("PostgreSQL looks after its files itself")
    with own_app.app_context():
        db.engine.dispose()
        Path(db.engine.url.database or "").write_bytes(b"no database" * 1000)
        (found,) = database.examine(connections=25, now=lambda: NOW)
    assert (found.grade, "backup" in found.advice) == (FAULT, True)


# -- jobs --------------------------------------------------------------------------------------------------------------

TWO = tuple(one for one in timetable.scheduled() if one.name in {"alerts", "retention"})


def jobs(app: Flask, known: tuple[Scheduled, ...] = TWO) -> list[Check]:
    config: Config = app.extensions["fleet_config"]
    return job_runs.examine(known, now=NOW, timezone=config.timezone)


def leased() -> None:
    with transaction():
        job_runs.take_lease("server-one:12:abc", now=NOW, life=LIFE)


def ran(job: str, outcome: JobOutcome = JobOutcome.DONE, *, ago: timedelta = timedelta(minutes=1)) -> None:
    began = NOW - ago
    with transaction():
        run_id = job_runs.claim(job, began, epoch=job_runs.BY_HAND, now=began)
        assert run_id is not None
        if outcome is not JobOutcome.RUNNING:
            error = "ValueError" if outcome is JobOutcome.FAILED else None
            job_runs.finish(run_id, epoch=job_runs.BY_HAND, outcome=outcome, counts={}, error=error, now=began)


def test_before_the_first_start_nobody_runs_jobs(app: Flask) -> None:
    assert grades(jobs(app)) == {"jobs-runner": WARNING}


def test_jobs_that_ran_in_time_are_well_and_their_runner_is_named(app: Flask) -> None:
    leased()
    ran("alerts")
    ran("retention", ago=timedelta(hours=6))
    found = jobs(app)
    assert grades(found) == {"jobs-runner": OK, "jobs": OK}
    assert found[0].seen == "server-one:12"


def test_a_lease_that_ran_out_says_that_nobody_runs_jobs(app: Flask) -> None:
    leased()
    with transaction():
        db.session.execute(update(JobLease).values(expires_at=NOW - timedelta(minutes=5)))
    (found,) = jobs(app)
    assert (found.name, found.grade) == ("jobs-runner", FAULT)
    assert "server-one:12 was the last" in found.seen


@pytest.mark.parametrize(
    ("outcome", "ago", "told"),
    [
        (JobOutcome.FAILED, timedelta(minutes=1), "alerts failed (ValueError)"),
        (JobOutcome.LOST, timedelta(minutes=1), "alerts lost"),
        (JobOutcome.DONE, timedelta(hours=1), "alerts late"),
        (JobOutcome.RUNNING, timedelta(minutes=1), None),
    ],
)
def test_a_job_that_failed_or_is_late_is_a_fault(
    outcome: JobOutcome, ago: timedelta, told: str | None, app: Flask
) -> None:
    leased()
    ran("retention", ago=timedelta(hours=6))
    ran("alerts", outcome, ago=ago)
    found = jobs(app)[1]
    assert found.grade is (FAULT if told else OK)
    assert told is None or found.seen == told


def test_a_job_of_each_day_that_has_been_at_work_for_long_is_a_fault(app: Flask) -> None:
    leased()
    ran("alerts")
    ran("retention", JobOutcome.RUNNING, ago=timedelta(hours=2))
    assert jobs(app)[1].seen == "retention still running"


def test_a_job_that_never_ran_is_late(app: Flask) -> None:
    leased()
    ran("alerts")
    assert jobs(app)[1].seen == "retention late"


def test_the_newest_run_is_what_the_clock_is_held_against(app: Flask) -> None:
    assert job_runs.newest_start() is None
    ran("alerts")
    assert job_runs.newest_start() == NOW - timedelta(minutes=1)


# -- mail and webhooks -------------------------------------------------------------------------------------------------


def alerts() -> dict[str, Grade]:
    return grades(troubles.examine(by=BY, now=NOW))


def mails() -> None:
    with transaction():
        mail_server.save(
            Settings("localhost", 25, MailSecurity.NONE, "nettbrett@prove.example"), vault_key=b"v" * 32, by=BY, now=NOW
        )  # fmt: skip


def test_no_mail_server_is_warned_of_and_one_that_works_is_well(app: Flask) -> None:
    assert alerts() == {"mail": WARNING, "webhooks": OK}
    mails()
    assert alerts() == {"mail": OK, "webhooks": OK}


def test_a_mail_server_that_keeps_failing_is_a_fault(app: Flask) -> None:
    mails()
    for _ in range(3):
        with transaction():
            mail_server.failed("unreachable", now=NOW)
    assert alerts()["mail"] is FAULT
    with transaction():
        mail_server.worked(now=NOW)
    assert alerts()["mail"] is OK


def test_letters_given_up_are_warned_of(app: Flask) -> None:
    mails()
    with transaction():
        reader = factories.account("kari").id
        db.session.add(
            Letter(
                key="x", kind=LetterKind.TEST, account_id=reader, made_at=NOW, due_at=NOW, message_id="<x@y>", state=LetterState.GIVEN_UP,
                ended_at=NOW,
            )
        )  # fmt: skip
    assert alerts()["mail"] is WARNING


def test_a_webhook_at_which_nothing_arrives_for_long_is_warned_of(app: Flask) -> None:
    long_ago = NOW - timedelta(days=1)
    with transaction():
        db.session.add(
            Webhook(
                name="x", address="https://hjelp.prove.example/", topics=[], is_on=True, created_at=long_ago,
                secret_sealed=b"x", failed_at=NOW,
            )
        )  # fmt: skip
    assert alerts()["webhooks"] is WARNING


# -- what ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "expected"), [(300, OK), (30, WARNING), (-1, FAULT)])
def test_a_push_certificate_is_told_of_before_it_ends(days: int, expected: Grade, tmp_path: Path) -> None:
    made = apns.Authority().push_certificate(days=days)
    vault = vault_key(tmp_path / "vault.key", may_create=True)
    now = made.expires_at - timedelta(days=days)
    none = grades(renewals.examine(tmp_path, vault, now=now))
    assert none == dict.fromkeys(("push-certificate", "server-token", "licence-token", "device-ca"), OK)
    PushKeeper(tmp_path, vault).keep(made)
    assert grades(renewals.examine(tmp_path, vault, now=now))["push-certificate"] is expected


def test_what_another_vault_key_has_sealed_is_a_fault(tmp_path: Path) -> None:
    PushKeeper(tmp_path, b"a" * 32).keep(apns.Authority().push_certificate())
    authority.load(tmp_path, b"a" * 32, now=NOW)
    found = grades(renewals.examine(tmp_path, b"b" * 32, now=NOW))
    assert (found["push-certificate"], found["device-ca"]) == (FAULT, FAULT)


def test_the_device_ca_is_to_be_renewed_while_what_it_issues_still_lives_long(tmp_path: Path) -> None:
    vault = b"v" * 32
    made = authority.load(tmp_path, vault, now=NOW)
    found = [
        grades(renewals.examine(tmp_path, vault, now=at))["device-ca"]
        for at in (NOW, made.rotate_by + timedelta(days=1), made.current.certificate.not_valid_after_utc)
    ]
    assert found == [OK, WARNING, FAULT]


# -- iPads and their maker's services ----------------------------------------------------------------------------------


def test_ipads_that_no_push_certificate_wakes_are_a_fault(app: Flask) -> None:
    assert grades([queries.examine(None)]) == {"push": OK}, "there are none"
    with transaction():
        device = factories.enrolled(factories.school(), channel="apple")
        device.state.key_thumbprint = "f" * 64
        db.session.add(
            Client(device_id=device.id, name="udid", thumbprint="f" * 64, topic="com.apple.mgmt.x", is_set_up=True)
        )
    found = {topic: queries.examine(topic).grade for topic in ("com.apple.mgmt.x", "com.apple.mgmt.y", None)}
    assert found == {"com.apple.mgmt.x": OK, "com.apple.mgmt.y": FAULT, None: FAULT}


def errand_round(at: datetime, failure: str | None = None) -> Grade:
    """Do a round of the errand and return how it stands then."""
    with transaction():
        errands.hurry("licences", now=at)
        turn = errands.take("licences", hold=LIFE, now=at)
        assert turn is not None
        if failure is None:
            errands.done(turn, {}, again_at=at + LIFE, now=at)
        else:
            errands.failed(turn, failure, memory={}, after=None, now=at)
    return grades([errands.examine("licences", now=at)])["licences-errand"]


def test_an_errand_that_fails_is_warned_of_and_a_fault_after_a_day(app: Flask) -> None:
    assert errands.examine("licences", now=NOW).grade is OK, "not done yet"
    assert errand_round(NOW) is OK
    assert errand_round(NOW + timedelta(hours=2), "unreachable") is WARNING
    assert errand_round(NOW + timedelta(hours=30), "unreachable") is FAULT
    assert errand_round(NOW + timedelta(hours=31)) is OK


def test_an_errand_that_never_went_well_is_a_fault(app: Flask) -> None:
    assert errand_round(NOW, "refused") is FAULT


def test_looking_makes_nothing(tmp_path: Path) -> None:
    renewals.examine(tmp_path, b"v" * 32, now=NOW)
    assert list(tmp_path.iterdir()) == []
