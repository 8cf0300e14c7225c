"""What Apple School Manager lists: kept in order, given our profile, told where no delivery list has it."""

from datetime import timedelta

from flask import Flask

from fleet.access import Principal
from fleet.db import db, transaction
from fleet.devices import expecting, queries
from fleet.devices.models import DeviceLife
from fleet.mdm import listed
from fleet.mdm.listed import Listed
from fleet.mdm.models import ListedByMaker
from tests import factories
from tests.conftest import NOW

CLI = Principal.command_line()
HOUR = timedelta(hours=1)


def pad(serial: str, *, family: str = "iPad", profile: str | None = None, gone: bool = False, at: str = "") -> Listed:
    return Listed(serial, "iPad 10th Gen", "IPAD 10 WIFI", family, profile, gone, at)


def note(*told: Listed, later: timedelta = timedelta(0)) -> None:
    with transaction():
        listed.note(told, now=NOW + later)


def due(profile: str = "P", *, later: timedelta = timedelta(0)) -> list[str]:
    db.session.expire_all()
    return list(listed.without(profile, now=NOW + later, at_most=100))


def test_of_two_words_on_one_serial_the_later_counts(app: Flask) -> None:
    note(pad("A", at="2026-09-14T10:00:02Z"), pad("A", gone=True, at="2026-09-14T10:00:01Z"))
    note(pad("B", gone=True, at="2026-09-14T10:00:02Z"), pad("B", at="2026-09-14T10:00:01Z"))
    assert due() == ["A"]
    note(pad("B"), later=HOUR)
    assert due(later=HOUR) == ["A", "B"]


def test_who_is_not_on_a_list_of_all_is_gone(app: Flask) -> None:
    note(pad("A"), pad("B"))
    note(pad("A"), later=HOUR)
    with transaction():
        assert listed.end_full_list(began_at=NOW + HOUR, now=NOW + HOUR) == 1
    assert due(later=HOUR) == ["A"]


def test_a_profile_goes_to_tablets_that_do_not_have_it_and_are_not_retired(app: Flask) -> None:
    with transaction():
        school = factories.school()
        factories.device(school, serial="OLD", life=DeviceLife.RETIRED)
    note(pad("NEW"), pad("OTHER", profile="Q"), pad("HAS", profile="P"), pad("MAC", family="Mac"), pad("OLD"))
    note(pad("SOLD", profile="P"))
    assert due() == ["NEW", "OTHER"]
    with transaction():
        listed.took({"NEW": "SUCCESS", "OTHER": "THROTTLED"}, "P", again_at=NOW + HOUR, now=NOW)
    assert due() == []
    assert due(later=HOUR) == ["OTHER"]
    with transaction():
        factories.device(school, serial="SOLD", life=DeviceLife.RETIRED)
    assert list(listed.retired_with("P", now=NOW, at_most=9)) == ["SOLD"]
    with transaction():
        listed.took({"SOLD": "SUCCESS"}, None, again_at=NOW, now=NOW)
    assert list(listed.retired_with("P", now=NOW, at_most=9)) == []


def test_those_on_no_delivery_list_are_told_and_can_be_expected(app: Flask) -> None:
    with transaction():
        here, elsewhere = factories.school("Her"), factories.school("Der")
        factories.device(here, serial="LISTED", listed_at=NOW)
        factories.device(here, serial="BYTICKET")
        factories.device(elsewhere, serial="ELSEWHERE")
        factories.device(here, serial="RETIRED", life=DeviceLife.RETIRED)
    note(*(pad(serial) for serial in ("LISTED", "BYTICKET", "ELSEWHERE", "RETIRED", "NEW1", "N!")))
    assert listed.missing_count() == 4
    missing = listed.standings(missing=True)
    assert [(one.listed.serial, one.is_expected) for one in missing] == [
        ("BYTICKET", False), ("ELSEWHERE", False), ("N!", False), ("NEW1", False),
    ]  # fmt: skip
    with transaction():
        models = {one.listed.serial: one.listed.model for one in missing}
        plan = expecting.expect(models, here, "Apple School Manager", by=CLI, now=NOW)
    assert plan.counts() == {"added": 1, "changed": 1, "unchanged": 2}
    db.session.expire_all()
    new = queries.find_device("NEW1", by=CLI)
    assert (new.life, new.school_id, new.listed_at, new.model) == (DeviceLife.EXPECTED, here.id, NOW, "iPad 10th Gen")
    line = factories.audited(1)[0]
    assert (line.action, line.fields["file_name"]) == ("devices.imported", "Apple School Manager")
    assert [one.listed.serial for one in listed.standings(missing=True)] == ["ELSEWHERE", "N!"]
    assert db.session.query(ListedByMaker).count() == 6
