"""Imports: a file is sent, what it would change is shown, and only then it is used; a roster can be taken back.

The file waits with its sender for an hour (:mod:`fleet.uploads`) and is read anew when it is used.
"""

from typing import Any

from flask import Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from fleet import clock, uploads
from fleet.access import Permission, Principal, require
from fleet.db import transaction
from fleet.devices import delivery
from fleet.devices import queries as devices
from fleet.devices.delivery import MAX_BYTES
from fleet.errors import BrakedError, ConflictError, ForbiddenError, InvalidFileError, NotFoundError, Problem
from fleet.schools.roster import apply
from fleet.schools.roster.plan import DEFAULT_MAX_REMOVED_PERCENT, Plan, over_brake
from fleet.schools.roster.values import KINDS, Roster
from fleet.uploads import Upload
from fleet.web import notices, signed_in, words_imports, words_problems
from fleet.web.blueprint import takes, web
from fleet.web.texts import translated as _

_FRAME_BYTES = 16 * 1024  # what a form has around its file
_FIRST = 10  # of each kind and change
_PROBLEMS_SHOWN = 50
_HISTORY = 20
_EXAMPLE = (
    "serienummer;modell;plattform;merkelapp;skole;klasse;elev;vogn\r\n"
    "DMPX1234ABCD;iPad (10. generasjon);iPadOS;KS-0001;Prøveskolen;8A;;\r\n"
    "R52T9012345;Galaxy Tab Active5;Android;KS-0002;Prøveskolen;;elev.prove;\r\n"
    "PF3XYZ12;Linux-nettbrett;Linux;KS-0003;Prøveskolen;;;Vogn 1\r\n"
)


@web.get("/imports")
def imports() -> str:
    """Show where files are dropped, and what was imported."""
    return _page({})


@web.get("/imports/leveringsliste.csv")
def import_example() -> Response:
    """Give an example of a delivery list, as spreadsheets like it."""
    headers = {"Content-Disposition": 'attachment; filename="leveringsliste.csv"'}
    return Response(b"\xef\xbb\xbf" + _EXAMPLE.encode(), mimetype="text/csv", headers=headers)


@web.post("/imports/<any(roster,delivery):kind>")
@takes(MAX_BYTES + _FRAME_BYTES)
def import_send(kind: str) -> AnyResponse | tuple[str, int]:
    """Keep a file and lead to what it would change."""
    by = _require(kind)
    sent = request.files.get(kind)
    content = sent.read() if sent is not None else b""
    if sent is None or not content:
        return _page({kind: _("Choose a file that is not empty.")}), 400
    with transaction():
        name = uploads.keep(content, file_name=sent.filename or "", kind=kind, by=by, now=clock.now()).name
    return redirect(url_for("web.import_look", kind=kind, name=name), 303)


@web.get("/imports/<any(roster,delivery):kind>/<name>")
def import_look(kind: str, name: str) -> AnyResponse | str | tuple[str, int]:
    """Show what a file would change."""
    by = _require(kind)
    kept = _kept(kind, name, by)
    return _look(kind, kept, by) if kept is not None else redirect(url_for("web.imports"))


@web.post("/imports/<any(roster,delivery):kind>/<name>")
def import_use(kind: str, name: str) -> AnyResponse | str | tuple[str, int]:
    """Use a file; where it takes away or moves much, only once that was confirmed by writing how much."""
    by, now = _require(kind), clock.now()
    kept = _kept(kind, name, by)
    if kept is None:
        return redirect(url_for("web.imports"), 303)
    typed = request.form.get("confirmed", "").strip()[:20]
    import_id = None
    try:
        with uploads.as_file(kept) as path:
            wanted = apply.read(path) if kind == "roster" else None
            with transaction():
                if wanted is not None:
                    import_id = _use_roster(wanted, kept.file_name, typed, by)
                else:
                    plan = delivery.propose(path, by=by)
                    allowed = bool(plan.moved) and typed == str(len(plan.moved))
                    delivery.import_list(path, allow_moves=allowed, by=by, now=now)
                uploads.discard(uploads.find(name, kind=kind, by=by, now=now))
    except InvalidFileError as error:
        return _refused(kind, kept.file_name, error)
    except BrakedError as error:
        page = _look(kind, uploads.find(name, kind=kind, by=by, now=now), by, fault=_brake_words(error))
        return (page, 409) if isinstance(page, str) else page
    if import_id is not None:
        notices.tell(_("The roster is imported."), undo=url_for("web.roster_undo", import_id=import_id))
    elif kind == "roster":
        notices.tell(_("Everything was as the roster says already. Nothing is changed."))
    else:
        notices.tell(_("The delivery list is imported."))
    return redirect(url_for("web.imports"), 303)


@web.post("/imports/roster/<int(max=2147483647):import_id>/undo")
def roster_undo(import_id: int) -> AnyResponse:
    """Take a roster back, as long as it is the last one."""
    try:
        with transaction():
            name = apply.undo(import_id, by=signed_in.by(), now=clock.now()).file_name
    except NotFoundError:
        notices.warn(_("No roster was imported, so there is nothing to take back."))
    except ConflictError as error:
        notices.warn(_not_taken_back(error))
    else:
        notices.tell(_("%(file)s is taken back. Everything is as it was before.", file=name))
    return redirect(url_for("web.imports"), 303)


def _not_taken_back(error: ConflictError) -> str:
    if "last" in error.data:
        return _("%(file)s was imported since. Only the last roster can be taken back.", file=error.data["last"])
    if "used_by" in error.data:
        return _(
            "Tablets, tickets or profiles stand at the schools or classes that it brought. Move or end those first."
        )
    return _("The last roster was taken back already, or is too old to be taken back.")


def _require(kind: str) -> Principal:
    """Return the one who acts.

    Raises:
        ForbiddenError: no import of this kind anywhere.
    """
    by = signed_in.by()
    if kind == "roster":
        require(by, Permission.IMPORT_ROSTER)
    elif by.school_ids(Permission.IMPORT_DEVICES) == frozenset():
        raise ForbiddenError(permission=Permission.IMPORT_DEVICES.value)
    return by


def _kept(kind: str, name: str, by: Principal) -> Upload | None:
    try:
        return uploads.find(name, kind=kind, by=by, now=clock.now())
    except NotFoundError:
        notices.warn(_("The file is not kept any more. Choose it once again."))
        return None


def _use_roster(wanted: Roster, file_name: str, typed: str, by: Principal) -> int | None:
    """Apply a roster; the brake is off where the number that would leave was written. Returns the import's id, if any.

    Raises:
        BrakedError: too much would leave, and nobody wrote how much.
    """
    braked = over_brake(apply.propose(wanted, by=by), max_removed_percent=DEFAULT_MAX_REMOVED_PERCENT)
    is_confirmed = braked is not None and typed == str(braked.data["removed"])
    brake = None if is_confirmed else DEFAULT_MAX_REMOVED_PERCENT
    _plan, done = apply.apply(wanted, file_name=file_name, max_removed_percent=brake, by=by, now=clock.now())
    return done.id if done is not None else None


def _brake_words(error: BrakedError) -> str:
    count = error.data["removed"] if "removed" in error.data else error.data["moves"]
    return _("Nothing was changed. Write %(number)s if that is what you want.", number=count)


def _page(faults: dict[str, str]) -> str:
    by = _require("delivery")
    may_roster = by.may(Permission.IMPORT_ROSTER)
    rosters = apply.history(by=by, limit=_HISTORY) if may_roster else []
    return render_template(
        "imports.html",
        may_roster=may_roster,
        may_absence=by.school_ids(Permission.ENTER_ABSENCE) != frozenset(),
        rosters=rosters,
        lists=delivery.history(by=by, limit=_HISTORY),
        faults=faults,
        now=clock.now(),
    )


def _look(kind: str, kept: Upload, by: Principal, *, fault: str = "") -> str | tuple[str, int]:
    try:
        with uploads.as_file(kept) as path:
            if kind == "delivery":
                found = delivery.propose(path, by=by)
                return render_template(
                    "import_delivery.html",
                    kept=kept,
                    plan=found,
                    first=_FIRST,
                    fault=fault,
                    words_imports=words_imports,
                )
            wanted = apply.read(path)
    except InvalidFileError as error:
        return _refused(kind, kept.file_name, error)
    return render_template("import_roster.html", kept=kept, fault=fault, **_roster_shown(wanted, by))


def _roster_shown(wanted: Roster, by: Principal) -> dict[str, Any]:
    plan: Plan = apply.propose(wanted, by=by)
    leaving = plan.kinds["classes"].removed
    left = devices.counts_by_class_source(by=by) if leaving else {}
    return {
        "plan": plan,
        "counts": plan.counts(),
        "kinds": KINDS,
        "shown": {
            (name, what): words_imports.changes(plan, wanted, name, what, first=_FIRST)
            for name in KINDS
            for what in ("added", "changed", "removed")
        },
        "first": _FIRST,
        "tablets_left": sum(left.get(one, 0) for one in leaving),
        "braked": over_brake(plan, max_removed_percent=DEFAULT_MAX_REMOVED_PERCENT),
        "words_imports": words_imports,
    }


def _refused(kind: str, file_name: str, error: InvalidFileError) -> tuple[str, int]:
    told: list[Problem] = list(error.problems)
    page = render_template(
        "import_refused.html",
        kind=kind,
        file_name=file_name,
        problems=[words_problems.problem(one) for one in told[:_PROBLEMS_SHOWN]],
        count=max(int(error.data.get("count", 0)), len(told)),
    )
    return page, 400
