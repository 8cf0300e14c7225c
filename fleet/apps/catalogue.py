"""The catalogue of apps: what apps that profiles name are called, and where tablets get them.

Invariants: an app has one source at most: a package of our own where there is one, else the store. Who writes profiles
keeps what they name. A change that tablets must hear of is told as ``app`` (:func:`fleet.db.changed`);
``assignments`` follows. An app that a profile requires is removed by nobody: that is asked above, where profiles are
known (:mod:`fleet.assignments.named`).
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.apps.models import App, AppPackage
from fleet.db import among_texts, changed, db, take_turn
from fleet.devices.models import Platform
from fleet.errors import ConflictError, InvalidError, NotFoundError
from profiles.kinds import APP

MAX_NAME = 120
# What runs on processors with twice the bits, too.
# Source: https://developer.android.com/ndk/guides/abis (automatic extraction of native code at install time).
_ALSO_RUNS = {"arm64-v8a": "armeabi-v7a", "x86_64": "x86"}
_MOST_STORE_ID = 10**12  # numbers have ten digits today
# An app's page in the store names its number last. Source: any address that the App Store's Share gives out.
_STORE_LINK = re.compile(r"https://(?:apps|itunes)\.apple\.com/[^\s?#]*/id([0-9]{1,12})(?:[?#]\S*)?")


class AppError(InvalidError):
    """What is told of an app is not sound. Data: ``reason`` (``app-id``, ``name`` or ``store-id``), ``found``."""

    code = "app"


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A package of our own as tablets get it: the word in its address, its version, SHA-256 and size."""

    token: str
    version: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where tablets get an app.

    Args:
        app_id: as profiles name it.
        name: as people know it.
        store_id: its number in the store, None where it is not there.
        is_licensed: whether no account is needed to get it there.
        package: of our own; where there is one, it is what tablets get.
    """

    app_id: str
    name: str
    store_id: int | None
    is_licensed: bool
    package: PackageSource | None


@dataclass(frozen=True, slots=True)
class AndroidPackage:
    """A package of our own as Android tablets get it.

    Args:
        name: what the app is called.
        token: the word in its address.
        version: as people know it.
        version_code: which version it is, a number that grows with each.
        digest: SHA-256 of the file, lower-case hex.
        size_bytes: how long it is.
        cpu: the one kind of processor that it is for; empty: any.
        kind: ``apk`` or ``xapk``.
        certificate: SHA-256 of its signer's certificate, lower-case hex.
        uploaded_at: since when tablets get it.
    """

    name: str
    token: str
    version: str
    version_code: int
    digest: str
    size_bytes: int
    cpu: str
    kind: str
    certificate: str | None = None
    uploaded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of an app.

    Args:
        name: as people know it.
        store: its number in the store, or the address of its page there; empty where it is not there.
        is_licensed: whether a licence is assigned to the tablets.
    """

    name: str
    store: str = ""
    is_licensed: bool = False


def store_number(told: str, platform: Platform) -> int | None:
    """Return an app's number in the store, of the number or its page's address; None where nothing is told.

    Raises:
        AppError: it is neither, or the platform's store has no numbers.
    """
    text = told.strip()
    if not text:
        return None
    link = _STORE_LINK.fullmatch(text)
    digits = link.group(1) if link is not None else text
    is_number = digits.isascii() and digits.isdecimal() and 0 < int(digits[:13]) < _MOST_STORE_ID
    if platform is not Platform.IPADOS or not is_number:
        raise AppError(reason="store-id", found=text[:200])
    return int(digits)


def add(app_id: str, platform: Platform, told: Told, *, by: Principal, now: datetime) -> App:
    """Take an app up.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        AppError: its id, name or number is not sound.
        ConflictError: it is there already.
    """
    require(by, Permission.EDIT_PROFILES)
    app_id = _sound_id(app_id)
    name, store_id = _sound_name(told.name), store_number(told.store, platform)
    take_turn("apps")
    if known(app_id, platform) is not None:
        raise ConflictError(kind="app", name=app_id)
    made = App(
        app_id=app_id, platform=platform, name=name, store_id=store_id, is_licensed=told.is_licensed,
        created_at=now, changed_at=now,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    audit.record(by, "apps.added", subject=f"app:{made.id}", now=now, app=app_id, name=name)
    changed("app", [made.id], now=now)
    return made


def change(app: App, told: Told, *, by: Principal, now: datetime) -> None:
    """Tell otherwise of an app; the same again changes nothing.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        AppError: its name or number is not sound.
    """
    require(by, Permission.EDIT_PROFILES)
    name, store_id = _sound_name(told.name), store_number(told.store, app.platform)
    take_turn("apps")
    db.session.refresh(app)
    before, is_moved = app.name, (app.store_id, app.is_licensed) != (store_id, told.is_licensed)
    if before == name and not is_moved:
        return
    app.name, app.store_id, app.is_licensed, app.changed_at = name, store_id, told.is_licensed, now
    db.session.flush()
    audit.record(by, "apps.changed", subject=f"app:{app.id}", now=now, app=app.app_id, from_name=before, name=name)
    if is_moved:  # what it is called, no tablet is told
        changed("app", [app.id], now=now)


def remove(app: App, *, by: Principal, now: datetime) -> None:
    """Take an app out, with its packages; doors call :func:`fleet.assignments.named.remove_app`, which asks first.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("apps")
    audit.record(by, "apps.removed", subject=f"app:{app.id}", now=now, app=app.app_id, name=app.name)
    db.session.execute(delete(AppPackage).where(AppPackage.app_pk == app.id))
    db.session.delete(app)
    db.session.flush()


def known(app_id: str, platform: Platform) -> App | None:
    """Return the app that has this id, None where there is none."""
    return db.session.scalars(select(App).where(App.app_id == app_id, App.platform == platform)).first()


def find(app_id: str, platform: Platform) -> App:
    """Return the app of this id.

    Raises:
        NotFoundError: there is none; data has the nearest ids.
    """
    found = known(app_id.strip(), platform)
    if found is None:
        ids = {one.app_id.casefold(): one.app_id for one in listed(platform)}
        near = difflib.get_close_matches(app_id.strip().casefold(), ids, n=3, cutoff=0.5)
        raise NotFoundError(kind="app", name=app_id[:155], nearest=[ids[one] for one in near])
    return found


def numbered(number: int) -> App:
    """Return the app of this row.

    Raises:
        NotFoundError: there is none.
    """
    found = db.session.get(App, number)
    if found is None:
        raise NotFoundError(kind="app", name=str(number), nearest=[])
    return found


def listed(platform: Platform | None = None) -> Sequence[App]:
    """Return the apps of a platform, or all, by name; one statement."""
    query = select(App) if platform is None else select(App).where(App.platform == platform)
    found = db.session.scalars(query).all()
    return sorted(found, key=lambda one: (one.name.casefold(), one.app_id, one.platform))


def sources(platform: Platform, app_ids: Collection[str]) -> Mapping[str, Source]:
    """Return where tablets of a platform get apps, by id; none for those that are not in the catalogue.

    At most one statement.
    """
    if not app_ids:
        return {}
    query = (
        select(App.app_id, App.name, App.store_id, App.is_licensed, AppPackage.token, AppPackage.version,
               AppPackage.digest, AppPackage.size_bytes)
        .outerjoin(AppPackage, (AppPackage.app_pk == App.id) & AppPackage.is_current)
        .where(App.platform == platform, among_texts(App.app_id, app_ids))
    )  # fmt: skip
    return {
        row.app_id: Source(
            row.app_id, row.name, row.store_id, row.is_licensed,
            PackageSource(row.token, row.version, row.digest, row.size_bytes) if row.token is not None else None,
        )
        for row in db.session.execute(query)
    }  # fmt: skip


def android_packages(app_ids: Collection[str]) -> Mapping[str, Sequence[AndroidPackage]]:
    """Return the packages that Android tablets get apps from, by the app's id; none for apps that have none.

    At most one statement.
    """
    if not app_ids:
        return {}
    query = (
        select(App.app_id, App.name, AppPackage.token, AppPackage.version, AppPackage.build, AppPackage.digest,
               AppPackage.size_bytes, AppPackage.cpu, AppPackage.kind, AppPackage.certificate, AppPackage.uploaded_at)
        .join(AppPackage, (AppPackage.app_pk == App.id) & AppPackage.is_current)
        .where(App.platform == Platform.ANDROID, among_texts(App.app_id, app_ids))
        .order_by(AppPackage.cpu)
    )  # fmt: skip
    found: dict[str, list[AndroidPackage]] = {}
    for row in db.session.execute(query):
        made = AndroidPackage(
            row.name, row.token, row.version, int(row.build), row.digest, row.size_bytes, row.cpu, row.kind,
            row.certificate, row.uploaded_at,
        )  # fmt: skip
        found.setdefault(row.app_id, []).append(made)
    return found


def for_cpu(packages: Sequence[AndroidPackage], cpu: str | None) -> AndroidPackage | None:
    """Return the package of an app that a tablet gets, None where none suits it. Pure.

    Args:
        packages: of one app.
        cpu: the tablet's kind of processor, as Android names it (``arm64-v8a``); None or empty where it is not known.
    """
    by_cpu = {one.cpu: one for one in packages}
    for suits in (cpu, "", _ALSO_RUNS.get(cpu or "")):
        if suits is not None and suits in by_cpu:
            return by_cpu[suits]
    return None


def known_android() -> frozenset[str]:
    """Return the ids of all apps for Android that are in the catalogue; one statement."""
    return frozenset(db.session.scalars(select(App.app_id).where(App.platform == Platform.ANDROID)))


def names(platform: Platform | None, app_ids: Collection[str] | None) -> Mapping[str, str]:
    """Return what apps are called, by id, as far as the catalogue knows; at most one statement.

    Args:
        platform: whose apps; None: of any, as profiles are for all of them.
        app_ids: which ones; None: all.
    """
    if app_ids is not None and not app_ids:
        return {}
    query = select(App.app_id, App.name).order_by(App.platform)  # of one id the last one's name counts
    if app_ids is not None:
        query = query.where(among_texts(App.app_id, app_ids))
    if platform is not None:
        query = query.where(App.platform == platform)
    return {row.app_id: row.name for row in db.session.execute(query)}


def _sound_id(told: str) -> str:
    try:
        return str(APP.normalise(told.strip()))
    except ValueError:
        raise AppError(reason="app-id", found=told[:155]) from None


def _sound_name(told: str) -> str:
    name = " ".join(told.split())
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise AppError(reason="name", found=name[:MAX_NAME])
    return name
