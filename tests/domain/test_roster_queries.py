"""Reading schools, classes and people: what is found by which name, and who sees what."""

from datetime import date

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.errors import ForbiddenError, NotFoundError
from fleet.schools import queries
from fleet.schools.models import MembershipRole, Municipality, School, SchoolClass
from tests import factories
from tests.conftest import NOW

CLI = Principal.command_line()


@pytest.fixture
def places(app: Flask) -> dict[str, SchoolClass]:
    """Return classes by "school/title": 8A and 8B at Kjenn, 8A at Rasta, and one that has left the roster."""
    found = {}
    with transaction():
        for name in ("Kjenn skole", "Rasta skole"):
            at = factories.school(name)
            at.source_id = f"id-{name[:5].lower()}"
            for title in ("8A", "8B") if name[0] == "K" else ("8A",):
                made = factories.school_class(at, title)
                made.source_id = f"{name[0]}-{title}"
                found[f"{name[0]}/{title}"] = made
        factories.school_class(found["K/8A"].school, "9Z").ended_at = NOW
        factories.school("Nedlagt skole").ended_at = NOW
        db.session.flush()
    return found


def test_a_school_is_found_by_name_id_or_number(places: dict[str, SchoolClass]) -> None:
    school = places["K/8A"].school
    for name in ("Kjenn skole", " kjenn SKOLE ", "ID-KJENN", str(school.id)):
        assert queries.find_school(name) is school


def test_a_name_goes_before_an_id_and_an_id_before_a_number(places: dict[str, SchoolClass]) -> None:
    kjenn, rasta = places["K/8A"].school, places["R/8A"].school
    with transaction():
        rasta.source_id = str(kjenn.id)
    assert queries.find_school(str(kjenn.id)) is rasta
    with transaction():
        odd = factories.school_class(kjenn, str(places["K/8B"].id))
    assert queries.find_class(str(places["K/8B"].id)) is odd


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("", []), (" ", []), ("Kjen skole", ["Kjenn skole", "Rasta skole"]), ("Rast", ["Rasta skole"])],
)
def test_an_unknown_school_names_the_nearest(places: dict[str, SchoolClass], name: str, nearest: list[str]) -> None:
    with pytest.raises(NotFoundError) as refused:
        queries.find_school(name)
    assert (refused.value.data["reason"], refused.value.data["nearest"]) == ("no such school", nearest)


def test_a_school_that_has_left_the_roster_is_not_found(places: dict[str, SchoolClass]) -> None:
    with pytest.raises(NotFoundError):
        queries.find_school("Nedlagt skole")


def test_two_schools_of_one_name_are_not_guessed(places: dict[str, SchoolClass]) -> None:
    with transaction():
        factories.school("kjenn skole")
    with pytest.raises(NotFoundError) as refused:
        queries.find_school("Kjenn skole")
    assert "give the id" in refused.value.data["reason"]


def test_a_class_is_found_in_its_school_or_where_it_is_the_only_one(places: dict[str, SchoolClass]) -> None:
    assert queries.find_class("8b") is places["K/8B"]
    assert queries.find_class("8A", school_id=places["R/8A"].school_id) is places["R/8A"]
    assert queries.find_class("k-8a") is places["K/8A"]
    with transaction():
        factories.school_class(places["R/8A"].school, "8a")
    for school_id, reason in (
        (None, "several schools: say which"),
        (places["R/8A"].school_id, "several classes have this title: give the id"),
    ):
        with pytest.raises(NotFoundError) as refused:
            queries.find_class("8A", school_id=school_id)
        assert refused.value.data["reason"] == reason
    with pytest.raises(NotFoundError) as refused:
        queries.find_class("9Y")
    assert refused.value.data["reason"] == "no such class"
    with pytest.raises(NotFoundError) as refused:
        queries.find_class("9z")
    assert refused.value.data["reason"] == "the class has ended"
    with pytest.raises(NotFoundError) as refused:
        queries.find_class("9Z", school_id=places["R/8A"].school_id + 1000)
    assert refused.value.data["reason"] == "no such class"


def test_a_pupil_is_found_by_user_name_or_id_and_never_named_in_a_refusal(places: dict[str, SchoolClass]) -> None:
    school = places["K/8A"].school
    with transaction():
        first, second, teacher = factories.pupil(school), factories.pupil(school), factories.employee("laerer", school)
        first.username, first.source_id = "Elev.Åse", "p-1"
    assert queries.find_pupil(" elev.åse ") is first
    assert queries.find_pupil("p-1") is first
    for name in ("laerer", "ukjent", str(second.id)):
        with pytest.raises(NotFoundError) as refused:
            queries.find_pupil(name)
        assert refused.value.data == {"kind": "pupil", "reason": "no such user name or id"}
    with transaction():
        second.username = "Elev.Åse"
    with pytest.raises(NotFoundError) as refused:
        queries.find_pupil("Elev.Åse")
    assert refused.value.data["reason"] == "several have this user name"
    assert teacher.username == "laerer"


def test_the_municipality_is_made_once_and_named_by_the_roster(app: Flask) -> None:
    assert queries.municipality() is None
    with transaction():
        made = queries.ensure_municipality("Ved hånd")
        assert queries.ensure_municipality("Annet") is made
        assert made.name == "Ved hånd"
        queries.ensure_municipality("Fra fil", source_id="k")
    found = db.session.get_one(Municipality, 1)
    assert (found.name, found.source_id) == ("Fra fil", "k")


def filled(places: dict[str, SchoolClass]) -> None:
    with transaction():
        school = places["K/8A"].school
        for _ in range(3):
            factories.membership(factories.pupil(school), places["K/8A"])
        factories.membership(factories.employee("laerer", school), places["K/8A"], role=MembershipRole.TEACHER)
        gone = factories.pupil(school)
        gone.ended_at = NOW
        factories.membership(gone, places["K/8A"]).ended_at = NOW


def test_schools_and_classes_come_with_their_numbers(places: dict[str, SchoolClass], statements: list[str]) -> None:
    filled(places)
    statements.clear()
    kjenn, rasta = queries.schools(CLI)
    assert len(statements) == 4
    assert (kjenn["name"], kjenn["classes"], kjenn["pupils"], kjenn["teachers"]) == ("Kjenn skole", 2, 3, 1)
    assert (rasta["classes"], rasta["pupils"], rasta["teachers"]) == (1, 0, 0)
    statements.clear()
    found = queries.classes(CLI)
    assert len(statements) == 2
    assert [(one["school"], one["title"], one["pupils"], one["teachers"]) for one in found] == [
        ("Kjenn skole", "8A", 3, 1), ("Kjenn skole", "8B", 0, 0), ("Rasta skole", "8A", 0, 0),
    ]  # fmt: skip
    assert [one["title"] for one in queries.classes(CLI, school_id=kjenn["id"])] == ["8A", "8B"]


def test_everybody_sees_the_own_school_or_classes_only(places: dict[str, SchoolClass]) -> None:
    filled(places)
    kjenn, rasta = places["K/8A"].school, places["R/8A"].school
    it = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, kjenn.id),))
    teacher = Principal(
        "account", "2", grants=(Grant(Role.TEACHER, kjenn.id),), own_class_ids=frozenset({places["K/8A"].id})
    )
    assert [one["name"] for one in queries.schools(it)] == ["Kjenn skole"]
    assert queries.schools(teacher) == []
    assert [one["title"] for one in queries.classes(it)] == ["8A", "8B"]
    assert [one["title"] for one in queries.classes(teacher)] == ["8A"]
    assert len(queries.members(teacher, places["K/8A"])) == 4
    for by, place in ((teacher, "K/8B"), (it, "R/8A"), (teacher, "R/8A")):
        with pytest.raises(ForbiddenError):
            queries.members(by, places[place])
    for by in (it, teacher):
        assert queries.visible_school(kjenn.id, by=by) is kjenn
        with pytest.raises(NotFoundError):
            queries.visible_school(rasta.id, by=by)
    with pytest.raises(NotFoundError):
        queries.visible_school(9_999, by=CLI)


def test_members_are_listed_teachers_first_by_family_name(places: dict[str, SchoolClass]) -> None:
    filled(places)
    found = queries.members(CLI, places["K/8A"])
    assert [one["role"] for one in found] == ["teacher", "pupil", "pupil", "pupil"]
    assert found[1:] == sorted(found[1:], key=lambda one: one["family_name"])


def test_classes_of_a_person_hold_on_their_dates(places: dict[str, SchoolClass]) -> None:
    school: School = places["K/8A"].school
    with transaction():
        one = factories.pupil(school)
        factories.membership(one, places["K/8A"], starts_on=date(2026, 8, 17), ends_on=date(2026, 9, 14))
        factories.membership(one, places["K/8B"], role=MembershipRole.TEACHER)
        factories.membership(one, places["R/8A"])
    first, second = places["K/8A"].id, places["R/8A"].id
    everywhere = {place.school_id for place in places.values()}

    def on(day: date, role: MembershipRole = MembershipRole.PUPIL) -> set[int]:
        return set(queries.classes_of(one.id, role=role, school_ids=everywhere, today=day))

    assert on(date(2026, 8, 16)) == {second}
    assert on(date(2026, 8, 17)) == on(date(2026, 9, 14)) == {first, second}
    assert on(date(2026, 9, 15)) == {second}
    assert on(date(2026, 9, 14), MembershipRole.TEACHER) == {places["K/8B"].id}
    everywhere.remove(school.id)
    assert on(date(2026, 9, 14)) == {second}
