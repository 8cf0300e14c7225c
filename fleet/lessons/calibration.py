"""Forecasts against what came: outcomes are counted, learned from and shown.

Invariants: an outcome is counted once; one that cannot tell whether the forecast was right (a planned lesson, one
ended at once, a pupil who was absent) is marked as seen and counts for nothing.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update

from fleet.access import Permission, Principal, require
from fleet.db import db, id_set, take_turn
from fleet.lessons import forecast
from fleet.lessons.forecast import FORECAST_S, Kind
from fleet.lessons.models import ArrivalHabit, ArrivalRecord, Lesson, LessonTablet, Part
from fleet.schools.models import SchoolClass

AT_ONCE = 2_000  # outcomes counted in one transaction: about a quarter of a second
# So many outcomes are remembered, the older the fainter: some days of a school, so that a new access point shows.
REMEMBERED = 1_000.0
REMEMBERED_OF_TABLET = 30.0
_HORIZON = timedelta(seconds=FORECAST_S)
_TOLD_AFTER = timedelta(seconds=15)  # what came in time may be written down a little later
_Told = tuple[int, int, int]  # percent, tablets, arrived
_NOT_MEANT = frozenset({Part.ABSENT, Part.TAKEN, Part.RELEASED, Part.GONE})


@dataclass(frozen=True, slots=True)
class Calibration:
    """Forecasts of one band (``70-79``) or kind, and what came.

    Args:
        name: the band, or the kind.
        is_band: whether it is a band.
        tablets: how many forecasts were made.
        forecast_percent: their mean.
        arrived: how many tablets arrived in time.
        arrived_percent: the share that did.
    """

    name: str
    is_band: bool
    tablets: int
    forecast_percent: float
    arrived: int
    arrived_percent: float


@dataclass(frozen=True, slots=True)
class _Came:
    """What came of a forecast."""

    device_id: int
    school_id: int
    kind: str
    is_in_time: bool


def note_outcomes(*, now: datetime) -> int:
    """Count the outcomes of forecasts whose time is over, at most :data:`AT_ONCE`; returns how many.

    For a job that is repeated until there are none: what is counted once is not counted again. Statements do not grow
    in number with the outcomes. A row that another transaction holds is left for the next time: whoever writes lessons'
    rows has taken their tablets' first, and this takes none, so it must not wait.
    """
    take_turn("arrivals")
    by_outcome: dict[bool | None, list[int]] = defaultdict(list)
    came: list[_Came] = []
    for row in _uncounted(now):
        outcome = _outcome(row)
        by_outcome[outcome].append(row.id)
        if outcome is not None:
            came.append(_Came(row.device_id, row.school_id, row.forecast_kind, outcome))
    for outcome, ids in by_outcome.items():
        told = update(LessonTablet).where(LessonTablet.id.in_(id_set(ids))).values(counted_at=now, is_in_time=outcome)
        db.session.execute(told.execution_options(synchronize_session=False))
    _learn(came)
    return sum(map(len, by_outcome.values()))


def calibration(*, school_id: int | None, since: datetime, by: Principal) -> list[Calibration]:
    """Return forecasts against what came, of lessons that began since then: by band, then by kind; one statement.

    Args:
        school_id: of one school's lessons; None: of all.
        since: the instant.
        by: who asks.

    Raises:
        ForbiddenError: ``by`` may not see that school.
    """
    require(by, Permission.SEE_SCHOOL, school_id=school_id)
    arrived = func.count().filter(LessonTablet.is_in_time.is_(True))
    query: Any = (
        select(LessonTablet.forecast_percent, LessonTablet.forecast_kind, func.count(), arrived)
        .join(Lesson, Lesson.id == LessonTablet.lesson_id)
        .where(LessonTablet.is_in_time.is_not(None), Lesson.starts_at >= since, Lesson.ends_at >= since)
        .group_by(LessonTablet.forecast_percent, LessonTablet.forecast_kind)
    )
    if school_id is not None:
        query = query.join(SchoolClass, SchoolClass.id == Lesson.class_id).where(SchoolClass.school_id == school_id)
    bands: dict[str, list[_Told]] = defaultdict(list)
    kinds: dict[str, list[_Told]] = defaultdict(list)
    for percent, kind, tablets, came in db.session.execute(query.order_by(LessonTablet.forecast_percent)):
        bands[_band(percent)].append((percent, tablets, came))
        kinds[kind].append((percent, tablets, came))
    by_kind = sorted(kinds.items(), key=lambda one: list(Kind).index(Kind(one[0])))
    return [_together(*one, is_band=True) for one in bands.items()] + [
        _together(*one, is_band=False) for one in by_kind
    ]


def _band(percent: int) -> str:
    first = min(percent // 10 * 10, 90)
    return f"{first}-{first + 9 if first < 90 else 100}"


def _together(name: str, told: Sequence[_Told], *, is_band: bool) -> Calibration:
    tablets, arrived = (sum(one[place] for one in told) for place in (1, 2))
    mean = sum(percent * count for percent, count, _ in told) / tablets
    return Calibration(name, is_band, tablets, round(mean, 1), arrived, round(100 * arrived / tablets, 1))


def _uncounted(now: datetime) -> Sequence[Any]:
    """Return forecasts not counted yet whose time, and some for the news of it, is over."""
    over = now - _HORIZON - _TOLD_AFTER
    query = (
        select(
            LessonTablet.id, LessonTablet.device_id, LessonTablet.forecast_kind, LessonTablet.part,
            LessonTablet.part_since, LessonTablet.granted_at, LessonTablet.arrived_at, LessonTablet.freed_at,
            Lesson.created_at, Lesson.starts_at, Lesson.ends_at, SchoolClass.school_id,
        )
        .join(Lesson, Lesson.id == LessonTablet.lesson_id)
        .join(SchoolClass, SchoolClass.id == Lesson.class_id)
        .where(
            LessonTablet.forecast_kind.is_not(None),
            LessonTablet.counted_at.is_(None),
            Lesson.starts_at <= over,
            or_(LessonTablet.granted_at.is_(None), LessonTablet.granted_at <= over),
        )
        .order_by(LessonTablet.id)
        .limit(AT_ONCE)
        .with_for_update(key_share=True, skip_locked=True, of=LessonTablet)
    )  # fmt: skip
    return db.session.execute(query).all()


def _outcome(row: Any) -> bool | None:
    """Return whether a tablet arrived in time; None where the forecast had no fair chance to be right or wrong."""
    if row.created_at < row.starts_at:  # planned: tablets were told before, and stood otherwise by the time it began
        return None
    if row.granted_at is None:
        return None if row.part in _NOT_MEANT else False
    came_later = row.part is Part.IN and row.part_since > row.starts_at
    began_at = row.starts_at if came_later else max(row.starts_at, row.granted_at)
    until = began_at + _HORIZON
    if row.arrived_at is not None and row.arrived_at <= until:
        return True
    is_cut_short = min(row.ends_at, row.freed_at or row.ends_at) < until
    return None if is_cut_short else False


def _learn(came: Sequence[_Came]) -> None:
    """Add outcomes to the schools' and the tablets' records, of which only the newest weigh much."""
    counted, done = forecast.records(), forecast.habits({one.device_id for one in came})
    here = {school_id: forecast.known(counted, school_id) for school_id in {one.school_id for one in came}}
    for one in came:
        habit = done.get((one.device_id, one.kind))
        if habit is None:
            habit = ArrivalHabit(device_id=one.device_id, kind=one.kind, tried=0, arrived=0)
            done[one.device_id, one.kind] = habit
            db.session.add(habit)
        record = counted.get((one.school_id, one.kind))
        if record is None:
            record = ArrivalRecord(
                school_id=one.school_id, kind=one.kind, tried=0, arrived=0, scores=[0.0] * len(forecast.WEIGHTS)
            )
            counted[one.school_id, one.kind] = record
            db.session.add(record)
        foretold = here[one.school_id][one.kind].probabilities(habit.tried, habit.arrived)
        scores = [math.log(chance if one.is_in_time else 1 - chance) for chance in foretold]
        kept = _count(record, REMEMBERED, is_in_time=one.is_in_time)
        record.scores = [kept * (old + new) for old, new in zip(record.scores, scores, strict=True)]
        _count(habit, REMEMBERED_OF_TABLET, is_in_time=one.is_in_time)
    db.session.flush()


def _count(record: ArrivalRecord | ArrivalHabit, remembered: float, *, is_in_time: bool) -> float:
    """Count one outcome; returns by how much all that is remembered fades, as it is never more than so much."""
    kept = min(1.0, remembered / (record.tried + 1))
    record.tried, record.arrived = kept * (record.tried + 1), kept * (record.arrived + is_in_time)
    return kept
