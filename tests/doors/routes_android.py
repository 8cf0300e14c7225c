"""Who gets what: Android tablets."""

from typing import Any

from fleet.devices.models import Platform
from tests import factories
from tests.doors.policy import NOWHERE, Routes
from tests.visiting import World

_PRIVILEGED = (302, 200, 200, 404, 404, 404, 404)

ROUTES: Routes = {
    "web.tablet_password": [
        ("/tablets/DROID1/admin-password", _PRIVILEGED),
        ("/tablets/OWN1/admin-password", NOWHERE),
        ("/tablets/DROID0/admin-password", NOWHERE),
    ],
    "web.tablet_password_show": [
        ("POST /tablets/DROID1/admin-password", (302, 400, 400, 404, 404, 404, 404)),
        ("POST /tablets/OWN1/admin-password", NOWHERE),
    ],
}


def fill(world: World) -> dict[str, Any]:
    """Add a tablet with Android's agent, in the first school's own class."""
    factories.enrolled(
        world.school, channel="headwind", serial="DROID1", platform=Platform.ANDROID, class_id=world.own_class.id
    )
    return {}
