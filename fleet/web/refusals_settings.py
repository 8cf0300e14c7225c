"""What is refused about settings of schools and of the municipality, in words, with what to do."""

from collections.abc import Mapping
from typing import Any

from fleet.errors import InvalidError, Problem
from fleet.schools.bells import MOST_PER_DAY, SHORTEST_MIN
from fleet.web.texts import translated as _
from fleet.web.words_calendar import weekday


def problem(one: Problem) -> str:
    """Say what is wrong in a line of a calendar's file."""
    told = _problem(one)
    if one.line is None:
        return told
    return _("Line %(line)s: %(told)s", line=one.line, told=told)


def _problem(one: Problem) -> str:
    found = one.found or ""
    if one.code == "missing-column":
        return _("The column “%(column)s” is missing. Call it so: %(names)s.", column=one.column, names=_names(one))
    return {
        "too-large": _("The file is larger than 1 MB."),
        "empty": _("The file has no lines below its heading."),
        "not-utf8": _("The file is not UTF-8. Save it as CSV UTF-8."),
        "no-header": _("The first line must name the columns."),
        "duplicate-column": _("The column “%(column)s” stands there twice.", column=one.column),
        "bad-title": _("Write what it is, with at most %(number)s characters.", number=120),
        "bad-answer": _("“%(found)s” is neither yes nor no.", found=found),
        "bad-range": _("The last date must be a later one, at most %(number)s days in all.", number=120),
        "duplicate-day": _("%(found)s stands there twice.", found=found),
        "far-date": _("%(found)s is too far away.", found=found),
        "bad-date": _("“%(found)s” is no date. It looks like 2026-10-05 or 05.10.2026.", found=found),
        "ambiguous-school": _("Several schools are called “%(found)s”. Write the school's id.", found=found),
        "unknown-school": _("There is no school called “%(found)s”.", found=found),
        "too-many-days": _("There are too many days in the file."),
        "ragged-row": _("The line has another number of columns than the heading."),
        "unknown-pupil": _("No pupil of yours has this user name or roster id."),
        "ambiguous-pupil": _("Several pupils have this user name. Write the id that the roster has."),
        "bad-absence": _("The last day must be the first or a later one, at most a year away."),
        "not-icalendar": _("The file is no calendar. Save the calendar as iCalendar (.ics), not the page around it."),
        "no-events": _("There are no entries in the calendar."),
        "too-many-events": _("There are too many entries in the calendar. Export one school year."),
        "too-many-lines": _("The file is far too long."),
        "too-long": _("The line is far too long."),
        "bad-structure": _("The file is not whole. Fetch it again."),
        "bad-event": _("The entry cannot be read."),
        "duplicate-property": _("“%(found)s” stands twice in one entry.", found=found),
    }.get(one.code, _("The line cannot be read."))


def _names(one: Problem) -> str:
    return one.expected.rpartition("called ")[2]


def bells(error: InvalidError) -> str:
    """Say what is wrong with bell times."""
    told: Mapping[str, Any] = error.data
    day = weekday(int(told["weekday"]))
    span = f"{told.get('starts_at', '')}\N{EN DASH}{told.get('ends_at', '')}"
    return {
        "order": _("%(day)s: %(span)s ends before it begins.", day=day, span=span),
        "short": _("%(day)s: %(span)s is shorter than %(number)s minutes.", day=day, span=span, number=SHORTEST_MIN),
        "overlap": _("%(day)s: %(span)s begins before the one before it ends.", day=day, span=span),
        "many": _("%(day)s: at most %(number)s periods.", day=day, number=MOST_PER_DAY),
    }[str(told["reason"])]


def network(number: int, error: InvalidError) -> str:
    """Say what is wrong with a line of networks."""
    found = error.data["found"]
    if error.data.get("reason") == "wide":
        return _("Line %(line)s: “%(found)s” is far too wide for one school.", line=number, found=found)
    return _("Line %(line)s: “%(found)s” is no range. It looks like 10.20.0.0/16.", line=number, found=found)
