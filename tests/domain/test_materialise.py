"""What each tablet shall have is worked out when something changes: for whom, when, and in how many statements."""

import gc
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Principal
from fleet.assignments import assigning, schedules
from fleet.assignments.assigning import Place
from fleet.assignments.kept import Kept
from fleet.assignments.materialise import materialise
from fleet.assignments.models import Assignment, EffectiveProfile, Schedule, Scope
from fleet.assignments.schedules import advance, forget_unused, next_switch
from fleet.db import changed, db, transaction
from fleet.devices import life
from fleet.devices.models import Device, DeviceState
from fleet.schools import queries as schools
from fleet.schools.models import MembershipRole
from fleet.schools.roster import apply
from tests import factories as make
from tests import rosters
from tests.conftest import NOW

BY = Principal.command_line()
HOUR = timedelta(hours=1)


def state(device: Device) -> DeviceState:
    db.session.expire_all()
    return db.session.get_one(DeviceState, device.id)


def settings(device: Device) -> dict[str, Any]:
    """Return what the tablet shall have now."""
    body = schedules.body(state(device).desired_digest or "")
    assert body is not None
    found: dict[str, Any] = json.loads(body)
    return found


def entries(device: Device) -> list[tuple[Any, Any]]:
    found = db.session.get_one(Schedule, state(device).schedule_digest).entries
    return [(entry["from"], entry["until"]) for entry in found]


def counted(statements: list[str], act: Callable[[], object]) -> int:
    with transaction():
        gc.collect()  # what the session knows of earlier steps goes now, and not at some time of the collector's
        statements.clear()
        act()
        db.session.flush()
    return len(statements)


def test_assigning_to_the_municipality_takes_as_many_statements_for_10_as_for_1000_tablets(
    app: Flask, statements: list[str]
) -> None:
    with transaction():
        school, base = make.school(), make.published()
        make.tablets(school, 10)
    few = counted(statements, lambda: make.assign(base, Place.municipality()))
    with transaction():
        newer = make.next_version(base, **{"camera.allowed": True})
        make.tablets(school, 990)
        make.assign(base, Place.municipality())
    many = counted(statements, lambda: make.assign(newer, Place.municipality()))
    assert settings(db.session.scalars(select(Device).limit(1)).one()) == {"camera.allowed": True}
    # The second one also finds the assignment it replaces: reads it, notes it, writes it.
    assert 0 <= many - few <= 2
    assert many <= 17


def test_withdrawing_advancing_and_following_take_as_many_statements_for_3_as_for_300(
    app: Flask, statements: list[str]
) -> None:
    counts: list[tuple[int, ...]] = []
    for size in (3, 300):
        with transaction():
            school = make.school(f"Prøve {size}")
            ids = [device.id for device in make.tablets(school, size)]
            lesson = make.published(f"leksjon-{size}")
            ending = make.assign(
                make.published(f"kort-{size}", **{"apps.required": [f"no.app{size}"]}),
                Place.school(school),
                ends_at=NOW + HOUR,
            ).id
            given = make.assign(lesson, Place.school(school)).id
        assert ending < given
        after = NOW + 2 * HOUR
        counts.append(
            (
                counted(statements, lambda after=after: advance(after)),  # type: ignore[misc]
                counted(statements, lambda given=given: assigning.withdraw(given, by=BY, now=NOW)),  # type: ignore[misc]
                counted(statements, lambda ids=ids: changed("device", ids, now=NOW)),  # type: ignore[misc]
            )
        )
    assert counts[0] == counts[1]


def test_a_class_of_30_with_pupils_own_tablets_is_one_set(app: Flask, statements: list[str]) -> None:
    with transaction():
        school, base = make.school(), make.published()
        of, pupils = make.school_class(school), [make.pupil(school) for _ in range(30)]
        for pupil in pupils:
            make.membership(pupil, of)
            make.device(school, person=pupil)
        other = make.device(school)
        small = make.school_class(school, "8C")
        make.membership(lonely := make.pupil(school), small)
        make.device(school, person=lonely)
    one = counted(statements, lambda: make.assign(base, Place.school_class(small)))
    thirty = counted(statements, lambda: make.assign(base, Place.school_class(of)))
    assert one == thirty
    with_it = db.session.scalars(select(DeviceState).where(DeviceState.desired_digest.is_not(None))).all()
    assert len(with_it) == 31
    assert state(other).desired_digest is None


def test_equal_wishes_are_stored_once_and_a_repeated_assignment_changes_nothing(app: Flask) -> None:
    with transaction():
        school, base = make.school(), make.published()
        devices = make.tablets(school, 5)
        make.assign(base, Place.municipality())
    assert len(db.session.scalars(select(EffectiveProfile)).all()) == 1
    assert len(db.session.scalars(select(Schedule)).all()) == 1
    before = [state(device).config_version for device in devices]
    with transaction():
        _, count = assigning.assign(base, Place.school(school), by=BY, now=NOW + HOUR)
    assert count == 0
    assert [state(device).config_version for device in devices] == before


def test_going_back_to_an_older_version_is_a_new_configuration(app: Flask) -> None:
    with transaction():
        school, first = make.school(), make.published()
        device, second = make.device(school), make.next_version(first, **{"camera.allowed": True})
    seen = [state(device).config_version]
    for version in (first, second, first):
        with transaction():
            make.assign(version, Place.school(school))
        seen.append(state(device).config_version)
    assert seen == sorted(set(seen))
    assert settings(device) == {"camera.allowed": False}


def test_a_change_restarts_the_count_of_polls_without_it_and_an_equal_wish_does_not(app: Flask) -> None:
    with transaction():
        school, base = make.school(), make.published()
        device = make.device(school)
        make.assign(base, Place.school(school))
        db.session.get_one(DeviceState, device.id).polls_pending = 3
    with transaction():  # later in time, another schedule, the same wish just now
        make.assign(
            make.published("senere", **{"screenshots.allowed": False}), Place.school(school), starts_at=NOW + HOUR
        )
    assert (state(device).polls_pending, state(device).desired_at) == (3, NOW)
    with transaction():
        make.assign(make.published("straks", **{"bluetooth.allowed": False}), Place.school(school), now=NOW + HOUR / 2)
    assert (state(device).polls_pending, state(device).desired_at) == (0, NOW + HOUR / 2)


def test_a_schedule_goes_on_by_itself_at_its_exact_instants(app: Flask) -> None:
    begin, end = NOW + HOUR, NOW + 2 * HOUR
    with transaction():
        school = make.school()
        device = make.device(school)
        make.assign(make.published(), Place.school(school))
        make.assign(
            make.published("prøve", **{"screenshots.allowed": False}),
            Place.device(device),
            starts_at=begin,
            ends_at=end,
        )
    assert entries(device) == [
        (None, begin.isoformat()),
        (begin.isoformat(), end.isoformat()),
        (end.isoformat(), None),
    ]
    version = state(device).config_version
    for now, count, keys, switch in (
        (begin - timedelta(microseconds=1), 0, ["camera.allowed"], begin),
        (begin, 1, ["camera.allowed", "screenshots.allowed"], end),
        (begin, 0, ["camera.allowed", "screenshots.allowed"], end),
        (end - timedelta(microseconds=1), 0, ["camera.allowed", "screenshots.allowed"], end),
        (end, 1, ["camera.allowed"], None),
    ):
        with transaction():
            assert advance(now) == count
        assert sorted(settings(device)) == keys
        assert state(device).next_switch_at == switch
    assert state(device).config_version == version  # the tablet has known all along
    assert state(device).desired_at == end


def test_a_server_that_slept_through_two_switches_is_right_at_once(app: Flask) -> None:
    with transaction():
        device = make.device(make.school())
        make.assign(make.published(), Place.device(device), starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR)
        make.assign(make.published("b", **{"bluetooth.allowed": False}), Place.device(device), starts_at=NOW + 3 * HOUR)
    with transaction():
        assert advance(NOW + 4 * HOUR) == 1
    assert settings(device) == {"bluetooth.allowed": False}
    assert state(device).next_switch_at is None


def test_local_times_mean_the_same_instants_also_in_the_hour_that_comes_twice(app: Flask) -> None:
    oslo = ZoneInfo("Europe/Oslo")
    begin = datetime(2026, 10, 25, 2, 30, tzinfo=oslo)
    end = datetime(2026, 10, 25, 2, 15, tzinfo=oslo, fold=1)  # three quarters of an hour later
    with transaction():
        device = make.device(make.school())
        make.assign(make.published(), Place.device(device), starts_at=begin, ends_at=end)
    assert state(device).next_switch_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    with transaction():
        assert advance(datetime(2026, 10, 25, 0, 29, 59, tzinfo=UTC)) == 0
        assert advance(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == 1
        assert advance(datetime(2026, 10, 25, 1, 15, tzinfo=UTC)) == 1
    assert settings(device) == {}


def test_a_pupil_in_several_classes_gets_all_of_them_on_the_own_tablet_and_none_on_a_shared_one(app: Flask) -> None:
    with transaction():
        school = make.school()
        basic, group, foreign = (make.school_class(school, title) for title in ("8B", "MAT 8B", "8C"))
        pupil = make.pupil(school)
        make.membership(pupil, basic)
        make.membership(pupil, group)
        own, shared = make.device(school, person=pupil), make.device(school, class_id=foreign.id)
        make.assign(make.published("a", **{"camera.allowed": False}), Place.school_class(basic))
        make.assign(make.published("b", **{"apps.required": ["no.geo"]}), Place.school_class(group))
        make.assign(make.published("c", **{"bluetooth.allowed": False}), Place.school_class(foreign))
        make.assign(make.published("d", **{"usb.storage_allowed": False}), Place.device(own))
    assert settings(own) == {"camera.allowed": False, "apps.required": ["no.geo"], "usb.storage_allowed": False}
    assert settings(shared) == {"bluetooth.allowed": False}


def test_a_teachers_tablet_is_none_of_the_class(app: Flask) -> None:
    with transaction():
        school = make.school()
        of = make.school_class(school)
        teacher = make.employee("larer", school)
        make.membership(teacher, of, role=MembershipRole.TEACHER)
        device = make.device(school, person=teacher)
        make.assign(make.published(), Place.school_class(of))
        materialise(select(Device.id), now=NOW)
    assert settings(device) == {}


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "applies"),
    [
        (date(2026, 9, 14), date(2026, 9, 14), True),
        (date(2026, 9, 15), None, False),
        (None, date(2026, 9, 13), False),
        (None, None, True),
    ],
)
def test_a_membership_counts_from_its_first_to_its_last_day(
    app: Flask, starts_on: date | None, ends_on: date | None, *, applies: bool
) -> None:
    with transaction():
        school = make.school()
        of, pupil = make.school_class(school), make.pupil(school)
        make.membership(pupil, of, starts_on=starts_on, ends_on=ends_on)
        device = make.device(school, person=pupil)
        make.assign(make.published(), Place.school_class(of))
    assert (settings(device) != {}) is applies


def test_who_leaves_comes_or_moves_class_has_it_before_the_commit(app: Flask) -> None:
    with transaction():
        school = make.school()
        old, new = make.school_class(school, "8B"), make.school_class(school, "8C")
        pupil = make.pupil(school)
        device = make.device(school, person=pupil)
        make.assign(make.published("a", **{"camera.allowed": False}), Place.school_class(old))
        make.assign(make.published("b", **{"bluetooth.allowed": False}), Place.school_class(new))
    with transaction():
        joined = make.membership(pupil, old)
        changed("person", [pupil.id], now=NOW)
    assert settings(device) == {"camera.allowed": False}
    with transaction():
        joined.ended_at = NOW
        make.membership(pupil, new)
        changed("person", [pupil.id], now=NOW)
    assert settings(device) == {"bluetooth.allowed": False}
    version = state(device).config_version
    with transaction():  # nothing that matters to the tablet
        changed("person", [pupil.id], now=NOW)
    assert state(device).config_version == version


def test_what_belongs_to_a_class_or_school_that_is_no_more_ends_with_it(app: Flask) -> None:
    with transaction():
        school = make.school()
        of, pupil = make.school_class(school), make.pupil(school)
        make.membership(pupil, of)
        own, set_of_class = make.device(school, person=pupil), make.device(school, class_id=of.id)
        make.assign(make.published("a", **{"camera.allowed": False}), Place.school_class(of))
        make.assign(make.published("b", **{"bluetooth.allowed": False}), Place.school(school))
        make.assign(make.published("c", **{"usb.storage_allowed": False}), Place.municipality())
    assert [len(settings(device)) for device in (own, set_of_class)] == [3, 3]
    with transaction():
        of.ended_at = NOW
        changed("class", [of.id], now=NOW)
    assert [sorted(settings(d)) for d in (own, set_of_class)] == [["bluetooth.allowed", "usb.storage_allowed"]] * 2
    with transaction():
        school.ended_at = NOW
        changed("school", [school.id], now=NOW)
    assert [sorted(settings(device)) for device in (own, set_of_class)] == [["usb.storage_allowed"]] * 2
    with transaction():  # an import that is undone brings both back
        school.ended_at = of.ended_at = None
        changed("class", [of.id], now=NOW)
        changed("school", [school.id], now=NOW)
    assert [len(settings(device)) for device in (own, set_of_class)] == [3, 3]


def test_a_class_that_an_import_ends_leaves_its_set_of_tablets_and_an_undo_brings_it_back(
    app: Flask, tmp_path: Path
) -> None:
    def bring_in(classes: int) -> None:
        path = rosters.zipped(tmp_path / f"{classes}.zip", rosters.one_roster(classes=classes))
        with transaction():
            apply.import_file(path, max_removed_percent=None, by=BY, now=NOW)

    bring_in(2)
    with transaction():
        of = schools.find_class("2A")
        device = make.device(of.school, class_id=of.id)
        make.assign(make.published(), Place.school_class(of))
    assert settings(device) == {"camera.allowed": False}
    bring_in(1)
    assert settings(device) == {}
    with transaction():
        apply.undo(by=BY, now=NOW)
    assert settings(device) == {"camera.allowed": False}


def test_a_tablet_that_is_moved_has_the_new_schools_profile(app: Flask) -> None:
    with transaction():
        here, there = make.school("Her"), make.school("Der")
        device = make.device(here)
        make.assign(make.published("a", **{"camera.allowed": False}), Place.school(here))
        make.assign(make.published("b", **{"bluetooth.allowed": False}), Place.school(there))
    with transaction():
        life.move(device, school=there, by=BY, now=NOW)
    assert settings(device) == {"bluetooth.allowed": False}


def test_a_thousand_tablets_each_with_a_wish_of_its_own_is_still_one_set(app: Flask, statements: list[str]) -> None:
    with transaction():
        school = make.school()
        devices = make.tablets(school, 1_000)
        base = make.published()
        db.session.add_all(
            Assignment(
                profile_version_id=base.id, scope=Scope.DEVICE, device_id=device.id, ends_at=NOW + HOUR * (1 + number), created_at=NOW
            )
            for number, device in enumerate(devices)
        )  # fmt: skip
        first = select(Device.id).where(Device.id == devices[0].id)
    one = counted(statements, lambda: materialise(first, now=NOW))
    all_of_them = counted(statements, lambda: materialise(select(Device.id), now=NOW))
    assert one == all_of_them
    assert len(db.session.scalars(select(Schedule.digest)).all()) == 1_000


def test_nobody_concerned_is_nothing_done(app: Flask) -> None:
    with transaction():
        assert materialise(select(Device.id), now=NOW) == 0
        assert advance(NOW) == 0


def test_a_tablet_may_fetch_what_its_own_schedule_names_and_nothing_else(app: Flask) -> None:
    with transaction():
        school = make.school()
        mine, others, new = make.device(school), make.device(school), make.device(school)
        make.assign(make.published("a"), Place.device(mine))
        later = make.published("b", **{"bluetooth.allowed": False})
        make.assign(later, Place.device(mine), starts_at=NOW + HOUR)
        make.assign(later, Place.device(others))
    own = {entry["profile"] for entry in db.session.get_one(Schedule, state(mine).schedule_digest).entries}
    assert len(own) == 2
    assert all(schedules.may_fetch(mine.id, digest) for digest in own)
    foreign = state(others).desired_digest or ""
    assert not schedules.may_fetch(mine.id, foreign)
    assert not schedules.may_fetch(new.id, foreign)
    assert not schedules.may_fetch(0, foreign)
    assert schedules.body("0" * 64) is None


def test_what_no_tablet_has_is_forgotten_and_what_one_reports_or_shall_have_is_kept(app: Flask) -> None:
    with transaction():
        school = make.school()
        device, reporting = make.device(school), make.device(school)
        first = make.published()
        make.assign(first, Place.school(school))
        old = state(device).desired_digest
        second = make.next_version(first, **{"camera.allowed": True})
        make.assign(second, Place.school(school))
        between = state(device).desired_digest
        make.assign(make.next_version(second, **{"bluetooth.allowed": False}), Place.school(school))
        db.session.get_one(DeviceState, reporting.id).applied_digest = between
    with transaction():
        assert forget_unused(older_than=timedelta(days=30), now=NOW + timedelta(days=30)) == 0
        assert forget_unused(older_than=timedelta(days=30), now=NOW + timedelta(days=31)) == 3
    assert schedules.body(old or "") is None
    assert schedules.body(between or "") is not None
    assert settings(device) == {"bluetooth.allowed": False}
    with transaction():
        assert forget_unused(older_than=timedelta(days=30), now=NOW + timedelta(days=31)) == 0
        make.assign(first, Place.school(school))  # what was forgotten can be wished again
    assert settings(device) == {"camera.allowed": False}


def test_the_memory_of_schedules_is_bounded_and_never_loses_what_was_asked_for(
    app: Flask, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    monkeypatch.setattr(schedules, "_known", Kept(2))
    with transaction():
        devices = make.tablets(make.school(), 3)
        for number, device in enumerate(devices):
            make.assign(make.published(f"p{number}", **{"apps.required": [f"no.app{number}"]}), Place.device(device))
    digests = [state(device).schedule_digest or "" for device in devices]
    assert schedules.load(digests[:2]).keys() == set(digests[:2])
    assert schedules.load(digests).keys() == set(digests)
    statements.clear()
    assert schedules.load(digests[2:]).keys() == set(digests[2:])
    assert statements == []
    assert schedules.load(["0" * 64]) == {}


def test_a_schedule_ahead_begins_now_and_ends_open_however_long_it_is() -> None:
    moments = [(NOW + number * HOUR).isoformat() for number in range(5)]
    whole = [
        {"from": begin, "until": end, "profile": str(place), "length": 2}
        for place, (begin, end) in enumerate(zip([None, *moments], [*moments, None], strict=True))
    ]
    assert schedules.ahead(whole, NOW - HOUR, at_most=10) == whole
    ahead = schedules.ahead(whole, NOW + HOUR, at_most=2)
    assert [(one["from"], one["until"], one["profile"]) for one in ahead] == [
        (None, moments[2], "2"),
        (moments[2], None, "3"),
    ]
    assert schedules.ahead(whole, NOW + 9 * HOUR, at_most=2) == [{**whole[-1], "from": None}]
    assert next_switch(whole, NOW + HOUR) == NOW + 2 * HOUR
    assert next_switch(whole, NOW + 9 * HOUR) is None
