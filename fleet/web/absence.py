"""Who of a class is away: noted by a teacher in a few taps, and taken back; why is never asked."""

from collections.abc import Collection
from datetime import date

from flask import redirect, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock
from fleet.db import transaction
from fleet.errors import InvalidError
from fleet.schools import absences
from fleet.schools import finding as places_of
from fleet.web import notices, signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.places import own_page
from fleet.web.texts import translated as _
from fleet.web.values import date_of, whole

_ADDRESS = "/classes/<int(max=2147483647):class_id>/absence"
_MOST = 500  # pupils in one form
Faults = dict[str, str]


def today() -> date:
    """Return the schools' date."""
    return clock.now().astimezone(signed_in.timezone()).date()


@web.get(_ADDRESS)
def class_absence(class_id: int) -> str:
    """Show who of a class is away today."""
    return _page(class_id)


@web.post(_ADDRESS)
def class_absence_enter(class_id: int) -> Response | tuple[str, int]:
    """Note that some pupils are away; without a last date, today only."""
    by, now = signed_in.by(), clock.now()
    known = {one.person_id for one in absences.of_class(class_id, today(), by=by)}
    typed = request.form.get("first", "")[:10], request.form.get("last", "")[:10]
    chosen = {one for one in map(whole, request.form.getlist("pupil")[:_MOST]) if one in known and one is not None}
    first = date_of(typed[0])
    last = date_of(typed[1]) if typed[1] else first
    faults: Faults = {}
    if not chosen:
        faults["pupils"] = _("Choose at least one pupil.")
    if first is None or last is None:
        faults["first"] = _("Write dates such as 2026-10-05.")
    if not faults and first is not None and last is not None:
        try:
            with transaction():
                count = absences.enter(chosen, first, last, by=by, now=now)
        except InvalidError:
            faults["last"] = _("The last day must be the first or a later one, at most a year away.")
    if faults:
        return _page(class_id, chosen=chosen, typed=typed, faults=faults), 400
    notices.tell(ngettext("%(num)d pupil is noted as away.", "%(num)d pupils are noted as away.", count))
    return redirect(url_for("web.class_absence", class_id=class_id), 303)


@web.post("/absences/<int(max=2147483647):absence_id>/remove")
def absence_remove(absence_id: int) -> Response:
    """Take an absence back: the pupil is here."""
    with transaction():
        absences.remove([absence_id], by=signed_in.by(), now=clock.now())
    notices.tell(_("The pupil is not away any more."))
    return redirect(own_page(request.args.get("back")), 303)


def _page(
    class_id: int,
    *,
    chosen: Collection[int] = (),
    typed: tuple[str, str] | None = None,
    faults: Faults | None = None,
) -> str:
    by, on = signed_in.by(), today()
    pupils = absences.of_class(class_id, on, by=by)
    return show(
        "class_absence",
        school_class=places_of.seen_class(class_id, by=by),
        pupils=pupils,
        today=on,
        chosen=chosen,
        typed=typed or (on.isoformat(), ""),
        faults=faults or {},
    )
