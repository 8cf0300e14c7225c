"""Taking a setting back: what was before is kept with the server for an hour, for the one who changed it.

It is kept like a file that somebody has sent, since a notice's button can carry an address only. Whoever takes back
needs the same permission as for the change.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock, uploads
from fleet.access import Permission, Principal, require
from fleet.db import transaction
from fleet.schools import bells, calendar_editing, deciding
from fleet.schools import queries as schools
from fleet.schools.bells import Period
from fleet.schools.calendar import Hours
from fleet.schools.calendar_editing import Decision
from fleet.web import notices, signed_in
from fleet.web.blueprint import web
from fleet.web.places import own_page
from fleet.web.texts import translated as _

_KIND = "settings-undo"
Told = Mapping[str, Any]


def keep(what: str, told: Told, *, by: Principal, now: datetime) -> str:
    """Keep what was before, in the running transaction; returns the address that puts it back.

    Args:
        what: ``days``, ``hours``, ``bells``, ``networks`` or ``longest``.
        told: from the function of that name.
        by: who changes it.
        now: the instant.
    """
    content = json.dumps({"what": what, **told}).encode()
    kept = uploads.keep(content, file_name=_KIND, kind=_KIND, by=by, now=now)
    return url_for("web.settings_undo", name=kept.name, back=request.path)


def days(former: Iterable[Decision]) -> Told:
    """Return decisions on dates as they are kept."""
    return {"days": [[one.school_id, one.on.isoformat(), one.is_school_day, one.title] for one in former]}


def hours(school_id: int | None, former: Mapping[int, Hours]) -> Told:
    """Return a place's own hours as they are kept."""
    return {"school_id": school_id, "hours": [[day, *map(_text, pair)] for day, pair in former.items()]}


def periods(school_id: int | None, former: Iterable[Period]) -> Told:
    """Return a place's own bell times as they are kept."""
    rows = [[one.weekday, _text(one.starts_at), _text(one.ends_at)] for one in former]
    return {"school_id": school_id, "periods": rows}


def _text(moment: time) -> str:
    return moment.isoformat("minutes")


def _days_back(told: Told, by: Principal, now: datetime) -> None:
    former = [Decision(at, date.fromisoformat(on), is_school, title) for at, on, is_school, title in told["days"]]
    calendar_editing.put_back(former, by=by, now=now)


def _hours_back(told: Told, by: Principal, now: datetime) -> None:
    former = {day: (time.fromisoformat(first), time.fromisoformat(last)) for day, first, last in told["hours"]}
    for weekday in range(7):
        calendar_editing.set_hours(weekday, former.get(weekday), school_id=told["school_id"], by=by, now=now)


def _periods_back(told: Told, by: Principal, now: datetime) -> None:
    former = [Period(day, time.fromisoformat(first), time.fromisoformat(last)) for day, first, last in told["periods"]]
    bells.set_periods(told["school_id"], former, by=by, now=now)


def _networks_back(told: Told, by: Principal, now: datetime) -> None:
    school = schools.visible_school(told["school_id"], by=by)
    deciding.set_networks(school, told["ranges"], by=by, now=now)


def _longest_back(told: Told, by: Principal, now: datetime) -> None:
    school = schools.visible_school(told["school_id"], by=by)
    deciding.set_longest_lesson(school, told["minutes"], by=by, now=now)


_BACK: Mapping[str, Callable[[Told, Principal, datetime], None]] = MappingProxyType(
    {
        "days": _days_back,
        "hours": _hours_back,
        "bells": _periods_back,
        "networks": _networks_back,
        "longest": _longest_back,
    }
)


@web.post("/settings/undo/<name>")
def settings_undo(name: str) -> Response:
    """Put back what was before."""
    by, now = signed_in.by(), clock.now()
    if by.school_ids(Permission.EDIT_CALENDAR) == frozenset():
        require(by, Permission.EDIT_CALENDAR)
    with transaction():
        kept = uploads.find(name, kind=_KIND, by=by, now=now)
        told: Told = json.loads(kept.content)
        _BACK[told["what"]](told, by, now)
        uploads.discard(kept)
    notices.tell(_("It is as it was before."))
    return redirect(own_page(_page_of(request.args.get("back", ""))), 303)


def _page_of(path: str) -> str:
    """Return the page whose form was sent to ``path``: it lies above, unless it is a page itself."""
    for ending in ("/days", "/import"):
        before, found, _after = path.rpartition(ending)
        if found:
            return before
    return path
