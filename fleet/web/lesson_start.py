"""Starting a lesson for a class: the sets as large cards, until when, who is absent, and what it would reach.

The class was the first tap, to start is the second. Everything else has a sensible answer already.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from flask import request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Principal
from fleet.db import transaction
from fleet.errors import FleetError, InvalidError
from fleet.lessons import contents, endings, finding, life, promises, sets, views
from fleet.lessons.endings import Endings
from fleet.lessons.forecast import FORECAST_S
from fleet.lessons.models import LessonSet, Part, SetKind
from fleet.lessons.promises import Less
from fleet.lessons.sets import Offer
from fleet.lessons.views import Candidate, Preview
from fleet.schools import queries as schools
from fleet.schools.models import SchoolClass
from fleet.web import faces, lesson_slider, refusals_lessons, sent, signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.values import instant_of, whole

_QUICK = (SetKind.EYES, SetKind.APPS, SetKind.WEB, SetKind.EXAM)
_KINDS = {kind.value: kind for kind in _QUICK}
# Some words of each kind that can be less on some tablets: what that is does not depend on which words they are.
_TYPICAL: Mapping[SetKind, Mapping[str, Any]] = {
    SetKind.APPS: {"apps": ["no.app"], "locked": True},
    SetKind.WEB: {"hosts": ["no.example"]},
    SetKind.EXAM: {"apps": ["no.app"], "hosts": ["no.example"], "locked": True},
}
_MAX_TYPED = 2_000
_BETWEEN = re.compile(r"[\s,;]+")
_SOME_TIME = timedelta(minutes=45)  # where no end can be chosen, the start is refused and says why


@dataclass(frozen=True, slots=True)
class Typed:
    """What the form says; what makes no sense there counts as nothing told."""

    form: "MultiDict[str, str]"

    @property
    def set_id(self) -> int | None:
        """The set that was chosen."""
        return whole(self.form.get("set_id"))

    @property
    def kind(self) -> SetKind | None:
        """The quick set that was chosen: by its own button, or all eyes on the teacher among the sets."""
        return _KINDS.get(self.form.get("quick", "") or self.form.get("set_id", ""))

    @property
    def until(self) -> datetime | None:
        """The end that was chosen."""
        return instant_of(self.form.get("until", ""))

    @property
    def absent(self) -> frozenset[int]:
        """The pupils that are ticked as absent."""
        return frozenset(one for one in map(whole, self.form.getlist("absent")) if one is not None)

    @property
    def everybody(self) -> bool:
        """Whether everybody is here."""
        return "everybody" in self.form

    def text(self, name: str) -> str:
        """Return what was typed in a field."""
        return self.form.get(name, "")[:_MAX_TYPED]

    def listed(self, name: str) -> list[str]:
        """Return what was ticked in a list and typed beneath it, each a word."""
        ticked = [one[:_MAX_TYPED] for one in self.form.getlist(f"{name}_ticked")]
        return [*ticked, *(one for one in _BETWEEN.split(self.text(name)) if one)]

    def given(self, school_class: SchoolClass, *, by: Principal, now: datetime) -> LessonSet:
        """Return the set that is meant; a quick one is made.

        Raises:
            NotFoundError: what was chosen is not there.
            InvalidError: nothing was chosen, or what was typed makes no set.
        """
        kind = self.kind
        if kind is None:
            return chosen_set(self.set_id, school_class, by=by)
        return sets.quick(
            kind,
            school_class=school_class,
            apps=self.listed(f"{kind.value}_apps") if kind in {SetKind.APPS, SetKind.EXAM} else (),
            hosts=self.listed(f"{kind.value}_hosts") if kind in {SetKind.WEB, SetKind.EXAM} else (),
            text=self.text("eyes_text") if kind is SetKind.EYES else None,
            locked=f"{kind.value}_locked" in self.form and kind in {SetKind.APPS, SetKind.EXAM},
            title=self.text(f"{kind.value}_title").strip() or None,
            by=by,
            now=now,
        )


def chosen_set(set_id: int | None, school_class: SchoolClass, *, by: Principal) -> LessonSet:
    """Return the set that a form names.

    Raises:
        InvalidError: it names none.
        NotFoundError: it names none that there is for this class.
    """
    if set_id is None:
        raise InvalidError(kind="lesson set", reason="none chosen")
    return sets.get(set_id, school_class=school_class, by=by)


@web.get("/classes/<int(max=2147483647):class_id>/lesson")
def lesson_start(class_id: int) -> str | Response:
    """Show what a lesson of a class would reach, and what to start one with.

    The living part asks with who is absent, and for the whole page once a lesson may (or may not any more) be held.
    """
    return _page(class_id, Typed(request.args))


@web.post("/classes/<int(max=2147483647):class_id>/lesson")
def lesson_start_now(class_id: int) -> Response | tuple[str | Response, int]:
    """Start a lesson."""
    by, now, typed = signed_in.by(), clock.now(), Typed(request.form)
    try:
        with transaction():
            school_class = schools.taught_class(class_id, by=by)
            given = typed.given(school_class, by=by, now=now)
            lesson = life.start(
                school_class,
                given,
                until=typed.until or _usual_end(school_class, by, now),
                absent=typed.absent,
                takes_unseen=typed.everybody,
                request_id=sent.request_id(),
                by=by,
                now=now,
                timezone=signed_in.timezone(),
            )
            lesson_id = lesson.id
    except FleetError as error:
        problem = refusals_lessons.told(error)
        if problem is None:
            raise
        return _page(class_id, typed, problem=problem), refusals_lessons.status(error)
    return sent.onwards(url_for("web.lesson", lesson_id=lesson_id))


def _usual_end(school_class: SchoolClass, by: Principal, now: datetime) -> datetime:
    found = endings.endings(school_class, by=by, now=now, timezone=signed_in.timezone()).default
    return found.until if found is not None else now + _SOME_TIME


def _page(class_id: int, typed: Typed, *, problem: str | None = None) -> str | Response:
    by, now, timezone = signed_in.by(), clock.now(), signed_in.timezone()
    school_class = schools.taught_class(class_id, by=by)
    preview = views.preview(
        school_class, absent=typed.absent, takes_unseen=typed.everybody, by=by, now=now, timezone=timezone
    )
    ends = endings.endings(school_class, by=by, now=now, timezone=timezone)
    is_open = "yes" if ends.choices and preview.candidates else "no"
    if signed_in.is_refresh() and request.args.get("open", is_open) != is_open:
        return Response(headers={"HX-Refresh": "true"})
    running = finding.of_class(class_id, by=by, now=now)
    living = {
        "school_class": school_class,
        "preview": preview,
        "forecast_s": FORECAST_S,
        "left_out": [(part, _of(part, preview.candidates)) for part in (Part.UNSEEN, Part.ELSEWHERE)],
        "ends": ends,
        "is_open": is_open == "yes",
        "own_address": url_for("web.lesson_start", class_id=class_id, open=is_open),
        "outside": None if ends.choices else refusals_lessons.outside_hours(_hours(ends)),
        "running": running,
    }
    if signed_in.is_refresh():
        return show("lesson_start", **living)
    offers = _first(sets.offered(school_class, by=by, now=now), whole(request.args.get("set_id")))
    apps = finding.apps_on([one.device_id for one in preview.candidates])
    has_eyes = any(one.set.kind is SetKind.EYES and one.set.title == SetKind.EYES.value for one in offers)
    known = faces.faces([(one.pupil, one.asset_tag or one.serial) for one in preview.candidates])
    chosen = _chosen(ends, typed, now)
    return show(
        "lesson_start",
        **living,
        offers=offers,
        less=_less(offers, preview),
        quick_less=_quick_less(preview),
        has_eyes=has_eyes,
        apps=apps,
        faces=list(zip(known, preview.candidates, strict=True)),
        chosen=chosen,
        slider=lesson_slider.slider(ends, chosen=chosen, now=now),
        chosen_set=typed.form.get("set_id") or (str(offers[0].set.id) if offers else SetKind.EYES.value),
        request_id=sent.new_request_id(),
        zone=timezone.key,
        typed=typed,
        problem=problem,
    )


def _less(offers: Sequence[Offer], preview: Preview) -> dict[int, list[Less]]:
    """Return by the sets' numbers what kinds of the class's tablets have less of them; one statement."""
    settings = sets.settings_of([one.set for one in offers]) if preview.channels else {}
    return {set_id: promises.shortfalls(told, preview.channels) for set_id, told in settings.items()}


def _quick_less(preview: Preview) -> dict[str, list[Less]]:
    """Return the same by kinds of quick sets, whatever their words will be."""
    return {kind: promises.shortfalls(told, preview.channels) for kind, told in _typical_settings().items()}


@cache
def _typical_settings() -> Mapping[str, Mapping[str, Any]]:
    return {kind.value: contents.quick_settings(kind, dict(told)) for kind, told in _TYPICAL.items()}


def _of(part: Part, candidates: Sequence[Candidate]) -> list[Candidate]:
    return [one for one in candidates if one.part is part]


def _chosen(ends: Endings, typed: Typed, now: datetime) -> datetime | None:
    """Return the end that is marked: the one that was told where it may still be, else the one most will want."""
    if typed.until is not None and ends.latest is not None and now < typed.until <= ends.latest:
        return typed.until
    return ends.default.until if ends.default is not None else None


def _hours(ends: Endings) -> dict[str, object]:
    begins, stops = ends.hours if ends.hours is not None else (None, None)
    return {"begins_at": begins, "ends_at": stops}


def _first(offers: Sequence[Offer], set_id: int | None) -> list[Offer]:
    """Return the sets with the one first that the last page led here for."""
    return sorted(offers, key=lambda one: one.set.id != set_id)
