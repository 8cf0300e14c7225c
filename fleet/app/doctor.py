"""Asks everything that can say whether the server stands well, one after the other.

How each thing is judged stands with its facts: :mod:`fleet.checkup` for machine and database, the areas for theirs.
Nothing leaves this machine, but for the database, unless somebody wants it (``reach``); nothing is changed.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from urllib.parse import urlsplit

from flask import Flask

from fleet import backups, job_runs
from fleet.access import Principal
from fleet.alerts import mail_server, troubles
from fleet.app import mailing, reaching, standing
from fleet.app.mailing import LaterError, ServerError
from fleet.apps import packages
from fleet.apps.files import PackageFiles
from fleet.channels.native import authority
from fleet.checkup import belonging, database, machine
from fleet.checkup.checks import Check, ending, fault, has_fault, ok
from fleet.config import Config
from fleet.crypto import UnsealError, vault_key_file, vault_key_of
from fleet.db import reading
from fleet.mdm import errands, listed, queries, renewals
from fleet.mdm.push_keeper import PushKeeper

Now = Callable[[], datetime]

_LISTENING = 1  # a worker's connection that hears of rings


def examine(app: Flask, *, reach: bool, now: Now) -> list[Check]:
    """Return how everything stands.

    Args:
        app: the application.
        reach: whether mail server and public address are spoken to as well.
        now: the clock.
    """
    config: Config = app.extensions["fleet_config"]
    with app.app_context():
        return list(_all(app, config, now, reach=reach))


def _all(app: Flask, config: Config, now: Now, *, reach: bool) -> Iterator[Check]:
    yield ok("configuration", f"data at {config.data_dir}, {config.workers} worker(s), {config.timezone.key}")
    yield machine.public_url(config, served=standing.served_at(config.data_dir).get("FLEET_PUBLIC_URL"))
    yield from _machine(config)
    found = database.examine(connections=config.workers * (config.database_connections + _LISTENING), now=now)
    yield from found
    is_readable = not has_fault(one for one in found if one.name in {"database", "schema", "sqlite-integrity"})
    with reading():
        yield machine.clock(now(), newest=job_runs.newest_start() if is_readable else None)
        if is_readable:
            yield _belonging(config)
            yield packages.examine(PackageFiles(config.packages_dir))
            timetable = app.extensions["fleet_timetable"]
            yield from job_runs.examine(timetable, now=now(), timezone=config.timezone)
            yield backups.examine(now=now())
            yield from troubles.examine(by=Principal.command_line(), now=now())
    if (config.secrets_dir / "root.json").exists():
        yield _signing(config, now())
    key, vault = _vault(config)
    yield key
    if vault is not None:
        yield from renewals.examine(config.secrets_dir, vault, now=now())
    if is_readable:
        yield from _services(config, vault, now())
    if reach:
        yield from reaching.public_url(config.public_url, trusted=config.tls_root_file, now=now())
        if is_readable and vault is not None:
            yield from _mail(config, vault, now())


def _machine(config: Config) -> Iterator[Check]:
    yield machine.user(config)
    data, *elsewhere = machine.folders(config)
    yield machine.disk("data-disk", data)
    for folder in elsewhere:
        yield machine.disk("database-disk", folder)
    yield machine.rights(config)
    yield machine.root_keys(config)
    yield machine.metrics(config)


def _belonging(config: Config) -> Check:
    name = config.secrets_dir / standing.NAME
    return belonging.examine(name.read_text() if name.is_file() else None)


def _vault(config: Config) -> tuple[Check, bytes | None]:
    """Return how the vault key stands, and the key; none is made that is not there yet."""
    found = machine.vault_key(config)
    if not vault_key_file(config.secrets_dir, config.vault_key_file).is_file():
        return found, None
    try:
        return found, vault_key_of(config.secrets_dir, config.vault_key_file)
    except (OSError, ValueError) as error:
        advice = "give the server the file of 32 bytes that it had, readable for it alone"
        return fault(found.name, str(error), advice), None


def _services(config: Config, vault: bytes | None, now: datetime) -> Iterator[Check]:
    """Return what is to be said of the iPads and their maker's services; a certificate that cannot be read is none."""
    topic = None
    with suppress(UnsealError, OSError):
        topic = PushKeeper(config.secrets_dir, vault).topic() if vault is not None else None
    with reading():
        yield queries.examine(topic)
        for errand in (listed.SCHOOL_MANAGER, errands.LICENCES):
            yield errands.examine(errand, now=now)


def _signing(config: Config, now: datetime) -> Check:
    name, advice = "signing-keys", "sign a new root document with the root keys; without it tablets believe nothing new"
    if not (config.secrets_dir / "assignment-key.pem").exists():
        return fault(name, "assignment-key.pem is missing", "bring it back from the backup")
    try:
        ends_at = authority.load(config.secrets_dir, now=now).root_ends_at
    except (OSError, TypeError, ValueError) as error:
        return fault(name, str(error), "bring assignment-key.pem and root.json back from one and the same backup")
    return ending(name, ends_at, now=now, advice=advice)


def _mail(config: Config, vault: bytes, now: datetime) -> Iterator[Check]:
    name, advice = "mail-reached", "see to the mail server and what is said of it: scripts/fleet alerts mail show"
    try:
        with reading():
            settings = mail_server.settings(vault_key=vault, now=now, also_resting=True)
        if settings is not None:
            mailing.reach(settings, hello=urlsplit(config.public_url).hostname or "localhost")
            yield ok(name, f"{settings.host} answers ({settings.security.value})")
    except UnsealError:
        yield fault(name, "its password cannot be opened with this vault key", advice)
    except (ServerError, LaterError) as error:
        yield fault(name, f"{settings.host if settings else ''}: {error.reason}", advice)
