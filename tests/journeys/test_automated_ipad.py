"""iPads from the box: assigned in Apple School Manager, switched on, and ready, without anybody typing a code.

Server and command line are processes of their own; Apple's service and the iPads are simulated, over real HTTP.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agent_protocol.transport import Response
from tests import school_manager
from tests.apple_devices import Maker
from tests.doors.test_cli_apple import portal
from tests.extent import on
from tests.ipads import Ipad, RefusedError, UpdateRequiredError
from tests.school_manager import SchoolManager, token_file
from tests.serving import Server, serving
from tests.small_school import publish, shown, write_delivery_list, write_roster

pytestmark = [pytest.mark.serves, on("sqlite")]

LISTED, LATER, STRANGE = "AUTOPAD1", "AUTOPAD2", "AUTOPAD3"
RESTRICTIONS = "com.apple.applicationaccess"
MAKER = Maker()


@pytest.fixture
def apple() -> Iterator[SchoolManager]:
    with school_manager.running() as made:
        yield made


@pytest.fixture
def server(fresh_url: str, tmp_path: Path, apple: SchoolManager) -> Iterator[Server]:
    (tmp_path / "root.pem").write_bytes(MAKER.pem)
    root = str(tmp_path / "root.pem")
    with serving(fresh_url, tmp_path / "data", FLEET_ASM_URL=apple.url, FLEET_APPLE_DEVICE_ROOT=root) as running:
        write_roster(tmp_path / "roster.zip")
        write_delivery_list(tmp_path / "levering.csv", [LISTED])
        running.fleet("roster", "import", str(tmp_path / "roster.zip"))
        running.fleet("devices", "import", str(tmp_path / "levering.csv"))
        request = running.fleet("apple", "push-request", "--email", "it@kommune.example")
        (tmp_path / "push.pem").write_bytes(portal(request.encode()))
        running.fleet("apple", "push-upload", str(tmp_path / "push.pem"))
        certificate = running.fleet("apple", "token-key").encode()
        ends = datetime.now(UTC) + timedelta(days=365)
        (tmp_path / "token.p7m").write_bytes(token_file(certificate, expires_at=ends))
        yield running


def ipad(server: Server, serial: str, **looks: Any) -> Ipad:
    def send(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        try:
            connection.request(method, target, body=body, headers=dict(headers))
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, told, answer.read())
        finally:
            connection.close()

    return Ipad(send, serial, awaits=True, **looks)


def soon(holds: Callable[[], bool], *, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.2)


def switch_on(apple: SchoolManager, tablet: Ipad) -> None:
    """Set an iPad up, as Apple tells it to."""
    profile = apple.profile_of(tablet.serial)
    assert profile is not None
    assert profile["is_supervised"]
    assert profile["await_device_configured"]
    assert not profile["is_mdm_removable"]
    assert urlsplit(profile["url"]).path.startswith("/apple/automated/")
    tablet.enrol_automatically(profile["url"], MAKER)


def test_from_the_box_to_a_configured_ipad(server: Server, apple: SchoolManager, tmp_path: Path) -> None:
    publish(server, tmp_path, "trinn", camera={"allowed": False}, os={"minimum_ipados": "18.1"})
    server.fleet("assignments", "create", "trinn", "--class", "8B")
    apple.assign(LISTED, LATER, STRANGE)
    server.fleet("apple", "token-upload", str(tmp_path / "token.p7m"))
    soon(lambda: all(apple.profile_of(serial) for serial in (LISTED, LATER, STRANGE)))

    tablet = ipad(server, LISTED, os_version="17.6.1")
    with pytest.raises(UpdateRequiredError) as told:
        switch_on(apple, tablet)
    tablet.os_version = told.value.version
    switch_on(apple, tablet)
    for _round in range(6):
        tablet.wake()
    assert "DeviceConfigured" in tablet.done
    assert tablet.settings(RESTRICTIONS)["allowCamera"] is False
    found = shown(server, LISTED)
    assert (found["life"], found["class"], found["profile"]) == ("enrolled", "8B", "applied")

    strange = ipad(server, STRANGE, os_version="18.1")
    with pytest.raises(RefusedError):
        switch_on(apple, strange)
    missing = json.loads(server.fleet("apple", "devices", "--missing", "--json"))
    assert [one["serial"] for one in missing] == [LATER, STRANGE]
    server.fleet("apple", "devices", "--expect", "--school", "Prøveskolen")
    switch_on(apple, strange)
    assert shown(server, STRANGE)["life"] == "enrolled"

    apple.release(LATER)
    server.fleet("apple", "sync")
    soon(lambda: LATER not in server.fleet("apple", "devices"))
    assert server.fleet("tickets", "list", "--json").strip() == "[]"


def test_that_apples_terms_wait_for_somebody_is_told(server: Server, apple: SchoolManager, tmp_path: Path) -> None:
    apple.terms_signed = False
    server.fleet("apple", "token-upload", str(tmp_path / "token.p7m"))
    soon(lambda: "accept Apple's terms" in server.fleet("apple", "status"))
