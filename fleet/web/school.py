"""The schools one looks after, and one school: its classes in figures, each number a link to the list behind it."""

import re
from collections.abc import Sequence
from typing import Any

from flask import request

from fleet import clock
from fleet.access import Permission
from fleet.devices import queries as devices
from fleet.devices.queries import Figures
from fleet.lessons import finding
from fleet.schools import queries as schools
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show

_MAX_TEXT = 100


@web.get("/schools", endpoint="schools")
def schools_page() -> str:
    """Show the schools one looks after, and of those one only teaches at, the own classes."""
    by, now = signed_in.by(), clock.now()
    text = request.args.get("q", "").strip()[:_MAX_TEXT]
    seen = schools.schools(by)
    known = {row["id"] for row in seen}
    own = [one for one in schools.own_classes(by) if one.school_id not in known]
    figures = devices.figures(by=by, now=now) if seen else {}
    by_class = devices.figures(by=by, now=now, group="class") if own else {}
    return show(
        "schools",
        rows=[(row, figures.get(row["id"], Figures())) for row in seen if text.casefold() in row["name"].casefold()],
        classes=[(one, by_class.get(one.id, Figures())) for one in own],
        count=len(seen),
        text=text,
        may_make=by.may(Permission.EDIT_MUNICIPALITY),
    )


@web.get("/schools/<int(max=2147483647):school_id>")
def school(school_id: int) -> str:
    """Show a school."""
    by, now = signed_in.by(), clock.now()
    found = schools.visible_school(school_id, by=by)
    classes = sorted(schools.classes(by, school_id=school_id), key=_order)
    by_class = devices.figures(by=by, now=now, group="class", school_id=school_id)
    may = by.may
    return show(
        "school",
        school=found,
        figures=devices.totals(by=by, now=now, school_id=school_id),
        classes=[(row, by_class.get(row["id"], Figures())) for row in classes],
        lessons=finding.by_class(school_id, by=by, now=now),
        taught=_taught(classes, school_id),
        without_class=by_class.get(None),
        may_assign=may(Permission.ASSIGN_SCHOOL, school_id=school_id),
        may_edit=may(Permission.EDIT_CALENDAR, school_id=school_id),
        may_name=may(Permission.EDIT_SCHOOL, school_id=school_id),
    )


def _taught(classes: Sequence[dict[str, Any]], school_id: int) -> set[int]:
    """Return the classes for which one may start a lesson."""
    may = signed_in.by().may
    return {row["id"] for row in classes if may(Permission.TEACH, school_id=school_id, class_id=row["id"])}


def _order(row: dict[str, Any]) -> tuple[bool, list[tuple[int, str]]]:
    """Order classes as people do: basic groups first, and 8A before 10A."""
    parts = re.findall(r"\d+|\D+", row["title"])
    return row["kind"] != "basic", [(int(part), "") if part.isdecimal() else (0, part.casefold()) for part in parts]
