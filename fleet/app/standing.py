"""What a starting server makes sure of, and leaves for the command line beside it.

Its address must be free, its database that of its data directory, and no other server may use its embedded one: two
would each believe to be alone. The command line, which has its own environment, reads from the data directory at
which address people and tablets find the server.
"""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from fleet.checkup import belonging
from fleet.config import Config, ConfigError
from fleet.crypto import read_or_create

_ADDRESS = "server.json"
NAME = "installation"  # of the file with what the secrets are known by


def hold(config: Config) -> IO[bytes]:
    """Make sure that this is the only server on its embedded database; what is returned must stay open.

    Raises:
        ConfigError: another server uses the data directory.
    """
    lock = os.fdopen(os.open(config.server_lock, os.O_RDWR | os.O_CREAT, 0o600), "rb+")
    if config.is_sqlite:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            expected = "a data directory that no running server uses; several servers need PostgreSQL"
            raise ConfigError(variable="FLEET_DATA_DIR", found=str(config.data_dir), expected=expected) from None
    return lock


def require_no_others(config: Config) -> None:
    """Make sure that the database belongs to no other data directory, before anything is done to it.

    Raises:
        ConfigError: it does.
    """
    if belonging.is_of_another(_name(config)):
        raise _of_another(config)


def require_own(config: Config) -> None:
    """Make sure that the database belongs to this data directory; writes that it does where it is new.

    Raises:
        ConfigError: it belongs to another, whose secrets tablets know.
    """
    if not belonging.claim(_name(config)):
        raise _of_another(config)


def _name(config: Config) -> str:
    return read_or_create(config.secrets_dir / NAME, secrets.token_hex(32).encode()).decode()


def _of_another(config: Config) -> ConfigError:
    expected = "the folder of the servers that use this database, or one with all that is in its secrets"
    return ConfigError(variable="FLEET_DATA_DIR", found=str(config.data_dir), expected=expected)


def require_free(bind: str) -> None:
    """Make sure that nobody listens where the server will.

    Raises:
        ConfigError: somebody does, or the machine has no such address.
    """
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except OSError as error:
        expected = f"an address of this machine that is free ({error.strerror or error})"
        raise ConfigError(variable="FLEET_BIND", found=bind, expected=expected) from None


def leave_word(config: Config) -> None:
    """Write down where this server is found."""
    path = config.data_dir / _ADDRESS
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"FLEET_BIND": config.bind, "FLEET_PUBLIC_URL": config.public_url}))
    draft.replace(path)


def served_at(data_dir: Path) -> Mapping[str, str]:
    """Return the addresses that the last server in a data directory left word of; empty where none did."""
    try:
        told = json.loads((data_dir / _ADDRESS).read_text())
    except (OSError, ValueError):  # none was started here yet
        return {}
    return {name: str(told[name]) for name in ("FLEET_BIND", "FLEET_PUBLIC_URL") if name in told}


def beside(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment of a command beside the server: where it says no address, the server's last one holds.

    Raises:
        ConfigError: the data directory has no server's data; made by mistake, it would look like everything is lost.
    """
    data_dir = Path(environ.get("FLEET_DATA_DIR") or "var").absolute()
    embedded = not environ.get("FLEET_DATABASE_URL")
    if embedded and not (data_dir / "fleet.sqlite3").exists():
        expected = "the folder of a server that has been started; scripts/run makes one"
        raise ConfigError(variable="FLEET_DATA_DIR", found=str(data_dir), expected=expected)
    if environ.get("FLEET_BIND") or environ.get("FLEET_PUBLIC_URL"):
        return environ
    return {**environ, **served_at(data_dir)}
