"""``fleet lessons calibration``: forecasts against what came."""

from dataclasses import asdict
from datetime import timedelta

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import application, json_option, show_json, show_table
from fleet.lessons import calibration as calibrations
from fleet.lessons.calibration import Calibration
from fleet.lessons.forecast import FORECAST_S
from fleet.schools import queries as schools

_DAYS = 30


@click.command()
@click.option("--school", help="Of this school's lessons; of all where it is left out.")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=_DAYS, show_default=True, help="Of the last so many days."
)
@json_option
def calibration(school: str | None, days: int, *, as_json: bool) -> None:
    """Compare forecasts with what came."""
    with application(writes=False):
        school_id = schools.find_school(school).id if school is not None else None
        since = clock.now() - timedelta(days=days)
        found = calibrations.calibration(school_id=school_id, since=since, by=Principal.command_line())
    if as_json:
        show_json([asdict(one) for one in found])
        return
    if not found:
        click.echo(f"no forecast of the last {days} days was compared with what came yet")
        return
    click.echo(f"arrived means: within {FORECAST_S} s of the start")
    for is_band, name in ((True, "forecast_percent"), (False, "stood")):
        click.echo()
        _show([one for one in found if one.is_band is is_band], name)


def _show(found: list[Calibration], name: str) -> None:
    rows = [
        {name: one.name, "tablets": one.tablets, "mean_percent": one.forecast_percent, "arrived": one.arrived,
         "arrived_percent": one.arrived_percent}
        for one in found
    ]  # fmt: skip
    show_table(rows, [name, "tablets", "mean_percent", "arrived", "arrived_percent"], as_json=False)
