"""Absence from a file: what it would add is shown first."""

from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock, uploads
from fleet.access import Permission, Principal
from fleet.db import transaction
from fleet.errors import ForbiddenError, InvalidFileError
from fleet.schools import absences_import
from fleet.schools.absences_import import MAX_BYTES
from fleet.web import notices, refusals_settings, signed_in
from fleet.web.blueprint import takes, web
from fleet.web.texts import translated as _

_KIND = "absence"
_FRAME_BYTES = 16 * 1024  # what a form has around its file
_SHOWN = 100
_ADDRESS = "/absences/import"


@web.get(_ADDRESS)
def absence_file() -> str:
    """Show where a file is sent."""
    _require()
    return _page()


@web.post(_ADDRESS)
@takes(MAX_BYTES + _FRAME_BYTES)
def absence_send() -> Response | tuple[str, int]:
    """Take a file and lead to what it would add."""
    by = _require()
    sent = request.files.get("file")
    content = sent.read() if sent is not None else b""
    if sent is None or not content:
        return _page(problems=[_("Choose a file that is not empty.")]), 400
    with transaction():
        kept = uploads.keep(content, file_name=sent.filename or "", kind=_KIND, by=by, now=clock.now())
        name = kept.name
    return redirect(url_for("web.absence_look", name=name), 303)


@web.get(f"{_ADDRESS}/<name>")
def absence_look(name: str) -> str | tuple[str, int]:
    """Show what a file would add."""
    by = _require()
    kept = uploads.find(name, kind=_KIND, by=by, now=clock.now())
    try:
        with uploads.as_file(kept) as path:
            plan = absences_import.plan(path, by=by)
    except InvalidFileError as error:
        return _page(problems=[refusals_settings.problem(one) for one in error.problems]), 400
    rows, counts = absences_import.names(plan, limit=_SHOWN), plan.counts()
    return _page(kept=kept, counts=counts, rows=rows, more=counts["new"] - len(rows))


@web.post(f"{_ADDRESS}/<name>")
def absence_use(name: str) -> Response | tuple[str, int]:
    """Import the file that was looked at."""
    by, now = _require(), clock.now()
    try:
        with transaction():
            kept = uploads.find(name, kind=_KIND, by=by, now=now)
            with uploads.as_file(kept) as path:
                plan = absences_import.apply(path, by=by, now=now)
            uploads.discard(kept)
    except InvalidFileError as error:  # a pupil of the file is gone since
        return _page(problems=[refusals_settings.problem(one) for one in error.problems]), 400
    count = len({one for pupils in plan.new.values() for one in pupils})
    notices.tell(ngettext("%(num)d pupil is noted as away.", "%(num)d pupils are noted as away.", count))
    return redirect(url_for("web.absence_file"), 303)


def _require() -> Principal:
    """Return the one who acts.

    Raises:
        ForbiddenError: one may not enter absence for a whole school.
    """
    by = signed_in.by()
    if by.school_ids(Permission.ENTER_ABSENCE) == frozenset():
        raise ForbiddenError(permission=Permission.ENTER_ABSENCE.value)
    return by


def _page(**told: Any) -> str:
    usual: dict[str, Any] = {"kept": None, "counts": None, "rows": [], "more": 0, "problems": []}
    return render_template("absence_import.html", **{**usual, **told})
