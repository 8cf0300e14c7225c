"""Publishing: what it would do to tablets is told before, in words and numbers, and it can be taken back after."""

import json
from dataclasses import dataclass
from datetime import datetime

from flask import redirect, render_template, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock, uploads
from fleet.access import Permission, Principal, require
from fleet.assignments import effect, matrix, publishing, releasing, undoing
from fleet.assignments.effect import Change, Effect
from fleet.assignments.releasing import Released
from fleet.db import transaction
from fleet.errors import FleetError, NotFoundError
from fleet.web import notices, refusals_profiles, signed_in, words
from fleet.web.blueprint import web
from fleet.web.profile import compared, find
from fleet.web.texts import translated as _
from fleet.web.values import whole
from profiles.vocabulary import VOCABULARY

_SCHOOLS_SHOWN = 30
_MAX_NOTE = 300
_UNDO = "release-undo"


@dataclass(frozen=True, slots=True)
class Told:
    """An effect as a page shows it: with names."""

    effect: Effect
    schools: list[tuple[int | None, str, int]]
    serials: list[str]
    titles: dict[str, str]


def told(change: Change) -> Told:
    """Work out what a change does, and name what it does it to; at most five statements."""
    found = effect.work_out(change, now=clock.now())
    names = matrix.school_names(found.schools) if found.schools else {}
    schools = [(one, names.get(one or 0, _("No school")), count) for one, count in found.schools.items()]
    serials = matrix.serials(found.some_without_wifi) if found.some_without_wifi else []
    titles = {one.key: words.setting(VOCABULARY[one.key]) for one in found.settings}
    return Told(found, schools[:_SCHOOLS_SHOWN], serials, titles)


@web.get("/profiles/<name>/publish")
def profile_publish(name: str) -> str:
    """Show what publishing the draft would do."""
    return _page(name)


@web.post("/profiles/<name>/publish")
def profile_release(name: str) -> Response | tuple[str, int]:
    """Publish the draft, to all that have the profile unless one says otherwise."""
    by, now, form = signed_in.by(), clock.now(), request.form
    require(by, Permission.EDIT_PROFILES)
    try:
        with transaction():
            done = releasing.release(
                publishing.find(name),
                note=form.get("note", "").strip()[:_MAX_NOTE] or None,
                everywhere="only" not in form,
                confirmed=whole(form.get("confirmed")),
                based_on=form.get("based_on"),
                by=by,
                now=now,
            )
            number, title, tablets = done.version.number, done.version.profile.title, done.tablets
            undo = _undo_of(done, by, now)
    except FleetError as error:
        problem = refusals_profiles.told(error)
        if problem is None:
            raise
        return _page(name, problem), refusals_profiles.status(error)
    notices.tell(
        ngettext(
            "%(title)s version %(number)s is published. %(num)d tablet gets it.",
            "%(title)s version %(number)s is published. %(num)d tablets get it.",
            tablets, title=title, number=number,
        ),
        undo=undo,
    )  # fmt: skip
    return redirect(url_for("web.profile", name=name), 303)


def _undo_of(done: Released, by: Principal, now: datetime) -> str | None:
    """Keep which place had which version, for an hour, for the one who released; returns the address that undoes it."""
    if not done.moved:
        return None
    told = {"version": done.version.id, "moved": list(done.moved.items())}
    kept = uploads.keep(json.dumps(told).encode(), file_name="undo.json", kind=_UNDO, by=by, now=now)
    return url_for("web.profile_release_undo", name=done.version.profile.name, word=kept.name)


@web.post("/profiles/<name>/undo/<word>")
def profile_release_undo(name: str, word: str) -> Response:
    """Give each place back the version that it had before a release."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.EDIT_PROFILES)
    publishing.find(name)
    try:
        with transaction():
            kept = uploads.find(word, kind=_UNDO, by=by, now=now)
            told = json.loads(kept.content)
            tablets = undoing.undo_release(told["version"], dict(told["moved"]), by=by, now=now)
            uploads.discard(kept)
    except NotFoundError:
        notices.warn_of_late_undo()
    except FleetError as error:
        problem = refusals_profiles.not_undone(error)
        if problem is None:
            raise
        notices.warn(problem)
    else:
        notices.tell(
            ngettext(
                "%(num)d tablet gets back what it had. What was published stays in the list of versions.",
                "%(num)d tablets get back what they had. What was published stays in the list of versions.",
                tablets,
            )
        )
    return redirect(url_for("web.profile", name=name), 303)


def _page(name: str, problem: str | None = None) -> str:
    require(signed_in.by(), Permission.EDIT_PROFILES)
    found = find(name)
    draft, published = found.draft, found.published
    change = releasing.change_of(found.profile, draft.settings, now=clock.now()) if draft is not None else None
    return render_template(
        "profile_publish.html",
        found=found,
        changes=compared(published.settings if published is not None else {}, draft.settings)
        if draft is not None
        else [],
        told=told(change) if change is not None and published is not None else None,
        problem=problem,
        typed=request.form,
    )
