"""What arrives twice is done once, what was ended begins again, and what is opened on all tablets of a lesson."""

import re

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from fleet.db import db, transaction
from fleet.lessons.models import Lesson, Part
from fleet.orders.models import Order, OrderKind, OrderState
from tests import factories, teaching
from tests.conftest import NOW
from tests.lessons import MINUTE
from tests.teaching import Teaching, words
from tests.visiting import Visitor

SHOWN_AT = re.compile(r'name="shown_at" value="([^"]+)"')
REQUEST = re.compile(r'name="request_id" value="([^"]+)"')


@pytest.fixture
def school(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Teaching:
    return teaching.build(app, monkeypatch)


@pytest.fixture
def kari(school: Teaching) -> Visitor:
    return school.visitor()


def request_id(page: str) -> str:
    """Return the name of the wish that a page's form stands for."""
    found = REQUEST.search(page)
    assert found is not None
    return found[1]


def lessons_there_are(school: Teaching) -> int:
    with school.app.app_context():
        return db.session.scalars(select(func.count()).select_from(Lesson)).one()


def test_a_start_that_is_sent_twice_starts_once(school: Teaching, kari: Visitor) -> None:
    path = f"/classes/{school.own.id}/lesson"
    page = kari.get(path).text
    wish = request_id(page)
    addresses = {school.start(kari, request_id=wish) for _again in range(2)}
    assert len(addresses) == 1
    assert lessons_there_are(school) == 1
    assert request_id(kari.get(path).text) != wish  # a new page is a new wish
    assert school.start(kari, request_id=request_id(kari.get(path).text)) not in addresses
    assert lessons_there_are(school) == 2


def test_a_script_is_told_where_to_go_on_and_follows_no_redirect(school: Teaching, kari: Visitor) -> None:
    path = f"/classes/{school.own.id}/lesson"
    kari.client.environ_base["HTTP_X_SENT_BY"] = "script"
    answer = kari.post(path, page=path, set_id=str(school.reading.id))
    assert (answer.status_code, answer.text) == (204, "")
    assert "Location" not in answer.headers
    address = answer.headers["X-Go-On"]
    assert re.fullmatch(r"/lessons/\d+", address)
    assert kari.post(f"{address}/end", page=address).headers["X-Go-On"] == address
    assert "Økten er avsluttet." in words(kari.get(address).text)
    assert kari.post(path, page=path, set_id="").status_code == 400  # a refusal comes as the page itself


def test_a_lesson_that_was_ended_by_mistake_begins_again_until_its_end_once(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari, absent=[str(school.tablets[0].person_id)])
    assert kari.post(f"{address}/end", page=address).location == address
    page = kari.get(address).text
    assert "Økten er avsluttet. Start igjen til 11:00" in words(page)
    again = re.search(rf'action="({address}/again\?[^"]+)"', page)
    assert again is not None
    school.at(NOW + 5 * MINUTE)
    there = {kari.post(again[1].replace("&amp;", "&"), page=address).location for _again in range(2)}
    assert len(there) == 1
    assert there != {address}
    assert "40 min igjen til 11:00" in words(kari.get(there.pop()).text)
    assert school.part(0) is Part.ABSENT
    assert lessons_there_are(school) == 2


def test_the_same_lesson_starts_again_from_its_receipt(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    school.at(NOW + 50 * MINUTE)
    page = kari.get(address).text
    wish = request_id(page)
    assert "Start den samme igjen" in words(page)
    there = {kari.post(f"{address}/again", page=address, request_id=wish).location for _again in range(2)}
    assert len(there) == 1
    assert "Pågår Lesing Prøve kari" in words(kari.get(there.pop()).text)
    assert lessons_there_are(school) == 2


def test_an_end_after_the_clocks_is_no_fault(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    token = kari.token(address)
    school.at(NOW + 46 * MINUTE)
    assert kari.post(f"{address}/end", token=token).location == address
    page = words(kari.get(address).text)
    assert "Økten er avsluttet." in page
    assert "ingenting ble endret" not in page


@pytest.mark.parametrize(
    ("form", "kind", "payload"),
    [
        ({"address": "nrk.no/skole"}, OrderKind.OPEN_URL, {"url": "https://nrk.no/skole"}),
        ({"address": " http://nrk.no "}, OrderKind.OPEN_URL, {"url": "http://nrk.no"}),
        ({"again": "https://snl.no/"}, OrderKind.OPEN_URL, {"url": "https://snl.no/"}),
        ({"app": "no.nb.lesebok"}, OrderKind.OPEN_APP, {"app": "no.nb.lesebok"}),
    ],
)
def test_a_page_or_an_app_opens_on_all_that_are_in_the_lesson(
    school: Teaching, kari: Visitor, form: dict[str, str], kind: OrderKind, payload: dict[str, str]
) -> None:
    address = school.start(kari)
    assert kari.post(f"{address}/open", page=address, **form).location == address
    page = kari.get(address).text
    assert "Åpnes på nettbrettene i økten." in words(page)
    with school.app.app_context():
        sent = db.session.scalars(select(Order).order_by(Order.device_id)).all()
        assert [(one.device_id, one.kind, one.payload) for one in sent] == [
            (device_id, kind, payload) for device_id in school.ids()[:3]
        ]
    if kind is OrderKind.OPEN_URL:  # which is one tap away from then on
        assert f'name="again" value="{payload["url"]}"' in page


def test_a_message_that_is_sent_again_much_later_from_the_same_form_is_sent_once(
    school: Teaching, kari: Visitor
) -> None:
    address = school.start(kari)

    def send(shown_at: str) -> int:
        kari.post(f"{address}/message", page=address, text="Rydd pulten.", shown_at=shown_at)
        with school.app.app_context():
            with transaction():
                db.session.execute(update(Order).values(state=OrderState.DONE, ended_at=NOW))
            return db.session.scalars(select(func.count()).select_from(Order)).one()

    shown_at = SHOWN_AT.findall(kari.get(address).text)[0]
    assert send(shown_at) == 3
    school.at(NOW + 2 * MINUTE)
    assert send(shown_at) == 3
    assert send(SHOWN_AT.findall(kari.get(address).text)[0]) == 6  # a new page is a new wish


def test_the_way_back_from_a_longer_lesson_is_none_once_somebody_has_moved_the_end_again(
    school: Teaching, kari: Visitor
) -> None:
    address = school.start(kari)
    ends_at = school.lesson().ends_at

    def extend(by: int, **form: str) -> str:
        until = (ends_at + by * MINUTE).isoformat()
        kari.post(f"{address}/extend", page=address, until=until, **form)
        return kari.get(address).text

    way_back = re.search(r'action="([^"]+/extend[^"]+moved_to[^"]+)"', extend(5))
    assert way_back is not None
    extend(10)
    kari.post(way_back[1].replace("&amp;", "&"), page=address)
    assert "Slutten er flyttet igjen siden" in words(kari.get(address).text)
    assert school.lesson().ends_at == ends_at + 10 * MINUTE


def test_what_cannot_be_opened_is_refused_in_words(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    for form in ({}, {"address": "javascript:alert(1)"}, {"address": "ftp://nrk.no"}, {"address": "x y"}):
        answer = kari.post(f"{address}/open", page=address, **form)
        assert answer.status_code == 303, form
        assert 'data-color="danger" role="alert"' in kari.get(address).text, form
    with school.app.app_context():
        assert db.session.scalars(select(Order)).all() == []


def test_a_pupils_sheet_says_how_the_tablet_stands_and_what_is_locked(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    school.obeyed([0], NOW, [{"key": "apps.allowed", "reason": "unsupported"}])
    sheet = f"{address}/tablets/{school.tablets[0].id}"
    page = words(kari.get(sheet).text)
    assert "Elev0 Prøve Har økten, men ikke alt" in page
    assert "Sist hørt fra akkurat nå" in page
    assert "Borte Slipp fri Melding Send Det økten låser Bare disse appene virker ikke no.nb.lesebok" in page
    living = kari.refresh(sheet).text
    assert "<html" not in living
    assert "data-close" in living
    out = words(kari.get(f"{address}/tablets/{school.tablets[3].id}").text)
    assert "Ta med Borte" in out
    assert "Det økten låser" not in out


def test_a_sheet_is_of_tablets_of_the_lesson_only(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    with school.app.app_context(), transaction():
        near = factories.device(db.session.merge(school.school), class_id=school.other.id).id
    assert kari.get(f"{address}/tablets/{near}").status_code == 404
