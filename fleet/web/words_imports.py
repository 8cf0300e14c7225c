"""Imports in words: kinds of rows, what differs, and what is wrong with a file and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fleet.devices.delivery_plan import Difference
from fleet.errors import Problem
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


def problem(one: Problem) -> str:
    """Say what is wrong with a file, where, and what to do about it."""
    where = [one.file] if one.file.endswith(".csv") else []
    if one.line is not None:
        where.append(_("line %(line)s", line=one.line))
    told = _problem(one)
    return f"{', '.join(where)}: {told}" if where else told


def _problem(one: Problem) -> str:
    words = {"column": one.column or "", "found": one.found or "", "names": one.expected.rpartition("called ")[2]}
    texts: Mapping[str, str] = {
        "missing-column": _("The column “%(column)s” is missing. Call it so: %(names)s.", **words),
        "misspelt-column": _("The column “%(column)s” seems misspelt.", **words),
        "duplicate-column": _("The column “%(column)s” stands there twice.", **words),
        "missing-file": _("A file is missing in the package: %(column)s %(found)s", **words),
        "not-a-zip": _("The file is no zip package. Send the whole package as it was exported."),
        "no-tables": _("There are no CSV files in the package."),
        "unknown-format": _("This is neither a OneRoster package nor one for Apple School Manager."),
        "delta-package": _("The package has changes only. Export a complete one (bulk)."),
        "not-utf8": _("The file is not UTF-8. Save it as CSV UTF-8."),
        "no-header": _("The first line must name the columns."),
        "ragged-row": _("The line has another number of columns than the heading."),
        "wrong-delimiter": _("The columns are not parted by commas."),
        "too-large": _("The file is too large."),
        "too-long": _("“%(column)s” is too long.", **words),
        "empty": _("The file has no lines below its heading."),
        "bad-date": _("“%(found)s” is no date. It looks like 2026-10-05.", **words),
        "duplicate-id": _("The id %(found)s stands there twice.", **words),
        "unknown-role": _("“%(found)s” is a role that we do not know.", **words),
        "rounded-serial": _(
            "The spreadsheet has rounded the serial to %(found)s. Format the column as text and fill it in anew.",
            **words,
        ),
        "bad-serial": _("“%(found)s” is no serial: letters, digits and . _ / -, at least two.", **words),
        "duplicate-serial": _("The serial %(found)s stands there twice.", **words),
        "retired": _("%(found)s is out of use. Take it into use again first, or remove the line.", **words),
        "unknown-platform": _("“%(found)s” is no system: write iPadOS, Android or Linux.", **words),
        "unknown-school": _("There is no school called “%(found)s”.", **words),
        "ambiguous-school": _("Several schools are called “%(found)s”. Write the school's id.", **words),
        "unknown-class": _("The school has no class called “%(found)s”.", **words),
        "ambiguous-class": _("Several classes of the school are called “%(found)s”.", **words),
        "unknown-pupil": _("No pupil has this user name or id. Import the roster first."),
        "ambiguous-pupil": _("Several pupils have this user name. Write the id from the roster."),
        "foreign-pupil": _("The pupil goes to another school than the line says."),
    }
    general = _("“%(column)s” cannot be read (%(code)s).", column=one.column or one.file, code=one.code)
    return texts.get(one.code, general)
