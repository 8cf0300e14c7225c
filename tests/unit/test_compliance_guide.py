"""The municipality's guide to rules says what the code does."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleet.compliance.expressions import MAX_LENGTH, check
from fleet.compliance.rules import MAX_OF_A_KIND
from fleet.compliance.shipped import SHIPPED
from fleet.web import words_fields

GUIDE = (Path(__file__).parents[2] / "fleet" / "docs" / "compliance.md").read_text()
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
UNITS = {"minute": 1, "hour": 60, "day": 24 * 60}


def examples() -> Iterator[Any]:
    """Yield each example's condition with what a tablet tells and what the condition gives."""
    for condition, table in re.findall(r"```rule\n(.+?)\n```\n\n((?:\|.*\n)+)", GUIDE):
        for told, gives in re.findall(r"^\| `(\{.*\})` \| `(.+)` \|$", table, re.MULTILINE):
            yield pytest.param(condition, told, gives, id=f"{condition} {told}")


@pytest.mark.parametrize(("condition", "told", "gives"), list(examples()))
def test_worked_example_gives_what_the_guide_says(condition: str, told: str, gives: str) -> None:
    assert json.dumps(check(condition).value(json.loads(told), now=NOW)) == gives


def test_every_condition_of_the_guide_has_an_example() -> None:
    assert GUIDE.count("```rule") == len({one.values[0] for one in examples()}) == 6


def test_guide_lists_the_shipped_rules_as_they_are() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| .+ \| (\w+) \| (.+) \|$", GUIDE, re.MULTILINE)
    assert {code: (severity, _minutes(waits)) for code, severity, waits in rows} == {
        code: (rule.severity.value, rule.grace_min) for code, rule in SHIPPED.items()
    }
    assert f"{MAX_LENGTH} characters" in GUIDE
    assert f"at most {MAX_OF_A_KIND}." in GUIDE


def _minutes(told: str) -> int:
    if told == "at once":
        return 0
    number, unit = told.split()
    return int(number) * UNITS[unit.removesuffix("s")]


@pytest.mark.parametrize("condition", list(words_fields.EXAMPLES))
def test_examples_beside_the_editor_are_conditions(condition: str) -> None:
    check(condition)
