"""Reading tablets: what is found, who sees which, and that the fleet's size costs no statements."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Select

from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.devices import queries, reported
from fleet.devices.models import Device, DeviceLife, Enrolment, Platform
from fleet.devices.queries import Figures, Filter
from fleet.errors import NotFoundError
from fleet.schools.models import MembershipRole, School
from tests import factories
from tests.conftest import NOW

CLI = Principal.command_line()


@pytest.fixture
def fleet(app: Flask) -> dict[str, School]:
    """Return two schools: Kjenn with a class set, a pupil's own tablet, a cart's and a spare one; Rasta with one."""
    with transaction():
        kjenn, rasta = factories.school("Kjenn skole"), factories.school("Rasta skole")
        own, other = factories.school_class(kjenn, "8A"), factories.school_class(kjenn, "8B")
        pupil, stranger, left = (factories.pupil(kjenn) for _ in range(3))
        factories.membership(pupil, own)
        factories.membership(stranger, other)
        factories.membership(left, own).ended_at = NOW
        assistant = factories.pupil(kjenn)
        factories.membership(assistant, own, role=MembershipRole.TEACHER)
        factories.device(kjenn, serial="CLASS", class_id=own.id, asset_tag="Å-1", model="iPad 10%")
        factories.device(kjenn, serial="OWN", person=pupil)
        factories.device(kjenn, serial="OTHERCLASS", class_id=other.id)
        factories.device(kjenn, serial="STRANGER", person=stranger)
        factories.device(kjenn, serial="LEFT", person=left)
        factories.device(kjenn, serial="ASSISTANT", person=assistant)
        factories.device(kjenn, serial="CART", cart="Vogn 1", life=DeviceLife.EXPECTED)
        factories.device(rasta, serial="RASTA")
    return {"kjenn": kjenn, "rasta": rasta}


def teacher_of(school: School) -> Principal:
    own = next(one.class_id for one in db.session.query(Device) if one.serial == "CLASS")
    assert own is not None
    return Principal("account", "1", grants=(Grant(Role.TEACHER, school.id),), own_class_ids=frozenset({own}))


def serials(by: Principal, **given: object) -> set[str]:
    found = queries.devices(Filter(**given), by=by)  # type: ignore[arg-type]  # each test gives its own
    assert queries.count(Filter(**given), by=by) == len(found)  # type: ignore[arg-type]  # as above
    return {device.serial for device in found}


KJENN = {"CLASS", "OWN", "OTHERCLASS", "STRANGER", "LEFT", "ASSISTANT", "CART"}


def test_everybody_sees_the_tablets_of_the_own_place_only(fleet: dict[str, School]) -> None:
    it = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, fleet["kjenn"].id),))
    foreign = Principal("account", "2", grants=(Grant(Role.SCHOOL_IT, fleet["rasta"].id),))
    teacher = teacher_of(fleet["kjenn"])
    nobody = Principal("account", "3", grants=(Grant(Role.TEACHER, fleet["kjenn"].id),))
    assert serials(CLI) == {*KJENN, "RASTA"}
    assert serials(it) == KJENN
    assert serials(foreign) == {"RASTA"}
    assert serials(teacher) == {"CLASS", "OWN"}  # class set and pupils' own; not of who left or is no pupil there
    assert serials(nobody) == set()
    for by, seen in ((it, KJENN), (foreign, {"RASTA"}), (teacher, {"CLASS", "OWN"}), (nobody, set())):
        for serial in {*KJENN, "RASTA"}:
            if serial in seen:
                assert queries.find_device(serial, by=by).serial == serial
            else:
                with pytest.raises(NotFoundError):
                    queries.find_device(serial, by=by)


def test_a_tablet_is_found_by_serial_or_tag_in_any_case(fleet: dict[str, School]) -> None:
    assert queries.find_device(" class ", by=CLI).serial == "CLASS"
    assert queries.find_device("Å-1", by=CLI).serial == "CLASS"
    with transaction():
        queries.find_device("OWN", by=CLI).asset_tag = "abc-1"
        queries.find_device("STRANGER", by=CLI).asset_tag = "RASTA"
    assert queries.find_device("ABC-1", by=CLI).serial == "OWN"
    assert queries.find_device("rasta", by=CLI).serial == "RASTA"  # a serial goes before a tag


def test_a_tag_that_several_have_is_not_guessed(fleet: dict[str, School]) -> None:
    with transaction():
        for serial in ("OWN", "STRANGER"):
            queries.find_device(serial, by=CLI).asset_tag = "X-1"
    with pytest.raises(NotFoundError) as refused:
        queries.find_device("x-1", by=CLI)
    assert "several" in refused.value.data["reason"]


def test_filters_narrow_the_list(fleet: dict[str, School]) -> None:
    with transaction():
        seen, failing = queries.find_device("OWN", by=CLI), queries.find_device("RASTA", by=CLI)
        seen.state.last_seen_at, seen.state.desired_digest, seen.state.applied_digest = NOW, "a", "a"
        failing.state.has_findings = True
        queries.find_device("STRANGER", by=CLI).life = DeviceLife.RETIRED
        own_class = queries.find_device("CLASS", by=CLI).class_id
    assert serials(CLI, school_id=fleet["rasta"].id) == {"RASTA"}
    assert serials(CLI, class_id=own_class) == {"CLASS", "OWN"}
    assert serials(CLI, life=DeviceLife.EXPECTED) == {"CART"}
    assert serials(CLI, with_retired=False) == {*KJENN, "RASTA"} - {"STRANGER"}
    assert "STRANGER" in serials(CLI)
    assert serials(CLI, text=" Å-1 ") == {"CLASS"}
    assert serials(CLI, text="clas") == {"CLASS", "OTHERCLASS"}
    assert serials(CLI, text="10%") == {"CLASS"}
    assert serials(CLI, text="%") == {"CLASS"}
    assert serials(CLI, text="_") == set()
    assert serials(CLI, has_findings=True) == {"RASTA"}
    assert serials(CLI, has_findings=False) == KJENN
    assert serials(CLI, is_pending=True) == {*KJENN, "RASTA"} - {"OWN", "CART", "STRANGER"}
    assert "OWN" not in serials(CLI, not_seen_since=NOW)
    assert "OWN" in serials(CLI, not_seen_since=NOW + timedelta(seconds=1))
    assert "CART" not in serials(CLI, not_seen_since=NOW)


def test_pages_of_a_list_follow_school_and_serial(fleet: dict[str, School]) -> None:
    whole = [device.serial for device in queries.devices(Filter(), by=CLI)]
    assert whole == [*sorted(KJENN), "RASTA"]
    parts = [queries.devices(Filter(), by=CLI, limit=3, offset=offset) for offset in (0, 3, 6)]
    assert [device.serial for part in parts for device in part] == whole


def test_a_list_is_one_statement_with_state_school_and_class(fleet: dict[str, School], statements: list[str]) -> None:
    db.session.expire_all()
    statements.clear()
    shown = [
        (device.state.config_version, device.school and device.school.name, device.school_class and device.school_class.title)
        for device in queries.devices(Filter(), by=CLI)
    ]  # fmt: skip
    assert len(shown) == 8
    assert len(statements) == 1, "\n".join(statements)


def test_figures_count_each_place_in_one_statement(fleet: dict[str, School], statements: list[str]) -> None:
    with transaction():
        for serial, ago in (("OWN", timedelta(minutes=5)), ("CLASS", timedelta(hours=5)), ("RASTA", timedelta(days=3))):
            state = queries.find_device(serial, by=CLI).state
            state.last_seen_at, state.desired_digest, state.applied_digest = NOW - ago, "a", "a"
        queries.find_device("CLASS", by=CLI).state.applied_digest = "b"
        queries.find_device("LEFT", by=CLI).life = DeviceLife.LOST
        queries.find_device("STRANGER", by=CLI).life = DeviceLife.RETIRED
        queries.find_device("OWN", by=CLI).state.has_findings = True
        own = queries.find_device("CLASS", by=CLI).class_id
    kjenn, rasta = fleet["kjenn"].id, fleet["rasta"].id
    statements.clear()
    found = queries.figures(by=CLI, now=NOW)
    assert len(statements) == 1
    assert found == {
        kjenn: Figures(
            total=6, expected=1, enrolled=4, lost=1, seen_last_hour=1, seen_last_day=2, applied=1, pending=3,
            with_findings=1, ready=1, last_seen_at=NOW - timedelta(minutes=5),
        ),
        rasta: Figures(total=1, enrolled=1, applied=1, last_seen_at=NOW - timedelta(days=3)),
    }  # fmt: skip
    assert (found[kjenn].waiting, found[kjenn].quiet, found[rasta].quiet) == (1, 2, 1)
    statements.clear()
    by_class = queries.figures(by=CLI, now=NOW, group="class", school_id=kjenn)
    assert len(statements) == 1
    assert by_class[own].total == 2
    assert by_class[None].total == 3  # CART, and those whose holders are in no class as pupils
    assert queries.totals(by=CLI, now=NOW).total == 7
    assert queries.totals(by=CLI, now=NOW, school_id=rasta).total == 1
    assert queries.totals(by=teacher_of(fleet["kjenn"]), now=NOW).total == 2


def test_nothing_counts_as_nothing(app: Flask) -> None:
    assert queries.figures(by=CLI, now=NOW) == {}
    assert queries.totals(by=CLI, now=NOW) == Figures()
    assert queries.devices(Filter(), by=CLI) == []


def test_a_profiles_state_is_one_of_four(fleet: dict[str, School]) -> None:
    state = queries.find_device("OWN", by=CLI).state
    assert queries.profile_state(state) == "unknown"
    state.last_seen_at, state.desired_digest = NOW, "a"
    assert queries.profile_state(state) == "pending"
    state.applied_digest = "a"
    assert queries.profile_state(state) == "applied"
    state.failures = [{"key": "x", "reason": "y"}]
    assert queries.profile_state(state) == "failed"


def test_keys_titles_and_enrolments(fleet: dict[str, School]) -> None:
    with transaction():
        device = queries.find_device("OWN", by=CLI)
        for name, ended in (("k1", NOW), ("k2", None)):
            db.session.add(
                Enrolment(device_id=device.id, channel="native", key_thumbprint=name, public_key=b"der", enrolled_at=NOW, ended_at=ended)
            )  # fmt: skip
            db.session.flush()
        number = device.id
    assert [one.key_thumbprint for one in queries.enrolments(device)] == ["k2", "k1"]
    assert queries.keys({"k1", "k2", "k3"}) == {"k1": (number, b"der"), "k2": (number, b"der")}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("å-1", {"CLASS"}), ("Å-1 10%", {"CLASS"}), ("8b", {"OTHERCLASS", "STRANGER"}), ("vogn", {"CART"}), ("ØYVIND", {"OWN"}),
        ("øyvind prøve", {"OWN"}), ("prøve øyvind 8a", {"OWN"}), ("øyvind 8b", set()), ("_", set()), ("elev-å", {"OWN"}),
    ],
)  # fmt: skip
def test_every_word_of_a_search_is_found_in_name_pupil_or_class(
    fleet: dict[str, School], text: str, found: set[str]
) -> None:
    own = next(one for one in db.session.query(Device) if one.serial == "OWN").person
    assert own is not None
    own.given_name, own.username = "Øyvind", "ELEV-Å"
    db.session.flush()
    assert serials(CLI, text=text) == found


def test_teacher_finds_own_classes_tablets_only_by_a_pupils_name(fleet: dict[str, School]) -> None:
    assert serials(teacher_of(fleet["kjenn"]), text="elev prøve") == {"OWN"}
    assert serials(CLI, text="elev prøve") == {"OWN", "STRANGER", "LEFT", "ASSISTANT"}


@pytest.mark.parametrize("sort", queries.SORTS)
def test_list_comes_in_any_order_and_what_is_not_told_comes_last_both_ways(fleet: dict[str, School], sort: str) -> None:
    there, back = (queries.devices(Filter(), by=CLI, sort=f"{sign}{sort}") for sign in ("", "-"))
    assert {one.serial for one in there} == {one.serial for one in back} == KJENN | {"RASTA"}
    if sort == "tag":
        assert there[0].serial == back[0].serial == "CLASS"
    if sort == "class":
        assert [one.serial for one in there[:4]] == ["CLASS", "OWN", "OTHERCLASS", "STRANGER"]
        assert [one.serial for one in back[:4]] == ["OTHERCLASS", "STRANGER", "CLASS", "OWN"]
    if sort == "serial":
        assert [one.serial for one in there] == sorted(KJENN | {"RASTA"})


def test_states_that_enrolled_tablets_are_in_leave_all_others_out(fleet: dict[str, School]) -> None:
    by_serial = {one.serial: one for one in db.session.query(Device)}
    for serial in ("CLASS", "OWN", "CART"):
        factories.told(by_serial[serial], at=NOW, applied=factories.shall_have(by_serial[serial]))
    by_serial["OWN"].state.failures = [{"key": "camera.allowed", "reason": "rejected"}]
    by_serial["RASTA"].platform = Platform.LINUX
    db.session.flush()
    hour = NOW - timedelta(hours=1)
    assert serials(CLI, seen_since=hour) == {"CLASS", "OWN"}  # the cart's is not enrolled
    assert serials(CLI, is_failed=True) == {"OWN"}
    assert serials(CLI, platform=Platform.LINUX) == {"RASTA"}
    assert serials(CLI, within=queries.matching(Filter(text="own"), by=CLI)) == {"OWN"}


def test_class_of_a_pupils_own_tablet_is_the_pupils_basic_class(fleet: dict[str, School]) -> None:
    found = queries.devices(Filter(), by=CLI)
    titles = queries.class_titles(found, on=NOW.date())
    assert {one.serial: titles[one.id] for one in found if one.id in titles} == {"OWN": ["8A"], "STRANGER": ["8B"]}


def test_tablets_that_are_not_supervised_or_lack_apps_are_those_in_use_that_say_so(fleet: dict[str, School]) -> None:
    lost = factories.device(fleet["kjenn"], serial="LOST", life=DeviceLife.LOST)
    told: dict[str, dict[str, object]] = {
        "CLASS": {"flags": {"supervised": False}, "app_states": {"no.example.map": {"state": "no-licence"}}},
        "OWN": {"flags": {"supervised": True}, "app_states": {"no.example.sum": {"state": "coming"}}},
        "RASTA": {"flags": {}, "app_states": {}},
    }
    for serial, facts in told.items():
        queries.find_device(serial, by=CLI).state.facts = facts
    lost.state.facts = told["CLASS"]
    db.session.flush()

    def serials(which: Select[Any]) -> set[str]:
        return {one.serial for one in queries.devices(Filter(within=which), by=CLI)}

    assert serials(reported.unsupervised()) == {"CLASS"}
    assert serials(reported.lacking_apps()) == {"CLASS", "OWN"}
    assert serials(reported.lacking_apps("no.example.map")) == {"CLASS"}
    assert reported.number(reported.lacking_apps()) == 2
