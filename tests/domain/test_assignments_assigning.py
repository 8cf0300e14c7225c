"""Who may give which profile to whom, for how long, and what it replaces."""

from datetime import datetime, timedelta

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.assignments.models import Scope
from fleet.db import db, transaction
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from tests import factories as make
from tests.conftest import NOW

BY = Principal.command_line()
HOUR = timedelta(hours=1)


def school_it(school_id: int) -> Principal:
    return Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, school_id),))


def test_a_draft_cannot_be_assigned(app: Flask) -> None:
    with transaction():
        version = make.published()
        version.published_at = None
        with pytest.raises(InvalidError, match="draft"):
            make.assign(version, Place.municipality())


@pytest.mark.parametrize(
    ("starts_at", "ends_at"), [(None, NOW), (None, NOW - HOUR), (NOW + HOUR, NOW + HOUR), (NOW + 2 * HOUR, NOW + HOUR)]
)
def test_an_end_before_the_beginning_or_now_is_refused(
    app: Flask, starts_at: datetime | None, ends_at: datetime
) -> None:
    with pytest.raises(InvalidError, match="ends before"), transaction():
        make.assign(make.published(), Place.municipality(), starts_at=starts_at, ends_at=ends_at)


def test_the_same_profile_at_the_same_place_is_replaced_and_nothing_else_is(app: Flask) -> None:
    with transaction():
        school, other = make.school("Her"), make.school("Der")
        of, device = make.school_class(school), make.device(school)
        version, different = make.published(), make.published("annen", **{"bluetooth.allowed": False})
        places = [Place.municipality(), Place.school(school), Place.school_class(of), Place.device(device)]
        first = [make.assign(version, place).id for place in places]
        kept = [
            make.assign(version, Place.school(other)).id,
            make.assign(different, Place.school(school)).id,
            make.assign(version, Place.school(school), ends_at=NOW + HOUR).id,
            make.assign(version, Place.school(school), starts_at=NOW + HOUR).id,
        ]
        newer = make.next_version(version, **{"camera.allowed": True})
        second = [make.assign(newer, place, now=NOW + HOUR / 2).id for place in places]
    standing = [one.id for one in assigning.listed(by=BY, now=NOW)]
    assert standing == [*kept, *second]
    everything = assigning.listed(by=BY, now=NOW, ended=True)
    assert [one.withdrawn_at for one in everything if one.id in first] == [NOW + HOUR / 2] * 4
    replaced = make.audited(action="assignments.withdrawn")
    assert [(line.fields["scope"], line.fields["reason"]) for line in reversed(replaced)] == [
        (place.scope.value, "replaced") for place in places
    ]


def test_an_assignment_is_withdrawn_once(app: Flask) -> None:
    with transaction():
        school = make.school()
        device = make.device(school)
        given = make.assign(make.published(), Place.school(school)).id
        ending = make.assign(make.published("kort"), Place.school(school), ends_at=NOW + HOUR).id
    with transaction():
        assert assigning.withdraw(given, by=BY, now=NOW) == 1
        assert device.state.config_version == 3
    with pytest.raises(ConflictError), transaction():
        assigning.withdraw(given, by=BY, now=NOW)
    with pytest.raises(ConflictError), transaction():
        assigning.withdraw(ending, by=BY, now=NOW + HOUR)
    with pytest.raises(NotFoundError), transaction():
        assigning.withdraw(0, by=BY, now=NOW)
    (line,) = make.audited(action="assignments.withdrawn")
    assert line.fields == {"scope": "school", "school_id": school.id, "profile": "grunnoppsett", "version": 1}


def test_a_school_assigns_to_itself_its_classes_and_its_tablets_and_to_nobody_else(app: Flask) -> None:
    with transaction():
        own, other = make.school("Her"), make.school("Der")
        version = make.published()
        it = school_it(own.id)
        for place in (Place.school(own), Place.school_class(make.school_class(own)), Place.device(make.device(own))):
            assigning.assign(version, place, by=it, now=NOW)
        homeless = make.device(own)
        homeless.school_id = None
        places = (
            Place.municipality(),
            Place.school(other),
            Place.school_class(make.school_class(other)),
            Place.device(make.device(other)),
            Place.device(homeless),
        )
        for place in places:
            with pytest.raises(ForbiddenError):
                assigning.assign(version, place, by=it, now=NOW)
            made = make.assign(version, place)
            with pytest.raises(ForbiddenError if place.scope is Scope.MUNICIPALITY else NotFoundError):
                assigning.withdraw(made.id, by=it, now=NOW)
        seen = {(one.scope, assigning.school_of(one)) for one in assigning.listed(by=it, now=NOW)}
        teacher = Principal("account", "2", grants=(Grant(Role.TEACHER, own.id),), own_class_ids=frozenset({1}))
        with pytest.raises(ForbiddenError):
            assigning.assign(version, Place.school(own), by=teacher, now=NOW)
    assert seen == {
        (Scope.MUNICIPALITY, None),
        (Scope.SCHOOL, own.id),
        (Scope.CLASS, own.id),
        (Scope.DEVICE, own.id),
    }
    assert [one.scope for one in assigning.listed(by=teacher, now=NOW)] == [Scope.MUNICIPALITY]


def test_what_was_assigned_can_be_looked_at(app: Flask) -> None:
    with transaction():
        made = make.assign(make.published(), Place.school(make.school()), ends_at=NOW + HOUR)
    assert assigning.get(made.id, by=BY).ends_at == NOW + HOUR
    db.session.expire_all()
    assert [one.id for one in assigning.listed(by=BY, now=NOW + HOUR)] == []
    assert [one.id for one in assigning.listed(by=BY, now=NOW + HOUR, ended=True)] == [made.id]
    (line,) = make.audited(action="assignments.assigned")
    assert line.fields == {
        "scope": "school", "school_id": made.school_id, "profile": "grunnoppsett", "version": 1, "starts_at": None,
        "ends_at": (NOW + HOUR).isoformat(),
    }  # fmt: skip


def test_a_time_without_zone_is_refused(app: Flask) -> None:
    local = NOW.replace(tzinfo=None)
    for starts_at, ends_at in ((local, None), (None, local)):
        with pytest.raises(ValueError, match="naive"), transaction():
            make.assign(make.published(), Place.municipality(), starts_at=starts_at, ends_at=ends_at)
