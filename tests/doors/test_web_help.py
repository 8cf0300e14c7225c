"""What pages say to those who would not know how to go on: strangers with a code, teachers, administrators."""

import re
from pathlib import Path

import pytest
from flask import Flask

import fleet.web
from fleet.access import Role
from fleet.db import db, transaction
from fleet.devices import codes, sheet
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.visiting import Visitor, World, visit

STATIC = Path(fleet.web.__file__).parent / "static"
CODES = {
    "nb": "En kode for å registrere nettbrett",
    "nn": "Ein kode for å registrere nettbrett",
    "en": "A code for enrolling tablets",
}


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.mark.parametrize("code", ["ticket-unknown", "ticket-expired", "ticket-exhausted", "ticket-revoked", "too-many"])
def test_a_refused_code_is_told_and_anything_else_is_not(app: Flask, code: str) -> None:
    assert 'role="alert"' in Visitor(app).get(f"/enrol?refused={code}").text
    assert 'role="alert"' not in Visitor(app).get("/enrol?refused=<b>").text


@pytest.mark.parametrize(("language", "heading"), CODES.items())
def test_code_in_an_ordinary_camera_leads_to_help_in_the_readers_language(
    app: Flask, language: str, heading: str
) -> None:
    code = codes.make()
    address, fragment = sheet.payload("", code).split("#")
    assert codes.shown(code) == fragment  # a browser keeps it: only the address is asked for
    answer = Visitor(app).get(address, headers={"Accept-Language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}"' in answer.text
    assert heading in answer.text
    assert len(re.findall("<li>", answer.text)) == 4


def test_help_for_a_code_reads_it_by_one_script_and_sends_it_by_one_form_that_somebody_presses(app: Flask) -> None:
    page = Visitor(app).get("/enrol").text
    assert re.findall(r"<script[^>]*/([\w.]+)\"", page) == ["enrol.js"]
    assert "hx-" not in page
    forms = re.findall(r'<form [^>]*action="([^"]+)"', page)
    assert forms == ["/language", "/apple/invitations"]
    script = (STATIC / "enrol.js").read_text()
    assert not re.search(r"fetch|submit|XMLHttp|sendBeacon|src|import", script)
    told = words(page)
    assert "scripts/agent --state ./tablet --qr 'http://fleet.test/enrol#KODE'" in told
    assert "scripts/agent --state ./tablet --server http://fleet.test --code KODE" in told


def test_language_chosen_at_the_help_leads_back_to_it(app: Flask) -> None:
    visitor = Visitor(app)
    answer = visitor.post("/language", page="/enrol", language="nn", next="/enrol?")
    assert answer.location == "/enrol"
    assert CODES["nn"] in visitor.get("/enrol").text


NO_CLASS = "Kontoen din er ikke koblet til noen klasse"
NO_ROLE = "Kontoen din har ikke fått tilgang til noen skole"
NO_ROSTER = "Elevlister og leveranselister"


@pytest.mark.parametrize(
    ("username", "told"), [("lost-teacher", NO_CLASS), ("unknown-teacher", NO_CLASS), ("nobody", NO_ROLE), ("teacher", "")]
)  # fmt: skip
def test_overview_without_tablets_says_why_and_who_can_help(app: Flask, world: World, username: str, told: str) -> None:
    with app.app_context(), transaction():
        school = db.session.merge(world.school)
        person = factories.employee("lost-teacher", school)
        factories.account("lost-teacher", (Role.TEACHER, school), of=person, password=visiting.PASSWORD)
        factories.account("unknown-teacher", (Role.TEACHER, school), password=visiting.PASSWORD)
    page = visit(app, username).get("/").text
    assert [one for one in (NO_CLASS, NO_ROLE, NO_ROSTER) if one in page] == ([told] if told else [])


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("rejected", {"nb": "ble avvist av nettbrettet", "nn": "vart avvist av nettbrettet", "en": "the tablet refused it"}),
        ("unsupported", {"nb": "støttes ikke på denne typen nettbrett", "nn": "er ikkje støtta på denne typen nettbrett", "en": "this kind of tablet cannot do it"}),
        ("<b>odd</b>", dict.fromkeys(("nb", "nn", "en"), "&lt;b&gt;odd&lt;/b&gt;")),
    ],
)  # fmt: skip
def test_why_a_setting_failed_is_told_in_words(app: Flask, world: World, reason: str, told: dict[str, str]) -> None:
    with app.app_context(), transaction():
        db.session.merge(world.tablet).state.failures = [{"key": "unknown.one", "reason": reason}]
    visitor = visit(app, "admin")
    for language, expected in told.items():
        visitor.post("/language", page="/", language=language)
        assert f"<li>unknown.one: {expected}</li>" in visitor.get("/tablets/OWN1").text
