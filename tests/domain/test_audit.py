"""The audit keeps declared fields and nothing else."""

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
        audit.latest(by=Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, None),)))


def test_the_outer_transaction_undoes_each_test(app: Flask) -> None:
    assert factories.audited() == []
