"""``fleet rules`` and ``fleet findings``."""

import json
from datetime import timedelta
from typing import Any

import click.testing
import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from fleet import clock
from fleet.cli import main
from fleet.cli.output import EXIT_REFUSED, Program
from fleet.compliance import review
from fleet.compliance.models import Finding
from fleet.compliance.shipped import SHIPPED
from fleet.db import db, transaction
from fleet.devices.models import Device
from tests import factories
from tests.conftest import NOW


def run(app: Flask, *words: str) -> click.testing.Result:
    return CliRunner().invoke(main, list(words), obj=Program(lambda: app, lambda: None))


def said(app: Flask, *words: str) -> Any:
    result = run(app, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.fixture
def device(app: Flask) -> Device:
    with transaction():
        (made,) = factories.in_use(factories.school("Kjenn skole"), 1)
        made.serial = "KJENN1"
        factories.told(made, at=NOW, clock_offset_s=500, apps=["no.spill"])
        review.review([made.id], now=NOW)
    return made


def test_rules_are_listed_and_shown(app: Flask) -> None:
    assert [one["code"] for one in said(app, "rules", "list")] == [str(code) for code in SHIPPED]
    assert said(app, "rules", "show", "clock-wrong")["condition"] == "abs(clock.offset_s) > `120`"
    assert "severity" in run(app, "rules", "show", "clock-wrong").output
    assert "os.version" in run(app, "rules", "words").output
    assert "older(version, than)" in said(app, "rules", "words")["functions"]
    missing = run(app, "rules", "show", "clok")
    assert "no rule is called clok; rules: app-blocked" in missing.output


def test_a_rule_is_tried_made_changed_switched_and_removed(app: Flask, device: Device) -> None:
    condition = ("--condition", "apps[?id == 'no.spill'].id")
    tried = said(app, "rules", "try", *condition)
    assert (tried["opens"], tried["examples"][0]["serial"], tried["examples"][0]["subject"]) == (
        1,
        "KJENN1",
        "no.spill",
    )
    assert "would open 1 and close 0" in run(app, "rules", "try", *condition).output
    one = said(app, "rules", "try", "--device", "kjenn1", *condition)
    assert (one["found"], one["document"]["apps"]) == (["no.spill"], [{"id": "no.spill"}])
    assert "no.spill" in run(app, "rules", "try", "--device", "kjenn1", *condition).output
    made = said(app, "rules", "add", "--title", "Spill", *condition, "--shows", "os.version", "--school", "Kjenn skole")
    assert (made["code"], made["shows"], len(made["schools"])) == ("spill", ["os.version"], 1)
    changed = said(app, "rules", "change", "spill", "--grace", "60", "--all-schools", "--severity", "note")
    assert (changed["grace_min"], changed["schools"], changed["condition"]) == (60, None, condition[1])
    assert "is off" in run(app, "rules", "switch", "spill", "--off").output
    assert "is removed" in run(app, "rules", "remove", "spill").output
    assert said(app, "rules", "reset", "clock-wrong")["version"] == 0


def test_a_rule_that_is_there_can_be_tried_with_a_change(app: Flask, device: Device) -> None:
    tried = said(app, "rules", "try", "clock-wrong", "--condition", "abs(clock.offset_s) > `900`")
    assert (tried["opens"], tried["closes"], tried["stays"]) == (0, 1, 0)
    assert said(app, "rules", "try", "clock-wrong")["stays"] == 1


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("os.versio == '1'", "condition, character 4: there is no field os.versio (version?)"),
        ("oldr(os.version, '1')", "condition, character 1: there is no function oldr (older?)"),
        ("os.version == '1", "condition, character 15: ' is not closed"),
        ("(os.version", "condition, character 12: it ends too early ()?)"),
        ("!profile.is_pending", "condition, character 1: write !( … ) around what is denied"),
    ],
)
def test_a_fault_is_told_with_its_character(app: Flask, condition: str, words: str) -> None:
    result = run(app, "rules", "add", "--title", "Ny", "--condition", condition)
    assert (result.exit_code, words in result.output) == (EXIT_REFUSED, True), result.output


def test_a_rule_without_a_title_is_refused_in_words(app: Flask) -> None:
    assert "needs a title: --title" in run(app, "rules", "add", "--condition", "missing").output


def test_findings_are_acknowledged_put_off_closed_and_opened_again(app: Flask, device: Device) -> None:
    number = str(db.session.scalars(select(Finding.id)).one())
    assert [row["asks_for"] for row in said(app, "findings", "list", "--kind", "clock-wrong")] == ["needs"]
    assert "1 finding(s) acknowledged" in run(app, "findings", "acknowledge", number, "--note", "Vet det").output
    assert [row["id"] for row in said(app, "findings", "list", "--asks-for", "acknowledged")] == [int(number)]
    assert "ask for a look" in run(app, "findings", "wake", number).output
    day = clock.now().date() + timedelta(days=1)
    results = [run(app, "findings", "snooze", number, "--until", str(day + timedelta(days=n))) for n in range(30)]
    assert any("put off until" in one.output for one in results)
    assert any("no day of school" in one.output for one in results)
    assert "1 finding(s) closed" in run(app, "findings", "close", number).output
    assert said(app, "findings", "list") == []
    assert [row["closed_by"] for row in said(app, "findings", "list", "--closed")] == ["cli"]
    assert "open again" in run(app, "findings", "reopen", number).output
    assert "nobody closed it by hand" in run(app, "findings", "reopen", number).output
    acts = [row["act"] for row in said(app, "findings", "history", number)]
    assert (acts[0], acts[-1]) == ("reopened", "acknowledged")
    assert "there is no finding 98765" in run(app, "findings", "close", "98765").output
    assert run(app, "findings", "list", "--device", "kjenn1", "--severity", "warning").output.count("clock-wrong") == 1
