"""``fleet reports``: lists, shows and writes reports, and mails them to who may see them."""

import json
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Role
from fleet.db import db, transaction
from fleet.reports.models import ReportSchedule
from tests import factories
from tests.doors.fleet_command import run


@pytest.mark.parametrize(("ending", "begins"), [("csv", b"\xef\xbb\xbf"), ("xlsx", b"PK"), ("pdf", b"%PDF")])
def test_report_is_shown_and_written_as_the_ending_says(app: Flask, tmp_path: Path, ending: str, begins: bytes) -> None:
    with transaction():
        factories.device(factories.school("Prøveskolen"), serial="OWN1")
    shown = run(app, "reports", "show", "tablets", "--school", "Prøveskolen", "--json")
    assert [row["serial"] for row in json.loads(shown.output)] == ["OWN1"]
    path = tmp_path / f"a.{ending}"
    assert run(app, "reports", "export", "tablets", "--output", path).exit_code == 0
    assert path.read_bytes().startswith(begins)


def test_what_cannot_be_is_refused_in_words(app: Flask, tmp_path: Path) -> None:
    assert run(app, "reports", "show", "unknown").exit_code == 3
    assert "csv" in run(app, "reports", "export", "tablets", "--output", tmp_path / "a.doc").output
    assert "compliance" in run(app, "reports", "list").output


def test_report_is_mailed_to_an_account_until_it_is_ended(app: Flask) -> None:
    with transaction():
        factories.account("it", (Role.MUNICIPAL_ADMIN, None))
        factories.account("nobody")
    assert run(app, "reports", "schedule", "add", "it", "findings").exit_code == 0
    assert run(app, "reports", "schedule", "add", "nobody", "findings").exit_code == 1
    assert "findings" in run(app, "reports", "schedule", "list", "it").output
    number = db.session.scalars(select(ReportSchedule.id)).one()
    assert run(app, "reports", "schedule", "remove", "it", number).exit_code == 0
    assert run(app, "reports", "schedule", "remove", "it", number).exit_code == 3
