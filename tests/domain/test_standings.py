"""How the fleet stands, as who scrapes is told: each number from rows that make it."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from flask import Flask

from fleet import clock, job_runs
from fleet.alerts.models import HookMessage, HookState, Letter, LetterKind, LetterState, Webhook
from fleet.app import standings as module
from fleet.app.standings import FRESH_FOR_S, Standings
from fleet.compliance.models import Finding, FindingKind, Severity
from fleet.db import db, transaction
from fleet.devices.models import Device
from fleet.job_runs import BY_HAND, JobOutcome
from tests import factories as make
from tests import lessons
from tests.conftest import NOW
from tests.lessons import MINUTE, obeyed

Told = dict[str, dict[tuple[str, ...], float]]
DAY = timedelta(days=1)


def told(standings: Standings) -> Told:
    """Return what is told by name, and by the labels' values."""
    return {
        one.name: {tuple(sample.labels.values()): sample.value for sample in one.samples} for one in standings.told()
    }


def found(device: Device, kind: str, severity: Severity, *, closed_at: datetime | None = None) -> Finding:
    return Finding(
        device_id=device.id, kind=kind, severity=severity, detail={}, opened_at=NOW, closed_at=closed_at, subject=kind
    )


def ran(job: str, at: datetime, outcome: JobOutcome) -> None:
    run_id = job_runs.claim(job, at, epoch=BY_HAND, now=at)
    assert run_id is not None
    job_runs.finish(run_id, epoch=BY_HAND, outcome=outcome, counts={}, now=at + timedelta(seconds=9))


def written(reader: int, state: LetterState, at: datetime) -> Letter:
    ended_at = at if state in {LetterState.GIVEN_UP, LetterState.SENT} else None
    name = f"{state}-{at:%d}"
    return Letter(
        key=name, kind=LetterKind.TEST, account_id=reader, made_at=at, due_at=at, message_id=f"<{name}@prove.example>",
        state=state, ended_at=ended_at,
    )  # fmt: skip


def test_what_stands_in_the_database_is_told_and_what_is_over_is_not(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    with transaction():
        room = lessons.room()
        first, second, _ = room.devices
        room.start()
        obeyed([first.id], now=NOW)
        db.session.add_all([
            found(first, FindingKind.SILENT, Severity.NOTE),
            found(second, FindingKind.MISSING, Severity.SERIOUS),
            found(second, FindingKind.STORAGE_LOW, Severity.SERIOUS),
            found(first, "own-rule", Severity.SERIOUS, closed_at=NOW),
        ])  # fmt: skip
        reader = make.account("kari").id
        states = [LetterState.WAITING, LetterState.FAILED, LetterState.GIVEN_UP, LetterState.SENT]
        db.session.add_all([written(reader, one, NOW - DAY) for one in states])
        db.session.add(written(reader, LetterState.GIVEN_UP, NOW - 8 * DAY))
        hook = Webhook(name="drift", address="https://prove.example", topics=[], secret_sealed=b"x", created_at=NOW)
        db.session.add(hook)
        db.session.flush()
        db.session.add(
            HookMessage(
                uid="u", webhook_id=hook.id, what="test", body="{}", state=HookState.DEAD, made_at=NOW, due_at=NOW,
                ended_at=NOW,
            )
        )  # fmt: skip
        ran("alerts", NOW - 5 * MINUTE, JobOutcome.DONE)
        ran("alerts", NOW - 2 * MINUTE, JobOutcome.FAILED)
        ran("no-such-job", NOW - 2 * MINUTE, JobOutcome.DONE)
    known = told(Standings(app))
    assert known["fleet_database_up"] == {(): 1}
    assert sum(known["fleet_tablets"].values()) == 3
    assert known["fleet_tablets_silent"] == {("missing",): 1, ("silent",): 1}
    assert known["fleet_findings_open"] == {("note",): 1, ("warning",): 0, ("serious",): 2}
    assert known["fleet_lessons_running"] == {(): 1}
    assert known["fleet_lesson_tablets"] == {("has-it",): 1, ("waits",): 2}
    assert known["fleet_letters"] == {("waiting",): 1, ("sending",): 0, ("failed",): 1, ("given-up",): 1}
    assert known["fleet_webhook_messages"] == {("waiting",): 0, ("sending",): 0, ("failed",): 0, ("dead",): 1}
    done_at = NOW - 5 * MINUTE
    assert known["fleet_job_last_success_timestamp_seconds"] == {("alerts",): done_at.timestamp() + 9}
    assert known["fleet_job_due_timestamp_seconds"] == {("alerts",): (done_at + MINUTE).timestamp()}


def test_it_is_read_anew_only_after_some_seconds(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    standings, at = Standings(app), [1000.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: at[0]))
    assert sum(told(standings)["fleet_tablets"].values()) == 0
    with transaction():
        make.tablets(make.school(), 2)
    at[0] += FRESH_FOR_S
    assert sum(told(standings)["fleet_tablets"].values()) == 0
    at[0] += 1
    assert sum(told(standings)["fleet_tablets"].values()) == 2
