"""Enrolment on the pages: a ticket in three steps, its sheets, and the tablets that come, wait or are refused."""

import html
import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from fleet import clock
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.devices import codes, enrolment, life, tickets
from fleet.devices.enrolment import Enrolled, Refused
from fleet.devices.models import Device, DeviceLife, Ticket
from fleet.schools.models import School, SchoolClass
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.enrolling import request
from tests.visiting import Visitor, World

CODE = re.compile(r'id="code">([0-9A-Z-]{34})<')


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def staff(app: Flask, world: World) -> Visitor:
    """Return school IT of the first school."""
    visitor = Visitor(app)
    visitor.sign_in("it")
    return visitor


def made(world: World, visitor: Visitor, **form: str) -> tuple[int, str]:
    """Make a ticket on the pages; returns its number and code."""
    address = f"/enrolment/new?school_id={world.school.id}&in=class-{world.own_class.id}"
    answer = visitor.post(address, page=address, **{"number": "28", "days": "7", "who": "ask", **form})
    assert answer.status_code == 200, answer.text
    code = CODE.search(answer.text)
    number = re.search(r"/enrolment/(\d+)/sheet", answer.text)
    assert code is not None
    assert number is not None
    return int(number[1]), code[1]


def comes(app: Flask, code: str, serial: str, *, key: str | None = None) -> Enrolled | Refused:
    with app.app_context(), transaction():
        asked = request(code, serial, key=key) if key is not None else request(code, serial)
        return enrolment.enrol(asked, now=clock.now())


def test_a_school_is_chosen_then_a_place_then_the_code_is_on_the_screen(world: World, app: Flask) -> None:
    admin = Visitor(app)
    admin.sign_in("admin")
    schools = admin.get("/enrolment/new").text
    assert f"/enrolment/new?school_id={world.school.id}" in schools
    places = admin.get(f"/enrolment/new?school_id={world.school.id}").text
    for told in ("in=school", f"in=class-{world.own_class.id}", "in=cart-"):
        assert told in places
    number, code = made(world, admin)
    with app.app_context():
        ticket = tickets.get(number, by=Principal.command_line())
        assert (ticket.class_id, ticket.max_enrolments, ticket.asks, ticket.listed_only) == (
            world.own_class.id, 28, True, False,
        )  # fmt: skip
        assert codes.normalise(code)[-4:] == ticket.code_tail
    assert code not in admin.get(f"/enrolment/{number}").text


def test_a_form_that_is_sent_twice_makes_one_ticket_and_says_that_its_code_was_shown(
    world: World, staff: Visitor, app: Flask
) -> None:
    address = f"/enrolment/new?school_id={world.school.id}&in=school"
    wish = re.search(r'name="request_id" value="([^"]+)"', staff.get(address).text)
    assert wish is not None
    form = {"number": "3", "days": "1", "who": "all", "request_id": wish[1]}
    first = staff.post(address, page=address, **form)
    number = re.search(r"/enrolment/(\d+)/sheet", first.text)
    assert number is not None
    again = staff.post(address, page=address, **form)
    assert (again.status_code, again.headers["Location"]) == (303, f"/enrolment/{number[1]}")
    assert "er laget allerede" in staff.get(again.headers["Location"]).text
    with app.app_context():
        assert len(tickets.listed(by=Principal.command_line())) == 1


def test_the_first_runs_form_makes_one_ticket_however_often_it_is_sent(world: World, app: Flask) -> None:
    admin = Visitor(app)
    admin.sign_in("admin")
    assert 'name="request_id"' in admin.get("/setup").text
    form = {"school_id": str(world.school.id), "request_id": "first-ticket"}
    assert CODE.search(admin.post("/setup/ticket", page="/setup", **form).text)
    again = admin.post("/setup/ticket", page="/setup", **form)
    assert re.fullmatch(r"/enrolment/\d+", again.headers["Location"])
    with app.app_context():
        assert len(tickets.listed(by=Principal.command_line())) == 1


def test_the_screen_shows_what_the_code_says_and_the_command_of_a_linux_tablet(world: World, staff: Visitor) -> None:
    address = f"/enrolment/new?school_id={world.school.id}&in=school"
    page = staff.post(address, page=address, number="1", days="1", who="all").text
    code = CODE.search(page)
    assert code is not None
    assert f"--qr 'http://fleet.test/enrol#{code[1]}'" in html.unescape(page)
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in page
    assert "style=" not in page


def test_who_may_look_after_one_school_only_is_not_asked_which(world: World, staff: Visitor) -> None:
    assert f"in=class-{world.own_class.id}" in staff.get("/enrolment/new").text


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"number": "0"}, "Si for hvor mange nettbrett"),
        ({"number": "x"}, "Si for hvor mange nettbrett"),
        ({"days": "date", "until": "2020-01-01"}, "Velg en slutt i framtiden"),
        ({"days": "date", "until": "snart"}, "Velg en slutt i framtiden"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    world: World, staff: Visitor, form: dict[str, str], told: str
) -> None:
    address = f"/enrolment/new?school_id={world.school.id}&in=cart-"
    answer = staff.post(
        address, page=address, **{"number": "7", "days": "7", "who": "listed", "cart": "Vogn 9", **form}
    )
    assert answer.status_code == 400
    assert told in answer.text
    assert 'value="Vogn 9"' in answer.text
    assert 'value="listed" checked' in answer.text


def test_a_new_cart_needs_a_name(world: World, staff: Visitor) -> None:
    address = f"/enrolment/new?school_id={world.school.id}&in=cart-"
    answer = staff.post(address, page=address, number="7", days="7", who="all", cart=" ")
    assert answer.status_code == 400
    assert 'id="cart-fault"' in answer.text


def test_a_ticket_is_good_to_the_end_of_the_day_that_is_named(world: World, staff: Visitor, app: Flask) -> None:
    on = (clock.now() + timedelta(days=10)).date()
    number, _code = made(world, staff, days="date", until=on.isoformat())
    with app.app_context():
        ends = tickets.get(number, by=Principal.command_line()).expires_at
    assert timedelta(days=9) < ends - clock.now() < timedelta(days=11, hours=3)


def test_tablets_appear_newest_first_with_how_far_they_are(world: World, staff: Visitor, app: Flask) -> None:
    number, code = made(world, staff, who="all")
    for serial in ("FIRST1", "SECOND1", "THIRD1"):
        assert isinstance(comes(app, code, serial), Enrolled)
    with app.app_context(), transaction():
        done = db.session.query(Device).filter_by(serial="FIRST1").one()
        factories.told(done, at=clock.now() + timedelta(seconds=1), applied=done.state.desired_digest)
        on_its_way = db.session.query(Device).filter_by(serial="SECOND1").one()
        on_its_way.state.fetched_at = clock.now() + timedelta(seconds=1)
    page = words(staff.refresh(f"/enrolment/{number}").text)
    assert "3 av 28 nettbrett er kommet inn" in page
    assert page.index("THIRD1") < page.index("SECOND1") < page.index("FIRST1")
    for told in (
        "FIRST1 Prøvebrett 1 8B Har profilen sin",
        "SECOND1 Prøvebrett 1 8B Har hentet profilen",
        "THIRD1 Prøvebrett 1 8B Registrert",
    ):
        assert told in page


def test_one_that_waits_shows_its_match_code_and_is_let_in_or_turned_away(
    world: World, staff: Visitor, app: Flask
) -> None:
    number, code = made(world, staff)
    for serial, key in (("NEW1", "k1"), ("NEW2", "k2")):
        comes(app, code, serial, key=key)
    page = staff.refresh(f"/enrolment/{number}")
    assert codes.match_code("k1") in page.text
    assert "Venter på godkjenning 2" in words(page.text)
    ids, page_of_it = asking(page.text), f"/enrolment/{number}"
    for act, serial, to in (("approve", "NEW1", DeviceLife.ENROLLED), ("decline", "NEW2", DeviceLife.RETIRED)):
        answer = staff.post("/enrolment/decide", page=page_of_it, act=act, enrolment_id=ids[serial], next=page_of_it)
        assert (answer.status_code, answer.headers["Location"]) == (303, page_of_it)
        assert lives(app)[serial] is to
    again = staff.post("/enrolment/decide", page=page_of_it, act="approve", enrolment_id=ids["NEW1"], next=page_of_it)
    assert "Noen andre har bestemt" in staff.get(again.headers["Location"]).text


def asking(page: str) -> dict[str, str]:
    """Return the enrolments that a page asks about, by serial."""
    return {
        serial: number for number, serial in re.findall(r'id="asking-(\d+)".*?href="/tablets/([^"]+)"', page, re.DOTALL)
    }


def lives(app: Flask) -> dict[str, DeviceLife]:
    with app.app_context():
        return {one.serial: one.life for one in db.session.query(Device)}


def test_a_key_that_nobody_compared_is_not_let_in_by_an_old_page(world: World, staff: Visitor, app: Flask) -> None:
    number, code = made(world, staff)
    for serial in ("NEW1", "NEW2"):
        comes(app, code, serial, key=f"first-{serial}")
    seen = asking(staff.get(f"/enrolment/{number}").text)
    comes(app, code, "NEW1", key="second")
    answer = staff.post("/enrolment/decide", page="/enrolment", act="approve", enrolment_id=list(seen.values()))
    told = words(staff.get(answer.headers["Location"]).text)
    assert "1 nettbrett er godkjent." in told
    assert "1 nettbrett er registrert på nytt og har en annen kontrollkode nå." in told
    assert (lives(app)["NEW1"], lives(app)["NEW2"]) == (DeviceLife.PENDING, DeviceLife.ENROLLED)


@pytest.mark.parametrize("form", [{}, {"act": ""}, {"act": "Approve"}])
def test_a_form_that_names_no_deed_turns_nobody_away(
    world: World, staff: Visitor, app: Flask, form: dict[str, str]
) -> None:
    number, code = made(world, staff)
    comes(app, code, "NEW1")
    seen = asking(staff.get(f"/enrolment/{number}").text)
    answer = staff.post("/enrolment/decide", page="/enrolment", enrolment_id=seen["NEW1"], **form)
    assert answer.status_code == 400
    assert lives(app)["NEW1"] is DeviceLife.PENDING


def test_the_living_part_says_what_was_decided_once(world: World, staff: Visitor, app: Flask) -> None:
    number, code = made(world, staff)
    comes(app, code, "NEW1")
    page_of_it = f"/enrolment/{number}"
    seen = asking(staff.get(page_of_it).text)
    staff.post("/enrolment/decide", page=page_of_it, act="approve", enrolment_id=seen["NEW1"], next=page_of_it)
    told = staff.refresh(page_of_it).text
    assert "1 nettbrett er godkjent." in told.split('hx-swap-oob="innerHTML:#decided"')[1]
    assert "hx-swap-oob" not in staff.refresh(page_of_it).text
    for path in (page_of_it, "/enrolment"):
        assert 'id="decided" role="status"' in staff.get(path).text


def test_whose_a_tablet_is_that_has_gone_to_another_school_is_not_told(
    world: World, staff: Visitor, app: Flask
) -> None:
    number, code = made(world, staff, who="all")
    comes(app, code, "GONE1")
    with app.app_context(), transaction():
        other = db.session.get_one(School, world.other_school.id)
        pupil = factories.pupil(other)
        pupil.family_name = "Hemmelig"
        gone = db.session.query(Device).filter_by(serial="GONE1").one()
        life.move(gone, school=other, person=pupil, by=Principal.command_line(), now=clock.now())
    assert staff.get("/tablets/GONE1").status_code == 404
    page = staff.refresh(f"/enrolment/{number}").text
    assert re.search("GONE1 Prøvebrett 1 . Er på en annen skole nå", words(page))
    assert "/tablets/GONE1" not in page
    assert "Hemmelig" not in page
    admin = Visitor(app)
    admin.sign_in("admin")
    assert "Hemmelig" in admin.refresh(f"/enrolment/{number}").text


def test_numbers_of_a_ticket_are_right_beyond_what_its_lists_show(world: World, staff: Visitor, app: Flask) -> None:
    number, code = made(world, staff, number="600")
    with app.app_context(), transaction():
        ticket = db.session.get_one(Ticket, number)
        school = db.session.get_one(School, world.school.id)
        come = factories.tablets(school, 450)
        for life_of_it, ones in ((DeviceLife.PENDING, come[:70]), (DeviceLife.ENROLLED, come[70:])):
            for one in ones:
                one.life = life_of_it
                factories.enrolment(one, at=clock.now(), key=f"k{one.id}").ticket_id = number
        ticket.used_count = 450
        for one in factories.tablets(school, 420, of_class=db.session.get_one(SchoolClass, world.own_class.id)):
            one.life, one.listed_at = DeviceLife.EXPECTED, clock.now()
    answer = staff.get(f"/enrolment/{number}")
    told = words(answer.text)
    for said in (
        "450 av 600 nettbrett er kommet inn", "380 henter profilen sin", "70 venter på godkjenning",
        "150 ledige plasser", "Venter på godkjenning 70", "av 380",
        "420 nettbrett på leveringslisten er ikke kommet ennå",
    ):  # fmt: skip
        assert said in told, said
    assert len(answer.data) < 150_000
    assert comes(app, code, "ONE-MORE")


def test_school_it_decides_about_own_schools_tablets_only(world: World, staff: Visitor, app: Flask) -> None:
    with app.app_context(), transaction():
        other = db.session.get_one(School, world.other_school.id)
        waiting = factories.device(other, serial="FAR1", life=DeviceLife.PENDING)
        device_id, enrolment_id = waiting.id, factories.enrolment(waiting, at=clock.now(), key="far").id
    assert "FAR1" not in staff.get("/enrolment").text
    staff.post("/enrolment/decide", page="/enrolment", act="approve", enrolment_id=str(enrolment_id))
    with app.app_context():
        assert db.session.get_one(Device, device_id).life is DeviceLife.PENDING


def test_one_that_is_refused_stands_there_with_why_and_what_to_do_until_it_comes_in(
    world: World, staff: Visitor, app: Flask
) -> None:
    number, code = made(world, staff, who="listed")
    for _time in range(2):
        assert isinstance(comes(app, code, "STRANGE1"), Refused)
    assert isinstance(comes(app, code, "OTHER1"), Refused)
    page = words(staff.refresh(f"/enrolment/{number}").text)
    assert "STRANGE1 akkurat nå" in page
    assert "prøvde 2 ganger Det står ikke på leveringslisten." in page
    assert "OTHER1" in page
    with app.app_context(), transaction():
        school = db.session.get_one(School, world.school.id)
        factories.device(school, serial="STRANGE1", life=DeviceLife.EXPECTED, listed_at=clock.now())
    assert isinstance(comes(app, code, "STRANGE1"), Enrolled)
    assert (
        "Det står ikke på leveringslisten." not in words(staff.refresh(f"/enrolment/{number}").text).split("OTHER1")[0]
    )


def test_one_that_was_reset_and_asks_again_too_soon_stands_there_though_it_had_come_in(
    world: World, staff: Visitor, app: Flask
) -> None:
    number, code = made(world, staff)
    assert isinstance(comes(app, code, "RESET1"), Enrolled)
    with app.app_context(), transaction():
        device = db.session.scalars(select(Device).where(Device.serial == "RESET1")).one()
        device.state.last_seen_at = clock.now()
    assert isinstance(comes(app, code, "RESET1", key="after"), Refused)
    page = words(staff.refresh(f"/enrolment/{number}").text)
    assert "Et nettbrett med dette serienummeret" in page
    with app.app_context(), transaction():
        device = db.session.scalars(select(Device).where(Device.serial == "RESET1")).one()
        device.state.last_seen_at = clock.now() - timedelta(hours=1)
    _other, another = made(world, staff)
    assert isinstance(comes(app, another, "RESET1", key="after"), Enrolled)
    assert "Et nettbrett med dette serienummeret" not in words(staff.refresh(f"/enrolment/{number}").text)


def test_those_that_have_not_come_are_listed(world: World, staff: Visitor, app: Flask) -> None:
    with app.app_context(), transaction():
        school = db.session.get_one(School, world.school.id)
        factories.device(
            school, serial="LATE1", life=DeviceLife.EXPECTED, listed_at=clock.now(), class_id=world.own_class.id
        )
        factories.device(school, serial="ELSE1", life=DeviceLife.EXPECTED, listed_at=clock.now())
    number, _code = made(world, staff)
    page = staff.get(f"/enrolment/{number}").text
    assert "LATE1" in page
    assert "ELSE1" not in page


def test_sheets_are_printed_with_the_code_and_without_it_not(world: World, staff: Visitor) -> None:
    number, code = made(world, staff)
    one = staff.post(f"/enrolment/{number}/sheet", code=code)
    cards = staff.post(f"/enrolment/{number}/sheet", code=code, form="cards")
    for answer in (one, cards):
        assert answer.data.startswith(b"%PDF-")
        assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/pdf", "no-store")
    assert one.data != cards.data
    for wrong in ("", "ABCD", codes.shown(codes.make())):
        answer = staff.post(f"/enrolment/{number}/sheet", code=wrong)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/enrolment/{number}")


def test_a_ticket_is_revoked_and_stands_among_the_ended_ones(world: World, staff: Visitor, app: Flask) -> None:
    number, code = made(world, staff)
    assert staff.post(f"/enrolment/{number}/revoke").status_code == 303
    assert staff.post(f"/enrolment/{number}/revoke").status_code == 303
    listed = staff.get("/enrolment").text
    assert listed.index(f'id="ticket-{number}"') > listed.index('id="ended-title"')
    assert isinstance(comes(app, code, "NEW1"), Refused)


def test_pages_ask_the_database_a_bounded_number_of_times(
    world: World, staff: Visitor, app: Flask, statements: list[str]
) -> None:
    number, code = made(world, staff, number="500")
    counts: dict[str, list[int]] = {}
    for round_ in range(2):
        for path in ("/enrolment", f"/enrolment/{number}", f"/enrolment/new?school_id={world.school.id}"):
            statements.clear()
            assert staff.get(path).status_code == 200
            counts.setdefault(path, []).append(len(statements))
        for serial in range(12 if round_ == 0 else 0):
            comes(app, code, f"MANY{serial}")
    for path, (few, many) in counts.items():
        assert few == many <= 15, path
