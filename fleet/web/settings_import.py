"""Days of the school year from a file: what it would change is shown first, and can be taken back afterwards."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import redirect as redirect_to
from flask import render_template, request
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock, uploads
from fleet.access import Principal
from fleet.db import transaction
from fleet.errors import InvalidFileError
from fleet.schools import calendar_import
from fleet.schools import queries as schools
from fleet.schools.calendar_ics import Contents, LeftOut
from fleet.schools.calendar_import import MAX_BYTES, DayPlan
from fleet.schools.calendar_words import Meaning
from fleet.uploads import Upload
from fleet.web import notices, refusals_settings, school_year, settings_undo, signed_in
from fleet.web.blueprint import takes
from fleet.web.settings_place import Place, at_places, place
from fleet.web.texts import translated as _
from fleet.web.values import whole
from fleet.web.words import WAITING, Told

_KIND = "calendar"
_FRAME_BYTES = 16 * 1024  # what a form has around its file
_SHOWN = 200
_SPANS_SHOWN = 3
_CHOICE = "entry-"  # and its line: what a person says it is


@at_places("POST", "/import")
@takes(MAX_BYTES + _FRAME_BYTES)
def settings_import(school_id: int | None) -> Response | tuple[str, int]:
    """Take a file and lead to what it would change."""
    at = place(school_id)
    sent = request.files.get("file")
    content = sent.read() if sent is not None else b""
    if sent is None or not content:
        return _refused(at, [_("Choose a file that is not empty.")])
    with transaction():
        kept = uploads.keep(
            content, file_name=sent.filename or "", kind=_KIND, by=signed_in.by(), now=clock.now()
        )  # fmt: skip
        name = kept.name
    return redirect_to(at.address("settings_import_look", name=name), 303)


@at_places("GET", "/import/<name>")
def settings_import_look(school_id: int | None, name: str) -> str | tuple[str, int]:
    """Show what a file would change."""
    at, by = place(school_id), signed_in.by()
    kept = uploads.find(name, kind=_KIND, by=by, now=clock.now())
    try:
        with uploads.as_file(kept) as path:
            plan = calendar_import.propose_days(path, school_id=at.school_id, by=by)
    except InvalidFileError as error:
        return _refused(at, [refusals_settings.problem(one) for one in error.problems])
    return _shown(at, kept, plan, by)


@at_places("POST", "/import/<name>")
def settings_import_use(school_id: int | None, name: str) -> Response | tuple[str, int]:
    """Import the file that was looked at."""
    at, by, now = place(school_id), signed_in.by(), clock.now()
    try:
        with transaction():
            kept = uploads.find(name, kind=_KIND, by=by, now=now)
            with uploads.as_file(kept) as path:
                plan = calendar_import.import_days(path, school_id=at.school_id, by=by, now=now, meant=_meant())
            uploads.discard(kept)
            first = min((on for _, on in plan.places()), default=None)
            page = at.address("school_settings", year=school_year.year_of(first) if first else None)
            undo = settings_undo.keep(settings_undo.days(plan.change()), page, by=by, now=now)
    except InvalidFileError as error:  # a school of the file is gone since
        return _refused(at, [refusals_settings.problem(one) for one in error.problems])
    count = len(plan.added) + len(plan.changed)
    notices.tell(ngettext("%(num)d day is changed.", "%(num)d days are changed.", count), undo=undo)
    return redirect_to(page, 303)


def _meant() -> dict[int, Meaning]:
    """Return what a person says entries are, by their lines; whatever else a form may have is passed over."""
    told = {whole(name[len(_CHOICE) :]): value for name, value in request.form.items() if name.startswith(_CHOICE)}
    return {line: Meaning(value) for line, value in told.items() if line is not None and value in set(Meaning)}


def _shown(at: Place, kept: Upload, plan: DayPlan, by: Principal) -> str:
    names = schools.visible(by)
    rows = [_row(told, names, is_new=True) for told in plan.added]
    rows += [_row(told, names, is_new=False) for told in plan.changed]
    rows.sort(key=lambda row: (row["on"], row["place"]))
    return render_template(
        "settings_import.html",
        place=at,
        kept=kept,
        rows=rows[:_SHOWN],
        count=len(rows),
        more=max(0, len(rows) - _SHOWN),
        unchanged=plan.unchanged,
        problems=[],
        events=_events(plan.contents, plan) if plan.contents is not None else None,
        left_out=[(one, _why_left_out(one)) for one in plan.contents.left_out[:_SHOWN]] if plan.contents else [],
        meanings=_meanings(),
        undecided=Told(_("decide"), WAITING),
    )


def _events(contents: Contents, plan: DayPlan) -> list[dict[str, Any]]:
    """Return the entries of an iCalendar file by date, with what each is taken as and whether it changes anything."""
    moved = {on for _, on in plan.places()}
    rows = [
        {
            "name": f"{_CHOICE}{one.line}",
            "title": one.title,
            "spans": one.spans[:_SPANS_SHOWN],
            "more": max(0, len(one.spans) - _SPANS_SHOWN),
            "meaning": plan.meant[one.line],
            "is_known": one.judgement.is_known,
            "is_there": plan.meant[one.line] is not Meaning.NEWS and moved.isdisjoint(one.days()),
        }
        for one in contents.events
    ]
    return sorted(rows, key=lambda row: row["spans"])


def _meanings() -> list[tuple[Meaning, str]]:
    return [
        (Meaning.DAY_OFF, _("day off")),
        (Meaning.SCHOOL_DAY, _("school day")),
        (Meaning.NEWS, _("only news")),
    ]


def _why_left_out(one: LeftOut) -> str:
    return {
        "time": _("has a time of day"),
        "repeats": _("repeats in a way that is not taken"),
        "cancelled": _("is cancelled"),
    }[one.reason]


def _row(told: Mapping[str, Any], names: Mapping[int, str], *, is_new: bool) -> dict[str, Any]:
    on: date = told["on"]
    where = _("The municipality") if told["school_id"] is None else names.get(told["school_id"], "")
    return {
        "on": on,
        "title": told["title"],
        "is_school_day": told["is_school_day"],
        "place": where,
        "is_new": is_new,
    }


def _refused(at: Place, problems: list[str]) -> tuple[str, int]:
    """Show what is wrong with a file, nothing of which was taken."""
    page = render_template(
        "settings_import.html",
        place=at,
        kept=None,
        rows=[],
        count=0,
        more=0,
        unchanged=0,
        problems=problems,
        events=None,
    )
    return page, 400
