"""Mails: each kind in each language, as text and as HTML that say the same, without anything fetched or any person."""

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from flask import Flask

from fleet.alerts.letters import Contents, Item, Written
from fleet.alerts.models import AlertTopic, LetterKind
from fleet.compliance.models import FindingKind, IncidentCause, Severity
from fleet.web import letters

BASE = "https://brett.example.no"
AT = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)
NO = f"{BASE}/alerts/unsubscribe/abc"


def item(topic: AlertTopic, kind: str, severity: Severity = Severity.WARNING, **values: Any) -> Item:
    usual = {"school_id": 7, "school": "Prøveskolen", "class_title": "8B", "device_id": 3, "tablet": "TAG-1"}
    return Item(topic, kind, severity, AT, **{**usual, "about_id": 17, **values})


ITEMS = (
    item(AlertTopic.MISSING, FindingKind.MISSING, Severity.SERIOUS),
    item(AlertTopic.ESCALATED, FindingKind.NOT_ENCRYPTED, Severity.SERIOUS, tablet="TAG-2", is_escalated=True),
    item(AlertTopic.FINDINGS, FindingKind.APP_BLOCKED, tablet="TAG-3", detail={"subject": "no.example.game"}),
    item(AlertTopic.FINDINGS, "own-rule", Severity.NOTE, tablet="TAG-4", title="Skjerm <knust>"),
    item(AlertTopic.INCIDENTS, IncidentCause.CART, tablet=None, class_title=None, detail={"cart": "A", "most": 12}),
    item(AlertTopic.QUESTIONS, "where-is-it", tablet="TAG-5"),
    item(AlertTopic.JOBS, "retention", tablet=None, school=None, class_title=None),
    item(AlertTopic.CERTIFICATES, "push-certificate", tablet=None, school=None, detail={"ends_at": "2026-12-24T08:00:00+00:00"}),
)  # fmt: skip


def contents(kind: LetterKind, items: tuple[Item, ...] = (), **values: Any) -> Contents:
    return Contents(kind, "Kari", BASE, AT, items=items, **{"unsubscribe_url": NO, **values})


def written(app: Flask, told: Contents, language: str = "en") -> Written:
    with app.app_context():
        return letters.write(told, language)


def links(mail: Written) -> tuple[set[str], set[str]]:
    """Return where the HTML and where the text lead."""
    return {unescape(one) for one in re.findall(r'href="([^"]+)"', mail.html)}, set(
        re.findall(r"https?://\S+", mail.text)
    )


@pytest.mark.parametrize("language", ["nb", "nn", "en", "unknown"])
@pytest.mark.parametrize(
    "told",
    [
        contents(LetterKind.DIGEST, ITEMS, school="Prøveskolen", more=3, counts={AlertTopic.FINDINGS: 11}),
        contents(LetterKind.AT_ONCE, ITEMS),
        contents(LetterKind.AT_ONCE, ITEMS[:1]),
        contents(LetterKind.AT_ONCE, ITEMS[5:6], school="Prøveskolen"),
        contents(LetterKind.REPORT, subject_key="os", file_name="rapport.xlsx"),
        contents(LetterKind.TEST, unsubscribe_url=None),
    ],
    ids=["digest", "at-once", "one", "question", "report", "test"],
)
def test_text_and_html_say_the_same_and_fetch_nothing(app: Flask, told: Contents, language: str) -> None:
    mail = written(app, told, language)
    assert mail.subject
    assert mail.subject.isprintable()
    of_html, of_text = links(mail)
    assert of_html == of_text
    assert all(one.startswith(f"{BASE}/") for one in of_html)
    assert "<img" not in mail.html
    assert "url(" not in mail.html
    assert "<script" not in mail.html
    assert 'style="' in mail.html
    assert 'name="color-scheme" content="light dark"' in mail.html
    shown = " ".join(unescape(re.sub(r"<[^>]+>", " ", mail.html)).split())
    for one in told.items:
        if one.tablet is not None:
            assert one.tablet in mail.text
            assert one.tablet in shown
    spoken = {"unknown": "nb"}.get(language, language)
    assert f'<html lang="{spoken}">' in mail.html


def test_what_went_up_comes_first_and_nothing_breaks_the_markup(app: Flask) -> None:
    mail = written(app, contents(LetterKind.DIGEST, ITEMS, school="Prøveskolen"))
    assert mail.text.index("TAG-2") < mail.text.index("TAG-1")
    assert "Nobody has answered: Not encrypted" in mail.text
    assert "Skjerm <knust>" in mail.text
    assert "Skjerm &lt;knust&gt;" in mail.html
    assert "no.example.game is blocked, but is installed" in mail.text
    assert "12 silent tablets" in mail.text
    assert mail.subject == "8 things to look at \N{EN DASH} Prøveskolen"


def test_one_thing_at_once_is_the_subject(app: Flask) -> None:
    mail = written(app, contents(LetterKind.AT_ONCE, ITEMS[:1], school="Prøveskolen"))
    assert mail.subject == "Missing: TAG-1 \N{EN DASH} 8B, Prøveskolen"


def test_a_question_has_an_answer_for_each_press(app: Flask) -> None:
    mail = written(app, contents(LetterKind.AT_ONCE, ITEMS[5:6], school="Prøveskolen"))
    assert mail.subject == "Where is tablet TAG-5? \N{EN DASH} 8B, Prøveskolen"
    for answer in ("here", "home", "gone"):
        assert f"{BASE}/questions/17?answer={answer}" in mail.text
    assert "You get this because you teach the class." in mail.text


def test_a_name_gives_no_mail_a_second_header(app: Flask) -> None:
    told = contents(LetterKind.AT_ONCE, (item(AlertTopic.MISSING, FindingKind.MISSING, tablet="A\r\nBcc: x@y"),))
    assert "\n" not in written(app, told).subject


def test_the_application_has_the_writer(app: Flask) -> None:
    assert app.extensions["fleet_letter_writer"] is letters.write
