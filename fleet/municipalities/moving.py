"""A municipality's database goes elsewhere, and its tablets notice no more than that they were asked to come back.

Everything that can fail is done before, while the servers run: the new database is made, and all rows are copied,
verified and taken back. Then the servers stop, the copy that counts is made (:mod:`fleet.copying`), the row names the
new database, and the servers start. From before that copy until after the row the old database is shut, so that a
server which somebody starts meanwhile acknowledges nothing there. Whoever interrupts it at any point repeats it: before
the row is written the old database is the one, after it the new one. The old one stays as it is until somebody says
otherwise (:func:`drop_old`), as nothing that was acknowledged may hang on one copy.
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from fleet import copying
from fleet.copying import Progress, SourceInUseError, shown
from fleet.errors import FleetError
from fleet.municipalities import databases, registry
from fleet.municipalities.registry import FORMER, MOVING_TO, Cell
from fleet.municipalities.service import Service

Say = Callable[[str], None]
Now = Callable[[], datetime]
Shape = Callable[[str], None]  # brings the database at an address to this program's shape


class OldKeptError(FleetError):
    """What an earlier move has left is still there. Data: ``name``, ``database``, ``is_unfinished``."""

    code = "municipality-old-kept"


def move(root: Path, cell: Cell, target: str, *, service: Service, shape: Shape, now: Now, say: Say,
         progress: Progress) -> Cell:  # fmt: skip
    """Move a municipality to another database; returns its row. The registry is held.

    Args:
        root: the registry.
        cell: the municipality.
        target: the new database's address; made where it is not there.
        service: its servers.
        shape: brings the new database to this program's shape.
        now: the clock.
        say: hears which step begins.
        progress: hears how far the copy is.

    Raises:
        OldKeptError: an earlier move is not over.
        DatabaseTakenError: the new database is another municipality's.
        StillInUseError: others than the servers write to the old one, or came to it meanwhile; it is in use then.
        FleetError: what making or copying a database refuses (see there); the old one is in use then.
        ServiceError, NotReadyError: the servers did not do as they were told.
    """
    source = cell.config.session_database_url
    if target != source:
        _require_over(cell, target)
        moved = {"FLEET_DATABASE_URL": target, "FLEET_DATABASE_DIRECT_URL": None, MOVING_TO: None, FORMER: source}
        cell.changed(**moved).require_loadable()
        registry.require_unused((one for one in registry.cells(root) if one.name != cell.name), target)
        say(f"making {shown(target)} ready")
        databases.make(target)
        if cell.settings.get(MOVING_TO) == target:
            databases.empty(target)
        shape(target)
        say("rehearsing: everything is copied, verified and taken back")
        copying.copy(source, target, now=now(), progress=progress, rehearses=True)
        cell = registry.change(cell, **{MOVING_TO: target})  # from here on what is found there is ours
        say("stopping the servers; tablets are asked to come back")
        try:
            service.tell("stop", cell)
            with databases.alone(cell.config) as require_alone:
                say("copying")
                _copy_once_idle(source, target, now=now, progress=progress)
                require_alone()
                cell = registry.change(cell, **moved)
                service.tell("stop", cell)  # one that was about to start knows the old address only
        finally:
            say("starting the servers")
            service.tell("restart", cell)
    else:
        service.tell("restart", cell)
    service.require_ready(cell)
    return cell


def _copy_once_idle(source: str, target: str, *, now: Now, progress: Progress) -> None:
    """Copy; where a server ended without giving its lease back, once the lease has ended, within a minute."""
    try:
        copying.copy(source, target, now=now(), progress=progress)
    except SourceInUseError as error:
        time.sleep(max(0.0, (error.data["until"] - now()).total_seconds()))
        copying.copy(source, target, now=now(), progress=progress)


def _require_over(cell: Cell, target: str) -> None:
    former, unfinished = cell.settings.get(FORMER), cell.settings.get(MOVING_TO)
    left = former or (unfinished if unfinished != target else None)
    if left is not None:
        raise OldKeptError(name=cell.name, database=shown(left), is_unfinished=former is None)


def drop_old(cell: Cell) -> tuple[Cell, str | None]:
    """Remove the database that a move has left, for good; returns the row, and which it was. The registry is held.

    Raises:
        StillInUseError: somebody is connected to it.
        NotMadeError: its server does not let us remove it.
    """
    left = next((cell.settings[one] for one in (FORMER, MOVING_TO) if one in cell.settings), None)
    if left is not None:
        databases.drop(left)
        cell = registry.change(cell, **{FORMER: None, MOVING_TO: None})
    return cell, left
