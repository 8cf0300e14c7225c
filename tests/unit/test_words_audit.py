"""Words for the audit: every action the sources record, every field and every kind of subject has some, and none is over."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_babel import Babel

import fleet
from fleet import audit
from fleet.compliance.models import FindingAct
from fleet.devices.life import STEPS
from fleet.lessons.models import Part
from fleet.web import audit_lines, words_audit
from fleet.web.languages import NAMES, TRANSLATIONS
from fleet.web.words_audit import Names

SOURCES = Path(fleet.__file__).parent
# What stands for the name in an action that is put together, module by module.
PUT_TOGETHER = {
    "devices/life.py": set(STEPS),
    "devices/bulk.py": set(STEPS),
    "compliance/acting.py": {one.value for one in FindingAct},
    "lessons/tablets.py": {Part.ABSENT.value, Part.RELEASED.value},
}


@pytest.fixture(params=NAMES)
def _speaking(request: pytest.FixtureRequest) -> Iterator[None]:
    app = Flask("words")
    Babel(app, default_translation_directories=str(TRANSLATIONS), locale_selector=lambda: request.param)
    with app.test_request_context():
        yield


def is_record(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in {"audit.record", "_record"}


def told(expression: ast.expr, tree: ast.AST, place: str) -> set[str]:
    """Return the values that an action's expression may have; a name is looked up where the module sets it."""
    match expression:
        case ast.Constant(value=str(value)):
            return {value}
        case ast.IfExp(body=body, orelse=other):
            return told(body, tree, place) | told(other, tree, place)
        case ast.JoinedStr(values=[ast.Constant(value=str(start)), ast.FormattedValue()]):
            return {start + name for name in PUT_TOGETHER[place]}
        case ast.Name(id=name):
            sets = [
                one for one in ast.walk(tree) if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == name
            ]
            values = {value for one in sets for value in told(one.value, tree, place)}
            taken = any(isinstance(one, ast.arg) and one.arg == name for one in ast.walk(tree))
            assert values or taken, f"{place}: nothing says what {name} is"
            return values
    raise AssertionError(f"{place}:{expression.lineno}: cannot tell what {ast.unparse(expression)} is")


def recorded() -> set[str]:
    """Return each action that the sources record, also by way of a module's own ``_record(…)``."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        tree, place = ast.parse(path.read_text()), path.relative_to(SOURCES).as_posix()
        if "audit.record(" not in path.read_text():
            continue
        for node in filter(is_record, ast.walk(tree)):
            assert isinstance(node, ast.Call)
            found |= told(node.args[1], tree, place)
    return found


def subjects() -> set[str]:
    """Return each kind of subject, such as ``ticket``, that the modules which record write down."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        if "audit.record(" not in path.read_text():
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "subject":
                for one in ast.walk(node.value):
                    if isinstance(one, ast.Constant) and isinstance(one.value, str):
                        found.add(one.value.partition(":")[0])
    return found - {""}


def test_every_action_that_is_recorded_has_words_and_no_words_are_left_over() -> None:
    assert len(recorded()) > 60
    assert recorded() - words_audit.ACTIONS.keys() == set()
    assert words_audit.ACTIONS.keys() - recorded() == set()


def test_every_area_can_be_chosen_and_has_actions() -> None:
    assert {name.partition(".")[0] for name in words_audit.ACTIONS} == words_audit.AREAS.keys()


def test_every_public_field_has_words_and_no_words_are_left_over() -> None:
    assert words_audit.FIELDS.keys() == audit.PUBLIC_FIELDS


@pytest.mark.usefixtures("_speaking")
def test_words_of_one_list_tell_its_parts_apart() -> None:
    actions = [words_audit.action(name) for name in words_audit.ACTIONS]
    assert sorted(set(actions)) == sorted(actions)
    areas = [title for _name, title, _actions in words_audit.choices()]
    assert sorted(set(areas)) == sorted(areas)
    assert sum(len(of_area) for _name, _title, of_area in words_audit.choices()) == len(actions)


@pytest.mark.usefixtures("_speaking")
def test_every_kind_of_subject_is_called_something_but_a_number() -> None:
    known = subjects()
    assert {"ticket", "class", "profile", "delivery-list"} <= known
    for kind in known - {"serial"}:  # which is called by itself
        entry = audit.AuditEntry(
            actor_kind="cli",
            actor_id="",
            action="x",
            subject=f"{kind}:{17 if kind != 'rule' else 'storage-low'}",
            fields={},
        )
        called = audit_lines.subject(entry, Names())
        assert called not in {"17", entry.subject, kind}, kind


@pytest.mark.usefixtures("_speaking")
def test_what_makes_no_sense_any_more_is_shown_as_it_was() -> None:
    assert words_audit.action("tickets.eaten") == "tickets.eaten"
    assert words_audit.value("role", "headmaster", Names()) == "headmaster"
    assert words_audit.value("class_id", 17, Names()) == "17"
    assert words_audit.value("on", "2026-99-99", Names()) == "2026-99-99"
    assert words_audit.details("ticket:1", {"eaten": 3, "ticket_id": 1, "reason": None}, Names()) == [("eaten", "3")]
