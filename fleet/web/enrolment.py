"""Enrolment: tablets that wait for approval, and the tickets with how far each has come."""

from flask import redirect, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission
from fleet.db import transaction
from fleet.devices import arrivals, bulk, tickets
from fleet.devices.models import DeviceLife
from fleet.errors import ForbiddenError
from fleet.web import notices, signed_in, words_enrolment
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.places import own_page
from fleet.web.texts import translated as _
from fleet.web.values import whole

_ENDED_SHOWN = 50
_MOST_AT_ONCE = 500


@web.get("/enrolment")
def enrolment() -> str:
    """Show who waits, and the tickets: the open ones first."""
    by, now = signed_in.by(), clock.now()
    if by.school_ids(Permission.MANAGE_TICKETS) == frozenset():
        raise ForbiddenError(permission=Permission.MANAGE_TICKETS.value)
    found = [(one, tickets.state(one, now)) for one in tickets.listed(by=by)]
    ended = [row for row in found if row[1] != "open"]
    return show(
        "enrolment",
        open_ones=[row for row in found if row[1] == "open"],
        ended=ended[:_ENDED_SHOWN],
        ended_count=len(ended),
        waiting=arrivals.waiting(by=by),
        words_enrolment=words_enrolment,
    )


@web.post("/enrolment/decide")
def enrolment_decide() -> Response:
    """Approve or decline tablets that wait: exactly those that the page showed."""
    by, now = signed_in.by(), clock.now()
    if by.school_ids(Permission.MANAGE_DEVICES) == frozenset():
        raise ForbiddenError(permission=Permission.MANAGE_DEVICES.value)
    told = (whole(one) for one in request.form.getlist("device_id")[:_MOST_AT_ONCE])
    step = "approve" if request.form.get("act") == "approve" else "decline"
    with transaction():
        found = bulk.step([one for one in told if one is not None], step, by=by, now=now)
    onwards = own_page(request.form.get("next") or url_for("web.enrolment"))
    if signed_in.is_refresh():  # the page stays, with the code on it, and only asks for its living part
        return redirect(onwards, 303)
    if not found.going:
        notices.warn(_("Somebody else has decided in the meantime. Nothing was changed."))
    elif step == "approve":
        notices.tell(ngettext("%(num)d tablet is approved.", "%(num)d tablets are approved.", len(found.going)))
    else:
        notices.tell(ngettext("%(num)d tablet is declined.", "%(num)d tablets are declined.", len(found.going)))
    return redirect(onwards, 303)


def is_waiting(one: arrivals.Arrival) -> bool:
    """Whether a tablet that came in waits for approval."""
    return one.is_open and one.device.life is DeviceLife.PENDING
