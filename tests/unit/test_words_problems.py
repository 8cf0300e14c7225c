"""Every fault that a roster or a delivery list can have is told in a sentence of its own, in every language."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fleet
from fleet.errors import Problem
from fleet.web import words_problems
from fleet.web.languages import NAMES
from tests.unit.test_web_texts import speaking

_ROOT = Path(fleet.__file__).parent
_FILES = [*sorted((_ROOT / "schools" / "roster").glob("*.py")), _ROOT / "devices" / "delivery.py"]
_CODE_AT = {"Problem": 3, "fault": 1, "_note": 1, "_refuse": 1}  # where calls that note a fault have its code


def _codes() -> Iterator[str]:
    yield from ("not-a-zip", "damaged-zip")  # told by a name
    for path in _FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            is_of_list = path.name == "delivery.py" and name == "fault"  # there the line comes first
            place = 2 if is_of_list else _CODE_AT.get(name)
            if place is not None and len(node.args) > place:
                told = node.args[place]
                if isinstance(told, ast.Constant) and isinstance(told.value, str) and told.value != "orgs":
                    yield told.value


CODES = sorted(set(_codes()))


def test_codes_are_found() -> None:
    assert {"dangling-reference", "zip-bomb", "rounded-serial", "unknown-type", "missing-file", "nul"} <= set(CODES)


@pytest.mark.parametrize("language", NAMES)
@pytest.mark.parametrize("code", CODES)
def test_every_fault_has_a_sentence(language: str, code: str) -> None:
    with speaking(language):
        told = words_problems.problem(Problem("f.csv", 2, "role", code, "x", "y", None, "orgs.csv"))
        assert code not in told.split("(")[-1] or code == "empty", told
        assert told.endswith((".", "?"))
        assert "%(" not in told
