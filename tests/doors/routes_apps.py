"""Who gets what: the catalogue of apps, and images."""

from typing import Any

from fleet import clock
from fleet.access import Principal
from fleet.apps import catalogue, images
from fleet.apps.catalogue import Told
from fleet.devices.models import Platform
from tests.doors.policy import ADMIN_ONLY, Routes, Statuses
from tests.pictures import png
from tests.visiting import World

_READERS: Statuses = (302, 200, 200, 200, 403, 403, 403)
_NONE_FOR_ADMIN: Statuses = (302, 404, 403, 403, 403, 403, 403)
_BAD_FOR_ADMIN: Statuses = (302, 400, 403, 403, 403, 403, 403)

ROUTES: Routes = {
    "web.apps": [("/apps", _READERS)],
    "web.app_new": [("/apps/_new", ADMIN_ONLY), ("/apps/_new?app_id=no.example.x", ADMIN_ONLY)],
    "web.app_edit": [("/apps/{app_number}", ADMIN_ONLY), ("/apps/2147483647", _NONE_FOR_ADMIN)],
    "web.app_create": [("POST /apps/_new", _BAD_FOR_ADMIN)],
    "web.app_change": [("POST /apps/2147483647", _NONE_FOR_ADMIN), ("POST /apps/{app_number}", _BAD_FOR_ADMIN)],
    "web.app_remove": [("POST /apps/2147483647/remove", _NONE_FOR_ADMIN)],
    "web.app_icon": [
        ("/apps/{android_number}/icon", _READERS),
        ("/apps/{app_number}/icon", (302, 404, 404, 404, 403, 403, 403)),
    ],
    "web.app_upload": [("POST /apps/_upload", _BAD_FOR_ADMIN)],
    "web.app_package_withdraw": [
        ("POST /apps/2147483647/package/withdraw", _NONE_FOR_ADMIN),
        ("POST /apps/{app_number}/package/withdraw", (302, 303, 403, 403, 403, 403, 403)),
    ],
    "web.images": [("/images", _READERS)],
    "web.image_picture": [
        ("/images/skog.png/picture", _READERS),
        ("/images/unknown/picture", (302, 404, 404, 404, 403, 403, 403)),
    ],
    "web.image_add": [("POST /images", _BAD_FOR_ADMIN)],
    "web.image_replace": [("POST /images/unknown/replace", _NONE_FOR_ADMIN)],
    "web.image_remove": [("POST /images/unknown/remove", _NONE_FOR_ADMIN)],
}


def fill(_world: World) -> dict[str, Any]:
    """Add two apps, one with a sign of its own, and an image."""
    by, now = Principal.command_line(), clock.now()
    images.add("skog.png", png(), by=by, now=now)
    made = catalogue.add("no.example.paint", Platform.IPADOS, Told("Maling", "123456789"), by=by, now=now)
    android = catalogue.add("no.example.tavle", Platform.ANDROID, Told("Tavla"), by=by, now=now)
    android.icon, android.icon_digest = png(), "0" * 64
    return {"app_number": made.id, "android_number": android.id}
