"""One lesson: how it arrives, who needs something, and when it is over who is back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Response, request, url_for

from fleet import clock
from fleet.access import Permission
from fleet.lessons import finding, sets, views
from fleet.lessons.views import Row, Stage, State, View
from fleet.orders import MAX_TEXT
from fleet.web import bars, signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show

_REFRESH_S = 3  # one looks at who comes
_LONG = timedelta(seconds=60)  # whoever waits longer than this needs a look
# What needs something comes first, then who is on the way, who has it, and who is out.
_ORDER = (
    State.FAILED, State.STRAGGLER, State.TAKEN, State.UNSEEN, State.ELSEWHERE, State.WAITING, State.FETCHED,
    State.APPLIED, State.BACK, State.ABSENT, State.RELEASED, State.GONE, State.UNTOUCHED,
)  # fmt: skip
_GROUPS = ("needs", "others", "stragglers", "back", "untouched")
_NEEDS = frozenset({State.FAILED, State.TAKEN, State.UNSEEN, State.ELSEWHERE})
INSIDE = frozenset({State.WAITING, State.FETCHED, State.APPLIED, State.FAILED})
_OUTSIDE = frozenset({State.ABSENT, State.UNSEEN, State.ELSEWHERE, State.TAKEN, State.RELEASED})


@dataclass(frozen=True, slots=True)
class Group:
    """Tablets that stand alike, under the name of a heading."""

    name: str
    rows: list[Row]


@web.get("/lessons/<int(max=2147483647):lesson_id>")
def lesson(lesson_id: int) -> str | Response:
    """Show a lesson; its living part asks for the whole page once the lesson has come to another stage."""
    by, now = signed_in.by(), clock.now()
    found = views.view(lesson_id, by=by, now=now)
    if signed_in.is_refresh() and request.args.get("stage") != found.stage:
        return Response(headers={"HX-Refresh": "true"})
    at, given = found.lesson.school_class, found.lesson.given[-1].set
    may_teach = by.may(Permission.TEACH, school_id=at.school_id, class_id=at.id)
    living = {
        "view": found,
        "lesson": found.lesson,
        "given": given,
        "earlier": finding.before_eyes(found.lesson),
        "parts": bars.lesson_parts(found.counts),
        "groups": _groups(found, now),
        "left_min": max(0, -(-(found.lesson.ends_at - now) // timedelta(minutes=1))),
        "may_teach": may_teach,
        "inside": INSIDE,
        "outside": _OUTSIDE,
        "own_address": url_for("web.lesson", lesson_id=lesson_id, stage=found.stage.value),
        "refresh_s": _REFRESH_S,
    }
    if signed_in.is_refresh() or found.stage not in {Stage.PLANNED, Stage.RUNNING}:
        return show("lesson", **living)
    return show(
        "lesson",
        **living,
        offers=[one for one in sets.offered(at, by=by, now=now) if one.set.id != given.id],
        colleagues=finding.colleagues(found.lesson),
        max_text=MAX_TEXT,
    )


def _groups(found: View, now: datetime) -> list[Group]:
    """Return the tablets, those first that need something."""
    rows = sorted(found.rows, key=lambda row: _ORDER.index(row.state))
    if found.stage in {Stage.OVER, Stage.CANCELLED}:
        named = {State.STRAGGLER: "stragglers", State.BACK: "back", State.UNTOUCHED: "untouched"}
    else:
        named = {}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(named.get(row.state) or ("needs" if _needs(row, now) else "others"), []).append(row)
    return [Group(name, groups[name]) for name in _GROUPS if name in groups]


def _needs(row: Row, now: datetime) -> bool:
    waits = row.state in {State.WAITING, State.FETCHED}
    return row.state in _NEEDS or (waits and row.since is not None and now - row.since > _LONG)
