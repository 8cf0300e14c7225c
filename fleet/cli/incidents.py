"""``fleet incidents``: many tablets silent for one reason."""

from datetime import timedelta
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.compliance import incidents
from fleet.compliance.incidents import Told
from fleet.schools import queries as schools

_COLUMNS = ["id", "cause", "school", "about", "members", "most", "of", "began_at", "closed_at"]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """See where many tablets are silent for one reason."""


def _plain(one: Told) -> dict[str, Any]:
    found = one.incident
    about = [
        *one.classes.values(),
        *(str(found.about[name]) for name in ("cart", "profile_digest") if name in found.about),
    ]
    return {
        "id": found.id, "cause": found.cause.value, "school": found.school.name if found.school is not None else None,
        "about": ", ".join(about) or None, "members": one.members, "most": found.most, "of": found.of,
        "began_at": found.began_at, "opened_at": found.opened_at, "closed_at": found.closed_at,
    }  # fmt: skip


@group.command("list")
@click.option("--school", help="Only this school's, and those everywhere.")
@click.option("--past", "days", type=click.IntRange(1), help="Those that ended in the last so many days.")
@json_option
def list_incidents(school: str | None, days: int | None, *, as_json: bool) -> None:
    """List open incidents, newest first, or those that are over."""
    by = Principal.command_line()
    with application(writes=False):
        school_id = schools.find_school(school).id if school is not None else None
        if days is not None:
            found = incidents.past(by=by, since=clock.now() - timedelta(days=days))
            found = [one for one in found if school_id is None or one.incident.school_id in {school_id, None}]
        else:
            found = incidents.open_incidents(by=by, school_id=school_id)
        rows = [_plain(one) for one in found]
    show_table(rows, _COLUMNS, as_json=as_json)


@group.command()
@click.argument("incident_id", metavar="ID", type=int)
@json_option
def show(incident_id: int, *, as_json: bool) -> None:
    """Show an incident and its tablets."""
    by = Principal.command_line()
    with application(writes=False):
        told = _plain(incidents.incident(incident_id, by=by))
        members = [
            {
                "serial": one.device.serial, "asset_tag": one.device.asset_tag,
                "class": one.device.school_class.title if one.device.school_class is not None else None,
                "last_seen_at": one.device.state.last_seen_at, "joined_at": one.joined_at, "left_at": one.left_at,
            }
            for one in incidents.members(incident_id, by=by)
        ]  # fmt: skip
    if as_json:
        show_json({**told, "tablets": members})
    else:
        show_table([told], _COLUMNS, as_json=False)
        show_table(members, ["serial", "class", "last_seen_at", "left_at"], as_json=False)
