"""``pages``: what every page costs the server in a municipality of 7,000 tablets: time, statements, bytes.

Each page is asked for in this process, signed in, as a browser would after its first visit: what is measured is the
server's own work, its database included. A page that stands in no table here stops the bench, so that none escapes.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

from flask import Flask
from sqlalchemy import event

from bench import lived, school
from bench.lived import Lived
from bench.page_table import NOT_PAGES, PAGES
from fleet.db import db

ROUNDS, QUICK_ROUNDS = 20, 3
MOST_MS, MOST_STATEMENTS, MOST_BYTES = 100.0, 15, 150_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one page costs; ``ms`` is the 95th percentile."""

    page: str
    who: str
    status: int
    ms: float
    statements: int
    size: int

    @property
    def is_within(self) -> bool:
        """Whether it keeps the bars."""
        return self.ms <= MOST_MS and self.statements <= MOST_STATEMENTS and self.size <= MOST_BYTES


def run(*, kind: str, quick: bool) -> dict[str, Any]:
    """Measure all pages.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        quick: a small municipality and few rounds.

    Raises:
        SystemExit: there is a page that no table names, or one that does not answer.
    """
    with school.ground(kind) as made:
        _require_all(made.app)
        _say("filling a municipality")
        town = lived.build(made.app, classes=20, check_ins=2_000) if quick else lived.build(made.app)
        if kind == "postgresql":
            analyse(made.app)
        found = _measure(made.app, town, QUICK_ROUNDS if quick else ROUNDS)
        with made.app.app_context():
            db.engine.dispose()
    for one in sorted(found, key=lambda cost: -cost.ms):
        mark = " " if one.is_within else "!"
        _say(f"{mark} {one.ms:7.1f} ms {one.statements:3} statements {one.size:8} bytes  {one.who:<8} {one.page}")
    return {
        "pages": len(found),
        "p95_ms_worst": round(max(one.ms for one in found), 1),
        "statements_most": max(one.statements for one in found),
        "bytes_most": max(one.size for one in found),
        "outside": [f"{one.page} ({one.who})" for one in found if not one.is_within],
    }


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _require_all(app: Flask) -> None:
    """Refuse to measure while a page is missing in the table."""
    known = {endpoint for endpoint, _values, _query, _who in PAGES} | NOT_PAGES
    told = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("web.") and rule.methods}
    gets = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    missing = sorted(one.removeprefix("web.") for one in told & gets if one.removeprefix("web.") not in known)
    if missing:
        raise SystemExit(f"bench: in no table of bench/page_table.py: {', '.join(missing)}")


def analyse(app: Flask) -> None:
    """Have PostgreSQL look at what was written."""
    with app.app_context(), db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")  # as the database does by itself, a minute later


def _measure(app: Flask, town: Lived, rounds: int) -> list[Cost]:
    count = [0]

    def note(_connection: Any, _cursor: Any, statement: str, *_told: Any) -> None:
        count[0] += statement != "BEGIN"

    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
    cookies = {"admin": town.admin, "teacher": town.town.classes[1].cookie}
    found = []
    for endpoint, names, query, who in PAGES:
        values = {name: town.places[place] for name, place in names.items()}
        with app.test_request_context():
            address = app.url_for(f"web.{endpoint}", **values)
        address += f"?{query.format(**town.places)}" if query else ""
        found.append(_one(app, (address, who, cookies[who]), rounds=rounds, count=count))
    return found


def _one(app: Flask, asked: tuple[str, str, str], *, rounds: int, count: list[int]) -> Cost:
    address, who, cookie = asked
    times, statements, size, status = [], 0, 0, 0
    for number in range(rounds + 1):
        count[0] = 0
        client = app.test_client(use_cookies=False)
        began = time.perf_counter()
        answer = client.get(address, headers={"Cookie": cookie, "Accept-Language": "nb"})
        size, status = len(answer.get_data()), answer.status_code
        if number:  # the first one compiles templates and statements
            times.append(1000 * (time.perf_counter() - began))
        statements = max(statements, count[0]) if number else 0
    if status != 200:
        raise SystemExit(f"bench: {address} ({who}) was answered {status}")
    p95 = statistics.quantiles(times, n=20, method="inclusive")[-1]
    return Cost(address, who, status, p95, statements, size)
