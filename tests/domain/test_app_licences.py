"""Licences of apps: wished for, asked for as far as there are any, given back, and compared with what the store has."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.apps import licence_outcomes, licence_rounds, licences
from fleet.apps.licence_models import AppLicence, LicenceState
from fleet.apps.licence_outcomes import Holders
from fleet.apps.licence_rounds import Limits, Part, Stock
from fleet.db import db, transaction
from fleet.devices import life
from fleet.devices.models import Device, DeviceState
from tests import factories, races
from tests.conftest import NOW

MAPS, PAINT = 408709785, 361285480
LIMITS = Limits(apps=25, serials=1_000)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BY = Principal.command_line()


@pytest.fixture
def tablets(app: Flask) -> list[int]:
    with transaction():
        school = factories.school()
        return [factories.device(school, serial=f"IPAD{number}").id for number in range(4)]


def stocked(*counts: tuple[int, int], assigned: int = 0, now: datetime = NOW) -> None:
    with transaction():
        found = [Stock(store_id, total, assigned, total - assigned) for store_id, total in counts]
        licence_rounds.restock(found, now=now)


def wanted(tablets: Collection[int], *store_ids: int) -> None:
    with transaction():
        for one in tablets:
            licences.want(one, store_ids, now=NOW)


def asked(event_id: str = "e1", *, gives_back: bool = False, now: datetime = NOW) -> list[Part]:
    """Ask for all that is to be asked for, as a round does."""
    with transaction():
        what = licence_rounds.to_release if gives_back else licence_rounds.to_assign
        parts = what(LIMITS, now=now)
        for part in parts:
            assert licence_rounds.asking(part, now=now)
            licence_outcomes.asked(part.licence_ids, event_id)
    return parts


def settled(event_id: str = "e1", *, now: datetime = NOW) -> None:
    with transaction():
        licence_outcomes.settle(event_id, now=now)


def compared(*serials: str, is_whole: bool = True, now: datetime = NOW + MINUTE) -> None:
    with transaction():
        held = Holders(MAPS, frozenset(serials), is_whole=is_whole, since=now)
        licence_outcomes.compare(held, now=now)


def states(store_id: int = MAPS) -> dict[str, str]:
    """Return where licences are, by tablet, with the reason where there is one."""
    found = {}
    for one in db.session.query(AppLicence).filter_by(store_id=store_id).populate_existing():
        serial = db.session.get_one(Device, one.device_id).serial
        found[serial] = f"{one.state}: {one.reason}" if one.reason else str(one.state)
    return found


def version(device_id: int) -> int:
    return db.session.get_one(DeviceState, device_id, populate_existing=True).config_version


def test_a_wish_is_one_however_often_it_is_told_and_only_a_new_one_needs_the_store(tablets: list[int]) -> None:
    with transaction():
        assert licences.want(tablets[0], [MAPS, PAINT], now=NOW)
        assert not licences.want(tablets[0], [MAPS, PAINT], now=NOW)
        assert licences.want(tablets[1], [MAPS], now=NOW)
    assert states() == {"IPAD0": "wanted", "IPAD1": "wanted"}
    assert licences.assigned(tablets[0]) == set()


def test_tablets_that_lack_the_same_apps_are_one_question_within_the_stores_limits(tablets: list[int]) -> None:
    stocked((MAPS, 10), (PAINT, 10))
    wanted(tablets[:3], MAPS, PAINT)
    wanted(tablets[3:], MAPS)
    with transaction():
        whole = licence_rounds.to_assign(LIMITS, now=NOW)
        small = licence_rounds.to_assign(Limits(apps=1, serials=2), now=NOW)
    assert [(set(part.apps), list(part.serials)) for part in whole] == [
        ({MAPS, PAINT}, ["IPAD0", "IPAD1", "IPAD2"]),
        ({MAPS}, ["IPAD3"]),
    ]
    assert [len(part.licence_ids) for part in small] == [2, 1, 2, 1, 1]


def test_who_gets_a_licence_fetches_anew_and_who_gets_none_is_told_why(tablets: list[int]) -> None:
    stocked((MAPS, 2), (PAINT, 0))
    wanted(tablets[:3], MAPS)
    wanted(tablets[3:], PAINT)
    before = [version(one) for one in tablets]
    asked()
    assert states() == {"IPAD0": "wanted", "IPAD1": "wanted", "IPAD2": "failed: none-left"}
    assert states(PAINT) == {"IPAD3": "failed: not-bought"}
    settled()
    assert states() == {"IPAD0": "assigned", "IPAD1": "assigned", "IPAD2": "failed: none-left"}
    assert [version(one) - old for one, old in zip(tablets, before, strict=True)] == [1, 1, 1, 1]
    assert licences.assigned(tablets[0]) == {MAPS}
    assert licences.reasons(tablets[2]) == {MAPS: "none-left"}
    figure = licences.figures()[1 if licences.figures()[0].store_id == PAINT else 0]
    assert (figure.bought, figure.waiting, figure.lacking, figure.failed) == (2, 0, 1, 0)


def test_nobody_is_refused_while_licences_are_under_way_that_may_leave_one(tablets: list[int]) -> None:
    stocked((MAPS, 2))
    wanted(tablets[:2], MAPS)
    asked()
    wanted(tablets[2:], MAPS)
    assert asked("e2") == []
    assert states()["IPAD2"] == "wanted"


def test_who_lacks_a_licence_gets_one_that_another_gives_back(tablets: list[int]) -> None:
    stocked((MAPS, 3))
    wanted(tablets, MAPS)
    asked()
    settled()
    assert states()["IPAD3"] == "failed: none-left"
    with transaction():
        life.step(db.session.get_one(Device, tablets[0]), "retire", by=BY, now=NOW)
    assert states()["IPAD0"] == "releasing"
    asked("back", gives_back=True)
    settled("back")
    assert "IPAD0" not in states()
    stocked((MAPS, 3), assigned=2)
    assert [list(part.serials) for part in asked("again")] == [["IPAD3"]]
    settled("again")
    assert states()["IPAD3"] == "assigned"


def test_a_licence_is_given_back_when_nothing_requires_it_and_kept_when_it_is_wanted_again(tablets: list[int]) -> None:
    stocked((MAPS, 9), (PAINT, 9))
    wanted(tablets[:1], MAPS, PAINT)
    asked()
    settled()
    with transaction():
        assert licences.release(tablets[0], [PAINT], now=NOW)
    assert (states(), states(PAINT)) == ({"IPAD0": "releasing"}, {"IPAD0": "assigned"})
    wanted(tablets[:1], MAPS)
    assert states() == {"IPAD0": "assigned"}
    with transaction():
        licences.want(tablets[1], [MAPS], now=NOW)
        assert not licences.release(tablets[1], now=NOW), "nobody has to ask the store"
    assert "IPAD1" not in states()


def test_a_wish_that_turns_round_while_the_store_is_asked_counts_in_the_end(tablets: list[int]) -> None:
    stocked((MAPS, 9))
    wanted(tablets[:2], MAPS)
    asked()
    with transaction():
        licences.release(tablets[0], now=NOW)
    settled()
    assert states() == {"IPAD0": "releasing", "IPAD1": "assigned"}
    asked("back", gives_back=True)
    wanted(tablets[:1], MAPS)
    settled("back")
    assert states() == {"IPAD0": "wanted", "IPAD1": "assigned"}


def test_a_part_is_not_asked_for_where_a_wish_has_changed_meanwhile(tablets: list[int]) -> None:
    stocked((MAPS, 9))
    wanted(tablets[:2], MAPS)
    with transaction():
        (part,) = licence_rounds.to_assign(LIMITS, now=NOW)
        licences.release(tablets[0], now=NOW)
        assert not licence_rounds.asking(part, now=NOW)
    assert [list(part.serials) for part in asked()] == [["IPAD1"]]


def test_what_a_killed_server_has_asked_for_is_looked_up(tablets: list[int]) -> None:
    stocked((MAPS, 9))
    wanted(tablets[:2], MAPS)
    with transaction():
        (part,) = licence_rounds.to_assign(LIMITS, now=NOW)
        assert licence_rounds.asking(part, now=NOW)
    with transaction():
        assert licence_rounds.to_assign(LIMITS, now=NOW) == []
        assert licence_outcomes.unclear() == {MAPS}
    compared("IPAD0", is_whole=False)
    assert states() == {"IPAD0": "assigned", "IPAD1": "wanted"}
    assert licence_outcomes.unclear() == {MAPS}, "the list was not whole: the other may have one"
    compared("IPAD0")
    assert licence_outcomes.unclear() == set()
    assert [list(part.serials) for part in asked()] == [["IPAD1"]]


def test_an_event_that_failed_is_looked_up_and_whoever_has_no_licence_hears_why(tablets: list[int]) -> None:
    stocked((MAPS, 9))
    wanted(tablets, MAPS)
    asked()
    with transaction():
        licence_outcomes.lose("e1", {"IPAD1": "refused", None: "none-left"})
    compared("IPAD0")
    assert states() == {
        "IPAD0": "assigned", "IPAD1": "failed: refused", "IPAD2": "failed: none-left", "IPAD3": "failed: none-left",
    }  # fmt: skip
    assert [list(part.serials) for part in asked("soon")] == [["IPAD2", "IPAD3"]]
    assert [list(part.serials) for part in asked("later", now=NOW + 2 * DAY)] == [["IPAD1"]]


def test_what_could_not_be_given_back_is_tried_again_a_day_later(tablets: list[int]) -> None:
    stocked((MAPS, 9))
    wanted(tablets[:1], MAPS)
    asked()
    settled()
    with transaction():
        licences.release(tablets[0], now=NOW)
    asked("back", gives_back=True)
    with transaction():
        licence_outcomes.lose("back", {None: "refused"})
    compared("IPAD0")
    assert states() == {"IPAD0": "releasing: refused"}
    assert asked("soon", gives_back=True) == []
    assert len(asked("later", gives_back=True, now=NOW + 2 * DAY)) == 1


def test_the_stores_own_list_is_believed_once_a_day(tablets: list[int]) -> None:
    stocked((MAPS, 9), assigned=2)
    wanted(tablets[:2], MAPS)
    asked()
    settled()
    with transaction():
        life.step(db.session.get_one(Device, tablets[3]), "retire", by=BY, now=NOW)
        assert licence_outcomes.to_compare(now=NOW) == [MAPS]
    compared("IPAD1", "IPAD2", "IPAD3", "STRANGER")
    assert states() == {"IPAD0": "wanted", "IPAD1": "assigned", "IPAD2": "assigned", "IPAD3": "releasing"}
    with transaction():
        assert licence_outcomes.to_compare(now=NOW + DAY) == []
        assert licence_outcomes.to_compare(now=NOW + DAY + 2 * MINUTE) == [MAPS]


def test_a_list_that_was_begun_before_an_event_was_settled_takes_nothing_away(tablets: list[int]) -> None:
    stocked((MAPS, 9))
    wanted(tablets[:1], MAPS)
    asked()
    settled(now=NOW + 2 * MINUTE)
    compared(now=NOW + MINUTE)
    assert states() == {"IPAD0": "assigned"}


def test_a_tablet_that_has_what_it_wants_costs_a_statement(tablets: list[int], statements: list[str]) -> None:
    stocked((MAPS, 9))
    wanted(tablets[:1], MAPS)
    asked()
    settled()
    with transaction():
        statements.clear()
        assert not licences.want(tablets[0], [MAPS], now=NOW)
        assert len(statements) == 1
        assert not licences.release(tablets[0], [MAPS], now=NOW)
        assert len(statements) == 2


def test_wishes_that_change_while_the_store_is_asked_neither_miss_each_other_nor_deadlock(own_app: Flask) -> None:
    with own_app.app_context():
        with transaction():
            school = factories.school()
            tablets = [factories.device(school).id for _ in range(30)]
        stocked((MAPS, 99), (PAINT, 99))
        wanted(tablets, MAPS, PAINT)

    def ask() -> None:
        for part in licence_rounds.to_assign(LIMITS, now=NOW):
            if licence_rounds.asking(part, now=NOW):
                licence_outcomes.asked(part.licence_ids, "e1")

    def turn(device_id: int) -> None:
        licences.release(device_id, [PAINT], now=NOW)
        licences.want(device_id, [MAPS], now=NOW)
        licences.release(device_id, now=NOW)

    turns: list[Callable[[], object]] = [partial(turn, one) for one in reversed(tablets[:15])]
    assert set(races.together(own_app, [ask, *turns, ask])) == {None}
    with own_app.app_context():
        settled("e1")
        rows = db.session.query(AppLicence).all()
        assert {one.state for one in rows if one.device_id in tablets[:15]} <= {LicenceState.RELEASING}
        assert len([one for one in rows if one.device_id in tablets[15:]]) == 30
        assert {one.asked_at for one in rows} == {None}
