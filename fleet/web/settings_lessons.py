"""What a school has decided about lessons: its networks, and how long one may be."""

from flask import redirect as redirect_to
from flask import render_template, request
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission
from fleet.db import transaction
from fleet.errors import InvalidError
from fleet.schools import deciding, networks
from fleet.schools import queries as schools
from fleet.schools.deciding import LONGEST_LESSON_MIN, MAX_NETWORKS, SHORTEST_LESSON_MIN
from fleet.web import notices, refusals_settings, settings_undo, signed_in
from fleet.web.blueprint import web
from fleet.web.settings_place import Place, place
from fleet.web.texts import translated as _
from fleet.web.values import whole

_ADDRESS = "/settings/schools/<int(max=2147483647):school_id>/lessons"
_MAX_TEXT = 8_000
Faults = dict[str, str]


@web.get(_ADDRESS)
def settings_lessons(school_id: int) -> str:
    """Show networks and longest lesson."""
    return _page(place(school_id, Permission.EDIT_SCHOOL))


@web.post(f"{_ADDRESS}/networks")
def settings_networks(school_id: int) -> Response | tuple[str, int]:
    """Decide on the networks; with none told, no tablet is said to be elsewhere."""
    at = place(school_id, Permission.EDIT_SCHOOL)
    text = request.form.get("ranges", "")[:_MAX_TEXT]
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    ranges = [line for _number, line in lines]
    faults = [
        refusals_settings.network(lines[place_of][0], error) for place_of, error in deciding.network_faults(ranges)
    ]
    if len(ranges) > MAX_NETWORKS:
        faults.append(_("At most %(number)s ranges.", number=MAX_NETWORKS))
    if faults:
        return _page(at, ranges=text, faults={"ranges": " ".join(faults)}), 400
    by, now = signed_in.by(), clock.now()
    page = at.address("settings_lessons")
    with transaction():
        school = schools.visible_school(school_id, by=by)
        before = deciding.set_networks(school, ranges or None, by=by, now=now)
        told = settings_undo.networks(school_id, before, school.networks)
        undo = settings_undo.keep(told, page, by=by, now=now)
    notices.tell(_("The networks are saved."), undo=undo)
    return redirect_to(page, 303)


@web.post(f"{_ADDRESS}/longest")
def settings_longest(school_id: int) -> Response | tuple[str, int]:
    """Decide how long a lesson may be."""
    at = place(school_id, Permission.EDIT_SCHOOL)
    typed = request.form.get("minutes", "")[:9]
    by, now = signed_in.by(), clock.now()
    page = at.address("settings_lessons")
    try:
        with transaction():
            school = schools.visible_school(school_id, by=by)
            before = deciding.set_longest_lesson(school, whole(typed) or 0, by=by, now=now)
            told = settings_undo.longest(school_id, before, school.longest_lesson_min)
            undo = settings_undo.keep(told, page, by=by, now=now)
    except InvalidError:
        words = _(
            "Write a number of minutes from %(least)s to %(most)s.", least=SHORTEST_LESSON_MIN, most=LONGEST_LESSON_MIN
        )
        return _page(at, minutes=typed, faults={"minutes": words}), 400
    notices.tell(_("The longest lesson is saved."), undo=undo)
    return redirect_to(page, 303)


def _page(
    at: Place, *, ranges: str | None = None, minutes: str | None = None, faults: Faults | None = None
) -> str:  # fmt: skip
    school = schools.visible_school(at.school_id or 0, by=signed_in.by())
    address = request.remote_addr
    return render_template(
        "settings_lessons.html",
        place=at,
        page_here="settings_lessons",
        ranges=ranges if ranges is not None else "\n".join(school.networks or []),
        are_told=school.networks is not None,
        minutes=minutes if minutes is not None else school.longest_lesson_min,
        limits=(SHORTEST_LESSON_MIN, LONGEST_LESSON_MIN),
        own_address=address,
        is_inside=networks.is_inside(address, networks.read(school.networks or [])),
        faults=faults or {},
    )
