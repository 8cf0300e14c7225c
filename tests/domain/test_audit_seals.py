"""Seals on the audit: whatever is done to a line afterwards is found, on both databases and in an exported file."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from sqlalchemy import func, select, text

from fleet import audit, audit_seals
from fleet.access import Principal
from fleet.audit import AuditEntry, AuditSeal
from fleet.audit_seals import Fault, Verdict
from fleet.db import db, transaction
from fleet.errors import ForbiddenError, InvalidError
from tests.conftest import NOW

# ruff: noqa: S608 (only what stands in this module goes into its statements)

KEY = ec.generate_private_key(ec.SECP256R1())
BY = Principal.command_line()
DAY, KEPT = timedelta(days=1), timedelta(days=100)


def add(number: int = 1, *, count: int = 3) -> None:
    for place in range(count):
        audit.record(BY, "tickets.created", subject=f"ticket:{number}{place}", now=NOW, count=place, name="Æ")


def three_seals() -> None:
    """Seal nine lines, three at once."""
    for number in (1, 2, 3):
        with transaction():
            add(number)
        with transaction():
            assert audit_seals.seal(KEY, now=NOW) == 3


def looked(*, known: tuple[int, str] | None = None, after: timedelta = timedelta(0)) -> Verdict:
    seals = list(audit_seals.sealed(by=BY))
    exported = [audit_seals.from_text(audit_seals.to_text(one)) for one in seals]
    verdicts = [
        audit_seals.verify(found, KEY.public_key(), kept=KEPT, now=NOW + after, known=known)
        for found in (seals, exported)
    ]
    assert verdicts[0] == verdicts[1]  # a file says the same
    return verdicts[0]


def test_lines_are_sealed_once_and_seals_follow_each_other(app: Flask) -> None:
    three_seals()
    with transaction():
        assert audit_seals.seal(KEY, now=NOW) == 0
    with transaction():
        add(count=5)
    assert audit_seals.unsealed(by=BY) == (5, NOW)
    with transaction():
        assert [audit_seals.seal(KEY, now=NOW, at_most=2) for _ in range(4)] == [2, 2, 1, 0]
    found = looked()
    assert (found.seals, found.lines, found.faults) == (6, 14, ())
    assert audit_seals.unsealed(by=BY) == (0, None)
    assert found.head is not None
    assert found.head[0] == 6


def test_an_empty_audit_is_whole(app: Flask) -> None:
    assert looked() == Verdict(0, 0, 0, 0, None, ())


def _line(place: int, number: int = 2) -> str:
    return f"seal = {number} AND place = {place}"


DEEDS: list[tuple[str, list[str], set[tuple[int, str]]]] = [
    ("subject", [f"UPDATE audit_entry SET subject = 'ticket:99' WHERE {_line(1)}"], {(2, "lines")}),
    ("actor", [f"UPDATE audit_entry SET actor_id = '7' WHERE {_line(1)}"], {(2, "lines")}),
    ("kind", [f"UPDATE audit_entry SET actor_kind = 'job' WHERE {_line(0)}"], {(2, "lines")}),
    ("action", [f"UPDATE audit_entry SET action = 'tickets.ended' WHERE {_line(2)}"], {(2, "lines")}),
    ("fields", [f"UPDATE audit_entry SET fields = '{{}}' WHERE {_line(2)}"], {(2, "lines")}),
    ("time", [f"UPDATE audit_entry SET at = (SELECT max(at) FROM audit_seal) WHERE {_line(2)}"], set()),
    ("number", [f"UPDATE audit_entry SET id = 999 WHERE {_line(2)}"], {(2, "lines")}),
    ("removed", [f"DELETE FROM audit_entry WHERE {_line(1)}"], {(2, "missing")}),
    ("all removed", ["DELETE FROM audit_entry WHERE seal = 2"], {(2, "missing")}),
    (
        "swapped",
        [
            f"UPDATE audit_entry SET place = 9 WHERE {_line(0)}",
            f"UPDATE audit_entry SET place = 0 WHERE {_line(1)}",
            f"UPDATE audit_entry SET place = 1 WHERE {_line(9)}",
        ],
        {(2, "lines")},
    ),
    ("moved", [f"UPDATE audit_entry SET seal = 3, place = 9 WHERE {_line(2)}"], {(2, "missing"), (3, "lines")}),
    ("taken out", [f"UPDATE audit_entry SET seal = NULL, place = NULL WHERE {_line(2)}"], {(2, "missing")}),
    (
        "slipped in",
        [
            (
                "INSERT INTO audit_entry (id, at, actor_kind, actor_id, action, subject, fields, seal, place)"
                " SELECT 999, at, actor_kind, actor_id, action, subject, fields, 2, 9 FROM audit_entry"
                f" WHERE {_line(0)}"
            )
        ],
        {(2, "lines")},
    ),
    ("seal removed", ["DELETE FROM audit_entry WHERE seal = 2", "DELETE FROM audit_seal WHERE number = 2"], {(2, "gap"), (3, "lines")}),
    ("first removed", ["DELETE FROM audit_entry WHERE seal = 1", "DELETE FROM audit_seal WHERE number = 1"], {(1, "gap"), (2, "lines")}),
    ("digest", ["UPDATE audit_seal SET digest = (SELECT digest FROM audit_seal WHERE number = 1) WHERE number = 2"], {(2, "signature"), (2, "lines"), (3, "lines")}),
    ("signature", ["UPDATE audit_seal SET signature = (SELECT signature FROM audit_seal WHERE number = 1) WHERE number = 2"], {(2, "signature")}),
    ("signature that is none", ["UPDATE audit_seal SET signature = '?' WHERE number = 2"], {(2, "signature")}),
    ("count", ["DELETE FROM audit_entry WHERE seal = 2", "UPDATE audit_seal SET lines = 0 WHERE number = 2"], {(2, "signature"), (2, "lines")}),
]  # fmt: skip


@pytest.mark.parametrize(("deeds", "faults"), [one[1:] for one in DEEDS], ids=[one[0] for one in DEEDS])
def test_whatever_is_done_to_a_sealed_line_is_found(app: Flask, deeds: list[str], faults: set[tuple[int, str]]) -> None:
    three_seals()
    if "SET at" in deeds[0]:  # one that is another instant, in the database's own form
        with transaction():
            audit.record(BY, "tickets.created", subject="ticket:9", now=NOW + DAY)
        deeds = [f"UPDATE audit_entry SET at = (SELECT max(at) FROM audit_entry) WHERE {_line(2)}"]
        faults = {(2, "lines")}
    assert not looked().faults
    with transaction():
        for deed in deeds:
            db.session.execute(text(deed))
    assert {(one.number, one.kind) for one in looked().faults} == faults


def test_a_seal_of_another_key_is_not_built_upon(app: Flask) -> None:
    with transaction():
        add()
        audit_seals.seal(ec.generate_private_key(ec.SECP256R1()), now=NOW)
    with transaction():
        add()
    with transaction(), pytest.raises(InvalidError):
        audit_seals.seal(KEY, now=NOW)


def test_lines_that_come_long_after_their_time_are_counted(app: Flask) -> None:
    with transaction():
        add()
        audit.record(BY, "tickets.created", subject="ticket:8", now=NOW + DAY)
    with transaction():
        audit_seals.seal(KEY, now=NOW + DAY)
    found = looked(after=DAY)
    assert (found.late, found.faults) == (3, ())


@pytest.mark.parametrize("number", [0, -1])
def test_a_seal_before_the_first_is_none(app: Flask, number: int) -> None:
    three_seals()
    with transaction():
        db.session.execute(
            text(
                "INSERT INTO audit_seal (number, at, lines, digest, signature)"
                f" SELECT {number}, at, lines, digest, signature FROM audit_seal WHERE number = 1"
            )
        )
    assert {(one.number, one.kind) for one in looked().faults} >= {(number, "signature")}


def test_lines_under_a_seal_that_is_not_there_are_found(app: Flask) -> None:
    three_seals()
    assert audit_seals.strays(by=BY) == ()
    if db.session.get_bind().dialect.name == "sqlite":
        pytest.skip("where foreign keys hold there are none")
    with transaction():
        db.session.execute(text("ALTER TABLE audit_entry DROP CONSTRAINT fk_audit_entry_seal_audit_seal"))
        db.session.execute(text(f"UPDATE audit_entry SET seal = 77 WHERE {_line(1)}"))
    assert audit_seals.strays(by=BY) == (Fault(77, "none"),)


def test_seals_that_another_key_set_are_not_the_servers(app: Flask) -> None:
    with transaction():
        add()
        audit_seals.seal(ec.generate_private_key(ec.SECP256R1()), now=NOW)
    assert looked().faults == (Fault(1, "signature"),)


def test_what_was_cut_off_at_the_end_is_found_by_who_kept_a_seal(app: Flask) -> None:
    three_seals()
    head = looked().head
    assert not looked(known=head).faults
    with transaction():
        db.session.execute(text("DELETE FROM audit_entry WHERE seal = 3"))
        db.session.execute(text("DELETE FROM audit_seal WHERE number = 3"))
    assert not looked().faults  # nothing is left that could tell
    assert looked(known=head).faults == (Fault(3, "known"),)


def test_lines_whose_time_is_over_go_with_all_of_their_seal(app: Flask) -> None:
    three_seals()
    later = NOW + KEPT + DAY
    with transaction():
        add(4)
    with transaction():
        audit_seals.seal(KEY, now=later)
    with transaction():
        assert audit.forget(older_than=KEPT, now=later, at_most=4) == 6
    with transaction():
        assert audit.forget(older_than=KEPT, now=later) == 3
        assert audit.forget(older_than=KEPT, now=later) == 0
    assert db.session.scalar(select(func.count()).select_from(AuditSeal)) == 4
    found = looked(after=KEPT + DAY)
    assert (found.seals, found.lines, found.expired, found.faults) == (4, 3, 3, ())
    assert {one.kind for one in looked().faults} == {"missing"}  # had they gone before their time
    with transaction():  # nor is it enough to say that a seal is old
        db.session.execute(text("DELETE FROM audit_entry WHERE seal = 4"))
        db.session.execute(text("UPDATE audit_seal SET at = (SELECT min(at) FROM audit_seal) WHERE number = 4"))
    assert looked(after=KEPT + DAY).faults == (Fault(4, "signature"),)


def test_lines_that_are_not_sealed_are_not_forgotten(app: Flask) -> None:
    with transaction():
        add()
        assert audit.forget(older_than=KEPT, now=NOW + 2 * KEPT) == 0
    assert db.session.scalar(select(func.count()).select_from(AuditEntry)) == 3


def test_only_who_reads_the_audit_reads_its_seals(app: Flask) -> None:
    for ask in (lambda by: list(audit_seals.sealed(by=by)), lambda by: audit_seals.unsealed(by=by)):
        with pytest.raises(ForbiddenError):
            ask(Principal("account", "1"))


def _without(name: str) -> Callable[[dict[str, object]], dict[str, object]]:
    return lambda told: {key: value for key, value in told.items() if key != name}


@pytest.mark.parametrize(
    "change",
    [
        *(_without(name) for name in ("seal", "at", "count", "digest", "signature", "lines")),
        lambda told: told | {"seal": "x"},
        lambda told: told | {"at": "2026-09-14T08:15:00"},
        lambda told: told | {"lines": ["x"]},
        lambda told: told | {"lines": None},
        lambda told: told | {"lines": [{"at": 7}], "more": 1},
        lambda told: told | {"seal": "1"},
        lambda told: told | {"seal": 1.0},
        lambda told: told | {"count": float("inf")},
        lambda told: told | {"digest": "\x1b[2J" + "0" * 60},
        lambda told: told | {"digest": "\ud800" * 64},
        lambda told: told | {"at": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_a_file_that_is_no_export_is_refused(
    app: Flask, change: Callable[[dict[str, object]], dict[str, object]]
) -> None:
    three_seals()
    (told, *_) = (json.loads(audit_seals.to_text(one)) for one in audit_seals.sealed(by=BY))
    with pytest.raises(InvalidError):
        audit_seals.from_text(json.dumps(change(told)))
    twice = json.dumps(told).replace('"lines":', '"lines": [], "lines":')
    for nothing in ("", "{", "[]", "7", "[" * 100_000, twice):
        with pytest.raises(InvalidError):
            audit_seals.from_text(nothing)


def test_a_key_that_is_none_or_of_another_kind_is_refused() -> None:
    assert audit_seals.load_public(audit_seals.to_pem(KEY.public_key()).encode()) == KEY.public_key()
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    for pem in (b"", b"-----BEGIN", audit_seals.to_pem(other).encode()):
        with pytest.raises(InvalidError):
            audit_seals.load_public(pem)
