"""Words of the rules' editor: total over what the language has, and a fault is told with its place."""

import pytest
from flask import Flask

from fleet.compliance.expressions import ExpressionError, check
from fleet.compliance.fields import FIELDS
from fleet.compliance.functions import SIGNATURES
from fleet.compliance.models import FindingAct, FindingKind, Severity
from fleet.compliance.shipped import SHIPPED
from fleet.web import refusals_rules, words_fields, words_rules


def test_every_field_and_function_is_told(app: Flask) -> None:
    with app.test_request_context():
        told = [one.path for _group, _title, rows in words_fields.fields() for one in rows]
        assert sorted(told) == sorted(one.path for one in FIELDS)
        assert {how for how, _about in words_fields.functions()} >= set(SIGNATURES.values())


def test_every_shipped_rule_severity_and_act_has_words(app: Flask) -> None:
    with app.test_request_context():
        assert all(words_rules.about(code) for code in {*SHIPPED, *FindingKind})
        assert all(words_rules.severity(one).words and words_rules.severity_about(one) for one in Severity)
        assert len({words_rules.act(one) for one in FindingAct}) == len(FindingAct)


@pytest.mark.parametrize(
    ("text", "parts", "place"),
    [
        ("os.version &&", ("os.version &&", "", ""), (1, 14)),
        ("os.versoin", ("os.", "versoin", ""), (1, 4)),
        ("apps[].id ==\n  = 'a'", ("  ", "=", " 'a'"), (2, 3)),
        ("elder(os.version, '1')", ("", "elder", "(os.version, '1')"), (1, 1)),
        ("'abc", ("", "'abc", ""), (1, 1)),
        ("   ", ("", "", "   "), (1, 1)),
    ],
)
def test_wrong_part_of_an_expression_is_marked_in_its_line(
    app: Flask, text: str, parts: tuple[str, str, str], place: tuple[int, int]
) -> None:
    with pytest.raises(ExpressionError) as refused, app.test_request_context():
        check(text)
    with app.test_request_context():
        found = refusals_rules.caret(refused.value, text)
        assert (found.before, found.wrong, found.after) == parts
        assert (found.line, found.column) == place
        assert str(place[1]) in refusals_rules.with_place(refused.value, found)


def test_fault_in_one_of_several_lines_is_marked_there(app: Flask) -> None:
    with pytest.raises(ExpressionError) as refused:
        check("os.verson")
    with app.test_request_context():
        text = "os.version\nos.verson"
        found = refusals_rules.caret(refused.value, text, text.index("os.verson", 5))
    assert (found.line, found.before, found.wrong) == (2, "os.", "verson")
