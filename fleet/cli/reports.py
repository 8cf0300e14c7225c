"""``fleet reports``: how tablets fare over time, as tables and files."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click
from flask import current_app

from fleet import clock
from fleet.access import Principal
from fleet.cli.moments import Day
from fleet.cli.output import ErrorsAsLines, application, json_option, show_table
from fleet.errors import InvalidError
from fleet.people import accounts
from fleet.reports import definitions, schedules
from fleet.reports.models import Format, Rhythm
from fleet.reports.parameters import PERIODS, Parameters
from fleet.reports.writing import EXTENSION, Wish, Writer
from fleet.schools import queries as schools

_FORMATS = click.Choice([one.value for one in Format])
_LISTED = ["id", "report", "format", "rhythm", "next_at", "last_at"]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """See how tablets fare over time."""


@group.command("list")
@json_option
def list_reports(*, as_json: bool) -> None:
    """List the reports there are, and what one may ask them about."""
    rows = [
        {"name": one.name, "asks": sorted(one.takes), "is_list": one.is_list} for one in definitions.REPORTS.values()
    ]
    show_table(rows, ["name", "asks", "is_list"], as_json=as_json)


_PERIOD = click.option(
    "--period", type=click.Choice([one for one in PERIODS if one != "days"]), default="month", show_default=True
)


def _asked_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a report is asked about: of which days and which place."""
    for option in (
        click.option("--class", "class_title", help="Only this class."),
        click.option("--school", help="Only this school."),
        click.option("--until", type=Day(), help="The last day."),
        click.option("--since", type=Day(), help="The first day, instead of a period."),
        _PERIOD,
    ):
        command = option(command)
    return command


def _given(
    period: str, school: str | None, class_title: str | None, since: date | None, until: date | None
) -> Parameters:
    found = schools.find_school(school) if school is not None else None
    school_id = found.id if found is not None else None
    class_id = schools.find_class(class_title, school_id=school_id).id if class_title is not None else None
    chosen = "days" if since is not None or until is not None else period
    return Parameters(chosen, since, until, school_id if class_id is None else None, class_id)


@group.command()
@click.argument("name")
@_asked_options
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="At most so many rows."
)
@json_option
def show(
    name: str, *, period: str, since: date | None, until: date | None, school: str | None, class_title: str | None,
    limit: int, as_json: bool,
) -> None:  # fmt: skip
    """Show a report's table."""
    now = clock.now()
    with application(writes=False) as config:
        given = _given(period, school, class_title, since, until)
        sheet = definitions.build(name, given, by=Principal.command_line(), now=now, timezone=config.timezone)
        names = [one.name for one in sheet.columns]
        rows = [dict(zip(names, row, strict=True)) for row, _ in zip(sheet.rows, range(limit), strict=False)]
    show_table(rows, names, as_json=as_json)


@group.command()
@click.argument("name")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@click.option("--format", "form", type=_FORMATS, help="As what; else as the file's ending says.")
@_asked_options
@click.option("--language", type=click.Choice(["nb", "nn", "en"]), default="nb", show_default=True)
def export(
    name: str, *, output: Path, form: str | None, period: str, since: date | None, until: date | None,
    school: str | None, class_title: str | None, language: str,
) -> None:  # fmt: skip
    """Write a report to a file: CSV, Excel or PDF."""
    told, now = form or output.suffix.removeprefix("."), clock.now()
    if told not in {one.value for one in Format}:
        raise InvalidError(kind="report-format", expected=", ".join(one.value for one in Format))
    with application(writes=False) as config:
        given = _given(period, school, class_title, since, until)
        sheet = definitions.build(name, given, by=Principal.command_line(), now=now, timezone=config.timezone)
        write: Writer = current_app.extensions[EXTENSION]
        write(Wish(sheet, Format(told), language, output, now))
    click.echo(f"wrote {output}: {sheet.count} rows")


@group.group(cls=ErrorsAsLines)
def schedule() -> None:
    """See and end reports that go out by mail; each person asks for the own ones on the page."""


@schedule.command("list")
@click.argument("username")
@json_option
def list_schedules(username: str, *, as_json: bool) -> None:
    """List what is mailed to an account."""
    with application(writes=False) as config:
        account = accounts.find(username)
        by = accounts.principal(account, today=clock.now().astimezone(config.timezone).date())
        rows = [{column: getattr(one, column) for column in _LISTED} for one in schedules.own(by)]
    show_table(rows, _LISTED, as_json=as_json)


@schedule.command("add")
@click.argument("username")
@click.argument("name")
@click.option("--format", "form", type=_FORMATS, default="pdf", show_default=True)
@click.option("--rhythm", type=click.Choice([one.value for one in Rhythm]), default="weekly", show_default=True)
@_PERIOD
@click.option("--school", help="Only this school.")
def add_schedule(username: str, name: str, *, form: str, rhythm: str, period: str, school: str | None) -> None:
    """Have a report mailed to an account, which has to be allowed to see it."""
    now = clock.now()
    with application(writes=True) as config:
        by = accounts.principal(accounts.find(username), today=now.astimezone(config.timezone).date())
        given = _given(period, school, None, None, None)
        made = schedules.add(
            name, given, Format(form), Rhythm(rhythm), by=by, now=now, timezone=config.timezone
        )  # fmt: skip
        number = made.id
    click.echo(f"report {number} is mailed to {username}")


@schedule.command("remove")
@click.argument("username")
@click.argument("number", type=int)
def remove_schedule(username: str, number: int) -> None:
    """Have a report mailed no more."""
    now = clock.now()
    with application(writes=True) as config:
        by = accounts.principal(accounts.find(username), today=now.astimezone(config.timezone).date())
        schedules.remove(number, by=by, now=now)
    click.echo(f"report {number} is mailed no more")
