"""One lesson: the class as a grid of faces, how it arrives, who needs something, and when it is over who is back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Response, request, url_for

from fleet import clock
from fleet.access import Permission, Principal
from fleet.compliance import questions
from fleet.devices.models import DeviceLife
from fleet.lessons import endings, finding, ordering, sets, views
from fleet.lessons.views import Row, Stage, State, View
from fleet.orders import MAX_TEXT, OrderKind, carries
from fleet.web import bars, faces, sent, signed_in
from fleet.web.blueprint import web
from fleet.web.faces import Face
from fleet.web.pages import show

_REFRESH_S = 2  # one looks at who comes
_LONG = timedelta(seconds=60)  # whoever waits longer than this needs a look
# What needs something comes first, then who is on the way, who has it, and who is out.
_QUIET = timedelta(hours=1)
_ORDER = (
    State.FAILED, State.STRAGGLER, State.TAKEN, State.UNSEEN, State.ELSEWHERE, State.WAITING, State.FETCHED,
    State.APPLIED, State.BACK, State.ABSENT, State.RELEASED, State.GONE, State.UNTOUCHED,
)  # fmt: skip
_NEEDS = frozenset({State.FAILED, State.TAKEN, State.UNSEEN, State.ELSEWHERE})
INSIDE = frozenset({State.WAITING, State.FETCHED, State.APPLIED, State.FAILED})
OUTSIDE = frozenset({State.ABSENT, State.UNSEEN, State.ELSEWHERE, State.TAKEN, State.RELEASED})
SORTS = ("name", "state")


@dataclass(frozen=True, slots=True)
class Tile:
    """A tablet of the lesson, how its pupil is shown, and whether it needs a look."""

    row: Row
    face: Face
    needs: bool


@web.get("/lessons/<int(max=2147483647):lesson_id>")
def lesson(lesson_id: int) -> str | Response:
    """Show a lesson; its living part asks for the whole page once the lesson has come to another stage."""
    by, now = signed_in.by(), clock.now()
    found = views.view(lesson_id, by=by, now=now)
    if signed_in.is_refresh() and request.args.get("stage") != found.stage:
        return Response(headers={"HX-Refresh": "true"})
    sort = request.args.get("sort", "")
    sort = sort if sort in SORTS else SORTS[0]
    at = found.lesson.school_class
    values = {
        **_living(found, by=by, now=now, sort=sort),
        "may_teach": by.may(Permission.TEACH, school_id=at.school_id, class_id=at.id),
        "own_address": url_for("web.lesson", lesson_id=lesson_id, stage=found.stage.value, sort=sort),
        "refresh_s": _REFRESH_S,
    }
    if not signed_in.is_refresh():
        values |= _beside(found, by=by, now=now)
    return show("lesson", **values)


def _living(found: View, *, by: Principal, now: datetime, sort: str) -> dict[str, Any]:
    """Return what the living part needs."""
    is_running = found.stage is Stage.RUNNING
    tiles = tiles_of(found.rows, now=now)
    told: dict[str, Any] = {
        "view": found,
        "lesson": found.lesson,
        "given": found.lesson.given[-1].set,
        "earlier": finding.before_eyes(found.lesson),
        "parts": bars.lesson_parts(found.counts),
        "tiles": _sorted(tiles, sort),
        "cut_off": [one.face.name for one in tiles if one.row.away_since is not None],
        "needing": [one for one in _sorted(tiles, "state") if one.needs],
        "sort": sort,
        "sorts": SORTS,
        "left_min": max(0, -(-(found.lesson.ends_at - now) // timedelta(minutes=1))),
        "inside": INSIDE,
        "outside": OUTSIDE,
        "later": [],
        "can_send": any(can_be_told(row) for row in found.rows),
        "asked": [],
    }
    if is_running:
        # Nobody asks about a tablet that was heard from within the hour, so most lessons need not look.
        if any(row.last_seen_at is not None and now - row.last_seen_at > _QUIET for row in found.rows):
            told["asked"] = questions.waiting(by=by, class_id=found.lesson.class_id)
        told["back"] = url_for("web.lesson", lesson_id=found.lesson.id)
        told["later"] = endings.later(found.lesson, by=by, now=now, timezone=signed_in.timezone())
    return told


def _beside(found: View, *, by: Principal, now: datetime) -> dict[str, Any]:
    """Return what stands beside the living part: what else one can do."""
    told: dict[str, Any] = {"request_id": sent.new_request_id()}
    if found.stage not in {Stage.PLANNED, Stage.RUNNING}:
        return told
    at, given = found.lesson.school_class, found.lesson.given[-1].set
    told |= {
        "offers": [one for one in sets.offered(at, by=by, now=now) if one.set.id != given.id],
        "colleagues": finding.colleagues(found.lesson),
        "max_text": MAX_TEXT,
    }
    if found.stage is Stage.RUNNING:
        told["opened"] = ordering.opened(found.lesson.id)
        told["untold"] = sum(row.state in INSIDE and not can_be_told(row) for row in found.rows)
        told["apps"] = finding.apps_on([row.device_id for row in found.rows if row.state in INSIDE])
    return told


def tiles_of(rows: Sequence[Row], *, now: datetime) -> list[Tile]:
    """Return the class's tablets as they are shown."""
    known = faces.faces([(row.pupil, row.asset_tag or row.serial) for row in rows])
    return [Tile(row, face, _needs(row, now)) for row, face in zip(rows, known, strict=True)]


def can_be_told(row: Row) -> bool:
    """Whether a tablet is in the lesson and can be sent a message or a page; a channel carries both or none."""
    return row.state in INSIDE and OrderKind.MESSAGE in carries(row.channel, DeviceLife.ENROLLED)


def _sorted(tiles: Sequence[Tile], sort: str) -> list[Tile]:
    """Return the tiles by state, or as they are: by name, so that each stays where one has seen it."""
    return sorted(tiles, key=lambda one: _ORDER.index(one.row.state)) if sort == "state" else list(tiles)


def _needs(row: Row, now: datetime) -> bool:
    waits = row.state in {State.WAITING, State.FETCHED}
    is_long = waits and row.since is not None and now - row.since > _LONG
    return row.state in _NEEDS or row.state is State.STRAGGLER or is_long
