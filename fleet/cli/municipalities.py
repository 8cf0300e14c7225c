"""``fleet municipalities``: many municipalities, each with a database and servers of its own, behind one front door."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.cli.municipalities_cell import opened, registry_folder, use_registry
from fleet.cli.municipalities_changing import create, drop_old, move, upgrade
from fleet.cli.output import EXIT_REFUSED, ErrorsAsLines, json_option, show_json, show_table
from fleet.cli.refusals import describe
from fleet.config import ConfigError
from fleet.copying import shown
from fleet.db import OperationalError
from fleet.municipalities import figures as figures_of
from fleet.municipalities import front, registry, service, standing
from fleet.municipalities.figures import SMALL, Figures
from fleet.municipalities.registry import FORMER, MOVING_TO, UPGRADING, Cell

_NOTES = {FORMER: "old database kept", MOVING_TO: "move interrupted", UPGRADING: "upgrade not finished"}
_TOLD = ["tablets", "silent", "compliant", "compliant_percent", "check_ins_per_day"]


@click.group(cls=ErrorsAsLines)
@click.option(
    "--registry", "root", envvar="FLEET_MUNICIPALITIES", default="municipalities", show_default=True,
    type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Where they are (FLEET_MUNICIPALITIES).",
)  # fmt: skip
def group(root: Path) -> None:
    """Look after many municipalities behind one front door, each with a database and servers of its own."""
    use_registry(root)


for _command in (create, move, drop_old, upgrade):
    group.add_command(_command)


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List municipalities, and where each is."""
    rows = [
        {
            "name": one.name,
            "address": one.settings.get("FLEET_PUBLIC_URL"),
            "servers": one.settings.get("FLEET_BIND"),
            "database": _database(one),
            "program": str(one.program.resolve()) if one.program.exists() else None,
            "notes": [told for name, told in _NOTES.items() if name in one.settings],
        }
        for one in registry.cells(registry_folder())
    ]
    show_table(rows, ["name", "address", "servers", "database", "notes"], as_json=as_json)


def _database(cell: Cell) -> str | None:
    try:
        return shown(cell.config.database_url)
    except ConfigError:
        return None


@group.command()
@click.argument("names", nargs=-1)
@json_option
def status(names: tuple[str, ...], *, as_json: bool) -> None:
    """Say how each municipality stands. Ends with 1 where one cannot be reached or its servers are not fit for work."""
    root = registry_folder()
    wanted = [registry.find(root, name) for name in names] or registry.cells(root)
    rows = [_status(one) for one in wanted]
    columns = ["name", "ready", "database", "schema", "tablets", "last_check_in_at", "jobs", "notes"]
    show_table(rows, columns, as_json=as_json)
    if not all(row["reachable"] and row["ready"] for row in rows):
        click.get_current_context().exit(EXIT_REFUSED)


def _status(cell: Cell) -> dict[str, Any]:
    notes = [told for name, told in _NOTES.items() if name in cell.settings]
    row: dict[str, Any] = {"name": cell.name, "ready": service.is_ready(cell), "reachable": False}
    try:
        with opened(cell) as app:
            timezone = cell.config.timezone
            found = standing.look(app.extensions["fleet_timetable"], now=clock.now(), timezone=timezone)
    except ConfigError as error:
        return {**row, "database": "wrong setting", "notes": [*notes, describe(error)]}
    except OperationalError as error:
        return {**row, "database": "away", "notes": [*notes, str(error.orig).strip().partition("\n")[0]]}
    return {
        **row,
        "reachable": True,
        "database": "answers",
        "schema": "current" if found.is_current else f"other ({found.revision or 'no tables'})",
        "tablets": found.tablets,
        "last_check_in_at": found.last_seen_at,
        "jobs": found.jobs.value if found.jobs is not None else None,
        "notes": notes,
    }


@group.command()
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV: a line for each figure.")
@json_option
def figures(*, as_csv: bool, as_json: bool) -> None:
    """Tell figures of each municipality and of all together, with nothing that could be traced to a class or child."""
    now = clock.now()
    told: dict[str, Figures] = {}
    missing: list[str] = []
    for cell in registry.cells(registry_folder()):
        try:
            with opened(cell):
                if standing.is_current():
                    told[cell.name] = figures_of.count(now=now, timezone=cell.config.timezone)
        except (ConfigError, OperationalError):
            pass  # status says why
        if cell.name not in told:
            missing.append(cell.name)
    rows = {**{name: one.flat() for name, one in told.items()}, "all": figures_of.total(list(told.values())).flat()}
    if as_json:
        kept = {"taken_at": now, "fewer_than_are_not_told": SMALL, "missing": missing}
        show_json({**kept, "all": rows.pop("all"), "municipalities": rows})
    elif as_csv:
        click.echo(_csv(rows), nl=False)
    else:
        _show(rows)
    if missing:
        click.echo(f"without {', '.join(missing)}: `fleet municipalities status` says why", err=True)


def _csv(rows: Mapping[str, Mapping[str, Any]]) -> str:
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(["municipality", "figure", "value"])
    for name, flat in rows.items():
        lines.writerows([name, figure, "" if value is None else value] for figure, value in flat.items())
    return written.getvalue()


def _show(rows: Mapping[str, Mapping[str, Any]]) -> None:
    table = [{"name": name, **{one: _small(flat[one]) for one in _TOLD}} for name, flat in rows.items()]
    show_table(table, ["name", *_TOLD], as_json=False)
    click.echo()
    for figure, value in rows["all"].items():
        if figure not in _TOLD:
            click.echo(f"{figure}: {value}")


def _small(value: float | None) -> float | str:
    return "few" if value is None else value


@group.command("front-door")
@click.argument("what", type=click.Choice(["nginx", "systemd"]))
@click.argument("unit", type=click.Choice(front.UNITS), default=front.UNITS[0])
@click.option("--certificate", type=click.Path(path_type=Path), default=Path("/etc/fleet/front.pem"), show_default=True,
              help="nginx: of all names, PEM.")  # fmt: skip
@click.option("--key", type=click.Path(path_type=Path), default=Path("/etc/fleet/front.key"), show_default=True,
              help="nginx: its key.")  # fmt: skip
@click.option("--user", default="fleet", show_default=True, help="systemd: as whom the servers run.")
@click.option("--backups", type=click.Path(path_type=Path), default=Path("/var/backups/fleet"), show_default=True,
              help="systemd: where backups are kept, a folder for each.")  # fmt: skip
def front_door(what: str, unit: str, *, certificate: Path, key: Path, user: str, backups: Path) -> None:
    """Write the front door's list for nginx, or a template unit for systemd: the servers' if no other is named."""
    root = registry_folder()
    if what == "systemd":
        click.echo(front.unit(root, unit, user=user, backups=backups), nl=False)
    else:
        click.echo(front.nginx(registry.cells(root), certificate=certificate, key=key), nl=False)
