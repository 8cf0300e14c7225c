"""What each job of the timetable does, and that doing it again changes nothing."""

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet import audit, orders
from fleet.access import Grant, Principal, Role
from fleet.app import create_app
from fleet.assignments import assigning, memberships, schedules
from fleet.assignments.assigning import Place
from fleet.assignments.models import EffectiveProfile, ProfileVersion, Schedule
from fleet.checkins import receive
from fleet.checkins.models import CheckIn
from fleet.compliance.models import Finding, FindingKind
from fleet.db import db, reading, transaction
from fleet.devices import tickets
from fleet.devices.models import Device, DeviceState, Ticket
from fleet.job_runs import JobOutcome
from fleet.jobs import removing, timetable
from fleet.jobs.runner import Result, run_now
from fleet.jobs.timetable import TIMETABLE
from fleet.orders import Order, OrderKind, OrderState, Wish
from fleet.people.models import SignInFailure
from fleet.schools.models import MembershipRole
from tests import factories
from tests.conftest import NOW

CLI = Principal.command_line()
DAY = timedelta(days=1)


def run(app: Flask, name: str, now: datetime = NOW) -> Result:
    result = run_now(app, name, by=CLI, now=lambda: now)
    db.session.expire_all()
    assert result.outcome is JobOutcome.DONE, result
    return result


def desired(tablet: Device) -> str | None:
    return db.session.scalar(select(DeviceState.desired_digest).where(DeviceState.device_id == tablet.id))


def count(model: type[object]) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_names_are_unique_and_fit_the_history() -> None:
    names = [job.name for job in TIMETABLE]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 64 and job.what_for for name, job in zip(names, TIMETABLE, strict=True))


# Each day there is another day to come, of which test_checkin_partitions tells; and a run by hand is a line to be sealed.
@pytest.mark.parametrize("name", [job.name for job in TIMETABLE if job.name not in {"check-in-days", "audit-seals"}])
def test_a_job_with_nothing_to_do_does_nothing_whenever_it_runs(app: Flask, name: str) -> None:
    for now in (NOW, NOW, NOW + DAY):
        assert not any(run(app, name, now).counts.values())


def test_tablets_move_on_when_an_assignment_ends(app: Flask) -> None:
    with transaction():
        tablet = factories.device(factories.school())
        factories.assign(factories.published(), Place.device(tablet), ends_at=NOW + timedelta(minutes=10))
    during = desired(tablet)
    assert run(app, "ended-assignments", NOW + timedelta(minutes=9)).counts == {"tablets": 0}
    assert run(app, "ended-assignments", NOW + timedelta(minutes=10)).counts == {"tablets": 1}
    assert desired(tablet) != during
    assert run(app, "ended-assignments", NOW + timedelta(minutes=11)).counts == {"tablets": 0}


def test_a_minute_in_which_nothing_ends_costs_one_statement(app: Flask, statements: list[str]) -> None:
    statements.clear()
    timetable._ended_assignments(NOW, app.extensions["fleet_config"])
    assert len(statements) == 1


def test_a_tablet_silent_for_a_school_day_is_found_once_and_let_go_when_it_speaks(app: Flask) -> None:
    with transaction():
        tablet = factories.device(factories.school())
        tablet.state.last_seen_at = NOW
    three_hours, four_hours = NOW + timedelta(hours=3), NOW + timedelta(hours=4)  # of school
    assert run(app, "silent-tablets", three_hours).counts["opened"] == 0
    found = run(app, "silent-tablets", four_hours).counts
    assert {name: count for name, count in found.items() if count} == {"tablets": 1, "opened": 1, "asked": 1}
    again = run(app, "silent-tablets", four_hours + timedelta(minutes=15))
    assert not any(again.counts.values())
    (finding,) = db.session.scalars(select(Finding))
    assert (finding.kind, finding.closed_at) == (FindingKind.SILENT, None)


def test_a_grace_that_is_over_leads_to_one_review(app: Flask) -> None:
    with transaction():
        tablets = factories.tablets(factories.school(), 3)
        for tablet in tablets:
            tablet.state.review_at = NOW
    assert run(app, "due-reviews", NOW - timedelta(minutes=1)).counts == {"tablets": 0, "opened": 0, "closed": 0}
    assert run(app, "due-reviews", NOW).counts["tablets"] == 3
    assert run(app, "due-reviews", NOW).counts["tablets"] == 0


# Memberships: starts_on 15 September, ends_on 18 September, both included; days are UTC days.


@pytest.fixture
def guest(app: Flask) -> Device:
    """Return the tablet of a pupil who is in a class with a profile of its own from 15 to 18 September."""
    with transaction():
        school = factories.school()
        of, pupil = factories.school_class(school), factories.pupil(school)
        factories.membership(pupil, of, starts_on=date(2026, 9, 15), ends_on=date(2026, 9, 18))
        factories.membership(pupil, factories.school_class(school, "8A"))
        tablet = factories.device(school, person=pupil)
        factories.device(school)
        factories.assign(factories.published(), Place.school_class(of))
    return tablet


def test_a_pupils_tablet_follows_a_membership_that_begins_and_ends(app: Flask, guest: Device) -> None:
    without = desired(guest)
    seen = []
    for day in (14, 15, 16, 18, 19, 20):
        result = run(app, "membership-dates", datetime(2026, 9, day, 0, 10, tzinfo=UTC))
        seen.append((day, result.counts["tablets"], desired(guest) == without))
    assert seen == [(14, 0, True), (15, 1, False), (16, 0, False), (18, 0, False), (19, 1, True), (20, 0, True)]


def test_days_without_a_run_are_caught_up(app: Flask, guest: Device) -> None:
    run(app, "membership-dates", NOW)
    without = desired(guest)
    assert run(app, "membership-dates", NOW + 3 * DAY).counts == {"tablets": 1}
    assert desired(guest) != without
    assert run(app, "membership-dates", NOW + 60 * DAY).counts == {"tablets": 1}
    assert desired(guest) == without


def test_a_second_run_of_the_day_looks_at_no_tablet(app: Flask, guest: Device, statements: list[str]) -> None:
    statements.clear()
    with transaction():
        assert memberships.follow_dates(since=date(2026, 9, 15), now=datetime(2026, 9, 15, 23, tzinfo=UTC)) == 0
    assert len(statements) == 1


def test_a_teachers_membership_moves_no_tablet(app: Flask) -> None:
    with transaction():
        school = factories.school()
        teacher = factories.pupil(school)
        factories.membership(
            teacher, factories.school_class(school), role=MembershipRole.TEACHER, starts_on=date(2026, 9, 15)
        )
        factories.device(school, person=teacher)
        assert memberships.follow_dates(since=date(2026, 9, 14), now=NOW + DAY) == 0


def make_ticket(*, at: str = "Prøveskolen", days: float = 7, most: int = 5) -> Ticket:
    place = tickets.Place(factories.school(at))
    return tickets.create(place, expires_at=NOW + days * DAY, max_enrolments=most, by=CLI, now=NOW)[0]


def test_a_ticket_that_ends_gets_one_audit_line_with_the_places_left(app: Flask) -> None:
    with transaction():
        ticket = make_ticket(days=2)
        assert tickets.burn(ticket, NOW)
        tickets.revoke(make_ticket(days=2).id, by=CLI, now=NOW)
        make_ticket(days=7)
    assert run(app, "expiring-tickets", NOW).counts == {"expired": 0, "expiring": 1}
    assert run(app, "expiring-tickets", NOW + 2 * DAY).counts == {"expired": 1, "expiring": 0}
    (line,) = factories.audited(action="tickets.expired")
    assert (line.subject, line.actor_id) == (f"ticket:{ticket.id}", "expiring-tickets")
    assert (line.fields["count"], line.fields["school_id"]) == (4, ticket.school_id)
    later = [run(app, "expiring-tickets", NOW + days * DAY).counts["expired"] for days in (2, 7, 8, 400)]
    assert later == [0, 1, 0, 0]


def test_tickets_that_end_soon_are_those_with_places_that_one_may_see(app: Flask) -> None:
    with transaction():
        here, there = make_ticket(days=3), make_ticket(at="Den andre skolen", days=2)
        full = make_ticket(days=2, most=1)
        assert tickets.burn(full, NOW)
        make_ticket(days=4.5)
        make_ticket(days=1.9)  # made for so short a time that its end is no news
    ours, later = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, here.school_id),)), NOW + DAY
    assert tickets.expiring(by=CLI, now=later) == [there, here]
    assert tickets.expiring(by=ours, now=later) == [here]
    assert tickets.expiring(by=Principal("account", "2"), now=later) == []
    assert tickets.expiring(timedelta(days=1), by=CLI, now=later) == [there]


def make_order(*, text: str = "Hei") -> Order:
    tablet = factories.enrolled(factories.school())
    return orders.queue([tablet], Wish(OrderKind.MESSAGE, text), by=CLI, now=NOW)[0]


def test_orders_that_no_tablet_fetched_in_time_are_closed(app: Flask) -> None:
    with transaction():
        order = make_order()
    assert run(app, "expired-orders", NOW + timedelta(hours=23)).counts == {"orders": 0}
    assert run(app, "expired-orders", NOW + timedelta(hours=24)).counts == {"orders": 1}
    assert db.session.get_one(Order, order.id).state is OrderState.EXPIRED
    assert run(app, "expired-orders", NOW + timedelta(hours=25)).counts == {"orders": 0}


def check_in(tablet: Device, sequence: int, received_at: datetime) -> None:
    db.session.add(
        CheckIn(device_id=tablet.id, sequence=sequence, received_at=received_at, report_id=f"{tablet.id}-{sequence}")
    )


def test_check_ins_are_forgotten_a_bounded_number_at_once(app: Flask, statements: list[str]) -> None:
    with transaction():
        school = factories.school()
        tablets = [factories.device(school) for _ in range(4)]
        for tablet in tablets:
            check_in(tablet, 1, NOW - 91 * DAY)
            check_in(tablet, 2, NOW - 89 * DAY)
    statements.clear()
    with transaction():
        done = [receive.forget(older_than=90 * DAY, now=NOW, at_most=3) for _ in range(3)]
    each = 1 if db.engine.dialect.name == "sqlite" else 2  # PostgreSQL is asked for its days too
    assert (done, len(statements)) == ([3, 1, 0], 3 * each)
    assert set(db.session.scalars(select(CheckIn.sequence))) == {2}


def test_retention_removes_what_is_no_longer_needed_and_nothing_else(app: Flask) -> None:
    with transaction():
        tablet = factories.device(factories.school())
        check_in(tablet, 1, NOW)
        factories.assign(factories.published(), Place.device(tablet), ends_at=NOW + DAY)
        waiting, ended = make_order(), make_order(text="Ha det")
        waiting.expires_at = NOW + 3000 * DAY
        orders.withdraw(ended.id, by=CLI, now=NOW)
        for closed_at in (NOW - 366 * DAY, NOW - 200 * DAY, None):
            db.session.add(
                Finding(
                    device_id=tablet.id, kind=FindingKind.SILENT, subject="", detail={}, opened_at=NOW - 400 * DAY,
                    closed_at=closed_at,
                )
            )  # fmt: skip
        db.session.add(SignInFailure(subject="0" * 64, at=NOW - DAY))
    run(app, "ended-assignments", NOW)
    lines = count(audit.AuditEntry)

    early = run(app, "retention", NOW + timedelta(hours=1))
    assert {name for name, number in early.counts.items() if number} == {"findings", "sign_ins"}
    assert not any(run(app, "retention", NOW + timedelta(hours=1)).counts.values())

    result = run(app, "retention", NOW + 91 * DAY)
    assert {name: number for name, number in result.counts.items() if number} == {
        "check_ins": 1, "orders": 1, "job_runs": 3,
    }  # fmt: skip
    assert list(db.session.scalars(select(Order.id))) == [waiting.id]
    assert not any(run(app, "retention", NOW + 91 * DAY).counts.values())
    assert count(audit.AuditEntry) == lines + 4  # the runs by hand

    assert run(app, "audit-seals", NOW + 91 * DAY).counts == {"lines": lines + 5}  # without a seal none goes
    late = run(app, "retention", NOW + 1200 * DAY)
    assert late.counts["audit_lines"] == lines + 5
    assert [entry.action for entry in factories.audited()] == ["jobs.run-by-hand"]


def test_retention_forgets_schedules_that_no_tablet_has(app: Flask) -> None:
    with transaction():
        tablet = factories.device(factories.school())
        version = factories.published()
        factories.assign(version, Place.device(tablet), ends_at=NOW + DAY)
        factories.assign(version, Place.device(tablet))
    assert (count(Schedule), count(EffectiveProfile)) == (2, 2)
    assert run(app, "retention", NOW + 40 * DAY).counts["schedules"] == 2
    assert (count(Schedule), count(EffectiveProfile)) == (1, 1)
    assert desired(tablet) == db.session.scalar(select(EffectiveProfile.digest))


def test_retention_works_in_as_many_transactions_as_it_takes(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction():
        tablet = factories.device(factories.school())
        for sequence in range(1, 8):
            check_in(tablet, sequence, NOW - 100 * DAY)
    monkeypatch.setattr(removing, "AT_ONCE", 3)
    assert run(app, "retention").counts["check_ins"] == 7
    with reading():
        assert count(CheckIn) == 0


def test_a_schedule_that_a_tablet_is_about_to_get_is_not_forgotten(fresh_url: str, tmp_path: Path) -> None:
    app = create_app(environ={"FLEET_DATABASE_URL": fresh_url, "FLEET_DATA_DIR": str(tmp_path)})

    def forget() -> None:
        with app.app_context(), transaction():
            schedules.forget_unused(older_than=30 * DAY, now=NOW + 40 * DAY)

    with app.app_context():
        with transaction():
            tablet = factories.device(factories.school())
            assignment = factories.assign(factories.published(), Place.device(tablet))
        first = db.session.get_one(DeviceState, tablet.id).schedule_digest
        with transaction():
            assigning.withdraw(assignment.id, by=CLI, now=NOW)
        other = threading.Thread(target=forget)
        with transaction():
            factories.assign(db.session.get_one(ProfileVersion, 1), Place.device(tablet))
            other.start()
            other.join(0.3)  # it waits, or has missed what is not committed yet
        other.join(30)
        with reading():
            assert db.session.get_one(DeviceState, tablet.id).schedule_digest == first
            assert list(db.session.scalars(select(Schedule.digest))) == [first]
        db.session.remove()
        db.engine.dispose()
