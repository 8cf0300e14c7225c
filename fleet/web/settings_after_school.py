"""The after-school programme (SFO) of a school: its hours by weekday, and up to which grade it is for."""

from collections.abc import Sequence

from flask import redirect as redirect_to
from flask import render_template, request
from werkzeug.wrappers import Response

from fleet import clock
from fleet.db import transaction
from fleet.schools import after_school
from fleet.schools.after_school import HIGHEST_GRADE, Programme
from fleet.web import notices, settings_undo, signed_in, words_calendar
from fleet.web.blueprint import web
from fleet.web.settings_place import Place, place
from fleet.web.texts import translated as _
from fleet.web.typed_hours import WEEK, Faults, TypedHours
from fleet.web.values import whole

_ADDRESS = "/settings/schools/<int(max=2147483647):school_id>/after-school"
_USUAL_GRADE = 4  # whom a municipality has to offer it


@web.get(_ADDRESS)
def settings_after_school(school_id: int) -> str:
    """Show the programme."""
    at = place(school_id)
    return _page(at, *_typed(after_school.told(school_id)))


@web.post(_ADDRESS)
def settings_after_school_save(school_id: int) -> Response | tuple[str, int]:
    """Decide on all weekdays; a school that leaves all of them empty has none."""
    at = place(school_id)
    form = request.form
    typed, grade = TypedHours.of(form), form.get("grade", "")[:9]
    wanted, faults = _read(typed, whole(grade) or 0)
    if faults:
        return _page(at, typed, grade, faults), 400
    by, now = signed_in.by(), clock.now()
    page = at.address("settings_after_school")
    with transaction():
        before = after_school.told(school_id)
        after_school.decide(school_id, wanted, by=by, now=now)
        told = settings_undo.programme(school_id, before, after_school.told(school_id))
        undo = settings_undo.keep(told, page, by=by, now=now)
    notices.tell(_("The hours of the after-school programme are saved."), undo=undo)
    return redirect_to(page, 303)


def _typed(found: Sequence[Programme]) -> tuple[TypedHours, str]:
    """Return a programme as the form has it."""
    pairs = {one.weekday: (words_calendar.at(one.starts_at), words_calendar.at(one.ends_at)) for one in found}
    grade = max((one.highest_grade for one in found), default=_USUAL_GRADE)
    return TypedHours({day: pairs.get(day, ("", "")) for day in WEEK}), str(grade)


def _read(typed: TypedHours, grade: int) -> tuple[list[Programme], Faults]:
    """Return the programme that a form says, and what is wrong by field."""
    hours, faults = typed.read()
    if not 1 <= grade <= HIGHEST_GRADE:
        faults = {"grade": _("Write a grade from 1 to %(most)s.", most=HIGHEST_GRADE)} | faults
    return [Programme(day, *of_day, grade) for day, of_day in hours.items() if of_day is not None], faults


def _page(at: Place, typed: TypedHours, grade: str, faults: Faults | None = None) -> str:
    return render_template(
        "settings_after_school.html",
        place=at,
        page_here="settings_after_school",
        typed=typed.pairs,
        grade=grade,
        highest=HIGHEST_GRADE,
        faults=faults or {},
    )
