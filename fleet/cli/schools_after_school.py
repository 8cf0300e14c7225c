"""``fleet schools after-school``: when a school's after-school programme is open, and for which grades."""

from datetime import time

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import application, json_option, show_table
from fleet.cli.schools_calendar import WEEKDAYS, HoursType
from fleet.schools import after_school, queries
from fleet.schools.after_school import Programme


@click.command("after-school")
@click.argument("school")
@click.option("--set", "hours", type=HoursType(), help="Its hours, such as 13:30-16:30, Monday to Friday.")
@click.option("--on", "weekdays", type=click.Choice(WEEKDAYS), multiple=True, help="The weekday; others stay.")
@click.option("--highest-grade", type=click.IntRange(1, after_school.HIGHEST_GRADE), default=4, show_default=True)
@click.option("--forget", is_flag=True, help="The school has none.")
@json_option
def command(
    school: str, hours: tuple[time, time] | None, weekdays: tuple[str, ...], highest_grade: int, *, forget: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Show or decide the after-school programme of a school."""
    if (hours is not None and forget) or (weekdays and hours is None):
        raise click.UsageError("--set with or without --on, or --forget: one of them")
    with application(writes=hours is not None or forget):
        school_id = queries.find_school(school).id
        by, now = Principal.command_line(), clock.now()
        if forget:
            after_school.decide(school_id, [], by=by, now=now)
        elif hours is not None:
            days = {WEEKDAYS.index(day) for day in weekdays or WEEKDAYS[:5]}
            kept = [one for one in after_school.told(school_id) if one.weekday not in days]
            wanted = [Programme(day, *hours, highest_grade) for day in sorted(days)]
            after_school.decide(school_id, [*kept, *wanted], by=by, now=now)
        rows = [
            {
                "weekday": WEEKDAYS[one.weekday], "from": one.starts_at.isoformat("minutes"),
                "to": one.ends_at.isoformat("minutes"), "highest_grade": one.highest_grade,
            }
            for one in after_school.told(school_id)
        ]  # fmt: skip
    if rows or as_json:
        show_table(rows, ["weekday", "from", "to", "highest_grade"], as_json=as_json)
    else:
        click.echo("the school has no after-school programme")
