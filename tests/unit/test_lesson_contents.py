"""What quick sets come to, from the words of a teacher in a hurry."""

from typing import Any

import pytest

from fleet.errors import InvalidError
from fleet.lessons import contents
from fleet.lessons.models import SetKind
from profiles import catalogue, layering
from profiles.layering import Layer, Level

EXAM = next(dict(one.settings) for one in catalogue.load() if one.name == "eksamen")


def made(kind: SetKind, **told: Any) -> dict[str, Any]:
    return contents.quick_settings(kind, contents.params(kind, **told))


def test_only_these_apps_says_nothing_of_the_web() -> None:
    assert made(SetKind.APPS, apps=["b.two", " a.one ", "b.two"]) == {"apps.allowed": ["a.one", "b.two"]}


def test_one_app_can_be_locked_to() -> None:
    assert made(SetKind.APPS, apps=["a.one"], locked=True) == {"apps.allowed": ["a.one"], "kiosk.app": "a.one"}


def test_only_these_addresses_says_nothing_of_apps() -> None:
    assert made(SetKind.WEB, hosts=["nrk.no"]) == {"web.allowed": ["nrk.no"]}


def test_eyes_on_me_leaves_nothing_to_use_and_says_why() -> None:
    settings = made(SetKind.EYES, text=" Se på \n tavla ")
    assert settings == {"apps.allowed": [], "web.allowed": [], "lock_screen.message": "Se på tavla"}
    base = Layer(Level.SCHOOL, "school", None, {"apps.allowed": ["a.one"], "lock_screen.message": "Kjenn skole"})
    effective = layering.effective([base, Layer(Level.LESSON, "lesson", None, settings)]).settings
    assert effective == settings


def test_eyes_on_me_needs_no_words() -> None:
    assert made(SetKind.EYES) == made(SetKind.EYES, text="  ") == {"apps.allowed": [], "web.allowed": []}


def test_an_exam_has_whatever_the_shipped_profile_stops_and_its_own_app_and_addresses() -> None:
    settings = made(SetKind.EXAM, apps=["no.example.exam"], hosts=["udir.no"])
    assert settings == EXAM | {"apps.allowed": ["no.example.exam"], "web.allowed": ["udir.no"]}
    assert settings["dictation.allowed"] is settings["sharing.nearby_allowed"] is False


def test_an_exam_without_addresses_has_no_web() -> None:
    settings = made(SetKind.EXAM, apps=["no.example.exam"], locked=True)
    assert settings["web.allowed"] == []
    assert settings["kiosk.app"] == "no.example.exam"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("https://www.nrk.no/super/", "www.nrk.no"),
        (" HTTPS://WWW.NRK.NO ", "www.nrk.no"),
        ("http://lærer@skole.example:8080/a?b#c", "skole.example"),
        ("NRK.no", "nrk.no"),
        ("*.udir.no/Eksamen", "*.udir.no/Eksamen"),
        ("https://språkrådet.no/", "xn--sprkrdet-c0ac.no"),
        ("språkrådet.no/x", "xn--sprkrdet-c0ac.no/x"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_an_address_is_taken_as_people_paste_or_type_it(typed: str, meant: str) -> None:
    assert contents.params(SetKind.WEB, hosts=[typed]) == {"hosts": [meant]}


@pytest.mark.parametrize(
    "typed", ["", "nrk", "https://", "nrk .no", "mailto:a@b.no", "https://[::1", f"{'å' * 64}.no", "nrk.no, vg.no"]
)
def test_what_is_no_address_is_named(typed: str) -> None:
    with pytest.raises(InvalidError) as refused:
        contents.params(SetKind.WEB, hosts=["nrk.no", typed])
    assert refused.value.data["found"] == typed[:80]
    assert "such as nrk.no" in refused.value.data["expected"]


def test_what_is_no_app_is_named() -> None:
    with pytest.raises(InvalidError) as refused:
        contents.params(SetKind.APPS, apps=["com.apple.Pages", "Pages"])
    assert refused.value.data == {
        "kind": "lesson set",
        "reason": "app",
        "found": "Pages",
        "expected": "an app id such as no.example.app of 1 to 155 characters",
    }


@pytest.mark.parametrize(
    ("kind", "told", "data"),
    [
        (SetKind.APPS, {}, ("missing", "apps", "apps")),
        (SetKind.WEB, {}, ("missing", "web", "hosts")),
        (SetKind.EXAM, {"hosts": ["udir.no"]}, ("missing", "exam", "apps")),
        (SetKind.APPS, {"apps": ["a.b"], "hosts": ["nrk.no"]}, ("not for this kind", "hosts", "apps")),
        (SetKind.WEB, {"hosts": ["nrk.no"], "locked": True}, ("not for this kind", "locked", "web")),
        (SetKind.EYES, {"apps": ["a.b"]}, ("not for this kind", "apps", "eyes")),
        (SetKind.PROFILE, {"text": "Hei"}, ("not for this kind", "text", "profile")),
        (SetKind.APPS, {"apps": ["a.b", "a.c"], "locked": True}, ("lock", 2, "one app")),
        (SetKind.EYES, {"text": "x" * 121}, ("text", "x" * 80, "a message of 1 to 120 characters")),
        (SetKind.EYES, {"text": "Hei\x00"}, ("text", "Hei\x00", "a message of 1 to 120 characters")),
        (
            SetKind.APPS,
            {"apps": [f"a.b{n}" for n in range(2001)]},
            ("apps.allowed", None, "a list of at most 2000 app ids"),
        ),
    ],
)
def test_words_that_make_no_such_set_are_refused(kind: SetKind, told: dict[str, Any], data: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidError) as refused:
        contents.params(kind, **told)
    assert tuple(refused.value.data[name] for name in ("reason", "found", "expected")) == data


@pytest.mark.parametrize(
    ("kind", "told", "title"),
    [
        (SetKind.APPS, {"apps": ["com.apple.Pages", "no.example.ordbok"]}, "Pages, ordbok"),
        (SetKind.EXAM, {"apps": ["com.apple.Pages"], "hosts": ["udir.no"]}, "Pages, udir.no"),
        (SetKind.EYES, {"text": "Se på tavla"}, "Se på tavla"),
        (SetKind.EYES, {}, "eyes"),
        (
            SetKind.WEB,
            {"hosts": [f"a{n}.example" for n in range(10, 30)]},
            "a10.example, a11.example, a12.example, a13.example, a14.example, a15.example, a…",
        ),
    ],
)
def test_a_quick_set_is_called_by_what_it_gives(kind: SetKind, told: dict[str, Any], title: str) -> None:
    found = contents.title(kind, contents.params(kind, **told))
    assert found == title
    assert contents.checked_title(found) == title
