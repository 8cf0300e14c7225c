"""What an iPad shall have is brought to it, and tried again where it was refused: name, apps, lessons, lost mode."""

import io
import plistlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import segno
from cryptography.hazmat.primitives import serialization

from fleet import clock, orders
from fleet.access import Principal
from fleet.apps import catalogue, images, licence_outcomes, licence_rounds
from fleet.apps.catalogue import Told
from fleet.apps.licence_rounds import Limits, Stock
from fleet.apps.models import AppPackage
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.config import ConfigError
from fleet.db import db
from fleet.devices import editing, life
from fleet.devices.models import DeviceLife, Platform
from fleet.mdm import errands
from fleet.orders import Order, OrderKind, OrderState, Wish
from tests import apple_messages
from tests import factories as make
from tests.gate import Door
from tests.ipad_gate import ipad_door, ticket_code
from tests.ipad_school import CLI, assign, come, device_of, due, state_of

BOOK, MATH = "no.example.book", "no.example.math"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with ipad_door(fresh_url, tmp_path) as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket_code(gate)


def step(gate: Door, name: str, **more: Any) -> None:
    with gate.database():
        life.step(device_of(), name, by=CLI, now=clock.now(), **more)


def failures(gate: Door) -> set[str]:
    return {one["key"] for one in state_of(gate)["failures"] or ()}


# -- set once ----------------------------------------------------------------------------------------------------------


def test_an_ipad_is_called_after_its_asset_tag_and_never_after_a_pupil(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    assert tablet.device_name == "IPAD1"
    with gate.database():
        editing.set_asset_tag(device_of(), "NB-0117", by=CLI, now=clock.now())
    assert tablet.wake() == ["Settings"]
    assert tablet.device_name == "NB-0117"
    due(gate, ask_at=clock.now())
    assert tablet.wake() == ["DeviceInformation"]


def test_a_time_zone_that_cannot_be_set_is_told_as_refused(gate: Door, code: str) -> None:
    assign(gate, **{"time_zone.name": "Europe/Oslo"})
    tablet = come(gate, code, refused_items=frozenset({"TimeZone"}))
    tablet.wake()
    assert tablet.device_name == "IPAD1"
    assert failures(gate) == {"time_zone.name"}


def test_a_time_zone_is_left_to_a_clock_that_sets_itself(gate: Door, code: str) -> None:
    assign(gate, **{"time_zone.name": "Europe/Oslo", "clock.automatic": True})
    tablet = come(gate, code, refused_items=frozenset({"TimeZone"}))
    tablet.wake()
    assert failures(gate) == set()


def test_an_ipad_that_refuses_to_be_set_is_not_asked_at_each_change(gate: Door, code: str) -> None:
    tablet = come(gate, code, refuses={"Settings"})
    assert "Settings" in tablet.wake()
    assert failures(gate) == set()
    assign(gate, **{"camera.allowed": False})
    assert "Settings" not in tablet.wake()
    due(gate, ask_at=clock.now())
    assert "Settings" in tablet.wake()


# -- set-up ------------------------------------------------------------------------------------------------------------


def test_nobody_gets_past_the_set_up_before_the_profile_holds(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": False})
    tablet = come(gate, code, awaits=True)
    tablet.wake()
    assert tablet.wake() == []
    assert tablet.settings("com.apple.applicationaccess")["allowCamera"] is False
    assert "DeviceConfigured" in tablet.done
    assert tablet.done.index("DeclarativeManagement") < tablet.done.index("DeviceConfigured")


def test_nobody_is_kept_in_the_set_up_by_a_profile_that_does_not_come_into_force(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": False})
    tablet = come(gate, code, awaits=True, is_mute=True)
    tablet.wake()
    assert "DeviceConfigured" not in tablet.done
    due(gate, ask_at=clock.now())  # two minutes later
    tablet.wake()
    assert tablet.done.count("DeviceConfigured") == 1
    due(gate, ask_at=clock.now())
    tablet.wake()
    assert tablet.done.count("DeviceConfigured") == 1


def test_an_ipad_is_told_to_trust_a_ca_of_our_own(fresh_url: str, tmp_path: Path) -> None:
    ca = apple_messages.self_signed(apple_messages.rsa_key(1))
    path = tmp_path / "ca.pem"
    path.write_bytes(ca.certificate.public_bytes(serialization.Encoding.PEM))
    with ipad_door(fresh_url, tmp_path, FLEET_TLS_ROOT=str(path)) as gate:
        tablet = come(gate, ticket_code(gate))
        assert tablet.trusted == [ca.der]
    path.write_text("no certificate")
    with pytest.raises(ConfigError, match="FLEET_TLS_ROOT"), ipad_door(fresh_url, tmp_path, FLEET_TLS_ROOT=str(path)):
        pass


# -- what was refused --------------------------------------------------------------------------------------------------


def test_a_lesson_that_was_refused_is_told_and_tried_again(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": True})
    tablet = come(gate, code)
    tablet.wake()
    tablet.refuses.add("InstallProfile")
    with gate.database():
        version = make.published("okt", **{"camera.allowed": False})
        now = clock.now()
        assigning.assign(version, Place.municipality(), ends_at=now + 45 * MINUTE, by=CLI, now=now)
    tablet.wake()
    assert failures(gate) == {"camera.allowed"}
    assert state_of(gate)["applied"] == state_of(gate)["desired"]  # but for what is told
    assert tablet.wake() == []  # not over and over
    tablet.refuses.clear()
    due(gate, ask_at=clock.now())  # five minutes later
    assert "InstallProfile" in tablet.wake()
    assert failures(gate) == set()
    assert state_of(gate)["applied"] == state_of(gate)["desired"]


def test_what_changes_while_an_ipad_is_being_told_is_told_too(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    assign(gate, "en", **{"camera.allowed": False})
    told = plistlib.loads(tablet.put({"Status": "Idle"}, None).body)
    assert told["Command"]["RequestType"] == "DeclarativeManagement"
    assign(gate, "to", **{"screenshots.allowed": False})
    done = tablet.carry_out(told["Command"])
    following = tablet.put({"CommandUUID": told["CommandUUID"], **done}, None)
    assert plistlib.loads(following.body)["Command"]["RequestType"] == "DeclarativeManagement"
    tablet.wake()
    assert state_of(gate)["applied"] == state_of(gate)["desired"]
    assert tablet.settings("com.apple.applicationaccess")["allowScreenShot"] is False


def test_a_command_that_could_not_be_read_is_not_sent_for_ever(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.garbles = True
    tablet.wake()
    tablet.garbles = False
    assert tablet.wake() == []


# -- lost --------------------------------------------------------------------------------------------------------------


def test_a_lost_ipad_is_closed_until_it_is_found(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    step(gate, "lost")
    assert tablet.wake() == ["EnableLostMode"]
    assert tablet.lost is not None
    assert "Lever det" in tablet.lost["Message"]
    assert state_of(gate)["life"] is DeviceLife.LOST
    assert state_of(gate)["facts"]["flags"]["lost_mode"] is True
    assert tablet.wake() == []
    step(gate, "found")
    assert tablet.wake() == ["DisableLostMode"]
    assert tablet.lost is None
    assert state_of(gate)["life"] is DeviceLife.ENROLLED


def test_a_lost_ipad_says_what_staff_wrote(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    step(gate, "lost", message="Funnet? Ring skolen.", phone="22 33 44 55")
    tablet.wake()
    assert tablet.lost is not None
    assert (tablet.lost["Message"], tablet.lost["PhoneNumber"]) == ("Funnet? Ring skolen.", "22 33 44 55")


def test_an_ipad_that_is_found_before_it_heard_of_it_is_never_closed(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    step(gate, "lost")
    step(gate, "found")
    assert tablet.wake() == []
    assert tablet.lost is None


def test_an_ipad_that_left_lost_mode_by_itself_is_closed_again(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    step(gate, "lost")
    tablet.wake()
    tablet.lost = None
    due(gate, ask_at=clock.now())
    tablet.wake()
    due(gate, ask_at=clock.now())
    tablet.wake()
    assert tablet.lost is not None


# -- orders ------------------------------------------------------------------------------------------------------------


def wish(gate: Door, kind: OrderKind, **content: Any) -> int:
    with gate.database():
        zone = ZoneInfo("Europe/Oslo")
        (made,) = orders.queue([device_of()], Wish(kind, **content), timezone=zone, by=CLI, now=clock.now())
        if made.state is OrderState.ASKED:
            orders.approve(made.id, by=Principal.job("test"), now=clock.now())
        return made.id


def order_of(gate: Door, number: int) -> Order:
    with gate.database():
        found = db.session.get_one(Order, number)
        db.session.expunge(found)
        return found


def test_a_lost_ipad_tells_where_it_is_and_makes_itself_heard(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    step(gate, "lost")
    where = wish(gate, OrderKind.LOCATE, reason="Meldt stjålet fra skolen")
    sound = wish(gate, OrderKind.RING)
    assert tablet.wake() == ["EnableLostMode", "DeviceLocation", "PlayLostModeSound"]
    found = order_of(gate, where)
    assert found.state is OrderState.DONE
    assert found.result is not None
    assert (found.result["latitude"], found.result["longitude"]) == (59.91, 10.75)
    assert order_of(gate, sound).state is OrderState.DONE


def test_an_ipad_is_turned_off(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    number = wish(gate, OrderKind.SHUT_DOWN)
    assert tablet.wake() == ["ShutDownDevice"]
    assert order_of(gate, number).state is OrderState.DONE


def deadline(days: int = 3) -> str:
    return (clock.now() + timedelta(days=days)).strftime("%Y-%m-%dT08:00")


def test_an_update_is_declared_with_its_deadline_and_done_when_the_ipad_has_it(gate: Door, code: str) -> None:
    assign(gate, **{"camera.allowed": False})
    able = frozenset({"com.apple.configuration.softwareupdate.enforcement.specific"})
    tablet = come(gate, code, able=able)
    tablet.wake()
    tablet.wake()
    number = wish(gate, OrderKind.UPDATE_SYSTEM, version="18.1", deadline=deadline())
    tablet.wake()
    (declared,) = [one for one in tablet.declarations.values() if one["Type"] in able]
    assert declared["Payload"]["TargetOSVersion"] == "18.1"
    assert declared["Payload"]["TargetLocalDateTime"] == f"{deadline()}:00"
    assert order_of(gate, number).state is OrderState.SENT
    tablet.os_version = "18.1"
    tablet.report(is_full=True)
    assert order_of(gate, number).state is OrderState.DONE
    tablet.wake()
    assert not [one for one in tablet.declarations.values() if one["Type"] in able]
    assert state_of(gate)["applied"] == state_of(gate)["desired"]


def test_an_older_ipad_is_told_to_update_by_a_command(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    number = wish(gate, OrderKind.UPDATE_SYSTEM, version="18.1", deadline=deadline())
    assert tablet.wake() == ["ScheduleOSUpdate"]
    assert order_of(gate, number).state is OrderState.SENT
    tablet.os_version = "18.1.1"
    due(gate, ask_at=clock.now())
    tablet.wake()
    assert order_of(gate, number).state is OrderState.DONE


def test_an_erased_ipad_is_expected_again_and_nothing_more_is_sent_to_it(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    number = wish(gate, OrderKind.WIPE, reason="Skal til en ny elev")
    assert tablet.wake() == ["EraseDevice"]
    assert order_of(gate, number).state is OrderState.DONE
    assert state_of(gate)["life"] is DeviceLife.EXPECTED
    assert tablet.erased is not None
    assert "ReturnToService" not in tablet.erased


def test_an_erased_ipad_comes_back_by_itself_where_that_was_wished(gate: Door, code: str) -> None:
    assign(gate, **{"wifi.networks": [{"ssid": "skole", "security": "wpa2", "password": "hemmelig1"}]})
    tablet = come(gate, code)
    tablet.wake()
    wish(gate, OrderKind.WIPE, reason="Skal til en ny elev", come_back=True)
    assert tablet.wake() == ["EraseDevice"]
    assert tablet.erased is not None
    assert b"hemmelig1" in tablet.erased["ReturnToService"]["WiFiProfileData"]
    assert state_of(gate)["life"] is DeviceLife.ENROLLED
    tablet.come_back()
    tablet.wake()
    assert state_of(gate)["applied"] == state_of(gate)["desired"]
    assert tablet.settings("com.apple.wifi.managed")["SSID_STR"] == "skole"


# -- apps --------------------------------------------------------------------------------------------------------------


def offer(gate: Door, app: str, store: str, *, is_licensed: bool = False) -> None:
    with gate.database():
        catalogue.add(app, Platform.IPADOS, Told(app, store, is_licensed), by=CLI, now=clock.now())


def app_states(gate: Door) -> dict[str, Any]:
    told: dict[str, Any] = state_of(gate)["facts"]["app_states"]
    return {app: one["state"] for app, one in told.items()}


def test_a_required_app_is_installed_once_and_followed_until_it_is_there(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789")
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code, slow_apps=True)
    tablet.wake()
    assert tablet.done.count("InstallApplication") == 1
    assert app_states(gate) == {BOOK: "coming"}
    assert tablet.wake() == []
    tablet.slow_apps = False
    due(gate, ask_at=clock.now())  # ten minutes later
    assert set(tablet.wake()) == {"DeviceInformation", "ManagedApplicationList"}
    assert app_states(gate) == {}
    due(gate, ask_at=clock.now(), inventory_at=clock.now() - timedelta(hours=21))
    tablet.wake()
    assert BOOK in {one["id"] for one in state_of(gate)["facts"]["apps"]}
    assert tablet.done.count("InstallApplication") == 1


def test_an_app_that_is_taken_up_later_comes_at_once(gate: Door, code: str) -> None:
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code)
    tablet.wake()
    assert app_states(gate) == {BOOK: "not-in-catalogue"}
    offer(gate, BOOK, "123456789")
    assert "InstallApplication" in tablet.wake()
    assert app_states(gate) == {}


def test_an_app_that_was_removed_by_hand_comes_again_and_one_required_no_longer_stays(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789")
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code)
    tablet.wake()
    tablet.apps.pop(BOOK)
    due(gate, ask_at=clock.now(), inventory_at=clock.now() - timedelta(hours=21))
    tablet.wake()
    due(gate, ask_at=clock.now())
    tablet.wake()
    assert tablet.done.count("InstallApplication") == 2
    with gate.database():
        for one in assigning.listed(by=CLI, now=clock.now()):
            assigning.withdraw(one.id, by=CLI, now=clock.now())
    tablet.wake()
    assert BOOK in tablet.apps


def grant(gate: Door) -> None:
    """Have Apple give every licence that is wished for."""
    now = clock.now()
    with gate.database():
        licence_rounds.restock([Stock(123456789, 10, 0, 10)], now=now)
        for part in licence_rounds.to_assign(Limits(10, 10), now=now):
            assert licence_rounds.asking(part, now=now)
            licence_outcomes.asked(part.licence_ids, "event-1")
        licence_outcomes.settle("event-1", now=now)


def test_an_app_that_needs_a_licence_comes_once_it_is_there(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789", is_licensed=True)
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code)
    tablet.wake()
    assert "InstallApplication" not in tablet.done
    due(gate, ask_at=clock.now())
    tablet.wake()
    assert app_states(gate) == {BOOK: "no-licence"}
    with gate.database():
        standing = errands.standing(errands.LICENCES)
    assert standing is not None
    assert standing.due_at <= clock.now()
    grant(gate)
    assert "InstallApplication" in tablet.wake()
    assert tablet.bought == [{"PurchaseMethod": 1}]
    assert app_states(gate) == {}


def test_a_package_of_our_own_is_installed_by_its_manifest(gate: Door, code: str) -> None:
    with gate.database():
        app = catalogue.add(BOOK, Platform.IPADOS, Told("Boka"), by=CLI, now=clock.now())
        package = AppPackage(
            app_pk=app.id, version="1.0", build="1", digest="d" * 64, size_bytes=10, file_name="b.ipa", token="t" * 43,
            kind="ipa", is_current=True, uploaded_at=clock.now(),
        )  # fmt: skip
        db.session.add(package)
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code)
    tablet.wake()
    assert tablet.manifests == [f"https://fleet.test/apple/apps/{'t' * 43}/manifest.plist"]


# -- images ------------------------------------------------------------------------------------------------------------


def test_a_wallpaper_is_set_when_it_is_there_and_again_when_it_changes(gate: Door, code: str) -> None:
    assign(gate, **{"wallpaper.image": "skolen"})
    tablet = come(gate, code)
    tablet.wake()
    assert tablet.wallpaper is None
    for side in (8, 16):
        with gate.database():
            picture = png(side)
            known = images.known("skolen")
            if known is None:
                images.add("skolen", picture, by=CLI, now=clock.now())
            else:
                images.replace(known, picture, by=CLI, now=clock.now())
        assert tablet.wake() == ["Settings"]
        assert tablet.wallpaper == picture


def test_a_web_shortcut_has_its_picture(gate: Door, code: str) -> None:
    with gate.database():
        images.add("bok", png(8), by=CLI, now=clock.now())
    assign(gate, **{"web.bookmarks": [{"title": "Boka", "url": "https://bok.example", "icon": "bok"}]})
    tablet = come(gate, code)
    tablet.wake()
    assert tablet.settings("com.apple.webClip.managed")["Icon"] == png(8)


def png(side: int) -> bytes:
    """Return a picture."""
    made = io.BytesIO()
    segno.make("x", micro=False).save(made, kind="png", scale=side)
    return made.getvalue()


def test_a_refused_app_says_why(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789")
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code)
    tablet.wake()  # nothing is asked of it before it has come in
    tablet.apps.clear()
    other = come(gate, code, "IPAD2", refuses={"InstallApplication"})
    other.wake()
    told = state_of(gate, "IPAD2")["facts"]["app_states"][BOOK]
    assert told == {"state": "failed", "reason": "MCMDMErrorDomain:12025"}


def test_an_app_that_is_blocked_is_not_installed(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789")
    assign(gate, **{"apps.required": [BOOK], "apps.blocked": [BOOK]})
    tablet = come(gate, code)
    tablet.wake()
    assert "InstallApplication" not in tablet.done
