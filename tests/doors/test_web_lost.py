"""Pages of lost iPads and of the orders that only iPads have: what the forms ask for, refuse, and have done."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from fleet import clock, orders
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.orders import Order, OrderKind, OrderState, Wish
from fleet.schools import deciding
from fleet.schools.queries import ensure_municipality
from tests import factories, visiting
from tests.visiting import Visitor, World, visit

OSLO = ZoneInfo("Europe/Oslo")
REASON = "lå igjen på bussen"


@pytest.fixture
def world(app: Flask) -> World:
    made = visiting.build(app)
    with app.app_context(), transaction():
        for one, channel in ((made.tablet, "apple"), (made.next_tablet, "native"), (made.other_tablet, "apple")):
            db.session.add(Enrolment(device_id=one.id, channel=channel, enrolled_at=clock.now() - timedelta(days=1)))
        ensure_municipality("Kjenn")
        deciding.set_second_person(needed=False, by=Principal.command_line(), now=clock.now())
    return made


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    return visit(app, "admin")


def do(visitor: Visitor, act: str, *devices: Device, **form: str) -> tuple[int, str]:
    ids = ".".join(str(one.id) for one in devices)
    answer = visitor.post(f"/tablet-actions/{act}", page="/tablets", ids=ids, back="/tablets", **form)
    return answer.status_code, answer.text


def newest(app: Flask) -> Order:
    with app.app_context():
        return db.session.query(Order).order_by(Order.id.desc()).first() or pytest.fail("no order")


def test_what_a_lost_ipads_screen_says_is_asked_for_kept_and_shown(app: Flask, world: World, admin: Visitor) -> None:
    form = admin.get(f"/tablet-actions/lost?id={world.tablet.id}").text
    assert 'name="message"' in form
    assert f'placeholder="Belongs to {world.school.name}' in form or world.school.name in form
    assert do(admin, "lost", world.tablet, message="Tilhører skolen", phone="+47 22 33 44 55")[0] == 303
    with app.app_context():
        device = db.session.get_one(Device, world.tablet.id)
        assert (device.life, device.lost_message, device.lost_phone) == (
            DeviceLife.LOST, "Tilhører skolen", "+47 22 33 44 55",
        )  # fmt: skip
    page = admin.get(f"/tablets/{world.tablet.serial}").text
    assert "Tilhører skolen · +47 22 33 44 55" in page
    for name in ("locate", "ring", "wipe", "found"):
        assert f"/tablet-actions/{name}?" in page
    for name in ("restart", "shut-down", "lost"):
        assert f"/tablet-actions/{name}?" not in page


@pytest.mark.parametrize(("field", "told"), [("message", "x" * 256), ("phone", "ring meg")])
def test_what_cannot_stand_on_the_screen_is_said_at_its_field(
    app: Flask, world: World, admin: Visitor, field: str, told: str
) -> None:
    status, page = do(admin, "lost", world.tablet, **{field: told})
    assert (status, f'id="{field}-fault"' in page) == (400, True)
    with app.app_context():
        assert db.session.get_one(Device, world.tablet.id).life is DeviceLife.ENROLLED


def test_without_words_the_channel_has_its_own(app: Flask, world: World, admin: Visitor) -> None:
    assert do(admin, "lost", world.tablet, message=" ", phone="")[0] == 303
    with app.app_context():
        assert db.session.get_one(Device, world.tablet.id).lost_message is None


def local(after: timedelta) -> str:
    return (clock.now() + after).astimezone(OSLO).strftime("%Y-%m-%dT%H:%M")


def test_a_new_system_is_wished_for_many_and_those_that_cannot_are_left_out(
    app: Flask, world: World, admin: Visitor
) -> None:
    form = admin.get(f"/tablet-actions/update-system?id={world.tablet.id}").text
    assert 'type="datetime-local"' in form
    deadline = local(timedelta(days=2))
    devices = (world.tablet, world.next_tablet, world.other_tablet)
    assert do(admin, "update-system", *devices, version="18.1", deadline=deadline)[0] == 303
    with app.app_context():
        found = db.session.query(Order).all()
        assert {one.device_id for one in found} == {world.tablet.id, world.other_tablet.id}
        assert {one.payload["deadline"] for one in found} == {deadline}
    assert "18.1" in admin.get("/orders").text
    for field, told in (("version", "iOS 18"), ("deadline", local(timedelta(days=-1))), ("deadline", "i morgen")):
        given = {"version": "18.1", "deadline": deadline, field: told}
        status, page = do(admin, "update-system", world.tablet, **given)
        assert (status, f'id="{field}-fault"' in page) == (400, True)


def test_an_ipad_is_turned_off_and_a_teacher_is_not_asked(app: Flask, world: World, admin: Visitor) -> None:
    assert do(admin, "shut-down", world.tablet)[0] == 303
    assert newest(app).kind is OrderKind.SHUT_DOWN
    assert do(visit(app, "teacher"), "shut-down", world.tablet)[0] == 403


@pytest.mark.parametrize("ticked", [True, False])
def test_a_wiped_ipad_comes_back_where_that_is_ticked(app: Flask, world: World, admin: Visitor, ticked: bool) -> None:
    assert 'name="come_back"' in admin.get(f"/tablet-actions/wipe?id={world.tablet.id}").text
    form = {"reason": REASON, "confirm": "1", **({"come_back": "yes"} if ticked else {})}
    assert do(admin, "wipe", world.tablet, **form)[0] == 303
    assert newest(app).payload == ({"come_back": True} if ticked else {})


def test_where_a_lost_tablet_was_is_shown_to_who_asks_and_each_look_is_noted(
    app: Flask, world: World, admin: Visitor
) -> None:
    do(admin, "lost", world.tablet)
    with app.app_context(), transaction():
        now = clock.now()
        device = db.session.get_one(Device, world.tablet.id)
        wish = Wish(OrderKind.LOCATE, reason=REASON)
        (order,) = orders.queue([device], wish, by=Principal.command_line(), now=now)
        told = {"latitude": 59.91, "longitude": 10.75, "accuracy_m": 12.4, "at": now.isoformat()}
        orders.finish(order.uid, device_id=device.id, state=OrderState.DONE, detail="", result=told, now=now)
        number = order.id
    address = f"/orders/{number}/location"
    assert address in admin.get(f"/tablets/{world.tablet.serial}/orders").text
    for name in ("teacher", "other-it"):
        visitor = visit(app, name)
        assert "59.91" not in visitor.get(f"/tablets/{world.tablet.serial}/orders").text
        assert visitor.post(address, page="/tablets").status_code == 404
    answer = admin.post(address, page="/tablets")
    assert answer.status_code == 200
    assert "59.91000, 10.75000" in answer.text
    assert 'rel="noreferrer"' in answer.text
    assert "https://www.openstreetmap.org/?mlat=59.910000" in answer.text
    assert "59.91" not in admin.get("/orders").text
    with app.app_context():
        assert len(factories.audited(action="orders.location-seen")) == 1


def test_one_that_is_not_supervised_is_said_to_stay_open_before_and_after(
    app: Flask, world: World, admin: Visitor
) -> None:
    with app.app_context(), transaction():
        device = db.session.get_one(Device, world.tablet.id)
        device.state.facts = {**(device.state.facts or {}), "flags": {"supervised": False}}
        device.state.key_thumbprint = device.state.key_thumbprint or "key-of-it"
    warned = admin.get(f"/tablet-actions/lost?id={world.tablet.id}").text
    assert f'<span class="named">{world.tablet.serial}</span>' in warned
    assert do(admin, "lost", world.tablet)[0] == 303
    page = admin.get(f"/tablets/{world.tablet.serial}", headers={"Accept-Language": "en"}).text
    assert "Cannot be closed: it is not supervised" in page
