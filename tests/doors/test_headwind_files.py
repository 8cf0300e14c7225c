"""What Android tablets fetch: packages for their processor, pictures; and what is hidden is not fetched again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fleet import clock
from fleet.access import Principal
from fleet.android.models import AgentClient
from fleet.apps import catalogue, images, packages
from fleet.apps.files import PackageFiles
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.db import db
from fleet.devices.models import Platform
from tests import factories as make
from tests.apks import apk
from tests.gate import Door, door, ticket
from tests.headwind_gate import Raw
from tests.pictures import png

CLI = Principal.command_line()
FETCHED, COMPLETED = "Configuration updated", "Update flow completed"
APP = "no.example.bok"


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path / "data", FLEET_PUBLIC_URL="https://fleet.test") as made:
        yield made


def upload(gate: Door, folder: Path, **told: Any) -> bytes:
    """Have tablets get an app from a package; returns its bytes."""
    path = apk(folder / "app.apk", **{"package": APP, **told})
    by = Principal.command_line()
    received = packages.receive(path, PackageFiles(gate.app.extensions["fleet_config"].packages_dir), by=by)
    with gate.database():
        packages.take(received, by=by, now=clock.now())
    return path.read_bytes()


def assign(gate: Door, name: str = "grunn", **settings: Any) -> int:
    """Give all tablets a profile; returns the number of the assignment."""
    with gate.database():
        version = make.published(name, **{key.replace("__", "."): value for key, value in settings.items()})
        return assigning.assign(version, Place.municipality(), by=CLI, now=clock.now())[0].id


def come(gate: Door, cpu: str = "arm64-v8a") -> Raw:
    tablet = Raw(gate, cpu=cpu)
    tablet.enrol(ticket(gate))
    return tablet


def entry(data: dict[str, Any], app: str = APP) -> dict[str, Any]:
    return next(one for one in data["applications"] if one["pkg"] == app)


def fetch(gate: Door, url: str, **headers: str) -> Any:
    return gate.send("GET", urlsplit(url).path, headers, None)


def test_a_required_app_has_the_address_of_the_package_for_the_tablets_processor(gate: Door, tmp_path: Path) -> None:
    new = upload(gate, tmp_path, abis=["arm64-v8a"])
    old = upload(gate, tmp_path, abis=["armeabi-v7a"])
    assign(gate, apps__required=[APP])
    tablet = come(gate)
    found = entry(tablet.configuration())
    assert (found["version"], found["code"], found["showIcon"]) == ("1.2", 7, True)
    assert fetch(gate, found["url"]).body == new
    tablet.cpu = "armeabi-v7a"
    assert fetch(gate, entry(tablet.configuration())["url"]).body == old
    tablet.cpu = "x86_64"
    assert "url" not in entry(tablet.configuration())


def test_a_fetch_that_broke_off_goes_on_where_it_was(gate: Door, tmp_path: Path) -> None:
    whole = upload(gate, tmp_path)
    assign(gate, apps__required=[APP])
    url = entry(come(gate).configuration())["url"]
    assert url.endswith(".apk")
    assert "?" not in url
    answer = fetch(gate, url, range="bytes=100-")
    assert (answer.status, answer.body) == (206, whole[100:])
    assert fetch(gate, url, range=f"bytes={len(whole)}-").status == 416
    assert fetch(gate, f"{url.rpartition('/')[0][:-1]}x/name.apk").status == 404


def test_a_new_package_rings_the_tablets_that_shall_have_it_and_has_a_name_of_its_own(
    gate: Door, tmp_path: Path
) -> None:
    upload(gate, tmp_path)
    assign(gate, apps__required=[APP])
    tablet = come(gate)
    former = entry(tablet.configuration())
    tablet.log(FETCHED, COMPLETED)
    upload(gate, tmp_path, code=8, version="1.3")
    assert tablet.has_news()
    found = entry(tablet.configuration())
    assert (found["version"], found["code"]) == ("1.3", 8)
    assert found["url"].rpartition("/")[2] != former["url"].rpartition("/")[2]
    assert fetch(gate, former["url"]).status == 200  # somebody may be fetching it


def test_an_app_that_a_lesson_hides_is_not_installed_again_neither_then_nor_when_it_comes_back(
    gate: Door, tmp_path: Path
) -> None:
    upload(gate, tmp_path)
    assign(gate, apps__required=[APP])
    tablet = come(gate)
    data = tablet.configuration()
    tablet.log(FETCHED, COMPLETED)
    shown = [{"name": entry(data, "com.hmdm.launcher")["name"], "pkg": "com.hmdm.launcher", "version": "6.36"}]
    tablet.tell(data, applications=[*shown, {"name": "Bok", "pkg": APP, "version": "1.2"}])
    lesson = assign(gate, "time", apps__blocked=[APP])
    assert tablet.has_news()
    data = tablet.configuration()
    assert all(one["pkg"] != APP or "url" not in one for one in data["applications"])
    tablet.log(FETCHED, COMPLETED)
    tablet.tell(data, applications=[{**shown[0], "name": entry(data, "com.hmdm.launcher")["name"]}])
    with gate.database():
        client = db.session.query(AgentClient).one()
        assert APP in (client.hidden or ())
        facts = client.device.state.facts or {}
        # What is hidden is not gone, but nobody can open it.
        assert facts["apps"] == [{"id": APP, "version": "1.2", "is_hidden": True}]
    with gate.database():
        assigning.withdraw(lesson, by=CLI, now=clock.now())
    assert tablet.has_news()
    data = tablet.configuration()
    assert "url" not in entry(data)  # it is still hidden while the agent looks what to install
    tablet.log(FETCHED, COMPLETED)
    assert tablet.has_news()
    assert "url" in entry(tablet.configuration())


def test_an_app_that_could_not_be_fetched_is_left_out_until_it_is_tried_again(gate: Door, tmp_path: Path) -> None:
    upload(gate, tmp_path)
    assign(gate, apps__required=[APP])
    tablet = come(gate)
    assert "url" in entry(tablet.configuration())
    tablet.log(f"Failed to download app {APP}: unexpected end of stream")
    assert tablet.has_news()
    assert "url" not in entry(tablet.configuration())
    tablet.log(FETCHED, COMPLETED)
    with gate.database():
        client = db.session.query(AgentClient).one()
        assert client.served_until is not None
        client.put_off = {APP: {"until": clock.now().isoformat(), "digest": None}}
        client.served_until = clock.now()
    assert tablet.has_news()
    assert "url" in entry(tablet.configuration())


def test_a_package_that_took_the_place_of_one_that_failed_is_not_put_off_with_it(gate: Door, tmp_path: Path) -> None:
    upload(gate, tmp_path)
    assign(gate, apps__required=[APP])
    tablet = come(gate)
    former = entry(tablet.configuration())["url"]
    upload(gate, tmp_path, code=8, version="1.3")
    tablet.log(f"{APP} Install failed: INSTALL_FAILED_INVALID_APK")
    assert tablet.has_news()
    found = entry(tablet.configuration())
    assert found["url"] != former
    tablet.log(f"{APP} Install failed: INSTALL_FAILED_INVALID_APK")
    assert tablet.has_news()
    assert "url" not in entry(tablet.configuration())


def test_a_wallpaper_has_an_address_under_its_own_sum(gate: Door) -> None:
    picture = png(640, 480)
    with gate.database():
        images.add("skole", picture, by=CLI, now=clock.now())
    assign(gate, wallpaper__image="skole")
    url = come(gate).configuration()["backgroundImageUrl"]
    answer = fetch(gate, url)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, picture, "image/png")
    assert fetch(gate, f"{url[:-1]}0").status in {200, 404}
    assert fetch(gate, "https://fleet.test/hw-images/" + "0" * 64).status == 404


def test_an_app_that_the_catalogue_comes_to_know_is_closed_where_only_some_are_allowed(gate: Door) -> None:
    assign(gate, apps__allowed=["no.example.annet"])
    tablet = come(gate)
    tablet.configuration()
    tablet.log(FETCHED, COMPLETED)
    with gate.database():
        catalogue.add(APP, Platform.ANDROID, catalogue.Told("Bok"), by=CLI, now=clock.now())
    assert tablet.has_news()
    settings = {one["name"]: one["value"] for one in tablet.configuration()["applicationSettings"]}
    assert APP in settings["locked_packages"].split(",")


def test_the_agent_follows_its_own_package(gate: Door, tmp_path: Path) -> None:
    upload(gate, tmp_path, package="com.hmdm.launcher", version="6.40", code=640)
    assign(gate)
    tablet = come(gate)
    found = entry(tablet.configuration(), "com.hmdm.launcher")
    assert (found["version"], found["code"]) == ("6.40", 640)
    assert found["name"].startswith("fleet:")
    tablet.log(FETCHED, COMPLETED)
    upload(gate, tmp_path, package="com.hmdm.launcher", version="6.41", code=641)
    assert tablet.has_news()
