"""The school year of a school, or of the municipality: a picture of it, and deciding on its days."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from flask import redirect as redirect_to
from flask import render_template, request
from werkzeug.wrappers import Response

from fleet import clock
from fleet.db import transaction
from fleet.schools import calendar as calendars
from fleet.schools import calendar_editing
from fleet.schools.calendar import Origin
from fleet.schools.calendar_editing import FIRST_YEAR, LAST_YEAR, MAX_TITLE, title_of
from fleet.schools.calendar_ics import MAX_RANGE_DAYS
from fleet.web import nav, notices, school_year, settings_undo, signed_in, words_calendar
from fleet.web.settings_place import Place, at_places, place
from fleet.web.texts import translated as _
from fleet.web.values import date_of, whole

_OFF, _SCHOOL, _AS_ELSE = "off", "school", "as-else"
_MANY_SCHOOL_DAYS = 200  # of a year; 190 are usual: 38 weeks. Source: opplæringslova, section 14-1
Faults = dict[str, str]


@dataclass(frozen=True, slots=True)
class Typed:
    """What the form says of some days, as it was typed."""

    first: str = ""
    last: str = ""
    answer: str = _OFF
    title: str = ""

    @staticmethod
    def of(values: Mapping[str, str]) -> "Typed":
        """Return what a form or an address says."""
        answer = values.get("answer", _OFF)
        return Typed(
            values.get("first", "")[:10],
            values.get("last", "")[:10],
            answer if answer in {_OFF, _SCHOOL, _AS_ELSE} else _OFF,
            values.get("title", "")[:255],
        )

    def dates(self) -> tuple[date | None, date | None]:
        """Return first and last date; None where one is none. Without a last one it is the first."""
        first = date_of(self.first)
        return first, date_of(self.last) if self.last else first

    def faults(self) -> Faults:
        """Return what is wrong, by field."""
        found: Faults = {}
        first, last = self.dates()
        if first is None:
            found["first"] = _("Choose a date from %(first)s to %(last)s.", first=str(FIRST_YEAR), last=str(LAST_YEAR))
        elif last is None or not 0 <= (last - first).days < MAX_RANGE_DAYS:
            found["last"] = _("Choose a later date, at most %(number)s days in all.", number=MAX_RANGE_DAYS)
        if self.answer != _AS_ELSE and title_of(self.title) is None:
            found["title"] = _("Write what it is, with at most %(number)s characters.", number=MAX_TITLE)
        return found


@at_places("GET")
def school_settings(school_id: int | None) -> str:
    """Show a school year."""
    return _page(place(school_id), Typed.of(request.args))


@at_places("POST", "/days")
def settings_days(school_id: int | None) -> Response | tuple[str, int]:
    """Decide on some days, or take decisions back."""
    at, typed = place(school_id), Typed.of(request.form)
    faults = typed.faults()
    first, last = typed.dates()
    if faults or first is None or last is None:
        return _page(at, typed, faults), 400
    by, now = signed_in.by(), clock.now()
    dates = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    answer = None if typed.answer == _AS_ELSE else (typed.answer == _SCHOOL, typed.title)
    page = at.address("school_settings", year=school_year.year_of(first))
    with transaction():
        change = calendar_editing.set_days(dates, answer, school_id=at.school_id, by=by, now=now)
        if answer is None and not change.before:
            return _page(at, typed, {"first": _("Nothing is decided here for these days.")}), 409
        undo = settings_undo.keep(settings_undo.days(change), page, by=by, now=now)
    notices.tell(_("%(days)s: changed.", days=words_calendar.stretch(first, last)), undo=undo)
    return redirect_to(page, 303)


def _page(at: Place, typed: Typed, faults: Faults | None = None) -> str:
    today = clock.now().astimezone(signed_in.timezone()).date()
    chosen = typed.dates()[0]
    told = whole(request.args.get("year"))
    year = told if told is not None and FIRST_YEAR <= told < LAST_YEAR else school_year.year_of(chosen or today)
    calendar = calendars.load(signed_in.timezone())[at.school_id]
    special = calendar.special_day(chosen) if chosen is not None else None
    own = Origin.SCHOOL if at.school is not None else Origin.MUNICIPALITY
    months = school_year.months(calendar, year)
    return render_template(
        "settings_calendar.html",
        place=at,
        page_here="school_settings",
        year=year,
        years=(FIRST_YEAR, LAST_YEAR - 1),
        months=months,
        stretches=school_year.stretches(calendar, year),
        today=today,
        chosen=chosen,
        special=special,
        own=own,
        is_first_run=nav.is_in_first_run(signed_in.by()),
        has_many_days=sum(month.school_days for month in months) > _MANY_SCHOOL_DAYS,
        typed=typed
        if faults or special is None or typed.title
        else _as_it_is(typed, special.title, special.is_school_day),
        faults=faults or {},
    )


def _as_it_is(typed: Typed, title: str, is_school_day: bool) -> Typed:
    return Typed(typed.first, typed.last, _SCHOOL if is_school_day else _OFF, title)
