"""Images that profiles name: what is taken, who may, who is told, and what stands in the way of removing one."""

import hashlib
from typing import Any

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.apps import images
from fleet.apps.picture import ImageError
from fleet.assignments import named
from fleet.assignments.assigning import Place
from fleet.assignments.named import ImageShownError
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceState, Platform
from fleet.errors import ConflictError, ForbiddenError, NotFoundError
from tests import factories as make
from tests.conftest import NOW
from tests.pictures import jpeg, png

BY = Principal.command_line()


def version(of: Device) -> int:
    db.session.expire_all()
    return db.session.get_one(DeviceState, of.id).config_version


def test_an_image_is_kept_under_its_name_with_what_its_bytes_say(app: Flask) -> None:
    content = png(64, 32)
    with transaction():
        made = images.add(" skog.png ", content, by=BY, now=NOW)
    assert (made.name, made.media_type, made.width, made.height) == ("skog.png", "image/png", 64, 32)
    assert (made.size_bytes, made.digest) == (len(content), hashlib.sha256(content).hexdigest())
    (line,) = make.audited(action="images.added")
    assert (line.subject, line.fields) == (f"image:{made.id}", {"name": "skog.png", "digest": made.digest})


@pytest.mark.parametrize("name", ["", ".", "..", ".skog", "sko g", "skog/hav", "skøg", "x" * 65, "skog\n"])
def test_unsound_names_are_refused(app: Flask, name: str) -> None:
    with pytest.raises(ImageError) as caught, transaction():
        images.add(name.replace("\n", "\nx"), png(), by=BY, now=NOW)
    assert caught.value.data["reason"] == "name"


def test_a_name_is_there_once_and_another_picture_takes_its_place_only_when_asked(app: Flask) -> None:
    with transaction():
        made = images.add("skog", png(), by=BY, now=NOW)
    with pytest.raises(ConflictError), transaction():
        images.add("skog", jpeg(), by=BY, now=NOW)
    with transaction():
        images.replace(made, png(), by=BY, now=NOW)
    assert make.audited(action="images.replaced") == []
    with transaction():
        images.replace(made, jpeg(3, 4), by=BY, now=NOW)
    assert (made.media_type, made.width, images.bodies(["skog"])) == ("image/jpeg", 3, {"skog": jpeg(3, 4)})
    assert len(make.audited(action="images.replaced")) == 1


def test_only_who_writes_profiles_writes_images(app: Flask) -> None:
    with transaction():
        made = images.add("skog", png(), by=BY, now=NOW)
    by = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, None),))
    with pytest.raises(ForbiddenError):
        images.add("hav", png(), by=by, now=NOW)
    with pytest.raises(ForbiddenError):
        images.replace(made, jpeg(), by=by, now=NOW)
    with pytest.raises(ForbiddenError):
        named.remove_image(made, by=by, now=NOW)


def test_bodies_and_digests_of_any_number_are_one_statement_and_lists_read_no_bytes(
    app: Flask, statements: list[str]
) -> None:
    with transaction():
        for name in ("Skog", "hav"):
            images.add(name, png(), by=BY, now=NOW)
    db.session.expunge_all()
    statements.clear()
    assert images.bodies({"Skog", "hav", "fjell"}) == {"Skog": png(), "hav": png()}
    assert images.digests({"Skog", "fjell"}) == {"Skog": hashlib.sha256(png()).hexdigest()}
    assert (images.bodies(()), images.digests(())) == ({}, {})
    assert len(statements) == 2
    assert [one.name for one in images.listed()] == ["hav", "Skog"]
    assert "content" not in statements[-1]
    with pytest.raises(NotFoundError) as caught:
        images.find("skogg")
    assert caught.value.data["name"] == "skogg"


SHOWN: list[dict[str, Any]] = [
    {"wallpaper.image": "skog"},
    {"web.bookmarks": [{"title": "NRK", "url": "https://nrk.no", "icon": "skog"}]},
]


@pytest.mark.parametrize("settings", SHOWN)
def test_a_change_reaches_the_tablets_whose_profile_shows_the_image(app: Flask, settings: dict[str, Any]) -> None:
    with transaction():
        school, elsewhere = make.school(), make.school("Den andre")
        here = [make.enrolled(school), make.enrolled(school, platform=Platform.ANDROID)]
        other = make.enrolled(elsewhere)
        make.assign(make.published(**settings), Place.school(school))
    before = [version(one) for one in (*here, other)]
    with transaction():
        made = images.add("skog", png(), by=BY, now=NOW)
        images.add("hav", png(), by=BY, now=NOW)
    assert [version(one) for one in (*here, other)] == [before[0] + 1, before[1] + 1, before[2]]
    with transaction():
        images.replace(made, jpeg(), by=BY, now=NOW)
    assert [version(one) for one in (*here, other)] == [before[0] + 2, before[1] + 2, before[2]]


@pytest.mark.parametrize("settings", SHOWN)
def test_an_image_that_a_profile_shows_stays(app: Flask, settings: dict[str, Any]) -> None:
    with transaction():
        shown, other = (images.add(name, png(), by=BY, now=NOW) for name in ("skog", "hav"))
        make.published("barnetrinn", **settings)
    with pytest.raises(ImageShownError) as caught, transaction():
        named.remove_image(shown, by=BY, now=NOW)
    assert caught.value.data == {"name": "skog", "profiles": ["barnetrinn"]}
    with transaction():
        named.remove_image(other, by=BY, now=NOW)
    assert [one.name for one in images.listed()] == ["skog"]
