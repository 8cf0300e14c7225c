"""What can be given in a lesson: sets that are shared, and the quick ones that a teacher makes in passing.

Invariants: a set never changes once it is made, so that a lesson of last week still says what it gave; the same words
of the same teacher are one quick set; who may use one for a class is told by one condition. Not here: what a quick
set's words come to (:mod:`fleet.lessons.contents`), sharing sets (:mod:`fleet.lessons.sharing`).
"""

import contextlib
import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import joinedload

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.assignments import publishing
from fleet.db import db, take_turn
from fleet.errors import ConflictError, InvalidError, NotFoundError
from fleet.lessons import contents
from fleet.lessons.models import Lesson, LessonGift, LessonSet, SetKind
from fleet.schools.models import SchoolClass
from profiles.profile import ProfileError

LAST_USED = 3  # so many of this class, and of one's other classes, come first


@dataclass(frozen=True, slots=True)
class Content:
    """What a set gives: a profile's name and version, or a quick set's kind and None; and the settings."""

    profile: str
    version: int | None
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Given:
    """A set that a class got."""

    set_id: int
    class_id: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A set a teacher may give, and why it stands there: ``last-used``, ``suggested``, ``shared`` or ``own``."""

    set: LessonSet
    why: str


def content(found: LessonSet) -> Content:
    """Return what a set gives now: of a profile the newest published version.

    Raises:
        NotFoundError: no version of the profile is published.
    """
    if found.profile is None:
        return Content(found.kind.value, None, contents.quick_settings(found.kind, found.params))
    version = publishing.published(found.profile)
    return Content(found.profile.name, version.number, version.settings)


def settings_of(found: Collection[LessonSet]) -> dict[int, Mapping[str, Any]]:
    """Return what sets give now, by their numbers; one statement. One that cannot be given now is not among them."""
    known = publishing.newest({one.profile_id for one in found if one.profile_id is not None})
    told: dict[int, Mapping[str, Any]] = {}
    for one in found:
        if one.profile_id is None:
            with contextlib.suppress(ProfileError):  # made when the vocabulary was another one
                told[one.id] = contents.quick_settings(one.kind, one.params)
        elif one.profile_id in known:
            told[one.id] = known[one.profile_id].settings
    return told


def quick(
    kind: SetKind,
    *,
    school_class: SchoolClass,
    apps: Sequence[str] = (),
    hosts: Sequence[str] = (),
    text: str | None = None,
    locked: bool = False,
    title: str | None = None,
    by: Principal,
    now: datetime,
) -> LessonSet:
    """Return the teacher's own quick set of these words, made where there is none; see :func:`contents.params`.

    Args:
        kind: any but a profile's.
        school_class: for which it is wanted.
        apps: ids of apps.
        hosts: web addresses.
        text: stands on the lock screen meanwhile.
        locked: whether the tablets are locked to the one app.
        title: as the teacher calls it; made of the words where none is given.
        by: the teacher.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` does not teach the class.
        InvalidError: the words do not make such a set.
    """
    _require_to_teach(school_class, by)
    if kind is SetKind.PROFILE:
        raise InvalidError(kind="lesson set", reason="profile", found=kind.value, expected="one of the quick kinds")
    params = contents.params(kind, apps=apps, hosts=hosts, text=text, locked=locked)
    wanted = contents.checked_title(title) if title is not None else None
    take_turn(f"lesson-sets-{by.account_id}")  # two taps make one set
    query = select(LessonSet).where(_own(by), LessonSet.kind == kind).order_by(LessonSet.id)
    for known in db.session.scalars(query):
        if known.params == params and wanted in {None, known.title}:
            return known
    made = LessonSet(
        school_id=None, owner_id=by.account_id, shared=False, title=wanted or contents.title(kind, params), kind=kind,
        params=params, created_at=now,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def withdraw(set_id: int, *, by: Principal, now: datetime) -> LessonSet:
    """Offer a set no more; lessons that have it keep it, plans that name it give nothing.

    Raises:
        NotFoundError: there is no such set, or it is another teacher's own.
        ForbiddenError: ``by`` may not share sets where it is shared.
        ConflictError: it is withdrawn already.
    """
    found = db.session.get(LessonSet, set_id, with_for_update=True, populate_existing=True)
    if found is None or not (found.shared or found.owner_id == by.account_id):
        raise NotFoundError(kind="lesson set", name=str(set_id))
    if found.shared:
        require(by, Permission.SHARE_SETS, school_id=found.school_id)
    if found.withdrawn_at is not None:
        raise ConflictError(kind="lesson set", id=set_id, reason="withdrawn already")
    found.withdrawn_at = now
    audit.record(by, "lessons.set-withdrawn", subject=f"lesson-set:{set_id}", now=now, school_id=found.school_id)
    db.session.flush()
    return found


def own(by: Principal) -> Sequence[LessonSet]:
    """Return the sets that the teacher made, the newest first; one statement. "Eyes on me" without words is no work."""
    plain = and_(LessonSet.kind == SetKind.EYES, LessonSet.title == SetKind.EYES.value)
    return db.session.scalars(select(LessonSet).where(_own(by), ~plain).order_by(LessonSet.id.desc())).all()


def withdraw_own(set_id: int, *, by: Principal, now: datetime) -> LessonSet:
    """Offer an own set no more; one that is withdrawn already stays so.

    Raises:
        NotFoundError: there is no such set, or it is not the teacher's own.
    """
    found = _held_own(set_id, by)
    return found if found.withdrawn_at is not None else withdraw(set_id, by=by, now=now)


def restore_own(set_id: int, *, by: Principal, now: datetime) -> LessonSet:
    """Offer an own set again that was withdrawn.

    Raises:
        NotFoundError: there is no such set, or it is not the teacher's own.
    """
    found = _held_own(set_id, by)
    if found.withdrawn_at is not None:
        found.withdrawn_at = None
        audit.record(by, "lessons.set-restored", subject=f"lesson-set:{set_id}", now=now, school_id=None)
        db.session.flush()
    return found


def _held_own(set_id: int, by: Principal) -> LessonSet:
    found = db.session.get(LessonSet, set_id, with_for_update=True, populate_existing=True)
    if found is None or found.shared or by.account_id is None or found.owner_id != by.account_id:
        raise NotFoundError(kind="own set", name=str(set_id))
    return found


def get(set_id: int, *, school_class: SchoolClass, by: Principal) -> LessonSet:
    """Return the set of this number, if ``by`` may use it for the class.

    Raises:
        ForbiddenError: ``by`` does not teach the class.
        NotFoundError: there is none, or not for this class.
    """
    _require_to_teach(school_class, by)
    found = db.session.scalars(usable({school_class.school_id}, by).where(LessonSet.id == set_id)).first()
    if found is None:
        raise NotFoundError(kind="lesson set", name=str(set_id))
    return found


def find(name: str, *, school_class: SchoolClass, by: Principal) -> LessonSet:
    """Return the set of this title (case does not matter), else of this number, if ``by`` may use it for the class.

    Raises:
        ForbiddenError: ``by`` does not teach the class.
        NotFoundError: there is none, or several have this title; data has the nearest titles.
    """
    _require_to_teach(school_class, by)
    known = db.session.scalars(usable({school_class.school_id}, by)).all()
    wanted = name.strip().casefold()
    found = [one for one in known if one.title.casefold() == wanted] or [one for one in known if str(one.id) == wanted]
    if len(found) == 1:
        return found[0]
    titles = {one.title.casefold(): one.title for one in known}
    nearest = [titles[near] for near in difflib.get_close_matches(wanted, titles, n=3, cutoff=0.5)]
    raise NotFoundError(
        kind="lesson set", name=name, nearest=nearest, numbers=[one.id for one in found],
        reason="several sets have this title" if found else "no such set",
    )  # fmt: skip


def usable(school_ids: Collection[int], by: Principal) -> Select[LessonSet]:
    """Select the sets that ``by`` may use at schools: own ones, and what they or the municipality share."""
    shared = and_(LessonSet.shared, or_(LessonSet.school_id.is_(None), LessonSet.school_id.in_(school_ids)))
    query = select(LessonSet).where(or_(_own(by), shared), LessonSet.withdrawn_at.is_(None))
    return query.options(joinedload(LessonSet.profile)).order_by(LessonSet.id)


def _own(by: Principal) -> ColumnElement[bool]:
    """Return the condition that a set stands and is the teacher's own."""
    return and_(~LessonSet.shared, LessonSet.owner_id == by.account_id, LessonSet.withdrawn_at.is_(None))


def _require_to_teach(school_class: SchoolClass, by: Principal) -> None:
    """Refuse who neither teaches the class nor holds a lesson of it: a colleague who was handed one may change its set.

    Raises:
        ForbiddenError: ``by`` does neither.
    """
    is_held = select(Lesson.id).where(Lesson.class_id == school_class.id, Lesson.holder_id == by.account_id).limit(1)
    at = {"school_id": school_class.school_id, "class_id": school_class.id}
    if not by.may(Permission.TEACH, **at) and (
        by.account_id is None or not by.is_at(school_class.school_id) or db.session.scalar(is_held) is None
    ):
        require(by, Permission.TEACH, **at)


def offered(school_class: SchoolClass, *, by: Principal, now: datetime) -> list[Offer]:
    """Return the sets a teacher may give a class, each once; two statements. See :func:`offers`.

    Raises:
        ForbiddenError: ``by`` does not teach the class.
    """
    return offers([school_class], by=by, now=now)[school_class.id]


def offers(
    classes: Collection[SchoolClass],
    *,
    by: Principal,
    now: datetime,  # noqa: ARG001 (use cases take it)
) -> dict[int, list[Offer]]:
    """Return the sets a teacher may give, each once, by class; two statements however many classes.

    First what the teacher gave this class last, then what other classes got last, what the class's subject and grade
    suggest, what the school and the municipality share, and what else the teacher has made, newest first.

    Raises:
        ForbiddenError: ``by`` does not teach one of the classes.
    """
    for one in classes:
        _require_to_teach(one, by)
    if not classes:
        return {}
    known = {one.id: one for one in db.session.scalars(usable({one.school_id for one in classes}, by))}
    given = _given(by)
    return {one.id: _ordered(one, known, given) for one in classes}


def _ordered(school_class: SchoolClass, known: Mapping[int, LessonSet], given: Sequence[_Given]) -> list[Offer]:
    here = [one for one in known.values() if not one.shared or one.school_id in {None, school_class.school_id}]
    shared = sorted((one for one in here if one.shared), key=lambda one: (one.school_id is None, one.title.casefold()))
    fitting = [(fit, one) for one in here if (fit := fits(one, school_class)) is not None]
    usable_here = {one.id: one for one in here}
    given_here = [one for one in given if one.set_id in usable_here]  # one that is withdrawn takes no other's place
    told = {
        "last-used": [usable_here[one] for one in _last_used(school_class, given_here)],
        "suggested": [one for _fit, one in sorted(fitting, key=lambda pair: (-pair[0], pair[1].title.casefold()))],
        "shared": shared,
        "own": sorted((one for one in here if not one.shared), key=lambda one: -one.id),
    }
    found: dict[int, Offer] = {}
    for why, ones in told.items():
        for one in ones:
            found.setdefault(one.id, Offer(one, why))
    return list(found.values())


def _given(by: Principal) -> list[_Given]:
    """Return what the teacher has given, the newest first."""
    last = func.max(LessonGift.id)
    query = (
        select(LessonGift.set_id, Lesson.class_id)
        .join(LessonGift.lesson)
        .where(Lesson.holder_id == by.account_id)
        .group_by(LessonGift.set_id, Lesson.class_id)
        .order_by(last.desc())
    )
    return [_Given(row.set_id, row.class_id) for row in db.session.execute(query)]


def _last_used(school_class: SchoolClass, given: Sequence[_Given]) -> list[int]:
    """Return the numbers of the sets that the teacher gave last: in this class, then in other classes."""
    here = list(dict.fromkeys(one.set_id for one in given if one.class_id == school_class.id))[:LAST_USED]
    elsewhere = dict.fromkeys(one.set_id for one in given if one.set_id not in here)
    return [*here, *list(elsewhere)[:LAST_USED]]


def fits(found: LessonSet, school_class: SchoolClass) -> int | None:
    """Return how well a set fits a class's subject and grade: higher is closer, None not at all.

    A set for a subject fits the groups whose GREP code begins so; one for grades fits those, and a group that tells no
    grade. One that names neither fits nobody in particular.
    """
    subject, grades = (found.subject_code or "").upper(), {_grade(one) for one in found.grades or ()}
    if not (subject or grades) or not (school_class.subject_code or "").upper().startswith(subject):
        return None
    if grades and school_class.grade is not None and _grade(school_class.grade) not in grades:
        return None
    is_of_grade = bool(grades) and school_class.grade is not None
    return 2 * len(subject) + is_of_grade if subject or is_of_grade else None


def _grade(told: str) -> str:
    """Return a grade as it is compared: rosters write ``8`` and ``08``."""
    return told.strip().lstrip("0").casefold()
