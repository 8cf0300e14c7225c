"""Enrolment: tablets that wait for approval, and the tickets with how far each has come."""

from flask import redirect, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission
from fleet.db import transaction
from fleet.devices import approval, arrivals, tickets
from fleet.devices.approval import Decided
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
        waiting_count=arrivals.waiting_count(by=by),
        words_enrolment=words_enrolment,
        is_refresh=signed_in.is_refresh(),
    )


@web.post("/enrolment/decide")
def enrolment_decide() -> Response:
    """Approve or decline tablets that wait: exactly those that the page showed, with the keys it showed."""
    by, now = signed_in.by(), clock.now()
    if by.school_ids(Permission.MANAGE_DEVICES) == frozenset():
        raise ForbiddenError(permission=Permission.MANAGE_DEVICES.value)
    told = (whole(one) for one in request.form.getlist("enrolment_id")[:_MOST_AT_ONCE])
    deed = request.form.get("act", "")
    with transaction():
        found = approval.decide([one for one in told if one is not None], deed, by=by, now=now)
    _tell(found, deed)
    # Where a script sent it, the page stays, with the code on it, and asks for its living part and the notice.
    return redirect(own_page(request.form.get("next") or url_for("web.enrolment")), 303)


def _tell(found: Decided, deed: str) -> None:
    if found.count and deed == "approve":
        notices.tell(ngettext("%(num)d tablet is approved.", "%(num)d tablets are approved.", found.count))
    elif found.count:
        notices.tell(ngettext("%(num)d tablet is declined.", "%(num)d tablets are declined.", found.count))
    if found.anew:
        notices.warn(
            ngettext(
                "%(num)d tablet has enrolled anew and has another match code now. Compare it before you decide.",
                "%(num)d tablets have enrolled anew and have other match codes now. Compare them before you decide.",
                found.anew,
            )
        )
    elif not found.count:
        notices.warn(_("Somebody else has decided in the meantime. Nothing was changed."))
