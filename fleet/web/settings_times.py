"""When school begins and ends, and when it rings, weekday by weekday: of a school, or of the municipality."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time

from flask import redirect as redirect_to
from flask import render_template, request
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Principal
from fleet.db import transaction
from fleet.errors import InvalidError
from fleet.schools import bells, calendar_editing
from fleet.schools import calendar as calendars
from fleet.schools.bells import Period, Weeks
from fleet.schools.calendar import BELLS_OF_A_DAY
from fleet.web import notices, refusals_settings, settings_undo, signed_in, words_calendar
from fleet.web.settings_place import Place, at_places, place
from fleet.web.texts import translated as _
from fleet.web.typed_hours import WEEK, Faults, TypedHours
from fleet.web.values import whole

_SPAN = re.compile(r"([01]?\d|2[0-3])[:.]?([0-5]\d)\s*[-\N{EN DASH}]\s*([01]?\d|2[0-3])[:.]?([0-5]\d)")
_MAX_LINES = 40
_HEIGHT_MIN = 15  # a picture's day ends at a whole quarter


@at_places("GET", "/times")
def settings_times(school_id: int | None) -> str:
    """Show hours and bells."""
    return _page(place(school_id))


@at_places("POST", "/times/hours")
def settings_hours(school_id: int | None) -> Response | tuple[str, int]:
    """Decide on the hours of all weekdays; what is left empty is as the municipality says."""
    at, typed = place(school_id), TypedHours.of(request.form)
    wanted, faults = typed.read()
    if faults:
        return _page(at, typed_hours=typed, faults=faults), 400
    by, now = signed_in.by(), clock.now()
    page = at.address("settings_times")
    with transaction():
        change = calendar_editing.set_week(wanted, school_id=at.school_id, by=by, now=now)
        undo = settings_undo.keep(settings_undo.hours(at.school_id, change), page, by=by, now=now)
    notices.tell(_("The school hours are saved."), undo=undo)
    return redirect_to(page, 303)


@at_places("POST", "/times/bells")
def settings_bells(school_id: int | None) -> Response | tuple[str, int]:
    """Decide on the bell times of some weekdays; the others stay as they are."""
    at = place(school_id)
    days = [day for day in WEEK if str(day) in request.form.getlist("days")]
    text = request.form.get("periods", "")[:2000]
    spans, faults = _spans(text)
    if not days:
        faults["days"] = _("Choose at least one weekday.")
    if faults:
        return _page(at, periods_text=text, chosen=days, faults=faults), 400
    return _set_bells(at, text, days, lambda by, now: bells.set_days(at.school_id, days, spans, by=by, now=now))


@at_places("POST", "/times/bells/forget")
def settings_bells_forget(school_id: int | None) -> Response | tuple[str, int]:
    """Forget a place's own bell times: a school goes by the municipality's again."""
    at = place(school_id)
    return _set_bells(at, "", [], lambda by, now: bells.set_periods(at.school_id, [], by=by, now=now))


def _set_bells(
    at: Place, text: str, days: Sequence[int], decide: Callable[[Principal, datetime], Weeks]
) -> Response | tuple[str, int]:
    by, now = signed_in.by(), clock.now()
    page = at.address("settings_times")
    try:
        with transaction():
            undo = settings_undo.keep(settings_undo.periods(at.school_id, decide(by, now)), page, by=by, now=now)
    except InvalidError as error:
        faults = {"periods": refusals_settings.bells(error)}
        return _page(at, periods_text=text, chosen=days, faults=faults), 400
    notices.tell(_("The bell times are saved."), undo=undo)
    return redirect_to(page, 303)


def _spans(text: str) -> tuple[list[tuple[time, time]], Faults]:
    """Return the periods of a day as they are written, one a line, and what is wrong."""
    found = []
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    for number, line in lines[:_MAX_LINES]:
        match = _SPAN.fullmatch(line)
        if match is None:
            words = _("Line %(line)s: “%(found)s” is no period. It looks like 08:30-09:15.", line=number, found=line)
            return [], {"periods": words}
        first_h, first_min, last_h, last_min = map(int, match.groups())
        found.append((time(first_h, first_min), time(last_h, last_min)))
    return found, {}


@dataclass(frozen=True, slots=True)
class Block:
    """A period in the picture of the week: minutes from the picture's top."""

    period: Period
    top: int
    height: int


def _picture(periods: Sequence[Period]) -> tuple[dict[int, list[Block]], Sequence[int], int]:
    """Return the blocks of each weekday, the whole hours with their places, and the picture's height in minutes."""
    if not periods:
        return {}, [], 0
    first = min(_minutes(one.starts_at) for one in periods) // 60 * 60
    last = -(-max(_minutes(one.ends_at) for one in periods) // _HEIGHT_MIN) * _HEIGHT_MIN
    blocks: dict[int, list[Block]] = {}
    for one in periods:
        top = _minutes(one.starts_at)
        blocks.setdefault(one.weekday, []).append(Block(one, top - first, _minutes(one.ends_at) - top))
    return blocks, range(first // 60, last // 60 + 1), last - first


def _minutes(moment: time) -> int:
    return moment.hour * 60 + moment.minute


def _page(
    at: Place,
    *,
    typed_hours: TypedHours | None = None,
    periods_text: str | None = None,
    chosen: Sequence[int] | None = None,
    faults: Faults | None = None,
) -> str:
    own_hours = calendar_editing.own_hours(at.school_id)
    periods, is_own = bells.told(at.school_id)
    asked = whole(request.args.get("day"))
    day = asked if asked is not None and asked in WEEK else None
    blocks, hours, height = _picture(periods)
    of_day = "\n".join(
        words_calendar.hours((one.starts_at, one.ends_at)) for one in periods if one.weekday == (day or 0)
    )
    pairs = {number: tuple(map(words_calendar.at, own_hours[number])) for number in own_hours}
    return render_template(
        "settings_times.html",
        place=at,
        page_here="settings_times",
        undecided=calendars.undecided(at.school_id),
        bells_of_a_day=int(BELLS_OF_A_DAY.total_seconds() // 3600),
        typed=typed_hours.pairs
        if typed_hours is not None
        else {number: pairs.get(number, ("", "")) for number in WEEK},
        is_own=is_own,
        shown_days=sorted({*range(5), *blocks}),
        blocks=blocks,
        hours=hours,
        height=height,
        periods_text=periods_text if periods_text is not None else of_day,
        chosen=chosen if chosen is not None else [day] if day is not None else list(range(5)),
        day=day,
        faults=faults or {},
    )
