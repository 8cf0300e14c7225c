"""The pages of apps and images: kept, named on other pages, and not removed while a profile needs them."""

import io
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.apps import catalogue, images, packages
from fleet.apps.catalogue import Told
from fleet.apps.files import PackageFiles
from fleet.apps.models import App
from fleet.assignments.assigning import Place
from fleet.db import db, transaction
from fleet.devices.models import Platform
from tests import apks, visiting
from tests import factories as make
from tests.conftest import NOW
from tests.doors.test_web_pages import visiting_text
from tests.packages import ipa
from tests.pictures import jpeg, png
from tests.visiting import Visitor, World

BY = Principal.command_line()
PAINT = "no.example.paint"
FORM = {"app_id": PAINT, "platform": "ipados", "name": "Maling", "store": "", "licensed": "yes"}


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in("admin")
    visitor.post("/language", language="en")
    return visitor


@pytest.fixture
def it(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in("it")
    visitor.post("/language", language="en")
    return visitor


def words_of(page: str) -> str:
    return " ".join(visiting_text(page).split())


def known(app: Flask) -> list[tuple[str, str, int | None, bool]]:
    with app.app_context():
        return [(one.app_id, one.name, one.store_id, one.is_licensed) for one in catalogue.listed()]


def added(app: Flask, app_id: str = PAINT, name: str = "Maling") -> int:
    with app.app_context(), transaction():
        return catalogue.add(app_id, Platform.IPADOS, Told(name), by=BY, now=NOW).id


def profile(app: Flask, **settings: Any) -> None:
    with app.app_context(), transaction():
        make.assign(make.published("grunn", **settings), Place.municipality())


def test_an_app_is_added_changed_and_taken_out(app: Flask, admin: Visitor) -> None:
    assert "No apps yet" in admin.get("/apps").text
    page = admin.post("/apps/_new", **FORM | {"store": "https://apps.apple.com/no/app/maling/id123456789"})
    assert page.status_code == 303
    assert known(app) == [(PAINT, "Maling", 123456789, True)]
    shown = words_of(admin.get("/apps").text)
    assert f"Maling {PAINT} iPadOS App Store, number 123456789 assigned to the tablets" in shown
    with app.app_context():
        number = catalogue.find(PAINT, Platform.IPADOS).id
    assert 'value="123456789"' in admin.get(f"/apps/{number}").text
    assert admin.post(f"/apps/{number}", name="Mal", store="", licensed="").status_code == 303
    assert known(app) == [(PAINT, "Mal", None, False)]
    assert "nowhere yet" in admin.get("/apps").text
    assert admin.post(f"/apps/{number}/remove").status_code == 303
    assert "is taken out of the catalogue" in admin.get("/apps").text
    assert known(app) == []


@pytest.mark.parametrize(
    ("typed", "status", "told"),
    [
        ({"app_id": "paint"}, 400, "An app's id looks like"),
        ({"name": ""}, 400, "Write a name of at most 120 characters"),
        ({"store": "abc"}, 400, "number in the App Store, or copy the address"),
        ({"store": "17", "platform": "android"}, 400, "number in the App Store, or copy the address"),
        ({"app_id": "no.example.there"}, 409, "in the catalogue already"),
        ({"app_id": "x" * 5000, "platform": "windows"}, 400, "An app's id looks like"),
    ],
)
def test_what_is_not_sound_is_said_beside_what_was_typed(
    app: Flask, admin: Visitor, typed: dict[str, str], status: int, told: str
) -> None:
    added(app, "no.example.there")
    page = admin.post("/apps/_new", **FORM | typed)
    assert (page.status_code, told in page.text.replace("&#39;", "'")) == (status, True)
    assert len(known(app)) == 1


def test_an_app_that_a_profile_requires_stays(app: Flask, admin: Visitor) -> None:
    number = added(app)
    profile(app, **{"apps.required": [PAINT, "no.example.unknown"]})
    shown = words_of(admin.get("/apps").text)
    assert "1 app that profiles require is not in the catalogue" in shown
    assert "no.example.unknown (grunn)" in shown
    assert "not possible as long as profiles require it: grunn" in words_of(admin.get(f"/apps/{number}").text)
    assert admin.post(f"/apps/{number}/remove").status_code == 303
    assert "Required by: grunn" in admin.get(f"/apps/{number}").text
    assert len(known(app)) == 1
    assert "no.example.unknown" in admin.get("/apps/_new?app_id=no.example.unknown").text


def test_an_own_package_is_shown_and_withdrawn(app: Flask, admin: Visitor, tmp_path: Path) -> None:
    files = PackageFiles(tmp_path / "packages")
    with app.app_context():
        received = packages.receive(ipa(tmp_path / "vaer.ipa"), files, by=BY)
        with transaction():
            number = packages.take(received, by=BY, now=NOW).id
    assert "Own package, version 2.1" in admin.get("/apps").text
    assert "vaer.ipa" in admin.get(f"/apps/{number}").text
    admin.post(f"/apps/{number}/package/withdraw")
    assert "vaer.ipa" not in admin.get(f"/apps/{number}").text
    admin.post(f"/apps/{number}/package/withdraw")
    assert "no package of our own any more" in admin.get(f"/apps/{number}").text


def test_packages_for_several_processors_are_shown_and_withdrawn_one_by_one(
    app: Flask, admin: Visitor, tmp_path: Path
) -> None:
    files = PackageFiles(tmp_path / "packages")
    for abis in (["arm64-v8a"], []):
        with app.app_context():
            received = packages.receive(apks.apk(tmp_path / "tavle.apk", abis=abis), files, by=BY)
            with transaction():
                number = packages.take(received, by=BY, now=NOW).id
    page = admin.get("/apps")
    assert "Own package, version 1.2, 1.2 (arm64-v8a)" in words_of(page.text)
    assert f'src="/apps/{number}/icon?d=' in page.text
    icon = admin.get(f"/apps/{number}/icon")
    assert (icon.mimetype, icon.data[:4], icon.headers["Cache-Control"]) == (
        "image/png", b"\x89PNG", "private, max-age=86400",
    )  # fmt: skip
    shown = words_of(admin.get(f"/apps/{number}").text)
    assert "Processor any Runs from Android 8.0 Size 0.1 MB" in shown
    assert "Processor arm64-v8a Runs from Android 8.0 Size 0.1 MB" in shown
    assert f"Signed by {apks.signer().name[:16]}…" in shown
    assert "App Store" not in shown
    admin.post(f"/apps/{number}/package/withdraw", cpu="arm64-v8a")
    shown = words_of(admin.get(f"/apps/{number}").text)
    assert "The package of “Tavla” is withdrawn." in shown
    assert "arm64-v8a" not in shown
    admin.post(f"/apps/{number}/package/withdraw", cpu="")
    assert "has no package of our own any more" in words_of(admin.get(f"/apps/{number}").text)


def test_who_may_not_write_profiles_sees_the_catalogue_and_no_buttons(app: Flask, it: Visitor) -> None:
    added(app)
    page = it.get("/apps").text
    assert "Maling" in page
    assert "New app" not in page
    assert "/apps/_new" not in page
    assert "Add an image" not in it.get("/images").text


def test_other_pages_call_apps_by_name(app: Flask, world: World, admin: Visitor) -> None:
    added(app)
    profile(app, **{"apps.required": [PAINT, "no.example.other"], "kiosk.app": PAINT})
    named = f"Maling ({PAINT})"
    shown = admin.get("/profiles/grunn").text
    assert shown.count(named) == 2
    assert "no.example.other" in shown
    assert named in admin.get(f"/tablets/{world.tablet.serial}/why").text
    assert "Maling" in words_of(admin.get(f"/tablets/{world.tablet.serial}").text)


def test_the_editor_suggests_what_is_in_the_catalogue(app: Flask, admin: Visitor) -> None:
    added(app)
    image(admin, png())
    profile(app, **{"kiosk.app": PAINT, "wallpaper.image": "skog.png"})
    page = admin.get("/profiles/grunn/edit").text
    assert f'<option value="{PAINT}">Maling</option>' in page
    assert '<option value="skog.png">' in page
    assert 'id="kiosk.app" name="kiosk.app"' in page
    assert page.count('list="known-apps"') == 1
    assert page.count('list="known-images"') == 1


def image(visitor: Visitor, content: bytes, address: str = "/images", field: str = "file", **form: str) -> Any:
    sent: Any = {field: (io.BytesIO(content), form.get("name") or "skog.png")}
    return visitor.post(address, **form, **sent)


def test_an_image_is_added_shown_replaced_and_removed(app: Flask, admin: Visitor) -> None:
    assert "No images yet" in admin.get("/images").text
    assert image(admin, png(64, 32)).status_code == 303
    shown = words_of(admin.get("/images").text)
    assert "skog.png 64" in shown
    answer = admin.get("/images/skog.png/picture")
    assert (answer.data, answer.headers["Content-Type"]) == (png(64, 32), "image/png")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "script-src" in answer.headers["Content-Security-Policy"]
    image(admin, jpeg(3, 4), "/images/skog.png/replace", "picture")
    assert admin.get("/images/skog.png/picture").headers["Content-Type"] == "image/jpeg"
    admin.post("/images/skog.png/remove")
    with app.app_context():
        assert images.listed() == []


@pytest.mark.parametrize(
    ("name", "content", "status", "told"),
    [
        ("a.png", b"<svg/>", 400, "no PNG or JPEG"),
        ("å", png(), 400, "letters from A to Z"),
        ("a.png", b"", 400, "not empty"),
        ("a.png", png()[:20], 400, "damaged"),
        ("a.png", png(9_000, 9), 400, "pixels wide"),
        ("there", png(), 409, "of this name already"),
    ],
)
def test_pictures_that_are_none_are_refused_in_words(
    app: Flask, admin: Visitor, name: str, content: bytes, status: int, told: str
) -> None:
    with app.app_context(), transaction():
        images.add("there", png(), by=BY, now=NOW)
    page = image(admin, content, name=name)
    assert (page.status_code, told in page.text) == (status, True)
    image(admin, content if told != "of this name already" else b"x", "/images/there/replace", "picture")
    with app.app_context():
        assert images.bodies(["there"]) == {"there": png()}


def test_an_image_that_a_profile_shows_stays(app: Flask, admin: Visitor) -> None:
    image(admin, png())
    profile(app, **{"wallpaper.image": "skog.png"})
    page = admin.get("/images").text
    assert "grunn" in page
    assert "/images/skog.png/remove" not in page
    admin.post("/images/skog.png/remove")
    assert "Shown by: grunn" in admin.get("/images").text
    with app.app_context():
        assert db.session.query(App).count() == 0
        assert len(images.listed()) == 1
