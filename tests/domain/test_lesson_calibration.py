"""A simulated week of lessons: what was forecast is what came, although nobody told the forecast who is who.

Each tablet has habits of its own, hidden from the forecast: holds a request or asks now and then, closes its lid between
lessons, has a bad radio, stays at home. What the server sees is what it would note (:class:`DevicePresence`): seconds
late, and only when what is noted is no longer true.
"""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import delete, func, insert, select

from fleet.access import Grant, Principal, Role
from fleet.db import db, id_set, transaction
from fleet.devices.models import DevicePresence
from fleet.errors import ForbiddenError
from fleet.lessons import calibration, forecast
from fleet.lessons.models import ArrivalHabit, ArrivalRecord, Lesson, LessonTablet, Part
from fleet.schools.models import School
from tests import factories
from tests.conftest import NOW
from tests.extent import extent
from tests.races import together

OSLO = ZoneInfo("Europe/Oslo")
MIDNIGHT = NOW.replace(hour=0, minute=0) - timedelta(hours=2)  # Monday's, in Oslo
CLASSES, OF_CLASS, DAYS = 4, 25, 5
LESSONS = [(8, 30), (9, 25), (10, 30), (11, 30), (12, 35), (13, 30)]  # local time
LASTS_S = 45 * 60.0
OUTAGE = (2, (12 * 60 + 20) * 60.0, (14 * 60 + 40) * 60.0)  # Wednesday afternoon
Span = tuple[float, float]


@dataclass
class Tablet:
    """One tablet's habits; all times are seconds since local midnight."""

    device_id: int
    holds: bool  # holds requests open, or asks when it was told to
    closes_lid: bool
    reached: float  # with this probability the radio takes up a start at once
    dice: random.Random
    is_home: bool = False
    awake: list[Span] = field(default_factory=list)
    asks: list[float] = field(default_factory=list)  # of the day
    noted: list[tuple[float, float, float]] = field(default_factory=list)  # known from, asked, due

    def plan_day(self, starts: Sequence[float], outage: Span | None) -> None:
        """Decide when the lid is open and the network there, and ask as the server tells it to."""
        self.asks, self.noted = [], []
        self.is_home = self.dice.random() < 0.04
        if self.is_home:
            self.awake = [(7.5 * 3600, 7.6 * 3600)] if self.dice.random() < 0.5 else []
        elif self.closes_lid:
            opened = [start + self.dice.gauss(-60, 90) for start in starts]
            self.awake = [(at, at + LASTS_S + self.dice.uniform(-300, 60)) for at in opened]
        else:
            self.awake = [(starts[0] - self.dice.uniform(60, 1800), starts[-1] + LASTS_S)]
        if outage is not None:
            self.awake = list(_without(self.awake, outage))
        for opens, closes in self.awake:
            self._ask_on(opens, closes)

    def _ask_on(self, opens: float, closes: float) -> None:
        at = opens + self.dice.uniform(0.5, 4)
        while at < closes:
            wait = self.dice.uniform(35, 50) if self.holds else self._until_slot(at)
            told_at = at
            if self.noted:
                _, asked, due = self.noted[-1]
                told_at = max(at, min(due, asked + 60))  # until then the row says as much
            self.asks.append(at)
            self.noted.append((told_at + self.dice.uniform(0, 3), at, at + wait + (5 if self.holds else 0)))
            at += wait + self.dice.uniform(0.1, 1)

    def _until_slot(self, at: float) -> float:
        """Return how long the server tells it to wait: until its slot in the minute, half a minute at least."""
        wait = (self.device_id * 0.618 * 60 - at) % 60
        return (wait if wait >= 30 else wait + 60) + self.dice.uniform(0, 3)

    def arrival(self, start: float) -> float | None:
        """Return when the tablet has what a lesson gives at ``start``, None where it does not come in the lesson."""
        if self.is_home:
            return None
        hears = [ask for ask in self.asks if start <= ask < start + LASTS_S]
        is_held = self.holds and any(o <= start < c for o, c in self.awake) and any(a <= start for a in self.asks)
        for chance in [start, *hears] if is_held else hears:
            if self.dice.random() < self.reached:
                return chance + self.dice.uniform(0.5, 2.5)
        return None


def _without(spans: Sequence[Span], gap: Span) -> Iterator[Span]:
    for begins, ends in spans:
        yield from (
            (first, last) for first, last in [(begins, min(ends, gap[0])), (max(begins, gap[1]), ends)] if first < last
        )


def _tablets(device_ids: Sequence[int], dice: random.Random) -> list[Tablet]:
    """Give each tablet habits: six in ten simply wait, the rest sleep, poll, or have a bad radio."""
    made = []
    for device_id in device_ids:
        habit = dice.random()
        reached = 0.7 if habit < 0.1 else dice.betavariate(20, 1)
        own_dice = random.Random(dice.random())  # noqa: S311
        made.append(Tablet(device_id, not 0.1 <= habit < 0.2, 0.2 <= habit < 0.4, reached, own_dice))
    return made


@dataclass
class Played:
    """A school whose week is played: what it is forecast goes to the database, and so does what came."""

    seed: int
    classes: list[tuple[int, list[Tablet]]] = field(default_factory=list)
    school_id: int = 0

    def open(self) -> None:
        """Make the school, its classes and their tablets."""
        dice = random.Random(self.seed)  # noqa: S311 (a game, not a secret)
        here = factories.school()
        self.school_id = here.id
        for number in range(CLASSES):
            of_class = factories.school_class(here, f"{number}A")
            devices = factories.tablets(here, OF_CLASS, of_class=of_class)
            self.classes.append((of_class.id, _tablets([device.id for device in devices], dice)))

    def play(self, day: int) -> None:
        """Play one day's lessons, each forecast at its start and counted a minute later."""
        dice = random.Random(f"{self.seed} {day}")  # noqa: S311
        midnight = MIDNIGHT + timedelta(days=day)
        outage = OUTAGE[1:] if day == OUTAGE[0] else None
        starts = {}
        for class_id, tablets in self.classes:
            starts[class_id] = [(h * 60 + m) * 60 + dice.uniform(-60, 240) for h, m in LESSONS]
            for tablet in tablets:
                tablet.plan_day(starts[class_id], outage)
        for start, class_id in sorted((start, class_id) for class_id, of in starts.items() for start in of):
            self._teach(class_id, start, midnight)

    def _teach(self, class_id: int, start: float, midnight: datetime) -> None:
        tablets, now = dict(self.classes)[class_id], midnight + timedelta(seconds=start)
        self._note_presence(tablets, start, midnight)
        ids = [tablet.device_id for tablet in tablets]
        told = forecast.forecasts(ids, school_id=self.school_id, now=now, timezone=OSLO)
        lesson = Lesson(
            class_id=class_id,
            starts_at=now,
            ends_at=now + timedelta(seconds=LASTS_S),
            takes_unseen=False,
            created_at=now,
        )
        db.session.add(lesson)
        db.session.flush()
        rows = []
        for tablet in tablets:
            is_unseen = told[tablet.device_id].kind in {forecast.Kind.NOT_TODAY, forecast.Kind.NEVER}
            came = None if is_unseen else tablet.arrival(start)
            rows.append(
                {
                    "lesson_id": lesson.id,
                    "device_id": tablet.device_id,
                    "part": Part.UNSEEN if is_unseen else Part.IN,
                    "part_since": now,
                    "forecast_percent": told[tablet.device_id].percent,
                    "forecast_kind": told[tablet.device_id].kind,
                    "granted_at": None if is_unseen else now,
                    "arrived_at": None if came is None else midnight + timedelta(seconds=came),
                }
            )
        db.session.execute(insert(LessonTablet), rows)
        calibration.note_outcomes(now=now + timedelta(seconds=60))

    def waiting_percent(self, day: int) -> float:
        """Return the mean forecast for waiting tablets at the day's last lessons."""
        last = MIDNIGHT + timedelta(days=day, hours=13)
        query = select(func.avg(LessonTablet.forecast_percent)).join(Lesson, Lesson.id == LessonTablet.lesson_id)
        query = query.where(Lesson.starts_at > last, LessonTablet.forecast_kind == forecast.Kind.WAITING)
        return float(db.session.execute(query).scalar_one())

    def _note_presence(self, tablets: Sequence[Tablet], at: float, midnight: datetime) -> None:
        rows: list[dict[str, Any]] = []
        for tablet in tablets:
            noted = [row for row in tablet.noted if row[0] <= at]
            if noted:
                _, asked, due = noted[-1]
                rows.append(
                    {
                        "device_id": tablet.device_id,
                        "polled_at": midnight + timedelta(seconds=asked),
                        "due_at": midnight + timedelta(seconds=due),
                        "waits": tablet.holds,
                        "is_at_school": None,
                    }
                )
        seen = delete(DevicePresence).where(DevicePresence.device_id.in_(id_set(row["device_id"] for row in rows)))
        db.session.execute(seen)
        if rows:
            db.session.execute(insert(DevicePresence), rows)


def _brier(pairs: Sequence[tuple[float, bool]]) -> float:
    """Return the mean squared error of probabilities: 0 is perfect."""
    return sum((probability - came) ** 2 for probability, came in pairs) / len(pairs)


def _show(title: str, rows: Sequence[calibration.Calibration]) -> None:
    lines = (f"{row.name:>10}{row.tablets:6}{row.forecast_percent:9.1f}{row.arrived_percent:9.1f}" for row in rows)
    print(f"\n{title}\n{'':10} count forecast  arrived", *lines, sep="\n")  # noqa: T201 (pytest -s shows the table)


@pytest.mark.parametrize("seed", extent([1], [1, 2, 3]))
def test_of_tablets_forecast_with_90_percent_about_90_percent_arrive(app: Flask, seed: int) -> None:
    school = Played(seed)
    school.open()
    for day in range(DAYS):
        school.play(day)
    by = Principal.command_line()
    rows = calibration.calibration(school_id=school.school_id, since=MIDNIGHT, by=by)
    query = select(LessonTablet.forecast_percent, LessonTablet.is_in_time).where(LessonTablet.is_in_time.is_not(None))
    told = [(percent, bool(came)) for percent, came in db.session.execute(query) if percent is not None]
    near = [came for percent, came in told if 85 <= percent <= 95]
    share, base = sum(near) / len(near), sum(came for _, came in told) / len(told)
    _show(f"seed {seed}, of {len(near)} forecast with 85 to 95 %, {share:.1%} arrived", rows)
    assert len(told) == CLASSES * OF_CLASS * DAYS * len(LESSONS) == sum(row.tablets for row in rows if row.is_band)
    assert len(near) >= 200
    assert 0.85 <= share <= 0.95
    # Whoever always told the share that arrives at all would do this badly.
    assert _brier([(percent / 100, came) for percent, came in told]) < 0.5 * base * (1 - base)
    for row in rows:
        if row.is_band and row.tablets >= 200:
            assert abs(row.forecast_percent - row.arrived_percent) < 6, row


def test_a_new_access_point_shows_within_days(app: Flask) -> None:
    school = Played(seed=4)
    school.open()
    for _, tablets in school.classes:
        for tablet in tablets:
            tablet.reached = 0.5
    school.play(0)
    before = school.waiting_percent(0)
    for _, tablets in school.classes:
        for tablet in tablets:
            tablet.reached = 0.98
    for day in range(1, 5):
        school.play(day)
    assert 45 < before < 65
    assert school.waiting_percent(4) > 88


def _forecast(at: School, **columns: Any) -> LessonTablet:
    """Make a lesson that began at NOW with one tablet, which was forecast to arrive with 90 %."""
    of_class = factories.school_class(at)
    lesson = Lesson(
        class_id=of_class.id, starts_at=NOW, ends_at=NOW + timedelta(minutes=45), takes_unseen=False, created_at=NOW
    )
    db.session.add(lesson)
    db.session.flush()
    told: dict[str, Any] = {
        "part": Part.IN, "part_since": NOW, "granted_at": NOW, "forecast_percent": 90,
        "forecast_kind": forecast.Kind.WAITING, **columns,
    }  # fmt: skip
    made = LessonTablet(lesson_id=lesson.id, device_id=factories.device(at).id, **told)
    db.session.add(made)
    db.session.flush()
    return made


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"arrived_at": after(15)}, True),
        ({"arrived_at": after(16)}, False),
        ({"arrived_at": None}, False),
        ({"arrived_at": after(-2)}, True),  # noted by a server whose clock is behind
        ({"granted_at": after(60), "arrived_at": after(70)}, True),  # another set was given meanwhile
        ({"part_since": after(60), "granted_at": after(60), "arrived_at": after(61)}, False),  # came in later
        ({"part": Part.UNSEEN, "granted_at": None}, False),
        ({"part": Part.ABSENT, "granted_at": None}, None),
        ({"part": Part.RELEASED, "freed_at": after(8)}, None),
        ({"part": Part.RELEASED, "freed_at": after(8), "arrived_at": after(2)}, True),
        ({"part": Part.TAKEN, "freed_at": after(600)}, False),
    ],
)
def test_an_outcome_is_what_came_within_the_time(app: Flask, columns: dict[str, Any], expected: bool | None) -> None:
    tablet = _forecast(factories.school(), **columns)
    assert calibration.note_outcomes(now=after(120)) == 1
    db.session.refresh(tablet)
    assert (tablet.is_in_time, tablet.counted_at) == (expected, after(120))


@pytest.mark.parametrize(
    "column", [{"ends_at": after(5)}, {"created_at": after(-600)}], ids=["ended at once", "planned"]
)
def test_a_lesson_that_says_nothing_of_its_forecast_is_not_learned_from(app: Flask, column: dict[str, Any]) -> None:
    tablet = _forecast(factories.school())
    for name, value in column.items():
        setattr(tablet.lesson, name, value)
    db.session.flush()
    calibration.note_outcomes(now=after(120))
    db.session.refresh(tablet)
    assert tablet.counted_at is not None
    assert tablet.is_in_time is None
    assert forecast.records() == {}


def test_outcomes_are_counted_once_their_time_is_over_and_only_once(app: Flask) -> None:
    here = factories.school()
    tablet = _forecast(here, arrived_at=after(2))
    _forecast(here, granted_at=after(50))
    assert calibration.note_outcomes(now=after(20)) == 0
    assert calibration.note_outcomes(now=after(60)) == 1
    assert calibration.note_outcomes(now=after(61)) == 0
    assert calibration.note_outcomes(now=after(90)) == 1
    record = forecast.records()[here.id, forecast.Kind.WAITING]
    assert (record.tried, record.arrived) == (2, 1)
    habit = forecast.habits([tablet.device_id])[tablet.device_id, forecast.Kind.WAITING]
    assert (habit.tried, habit.arrived) == (1, 1)


def test_two_that_count_together_count_once(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        here = factories.school()
        for _ in range(20):
            _forecast(here, arrived_at=after(2))
        school_id = here.id
    counted = together(own_app, [lambda: calibration.note_outcomes(now=after(60))] * 4)
    assert sorted(map(str, counted)) == ["0", "0", "0", "20"]
    with own_app.app_context():
        assert forecast.records()[school_id, forecast.Kind.WAITING].tried == 20


def test_a_row_that_somebody_holds_is_counted_next_time(own_app: Flask) -> None:
    """Counting does not wait, so that it can neither deadlock with check-ins nor stand behind them."""
    with own_app.app_context():
        with transaction():
            here = factories.school()
            held, _free = _forecast(here), _forecast(here)
            held_id = held.id
        with transaction(), ThreadPoolExecutor(1) as pool:
            is_alone = db.engine.dialect.name == "sqlite"  # whoever writes there is alone
            if not is_alone:
                db.session.execute(select(LessonTablet.id).where(LessonTablet.id == held_id).with_for_update())
                assert pool.submit(together, own_app, [lambda: calibration.note_outcomes(now=after(60))]).result() == [
                    1
                ]
        with transaction():
            assert calibration.note_outcomes(now=after(60)) == (2 if is_alone else 1)


def test_a_tablet_without_a_forecast_is_not_counted(app: Flask) -> None:
    _forecast(factories.school(), forecast_kind=None, forecast_percent=None)
    assert calibration.note_outcomes(now=after(120)) == 0


def test_what_is_remembered_fades(app: Flask) -> None:
    here = factories.school()
    tablet = _forecast(here)
    kind, device_id = forecast.Kind.WAITING, tablet.device_id
    scores = [-100.0] * len(forecast.WEIGHTS)
    db.session.add(ArrivalRecord(school_id=here.id, kind=kind, tried=1000.0, arrived=1000.0, scores=scores))
    db.session.add(ArrivalHabit(device_id=device_id, kind=kind, tried=30.0, arrived=30.0))
    db.session.flush()
    calibration.note_outcomes(now=after(60))
    record, habit = forecast.records()[here.id, kind], forecast.habits([device_id])[device_id, kind]
    assert record.tried == pytest.approx(calibration.REMEMBERED)
    assert record.arrived == pytest.approx(1000 * 1000 / 1001)
    assert habit.tried == pytest.approx(calibration.REMEMBERED_OF_TABLET)
    assert habit.arrived == pytest.approx(30 * 30 / 31)
    assert max(record.scores) < -100  # it was told with 99 %, and did not come


def test_outcomes_take_as_many_statements_however_many_there_are(app: Flask, statements: list[str]) -> None:
    here = factories.school()
    counts = []
    for many in (1, 20):
        for number in range(many):
            _forecast(here, arrived_at=after(2 if number % 2 else 60))
        db.session.expire_all()
        statements.clear()
        assert calibration.note_outcomes(now=after(120)) == many
        counts.append(len(statements))
    assert max(counts) <= 8


def test_calibration_is_by_band_and_by_kind(app: Flask) -> None:
    here, elsewhere = factories.school(), factories.school("Naboskolen")
    for percent, arrived_at in [(3, None), (90, after(1)), (99, after(1)), (95, None)]:
        kind = forecast.Kind.LATER if percent < 50 else forecast.Kind.WAITING
        _forecast(here, forecast_kind=kind, forecast_percent=percent, arrived_at=arrived_at)
    _forecast(elsewhere, arrived_at=after(1))
    calibration.note_outcomes(now=after(120))
    by = Principal.command_line()
    assert calibration.calibration(school_id=here.id, since=NOW, by=by) == [
        calibration.Calibration("0-9", True, 1, 3.0, 0, 0.0),
        calibration.Calibration("90-100", True, 3, 94.7, 2, 66.7),
        calibration.Calibration("waiting", False, 3, 94.7, 2, 66.7),
        calibration.Calibration("later", False, 1, 3.0, 0, 0.0),
    ]
    everywhere = calibration.calibration(school_id=None, since=NOW, by=by)
    assert [row.tablets for row in everywhere if row.is_band] == [1, 4]
    assert calibration.calibration(school_id=None, since=after(1), by=by) == []


def test_calibration_is_for_those_who_see_the_school(app: Flask) -> None:
    here, elsewhere = factories.school(), factories.school("Naboskolen")
    by = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, here.id),))
    assert calibration.calibration(school_id=here.id, since=NOW, by=by) == []
    for school_id in (elsewhere.id, None):
        with pytest.raises(ForbiddenError):
            calibration.calibration(school_id=school_id, since=NOW, by=by)
