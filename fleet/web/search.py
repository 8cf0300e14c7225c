"""One box for everything: a serial or asset tag leads straight to the tablet, all else to a few of each kind.

Each kind tells how many more there are and leads to them: tablets to their own page, the others to a longer list here.
"""

from typing import Any

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from fleet.access import Principal
from fleet.devices import queries as devices
from fleet.devices.queries import Filter
from fleet.schools import finding as places_of
from fleet.schools import queries as schools_of
from fleet.schools.finding import Found
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, page_count, show
from fleet.web.tablets import places
from fleet.web.values import whole

_FEW = 6
_MAX_TEXT = 100
_CALLED = {
    "schools": places_of.schools_called,
    "classes": places_of.classes_called,
    "pupils": places_of.pupils_called,
}


@web.get("/search")
def search() -> str | Response:
    """Show what was found, or all of one kind of it; go to the tablet where its very name was typed."""
    by, told = signed_in.by(), request.args.get("q", "").strip()[:_MAX_TEXT]
    if not told:
        return show("search", text="", is_empty=True)
    kind = request.args.get("kind", "")
    if kind in _CALLED:
        return _all_of(kind, told, by)
    if " " not in told:
        found = devices.exactly(told, by=by)
        if found is not None:
            return redirect(url_for("web.tablet", serial=found))
    wanted = Filter(text=told)
    tablets = devices.devices(wanted, by=by, limit=_FEW, sort="serial")
    return show(
        "search",
        text=told,
        is_empty=False,
        kind="",
        tablets=tablets,
        places=places(tablets, by),
        count=devices.count(wanted, by=by) if len(tablets) == _FEW else len(tablets),
        **_shown({name: called(told, by=by, limit=_FEW) for name, called in _CALLED.items()}, by),
    )


def _all_of(kind: str, told: str, by: Principal) -> str:
    page = max(1, whole(request.args.get("page")) or 1)
    found = _CALLED[kind](told, by=by, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    return show(
        "search",
        text=told,
        is_empty=False,
        kind=kind,
        tablets=[],
        places={},
        count=0,
        page=page,
        pages=page_count(found.count),
        **_shown({kind: found}, by),
    )


def _shown(found: dict[str, Found], by: Principal) -> dict[str, Any]:
    nothing = Found((), 0)
    ids = [one.id for one in found.get("pupils", nothing).rows]
    return {
        **{name: found.get(name, nothing) for name in _CALLED},
        "own": devices.own_tablets(ids, by=by) if ids else {},
        "class_of": places_of.classes_of_pupils(ids, by=by),
        "school_of": schools_of.names({one.school_id for one in found["pupils"].rows if one.school_id}) if ids else {},
    }
