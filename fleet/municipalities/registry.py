"""Which municipalities there are: a folder with a folder for each, and in it the settings that its servers start with.

``NAME/fleet.env`` is the row: what systemd hands to the servers is what the commands read, so the two cannot differ.
Lines that somebody has added by hand stay. Beside it are ``NAME/data``, the data directory with the keys, and
``NAME/program``, which leads to the program that the servers run. Invariants: a row holds no password, is written whole
or not at all, and only by who holds the registry (:func:`held`).
"""

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import make_url

from fleet import config
from fleet.config import Config, ConfigError, database_url
from fleet.crypto import write_secret
from fleet.errors import ConflictError, FleetError, InvalidError, NotFoundError

# Notes that the servers do not read: whereto a move has begun, which database was there before the last one, and, while
# an upgrade is not known to have gone well, what did not stand well before it.
MOVING_TO, FORMER, UPGRADING = "FLEET_MOVING_TO", "FLEET_FORMER_DATABASE_URL", "FLEET_UPGRADING"
_ROW, _LOCK = "fleet.env", ".lock"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_LINE = re.compile(r'\s*([A-Z][A-Z0-9_]*)="?([^"]*)"?\s*')
_UNSAFE = re.compile(r'[\s"\'\\$`]')  # read otherwise by systemd than by a shell, or by both
_FIRST_PORT = 8101


class RegistryHeldError(FleetError):
    """Somebody else changes municipalities at this moment. Data: ``registry``."""

    code = "municipalities-held"


class DatabaseTakenError(FleetError):
    """The database is another municipality's, or was, and is still kept. Data: ``name``, ``database``."""

    code = "municipality-database-taken"


@dataclass(frozen=True, slots=True)
class Cell:
    """A municipality as the registry has it.

    Args:
        name: its short name.
        folder: where its row, keys and data are.
        text: the row.
    """

    name: str
    folder: Path
    text: str

    @property
    def settings(self) -> Mapping[str, str]:
        """The row's settings, the environment of its servers."""
        found = (_LINE.fullmatch(line) for line in self.text.splitlines())
        return {one[1]: one[2] for one in found if one is not None}

    @property
    def config(self) -> Config:
        """The settings as its servers take them.

        Raises:
            ConfigError: one is missing or wrong; it names the municipality, too.
        """
        try:
            return config.load(self.settings)
        except ConfigError as error:
            told = {**error.data, "variable": f"{self.name}: {error.data['variable']}"}
            raise ConfigError(**told) from None

    @property
    def host(self) -> str:
        """Under which name, or address, tablets and people reach it."""
        return urlsplit(self.settings.get("FLEET_PUBLIC_URL", "")).hostname or ""

    @property
    def database(self) -> str:
        """The database's address."""
        return self.settings.get("FLEET_DATABASE_URL", "")

    @property
    def databases(self) -> frozenset[str]:
        """All databases that hold data of it: besides its own what a move has left, or has begun to fill."""
        found = set()
        for name in ("FLEET_DATABASE_URL", "FLEET_DATABASE_DIRECT_URL", FORMER, MOVING_TO):
            with suppress(ConfigError):  # what somebody has written there leads nowhere
                found.add(database_url(self.settings.get(name, "")))
        return frozenset(found)

    @property
    def port(self) -> int:
        """Where its servers listen; 0 where the row does not say."""
        told = self.settings.get("FLEET_BIND", "").rpartition(":")[2]
        return int(told) if told.isdecimal() else 0

    @property
    def program(self) -> Path:
        """Where the program is that its servers run; a link."""
        return self.folder / "program"

    def require_loadable(self) -> None:
        """Refuse settings that no server would start with, or that a front door cannot lead to.

        Raises:
            ConfigError: there is one.
        """
        bind = self.config.bind
        if bind.rpartition(":")[0] in {"0.0.0.0", "[::]"}:  # noqa: S104 (refused, not listened at)
            expected = "the address at which the front door finds the servers, such as 127.0.0.1:8101"
            raise ConfigError(variable="FLEET_BIND", found=bind, expected=expected)

    def changed(self, **settings: str | None) -> "Cell":
        """Return it with other settings; None takes one away. All other lines stay as they are."""
        kept = [line for line in self.text.splitlines() if not line.startswith(tuple(f"{one}=" for one in settings))]
        told = [f'{name}="{_safe(name, value)}"' for name, value in settings.items() if value is not None]
        return Cell(self.name, self.folder, "\n".join([*kept, *told, ""]))


def _safe(name: str, value: str) -> str:
    if _UNSAFE.search(value):
        raise ConfigError(variable=name, found=value, expected="free of spaces, quotes, backslashes and dollar signs")
    return value


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Keep everybody else from changing municipalities meanwhile.

    Raises:
        RegistryHeldError: somebody does at this moment.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(root / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), "rb+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RegistryHeldError(registry=str(root)) from None
        yield


def cells(root: Path) -> Sequence[Cell]:
    """Return all municipalities by name; a folder that is called otherwise, such as ``fjell.bak``, is none."""
    found = sorted(one.parent for one in root.glob(f"*/{_ROW}") if _NAME.fullmatch(one.parent.name))
    return [Cell(one.name, one, (one / _ROW).read_text("utf-8")) for one in found]


def find(root: Path, name: str) -> Cell:
    """Return a municipality.

    Raises:
        NotFoundError: there is none of this name.
    """
    known = {one.name: one for one in cells(root)}
    if name not in known:
        raise NotFoundError(kind="municipality", name=name, known=sorted(known))
    return known[name]


def save(cell: Cell) -> Cell:
    """Write a row, all of it or nothing."""
    write_secret(cell.folder / _ROW, cell.text.encode())
    return cell


def change(cell: Cell, **settings: str | None) -> Cell:
    """Change settings of a row as it is by now: lines that somebody has added since ``cell`` was read stay."""
    return save(Cell(cell.name, cell.folder, (cell.folder / _ROW).read_text("utf-8")).changed(**settings))


def run_by(cell: Cell, program: Path) -> None:
    """Have its servers run this program from their next start on."""
    draft = cell.folder / ".program.new"
    draft.unlink(missing_ok=True)
    draft.symlink_to(program)
    draft.replace(cell.program)


def reserve(root: Path, name: str, *, database: str, address: str, bind: str | None, proxies: str) -> Cell:
    """Return the row of a new municipality, written; or that of the one that is there with the same settings.

    One that was never finished (:attr:`Cell.program` is made last) takes other settings.

    Args:
        root: the registry.
        name: short, as in addresses.
        database: its address, without a password.
        address: the name under which tablets reach it, by https; or a whole address.
        bind: where its servers listen and the front door finds them, ``host:port``; None: this machine's next port.
        proxies: from where the front door asks, as ``FLEET_PROXIES`` has it.

    Raises:
        InvalidError: such a name cannot be.
        ConfigError: one of the others cannot.
        ConflictError: there is one of this name, address or bind which is another.
        DatabaseTakenError: the database is another's.
    """
    if not _NAME.fullmatch(name):
        raise InvalidError(kind="short name", name=name)
    known = {one.name: one for one in cells(root)}
    mine = known.pop(name, None)
    next_port = max([_FIRST_PORT - 1, *(one.port for one in known.values())]) + 1
    told = {
        "FLEET_DATABASE_URL": without_password(database, "--database"),
        "FLEET_DATA_DIR": str((root / name / "data").absolute()),
        "FLEET_PUBLIC_URL": address if "://" in address else f"https://{address}",
        "FLEET_PROXIES": proxies,
    }
    told["FLEET_BIND"] = bind or (mine and mine.settings.get("FLEET_BIND")) or f"127.0.0.1:{next_port}"
    made = Cell(name, (root / name).absolute(), "").changed(**told)
    made.require_loadable()
    if mine is not None and mine.program.is_symlink():
        differing = next((one for one in told if mine.settings.get(one) != told[one]), None)
        if differing is not None:
            raise ConflictError(kind="municipality", name=name, setting=differing, other=name)
        return mine
    require_unused(known.values(), told["FLEET_DATABASE_URL"])
    for one in known.values():
        if one.host == made.host:
            raise ConflictError(kind="municipality", name=name, setting="FLEET_PUBLIC_URL", other=one.name)
        if one.settings.get("FLEET_BIND") == told["FLEET_BIND"]:
            raise ConflictError(kind="municipality", name=name, setting="FLEET_BIND", other=one.name)
    made = save(mine.changed(**told) if mine is not None else made)
    made.folder.joinpath("data").mkdir(mode=0o700, exist_ok=True)
    return made


def without_password(told: str, variable: str) -> str:
    """Return a database's address; it goes into a file that is looked at and copied, so a password is refused.

    Raises:
        ConfigError: it is none, or has a password.
    """
    url = database_url(told, variable=variable)
    if make_url(url).password is not None or "password" in make_url(url).query:
        expected = "an address without a password: postgresql://USER@HOST/DATABASE?passfile=FILE names a file with it"
        raise ConfigError(variable=variable, found="an address with a password", expected=expected)
    return url


def require_unused(others: Iterable[Cell], database: str) -> None:
    """Refuse a database that holds data of others.

    Raises:
        DatabaseTakenError: it does.
    """
    for one in others:
        if database in one.databases:
            raise DatabaseTakenError(name=one.name, database=make_url(database).render_as_string())
