"""What a municipality and its schools decide about lessons and orders."""

from collections.abc import Callable

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.errors import ForbiddenError, InvalidError, NotFoundError
from fleet.schools import deciding
from fleet.schools.models import School
from fleet.schools.queries import ensure_municipality, municipality
from tests import factories as make
from tests.conftest import NOW
from tests.races import together

CLI = Principal.command_line()


def test_a_second_person_is_needed_until_somebody_decides_otherwise_and_the_audit_says_who(app: Flask) -> None:
    assert deciding.is_second_person_needed()
    with transaction():
        ensure_municipality("Kjenn")
        assert deciding.is_second_person_needed()
        for needed in (False, False, True, True):
            deciding.set_second_person(needed=needed, by=CLI, now=NOW)
            assert deciding.is_second_person_needed() is needed
    assert [(one.action, one.subject, one.actor_kind) for one in make.audited()] == [
        ("orders.second-person-on", "municipality:1", "cli"), ("orders.second-person-off", "municipality:1", "cli"),
    ]  # fmt: skip


def test_without_a_municipality_there_is_nothing_to_decide_for(app: Flask) -> None:
    with transaction(), pytest.raises(NotFoundError, match="municipality"):
        deciding.set_second_person(needed=False, by=CLI, now=NOW)


def test_a_school_decides_for_itself_and_only_the_municipality_for_all(app: Flask) -> None:
    with transaction():
        ensure_municipality("Kjenn")
        here, there = make.school("Her"), make.school("Der")
        it = Principal("account", "1", (Grant(Role.SCHOOL_IT, here.id), Grant(Role.TEACHER, there.id)))
        deciding.set_networks(here, ["10.20.0.0/16"], by=it, now=NOW)
        deciding.set_longest_lesson(here, 90, by=it, now=NOW)
        refused: list[Callable[[], object]] = [
            lambda: deciding.set_networks(there, None, by=it, now=NOW),
            lambda: deciding.set_longest_lesson(there, 90, by=it, now=NOW),
            lambda: deciding.set_second_person(needed=False, by=it, now=NOW),
        ]
        for decide in refused:
            with pytest.raises(ForbiddenError, match="edit-school"):
                decide()
    assert (here.networks, here.longest_lesson_min) == (["10.20.0.0/16"], 90)
    assert (there.networks, there.longest_lesson_min) == (None, 120)


@pytest.mark.parametrize(
    ("told", "stored"),
    [
        (["10.20.3.4/16"], ["10.20.0.0/16"]),
        ([" 192.0.2.7 "], ["192.0.2.7/32"]),
        (["10.0.0.0/255.0.0.0"], ["10.0.0.0/8"]),
        (["2001:DB8:0::1/48", "2001:db8::/16"], ["2001:db8::/48", "2001::/16"]),
        (["10.20.0.0/16", "10.20.9.9/16", "192.0.2.0/24"], ["10.20.0.0/16", "192.0.2.0/24"]),
        (["::ffff:192.0.2.0/120"], ["192.0.2.0/24"]),
        ([f"10.{number}.0.0/16" for number in range(64)], [f"10.{number}.0.0/16" for number in range(64)]),
        (None, None),
    ],
)
def test_networks_are_stored_in_one_form(app: Flask, told: list[str] | None, stored: list[str] | None) -> None:
    with transaction():
        school = make.school()
        school.networks = ["203.0.113.0/24"]
        for _ in range(2):
            deciding.set_networks(school, told, by=CLI, now=NOW)
    assert school.networks == stored
    (line,) = make.audited(action="schools.networks-set")
    assert (line.subject, line.fields) == (f"school:{school.id}", {"school_id": school.id, "ranges": stored})


@pytest.mark.parametrize(
    ("told", "found", "expected"),
    [
        (["10.0.0.0/8", "0.0.0.0/0"], "0.0.0.0/0", "/8 or narrower"),
        (["10.0.0.0/7"], "10.0.0.0/7", "/8 or narrower"),
        (["::/0"], "::/0", "/16 or narrower"),
        (["2001::/15"], "2001::/15", "/16 or narrower"),
        (["::ffff:0:0/96"], "::ffff:0:0/96", "/8 or narrower"),
        (["::ffff:0:0/90"], "::ffff:0:0/90", "/8 or narrower"),
        (["10.20.0.0/33"], "10.20.0.0/33", "such as"),
        (["10.20"], "10.20", "such as"),
        (["skole.no"], "skole.no", "such as"),
        (["fe80::1%eth0/64"], "fe80::1%eth0/64", "such as"),
        ([""], "", "such as"),
        (["x" * 100], "x" * 64, "such as"),
        ([], 0, "1 to 64"),
        ([f"10.{number}.0.0/16" for number in range(65)], 65, "1 to 64"),
    ],
)
def test_what_is_no_schools_network_is_refused_by_name(
    app: Flask, told: list[str], found: object, expected: str
) -> None:
    with transaction():
        school = make.school()
        with pytest.raises(InvalidError) as refusal:
            deciding.set_networks(school, told, by=CLI, now=NOW)
    assert refusal.value.data["found"] == found
    assert expected in refusal.value.data["expected"]
    assert school.networks is None


@pytest.mark.parametrize("minutes", [15, 480])
def test_the_longest_lesson_is_decided_once(app: Flask, minutes: int) -> None:
    with transaction():
        school = make.school()
        for _ in range(2):
            deciding.set_longest_lesson(school, minutes, by=CLI, now=NOW)
    assert school.longest_lesson_min == minutes
    (line,) = make.audited(action="schools.longest-lesson-set")
    assert line.fields == {"school_id": school.id, "minutes": minutes}


@pytest.mark.parametrize("minutes", [14, 481, 0, -60])
def test_a_longest_lesson_out_of_bounds_is_refused(app: Flask, minutes: int) -> None:
    with transaction(), pytest.raises(InvalidError, match="15 to 480"):
        deciding.set_longest_lesson(make.school(), minutes, by=CLI, now=NOW)


def test_the_same_decided_by_many_at_once_is_decided_once(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        ensure_municipality("Kjenn")
        school_id = make.school().id

    def decide() -> None:
        deciding.set_longest_lesson(db.session.get_one(School, school_id), 60, by=CLI, now=NOW)
        deciding.set_second_person(needed=False, by=CLI, now=NOW)

    assert together(own_app, [decide] * 5) == [None] * 5
    with own_app.app_context():
        assert sorted(line.action for line in make.audited()) == [
            "orders.second-person-off", "schools.longest-lesson-set",
        ]  # fmt: skip


def test_the_municipality_is_named_by_who_may_and_what_is_no_name_is_refused(app: Flask) -> None:
    with transaction():
        deciding.rename("  Prøve kommune ", by=CLI, now=NOW)
        deciding.rename("Prøve kommune", by=CLI, now=NOW)
        for name in (" ", "x" * 121, "Linje\nto"):
            with pytest.raises(InvalidError):
                deciding.rename(name, by=CLI, now=NOW)
        everywhere = Principal("account", "1", (Grant(Role.SCHOOL_IT, None),))
        with pytest.raises(ForbiddenError, match="edit-municipality"):
            deciding.rename("En annen", by=everywhere, now=NOW)
    found = municipality()
    assert found is not None
    assert found.name == "Prøve kommune"
    assert [one.action for one in make.audited()] == ["municipality.renamed"]


def test_every_range_that_is_none_is_told_with_its_place() -> None:
    found = deciding.network_faults(["10.20.0.0/16", "10.20", "2001:db8::/48", "10.0.0.0/7"])
    assert [(place, error.data["found"], error.data.get("reason")) for place, error in found] == [
        (1, "10.20", None), (3, "10.0.0.0/7", "wide"),
    ]  # fmt: skip
