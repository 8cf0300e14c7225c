"""iPads at the door: enrolment by a ticket's code, check-ins, commands, declarations; and who is not believed."""

import base64
import plistlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet import clock, orders
from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.db import db
from fleet.devices import life
from fleet.devices.models import Device, DeviceLife, DeviceState
from fleet.mdm import inviting
from fleet.mdm.models import Client
from fleet.orders import Order, OrderKind, OrderState, Wish
from tests import apple_messages, ipads
from tests import factories as make
from tests.apple_messages import IPAD, SIMULATOR, Shape
from tests.gate import Door
from tests.ipad_gate import ipad_door, ticket_code
from tests.ipad_school import assign, come, due, state_of
from tests.ipads import Ipad

CLI = Principal.command_line()
INVENTORY = ("SecurityInfo", "InstalledApplicationList", "CertificateList")


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with ipad_door(fresh_url, tmp_path) as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket_code(gate)


@pytest.mark.parametrize("shape", [IPAD, SIMULATOR, Shape("sha256", has_attributes=True)])
def test_an_ipad_comes_in_and_has_its_profile(gate: Door, code: str, shape: Shape) -> None:
    assign(gate, **{"camera.allowed": False})
    tablet = come(gate, code, shape=shape)
    assert state_of(gate)["life"] is DeviceLife.ENROLLED
    assert set(tablet.wake()) == {
        "DeviceInformation",
        *INVENTORY,
        "DeclarativeManagement",
        "Settings",
    }
    assert tablet.settings("com.apple.applicationaccess")["allowCamera"] is False
    found = state_of(gate)
    assert found["applied"] == found["desired"] is not None
    assert (found["battery"], found["facts"]["os_version"], found["facts"]["model"]) == (81, "17.6.1", "iPad13,18")
    assert found["facts"]["apps"] == [{"id": "no.school.app", "version": "2.1"}]
    assert tablet.wake() == []  # and there is nothing to be done any more


def test_a_change_is_fetched_and_what_is_gone_is_forgotten(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": False, "web.blocked": ["spill.example"]})
    tablet = come(gate, code)
    tablet.wake()
    before = state_of(gate)["applied"]
    assert tablet.settings("com.apple.webcontent-filter")
    with gate.database():
        version = make.published("ny", **{"camera.allowed": True})
        for one in assigning.listed(by=CLI, now=clock.now()):
            assigning.withdraw(one.id, by=CLI, now=clock.now())
        assigning.assign(version, Place.municipality(), by=CLI, now=clock.now())
    assert tablet.wake() == ["DeclarativeManagement"]
    assert not tablet.settings("com.apple.webcontent-filter")
    found = state_of(gate)
    assert found["applied"] == found["desired"] != before


def test_what_an_ipad_refuses_is_said(gate: Door, code: str) -> None:
    assign(gate, **{"passcode.required": True, "passcode.min_length": 6})
    tablet = come(gate, code, unable=frozenset({"com.apple.configuration.passcode.settings"}))
    tablet.wake()
    found = state_of(gate)
    assert {one["key"] for one in found["failures"]} == {"passcode.required", "passcode.min_length"}
    assert found["applied"] == found["desired"]


def test_not_now_is_asked_again_at_the_next_call_only(gate: Door, code: str) -> None:
    tablet = come(gate, code, is_busy=True)
    seen = tablet.wake()
    assert sorted(seen) == sorted(set(seen))
    assign(gate, **{"camera.allowed": False})
    seen = tablet.wake()
    assert sorted(seen) == sorted(set(seen))
    assert "DeclarativeManagement" in seen
    tablet.is_busy = False
    assert set(tablet.wake()) >= {"DeviceInformation", *INVENTORY}
    assert tablet.wake() == []


def wish(gate: Door, kind: OrderKind, **content: Any) -> int:
    with gate.database():
        device = db.session.query(Device).filter_by(serial="IPAD1").one()
        (made,) = orders.queue([device], Wish(kind, **content), by=CLI, now=clock.now())
        return made.id


def order_state(gate: Door, order_id: int) -> OrderState:
    with gate.database():
        return db.session.get_one(Order, order_id).state


def test_orders_are_carried_out_before_anything_else(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    lock = wish(gate, OrderKind.LOCK_MESSAGE, text="Lever meg på kontoret")
    restart = wish(gate, OrderKind.RESTART)
    assert tablet.wake() == ["DeviceLock", "RestartDevice"]
    assert {order_state(gate, one) for one in (lock, restart)} == {OrderState.DONE}
    assert tablet.wake() == []


def test_a_passcode_is_cleared_with_what_the_ipad_told_and_nothing_shows_it(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    with gate.database():
        kept = db.session.query(Client).one().unlock_token
    assert kept is not None
    cleared = wish(gate, OrderKind.CLEAR_PASSCODE, reason="Eleven har glemt koden")
    assert tablet.wake() == ["ClearPasscode"]
    assert order_state(gate, cleared) is OrderState.DONE


def test_a_wrong_code_leads_back_to_its_page(gate: Door) -> None:
    answer = gate.send("POST", "/apple/invitations", {}, b"code=AAAA-AAAA")
    assert (answer.status, answer.headers["location"]) == (303, "/enrol?refused=ticket-unknown")


def test_a_profile_gives_one_certificate(gate: Door, code: str) -> None:
    answer = gate.send("POST", "/apple/invitations", {}, f"code={code}".encode())
    profile = gate.send("GET", answer.headers["location"], {}, None)
    assert profile.headers["content-type"] == "application/x-apple-aspen-config"
    Ipad(gate.send, "IPAD1").install(profile.body)
    with pytest.raises(ipads.RefusedError):
        Ipad(gate.send, "IPAD2").install(profile.body)
    assert gate.send("GET", answer.headers["location"], {}, None).status == 404


def test_a_tablet_of_another_school_is_refused_and_never_told_to_leave(gate: Door, code: str) -> None:
    with gate.database():
        make.device(make.school("Naboskolen"), serial="IPAD1", life=DeviceLife.EXPECTED)
    with ipads.refused(403):
        come(gate, code)


@pytest.fixture
def tablet(gate: Door, code: str) -> Ipad:
    made = come(gate, code)
    made.wake()
    return made


def idle(tablet: Ipad, signature: bytes | None, body: bytes | None = None) -> int:
    told = body if body is not None else plistlib.dumps({"UDID": tablet.udid, "Status": "Idle"})
    headers = {} if signature is None else {"mdm-signature": base64.b64encode(signature).decode()}
    return tablet.send("PUT", "/apple/mdm", headers, told).status


def test_who_is_not_believed_gets_400_or_403_and_never_401(gate: Door, code: str, tablet: Ipad) -> None:
    assert tablet.identity is not None
    body = plistlib.dumps({"UDID": tablet.udid, "Status": "Idle"})
    stranger = apple_messages.self_signed(apple_messages.rsa_key(3))
    other = come(gate, code, "IPAD2")
    assert other.identity is not None

    def signed(identity: Any, content: bytes = body) -> bytes:
        return apple_messages.signed_message(content, identity, IPAD, attached=False)

    assert idle(tablet, None) == 400
    assert idle(tablet, b"nonsense") == 400
    assert idle(tablet, signed(tablet.identity, body + b" ")) == 400  # of another body
    assert idle(tablet, signed(stranger)) == 400
    assert idle(tablet, signed(other.identity)) == 403  # another tablet's
    assert idle(tablet, signed(tablet.identity)) == 200
    for odd in (b"", b"no list", plistlib.dumps({"UDID": tablet.udid}), plistlib.dumps({"Status": "Idle"})):
        assert idle(tablet, signed(tablet.identity, odd), odd) == 400


def test_a_tablet_out_of_use_is_heard_no_more_and_is_not_unenrolled_by_accident(gate: Door, tablet: Ipad) -> None:
    with gate.database():
        life.step(db.session.query(Device).filter_by(serial="IPAD1").one(), "retire", by=CLI, now=clock.now())
    with ipads.refused(403):
        tablet.wake()


def test_a_client_that_is_removed_is_expected_again(gate: Door, code: str, tablet: Ipad) -> None:
    tablet.check_in("CheckOut", Topic=tablet.mdm["Topic"])
    assert state_of(gate)["life"] is DeviceLife.EXPECTED
    with ipads.refused(403):
        tablet.wake()
    Ipad(gate.send, "IPAD1", udid=tablet.udid).enrol(code)
    assert state_of(gate)["life"] is DeviceLife.ENROLLED


def test_simulators_that_say_no_content_type_are_understood(gate: Door, tablet: Ipad) -> None:
    answer = tablet.put({"Status": "Idle"}, None)
    assert (answer.status, answer.body) == (200, b"")
    assert tablet.put({"Status": "Idle"}, "").status == 200


def test_a_declaration_that_is_not_there_is_said_to_be_gone(tablet: Ipad) -> None:
    answer = tablet.put(
        {"MessageType": "DeclarativeManagement", "Endpoint": "declaration/configuration/no.such"},
        "application/x-apple-aspen-mdm-checkin; charset=UTF-8",
    )
    assert answer.status == 404


@pytest.mark.parametrize(
    ("kind", "keys", "status"),
    [
        ("UserAuthenticate", {"UserID": "F2A6C1A0-1C4D-4C3B-9B0A-111111111111"}, 410),
        ("GetToken", {"TokenServiceType": "com.apple.maid"}, 400),
        ("GetBootstrapToken", {}, 200),
        ("SetBootstrapToken", {"BootstrapToken": b"x"}, 200),
        ("NothingWeKnow", {}, 400),
    ],
)
def test_every_other_message_has_its_answer(tablet: Ipad, kind: str, keys: dict[str, Any], status: int) -> None:
    answer = tablet.put({"MessageType": kind, **keys}, "application/x-apple-aspen-mdm-checkin")
    assert answer.status == status


def test_the_long_address_of_a_simulator_is_understood(gate: Door) -> None:
    assert gate.send("GET", "/apple/scep?operation=GetCACaps", {}, None).headers["content-type"] == "text/plain"
    assert gate.send("POST", f"/apple/scep?operation=PKIOperation&message={'A' * 6000}", {}, b"junk").status == 400


def test_state_is_read_by_the_pages_as_of_any_tablet(gate: Door, tablet: Ipad) -> None:
    with gate.database():
        state = db.session.query(DeviceState).filter(DeviceState.last_seen_at.is_not(None)).one()
        assert state.facts is not None
        assert state.facts["flags"] == {
            "supervised": True,
            "passcode_present": True,
            "lost_mode": False,
            "identity_present": True,
        }


def lesson(gate: Door, *, until: timedelta, **settings: Any) -> int:
    """Give all tablets a profile that ends."""
    with gate.database():
        version = make.published(f"okt{len(settings)}", **settings)
        now = clock.now()
        made, _tablets = assigning.assign(version, Place.municipality(), ends_at=now + until, by=CLI, now=now)
        return made.id


def test_what_ends_ends_on_the_ipad_without_us(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": True})
    tablet = come(gate, code)
    tablet.wake()
    before = state_of(gate)["applied"]
    lesson(gate, until=timedelta(minutes=45), **{"camera.allowed": False, "apps.allowed": ["no.nb.lesebok"]})
    assert tablet.wake() == ["InstallProfile", "DeclarativeManagement"]
    assert tablet.settings("com.apple.applicationaccess")["allowCamera"] is False
    found = state_of(gate)
    assert found["applied"] == found["desired"] != before
    tablet.now = lambda: clock.now() + timedelta(minutes=46)  # and it has lost its network
    assert tablet.on_top() == []
    assert tablet.settings("com.apple.applicationaccess").get("allowCamera", True) is True


def test_what_is_ended_early_is_taken_away(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": True})
    tablet = come(gate, code)
    tablet.wake()
    before = state_of(gate)["applied"]
    number = lesson(gate, until=timedelta(minutes=45), **{"camera.allowed": False})
    tablet.wake()
    assert tablet.on_top() != []
    with gate.database():
        assigning.withdraw(number, by=CLI, now=clock.now())
    assert set(tablet.wake()) == {"DeclarativeManagement", "RemoveProfile"}
    assert tablet.on_top() == []
    found = state_of(gate)
    assert found["applied"] == found["desired"] == before


def test_what_an_ipad_is_handed_counts_as_fetched_before_it_says_how_that_went(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": True})
    tablet = come(gate, code, is_busy=True)
    lesson(gate, until=timedelta(minutes=45), **{"camera.allowed": False})
    assert "InstallProfile" in tablet.wake()
    with gate.database():
        state = db.session.query(DeviceState).filter(DeviceState.fetched_at.is_not(None)).one()
        assert state.fetched_version == state.config_version
        assert state.applied_digest != state.desired_digest


def test_a_certificate_is_renewed_in_time_and_the_former_is_worth_nothing(gate: Door, tablet: Ipad) -> None:
    former = tablet.identity
    due(gate, renew_at=clock.now())
    assert tablet.wake() == ["InstallProfile"]
    assert tablet.identity is not former
    assert tablet.wake() == []
    found = state_of(gate)
    assert found["life"] is DeviceLife.ENROLLED
    with gate.database():
        client = db.session.query(Client).one()
        assert client.renew_at is not None
        assert client.renew_at > clock.now() + timedelta(days=500)
    renewed, tablet.identity = tablet.identity, former
    with ipads.refused(403):
        tablet.wake()
    tablet.identity = renewed
    assert tablet.wake() == []


def test_a_tablet_tells_how_it_is_on_a_calm_timetable(gate: Door, tablet: Ipad) -> None:
    assert tablet.wake() == []
    due(gate, ask_at=clock.now())
    assert tablet.wake() == ["DeviceInformation"]
    due(gate, ask_at=clock.now(), inventory_at=clock.now() - timedelta(hours=21))
    assert tablet.wake() == ["DeviceInformation", *INVENTORY]
    assert tablet.wake() == []


def test_an_ipad_that_comes_again_gets_everything_again(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": False})
    first = come(gate, code)
    first.wake()
    first.check_in("CheckOut", Topic=first.mdm["Topic"])
    second = Ipad(gate.send, "IPAD1", udid=first.udid)
    second.enrol(code)
    found = state_of(gate)
    assert found["applied"] != found["desired"]
    assert "DeclarativeManagement" in second.wake()
    assert second.settings("com.apple.applicationaccess")["allowCamera"] is False
    found = state_of(gate)
    assert found["applied"] == found["desired"]


def test_nobody_takes_another_tablets_name(gate: Door, code: str, tablet: Ipad) -> None:
    thief = Ipad(gate.send, "IPAD2", udid=tablet.udid)
    with ipads.refused(403):
        thief.enrol(code)
    assert tablet.wake() == []


def test_a_renewal_that_was_offered_before_an_enrolment_ended_is_worth_nothing(
    gate: Door, code: str, tablet: Ipad
) -> None:
    with gate.database():
        token = inviting.renew(db.session.query(Device).filter_by(serial="IPAD1").one(), now=clock.now())
    profile = gate.send("GET", f"/apple/enrol/{token}", {}, None).body
    with gate.database():
        life.revoke_key(db.session.query(Device).filter_by(serial="IPAD1").one(), by=CLI, now=clock.now())
    Ipad(gate.send, "IPAD1", udid=tablet.udid).enrol(code)
    with pytest.raises(ipads.RefusedError):
        Ipad(gate.send, "IPAD1", udid=tablet.udid).install(profile)


def test_what_comes_next_and_is_stricter_does_not_hold_before_it_begins(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": True})
    tablet = come(gate, code)
    with gate.database():
        version = make.published("senere", **{"camera.allowed": False})
        later = clock.now() + timedelta(hours=1)
        assigning.assign(version, Place.municipality(), starts_at=later, by=CLI, now=clock.now())
    tablet.wake()
    assert tablet.settings("com.apple.applicationaccess").get("allowCamera", True) is True
    found = state_of(gate)
    assert found["applied"] == found["desired"]
