"""What refusals about copies and backups of the database say on the command line."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, see

_MOST = 5


def _other_revision(data: Data) -> str:
    found = data.get("found")
    has = "has no tables yet" if found is None else f"is at {found}, this program needs {data.get('expected')}"
    return f"{data.get('database')} {has}: set FLEET_DATABASE_URL to it and run {see('database upgrade')}"


def _some(data: Data) -> str:
    tables = list(data.get("tables") or ())
    return ", ".join(tables[:_MOST]) + (f" and {len(tables) - _MOST} more" if len(tables) > _MOST else "")


def _program_failed(data: Data) -> str:
    if data.get("reason") is None:
        return f"there is no program {data.get('program')}: install PostgreSQL's clients, or say where (--programs)"
    return f"{data.get('program')} refused: {data.get('reason')}"


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {
        "backup-missing": lambda data: (
            f"there is no whole backup in {data.get('folder')}: name the folder with backup.json in it"
        ),
        "backup-damaged": lambda data: (
            f"{data.get('file')} is not what was written: take another backup; nothing was put back"
        ),
        "backup-other-kind": lambda data: (
            f"the backup is of {data.get('expected')}, the settings name {data.get('found')}: set FLEET_DATABASE_URL"
        ),
        "backup-newer": lambda data: (
            f"the backup is of a newer program (revision {data.get('revision')}): put it back with that one"
        ),
        "backup-place-taken": lambda data: (
            f"there is something at {data.get('place')} already: a backup is put back into an empty data directory"
            " and database only; move what is there away, or name others in FLEET_DATA_DIR and FLEET_DATABASE_URL"
        ),
        "backup-program-failed": _program_failed,
        "copy-missing": lambda data: f"there is no file {data.get('database')}: look at the address",
        "copy-to-itself": lambda data: f"both addresses lead to {data.get('database')}: name another one to copy to",
        "copy-other-revision": _other_revision,
        "copy-source-in-use": lambda data: (
            f"a server works on the database (until {data.get('until')}), and what it writes after the copy would be"
            " lost: stop it, wait a minute if it was killed, then copy; --rehearse works beside it"
        ),
        "copy-target-not-empty": lambda data: (
            f"{data.get('database')} has rows already ({_some(data)}): copy into a new database that no server was"
            f" started on, just made and brought to shape with {see('database upgrade')}"
        ),
        "copy-row-refused": lambda data: (
            f"the target cannot keep the row {data.get('key')} of {data.get('table')}: {data.get('reason')};"
            " nothing was copied"
        ),
        "copy-differs": lambda data: (
            f"what was read back differs from what was written ({_some(data)}): nothing was copied"
        ),
    }
)
