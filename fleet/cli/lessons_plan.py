"""``fleet lessons plan``: lessons planned ahead, once or each week."""

from datetime import date, time
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.lessons_sets import class_argument, find_class, named, school_option
from fleet.cli.moments import Clock, Day
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.cli.wording import COMMAND
from fleet.lessons import plans, sets, timetable
from fleet.lessons.models import LessonPlan
from fleet.people import accounts
from fleet.schools import queries as schools

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_COLUMNS = ["id", "class", "school", "set", "when", "from", "until", "holder", "left_out"]


class _Plan(ErrorsAsLines):
    """A group that says how to plan to who leaves ``create`` out; a class might be called ``list``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"no such command {args[0]!r}; to plan a lesson: {COMMAND} lessons plan create CLASS --set NAME …")
        return super().resolve_command(ctx, args)


@click.group("plan", cls=_Plan)
def group() -> None:
    """Plan lessons ahead, once or each week."""


def _plain(found: LessonPlan) -> dict[str, Any]:
    return {
        "id": found.id,
        "class": found.school_class.title,
        "school": found.school_class.school.name,
        "set": named(found.set),
        "holder": found.holder.username if found.holder is not None else None,
        "on": found.on,
        "weekday": _WEEKDAYS[found.weekday] if found.weekday is not None else None,
        "first_on": found.first_on,
        "last_on": found.last_on,
        "from": f"{found.starts_at:%H:%M}",
        "until": f"{found.ends_at:%H:%M}",
        "left_out": found.skipped,
        "withdrawn_at": found.withdrawn_at,
    }


def _when(row: dict[str, Any]) -> str:
    """Return on which days a plan has lessons."""
    if row["on"] is not None:
        return f"on {row['on']}"
    first = f" from {row['first_on']}" if row["first_on"] is not None else ""
    last = f" to {row['last_on']}" if row["last_on"] is not None else ""
    return f"each {row['weekday']}{first}{last}"


@group.command()
@class_argument
@school_option
@click.option("--set", "set_name", metavar="NAME", required=True, help="What it gives, by title or number.")
@click.option("--on", type=Day(), help="Once, on this date; or")
@click.option("--weekday", type=click.Choice(_WEEKDAYS), help="each week on this day where it has school,")
@click.option("--first", type=Day(), help="from this date on,")
@click.option("--last", type=Day(), help="to this date, included.")
@click.option("--from", "begins", type=Clock(), required=True, help="Local time at which it begins.")
@click.option("--until", "ends", type=Clock(), required=True, help="Local time at which it ends.")
@click.option("--holder", metavar="USERNAME", help="The teacher who will hold it.")
@json_option
def create(
    class_title: str, school: str | None, set_name: str, on: date | None, weekday: str | None, first: date | None,
    last: date | None, begins: time, ends: time, holder: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Plan a lesson of a class."""
    if (on is None) == (weekday is None) or (on is not None and (first is not None or last is not None)):
        raise click.UsageError("say when: --on DATE, or --weekday DAY, perhaps with --first and --last")
    by = Principal.command_line()
    with application(writes=True) as config:
        found = find_class(class_title, school)
        made = plans.plan(
            found, sets.find(set_name, school_class=found, by=by), on=on,
            weekday=_WEEKDAYS.index(weekday) if weekday is not None else None, first_on=first, last_on=last,
            starts_at=begins, ends_at=ends, holder_id=accounts.find(holder).id if holder is not None else None,
            by=by, now=clock.now(), timezone=config.timezone,
        )  # fmt: skip
        row = _plain(made)
    _tell(row, f"{row['class']} has {row['set']} {_when(row)}, {row['from']}-{row['until']}", as_json=as_json)


@group.command("list")
@click.option("--class", "class_title", help="Only this class's (with --school where several have it).")
@click.option("--school", help="Only this school's.")
@json_option
def list_plans(class_title: str | None, school: str | None, *, as_json: bool) -> None:
    """List what is planned."""
    with application(writes=False):
        at = schools.find_school(school) if school is not None else None
        of = find_class(class_title, school) if class_title is not None else None
        found = plans.listed(school_class=of, by=Principal.command_line(), now=clock.now())
        rows = [_plain(one) for one in found if at is None or one.school_class.school_id == at.id]
    show_table(rows if as_json else ({**row, "when": _when(row)} for row in rows), _COLUMNS, as_json=as_json)


@group.command()
@click.argument("plan_id", metavar="ID", type=int)
@click.argument("on", metavar="DATE", type=Day())
@json_option
def skip(plan_id: int, on: date, *, as_json: bool) -> None:
    """Leave a plan's lesson out on a date."""
    with application(writes=True) as config:
        changed = timetable.skip(
            plan_id, on, by=Principal.command_line(), now=clock.now(), timezone=config.timezone
        )  # fmt: skip
        row = _plain(changed)
    _tell(row, f"left out on {on}", as_json=as_json)


@group.command()
@click.argument("plan_id", metavar="ID", type=int)
@click.argument("on", metavar="DATE", type=Day())
@json_option
def unskip(plan_id: int, on: date, *, as_json: bool) -> None:
    """Have a plan's lesson on a date after all."""
    with application(writes=True) as config:
        changed = timetable.unskip(
            plan_id, on, by=Principal.command_line(), now=clock.now(), timezone=config.timezone
        )  # fmt: skip
        row = _plain(changed)
    _tell(row, f"has its lesson on {on} after all", as_json=as_json)


@group.command()
@click.argument("plan_id", metavar="ID", type=int)
@json_option
def withdraw(plan_id: int, *, as_json: bool) -> None:
    """Plan this no more; a lesson that runs goes on."""
    with application(writes=True):
        row = _plain(timetable.withdraw(plan_id, by=Principal.command_line(), now=clock.now()))
    _tell(row, "withdrawn", as_json=as_json)


def _tell(row: dict[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        show_json(row)
    else:
        click.echo(f"plan {row['id']}: {what}")
