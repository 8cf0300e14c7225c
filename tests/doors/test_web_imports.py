"""Imports on the pages: a plan before anything changes, the brake, faults by line, and undo."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from fleet import clock
from fleet.access import Role
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceLife
from fleet.schools.models import Person, School, SchoolClass
from tests import factories, rosters, visiting
from tests.doors.test_web_pages import visiting_text
from tests.visiting import Visitor, World


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in("admin")
    return visitor


def send(app: Flask, visitor: Visitor, kind: str, name: str, content: bytes) -> TestResponse:
    """Drop a file on the imports' page."""
    form: dict[str, Any] = {"csrf_token": visitor.token("/imports"), kind: (io.BytesIO(content), name)}
    with app.app_context():
        return visitor.client.post(f"/imports/{kind}", data=form)


def package(folder: Path, **given: Any) -> bytes:
    return rosters.zipped(folder / "elevliste.zip", rosters.one_roster(**given)).read_bytes()


def words(answer: TestResponse) -> str:
    return " ".join(visiting_text(answer.text).split())


def living(app: Flask, model: Any) -> int:
    with app.app_context():
        query = select(func.count()).select_from(model).where(model.ended_at.is_(None), model.source_id.is_not(None))
        return db.session.scalar(query) or 0


def use(visitor: Visitor, sent: TestResponse, **form: str) -> TestResponse:
    address = sent.headers["Location"]
    return visitor.post(address, page=address, **form)


def test_a_roster_is_looked_at_then_imported_then_taken_back(app: Flask, admin: Visitor, tmp_path: Path) -> None:
    sent = send(app, admin, "roster", "elevliste.zip", package(tmp_path, classes=2, pupils=3))
    assert sent.status_code == 303
    look = words(admin.get(sent.headers["Location"]))
    assert "elevliste.zip · Ingenting er endret ennå." in look
    assert "Klasser 0 2 0 0" in look
    assert "Prøveskole 1" in look
    assert living(app, School) == 0
    used = use(admin, sent)
    assert (used.status_code, used.headers["Location"]) == (303, "/imports")
    assert (living(app, School), living(app, SchoolClass), living(app, Person)) == (1, 2, 8)
    (address,) = set(undo_addresses(admin))
    assert admin.get(sent.headers["Location"]).status_code == 302  # the file is not kept once it was used
    admin.post(address)
    assert "Alt er som før." in admin.get("/imports").text
    assert living(app, School) == 0


def undo_addresses(visitor: Visitor) -> list[str]:
    """Return where the forms on the imports' page lead that take a roster back: of the notice, then of the list."""
    return re.findall(r'action="(/imports/roster/\d+/undo)"', visitor.get("/imports").text)


def test_undo_takes_back_the_own_roster_and_no_other(app: Flask, admin: Visitor, tmp_path: Path) -> None:
    use(admin, send(app, admin, "roster", "r2.zip", package(tmp_path, classes=2)))
    own = undo_addresses(admin)[0]
    with app.app_context(), transaction():
        factories.account("second", (Role.MUNICIPAL_ADMIN, None)).password_hash = visiting.password_hash()
    second = Visitor(app)
    second.sign_in("second")
    sent = send(app, second, "roster", "r4.zip", package(tmp_path, classes=4))
    use(second, sent)
    assert admin.post(own).status_code == 303
    assert "r4.zip er importert etter det. Bare den siste elevlisten kan angres." in words(admin.get("/imports"))
    assert living(app, SchoolClass) == 4
    use(admin, send(app, admin, "roster", "same.zip", package(tmp_path, classes=4)))
    assert "Elevlisten sier det samme som står her fra før. Ingenting er endret." in words(admin.get("/imports"))


def test_the_brake_says_how_much_and_opens_for_that_number_only(app: Flask, admin: Visitor, tmp_path: Path) -> None:
    use(admin, send(app, admin, "roster", "hel.zip", package(tmp_path, classes=10)))
    half = send(app, admin, "roster", "halv.zip", package(tmp_path, classes=5))
    look = words(admin.get(half.headers["Location"]))
    assert "Bremsen er på" in look
    assert "5 av 10 ville forsvinne (50" in look or "25 av 50 ville forsvinne (50" in look
    number = re.search(r"Skriv (\d+) for å gå videre", look)
    assert number is not None
    for typed in ("", "ja", "1"):
        refused = use(admin, half, confirmed=typed)
        assert refused.status_code == 409
        assert "Ingenting ble endret." in refused.text
    assert living(app, SchoolClass) == 10
    assert use(admin, half, confirmed=number[1]).status_code == 303
    assert living(app, SchoolClass) == 5


def test_what_changes_is_shown_as_it_was_and_as_it_comes(app: Flask, admin: Visitor, tmp_path: Path) -> None:
    files = rosters.one_roster(classes=2)
    use(admin, send(app, admin, "roster", "a.zip", rosters.zipped(tmp_path / "a.zip", files).read_bytes()))
    files["classes"][0]["title"] = "Nytt navn"
    sent = send(app, admin, "roster", "b.zip", rosters.zipped(tmp_path / "b.zip", files).read_bytes())
    page = admin.get(sent.headers["Location"]).text
    assert "<del>1A</del>" in page
    assert "<ins>Nytt navn</ins>" in page


def test_a_roster_in_use_is_not_taken_back(app: Flask, admin: Visitor, tmp_path: Path) -> None:
    use(admin, send(app, admin, "roster", "a.zip", package(tmp_path, classes=1)))
    with app.app_context(), transaction():
        factories.device(db.session.scalars(select(School).where(School.source_id.is_not(None))).one())
    admin.post(undo_addresses(admin)[0])
    assert "står på skolene eller i klassene den brakte med seg" in admin.get("/imports").text
    assert living(app, School) == 1


@pytest.mark.parametrize(
    ("kind", "name", "content", "told"),
    [
        ("roster", "x.zip", b"not a zip", "ingen zip-pakke"),
        ("delivery", "x.csv", b"serienummer;skole\r\nA;Pr\xf8veskolen\r\n", "ikke UTF-8"),
        ("delivery", "x.csv", "serienummer;skole\r\n1,2E+11;Prøveskolen\r\n".encode(), "x.csv, linje 2: Regnearket"),
        ("delivery", "x.csv", b"serienummer;skole\r\nAB1;Ukjentskolen\r\n", "x.csv, linje 2: "),
        ("delivery", "x.csv", b"modell\r\niPad\r\n", "mangler"),
    ],
)
def test_a_file_with_faults_says_where_and_what_to_do_and_takes_nothing(
    app: Flask, admin: Visitor, kind: str, name: str, content: bytes, told: str
) -> None:
    sent = send(app, admin, kind, name, content)
    for answer in (admin.get(sent.headers["Location"]), use(admin, sent)):
        assert answer.status_code == 400
        assert told in answer.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Device)) == 3


def test_a_delivery_list_is_looked_at_and_imported(app: Flask, admin: Visitor, world: World) -> None:
    sent = send(
        app, admin, "delivery", "liste.csv", "serienummer;skole;klasse;pris\r\nNY1;Prøveskolen;8B;9\r\n".encode()
    )
    look = words(admin.get(sent.headers["Location"]))
    assert "1 nytt nettbrett 0 endret 0 uendret" in look
    assert "Kolonner som ikke betyr noe her: pris" in look
    assert use(admin, sent).status_code == 303
    with app.app_context():
        device = db.session.scalars(select(Device).where(Device.serial == "NY1")).one()
        assert (device.life, device.class_id) == (DeviceLife.EXPECTED, world.own_class.id)
    assert "liste.csv" in admin.get("/imports").text


def test_tablets_in_use_are_moved_only_once_their_number_was_written(app: Flask, admin: Visitor, world: World) -> None:
    with app.app_context(), transaction():
        db.session.get_one(Device, world.next_tablet.id).listed_at = clock.now()
    sent = send(app, admin, "delivery", "gammel.csv", b"serienummer;skole\r\nNEXT1;Naboskolen\r\n")
    assert "ville flytte 1 nettbrett i bruk" in words(admin.get(sent.headers["Location"]))
    assert use(admin, sent).status_code == 409
    assert use(admin, sent, confirmed="1").status_code == 303
    with app.app_context():
        assert db.session.get_one(Device, world.next_tablet.id).school_id == world.other_school.id


def test_school_it_imports_for_own_school_and_sees_no_roster(app: Flask, world: World) -> None:
    visitor = Visitor(app)
    visitor.sign_in("it")
    assert "/imports/roster" not in visitor.get("/imports").text
    foreign = send(app, visitor, "delivery", "x.csv", b"serienummer;skole\r\nNY1;Naboskolen\r\n")
    assert visitor.get(foreign.headers["Location"]).status_code == 403
    own = send(app, visitor, "delivery", "x.csv", "serienummer;skole\r\nNY1;Prøveskolen\r\n".encode())
    assert visitor.get(own.headers["Location"]).status_code == 200


def test_a_file_is_its_senders_alone(app: Flask, admin: Visitor, world: World) -> None:
    sent = send(app, admin, "delivery", "x.csv", "serienummer;skole\r\nNY1;Prøveskolen\r\n".encode())
    other = Visitor(app)
    other.sign_in("it")
    assert other.get(sent.headers["Location"]).status_code == 302


def test_the_example_can_be_imported_once_it_names_a_school_of_ours(app: Flask, admin: Visitor) -> None:
    example = admin.get("/imports/leveringsliste.csv").data
    assert example.startswith(b"\xef\xbb\xbf")
    lines = example.decode("utf-8-sig").replace(";8A;", ";8B;").replace("elev.prove", "").encode()
    sent = send(app, admin, "delivery", "liste.csv", lines)
    assert "3 nye nettbrett" in words(admin.get(sent.headers["Location"]))


def test_an_empty_field_is_said_at_the_field(app: Flask, admin: Visitor) -> None:
    answer = send(app, admin, "delivery", "x.csv", b"")
    assert answer.status_code == 400
    assert 'id="delivery-fault"' in answer.text


def test_references_that_lead_nowhere_are_told_with_what_stands_there(
    app: Flask, admin: Visitor, tmp_path: Path
) -> None:
    files = rosters.one_roster(classes=2, pupils=1)
    files["classes"][1] |= {"title": "1B", "schoolSourcedId": "org-mangler"}
    files["enrollments"][1] |= {"userSourcedId": "u-mangler"}
    files["users"][0] |= {"sourcedId": files["users"][1]["sourcedId"]}
    sent = send(app, admin, "roster", "r.zip", rosters.zipped(tmp_path / "r.zip", files).read_bytes())
    told = words(admin.get(sent.headers["Location"]))
    for text in (
        "classes.csv, linje 3: Klassen 1B peker på skolen «org-mangler», som ikke finnes i orgs.csv.",
        "enrollments.csv, linje 3: Linjen peker på personen «u-mangler», som ikke finnes i users.csv.",
        "Legg til det som mangler der, eller rett «userSourcedId».",
        "står også på linje 2. Gi hver linje sin egen.",
    ):
        assert text in told
    missing = rosters.one_roster(classes=1)
    del missing["users"]
    sent = send(app, admin, "roster", "m.zip", rosters.zipped(tmp_path / "m.zip", missing).read_bytes())
    assert "Pakken mangler users.csv." in words(admin.get(sent.headers["Location"]))
