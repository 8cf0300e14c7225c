"""The list of tablets: who finds what, what is done with those that are chosen, and the way back."""

import csv
import io
import re
from datetime import timedelta

import pytest
from flask import Flask

from fleet import clock
from fleet.compliance.models import FindingKind
from fleet.db import db, transaction
from fleet.devices import bulk
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.orders import Order, OrderState
from fleet.schools.models import Municipality
from fleet.web import tablets as tablets_page
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.lessons import OSLO
from tests.visiting import Visitor, World, visit

REASON = "Nettbrettet er solgt videre"
TOO_LATE = "Det er for sent å angre dette, eller det er alt angret."


@pytest.fixture
def world(app: Flask) -> World:
    """Return the small municipality, its tablets with open enrolments, so that they can be ordered."""
    made = visiting.build(app)
    with app.app_context(), transaction():
        for one, channel in ((made.tablet, "apple"), (made.next_tablet, "native"), (made.other_tablet, "apple")):
            db.session.add(Enrolment(device_id=one.id, channel=channel, enrolled_at=clock.now() - timedelta(days=1)))
    return made


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    return visit(app, "admin")


def serials(page: str) -> set[str]:
    return set(re.findall(r'<tr id="tablet-\d+">.*?<a [^>]*href="/tablets/([^"/]+)"', page, re.DOTALL))


ALL = {"OWN1", "NEXT1", "LATE1", "QUIET1", "NEW1", "LOST1", "WAITS1", "OTHER1"}


def add_one_in_each_state(app: Flask, world: World) -> None:
    """Give the school a tablet that is new, waits for approval, is lost, retired, long not heard from, and late."""
    with app.app_context(), transaction():
        for serial, life in (
            ("NEW1", DeviceLife.EXPECTED), ("LOST1", DeviceLife.LOST), ("GONE1", DeviceLife.RETIRED), ("WAITS1", DeviceLife.PENDING),
        ):  # fmt: skip
            factories.device(world.school, serial=serial, life=life)
        quiet = factories.device(world.school, serial="QUIET1")
        factories.told(quiet, at=clock.now() - timedelta(days=2), applied=factories.shall_have(quiet))
        late = factories.device(world.school, serial="LATE1")
        factories.shall_have(late)
        factories.told(late, at=clock.now() - timedelta(hours=2), applied="0" * 64)
        late.state.facts = {"flags": {"supervised": False}, "app_states": {"no.school.map": {"state": "coming"}}}
        quiet.state.facts = {"flags": {"supervised": True}, "app_states": {}}
        db.session.merge(world.next_tablet).state.failures = [{"key": "camera.allowed", "reason": "rejected"}]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ALL), ("state=retired", {"GONE1"}), ("q=gone", set()), ("q=own", {"OWN1"}), ("q=tag-own", {"OWN1"}), ("q=VEBRETT", {"OWN1"}),
        ("q=elev+8b", {"OWN1"}), ("q=9a", {"NEXT1"}), ("q=%25", set()), ("q=nothing", set()), ("state=findings", {"OWN1"}), ("state=waiting", {"LATE1"}),
        ("state=failed", {"NEXT1"}), ("state=quiet", {"QUIET1"}), ("state=hour", {"OWN1", "NEXT1", "OTHER1"}), ("state=pending", {"WAITS1"}),
        ("state=day", {"OWN1", "NEXT1", "OTHER1", "LATE1"}), ("state=expected", {"NEW1"}), ("state=lost", {"LOST1"}), ("state=lesson", set()),
        ("state=unsupervised", {"LATE1"}), ("state=apps", {"LATE1"}), ("state=apps&app=no.school.map", {"LATE1"}), ("state=apps&app=no.school.x", set()),
        ("app=no.school.x", ALL),
        ("state=enrolled", {"OWN1", "NEXT1", "OTHER1", "LATE1", "QUIET1"}), ("class={own}", {"OWN1"}), ("school={other}", {"OTHER1"}),
        ("platform=linux", set()), ("state=nonsense&class=x&page=-1&size=7&sort=secret&platform=x", ALL), ("page=999", ALL), ("sort=-seen", ALL),
    ],
)  # fmt: skip
def test_filter_in_the_address_narrows_the_list_and_the_file_alike(
    app: Flask, world: World, admin: Visitor, query: str, shown: set[str]
) -> None:
    add_one_in_each_state(app, world)
    query = query.format(own=world.own_class.id, other=world.other_school.id)
    assert serials(admin.refresh(f"/tablets?{query}").text) == shown
    lines = admin.get(f"/tablets.csv?{query}").text.splitlines()[1:]
    assert {line.partition(";")[0] for line in lines} == shown


@pytest.mark.parametrize(
    ("username", "shown"),
    [
        ("admin", {"OWN1", "NEXT1", "OTHER1"}), ("it", {"OWN1", "NEXT1"}), ("other-it", {"OTHER1"}), ("teacher", {"OWN1"}),
        ("next-teacher", {"NEXT1"}), ("nobody", set()),
    ],
)  # fmt: skip
def test_everybody_finds_their_own_tablets_only_and_only_who_may_is_offered_to_act(
    app: Flask, world: World, username: str, shown: set[str]
) -> None:
    visitor = visit(app, username)
    for query in ("", "?q=1", "?school={w.other_school.id}&class={w.next_class.id}"):
        page = visitor.get(f"/tablets{query.format(w=world)}").text
        assert serials(page) <= shown
        assert (query != "") or serials(page) == shown
        assert ('name="act"' in page) == (bool(serials(page)) and username in {"admin", "it", "other-it"})


def test_file_is_as_a_norwegian_spreadsheet_reads_it(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        device = db.session.get_one(Device, world.tablet.id)
        assert device.person is not None
        device.model, device.person.username = "=1+1", "elev.prove"
        device.state.facts, device.state.storage_free_bytes = {"os_version": "18.4"}, 61_300_000_000
        name = f"{device.person.given_name} {device.person.family_name}"
    answer = admin.get(f"/tablets.csv?q=own&class={world.own_class.id}")
    assert answer.mimetype == "text/csv"
    (row,) = csv.DictReader(io.StringIO(answer.get_data().decode("utf-8-sig")), delimiter=";")
    assert row["Elevens brukernavn"] == "elev.prove"
    assert name not in answer.get_data().decode("utf-8-sig")
    assert (row["Modell"], row["Versjon"], row["Ledig lagring"]) == ("'=1+1", "iPadOS 18.4", "61,3")
    today = clock.now().astimezone(OSLO).date()
    assert f'filename="nettbrett-8B-{today}.csv"' in answer.headers["Content-Disposition"]


def test_list_comes_in_pages_and_keeps_filter_order_and_size(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        factories.tablets(world.school, 120, of_class=world.own_class)
    address = f"/tablets?class={world.own_class.id}&q=sn&sort=serial"
    first = admin.get(address).text
    assert len(serials(first)) == 50
    assert "Side 1 av 3" in first
    assert f"?q=sn&amp;class={world.own_class.id}&amp;sort=serial&amp;page=2" in first
    assert f"?q=sn&amp;class={world.own_class.id}&amp;sort=-serial" in first  # the other way round
    assert 'aria-sort="ascending"' in first
    assert len(serials(admin.get(f"{address}&page=3").text)) == 20
    assert len(serials(admin.get(f"{address}&size=100").text)) == 100
    assert serials(admin.get(f"{address}&page=99").text) == serials(admin.get(f"{address}&page=3").text)


# -- actions -----------------------------------------------------------------------------------------------------------


def choose(visitor: Visitor, act: str, *devices: Device, **form: str) -> str:
    """Choose tablets in the list and look at what an action would come to."""
    ids = [str(one.id) for one in devices]
    answer = visitor.post("/tablet-actions", page="/tablets", act=act, id=ids, filter="/tablets?q=1", **form)
    assert answer.status_code == 200
    return answer.text


def do(visitor: Visitor, act: str, *devices: Device, follow: bool = True, **form: str) -> tuple[int, str]:
    """Do an action with tablets; returns the status and the words of the page one comes to."""
    ids = ".".join(str(one.id) for one in devices)
    answer = visitor.post(f"/tablet-actions/{act}", page="/tablets", ids=ids, back="/tablets", **form)
    if answer.status_code == 303 and follow:
        return 303, visitor.get(answer.location).text
    return answer.status_code, answer.text


def undo(visitor: Visitor, page: str) -> str:
    """Press the button of the notice; returns the next page."""
    found = re.search(r'<form method="post" action="([^"]+(?:undo|withdraw)[^"]*)"', page)
    assert found is not None
    answer = visitor.post(found[1], page="/tablets")
    assert answer.status_code == 303
    return visitor.get(answer.location).text


def states(app: Flask) -> list[OrderState]:
    with app.app_context():
        return [one.state for one in db.session.query(Order).order_by(Order.id)]


def test_preview_of_a_wipe_says_who_is_wiped_in_a_lesson_unheard_and_left_out(
    app: Flask, world: World, admin: Visitor
) -> None:
    with app.app_context(), transaction():
        unheard = factories.enrolled(db.session.merge(world.school), channel="apple", serial="SLEEPS1")
        gone = factories.device(db.session.merge(world.school), life=DeviceLife.RETIRED, serial="GONE1")
        db.session.flush()
        others = (unheard, gone)
        db.session.expunge_all()
    text = words(choose(admin, "wipe", world.tablet, world.next_tablet, world.other_tablet, *others))
    for told in (
        "Slett 3 nettbrett",
        "1 er ikke hørt fra på 3 dager.",
        "En annen person må si ja før noe skjer.",
        "Utelatt: 1 kan ikke utføre det. NEXT1",
        "Utelatt: 1 er ikke i en tilstand der dette kan gjøres. GONE1",
    ):
        assert told in text
    assert states(app) == []  # a preview does nothing


def test_wipe_needs_the_typed_number_and_a_reason_and_waits_for_another_person(
    app: Flask, world: World, admin: Visitor
) -> None:
    tablets = (world.tablet, world.other_tablet)
    status, page = do(admin, "wipe", *tablets, reason=REASON, confirm="1")
    assert (status, states(app)) == (400, [])
    assert "Skriv tallet 2 for å bekrefte." in page
    assert REASON in page  # what was typed is kept
    status, page = do(admin, "wipe", *tablets, reason="kort", confirm="2")
    assert (status, states(app)) == (400, [])
    assert "Skriv hvorfor" in page
    status, page = do(admin, "wipe", *tablets, reason=REASON, confirm="2")
    assert (status, states(app)) == (303, [OrderState.ASKED] * 2)
    assert "De venter på ja fra en annen person." in words(page)
    undo(admin, page)
    assert states(app) == [OrderState.WITHDRAWN] * 2


def test_message_goes_to_all_that_match_and_can_be_taken_back(app: Flask, world: World, admin: Visitor) -> None:
    page = choose(admin, "message", all="yes")
    assert "Vis en melding på 1 nettbrett" in words(page)
    found = re.search(r'name="ids" value="([^"]+)"', page)
    assert found is not None
    answer = admin.post("/tablet-actions/message", page="/tablets", ids=found[1], back="/tablets?q=1", text="Hei")
    assert answer.location == "/tablets?q=1"
    told = admin.get(answer.location).text
    assert "Ordren er lagt i kø for 1 nettbrett. Utelatt: 2 kan ikke utføre det." in words(told)
    assert "1 ordre er trukket tilbake." in words(undo(admin, told))
    assert states(app) == [OrderState.WITHDRAWN]


def test_moved_tablets_go_back_with_one_press(app: Flask, world: World, admin: Visitor) -> None:
    assert "Velg hvor" in words(do(admin, "move", world.tablet, place="")[1])
    status, page = do(admin, "move", world.tablet, world.next_tablet, place=f"class:{world.next_class.id}")
    assert status == 303
    assert "1 nettbrett er flyttet. Utelatt: 1 er der allerede." in words(page)
    with app.app_context():
        assert db.session.get_one(Device, world.tablet.id).class_id == world.next_class.id
    assert "1 nettbrett er tilbake der det var." in words(undo(admin, page))
    with app.app_context():
        moved = db.session.get_one(Device, world.tablet.id)
        assert (moved.class_id, moved.person_id) == (None, world.tablet.person_id)


@pytest.mark.parametrize(
    ("act", "life", "again"),
    [("lost", DeviceLife.LOST, DeviceLife.ENROLLED), ("retire", DeviceLife.RETIRED, DeviceLife.EXPECTED)],
)
def test_lost_ipads_are_in_use_and_retired_ones_expected_again_with_one_press(
    app: Flask, world: World, admin: Visitor, act: str, life: DeviceLife, again: DeviceLife
) -> None:
    status, page = do(admin, act, world.tablet)
    assert status == 303
    with app.app_context():
        assert db.session.get_one(Device, world.tablet.id).life is life
    undo(admin, page)
    with app.app_context():
        assert db.session.get_one(Device, world.tablet.id).life is again


def test_school_it_acts_on_the_own_schools_tablets_only_whatever_the_form_says(app: Flask, world: World) -> None:
    visitor = visit(app, "other-it")
    assert "Ingen nettbrett er valgt." in words(choose(visitor, "ring", world.tablet))
    do(visitor, "lost", world.tablet, world.other_tablet)
    with app.app_context():
        assert db.session.get_one(Device, world.tablet.id).life is DeviceLife.ENROLLED
        assert db.session.get_one(Device, world.other_tablet.id).life is DeviceLife.LOST
    assert do(visitor, "move", world.other_tablet, place=f"school:{world.school.id}")[0] == 404


@pytest.mark.parametrize(("act", "says"), [("lost", "Funnet igjen"), ("retire", "Ta i bruk igjen")])
def test_way_back_that_ends_in_a_new_enrolment_is_called_no_undo(
    world: World, admin: Visitor, act: str, says: str
) -> None:
    notice = do(admin, act, world.tablet)[1].partition('class="ds-alert notice"')[2].partition("</form>")[0]
    assert says in words(notice)
    assert "må registreres på nytt med en billett" in words(notice)
    assert "Angre" not in notice


def test_more_tablets_than_can_be_chosen_at_once_are_refused_and_none_is_left_out_of_the_file(
    app: Flask, world: World, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST", 2)
    everything = {"page": "/tablets", "act": "ring", "filter": "/tablets", "all": "yes"}
    answer = admin.post("/tablet-actions", **everything)
    assert answer.status_code == 400
    assert "høyst 2" in words(answer.text)
    assert 'name="ids"' not in answer.text
    three = [str(one.id) for one in (world.tablet, world.next_tablet, world.other_tablet)]
    assert admin.post("/tablet-actions/lost", page="/tablets", ids=".".join(three), back="/tablets").status_code == 400
    monkeypatch.setattr(tablets_page, "_FILE_PAGE", 2)
    lines = admin.get("/tablets.csv?sort=-serial").text.splitlines()[1:]
    assert [line.partition(";")[0] for line in lines] == ["OWN1", "OTHER1", "NEXT1"]
    assert {one.life for one in (world.tablet, world.next_tablet)} == {DeviceLife.ENROLLED}


def test_undo_is_its_doers_alone(app: Flask, world: World, admin: Visitor) -> None:
    _status, page = do(admin, "lost", world.tablet)
    found = re.search(r'action="(/tablet-actions/undo/[^"]+)"', page)
    assert found is not None
    other = visit(app, "it")
    assert other.post(found[1], page="/tablets").status_code == 303
    assert TOO_LATE in words(other.get("/tablets").text)
    with app.app_context():
        assert db.session.get_one(Device, world.tablet.id).life is DeviceLife.LOST


def test_undo_says_which_tablets_stay_and_the_second_press_that_it_is_done(
    app: Flask, world: World, admin: Visitor
) -> None:
    both = (world.tablet, world.next_tablet)
    _status, page = do(admin, "move", *both, place=f"school:{world.other_school.id}")
    found = re.search(r'action="(/tablet-actions/undo/[^"]+)"', page)
    assert found is not None
    with app.app_context(), transaction():
        db.session.get_one(Device, world.tablet.id).cart = "Vogn 7"
    stays = "1 nettbrett blir der det er: Det er flyttet etterpå, eller det gamle stedet finnes ikke lenger."
    for told in (f"1 nettbrett er tilbake der det var. {stays}", TOO_LATE):
        answer = admin.post(found[1], page="/tablets")
        assert (answer.status_code, answer.location) == (303, "/tablets")
        assert told in words(admin.get(answer.location).text)
    do(admin, "lost", world.tablet)
    _status, page = do(admin, "retire", world.next_tablet)
    found = re.search(r'action="(/tablet-actions/undo/[^"]+)"', page)
    assert found is not None
    with app.app_context(), transaction():
        db.session.get_one(Device, world.next_tablet.id).life = DeviceLife.ENROLLED
    answer = admin.post(found[1], page="/tablets")
    assert "1 nettbrett blir som det er: Det er endret etterpå." in words(admin.get(answer.location).text)


# -- orders ------------------------------------------------------------------------------------------------------------


def test_another_person_says_yes_and_is_named_beside_who_asked(app: Flask, world: World, admin: Visitor) -> None:
    do(admin, "wipe", world.tablet, reason=REASON, confirm="1")
    with app.app_context():
        order_id = db.session.query(Order).one().id
    assert "Prøve admin" in words(admin.get("/orders").text)
    assert f"/orders/{order_id}/approve" not in admin.get("/orders").text  # not who asked
    answer = admin.post(f"/orders/{order_id}/approve", page="/orders")
    assert "Du ba om dette selv." in words(admin.get(answer.location).text)
    other = visit(app, "it")
    assert f"/orders/{order_id}/approve" in other.get("/orders?state=asked").text
    other.post(f"/orders/{order_id}/approve", page="/orders", back="/orders?state=open")
    page = words(other.get("/orders").text)
    assert "besvart av Prøve it" in page
    assert states(app) == [OrderState.QUEUED]
    other.post(f"/orders/{order_id}/withdraw", page="/orders")
    assert states(app) == [OrderState.WITHDRAWN]
    answer = other.post(f"/orders/{order_id}/withdraw", page="/orders")
    assert "Ordren er avsluttet i mellomtiden" in words(other.get(answer.location).text)


def test_orders_narrow_by_state_kind_and_school(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        db.session.add(Municipality(id=1, name="Prøvekommunen", second_person=False))
    do(admin, "wipe", world.tablet, reason=REASON, confirm="1")
    do(admin, "ring", world.next_tablet)
    do(admin, "lock-message", world.other_tablet, text="Ta kontakt med skolen")

    def shown(query: str) -> set[str]:
        return set(re.findall(r'<tr id="order-\d+">\s*<th scope="row"><a [^>]*>([^<]+)<', admin.get(query).text))

    assert shown("/orders") == {"OWN1", "NEXT1", "OTHER1"}
    assert shown("/orders?kind=ring") == {"NEXT1"}
    assert shown(f"/orders?school={world.other_school.id}") == {"OTHER1"}
    assert shown("/orders?state=done") == set()
    assert shown("/orders?state=queued&kind=wipe") == {"OWN1"}


@pytest.mark.parametrize("path", ["/tablets", "/tablets?q=elev+8b&sort=class", "/orders", "/tablet-actions/ring?id=1"])
def test_page_asks_the_database_as_often_for_many_as_for_few(
    app: Flask, world: World, admin: Visitor, statements: list[str], path: str
) -> None:
    do(admin, "ring", world.next_tablet)
    counts = []
    for _round in range(2):
        statements.clear()
        assert admin.get(path).status_code == 200
        counts.append(len(statements))
        with app.app_context(), transaction():
            school, of = db.session.merge(world.school), db.session.merge(world.own_class)
            for device in factories.tablets(school, 30, of_class=of):
                visiting.finding(device, FindingKind.OS_OUTDATED)
            for _number in range(5):
                pupil = factories.pupil(school)
                factories.membership(pupil, of)
                factories.enrolled(factories.school(), person=pupil)
    assert counts[0] == counts[1] <= 15
