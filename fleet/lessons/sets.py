"""What can be given in a lesson: shared sets, and the quick ones that a teacher makes in passing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.access import Principal
from fleet.assignments.models import Profile
from fleet.lessons.models import LessonSet, SetKind
from fleet.schools.models import School, SchoolClass


@dataclass(frozen=True, slots=True)
class Content:
    """What a set gives: named by a profile and its version, or by a quick set's kind."""

    profile: str
    version: int | None
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Offer:
    """A set a teacher may give, and why it stands where it does: last-used, suggested, own or shared."""

    set: LessonSet
    why: str


def content(found: LessonSet) -> Content:
    """Return what a set gives."""
    raise NotImplementedError


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
    """Return the teacher's own quick set of this content, made where there is none."""
    raise NotImplementedError


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
    """Share a set with a school's teachers, or with all."""
    raise NotImplementedError


def withdraw(set_id: int, *, by: Principal, now: datetime) -> LessonSet:
    """Offer a set no more."""
    raise NotImplementedError


def get(set_id: int, *, school_class: SchoolClass, by: Principal) -> LessonSet:
    """Return the set of this number, if it may be used for the class."""
    raise NotImplementedError


def find(name: str, *, school_class: SchoolClass, by: Principal) -> LessonSet:
    """Return the set of this title or number, if it may be used for the class."""
    raise NotImplementedError


def offered(school_class: SchoolClass, *, by: Principal, now: datetime) -> list[Offer]:
    """Return the sets a teacher may give a class, the likeliest first."""
    raise NotImplementedError


def ensure_shipped(*, by: Principal, now: datetime) -> int:
    """Share the ready-made lesson profiles that have been published."""
    raise NotImplementedError
