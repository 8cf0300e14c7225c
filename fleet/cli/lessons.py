"""``fleet lessons``: a class has a set for a while, and it ends by itself."""

from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli import lessons_calibration, lessons_plan, lessons_sets, lessons_show, lessons_tablets
from fleet.cli.lessons_sets import Choice, class_argument, find_class, school_option, set_options, words
from fleet.cli.lessons_show import lacking, lasts, plain, plain_less, plain_view, some
from fleet.cli.local_time import clock_time, local
from fleet.cli.moments import Clock
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.cli.wording import COMMAND
from fleet.lessons import life, promises, views
from fleet.lessons.forecast import FORECAST_S
from fleet.lessons.models import Lesson, Part
from fleet.lessons.views import Preview
from fleet.people import accounts
from fleet.schools import calendar
from fleet.schools import queries as schools
from fleet.schools.models import SchoolClass

_COLUMNS = ["id", "class", "school", "set", "stage", "when", "holder", "have_it"]

id_argument = click.argument("lesson_id", metavar="ID", type=int)
_until_option = click.option("--until", type=Clock(), help="Until this local time of today.")


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Give a class a set for a while: it arrives within seconds and ends by itself."""


for _command in (lessons_show.show, lessons_calibration.calibration, *lessons_tablets.COMMANDS):
    group.add_command(_command)
for _noun in (lessons_plan.group, lessons_sets.group):
    group.add_command(_noun)


def _end(until: time | None, minutes: int | None, *, since: datetime, now: datetime, timezone: ZoneInfo) -> datetime:
    """Return the instant that was told: a local time of today, or so long after ``since``."""
    if until is not None:
        return datetime.combine(now.astimezone(timezone).date(), until, timezone)
    return since + timedelta(minutes=minutes or 0)


@group.command()
@class_argument
@school_option
@set_options("--set", f"What to give, by title or number: {COMMAND} lessons sets list CLASS.")
@_until_option
@click.option("--minutes", type=click.IntRange(1), help="For so many minutes.")
@click.option("--absent", multiple=True, metavar="USERNAME,…", help="Pupils who are absent, with commas between them.")
@click.option("--everybody", is_flag=True, help="Everybody is here: also tablets that were not heard from today.")
@click.option("--dry-run", is_flag=True, help="Show what is to be expected; start nothing.")
@json_option
def start(
    class_title: str, school: str | None, until: time | None, minutes: int | None, absent: tuple[str, ...], *,
    choice: Choice, everybody: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Start a lesson of a class now."""
    has_end = until is not None or minutes is not None
    if (until is not None and minutes is not None) or not (has_end or dry_run):
        raise click.UsageError("say when it ends: --until HH:MM or --minutes N")
    by, now = Principal.command_line(), clock.now()
    with application(writes=not dry_run) as config:
        zone, found = config.timezone, find_class(class_title, school)
        ends_at = _end(until, minutes, since=now, now=now, timezone=zone)
        away = {schools.find_pupil(name).id for name in words(absent)}
        settings = choice.settings(found, by=by)
        if dry_run and has_end:
            life.require_times(found, now, ends_at, by=by, calendars=calendar.load(zone))
        given = choice.find(found, by=by, now=now) if not dry_run else None
        told = views.preview(found, absent=away, takes_unseen=everybody, by=by, now=now, timezone=zone)
        less = promises.shortfalls(settings, told.channels)
        if not as_json:
            click.echo("\n".join([_forecast(told, local(now).date()), *map(lacking, less)]))
        row = {**_foreseen(found, told), "less": list(map(plain_less, less))}
        if given is not None:
            lesson = life.start(
                found, given, until=ends_at, absent=away, takes_unseen=everybody, by=by, now=now, timezone=zone
            )
            row = plain_view(views.view(lesson.id, by=by, now=now), now)
    if as_json:
        show_json(row)
    elif not dry_run:
        click.echo(f"lesson {row['id']}: {row['class']} has {row['set']} until {_clock(ends_at, now)}")
        click.echo(f"`{COMMAND} lessons show {row['id']} --watch` shows it arrive")


def _clock(instant: datetime, now: datetime) -> str:
    return clock_time(instant, local(now).date())


def _foreseen(found: SchoolClass, told: Preview) -> dict[str, Any]:
    return {
        "class": found.title,
        "school": found.school.name,
        "tablets": len(told.candidates),
        "meant": told.coming,
        "expected": told.expected,
        "within_s": FORECAST_S,
        "end_needs_network": told.needing_network,
        "not_in": Counter(one.part.value for one in told.candidates if one.part is not Part.IN),
    }


def _forecast(told: Preview, today: date) -> str:
    """Return what is to be expected, such as ``27 of 28 tablets within 15 s; 1 was last heard of yesterday``."""
    if not told.candidates:
        return "no tablet is in use in this class"
    slower = told.coming - told.expected
    left = Counter(_why_not(one.part, one.polled_at, today) for one in told.candidates if one.part is not Part.IN)
    parts = [f"{told.expected} of {some(len(told.candidates))} within {FORECAST_S} s"]
    if slower > 0:
        parts.append(f"{slower} may take longer")
    parts += [f"{count} {why}" for why, count in left.items()]
    if told.needing_network:
        parts.append(
            f"{some(told.needing_network)} on Android must have network when it ends, or keep it until they have"
        )
    return "; ".join(parts)


def _why_not(part: Part, polled_at: datetime | None, today: date) -> str:
    if part is Part.ABSENT:
        return "absent"
    if part is Part.ELSEWHERE:
        return "outside the school's networks"
    if polled_at is None:
        return "not heard of yet"
    days = (today - local(polled_at).date()).days
    return (
        f"last heard of {('earlier today', 'yesterday')[days] if days in (0, 1) else f'on {local(polled_at):%Y-%m-%d}'}"
    )


@group.command()
@id_argument
@click.option("--minutes", type=click.IntRange(1), help="So many minutes more; 5 where nothing is told.")
@_until_option
@json_option
def extend(lesson_id: int, minutes: int | None, until: time | None, *, as_json: bool) -> None:
    """Let a lesson last longer, or with --until end sooner."""
    if until is not None and minutes is not None:
        raise click.UsageError("--minutes or --until: one of them")
    by, now = Principal.command_line(), clock.now()
    with application(writes=True) as config:
        before = life.running(lesson_id, by=by, now=now).ends_at
        ends_at = _end(until, minutes or 5, since=before, now=now, timezone=config.timezone)
        row = plain(life.extend(lesson_id, until=ends_at, by=by, now=now, timezone=config.timezone), now)
    _tell(row, f"now ends at {_clock(row['ends_at'], now)}", as_json=as_json)


@group.command()
@id_argument
@json_option
def end(lesson_id: int, *, as_json: bool) -> None:
    """End a lesson now."""
    by, now = Principal.command_line(), clock.now()
    with application(writes=True):
        row = plain(life.end(lesson_id, by=by, now=now), now)
    _tell(row, f"is over; `{COMMAND} lessons show {lesson_id}` says who is back at base", as_json=as_json)


@group.command()
@id_argument
@set_options("--set", f"What to give, by title or number: {COMMAND} lessons sets list CLASS.")
@json_option
def change(lesson_id: int, *, choice: Choice, as_json: bool) -> None:
    """Give another set for the rest of a lesson."""
    by, now = Principal.command_line(), clock.now()
    with application(writes=True) as config:
        lesson = life.get(lesson_id, by=by)
        given = choice.find(lesson.school_class, by=by, now=now)
        row = plain(life.change_set(lesson_id, given, by=by, now=now, timezone=config.timezone), now)
    _tell(row, f"has {row['set']} now", as_json=as_json)


@group.command("hand-over")
@id_argument
@click.argument("username")
@json_option
def hand_over(lesson_id: int, username: str, *, as_json: bool) -> None:
    """Hand a lesson to a colleague, who holds it from now on."""
    by, now = Principal.command_line(), clock.now()
    with application(writes=True):
        row = plain(life.hand_over(lesson_id, accounts.find(username), by=by, now=now), now)
    _tell(row, f"is held by {row['holder']} now", as_json=as_json)


def _tell(row: dict[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        show_json(row)
    else:
        click.echo(f"lesson {row['id']} of {row['class']} {what}")


@group.command("list")
@click.option("--class", "class_title", help="Only this class's (with --school where several have it).")
@click.option("--school", help="Only this school's.")
@click.option("--over", is_flag=True, help="Also those that are over.")
@json_option
def list_lessons(class_title: str | None, school: str | None, *, over: bool, as_json: bool) -> None:
    """List the lessons that run and that begin soon."""
    by, now = Principal.command_line(), clock.now()
    with application(writes=False):
        found: list[Lesson] = list(
            views.listed(
                by=by, now=now, with_over=over,
                school_id=schools.find_school(school).id if school is not None else None,
                school_class=find_class(class_title, school) if class_title is not None else None,
            )
        )  # fmt: skip
        counts = views.counts([one.id for one in found], now=now)
        rows = [
            plain(one, now) | dict(zip(("meant", "arrived"), counts.get(one.id, (0, 0)), strict=True)) for one in found
        ]
    if as_json:
        show_json(rows)
        return
    told = [
        {**row, "when": lasts(row["starts_at"], row["ends_at"]), "have_it": f"{row['arrived']} of {row['meant']}"}
        for row in rows
    ]
    show_table(told, _COLUMNS, as_json=False)
