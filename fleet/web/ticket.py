"""One ticket: the tablets as they come in, its sheets, and its end."""

from typing import Any

from flask import Response, current_app, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from fleet import clock
from fleet.android import coming
from fleet.config import Config
from fleet.db import transaction
from fleet.devices import arrivals, sheet, tickets
from fleet.devices.models import Ticket
from fleet.errors import ConflictError, FleetError
from fleet.web import bars, notices, signed_in, words_enrolment
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.texts import translated as _

REFRESH_S = 3  # somebody stands beside the tablets and looks
_ADDRESS = "/enrolment/<int(max=2147483647):ticket_id>"


@web.get(_ADDRESS)
def ticket(ticket_id: int) -> str:
    """Show a ticket and the tablets as they come in."""
    return show("ticket", **standing(tickets.get(ticket_id, by=signed_in.by())))


def standing(found: Ticket) -> dict[str, Any]:
    """Return what the living part of a ticket's page shows."""
    by, now = signed_in.by(), clock.now()
    counts = arrivals.steps(found)
    place = tickets.Place(found.school, found.school_class, found.cart)
    return {
        "ticket": found,
        "state": tickets.state(found, now),
        "come": arrivals.of_ticket(found, by=by),
        "come_count": sum(counts.values()) - counts.get("pending", 0),
        "waiting": arrivals.waiting(ticket=found, by=by),
        "waiting_count": arrivals.waiting_count(ticket=found, by=by),
        "refused": arrivals.refusals(found, now=now),
        "expected": arrivals.expected(found, by=by),
        "expected_count": tickets.expected_at(place, by=by),
        "parts": bars.ticket_parts(counts, left=found.max_enrolments - found.used_count),
        "words_enrolment": words_enrolment,
        "is_refresh": signed_in.is_refresh(),
        "own_address": url_for("web.ticket", ticket_id=found.id),
        "refresh_s": REFRESH_S,
    }


@web.post(f"{_ADDRESS}/revoke")
def ticket_revoke(ticket_id: int) -> AnyResponse:
    """End a ticket."""
    try:
        with transaction():
            tickets.revoke(ticket_id, by=signed_in.by(), now=clock.now())
    except ConflictError:
        notices.warn(_("The ticket was revoked already."))
    else:
        notices.tell(_("The ticket is revoked. Its code takes in no more tablets; those that have come stay."))
    return redirect(url_for("web.ticket", ticket_id=ticket_id), 303)


@web.post(f"{_ADDRESS}/sheet")
def ticket_sheet(ticket_id: int) -> AnyResponse:
    """Print a ticket: one large code, or a card for each pupil of its class. The form brings the code."""
    by, now = signed_in.by(), clock.now()
    config: Config = current_app.extensions["fleet_config"]
    own = tickets.get(ticket_id, by=by)
    try:
        found, code = tickets.with_code(ticket_id, request.form.get("code", "")[:100], by=by)
    except FleetError:
        notices.warn(_("That is not this ticket's code, so there is nothing to print. Make a new ticket."))
        return redirect(url_for("web.ticket", ticket_id=own.id), 303)
    public_url, timezone = config.public_url, config.timezone
    if request.form.get("form") == "cards" and found.school_class is not None:
        today = now.astimezone(timezone).date()
        holders = [(one.name, one.tablet) for one in arrivals.pupils(found.school_class, by=by, today=today)]
        if holders:
            return _pdf(
                sheet.make_cards(found, code, holders, public_url=public_url, timezone=timezone),
                f"billett-{found.id}-kort.pdf",
            )
    android = coming.printed(code, public_url)
    made = sheet.make(found, code, public_url=public_url, timezone=timezone, android=android)
    return _pdf(made, f"billett-{found.id}.pdf")


def _pdf(content: bytes, name: str) -> Response:
    """Return a file to print; nobody keeps it on the way, as it is a key."""
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, mimetype="application/pdf", headers=headers)
