"""Every setting has its theme, its words and a field that reads back what it shows, in every language."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_babel import Babel
from hypothesis import given
from hypothesis import strategies as st

from fleet.web import setting_fields, words_profiles
from fleet.web.languages import NAMES, TRANSLATIONS
from fleet.web.profiles import slug
from profiles.kinds import Choice, Kind, Record, Records, Whole
from profiles.vocabulary import VOCABULARY

EXAMPLES: dict[str, Any] = {
    "apps.update_window": {"from": "16:00", "until": "22:00"},
    "home_screen.pages": [{"page": 1, "apps": ["no.example.b", "no.example.a"]}, {"page": 2, "apps": []}],
    "wifi.networks": [{"ssid": "skole", "security": "wpa2", "password": "hemmelig", "hidden": False}],
    "web.bookmarks": [{"title": "Udir", "url": "https://udir.no/"}],
    "printing.printers": [{"name": "Kopirom", "address": "10.0.0.9"}],
    "apps.allowed": [], "web.blocked": ["nrk.no", "*.udir.no/skole"], "home_screen.dock": ["no.example.b", "no.example.a"],
    "camera.allowed": False, "sound.volume_max_percent": 0, "web.cookies": "never", "os.minimum_version": "18.4",
    "lock_screen.message": "Tilhører Prøveskolen", "kiosk.app": "no.example.app",
}  # fmt: skip


@pytest.fixture(params=NAMES)
def _speaking(request: pytest.FixtureRequest) -> Iterator[None]:
    app = Flask("words")
    Babel(app, default_translation_directories=str(TRANSLATIONS), locale_selector=lambda: request.param)
    with app.test_request_context():
        yield


def inner(kind: Kind) -> Iterator[tuple[str, Kind]]:
    """Return the fields of a kind of several fields."""
    record = kind.record if isinstance(kind, Records) else kind
    if isinstance(record, Record):
        yield from record.fields.items()


def test_every_area_stands_under_one_theme() -> None:
    areas = [area for theme in words_profiles.THEMES.values() for area in theme]
    assert len(areas) == len(set(areas))
    assert set(areas) == {key.area for key in VOCABULARY.values()}


@pytest.mark.usefixtures("_speaking")
def test_every_theme_unit_choice_field_and_expectation_has_words() -> None:
    for name in words_profiles.THEMES:
        assert words_profiles.theme(name)
    for key in VOCABULARY.values():
        assert words_profiles.platforms(key)
        for kind in (key.kind, *(of for _name, of in inner(key.kind))):
            assert words_profiles.expected(kind).endswith(".")
            if isinstance(kind, Whole):
                assert words_profiles.unit(kind)
                assert words_profiles.counted(kind, kind.highest)
            if isinstance(kind, Choice):
                assert all(map(words_profiles.word, kind.words))
        assert all(words_profiles.field(name) for name, _kind in inner(key.kind))


@pytest.mark.usefixtures("_speaking")
def test_what_the_editor_shows_reads_back_as_it_was() -> None:
    for name, value in EXAMPLES.items():
        stored = VOCABULARY[name].kind.normalise(value)
        typed = setting_fields.typed_of({name: stored})
        assert "hemmelig" not in str(typed)
        assert setting_fields.read(typed, {name: stored}) == ({name: stored}, {})
        assert "hemmelig" not in words_profiles.value(VOCABULARY[name], stored)


@pytest.mark.usefixtures("_speaking")
def test_settings_left_empty_say_nothing_but_lists_that_close_all_else() -> None:
    typed = {name: setting_fields.blank(name) for name in VOCABULARY}
    assert setting_fields.read(typed, {}) == ({"apps.allowed": [], "web.allowed": []}, {})


def test_secrets_left_out_of_a_text_come_from_what_there_was() -> None:
    old = {"wifi.networks": EXAMPLES["wifi.networks"], "camera.allowed": False}
    shown = setting_fields.without_secrets(old)
    assert "hemmelig" not in str(shown)
    assert setting_fields.with_secrets(shown, old) == old
    opened = {"wifi.networks": [{"ssid": "skole", "security": "open"}]}
    assert setting_fields.with_secrets(opened, old) == opened


@given(st.text(max_size=200))
def test_short_name_is_one_or_none(title: str) -> None:
    assert all(part.isascii() and part.isalnum() for part in slug(title).split("-") if slug(title))
    assert len(slug(title)) <= 64


def test_short_name_keeps_norwegian_letters_readable() -> None:
    assert slug("8.-10. trinn på Åsen, Ærøy") == "8-10-trinn-pa-asen-aeroy"
