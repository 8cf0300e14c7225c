"""Who gets what: enrolment, imports and the first run."""

from datetime import timedelta
from typing import Any

from fleet import clock
from fleet.access import Principal
from fleet.devices import tickets
from tests.doors.policy import ADMIN_ONLY, Routes
from tests.visiting import World

_STAFF = (302, 200, 200, 200, 403, 403, 403)
_OWN = (302, 200, 200, 404, 404, 404, 404)
_BAD_FOR_ADMIN = (302, 400, 403, 403, 403, 403, 403)
_DONE_BY_ADMIN = (302, 303, 403, 403, 403, 403, 403)
_OWN_FORM = (302, 303, 303, 404, 404, 404, 404)

ROUTES: Routes = {
    "web.enrolment": [("/enrolment", _STAFF)],
    "web.enrolment_decide": [("POST /enrolment/decide", (302, 400, 400, 400, 403, 403, 403))],
    "web.ticket_new": [
        ("/enrolment/new", _STAFF),
        ("/enrolment/new?school_id={w.school.id}", (302, 200, 200, 404, 403, 403, 403)),
        ("/enrolment/new?school_id={w.school.id}&in=class-{w.own_class.id}", (302, 200, 200, 404, 403, 403, 403)),
        ("/enrolment/new?school_id={w.other_school.id}&in=school", (302, 200, 404, 200, 403, 403, 403)),
    ],
    "web.ticket_create": [
        ("POST /enrolment/new?school_id={w.school.id}&in=school", (302, 400, 400, 404, 403, 403, 403)),
        ("POST /enrolment/new", (302, 404, 404, 404, 403, 403, 403)),
    ],
    "web.ticket": [("/enrolment/{ticket_id}", _OWN), ("/enrolment/2147483647", (302, 404, 404, 404, 404, 404, 404))],
    "web.ticket_sheet": [("POST /enrolment/{ticket_id}/sheet", _OWN_FORM)],
    "web.ticket_revoke": [("POST /enrolment/{ticket_id}/revoke", _OWN_FORM)],
    "web.imports": [("/imports", _STAFF)],
    "web.import_example": [("/imports/leveringsliste.csv", (302, 200, 200, 200, 200, 200, 200))],
    "web.import_send": [
        ("POST /imports/roster", (302, 400, 403, 403, 403, 403, 403)),
        ("POST /imports/delivery", (302, 400, 400, 400, 403, 403, 403)),
    ],
    "web.import_look": [
        ("/imports/roster/unknown", (302, 302, 403, 403, 403, 403, 403)),
        ("/imports/delivery/unknown", (302, 302, 302, 302, 403, 403, 403)),
    ],
    "web.import_use": [("POST /imports/roster/unknown", (302, 303, 403, 403, 403, 403, 403))],
    "web.roster_undo": [("POST /imports/roster/1/undo", (302, 303, 403, 403, 403, 403, 403))],
    "web.setup": [("/setup", ADMIN_ONLY)],
    "web.setup_municipality": [("POST /setup/municipality", _BAD_FOR_ADMIN)],
    "web.setup_schools": [("POST /setup/schools", _BAD_FOR_ADMIN)],
    "web.setup_profile": [("POST /setup/profile", _DONE_BY_ADMIN)],
    "web.setup_ticket": [("POST /setup/ticket", ADMIN_ONLY)],
    "web.setup_ticket_again": [("/setup/ticket", (302, 303, 303, 303, 303, 303, 303))],
    "web.setup_aside": [
        ("POST /setup/skip/calendar", _DONE_BY_ADMIN),
        ("POST /setup/resume/unknown", (302, 400, 400, 400, 400, 400, 400)),
    ],
    "web.setup_end": [("POST /setup/end", _DONE_BY_ADMIN)],
}


def fill(world: World) -> dict[str, Any]:
    """Add a ticket of the first school."""
    now = clock.now()
    place = tickets.Place(world.school, world.own_class)
    by = Principal.command_line()
    ticket = tickets.create(place, expires_at=now + timedelta(days=7), max_enrolments=28, by=by, now=now)[0]
    return {"ticket_id": ticket.id}
