"""Every report there is: its name, what one may ask it about, who may have it, and what builds its sheet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from fleet.access import Permission, Principal
from fleet.errors import ForbiddenError, NotFoundError
from fleet.reports import findings, inventory, silences, standing, teaching
from fleet.reports.asking import Asked
from fleet.reports.parameters import Parameters, looks_after_schools
from fleet.reports.sheet import Sheet


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Args:
        name: in addresses.
        takes: which of ``period``, ``school``, ``class``, ``platform`` and ``kind`` one may ask it about.
        build: makes the sheet, in a fixed number of statements.
        for_teachers: whether who looks after no school may have it, about the own classes.
        is_list: whether it has a row for each thing there is, so that it may be long.
    """

    name: str
    takes: frozenset[str]
    build: Callable[[Asked], Sheet]
    for_teachers: bool = False
    is_list: bool = False


REPORTS: Mapping[str, Report] = {
    one.name: one
    for one in (
        Report("compliance", frozenset({"period", "school", "class"}), standing.over_time, for_teachers=True),
        Report("places", frozenset({"period", "school"}), standing.by_place, for_teachers=True),
        Report("findings", frozenset({"period", "school"}), findings.by_rule),
        Report("finding-list", frozenset({"period", "school", "kind"}), findings.each, is_list=True),
        Report("incidents", frozenset({"period", "school"}), silences.incidents),
        Report("questions", frozenset({"period", "school"}), silences.questions),
        Report("lessons", frozenset({"period", "school", "class"}), teaching.by_class, for_teachers=True),
        Report("apps", frozenset({"school", "platform"}), inventory.apps),
        Report("systems", frozenset({"school", "platform"}), inventory.systems),
        Report("deliveries", frozenset({"school", "platform"}), inventory.deliveries),
        Report("tablets", frozenset({"school", "platform"}), inventory.tablets, is_list=True),
    )
}


def offered(by: Principal) -> Sequence[Report]:
    """Return the reports that somebody may have."""
    if not by.grants:
        return []
    is_it = looks_after_schools(by)
    return [one for one in REPORTS.values() if is_it or (one.for_teachers and by.own_class_ids)]


def find(name: str, *, by: Principal) -> Report:
    """Return a report that ``by`` may have.

    Raises:
        NotFoundError: there is none of this name.
        ForbiddenError: it is not for ``by``.
    """
    found = REPORTS.get(name)
    if found is None:
        raise NotFoundError(kind="report", name=name, known=list(REPORTS))
    if found not in offered(by):
        raise ForbiddenError(permission=Permission.SEE_SCHOOL.value)
    return found


def narrowed(report: Report, given: Parameters) -> Parameters:
    """Return what of the parameters a report takes; what it does not take counts as not told."""
    usual = Parameters()
    names = {"period": ("period", "since", "until")} | {"school": ("school_id",), "class": ("class_id",)}
    names |= {"platform": ("platform",), "kind": ("kind",)}
    left = {
        field: getattr(usual, field) for name, fields in names.items() if name not in report.takes for field in fields
    }
    return replace(given, **left)


def reach(given: Parameters, by: Principal) -> list[str]:
    """Return what one has to be allowed to see, to see what a report about this told ``by``."""
    is_one_school = given.school_id is not None and looks_after_schools(by)
    return [f"school:{given.school_id}"] if is_one_school else by.reach()


def build(name: str, given: Parameters, *, by: Principal, now: datetime, timezone: ZoneInfo) -> Sheet:
    """Build a report.

    Args:
        name: of the report.
        given: what it is asked about.
        by: who asks; only what they may see is in it.
        now: the instant.
        timezone: the schools' local time.

    Raises:
        NotFoundError: there is no such report, school or class for ``by``.
        ForbiddenError: the report is not for ``by``.
    """
    report = find(name, by=by)
    return report.build(Asked(narrowed(report, given), by, now, timezone))
