"""The machine the server runs on: disks, rights of files, the clock, and the address it is reached at."""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import make_url

from fleet.checkup.checks import Check, fault, ok, warning
from fleet.config import Config, Metrics
from fleet.crypto import vault_key_file

FULL_BYTES = 64 * 2**20  # less than that, and the database may stop within minutes
LOW_BYTES = 2 * 2**30  # time to act; below a quarter of it no packages of apps are taken any more
_BUILT_AT = datetime(2026, 1, 1, tzinfo=UTC)  # no clock that is right shows less
_SLACK = timedelta(minutes=1)
_NAMED = 3


def folders(config: Config) -> tuple[Path, ...]:
    """Return the folders the server writes to: its data, and its embedded database where that is elsewhere."""
    database = database_file(config)
    return tuple(dict.fromkeys([config.data_dir, *([database.parent] if database is not None else [])]))


def database_file(config: Config) -> Path | None:
    """Return the file of the embedded database; None with PostgreSQL."""
    return Path(make_url(config.database_url).database or "") if config.is_sqlite else None


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder: it is there, ours, and not on a disk that only gives."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def room(folder: Path) -> str:
    """Return how a folder can be written to, in a word: ok, low, full or not-writable."""
    try:
        free = shutil.disk_usage(folder).free if is_writable(folder) else None
    except OSError:  # gone between the two
        free = None
    if free is None:
        return "not-writable"
    return "full" if free < FULL_BYTES else "low" if free < LOW_BYTES else "ok"


def disk(name: str, folder: Path) -> Check:
    """Return whether a folder can be written to and its disk has room."""
    found = room(folder)
    if found == "not-writable":
        return fault(name, f"{folder} cannot be written to", f"give the server's user the right to write to {folder}")
    whole = shutil.disk_usage(folder)
    told = f"{whole.free / 2**30:.1f} of {whole.total / 2**30:.0f} GiB free at {folder}"
    if found == "ok":
        return ok(name, told)
    advice = "make room: remove what is not the server's, old packages of apps, or give it a larger disk"
    return fault(name, told, advice) if found == "full" else warning(name, told, advice)


def user(config: Config) -> Check:
    """Return whether who looks is who runs the server: else what may be read and written is another's answer."""
    owner, own = config.data_dir.stat().st_uid, os.geteuid()
    if owner == own:
        return ok("user", f"uid {own}, whose the data is")
    return warning("user", f"uid {own}, but the data is uid {owner}'s", "run the command as the server's own user")


def rights(config: Config) -> Check:
    """Return whether nobody but the server's user can read its secrets and its embedded database."""
    open_to_others = sorted(_open_to_others(_private(config)))
    if not open_to_others:
        return ok("file-rights", "secrets and database are the server's alone")
    named = ", ".join(str(path) for path in open_to_others[:_NAMED])
    more = f" and {len(open_to_others) - _NAMED} more" if len(open_to_others) > _NAMED else ""
    advice = "chmod go= each of them; replace a secret that somebody may have read"
    return fault("file-rights", f"others may open {named}{more}", advice)


def _private(config: Config) -> Iterator[Path]:
    yield from [config.secrets_dir, config.exports_dir]
    yield from config.secrets_dir.rglob("*")
    if config.vault_key_file is not None:
        yield config.vault_key_file
    database = database_file(config)
    if database is not None:
        yield from (database.with_name(database.name + suffix) for suffix in ("", "-wal", "-shm"))


def _open_to_others(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:  # not made yet, or of a moment
            continue
        if stat.S_IMODE(mode) & 0o077:
            yield path


def vault_key(config: Config) -> Check:
    """Return whether the key is there that opens what is sealed."""
    path = vault_key_file(config.secrets_dir, config.vault_key_file)
    if path.is_file():
        return ok("vault-key", f"at {path}")
    sealed = any(config.secrets_dir.glob("*.sealed")) or any(config.secrets_dir.glob("device-ca/*.json"))
    if sealed:
        return fault(
            "vault-key", f"{path} is missing", "bring it back from the backup: nothing else opens what is sealed"
        )
    return ok("vault-key", "made at the first start")


def root_keys(config: Config) -> Check:
    """Return whether the keys that say whom tablets believe have been moved to a safe place."""
    folder = config.secrets_dir / "root-keys"
    if any(folder.glob("*.pem")):
        advice = "move them to a safe place away from this machine; they are not needed for running"
        return warning("root-keys", f"the root keys lie at {folder}", advice)
    return ok("root-keys", "not on this machine")


def metrics(config: Config) -> Check:
    """Return whether metrics can be read by those they are for, and by nobody else."""
    name, path = "metrics", config.metrics_token_file
    if config.metrics is Metrics.TOKEN and path.exists() and not config.is_metrics_token(path.read_bytes()):
        return fault(name, f"{path} holds no word", "remove it and start the server again, which makes another")
    if config.metrics is Metrics.LOOPBACK and not config.is_local_only and not config.proxies:
        advice = "name the proxy in FLEET_PROXIES and have it add X-Forwarded-For, or set FLEET_METRICS=token"
        return warning(name, "for this machine alone, and whoever comes through a proxy on it may pass for it", advice)
    return ok(name, config.metrics.value)


def clock(now: datetime, *, newest: datetime | None) -> Check:
    """Return whether the clock can be right.

    Args:
        now: what it shows.
        newest: the latest instant the server has noted, None where it has noted none.
    """
    told, advice = f"{now:%Y-%m-%d %H:%M:%S} UTC", "set the machine's clock, and have it follow a time server (NTP)"
    if now < _BUILT_AT:
        return fault("clock", f"{told}, before this program was made", advice)
    if newest is not None and newest > now + _SLACK:
        return fault("clock", f"{told}, but something was noted at {newest:%Y-%m-%d %H:%M:%S} UTC", advice)
    return ok("clock", told)


def public_url(config: Config, *, served: str | None) -> Check:
    """Return whether tablets and people can safely use the address they are told.

    Args:
        config: the configuration.
        served: the address the last server in the data directory was started with; None where none was.
    """
    name, url = "public-url", config.public_url
    if served is not None and served != url:
        advice = "set FLEET_PUBLIC_URL here to what the server has, or restart the server"
        return warning(name, f"{url} here, but the server was started with {served}", advice)
    if config.is_local_only:
        advice = "set FLEET_PUBLIC_URL to an address that tablets reach, by https"
        return warning(name, f"{url} leads to this machine only", advice)
    if urlsplit(url).scheme != "https":
        advice = "put a proxy with a certificate in front, and set FLEET_PUBLIC_URL to its https address"
        return fault(name, f"{url} is not https: passwords travel in the clear", advice)
    return ok(name, url)
