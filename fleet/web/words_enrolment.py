"""Tickets and tablets that come in, in words: where, for whom, how far, and what to do where one was refused."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.devices.arrivals import Arrival
from fleet.devices.models import Device, Ticket
from fleet.web.texts import translated as _
from fleet.web.words import BAD, GOOD, NEUTRAL, WAITING, Told

FETCHED = "info"


def place(ticket: Ticket) -> str:
    """Name where a ticket takes tablets in."""
    if ticket.school_class is not None:
        return _("Class %(title)s", title=ticket.school_class.title)
    if ticket.cart is not None:
        return cart(ticket.cart)
    return _("The whole school")


def cart(name: str) -> str:
    """Name a cart; one that is called a cart already is not called so twice."""
    said = _("Cart %(name)s", name="").strip().casefold()
    return name if name.casefold().startswith(said) else _("Cart %(name)s", name=name)


def state(one: str) -> Told:
    """Say whether a ticket can still be used."""
    return {
        "open": Told(_("Can be used"), GOOD),
        "revoked": Told(_("Revoked"), NEUTRAL),
        "expired": Told(_("Expired"), NEUTRAL),
        "exhausted": Told(_("Used up"), NEUTRAL),
    }[one]


def who(ticket: Ticket) -> str:
    """Say whom a ticket takes in."""
    if ticket.listed_only:
        return _("only tablets on the delivery list")
    if ticket.asks:
        return _("other tablets wait for approval")
    return _("every tablet")


def step(arrival: Arrival) -> Told:
    """Say how far a tablet has come; of one that is not this reader's to see any more, only that it has gone on."""
    if not arrival.is_seen:
        return Told(_("Is at another school now"), NEUTRAL)
    return {
        "pending": Told(_("Waits for approval"), WAITING),
        "left": Told(_("Has left again"), NEUTRAL),
        "enrolled": Told(_("Enrolled"), NEUTRAL),
        "fetched": Told(_("Has fetched its profile"), FETCHED),
        "applied": Told(_("Has its profile"), GOOD),
        "failed": Told(_("Has its profile, not all settings"), WAITING),
    }[arrival.step]


def whose(device: Device) -> str:
    """Say where a tablet stands: its pupil, class, cart or nothing of these."""
    if device.person is not None:
        return f"{device.person.given_name} {device.person.family_name}"
    if device.school_class is not None:
        return device.school_class.title
    return device.cart or ""


def refused(code: str) -> tuple[str, str]:
    """Say why a tablet was refused, and what to do about it; a reason that we do not know is shown as it is."""
    return _refused().get(code, (code, _("Look at the message on the tablet.")))


def _refused() -> Mapping[str, tuple[str, str]]:
    return MappingProxyType(
        {
            "serial-not-listed": (
                _("It is not on the delivery list."),
                _("Add it to the list, or make a ticket that lets others wait for approval."),
            ),
            "ticket-foreign": (
                _("It belongs to another school."),
                _("Use a ticket of that school, or move the tablet first."),
            ),
            "ticket-expired": (_("The ticket's time is over."), _("Make a new ticket.")),
            "ticket-exhausted": (
                _("The ticket has no places left."),
                _("Make a new ticket for the tablets that remain."),
            ),
            "ticket-revoked": (_("The ticket is revoked."), _("Make a new ticket.")),
            "device-lost": (
                _("It is reported lost."),
                _("If it is back: open the tablet's page and report it found. Then enrol again."),
            ),
            "device-retired": (
                _("It is out of use, or was declined."),
                _("Open the tablet's page and take it into use again. Then enrol again."),
            ),
            "device-in-use": (
                _("A tablet with this serial was in use a moment ago."),
                _("If it was wiped: wait a quarter of an hour and try again."),
            ),
            "revoked": (
                _("Its key was taken back while it enrolled."),
                _("Start the enrolment on the tablet once more."),
            ),
        }
    )


def colour_of(refusal_code: str) -> str:
    """Return the colour of a refusal: what may be a theft is not like what is a slip."""
    return BAD if refusal_code == "device-lost" else WAITING
