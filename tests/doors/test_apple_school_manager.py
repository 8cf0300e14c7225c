"""The client of Apple's service for automated enrolment, over real HTTP: sessions, pages, profiles, and refusals."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from fleet import clock
from fleet.channels.apple import school_manager as client
from fleet.channels.apple.school_manager import CursorError, SchoolManagerClient
from fleet.channels.apple.steward import ServiceError
from fleet.mdm.server_token import ServerToken
from tests import school_manager
from tests.school_manager import CREDENTIALS, SchoolManager

pytestmark = pytest.mark.serves
PROFILE = {"profile_name": "Prøve", "url": "https://fleet.test/a", "org_magic": "m", "is_supervised": True}


@pytest.fixture
def service() -> Iterator[SchoolManager]:
    with school_manager.running() as made:
        yield made


def caller(service: SchoolManager, **changes: str) -> SchoolManagerClient:
    token = ServerToken(**{**CREDENTIALS, **changes}, expires_at=clock.now() + timedelta(days=1))
    return SchoolManagerClient(token, base_url=service.url, now=clock.now)


def failed(function: Any, *given: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        function(*given)
    assert not any(secret in str(caught.value) for secret in CREDENTIALS.values())
    return caught.value


def test_a_session_is_begun_once_kept_and_begun_anew_when_it_ended(service: SchoolManager) -> None:
    asks = caller(service)
    assert (asks.account().server_uuid, asks.account().organisation) == (service.server_uuid, "Prøvekommune")
    assert [path for _method, path in service.requests] == ["/session", "/account", "/account"]
    service.end_sessions()
    asks.account()
    assert [path for _method, path in service.requests[3:]] == ["/account", "/session", "/account"]


@pytest.mark.parametrize("name", list(CREDENTIALS))
def test_a_token_that_is_none_is_refused(service: SchoolManager, name: str) -> None:
    assert failed(caller(service, **{name: "wrong"}).account).reason == client.REFUSED


def test_that_somebody_has_to_accept_the_terms_is_told(service: SchoolManager) -> None:
    asks = caller(service)
    asks.account()
    service.terms_signed = False
    assert failed(asks.account).reason == client.TERMS
    assert failed(caller(service).account).reason == client.TERMS


def test_a_busy_service_says_how_long_to_wait(service: SchoolManager) -> None:
    service.busy = 1
    found = failed(caller(service).account)
    assert (found.reason, found.after) == ("busy", timedelta(seconds=120))


def test_a_service_that_is_away_is_said_to_be(service: SchoolManager) -> None:
    gone = SchoolManager()
    address = gone.url
    gone._server.server_close()
    token = ServerToken(**CREDENTIALS, expires_at=clock.now())
    assert failed(SchoolManagerClient(token, base_url=address, now=clock.now).account).reason == "unreachable"


def test_the_list_comes_in_pages_and_then_what_changes(service: SchoolManager) -> None:
    service.page = 2
    service.assign("PAD1", "PAD2", "PAD3", "PAD4", "PAD5")
    asks, cursor, serials = caller(service), None, []
    while True:
        page = asks.devices(cursor)
        serials += [one.serial for one in page.devices]
        cursor = page.cursor
        if not page.has_more:
            break
    assert serials == ["PAD1", "PAD2", "PAD3", "PAD4", "PAD5"]
    with pytest.raises(CursorError, match="EXHAUSTED_CURSOR"):
        asks.devices(cursor)
    service.release("PAD2")
    service.assign("PAD6")
    page = asks.changes(cursor)
    assert [(one.serial, one.is_gone) for one in page.devices] == [("PAD2", True), ("PAD6", False)]
    service.expire_cursors()
    with pytest.raises(CursorError, match="EXPIRED_CURSOR"):
        asks.changes(page.cursor)
    with pytest.raises(CursorError, match="INVALID_CURSOR"):
        asks.changes("ff")


def test_a_profile_is_defined_given_and_taken_away(service: SchoolManager) -> None:
    service.assign("PAD1", "PAD2", "PAD3")
    service.throttled.add("PAD2")
    service.outcomes["PAD3"] = "FAILED"
    asks = caller(service)
    uuid = asks.define(PROFILE)
    given = asks.assign(uuid, ["PAD1", "PAD2", "PAD3", "PAD9"])
    assert given.outcomes == {"PAD1": "SUCCESS", "PAD2": "THROTTLED", "PAD3": "FAILED", "PAD9": "NOT_ACCESSIBLE"}
    assert given.after == timedelta(hours=2)
    assert service.profile_of("PAD1") == PROFILE
    assert asks.withdraw(["PAD1"]).outcomes == {"PAD1": "SUCCESS"}
    assert service.profile_of("PAD1") is None
    assert failed(asks.assign, "unknown", ["PAD1"]).reason == "status 404"
    assert failed(asks.define, {**PROFILE, "is_supervised": False, "is_mdm_removable": False}).reason == "status 400"


def test_odd_devices_in_a_page_harm_nobody(service: SchoolManager) -> None:
    service.assign("PAD1")
    service.devices["odd"] = {"serial_number": None, "model": 7}
    service.devices["more"] = {"serial_number": " pad2 ", "model": None, "device_family": "Mac", "new_field": [1]}
    page = caller(service).devices(None)
    assert [(one.serial, one.family) for one in page.devices] == [("PAD1", "iPad"), ("PAD2", "Mac")]
    assert msgspec.json.encode(page.cursor)
