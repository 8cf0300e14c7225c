"""The catalogue of apps: what is sound, who may write it, who is told of a change, and what stands in the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from flask import Flask

from fleet import outbox
from fleet.access import Grant, Principal, Role
from fleet.apps import catalogue
from fleet.apps.catalogue import AppError, Source, Told
from fleet.apps.models import App
from fleet.assignments import named
from fleet.assignments.assigning import Place
from fleet.assignments.models import ProfileVersion
from fleet.assignments.named import AppRequiredError
from fleet.db import changed, db, transaction
from fleet.devices.models import Device, DeviceState, Platform
from fleet.errors import ConflictError, ForbiddenError, NotFoundError
from tests import factories as make
from tests.conftest import NOW

BY = Principal.command_line()
PAINT = "no.example.paint"
IPAD = Platform.IPADOS


def added(app_id: str = PAINT, platform: Platform = IPAD, *, name: str = "Maling", store: str = "") -> App:
    return catalogue.add(app_id, platform, Told(name, store), by=BY, now=NOW)


def settings(*app_ids: str) -> dict[str, Any]:
    return {"apps.required": list(app_ids)}


def requiring(*app_ids: str, name: str = "grunnoppsett") -> ProfileVersion:
    return make.published(name, **settings(*app_ids))


def version(of: Device) -> int:
    db.session.expire_all()
    return db.session.get_one(DeviceState, of.id).config_version


@contextmanager
def rung() -> Iterator[set[int]]:
    heard: set[int] = set()
    forget = outbox.add_ring(heard.update)
    try:
        yield heard
    finally:
        forget()


# -- what is told ------------------------------------------------------------------------------------------------------


def test_an_app_is_taken_up_with_what_people_call_it_and_where_it_is(app: Flask) -> None:
    with transaction():
        made = catalogue.add(
            f" {PAINT} ", IPAD, Told("  Mal   og tegn ", "361309726", is_licensed=True), by=BY, now=NOW
        )
    assert (made.app_id, made.name, made.store_id, made.is_licensed, made.package) == (
        PAINT, "Mal og tegn", 361309726, True, None,
    )  # fmt: skip
    (line,) = make.audited(action="apps.added")
    assert (line.subject, line.fields) == (f"app:{made.id}", {"app": PAINT, "name": "Mal og tegn"})


@pytest.mark.parametrize(
    "told",
    [
        "123456789",
        " 123456789 ",
        "https://apps.apple.com/no/app/x/id123456789",
        "https://apps.apple.com/no/app/m%C3%A5l/id123456789?l=nb",
        "https://apps.apple.com/app/id123456789#reviews",
        "https://itunes.apple.com/no/app/x/id123456789?mt=8",
    ],
)
def test_the_number_in_the_store_is_read_from_the_address_that_people_copy(told: str) -> None:
    assert catalogue.store_number(told, IPAD) == 123456789


@pytest.mark.parametrize(
    "told",
    [
        "0", "-3", "12a", "१२३", "9" * 13, "9" * 5000, "https://apps.apple.com/no/app/x",
        "http://apps.apple.com/no/app/x/id123", "https://apps.apple.com.example.test/no/app/x/id123",
        "https://play.google.com/store/apps/details?id=no.example",
    ],
)  # fmt: skip
def test_what_is_no_number_in_the_store_is_refused(told: str) -> None:
    with pytest.raises(AppError) as caught:
        catalogue.store_number(told, IPAD)
    assert caught.value.data["reason"] == "store-id"
    assert len(caught.value.data["found"]) <= 200


def test_apps_of_other_platforms_have_no_number() -> None:
    assert catalogue.store_number("", Platform.ANDROID) is None
    with pytest.raises(AppError):
        catalogue.store_number("123456789", Platform.ANDROID)


@pytest.mark.parametrize(
    ("app_id", "name", "reason"),
    [("paint", "Maling", "app-id"), ("no.example/x", "Maling", "app-id"), ("", "Maling", "app-id"),
     (PAINT, "  ", "name"), (PAINT, "x" * 121, "name"), (PAINT, "a\u202eb", "name")],
)  # fmt: skip
def test_unsound_ids_and_names_are_refused(app: Flask, app_id: str, name: str, reason: str) -> None:
    with pytest.raises(AppError) as caught, transaction():
        added(app_id, name=name)
    assert caught.value.data["reason"] == reason


def test_an_app_is_there_once_for_each_platform(app: Flask) -> None:
    with transaction():
        added()
        added(platform=Platform.ANDROID, name="Maling for Android")
    with pytest.raises(ConflictError), transaction():
        added(name="Enda en gang")
    assert [(one.name, one.platform) for one in catalogue.listed()] == [
        ("Maling", IPAD), ("Maling for Android", Platform.ANDROID),
    ]  # fmt: skip
    assert [one.platform for one in catalogue.listed(IPAD)] == [IPAD]


def test_a_mistyped_id_is_told_what_is_near(app: Flask) -> None:
    with transaction():
        added()
    assert catalogue.find(f"{PAINT} ", IPAD).name == "Maling"
    with pytest.raises(NotFoundError) as caught:
        catalogue.find("no.example.pant", IPAD)
    assert caught.value.data["nearest"] == [PAINT]


@pytest.mark.parametrize("role", [Role.SCHOOL_IT, Role.TEACHER])
def test_only_who_writes_profiles_writes_the_catalogue(app: Flask, role: Role) -> None:
    with transaction():
        made = added()
    by = Principal("account", "1", grants=(Grant(role, None),))
    with pytest.raises(ForbiddenError):
        catalogue.add("no.example.other", IPAD, Told("Annen"), by=by, now=NOW)
    with pytest.raises(ForbiddenError):
        catalogue.change(made, Told("Annen"), by=by, now=NOW)
    with pytest.raises(ForbiddenError):
        named.remove_app(made, by=by, now=NOW)


def test_saying_the_same_again_changes_nothing(app: Flask) -> None:
    with transaction():
        made = added(store="123")
        catalogue.change(made, Told("Maling", "123"), by=BY, now=NOW)
    assert make.audited(action="apps.changed") == []
    with transaction():
        catalogue.change(made, Told("Mal"), by=BY, now=NOW)
    (line,) = make.audited(action="apps.changed")
    assert line.fields == {"app": PAINT, "from_name": "Maling", "name": "Mal"}
    assert (made.name, made.store_id) == ("Mal", None)


def test_sources_and_names_of_any_number_are_one_statement(app: Flask, statements: list[str]) -> None:
    with transaction():
        added(store="123456789")
        added(platform=Platform.ANDROID, name="Paint")
        added("no.example.other", name="Annen")
    statements.clear()
    found = catalogue.sources(IPAD, {PAINT, "no.example.other", "no.example.unknown"})
    assert len(statements) == 1
    assert found == {
        PAINT: Source(PAINT, "Maling", 123456789, is_licensed=False, package=None),
        "no.example.other": Source("no.example.other", "Annen", None, is_licensed=False, package=None),
    }
    assert catalogue.names(None, {PAINT, "no.example.unknown"}) == {PAINT: "Maling"}
    assert catalogue.names(Platform.ANDROID, {PAINT}) == {PAINT: "Paint"}
    assert (catalogue.sources(IPAD, ()), catalogue.names(None, ()), len(statements)) == ({}, {}, 3)


# -- who hears of it ---------------------------------------------------------------------------------------------------


def test_a_change_reaches_the_tablets_of_the_platform_whose_profile_requires_the_app(app: Flask) -> None:
    with transaction():
        school, elsewhere = make.school(), make.school("Den andre")
        ipad, other = make.enrolled(school), make.enrolled(elsewhere)
        android = make.enrolled(school, platform=Platform.ANDROID)
        make.assign(requiring(PAINT), Place.school(school))
    before = [version(one) for one in (ipad, android, other)]
    with rung() as heard, transaction():
        made = added()
    assert heard == {ipad.id}
    assert [version(one) for one in (ipad, android, other)] == [before[0] + 1, *before[1:]]
    with rung() as heard, transaction():
        catalogue.change(made, Told("Maling", "123"), by=BY, now=NOW)
    assert heard == {ipad.id}
    with rung() as heard, transaction():
        catalogue.change(made, Told("Et annet navn", "123"), by=BY, now=NOW)
        added("no.example.other", name="Annen")
    assert heard == set()
    assert version(ipad) == before[0] + 2


def test_telling_takes_as_many_statements_for_3_as_for_300(app: Flask, statements: list[str]) -> None:
    with transaction():
        school = make.school()
        make.tablets(school, 3)
        given = requiring(PAINT)
        make.assign(given, Place.municipality())
        made = added(platform=Platform.LINUX)

    def counted(store: str) -> int:
        statements.clear()
        with transaction():
            made.is_licensed = store == "1"
            changed("app", [made.id], now=NOW)
        return len(statements)

    few = counted("1")
    with transaction():
        make.tablets(school, 297)
        make.assign(make.next_version(given, **settings(PAINT)), Place.municipality())
    assert counted("2") <= few


# -- what stands in the way --------------------------------------------------------------------------------------------


def test_an_app_that_a_published_profile_requires_stays_and_the_profiles_are_named(app: Flask) -> None:
    with transaction():
        made = added()
        requiring(PAINT, name="barnetrinn")
        make.published("annet", **cast("dict[str, Any]", {"apps.allowed": [PAINT]}))
    with pytest.raises(AppRequiredError) as caught, transaction():
        named.remove_app(made, by=BY, now=NOW)
    assert caught.value.data == {"name": PAINT, "profiles": ["barnetrinn"]}


def test_an_older_version_counts_as_long_as_it_is_given_somewhere(app: Flask) -> None:
    with transaction():
        made, first = added(), requiring(PAINT)
        given = make.assign(first, Place.municipality())
        make.next_version(first, **{"camera.allowed": True})
    with pytest.raises(AppRequiredError), transaction():
        named.remove_app(made, by=BY, now=NOW)
    with transaction():
        given.withdrawn_at = NOW
        named.remove_app(made, by=BY, now=NOW)
    assert catalogue.listed() == []
    (line,) = make.audited(action="apps.removed")
    assert line.fields == {"app": PAINT, "name": "Maling"}
