"""The audit keeps declared fields and nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from fleet import audit
from fleet.access import Grant, Principal, Role
from fleet.db import transaction
from fleet.errors import ForbiddenError
from tests import factories
from tests.conftest import NOW


def test_a_recorded_line_comes_back_newest_first(app: Flask, cli_principal: Principal) -> None:
    with transaction():
        audit.record(cli_principal, "tickets.created", subject="ticket:1", now=NOW, count=3)
        audit.record(cli_principal, "tickets.revoked", subject="ticket:1", now=NOW)
    lines = factories.audited()
    assert [line.action for line in lines] == ["tickets.revoked", "tickets.created"]
    assert lines[1].at == NOW
    assert lines[1].fields == {"count": 3}
    assert [line.action for line in factories.audited(action="tickets.created")] == ["tickets.created"]


def test_a_field_not_declared_public_is_refused(app: Flask, cli_principal: Principal) -> None:
    with pytest.raises(ValueError, match="given_name"):
        audit.record(cli_principal, "roster.applied", subject="import:1", now=NOW, given_name="x")


def test_only_who_may_read_the_audit_reads_it(app: Flask) -> None:
    with pytest.raises(ForbiddenError):
        audit.lines(by=Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, None),)))


def test_the_outer_transaction_undoes_each_test(app: Flask) -> None:
    assert factories.audited() == []


def test_lines_are_found_by_what_who_and_when(app: Flask, cli_principal: Principal) -> None:
    kari, ola = Principal("account", "1"), Principal("account", "2")
    told = [
        (kari, "tickets.created", "ticket:1", 0), (ola, "tickets.revoked", "ticket:1", 1),
        (Principal.job("retention"), "ticketsx.other", "ticket:2", 2), (cli_principal, "devices.moved", "device:1", 3),
    ]  # fmt: skip
    with transaction():
        for by, action, subject, hours in told:
            audit.record(by, action, subject=subject, now=NOW + timedelta(hours=hours))

    def found(**given: Any) -> list[str]:
        return [line.action for line in audit.lines(audit.Filter(**given), by=cli_principal)]

    everything = [action for _by, action, _subject, _hours in reversed(told)]
    assert found() == everything
    assert found(action="tickets.") == ["tickets.revoked", "tickets.created"]
    assert found(action="tickets.created") == ["tickets.created"]
    assert found(action="tickets_.") == []
    assert found(subjects=["ticket:1", "device:1"]) == ["devices.moved", "tickets.revoked", "tickets.created"]
    assert found(subjects=[]) == found(actors=[]) == []
    assert found(actors=[("account", None)]) == ["tickets.revoked", "tickets.created"]
    assert found(actors=[("account", "2"), ("cli", None)]) == ["devices.moved", "tickets.revoked"]
    hour = timedelta(hours=1)
    assert found(since=NOW + hour, until=NOW + 3 * hour) == ["ticketsx.other", "tickets.revoked"]
    assert found(action="tickets.", actors=[("account", "1")], until=NOW + hour) == ["tickets.created"]


def test_next_page_begins_where_the_last_one_ended(app: Flask, cli_principal: Principal) -> None:
    with transaction():
        for number in range(5):
            audit.record(cli_principal, "tickets.created", subject=f"ticket:{number}", now=NOW)
    first = audit.lines(by=cli_principal, limit=3)
    with transaction():
        audit.record(cli_principal, "tickets.created", subject="ticket:new", now=NOW)
    second = audit.lines(by=cli_principal, limit=3, before=first[-1].id)
    assert [line.subject for line in second] == ["ticket:1", "ticket:0"]
