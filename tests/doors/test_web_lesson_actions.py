"""What a teacher does in a lesson, each a plain form: it happens, or the page says in words why not."""

import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.allowance import Allowance
from fleet.db import db, transaction
from fleet.lessons.models import Part, SetKind
from fleet.orders.models import Order, OrderKind
from fleet.people import accounts
from fleet.web.signed_in import FORM_EVERY_S
from tests import factories, teaching
from tests.conftest import NOW
from tests.lessons import MINUTE
from tests.teaching import Teaching, words
from tests.visiting import Visitor


@pytest.fixture
def school(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Teaching:
    return teaching.build(app, monkeypatch)


@pytest.fixture
def kari(school: Teaching) -> Visitor:
    return school.visitor()


@pytest.fixture
def address(school: Teaching, kari: Visitor) -> str:
    return school.start(kari, everybody="yes")


UNTIL_11_05 = (NOW + 50 * MINUTE).isoformat()


def later(kari: Visitor, address: str) -> list[str]:
    """Return the later ends that the lesson's page offers."""
    return re.findall(r'name="until" value="([^"]+)"', kari.get(address).text)


def undone(kari: Visitor, address: str) -> str:
    """Return the address that takes back what the page says was done."""
    found = re.search(r'<form method="post" action="([^"]+\?[^"]+)"', kari.get(address).text)
    assert found is not None
    return html.unescape(found[1])


def told(kari: Visitor, address: str, action: str, **form: str) -> str:
    """Do something and return the page one is led to."""
    answer = kari.post(f"{address}/{action}", page=address, **form)
    assert answer.status_code == 303, words(answer.text)
    return words(kari.get(answer.location).text)


def test_the_end_moves_by_five_and_ten_minutes(school: Teaching, kari: Visitor, address: str) -> None:
    assert later(kari, address) == [UNTIL_11_05, (NOW + 55 * MINUTE).isoformat()]
    assert "50 min igjen til 11:05" in told(kari, address, "extend", until=UNTIL_11_05)
    page = told(kari, address, "extend", until=later(kari, address)[1])
    assert "60 min igjen til 11:15" in page
    assert "Økten varer til 11:15. Angre" in page
    for until in ("", "soon", "2026-09-14T11:05:00"):
        assert kari.post(f"{address}/extend", page=address, until=until).status_code == 400


def test_an_end_that_arrives_twice_moves_once_and_can_be_taken_back(
    school: Teaching, kari: Visitor, address: str
) -> None:
    token = kari.token(address)
    for _again in range(2):
        assert kari.post(f"{address}/extend", token=token, until=UNTIL_11_05).status_code == 303
    assert "50 min igjen til 11:05" in words(kari.get(address).text)
    assert kari.post(f"{address}/extend", token=token, until=later(kari, address)[0]).status_code == 303
    undo = undone(kari, address)
    assert kari.post(undo, token=token).status_code == 303
    assert "50 min igjen til 11:05" in words(kari.get(address).text)


def test_an_end_that_the_school_does_not_allow_is_refused_in_words(school: Teaching, kari: Visitor) -> None:
    school.at(datetime(2026, 9, 14, 12, 10, tzinfo=UTC))
    address = school.start(kari)  # until 14:30, when school ends
    assert later(kari, address) == []
    assert "Den kan ikke vare lenger." in words(kari.get(address).text)
    page = told(kari, address, "extend", until="2026-09-14T12:40:00+00:00")
    assert "Skoledagen slutter 14:30, og økten med den." in page
    assert "til 14:30" in page


def test_a_lesson_is_ended(school: Teaching, kari: Visitor, address: str) -> None:
    page = told(kari, address, "end")
    assert "Ferdig" in page
    assert "Avslutt økten" not in page


@pytest.mark.parametrize(
    ("action", "form"),
    [
        ("extend", {"until": UNTIL_11_05}), ("set", {"eyes": "yes"}), ("open", {"address": "nrk.no"}), ("hand-over", {"account_id": "1"}),
        ("message", {"text": "Hei"}), ("tablets", {"absent": "{0}"}), ("tablets", {"bring": "{0}"}),
    ],
)  # fmt: skip
def test_a_lesson_that_the_clock_ended_meanwhile_says_so(
    school: Teaching, kari: Visitor, address: str, action: str, form: dict[str, str]
) -> None:
    token = kari.token(address)
    school.at(NOW + 46 * MINUTE)
    filled = {name: value.format(school.tablets[0].id) for name, value in form.items()}
    answer = kari.post(f"{address}/{action}", token=token, **filled)
    assert (answer.status_code, answer.location) == (303, address)
    page = kari.get(address).text
    assert "Økten sluttet 11:00, så ingenting ble endret." in page
    assert 'data-color="danger" role="alert"' in page
    assert "ingenting ble endret" not in kari.get(address).text  # said once


def test_all_eyes_on_the_teacher_and_back_to_a_set(school: Teaching, kari: Visitor, address: str) -> None:
    page = told(kari, address, "set", eyes="yes")
    assert "Pågår Blikket på meg Prøve kari" in page
    with school.app.app_context():
        assert school.lesson().given[-1].set.kind is SetKind.EYES
        before = school.lesson().given[0].set.title
    assert f"Fortsett - {before}" in page
    page = told(kari, address, "set", eyes="no")
    assert f"Pågår {before} Prøve kari" in page
    assert "Fortsett -" not in page
    assert f"Pågår {before} Prøve kari" in told(kari, address, "set", eyes="no")  # sent twice: it is back already
    assert "Pågår Bare leksikon Prøve kari" in told(kari, address, "set", set_id=str(school.web.id))
    assert "Dette opplegget finnes ikke lenger." in told(kari, address, "set", set_id="2147483")
    assert "Velg hva du vil starte med." in told(kari, address, "set")


def test_a_lesson_is_handed_over_to_a_colleague_of_the_school_only(
    school: Teaching, kari: Visitor, address: str
) -> None:
    with school.app.app_context(), transaction():
        far = factories.teacher("far", factories.school_class(factories.school("Naboskolen"))).id
        ola = accounts.find("ola").id
    page = kari.get(address).text
    assert f'<option value="{ola}">Prøve ola</option>' in page
    assert "Prøve far" not in page
    for nobody in (str(far), "", "nonsense"):
        assert "Kollegaen finnes ikke lenger." in told(kari, address, "hand-over", account_id=nobody)
    answer = kari.post(f"{address}/hand-over", page=address, account_id=str(ola))
    assert answer.location == "/lessons"
    assert "Økten er overlatt." in kari.get("/lessons").text
    substitute = school.visitor("ola")
    assert "Prøve ola" in words(substitute.get(address).text)
    assert "Gi et annet opplegg" in substitute.get(address).text
    assert substitute.post(f"{address}/set", page=address, eyes="yes").location.startswith(address)
    assert "8B Prøveskolen Prøve ola Blikket på meg 11:00" in words(substitute.get("/lessons").text)


def test_one_tap_leaves_a_pupil_out_and_one_brings_in(school: Teaching, kari: Visitor, address: str) -> None:
    number = str(school.tablets[0].id)
    for action, part in (("absent", Part.ABSENT), ("bring", Part.IN), ("released", Part.RELEASED), ("bring", Part.IN)):
        sheet = kari.get(f"{address}/tablets/{number}").text
        assert f'name="{action}" value="{number}"' in sheet
        answer = kari.post(f"{address}/tablets", page=address, **{action: number})
        assert answer.location == f"{address}#tablet-{number}"
        assert school.part(0) is part
        sheet = words(kari.get(f"{address}/tablets/{number}").text)
        assert ("Sluppet fri" in sheet) is (part is Part.RELEASED)


def test_a_tablet_that_is_not_in_the_lesson_is_refused_in_words(school: Teaching, kari: Visitor, address: str) -> None:
    assert "Nettbrettet er ikke med i økten lenger." in told(kari, address, "tablets", absent="2147483")
    for form in ({}, {"absent": "x"}, {"give": "1"}, {"bring": ""}):
        assert kari.post(f"{address}/tablets", page=address, **form).status_code == 400


def test_a_pupil_of_two_lessons_is_taken_back_and_given_over(school: Teaching, kari: Visitor, address: str) -> None:
    ola = school.visitor("ola")
    school.at(NOW + MINUTE)
    theirs = ola.post(
        f"/classes/{school.other.id}/lesson", page="/lessons", set_id=str(school.web.id), everybody="yes"
    ).location
    both = str(school.tablets[-1].id)
    page = words(kari.get(address).text)
    assert "Elev3 Prøve Gikk til en annen økt 9A med Prøve ola har eleven. Ta eleven tilbake" in page
    assert "Gi til 8B" in words(ola.get(f"{theirs}/tablets/{both}").text)
    told(kari, address, "tablets", bring=both)
    assert "Elev3 Prøve Gikk til en annen økt 8B med Prøve kari har eleven." in words(ola.get(theirs).text)
    number = theirs.rpartition("/")[2]
    assert f'name="give" value="{both}:{number}"' in kari.get(f"{address}/tablets/{both}").text
    told(kari, address, "tablets", give=f"{both}:{number}")
    assert "Elev3 Prøve Gikk til en annen økt 9A" in words(kari.get(address).text)
    ola.post(f"{theirs}/end", page=theirs)
    page = words(kari.get(address).text)
    assert "Elev3 Prøve Gikk til en annen økt Økten til 9A er ferdig. Ta eleven tilbake" in page
    told(kari, address, "tablets", bring=both)
    assert "Gi til 9A" not in words(kari.get(f"{address}/tablets/{both}").text)  # which is over
    assert "Økten sluttet 10:16" in told(kari, address, "tablets", give=f"{both}:{number}")


def test_who_held_a_lesson_and_left_the_school_has_nothing_more_to_do_with_it(
    school: Teaching, kari: Visitor, address: str
) -> None:
    assert "8B" in kari.get("/lessons").text
    with school.app.app_context(), transaction():
        (grant,) = accounts.find("kari").grants
        grant.school_id = factories.school("Naboskolen").id
    assert "8B" not in words(kari.get("/lessons").text)  # a token may have these letters
    assert kari.get(address).status_code == 404
    assert kari.post(f"{address}/end", page="/lessons").status_code == 404


def test_a_tablet_is_given_to_no_lesson_that_never_meant_it_and_nothing_is_told_of_that_one(
    school: Teaching, kari: Visitor, address: str
) -> None:
    theirs = school.visitor("ola").post(f"/classes/{school.other.id}/lesson", page="/lessons", quick="eyes").location
    given = f"{school.tablets[0].id}:{theirs.rpartition('/')[2]}"
    assert "Nettbrettet er ikke med i økten lenger." in told(kari, address, "tablets", give=given)
    school.visitor("ola").post(f"{theirs}/end", page=theirs)
    assert "Nettbrettet er ikke med i økten lenger." in told(kari, address, "tablets", give=given)


def test_a_message_goes_to_all_or_to_one(school: Teaching, kari: Visitor, address: str) -> None:
    assert "Meldingen er sendt." in told(kari, address, "message", text="Legg bort\r\nnettbrettet ")
    assert "Meldingen er sendt." in told(kari, address, "message", text="Kom hit", device_id=str(school.tablets[1].id))
    with school.app.app_context():
        sent = db.session.scalars(select(Order).order_by(Order.id)).all()
        assert [one.payload for one in sent] == [{"text": "Legg bort\nnettbrettet"}] * 4 + [{"text": "Kom hit"}]
        assert {one.kind for one in sent} == {OrderKind.MESSAGE}
        assert sent[-1].device_id == school.tablets[1].id


def test_a_message_that_cannot_be_sent_says_why(school: Teaching, kari: Visitor, address: str) -> None:
    for text in (" ", "x" * 501):
        assert "En melding har 1 til 500 tegn." in told(kari, address, "message", text=text)
    told(kari, address, "tablets", absent=str(school.tablets[0].id))
    gone = told(kari, address, "message", text="Hei", device_id=str(school.tablets[0].id))
    assert "Nettbrettet er ikke med i økten lenger." in gone
    with school.app.app_context():
        assert db.session.scalars(select(Order)).all() == []


def test_a_message_to_all_reaches_those_that_can_have_it(school: Teaching, kari: Visitor, address: str) -> None:
    with school.app.app_context(), transaction():
        factories.enrolments_end(db.session.merge(school.tablets[0]))
    to_it = told(kari, address, "message", text="Hei", device_id=str(school.tablets[0].id))
    assert "1 av disse nettbrettene kan ikke det" in to_it
    assert "Meldingen er sendt." in told(kari, address, "message", text="Hei")
    with school.app.app_context():
        reached = {one.device_id for one in db.session.scalars(select(Order)).all()}
        assert reached == {one.id for one in school.tablets[1:]}


def test_an_account_that_sends_forms_without_end_is_turned_away_and_its_neighbour_is_not(
    school: Teaching, kari: Visitor, address: str
) -> None:
    token = kari.token(address)
    school.monkeypatch.setitem(school.app.extensions, "fleet_forms", Allowance(3, FORM_EVERY_S, kept=10))
    answers = [kari.post(f"{address}/extend", token=token, until=UNTIL_11_05) for _ in range(4)]
    assert [one.status_code for one in answers] == [303] * 3 + [429]
    assert answers[-1].headers["Retry-After"] == "2"
    assert kari.get(address).status_code == 200
    assert school.visitor("ola").post("/sign-out", page="/lessons").status_code == 303
    school.at(NOW + timedelta(seconds=FORM_EVERY_S))
    assert kari.post(f"{address}/end", token=token).status_code == 303


def test_forms_need_the_token_of_this_session(school: Teaching, kari: Visitor, address: str) -> None:
    for action in ("end", "extend", "again", "set", "hand-over", "tablets", "message", "open"):
        assert kari.post(f"{address}/{action}", token="forged", until=UNTIL_11_05).status_code == 400
    assert kari.post(f"/classes/{school.own.id}/lesson", token="forged", set_id="1").status_code == 400
    assert "Pågår" in words(kari.get(address).text)
