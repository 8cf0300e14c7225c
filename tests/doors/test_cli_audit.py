"""``fleet audit``: who did what, newest first."""

import json
from datetime import timedelta

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


def test_lines_are_told_in_local_time_and_as_text(app: Flask) -> None:
    with transaction():
        audit.record(
            Principal.command_line(), "calendar.day-set", subject="calendar:all", now=NOW,
            school_id=None, is_school_day=False, ends_at=NOW.isoformat(), on="2026-10-05",
        )  # fmt: skip
    line = run(app, "audit", "list").output.splitlines()[1]
    assert line.startswith("2026-09-14 10:15  cli  calendar.day-set  calendar:all  ")
    assert line.endswith("  ends_at 2026-09-14 10:15, is_school_day no, on 2026-10-05")


def test_an_action_nobody_took_is_said_so_with_the_actions_there_are(app: Flask) -> None:
    none = run(app, "audit", "list", "--action", "nope")
    assert (none.exit_code, none.stderr) == (
        0,
        "fleet: the audit has no line of the action nope; there are no lines at all\n",
    )
    recorded()
    some = run(app, "audit", "list", "--action", "nope", "--json")
    assert (some.exit_code, json.loads(some.stdout)) == (0, [])
    assert some.stderr.endswith("nope; there are: orders.queued, tickets.created\n")
    assert run(app, "audit", "list", "--action", "orders.queued").stderr == ""


def test_a_limit_out_of_range_is_wrong_use(app: Flask) -> None:
    assert run(app, "audit", "list", "--limit", 0).exit_code == 2
    assert run(app, "audit", "list", "--limit", 10_001).exit_code == 2


def test_no_text_of_a_tablet_steers_the_terminal(app: Flask) -> None:
    recorded(subject="serial:\x1b[2J")
    shown = run(app, "audit", "list").output
    assert "\x1b" not in shown
    assert "serial:\\x1b[2J" in shown


def test_lines_are_narrowed_by_who_what_and_when(app: Flask) -> None:
    recorded()
    with transaction():
        audit.record(Principal("account", "7"), "orders.queued", subject="order:2", now=NOW + timedelta(days=1))

    def subjects(*words: str) -> list[str]:
        return [row["subject"] for row in json.loads(run(app, "audit", "list", *words, "--json").output)]

    assert subjects("--action", "orders.") == ["order:2", "order:1"]
    assert subjects("--subject", "ticket:1") == ["ticket:1"]
    assert subjects("--by", "account:7") == subjects("--by", "account") == ["order:2"]
    assert subjects("--by", "cli") == ["ticket:1"]
    assert subjects("--since", "15.09.2026") == ["order:2"]
    assert subjects("--until", "2026-09-15") == ["order:1", "ticket:1"]
