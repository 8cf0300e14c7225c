"""The pages of profiles: read, written, compared, published with their effect told before, and brought back."""

import io
import re
from typing import Any

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal
from fleet.assignments import publishing
from fleet.assignments.assigning import Place
from fleet.db import db, transaction
from fleet.devices.models import DeviceState
from fleet.schools.models import School
from profiles.profile import Profile
from profiles.vocabulary import VOCABULARY
from tests import factories as make
from tests import visiting
from tests.doors.test_web_pages import MOST_STATEMENTS, visiting_text
from tests.visiting import Visitor, World

BY = Principal.command_line()
WIFI = {"ssid": "skole", "security": "wpa2", "password": "meget hemmelig"}


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in("admin")
    return visitor


@pytest.fixture
def it(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in("it")
    return visitor


def words_of(page: str) -> str:
    return " ".join(visiting_text(page).split())


def profile(app: Flask, **settings: Any) -> None:
    with app.app_context(), transaction():
        make.published("grunn", **settings)


def assigned(app: Flask, **settings: Any) -> None:
    with app.app_context(), transaction():
        make.assign(make.published("grunn", **settings), Place.municipality(), now=clock.now())


def newest(app: Flask, name: str = "grunn") -> Any:
    with app.app_context():
        one = publishing.versions(publishing.find(name))[0]
        return one.number, one.published_at is None, one.settings


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None
    return found[1]


def sent(visitor: Visitor, do: str, keys: list[str], *, name: str = "grunn", **form: Any) -> Any:
    """Send the editor's form as it was loaded."""
    based_on = form.pop("based_on", None) or hidden(visitor.get(f"/profiles/{name}/edit").text, "based_on")
    fields = {"title": "Grunnoppsett", "do": do, "keys": keys, "based_on": based_on, **form}
    return visitor.post(f"/profiles/{name}/edit", **fields)


def test_library_says_where_profiles_are_and_on_how_many_tablets(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, **{"camera.allowed": False, "wifi.networks": [WIFI]})
    with app.app_context(), transaction():
        publishing.save_draft(Profile("ny", "Ny profil", {}), by=BY, now=clock.now())
    text = words_of(admin.get("/profiles").text)
    assert "grunn grunn Nett og nettverk, Kamera, deling og meldinger (2 innstillinger) 1 1 3" in text
    assert "Ny profil ny \u2013 \u2013 utkast 0 0" in text


def test_empty_library_leads_to_ready_made_profiles_that_become_drafts(app: Flask, admin: Visitor) -> None:
    assert "Ingen profiler ennå" in admin.get("/profiles").text
    answer = admin.post("/profiles/_ready-made", ready=["barneskole", "eksamen"])
    assert answer.status_code == 303
    assert newest(app, "barneskole")[:2] == (1, True)
    assert 'value="barneskole"' not in admin.get("/profiles/_new").text
    assert admin.post("/profiles/_ready-made", ready="barneskole").status_code == 409


def test_profile_says_in_words_what_it_does_and_never_a_secret(app: Flask, world: World, it: Visitor) -> None:
    assigned(
        app,
        **{
            "camera.allowed": False, "wifi.networks": [WIFI], "sound.volume_max_percent": 60, "passcode.min_length": 6,
            "apps.allowed": [], "web.cookies": "never", "os_update.window": {"from": "16:00", "until": "22:00"},
        },
    )  # fmt: skip
    page = it.get("/profiles/grunn").text
    text = words_of(page)
    for words in (
        "Kamera iPad, Android, Linux Sperret", "Trådløse nett iPad, Android (bare når det klargjøres), Linux skole (WPA2)", "60 %", "6 tegn",
        "16:00\u201322:00", "fra ingen", "Hele kommunen 1",
    ):  # fmt: skip
        assert words in text
    assert "meget hemmelig" not in page
    assert "/edit" not in page  # school IT reads only


def test_new_profile_begins_with_what_another_says(app: Flask, admin: Visitor) -> None:
    profile(app)
    answer = admin.post("/profiles/_new", title="Åttende trinn", name="", copy="own:grunn")
    assert answer.headers["Location"].endswith("/profiles/attende-trinn/edit")
    assert newest(app, "attende-trinn") == (1, True, {"camera.allowed": False})
    again = admin.post("/profiles/_new", title="Åttende trinn", name="", copy="")
    assert again.status_code == 409
    assert "finnes en profil som heter attende-trinn" in again.text
    refused = admin.post("/profiles/_new", title="!!!", name="", copy="")
    assert refused.status_code == 400
    assert 'value="!!!"' in refused.text


def send_file(visitor: Visitor, content: bytes, name: str) -> Any:
    token = visitor.token("/profiles/_new")
    return visitor.client.post("/profiles/_import", data={"csrf_token": token, "file": (io.BytesIO(content), name)})


def test_file_becomes_a_draft_or_says_by_line_what_is_wrong(app: Flask, admin: Visitor) -> None:
    good = b'name = "fil"\ntitle = "Fra fil"\n[camera]\nallowed = false\n'
    assert send_file(admin, good, "fil.toml").status_code == 303
    assert newest(app, "fil") == (1, True, {"camera.allowed": False})
    assert send_file(admin, good, "fil.toml").status_code == 409
    bad = b'name = "fil"\ntitle = "Fra fil"\n[camera]\nalowed = false\n[passcode]\nmin_length = 99\n'
    page = send_file(admin, bad, "fil.toml")
    assert page.status_code == 400
    assert "Linje 4: Det finnes ingen innstilling som heter camera.alowed. Mente du camera.allowed?" in words_of(
        page.text
    )
    assert "Linje 6: passcode.min_length: Skriv et helt tall fra 4 til 16." in words_of(page.text)
    assert send_file(admin, b"", "fil.toml").status_code == 400
    assert send_file(admin, b"\xff\xfe\xff", "fil.toml").status_code == 400


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("kamera", "camera.allowed"), ("lydnivå høyeste", "sound.volume_max_percent"), ("minnepinner", "usb.storage_allowed"),
        ("wifi only", "wifi.only_known"), ("Wi-Fi networks", "wifi.networks"),
    ],
)  # fmt: skip
def test_setting_is_found_by_plain_words_or_its_name(app: Flask, admin: Visitor, text: str, found: str) -> None:
    profile(app, **{"clock.automatic": True})
    assert f"add:{found}" in admin.refresh(f"/profiles/grunn/edit?q={text}").text.partition("<details")[0]
    assert "add:" not in admin.refresh("/profiles/grunn/edit?q=xyzzy").text.partition("<details")[0]


def test_editor_has_a_field_for_every_setting_there_is(app: Flask, admin: Visitor) -> None:
    profile(app)
    answer = sent(admin, "look", list(VOCABULARY))
    assert answer.status_code == 200
    for name in VOCABULARY:
        assert re.search(rf'name="{re.escape(name)}(-0\.|\.|-rows)?[a-z]*"', answer.text), name


def test_adding_and_taking_out_keep_what_was_typed_and_save_nothing(app: Flask, admin: Visitor) -> None:
    profile(app)
    page = sent(admin, "add:sound.volume_max_percent", ["camera.allowed", "apps.blocked"], **{
        "camera.allowed": "yes", "apps.blocked": "no.example.spill",
    }).text  # fmt: skip
    assert 'name="sound.volume_max_percent"' in page
    assert "no.example.spill" in page
    assert re.search(r'value="yes" checked', page)
    gone = sent(admin, "drop:apps.blocked", ["camera.allowed", "apps.blocked"], **{"apps.blocked": "a.b"}).text
    assert 'name="apps.blocked"' not in gone
    assert newest(app) == (1, False, {"camera.allowed": False})


def test_saving_makes_a_draft_and_what_is_wrong_is_said_by_its_field(app: Flask, admin: Visitor) -> None:
    profile(app)
    keys = ["camera.allowed", "passcode.min_length", "web.blocked", "web.allowed", "clock.automatic"]
    wrong = sent(admin, "save", keys, **{"passcode.min_length": "99", "web.blocked": "nrk.no\nikke en adresse"})
    assert wrong.status_code == 400
    assert "Skriv et helt tall fra 4 til 16." in wrong.text
    assert "«ikke en adresse»: En nettadresse ser slik ut" in words_of(wrong.text)
    assert 'href="#passcode.min_length"' in wrong.text
    saved = sent(admin, "save", keys, **{
        "passcode.min_length": "6", "web.blocked": "https://NRK.no/\n", "camera.allowed": "yes", "clock.automatic": "",
    })  # fmt: skip
    assert saved.status_code == 303
    assert newest(app) == (
        2, True, {"camera.allowed": True, "passcode.min_length": 6, "web.allowed": [], "web.blocked": ["nrk.no"]},
    )  # fmt: skip
    assert "Kamera camera.allowed Sperret Tillatt løsere" in words_of(admin.get("/profiles/grunn").text)


def test_secrets_are_never_filled_in_and_stay_when_left_empty(app: Flask, admin: Visitor) -> None:
    profile(app, **{"wifi.networks": [WIFI, {"ssid": "gjest", "security": "wpa2", "password": "like hemmelig"}]})
    page = admin.get("/profiles/grunn/edit").text
    assert "hemmelig" not in page
    row = "wifi.networks-{}.{}".format
    form = {
        "wifi.networks-rows": "3",
        row(0, "ssid"): "gjest", row(0, "was"): "gjest", row(0, "security"): "open",
        row(1, "ssid"): "skole-ny", row(1, "was"): "skole", row(1, "security"): "wpa3", row(1, "hidden"): "yes",
        row(2, "ssid"): "", row(2, "was"): "",
    }  # fmt: skip
    assert sent(admin, "save", ["wifi.networks"], **form).status_code == 303
    assert newest(app)[2] == {
        "wifi.networks": [
            {"ssid": "gjest", "security": "open"},
            {"ssid": "skole-ny", "security": "wpa3", "password": "meget hemmelig", "hidden": True},
        ]
    }
    for path in ("/profiles/grunn", "/profiles/grunn/toml", "/profiles/grunn/publish", "/profiles/grunn/compare"):
        assert "hemmelig" not in admin.get(path).text.replace("hemmelig hold", ""), path


def test_password_that_was_typed_is_not_lost_when_the_editor_is_drawn_again(app: Flask, admin: Visitor) -> None:
    profile(app, **{"wifi.networks": [WIFI]})
    row = "wifi.networks-{}.{}".format
    form = {
        "wifi.networks-rows": "1", row(0, "ssid"): "skole", row(0, "was"): "skole", row(0, "security"): "wpa2",
        row(0, "password"): "helt nytt ord",
    }  # fmt: skip
    keys = ["wifi.networks", "passcode.min_length"]
    for do, status in (
        ("add:sound.locked", 200),
        ("drop:camera.allowed", 200),
        ("row:wifi.networks", 200),
        ("save", 400),
    ):
        page = sent(admin, do, keys, **form, **{"passcode.min_length": "99"})
        assert page.status_code == status
        assert 'value="helt nytt ord"' in page.text, do
        assert page.headers["Cache-Control"] == "no-store"
        assert "meget hemmelig" not in page.text
    assert sent(admin, "save", ["wifi.networks"], **form).status_code == 303
    assert newest(app)[2] == {"wifi.networks": [{**WIFI, "password": "helt nytt ord"}]}


def test_two_networks_of_one_name_are_refused(app: Flask, admin: Visitor) -> None:
    profile(app)
    row = "wifi.networks-{}.{}".format
    rows = {row(number, sub): told for number in range(2) for sub, told in (("ssid", "skole"), ("security", "open"))}
    answer = sent(admin, "save", ["wifi.networks"], **{"wifi.networks-rows": "2", **rows})
    assert answer.status_code == 400
    assert "Dette står der to ganger." in answer.text


def test_what_another_saved_meanwhile_is_not_written_over(app: Flask, admin: Visitor) -> None:
    profile(app)
    before = hidden(admin.get("/profiles/grunn/edit").text, "based_on")
    with app.app_context(), transaction():
        publishing.save_draft(Profile("grunn", "Grunn", {"camera.allowed": True}), by=BY, now=clock.now())
    for answer in (
        sent(admin, "save", ["sound.locked"], based_on=before, **{"sound.locked": "yes"}),
        admin.post("/profiles/grunn/toml", based_on=before, text='name = "grunn"\ntitle = "Grunn"\n'),
        admin.post("/profiles/grunn/publish", based_on=before),
    ):
        assert answer.status_code == 409
        assert "Noen andre har endret denne profilen" in answer.text
    assert newest(app) == (2, True, {"camera.allowed": True})
    assert sent(admin, "overwrite", ["sound.locked"], **{"sound.locked": "yes"}).status_code == 303
    assert newest(app) == (2, True, {"sound.locked": True})


def test_saving_what_is_published_leaves_no_draft(app: Flask, admin: Visitor) -> None:
    profile(app)
    sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "yes"})
    assert newest(app)[:2] == (2, True)
    sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "no"}, title="Ny tittel")
    assert newest(app)[:2] == (1, False)
    assert "Ny tittel" in admin.get("/profiles").text


def test_title_of_a_draft_is_the_drafts_alone_until_it_is_published(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, **{"camera.allowed": False})
    assert sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "yes"}).status_code == 303
    assert "Grunnoppsett" not in admin.get("/profiles").text
    assert hidden(admin.get("/profiles/grunn/edit").text, "title") == "Grunnoppsett"
    assert "title = &#34;Grunnoppsett&#34;" in admin.get("/profiles/grunn/toml").text
    for path in ("/profiles/grunn", "/profiles/grunn/publish"):
        page = admin.get(path).text
        assert re.search(r"<h1[^>]*>(Publiser )?grunn</h1>", page), path
        assert "Utkastet kaller profilen «Grunnoppsett»." in page, path
    admin.post("/profiles/grunn/publish", based_on=hidden(page, "based_on"))
    assert "Grunnoppsett" in admin.get("/profiles").text


def test_toml_is_saved_as_a_draft_with_the_passwords_it_does_not_show(app: Flask, admin: Visitor) -> None:
    profile(app, **{"wifi.networks": [WIFI]})
    page = admin.get("/profiles/grunn/toml").text
    assert "skole" in page
    based_on = hidden(page, "based_on")
    text = 'name = "grunn"\ntitle = "Grunn"\n[camera]\nallowed = false\n[[wifi.networks]]\nssid = "skole"\nsecurity = "wpa3"\n'
    assert admin.post("/profiles/grunn/toml", based_on=based_on, text=text.replace("grunn", "annet")).status_code == 400
    wrong = admin.post("/profiles/grunn/toml", based_on=based_on, text=text.replace('"wpa3"', "wpa3"))
    assert wrong.status_code == 400
    assert "Linje 7: Dette kan ikke leses." in wrong.text
    assert admin.post("/profiles/grunn/toml", based_on=based_on, text=text).status_code == 303
    assert newest(app)[2] == {"camera.allowed": False, "wifi.networks": [{**WIFI, "security": "wpa3"}]}


def test_publishing_tells_the_effect_before_and_tablets_get_it(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, **{"camera.allowed": False})
    sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "yes"})
    page = admin.get("/profiles/grunn/publish").text
    text = words_of(page)
    assert "Endrer 3 nettbrett ved 2 skoler" in text
    assert "1 innstilling blir løsere: Kamera (3)" in text
    with app.app_context():
        before = db.session.get_one(DeviceState, world.tablet.id).desired_digest
    answer = admin.post("/profiles/grunn/publish", based_on=hidden(page, "based_on"), note="Kamera til alle")
    assert answer.status_code == 303
    after = words_of(admin.get("/profiles/grunn").text)
    assert "Grunnoppsett versjon 2 er publisert. 3 nettbrett får den." in after
    assert "Prøve admin Kamera til alle" in after
    with app.app_context():
        assert db.session.get_one(DeviceState, world.tablet.id).desired_digest != before


def test_publishing_is_undone_with_one_press_where_nobody_has_gone_on(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, **{"camera.allowed": False})
    with app.app_context():
        before = db.session.get_one(DeviceState, world.tablet.id).desired_digest
    sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "yes"})
    admin.post("/profiles/grunn/publish", based_on=hidden(admin.get("/profiles/grunn/publish").text, "based_on"))
    undo = re.search(r'action="(/profiles/grunn/undo/[^"]+)"', admin.get("/profiles/grunn").text)
    assert undo is not None
    other = Visitor(app)
    other.sign_in("it")
    assert other.post(undo[1]).status_code == 403
    assert admin.post(undo[1]).status_code == 303
    text = words_of(admin.get("/profiles/grunn").text)
    assert "3 nettbrett får tilbake det de hadde. Det som ble publisert, står fortsatt i listen over versjoner." in text
    assert "1 sted har en eldre versjon." in text
    with app.app_context():
        assert db.session.get_one(DeviceState, world.tablet.id).desired_digest == before
    admin.post(undo[1])
    assert "Det er for sent å angre dette, eller det er alt angret." in admin.get("/profiles/grunn").text


def test_publishing_that_somebody_has_gone_on_from_is_not_undone(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, **{"camera.allowed": False})
    sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "yes"})
    admin.post("/profiles/grunn/publish", based_on=hidden(admin.get("/profiles/grunn/publish").text, "based_on"))
    undo = re.search(r'action="(/profiles/grunn/undo/[^"]+)"', admin.get("/profiles/grunn").text)
    assert undo is not None
    with app.app_context(), transaction():
        version = publishing.published(publishing.find("grunn"))
        make.assign(version, Place.school(db.session.merge(world.school, load=True)), now=clock.now())
    assert admin.post(undo[1]).status_code == 303
    text = words_of(admin.get("/profiles/grunn").text)
    assert "Det ble ikke angret: Noen har endret det siden." in text
    assert "har en eldre versjon" not in text


def test_an_older_version_is_brought_back_as_a_draft_to_publish(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, **{"camera.allowed": False})
    sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "yes"})
    admin.post("/profiles/grunn/publish", based_on=hidden(admin.get("/profiles/grunn/publish").text, "based_on"))
    answer = admin.post("/profiles/grunn/restore?version=1")
    assert answer.headers["Location"].endswith("/profiles/grunn/publish")
    page = admin.get("/profiles/grunn/publish").text
    assert "Versjon 1 er tilbake som utkast. Den gjelder ikke ennå: publiser utkastet." in words_of(page)
    assert 'class="ds-alert notice" data-color="warning"' in page
    assert newest(app) == (3, True, {"camera.allowed": False})
    columns = re.findall(r'data-label="(Sammenlign|Hent tilbake)"', admin.get("/profiles/grunn").text)
    assert columns == ["Sammenlign", "Hent tilbake"] * 3
    admin.post("/profiles/grunn/restore", version="1")
    assert "Det finnes et utkast allerede" in admin.get("/profiles/grunn").text
    compared = words_of(admin.get("/profiles/grunn/compare?old=1&new=2").text)
    assert "Kamera camera.allowed Sperret Tillatt løsere" in compared
    admin.post("/profiles/grunn/discard", based_on=hidden(admin.get("/profiles/grunn").text, "based_on"))
    assert newest(app)[:2] == (2, False)


def test_taking_the_only_wifi_needs_the_number_of_tablets_typed(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, **{"wifi.networks": [WIFI]})
    sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "no"})
    page = admin.get("/profiles/grunn/publish").text
    assert "3 nettbrett mister det eneste nettet de kjenner" in words_of(page)
    assert "Ingenting blir løsere" in words_of(page)
    assert "Trådløse nett wifi.networks skole (WPA2) \u2013 endret" in words_of(
        page
    )  # a network is neither loose nor strict
    form = {"based_on": hidden(page, "based_on"), "note": "Nytt nett"}
    for typed in ("", "2", "alle"):
        refused = admin.post("/profiles/grunn/publish", confirmed=typed, **form)
        assert refused.status_code == 409
        assert "Skriv antallet nettbrett hvis det er meningen" in refused.text
        assert "Nytt nett" in refused.text
    assert newest(app)[:2] == (2, True)
    assert admin.post("/profiles/grunn/publish", confirmed="3", **form).status_code == 303


def test_only_publishing_changes_no_tablet_and_needs_no_number(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, **{"wifi.networks": [WIFI]})
    sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "no"})
    based_on = hidden(admin.get("/profiles/grunn/publish").text, "based_on")
    assert admin.post("/profiles/grunn/publish", based_on=based_on, only="yes", confirmed="").status_code == 303
    text = words_of(admin.get("/profiles/grunn").text)
    assert "versjon 2 er publisert. 0 nettbrett får den." in text
    assert "1 sted har en eldre versjon." in text


@pytest.mark.parametrize("path", ["/profiles", "/profiles/grunn", "/profiles/grunn/edit", "/profiles/grunn/publish"])
def test_page_asks_the_database_a_bounded_number_of_times(
    app: Flask, world: World, admin: Visitor, statements: list[str], path: str
) -> None:
    assigned(app, **{"wifi.networks": [WIFI]})
    sent(admin, "save", ["camera.allowed"], **{"camera.allowed": "no"})
    counts = []
    for round_ in range(2):
        statements.clear()
        assert admin.get(path).status_code == 200
        counts.append(len(statements))
        with app.app_context(), transaction():
            for number in range(5):
                school = make.school(f"Skole {round_}{number}")
                make.tablets(school, 10)
                make.assign(make.published(f"p{round_}{number}"), Place.school(school), now=clock.now())
            version = publishing.published(publishing.find("grunn"))
            make.assign(version, Place.school(db.session.merge(world.school, load=True)), now=clock.now())
    assert counts[0] <= MOST_STATEMENTS
    assert counts[1] <= MOST_STATEMENTS


def test_school_it_sees_tablets_of_own_school_only_in_the_library(app: Flask, world: World, it: Visitor) -> None:
    assigned(app)
    assert "camera" not in it.get("/profiles/grunn/edit").text
    assert words_of(it.get("/profiles").text).count("1 1 2") == 1
    with app.app_context():
        assert db.session.get(School, world.school.id) is not None
