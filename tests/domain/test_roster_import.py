"""A roster in the database: plan, brake, apply, undo, and what belongs to others stays as it is."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet.access import Grant, Principal, Role
from fleet.assignments import assigning
from fleet.db import changed, db, transaction
from fleet.devices import tickets
from fleet.devices.models import DeviceState, Platform
from fleet.errors import BrakedError, ConflictError, ForbiddenError, NotFoundError
from fleet.schools import queries
from fleet.schools.models import (
    ClassKind,
    Membership,
    MembershipRole,
    Municipality,
    Person,
    PersonKind,
    School,
    SchoolClass,
    SchoolYear,
)
from fleet.schools.roster import apply
from fleet.schools.roster.plan import Plan
from fleet.schools.roster.values import membership_id
from tests import factories, rosters
from tests.conftest import NOW

CLI = Principal.command_line()
LATER = NOW + timedelta(hours=1)
Import = Callable[..., tuple[Plan, apply.RosterImport | None]]


@pytest.fixture
def bring_in(app: Flask, tmp_path: Path) -> Import:
    """Return a function that imports files, with the default brake unless told otherwise."""

    def run(files: rosters.Files, *, brake: int | None = 10) -> tuple[Plan, apply.RosterImport | None]:
        path = rosters.zipped(tmp_path / "roster.zip", files)
        with transaction():
            return apply.import_file(path, max_removed_percent=brake, by=CLI, now=NOW)

    return run


def undo() -> apply.RosterImport:
    with transaction():
        return apply.undo(by=CLI, now=LATER)


def without_classes(files: rosters.Files, share: float) -> rosters.Files:
    """Drop so much of the classes, and the enrolments in them."""
    kept = files["classes"][: round(len(files["classes"]) * (1 - share))]
    ids = {row["sourcedId"] for row in kept}
    return files | {
        "classes": kept,
        "enrollments": [row for row in files["enrollments"] if row["classSourcedId"] in ids],
    }


def test_a_package_becomes_schools_years_classes_people_and_memberships(bring_in: Import) -> None:
    proposed, done = bring_in(rosters.one_roster(classes=2, pupils=3))
    assert done is not None
    assert {kind: counts["added"] for kind, counts in proposed.counts().items()} == {
        "schools": 1, "years": 1, "classes": 2, "people": 8, "memberships": 8,
    }  # fmt: skip
    owner = db.session.get_one(Municipality, 1)
    assert (owner.name, owner.source_id) == ("Prøvekommune", "kommune")
    school = db.session.scalars(select(School)).one()
    year = db.session.scalars(select(SchoolYear)).one()
    first, second = db.session.scalars(select(SchoolClass).order_by(SchoolClass.title))
    assert (first.school_id, first.school_year_id, first.kind, first.grade, first.subject_code) == (
        school.id, year.id, ClassKind.BASIC, "1", "MAT",
    )  # fmt: skip
    assert second.kind is ClassKind.TEACHING
    teacher, pupil = (
        db.session.scalars(select(Person).where(Person.source_id == f"s1k1p{place}")).one() for place in (0, 1)
    )
    assert (teacher.kind, teacher.email, teacher.school_id) == (
        PersonKind.TEACHER,
        "s1k1p0@example.test",
        school.id,
    )
    assert (pupil.kind, pupil.given_name, pupil.family_name, pupil.username, pupil.email) == (
        PersonKind.PUPIL, "Ærlig 1", "Øvesen 1", "s1k1p1", None,
    )  # fmt: skip
    place = db.session.scalars(select(Membership).where(Membership.person_id == pupil.id)).one()
    assert (place.class_id, place.role) == (first.id, MembershipRole.PUPIL)
    line = factories.audited(1)[0]
    assert (line.action, line.fields) == (
        "roster.applied",
        {"file_name": "roster.zip", "added": 20, "changed": 0, "removed": 0},
    )


def test_proposing_changes_nothing(app: Flask, tmp_path: Path) -> None:
    before = rosters.dump(without=set())
    wanted = apply.read(rosters.zipped(tmp_path / "a.zip", rosters.one_roster()))
    assert not apply.propose(wanted, by=CLI).is_empty
    assert rosters.dump(without=set()) == before


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_the_same_file_again_plans_nothing_and_leaves_no_trace(bring_in: Import, version: str) -> None:
    bring_in(rosters.one_roster(version=version))
    before = rosters.dump(without=set())
    proposed, done = bring_in(rosters.one_roster(version=version))
    assert (proposed.is_empty, done) == (True, None)
    assert rosters.dump(without=set()) == before


def test_1_2_says_the_same_as_1_1(bring_in: Import) -> None:
    bring_in(rosters.one_roster(version="1.1"))
    assert bring_in(rosters.one_roster(version="1.2"))[1] is None


def test_an_apple_set_imports_and_plans_nothing_again(bring_in: Import) -> None:
    proposed, _ = bring_in(rosters.apple())
    assert proposed.counts()["people"]["added"] == 40
    assert bring_in(rosters.apple())[1] is None


def test_changed_titles_names_and_places_are_told_field_by_field(bring_in: Import) -> None:
    bring_in(rosters.one_roster(schools=2))
    files = rosters.one_roster(schools=2)
    files["classes"][0]["title"] = "1 Ørn"
    files["users"][1]["givenName"] = "Åse"
    files["users"][1]["orgSourcedIds"] = "s2"
    files["enrollments"][2]["endDate"] = "2026-12-31"
    files["orgs"][1]["name"] = "Prøveskole ny"
    files["orgs"][0]["name"] = "Ny kommune"
    proposed, _ = bring_in(files)
    assert proposed.municipality == ("kommune", "Ny kommune")
    items = [(item["kind"], item["change"], item["id"], item["title"], item["fields"]) for item in proposed.items()]
    assert items == [
        ("schools", "change", "s1", "Prøveskole ny", ["name"]),
        ("classes", "change", "s1k1", "1 Ørn", ["title"]),
        ("people", "change", "s1k1p1", None, ["given_name", "school"]),
        ("memberships", "change", "s1k1 / s1k1p2 (pupil)", None, ["ends_on"]),
    ]
    assert bring_in(files)[1] is None


def test_sixty_percent_of_the_classes_missing_is_braked_unless_told_otherwise(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    before = rosters.dump(without=set())
    broken = without_classes(rosters.one_roster(), 0.6)
    with pytest.raises(BrakedError) as braked:
        bring_in(broken)
    assert braked.value.data == {"kind": "classes", "removed": 6, "of": 10, "max_removed_percent": 10}
    assert rosters.dump(without=set()) == before
    proposed, _ = bring_in(broken, brake=60)
    assert proposed.counts()["classes"]["removed"] == 6


@pytest.mark.parametrize(("missing", "is_braked"), [(0.1, False), (0.2, True)])
def test_the_brake_takes_the_stated_share_and_no_more(bring_in: Import, missing: float, is_braked: bool) -> None:
    bring_in(rosters.one_roster())
    files = without_classes(rosters.one_roster(), missing)
    if is_braked:
        with pytest.raises(BrakedError):
            bring_in(files)
    else:
        assert bring_in(files)[1] is not None


def test_a_brake_of_zero_lets_nobody_leave(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    with pytest.raises(BrakedError):
        bring_in(without_classes(rosters.one_roster(), 0.1), brake=0)


def test_people_missing_are_braked_too(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    files = rosters.one_roster()
    gone = {row["sourcedId"] for row in files["users"][:30]}
    files["users"] = files["users"][30:]
    files["enrollments"] = [row for row in files["enrollments"] if row["userSourcedId"] not in gone]
    with pytest.raises(BrakedError) as braked:
        bring_in(files)
    assert braked.value.data["of"] == 50


def test_enrolments_cut_off_are_braked_although_classes_and_people_are_there(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    files = rosters.one_roster()
    files["enrollments"] = files["enrollments"][:5]
    with pytest.raises(BrakedError) as braked:
        bring_in(files)
    assert braked.value.data == {"kind": "memberships", "removed": 45, "of": 50, "max_removed_percent": 10}


def test_an_undo_gives_back_every_row_as_it_was(bring_in: Import) -> None:
    bring_in(rosters.one_roster(schools=2))
    bring_in(without_classes(rosters.one_roster(schools=2), 0.3), brake=None)
    before = rosters.dump()
    files = rosters.one_roster(schools=2, classes=12)  # some come back, some are new
    files["users"] = [row for row in files["users"] if row["sourcedId"] != "s1k1p2"]
    files["enrollments"] = [row for row in files["enrollments"] if row["userSourcedId"] != "s1k1p2"]
    files["classes"][0]["title"] = "1 Ørn"
    files["users"][1]["givenName"] = "Åse"
    files["enrollments"][1]["endDate"] = "2026-12-31"
    files["academicSessions"][0]["title"] = "Året"
    files["orgs"][0]["name"] = "Ny kommune"
    proposed, _ = bring_in(files)
    assert all(sum(counts.values()) for kind, counts in proposed.counts().items() if kind != "schools")
    assert rosters.dump() != before
    done = undo()
    assert rosters.dump() == before
    assert (done.undone_at, done.undo) == (LATER, None)
    line = factories.audited(1)[0]
    assert (line.action, line.fields) == ("roster.undone", {"import_id": done.id})


def test_undoing_the_first_import_leaves_an_empty_database(bring_in: Import) -> None:
    before = rosters.dump()
    bring_in(rosters.one_roster())
    undo()
    assert rosters.dump() == before
    assert queries.municipality() is None


def test_undo_gives_a_municipality_named_by_hand_its_name_back(bring_in: Import) -> None:
    with transaction():
        queries.ensure_municipality("Ved hånd")
    bring_in(rosters.one_roster())
    undo()
    owner = db.session.get_one(Municipality, 1)
    assert (owner.name, owner.source_id) == ("Ved hånd", None)


def test_after_an_undo_the_same_file_can_be_imported_again(bring_in: Import) -> None:
    first, _ = bring_in(rosters.one_roster())
    undo()
    again, done = bring_in(rosters.one_roster())
    assert done is not None
    assert again.counts() == first.counts()


def test_only_the_last_import_can_be_undone_and_only_once(bring_in: Import) -> None:
    with pytest.raises(NotFoundError):
        undo()
    bring_in(rosters.one_roster())
    undo()
    with pytest.raises(ConflictError) as refused:
        undo()
    assert refused.value.data["reason"] == "already undone"


def test_undo_is_refused_where_something_newer_stands_on_what_the_import_added(bring_in: Import) -> None:
    _, done = bring_in(rosters.one_roster())
    assert done is not None
    with transaction():
        school = queries.find_school("Prøveskole 1")
        klass = queries.find_class("1A")
        pupil = db.session.scalars(select(Person).where(Person.source_id == "s1k1p1")).one()
        factories.device(school, person=pupil)
        tickets.create(
            tickets.Place(school, klass), expires_at=NOW + timedelta(days=1), max_enrolments=1, by=CLI, now=NOW
        )
    before = rosters.dump(without=set())
    with pytest.raises(ConflictError) as refused:
        undo()
    assert refused.value.data == {
        "kind": "roster-import",
        "id": done.id,
        "reason": "what it added is in use; move or end that first",
        "used_by": {"device": 1, "ticket": 1},
    }
    assert rosters.dump(without=set()) == before


def test_undo_takes_no_notice_of_what_stands_on_older_rows(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    with transaction():
        factories.device(queries.find_school("Prøveskole 1"))
    before = rosters.dump()
    bring_in(without_classes(rosters.one_roster(), 0.1))
    undo()
    assert rosters.dump() == before


def test_undo_data_is_forgotten_in_time_and_then_undo_says_so(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    with transaction():
        assert apply.forget_undo_data(older_than=timedelta(hours=2), now=LATER) == 0
        assert apply.forget_undo_data(older_than=timedelta(minutes=5), now=LATER) == 1
        assert apply.forget_undo_data(older_than=timedelta(minutes=5), now=LATER) == 0
    with pytest.raises(ConflictError) as refused:
        undo()
    assert refused.value.data["reason"] == "undo data has been removed"


def test_who_leaves_keeps_the_row_and_comes_back_under_it(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    person = db.session.scalars(select(Person).where(Person.source_id == "s1k1p2")).one()
    number = person.id
    files = rosters.one_roster()
    files["users"] = [row for row in files["users"] if row["sourcedId"] != "s1k1p2"]
    files["enrollments"] = [row for row in files["enrollments"] if row["userSourcedId"] != "s1k1p2"]
    bring_in(files)
    assert db.session.get_one(Person, number).ended_at == NOW
    bring_in(rosters.one_roster())
    assert db.session.get_one(Person, number).ended_at is None
    assert db.session.scalar(select(func.count()).where(Person.source_id == "s1k1p2")) == 1


def test_rows_marked_for_deletion_leave_with_what_refers_to_them(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    files = rosters.one_roster()
    files["classes"][9]["status"] = "tobedeleted"
    files["users"][1]["status"] = "ToBeDeleted"
    files["enrollments"][2]["status"] = "inactive"
    proposed, _ = bring_in(files, brake=20)
    assert {kind: counts["removed"] for kind, counts in proposed.counts().items()} == {
        "schools": 0, "years": 0, "classes": 1, "people": 1, "memberships": 7,
    }  # fmt: skip
    assert bring_in(files)[1] is None


def test_rows_that_no_roster_made_are_left_alone(bring_in: Import) -> None:
    with transaction():
        factories.school_class(factories.school("Egen skole"), "5C")
    bring_in(rosters.one_roster())
    undo()
    assert queries.find_class("5C").school.name == "Egen skole"


def test_one_person_under_a_new_id_is_suspected(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    files = rosters.one_roster()
    files["users"][1]["sourcedId"] = files["enrollments"][1]["userSourcedId"] = "ny-id"
    proposed, _ = bring_in(files)
    assert proposed.suspects == ["s1k1p1"]


def test_very_long_ids_fit(bring_in: Import) -> None:
    files = rosters.one_roster(classes=1, pupils=1)
    long_class, long_user = "k" * 255, "p" * 255
    files["classes"][0]["sourcedId"] = long_class
    files["users"][1]["sourcedId"] = files["enrollments"][1]["userSourcedId"] = long_user
    for row in files["enrollments"]:
        row["classSourcedId"] = long_class
    bring_in(files)
    assert bring_in(files)[1] is None
    assert len(membership_id(long_class, long_user, MembershipRole.PUPIL)) == 64


def test_tablets_follow_pupils_who_change_class_and_follow_back_on_undo(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    with transaction():
        pupil = db.session.scalars(select(Person).where(Person.source_id == "s1k1p1")).one()
        tablet = factories.device(queries.find_school("Prøveskole 1"), person=pupil, platform=Platform.IPADOS)
        number = tablet.id
        profile = factories.published()
        factories.assign(profile, assigning.Place.school_class(queries.find_class("2A")))
        changed("device", [number], now=NOW)

    def schedule() -> tuple[str | None, int]:
        state = db.session.get_one(DeviceState, number)
        return state.schedule_digest, state.config_version

    before, version = schedule()
    files = rosters.one_roster()
    files["enrollments"][1]["classSourcedId"] = "s1k2"
    bring_in(files)
    moved, version_moved = schedule()
    assert moved != before
    assert version_moved > version
    undo()
    back, version_back = schedule()
    assert back == before
    assert version_back > version_moved


def test_only_who_may_import_rosters_does(app: Flask, tmp_path: Path) -> None:
    school_it = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, 1),))
    wanted = apply.read(rosters.zipped(tmp_path / "a.zip", rosters.one_roster()))
    with pytest.raises(ForbiddenError):
        apply.history(by=school_it)
    with pytest.raises(ForbiddenError):
        apply.propose(wanted, by=school_it)
    with pytest.raises(ForbiddenError), transaction():
        apply.apply(wanted, file_name="a", max_removed_percent=None, by=school_it, now=NOW)
    with pytest.raises(ForbiddenError), transaction():
        apply.undo(by=school_it, now=NOW)


@pytest.mark.parametrize("size", [1, 15])
def test_the_statements_of_an_import_and_its_undo_do_not_grow_with_the_roster(
    bring_in: Import, statements: list[str], size: int
) -> None:
    bring_in(rosters.one_roster())
    files = rosters.one_roster(classes=10 + size, pupils=4)
    files["users"][1]["givenName"] = "Åse"
    statements.clear()
    bring_in(files)
    assert len(statements) <= 45, "\n".join(statements)
    statements.clear()
    undo()
    assert len(statements) <= 45, "\n".join(statements)


def test_a_municipality_of_thousands_imports_in_seconds(bring_in: Import, statements: list[str]) -> None:
    files = rosters.one_roster(schools=10, classes=20, pupils=25)
    statements.clear()
    proposed, _ = bring_in(files)
    assert proposed.counts()["people"]["added"] == 5_200
    assert len(statements) <= 45, "\n".join(statements)
    assert bring_in(files)[1] is None


def test_history_lists_the_newest_first(bring_in: Import) -> None:
    bring_in(rosters.one_roster())
    bring_in(rosters.one_roster(classes=11))
    first, second = apply.history(by=CLI)
    assert first.id > second.id
    assert [first.file_name, second.undone_at] == ["roster.zip", None]
