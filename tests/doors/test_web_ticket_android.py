"""How Android tablets come in, on the page of a ticket that was just made: codes to scan, and to whom they are shown."""

import html
import json
import re

import pytest
import segno
from flask import Flask

from fleet.android import coming, provisioning
from fleet.assignments.assigning import Place
from fleet.db import transaction
from fleet.devices import codes
from fleet.web import ticket_android
from tests import factories as make
from tests import visiting
from tests.android import agent_package
from tests.visiting import Visitor, World

URL = "http://fleet.test"
CODE = re.compile(r'id="code">([0-9A-Z-]{34})<')
WIFI = [
    {"ssid": "skole-elev", "security": "wpa2", "password": "meget hemmelig"},
    {"ssid": "ansatt", "security": "enterprise", "password": "sjefens hemmelige"},
    {"ssid": "gjest", "security": "open"},
]


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


def signed_in(app: Flask, name: str) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in(name)
    return visitor


def ready(world: World, visitor: Visitor) -> str:
    """Make a ticket on the pages; returns the page that shows it."""
    address = f"/enrolment/new?school_id={world.school.id}&in=class-{world.own_class.id}"
    answer = visitor.post(address, page=address, number="28", days="7", who="ask")
    assert answer.status_code == 200, answer.text
    assert len(answer.data) < 150_000
    return answer.text


def brought(app: Flask, networks: list[dict[str, str]] | None = None) -> None:
    with app.app_context(), transaction():
        agent_package()
        if networks:
            make.assign(make.published("nett", **{"wifi.networks": networks}), Place.municipality())


def drawn(app: Flask, page: str, ssid: str | None = None) -> bool:
    """Whether the page has the picture of the code that says what it should, square by square."""
    code = CODE.search(page)
    assert code is not None
    with app.app_context():
        agent = coming.agent(URL)
    assert agent is not None
    network = next((one for one in provisioning.networks({"wifi.networks": WIFI}) if one.ssid == ssid), None)
    said = provisioning.text(provisioning.extras(agent, URL, code[1], network))
    return ticket_android.drawing(said, error="l") in page


def test_without_the_agents_package_there_is_no_code_and_who_may_bring_it_reads_how(app: Flask, world: World) -> None:
    admin, it = ready(world, signed_in(app, "admin")), ready(world, signed_in(app, "it"))
    for page in (admin, it):
        assert page.count('class="qr"') == 1  # the one for iPads
        assert "adb" not in page
    assert "scripts/fleet apps upload" in admin
    assert "scripts/fleet apps upload" not in it


def test_with_it_there_is_a_code_that_says_all_that_a_tablet_needs(app: Flask, world: World) -> None:
    brought(app)
    page = ready(world, signed_in(app, "it"))
    assert page.count('class="qr"') == 2
    assert drawn(app, page)


def test_who_writes_profiles_has_a_code_for_each_network_and_nobody_else_any_password(app: Flask, world: World) -> None:
    brought(app, WIFI)
    admin, it = ready(world, signed_in(app, "admin")), ready(world, signed_in(app, "it"))
    assert admin.count('class="qr"') == 4
    assert [drawn(app, admin, ssid) for ssid in (None, "skole-elev", "gjest")] == [True] * 3
    assert "ansatt" not in admin
    assert it.count('class="qr"') == 2
    assert [drawn(app, it, ssid) for ssid in (None, "skole-elev", "gjest")] == [True, False, False]
    for page in (admin, it):
        assert "hemmelig" not in page


def test_many_networks_do_not_make_the_page_heavy(app: Flask, world: World) -> None:
    brought(app, [{"ssid": f"nett-{n}", "security": "wpa2", "password": "x" * 63} for n in range(9)])
    page = ready(world, signed_in(app, "admin"))
    assert page.count('class="qr"') == 6
    assert "scripts/fleet android qr" in page


def test_codes_for_android_cost_three_statements(app: Flask, world: World, statements: list[str]) -> None:
    visitor, counts = signed_in(app, "admin"), []
    ready(world, visitor)
    for networks in (None, WIFI):
        if networks:
            brought(app, networks)
            ready(world, visitor)
        statements.clear()
        ready(world, visitor)
        counts.append(len(statements))
    assert counts[1] - counts[0] <= 2  # that there is no package was asked before, too


def test_the_way_by_cable_is_whole(app: Flask, world: World) -> None:
    brought(app)
    page = html.unescape(ready(world, signed_in(app, "it")))
    code = CODE.search(page)
    said = re.search(r'id="android-file">(.*?)</code>', page, re.DOTALL)
    assert code is not None
    assert said is not None
    assert json.loads(said[1]) == provisioning.bundle(URL, code[1])
    package = re.search(
        r'href="http://fleet\.test(/hw-files/agent-token/(com\.hmdm\.launcher-[0-9a-f]{16}\.apk))"', page
    )
    assert package is not None
    assert f"adb install {package[2]}" in page
    assert "dpm set-device-owner com.hmdm.launcher/.AdminReceiver" in page


def test_what_is_in_the_way_of_tablets_is_said(app: Flask, world: World) -> None:
    brought(app)
    assert "har ikke TLS" in ready(world, signed_in(app, "it"))


def test_the_printed_sheet_has_a_page_for_android_without_any_network(app: Flask, world: World) -> None:
    visitor = signed_in(app, "admin")
    pages = []
    for networks in (None, WIFI):
        if networks:
            brought(app, networks)
        code, number = CODE.search(page := ready(world, visitor)), re.search(r"/enrolment/(\d+)/sheet", page)
        assert code is not None
        assert number is not None
        answer = visitor.post(f"/enrolment/{number[1]}/sheet", page="/enrolment/new", code=code[1])
        pages.append(answer.data.count(b"/Type /Page\n"))
        with app.app_context():
            said = coming.printed(codes.normalise(code[1]), URL)
        assert "WIFI" not in (said or "")
    assert pages == [1, 2]


def test_the_pictures_squares_are_as_few_as_can_be() -> None:
    """A camera reads what it can tell apart: on a screen, no more squares than the least correction needs."""
    agent = provisioning.Agent("6.36", f"https://nettbrett.kommune.no/hw-files/{'a' * 43}/{'b' * 37}.apk", "ab" * 32)
    network = provisioning.Network("skole-elev", "wpa2", "x" * 63)
    said = provisioning.text(provisioning.extras(agent, "https://nettbrett.kommune.no", codes.make(), network))
    assert segno.make(said, error="l").symbol_size(border=0)[0] <= 117
    assert len(ticket_android.drawing(said, error="l")) < 20_000


def test_whoever_scans_the_other_code_with_an_android_tablet_reads_what_to_do(app: Flask) -> None:
    assert 'id="android-title"' in Visitor(app).get("/enrol").text
