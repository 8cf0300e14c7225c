"""What reports, their columns, charts and notes are called. Total over :mod:`fleet.reports.definitions`."""

from collections.abc import Callable, Mapping
from datetime import date

from babel import dates

from fleet.compliance.models import IncidentCause, Severity
from fleet.devices.models import DeviceLife, Platform
from fleet.reports import support_table
from fleet.reports.models import SMALL_GROUP, ExportState, Format, Rhythm
from fleet.web import words
from fleet.web.texts import locale
from fleet.web.texts import translated as _
from fleet.web.words import BAD, GOOD, WAITING, Told

TITLES: Mapping[str, Callable[[], tuple[str, str]]] = {
    "compliance": lambda: (_("In order over time"), _("How many tablets are in order and heard from.")),
    "places": lambda: (_("School by school"), _("How each school stands, or each class of one, and how it changed.")),
    "findings": lambda: (_("Findings by rule"), _("What was found, what was put right, and what is still open.")),
    "finding-list": lambda: (_("Every finding"), _("A line for each finding, to sort and filter in a spreadsheet.")),
    "incidents": lambda: (_("Incidents"), _("When many tablets fell silent together, why, and for how long.")),
    "questions": lambda: (_("Questions about silent tablets"), _("What schools were asked, and what they answered.")),
    "lessons": lambda: (_("Use in lessons"), _("How many lessons classes had with tablets, and for how long.")),
    "apps": lambda: (_("Apps and licences"), _("How many tablets have each app, and what was bought.")),
    "systems": lambda: (_("Versions and support"), _("Which versions tablets run, and which are too old.")),
    "deliveries": lambda: (_("Deliveries and age"), _("Which tablets came when, and how old they are.")),
    "tablets": lambda: (_("Every tablet"), _("A line for each tablet, without whose it is.")),
}  # fmt: skip

COLUMNS: Mapping[str, Callable[[], str]] = {
    "day": lambda: _("Day"),
    "week": lambda: _("Week from"),
    "tablets": lambda: _("Tablets"),
    "enrolled": lambda: _("In use"),
    "seen": lambda: _("Heard from"),
    "applied": lambda: _("Have their profile"),
    "compliant": lambda: _("In order"),
    "in-order": lambda: _("Share in order"),
    "in-order-before": lambda: _("At the beginning"),
    "change": lambda: _("Changed by"),
    "school": lambda: _("School"),
    "class": lambda: _("Class"),
    "finding": lambda: _("Finding"),
    "open": lambda: _("Open now"),
    "on-tablets": lambda: _("On tablets"),
    "opened": lambda: _("Found (number)"),
    "closed": lambda: _("Put right"),
    "opened-at": lambda: _("Found on"),
    "closed-at": lambda: _("Over at"),
    "subject": lambda: _("About what"),
    "severity": lambda: _("How serious"),
    "tag": lambda: _("Asset tag"),
    "serial": lambda: _("Serial"),
    "model": lambda: _("Model"),
    "lessons": lambda: _("Lessons held"),
    "hours": lambda: _("Hours"),
    "days-with-lessons": lambda: _("Days with lessons"),
    "began-at": lambda: _("Began"),
    "cause": lambda: _("Likely cause"),
    "most": lambda: _("Tablets at most"),
    "of": lambda: _("Of"),
    "incidents": lambda: _("Incidents"),
    "asked": lambda: _("Asked"),
    "here": lambda: _("Here"),
    "home": lambda: _("At home"),
    "gone": lambda: _("Gone"),
    "withdrawn": lambda: _("Came back first"),
    "unanswered": lambda: _("Not answered"),
    "escalated": lambda: _("Passed on to the school's IT"),
    "answer": lambda: _("Answer"),
    "app": lambda: _("App"),
    "app-id": lambda: _("App id"),
    "platform": lambda: _("Platform"),
    "in-catalogue": lambda: _("In the catalogue"),
    "installed": lambda: _("Installed on"),
    "bought": lambda: _("Licences bought"),
    "assigned": lambda: _("Licences in use"),
    "unused": lambda: _("Licences left"),
    "lacking": lambda: _("Tablets without one"),
    "apps": lambda: _("Apps"),
    "rare-apps": lambda: _("Other apps, each on one or two tablets"),
    "version": lambda: _("Version"),
    "support": lambda: _("Security updates"),
    "ended-on": lambda: _("Ended"),
    "not-supported": lambda: _("Tablets without security updates"),
    "year": lambda: _("Year"),
    "not-enrolled": lambda: _("Not enrolled yet"),
    "lost": lambda: _("Lost"),
    "age": lambda: _("Age in years"),
    "cart": lambda: _("Cart"),
    "life": lambda: _("State"),
    "delivered-at": lambda: _("Came"),
    "last-seen-at": lambda: _("Last heard from"),
    "findings": lambda: _("Needs a look"),
}

CHARTS: Mapping[str, Callable[[], str]] = {
    "compliance-over-time": lambda: _("Share of the tablets in use"),
    "in-order-by-place": lambda: _("Share in order"),
    "open-over-time": lambda: _("Open findings of the commonest kinds"),
    "opened-by-rule": lambda: _("Findings opened, by kind"),
    "lessons-by-week": lambda: _("Lessons, week by week"),
    "lessons-by-place": lambda: _("Lessons, by place"),
    "incidents-by-cause": lambda: _("Incidents by likely cause"),
    "answers": lambda: _("What came of the questions"),
    "apps-installed": lambda: _("Tablets that have the app"),
    "tablets-by-support": lambda: _("Tablets by security updates"),
    "delivered-by-year": lambda: _("Tablets by the year they came"),
}

NOTES: Mapping[str, Callable[[], str]] = {
    "by-week": lambda: _(
        "Each row is a week: how it ended, and how many tablets were heard from on its best day."
    ),
    "small-classes": lambda: _(
        "Classes with fewer than %(number)s tablets have no figures, as these could be traced to one child.",
        number=SMALL_GROUP,
    ),
    "several-classes": lambda: _("A pupil's tablet counts in every class that the pupil is in."),
    "lessons-small": lambda: _(
        "Figures are of classes, never of pupils. A school's classes with fewer than %(number)s tablets stand together "
        "in one row; where all of them together have fewer, they are left out.",
        number=SMALL_GROUP,
    ),
    "counted-hourly": lambda: _("Apps are counted once an hour."),
    "rare-apps": lambda: _(
        "An app that is not in the catalogue and on fewer than %(number)s tablets is counted but not named.",
        number=SMALL_GROUP,
    ),
    "licences-everywhere": lambda: _("Licences are the whole municipality's, also where only one school is shown."),
    "support-table": lambda: _(
        "Makers do not say beforehand when security updates end. The table behind this was last looked over on "
        "%(day)s.",
        day=_date(support_table.LOOKED_UP_ON),
    ),
}  # fmt: skip

KEPT: Mapping[str, Callable[[], str]] = {
    "check_ins": lambda: _("What tablets report each time"),
    "findings": lambda: _("Findings that are over"),
    "incidents": lambda: _("Incidents that are over"),
    "questions": lambda: _("Questions about silent tablets, with their answers"),
    "orders": lambda: _("Orders to tablets that are over"),
    "alerts": lambda: _("Letters and messages about alerts"),
    "locations": lambda: _("Where lost tablets were"),
    "lessons": lambda: _("Who had what in which lesson"),
    "sign_ins": lambda: _("Sign-ins"),
    "people": lambda: _("Persons who have left"),
    "absences": lambda: _("Absences that are over"),
    "holders": lambda: _("Whose own a tablet was"),
    "undo_data": lambda: _("What an import's undo needs"),
    "schedules": lambda: _("Schedules no tablet has any more"),
    "mdm": lambda: _("What iPads were told and asked"),
    "job_runs": lambda: _("Runs of jobs"),
    "audit_lines": lambda: _("The audit log"),
    "figures": lambda: _("Figures of days, without persons and tablets"),
}

_VOCABULARIES: Mapping[str, Callable[[str], str]] = {
    "finding": words.finding_title,
    "severity": lambda code: _SEVERITY[code](),
    "cause": lambda code: _CAUSE[code](),
    "answer": lambda code: COLUMNS[code](),
    "platform": lambda code: words.platform(Platform(code)),
    "yes-no": lambda code: _("yes") if code == "True" else _("no"),
    "support": lambda code: _SUPPORT[code](),
    "life": lambda code: words.life(DeviceLife(code)).words,
}

_SEVERITY: Mapping[str, Callable[[], str]] = {
    Severity.NOTE: lambda: _("note"),
    Severity.WARNING: lambda: _("warning"),
    Severity.SERIOUS: lambda: _("serious"),
}

_CAUSE: Mapping[str, Callable[[], str]] = {
    IncidentCause.CART: lambda: _("one cart"),
    IncidentCause.CLASS: lambda: _("one class"),
    IncidentCause.PROFILE: lambda: _("one version of their profile"),
    IncidentCause.NETWORK: lambda: _("the network in part of the school"),
    IncidentCause.SCHOOL: lambda: _("the whole school"),
    IncidentCause.EVERYWHERE: lambda: _("everywhere at once"),
}

_SUPPORT: Mapping[str, Callable[[], str]] = {
    "supported": lambda: _("still come"),
    "ended": lambda: _("have ended"),
    "unknown": lambda: _("not known"),
}


def _date(on: date) -> str:
    return dates.format_date(on, "long", locale=locale())


def title(report: str) -> str:
    """Name a report."""
    return TITLES[report]()[0] if report in TITLES else report


def what_for(report: str) -> str:
    """Say what a report tells."""
    return TITLES[report]()[1] if report in TITLES else ""


def value(vocabulary: str, code: object) -> str:
    """Say what a code means."""
    return _VOCABULARIES[vocabulary](str(code))


def kept(kind: str) -> str:
    """Name a kind of data that is kept for a while."""
    return KEPT[kind]()


def period(code: str) -> str:
    """Name a stretch of days."""
    return {
        "week": _("The last week"), "month": _("The last 30 days"), "quarter": _("The last three months"),
        "year": _("The last year"), "days": _("Days of one's own"),
    }[code]  # fmt: skip


def format_name(one: Format) -> str:
    """Name a format."""
    return {Format.CSV: "CSV", Format.XLSX: "Excel", Format.PDF: "PDF"}[one]


def rhythm(one: Rhythm) -> str:
    """Say how often a report goes out."""
    return {Rhythm.WEEKLY: _("each Monday morning"), Rhythm.MONTHLY: _("on the first of each month")}[one]


def export_state(one: ExportState) -> Told:
    """Say where a file is that is being made."""
    return {
        ExportState.WAITING: Told(_("Waits to begin"), WAITING),
        ExportState.RUNNING: Told(_("Is being made"), WAITING),
        ExportState.READY: Told(_("Ready"), GOOD),
        ExportState.FAILED: Told(_("Could not be made"), BAD),
    }[one]
