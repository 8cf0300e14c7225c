"""``compliance``: what a change of a rule costs in a municipality of 7,000 tablets until all is so.

A rule of one's own is made that opens a finding at every other tablet, changed so that it closes them all, and tried
on the fleet before; the job's own steps follow, each in a transaction. All rules are asked about each tablet.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask
from sqlalchemy import case, event, update

from bench import lived, pages, school
from fleet import clock
from fleet.access import Principal
from fleet.compliance import review, ruling, trying
from fleet.compliance.ledger import Reviewed
from fleet.compliance.ruling import Draft
from fleet.db import db, reading, transaction
from fleet.devices.models import DeviceState

_BY = Principal.command_line()
APPS = 60  # on a tablet that has been in use for a while
OPENS_HALF = "apps[?id == 'no.example.app7'] && older(os.version, '18.5') && storage.free_percent < `50`"
CLOSES = "os.version == 'none'"
_FACTS: dict[str, Any] = {
    "os_version": "18.4", "model": "Benkebrett 11", "agent_version": "1.0", "storage_total_bytes": 64 * 10**9,
    "apps": [{"id": f"no.example.app{number}", "version": "1.0"} for number in range(APPS)],
    "flags": {"supervised": True, "passcode_present": True, "encrypted": True},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """What something cost: seconds, statements, and what came of it."""

    seconds: float
    statements: int
    done: Any


def run(*, kind: str, quick: bool) -> dict[str, Any]:
    """Measure a change of a rule.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        quick: a small municipality.
    """
    with school.ground(kind) as made:
        print("bench: filling a municipality", file=sys.stderr, flush=True)
        if quick:
            lived.build(made.app, classes=20, check_ins=2_000)
        else:
            lived.build(made.app, check_ins=10_000)
        with made.app.app_context():
            found = _measure(made.app, kind)
            db.engine.dispose()
    return found


def _measure(app: Flask, kind: str) -> dict[str, Any]:
    count = [0]

    def note(_connection: Any, _cursor: Any, statement: str, *_told: Any) -> None:
        count[0] += statement != "BEGIN"

    event.listen(db.engine, "before_cursor_execute", note)
    with transaction():
        free = case((DeviceState.device_id % 2 == 0, 20_000_000_000), else_=40_000_000_000)
        told = {"facts": _FACTS, "storage_free_bytes": free, "last_seen_at": clock.now(), "review_at": clock.now()}
        db.session.execute(update(DeviceState).values(**told))
    _all_due()  # what was written without a review
    if kind == "postgresql":
        pages.analyse(app)
    draft = Draft(None, "Benk: en app og et gammelt system", OPENS_HALF, grace_min=0)
    tried = _cost(lambda: _try(draft), count)
    opened = _cost(lambda: _save(draft), count)
    code = next(one for one, title in ruling.titles().items() if title == draft.title)
    closed = _cost(lambda: _save(Draft(code, draft.title, CLOSES)), count)
    worst = max(opened.seconds, closed.seconds)
    tablets = opened.done.tablets
    return {
        "tablets": tablets,
        "seconds_7000": round(worst * 7_000 / tablets, 2),
        "statements": max(opened.statements, closed.statements),
        "opened": opened.done.opened,
        "closed": closed.done.closed,
        "trial_seconds": round(tried.seconds, 2),
        "trial_statements": tried.statements,
        "trial_opens": tried.done.opens,
    }


def _cost(step: Callable[[], Any], count: list[int]) -> Cost:
    count[0], began = 0, time.perf_counter()
    done = step()
    return Cost(time.perf_counter() - began, count[0], done)


def _try(draft: Draft) -> trying.Trial:
    with reading():
        return trying.over_fleet(draft, by=_BY, now=clock.now())


def _save(draft: Draft) -> Reviewed:
    with transaction():
        ruling.save(draft, by=_BY, now=clock.now())
    return _all_due()


def _all_due() -> Reviewed:
    """Do what the job does: a step in a transaction each, until nothing is due."""
    tablets = opened = closed = 0
    while True:
        with transaction():
            done = review.review_due(now=clock.now())
        if not done.tablets:
            return Reviewed(tablets, opened, closed)
        tablets, opened, closed = tablets + done.tablets, opened + done.opened, closed + done.closed
