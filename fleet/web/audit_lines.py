"""Lines of the audit as they are shown: with names for their numbers, and addresses where there is a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import url_for

from fleet.audit import AuditEntry
from fleet.lessons import names as lesson_names
from fleet.people import names as people_names
from fleet.schools import queries as schools
from fleet.web import words, words_audit, words_jobs, words_lessons
from fleet.web.formats import NOTHING
from fleet.web.texts import translated as _
from fleet.web.values import whole
from fleet.web.words_audit import Names

_PLACES = frozenset({"school", "calendar", "bells", "after-school"})
_NUMBERED = {**dict.fromkeys(_PLACES, "school"), "class": "class", "lesson-set": "set"}
_NAMED_BY = {"device": "serial", "order": "serial", "profile": "profile", "assignment": "profile", "app": "name",
             "image": "name", "rule": "title"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is shown; addresses are None where there is no page."""

    entry: AuditEntry
    who: str
    who_address: str | None
    action: str
    what: str
    what_address: str | None
    details: Sequence[tuple[str, str]]

    @property
    def is_own(self) -> bool:
        """Whether somebody did it with their own account."""
        return self.entry.subject == f"{self.entry.actor_kind}:{self.entry.actor_id}"


def told(found: Sequence[AuditEntry]) -> list[Line]:
    """Return lines as they are shown; at most five statements for what their numbers stand for."""
    names = _names(found)
    return [
        Line(
            entry=one,
            who=words_audit.who(one.actor_kind, one.actor_id, names),
            who_address=_person_page(f"{one.actor_kind}:{one.actor_id}", names),
            action=words_audit.action(one.action),
            what=subject(one, names),
            what_address=_page(one, names),
            details=words_audit.details(one.subject, one.fields, names),
        )
        for one in found
    ]


def _names(found: Sequence[AuditEntry]) -> Names:
    accounts, lesson_ids = set[str](), set[int]()
    ids: dict[str, set[int]] = {"school": set(), "class": set(), "set": set()}
    for one in found:
        accounts |= {f"{one.actor_kind}:{one.actor_id}", one.subject, f"account:{one.fields.get('account_id')}"}
        kind, number = _parts(one.subject)
        if number is not None and kind == "lesson":
            lesson_ids.add(number)
        elif number is not None and kind in _NUMBERED:
            ids[_NUMBERED[kind]].add(number)
        for name, told in one.fields.items():
            if isinstance(told, int) and name.endswith("_id") and (of := name[:-3].removeprefix("from_")) in ids:
                ids[of].add(told)
    return Names(
        people_names.accounts(accounts), schools.names(ids["school"]), schools.class_titles(ids["class"]),
        lesson_names.sets(ids["set"]), lesson_names.classes(lesson_ids),
    )  # fmt: skip


def _parts(subject: str) -> tuple[str, int | None]:
    kind, _colon, rest = subject.partition(":")
    return kind, whole(rest)


def subject(one: AuditEntry, names: Names) -> str:
    """Say what a line is about."""
    kind, number = _parts(one.subject)
    named_by = one.fields.get(_NAMED_BY.get(kind, ""))
    if named_by:
        return str(named_by)
    if kind == "account":
        return names.accounts[one.subject].name if one.subject in names.accounts else _("unknown account")
    if kind == "rule":  # one that comes with the server, so it has no title of its own
        code = one.subject.partition(":")[2]
        title = words.finding_title(code)
        return title if title != code else _("Rule %(number)s", number=code)
    if kind == "job-run" and one.fields.get("job"):
        return words_jobs.name(str(one.fields["job"]))
    named = _named(kind, number, one, names) if number is not None else None
    return named or _numbered(kind, number) or one.subject.partition(":")[2] or one.subject


def _named(kind: str, number: int, one: AuditEntry, names: Names) -> str | None:
    """Name what has a name of its own, or the class it is for."""
    if kind == "lesson" and number in names.lessons:
        return _("Lesson in %(place)s", place=names.lessons[number])
    if kind == "lesson-plan" and one.fields.get("class_id") in names.classes:
        return _("Plan for %(place)s", place=names.classes[one.fields["class_id"]])
    if kind == "lesson-set" and number in names.sets:
        return words_lessons.set_title(names.sets[number])
    return {**dict.fromkeys(_PLACES, names.schools), "class": names.classes}.get(kind, {}).get(number)


def _numbered(kind: str, number: int | None) -> str | None:
    """Name what has nothing but a number."""
    of_all = _("Municipality") if number is None else None
    return {
        "municipality": _("Municipality"),
        "calendar": of_all,
        "absences": _("Absence"),
        "after-school": _("School %(number)s", number=number),
        "bells": of_all,
        "school": _("School %(number)s", number=number),
        "class": _("Class %(number)s", number=number),
        "device": _("Tablet %(number)s", number=number),
        "ticket": _("Ticket %(number)s", number=number),
        "lesson": _("Lesson %(number)s", number=number),
        "lesson-set": _("Set %(number)s", number=number),
        "lesson-plan": _("Plan %(number)s", number=number),
        "order": _("Order %(number)s", number=number),
        "profile": _("Profile %(number)s", number=number),
        "assignment": _("Assignment %(number)s", number=number),
        "job-run": _("Run %(number)s of a job", number=number),
        "roster-import": _("Roster import %(number)s", number=number),
        "app": _("App %(number)s", number=number),
        "image": _("Image %(number)s", number=number),
        "finding": _("Finding %(number)s", number=number),
        "findings": _("Findings"),
        "delivery-list": _("Delivery list"),
        "backup": _("Backup"),
        "alerts": _("Alerts"),
        "webhook": _("Webhook %(number)s", number=number),
        "push-certificate": _("Push certificate"),
        "server-token": _("Server token"),
        "licence-token": _("Token for Apps and Books"),
    }.get(kind)


def _page(one: AuditEntry, names: Names) -> str | None:
    kind, number = _parts(one.subject)
    if kind == "account":
        return _person_page(one.subject, names)
    fields: dict[str, Any] = one.fields
    pages: dict[str, tuple[str, dict[str, Any]]] = {
        "device": ("tablet", {"serial": fields.get("serial")}),
        "order": ("tablet", {"serial": fields.get("serial")}),
        "profile": ("profile", {"name": fields.get("profile")}),
        "class": ("school_class", {"class_id": number if number in names.classes else None}),
        "job-run": ("job", {"name": fields.get("job")}),
        "lesson": ("lesson", {"lesson_id": number}),
        "ticket": ("ticket", {"ticket_id": number}),
        "assignment": ("assignments", {}),
        "municipality": ("settings", {}),
        "app": ("apps", {}),
        "image": ("images", {}),
        **dict.fromkeys(_PLACES, ("school", {"school_id": number}) if number in names.schools else ("settings", {})),
    }
    endpoint, values = pages.get(kind, ("", {}))
    return url_for(f"web.{endpoint}", **values) if endpoint and all(values.values()) else None


def _person_page(told: str, names: Names) -> str | None:
    named = names.accounts.get(told)
    return url_for("web.person", username=named.username) if named is not None else None


def places(found: Sequence[AuditEntry]) -> dict[int, str]:
    """Say of lines that moved a tablet from where to where, by the line; two statements."""
    moved = [one for one in found if one.action == "devices.moved"]
    names, told = _names(moved), {}
    for one in moved:
        to = _place(one.fields, "", names)
        if "from_school_id" in one.fields:
            told[one.id] = _("from %(place)s to %(other)s", place=_place(one.fields, "from_", names), other=to)
        else:  # a line from before lines said so
            told[one.id] = _("to %(place)s", place=to)
    return told


def _place(fields: dict[str, Any], which: str, names: Names) -> str:
    school = names.schools.get(fields.get(f"{which}school_id") or 0, NOTHING)
    inner = names.classes.get(fields.get(f"{which}class_id") or 0) or fields.get(f"{which}cart")
    is_same = fields.get("school_id") == fields.get("from_school_id", fields.get("school_id"))
    return inner if inner and is_same else f"{inner}, {school}" if inner else school
