"""Sets for lessons: a teacher's quick ones, shared ones, who may use which, and the order of the offer."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.assignments import publishing
from fleet.assignments.models import Lease
from fleet.db import db, transaction
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.lessons import sets, sharing
from fleet.lessons.models import Lesson, LessonGift, LessonSet, SetKind
from fleet.people import accounts
from fleet.people.models import Account
from fleet.schools.models import School, SchoolClass
from profiles import catalogue
from tests import factories
from tests.conftest import NOW

CLI = Principal.command_line()
TODAY = date(2026, 9, 14)
HOUR = timedelta(hours=1)


def acting(account: Account) -> Principal:
    return accounts.principal(account, today=TODAY)


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school("Kjenn skole")


@pytest.fixture
def maths(school: School) -> SchoolClass:
    """Return a teaching group in mathematics for year 8."""
    with transaction():
        made = factories.school_class(school, "MAT 8B")
        made.subject_code, made.grade = "MAT0015", "08"
    return made


@pytest.fixture
def kari(maths: SchoolClass) -> Principal:
    """Return a teacher of that group."""
    with transaction():
        return acting(factories.teacher("kari", maths))


def quick(of: SchoolClass, by: Principal, kind: SetKind = SetKind.WEB, **told: Any) -> LessonSet:
    words: dict[str, Any] = told or {"hosts": ["nrk.no"]}
    return sets.quick(kind, school_class=of, **words, by=by, now=NOW)


def share(title: str, at: School | None = None, **told: Any) -> LessonSet:
    wanted: dict[str, Any] = {"kind": SetKind.WEB, "hosts": ["udir.no"], "by": CLI, "now": NOW} | told
    return sharing.share(school=at, title=title, **wanted)


def gave(of: SchoolClass, given: LessonSet, by: Principal, *, at: datetime = NOW) -> None:
    """Have a lesson that gave a set."""
    lease = Lease(profile=given.kind.value, place=of.title, settings={}, created_at=at)
    lesson = Lesson(
        class_id=of.id, holder_id=by.account_id, starts_at=at, ends_at=at + HOUR, takes_unseen=False, created_at=at,
    )  # fmt: skip
    db.session.add_all([lease, lesson, LessonGift(lesson=lesson, set=given, lease=lease, since=at)])
    db.session.flush()


def test_the_same_words_of_the_same_teacher_are_one_set(maths: SchoolClass, kari: Principal) -> None:
    with transaction():
        first = quick(maths, kari, hosts=["https://www.nrk.no/super/", "udir.no"])
        assert quick(maths, kari, hosts=["udir.no", "www.nrk.no"]) is first
        assert quick(maths, kari, hosts=["udir.no", "www.nrk.no"], title=first.title) is first
        assert quick(maths, kari, hosts=["udir.no"]) is not first
        assert quick(maths, kari, hosts=["udir.no", "www.nrk.no"], title=" NRK ").title == "NRK"
        assert quick(maths, acting(factories.teacher("ola", maths)), hosts=["udir.no", "www.nrk.no"]) is not first
    assert (first.title, first.owner_id, first.shared, first.school_id) == (
        "udir.no, www.nrk.no",
        kari.account_id,
        False,
        None,
    )
    assert sets.content(first) == sets.Content("web", None, {"web.allowed": ["udir.no", "www.nrk.no"]})


def test_a_withdrawn_quick_set_is_not_found_again(maths: SchoolClass, kari: Principal) -> None:
    with transaction():
        first = quick(maths, kari)
        sets.withdraw(first.id, by=kari, now=NOW)
        assert quick(maths, kari) is not first
        with pytest.raises(NotFoundError):
            sets.get(first.id, school_class=maths, by=kari)
        with pytest.raises(ConflictError, match="withdrawn already"):
            sets.withdraw(first.id, by=kari, now=NOW)


def test_a_quick_set_is_for_classes_one_teaches_and_not_of_a_profile(
    school: School, maths: SchoolClass, kari: Principal
) -> None:
    with transaction():
        other = factories.school_class(school, "9A")
        with pytest.raises(ForbiddenError):
            quick(other, kari)
        with pytest.raises(ForbiddenError):
            sets.offered(other, by=kari, now=NOW)
        with pytest.raises(ForbiddenError):
            sets.find("x", school_class=other, by=kari)
        with pytest.raises(InvalidError, match="profile"):
            quick(maths, kari, SetKind.PROFILE, title="x")
        with pytest.raises(InvalidError, match="title"):
            quick(maths, kari, hosts=["nrk.no"], title=" ")


def test_a_shared_profile_gives_its_newest_published_version(maths: SchoolClass, kari: Principal) -> None:
    with transaction():
        version = factories.published("lesing", **{"camera.allowed": False})
        given = share("Lesing", profile=version.profile, kind=SetKind.PROFILE, hosts=())
        assert sets.content(given) == sets.Content("lesing", 1, {"camera.allowed": False})
        factories.next_version(version, **{"screenshots.allowed": False})
        assert sets.content(given) == sets.Content("lesing", 2, {"screenshots.allowed": False})
        assert sets.get(given.id, school_class=maths, by=kari) is given


def test_a_profile_is_shared_once_it_is_published(app: Flask) -> None:
    with transaction():
        version = factories.published("lesing")
        version.published_at = None
        with pytest.raises(NotFoundError):
            share("Lesing", profile=version.profile, kind=SetKind.PROFILE, hosts=())


def test_a_set_can_be_used_where_it_is_shared_and_by_its_owner(
    maths: SchoolClass, school: School, kari: Principal
) -> None:
    with transaction():
        everywhere, here = share("Alle"), share("Kjenn", school)
        there = share("Andre", factories.school("Andre skole"))
        own, others = quick(maths, kari), quick(maths, acting(factories.teacher("ola", maths)))
        shells = quick(maths, CLI)
        assert [sets.get(one.id, school_class=maths, by=kari) for one in (everywhere, here, own)] == [
            everywhere,
            here,
            own,
        ]
        for one in (there, others, shells):
            with pytest.raises(NotFoundError):
                sets.get(one.id, school_class=maths, by=kari)
        assert sets.get(shells.id, school_class=maths, by=CLI) is shells


def test_sharing_is_for_the_place_where_one_may(school: School, kari: Principal) -> None:
    it = Principal("account", "0", (Grant(Role.SCHOOL_IT, school.id),))
    with transaction():
        assert share("Kjenn", school, by=Principal("cli", grants=it.grants)).school_id == school.id
        for by, at in ((it, None), (it, factories.school("Andre skole")), (kari, school), (kari, None)):
            with pytest.raises(ForbiddenError):
                share("Nei", at, by=by)


def test_sharing_and_withdrawing_are_audited_without_words_of_anybody(school: School) -> None:
    with transaction():
        made = share("Kjenn", school, kind=SetKind.EYES, hosts=(), text="Se hit")
        sets.withdraw(made.id, by=CLI, now=NOW)
        lines = factories.audited()
    assert [(one.action, one.subject) for one in lines] == [
        ("lessons.set-withdrawn", f"lesson-set:{made.id}"),
        ("lessons.set-shared", f"lesson-set:{made.id}"),
    ]
    assert lines[1].fields == {"school_id": school.id, "profile": "eyes"}


@pytest.mark.parametrize(
    "told",
    [
        {"title": ""},
        {"title": "x" * 81},
        {"subject_code": "matte!"},
        {"grades": ["8", ""]},
        {"kind": SetKind.PROFILE, "hosts": ()},
    ],
)
def test_what_is_no_set_is_not_shared(app: Flask, told: dict[str, Any]) -> None:
    with transaction(), pytest.raises(InvalidError):
        share(**({"title": "Alle"} | told))


def test_a_profile_is_shared_without_other_words(app: Flask) -> None:
    with transaction():
        profile = factories.published("lesing").profile
        with pytest.raises(InvalidError, match="not for this kind"):
            share("Lesing", profile=profile, kind=SetKind.PROFILE)
        with pytest.raises(InvalidError, match="profile"):
            share("Lesing", profile=profile)


def test_a_title_stands_once_where_it_is_shared(school: School) -> None:
    with transaction():
        first = share("Øving", school)
        with pytest.raises(ConflictError):
            share("ØVING", school)
        share("Øving")
        sets.withdraw(first.id, by=CLI, now=NOW)
        assert share("øving", school).id != first.id


def test_withdrawing_is_for_the_owner_and_of_shared_ones_for_who_may_share(
    school: School, maths: SchoolClass, kari: Principal
) -> None:
    with transaction():
        own, here, everywhere = quick(maths, kari), share("Kjenn", school), share("Alle")
        ola = acting(factories.teacher("ola", maths))
        it = acting(factories.account("it", (Role.SCHOOL_IT, school)))
        for by in (ola, it, CLI):
            with pytest.raises(NotFoundError):
                sets.withdraw(own.id, by=by, now=NOW)
        for by, found in ((kari, here), (it, everywhere)):
            with pytest.raises(ForbiddenError):
                sets.withdraw(found.id, by=by, now=NOW)
        with pytest.raises(NotFoundError):
            sets.withdraw(10**6, by=CLI, now=NOW)
        assert sets.withdraw(own.id, by=kari, now=NOW).withdrawn_at == NOW
        assert sets.withdraw(here.id, by=it, now=NOW).withdrawn_at == NOW


def test_a_set_is_found_by_title_or_number(maths: SchoolClass, school: School) -> None:
    with transaction():
        reading, numbered = share("Lesestund", school), share("70000", school)
        assert sets.find(" lesestund", school_class=maths, by=CLI) is reading
        assert sets.find(str(reading.id), school_class=maths, by=CLI) is reading
        assert sets.find("70000", school_class=maths, by=CLI) is numbered
        with pytest.raises(NotFoundError) as refused:
            sets.find("lesestunn", school_class=maths, by=CLI)
        assert refused.value.data["nearest"] == ["Lesestund"]
        also = share("lesestund")
        with pytest.raises(NotFoundError) as refused:
            sets.find("Lesestund", school_class=maths, by=CLI)
        assert refused.value.data["numbers"] == [reading.id, also.id]


def test_the_offer_begins_with_what_was_used_last_and_names_each_once(
    maths: SchoolClass, school: School, kari: Principal, statements: list[str]
) -> None:
    with transaction():
        other = factories.school_class(school, "9A")
        everywhere, here = share("A alle"), share("B skolen", school)
        mine = [quick(maths, kari, hosts=[f"{name}.example"]) for name in "abcdef"]
        for number, one in enumerate([mine[0], mine[1], mine[2], mine[3], mine[0]]):
            gave(maths, one, kari, at=NOW - 9 * HOUR + number * HOUR)
        gave(other, mine[4], kari, at=NOW)
        gave(maths, here, acting(factories.teacher("ola", maths)), at=NOW)
        fitting = share("C matematikk", subject_code="mat")
        gone = quick(maths, kari, hosts=["g.example"])
        gave(maths, gone, kari)
        sets.withdraw(gone.id, by=kari, now=NOW)
        statements.clear()
        found = sets.offered(maths, by=kari, now=NOW)
        assert len(statements) == 2
        assert [(one.set, one.why) for one in found] == [
            (mine[0], "last-used"), (mine[3], "last-used"), (mine[2], "last-used"), (mine[4], "last-used"), (mine[1], "last-used"),
            (fitting, "suggested"), (here, "shared"), (everywhere, "shared"), (mine[5], "own"),
        ]  # fmt: skip


def test_offers_of_several_classes_are_those_of_each_in_as_many_statements(
    maths: SchoolClass, school: School, kari: Principal, statements: list[str]
) -> None:
    with transaction():
        other_school = factories.school("Naboskolen")
        far = factories.school_class(other_school, "5C")
        share("Bare her", school), share("Bare der", other_school), share("Alle")
        gave(maths, quick(maths, kari, hosts=["a.example"]), kari)
        statements.clear()
        found = sets.offers([maths, far], by=CLI, now=NOW)
        assert len(statements) == 2
        assert found == {one.id: sets.offered(one, by=CLI, now=NOW) for one in (maths, far)}
        assert [one.set.title for one in found[far.id]] == ["Bare der", "Alle"]
        assert sets.offers([], by=CLI, now=NOW) == {}
        with pytest.raises(ForbiddenError):
            sets.offers([maths, far], by=kari, now=NOW)


@pytest.mark.parametrize(
    ("subject_code", "grades", "fit"),
    [
        ("MAT", ["8"], 7),
        ("mat0015", None, 14),
        ("MAT", None, 6),
        (None, ["08", "9"], 1),
        (None, None, None),
        ("MAT", ["9"], None),
        ("NOR", ["8"], None),
        ("MAT00150", None, None),
    ],
)
def test_a_set_is_suggested_by_subject_and_grade(
    maths: SchoolClass, subject_code: str | None, grades: list[str] | None, fit: int | None
) -> None:
    assert sets.fits(LessonSet(subject_code=subject_code, grades=grades), maths) == fit


def test_a_group_without_a_grade_or_subject_is_suggested_what_can_be_said(maths: SchoolClass) -> None:
    basic = SchoolClass(title="8B", grade="8")
    no_grade = SchoolClass(title="MAT", subject_code="MAT1015")
    assert sets.fits(LessonSet(subject_code="MAT", grades=["8"]), basic) is None
    assert sets.fits(LessonSet(grades=["8"]), basic) == 1
    assert sets.fits(LessonSet(subject_code="MAT", grades=["8"]), no_grade) == 6
    assert sets.fits(LessonSet(grades=["8"]), no_grade) is None


def test_the_ready_made_lesson_profiles_are_shared_once_published_and_once_only(school: School) -> None:
    it = Principal("account", "0", (Grant(Role.SCHOOL_IT, school.id),))
    with transaction():
        factories.published("matematikk")
        factories.published("kommune-grunn")
        draft = factories.published("lesing")
        draft.published_at = None
        with pytest.raises(ForbiddenError):
            sharing.ensure_shipped(by=it, now=NOW)
        assert sharing.ensure_shipped(by=CLI, now=NOW) == 1
        assert sharing.ensure_shipped(by=CLI, now=NOW) == 0
        draft.published_at = NOW
        assert sharing.ensure_shipped(by=CLI, now=NOW) == 1
        found = sets.offered(factories.school_class(school, "7A"), by=CLI, now=NOW)
        assert [(one.set.title, one.set.subject_code, one.why) for one in found] == [
            ("lesing", "NOR", "shared"),
            ("matematikk", "MAT", "shared"),
        ]
        sets.withdraw(found[0].set.id, by=CLI, now=NOW)
        assert sharing.ensure_shipped(by=CLI, now=NOW) == 0


def offered_titles(school: School) -> list[str]:
    return [one.set.title for one in sets.offered(factories.school_class(school), by=CLI, now=NOW)]


def test_the_ready_made_lesson_profiles_are_published_and_shared_in_one_step(school: School) -> None:
    titles = ["Eksamen", "Fri time", "Lesing", "Matematikk"]
    with transaction():
        assert sharing.missing() == titles
        draft = next(one for one in catalogue.load() if one.name == "lesing")
        publishing.save_draft(draft, by=CLI, now=NOW)
        assert sharing.missing() == titles
        assert sharing.ship(by=CLI, now=NOW) == 4
        assert sharing.missing() == []
        assert sharing.ship(by=CLI, now=NOW) == 0
        assert sorted(offered_titles(school)) == titles


def test_what_somebody_has_otherwise_is_neither_missing_nor_shared(school: School) -> None:
    with transaction():
        factories.published("lesing").published_at = None  # a draft of one's own
        sharing.share(school=None, title="EKSAMEN", kind=SetKind.EYES, by=CLI, now=NOW)
        assert sharing.missing() == ["Fri time", "Matematikk"]
        assert sharing.ship(by=CLI, now=NOW) == 2
        assert sharing.missing() == []
        assert sorted(offered_titles(school)) == ["EKSAMEN", "Fri time", "Matematikk"]


@pytest.mark.parametrize("role", [Role.SCHOOL_IT, Role.TEACHER])
def test_only_who_shares_with_all_ships(school: School, role: Role) -> None:
    by = Principal("account", "0", (Grant(role, school.id),))
    with pytest.raises(ForbiddenError), transaction():
        sharing.ship(by=by, now=NOW)
    assert len(sharing.missing()) == 4
