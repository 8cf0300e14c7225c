"""What planning lessons refuses, in words, with what to do; by the field of the form that can put it right."""

from collections.abc import Mapping
from typing import Any

from fleet.errors import ConflictError, FleetError, InvalidError, NotFoundError
from fleet.web.texts import translated as _

Data = Mapping[str, Any]

# Where each reason is put right: a field of the form, or none.
_FIELD = {"day": "on", "past": "on", "never": "weekday", "times": "ends_at", "too long": "ends_at"}


def told(error: FleetError) -> dict[str, str] | None:
    """Return a refusal as words by field ("" is of none); None where the page for errors is to tell it."""
    data = error.data
    kind = data.get("kind")
    if isinstance(error, NotFoundError) and kind in {"lesson set", "profile", "published version"}:
        return {"set_id": _("This set is not offered any more. Choose another one.")}
    if kind == "lesson set" and isinstance(error, InvalidError):
        return {"set_id": _("Choose what the lesson gives.")}
    if kind != "lesson plan" or isinstance(error, NotFoundError):
        return None
    if isinstance(error, ConflictError):
        return {"": _conflict(data)}
    if isinstance(error, InvalidError):
        return {_FIELD.get(str(data.get("reason")), ""): invalid(data)}
    return None


def invalid(data: Data) -> str:
    """Say what is wrong with a plan."""
    known = {
        "day": _("Choose a date, or a weekday whose first date is before its last."),
        "times": _("The lesson has to end later than it begins, on the same day."),
        "past": _("That time has passed. Choose a later date."),
        "never": _("There is no school day in the coming year that this falls on."),
        "too long": _("That is longer than the school lets a lesson last."),
        "holder": _("Whoever holds the lesson has to teach the class."),
        "no lesson": _("There is no lesson on that date."),
        "not left out": _("That date is not left out any more."),
    }
    if data.get("reason") == "outside school hours":
        if data.get("begins_at") is None:
            return _("There is no school on that day.")
        begins, ends = (f"{data[name]:%H:%M}" for name in ("begins_at", "ends_at"))
        return _("That is outside school hours, which are from %(begins)s to %(ends)s.", begins=begins, ends=ends)
    return known.get(str(data.get("reason")), _("The lesson cannot be planned like this."))


def _conflict(data: Data) -> str:
    return {
        "another plan": _("The class has another planned lesson at that time. Take that one away first."),
        "withdrawn already": _("This is not planned any more."),
        "begun": _("That lesson has begun already. It can be ended instead."),
        "taken back": _("That lesson was taken back and cannot come back. Start it by hand when the time comes."),
    }.get(str(data.get("reason")), _("Something has changed in the meantime. Load the page again and look."))
