"""``fleet schools bells``: when lessons ring in and out, at one school or (without a name) for all that have none."""

from datetime import time

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import application, json_option, show_json, show_table
from fleet.cli.schools_calendar import WEEKDAYS, HoursType
from fleet.schools import bells, queries


@click.command("bells")
@click.argument("school", required=False)
@click.option(
    "--set", "spans", multiple=True, type=HoursType(),
    help="A period such as 08:30-09:15; stands once for each period of a day.",
)  # fmt: skip
@click.option(
    "--on", "weekdays", type=click.Choice(WEEKDAYS), multiple=True,
    help="The weekday; may stand several times. Monday to Friday where it is left out; others stay.",
)  # fmt: skip
@click.option("--forget", is_flag=True, help="Forget them: a school goes by the municipality's again.")
@json_option
def command(
    school: str | None, spans: tuple[tuple[time, time], ...], weekdays: tuple[str, ...], *, forget: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Show or decide the bell times of a school, or of the municipality where no school is named."""
    if (spans and forget) or (weekdays and not spans):
        raise click.UsageError("--set with or without --on, or --forget: one of them")
    with application(writes=bool(spans) or forget):
        school_id = queries.find_school(school).id if school is not None else None
        if spans or forget:
            by, now = Principal.command_line(), clock.now()
            if forget:
                bells.set_periods(school_id, [], by=by, now=now)
            else:
                days = [WEEKDAYS.index(day) for day in weekdays or WEEKDAYS[:5]]
                bells.set_days(school_id, days, spans, by=by, now=now)
        found, is_own = bells.told(school_id)
    rows = [
        {
            "weekday": WEEKDAYS[one.weekday],
            "from": one.starts_at.isoformat("minutes"),
            "to": one.ends_at.isoformat("minutes"),
        }
        for one in found
    ]
    if as_json:
        show_json({"own": is_own, "periods": rows})
    elif rows:
        show_table(rows, ["weekday", "from", "to"], as_json=False)
        if school is not None and not is_own:
            click.echo("as the municipality says")
    else:
        click.echo("no bell times are told")
