"""The errand with Apple School Manager over real HTTP: what is listed gets our profile, whatever happens in between."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal
from fleet.channels.apple import setup_profile
from fleet.channels.apple.listing import Listing
from fleet.channels.apple.school_manager import SchoolManagerClient
from fleet.channels.apple.steward import Steward
from fleet.crypto import vault_key
from fleet.db import reading, transaction
from fleet.devices.models import DeviceLife
from fleet.mdm import errands, listed
from fleet.mdm.token_keeper import TokenKeeper
from tests import factories, school_manager
from tests.apple_schema import SCHEMA, needs_schema, read
from tests.school_manager import SchoolManager, token_file

pytestmark = pytest.mark.serves


@pytest.fixture
def service() -> Iterator[SchoolManager]:
    with school_manager.running() as made:
        yield made


class World:
    """A server with a token, its errand, and a clock that can be put forward."""

    def __init__(self, app: Flask, service: SchoolManager, folder: Path) -> None:
        self.app, self.service, self.later = app, service, timedelta(0)
        self.each = timedelta(0)  # how long everything takes
        self.address = "https://fleet.test/apple/automated/secret"
        self.keeper = TokenKeeper(folder, vault_key(folder / "vault.key", may_create=True))
        self.listing = Listing(
            app, self.keeper, profile=self.profile, now=self.now,
            reach=lambda token: SchoolManagerClient(token, base_url=service.url, now=clock.now),
        )  # fmt: skip
        self.steward = Steward(app, [self.listing.errand], now=self.now)

    def now(self) -> Any:
        self.later += self.each
        return clock.now() + self.later

    def profile(self) -> dict[str, Any]:
        return setup_profile.definition(self.address, identifier="test.fleet.mdm", organisation="Prøvekommune")

    def bring_token(self) -> None:
        made = self.keeper.certificate(now=clock.now())
        brought = token_file(made, expires_at=clock.now() + timedelta(days=365))
        with self.app.app_context(), transaction():
            self.keeper.take(brought, by=Principal.command_line(), now=clock.now())

    def round(self, *, later: timedelta = timedelta(minutes=31)) -> str | None:
        """Do a round; returns why it failed."""
        self.later += later
        assert self.steward.do(self.listing.errand)
        with self.app.app_context(), reading():
            found = errands.standing(listed.SCHOOL_MANAGER)
            assert found is not None
            return found.failure

    def asked(self) -> list[str]:
        """Return what was asked since, sessions aside."""
        found = [path for _method, path in self.service.requests if path not in {"/session", "/account"}]
        self.service.requests.clear()
        return found

    def with_profile(self) -> set[str]:
        return {serial for serial in self.service.devices if self.service.profile_of(serial) is not None}


@pytest.fixture
def world(own_app: Flask, service: SchoolManager, tmp_path: Path) -> World:
    made = World(own_app, service, tmp_path / "kept")
    made.bring_token()
    return made


def test_every_listed_ipad_gets_the_profile_once(world: World, service: SchoolManager) -> None:
    service.page = 3
    service.assign("PAD1", "PAD2", "PAD3", "PAD4")
    service.assign("MAC1", family="Mac")
    assert world.round() is None
    assert world.with_profile() == {"PAD1", "PAD2", "PAD3", "PAD4"}
    assert world.asked() == ["/server/devices", "/server/devices", "/profile", "/profile/devices"]
    service.release("PAD1")
    service.assign("PAD5")
    assert world.round() is None
    assert world.asked() == ["/devices/sync", "/devices/sync", "/profile/devices"]
    assert world.with_profile() == {"PAD2", "PAD3", "PAD4", "PAD5"}
    world.round()
    assert world.asked() == ["/devices/sync"]
    world.round(later=timedelta(days=1))
    assert world.asked()[0] == "/server/devices", "all is read again once a day"


def test_absurd_rows_of_the_list_keep_no_other_from_its_profile(world: World, service: SchoolManager) -> None:
    service.assign("PAD1", "PAD2", "PAD3")
    service.devices["PAD1"] |= {"model": "iPad\0\x1b[2J" + "x" * 999, "description": None, "device_family": "iPad"}
    service.devices["PAD2"]["op_date"] = ["never"]
    for odd in ("BAD\0ONE", "../../etc", "<script>", "X" * 65, "", 7, None, ["PAD1"]):
        service.devices[f"odd {odd!r}"] = {**service.devices["PAD3"], "serial_number": odd}
    service.devices["twice"] = dict(service.devices["PAD3"])
    assert world.round() is None
    assert {"PAD1", "PAD2", "PAD3"} <= world.with_profile()
    with world.app.app_context(), reading():
        assert [one.listed.serial for one in listed.standings()] == ["PAD1", "PAD2", "PAD3"]
        assert "\x1b" not in listed.standings()[0].listed.model


def test_those_to_be_tried_again_at_once_wait_for_the_next_round(world: World, service: SchoolManager) -> None:
    service.assign("PAD1")
    service.throttled.add("PAD1")
    service.retry_after_s, world.each = 1, timedelta(seconds=2)
    world.round()
    assert world.asked().count("/profile/devices") == 1


def test_a_changed_profile_is_defined_and_given_anew(world: World, service: SchoolManager) -> None:
    service.assign("PAD1")
    world.round()
    world.address = "https://fleet.test/apple/automated/another"
    world.round()
    found = service.profile_of("PAD1")
    assert found is not None
    assert found["url"] == world.address
    assert len(service.profiles) == 2
    service.profiles.clear()  # it was removed there
    service.devices["PAD1"]["profile_uuid"] = None
    service.assign("PAD2")
    assert world.round() == "status 404"
    assert world.round() is None
    assert world.with_profile() == {"PAD1", "PAD2"}


@pytest.mark.parametrize("trouble", ["expire_cursors", "end_sessions"])
def test_what_has_expired_is_begun_anew(world: World, service: SchoolManager, trouble: str) -> None:
    service.assign("PAD1")
    world.round()
    getattr(service, trouble)()
    service.release("PAD1")
    service.assign("PAD2")
    assert world.round() is None
    assert world.with_profile() == {"PAD2"}
    with world.app.app_context(), reading():
        assert [one.listed.serial for one in listed.standings()] == ["PAD2"]


def test_a_service_that_repeats_itself_holds_nobody_up(world: World, service: SchoolManager) -> None:
    service.assign("PAD1")
    world.round()
    service.stuck = True
    service.assign("PAD2")
    assert world.round() is None
    assert world.with_profile() == {"PAD1", "PAD2"}


def test_throttled_ipads_are_tried_again_when_the_service_says(world: World, service: SchoolManager) -> None:
    service.assign("PAD1")
    service.throttled.add("PAD1")
    assert world.round() is None
    service.throttled.clear()
    world.round()
    assert world.with_profile() == set()
    world.round(later=timedelta(hours=2))
    assert world.with_profile() == {"PAD1"}


def test_a_round_that_fails_says_why_and_the_next_goes_on(world: World, service: SchoolManager) -> None:
    service.assign("PAD1")
    service.terms_signed = False
    assert world.round() == "terms-not-accepted"
    service.terms_signed = True
    service.busy = 1
    assert world.round() == "busy"
    assert not world.steward.do(world.listing.errand), "the service has asked for two minutes"
    assert world.round() is None
    assert world.with_profile() == {"PAD1"}


def test_another_servers_entry_makes_everything_new(world: World, service: SchoolManager) -> None:
    service.assign("PAD1")
    world.round()
    service.server_uuid = "ANOTHER"
    service.profiles.clear()
    service.devices["PAD1"].pop("profile_uuid")
    assert world.round() is None
    assert world.with_profile() == {"PAD1"}


def test_without_a_token_nothing_is_asked(own_app: Flask, service: SchoolManager, tmp_path: Path) -> None:
    assert World(own_app, service, tmp_path / "kept").round() is None
    assert service.requests == []


def test_a_retired_ipad_is_not_led_to_us_any_more(world: World, service: SchoolManager) -> None:
    service.assign("PAD1")
    world.round()
    with world.app.app_context(), transaction():
        factories.device(factories.school(), serial="PAD1", life=DeviceLife.RETIRED)
    world.round()
    assert world.with_profile() == set()


@needs_schema
def test_what_set_up_leaves_out_are_steps_of_an_ipads_set_up() -> None:
    known = {one["key"]: one for one in read(SCHEMA / "other" / "skipkeys.yaml")["payloadkeys"]}
    for name in setup_profile.SKIPPED:
        assert known[name].get("supportedOS", {}).get("iOS", {}).get("introduced") != "n/a", name
