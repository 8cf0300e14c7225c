"""What refusals about copies of the database say on the command line."""

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


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {
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
