"""What profiles name of the area below: apps and images. Who requires one, and which tablets hear of its change.

Invariant: what a profile in use or a newest published version names is not removed. A change reaches the tablets whose
profile of the moment names what changed, in a number of statements that does not grow with them.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select

from fleet.access import Principal
from fleet.apps import catalogue, images
from fleet.apps.models import App, Image
from fleet.assignments import bodies
from fleet.assignments.models import Assignment, Profile, ProfileVersion
from fleet.db import among, among_texts, db, follow, id_set, take_turn
from fleet.devices import states
from fleet.devices.models import Device, DeviceState, Platform
from fleet.errors import ConflictError

Settings = Mapping[str, Any]


class AppRequiredError(ConflictError):
    """A profile requires the app. Data: ``name`` (the app's id), ``profiles`` (their titles)."""

    code = "app-required"


class ImageShownError(ConflictError):
    """A profile shows the image. Data: ``name``, ``profiles`` (their titles)."""

    code = "image-shown"


def apps_of(settings: Settings) -> frozenset[str]:
    """Return the ids of the apps that settings require."""
    return frozenset(settings.get("apps.required") or ())


def images_of(settings: Settings) -> frozenset[str]:
    """Return the names of the images that settings show."""
    shown = {settings.get("wallpaper.image"), *(one.get("icon") for one in settings.get("web.bookmarks") or ())}
    return frozenset(one for one in shown if one)


def naming(of: Callable[[Settings], Collection[str]], *, now: datetime) -> dict[str, list[str]]:
    """Return by what is named the titles of the profiles that name it; one statement.

    Args:
        of: what settings name, such as :func:`apps_of`.
        now: decides which assignments are over.
    """
    newest = (
        select(func.max(ProfileVersion.number))
        .where(ProfileVersion.profile_id == Profile.id, ProfileVersion.published_at.is_not(None))
        .correlate(Profile)
        .scalar_subquery()
    )
    is_given = (
        select(Assignment.id)
        .where(Assignment.profile_version_id == ProfileVersion.id, Assignment.withdrawn_at.is_(None))
        .where(or_(Assignment.ends_at.is_(None), Assignment.ends_at > now))
        .exists()
    )
    query = select(Profile.title, ProfileVersion.settings).join(ProfileVersion.profile)
    query = query.where(or_(ProfileVersion.number == newest, is_given)).order_by(Profile.title)
    found: dict[str, list[str]] = defaultdict(list)
    for title, settings in db.session.execute(query):
        for one in of(settings):
            if title not in found[one]:
                found[one].append(title)
    return dict(found)


def remove_app(app: App, *, by: Principal, now: datetime) -> None:
    """Take an app out of the catalogue.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        AppRequiredError: a profile requires it.
    """
    take_turn("profiles")  # else one that requires it could be published meanwhile
    profiles = naming(apps_of, now=now).get(app.app_id)
    if profiles:
        raise AppRequiredError(name=app.app_id, profiles=profiles)
    catalogue.remove(app, by=by, now=now)


def remove_image(image: Image, *, by: Principal, now: datetime) -> None:
    """Take an image out.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        ImageShownError: a profile shows it.
    """
    take_turn("profiles")
    profiles = naming(images_of, now=now).get(image.name)
    if profiles:
        raise ImageShownError(name=image.name, profiles=profiles)
    images.remove(image, by=by, now=now)


def _naming_now(
    platform: Platform | None, of: Callable[[Settings], Collection[str]], names: Collection[str]
) -> Sequence[int]:
    """Return the tablets whose profile of the moment names any of these."""
    query = select(DeviceState.desired_digest).where(DeviceState.desired_digest.is_not(None)).distinct()
    devices = select(Device.id) if platform is None else select(Device.id).where(Device.platform == platform)
    if platform is not None:
        query = query.where(DeviceState.device_id.in_(devices))
    digests = [one for one in db.session.scalars(query) if one is not None]
    concerned = [one for one, body in bodies.load(digests).items() if not set(names).isdisjoint(of(json.loads(body)))]
    if not concerned:
        return ()
    reached = select(DeviceState.device_id).where(among_texts(DeviceState.desired_digest, concerned))
    return db.session.scalars(reached.where(DeviceState.device_id.in_(devices))).all()


def _tell(platform: Platform | None, of: Callable[[Settings], Collection[str]], names: Collection[str]) -> None:
    take_turn("assignments")  # so that no profile that names it comes to tablets unseen
    device_ids = _naming_now(platform, of, names)
    if device_ids:
        states.lock(id_set(device_ids))
        states.have_fetched(device_ids)


def _follow_apps(ids: frozenset[int], _now: datetime) -> None:
    by_platform: dict[Platform, set[str]] = defaultdict(set)
    for row in db.session.execute(select(App.platform, App.app_id).where(among(App.id, ids))):
        by_platform[row.platform].add(row.app_id)
    for platform, names in sorted(by_platform.items()):
        _tell(platform, apps_of, names)


def _follow_images(ids: frozenset[int], _now: datetime) -> None:
    names = db.session.scalars(select(Image.name).where(among(Image.id, ids))).all()
    _tell(None, images_of, names)


def follow_changes() -> None:
    """Have tablets hear of what changed of apps and images; the application calls this once."""
    follow("app", _follow_apps)
    follow("image", _follow_images)
