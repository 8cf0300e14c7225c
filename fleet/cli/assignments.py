"""``fleet assignments``: who shall have which profile."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.assignments import assigning, places, publishing
from fleet.assignments.assigning import Place
from fleet.assignments.models import Assignment
from fleet.cli.moments import Moment, instant
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.devices import queries as devices
from fleet.schools import queries as schools


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Give profiles to the municipality, schools, classes and tablets."""


def _place(by: Principal, school: str | None, class_title: str | None, serial: str | None) -> Place:
    if serial is not None:
        return Place.device(devices.find_device(serial, by=by))
    school_id = schools.find_school(school).id if school is not None else None
    if class_title is not None:
        return Place.school_class(schools.find_class(class_title, school_id=school_id))
    return Place.school(schools.find_school(school)) if school is not None else Place.municipality()


@group.command()
@click.argument("profile")
@click.option("--version", "number", type=int, help="The published version; the newest where not given.")
@click.option("--municipality", is_flag=True, help="Everywhere.")
@click.option("--school", help="At this school.")
@click.option("--class", "class_title", help="To this class (with --school where several have it).")
@click.option("--device", "serial", help="To this tablet, by serial or asset tag.")
@click.option("--from", "start", type=Moment(), help="From this local time; of a date alone, its first minute.")
@click.option("--until", "end", type=Moment(), help="Until this local time; it then ends on the tablet too.")
@click.option("--confirm", "confirmed", type=int, help="How many tablets may lose the only Wi-Fi they know.")
@json_option
def create(
    profile: str, number: int | None, school: str | None, class_title: str | None, serial: str | None,
    start: datetime | None, end: datetime | None, confirmed: int | None, *, municipality: bool, as_json: bool,
) -> None:  # fmt: skip
    """Assign a published profile."""
    if municipality == bool(school or class_title or serial):
        raise click.UsageError("say where: --municipality, or --school, --class or --device")
    if serial and (school or class_title):
        raise click.UsageError("--device says where already: leave out --school and --class")
    by = Principal.command_line()
    with application(writes=True) as config:
        version = publishing.published(publishing.find(profile), number)
        assignment, count = assigning.assign(
            version, _place(by, school, class_title, serial),
            starts_at=instant(start, config.timezone), ends_at=instant(end, config.timezone),
            confirmed=confirmed, by=by, now=clock.now(),
        )  # fmt: skip
        (row,) = _plain([assignment])
        shown = {**row, "tablets_changed": count}
    if as_json:
        show_json(shown)
    else:
        click.echo(
            f"assignment {shown['id']}: {profile} version {shown['version']}; {count} tablet(s) get a new schedule"
        )


@group.command()
@click.argument("assignment_id", type=int)
@click.option("--confirm", "confirmed", type=int, help="How many tablets may lose the only Wi-Fi they know.")
def withdraw(assignment_id: int, confirmed: int | None) -> None:
    """End an assignment now."""
    with application(writes=True):
        by, now = Principal.command_line(), clock.now()
        count = assigning.withdraw(assignment_id, confirmed=confirmed, by=by, now=now)
    click.echo(f"assignment {assignment_id} is withdrawn; {count} tablet(s) get a new schedule")


def _plain(listed: Sequence[Assignment]) -> list[dict[str, Any]]:
    names = places.named(listed)
    return [
        {
            "id": one.id,
            "profile": one.profile_version.profile.name,
            "version": one.profile_version.number,
            "scope": one.scope.value,
            "place_id": one.school_id or one.class_id or one.device_id,
            "place": names[one.id].name,
            "school": names[one.id].school,
            "place_ended": names[one.id].is_ended,
            "from": one.starts_at,
            "until": one.ends_at,
            "withdrawn_at": one.withdrawn_at,
        }
        for one in listed
    ]


def _show(rows: Sequence[dict[str, Any]]) -> None:
    """Write assignments as a table: the place in one column."""

    def place(row: Mapping[str, Any]) -> str | None:
        where = f"{row['place']}, {row['school']}" if row["school"] is not None else row["place"]
        return f"{where} (ended)" if row["place_ended"] else where

    columns = ["id", "profile", "version", "scope", "place", "from", "until", "withdrawn_at"]
    show_table([{**row, "place": place(row)} for row in rows], columns, as_json=False)


@group.command("list")
@click.option("--ended", is_flag=True, help="Also those that do not apply any more.")
@json_option
def list_assignments(*, ended: bool, as_json: bool) -> None:
    """List the assignments."""
    with application(writes=False):
        rows = _plain(assigning.listed(by=Principal.command_line(), now=clock.now(), ended=ended))
    show_json(rows) if as_json else _show(rows)


@group.command()
@click.argument("assignment_id", type=int)
@json_option
def show(assignment_id: int, *, as_json: bool) -> None:
    """Show one assignment."""
    with application(writes=False):
        (row,) = _plain([assigning.get(assignment_id, by=Principal.command_line())])
    show_json(row) if as_json else _show([row])
