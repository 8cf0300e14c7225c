"""Packages of our own: what a municipality has made for itself, kept here and fetched by tablets.

Invariants: a package is current or was replaced; a new one takes the place of the one before in one transaction, and
the one before stays for :data:`KEEP_REPLACED`, as tablets may be fetching it. A file is kept before its row
(:mod:`fleet.apps.files`), outside the transaction: copying half a gigabyte shall hold nobody up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.apps import catalogue, ipa
from fleet.apps.catalogue import Told
from fleet.apps.facts import Facts
from fleet.apps.files import PackageFiles
from fleet.apps.models import App, AppPackage
from fleet.crypto import random_token
from fleet.db import changed, db, take_turn
from fleet.devices.models import Platform
from fleet.errors import NotFoundError

KEEP_REPLACED = timedelta(days=7)
_LONGEST_FILE_NAME = 120


@dataclass(frozen=True, slots=True)
class Received:
    """A package whose file is kept and whose row is not written yet."""

    facts: Facts
    digest: str
    size_bytes: int
    file_name: str


@dataclass(frozen=True, slots=True)
class Served:
    """A package as it is handed out."""

    app_id: str
    name: str
    version: str
    digest: str
    size_bytes: int


def receive(source: Path, files: PackageFiles, *, by: Principal) -> Received:
    """Keep the file of a package; :func:`take` has it used. Needs no transaction.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        PackageError: it is no package that iPads can install.
        OSError: it cannot be read, or there is no room.
    """
    require(by, Permission.EDIT_PROFILES)
    ipa.read(source)  # before half a gigabyte is copied
    with files.draft(source) as draft:
        facts = ipa.read(draft.path)  # of what is kept: the other may have changed meanwhile
        files.keep(draft)
    name = "".join(sign for sign in source.name if sign.isprintable())
    return Received(facts, draft.digest, draft.size_bytes, name[-_LONGEST_FILE_NAME:])


def take(received: Received, *, by: Principal, now: datetime) -> App:
    """Have tablets get an app from a package from now on; takes the app up where the catalogue does not have it.

    The same package again changes nothing.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
    """
    require(by, Permission.EDIT_PROFILES)
    facts = received.facts
    take_turn("apps")
    app = catalogue.known(facts.app_id, Platform.IPADOS)
    if app is None:
        app = catalogue.add(facts.app_id, Platform.IPADOS, Told(facts.name), by=by, now=now)
    present = _current(app)
    if present is not None and present.digest == received.digest:
        return app
    if present is not None:
        _replace(present, now)
    made = AppPackage(
        app_pk=app.id, version=facts.version, build=facts.build, digest=received.digest,
        size_bytes=received.size_bytes, file_name=received.file_name, minimum_os=facts.minimum_os,
        token=random_token(), is_current=True, uploaded_at=now,
    )  # fmt: skip
    db.session.add(made)
    app.changed_at = now
    db.session.flush()
    db.session.expire(app, ["package"])
    audit.record(
        by, "apps.package-taken", subject=f"app:{app.id}", now=now,
        app=app.app_id, name=app.name, version=made.version, digest=made.digest, file_name=made.file_name,
    )  # fmt: skip
    changed("app", [app.id], now=now)
    return app


def withdraw(app: App, *, by: Principal, now: datetime) -> None:
    """Have tablets get an app from the store again, where it is there, and not from a package of our own.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        NotFoundError: it has no package.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("apps")
    present = _current(app)
    if present is None:
        raise NotFoundError(kind="app package", name=app.app_id)
    _replace(present, now)
    app.changed_at = now
    db.session.flush()
    db.session.expire(app, ["package"])
    audit.record(
        by, "apps.package-withdrawn", subject=f"app:{app.id}", now=now,
        app=app.app_id, name=app.name, version=present.version, digest=present.digest,
    )  # fmt: skip
    changed("app", [app.id], now=now)


def served(token: str) -> Served | None:
    """Return the package of an address, None where there is none; one statement."""
    query = select(App.app_id, App.name, AppPackage.version, AppPackage.digest, AppPackage.size_bytes)
    row = db.session.execute(
        query.join(AppPackage, AppPackage.app_pk == App.id).where(AppPackage.token == token)
    ).first()
    return Served(row.app_id, row.name, row.version, row.digest, row.size_bytes) if row is not None else None


def forget(files: PackageFiles, *, now: datetime) -> int:
    """Remove files that no package has, then packages that were replaced long ago; returns how many. For a job.

    In this order: a row that comes back, as the transaction fails, has its file.
    """
    named = frozenset(db.session.scalars(select(AppPackage.digest).distinct()))
    gone = files.sweep(named, now=now)
    query = delete(AppPackage).where(AppPackage.replaced_at < now - KEEP_REPLACED)
    result = db.session.execute(query.execution_options(synchronize_session=False))
    return gone + int(result.rowcount)  # type: ignore[attr-defined]


def _current(app: App) -> AppPackage | None:
    query = select(AppPackage).where(AppPackage.app_pk == app.id, AppPackage.is_current)
    return db.session.scalars(query.execution_options(populate_existing=True)).first()


def _replace(present: AppPackage, now: datetime) -> None:
    present.is_current, present.replaced_at = False, now
    db.session.flush()  # before the next one: at most one is current
