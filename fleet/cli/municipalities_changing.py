"""``fleet municipalities create``, ``move``, ``drop-old`` and ``upgrade``: what changes municipalities."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from fleet import clock, db, upgrading
from fleet.cli.database import Teller
from fleet.cli.municipalities_cell import application, registry_folder
from fleet.config import database_url
from fleet.copying import shown
from fleet.crypto import vault_key_of
from fleet.municipalities import databases, moving, registry, service, waves
from fleet.municipalities.registry import UPGRADING, Cell
from fleet.municipalities.service import Service
from fleet.municipalities.waves import GoneRedError

PROGRAM = Path(__file__).parents[2]  # which those that are created or upgraded run from then on
_SERVERS = "servers"  # the fault of one whose servers are not fit for work


def _serviced(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add to a command how servers are started and stopped."""
    how = click.option(
        "--service", "command", envvar="FLEET_SERVICE_COMMAND", default=service.USUAL, show_default=True,
        metavar="COMMAND", help="Is given start, stop or restart and a unit (FLEET_SERVICE_COMMAND).",
    )  # fmt: skip
    long = click.option("--patience", type=click.FloatRange(min=0), default=90, show_default=True, metavar="SECONDS",
                        help="How long servers may take until they are fit for work.")  # fmt: skip
    return how(long(command))


@click.command()
@click.argument("name")
@click.option(
    "--database", required=True, metavar="URL", help="postgresql://…, made where it is not there; no password."
)
@click.option("--address", required=True, metavar="HOST", help="The name under which tablets and people reach it.")
@click.option(
    "--bind", metavar="HOST:PORT", help="Where its servers listen; the next port of this machine if not given."
)
@click.option("--front", "proxies", default="127.0.0.1", show_default=True, metavar="ADDRESSES",
              help="From where the front door asks.")  # fmt: skip
def create(name: str, database: str, address: str, bind: str | None, proxies: str) -> None:
    """Create a municipality: its database, its key and its row. Interrupted, it is simply typed again."""
    root = registry_folder()
    with registry.held(root):
        cell = registry.reserve(root, name, database=database, address=address, bind=bind, proxies=proxies)
        config = cell.config
        made = databases.make(config.database_url)
        databases.require_new_or_ours(config)
        with application(cell):
            upgrading.upgrade()
            upgrading.finish()
        vault_key_of(config.secrets_dir, config.vault_key_file)
        registry.run_by(cell, PROGRAM)
    click.echo(
        f"{name} is there: {shown(config.database_url)}{' (made)' if made else ''}, keys in {config.secrets_dir}"
    )
    click.echo(f"next: start {service.unit(name)}, give the front door its new list, and look in the log for the link")


@click.command()
@click.argument("name")
@click.option("--to", "target", required=True, metavar="URL", help="The new database, made where it is not there.")
@_serviced
def move(name: str, target: str, command: str, patience: float) -> None:
    """Move a municipality to another database: tablets are asked to come back for as long as the copy takes.

    Interrupted at any point, it is simply typed again. The old database is kept until drop-old.
    """
    root = registry_folder()
    with registry.held(root):
        cell, teller = registry.find(root, name), Teller()
        moving.move(
            root, cell, registry.without_password(target, "--to"), service=Service(command, patience_s=patience),
            shape=lambda url: _shape(cell, url), now=clock.now, say=click.echo, progress=teller,
        )  # fmt: skip
    click.echo(f"{name} is at {shown(database_url(target))}; what was there before is kept until drop-old")


def _shape(cell: Cell, url: str) -> None:
    with application(cell, database=url):
        upgrading.upgrade()
        upgrading.finish()


@click.command("drop-old")
@click.argument("name")
@click.confirmation_option(prompt="Remove what the last move has left, for good?")
def drop_old(name: str) -> None:
    """Remove the database that a move has left, with everything in it, for good."""
    root = registry_folder()
    with registry.held(root):
        _cell, left = moving.drop_old(registry.find(root, name))
    click.echo(f"{shown(left)} is removed" if left is not None else "no move has left anything")


@click.command()
@click.option("--wave", default="10%", show_default=True, metavar="SHARE|NAMES", help="How many at once, or which.")
@click.option("--canary", metavar="NAME", help="Which is the first, alone; the first by name if not given.")
@click.option("--soak", type=click.FloatRange(min=0), default=0, show_default=True, metavar="SECONDS",
              help="How long to wait after each wave before it is looked at again.")  # fmt: skip
@_serviced
def upgrade(wave: str, canary: str | None, soak: float, command: str, patience: float) -> None:
    """Bring municipalities to this program, one first and the others in waves, until one does not stand well.

    Run again it goes on where it stopped. Run it from the folder of the new program.
    """
    root = registry_folder()
    with registry.held(root):
        names = [one.name for one in registry.cells(root)]
        planned = waves.waves(names, wave, canary=canary)
        left = [name for one in planned for name in one]
        servers = Service(command, patience_s=patience)
        for number, members in enumerate(planned, start=1):
            click.echo(f"wave {number} of {len(planned)}: {', '.join(members)}")
            begun = [cell for name in members if (cell := _begin(root, name, servers, left)) is not None]
            if begun and soak:
                time.sleep(soak)
            for cell in begun:
                _require_well(cell, [*left], patience_s=0)
                registry.change(cell, **{UPGRADING: None})
    click.echo("done")


def _begin(root: Path, name: str, servers: Service, left: list[str]) -> Cell | None:
    """Upgrade one and see that it stands as well as before; None where that was done before."""
    cell = registry.find(root, name)
    left.remove(name)
    if UPGRADING not in cell.settings:
        if _is_done(cell):
            click.echo(f"{name}: is there already")
            return None
        cell = registry.change(cell, **{UPGRADING: ",".join(sorted(_faults_before(cell)))})
    registry.run_by(cell, PROGRAM)
    servers.tell("restart", cell)
    _require_well(cell, left, patience_s=servers.patience_s)
    click.echo(f"{name}: upgraded, stands as well as before")
    return cell


def _is_done(cell: Cell) -> bool:
    with application(cell), db.reading():
        return cell.program.resolve() == PROGRAM.resolve() and db.schema_revision() == db.newest_revision()


def _faults_before(cell: Cell) -> frozenset[str]:
    """Bring the database to this program's shape, and return what does not stand well with the old program still.

    What cannot be looked into before the database has that shape, such as mail, counts as it stands right after; what
    stood well and does not any more is the upgrade's.
    """
    with application(cell) as app:
        first = app.extensions["fleet_examine"](reach=False)
        upgrading.upgrade()  # the servers finish it
    stood_well = {one.name for one in first} - waves.faults(first)
    return _faults(cell) - stood_well


def _faults(cell: Cell) -> frozenset[str]:
    with application(cell) as app:
        found = waves.faults(app.extensions["fleet_examine"](reach=False))
    return found if service.is_ready(cell) else found | {_SERVERS}


def _require_well(cell: Cell, left: Sequence[str], *, patience_s: float) -> None:
    """Wait until a municipality has no fault that it did not have before its upgrade."""
    before, deadline = frozenset(cell.settings[UPGRADING].split(",")), time.monotonic() + patience_s
    while new := _faults(cell) - before:
        if time.monotonic() >= deadline:
            raise GoneRedError(name=cell.name, faults=sorted(new), left=list(left))
        time.sleep(0.5)
