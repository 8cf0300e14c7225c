"""What refusals about many municipalities say on the command line."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, see
from fleet.municipalities.service import unit


def _taken(data: Data) -> str:
    name, other, setting = data.get("name"), data.get("other"), data.get("setting")
    if name == other:
        return f"{name} is there already with another {setting}: give the same, or choose another name"
    return f"{other} and {name} have the same {setting}: each municipality needs one of its own"


def _old_kept(data: Data) -> str:
    name, database = data.get("name"), data.get("database")
    drop = see(f"municipalities drop-old {name}")
    if data.get("is_unfinished"):
        return (
            f"a move of {name} to {database} was interrupted: move it there again, or take back what is there: {drop}"
        )
    return f"the database before the last move of {name} is still kept ({database}): {drop} removes it for good"


def _in_use(data: Data) -> str:
    connections = data.get("connections")
    who = f"{connections} others are" if connections else "somebody else is"
    return f"{who} connected to {data.get('database')}: stop them (servers, poolers, backups), then do it again"


def _log(data: Data) -> str:
    return f"`journalctl -u {unit(str(data.get('name')))}` says why"


def _gone_red(data: Data) -> str:
    left = ", ".join(data.get("left") or ()) or "none"
    return (
        f"{data.get('name')} has faults since its upgrade ({', '.join(data.get('faults') or ())}); not begun: {left}."
        f" {_log(data)}; mend it and run the same again, which goes on here"
    )


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {
        "municipalities-held": lambda data: (
            f"somebody else changes municipalities right now ({data.get('registry')}): try again when they are done"
        ),
        "municipality-database-taken": lambda data: (
            f"{data.get('database')} holds data of {data.get('name')}: each municipality needs a database of its own"
        ),
        "municipality-database-not-made": lambda data: (
            f"{data.get('database')} is not ours to make or remove ({data.get('reason')}): have whoever keeps the"
            " database server do it, then do this again"
        ),
        "municipality-database-not-new": lambda data: (
            f"{data.get('database')} holds data already: put the data directory that belongs to it in place first, so"
            f" that its key is {data.get('key')}, or name a new database"
        ),
        "municipality-database-in-use": _in_use,
        "municipality-old-kept": _old_kept,
        "municipality-service": lambda data: (
            f"could not {data.get('action')} {unit(str(data.get('name')))}: {data.get('reason')};"
            " FLEET_SERVICE_COMMAND names the program that does it"
        ),
        "municipality-not-ready": lambda data: (
            f"the servers of {data.get('name')} were started and are not fit for work at {data.get('bind')}:"
            f" {_log(data)}"
        ),
        "municipality-gone-red": _gone_red,
    }
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "municipality"): lambda data: (
            f"no municipality is called {data.get('name')}; there are: {', '.join(data.get('known') or ()) or 'none'}"
        ),
        ("conflict", "municipality"): _taken,
        ("invalid", "short name"): lambda data: (
            f"{data.get('name')} cannot be a name: use up to 40 small letters a to z, digits and hyphens"
        ),
        ("invalid", "wave"): lambda data: (
            f"{data.get('name')} is no wave: give a share such as 5%, or names with commas between"
        ),
    }
)
