"""Reading findings: who sees which, newest first, in one statement."""

from datetime import timedelta

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.compliance import queries
from fleet.compliance.models import Finding, FindingKind
from fleet.db import db
from fleet.devices.models import Device
from fleet.schools.models import ClassKind
from tests import factories
from tests.conftest import NOW

ADMIN = Principal("account", "1", (Grant(Role.MUNICIPAL_ADMIN, None),))


def find(device: Device, kind: FindingKind, *, minutes: int = 0, closed: bool = False) -> Finding:
    made = Finding(
        device_id=device.id, kind=kind, subject="", detail={}, opened_at=NOW + timedelta(minutes=minutes),
        closed_at=NOW if closed else None,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def test_open_findings_come_newest_first_with_their_tablets_in_one_statement(app: Flask, statements: list[str]) -> None:
    school = factories.school("Kjenn skole")
    one, other = factories.tablets(school, 2, of_class=factories.school_class(school))
    find(one, FindingKind.STORAGE_LOW)
    find(other, FindingKind.SILENT, minutes=5)
    find(one, FindingKind.CLOCK_WRONG, closed=True)
    db.session.expire_all()
    statements.clear()
    shown = [
        (f.kind, f.device.serial, f.device.school and f.device.school.name, f.device.school_class is not None)
        for f in queries.open_findings(queries.Filter(), by=ADMIN)
    ]
    assert len(statements) == 1
    assert [row[0] for row in shown] == ["silent", "storage-low"]
    assert {row[2:] for row in shown} == {("Kjenn skole", True)}
    assert [f.kind for f in queries.open_findings(queries.Filter(), by=ADMIN, limit=1)] == [FindingKind.SILENT]
    assert [f.kind for f in queries.open_findings(queries.Filter(device_id=one.id), by=ADMIN)] == [
        FindingKind.STORAGE_LOW
    ]


@pytest.fixture
def fleet(app: Flask) -> dict[str, int]:
    """Return the ids of two schools and a class; a class's tablet, its pupil's own, and one elsewhere are silent."""
    kjenn, rasta = factories.school("Kjenn skole"), factories.school("Rasta skole")
    klass, pupil = factories.school_class(kjenn), factories.pupil(kjenn)
    factories.membership(pupil, klass)
    for device in (
        factories.device(kjenn, class_id=klass.id),
        factories.device(kjenn, person=pupil),
        factories.device(kjenn),
        factories.device(rasta),
    ):
        find(device, FindingKind.SILENT)
    return {"kjenn": kjenn.id, "rasta": rasta.id, "class": klass.id}


def test_everybody_sees_the_findings_of_their_own_tablets(fleet: dict[str, int]) -> None:
    school_it = Principal("account", "2", (Grant(Role.SCHOOL_IT, fleet["kjenn"]),))
    teacher = Principal("account", "3", (Grant(Role.TEACHER, fleet["kjenn"]),), frozenset({fleet["class"]}))
    nobody = Principal("account", "4")
    seen = [len(queries.open_findings(queries.Filter(), by=by)) for by in (ADMIN, school_it, teacher, nobody)]
    assert seen == [4, 3, 2, 0]
    assert [queries.counts(by=by)[FindingKind.SILENT] for by in (ADMIN, school_it, teacher, nobody)] == seen


def test_findings_narrow_to_a_school_and_a_class_with_its_pupils(fleet: dict[str, int]) -> None:
    assert len(queries.open_findings(queries.Filter(school_id=fleet["rasta"]), by=ADMIN)) == 1
    assert len(queries.open_findings(queries.Filter(class_id=fleet["class"]), by=ADMIN)) == 2


def test_findings_narrow_to_a_kind_and_are_counted_with_their_tablets(app: Flask) -> None:
    one, other = factories.tablets(factories.school(), 2)
    find(one, FindingKind.SILENT)
    find(one, FindingKind.STORAGE_LOW, minutes=1)
    find(other, FindingKind.STORAGE_LOW, minutes=2)
    find(other, FindingKind.SILENT, closed=True)
    low = queries.Filter(kind=FindingKind.STORAGE_LOW)
    assert [f.device_id for f in queries.open_findings(low, by=ADMIN)] == [other.id, one.id]
    assert [f.device_id for f in queries.open_findings(low, by=ADMIN, limit=1, offset=1)] == [one.id]
    assert queries.count(low, by=ADMIN) == queries.Count(2, 2)
    assert queries.count(queries.Filter(), by=ADMIN) == queries.Count(3, 2)
    assert queries.count(queries.Filter(), by=Principal("account", "4")) == queries.Count(0, 0)


def test_counts_name_every_kind_and_leave_out_what_is_closed(app: Flask) -> None:
    device = factories.device(factories.school())
    find(device, FindingKind.STORAGE_LOW)
    find(device, FindingKind.CLOCK_WRONG, closed=True)
    expected = dict.fromkeys(FindingKind, 0) | {FindingKind.STORAGE_LOW: 1}
    assert queries.counts(by=ADMIN) == expected


def test_silent_tablets_are_told_by_class_with_when_the_last_was_heard_from(app: Flask, statements: list[str]) -> None:
    kjenn, rasta = factories.school("Kjenn skole"), factories.school("Rasta skole")
    klass, teaching = factories.school_class(kjenn, "8B"), factories.school_class(kjenn, "MAT 8B", ClassKind.TEACHING)
    pupil = factories.pupil(kjenn)
    for one in (teaching, klass):
        factories.membership(pupil, one)
    own, of_set = factories.device(kjenn, person=pupil), factories.device(kjenn, class_id=klass.id)
    own.state.last_seen_at, of_set.state.last_seen_at = NOW - timedelta(days=3), NOW - timedelta(days=2)
    never, elsewhere = factories.device(kjenn), factories.device(rasta)
    elsewhere.state.last_seen_at = NOW
    for device in (own, of_set, never, elsewhere):
        find(device, FindingKind.SILENT)
    find(factories.device(kjenn, class_id=klass.id), FindingKind.SILENT, closed=True)
    find(factories.device(kjenn, class_id=klass.id), FindingKind.STORAGE_LOW)
    statements.clear()
    of_class = queries.Silence(kjenn.id, "Kjenn skole", klass.id, "8B", 2, NOW - timedelta(days=2))
    of_school = queries.Silence(kjenn.id, "Kjenn skole", None, None, 1, None)
    of_other = queries.Silence(rasta.id, "Rasta skole", None, None, 1, NOW)
    assert queries.silences(by=ADMIN, limit=9) == [of_class, of_school, of_other]
    assert len(statements) == 1
    assert queries.silences(by=ADMIN, limit=1) == [of_class]
    it_of_rasta = Principal("account", "2", (Grant(Role.SCHOOL_IT, rasta.id),))
    assert queries.silences(by=it_of_rasta, limit=9) == [of_other]
    assert queries.silences(by=Principal("account", "3"), limit=9) == []
