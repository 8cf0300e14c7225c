"""Who gets what: profiles, and who has which."""

from typing import Any

from fleet import clock
from fleet.access import Principal
from fleet.assignments import publishing
from fleet.assignments.assigning import Place
from profiles.profile import Profile
from tests import factories
from tests.doors.policy import ADMIN_ONLY, NOWHERE, Routes, Statuses
from tests.visiting import World

_READERS: Statuses = (302, 200, 200, 200, 403, 403, 403)
_NONE_FOR_READERS: Statuses = (302, 404, 404, 404, 403, 403, 403)
_NONE_FOR_ADMIN: Statuses = (302, 404, 403, 403, 403, 403, 403)
_BAD_FOR_ADMIN: Statuses = (302, 400, 403, 403, 403, 403, 403)
_AT_SCHOOL: Statuses = (302, 200, 200, 404, 403, 403, 403)

ROUTES: Routes = {
    "web.profiles": [("/profiles", _READERS)],
    "web.profile_new": [("/profiles/_new", ADMIN_ONLY)],
    "web.profile": [("/profiles/fylt", _READERS), ("/profiles/unknown", _NONE_FOR_READERS)],
    "web.profile_compare": [
        ("/profiles/fylt/compare", _READERS),
        ("/profiles/fylt/compare?old=1&new=2", _READERS),
        ("/profiles/fylt/compare?old=7&new=x", _NONE_FOR_READERS),
    ],
    "web.profile_edit": [("/profiles/fylt/edit", ADMIN_ONLY), ("/profiles/unknown/edit", _NONE_FOR_ADMIN)],
    "web.profile_toml": [("/profiles/fylt/toml", ADMIN_ONLY), ("/profiles/unknown/toml", _NONE_FOR_ADMIN)],
    "web.profile_publish": [("/profiles/fylt/publish", ADMIN_ONLY), ("/profiles/unknown/publish", _NONE_FOR_ADMIN)],
    "web.assignments": [("/assignments", _READERS), ("/assignments?school={w.school.id}&page=1", _READERS)],
    "web.assignment_at": [
        ("/assignments/place?profile=fylt&at=m", ADMIN_ONLY),
        ("/assignments/place?profile=fylt&at=s{w.school.id}", _AT_SCHOOL),
        ("/assignments/place?profile=fylt&at=c{w.own_class.id}", _AT_SCHOOL),
        ("/assignments/place?profile=fylt&at=d{w.tablet.id}", _AT_SCHOOL),
        ("/assignments/place?profile=unknown&at=m", _NONE_FOR_ADMIN),
        ("/assignments/place?profile=fylt&at=x1", _NONE_FOR_READERS),
    ],
    "web.assignment_withdrawal": [
        ("/assignments/{everywhere_id}/withdraw", (302, 200, 403, 403, 403, 403, 403)),
        ("/assignments/{at_school_id}/withdraw", (302, 200, 200, 404, 404, 404, 404)),
        ("/assignments/2147483647/withdraw", NOWHERE),
    ],
    "web.profile_create": [("POST /profiles/_new", _BAD_FOR_ADMIN)],
    "web.profile_import": [("POST /profiles/_import", _BAD_FOR_ADMIN)],
    "web.profile_ready_made": [("POST /profiles/_ready-made", _BAD_FOR_ADMIN)],
    "web.profile_save": [("POST /profiles/unknown/edit", _NONE_FOR_ADMIN)],
    "web.profile_toml_save": [("POST /profiles/unknown/toml", _NONE_FOR_ADMIN)],
    "web.profile_release": [("POST /profiles/unknown/publish", _NONE_FOR_ADMIN)],
    "web.profile_release_undo": [
        ("POST /profiles/unknown/undo/x", _NONE_FOR_ADMIN),
        ("POST /profiles/fylt/undo/x", (302, 303, 403, 403, 403, 403, 403)),
    ],
    "web.profile_restore": [("POST /profiles/unknown/restore", _NONE_FOR_READERS)],
    "web.profile_discard": [
        ("POST /profiles/unknown/discard", _NONE_FOR_READERS),
        ("POST /profiles/fylt/discard", (302, 303, 403, 403, 403, 403, 403)),
    ],
    "web.assignment_create": [("POST /assignments", _NONE_FOR_READERS)],
    "web.assignment_withdraw": [("POST /assignments/2147483647/withdraw", NOWHERE)],
    "web.assignment_undo": [("POST /assignments/2147483647/undo", NOWHERE)],
    "web.assignment_again": [("POST /assignments/2147483647/again", NOWHERE)],
}


def fill(world: World) -> dict[str, Any]:
    """Add a profile with a draft, given to the municipality and to the first school."""
    now = clock.now()
    version = factories.published("fylt", **{"camera.allowed": True})
    settings = {"camera.allowed": False}
    publishing.save_draft(Profile("fylt", "Fylt", settings), by=Principal.command_line(), now=now)
    return {
        "everywhere_id": factories.assign(version, Place.municipality(), now=now).id,
        "at_school_id": factories.assign(version, Place.school(world.school), now=now).id,
    }
