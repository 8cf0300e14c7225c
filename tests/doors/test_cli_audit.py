"""``fleet audit``: who did what, newest first."""

import json

from flask import Flask

from fleet import audit
from fleet.access import Principal
from fleet.db import transaction
from tests.conftest import NOW
from tests.doors.fleet_command import run


def recorded(subject: str = "ticket:1") -> None:
    with transaction():
        audit.record(Principal.command_line(), "tickets.created", subject=subject, now=NOW, count=3)
        audit.record(Principal.job("retention"), "orders.queued", subject="order:1", now=NOW)


def test_lines_are_listed_newest_first_and_by_action(app: Flask) -> None:
    recorded()
    rows = json.loads(run(app, "audit", "list", "--json").output)
    assert [(row["by"], row["action"]) for row in rows] == [
        ("job:retention", "orders.queued"),
        ("cli", "tickets.created"),
    ]
    (row,) = json.loads(run(app, "audit", "list", "--action", "tickets.created", "--json").output)
    assert row["fields"] == {"count": 3}
    assert len(json.loads(run(app, "audit", "list", "--limit", 1, "--json").output)) == 1


def test_a_limit_out_of_range_is_wrong_use(app: Flask) -> None:
    assert run(app, "audit", "list", "--limit", 0).exit_code == 2
    assert run(app, "audit", "list", "--limit", 10_001).exit_code == 2


def test_no_text_of_a_tablet_steers_the_terminal(app: Flask) -> None:
    recorded(subject="serial:\x1b[2J")
    shown = run(app, "audit", "list").output
    assert "\x1b" not in shown
    assert "serial:\\x1b[2J" in shown
