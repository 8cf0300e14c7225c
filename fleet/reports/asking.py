"""Who asks for which report about what: the value that builders are given, and the place it may be about."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, or_, select, true

from fleet.access import Permission, Principal
from fleet.db import db
from fleet.errors import NotFoundError
from fleet.reports import history
from fleet.reports.parameters import Parameters
from fleet.schools import queries as schools
from fleet.schools.models import School, SchoolClass


@dataclass(frozen=True, slots=True)
class Place:
    """What a report may be about.

    Args:
        school_ids: these schools; None: all.
        school_id: the one school that was asked for.
        class_id: the one class that was asked for.
        class_ids: of one who looks after no school, the own classes.
        name: of the school or class; None where neither was asked for.
    """

    school_ids: frozenset[int] | None
    school_id: int | None = None
    class_id: int | None = None
    class_ids: frozenset[int] = frozenset()
    name: str | None = None

    def at(self, column: Any) -> ColumnElement[bool]:
        """Whether a column of school numbers is within."""
        if self.school_id is not None:
            return column == self.school_id  # type: ignore[no-any-return]
        return true() if self.school_ids is None else column.in_(self.school_ids)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question for a report.

    Args:
        given: what it is asked about.
        by: who asks.
        now: the instant.
        timezone: the schools' local time.
    """

    given: Parameters
    by: Principal
    now: datetime
    timezone: ZoneInfo

    @property
    def today(self) -> date:
        """The local day."""
        return self.now.astimezone(self.timezone).date()

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last local day that are meant."""
        return self.given.days(self.today)

    @property
    def instants(self) -> tuple[datetime, datetime]:
        """When the first day begins, and when the day after the last one does."""
        since, until = self.days
        return history.bounds(since, self.timezone)[0], history.bounds(until, self.timezone)[1]


def place(asked: Asked) -> Place:
    """Return what the report may be about; one statement at most.

    Raises:
        NotFoundError: the school or class is none of theirs.
    """
    by, given = asked.by, asked.given
    among = by.school_ids(Permission.SEE_SCHOOL)
    if given.class_id is not None:
        return _of_class(given.class_id, by, among)
    if given.school_id is not None:
        if among is not None and given.school_id not in among:
            raise NotFoundError(kind="school", name=str(given.school_id))
        return Place(among, given.school_id, name=schools.visible_school(given.school_id, by=by).name)
    return Place(among, class_ids=by.own_class_ids if among == frozenset() else frozenset())


def _of_class(class_id: int, by: Principal, among: frozenset[int] | None) -> Place:
    query = select(SchoolClass.title, School.name, SchoolClass.school_id).join(School)
    found = db.session.execute(query.where(SchoolClass.id == class_id)).first()
    if found is None or not by.may(Permission.SEE_CLASS, school_id=found.school_id, class_id=class_id):
        raise NotFoundError(kind="class", name=str(class_id))
    return Place(among, class_id=class_id, class_ids=frozenset({class_id}), name=f"{found.title}, {found.name}")


def within(one: Place, school_column: Any, class_column: Any) -> ColumnElement[bool]:
    """Whether a row of a school and class is within: the class asked for, the own classes, or the schools."""
    if one.class_id is not None:
        return class_column == one.class_id  # type: ignore[no-any-return]
    at_school = one.at(school_column)
    return or_(at_school, class_column.in_(one.class_ids)) if one.class_ids else at_school
