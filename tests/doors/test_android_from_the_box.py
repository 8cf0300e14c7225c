"""From the box: an Android tablet does what its code or its file says, word for word, and is ours afterwards."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fleet import clock
from fleet.access import Principal
from fleet.android import coming, provisioning
from fleet.android.addresses import AGENT_APP
from fleet.apps import packages
from fleet.apps.files import PackageFiles
from fleet.devices import queries
from fleet.devices.models import DeviceLife, Platform
from tests import apks
from tests.gate import Door, door, ticket
from tests.headwind_gate import Raw

CLI = Principal.command_line()
URL = "https://fleet.test"
EXTRA = "android.app.extra.PROVISIONING_"


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path / "data", FLEET_PUBLIC_URL=URL) as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket(gate)


def bring(gate: Door, source: Path, *, version: str, number: int) -> None:
    """Upload the agent, as an administrator does once."""
    files = PackageFiles(gate.app.extensions["fleet_config"].packages_dir)
    with gate.database():
        file = apks.apk(source / f"hmdm-{version}.apk", package=AGENT_APP, version=version, code=number)
        packages.take(packages.receive(file, files, by=CLI), by=CLI, now=clock.now())


def scanned(gate: Door, code: str) -> dict[str, object]:
    """Return what the code says that is shown now."""
    with gate.database():
        said = coming.printed(code, URL)
    assert said is not None
    told: dict[str, object] = json.loads(said)
    return told


def fetch(gate: Door, told: dict[str, object]) -> bytes:
    """Fetch the package as the set-up does, which installs it where its checksum is right."""
    url = urlsplit(str(told[f"{EXTRA}DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION"]))
    assert f"{url.scheme}://{url.netloc}" == URL
    assert not url.query
    answer = gate.send("GET", url.path, {}, None)
    assert answer.status == 200
    return answer.body


def test_the_set_up_fetches_the_package_and_finds_its_checksum_right(gate: Door, code: str, tmp_path: Path) -> None:
    bring(gate, tmp_path, version="6.36", number=16360)
    told = scanned(gate, code)
    content = fetch(gate, told)
    assert content == (tmp_path / "hmdm-6.36.apk").read_bytes()
    wanted = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    assert told[f"{EXTRA}DEVICE_ADMIN_PACKAGE_CHECKSUM"] == wanted


def test_a_sheet_that_was_printed_before_a_newer_agent_came_is_still_good(
    gate: Door, code: str, tmp_path: Path
) -> None:
    bring(gate, tmp_path, version="6.36", number=16360)
    older = scanned(gate, code)
    bring(gate, tmp_path, version="6.37", number=16370)
    assert scanned(gate, code) != older
    assert fetch(gate, older) == (tmp_path / "hmdm-6.36.apk").read_bytes()


@pytest.mark.parametrize("is_by_cable", [False, True])
def test_the_agent_goes_where_it_is_told_and_its_tablet_is_known_by_its_serial(
    gate: Door, code: str, tmp_path: Path, is_by_cable: bool
) -> None:
    bring(gate, tmp_path, version="6.36", number=16360)
    file = json.loads(provisioning.init_json(URL, code))
    told = file if is_by_cable else scanned(gate, code)[f"{EXTRA}ADMIN_EXTRAS_BUNDLE"]
    assert isinstance(told, dict)
    assert (told["com.hmdm.BASE_URL"], told["com.hmdm.DEVICE_ID_USE"]) == (URL, "serial")
    tablet = Raw(gate, "R9TW10ABCDE", project=told["com.hmdm.SERVER_PROJECT"])
    tablet.move(tablet.configuration("POST"))
    tablet.tell(tablet.configuration())
    with gate.database():
        device = queries.find_device("R9TW10ABCDE", by=CLI)
        assert (device.life, device.platform) == (DeviceLife.ENROLLED, Platform.ANDROID)
        assert queries.enrolments(device)[0].channel == "headwind"
