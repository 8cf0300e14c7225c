"""Sets that a school shares with its teachers, or the municipality with all.

Invariant: of what is shared at a place each title stands once.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import and_, exists, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.assignments import publishing, ready_made
from fleet.assignments.models import Profile, ProfileVersion
from fleet.db import db, take_turn
from fleet.errors import ConflictError, InvalidError
from fleet.lessons import contents
from fleet.lessons.models import LessonSet, SetKind
from fleet.schools.models import School
from profiles import catalogue
from profiles.digest import digest

_SUBJECT = re.compile(r"[A-Z]{2,4}[A-Z0-9-]{0,12}")
_GRADE = re.compile(r"\w{1,16}")

# The ready-made profiles that are for lessons, with the subject for which each is suggested.
SHIPPED: Mapping[str, str | None] = MappingProxyType(
    {"eksamen": None, "fritime": None, "lesing": "NOR", "matematikk": "MAT"}
)
_IS_PUBLISHED = (
    exists()
    .where(ProfileVersion.profile_id == Profile.id, ProfileVersion.published_at.is_not(None))
    .correlate(Profile)
    .label("is_published")
)
_IS_SHARED = (
    exists()
    .where(LessonSet.profile_id == Profile.id, LessonSet.shared, LessonSet.school_id.is_(None))
    .correlate(Profile)
    .label("is_shared")
)


def share(
    *,
    school: School | None,
    title: str,
    profile: Profile | None = None,
    kind: SetKind = SetKind.PROFILE,
    apps: Sequence[str] = (),
    hosts: Sequence[str] = (),
    text: str | None = None,
    locked: bool = False,
    subject_code: str | None = None,
    grades: Sequence[str] = (),
    by: Principal,
    now: datetime,
) -> LessonSet:
    """Share a set with the teachers of a school, or (``school`` None) with all.

    Args:
        school: whose teachers see it.
        title: as they see it; one at a place.
        profile: of the kind profile: the one whose newest published version it gives.
        kind: of the set.
        apps: ids of apps, of a quick set.
        hosts: web addresses, of a quick set.
        text: stands on the lock screen, of a quick set.
        locked: whether the tablets are locked to the one app, of a quick set.
        subject_code: the beginning of the GREP codes for which it is suggested, such as ``MAT``.
        grades: for which it is suggested.
        by: who shares it.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not share sets there.
        InvalidError: title, subject or grades are none, or the words do not make such a set.
        NotFoundError: no version of the profile is published.
        ConflictError: a set of this title is shared there.
    """
    require(by, Permission.SHARE_SETS, school_id=school.id if school is not None else None)
    if (kind is SetKind.PROFILE) != (profile is not None):
        raise InvalidError(kind="lesson set", reason="profile", found=kind.value, expected="a profile, or a quick kind")
    if profile is not None:
        publishing.published(profile)
    params = contents.params(kind, apps=apps, hosts=hosts, text=text, locked=locked)
    made = LessonSet(
        school_id=school.id if school is not None else None, owner_id=by.account_id, shared=True, kind=kind,
        title=contents.checked_title(title), profile=profile, params=params, subject_code=_subject(subject_code),
        grades=_grades(grades), created_at=now,
    )  # fmt: skip
    _require_new_title(made)
    db.session.add(made)
    db.session.flush()
    audit.record(
        by, "lessons.set-shared", subject=f"lesson-set:{made.id}", now=now, school_id=made.school_id,
        profile=profile.name if profile is not None else kind.value,
    )  # fmt: skip
    return made


def ensure_shipped(*, by: Principal, now: datetime) -> int:
    """Share with all the ready-made lesson profiles that are published; returns how many are new.

    One that was shared before stays as it is, withdrawn ones too; one whose title another shared set has is left out.

    Raises:
        ForbiddenError: ``by`` may not share sets for the whole municipality.
    """
    require(by, Permission.SHARE_SETS)
    take_turn("shared-sets")  # two who share at once share once
    query = select(Profile).where(Profile.name.in_(SHIPPED), _IS_PUBLISHED.element, ~_IS_SHARED.element)
    profiles, taken = db.session.scalars(query.order_by(Profile.name)).all(), _titles(None)
    found = [profile for profile in profiles if profile.title.casefold() not in taken]
    for profile in found:
        subject = SHIPPED[profile.name]
        share(school=None, title=profile.title, profile=profile, subject_code=subject, by=by, now=now)
    return len(found)


def ship(*, by: Principal, now: datetime) -> int:
    """Publish the ready-made lesson profiles where nobody has them, and share with all; returns how many are new.

    Raises:
        ForbiddenError: ``by`` may not edit profiles, or not share sets for the whole municipality.
    """
    require(by, Permission.SHARE_SETS)
    ready_made.publish(SHIPPED, by=by, now=now)
    return ensure_shipped(by=by, now=now)


def missing() -> list[str]:
    """Return the titles of the ready-made lesson profiles that :func:`ship` would share; two statements."""
    is_draft = and_(ProfileVersion.profile_id == Profile.id, ProfileVersion.published_at.is_(None))
    query = (
        select(Profile.name, Profile.title, ProfileVersion.digest, _IS_PUBLISHED, _IS_SHARED)
        .outerjoin(ProfileVersion, is_draft)
        .where(Profile.name.in_(SHIPPED))
    )
    known = {row.name: row for row in db.session.execute(query)}
    found = []
    for one in catalogue.load():
        row = known.get(one.name)
        if one.name in SHIPPED and (
            row is None or (not row.is_shared and (row.is_published or row.digest == digest(one.settings)))
        ):
            found.append(row.title if row is not None else one.title)
    taken = _titles(None)
    return [title for title in found if title.casefold() not in taken]


def _titles(school_id: int | None) -> set[str]:
    """Return what is shared at a place. Compared here, as databases differ on what is one letter in two cases."""
    same_place = LessonSet.school_id.is_not_distinct_from(school_id)
    query = select(LessonSet.title).where(LessonSet.shared, same_place, LessonSet.withdrawn_at.is_(None))
    return {title.casefold() for title in db.session.scalars(query)}


def _require_new_title(wanted: LessonSet) -> None:
    take_turn("shared-sets")
    if wanted.title.casefold() in _titles(wanted.school_id):
        raise ConflictError(kind="lesson set", name=wanted.title, reason="title")


def _subject(told: str | None) -> str | None:
    found = (told or "").strip().upper()
    if found and not _SUBJECT.fullmatch(found):
        expected = "the beginning of a GREP code, such as MAT or MAT01-05"
        raise InvalidError(kind="lesson set", reason="subject", found=found[:16], expected=expected)
    return found or None


def _grades(told: Sequence[str]) -> list[str] | None:
    found = sorted({one.strip() for one in told})
    for one in found:
        if not _GRADE.fullmatch(one):
            raise InvalidError(kind="lesson set", reason="grade", found=one[:16], expected="a grade, such as 8")
    return found or None
