"""``fleet devices findings``: what is worth a look, of one tablet, a school or the fleet."""

from collections.abc import Mapping
from typing import Any

import click

from fleet.access import Principal
from fleet.cli.output import application, json_option, show_table
from fleet.compliance import queries
from fleet.compliance.models import Finding
from fleet.devices import queries as devices
from fleet.devices.models import Device
from fleet.schools import queries as schools

_COLUMNS = ["serial", "school", "class", "kind", "subject", "opened_at"]


def place(device: Device) -> dict[str, Any]:
    """Return where a tablet stands; places that have ended are no more, and the tablet waits to be moved."""
    school, class_ = device.school, device.school_class
    return {
        "school": school.name if school is not None else None,
        "school_ended": school is not None and school.ended_at is not None,
        "class": class_.title if class_ is not None else None,
        "class_ended": class_ is not None and class_.ended_at is not None,
    }


def marked(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for people: ended places are marked as such."""
    ended = {name: f"{row[name]} (ended)" for name in ("school", "class") if row[f"{name}_ended"]}
    return {**row, **ended}


def _plain(finding: Finding) -> dict[str, Any]:
    device = finding.device
    return {
        "serial": device.serial,
        "asset_tag": device.asset_tag,
        **place(device),
        "kind": finding.kind,
        "subject": finding.subject or None,
        "detail": finding.detail,
        "opened_at": finding.opened_at,
    }


@click.command()
@click.argument("serial", required=False)
@click.option("--school", help="Only this school's tablets.")
@click.option("--limit", type=click.IntRange(1), help="At most so many, the newest.")
@json_option
def findings(serial: str | None, school: str | None, limit: int | None, *, as_json: bool) -> None:
    """List open findings, newest first: of one tablet (serial or asset tag), a school, or all."""
    by = Principal.command_line()
    with application(writes=False):
        given = queries.Filter(
            school_id=schools.find_school(school).id if school is not None else None,
            device_id=devices.find_device(serial, by=by).id if serial is not None else None,
        )
        rows = [_plain(finding) for finding in queries.open_findings(given, by=by, limit=limit)]
    show_table(rows if as_json else map(marked, rows), _COLUMNS, as_json=as_json)
