"""One box for everything: a serial or asset tag leads straight to the tablet, all else to a few of each kind."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from fleet.devices import queries as devices
from fleet.devices.queries import Filter
from fleet.schools import finding as places_of
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.tablets import places

_FEW = 6
_MAX_TEXT = 100


@web.get("/search")
def search() -> str | Response:
    """Show what was found; go to the tablet where its very name was typed."""
    by, told = signed_in.by(), request.args.get("q", "").strip()[:_MAX_TEXT]
    if not told:
        return show("search", text="", is_empty=True)
    if " " not in told:
        found = devices.exactly(told, by=by)
        if found is not None:
            return redirect(url_for("web.tablet", serial=found))
    wanted = Filter(text=told)
    tablets = devices.devices(wanted, by=by, limit=_FEW, sort="serial")
    pupils = places_of.pupils_called(told, by=by, limit=_FEW)
    classes = places_of.classes_called(told, by=by, limit=_FEW)
    schools = places_of.schools_called(told, by=by, limit=_FEW)
    return show(
        "search",
        text=told,
        is_empty=False,
        tablets=tablets,
        places=places(tablets, by),
        count=devices.count(wanted, by=by) if len(tablets) == _FEW else len(tablets),
        pupils=pupils,
        own=devices.own_tablets([one.id for one in pupils], by=by) if pupils else {},
        classes=classes,
        schools=schools,
    )
