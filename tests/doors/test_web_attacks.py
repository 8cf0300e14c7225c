"""What somebody with an account may try that the pages do not offer: others' things, odd files, forged forms."""

import io
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from fleet import clock
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.devices import life
from tests import factories, visiting
from tests.doors.policy import filled, gathered
from tests.doors.test_web_pages import visiting_text
from tests.visiting import Visitor, World

CLI = Principal.command_line()


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


def signed_in(app: Flask, username: str) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in(username).status_code == 303
    return visitor


def send(app: Flask, visitor: Visitor, kind: str, name: str, content: bytes) -> TestResponse:
    """Drop a file on the imports' page."""
    form: dict[str, Any] = {"csrf_token": visitor.token("/imports"), kind: (io.BytesIO(content), name)}
    with app.app_context():
        return visitor.client.post(f"/imports/{kind}", data=form)


def test_no_form_is_taken_without_the_token_of_a_page(app: Flask, world: World) -> None:
    added = filled(app, world)
    admin = signed_in(app, "admin")
    taken = []
    for address in [row[0] for rows in gathered().values() for row in rows if row[0].startswith("POST ")]:
        answer = admin.post(address.removeprefix("POST ").format(w=world, **added), token="")
        if answer.status_code != 400:
            taken.append(address)
    assert taken == ["POST /alerts/unsubscribe/{no_token}"]  # a mail program's: its address is the token (RFC 8058)


@pytest.mark.parametrize("name", ["\N{GRINNING FACE}" * 200 + ".csv", "../" * 40 + "etc/passwd", "..", "a" * 5_000, ""])
def test_a_file_of_any_name_is_looked_at(app: Flask, world: World, name: str) -> None:
    it = signed_in(app, "it")
    sent = send(app, it, "delivery", name, b"serial,school\nNEW1,Pr\xc3\xb8veskolen\n")
    assert sent.status_code == 303
    assert "NEW1" in it.get(sent.headers["Location"]).text


@pytest.mark.parametrize(
    "path", ["/tablets?q=%00", "/search?q=a%00", "/tablets/%00", "/people/a%00", "/imports/roster/%00"]
)
def test_a_sign_that_no_text_can_hold_is_refused(app: Flask, world: World, path: str) -> None:
    admin = signed_in(app, "admin")
    assert admin.get(path).status_code == 400
    assert admin.post("/tablets/OWN1/notes", text="a\0b").status_code == 400


_FAR = ("0001-01-01T00:00%2B14:00", "0001-01-01T00:00", "9999-12-31T23:59:59-14:00")


@pytest.mark.parametrize("far", _FAR)
def test_a_time_that_is_too_far_away_counts_as_none(app: Flask, world: World, far: str) -> None:
    filled(app, world)
    admin, first = signed_in(app, "admin"), far[:10]
    for path in (
        f"/tablets/OWN1/timeline?before={far}",
        f"/tablets/OWN1/why?at={far}",
        f"/settings/calendar?first={first}",
        f"/settings/schools/{world.school.id}?first={first}",
        f"/assignments/place?profile=fylt&at=m&from={far}&until={far}",
    ):
        assert (path, admin.get(path).status_code) == (path, 200)
    days = {"first": first, "last": first, "answer": "off", "title": "Fri"}
    assert admin.post("/settings/calendar/days", page="/", **days).status_code == 400
    assert admin.get(f"/enrolment/{'9' * 30}").status_code == 404


def test_a_word_of_many_strange_letters_is_searched_for(app: Flask, world: World) -> None:
    """Each letter that the database cannot make small is replaced on its own."""
    letters = [chr(code) for code in range(0x100, 0x600) if chr(code).lower() == chr(code) != chr(code).upper()][:100]
    admin = signed_in(app, "admin")
    for path in ("/search", "/tablets", "/people"):
        for text in ("".join(letters), " ".join(letters[:50])):
            assert admin.get(path, query_string={"q": text}).status_code == 200


def test_a_large_file_gets_through_to_its_page(app: Flask, world: World) -> None:
    it = signed_in(app, "it")
    lines = "".join(f"BIG{number:05},Prøveskolen\n" for number in range(6_000))
    sent = send(app, it, "delivery", "liste.csv", f"serial,school\n{lines}".encode())
    assert sent.status_code == 303
    assert "BIG00000" in it.get(sent.headers["Location"]).text


def test_many_tablets_are_chosen_and_long_profiles_written(app: Flask, world: World) -> None:
    """What a signed-in person may send is as large as its page needs; what a stranger sends is small."""
    filled(app, world)
    admin, ids = signed_in(app, "admin"), ".".join(str(number) for number in range(100_000, 109_900))
    assert admin.post("/tablet-actions/ring", ids=ids).status_code == 303
    assert admin.post("/tablet-actions", id=ids.split("."), act="ring").status_code == 200
    long = f"# {'x' * 200_000}"
    for path in ("/profiles/fylt/toml", "/profiles/fylt/edit"):
        assert admin.post(path, text=long).status_code != 413
    stranger = Visitor(app)
    assert stranger.post("/tablet-actions/ring", ids=ids).status_code == 413
    assert admin.post("/tablet-actions/ring", ids=ids * 8).status_code == 413


def test_a_delivery_list_tells_nothing_of_another_school(app: Flask, world: World) -> None:
    """Which classes and pupils there are would be told by what is said to be wrong."""
    it = signed_in(app, "it")
    sent = send(app, it, "delivery", "liste.csv", b"serial,school,class\nNEW1,Naboskolen,X\n")
    answer = it.get(sent.headers["Location"])
    assert answer.status_code == 403
    assert "5C" not in visiting_text(answer.text)


def test_a_teacher_is_told_whose_a_tablet_is_and_not_whose_it_was(app: Flask, world: World) -> None:
    now = clock.now()
    with app.app_context():
        device, school = db.session.merge(world.tablet), db.session.merge(world.school)
        with transaction():
            pupil, former = device.person, factories.pupil(school)
            former.given_name = "Tidligere"
        for hours, person in ((2, former), (1, pupil)):
            with transaction():
                life.move(device, school=school, person=person, by=CLI, now=now - timedelta(hours=hours))
    for path in ("/tablets/OWN1", "/tablets/OWN1/timeline"):
        assert "Tidligere" in signed_in(app, "it").get(path).text
        assert "Tidligere" not in signed_in(app, "teacher").get(path).text
