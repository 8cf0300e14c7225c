"""What lines of the audit are called: total over the actions the code records and the fields the audit knows.

What people chose themselves (names of schools and profiles, serials) is shown as it is; instants and dates are local.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from fleet.access import Role
from fleet.assignments.models import Scope
from fleet.devices.models import DeviceLife
from fleet.lessons.models import LessonSet
from fleet.orders import OrderKind
from fleet.people.names import Named
from fleet.web import words, words_jobs, words_lessons, words_people, words_tablets
from fleet.web.formats import day, instant, plain, weekday
from fleet.web.texts import translated as _

ACTIONS: Mapping[str, Callable[[], str]] = {
    "absences.entered": lambda: _("Absence entered"),
    "absences.removed": lambda: _("Absence taken back"),
    "after-school.removed": lambda: _("After-school programme removed"),
    "after-school.set": lambda: _("After-school programme set"),
    "alerts.chosen": lambda: _("Who hears of what decided"),
    "alerts.mail-server-removed": lambda: _("Mail server removed"),
    "alerts.mail-server-set": lambda: _("Mail server set"),
    "alerts.muted": lambda: _("Alerts of a kind turned off"),
    "alerts.time-set": lambda: _("Time of the summary chosen"),
    "alerts.unmuted": lambda: _("Alerts of a kind turned on"),
    "alerts.webhook-changed": lambda: _("Webhook changed"),
    "alerts.webhook-created": lambda: _("Webhook made"),
    "alerts.webhook-removed": lambda: _("Webhook removed"),
    "alerts.webhook-replayed": lambda: _("Messages to a webhook sent again"),
    "alerts.webhook-secret-renewed": lambda: _("Webhook given a new secret"),
    "alerts.webhook-switched": lambda: _("Webhook turned on or off"),
    "android.password-shown": lambda: _("Admin password of a tablet shown"),
    "android.place-restored": lambda: _("Tablet took its place back from who had taken it"),
    "android.token-rotated": lambda: _("Tablet given a new address"),
    "apps.added": lambda: _("App taken into the catalogue"),
    "apps.changed": lambda: _("App changed"),
    "apps.package-taken": lambda: _("App's own package taken into use"),
    "apps.package-withdrawn": lambda: _("App's own package withdrawn"),
    "apps.removed": lambda: _("App taken out of the catalogue"),
    "assignments.assigned": lambda: _("Profile assigned"),
    "assignments.given-back": lambda: _("Assignment given back"),
    "assignments.moved": lambda: _("Assignments moved to the new version"),
    "assignments.moved-back": lambda: _("Assignments moved back to the version before"),
    "assignments.withdrawn": lambda: _("Assignment withdrawn"),
    "bells.removed": lambda: _("Bell times removed"),
    "bells.set": lambda: _("Bell times set"),
    "calendar.day-removed": lambda: _("Day taken out of the calendar"),
    "calendar.day-set": lambda: _("Day set in the calendar"),
    "calendar.hours-removed": lambda: _("School hours removed"),
    "calendar.hours-set": lambda: _("School hours set"),
    "calendar.imported": lambda: _("Calendar imported"),
    "calendar.put-back": lambda: _("Days of the calendar put back"),
    "classes.created": lambda: _("Class made"),
    "classes.ended": lambda: _("Class ended"),
    "classes.renamed": lambda: _("Class renamed"),
    "classes.restored": lambda: _("Class taken up again"),
    "database.backed-up": lambda: _("Backup made"),
    "devices.approve": lambda: _("Tablet approved"),
    "devices.decline": lambda: _("Tablet declined"),
    "devices.found": lambda: _("Tablet found again"),
    "devices.imported": lambda: _("Delivery list imported"),
    "devices.lost": lambda: _("Tablet reported lost"),
    "devices.moved": lambda: _("Tablet moved"),
    "devices.note-added": lambda: _("Note written"),
    "devices.note-removed": lambda: _("Note removed"),
    "devices.reinstate": lambda: _("Tablet taken back into use"),
    "devices.retire": lambda: _("Tablet taken out of use"),
    "devices.revoked": lambda: _("Tablet's key revoked"),
    "devices.tag-set": lambda: _("Asset tag changed"),
    "enrolment.refused": lambda: _("Enrolment refused"),
    "enrolment.removed": lambda: _("Management removed on the tablet"),
    "enrolment.renewed": lambda: _("Tablet's certificate renewed"),
    "enrolment.taken-in": lambda: _("Tablet enrolled"),
    "enrolment.taken-over": lambda: _("Tablet enrolled anew though it had not left"),
    "mdm.licence-token-set": lambda: _("Token for Apps and Books taken into use"),
    "mdm.licences-claimed": lambda: _("Licences taken over from another service"),
    "mdm.push-certificate-set": lambda: _("Push certificate for iPads taken into use"),
    "reports.scheduled": lambda: _("Report by mail asked for"),
    "reports.unscheduled": lambda: _("Report by mail ended"),
    "findings.acknowledged": lambda: _("Findings acknowledged"),
    "findings.closed": lambda: _("Findings closed by hand"),
    "findings.reopened": lambda: _("Finding opened again"),
    "findings.snoozed": lambda: _("Findings put off"),
    "findings.woken": lambda: _("Findings ask for a look again"),
    "images.added": lambda: _("Image added"),
    "images.removed": lambda: _("Image removed"),
    "images.replaced": lambda: _("Image replaced"),
    "mdm.server-token-set": lambda: _("Server token of Apple School Manager taken into use"),
    "jobs.run-by-hand": lambda: _("Job asked for"),
    "lessons.absent": lambda: _("Pupils marked absent"),
    "lessons.brought-in": lambda: _("Pupils brought into the lesson"),
    "lessons.changed": lambda: _("Lesson given another set"),
    "lessons.ended": lambda: _("Lesson ended"),
    "lessons.extended": lambda: _("Lesson extended"),
    "lessons.handed-over": lambda: _("Lesson handed over"),
    "lessons.plan-made": lambda: _("Lesson planned"),
    "lessons.plan-skipped": lambda: _("Planned lesson left out"),
    "lessons.plan-unskipped": lambda: _("Planned lesson put back"),
    "lessons.plan-withdrawn": lambda: _("Lesson no longer planned"),
    "lessons.planned": lambda: _("Planned lesson began"),
    "lessons.released": lambda: _("Pupils let go from the lesson"),
    "lessons.set-restored": lambda: _("Set put back"),
    "lessons.set-shared": lambda: _("Set shared"),
    "lessons.set-withdrawn": lambda: _("Set withdrawn"),
    "lessons.started": lambda: _("Lesson started"),
    "municipality.renamed": lambda: _("Municipality renamed"),
    "orders.approved": lambda: _("Order approved"),
    "orders.asked": lambda: _("Order asked for"),
    "orders.declined": lambda: _("Order declined"),
    "orders.location-seen": lambda: _("Position of a lost tablet seen"),
    "orders.queued": lambda: _("Order given"),
    "orders.second-person-off": lambda: _("Second person no longer needed for orders"),
    "orders.second-person-on": lambda: _("Second person needed for orders"),
    "orders.withdrawn": lambda: _("Order withdrawn"),
    "people.created": lambda: _("Account made"),
    "people.disabled": lambda: _("Account closed"),
    "people.email-set": lambda: _("Mail address set"),
    "people.enabled": lambda: _("Account opened again"),
    "people.granted": lambda: _("Role given"),
    "people.language-set": lambda: _("Language chosen"),
    "people.link-issued": lambda: _("Password link made"),
    "people.password-chosen": lambda: _("Password chosen"),
    "people.password-refused": lambda: _("Password not changed: the old one was wrong"),
    "people.revoked": lambda: _("Role taken away"),
    "people.sign-in-refused": lambda: _("Sign-in refused"),
    "people.signed-in": lambda: _("Signed in"),
    "people.signed-out": lambda: _("Signed out"),
    "people.theme-set": lambda: _("Appearance chosen"),
    "profiles.draft-discarded": lambda: _("Draft thrown away"),
    "profiles.published": lambda: _("Profile published"),
    "profiles.renamed": lambda: _("Profile renamed"),
    "profiles.restored": lambda: _("Older version made a draft"),
    "roster.applied": lambda: _("Roster imported"),
    "roster.undone": lambda: _("Roster import undone"),
    "rules.added": lambda: _("Rule made"),
    "rules.changed": lambda: _("Rule changed"),
    "rules.removed": lambda: _("Rule removed"),
    "rules.reset": lambda: _("Rule put back as it came"),
    "rules.switched-off": lambda: _("Rule switched off"),
    "rules.switched-on": lambda: _("Rule switched on"),
    "schools.created": lambda: _("School made"),
    "schools.longest-lesson-set": lambda: _("Longest lesson set"),
    "schools.networks-set": lambda: _("School's networks set"),
    "schools.renamed": lambda: _("School renamed"),
    "setup.ended": lambda: _("First run ended"),
    "setup.resumed": lambda: _("First run taken up again"),
    "silence.answer-taken-back": lambda: _("Answer about a silent tablet taken back"),
    "silence.answered": lambda: _("Answer about a silent tablet"),
    "tickets.created": lambda: _("Ticket made"),
    "tickets.expired": lambda: _("Ticket ran out"),
    "tickets.revoked": lambda: _("Ticket revoked"),
}

AREAS: Mapping[str, Callable[[], str]] = {
    "absences": lambda: _("Absence"),
    "after-school": lambda: _("After-school programme"),
    "alerts": lambda: _("Alerts"),
    "android": lambda: _("Android tablets"),
    "apps": lambda: _("Apps"),
    "assignments": lambda: _("Assignments"),
    "bells": lambda: _("Bell times"),
    "calendar": lambda: _("Calendar"),
    "classes": lambda: _("Classes"),
    "database": lambda: _("Database"),
    "devices": lambda: _("Tablets"),
    "enrolment": lambda: _("Enrolment"),
    "findings": lambda: _("Findings"),
    "images": lambda: _("Images"),
    "jobs": lambda: _("Jobs"),
    "lessons": lambda: _("Lessons"),
    "mdm": lambda: _("iPads"),
    "municipality": lambda: _("Municipality"),
    "orders": lambda: _("Orders"),
    "people": lambda: _("People"),
    "profiles": lambda: _("Profiles"),
    "reports": lambda: _("Reports"),
    "roster": lambda: _("Roster"),
    "rules": lambda: _("Rules"),
    "schools": lambda: _("Schools"),
    "setup": lambda: _("Getting started"),
    "silence": lambda: _("Silence"),
    "tickets": lambda: _("Tickets"),
}

FIELDS: Mapping[str, Callable[[], str]] = {
    "account_id": lambda: _("to"),
    "added": lambda: _("added"),
    "app": lambda: _("app id"),
    "assignment_id": lambda: _("assignment"),
    "cart": lambda: _("cart"),
    "changed": lambda: _("changed"),
    "channel": lambda: _("channel"),
    "class_id": lambda: _("class"),
    "code": lambda: _("why"),
    "count": lambda: _("number"),
    "delivery": lambda: _("how it comes"),
    "digest": lambda: _("fingerprint"),
    "ends_at": lambda: _("until"),
    "file_name": lambda: _("file"),
    "from_cart": lambda: _("from cart"),
    "from_class_id": lambda: _("from class"),
    "from_name": lambda: _("was called"),
    "from_school_id": lambda: _("from school"),
    "from_state": lambda: _("was"),
    "host": lambda: _("machine"),
    "import_id": lambda: _("import"),
    "is_school_day": lambda: _("school day"),
    "job": lambda: _("job"),
    "max_enrolments": lambda: _("places"),
    "minutes": lambda: _("minutes"),
    "name": lambda: _("is called"),
    "on": lambda: _("day"),
    "order_id": lambda: _("order"),
    "order_kind": lambda: _("order"),
    "outcome": lambda: _("outcome"),
    "plan_id": lambda: _("plan"),
    "profile": lambda: _("profile"),
    "ranges": lambda: _("networks"),
    "reason": lambda: _("reason"),
    "removed": lambda: _("removed"),
    "role": lambda: _("role"),
    "rule": lambda: _("rule"),
    "school_id": lambda: _("school"),
    "scope": lambda: _("level"),
    "serial": lambda: _("tablet"),
    "set_id": lambda: _("set"),
    "starts_at": lambda: _("from"),
    "ticket_id": lambda: _("ticket"),
    "title": lambda: _("title"),
    "to_state": lambda: _("is now"),
    "topic": lambda: _("of what"),
    "topics": lambda: _("of what all"),
    "version": lambda: _("version"),
    "weekday": lambda: _("weekday"),
}
# In which order they are told: databases keep none. Where comes first, and what came after what was.
_FIRST = ("scope", "from_school_id", "from_class_id", "from_cart", "school_id", "class_id", "cart", "from_name", "name")
_PLACE = {name: place for place, name in enumerate(dict.fromkeys([*_FIRST, *FIELDS]))}
# What the line says already, in what it is about.
_IN_SUBJECT = {"device": {"serial"}, "school": {"school_id"}, "class": {"class_id"}, "calendar": {"school_id"},
               "bells": {"school_id"}, "after-school": {"school_id"}, "order": {"order_id"},
               "profile": {"profile", "digest"}, "job-run": {"job"},
               "ticket": {"ticket_id"}, "roster-import": {"import_id"}, "lesson": {"class_id"},
               "lesson-plan": {"class_id"}, "assignment": {"profile"}, "lesson-set": {"profile"},
               "image": {"name"}, "rule": {"rule", "title"}}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Names:
    """What numbers in lines stand for: accounts by ``account:17``, schools and classes by number."""

    accounts: Mapping[str, Named] = field(default_factory=dict)
    schools: Mapping[int, str] = field(default_factory=dict)
    classes: Mapping[int, str] = field(default_factory=dict)
    sets: Mapping[int, LessonSet] = field(default_factory=dict)
    lessons: Mapping[int, str] = field(default_factory=dict)


def action(name: str) -> str:
    """Name an action; one that the code records no more is called as it was."""
    return ACTIONS[name]() if name in ACTIONS else name


def choices() -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return the areas with their actions, each with its words, as one chooses among them."""
    found = []
    for area, title in AREAS.items():
        of_area = [(name, told()) for name, told in ACTIONS.items() if name.partition(".")[0] == area]
        found.append((area, title(), sorted(of_area, key=lambda one: one[1])))
    return sorted(found, key=lambda one: one[1])


def who(kind: str, number: str, names: Names) -> str:
    """Say who acted."""
    if kind == "account":
        named = names.accounts.get(f"account:{number}")
        return named.name if named is not None else _("an account that is gone")
    told = {
        "cli": _("The command line"),
        "job": _("The job “%(job)s”", job=words_jobs.name(number)),
        "device": _("A tablet"),
        "system": _("The server"),
    }
    return told.get(kind, kind)


def kinds() -> list[tuple[str, str]]:
    """Return the kinds of those who act, as one chooses among them."""
    return [
        ("account", _("People")),
        ("cli", _("The command line")),
        ("job", _("Jobs")),
        ("device", _("Tablets")),
        ("system", _("The server")),
    ]


def details(subject: str, fields: Mapping[str, Any], names: Names) -> list[tuple[str, str]]:
    """Return what else a line says: name and value of each field that has one and is not said already."""
    said = _IN_SUBJECT.get(subject.partition(":")[0], set())
    listed = sorted(fields.items(), key=lambda one: _PLACE.get(one[0], len(_PLACE)))
    return [
        (FIELDS[name]() if name in FIELDS else name, value(name, told, names))
        for name, told in listed
        if told is not None and name not in said and not _stayed(name, fields)
    ]


def _stayed(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether a field says where something was that is there still."""
    return name.startswith("from_") and fields[name] == fields.get(name.removeprefix("from_"))


def value(name: str, told: Any, names: Names) -> str:
    """Say a field's value; one that makes no sense (any more) is shown as it is."""
    known = _VALUES.get(name)
    if known is not None:
        with suppress(ValueError, KeyError, TypeError):
            return known(told, names)
    return plain(told)


def _moment(told: Any, _names: Names) -> str:
    return instant(datetime.fromisoformat(told)) if "T" in told else str(told)


_VALUES: Mapping[str, Callable[[Any, Names], str]] = {
    "account_id": lambda told, names: names.accounts[f"account:{told}"].name,
    "class_id": lambda told, names: names.classes[told],
    "channel": lambda told, _names: words_tablets.channel(told),
    "digest": lambda told, _names: told[:8],
    "ends_at": _moment,
    "from_class_id": lambda told, names: names.classes[told],
    "from_school_id": lambda told, names: names.schools[told],
    "from_state": lambda told, _names: words.life(DeviceLife(told)).words,
    "job": lambda told, _names: words_jobs.name(told),
    "on": lambda told, _names: day(date.fromisoformat(told)),
    "order_kind": lambda told, _names: words_tablets.order_kind(OrderKind(told)),
    "role": lambda told, _names: words_people.role(Role(told)),
    "school_id": lambda told, names: names.schools[told],
    "set_id": lambda told, names: words_lessons.set_title(names.sets[told]),
    "scope": lambda told, _names: words.scope(Scope(told)),
    "starts_at": _moment,
    "to_state": lambda told, _names: words.life(DeviceLife(told)).words,
    "weekday": lambda told, _names: weekday(told),
}
