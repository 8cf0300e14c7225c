"""What is otherwise on Android tablets is said before an action is done to them."""

import pytest
from flask import Flask

from fleet.db import transaction
from fleet.devices.models import Platform
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.visiting import Visitor, World, visit

LASTS = "Android-nettbrett viser teksten over skjermen i fem minutter; hjemknappen kan lukke den."


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    return visit(app, "admin")


@pytest.fixture
def ids(app: Flask, world: World) -> list[int]:
    """Make two Android tablets and an iPad."""
    kinds = [("headwind", Platform.ANDROID), ("headwind", Platform.ANDROID), ("apple", Platform.IPADOS)]
    with app.app_context(), transaction():
        return [factories.enrolled(world.school, channel=channel, platform=kind).id for channel, kind in kinds]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lock-message", f"2 {LASTS}"),
        ("report-now", "2 Android-nettbrett kan bruke opptil 15 minutter."),
        ("lost", "2 Android-nettbrett stenger appene og viser teksten straks de har nett."),
        ("retire", "2 Android-nettbrett stenger appene straks de har nett."),
    ],
)
def test_it_is_counted_and_said_what_android_tablets_do(admin: Visitor, ids: list[int], name: str, told: str) -> None:
    chosen = "&".join(f"id={one}" for one in ids)
    assert told in words(admin.get(f"/tablet-actions/{name}?{chosen}").text)
    assert told.removeprefix("2 ") not in words(admin.get(f"/tablet-actions/{name}?id={ids[2]}").text)


def test_what_a_lost_tablet_shows_is_asked_for_as_its_own_text_and_not_an_ipads(admin: Visitor, ids: list[int]) -> None:
    android = words(admin.get(f"/tablet-actions/lost?id={ids[0]}").text)
    assert "Det skjermen på nettbrettet viser" in android
    assert "på en iPad viser" not in android
    assert "Det skjermen på en iPad viser" in words(admin.get(f"/tablet-actions/lost?id={ids[2]}").text)


def test_only_where_an_ipad_is_wiped_it_may_set_itself_up_again(admin: Visitor, ids: list[int]) -> None:
    assert "come_back" not in admin.get(f"/tablet-actions/wipe?id={ids[0]}").text
    assert "come_back" in admin.get(f"/tablet-actions/wipe?id={ids[0]}&id={ids[2]}").text


def test_where_nothing_is_otherwise_nothing_is_said(admin: Visitor, ids: list[int]) -> None:
    assert "Android" not in words(admin.get(f"/tablet-actions/restart?id={ids[0]}").text)
