"""The first run: from an empty server to the first tablet, step by step; each can be put aside and taken up again.

What is done is seen from the data, so it does not matter on which page or command line it was done.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app, redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, Principal, require
from fleet.assignments import assigning, ready_made
from fleet.config import Config
from fleet.db import transaction
from fleet.devices import arrivals, tickets
from fleet.devices.tickets import MadeAlreadyError, Place
from fleet.errors import ConflictError, FleetError, InvalidError
from fleet.lessons import sharing
from fleet.schools import calendar_editing, deciding, first_run
from fleet.schools import queries as schools
from fleet.schools.first_run import Step
from fleet.web import school_editing, sent, signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.texts import translated as _
from fleet.web.ticket_new import made_already, ready
from fleet.web.values import whole

_FIRST_TABLETS, _FIRST_LIFE = 3, timedelta(days=1)
_MAX_TYPED = 2_000
_GRADE, _LOWER_SECONDARY = re.compile(r"\d{1,2}"), 8
Act = Callable[[Principal, datetime], object]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step as it stands: ``done``, ``here`` (the first that is not), ``skipped`` or ``later``."""

    step: Step
    state: str


@web.get("/setup")
def setup() -> str:
    """Show the steps."""
    return _page({})


def _page(faults: Mapping[str, str]) -> str:
    by, now = signed_in.by(), clock.now()
    require(by, Permission.EDIT_MUNICIPALITY)
    owner, known = schools.municipality(), schools.schools(by)
    first, made = arrivals.first_tablet(), tickets.listed(by=by)
    done = {
        Step.MUNICIPALITY: bool(owner is not None and owner.name),
        Step.CALENDAR: calendar_editing.has_days(),
        Step.SCHOOLS: bool(known),
        Step.PROFILE: bool(assigning.listed(by=by, now=now)),
        Step.TICKET: bool(made),
        Step.TABLET: first is not None,
    }
    stages = _stages(done)
    config: Config = current_app.extensions["fleet_config"]
    return show(
        "setup",
        stages=stages,
        done=sum(done.values()),
        is_complete=all(one.state in {"done", "skipped"} for one in stages),
        is_over=first_run.is_over(),
        owner=owner,
        schools=known,
        school_choices=[(row["id"], row["name"]) for row in known],
        guesses={} if done[Step.PROFILE] else _guesses(known, by),
        ticket=made[0] if made else None,
        first=first,
        public_url=config.public_url,
        is_local_only=config.is_local_only,
        faults=faults,
        request_id=sent.new_request_id(),
        typed={name: request.form.get(name, "")[:_MAX_TYPED] for name in ("name", "school", "classes")},
        own_address=url_for("web.setup"),
    )


def _stages(done: Mapping[Step, bool]) -> list[Stage]:
    aside, found, is_here_told = first_run.skipped(), [], False
    for step in Step:
        state = "done" if done[step] else "skipped" if step in aside else "later" if is_here_told else "here"
        is_here_told = is_here_told or state == "here"
        found.append(Stage(step, state))
    return found


def _guess(name: str, titles: Collection[str]) -> str:
    """Return which ready-made profile fits a school: its name tells, or that all grades are of the lower secondary."""
    grades = [int(told[0]) for told in (_GRADE.match(one) for one in titles) if told]
    is_lower_secondary = "ungdom" in name.casefold() or min(grades, default=0) >= _LOWER_SECONDARY
    return ready_made.FOR_SCHOOLS[1 if is_lower_secondary else 0]


def _guesses(known: Iterable[Mapping[str, Any]], by: Principal) -> dict[int, str]:
    titles = defaultdict[int, list[str]](list)
    for row in schools.classes(by):
        titles[row["school_id"]].append(row["title"])
    return {row["id"]: _guess(row["name"], titles[row["id"]]) for row in known}


@web.post("/setup/municipality")
def setup_municipality() -> Response | tuple[str, int]:
    """Name the municipality."""
    name = request.form.get("name", "")[:_MAX_TYPED]
    return _done(lambda by, now: deciding.rename(name, by=by, now=now))


@web.post("/setup/schools")
def setup_schools() -> Response | tuple[str, int]:
    """Make the first school and its classes by hand."""
    return _done(school_editing.make_school)


@web.post("/setup/profile")
def setup_profile() -> Response | tuple[str, int]:
    """Put the ready-made profiles to use."""

    def act(by: Principal, now: datetime) -> None:
        chosen = {
            schools.visible_school(row["id"], by=by): request.form.get(f"profile-{row['id']}", "")
            for row in schools.schools(by)
        }
        ready_made.use({one: name for one, name in chosen.items() if name}, by=by, now=now)
        sharing.ensure_shipped(by=by, now=now)

    return _done(act)


@web.get("/setup/ticket")
def setup_ticket_again() -> Response:
    """Lead back to the steps: a code is shown once, so its page cannot be opened again."""
    return redirect(url_for("web.setup"), 303)


@web.post("/setup/ticket")
def setup_ticket() -> Response | str | tuple[str, int]:
    """Make a small ticket for the first tablets and show its code."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.EDIT_MUNICIPALITY)
    school_id = whole(request.form.get("school_id")) or next(iter(schools.visible(by)), None)
    if school_id is None:
        return _page({"": _("Make a school first.")}), 400
    try:
        with transaction():
            made, code = tickets.create(
                Place(schools.visible_school(school_id, by=by)),
                expires_at=now + _FIRST_LIFE,
                max_enrolments=_FIRST_TABLETS,
                request_id=sent.request_id(),
                by=by,
                now=now,
            )
            ticket_id = made.id
    except MadeAlreadyError as error:
        return made_already(error)
    return ready(ticket_id, code, by, is_first_run=True)


@web.post("/setup/<any(skip,resume):act>/<step>")
def setup_aside(act: str, step: str) -> Response | tuple[str, int]:
    """Put a step aside, or take it up again."""
    meant = next((one for one in Step if one.value == step), None)
    if meant is None:
        raise InvalidError(kind="form", found=step)
    if act == "skip":
        return _done(lambda by, _now: first_run.skip(meant, by=by))
    return _done(lambda by, now: first_run.resume(meant, by=by, now=now))


@web.post("/setup/end")
def setup_end() -> Response:
    """End the first run."""
    with transaction():
        first_run.end(by=signed_in.by(), now=clock.now())
    return redirect(url_for("web.overview"), 303)


def _done(act: Act) -> Response | tuple[str, int]:
    """Do a step and show the steps again; where it is refused, at its field."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.EDIT_MUNICIPALITY)
    try:
        with transaction():
            act(by, now)
    except (InvalidError, ConflictError) as error:
        return _page(_faults(error)), 400
    return redirect(url_for("web.setup"), 303)


def _faults(error: FleetError) -> dict[str, str]:
    data: Mapping[str, Any] = error.data
    known = {
        "municipality": {"name": _("Write the municipality's name.")},
        "profile": {
            "": _(
                "“%(title)s” is a draft that somebody has written. Publish or discard it first.",
                title=data.get("title", ""),
            )
        },
    }
    return (
        school_editing.faults_of(error)
        or known.get(str(data.get("kind")))
        or {"": _("That is not possible now. Load the page again and look.")}
    )
