"""Sets that a school shares with its teachers, or the municipality with all.

Invariant: of what is shared at a place each title stands once.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import exists, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.assignments import publishing
from fleet.assignments.models import Profile, ProfileVersion
from fleet.db import db, take_turn
from fleet.errors import ConflictError, InvalidError
from fleet.lessons import contents
from fleet.lessons.models import LessonSet, SetKind
from fleet.schools.models import School

_SUBJECT = re.compile(r"[A-Z]{2,4}[A-Z0-9-]{0,12}")
_GRADE = re.compile(r"\w{1,16}")

# The ready-made profiles that are for lessons, with the subject for which each is suggested.
SHIPPED: Mapping[str, str | None] = MappingProxyType(
    {"eksamen": None, "fritime": None, "lesing": "NOR", "matematikk": "MAT"}
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

    One that was shared before stays as it is, withdrawn ones too.

    Raises:
        ForbiddenError: ``by`` may not share sets for the whole municipality.
    """
    require(by, Permission.SHARE_SETS)
    is_published = exists().where(ProfileVersion.profile_id == Profile.id, ProfileVersion.published_at.is_not(None))
    is_shared = exists().where(LessonSet.profile_id == Profile.id, LessonSet.shared, LessonSet.school_id.is_(None))
    query = select(Profile).where(Profile.name.in_(SHIPPED), is_published, ~is_shared).order_by(Profile.name)
    found = db.session.scalars(query).all()
    for profile in found:
        subject = SHIPPED[profile.name]
        share(school=None, title=profile.title, profile=profile, subject_code=subject, by=by, now=now)
    return len(found)


def _require_new_title(wanted: LessonSet) -> None:
    take_turn("shared-sets")
    same_place = LessonSet.school_id.is_not_distinct_from(wanted.school_id)
    query = select(LessonSet.title).where(LessonSet.shared, same_place, LessonSet.withdrawn_at.is_(None))
    # Compared here, as databases differ on what is one letter in two cases.
    if wanted.title.casefold() in {title.casefold() for title in db.session.scalars(query)}:
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
