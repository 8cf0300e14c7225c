"""What a roster says, as plain values by their source ids; the same form for every file format and for the database."""

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fleet.schools.models import ClassKind, MembershipRole, PersonKind

LONGEST_ID = 255
# In the order in which they can be written: each kind refers only to those before it.
KINDS = ("schools", "years", "classes", "people", "memberships")


@dataclass(frozen=True, slots=True)
class SchoolValue:
    """A school."""

    source_id: str
    name: str


@dataclass(frozen=True, slots=True)
class YearValue:
    """A school year or term."""

    source_id: str
    title: str
    starts_on: date
    ends_on: date


@dataclass(frozen=True, slots=True)
class ClassValue:
    """A class; ``school`` and ``year`` are source ids."""

    source_id: str
    school: str
    year: str | None
    kind: ClassKind
    title: str
    grade: str | None
    subject_code: str | None


@dataclass(frozen=True, slots=True)
class PersonValue:
    """A person; ``school`` is a source id."""

    source_id: str
    kind: PersonKind
    given_name: str
    family_name: str
    username: str | None
    email: str | None
    school: str | None


@dataclass(frozen=True, slots=True)
class MembershipValue:
    """A person in a class; its ``source_id`` is made of the two and the role, so that files may number as they like."""

    source_id: str
    class_: str
    person: str
    role: MembershipRole
    starts_on: date | None
    ends_on: date | None


Value = SchoolValue | YearValue | ClassValue | PersonValue | MembershipValue


def membership_id(class_: str, person: str, role: MembershipRole) -> str:
    """Return the name of a membership: the same for the same three, at most :data:`LONGEST_ID` characters."""
    name = f"{class_}\x1f{person}\x1f{role.value}"
    return name if len(name) <= LONGEST_ID else hashlib.sha256(name.encode()).hexdigest()


@dataclass(slots=True)
class Roster:
    """Everything a roster says, each kind by source id."""

    municipality: tuple[str, str] | None = None  # source id and name
    schools: dict[str, SchoolValue] = field(default_factory=dict)
    years: dict[str, YearValue] = field(default_factory=dict)
    classes: dict[str, ClassValue] = field(default_factory=dict)
    people: dict[str, PersonValue] = field(default_factory=dict)
    memberships: dict[str, MembershipValue] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Any]:
        """Return the values of one of :data:`KINDS`."""
        found: dict[str, Any] = getattr(self, kind)
        return found
