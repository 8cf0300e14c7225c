"""What somebody does about findings, from a form to the domain and to the words of the next page, with a way back.

The same for several findings of the list and for one on its page: which button was pressed, a note, and a day.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Principal
from fleet.compliance import acting
from fleet.db import transaction
from fleet.errors import FleetError
from fleet.schools import calendar as calendars
from fleet.schools.calendar import Calendar
from fleet.web import notices, refusals_rules, signed_in, words_rules
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE
from fleet.web.places import own_page
from fleet.web.refusals_rules import Faults
from fleet.web.texts import translated as _
from fleet.web.values import date_of, whole

MOST = PAGE_SIZE  # findings of one page of the list
_MOST_TYPED = 1_000
_DAYS_AHEAD = 100  # longer than any holiday
_BACK = {"acknowledge": "wake", "snooze": "wake", "close": "reopen"}


@dataclass(frozen=True, slots=True)
class Typed:
    """What a form says: which button was pressed, which findings are chosen, the note and the day as typed."""

    act: str = ""
    ids: tuple[int, ...] = ()
    note: str = ""
    until: str = ""

    @staticmethod
    def read(ids: Sequence[str] | None = None) -> "Typed":
        """Return what the request's form says; ``ids`` where the address names the finding."""
        form = request.form
        chosen = {whole(one) for one in (form.getlist("id") if ids is None else ids)}
        note = form.get("note", "").replace("\0", "").strip()[:_MOST_TYPED]
        numbers = sorted(one for one in chosen if one is not None)[:MOST]
        return Typed(form.get("act", ""), tuple(numbers), note, form.get("until", "")[:10])


def first(school_id: int | None, now: datetime) -> Typed:
    """Return a form before anything is typed: the day is the next school day."""
    known = calendars.load(signed_in.timezone())
    return Typed(until=next_school_day(known.get(school_id, known[None]), now).isoformat())


def next_school_day(calendar: Calendar, now: datetime) -> date:
    """Return the first school day after today; tomorrow where there is none for months."""
    today = now.astimezone(signed_in.timezone()).date()
    days = (today + timedelta(days=ahead) for ahead in range(1, _DAYS_AHEAD))
    return next((day for day in days if calendar.is_school_day(day)), today + timedelta(days=1))


def answer(typed: Typed, back: str) -> Response | Faults:
    """Do what was asked for; returns the way back to a page, or what is wrong by the field's name.

    Args:
        typed: what was asked for.
        back: the address of the page that is shown next.

    Raises:
        FleetError: a refusal that is to be told on a page of its own.
    """
    if typed.act not in _acts():
        return {"": _("Choose what to do with the findings.")}
    if not typed.ids:
        return {"": _("Choose at least one finding.")}
    until = date_of(typed.until)
    if typed.act == "snooze" and until is None:
        return {"until": _("Choose the day when the finding is to come back.")}
    by, now = signed_in.by(), clock.now()
    try:
        with transaction():
            _acts()[typed.act](typed, until or now.date(), by, now)
    except FleetError as error:
        faults = refusals_rules.of_findings(error)
        if faults is None:
            raise
        return faults
    undo = _undo_address(typed.act, typed.ids, back)
    notices.tell(words_rules.done(typed.act, len(typed.ids)), undo=undo)
    return redirect(back, 303)


def _undo_address(act: str, ids: Collection[int], back: str) -> str | None:
    if act not in _BACK:
        return None
    return url_for("web.findings_undo", act=_BACK[act], ids="-".join(map(str, sorted(ids))), back=back)


_Act = Callable[[Typed, date, Principal, datetime], None]


def _acts() -> Mapping[str, _Act]:
    return {"acknowledge": _acknowledge, "snooze": _snooze, "wake": _wake, "close": _close, "reopen": _reopen}


def _acknowledge(typed: Typed, _until: date, by: Principal, now: datetime) -> None:
    acting.acknowledge(typed.ids, typed.note or None, by=by, now=now)


def _snooze(typed: Typed, until: date, by: Principal, now: datetime) -> None:
    acting.snooze(typed.ids, until, by=by, now=now, timezone=signed_in.timezone())


def _wake(typed: Typed, _until: date, by: Principal, now: datetime) -> None:
    acting.wake(typed.ids, by=by, now=now)


def _close(typed: Typed, _until: date, by: Principal, now: datetime) -> None:
    acting.close(typed.ids, typed.note or None, by=by, now=now)


def _reopen(typed: Typed, _until: date, by: Principal, now: datetime) -> None:
    for finding_id in typed.ids:
        acting.reopen(finding_id, by=by, now=now)


@web.post("/findings/undo")
def findings_undo() -> Response:
    """Take back what was done about findings: wake them, or open them again."""
    act = request.args.get("act", "")
    numbers = [whole(one) for one in request.args.get("ids", "").split("-")[:MOST]]
    ids = tuple(one for one in numbers if one is not None)
    back = own_page(request.args.get("back"))
    by, now = signed_in.by(), clock.now()
    if act not in _BACK.values() or not ids:
        return redirect(back, 303)
    try:
        with transaction():
            _acts()[act](Typed(act, ids), now.date(), by, now)
    except FleetError as error:
        faults = refusals_rules.of_findings(error)
        if faults is None:
            raise
        notices.warn(" ".join(faults.values()))
    else:
        notices.tell(words_rules.done(act, len(ids)))
    return redirect(back, 303)
