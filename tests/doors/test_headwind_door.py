"""The door of Android tablets: coming in, polls, configurations, what they tell, and what they are ordered."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet import clock, orders
from fleet.access import Principal
from fleet.android import admin_password, tokens
from fleet.android.addresses import AGENT_APP
from fleet.android.models import AgentClient
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.channels.headwind.confirming import ASKS_AGAIN_WITHIN
from fleet.db import db
from fleet.devices import life, tickets
from fleet.devices.models import Device, DeviceLife, Ticket
from fleet.orders import OrderKind, OrderState, Wish
from tests import factories as make
from tests import headwind_reader
from tests.android import agent_package
from tests.gate import Door, door, ticket
from tests.headwind_gate import Raw

CLI = Principal.command_line()
REASON = "Mistet på tur i skogen"
FETCHED, COMPLETED = "Configuration updated", "Update flow completed"


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path, FLEET_PUBLIC_URL="https://fleet.test") as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket(gate)


def come(gate: Door, code: str, number: str = "BRETT1") -> Raw:
    """Return a tablet that has come in and speaks under its own token."""
    made = Raw(gate, number)
    made.enrol(code)
    made.tell(made.configuration())
    return made


def device_of(serial: str = "BRETT1") -> Device:
    found: Device = db.session.query(Device).filter_by(serial=serial).one()
    return found


def assign(gate: Door, name: str = "grunn", *, until_s: float | None = None, **settings: Any) -> None:
    with gate.database():
        version = make.published(name, **{key.replace("__", "."): value for key, value in settings.items()})
        now = clock.now()
        until = now + timedelta(seconds=until_s) if until_s is not None else None
        assigning.assign(version, Place.municipality(), ends_at=until, by=CLI, now=now)


def state(gate: Door, serial: str = "BRETT1") -> dict[str, Any]:
    with gate.database():
        device = device_of(serial)
        found = device.state
        return {
            "life": device.life, "applied": found.applied_digest, "desired": found.desired_digest,
            "facts": found.facts, "battery": found.battery_percent, "seen": found.last_seen_at,
            "fetched": found.fetched_version == found.config_version,
        }  # fmt: skip


def chrome(data: dict[str, Any]) -> dict[str, Any]:
    values = [one["value"] for one in data["applicationSettings"] if one["packageId"] == "com.android.chrome"]
    return dict(json.loads(values[0])) if values else {}


def order(gate: Door, wish: Wish, serial: str = "BRETT1") -> str:
    with gate.database():
        (made,) = orders.queue([device_of(serial)], wish, by=CLI, now=clock.now())
        if made.state is OrderState.ASKED:
            orders.approve(made.id, by=Principal.job("test"), now=clock.now())
        return made.uid


def order_state(gate: Door, uid: str) -> OrderState:
    with gate.database():
        found = db.session.query(orders.Order).filter_by(uid=uid).one()
        return OrderState(found.state)


# -- coming in -----------------------------------------------------------------------------------------------------


def test_a_tablet_comes_in_by_a_tickets_address_and_goes_on_at_its_own(gate: Door, code: str) -> None:
    tablet = Raw(gate)
    first = tablet.enrol(code)
    assert first["applications"] == [] == first["files"]
    assert tablet.project.startswith("hw-t")
    whole = tablet.configuration()
    assert whole["newServerUrl"] == first["newServerUrl"]
    assert state(gate)["life"] is DeviceLife.ENROLLED
    assert state(gate)["fetched"]


def test_asking_twice_to_come_in_is_one_enrolment_with_one_token_and_one_place_of_the_ticket(gate: Door) -> None:
    code = ticket(gate, number=1)
    tablets = [Raw(gate), Raw(gate)]
    found: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda one=one: found.append(one.enrol(code))) for one in tablets]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found[0] == found[1]
    with gate.database():
        assert db.session.query(Ticket).one().used_count == 1


def test_a_tablet_that_comes_in_is_served_there_until_it_speaks_under_its_own_token(gate: Door, code: str) -> None:
    tablet = Raw(gate)
    first = tablet.enrol(code)
    own, tablet.project = tablet.project, f"hw-e{code.lower()}"
    assert tablet.configuration() == first
    tablet.project = own
    tablet.configuration()  # what the agent tries before it moves
    tablet.project = f"hw-e{code.lower()}"
    assert tablet.configuration() == first
    tablet.project = own
    tablet.tell()
    tablet.project = f"hw-e{code.lower()}"
    assert tablet.ask().status == 404
    assert tablet.ask("POST").status == 403  # it was heard a moment ago


@pytest.mark.parametrize("end", ["used up", "revoked", "expired", "mistyped", "unknown", "foreign"])
def test_a_ticket_that_is_no_good_takes_no_tablet_and_says_so_as_an_error_of_the_network(gate: Door, end: str) -> None:
    code = ticket(gate, number=1)
    with gate.database():
        found = db.session.query(Ticket).one()
        if end == "revoked":
            tickets.revoke(found.id, by=CLI, now=clock.now())
        if end == "expired":
            found.expires_at = clock.now() - timedelta(seconds=1)
        if end == "foreign":
            make.device(make.school("Naboskolen"), serial="BRETT1", listed_at=clock.now())
    if end == "used up":
        come(gate, code, "BRETT0")
    told = {"mistyped": f"{code[:-1]}{'0' if code[-1] != '0' else '1'}", "unknown": "0" * 28}.get(end, code)
    tablet = Raw(gate)
    tablet.project = f"hw-e{told.lower()}"
    answer = tablet.ask("POST")
    assert answer.status in {403, 404}
    assert headwind_reader.read_refusal(answer.body) != "error.notfound.device"
    assert tablet.ask().status == 404


def test_a_tablet_that_is_wiped_comes_in_anew_and_its_former_token_is_worth_nothing(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    former = tablet.project
    with gate.database():
        device_of().state.last_seen_at = clock.now() - timedelta(hours=1)
    tablet.enrol(code)
    assert tablet.project != former
    tablet.configuration()
    tablet.project = former
    assert tablet.ask().status == 404
    assert tablet.poll().status == 404


def test_a_tablet_that_a_ticket_asks_about_has_nothing_until_somebody_says_yes(gate: Door, code: str) -> None:
    assign(gate, web__blocked=["spill.example"])
    with gate.database():
        db.session.query(Ticket).one().asks = True
    tablet = Raw(gate)
    tablet.enrol(code)
    assert chrome(tablet.configuration()) == {}
    with gate.database():
        assert device_of().life is DeviceLife.PENDING
        life.step(device_of(), "approve", by=CLI, now=clock.now())
    assert tablet.has_news()
    assert ".spill.example" in chrome(tablet.configuration())["URLBlocklist"]


# -- tokens --------------------------------------------------------------------------------------------------------


def test_a_token_that_nobody_has_opens_nothing(gate: Door, code: str) -> None:
    come(gate, code)
    stranger = Raw(gate, project="hw-t" + "0" * 48)
    assert stranger.ask().status == stranger.poll().status == stranger.tell().status == 404
    assert stranger.confirm("public").status == 404
    assert stranger.log(COMPLETED).status == 404


def test_a_tablet_gets_what_its_token_says_whatever_it_calls_itself_and_is_called_right_again(
    gate: Door, code: str
) -> None:
    one, other = come(gate, code), come(gate, code, "BRETT2")
    one.number = "BRETT2"
    data = one.configuration()
    assert data["newServerUrl"].endswith(one.project)
    assert data["newNumber"] == "BRETT1"
    assert "newNumber" not in other.configuration() or other.configuration()["newNumber"] is None


def test_a_rotated_token_is_good_until_the_new_one_was_seen(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    former = tablet.project
    with gate.database():
        secret = admin_password.secret(gate.app.extensions["fleet_config"].secrets_dir)
        tokens.rotate(device_of(), secret=secret, by=CLI, now=clock.now())
    assert tablet.has_news()
    tablet.move(tablet.configuration())
    assert tablet.project != former
    tablet.configuration()
    old = Raw(gate, project=former)
    assert old.ask().status == 200  # it tried the new one, and may not have gone there yet
    tablet.tell()
    assert old.ask().status == old.poll().status == 404
    assert tablet.ask().status == 200


def test_the_addresses_of_tablets_are_not_logged(gate: Door, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    tablet = come(gate, code)
    tablet.call("GET", "no/such/thing")
    Raw(gate, project=f"hw-e{code.lower()}").call("GET", "no/such/thing")
    told = capsys.readouterr()
    assert tablet.project not in told.out + told.err
    assert code.lower() not in (told.out + told.err).lower()


# -- what it shall have --------------------------------------------------------------------------------------------


def test_a_poll_that_waits_is_answered_at_once_when_something_changes(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.configuration()
    answers: list[tuple[bool, float]] = []

    def wait() -> None:
        answers.append((tablet.has_news(), time.monotonic()))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(1)
    assert answers == []
    changed_at = time.monotonic()
    assign(gate, web__allowed=["bok.example"])
    thread.join(20)
    assert answers[0][0]
    assert answers[0][1] - changed_at < 10
    data = tablet.configuration()
    assert (chrome(data)["URLBlocklist"], ".bok.example" in chrome(data)["URLAllowlist"]) == (["*"], True)
    assert state(gate)["applied"] != state(gate)["desired"]
    tablet.log("Noe annet", COMPLETED)
    assert state(gate)["applied"] == state(gate)["desired"]


def test_a_poll_is_answered_when_its_schedule_moves_on_by_itself(gate: Door, code: str) -> None:
    assign(gate)
    tablet = come(gate, code)
    assign(gate, "time", until_s=4, web__allowed=["bok.example"])
    until = time.monotonic() + 4
    assert ".bok.example" in chrome(tablet.configuration())["URLAllowlist"]
    tablet.log(COMPLETED)
    assert tablet.has_news()
    assert abs(time.monotonic() - until) < 1.5
    assert "URLAllowlist" not in chrome(tablet.configuration())


def test_a_tablet_that_has_all_is_neither_called_nor_written(gate: Door, code: str) -> None:
    assign(gate)
    tablet = come(gate, code)
    data = tablet.configuration()
    tablet.log(COMPLETED)
    with gate.database():
        served_at = db.session.query(AgentClient).one().served_at
    assert tablet.configuration() == data
    with gate.database():
        assert db.session.query(AgentClient).one().served_at == served_at
    thread = threading.Thread(target=tablet.poll, daemon=True)
    thread.start()
    thread.join(1)
    assert thread.is_alive()


def test_an_info_says_which_profile_is_in_force_by_the_name_of_the_agent_in_the_cached_configuration(
    gate: Door, code: str
) -> None:
    assign(gate)
    tablet = come(gate, code)
    former = tablet.configuration()
    tablet.tell(former)
    first = state(gate)["applied"]
    assert first == state(gate)["desired"]
    assign(gate, "mer", web__blocked=["spill.example"])
    tablet.configuration()
    tablet.tell(former)  # the update failed: what is in force is what it had
    assert state(gate)["applied"] == first != state(gate)["desired"]


def test_a_configuration_that_never_arrived_is_not_in_force_and_is_told_again(gate: Door, code: str) -> None:
    assign(gate)
    tablet = come(gate, code)
    tablet.configuration()
    tablet.log(FETCHED, COMPLETED)
    first = state(gate)["applied"]
    assign(gate, "mer", web__blocked=["spill.example"])
    tablet.configuration()  # the answer is lost
    tablet.log("Failed to update config: network error")
    tablet.log(COMPLETED)  # of what it had
    assert state(gate)["applied"] == first != state(gate)["desired"]
    assert tablet.has_news()
    tablet.configuration()
    tablet.log("Failed to update config: network error", FETCHED, COMPLETED)
    assert state(gate)["applied"] == state(gate)["desired"]


def test_an_app_that_a_tablet_could_not_fetch_is_left_out_for_a_while(gate: Door, code: str) -> None:
    assign(gate)
    with gate.database():
        agent_package()
    tablet = come(gate, code)
    tablet.configuration()
    tablet.log(f"Failed to download app {AGENT_APP}: timeout", "Failed to download app no.made.up: timeout")
    with gate.database():
        client = db.session.query(AgentClient).one()
        assert set(client.put_off or {}) == {AGENT_APP}  # nobody gave it the other
        assert (device_of().state.facts or {})["app_states"] == {AGENT_APP: {"state": "failed", "reason": "download"}}


def test_telephone_sim_and_place_are_kept_nowhere(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    secret = {
        "imei": "490154203237518",
        "imsi": "242010000000000",
        "iccid": "89470000000000000000",
        "phone": "91234567",
    }
    answer = tablet.tell(
        tablet.configuration(), **secret, location={"ts": 1, "lat": 59.913868, "lon": 10.752245},
        **{f"{name}2": value for name, value in secret.items()},
    )  # fmt: skip
    assert answer.status == 200
    headwind_reader.read_done(answer.body)
    with gate.database():
        told = json.dumps([db.session.query(AgentClient).one().told, device_of().state.facts])
    assert not any(one in told for one in (*secret.values(), "59.91", "10.75"))
    assert state(gate)["facts"]["model"] == "SM-T500"
    with gate.database():
        assert device_of().model == "SM-T500"
    assert state(gate)["facts"]["flags"]["device_owner"] is True
    assert state(gate)["battery"] == 77


# -- orders --------------------------------------------------------------------------------------------------------


def test_a_restart_is_agreed_to_once_and_never_where_none_is_ordered(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    assert tablet.confirm("reboot").status == 409
    uid = order(gate, Wish(OrderKind.RESTART))
    assert tablet.has_news()
    assert tablet.configuration()["reboot"] is True
    assert order_state(gate, uid) is OrderState.SENT
    headwind_reader.read_done(tablet.confirm("reboot").body)
    assert order_state(gate, uid) is OrderState.DONE
    assert tablet.confirm("reboot").status == 200  # our word was lost, and it asks once more
    with gate.database():
        db.session.query(AgentClient).one().restarts_at = clock.now() - ASKS_AGAIN_WITHIN
    assert tablet.confirm("reboot").status == 409
    assert tablet.configuration()["reboot"] is False


def test_a_wipe_is_agreed_to_as_long_as_the_tablet_asks_and_one_that_cannot_says_so(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    unable = order(gate, Wish(OrderKind.WIPE, reason=REASON))
    assert tablet.configuration()["factoryReset"] is True
    assert tablet.confirm("public", factoryReset=False).status == 409
    assert order_state(gate, unable) is OrderState.FAILED
    uid = order(gate, Wish(OrderKind.WIPE, reason=REASON))
    tablet.configuration()
    assert tablet.confirm("public", factoryReset=True).status == 200
    assert order_state(gate, uid) is OrderState.DONE
    assert state(gate)["life"] is DeviceLife.EXPECTED
    assert tablet.configuration()["factoryReset"] is True  # our word was lost: it is not wiped
    assert tablet.confirm("public", factoryReset=True).status == 200
    tablet.enrol(code)
    assert state(gate)["life"] is DeviceLife.ENROLLED
    assert tablet.configuration()["factoryReset"] is False


def test_a_message_stands_on_the_screen_for_some_minutes(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.configuration()
    uid = order(gate, Wish(OrderKind.LOCK_MESSAGE, text="Øynene hit"))
    assert tablet.has_news()
    data = tablet.configuration()
    assert (data["lock"], data["lockMessage"]) == (True, "Øynene hit")
    tablet.log(COMPLETED)
    assert order_state(gate, uid) is OrderState.DONE
    assert tablet.configuration()["lock"] is True
    with gate.database():
        client = db.session.query(AgentClient).one()
        assert client.notice_until is not None
        assert timedelta(minutes=4) < client.notice_until - clock.now() <= timedelta(minutes=5)
        client.notice_until = client.served_until = clock.now()
    assert tablet.has_news()
    assert tablet.configuration()["lock"] is False


def test_a_tablet_is_asked_to_report_and_to_clear_its_passcode(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.configuration()
    report = order(gate, Wish(OrderKind.REPORT_NOW))
    assert tablet.has_news()
    tablet.tell(tablet.configuration())
    assert order_state(gate, report) is OrderState.DONE
    clear = order(gate, Wish(OrderKind.CLEAR_PASSCODE, reason=REASON))
    assert tablet.configuration()["passwordReset"] == ""
    assert tablet.confirm("password").status == 200
    tablet.log(FETCHED, COMPLETED)
    assert order_state(gate, clear) is OrderState.DONE
    assert tablet.confirm("password").status == 409
    failing = order(gate, Wish(OrderKind.CLEAR_PASSCODE, reason=REASON))
    tablet.configuration()
    tablet.log("Failed to reset password")
    assert order_state(gate, failing) is OrderState.FAILED


# -- lost, out of use, back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["lost", "retire"])
def test_a_tablet_that_is_lost_or_out_of_use_is_closed_and_comes_back_by_itself(
    gate: Door, code: str, step: str
) -> None:
    assign(gate, web__blocked=["spill.example"])
    with gate.database():
        school_id = db.session.query(Ticket).one().school
        make.device(school_id, serial="BRETT1", life=DeviceLife.EXPECTED, listed_at=clock.now())
    tablet = come(gate, code)
    tablet.configuration()
    tablet.log(COMPLETED)
    with gate.database():
        life.step(device_of(), step, by=CLI, now=clock.now())
    assert tablet.has_news()
    data = tablet.configuration()
    assert data["lock"] is True
    assert "spill.example" not in json.dumps(data)
    assert data["restrictions"]
    tablet.log(COMPLETED)
    thread = threading.Thread(target=tablet.poll, daemon=True)
    thread.start()
    thread.join(1)
    assert thread.is_alive()  # it is held, and asks no more often than others
    with gate.database():
        life.step(device_of(), {"lost": "found", "retire": "reinstate"}[step], by=CLI, now=clock.now())
    data = tablet.configuration()
    assert data["lock"] is False
    assert ".spill.example" in chrome(data)["URLBlocklist"]
    assert state(gate)["life"] is DeviceLife.ENROLLED


# -- nonsense ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'"x"', b"\xff\xfe", b"[" * 10_000])
def test_what_is_no_message_is_refused_and_changes_nothing(gate: Door, code: str, body: bytes) -> None:
    tablet = come(gate, code)
    before = state(gate)
    for path in ("public/sync/info", f"plugins/devicelog/log/list/{tablet.number}", "plugins/devicereset/public/x"):
        answer = gate.send("POST", f"/{tablet.project}/rest/{path}", {}, body)
        assert answer.status == (200 if path.endswith("BRETT1") and body == b"[]" else 400), path
    assert state(gate) == before


@pytest.mark.parametrize("odd", [{"batteryLevel": "full"}, {"applications": "x"}, {"applications": [7, {"pkg": 3}]},
                                 {"permissions": []}, {"permissions": {}}, {"model": None, "androidVersion": 12},
                                 {"model": "A" * 100_000}, {"mdmMode": "yes"}, {"model": "\x00\x1b"}])  # fmt: skip
def test_what_cannot_be_read_in_a_report_is_as_if_it_had_not_been_told(
    gate: Door, code: str, odd: dict[str, Any]
) -> None:
    tablet = come(gate, code)
    assert tablet.tell(tablet.configuration(), **odd).status == 200
    assert state(gate)["life"] is DeviceLife.ENROLLED
