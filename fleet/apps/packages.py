"""Packages of our own: what a municipality has made for itself, kept here and fetched by tablets.

Invariants: a package is current or was replaced; a new one takes the place of the one before, for the same kind of
processor, in one transaction, and the one before stays for :data:`KEEP_REPLACED`, as tablets may be fetching it. All
that are current were signed by the same key, and none was replaced by an older one, where the system is Android: its
tablets refuse both. A file is kept before its row (:mod:`fleet.apps.files`), outside the transaction: copying half a
gigabyte shall hold nobody up.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.apps import catalogue, reading
from fleet.apps.catalogue import Told
from fleet.apps.facts import IPA, Facts
from fleet.apps.files import Draft, PackageFiles
from fleet.apps.models import App, AppPackage
from fleet.checkup.checks import Check, fault, ok
from fleet.crypto import random_token
from fleet.db import carry_out, changed, db, take_turn
from fleet.devices.models import Platform
from fleet.errors import ConflictError, NotFoundError

KEEP_REPLACED = timedelta(days=7)
_LONGEST_FILE_NAME = 120


class OtherSignerError(ConflictError):
    """A package is signed by another key than the present one: tablets that have that refuse it. Data: ``name``."""

    code = "app-package-signer"


class OlderPackageError(ConflictError):
    """A package is older than the present one: tablets that have that keep it.

    Data: ``name``, ``version`` and ``build`` of the package, ``current_version`` and ``current_build``.
    """

    code = "app-package-older"


@dataclass(frozen=True, slots=True)
class Received:
    """A package whose file is kept and whose row is not written yet."""

    facts: Facts
    digest: str
    size_bytes: int
    file_name: str


@dataclass(frozen=True, slots=True)
class Served:
    """A package as it is handed out; ``file_name`` is what it was called where it came from."""

    app_id: str
    name: str
    version: str
    digest: str
    size_bytes: int
    kind: str
    cpu: str
    file_name: str


def receive(source: Path, files: PackageFiles, *, by: Principal) -> Received:
    """Keep the file of a package; :func:`take` has it used. Needs no transaction.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        PackageError: it is no package that tablets can install.
        OSError: it cannot be read, or there is no room.
    """
    require(by, Permission.EDIT_PROFILES)
    reading.read(source)  # before half a gigabyte is copied
    with files.draft(source) as draft:
        facts = reading.read(draft.path, draft.path.parent)  # of what is kept: the other may have changed meanwhile
        files.keep(draft)
    return Received(facts, draft.digest, draft.size_bytes, _file_name(source.name))


def receive_sent(draft: Draft, file_name: str, files: PackageFiles, *, by: Principal) -> Received:
    """Keep a package that lies in the folder already, as it was sent there; :func:`take` has it used.

    Needs no transaction.

    Args:
        draft: where it lies.
        file_name: what its sender calls it.
        files: the folder.
        by: who acts.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        PackageError: it is no package that tablets can install.
        OSError: it cannot be read, or there is no room.
    """
    require(by, Permission.EDIT_PROFILES)
    facts = reading.read(draft.path, draft.path.parent)
    files.keep(draft)
    last_part = file_name.replace("\\", "/").rpartition("/")[2]
    return Received(facts, draft.digest, draft.size_bytes, _file_name(last_part) or f"{facts.app_id}.{facts.kind}")


def take(received: Received, *, by: Principal, now: datetime) -> App:
    """Have tablets get an app from a package from now on; takes the app up where the catalogue does not have it.

    The same package again changes nothing. Packages for several kinds of processor stand side by side, until a newer
    one comes that suits them all.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        OtherSignerError: it is Android's, and another key signed it than the present ones.
        OlderPackageError: it is Android's, and older than the present one.
    """
    require(by, Permission.EDIT_PROFILES)
    facts = received.facts
    platform = platform_of(facts.kind)
    take_turn("apps")
    app = catalogue.known(facts.app_id, platform)
    if app is None:
        app = catalogue.add(facts.app_id, platform, Told(facts.name), by=by, now=now)
    current = _current(app)
    present = next((one for one in current if one.cpu == facts.cpu), None)
    if present is not None and present.digest == received.digest:
        return app
    if platform is Platform.ANDROID:
        _require_successor(app, facts, current, present)
    for one in current:
        if one is present or _is_outdated(one, facts):
            _replace(one, now)
    made = AppPackage(
        app_pk=app.id, version=facts.version, build=facts.build, digest=received.digest, kind=facts.kind,
        cpu=facts.cpu, certificate=facts.certificate, size_bytes=received.size_bytes, file_name=received.file_name,
        minimum_os=facts.minimum_os, token=random_token(), is_current=True, uploaded_at=now,
    )  # fmt: skip
    db.session.add(made)
    if facts.icon is not None:
        app.icon, app.icon_digest = facts.icon, hashlib.sha256(facts.icon).hexdigest()
    app.changed_at = now
    db.session.flush()
    db.session.expire(app, ["packages"])
    audit.record(
        by, "apps.package-taken", subject=f"app:{app.id}", now=now,
        app=app.app_id, name=app.name, version=made.version, digest=made.digest, file_name=made.file_name,
    )  # fmt: skip
    changed("app", [app.id], now=now)
    return app


def withdraw(app: App, *, by: Principal, now: datetime, cpu: str | None = None) -> None:
    """Have tablets get an app from the store again, where it is there, and not from a package of our own.

    Args:
        app: the app.
        by: who acts.
        now: the instant.
        cpu: only the package for this kind of processor, empty: the one for any; None: all of them.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        NotFoundError: it has no such package.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("apps")
    meant = [one for one in _current(app) if cpu in {None, one.cpu}]
    if not meant:
        raise NotFoundError(kind="app package", name=app.app_id)
    for one in meant:
        _replace(one, now)
    app.changed_at = now
    db.session.flush()
    db.session.expire(app, ["packages"])
    for one in meant:
        audit.record(
            by, "apps.package-withdrawn", subject=f"app:{app.id}", now=now,
            app=app.app_id, name=app.name, version=one.version, digest=one.digest,
        )  # fmt: skip
    changed("app", [app.id], now=now)


def served(token: str) -> Served | None:
    """Return the package of an address, None where there is none; one statement."""
    query = select(
        App.app_id, App.name, AppPackage.version, AppPackage.digest, AppPackage.size_bytes, AppPackage.kind,
        AppPackage.cpu, AppPackage.file_name,
    )  # fmt: skip
    row = db.session.execute(
        query.join(AppPackage, AppPackage.app_pk == App.id).where(AppPackage.token == token)
    ).first()
    return Served(*row) if row is not None else None


def forget(files: PackageFiles, *, now: datetime) -> int:
    """Remove files that no package has, then packages that were replaced long ago; returns how many. For a job.

    In this order: a row that comes back, as the transaction fails, has its file.
    """
    named = frozenset(db.session.scalars(select(AppPackage.digest).distinct()))
    gone = files.sweep(named, now=now)
    query = delete(AppPackage).where(AppPackage.replaced_at < now - KEEP_REPLACED)
    return gone + carry_out(query)


def examine(files: PackageFiles) -> Check:
    """Return whether the files of all packages are here; one statement."""
    named = db.session.scalars(select(AppPackage.digest).distinct()).all()
    missing = sum(not files.path(digest).is_file() for digest in named)
    if not missing:
        return ok("packages", f"{len(named)} files")
    advice = "bring the folder packages back from the backup; servers on several machines share one folder"
    return fault("packages", f"{missing} of {len(named)} files are not in this server's folder", advice)


def platform_of(kind: str) -> Platform:
    """Return whose tablets install packages of a kind."""
    return Platform.IPADOS if kind == IPA else Platform.ANDROID


def _require_successor(app: App, facts: Facts, current: Sequence[AppPackage], present: AppPackage | None) -> None:
    """Refuse a package that tablets which have the present ones would not take."""
    if any(one.certificate != facts.certificate for one in current):
        raise OtherSignerError(name=app.name)
    had = present or next((one for one in current if not one.cpu), None)  # what its tablets have now
    if had is not None and int(facts.build) < int(had.build):
        raise OlderPackageError(
            name=app.name, version=facts.version, build=facts.build,
            current_version=had.version, current_build=had.build,
        )  # fmt: skip


def _is_outdated(one: AppPackage, facts: Facts) -> bool:
    """Whether a package for one kind of processor is older than a new one that suits that kind too, among others."""
    suits = not facts.cpus or one.cpu in facts.cpus
    return bool(one.cpu) and not facts.cpu and suits and int(one.build) < int(facts.build)


def _file_name(told: str) -> str:
    """Return what a file is called where it comes from, as far as we keep it."""
    return "".join(sign for sign in told if sign.isprintable())[-_LONGEST_FILE_NAME:]


def _current(app: App) -> Sequence[AppPackage]:
    query = select(AppPackage).where(AppPackage.app_pk == app.id, AppPackage.is_current)
    return db.session.scalars(query.execution_options(populate_existing=True)).all()


def _replace(present: AppPackage, now: datetime) -> None:
    present.is_current, present.replaced_at = False, now
    db.session.flush()  # before the next one: at most one for each processor is current
