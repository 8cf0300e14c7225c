"""Refusals as sentences: every error has words, every place that raises one too, and the words say what to do."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import fleet
from fleet import errors
from fleet.cli.refusals import BY_CODE, BY_KIND, describe
from fleet.config import ConfigError
from fleet.devices.delivery_plan import MovesError
from fleet.errors import BrakedError, ConflictError, FleetError, ForbiddenError, InvalidError, NotFoundError, Problem
from fleet.orders import NotCarriedError, OrderClosedError, SamePersonError
from fleet.people.passwords import PasswordWeakError

SOURCES = Path(fleet.__file__).parent
GENERAL = {"InvalidError", "NotFoundError", "ConflictError"}


def every_error() -> Iterator[type[FleetError]]:
    for module in pkgutil.walk_packages(fleet.__path__, "fleet."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting = [FleetError]
    while waiting:
        yield (kind := waiting.pop())
        waiting += [one for one in kind.__subclasses__() if one.__module__.startswith("fleet.")]


def test_every_error_there_is_has_a_code_of_its_own_with_words() -> None:
    known = list(every_error())
    assert len(known) > 25
    assert [kind.__name__ for kind in known if "code" not in vars(kind) or kind.code not in BY_CODE] == []


def raised() -> set[tuple[str, str]]:
    """Return code and kind of each place in the sources that raises one of the general errors."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in GENERAL:
                kinds = [word.value for word in node.keywords if word.arg == "kind"]
                assert len(kinds) == 1, f"{path}:{node.lineno} does not say what it is about"
                assert isinstance(kinds[0], ast.Constant)
                found.add((getattr(errors, node.func.id).code, str(kinds[0].value)))
    return found


def test_every_place_that_raises_a_general_error_has_words() -> None:
    assert len(raised()) > 20
    assert raised() - BY_KIND.keys() == set()


def test_no_words_are_left_over() -> None:
    assert BY_KIND.keys() - raised() == set()


@pytest.mark.parametrize("key", [*BY_CODE, *BY_KIND])
def test_words_are_sentences_whatever_the_data(key: str | tuple[str, str]) -> None:
    code, kind = (key, None) if isinstance(key, str) else key
    error = type("Made", (FleetError,), {"code": code, "__module__": "tests"})
    told = describe(error(kind=kind, name="Xx", reason="so it is", expected="better", known=["a"], nearest=[]))
    assert len(told.split()) > 2
    assert not any(sign in told for sign in "[]{}")
    assert "nearest" not in told


TABLET = {"kind": "tablet", "serial": "TAB0001"}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConflictError(**TABLET, state="lost", step="lost"), "tablet TAB0001 is already lost"),
        (ConflictError(**TABLET, state="retired", step="retire"), "tablet TAB0001 is already retired"),
        (ConflictError(**TABLET, state="enrolled", step="found"), "tablet TAB0001 is not lost (enrolled)"),
        (ConflictError(**TABLET, state="enrolled", step="approve"), "tablet TAB0001 does not wait for approval (enrolled)"),
        (ConflictError(**TABLET, state="lost", step="reinstate"), "tablet TAB0001 is not retired (lost)"),
        (ConflictError(**TABLET, state="lost", step="revoke"), "tablet TAB0001 is not enrolled (lost): it has no key to take back"),
        (ConflictError(**TABLET, state="retired", step="move"), "tablet TAB0001 is retired: take it into use first with `scripts/fleet devices reinstate TAB0001`"),
        (ConflictError(**TABLET, state="expected"), "tablet TAB0001 is not enrolled (expected): an order would not reach it"),
        (NotFoundError(kind="school", name="Xx", reason="no such school", nearest=[]), "no school is called Xx: `scripts/fleet schools list` lists them"),
        (NotFoundError(kind="school", name="Xx", reason="no such school", nearest=["Xy", "Yx"]), "no school is called Xx; nearest: Xy, Yx"),
        (NotFoundError(kind="school", name="Xx", reason="several schools have this name: give the id", nearest=["Xx"]), "several schools are called Xx: give the id, from `scripts/fleet schools list`"),
        (NotFoundError(kind="class", name="8A", reason="several schools: say which", nearest=["8A"]), "class 8A is in several schools: say which with --school NAME"),
        (NotFoundError(kind="class", name="8A", reason="several classes have this title: give the id"), "several classes are called 8A: give the id, from `scripts/fleet classes list`"),
        (NotFoundError(kind="pupil", reason="several have this user name"), "several pupils have this user name: give the id that the roster has"),
        (NotFoundError(kind="tablet", name="LK-1", reason="several have this asset tag: say the serial"), "several tablets have the asset tag LK-1: give the serial, from `scripts/fleet devices list`"),
        (NotFoundError(kind="tablet", name="TAB", nearest=["TAB1"]), "no tablet has the serial or asset tag TAB; nearest: TAB1"),
        (NotFoundError(kind="published version", profile="p", number=None, published=[]), "p has only a draft: publish it with `scripts/fleet profiles publish p`, or look at it with `scripts/fleet profiles show p --draft`"),
        (NotFoundError(kind="published version", profile="p", number=7, published=[2, 1]), "p has no published version 7; published: 2, 1"),
        (NotFoundError(kind="job", name="x", known=["a", "b"]), "no job is called x; jobs: a, b"),
        (NotFoundError(kind="ticket", name="9"), "there is no ticket 9: `scripts/fleet tickets list` lists them"),
        (BrakedError(kind="classes", removed=6, of=10, max_removed_percent=10), "this import would remove 6 of 10 classes, more than 10 %: look at --dry-run, then repeat with --allow-removals if it is right"),
        (BrakedError(kind="memberships", removed=6, of=10, max_removed_percent=10), "this import would remove 6 of 10 places in classes, more than 10 %: look at --dry-run, then repeat with --allow-removals if it is right"),
        (MovesError(kind="tablets", moves=3, serials=["A", "B"]), "this list would move 3 tablet(s) in use (A, B, …): look at --dry-run, then repeat with --allow-moves if it is right"),
        (ConfigError(variable="FLEET_BIND", found="x", expected="host:port"), "FLEET_BIND is 'x': it must be host:port"),
        (ForbiddenError(permission="manage-people"), "the permission manage-people is needed for this"),
        (InvalidError(kind="ticket", reason="number", found=0, expected="1 to 5000; say how many, as no tablet is expected there"), "a ticket takes in 1 to 5000 tablets: say how many, as no tablet is expected there (--max)"),
        (InvalidError(kind="ticket", reason="number", found=6000, expected="1 to 5000"), "a ticket takes in 1 to 5000 tablets, not 6000 (--max)"),
        (InvalidError(kind="role", role="teacher", reason="needs a school"), "the role teacher needs a school: add --school NAME"),
        (InvalidError(kind="role", role="municipal-admin", reason="is for the whole municipality"), "the role municipal-admin is for the whole municipality: leave --school out"),
        (InvalidError(kind="order", order_kind="ring", field="text", expected=None), "ring has no text: leave --text out"),
        (InvalidError(kind="order", order_kind="message", field="text", expected="a text of 1 to 500 printable characters"), "message needs a text of 1 to 500 printable characters: --text"),
        (InvalidError(kind="order", order_kind="wipe", field="tablets", expected="one tablet at a time"), "wipe is for one tablet at a time: --device SERIAL"),
        (InvalidError(kind="order", order_kind="ring", field="life", expected="1 to 10080 minutes"), "an order may wait for 1 to 10080 minutes: --life"),
        (ConflictError(kind="tablet to locate", serial="TAB1", state="enrolled"), "tablet TAB1 is not lost (enrolled), and only a lost one is located: `scripts/fleet devices lost TAB1`"),
        (NotCarriedError(kind="order", order_kind="wipe", channel="native", carries=["message", "ring"], serials=["TAB1"], count=1), "tablet TAB1: the channel native cannot carry wipe; it carries message, ring"),
        (NotCarriedError(kind="order", order_kind="ring", channel="apple", carries=["wipe"], serials=["A", "B"], count=7), "7 tablets (A, B, …): the channel apple cannot carry ring; it carries wipe"),
        (NotCarriedError(kind="order", order_kind="locate", channel=None, carries=[], serials=["TAB1"], count=1), "tablet TAB1 may not speak to this server any more, as its enrolment has ended: locate would never reach it"),
        (SamePersonError(permission="order-privileged", id=7, by="cli"), "order 7 was asked for from the command line, which counts as one person: another one has to say yes (`scripts/fleet orders second-person show`)"),
        (SamePersonError(permission="order-privileged", id=7, by="account"), "order 7 was asked for by the same person: another one has to say yes (`scripts/fleet orders second-person show`)"),
        (OrderClosedError(kind="order", id=7, state="done"), "order 7 has ended already (done)"),
        (OrderClosedError(kind="order", id=7, state="sent"), "order 7 is sent: it does not wait for another person's yes"),
        (OrderClosedError(kind="order", id=7, state="asked"), "order 7 was asked for too long ago: its time is over"),
        (InvalidError(kind="network", found="0.0.0.0/0", expected="a school's own range: /8 or narrower for IPv4"), "0.0.0.0/0 cannot be a school's network: give a school's own range: /8 or narrower for IPv4"),
        (InvalidError(kind="networks", found=65, expected="1 to 64 ranges, or none at all"), "a school's networks are 1 to 64 ranges, or none at all, not 65"),
        (InvalidError(kind="longest lesson", found=5, expected="15 to 480 minutes"), "the longest lesson of a school is 15 to 480 minutes, not 5"),
        (InvalidError(kind="account", reason="name", expected="1 to 120 characters"), "an account's name must have 1 to 120 characters"),
        (PasswordWeakError(reason="too-short", minimum=15, maximum=200), "the password needs at least 15 characters"),
        (ConflictError(kind="roster-import", id=3, reason="what it added is in use; move or end that first", used_by={"device": 2}), "import 3 cannot be taken back: what it added is in use; move or end that first (device 2)"),
        (ConflictError(kind="profile", name="p", reason="there is no draft to publish"), "p has no draft to publish: bring a changed one in with `scripts/fleet profiles import FILE`"),
        (ConflictError(kind="profile", name="p", reason="the draft says what version 1 says"), "p has nothing new to publish: the draft says what version 1 says"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong_and_what_to_do(error: FleetError, told: str) -> None:
    assert describe(error) == told


def test_what_was_typed_or_stands_in_a_file_does_not_steer_the_terminal() -> None:
    assert describe(NotFoundError(kind="profile", name="\x1b[2J", nearest=[])).startswith(
        "no profile is called \\x1b[2J"
    )
    faulty = errors.InvalidFileError([Problem("a\x1b.csv", 1, "\x1b[2J", "odd", None, "x\r")])
    assert describe(faulty).splitlines() == [
        "a\\x1b.csv:1 [\\x1b[2J]: odd: expected x\\r",
        "1 problem(s); nothing was changed",
    ]
