"""Findings open and close as tablets tell and as they move through life; in a fixed number of statements."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.kept import Kept
from fleet.checkins import receive
from fleet.checkins.receive import Report
from fleet.compliance import ledger, review, rules, shipped
from fleet.compliance.ledger import Reviewed
from fleet.compliance.models import Finding, FindingKind
from fleet.db import db, transaction
from fleet.devices import life
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment
from tests import factories
from tests.conftest import NOW

ONE = Principal.command_line()
LONG_AGO = NOW - timedelta(days=2)
FEW, MANY = 10, 300
APPS_GRACE = timedelta(minutes=shipped.APPS_GRACE_MIN)


@pytest.fixture
def device(app: Flask) -> Device:
    with transaction():
        made = factories.device(factories.school())
        factories.enrolment(made, at=LONG_AGO, key="k")
    return made


def shall_have_and_has(
    device: Device, settings: dict[str, Any] | None = None, *, apps: Sequence[str] = (), at: datetime = LONG_AGO
) -> None:
    wanted = factories.shall_have(device, at=at, **settings or {})
    factories.told(device, at=NOW, applied=wanted, apps=apps, applied_at=at)


def open_names(device: Device) -> list[str]:
    query = select(Finding).where(Finding.device_id == device.id, Finding.closed_at.is_(None))
    return sorted(f"{one.kind} {one.subject}".strip() for one in db.session.scalars(query))


def add_finding(device: Device, kind: FindingKind, *, at: datetime, subject: str = "") -> Finding:
    made = Finding(device_id=device.id, kind=kind, subject=subject, detail={}, opened_at=at)
    device.state.has_findings = True
    db.session.add(made)
    db.session.flush()
    return made


def test_each_kind_of_finding_opens_and_closes(device: Device) -> None:
    wanted = {"os.minimum_version": "18.5", "apps.required": ["no.b"], "apps.blocked": ["no.x"]}
    shall_have_and_has(device, wanted, apps=["no.x"])
    device.state.failures = [{"key": "camera.allowed", "reason": "?"}]
    device.state.storage_free_bytes, device.state.clock_offset_s = 2**30, 999
    assert review.review([device.id], now=NOW) == Reviewed(tablets=1, opened=6)
    assert open_names(device) == [
        "app-blocked no.x", "app-missing no.b", "clock-wrong", "os-outdated", "settings-failed", "storage-low",
    ]  # fmt: skip
    assert device.state.has_findings
    factories.told(device, applied=device.state.desired_digest, apps=["no.b"], failures=None)
    device.state.facts = {**(device.state.facts or {}), "os_version": "18.5"}
    assert review.review([device.id], now=NOW + timedelta(hours=1)) == Reviewed(tablets=1, closed=6)
    assert open_names(device) == []
    assert not device.state.has_findings
    assert {one.closed_at for one in db.session.scalars(select(Finding))} == {NOW + timedelta(hours=1)}


def test_the_same_state_again_changes_nothing(device: Device, statements: list[str]) -> None:
    shall_have_and_has(device, {"apps.required": ["no.b"], "os.minimum_version": "19"})
    review.review([device.id], now=NOW)
    statements.clear()
    assert review.review([device.id], now=NOW + timedelta(hours=1)) == Reviewed(tablets=1)
    assert [one for one in statements if "UPDATE" in one.split("FOR ")[0] or "INSERT" in one] == []


def test_a_finding_that_comes_back_is_a_new_one(device: Device) -> None:
    shall_have_and_has(device)
    for offset in (500, 0, 500):
        device.state.clock_offset_s = offset
        review.review([device.id], now=NOW)
    assert [one.closed_at is None for one in db.session.scalars(select(Finding).order_by(Finding.id))] == [False, True]


def test_an_open_finding_tells_what_was_seen_last(device: Device) -> None:
    shall_have_and_has(device)
    for free in (2**30, 2**29):
        device.state.storage_free_bytes = free
        review.review([device.id], now=NOW)
    (found,) = db.session.scalars(select(Finding))
    assert found.detail == {"free_bytes": 2**29, "free_percent": 0, "keep_free_percent": 10}


def test_nothing_is_reviewed_without_tablets(app: Flask, statements: list[str]) -> None:
    assert review.review([], now=NOW) == Reviewed()
    assert statements == []


def test_a_tablet_that_has_not_spoken_since_it_enrolled_has_no_findings(device: Device) -> None:
    shall_have_and_has(device, {"os.minimum_version": "19"})
    review.review([device.id], now=NOW)
    assert open_names(device) == ["os-outdated"]
    db.session.execute(update(Enrolment).values(enrolled_at=NOW + timedelta(hours=1)))
    review.review([device.id], now=NOW + timedelta(hours=1))
    assert open_names(device) == []


@pytest.mark.parametrize("step", ["lost", "retire"])
def test_a_tablet_that_is_lost_or_retired_closes_its_findings(device: Device, step: str) -> None:
    with transaction():
        shall_have_and_has(device, {"os.minimum_version": "19"})
        add_finding(device, FindingKind.SILENT, at=NOW + timedelta(days=1))
        review.review([device.id], now=NOW)
    assert open_names(device) == ["os-outdated", "silent"]
    with transaction():
        life.step(device, step, by=ONE, now=NOW)
    assert open_names(device) == []
    assert not device.state.has_findings


def test_a_tablet_that_enrolled_by_a_clock_that_was_ahead_is_judged_by_what_it_tells(device: Device) -> None:
    ahead = NOW + timedelta(hours=2)
    with transaction():
        db.session.execute(update(Enrolment).values(enrolled_at=ahead))
        shall_have_and_has(device)
        device.state.clock_offset_s = 7200
        assert review.review([device.id], now=NOW).opened == 1
        assert review.review([device.id], now=NOW).closed == 0
    assert open_names(device) == ["clock-wrong"]


def test_silence_ends_with_the_first_word_after_it(device: Device) -> None:
    shall_have_and_has(device)
    add_finding(device, FindingKind.SILENT, at=NOW + timedelta(hours=1))
    review.review([device.id], now=NOW + timedelta(hours=2))
    assert open_names(device) == ["silent"]
    device.state.last_seen_at = NOW + timedelta(hours=3)
    review.review([device.id], now=NOW + timedelta(hours=3))
    assert open_names(device) == []


# -- graces ----------------------------------------------------------------------------------------------------------


def test_a_grace_that_is_over_is_reviewed_though_nothing_changes(device: Device) -> None:
    shall_have_and_has(device, {"apps.required": ["no.b"]}, at=NOW)
    review.review([device.id], now=NOW)
    assert open_names(device) == []
    assert device.state.review_at == NOW + APPS_GRACE
    early, due = NOW + APPS_GRACE - timedelta(seconds=1), NOW + APPS_GRACE
    assert review.review_due(now=early) == Reviewed()
    assert review.review_due(now=due) == Reviewed(tablets=1, opened=1)
    assert open_names(device) == ["app-missing no.b"]
    assert device.state.review_at is None
    assert review.review_due(now=due) == Reviewed()


def test_due_reviews_are_taken_some_at_a_time_the_longest_due_first(app: Flask) -> None:
    school = factories.school()
    made = [factories.device(school, life=DeviceLife.EXPECTED) for _ in range(3)]
    for minutes, one in zip((2, 1, 3), made, strict=True):
        one.state.review_at = NOW - timedelta(minutes=minutes)
    db.session.flush()
    assert review.review_due(now=NOW, at_most=2).tablets == 2
    assert [one.state.review_at is None for one in made] == [True, False, True]
    assert review.review_due(now=NOW, at_most=2).tablets == 1
    assert review.review_due(now=NOW, at_most=2).tablets == 0


def test_reviews_of_one_tablet_in_a_row_open_a_finding_once(device: Device) -> None:
    shall_have_and_has(device)
    device.state.clock_offset_s = 500
    review.review([device.id], now=NOW)
    again = ledger.Change(opened=[(device.id, rules.Found(FindingKind.CLOCK_WRONG))])
    assert ledger.write(again, now=NOW) == (0, 0)
    assert open_names(device) == ["clock-wrong"]


# -- in the run of things --------------------------------------------------------------------------------------------


def report(device: Device, sequence: int, *, applied: str | None, **changes: Any) -> Report:
    facts = {"os_version": "18.4", "storage_total_bytes": 64 * 2**30, "apps": []}
    told: dict[str, Any] = {"facts": facts, "storage_free_bytes": 32 * 2**30, **changes}
    return Report(
        device_id=device.id, key="k", sequence=sequence, report_id=f"r{sequence}", body_digest=f"b{sequence}",
        applied=applied, **told,
    )  # fmt: skip


def check_in(*reports: Report, now: datetime) -> None:
    with transaction():
        assert all(isinstance(one, receive.Answer) for one in receive.receive(reports, now=now))


def test_reports_open_and_close_findings(device: Device) -> None:
    with transaction():
        wanted = factories.shall_have(device, at=LONG_AGO, **{"camera.allowed": False})
    for number in range(1, 4):
        check_in(report(device, number, applied=None), now=NOW)
        assert open_names(device) == (["profile-missing"] if number == 3 else [])
    check_in(report(device, 4, applied=wanted, clock_offset_s=500), now=NOW)
    assert open_names(device) == ["clock-wrong"]
    check_in(report(device, 5, applied=wanted), now=NOW)
    assert open_names(device) == []


def test_a_report_with_nothing_new_costs_no_review(device: Device, statements: list[str]) -> None:
    spent = []
    for number in (1, 2):
        statements.clear()
        check_in(report(device, number, applied=None, clock_offset_s=500), now=NOW)
        spent.append([one for one in statements if "finding" in one.replace("has_findings", "")])
    assert spent[0] != []
    assert spent[1] == []


def test_a_requirement_that_is_withdrawn_closes_its_finding_at_the_next_report(app: Flask) -> None:
    with transaction():
        school = factories.school()
        device = factories.device(school)
        factories.enrolment(device, at=LONG_AGO, key="k")
        settings: dict[str, Any] = {"apps.required": ["no.b"]}
        version = factories.published(**settings)
        assigned = factories.assign(version, assigning.Place.school(school), now=LONG_AGO)
    check_in(report(device, 1, applied=device.state.desired_digest), now=NOW)
    with transaction():
        review.review_due(now=NOW + APPS_GRACE)
    assert open_names(device) == ["app-missing no.b"]
    with transaction():
        assigning.withdraw(assigned.id, by=ONE, now=NOW + timedelta(hours=1))
    check_in(report(device, 2, applied=device.state.desired_digest), now=NOW + timedelta(hours=1))
    assert open_names(device) == []


def test_profiles_kept_in_memory_are_bounded(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "_wanted", Kept(1))
    for minimum in ("19", "20"):
        shall_have_and_has(device, {"os.minimum_version": minimum})
        review.review([device.id], now=NOW)
        (found,) = db.session.scalars(select(Finding))
        assert found.detail["expected"] == minimum
        assert len(review._wanted) == 1


# -- size ------------------------------------------------------------------------------------------------------------


def troubled(count: int) -> list[int]:
    school = factories.school(f"Skole med {count}")
    made = factories.tablets(school, count)
    for number, one in enumerate(made):
        wanted = factories.shall_have(
            one, at=LONG_AGO, **{"apps.required": ["no.b", "no.c"], "os.minimum_version": "19"}
        )
        factories.told(one, applied=wanted, apps=["no.b"] if number % 2 else [], applied_at=LONG_AGO)
    return [one.id for one in made]


def test_the_number_of_statements_does_not_grow_with_tablets(app: Flask, statements: list[str]) -> None:
    counted: dict[int, list[int]] = {}
    for count in (FEW, MANY):
        ids = troubled(count)
        review._wanted.clear()
        spent = []
        for minutes in (0, 1):  # opening, then closing with graces and details anew
            statements.clear()
            done = review.review(ids, now=NOW + timedelta(minutes=minutes))
            spent.append(len(statements))
            assert done.tablets == count
            assert (done.opened, done.closed) == ((5 * count // 2, 0), (0, 5 * count // 2))[minutes]
            db.session.execute(update(DeviceState).where(DeviceState.device_id.in_(ids)).values(desired_digest=None))
        counted[count] = spent
    assert counted[FEW] == counted[MANY]
    assert max(counted[MANY]) <= 10  # with the rules, and what waits


def test_closed_findings_are_forgotten_when_old(device: Device) -> None:
    for days in (1, 40, 50):
        add_finding(device, FindingKind.CLOCK_WRONG, at=NOW).closed_at = NOW - timedelta(days=days)
    add_finding(device, FindingKind.CLOCK_WRONG, at=NOW - timedelta(days=60))
    db.session.flush()
    assert ledger.forget(older_than=timedelta(days=30), now=NOW, at_most=1) == 1
    assert ledger.forget(older_than=timedelta(days=30), now=NOW) == 1
    assert ledger.forget(older_than=timedelta(days=30), now=NOW) == 0
    assert len(db.session.scalars(select(Finding)).all()) == 2
