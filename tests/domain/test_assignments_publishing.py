"""Profiles and their versions: drafts change, published versions never do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.assignments import publishing
from fleet.db import reading, transaction
from fleet.errors import ConflictError, ForbiddenError, InvalidFileError, NotFoundError
from profiles.profile import Profile
from tests import factories
from tests.conftest import NOW
from tests.races import together

BY = Principal.command_line()
SCHOOL_IT = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, 1),))


def given(title: str = "Prøve", **settings: object) -> Profile:
    return Profile("prøve".replace("ø", "o"), title, settings or {"camera.allowed": False})


def test_a_draft_is_replaced_and_a_published_version_is_followed_by_the_next(app: Flask) -> None:
    with transaction():
        first = publishing.save_draft(given(), by=BY, now=NOW)
        again = publishing.save_draft(given("Ny tittel", **{"camera.allowed": True}), by=BY, now=NOW)
        assert (again.id, again.number, again.settings) == (first.id, 1, {"camera.allowed": True})
        profile = publishing.find("prove")
        assert profile.title == "Ny tittel"
        publishing.publish(profile, by=BY, now=NOW)
        next_one = publishing.save_draft(given(), by=BY, now=NOW)
    assert (next_one.number, next_one.published_at) == (2, None)
    assert first.settings == {"camera.allowed": True}
    assert publishing.published(profile).number == 1
    assert publishing.listed() == [{"name": "prove", "title": "Ny tittel", "published": 1, "draft": 2}]
    (line,) = factories.audited(action="profiles.published")
    assert (line.fields["profile"], line.fields["version"]) == ("prove", 1)


def test_publishing_needs_a_draft_that_says_something_new(app: Flask) -> None:
    with transaction():
        publishing.save_draft(given(), by=BY, now=NOW)
        profile = publishing.find("prove")
        publishing.publish(profile, by=BY, now=NOW)
    with pytest.raises(ConflictError, match="no draft"), transaction():
        publishing.publish(profile, by=BY, now=NOW)
    with transaction():
        publishing.save_draft(given(), by=BY, now=NOW)
        with pytest.raises(ConflictError, match="says what version 1 says"):
            publishing.publish(profile, by=BY, now=NOW)


def test_a_drafts_title_waits_for_its_publishing(app: Flask) -> None:
    with transaction():
        profile = publishing.save_draft(given(), by=BY, now=NOW).profile
        publishing.publish(profile, by=BY, now=NOW)
        publishing.save_draft(given("Ny tittel", **{"camera.allowed": True}), by=BY, now=NOW)
    assert (profile.title, publishing.draft_of(profile).called) == ("Prøve", "Ny tittel")
    with transaction():
        publishing.discard_draft(profile, by=BY, now=NOW)
    assert (profile.title, publishing.published(profile).called) == ("Prøve", "Prøve")
    assert factories.audited(action="profiles.renamed") == []
    with transaction():
        publishing.save_draft(given("Ny tittel", **{"camera.allowed": True}), by=BY, now=NOW)
        publishing.publish(profile, by=BY, now=NOW)
    assert (profile.title, publishing.published(profile, 1).called) == ("Ny tittel", "Ny tittel")
    (line,) = factories.audited(action="profiles.renamed")
    assert line.fields == {"profile": "prove", "from_name": "Prøve", "name": "Ny tittel"}
    with transaction():
        publishing.save_draft(given("Nyere", **{"camera.allowed": True}), by=BY, now=NOW)
        assert publishing.publish(profile, by=BY, now=NOW).number == 3  # another title is something new too
    assert profile.title == "Nyere"


def test_what_does_not_exist_is_not_found(app: Flask) -> None:
    with pytest.raises(NotFoundError):
        publishing.find("ingen")
    with transaction():
        profile = publishing.save_draft(given(), by=BY, now=NOW).profile
        for number in (None, 1):
            with pytest.raises(NotFoundError):
                publishing.published(profile, number)
        publishing.publish(profile, by=BY, now=NOW)
        assert publishing.published(profile, 1).number == 1
        with pytest.raises(NotFoundError):
            publishing.published(profile, 2)


def test_only_who_may_edit_profiles_saves_and_publishes(app: Flask) -> None:
    with pytest.raises(ForbiddenError), transaction():
        publishing.save_draft(given(), by=SCHOOL_IT, now=NOW)
    with transaction():
        profile = publishing.save_draft(given(), by=BY, now=NOW).profile
    with pytest.raises(ForbiddenError), transaction():
        publishing.publish(profile, by=SCHOOL_IT, now=NOW)


def test_a_profile_is_read_from_toml_and_from_json_by_the_files_ending(tmp_path: Path) -> None:
    (toml := tmp_path / "a.toml").write_text('\ufeffname = "a"\ntitle = "Å"\n[camera]\nallowed = false\n')
    (json := tmp_path / "a.JSON").write_text('{"name": "a", "title": "Å", "settings": {"camera.allowed": false}}')
    assert publishing.read(toml) == publishing.read(json) == Profile("a", "Å", {"camera.allowed": False})


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b'name = "a"\ntitle = "a"\n[camera]\nalowed = false\n', "unknown-key", 4),
        (b"\xff\xfe", "not-utf8", None),
        (b"#" * 300_000, "too-large", None),
        (b"name = ", "syntax", 1),
    ],
)
def test_a_file_that_is_no_profile_is_told_with_its_place(
    tmp_path: Path, content: bytes, code: str, line: int | None
) -> None:
    (path := tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(InvalidFileError) as refusal:
        publishing.read(path)
    assert [(one.file, one.code, one.line) for one in refusal.value.problems][:1] == [("a.toml", code, line)]


def with_length(number: int) -> Profile:
    return Profile("prove", "Prøve", {"passcode.min_length": number})


def test_a_version_says_for_ever_what_it_said_when_it_was_published(own_app: Flask) -> None:
    for number in range(0, 24, 3):
        with own_app.app_context(), transaction():
            publishing.save_draft(with_length(number), by=BY, now=NOW)

        def save(length: int) -> Callable[[], object]:
            return lambda: publishing.save_draft(with_length(length), by=BY, now=NOW).number

        tasks = [save(number + 1), lambda: publishing.publish(publishing.find("prove"), by=BY, now=NOW).number]
        assert all(isinstance(result, int) for result in together(own_app, [*tasks, save(number + 2)]))
    with own_app.app_context(), reading():
        told = {
            line.fields["version"]: line.fields["digest"] for line in factories.audited(action="profiles.published")
        }
        known = publishing.versions(publishing.find("prove"))
        assert {one.number: one.digest for one in known if one.published_at is not None} == told
        assert len(told) == 8
