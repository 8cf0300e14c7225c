"""Who hears of what: each role and each topic, in the municipality and at each school, which may differ from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import redirect, render_template, request
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, Role
from fleet.alerts import topics
from fleet.alerts.models import AlertTopic, Delivery
from fleet.alerts.topics import Cell
from fleet.db import transaction
from fleet.schools import queries as schools
from fleet.web import notices, settings_undo, signed_in, words_alerts
from fleet.web.blueprint import web
from fleet.web.settings_place import place
from fleet.web.texts import translated as _

_AT_SCHOOL = "/settings/schools/<int(max=2147483647):school_id>/alerts"
_EVERYWHERE = "/settings/alerts"
_INHERITED = "inherited"
_DELIVERIES = {one.value: one for one in Delivery}


@dataclass(frozen=True, slots=True)
class Line:
    """A topic, and how each role that is shown hears of it; None where that role cannot."""

    topic: AlertTopic
    cells: Mapping[Role, Cell | None]


@dataclass(frozen=True, slots=True)
class Differing:
    """A school, and what it has decided otherwise than the municipality."""

    school_id: int
    name: str
    differs: Sequence[str]


@web.get(_AT_SCHOOL)
@web.get(_EVERYWHERE, defaults={"school_id": None})
def settings_alerts(school_id: int | None) -> str:
    """Show who hears of what."""
    at = place(school_id, Permission.EDIT_ALERTS)
    by = signed_in.by()
    cells = topics.matrix(by=by, school_id=school_id)
    roles = list(dict.fromkeys(one.role for one in cells))
    return render_template(
        "settings_alerts.html",
        place=at,
        page_here="settings_alerts",
        heads=[(_("About"), ""), *((words_alerts.readers(one), "") for one in roles)],
        lines=_lines(cells, roles),
        deliveries=list(Delivery),
        inherited=_INHERITED,
        field=field,
        schools=_differing() if school_id is None else [],
        times=(topics.DIGEST_AT, topics.EARLIEST, topics.LATEST),
    )


@web.post(_AT_SCHOOL)
@web.post(_EVERYWHERE, defaults={"school_id": None})
def settings_alerts_save(school_id: int | None) -> Response:
    """Decide who hears of what; what the form does not name stays."""
    at = place(school_id, Permission.EDIT_ALERTS)
    by, now = signed_in.by(), clock.now()
    page = at.address("settings_alerts")
    before: dict[tuple[Role, AlertTopic], Delivery | None] = {}
    after = dict(before)
    undo = None
    with transaction():
        for one in topics.matrix(by=by, school_id=school_id):
            told = request.form.get(field(one.role, one.topic))
            if told != _INHERITED and told not in _DELIVERIES:
                continue
            wanted, present = _DELIVERIES.get(told), one.delivery if one.is_own else None
            if topics.choose(one.role, one.topic, wanted, school_id=school_id, by=by, now=now):
                before[one.role, one.topic], after[one.role, one.topic] = present, wanted
        if before:
            undo = settings_undo.keep(settings_undo.alerts(school_id, before, after), page, by=by, now=now)
    if undo is not None:
        notices.tell(_("It is saved who hears of what."), undo=undo)
    else:
        notices.caution(_("Nothing was changed."))
    return redirect(page, 303)


def field(role: Role, topic: AlertTopic) -> str:
    """Return the name of a field of the form."""
    return f"{role}.{topic}"


def _lines(cells: Sequence[Cell], roles: Sequence[Role]) -> list[Line]:
    by_place = {(one.topic, one.role): one for one in cells}
    order = [one for one in AlertTopic if any((one, role) in by_place for role in roles)]
    return [Line(topic, {role: by_place.get((topic, role)) for role in roles}) for topic in order]


def _differing() -> list[Differing]:
    """Return every school that one may see, with what it has decided otherwise."""
    chosen = topics.choices()
    found: dict[int, list[str]] = {}
    for (role, topic, school_id), delivery in chosen.items():
        if school_id is not None and delivery is not topics.holds(chosen, role, topic, None):
            told = _(
                "%(readers)s: %(topic)s: %(delivery)s",
                readers=words_alerts.readers(role),
                topic=words_alerts.topic(topic),
                delivery=words_alerts.delivery(delivery),
            )
            found.setdefault(school_id, []).append(told)
    known = schools.visible(signed_in.by())
    return [Differing(school_id, name, sorted(found.get(school_id, []))) for school_id, name in known.items()]
