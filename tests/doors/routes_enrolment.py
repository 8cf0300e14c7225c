"""Who gets what: enrolment, imports and the first run."""

from datetime import timedelta
from typing import Any

from fleet import clock
from fleet.access import Principal
from fleet.devices import tickets
from tests.doors.policy import Routes
from tests.visiting import World

_STAFF = (302, 200, 200, 200, 403, 403, 403)
_OWN = (302, 200, 200, 404, 404, 404, 404)
_OWN_FORM = (302, 303, 303, 404, 404, 404, 404)

ROUTES: Routes = {
    "web.enrolment": [("/enrolment", _STAFF)],
    "web.enrolment_decide": [("POST /enrolment/decide", (302, 303, 303, 303, 403, 403, 403))],
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
}


def fill(world: World) -> dict[str, Any]:
    """Add a ticket of the first school."""
    now = clock.now()
    place = tickets.Place(world.school, world.own_class)
    by = Principal.command_line()
    ticket = tickets.create(place, expires_at=now + timedelta(days=7), max_enrolments=28, by=by, now=now)[0]
    return {"ticket_id": ticket.id}
