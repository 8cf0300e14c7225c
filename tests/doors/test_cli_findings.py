"""``fleet devices findings``."""

import json

import click
import pytest
from click.testing import CliRunner
from flask import Flask

from fleet.cli import main
from fleet.cli.output import Program
from fleet.compliance.models import Finding, FindingKind
from fleet.db import db, transaction
from tests import factories
from tests.conftest import NOW


def run(app: Flask, *words: str) -> click.testing.Result:
    return CliRunner().invoke(main, ["devices", "findings", *words], obj=Program(lambda: app, lambda: None))


@pytest.fixture(autouse=True)
def found(app: Flask) -> None:
    with transaction():
        kjenn, rasta = factories.school("Kjenn skole"), factories.school("Rasta skole")
        for school, serial in ((kjenn, "KJENN1"), (kjenn, "KJENN2"), (rasta, "RASTA1")):
            device = factories.device(school, serial=serial)
            missing = Finding(
                device_id=device.id, kind=FindingKind.APP_MISSING, subject="no.app", detail={}, opened_at=NOW
            )
            db.session.add(missing)
        db.session.add(
            Finding(device_id=device.id, kind=FindingKind.SILENT, subject="", detail={"since": "x"}, opened_at=NOW)
        )


def serials(app: Flask, *words: str) -> list[str]:
    return sorted(row["serial"] for row in json.loads(run(app, *words, "--json").output))


def test_findings_are_listed_of_all_of_a_school_and_of_a_tablet(app: Flask) -> None:
    assert serials(app) == ["KJENN1", "KJENN2", "RASTA1", "RASTA1"]
    assert serials(app, "--school", "kjenn skole") == ["KJENN1", "KJENN2"]
    assert serials(app, "kjenn2") == ["KJENN2"]
    assert serials(app, "--limit", "1") == ["RASTA1"]


def test_a_finding_tells_what_where_and_since_when(app: Flask) -> None:
    (row,) = json.loads(run(app, "KJENN1", "--json").output)
    assert row == {
        "serial": "KJENN1", "asset_tag": None, "school": "Kjenn skole", "school_ended": False, "class": None,
        "class_ended": False, "kind": "app-missing",
        "subject": "no.app", "detail": {}, "opened_at": NOW.isoformat(),
    }  # fmt: skip
    table = run(app).output.splitlines()
    assert table[0].split() == ["serial", "school", "class", "kind", "subject", "opened_at"]
    assert len(table) == 5


def test_an_unknown_tablet_or_school_is_not_found(app: Flask) -> None:
    assert run(app, "NOSUCH").exit_code == 3
    assert run(app, "--school", "Nosuch").exit_code == 3
