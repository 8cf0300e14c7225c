"""How databases carry out what each check-in, poll and ring asks: by a key that leads to the tablet.

PostgreSQL would read a test's few rows whole, whatever keys there are. With that and joins of whole tables put off, it
does so only where no key leads to the rows; and a key that is read from end to end shows as one without a condition.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import event, text

from fleet import orders
from fleet.access import Principal
from fleet.android import serving
from fleet.assignments import schedules
from fleet.checkins import polls, presence, receive
from fleet.compliance import queries as findings
from fleet.db import db, transaction
from fleet.devices import queries as devices
from fleet.large_tables import LARGE
from fleet.mdm import idling
from tests import factories as make
from tests.conftest import NOW

BY = Principal.command_line()
HOT = LARGE | {"schedule", "effective_profile"}
_LEADS = ("Index Cond", "Recheck Cond")


@pytest.fixture
def app(own_app: Flask) -> Iterator[Flask]:
    """Return an application on a database of its own: what others did to the shared one is in its statistics."""
    with own_app.app_context():
        yield own_app


@contextmanager
def asked() -> Iterator[list[tuple[str, Any]]]:
    """Give the statements of the body, with what they were told."""
    seen: list[tuple[str, Any]] = []

    def remember(_connection: object, _cursor: object, statement: str, told: Any, *_rest: object) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "INSERT", "WITH", "DELETE")):
            seen.append((statement, told))

    event.listen(db.engine.engine, "before_cursor_execute", remember)
    try:
        yield seen
    finally:
        event.remove(db.engine.engine, "before_cursor_execute", remember)


def _parts(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for one in plan.get("Plans", ()):
        yield from _parts(one)


def _read_whole_postgresql(statement: str, told: Any) -> set[str]:
    for kind in ("seqscan", "hashjoin", "mergejoin"):
        db.session.execute(text(f"SET LOCAL enable_{kind} = off"))
    rows = db.session.connection().exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", told)
    (found,) = rows.scalars()
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return {
        str(part["Relation Name"])
        for part in _parts(plan)
        if "Relation Name" in part
        and part["Node Type"] != "ModifyTable"
        and not any(one in part for one in _LEADS)
    }  # fmt: skip


def _read_whole_sqlite(statement: str, told: Any) -> set[str]:
    rows = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", told)
    scanned = {row[3].split()[1] for row in rows if row[3].startswith("SCAN ")}
    named = dict(re.findall(r"(?:FROM|JOIN|UPDATE|,)\s+(\w+)\s+(?:AS\s+)?(\w+)", statement))
    tables = {alias: table for table, alias in named.items()}
    return {tables.get(one, one) for one in scanned}


def read_whole(step: Callable[[], object], kind: str) -> set[str]:
    """Return the hot tables of which a step reads all rows, each with its statement."""
    with asked() as statements:
        step()
    assert statements
    found: set[str] = set()
    for statement, told in statements:
        whole = (_read_whole_postgresql if kind == "postgresql" else _read_whole_sqlite)(statement, told)
        found |= {f"{table}: {' '.join(statement.split())[:160]}" for table in whole & HOT}
    return found


def _report(device_id: int, sequence: int) -> receive.Report:
    return receive.Report(
        device_id=device_id, key=f"key-{device_id}", sequence=sequence, report_id=f"{sequence:036}",
        body_digest=f"{sequence:064}", applied=None, facts={"os_version": "18.4"},
    )  # fmt: skip


def test_no_statement_of_the_hot_path_goes_through_all_tablets(app: Flask, database_kind: str) -> None:
    with transaction():
        school = make.school()
        tablets = [make.device(school) for _ in range(3)]
        for one in tablets:
            one.state.key_thumbprint = f"key-{one.id}"
        ids = [one.id for one in tablets]
    asks = [presence.Poll(one, NOW, NOW, waits=False, address=None) for one in ids]
    calls = [idling.Call(f"name-{one}", f"key-{one}") for one in ids]
    steps: dict[str, Callable[[], object]] = {
        "reports": lambda: receive.receive([_report(one, 1) for one in ids], now=NOW),
        "reports again": lambda: receive.receive([_report(one, 1) for one in ids], now=NOW),
        "one sequence": lambda: receive.use_sequence(ids[0], f"key-{ids[0]}", 2),
        "polls": lambda: polls.standings(ids),
        "what is handed out": lambda: polls.note_fetched(dict.fromkeys(ids, 1), now=NOW),
        "who waits in vain": lambda: polls.moved_on(dict.fromkeys(ids, 7), at_most=10),
        "who is present": lambda: presence.note(asks, ranges_of={}, timezone=ZoneInfo("Europe/Oslo"), now=NOW),
        "keys": lambda: devices.keys({f"key-{one}" for one in ids}),
        "orders": lambda: orders.pending(ids, now=NOW),
        "schedules": lambda: schedules.load({"0" * 64}),
        "a profile": lambda: schedules.may_fetch(ids[0], "0" * 64),
        "iPads that call": lambda: idling.quiet(calls, now=NOW),
        "Android tablets": lambda: serving.standings({f"digest-{one}" for one in ids}, NOW),
        "a tablet's findings": lambda: findings.open_findings(findings.Filter(device_id=ids[0]), by=BY),
    }
    with transaction():
        whole = {name: read_whole(step, database_kind) for name, step in steps.items()}
    assert {name: found for name, found in whole.items() if found} == {}


def test_what_goes_through_all_tablets_is_seen(app: Flask, database_kind: str) -> None:
    with transaction():
        make.device(make.school())
        through = read_whole(
            lambda: db.session.execute(text("SELECT * FROM device_state WHERE polls_pending = 9")), database_kind
        )
        by_key = read_whole(
            lambda: db.session.execute(text("SELECT * FROM device_state AS s WHERE s.device_id = 9")), database_kind
        )
        joined = "SELECT s.facts FROM device AS d JOIN device_state AS s ON s.device_id = d.id"
        both = read_whole(lambda: db.session.execute(text(joined)), database_kind)
    assert len(through) == 1
    assert not by_key
    assert both
