"""Catalogues are complete and in step, words are total, formats say what they should."""

import gettext
import io
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages import mofile
from flask import Flask
from flask_babel import Babel
from hypothesis import given
from hypothesis import strategies as st

from fleet import clock
from fleet.assignments.models import Scope
from fleet.compliance.models import Finding, FindingKind
from fleet.devices.bulk import LeftOut
from fleet.devices.models import Device, DeviceLife, DeviceState, Platform
from fleet.devices.queries import Figures
from fleet.orders import OrderKind, OrderState
from fleet.web import bars, catalogue, formats, words, words_tablets
from fleet.web.languages import NAMES, TRANSLATIONS
from fleet.web.tablets import STATES
from fleet.web.texts import in_language, table, translated
from profiles.vocabulary import VOCABULARY

_PLACEHOLDER = re.compile(r"%\((\w+)\)([sd])")


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Open a request whose page speaks ``language``."""
    app = Flask("words")
    Babel(app, default_translation_directories=str(TRANSLATIONS), locale_selector=lambda: language)
    with app.test_request_context():
        yield


def test_another_language_is_spoken_inside_and_the_pages_own_before_and_after() -> None:
    with speaking("nb"):
        assert translated("Planned") == "Planlagt"
        with in_language("en"):
            assert translated("Planned") == "Planned"
            with in_language("nn"):
                assert translated("since %(time)s", time="08:15") == "sidan 08:15"
            assert translated("Planned") == "Planned"
        assert translated("since %(time)s", time="08:15") == "siden 08:15"
    assert translated("Planned") == "Planned"  # nobody's page


def test_a_table_of_texts_is_made_once_a_page_and_language() -> None:
    made: list[str] = []

    @table
    def words_of_stages() -> dict[str, str]:
        made.append(told := translated("Planned"))
        return {"planned": told}

    with speaking("nb"):
        assert [words_of_stages()["planned"] for _ in range(3)] == ["Planlagt"] * 3
        with in_language("en"):
            assert words_of_stages()["planned"] == "Planned"
        assert words_of_stages()["planned"] == "Planlagt"
    assert made == ["Planlagt", "Planned"]
    with speaking("nn"):
        assert words_of_stages()["planned"] == "Planlagd"
    assert words_of_stages() == words_of_stages() == {"planned": "Planned"}  # nobody's page


@pytest.mark.parametrize("language", NAMES)
def test_every_text_is_translated_and_keeps_its_placeholders(language: str) -> None:
    kept = {message.id: message for message in catalogue.read(language) if message.id}
    wanted = {message.id for message in catalogue.wanted() if message.id}
    assert kept.keys() == wanted
    for name, message in kept.items():
        forms = catalogue.strings(message.string)
        assert all(forms), name
        asked = catalogue.strings(name)
        assert len(forms) == len(asked), name
        for form, english in zip(forms, asked, strict=True):
            holders = set(_PLACEHOLDER.findall(form))
            # "each minute" need not say that it is one.
            assert holders in (set(_PLACEHOLDER.findall(english)), set(_PLACEHOLDER.findall(asked[-1]))), name
            assert "%" not in _PLACEHOLDER.sub("", form), name


@pytest.mark.parametrize("language", NAMES)
def test_compiled_catalogue_is_in_step(language: str) -> None:
    compiled = io.BytesIO()
    mofile.write_mo(compiled, catalogue.read(language))
    compiled.seek(0)
    fresh = gettext.GNUTranslations(compiled)
    with catalogue.path_of(language).with_suffix(".mo").open("rb") as file:  # made by scripts/setup
        used = gettext.GNUTranslations(file)
    for message in catalogue.wanted():
        if isinstance(message.id, str) and message.id:
            assert used.gettext(message.id) == fresh.gettext(message.id)


@pytest.mark.parametrize("language", NAMES)
def test_writing_an_unchanged_catalogue_changes_nothing(language: str) -> None:
    assert catalogue.written(catalogue.read(language)) == catalogue.path_of(language).read_bytes()


def test_updating_an_empty_folder_fills_what_is_known_and_names_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "TRANSLATIONS", tmp_path)
    assert catalogue.update("en") == []  # the texts are written in it
    nb, nn = catalogue.update("nb"), catalogue.update("nn")
    assert "Sign in" in nb
    assert "Camera" not in nb  # the vocabulary has its own title
    assert "Camera" in nn
    kept = catalogue.read("nb")
    kept["Sign in"].string = "Logg inn"
    kept.add("A text that is gone", "En tekst som er borte")
    catalogue.path_of("nb").write_bytes(catalogue.written(kept))
    assert "Sign in" not in catalogue.update("nb")
    assert catalogue.read("nb")["Sign in"].string == "Logg inn"
    assert "A text that is gone" not in catalogue.read("nb")
    assert catalogue.main() == 1
    assert "nn: Sign in" in capsys.readouterr().err


def test_norwegian_catalogues_differ_from_english_and_from_each_other() -> None:
    texts = {language: {m.id: m.string for m in catalogue.read(language) if m.id} for language in NAMES}
    count = len(texts["en"])
    assert sum(texts["nb"][name] != texts["en"][name] for name in texts["en"]) > 0.9 * count
    assert sum(texts["nn"][name] != texts["nb"][name] for name in texts["en"]) > 0.4 * count


def test_vocabulary_is_spoken_by_its_own_titles() -> None:
    for language in ("nb", "en"):
        with speaking(language):
            assert {words.setting(key): None for key in VOCABULARY.values()} == {
                key.title[language]: None for key in VOCABULARY.values()
            }


@pytest.mark.parametrize("language", NAMES)
def test_every_state_finding_and_rule_has_words(language: str) -> None:
    with speaking(language):
        told = [
            *(words.life(one).words for one in DeviceLife),
            *(words.platform(one) for one in Platform),
            *(words.scope(one.value) for one in Scope),
            *(words.filter_state(one) for one in STATES),
            *(words.finding_title(one) for one in FindingKind),
            *(words.finding_sentence(Finding(kind=one, subject="no.example", detail={})) for one in FindingKind),
            *(words.rule(key.rule.name) for key in VOCABULARY.values()),
            *(text for _kind, text in bars.legend()),
            *(words_tablets.order_kind(one) for one in OrderKind),
            *(words_tablets.order_state(one).words for one in OrderState),
            *(words_tablets.left_out(one, 2) for one in LeftOut),
            *(
                text
                for name in (*OrderKind, *words_tablets.STEPS, words_tablets.MOVE)
                for text in (
                    words_tablets.action(name).title, words_tablets.action(name).about,
                    words_tablets.heading(name, 2), words_tablets.done(name, 2),
                )
            ),
        ]  # fmt: skip
    assert all(told)
    assert all(text.strip() == text for text in told)


@pytest.mark.parametrize(
    ("kind", "detail", "sentence"),
    [
        (FindingKind.STORAGE_LOW, {"free_bytes": 5_300_000_000}, "Bare 5,3 GB lagringsplass er ledig."),
        (FindingKind.CLOCK_WRONG, {"offset_s": -3600}, "Klokken på nettbrettet går 1 time feil."),
        (FindingKind.OS_OUTDATED, {"found": "16.7", "expected": "17.0"}, "Har system 16.7, minst 17.0 er påkrevd."),
        (
            FindingKind.SETTINGS_FAILED,
            {"settings": ["camera.allowed", "unknown.one"]},
            "Klarte ikke å ta i bruk: Kamera, unknown.one.",
        ),
        (FindingKind.APP_MISSING, {}, "no.example skal være installert, men er det ikke."),
        (FindingKind.SILENT, {"since": "2026-09-14"}, "Ikke hørt fra på lengre tid enn ventet i skoletiden."),
    ],
)
def test_finding_is_told_with_its_details(kind: FindingKind, detail: dict[str, object], sentence: str) -> None:
    with speaking("nb"):
        assert words.finding_sentence(Finding(kind=kind, subject="no.example", detail=detail)) == sentence


@pytest.mark.parametrize(
    ("life", "state", "told"),
    [
        (DeviceLife.EXPECTED, {}, "Ikke registrert ennå"),
        (DeviceLife.LOST, {}, "Meldt tapt"),
        (DeviceLife.ENROLLED, {}, "Har ikke rapportert ennå"),
        (DeviceLife.ENROLLED, {"last_seen_at": clock.now(), "desired_digest": "a"}, "Venter på profil"),
        (
            DeviceLife.ENROLLED,
            {"last_seen_at": clock.now(), "desired_digest": "a", "applied_digest": "a"},
            "Har profilen sin",
        ),
        (
            DeviceLife.ENROLLED,
            {"last_seen_at": clock.now(), "failures": [{"key": "x"}]},
            "Har profilen, men ikke alle innstillinger",
        ),
    ],
)
def test_profile_state_in_words(life: DeviceLife, state: dict[str, object], told: str) -> None:
    with speaking("nb"):
        assert words.profile(Device(life=life, state=DeviceState(**state))).words == told


@pytest.mark.parametrize(
    ("language", "passed", "told"),
    [
        ("nb", timedelta(seconds=5), "akkurat nå"), ("nb", timedelta(minutes=3), "for 3 minutter siden"), ("nn", timedelta(minutes=3), "for 3 minutt sidan"),
        ("en", timedelta(hours=2), "2 hours ago"), ("nb", timedelta(days=1, hours=2), "for 1 døgn siden"), ("nb", -timedelta(minutes=5), "akkurat nå"),
    ],
)  # fmt: skip
def test_time_since_is_told_as_people_do(language: str, passed: timedelta, told: str) -> None:
    with speaking(language):
        assert formats.ago(clock.now() - passed - timedelta(seconds=0.5)) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, "ja"), (False, "nei"), (None, formats.NOTHING), ([], formats.NOTHING), (["a", "b"], "a, b"), (1234.5, "1\xa0234,5"), ("x", "x"),
        ({"from": "02:00", "until": "04:00"}, "from: 02:00, until: 04:00"), ([{"a": True}], "a: ja"),
    ],
)  # fmt: skip
def test_value_of_a_setting_as_text(value: object, told: str) -> None:
    with speaking("nb"):
        assert formats.plain(value) == told


def test_instants_are_told_in_local_time() -> None:
    moment = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)
    assert formats.iso(moment) == "2026-09-14T08:15:00+00:00"


_counts = st.integers(0, 10_000)


@given(ready=_counts, waiting=_counts, quiet=_counts, expected=_counts, lost=_counts)
def test_bar_is_filled_exactly_and_shows_whatever_there_is(
    ready: int, waiting: int, quiet: int, expected: int, lost: int
) -> None:
    figures = Figures(
        total=ready + waiting + quiet + expected + lost, expected=expected, enrolled=ready + waiting + quiet, lost=lost,
        seen_last_day=ready + waiting, ready=ready,
    )  # fmt: skip
    with speaking("nb"):
        parts = bars.parts(figures)
    counts = {"ready": ready, "waiting": waiting, "quiet": quiet, "expected": expected, "lost": lost}
    assert {part.kind: part.count for part in parts} == {kind: count for kind, count in counts.items() if count}
    assert sum(part.length for part in parts) == (bars.WIDTH if parts else 0)
    assert all(part.length >= 10 for part in parts)
    for before, after in itertools.pairwise(parts):
        assert before.start + before.length == after.start
