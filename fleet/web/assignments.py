"""Who has which profile: places against profiles, and giving one to a place, with what it would do told before."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import redirect, render_template, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, Principal
from fleet.assignments import assigning, effect, library, matrix, places, publishing, undoing
from fleet.assignments.matrix import Spot
from fleet.assignments.models import Assignment, ProfileVersion, Scope
from fleet.assignments.undoing import Undone
from fleet.db import transaction
from fleet.errors import ConflictError, FleetError, InvalidError
from fleet.web import notices, refusals_profiles, signed_in, words_profiles
from fleet.web.blueprint import web
from fleet.web.formats import minute
from fleet.web.pages import page_count
from fleet.web.profile_publish import told
from fleet.web.texts import translated as _
from fleet.web.values import local_time, whole

_COLUMNS = 24
_TABLETS_SHOWN = 50
_ADDRESS = "/assignments/<int(max=2147483647):assignment_id>"


@web.get("/assignments")
def assignments() -> str:
    """Show the matrix."""
    by, now = signed_in.by(), clock.now()
    rows = library.published_shelf(library.shelf(by=by, now=now))
    page = whole(request.args.get("page")) or 1
    column_pages = max(1, -(-len(rows) // _COLUMNS))
    column_page = min(whole(request.args.get("columns")) or 1, column_pages)
    found = matrix.load(school_id=whole(request.args.get("school")), page=page, by=by, now=now)
    shown = found.on_tablets[:_TABLETS_SHOWN]
    named = places.named(shown)
    opened = found.opened
    return render_template(
        "assignments.html",
        matrix=found,
        columns=rows[(column_page - 1) * _COLUMNS : column_page * _COLUMNS],
        column_page=column_page,
        column_pages=column_pages,
        may_everywhere=by.may(Permission.ASSIGN_MUNICIPALITY),
        mine=by.school_ids(Permission.ASSIGN_SCHOOL),
        on_tablets=[(one, named[one.id]) for one in shown],
        more=len(found.on_tablets) - len(shown),
        page=page,
        pages=max(1, -(-opened.count // matrix.CLASSES_SHOWN)) if opened is not None else page_count(0),
        now=now,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form or address asks for: a profile, a place, and local times as they were typed."""

    version: ProfileVersion
    spot: Spot
    at: str
    start: str
    end: str

    @property
    def times(self) -> tuple[datetime | None, datetime | None]:
        """The times as instants.

        Raises:
            InvalidError: one of them cannot be read.
        """
        return _instant(self.start), _instant(self.end)


def _instant(typed: str) -> datetime | None:
    if not typed:
        return None
    found = local_time(typed)
    if found is None:
        raise InvalidError(kind="assignment", reason="ends before it starts")
    return found if found.tzinfo is not None else found.replace(tzinfo=signed_in.timezone())


def _asked(values: Any) -> Asked:
    by = signed_in.by()
    library.require_reader(by)
    at = values.get("at", "")
    spot = matrix.spot(at, by=by)
    assigning.require_to_assign(by, spot.place.scope, spot.place.school_id)
    version = publishing.published(publishing.find(values.get("profile", "")))
    return Asked(version, spot, at, values.get("from", "").strip(), values.get("until", "").strip())


@web.get("/assignments/place")
def assignment_at() -> str:
    """Show what a place has of a profile, and what giving it would do."""
    return _page(_asked(request.args))


@web.post("/assignments")
def assignment_create() -> Response | tuple[str, int]:
    """Give a profile to a place: the version whose effect was shown."""
    by, now, asked = signed_in.by(), clock.now(), _asked(request.form)
    shown = tuple(request.form.get(name, "") for name in ("shown_from", "shown_until"))
    if request.form.get("look"):
        where = {"profile": asked.version.profile.name, "at": asked.at, "from": asked.start, "until": asked.end}
        return redirect(f"{url_for('web.assignment_at')}?{urlencode(where)}", 303)
    if shown != (asked.start, asked.end):
        return _page(asked, _("The times were changed. Look at what happens now, and assign it then.")), 409
    if whole(request.form.get("version")) != asked.version.number:
        number = asked.version.number
        told_of = _(
            "Version %(number)s was published meanwhile. Look at what it does, and assign it then.", number=number
        )
        return _page(asked, told_of), 409
    try:
        starts_at, ends_at = asked.times
        with transaction():
            made, tablets = assigning.assign(
                asked.version,
                asked.spot.place,
                starts_at=starts_at,
                ends_at=ends_at,
                confirmed=whole(request.form.get("confirmed")),
                by=by,
                now=now,
            )
            number, title = made.id, asked.version.profile.title
    except FleetError as error:
        problem = refusals_profiles.told(error)
        if problem is None:
            raise
        return _page(asked, problem), refusals_profiles.status(error)
    told_of = ngettext(
        "%(title)s is given to %(place)s: %(num)d tablet gets it.",
        "%(title)s is given to %(place)s: %(num)d tablets get it.",
        tablets, title=title, place=_place(asked.spot),
    )  # fmt: skip
    if ends_at is not None:
        told_of += " " + _("It ends by itself: %(time)s.", time=minute(ends_at))
    notices.tell(told_of, undo=url_for("web.assignment_undo", assignment_id=number, version=asked.version.number))
    return redirect(_matrix_of(asked.spot), 303)


def _place(spot: Spot) -> str:
    return words_profiles.place(spot.place.scope, places.Named(spot.name, spot.school), within=True)


def _matrix_of(spot: Spot) -> str:
    """Return the address of the matrix with the place's rows open."""
    shown = spot.place.school_id if spot.place.scope is Scope.CLASS else None
    return url_for("web.assignments", school=shown)


def _page(asked: Asked, problem: str | None = None) -> str:
    by, now, place = signed_in.by(), clock.now(), asked.spot.place
    profile_id = asked.version.profile_id
    around = [one for one in assigning.listed(by=by, now=now) if one.profile_version.profile_id == profile_id]
    here = [one for one in around if one.scope is place.scope and _number(one) == place.id]
    above = [one for one in around if one not in here and _is_above(one, asked.spot)]
    change = ends_at = None
    has_it = any(
        one.starts_at is None and one.ends_at is None and one.profile_version.number == asked.version.number
        for one in here
    )
    if not (has_it and not asked.start and not asked.end):
        try:
            starts_at, ends_at = asked.times
            change = assigning.change_of(asked.version, place, starts_at=starts_at, ends_at=ends_at, by=by, now=now)
        except InvalidError as error:
            problem = problem or refusals_profiles.told(error)
    named = places.named(above)
    return render_template(
        "assignment_at.html",
        asked=asked,
        place=_place(asked.spot),
        back=_matrix_of(asked.spot),
        here=here,
        above=[(one, words_profiles.place(one.scope, named[one.id])) for one in above],
        has_it=has_it,
        told=told(change) if change is not None else None,
        ends_at=ends_at,
        problem=problem,
        now=now,
    )


def _number(one: Assignment) -> int | None:
    return one.school_id or one.class_id or one.device_id


def _is_above(one: Assignment, spot: Spot) -> bool:
    """Whether an assignment of the municipality or the school reaches a place below it."""
    if spot.place.scope is Scope.MUNICIPALITY:
        return False
    return one.scope is Scope.MUNICIPALITY or (
        one.scope is Scope.SCHOOL and spot.place.scope is not Scope.SCHOOL and one.school_id == spot.place.school_id
    )


@web.get(f"{_ADDRESS}/withdraw")
def assignment_withdrawal(assignment_id: int) -> str:
    """Show what withdrawing would do."""
    return _withdrawal(assignment_id)


def _withdrawal(assignment_id: int, problem: str | None = None) -> str:
    by, now = signed_in.by(), clock.now()
    one = assigning.get(assignment_id, by=by)
    is_over = False
    try:
        assigning.standing_one(assignment_id, by=by, now=now)
    except ConflictError:
        is_over = True
    return render_template(
        "assignment_withdraw.html",
        one=one,
        place=words_profiles.place(one.scope, places.named([one])[one.id], within=True),
        is_over=is_over,
        told=None if is_over else told(effect.of_withdrawing(assignment_id, now=now)),
        problem=problem,
        now=now,
    )


@web.post(f"{_ADDRESS}/withdraw")
def assignment_withdraw(assignment_id: int) -> Response | tuple[str, int]:
    """Withdraw an assignment, so that its tablets lose what it says."""
    by, now = signed_in.by(), clock.now()
    confirmed = whole(request.form.get("confirmed"))
    try:
        with transaction():
            one = assigning.get(assignment_id, by=by)
            title, is_device = one.profile_version.profile.title, one.scope is Scope.DEVICE
            place = words_profiles.place(one.scope, places.named([one])[one.id], within=True)
            school_id = assigning.school_of(one) if one.scope is Scope.CLASS else None
            can_return = one.ends_at is None or one.ends_at > now
            assigning.withdraw(assignment_id, confirmed=confirmed, by=by, now=now)
    except FleetError as error:
        problem = refusals_profiles.told(error)
        if problem is None:
            raise
        return _withdrawal(assignment_id, problem), refusals_profiles.status(error)
    undo = url_for("web.assignment_again", assignment_id=assignment_id) if can_return else None
    notices.tell(_("%(title)s is withdrawn from %(place)s.", title=title, place=place), undo=undo)
    return redirect(url_for("web.assignments", school=None if is_device else school_id), 303)


@web.post(f"{_ADDRESS}/undo")
def assignment_undo(assignment_id: int) -> Response:
    """Undo the giving of a profile: what it took the place of is there again."""
    version = whole(request.args.get("version")) or 0
    return _undone(
        assignment_id, lambda by, now: undoing.undo_assigning(assignment_id, version=version, by=by, now=now)
    )


@web.post(f"{_ADDRESS}/again")
def assignment_again(assignment_id: int) -> Response:
    """Give back what was withdrawn: the same version, at the same place, until the same time."""
    return _undone(assignment_id, lambda by, now: undoing.undo_withdrawing(assignment_id, by=by, now=now))


def _undone(assignment_id: int, act: Callable[[Principal, datetime], Undone]) -> Response:
    by, now = signed_in.by(), clock.now()
    one = assigning.get(assignment_id, by=by)
    spot = matrix.spot(matrix.written(one.scope, _number(one)), by=by)
    title = one.profile_version.profile.title
    try:
        with transaction():
            done = act(by, now)
            is_gone, back = done.assignment.withdrawn_at is not None, [one.profile_version.number for one in done.back]
    except FleetError as error:
        problem = refusals_profiles.not_undone(error)
        if problem is None:
            raise
        notices.warn(problem)
        return redirect(_matrix_of(spot), 303)
    if back:
        notices.tell(
            _(
                "Version %(number)s of %(title)s applies at %(place)s again.",
                number=back[0],
                title=title,
                place=_place(spot),
            )
        )
    elif is_gone:
        undo = url_for("web.assignment_again", assignment_id=assignment_id)
        notices.tell(_("%(title)s is withdrawn from %(place)s.", title=title, place=_place(spot)), undo=undo)
    else:
        notices.tell(_("%(title)s is back at %(place)s.", title=title, place=_place(spot)))
    return redirect(_matrix_of(spot), 303)
