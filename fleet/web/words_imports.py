"""Imports in words: kinds of rows, and what differs. Faults of files: :mod:`fleet.web.words_problems`."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from fleet.devices.delivery_plan import Difference
from fleet.schools.models import ClassKind, MembershipRole, PersonKind
from fleet.schools.roster.plan import Plan
from fleet.schools.roster.values import ClassValue, MembershipValue, PersonValue, Roster, SchoolValue, YearValue
from fleet.web.formats import NOTHING, plain
from fleet.web.texts import translated as _


@dataclass(frozen=True, slots=True)
class Change:
    """One row of a diff: what it is about, and for a changed one each field with what stood there and what comes."""

    title: str
    differ: Sequence[tuple[str, str, str]] = ()


def kind(name: str) -> str:
    """Name a kind of a roster's rows."""
    return {
        "schools": _("Schools"),
        "years": _("School years"),
        "classes": _("Classes"),
        "people": _("People"),
        "memberships": _("Places in classes"),
    }[name]


def change(name: str) -> str:
    """Name what happens to rows."""
    return {"added": _("New"), "changed": _("Changed"), "removed": _("Leave")}[name]


def changes(plan: Plan, wanted: Roster, name: str, what: str, *, first: int) -> list[Change]:
    """Return the first of a kind's rows that are ``added``, ``changed`` or ``removed``, in words."""
    told = plan.kinds[name]
    if what == "changed":
        pairs = list(told.changed.values())[:first]
        return [Change(_title(new, plan, wanted), _differ(old, new)) for old, new in pairs]
    rows = told.added if what == "added" else told.removed
    return [Change(_title(value, plan, wanted)) for value in list(rows.values())[:first]]


def _title(value: Any, plan: Plan, wanted: Roster) -> str:
    if isinstance(value, SchoolValue):
        return value.name
    if isinstance(value, YearValue):
        return value.title
    if isinstance(value, ClassValue):
        school = wanted.schools.get(value.school)
        return f"{value.title}, {school.name}" if school is not None else value.title
    if isinstance(value, PersonValue):
        return f"{value.given_name} {value.family_name} ({_person_kind(value.kind)})"
    membership: MembershipValue = value
    person = wanted.people.get(membership.person) or plan.kinds["people"].removed.get(membership.person)
    klass = wanted.classes.get(membership.class_) or plan.kinds["classes"].removed.get(membership.class_)
    who = f"{person.given_name} {person.family_name}" if isinstance(person, PersonValue) else membership.person
    where = klass.title if isinstance(klass, ClassValue) else membership.class_
    return f"{who}, {where} ({_role(membership.role)})"


def _differ(old: Any, new: Any) -> list[tuple[str, str, str]]:
    names = [one.name for one in fields(old) if getattr(old, one.name) != getattr(new, one.name)]
    return [(field(name), _value(getattr(old, name)), _value(getattr(new, name))) for name in names]


def _value(value: Any) -> str:
    if isinstance(value, PersonKind):
        return _person_kind(value)
    if isinstance(value, ClassKind):
        return _("basic group") if value is ClassKind.BASIC else _("teaching group")
    return plain(value) if value not in {None, ""} else NOTHING


def _person_kind(one: PersonKind) -> str:
    return {
        PersonKind.PUPIL: _("pupil"),
        PersonKind.TEACHER: _("teacher"),
        PersonKind.STAFF: _("staff"),
    }[one]


def _role(one: MembershipRole) -> str:
    return _("pupil") if one is MembershipRole.PUPIL else _("teacher")


def field(name: str) -> str:
    """Name a field that differs, of a roster's row or of a tablet; one without a name of ours is told as it is."""
    return {
        "name": _("name"),
        "title": _("name"),
        "given_name": _("given name"),
        "family_name": _("family name"),
        "username": _("user name"),
        "email": _("e-mail"),
        "school": _("school"),
        "class": _("class"),
        "pupil": _("pupil"),
        "cart": _("cart"),
        "asset_tag": _("asset tag"),
        "model": _("model"),
        "platform": _("system"),
        "year": _("school year"),
        "grade": _("grade"),
        "kind": _("kind"),
        "subject_code": _("subject"),
        "starts_on": _("from"),
        "ends_on": _("until"),
    }.get(name, name)


def stands(one: Difference, told: str | None) -> str:
    """Say what stands, or would stand, where a delivery list differs; a pupil is not named there."""
    if told is None:
        return NOTHING
    return _("a pupil") if one.column == "pupil" else told
