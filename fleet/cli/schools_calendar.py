"""``fleet schools calendar``: school days and hours, for all schools or (``--school``) for one."""

import re
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.moments import Day
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.schools import calendar as calendars
from fleet.schools import calendar_editing, calendar_import, queries
from fleet.schools.calendar import Calendar, Hours
from fleet.schools.calendar_import import DayPlan
from fleet.schools.calendar_words import Meaning

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SHOWN_DAYS = 365
_Command = TypeVar("_Command", bound=Callable[..., None])

_school_option = click.option("--school", help="One school's calendar; all schools' where it is left out.")


@click.group("calendar", cls=ErrorsAsLines)
def group() -> None:
    """Look at and edit the school calendar."""


def _school_id(school: str | None) -> int | None:
    return queries.find_school(school).id if school is not None else None


@group.command()
@_school_option
@click.option("--from", "since", type=Day(), help="First date; today where it is left out.")
@click.option("--to", "until", type=Day(), help="Last date; a year later where it is left out.")
@json_option
def show(school: str | None, since: date | None, until: date | None, *, as_json: bool) -> None:
    """Show school hours and the days that differ from the ordinary week."""
    with application(writes=False) as config:
        first = since or clock.now().astimezone(config.timezone).date()
        last = until or first + timedelta(days=_SHOWN_DAYS)
        calendar = calendars.load(config.timezone)[_school_id(school)]
        hours = [_hours_row(calendar, number) for number in range(len(WEEKDAYS))]
        days = [
            {"on": day.on, "school_day": day.is_school_day, "title": day.title, "decided_by": day.origin.value}
            for day in calendar.special_days(first, last)
        ]
    if as_json:
        show_json({"hours": hours, "days": days})
        return
    show_table([_as_told(row) for row in hours], ["weekday", "from", "to"], as_json=False)
    click.echo()
    show_table(days, ["on", "school_day", "title", "decided_by"], as_json=False)


def _hours_row(calendar: Calendar, weekday: int) -> dict[str, Any]:
    begin, end = calendar.weekday_hours(weekday)
    return {
        "weekday": WEEKDAYS[weekday],
        "school": calendars.is_school_weekday(weekday),
        "decided": weekday in calendar.hours,
        "from": begin.isoformat("minutes"),
        "to": end.isoformat("minutes"),
    }


def _as_told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a weekday's row for people: a weekend's hours count only on dates that are decided to be school days."""
    if row["school"]:
        return dict(row)
    if row["decided"]:
        return {**row, "to": f"{row['to']} (on dates that are set to be school days)"}
    return {"weekday": row["weekday"], "from": "no school"}


@group.command("set")
@click.argument("on", type=Day())
@click.argument("title")
@click.option("--school-day/--day-off", default=False, help="Whether there is school that day; a day off by default.")
@_school_option
def set_day(on: date, title: str, *, school_day: bool, school: str | None) -> None:
    """Decide that a date is a day off, or a school day."""
    with application(writes=True):
        day = calendar_editing.set_day(
            on, school_id=_school_id(school), is_school_day=school_day, title=title,
            by=Principal.command_line(), now=clock.now(),
        )  # fmt: skip
        words = "a school day" if day.is_school_day else "a day off"
    click.echo(f"{on.isoformat()} is {words}")


@group.command("remove")
@click.argument("on", type=Day())
@_school_option
def remove_day(on: date, school: str | None) -> None:
    """Take a decision on a date back."""
    with application(writes=True):
        calendar_editing.remove_day(on, school_id=_school_id(school), by=Principal.command_line(), now=clock.now())
    click.echo(f"{on.isoformat()} is as it was")


class HoursType(click.ParamType[Hours]):
    """Hours such as 08:15-14:30."""

    name = "HH:MM-HH:MM"
    _FORM = re.compile(r"([01]?[0-9]|2[0-3])[:.]([0-5][0-9])[-\u2013]([01]?[0-9]|2[0-3])[:.]([0-5][0-9])")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Hours:
        """Return begin and end."""
        found = self._FORM.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not of the form 08:15-14:30", param, ctx)
        begin_h, begin_m, end_h, end_m = map(int, found.groups())
        return time(begin_h, begin_m), time(end_h, end_m)


@group.command("hours")
@click.argument("hours", type=HoursType(), required=False)
@click.option(
    "--on", "weekdays", type=click.Choice(WEEKDAYS), multiple=True,
    help="The weekday; may stand several times. Monday to Friday where it is left out.",
)  # fmt: skip
@click.option("--remove", is_flag=True, help="Take the decision back.")
@_school_option
def set_hours(hours: Hours | None, weekdays: tuple[str, ...], *, remove: bool, school: str | None) -> None:
    """Decide when school begins and ends, such as 08:15-14:30."""
    if (hours is None) != remove:
        raise click.UsageError("give either hours such as 08:15-14:30, or --remove")
    with application(writes=True):
        school_id, now = _school_id(school), clock.now()
        for weekday in weekdays or WEEKDAYS[:5]:
            calendar_editing.set_hours(
                WEEKDAYS.index(weekday), hours, school_id=school_id, by=Principal.command_line(), now=now
            )
    click.echo("school hours are set" if hours is not None else "school hours are as they were")


def _lines(name: str, meaning: str) -> Callable[[_Command], _Command]:
    help_ = f"Take this entry of an iCalendar file as {meaning}, whatever its words: the line, as --dry-run shows it."
    return click.option(name, type=click.IntRange(min=1), multiple=True, metavar="LINE", help=help_)


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@_lines("--day-off", "a day off")
@_lines("--school-day", "a school day")
@_lines("--news", "news")
@_school_option
@json_option
def import_days(file: Path, *, dry_run: bool, school: str | None, as_json: bool, **lines: tuple[int, ...]) -> None:
    """Import days and ranges of days: CSV (date, to, title, school day, school) or iCalendar."""
    by = Principal.command_line()
    meant = {line: meaning for meaning in Meaning for line in lines[meaning.value.replace("-", "_")]}
    with application(writes=not dry_run):
        school_id = _school_id(school)
        if dry_run:
            plan = calendar_import.propose_days(file, school_id=school_id, by=by, meant=meant)
        else:
            plan = calendar_import.import_days(file, school_id=school_id, by=by, now=clock.now(), meant=meant)
    counts, entries = plan.counts(), _entries(plan)
    if as_json:
        show_json({"applied": not dry_run, **counts, **({"entries": entries} if entries else {})})
        return
    if entries:
        show_table(entries, ["line", "from", "to", "title", "taken_as"], as_json=False)
        click.echo()
    verb = "would be" if dry_run else "are"
    click.echo(f"{counts['added']} {verb} added, {counts['changed']} {verb} changed, {counts['unchanged']} stay")


def _entries(plan: DayPlan) -> list[dict[str, Any]]:
    """Return what an iCalendar file's entries are taken as, by line; none of CSV."""
    if plan.contents is None:
        return []
    rows: list[dict[str, Any]] = [
        {
            "line": one.line,
            "from": one.spans[0][0],
            "to": one.spans[-1][1],
            "title": one.title,
            "taken_as": plan.meant[one.line] + ("" if one.judgement.is_known else " (words not known)"),
        }
        for one in plan.contents.events
    ]
    rows += [
        {"line": one.line, "from": None, "to": None, "title": one.title, "taken_as": f"left out: {one.reason}"}
        for one in plan.contents.left_out
    ]
    return sorted(rows, key=lambda row: int(row["line"]))
