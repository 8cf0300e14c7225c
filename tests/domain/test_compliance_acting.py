"""Findings are acknowledged, put off, closed by hand and opened again; those closed by hand keep quiet."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.compliance import acting, ledger, queries, review
from fleet.compliance.acting import FindingOverError, NoteTooLongError, SnoozeDayError
from fleet.compliance.ledger import Change
from fleet.compliance.models import Finding, FindingAct, FindingEvent, FindingKind, Severity
from fleet.compliance.queries import Attention, Filter
from fleet.compliance.rules import Found
from fleet.db import db, follow, transaction
from fleet.devices.models import Device
from fleet.errors import ForbiddenError, NotFoundError
from fleet.schools.models import CalendarDay, School, SchoolHours
from tests import factories
from tests.conftest import NOW

OSLO = ZoneInfo("Europe/Oslo")
ONE = Principal.command_line()
LONG_AGO = NOW - timedelta(days=2)
FEW, MANY = 10, 300
A_SCHOOL_DAY = date(2026, 10, 22)  # a Thursday


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school("Kjenn skole")


def broken(at: School, count: int = 1) -> list[Device]:
    made = factories.in_use(at, count)
    for one in made:
        factories.told(one, at=NOW, clock_offset_s=500)
    review.review([one.id for one in made], now=NOW)
    return made


@pytest.fixture
def device(school: School) -> Device:
    with transaction():
        return broken(school)[0]


def only() -> Finding:
    return db.session.scalars(select(Finding)).one()


def act(step: Callable[[], int]) -> int:
    with transaction():
        return step()


def asks_for(now: datetime = NOW) -> list[Attention]:
    found = queries.open_findings(Filter(), by=ONE)
    for one in Attention:
        named = queries.open_findings(Filter(attention=one, now=now), by=ONE)
        assert [queries.attention(each, now=now) for each in named] == [one] * len(named)
        assert queries.attentions(Filter(), by=ONE, now=now)[one] == len(named)
    return [queries.attention(one, now=now) for one in found]


def test_a_finding_that_is_acknowledged_asks_for_nothing(device: Device) -> None:
    finding = only()
    assert asks_for() == [Attention.NEEDS]
    assert act(lambda: acting.acknowledge([finding.id], " Sendt til  verksted ", by=ONE, now=NOW)) == 1
    assert asks_for() == [Attention.ACKNOWLEDGED]
    assert act(lambda: acting.acknowledge([finding.id], None, by=ONE, now=NOW)) == 0  # no news
    assert act(lambda: acting.wake([finding.id], by=ONE, now=NOW)) == 1
    assert act(lambda: acting.wake([finding.id], by=ONE, now=NOW)) == 0
    assert asks_for() == [Attention.NEEDS]
    told = [(one.act, one.note, one.by) for one in acting.events([finding.id], by=ONE)]
    assert told == [(FindingAct.WOKEN, None, "cli"), (FindingAct.ACKNOWLEDGED, "Sendt til verksted", "cli")]
    assert device.state.has_findings


def test_a_finding_sleeps_until_school_begins_on_a_day(school: School, device: Device) -> None:
    with transaction():
        for weekday in range(5):
            db.session.add(_hours(school, weekday))
    finding = only()
    assert act(lambda: acting.snooze([finding.id], A_SCHOOL_DAY, by=ONE, now=NOW, timezone=OSLO)) == 1
    wakes = datetime(2026, 10, 22, 6, 0, tzinfo=UTC)  # 8 o'clock there
    assert only().snoozed_until == wakes
    assert asks_for(wakes - timedelta(seconds=1)) == [Attention.SNOOZED]
    assert asks_for(wakes) == [Attention.NEEDS]
    assert act(lambda: acting.acknowledge([finding.id], None, by=ONE, now=NOW)) == 1
    assert asks_for() == [Attention.ACKNOWLEDGED]


def _hours(school: School, weekday: int) -> SchoolHours:
    starts, ends = (datetime(2026, 1, 1, hour, tzinfo=UTC).time() for hour in (8, 14))
    return SchoolHours(school_id=school.id, weekday=weekday, starts_at=starts, ends_at=ends)


@pytest.mark.parametrize(
    ("on", "reason"),
    [
        (date(2026, 10, 24), "no-school-day"),  # a Saturday
        (date(2026, 12, 25), "no-school-day"),
        (date(2026, 10, 23), "no-school-day"),  # the school's own day off
        (date(2026, 9, 1), "past"),
        (date(2027, 9, 1), "far"),
    ],
)
def test_a_day_without_school_over_or_far_is_refused(school: School, device: Device, on: date, reason: str) -> None:
    with transaction():
        day = CalendarDay(school_id=school.id, on=date(2026, 10, 23), is_school_day=False, title="Plan")
        db.session.add(day)
    with pytest.raises(SnoozeDayError) as caught:
        acting.snooze([only().id], on, by=ONE, now=NOW, timezone=OSLO)
    assert caught.value.data == {"on": on.isoformat(), "reason": reason, "school": "Kjenn skole"}


def test_what_is_closed_by_hand_does_not_open_again_before_its_reason_has_been_over(device: Device) -> None:
    finding = only()
    assert act(lambda: acting.close([finding.id], "Vi vet det", by=ONE, now=NOW)) == 1
    assert not device.state.has_findings
    with transaction():
        assert review.review([device.id], now=NOW).opened == 0
        again = Change(opened=[(device.id, Found(FindingKind.CLOCK_WRONG))])
        assert ledger.write(again, now=NOW) == (0, 0)
    assert (only().is_mute, only().closed_by) == (True, "cli")
    assert ledger.forget(older_than=timedelta(0), now=NOW + timedelta(days=900)) == 0
    with transaction():
        device.state.clock_offset_s = 0
        review.review([device.id], now=NOW)
    assert not only().is_mute
    with transaction():
        device.state.clock_offset_s = 500
        assert review.review([device.id], now=NOW).opened == 1
    assert ledger.forget(older_than=timedelta(0), now=NOW + timedelta(days=900)) == 1


def test_what_was_closed_by_hand_can_be_opened_while_its_reason_stays(device: Device) -> None:
    finding = only()
    with pytest.raises(FindingOverError):
        acting.reopen(finding.id, by=ONE, now=NOW)
    act(lambda: acting.close([finding.id], None, by=ONE, now=NOW))
    with transaction():
        acting.reopen(finding.id, by=ONE, now=NOW)
    assert (only().closed_at, only().is_mute, device.state.has_findings) == (None, False, True)
    with transaction():
        device.state.clock_offset_s = 0
        assert review.review([device.id], now=NOW).closed == 1
    with pytest.raises(FindingOverError):
        acting.reopen(finding.id, by=ONE, now=NOW)


def test_silence_closed_by_hand_keeps_quiet_until_a_word_is_heard(school: School) -> None:
    with transaction():
        quiet = factories.enrolled(school, since=LONG_AGO)
        factories.told(quiet, at=LONG_AGO)
        silent = Change(opened=[(quiet.id, Found(FindingKind.SILENT))])
        assert ledger.write(silent, now=NOW) == (1, 0)
        acting.close([only().id], None, by=ONE, now=NOW)
        assert ledger.write(silent, now=NOW) == (0, 0)
        review.review([quiet.id], now=NOW)
        assert only().is_mute
        quiet.state.last_seen_at = NOW + timedelta(hours=1)
        review.review([quiet.id], now=NOW + timedelta(hours=1))
        assert not only().is_mute
        assert ledger.write(silent, now=NOW + timedelta(days=3)) == (1, 0)


def test_only_those_who_answer_at_the_school_act_and_others_findings_are_not_found(
    school: School, device: Device
) -> None:
    finding = only()
    with transaction():
        other = factories.school("Rasta skole")
        klass = factories.school_class(school)
        device.class_id = klass.id
    own = Principal("account", "1", (Grant(Role.SCHOOL_IT, school.id),))
    foreign = Principal("account", "2", (Grant(Role.SCHOOL_IT, other.id),))
    teacher = Principal("account", "3", (Grant(Role.TEACHER, school.id),), frozenset({klass.id}))
    for by, error in ((foreign, NotFoundError), (teacher, ForbiddenError)):
        with pytest.raises(error):
            acting.acknowledge([finding.id], None, by=by, now=NOW)
        with pytest.raises(error):
            acting.reopen(finding.id, by=by, now=NOW)
    assert act(lambda: acting.acknowledge([finding.id], None, by=own, now=NOW)) == 1
    assert (acting.events([finding.id], by=foreign), len(acting.events([finding.id], by=teacher))) == ([], 1)
    with pytest.raises(NotFoundError):
        acting.close([finding.id, 98_765], None, by=own, now=NOW)


def test_a_note_is_bounded(device: Device) -> None:
    with pytest.raises(NoteTooLongError):
        acting.acknowledge([only().id], "x" * 501, by=ONE, now=NOW)


def test_a_note_keeps_nothing_that_turns_what_stands_after_it(device: Device) -> None:
    with transaction():
        acting.acknowledge([only().id], "bytt \u202ereirettab\u202c\x1b[31m nå\u2066", by=ONE, now=NOW)
    noted = db.session.scalars(select(FindingEvent.note).where(FindingEvent.act == FindingAct.ACKNOWLEDGED)).one()
    assert noted == "bytt reirettab[31m nå"


def test_findings_narrow_to_what_matters_and_to_those_that_are_closed(school: School, device: Device) -> None:
    with transaction():
        serious = Finding(
            device_id=device.id, kind=FindingKind.TAMPERED, detail={}, opened_at=NOW, severity=Severity.SERIOUS
        )
        closed = Finding(device_id=device.id, kind=FindingKind.SILENT, detail={}, opened_at=NOW, closed_at=NOW)
        db.session.add_all([serious, closed])

    def kinds(given: Filter) -> list[str]:
        return [one.kind for one in queries.open_findings(given, by=ONE)]

    assert kinds(Filter(severity=Severity.SERIOUS)) == ["tampered"]
    assert kinds(Filter(is_closed=True)) == ["silent"]
    assert queries.count(Filter(is_closed=True), by=ONE).findings == 1
    with pytest.raises(ValueError, match="instant"):
        kinds(Filter(attention=Attention.NEEDS))


def test_whoever_follows_findings_is_told_of_each_change_once(device: Device) -> None:
    told: list[frozenset[int]] = []
    finding = only()
    follow("finding", lambda ids, _now: told.append(ids))
    act(lambda: acting.acknowledge([finding.id], None, by=ONE, now=NOW))
    act(lambda: acting.snooze([finding.id], A_SCHOOL_DAY, by=ONE, now=NOW, timezone=OSLO))
    with transaction():
        device.state.clock_offset_s = 0
        review.review([device.id], now=NOW)
        review.review([device.id], now=NOW)
    assert told == [frozenset({finding.id})] * 3
    with transaction():
        device.state.clock_offset_s = 500
        review.review([device.id], now=NOW)
    assert len(told) == 4
    assert told[3] == frozenset(db.session.scalars(select(Finding.id).where(Finding.closed_at.is_(None))))


def test_each_step_has_a_line_in_the_audit(device: Device) -> None:
    finding_id = only().id
    act(lambda: acting.close([finding_id], None, by=ONE, now=NOW))
    line = factories.audited(1)[0]
    assert (line.action, line.subject, line.fields) == ("findings.closed", f"finding:{finding_id}", {"count": 1})


def test_the_statements_do_not_grow_with_findings(school: School, statements: list[str]) -> None:
    counted: dict[int, list[int]] = {}
    for count in (FEW, MANY):
        with transaction():
            made = broken(school, count)
        device_ids = [one.id for one in made]
        ids = list(db.session.scalars(select(Finding.id).where(Finding.device_id.in_(device_ids))))
        spent = []
        for step in (
            lambda i=ids: acting.acknowledge(i, "x", by=ONE, now=NOW),
            lambda i=ids: acting.snooze(i, A_SCHOOL_DAY, by=ONE, now=NOW, timezone=OSLO),
            lambda i=ids: acting.close(i, None, by=ONE, now=NOW),
        ):
            statements.clear()
            assert act(step) == count
            spent.append(len(statements))
        counted[count] = spent
    assert counted[FEW] == counted[MANY]
    assert max(counted[MANY]) <= 12
