"""What making a ticket refuses, in words and by the form's field."""

from fleet.devices.tickets import MAX_CART, MAX_ENROLMENTS, MAX_LIFE
from fleet.errors import FleetError, InvalidError
from fleet.web.texts import translated as _


def told(error: FleetError) -> dict[str, str] | None:
    """Return a refusal in words, by field; None where the page for errors is to tell it."""
    if not isinstance(error, InvalidError):
        return None
    if error.data.get("kind") == "cart":
        return {"cart": _("A cart's name is one line of at most %(number)s characters.", number=MAX_CART)}
    if error.data.get("kind") != "ticket":
        return None
    if error.data["reason"] == "expiry":
        return {"until": _("Choose an end in the future, at most %(number)s days ahead.", number=MAX_LIFE.days)}
    if error.data["reason"] == "number":
        return {"number": _("Say for how many tablets: 1 to %(number)s.", number=MAX_ENROLMENTS)}
    return {"": _("Choose the school, and there a class or a cart.")}
