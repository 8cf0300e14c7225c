"""What lessons refuse, in words, with what to do; told on the page the person is on.

A lesson that does not exist, or not for the one who asks, is no such refusal: it is the ordinary page for that.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fleet.errors import ConflictError, FleetError, InvalidError, NotFoundError
from fleet.lessons.life import LessonOverError, OutsideSchoolHoursError, TooLongError
from fleet.orders import MAX_TEXT, NotCarriedError
from fleet.web import refusals_plans
from fleet.web.formats import hour
from fleet.web.texts import translated as _

Data = Mapping[str, Any]

_HERE = frozenset({"lesson set", "profile", "published version", "tablet in the lesson", "account"})  # not found: told


def told(error: FleetError) -> str | None:
    """Return a refusal in words; None where the page for errors is to tell it."""
    for kind, words in _BY_ERROR.items():
        if isinstance(error, kind):
            return words(error.data)
    if isinstance(error, NotFoundError):
        return _not_found(error.data) if error.data.get("kind") in _HERE else None
    if isinstance(error, InvalidError):
        return _invalid(error.data)
    if isinstance(error, ConflictError) and error.data.get("kind") == "lesson":
        return _conflict(error.data)
    return None


def _conflict(data: Data) -> str:
    if data.get("reason") == "moved again":
        return _("The end was moved again since: to %(time)s. It stays so.", time=hour(data["ends_at"]))
    return _("No tablet is enrolled for this class. School IT can enrol tablets and say whose they are.")


def status(error: FleetError) -> int:
    """Return the status of a page that tells a refusal."""
    if isinstance(error, OutsideSchoolHoursError):
        return 403
    return 409 if isinstance(error, ConflictError | NotFoundError) else 400


def outside_hours(data: Data) -> str:
    """Say when there is school; ``data`` has the day's local hours, or None."""
    if data["begins_at"] is None:
        return _("There is no school today, so no lesson can be started. School IT can do it for you.")
    begins, ends = (f"{data[name]:%H:%M}" for name in ("begins_at", "ends_at"))
    return _(
        "Lessons can be started in school hours, today from %(begins)s to %(ends)s. School IT can do it for you.",
        begins=begins, ends=ends,
    )  # fmt: skip


def _too_long(data: Data) -> str:
    latest = hour(data["latest"])
    if data["because"] == "school-day":
        return _("The school day ends at %(time)s, and the lesson with it.", time=latest)
    return _("A lesson can last until %(time)s at most: the school has decided how long one may be.", time=latest)


def _over(data: Data) -> str:
    return _("The lesson ended at %(time)s, so nothing was changed.", time=hour(data["ended_at"]))


def _not_carried(data: Data) -> str:
    return _("%(number)s of these tablets cannot do that, so nothing was sent.", number=data["count"])


_BY_ERROR: Mapping[type[FleetError], Callable[[Data], str]] = MappingProxyType(
    {
        OutsideSchoolHoursError: outside_hours,
        TooLongError: _too_long,
        LessonOverError: _over,
        NotCarriedError: _not_carried,
    }
)


def _not_found(data: Data) -> str:
    return {
        "lesson set": _("This set is not offered any more. Choose another one."),
        "profile": _("The set's profile is not there any more. Choose another set."),
        "published version": _("The set's profile is not published yet. Choose another set, or ask school IT."),
        "tablet in the lesson": _("The tablet is not in this lesson any more. Look at the list again."),
        "account": _("The colleague is not there any more. Choose another one."),
    }[str(data["kind"])]


def _invalid(data: Data) -> str | None:
    kind = data.get("kind")
    if kind == "lesson set":
        return _of_set(data)
    if kind == "order":
        return _of_order(data)
    if kind == "lesson plan":
        return refusals_plans.invalid(data)
    if kind != "lesson":
        return None
    if "until" in data:
        return _("That end has passed. Choose another one.")
    return _("The colleague has no role at this school, so the lesson cannot be handed over.")


def _of_order(data: Data) -> str:
    told = {
        "url": _("That is no web address that can be opened. It looks like nrk.no/skole."),
        "app": _("That is no app that can be opened. Choose one of the list."),
    }
    return told.get(str(data["field"]), _("A message has 1 to %(number)s characters.", number=MAX_TEXT))


def _of_set(data: Data) -> str:
    found = data.get("found")
    known = {
        "app": _("“%(found)s” is no app's id. It looks like no.school.app.", found=found),
        "address": _("“%(found)s” is no web address. It looks like nrk.no.", found=found),
        "text": _("The text is too long, or has signs that a tablet cannot show."),
        "none chosen": _("Choose what to start with."),
        "lock": _("Tablets can be locked to one app only. Choose one."),
    }
    if data["reason"] == "missing":
        return _("Choose at least one app.") if data["expected"] == "apps" else _("Write at least one web address.")
    return known.get(str(data["reason"]), _("The tablets cannot do what you have chosen. Choose something else."))
