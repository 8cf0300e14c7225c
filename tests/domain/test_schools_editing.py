"""Schools and classes made by hand, on the pages' and the command line's common ground."""

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.assignments.assigning import Place
from fleet.db import db, transaction
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.schools import editing, queries
from tests import factories
from tests.conftest import NOW
from tests.doors.fleet_command import run

CLI = Principal.command_line()


def test_a_school_and_its_class_are_made_named_and_noted(app: Flask) -> None:
    with transaction():
        school = editing.create_school("  Prøve   skole ", by=CLI, now=NOW)
        klass = editing.create_class(school, "8A", by=CLI, now=NOW)
        editing.rename_school(school, "Ny prøveskole", by=CLI, now=NOW)
        editing.rename_class(klass, "8B", by=CLI, now=NOW)
    assert (queries.find_school("ny prøveskole").id, queries.find_class("8b").id) == (school.id, klass.id)
    assert [one.action for one in factories.audited(4)] == [
        "classes.renamed", "schools.renamed", "classes.created", "schools.created",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "a\x07b"])
def test_what_is_no_name_is_refused(app: Flask, name: str) -> None:
    with pytest.raises(InvalidError), transaction():
        editing.create_school(name, by=CLI, now=NOW)


def test_names_are_free_once_only_among_the_living(app: Flask) -> None:
    with transaction():
        school = editing.create_school("Prøveskolen", by=CLI, now=NOW)
        ended = editing.create_class(school, "8A", by=CLI, now=NOW)
        norwegian = editing.create_class(school, "8Å", by=CLI, now=NOW)
    for again in ("PRØVESKOLEN", "prøveskolen"):
        with pytest.raises(ConflictError), transaction():
            editing.create_school(again, by=CLI, now=NOW)
    for again in ("8a", "8Å", "8å"):
        with pytest.raises(ConflictError), transaction():
            editing.create_class(school, again, by=CLI, now=NOW)
    with transaction():
        editing.rename_class(norwegian, "8å", by=CLI, now=NOW)  # its own
        ended.ended_at = NOW
    with transaction():
        assert editing.create_class(school, "8A", by=CLI, now=NOW).id != ended.id


def test_what_the_roster_names_is_renamed_there(app: Flask) -> None:
    with transaction():
        school = factories.school()
        klass = factories.school_class(school)
        school.source_id, klass.source_id = "s1", "k1"
    with pytest.raises(ConflictError), transaction():
        editing.rename_school(school, "Ny", by=CLI, now=NOW)
    with pytest.raises(ConflictError), transaction():
        editing.rename_class(klass, "Ny", by=CLI, now=NOW)


def test_only_who_may_edit_there_makes_any(app: Flask) -> None:
    with transaction():
        school, other = factories.school(), factories.school("Naboskolen")
    of_school = Principal("account", "9", grants=(Grant(Role.SCHOOL_IT, school.id),))
    with pytest.raises(ForbiddenError), transaction():
        editing.create_school("Ny", by=of_school, now=NOW)
    with pytest.raises(ForbiddenError), transaction():
        editing.create_class(other, "8A", by=of_school, now=NOW)
    with transaction():
        assert editing.create_class(school, "8A", by=of_school, now=NOW).title == "8A"
    db.session.expire_all()


def test_the_command_line_makes_and_names_them(app: Flask) -> None:
    assert "Prøveskolen" in run(app, "schools", "create", "Prøveskolen").output
    assert "8A, Prøveskolen" in run(app, "classes", "create", "8A", "--school", "Prøveskolen").output
    assert run(app, "classes", "create", "MAT 8A", "--school", "Prøveskolen", "--teaching").exit_code == 0
    assert ": 8B" in run(app, "classes", "rename", "8A", "8B").output
    assert ": Ny" in run(app, "schools", "rename", "Prøveskolen", "Ny").output
    for words, told in (
        (["schools", "create", "ny"], "a school is called ny already"),
        (["schools", "create", ""], "a school's name has 1 to 120 characters"),
        (["classes", "create", "8B", "--school", "Ny"], "a class of the school is called 8B already"),
    ):
        refused = run(app, *words)
        assert refused.exit_code != 0
        assert told in refused.stderr
    assert "MAT 8A is ended" in run(app, "classes", "end", "MAT 8A", "--school", "Ny").output
    assert run(app, "classes", "end", "MAT 8A").exit_code != 0  # it is no class any more


def test_a_class_is_ended_and_taken_up_again_and_its_tablets_follow(app: Flask) -> None:
    with transaction():
        school = editing.create_school("Prøveskolen", by=CLI, now=NOW)
        klass = editing.create_class(school, "8A", by=CLI, now=NOW)
        tablet = factories.device(school, class_id=klass.id)
        factories.assign(factories.published("klasse"), Place.school_class(klass))
    had = tablet.state.desired_digest
    assert had is not None
    with transaction():
        editing.end_class(klass, by=CLI, now=NOW)
        editing.end_class(klass, by=CLI, now=NOW)
    db.session.refresh(tablet.state)
    assert tablet.state.desired_digest != had
    assert [row["title"] for row in queries.classes(CLI)] == []
    with transaction():
        assert editing.restore_class(klass.id, by=CLI, now=NOW) is klass
        editing.restore_class(klass.id, by=CLI, now=NOW)
    db.session.refresh(tablet.state)
    assert tablet.state.desired_digest == had
    assert [one.action for one in factories.audited(4)][:2] == ["classes.restored", "classes.ended"]


def test_a_class_comes_back_only_while_its_title_is_free_and_to_who_may_edit_it(app: Flask) -> None:
    with transaction():
        school, other = factories.school(), factories.school("Naboskolen")
        klass = factories.school_class(school, "8A")
        editing.end_class(klass, by=CLI, now=NOW)
        editing.create_class(school, "8a", by=CLI, now=NOW)
    with pytest.raises(ConflictError), transaction():
        editing.restore_class(klass.id, by=CLI, now=NOW)
    for by in (
        Principal("account", "9", grants=(Grant(Role.SCHOOL_IT, other.id),)),
        Principal("account", "8", grants=(Grant(Role.TEACHER, school.id),)),
    ):
        with pytest.raises(NotFoundError), transaction():
            editing.restore_class(klass.id, by=by, now=NOW)
        with pytest.raises(ForbiddenError), transaction():
            editing.end_class(klass, by=by, now=NOW)


def test_what_the_roster_has_is_ended_there(app: Flask) -> None:
    with transaction():
        klass = factories.school_class(factories.school())
        klass.source_id = "k1"
    with pytest.raises(ConflictError), transaction():
        editing.end_class(klass, by=CLI, now=NOW)
    with pytest.raises(NotFoundError), transaction():
        editing.restore_class(klass.id, by=CLI, now=NOW)
