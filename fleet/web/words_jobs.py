"""What jobs are called and for, and what their numbers mean. Total over the timetable and what its jobs count."""

from collections.abc import Callable, Mapping

from flask_babel import ngettext

from fleet.job_runs import JobOutcome, Scheduled
from fleet.web.texts import translated as _
from fleet.web.words import BAD, GOOD, NEUTRAL, WAITING, Told

JOBS: Mapping[str, Callable[[], tuple[str, str]]] = {
    "ended-assignments": lambda: (_("Assignments on time"), _("Tablets move on when an assignment begins or ends.")),
    "expired-orders": lambda: (_("Orders that ran out"), _("Orders that no tablet fetched in time are closed.")),
    "planned-lessons": lambda: (_("Planned lessons"), _("Lessons that are planned begin on time.")),
    "lesson-outcomes": lambda: (
        _("Arrivals in lessons"),
        _("Who has the lesson and who is back is seen, and forecasts learn from it."),
    ),
    "due-reviews": lambda: (_("Findings"), _("Findings open when a tablet has had the time it is given.")),
    "silent-tablets": lambda: (_("Silent tablets"), _("Tablets not heard from in school hours are found.")),
    "alerts": lambda: (_("Alerts"), _("Who is to hear of something gets a letter.")),
    "endings": lambda: (
        _("Certificates that end"),
        _("Whoever runs the server hears in time of certificates and tokens that end."),
    ),
    "tablet-habits": lambda: (
        _("Tablets' habits"),
        _("On which school days a tablet is heard from is counted, so that rare users are asked about later."),
    ),
    "membership-dates": lambda: (
        _("Pupils who come and go"),
        _("Pupils' tablets follow when a class begins or ends for them."),
    ),
    "expiring-tickets": lambda: (_("Tickets that run out"), _("Tickets that have come to their end are noted.")),
    "unused-files": lambda: (
        _("Files nobody used"),
        _("Files that were sent and not used are removed within the hour."),
    ),
    "day-figures": lambda: (_("Figures of the day"), _("Today is counted, so that the last weeks can be seen.")),
    "report-mails": lambda: (_("Reports by mail"), _("Reports go out that somebody has asked for.")),
    "check-in-days": lambda: (
        _("Room for check-ins"),
        _("The database gets room for the check-ins of the coming days."),
    ),
    "audit-seals": lambda: (
        _("Seals on the audit"),
        _("New lines of the audit get a seal, so that one sees if they are changed."),
    ),
    "retention": lambda: (_("Tidying up"), _("What is no longer needed is removed, people's data first of all.")),
}

COUNTS: Mapping[tuple[str, str], Callable[[int], str]] = {
    ("ended-assignments", "tablets"): lambda n: ngettext("%(num)d tablet moved on", "%(num)d tablets moved on", n),
    ("expired-orders", "orders"): lambda n: ngettext("%(num)d order closed", "%(num)d orders closed", n),
    ("planned-lessons", "lessons"): lambda n: ngettext("%(num)d lesson begun", "%(num)d lessons begun", n),
    ("lesson-outcomes", "noted"): lambda n: ngettext("%(num)d arrival seen", "%(num)d arrivals seen", n),
    ("lesson-outcomes", "counted"): lambda n: ngettext("%(num)d forecast compared", "%(num)d forecasts compared", n),
    ("due-reviews", "tablets"): lambda n: ngettext("%(num)d tablet looked at", "%(num)d tablets looked at", n),
    ("due-reviews", "opened"): lambda n: ngettext("%(num)d finding opened", "%(num)d findings opened", n),
    ("due-reviews", "closed"): lambda n: ngettext("%(num)d finding closed", "%(num)d findings closed", n),
    ("silent-tablets", "tablets"): lambda n: ngettext("%(num)d tablet looked at", "%(num)d tablets looked at", n),
    ("silent-tablets", "opened"): lambda n: ngettext("%(num)d tablet fell silent", "%(num)d tablets fell silent", n),
    ("silent-tablets", "closed"): lambda n: ngettext("%(num)d tablet is back", "%(num)d tablets are back", n),
    ("alerts", "events"): lambda n: ngettext("%(num)d event told of", "%(num)d events told of", n),
    ("alerts", "letters"): lambda n: ngettext("%(num)d letter made", "%(num)d letters made", n),
    ("alerts", "messages"): lambda n: ngettext(
        "%(num)d message to another program made", "%(num)d messages to other programs made", n
    ),
    ("alerts", "escalated"): lambda n: ngettext(
        "%(num)d event went to the municipality", "%(num)d events went to the municipality", n
    ),
    ("endings", "endings"): lambda n: ngettext("%(num)d ends soon", "%(num)d end soon", n),
    ("silent-tablets", "asked"): lambda n: ngettext("%(num)d question asked", "%(num)d questions asked", n),
    ("silent-tablets", "escalated"): lambda n: ngettext(
        "%(num)d question passed on", "%(num)d questions passed on", n
    ),
    ("silent-tablets", "withdrawn"): lambda n: ngettext(
        "%(num)d question taken back", "%(num)d questions taken back", n
    ),
    ("silent-tablets", "incidents"): lambda n: ngettext("%(num)d incident begun", "%(num)d incidents begun", n),
    ("silent-tablets", "incidents_over"): lambda n: ngettext("%(num)d incident over", "%(num)d incidents over", n),
    ("tablet-habits", "tablets"): lambda n: ngettext("%(num)d tablet counted", "%(num)d tablets counted", n),
    ("membership-dates", "tablets"): lambda n: ngettext("%(num)d tablet moved on", "%(num)d tablets moved on", n),
    ("expiring-tickets", "expired"): lambda n: ngettext("%(num)d ticket ran out", "%(num)d tickets ran out", n),
    ("expiring-tickets", "expiring"): lambda n: ngettext("%(num)d runs out soon", "%(num)d run out soon", n),
    ("unused-files", "files"): lambda n: ngettext("%(num)d file removed", "%(num)d files removed", n),
    ("unused-files", "packages"): lambda n: ngettext(
        "%(num)d former package of an app removed", "%(num)d former packages of apps removed", n
    ),
    ("day-figures", "schools"): lambda n: ngettext("%(num)d school counted", "%(num)d schools counted", n),
    ("day-figures", "rows"): lambda n: ngettext("%(num)d row written", "%(num)d rows written", n),
    ("report-mails", "asked"): lambda n: ngettext("%(num)d report is made", "%(num)d reports are made", n),
    ("unused-files", "exports"): lambda n: ngettext("%(num)d report removed", "%(num)d reports removed", n),
    ("check-in-days", "days"): lambda n: ngettext("room for %(num)d day made", "room for %(num)d days made", n),
    ("audit-seals", "lines"): lambda n: ngettext("%(num)d line sealed", "%(num)d lines sealed", n),
    ("retention", "check_ins"): lambda n: ngettext("%(num)d check-in removed", "%(num)d check-ins removed", n),
    ("retention", "findings"): lambda n: ngettext("%(num)d finding removed", "%(num)d findings removed", n),
    ("retention", "locations"): lambda n: ngettext("%(num)d position removed", "%(num)d positions removed", n),
    ("retention", "incidents"): lambda n: ngettext("%(num)d incident removed", "%(num)d incidents removed", n),
    ("retention", "questions"): lambda n: ngettext("%(num)d question removed", "%(num)d questions removed", n),
    ("retention", "orders"): lambda n: ngettext("%(num)d order removed", "%(num)d orders removed", n),
    ("retention", "lessons"): lambda n: ngettext("%(num)d lesson removed", "%(num)d lessons removed", n),
    ("retention", "sign_ins"): lambda n: ngettext("%(num)d sign-in removed", "%(num)d sign-ins removed", n),
    ("retention", "absences"): lambda n: ngettext("%(num)d absence removed", "%(num)d absences removed", n),
    ("retention", "people"): lambda n: ngettext("%(num)d person removed", "%(num)d persons removed", n),
    ("retention", "holders"): lambda n: ngettext("%(num)d former holder removed", "%(num)d former holders removed", n),
    ("retention", "undo_data"): lambda n: ngettext("%(num)d import's undo removed", "%(num)d imports' undo removed", n),
    ("retention", "mdm"): lambda n: ngettext(
        "%(num)d thing that iPads were told removed", "%(num)d things that iPads were told removed", n
    ),
    ("retention", "schedules"): lambda n: ngettext("%(num)d schedule removed", "%(num)d schedules removed", n),
    ("retention", "alerts"): lambda n: ngettext("%(num)d row of alerts removed", "%(num)d rows of alerts removed", n),
    ("retention", "job_runs"): lambda n: ngettext("%(num)d run removed", "%(num)d runs removed", n),
    ("retention", "audit_lines"): lambda n: ngettext("%(num)d audit line removed", "%(num)d audit lines removed", n),
}  # fmt: skip


def name(job: str) -> str:
    """Name a job; one that another version of the program had is called what that called it."""
    return JOBS[job]()[0] if job in JOBS else job


def what_for(job: str) -> str:
    """Say what a job is for."""
    return JOBS[job]()[1] if job in JOBS else ""


def did(job: str, counts: Mapping[str, int]) -> list[str]:
    """Say what a run did, a text for each number that is not zero."""
    known = ((number, COUNTS.get((job, count)), count) for count, number in counts.items() if number)
    return [words(number) if words is not None else f"{count}: {number}" for number, words, count in known]


def when(job: Scheduled) -> str:
    """Say how often a job is due."""
    if job.daily_at is not None:
        return _("each day at %(time)s", time=f"{job.daily_at:%H:%M}")
    minutes = job.every_minutes or 0
    if minutes == 60:
        return _("each hour")
    return str(ngettext("each minute", "every %(num)d minutes", minutes))


def outcome(one: JobOutcome) -> Told:
    """Say how a run ended, or how it stands."""
    return {
        JobOutcome.ASKED: Told(_("Waits to begin"), WAITING),
        JobOutcome.RUNNING: Told(_("At work"), WAITING),
        JobOutcome.DONE: Told(_("Went well"), GOOD),
        JobOutcome.FAILED: Told(_("Failed"), BAD),
        JobOutcome.LOST: Told(_("Was cut off"), BAD),
    }[one]


def never() -> Told:
    """Say that a job has not run yet."""
    return Told(_("Has not run yet"), NEUTRAL)
