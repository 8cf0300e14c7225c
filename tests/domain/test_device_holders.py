"""Whose own a tablet was, what people wrote about it, and its asset tag."""

from contextlib import nullcontext
from datetime import timedelta

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.db import changed, db, transaction
from fleet.devices import editing, holders, life, notes, queries
from fleet.devices.models import Device, DeviceHolder
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.people import names
from fleet.schools import retention
from fleet.schools.models import School
from tests import factories
from tests.conftest import NOW
from tests.races import together

CLI = Principal.command_line()
DAY = timedelta(days=1)
STRANGER = Principal("account", "9", grants=(Grant(Role.TEACHER, None),))


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school("Kjenn skole")


def history(device: Device) -> list[tuple[int, bool]]:
    return [(one.person_id, one.until is None) for one in holders.listed(device, by=CLI)]


def test_history_follows_where_a_tablet_goes(school: School) -> None:
    with transaction():
        first, second = factories.pupil(school), factories.pupil(school)
        device = factories.device(school)
    for number, person in enumerate((first, first, second, None, first)):
        with transaction():
            life.move(device, school=school, person=person, by=CLI, now=NOW + number * DAY)
    assert history(device) == [(first.id, True), (second.id, False), (first.id, False)]
    ended = holders.listed(device, by=CLI)[2]
    assert (ended.since, ended.until) == (NOW, NOW + 2 * DAY)


def test_history_of_many_tablets_takes_as_many_statements_as_of_one(school: School, statements: list[str]) -> None:
    counts = []
    for number in (1, 40):
        with transaction():
            made = [factories.device(school, person=factories.pupil(school)) for _ in range(number)]
        with transaction():
            statements.clear()
            changed("device", [one.id for one in made], now=NOW)
        counts.append(len([one for one in statements if "device_holder" in one]))
    assert counts == [2, 2]
    assert db.session.query(DeviceHolder).count() == 41


def test_history_outlives_the_names_of_who_left_and_goes_in_time(school: School) -> None:
    with transaction():
        pupil, device = factories.pupil(school), factories.device(school)
        life.move(device, school=school, person=pupil, by=CLI, now=NOW)
    with transaction():
        life.move(device, school=school, by=CLI, now=NOW + DAY)
        pupil.ended_at = NOW
    with transaction():
        assert retention.forget_people(older_than=DAY, now=NOW + 3 * DAY, at_most=10) == 1
        assert holders.listed(device, by=CLI)[0].person.family_name == ""
        assert holders.forget(older_than=365 * DAY, now=NOW + 365 * DAY) == 0
        assert holders.forget(older_than=365 * DAY, now=NOW + 367 * DAY) == 1
    assert history(device) == []


def test_notes_are_for_those_who_manage_the_tablet_and_stay_out_of_the_audit(school: School) -> None:
    with transaction():
        device = factories.device(school)
        written = notes.add(device, " Sprekk i glasset \r\n oppe ", by=CLI, now=NOW)
    assert [one.text for one in notes.listed(device, by=CLI)] == ["Sprekk i glasset \n oppe"]
    assert notes.listed(device, by=STRANGER) == ()
    assert "Sprekk" not in str(factories.audited(1)[0].fields)
    with pytest.raises(ForbiddenError):
        notes.add(device, "Hei", by=STRANGER, now=NOW)
    with pytest.raises(ForbiddenError):
        notes.remove(device, written.id, by=STRANGER, now=NOW)
    for text in ("", "  ", "x" * 1_001, "\x00"):
        with pytest.raises(InvalidError):
            notes.add(device, text, by=CLI, now=NOW)
    with transaction():
        assert notes.remove(device, written.id, by=CLI, now=NOW).startswith("Sprekk")
    with pytest.raises(NotFoundError):
        notes.remove(device, written.id, by=CLI, now=NOW)


@pytest.mark.parametrize(
    ("tag", "again", "is_taken"),
    [
        ("BRÅ-Blå1", "BRÅ-Blå1", True), ("BRÅ-Blå1", "brå-BLÅ1", True), ("BRÅ-Blå1", "bra-bla1", False), ("BRÅ", "BRØ", False),
        ("ÆØÅ", "æøå", True), ("50%_a", "50%_A", True), ("50xya", "50%_a", False), ("a/b", "A/B", True),
    ],
)  # fmt: skip
def test_asset_tags_are_alike_whatever_their_letters_case(school: School, tag: str, again: str, is_taken: bool) -> None:
    with transaction():
        factories.device(school, asset_tag=tag)
        device = factories.device(school)
    with pytest.raises(ConflictError) if is_taken else nullcontext(), transaction():
        editing.set_asset_tag(device, again, by=CLI, now=NOW)


def test_the_same_asset_tag_for_many_at_once_is_ones(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        at = factories.school()
        serials = [factories.device(at).serial for _ in range(4)]

    def give(serial: str) -> None:
        editing.set_asset_tag(queries.find_device(serial, by=CLI), "Blå 1", by=CLI, now=NOW)

    results = together(own_app, [lambda serial=serial: give(serial) for serial in serials])  # type: ignore[misc]
    assert sorted(type(one).__name__ for one in results) == ["ConflictError"] * 3 + ["NoneType"]


def test_asset_tag_is_one_tablets(school: School) -> None:
    with transaction():
        device, other = factories.device(school), factories.device(school, asset_tag="Lk-7")
        editing.set_asset_tag(device, "  LK   8 ", by=CLI, now=NOW)
        editing.set_asset_tag(device, "LK 8", by=CLI, now=NOW)
    assert device.asset_tag == "LK 8"
    assert len([line for line in factories.audited() if line.action == "devices.tag-set"]) == 1
    with pytest.raises(ConflictError):
        editing.set_asset_tag(device, "lk-7", by=CLI, now=NOW)
    with pytest.raises(InvalidError):
        editing.set_asset_tag(device, "x" * 65, by=CLI, now=NOW)
    with pytest.raises(ForbiddenError):
        editing.set_asset_tag(other, "", by=STRANGER, now=NOW)
    with transaction():
        editing.set_asset_tag(other, " ", by=CLI, now=NOW)
    assert other.asset_tag is None


def test_accounts_are_called_by_their_names_and_nothing_else_is(app: Flask) -> None:
    with transaction():
        made = factories.account("kari")
    told = f"account:{made.id}"
    assert names.of([told, "cli", None, "account:x", "account:99999", "job:retention"]) == {told: made.name}
    assert names.of(["cli"]) == {}
