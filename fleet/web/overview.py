"""The overview: how all tablets one may see stand, school by school, and what needs a look."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import url_for

from fleet import clock
from fleet.access import Principal
from fleet.compliance import queries as compliance
from fleet.devices import queries as devices
from fleet.devices.queries import Figures
from fleet.schools import queries as schools
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show

_FINDINGS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Card:
    """A school, or a teacher's class: where it leads, where those lead that need a look, and its tablets in figures."""

    title: str
    address: str
    look_address: str
    figures: Figures
    classes: int | None = None
    school: str | None = None


@web.get("/")
def overview() -> str:
    """Show the overview."""
    by, now = signed_in.by(), clock.now()
    findings = compliance.open_findings(compliance.Filter(), by=by, limit=_FINDINGS_SHOWN)
    counts = compliance.counts(by=by)
    school_cards, class_cards = _cards(by, now)
    municipality = schools.municipality()
    return show(
        "overview",
        municipality=municipality.name if municipality is not None else None,
        figures=devices.totals(by=by, now=now),
        school_cards=school_cards,
        class_cards=class_cards,
        findings=findings,
        counts=counts,
        count=sum(counts.values()),
        roles={grant.role for grant in by.grants},
    )


def _cards(by: Principal, now: datetime) -> tuple[list[Card], list[Card]]:
    """Return cards of the schools one looks after, and of the classes one teaches elsewhere."""
    by_school = devices.figures(by=by, now=now)
    seen = schools.schools(by)
    school_cards = [_school_card(row, by_school) for row in seen]
    if not by.own_class_ids:
        return school_cards, []
    by_class = devices.figures(by=by, now=now, group="class")
    known = {row["id"] for row in seen}
    own = [row for row in schools.classes(by) if row["id"] in by.own_class_ids and row["school_id"] not in known]
    class_cards = [
        Card(
            row["title"],
            _of_class(row),
            _of_class(row, state="findings"),
            by_class.get(row["id"], Figures()),
            school=row["school"],
        )
        for row in own
    ]
    return school_cards, class_cards


def _school_card(row: dict[str, Any], by_school: dict[int | None, Figures]) -> Card:
    figures = by_school.get(row["id"], Figures())
    return Card(
        row["name"],
        url_for("web.school", school_id=row["id"]),
        url_for("web.findings", school_id=row["id"]),
        figures,
        classes=row["classes"],
    )


def _of_class(row: dict[str, Any], *, state: str | None = None) -> str:
    return url_for("web.school", school_id=row["school_id"], class_id=row["id"], state=state, _anchor="tablets-title")
