"""Taking a setting back: what was before and what came is kept with the server for an hour, for the one who changed it.

It is kept like a file that somebody has sent, since a notice's button can carry an address only. Whoever takes back
needs the same permission as for the change. What somebody else has decided since is left alone, and the page says so.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any

from flask import redirect, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock, uploads
from fleet.access import Permission, Principal, Role, require
from fleet.alerts import topics
from fleet.alerts.models import AlertTopic, Delivery
from fleet.db import transaction
from fleet.errors import NotFoundError
from fleet.schools import after_school, bells, calendar_editing, deciding
from fleet.schools import queries as schools
from fleet.schools.after_school import Programme
from fleet.schools.bells import Period, Weeks
from fleet.schools.calendar import Hours
from fleet.schools.calendar_editing import Days
from fleet.schools.changes import Change
from fleet.web import notices, signed_in
from fleet.web.blueprint import web
from fleet.web.places import own_page
from fleet.web.texts import translated as _

_KIND = "settings-undo"
Told = Mapping[str, Any]


def keep(told: Told, page: str, *, by: Principal, now: datetime) -> str:
    """Keep what takes a change back, in the running transaction; returns the address that does.

    Args:
        told: from one of the functions below.
        page: the address of the page where it was changed.
        by: who changes it.
        now: the instant.
    """
    kept = uploads.keep(json.dumps(told).encode(), file_name=_KIND, kind=_KIND, by=by, now=now)
    return url_for("web.settings_undo", name=kept.name, back=page)


def days(change: Days) -> Told:
    """Return decisions on dates as they are kept."""
    places = {**change.before, **change.after}
    rows = [[at, on.isoformat(), change.before.get((at, on)), change.after.get((at, on))] for at, on in places]
    return {"what": "days", "days": rows}


def hours(school_id: int | None, change: Change[int, Hours]) -> Told:
    """Return a place's own hours as they are kept."""
    before, after = ([[day, *map(_text, pair)] for day, pair in one.items()] for one in (change.before, change.after))
    return {"what": "hours", "school_id": school_id, "before": before, "after": after}


def periods(school_id: int | None, change: Weeks) -> Told:
    """Return a place's own bell times as they are kept."""
    before, after = (
        [[one.weekday, _text(one.starts_at), _text(one.ends_at)] for of_day in week.values() for one in of_day]
        for week in (change.before, change.after)
    )
    return {"what": "bells", "school_id": school_id, "before": before, "after": after}


def networks(school_id: int, before: Sequence[str] | None, after: Sequence[str] | None) -> Told:
    """Return a school's networks as they are kept."""
    return {"what": "networks", "school_id": school_id, "before": before, "after": after}


def longest(school_id: int, before: int, after: int) -> Told:
    """Return how long a lesson may be as it is kept."""
    return {"what": "longest", "school_id": school_id, "before": before, "after": after}


def programme(school_id: int, before: Sequence[Programme], after: Sequence[Programme]) -> Told:
    """Return a school's after-school programme as it is kept."""
    rows = (
        [[one.weekday, _text(one.starts_at), _text(one.ends_at), one.highest_grade] for one in week]
        for week in (before, after)
    )
    return {"what": "programme", "school_id": school_id, **dict(zip(("before", "after"), rows, strict=True))}


def alerts(school_id: int | None, before: topics.Decided, after: topics.Decided) -> Told:
    """Return who was to hear of what as it is kept."""
    rows = [[*key, before[key], after[key]] for key in before]
    return {"what": "alerts", "school_id": school_id, "chosen": rows}


def _text(moment: time) -> str:
    return moment.isoformat("minutes")


def _days_back(told: Told, by: Principal, now: datetime) -> int:
    before, after = (
        {(row[0], date.fromisoformat(row[1])): (row[place][0], row[place][1]) for row in told["days"] if row[place]}
        for place in (2, 3)
    )
    return calendar_editing.put_days_back(Change(before, after), by=by, now=now)


def _hours_back(told: Told, by: Principal, now: datetime) -> int:
    before, after = (
        {day: (time.fromisoformat(first), time.fromisoformat(last)) for day, first, last in told[which]}
        for which in ("before", "after")
    )
    return calendar_editing.put_week_back(Change(before, after), school_id=told["school_id"], by=by, now=now)


def _periods_back(told: Told, by: Principal, now: datetime) -> int:
    change = Change(_week(told["before"]), _week(told["after"]))
    return bells.put_back(told["school_id"], change, by=by, now=now)


def _week(rows: Iterable[Sequence[Any]]) -> dict[int, tuple[Period, ...]]:
    found = [Period(day, time.fromisoformat(first), time.fromisoformat(last)) for day, first, last in rows]
    return {day: tuple(one for one in found if one.weekday == day) for day in {one.weekday for one in found}}


def _programme_back(told: Told, by: Principal, now: datetime) -> int:
    before, after = (
        [Programme(day, time.fromisoformat(first), time.fromisoformat(last), grade) for day, first, last, grade in rows]
        for rows in (told["before"], told["after"])
    )
    if list(after_school.told(told["school_id"])) not in (after, before):
        return 1
    after_school.decide(told["school_id"], before, by=by, now=now)
    return 0


def _alerts_back(told: Told, by: Principal, now: datetime) -> int:
    before, after = (
        {(Role(row[0]), AlertTopic(row[1])): Delivery(row[place]) if row[place] else None for row in told["chosen"]}
        for place in (2, 3)
    )
    return topics.put_back(before, after, school_id=told["school_id"], by=by, now=now)


def _networks_back(told: Told, by: Principal, now: datetime) -> int:
    school = schools.visible_school(told["school_id"], by=by)
    return int(not deciding.put_networks_back(school, told["before"], told["after"], by=by, now=now))


def _longest_back(told: Told, by: Principal, now: datetime) -> int:
    school = schools.visible_school(told["school_id"], by=by)
    return int(not deciding.put_longest_lesson_back(school, told["before"], told["after"], by=by, now=now))


# Each returns how much somebody else has decided since, which is left alone.
_BACK: Mapping[str, Callable[[Told, Principal, datetime], int]] = MappingProxyType(
    {
        "days": _days_back,
        "hours": _hours_back,
        "bells": _periods_back,
        "networks": _networks_back,
        "longest": _longest_back,
        "programme": _programme_back,
        "alerts": _alerts_back,
    }
)
_BY_DAY = frozenset({"days", "hours", "bells"})


@web.post("/settings/undo/<name>")
def settings_undo(name: str) -> Response:
    """Put back what was before, as far as nobody has decided since."""
    by, now = signed_in.by(), clock.now()
    if all(by.school_ids(one) == frozenset() for one in (Permission.EDIT_CALENDAR, Permission.EDIT_ALERTS)):
        require(by, Permission.EDIT_CALENDAR)
    try:
        with transaction():
            kept = uploads.find(name, kind=_KIND, by=by, now=now)
            told: Told = json.loads(kept.content)
            left = _BACK[told["what"]](told, by, now)
            uploads.discard(kept)
    except NotFoundError:
        notices.warn_of_late_undo()
    else:
        if left:
            notices.warn(_left_words(told["what"], left))
        else:
            notices.tell(_("It is as it was before."))
    return redirect(own_page(request.args.get("back")), 303)


def _left_words(what: str, number: int) -> str:
    if what not in _BY_DAY and what != "alerts":
        return _("It was changed since, and stays as it is now.")
    if what == "alerts":
        return str(
            ngettext(
                "%(num)d choice was changed since and stays as it is now. The rest is as it was before.",
                "%(num)d choices were changed since and stay as they are now. The rest is as it was before.",
                number,
            )
        )
    return str(
        ngettext(
            "%(num)d day was changed since and stays as it is now. The rest is as it was before.",
            "%(num)d days were changed since and stay as they are now. The rest is as it was before.",
            number,
        )
    )
