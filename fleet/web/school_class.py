"""One class: its pupils with their tablets, the tablets that are no pupil's own, and the lesson that runs."""

from flask import url_for

from fleet import clock
from fleet.access import Permission
from fleet.compliance import queries as compliance
from fleet.compliance import questions
from fleet.devices import queries as devices
from fleet.devices.queries import Filter
from fleet.lessons import finding
from fleet.schools import absences
from fleet.schools import finding as places_of
from fleet.schools import queries as schools
from fleet.web import signed_in
from fleet.web.absence import today
from fleet.web.blueprint import web
from fleet.web.pages import show


@web.get("/classes/<int(max=2147483647):class_id>")
def school_class(class_id: int) -> str:
    """Show a class."""
    by, now = signed_in.by(), clock.now()
    found = places_of.seen_class(class_id, by=by)
    members = schools.members(by, found)
    pupils = [row for row in members if row["role"] == "pupil"]
    own = devices.own_tablets([row["id"] for row in pupils], by=by)
    all_of_class = devices.devices(Filter(class_id=class_id, with_retired=False), by=by, sort="serial")
    of_pupils = {one.id for ones in own.values() for one in ones}
    shared = [one for one in all_of_class if one.id not in of_pupils]
    may = by.may
    may_enter = may(Permission.ENTER_ABSENCE, school_id=found.school_id, class_id=class_id)
    on = today()
    return show(
        "school_class",
        asked=questions.waiting(by=by, class_id=class_id) if may_enter else [],
        back=url_for("web.school_class", class_id=class_id),
        away=absences.covering({row["id"] for row in pupils}, on, on) if may_enter else {},
        today=on,
        may_enter=may_enter,
        school_class=found,
        pupils=pupils,
        teachers=[row for row in members if row["role"] != "pupil"],
        own=own,
        shared=shared,
        count=len(all_of_class),
        without=sum(row["id"] not in own for row in pupils),
        kinds=compliance.kinds_of([one.id for one in all_of_class if one.state.has_findings]),
        lesson=finding.of_class(class_id, by=by, now=now),
        may_teach=may(Permission.TEACH, school_id=found.school_id, class_id=class_id),
        may_name=may(Permission.EDIT_SCHOOL, school_id=found.school_id),
        may_assign=may(Permission.ASSIGN_SCHOOL, school_id=found.school_id),
    )
