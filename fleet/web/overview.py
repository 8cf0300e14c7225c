"""Today: what needs whoever looks after schools, and how all tablets stand; for teachers, their classes' tablets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time
from typing import Any

from flask import url_for
from flask_babel import ngettext

from fleet import clock
from fleet.access import Permission, Principal
from fleet.compliance import queries as compliance
from fleet.compliance import questions
from fleet.devices import queries as devices
from fleet.devices.queries import Figures
from fleet.lessons import occupied
from fleet.reports import figures as reports
from fleet.reports.figures import Day
from fleet.schools import queries as schools
from fleet.web import charts, needs_alerts, needs_silence, signed_in
from fleet.web.blueprint import web
from fleet.web.charts import Spark
from fleet.web.formats import number
from fleet.web.needs import needs, others
from fleet.web.pages import show
from fleet.web.texts import translated as _

_FINDINGS_SHOWN = 8
_ASKED_SHOWN = 12
_DAYS = 30


@dataclass(frozen=True, slots=True)
class Row:
    """A school's tablets; without ``school_id`` and ``name``, those that have no school, or all together."""

    school_id: int | None
    name: str | None
    figures: Figures
    in_lesson: int

    @property
    def in_order(self) -> float | None:
        """The share of tablets without findings, from 0 to 1 and never rounded up; None where none is in use."""
        enrolled = self.figures.enrolled
        return 100 * (enrolled - self.figures.with_findings) // enrolled / 100 if enrolled else None


@dataclass(frozen=True, slots=True)
class Trend:
    """A number of now and its last weeks.

    Args:
        name: in the page.
        colour: of the line.
        title: what is counted.
        value: how many now.
        total: of how many; None where of none.
        address: of the list behind the number.
        about: the rest, in words, and the list behind that.
        about_address: None where there is none.
        spark: None before two days were counted.
        counted: what the line counts, in words.
    """

    name: str
    colour: str
    title: str
    value: int
    total: int | None
    address: str
    about: str
    about_address: str | None
    spark: Spark | None
    counted: str


@dataclass(frozen=True, slots=True)
class Card:
    """A teacher's class: where it leads, where those lead that need a look, and its tablets in figures."""

    title: str
    address: str
    look_address: str
    figures: Figures
    school: str


@web.get("/")
def overview() -> str:
    """Show today."""
    by, now = signed_in.by(), clock.now()
    today = now.astimezone(signed_in.timezone()).date()
    municipality = schools.municipality()
    told = {"today": today, "municipality": municipality.name if municipality is not None else None}
    if by.school_ids(Permission.SEE_SCHOOL) == frozenset():
        return show("overview", **told, is_it=False, **_of_teacher(by, now))
    names = schools.visible(by)
    by_school = devices.figures(by=by, now=now)
    lessons = occupied.by_school(by=by, now=now)
    rows, everything = _rows(names, by_school, lessons)
    days = reports.trend(_DAYS, by=by, now=now, timezone=signed_in.timezone())
    counts = compliance.counts(by=by)
    found = needs_silence.needs(by=by, now=now, counts=counts)
    found += needs(
        by=by,
        now=now,
        counts=counts,
        pending_approval=everything.figures.pending_approval,
        names=names,
        municipality=municipality,
    )
    return show(
        "overview",
        **told,
        is_it=True,
        needs=[*found, *needs_alerts.needs(by=by, now=now)],
        others=others(counts),
        rows=rows,
        everything=everything,
        trends=_trends(everything, days, today, occupied.begun(since=_midnight(today), by=by, now=now)),
        days=days[::-1],
        class_cards=_class_cards(by, now, known=names),
        may_make_schools=by.may(Permission.EDIT_MUNICIPALITY),
    )


def _rows(
    names: Mapping[int, str], by_school: Mapping[int | None, Figures], lessons: Mapping[int | None, int]
) -> tuple[list[Row], Row]:
    """Return a row for each school, one for tablets without any where there are such, and all of them together."""
    rows = [
        Row(school_id, name, by_school.get(school_id, Figures()), lessons.get(school_id, 0))
        for school_id, name in names.items()
    ]
    if None in by_school:
        rows.append(Row(None, None, by_school[None], lessons.get(None, 0)))
    return rows, Row(None, None, _together([row.figures for row in rows]), sum(row.in_lesson for row in rows))


def _together(parts: Sequence[Figures]) -> Figures:
    """Return the sum of figures of different tablets, with the newest instant."""
    numbers = [one.name for one in fields(Figures) if one.name != "last_seen_at"]
    sums = {name: sum(getattr(one, name) for one in parts) for name in numbers}
    seen = (one.last_seen_at for one in parts if one.last_seen_at is not None)
    return Figures(**sums, last_seen_at=max(seen, default=None))


def _midnight(on: date) -> datetime:
    return datetime.combine(on, time(), signed_in.timezone())


def _trends(row: Row, days: Sequence[Day], today: date, begun: int) -> list[Trend]:
    """Return the four numbers that say how the fleet stands.

    Of today, which is not over, a line shows only what holds now: what a day sums up would seem to fall each morning.
    """

    def line(counted: Callable[[Day], int], now: int | None = None) -> Spark | None:
        known = {one.on: counted(one) for one in days if one.on != today}
        return charts.spark(known | ({today: now} if now is not None else {}), until=today, days=_DAYS)

    def tablets(state: str) -> str:
        return url_for("web.tablets", state=state)

    one, hour = row.figures, tablets("hour")
    compliant, waiting, look = one.enrolled - one.with_findings, one.pending, one.with_findings
    return [
        Trend(
            "seen", "info", _("Heard from the last day"), one.seen_last_day, one.enrolled, tablets("day"),
            _("%(number)s the last hour", number=number(one.seen_last_hour)), hour,
            line(lambda day: day.seen), _("Tablets heard from, day by day"),
        ),
        Trend(
            "applied", "success", _("Have their profile"), one.applied, one.enrolled, tablets("enrolled"),
            ngettext("%(num)d is waiting", "%(num)d are waiting", waiting), tablets("waiting") if waiting else None,
            line(lambda day: day.applied, one.applied), _("Tablets with their profile, day by day"),
        ),
        Trend(
            "compliant", "success", _("In order"), compliant, one.enrolled, tablets("enrolled"),
            ngettext("%(num)d needs a look", "%(num)d need a look", look), tablets("findings") if look else None,
            line(lambda day: day.compliant, compliant), _("Tablets without findings, day by day"),
        ),
        Trend(
            "lessons", "accent", _("Tablets in a lesson now"), row.in_lesson, None, tablets("lesson"),
            ngettext("%(num)d lesson so far today", "%(num)d lessons so far today", begun), None,
            line(lambda day: day.lessons), _("The curve: how many lessons each day"),
        ),
    ]  # fmt: skip


def _of_teacher(by: Principal, now: datetime) -> dict[str, Any]:
    """Return what the page needs for one who looks after no school."""
    counts = compliance.counts(by=by)
    return {
        "figures": devices.totals(by=by, now=now),
        "class_cards": _class_cards(by, now, known={}),
        "asked": questions.waiting(by=by, limit=_ASKED_SHOWN),
        "back": url_for("web.overview"),
        "findings": compliance.open_findings(compliance.Filter(), by=by, limit=_FINDINGS_SHOWN),
        "counts": counts,
        "count": sum(counts.values()),
        "roles": {grant.role for grant in by.grants},
    }


def _class_cards(by: Principal, now: datetime, *, known: Mapping[int, str]) -> list[Card]:
    """Return cards of the classes one teaches at schools that one does not look after anyway."""
    if not by.own_class_ids:
        return []
    own = [one for one in schools.own_classes(by) if one.school_id not in known]
    if not own:
        return []
    by_class = devices.figures(by=by, now=now, group="class")
    return [
        Card(
            one.title,
            url_for("web.school_class", class_id=one.id),
            f"{url_for('web.tablets', state='findings')}&class={one.id}",
            by_class.get(one.id, Figures()),
            one.school.name,
        )
        for one in own
    ]
