"""``fleet assignments``: who shall have which profile."""

from datetime import datetime
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.assignments import assigning, publishing
from fleet.assignments.assigning import Place
from fleet.assignments.models import Assignment
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.devices import queries as devices
from fleet.schools import queries as schools

_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


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
@click.option("--from", "start", type=_MOMENT, help="From this local time.")
@click.option("--until", "end", type=_MOMENT, help="Until this local time; it then ends on the tablet too.")
@json_option
def create(
    profile: str, number: int | None, school: str | None, class_title: str | None, serial: str | None,
    start: datetime | None, end: datetime | None, *, municipality: bool, as_json: bool,
) -> None:  # fmt: skip
    """Assign a published profile."""
    if municipality == bool(school or class_title or serial):
        raise click.UsageError("say where: --municipality, or --school, --class or --device")
    if serial and (school or class_title):
        raise click.UsageError("--device says where already: leave out --school and --class")
    by = Principal.command_line()
    with application(writes=True) as config:

        def instant(moment: datetime | None) -> datetime | None:
            if moment is None or moment.tzinfo is not None:
                return moment
            return moment.replace(tzinfo=config.timezone)

        version = publishing.published(publishing.find(profile), number)
        assignment, count = assigning.assign(
            version, _place(by, school, class_title, serial),
            starts_at=instant(start), ends_at=instant(end), by=by, now=clock.now(),
        )  # fmt: skip
        shown = {**_plain(assignment), "tablets_changed": count}
    if as_json:
        show_json(shown)
    else:
        click.echo(
            f"assignment {shown['id']}: {profile} version {shown['version']}; {count} tablet(s) get a new schedule"
        )


@group.command()
@click.argument("assignment_id", type=int)
def withdraw(assignment_id: int) -> None:
    """End an assignment now."""
    with application(writes=True):
        count = assigning.withdraw(assignment_id, by=Principal.command_line(), now=clock.now())
    click.echo(f"assignment {assignment_id} is withdrawn; {count} tablet(s) get a new schedule")


def _plain(one: Assignment) -> dict[str, Any]:
    return {
        "id": one.id,
        "profile": one.profile_version.profile.name,
        "version": one.profile_version.number,
        "scope": one.scope.value,
        "place_id": one.school_id or one.class_id or one.device_id,
        "from": one.starts_at,
        "until": one.ends_at,
        "withdrawn_at": one.withdrawn_at,
    }


@group.command("list")
@click.option("--ended", is_flag=True, help="Also those that do not apply any more.")
@json_option
def list_assignments(*, ended: bool, as_json: bool) -> None:
    """List the assignments."""
    with application(writes=False):
        rows = [_plain(one) for one in assigning.listed(by=Principal.command_line(), now=clock.now(), ended=ended)]
    columns = ["id", "profile", "version", "scope", "place_id", "from", "until", "withdrawn_at"]
    show_table(rows, columns, as_json=as_json)


@group.command()
@click.argument("assignment_id", type=int)
@json_option
def show(assignment_id: int, *, as_json: bool) -> None:
    """Show one assignment."""
    with application(writes=False):
        row = _plain(assigning.get(assignment_id, by=Principal.command_line()))
    show_json(row) if as_json else show_table([row], list(row), as_json=False)
