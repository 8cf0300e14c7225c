"""What is refused of tablets and their orders, in words, by the field it belongs to; told on the page one is on."""

from collections.abc import Mapping
from typing import Any

from fleet.devices.editing import MAX_TAG
from fleet.devices.losing import MAX_MESSAGE
from fleet.devices.notes import MAX_TEXT as MAX_NOTE
from fleet.errors import ConflictError, FleetError, InvalidError
from fleet.orders import MAX_TEXT, NotCarriedError, OrderClosedError, SamePersonError
from fleet.orders.kinds import LONGEST_UPDATE, MIN_REASON
from fleet.web.texts import translated as _

Faults = dict[str, str]
Data = Mapping[str, Any]


def faults(error: FleetError) -> Faults | None:
    """Return a refusal as faults by field, ``""`` where it is of none; None where the page for errors is to tell it."""
    if isinstance(error, InvalidError):
        return _invalid(error.data)
    if isinstance(error, SamePersonError):
        return {"": _("You asked for this yourself. Another person has to say yes.")}
    if isinstance(error, OrderClosedError):
        return {"": _("The order has ended in the meantime, or waits for nobody any more.")}
    if isinstance(error, NotCarriedError):
        return {"": _("The tablet cannot carry out such an order, so it was not queued.")}
    if isinstance(error, ConflictError):
        return _conflict(error.data)
    return None


def status(error: FleetError) -> int:
    """Return the status of a page that tells a refusal."""
    if isinstance(error, SamePersonError):
        return 403
    return 409 if isinstance(error, ConflictError) else 400


def told(error: FleetError) -> str | None:
    """Return a refusal as one text; None where the page for errors is to tell it."""
    found = faults(error)
    return " ".join(found.values()) if found is not None else None


def _invalid(data: Data) -> Faults | None:
    kind, field = data.get("kind"), str(data.get("field", ""))
    if kind == "order":
        return {field: _of_order(field, data)} if field != "tablets" else {"": _of_order(field, data)}
    known = {
        "note": ("text", _("A note has 1 to %(number)s characters.", number=MAX_NOTE)),
        "asset tag": ("asset_tag", _("An asset tag has at most %(number)s characters on one line.", number=MAX_TAG)),
        "cart": ("cart", _("A cart's name is one line of at most 64 characters.")),
        "tablet": ("place", _("The class or the pupil is of another school. Choose again.")),
        "confirmation": ("confirm", _("Type the number %(number)s to confirm.", number=data.get("expected"))),
        "place": ("place", _("Choose where the tablets go.")),
        "choice": (
            "",
            _(
                "So many tablets cannot be chosen at once: %(number)s at most. Narrow the list and do it in parts.",
                number=data.get("most"),
            ),
        ),
        "lost tablet": (
            field,
            _("A telephone number has digits, spaces and a + in front only.")
            if field == "phone"
            else _("A text has 1 to %(number)s characters on one line.", number=MAX_MESSAGE),
        ),
        "pupil": ("person", _("Choose the pupil who gets the tablet.")),
        "admin password": ("reason", _of_order("reason", data)),
    }
    found = known.get(str(kind))
    return {found[0]: found[1]} if found is not None else None


def _of_order(field: str, data: Data) -> str:
    if field == "tablets":
        most = data.get("most", 1)
        return _("So many tablets cannot have this at once: %(number)s at most. Choose fewer.", number=most)
    return {
        "text": _("A message has 1 to %(number)s characters.", number=MAX_TEXT),
        "url": _("That is no web address. It looks like https://nrk.no/skole."),
        "app": _("That is no app's id. It looks like no.school.app."),
        "version": _("A version is one to three numbers, such as 18.1."),
        "deadline": _("Choose a time to come, at most %(number)s days ahead.", number=LONGEST_UPDATE.days),
        "reason": _("Say why, in at least %(number)s characters.", number=MIN_REASON),
    }.get(field, _("Something is missing. Look at the form again."))


def _conflict(data: Data) -> Faults | None:
    kind = data.get("kind")
    if kind == "asset tag":
        return {"asset_tag": _("Another tablet has this asset tag.")}
    if kind in {"tablet", "tablet to locate"}:
        return {"": _("The tablet has changed in the meantime, so this cannot be done. Look at it again.")}
    return None
