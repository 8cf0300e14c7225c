"""What the municipality and its schools have decided: where to look, and the municipality's own name and rules."""

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, require
from fleet.db import transaction
from fleet.errors import InvalidError
from fleet.schools import deciding
from fleet.schools import queries as schools
from fleet.web import notices, signed_in
from fleet.web.blueprint import web
from fleet.web.texts import translated as _

_MAX_TYPED = 255
Faults = dict[str, str]


def _require_any() -> None:
    by = signed_in.by()
    if by.school_ids(Permission.EDIT_CALENDAR) == frozenset():
        require(by, Permission.EDIT_CALENDAR)


@web.get("/settings")
def settings() -> str:
    """Show what can be decided, and where something is decided."""
    _require_any()
    return _page()


@web.post("/settings/municipality")
def settings_municipality() -> Response | tuple[str, int]:
    """Decide what the municipality is called, and whether orders that cannot be undone need a second person."""
    by, now = signed_in.by(), clock.now()
    name = request.form.get("name", "")[:_MAX_TYPED]
    try:
        with transaction():
            deciding.rename(name, by=by, now=now)
            deciding.set_second_person(needed="second_person" in request.form, by=by, now=now)
    except InvalidError:
        return _page(name=name, faults={"name": _("Write the municipality's name.")}), 400
    notices.tell(_("The municipality's settings are saved."))
    return redirect(url_for("web.settings"), 303)


def _page(*, name: str | None = None, faults: Faults | None = None) -> str:
    by = signed_in.by()
    found = schools.municipality()
    return render_template(
        "settings.html",
        municipality=found,
        name=name if name is not None else (found.name if found is not None else ""),
        is_second_person_needed=deciding.is_second_person_needed(),
        schools=schools.decided(by),
        may_name=by.may(Permission.EDIT_MUNICIPALITY),
        may_all=by.may(Permission.EDIT_CALENDAR),
        faults=faults or {},
    )
