"""The hours of the after-school programme on a school's page of settings."""

import re
from datetime import time

import pytest
from flask import Flask

from fleet.schools import after_school
from fleet.schools.after_school import Programme
from tests import visiting
from tests.visiting import Visitor, World, visit


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def it(app: Flask, world: World) -> Visitor:
    return visit(app, "it")


def told(app: Flask, world: World) -> list[Programme]:
    with app.app_context():
        return list(after_school.told(world.school.id))


def test_hours_are_decided_shown_and_taken_back(app: Flask, world: World, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}/after-school"
    form = {"from-0": "13:30", "to-0": "16:30", "from-4": "12:00", "to-4": "16:30", "grade": "4"}
    assert it.post(page, page=page, **form).status_code == 303
    wanted = [Programme(0, time(13, 30), time(16, 30), 4), Programme(4, time(12), time(16, 30), 4)]
    assert told(app, world) == wanted
    shown = it.get(page).text
    assert 'value="13:30"' in shown
    found = re.search(r'action="(/settings/undo/[^"]+)"', shown)
    assert found is not None
    it.post(found[1].replace("&amp;", "&"), page=page)
    assert told(app, world) == []


def test_what_somebody_has_decided_since_is_left_alone(app: Flask, world: World, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}/after-school"
    it.post(page, page=page, **{"from-0": "13:30", "to-0": "16:30", "grade": "4"})
    found = re.search(r'action="(/settings/undo/[^"]+)"', it.get(page).text)
    it.post(page, page=page, **{"from-0": "13:30", "to-0": "17:00", "grade": "3"})
    assert found is not None
    it.post(found[1].replace("&amp;", "&"), page=page)
    assert told(app, world) == [Programme(0, time(13, 30), time(17), 3)]


@pytest.mark.parametrize(
    "form",
    [
        {"from-1": "16:00", "to-1": "13:00", "grade": "4"},
        {"from-1": "16:00", "grade": "4"},
        {"from-1": "x", "to-1": "y", "grade": "4"},
        {"from-1": "13:00", "to-1": "16:00", "grade": "11"},
        {"from-1": "13:00", "to-1": "16:00", "grade": "fire"},
    ],
)
def test_hours_that_cannot_be_are_told_at_their_field(
    app: Flask, world: World, it: Visitor, form: dict[str, str]
) -> None:
    page = f"/settings/schools/{world.school.id}/after-school"
    answer = it.post(page, page=page, **form)
    assert answer.status_code == 400
    assert 'id="problem"' in answer.text
    assert form["from-1"] in answer.text
    assert told(app, world) == []
