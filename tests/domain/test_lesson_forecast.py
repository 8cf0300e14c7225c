"""How a tablet stands, what is forecast of it, and what the forecast goes by."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from fleet.db import db
from fleet.devices.models import Device, DevicePresence
from fleet.lessons import forecast
from fleet.lessons.forecast import Contact, Forecast, Kind
from fleet.lessons.models import ArrivalHabit, ArrivalRecord
from fleet.schools.models import School
from tests import factories
from tests.conftest import NOW

OSLO = ZoneInfo("Europe/Oslo")
MIDNIGHT = NOW.replace(hour=0, minute=0) - timedelta(hours=2)  # in Oslo


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def contact(polled_s: float, due_s: float, *, waits: bool = False, is_at_school: bool | None = None) -> Contact:
    """Make what is noted of a tablet that asked and was to ask again so many seconds from now."""
    return Contact(after(polled_s), after(due_s), waits=waits, is_at_school=is_at_school)


@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        (Contact(None, None, waits=False, is_at_school=None), Kind.NEVER),
        (contact(-86_400, -86_340, waits=True), Kind.NOT_TODAY),
        (contact(-20, 30, waits=True), Kind.WAITING),
        (contact(-20, 30, waits=True, is_at_school=True), Kind.WAITING),
        (contact(-20, 30, waits=True, is_at_school=False), Kind.ELSEWHERE),
        (contact(-55, -5, waits=True), Kind.WAITING),  # asks on: not noted yet
        (contact(-60, -10, waits=True), Kind.LATE),
        (contact(-60, -10, waits=True, is_at_school=False), Kind.LATE),  # may have been at home before school
        (contact(-20, 40), Kind.LATER),
        (contact(-50, 10), Kind.SOON),
        (contact(-47, 13), Kind.LATER),  # would ask in time, but the news of it would come too late
        (contact(-64, -4), Kind.SOON),
        (contact(-90, -30), Kind.LATE),
        (contact(-900, -840), Kind.ASLEEP),
        (contact(-7200, -7140), Kind.SILENT),
    ],
)
def test_a_tablet_stands_by_when_it_asked_and_shall_ask(noted: Contact, expected: Kind) -> None:
    assert forecast.kind_of(noted, now=NOW, today_began_at=MIDNIGHT) == expected


@pytest.mark.parametrize("ahead_s", [1, 90, 7200])
def test_a_poll_from_the_future_counts_as_asked_just_now(ahead_s: float) -> None:
    """Another server's clock is ahead; what it noted is new all the same."""
    waiting, soon, later = (
        contact(ahead_s, ahead_s + 50, waits=True),
        contact(ahead_s, ahead_s + 10),
        contact(ahead_s, ahead_s + 60),
    )
    kinds = [forecast.kind_of(one, now=NOW, today_began_at=MIDNIGHT) for one in (waiting, soon, later)]
    assert kinds == [Kind.WAITING, Kind.SOON, Kind.LATER]


def test_a_tablet_told_to_ask_before_it_asked_was_told_to_ask_at_once() -> None:
    assert forecast.kind_of(contact(0, -30), now=NOW, today_began_at=MIDNIGHT) == Kind.SOON


def test_every_kind_has_a_name_that_fits_its_column() -> None:
    assert all(len(kind) <= 16 for kind in Kind)


def present(of: Device, noted: Contact) -> None:
    db.session.add(
        DevicePresence(
            device_id=of.id, polled_at=noted.polled_at, due_at=noted.due_at, waits=noted.waits,
            is_at_school=noted.is_at_school,
        )
    )  # fmt: skip
    db.session.flush()


def waiting(at: School, **columns: Any) -> Device:
    made = factories.device(at, **columns)
    present(made, contact(-20, 30, waits=True))
    return made


def record(at: School, tried: float, arrived: float, *, kind: Kind = Kind.WAITING, scores: Any = (0, 0, 0, 0)) -> None:
    db.session.add(ArrivalRecord(school_id=at.id, kind=kind, tried=tried, arrived=arrived, scores=list(scores)))
    db.session.flush()


def habit(of: Device, tried: float, arrived: float, *, kind: Kind = Kind.WAITING) -> None:
    db.session.add(ArrivalHabit(device_id=of.id, kind=kind, tried=tried, arrived=arrived))
    db.session.flush()


def told(at: School, *devices: Device) -> list[int]:
    """Return the forecasts of tablets in percent."""
    found = forecast.forecasts([one.id for one in devices], school_id=at.id, now=NOW, timezone=OSLO)
    return [found[one.id].percent for one in devices]


def test_a_school_without_a_record_is_told_what_is_sensible(app: Flask) -> None:
    here = factories.school()
    waits, never, yesterday, asleep = waiting(here), *(factories.device(here) for _ in range(3))
    present(yesterday, contact(-86_400, -86_340))
    present(asleep, contact(-900, -840))
    percents = told(here, waits, never, yesterday, asleep)
    assert percents[0] > 85
    assert max(percents[1:3]) < 10
    assert 5 < percents[3] < 40


def test_a_tablet_of_a_class_set_is_forecast_without_a_pupil(app: Flask) -> None:
    here = factories.school()
    of_set = waiting(here, class_id=factories.school_class(here).id)
    assert told(here, of_set)[0] > 85


def test_today_is_the_schools_local_day(app: Flask) -> None:
    """At half past midnight in Oslo, a tablet that asked at half past eleven asked yesterday; in UTC it is one day."""
    here = factories.school()
    tablet = factories.device(here)
    present(
        tablet, Contact(MIDNIGHT - timedelta(minutes=30), MIDNIGHT + timedelta(hours=1), waits=True, is_at_school=None)
    )
    found = forecast.forecasts([tablet.id], school_id=here.id, now=MIDNIGHT + timedelta(minutes=30), timezone=OSLO)
    assert found[tablet.id].kind == Kind.NOT_TODAY


def test_a_schools_record_moves_what_is_told(app: Flask) -> None:
    here = factories.school()
    record(here, 500, 300)
    assert 58 <= told(here, waiting(here))[0] <= 64


def test_a_school_without_a_record_leans_on_the_others(app: Flask) -> None:
    here, others = factories.school(), [factories.school(f"Nabo {number}") for number in range(2)]
    for other in others:
        record(other, 400, 200)
    assert 48 <= told(here, waiting(here))[0] <= 56
    record(here, 400, 390)
    assert told(here, waiting(here))[0] > 90  # its own counts for more


def test_a_tablets_own_record_moves_what_is_told_of_it_alone(app: Flask) -> None:
    here = factories.school()
    record(here, 500, 470)
    good, bad, new = (waiting(here) for _ in range(3))
    habit(good, 20, 20)
    habit(bad, 20, 6)
    percents = told(here, good, bad, new)
    assert percents[0] > percents[2] > percents[1] + 20
    assert percents[2] == 94


def test_what_it_did_when_it_stood_otherwise_does_not_count(app: Flask) -> None:
    here = factories.school()
    slept, new = waiting(here), waiting(here)
    habit(slept, 20, 0, kind=Kind.ASLEEP)
    percents = told(here, slept, new)
    assert percents[0] == percents[1]


def test_the_weight_that_foretold_best_decides(app: Flask) -> None:
    percents = {}
    for name, scores in {"alike": (-90, -80, -60, -30), "each its own": (-30, -60, -80, -90)}.items():
        here = factories.school(name)
        record(here, 500, 475, scores=scores)
        tablet = waiting(here)
        habit(tablet, 3, 1)
        percents[name] = told(here, tablet)[0]
    assert percents["alike"] > 90  # two that did not come were chance
    assert percents["each its own"] < 70


@pytest.mark.parametrize(("arrived", "expected"), [(0, 1), (10_000, 99)])
def test_nothing_is_certain(app: Flask, arrived: int, expected: int) -> None:
    here = factories.school()
    record(here, 10_000, arrived)
    tablet = waiting(here)
    habit(tablet, 30, 30 * arrived / 10_000)
    assert told(here, tablet, waiting(here)) == [expected, expected]


def test_a_forecast_takes_three_statements_for_any_number(app: Flask, statements: list[str]) -> None:
    here = factories.school()
    ids = [waiting(here).id for _ in range(30)]
    statements.clear()
    assert len(forecast.forecasts(ids, school_id=here.id, now=NOW, timezone=OSLO)) == 30
    assert len(statements) == 3


def test_no_tablets_have_no_forecasts(app: Flask) -> None:
    assert forecast.forecasts([], school_id=factories.school().id, now=NOW, timezone=OSLO) == {}


def test_a_class_is_told_how_many_and_who_is_doubtful() -> None:
    found = {number: Forecast(Kind.WAITING, 96) for number in range(1, 28)} | {28: Forecast(Kind.NOT_TODAY, 2)}
    assert forecast.summary(found) == forecast.Summary(26, 28, [28])
    assert forecast.summary({2: Forecast(Kind.SOON, 50), 1: Forecast(Kind.LATE, 49)}).doubtful == [1]
    assert forecast.summary({}) == forecast.Summary(0, 0, [])
