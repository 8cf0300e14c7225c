"""Conditions: what is refused and where, what is given, and that none takes more than its bounds."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.compliance import documents, expressions, reading
from fleet.compliance.documents import Seen, Wanted
from fleet.compliance.expressions import Evaluation, ExpressionError, ExpressionLimitError, check
from fleet.compliance.fields import FIELDS, SHAPE
from fleet.compliance.functions import SIGNATURES, Functions
from fleet.compliance.rules import NOTHING, Rule, judge, ready
from fleet.devices.models import Platform

NOW = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)
FULL = Seen(
    {
        "os_version": "18.4", "model": "Prøvebrett", "agent_version": "1.0", "storage_total_bytes": 1000,
        "apps": [{"id": f"no.app{number}", "version": "1.0", "is_hidden": number == 1} for number in range(2_000)],
        "flags": {"supervised": True, "passcode_present": False},
        "attributes": {"kernel": "6.1.0", "battery_health_percent": "74", "encrypted": "false", "rooted": "yes"},
        "certificate_expires_at": (NOW + timedelta(days=9, hours=5)).isoformat(),
    },
    platform=Platform.IPADOS, storage_free_bytes=99, clock_offset_s=-200, battery_percent=55, channel="apple",
    applied_at=NOW, desired_at=NOW, enrolled_at=NOW, listed_at=NOW, school_id=3, cart="Vogn",
)  # fmt: skip
DOCUMENT = documents.document(FULL, Wanted("19", frozenset({"no.b"}), frozenset({"no.app1", "no.app2"})))


def value(text: str, document: Any = DOCUMENT) -> Any:
    return check(text).value(document, now=NOW)


def refused(text: str) -> dict[str, Any]:
    with pytest.raises(ExpressionError) as caught:
        check(text)
    return caught.value.data


@pytest.mark.parametrize(
    ("text", "position", "length", "reason", "found", "expected"),
    [
        ("", 0, 0, "empty", None, None),
        ("os.versio == '1'", 3, 6, "field", "os.versio", "version"),
        ("os.version == tablet.version", 21, 7, "field", "tablet.version", "agent_version"),
        ("apps[?ids == 'x']", 6, 3, "field", "apps[].ids", "id"),
        ("oldr(os.version, '1')", 0, 4, "function", "oldr", "older"),
        ("older(os.version)", 0, 5, "arguments", "older", "2"),
        ("abs(clock.offset_s, `1`)", 0, 3, "arguments", "abs", "1"),
        ("older(os.version os.minimum)", 17, 2, "word", "os", ","),
        ("os.version = '1'", 11, 1, "sign", "=", None),
        ("os.version == '1", 14, 2, "unclosed", "'", "'"),
        ("os.version == `abc`", 14, 5, "literal", "`abc`", "`JSON`"),
        ("os.version == `NaN`", 14, 5, "literal", "`NaN`", "`JSON`"),
        ("os.version == `1e999`", 14, 7, "literal", "`1e999`", "`JSON`"),
        ('os.version == `{"a": 1}`', 14, 10, "literal", '`{"a": 1}`', "`JSON`"),
        ("(os.version", 11, 0, "incomplete", None, ")"),
        ("apps[?id == 'x'", 15, 0, "incomplete", None, "]"),
        ("os.version ==", 13, 0, "incomplete", None, None),
        ("os.version) == '1'", 10, 1, "word", ")", None),
        ("{a: os.version}", 0, 1, "not-offered", "{", None),
        ("[os.version]", 0, 1, "not-offered", "[", None),
        ("os.[version]", 3, 1, "not-offered", "[", None),
        ("apps[::0]", 7, 1, "step", "0", None),
        ("!profile.is_pending", 0, 1, "negation", "!", "!("),
        ("merge(os, os)", 0, 5, "function", "merge", None),
        ("ø", 0, 1, "sign", "ø", None),
        ("missing && æ", 11, 1, "sign", "æ", None),
        ("&os.version", 0, 1, "word", "&", None),
        ("os.version || &apps", 14, 1, "word", "&", None),
        ("not_null(os.nothing, &apps)", 21, 1, "word", "&", None),
        ("type(&apps)", 5, 1, "word", "&", None),
    ],
)
def test_a_fault_is_told_with_the_character_it_stands_at(
    text: str, position: int, length: int, reason: str, found: str | None, expected: str | None
) -> None:
    assert refused(text) == {
        "position": position, "length": length, "reason": reason, "found": found, "expected": expected,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("older(os.version, os.minimum)", True),
        ("older(os.version, '18')", False),
        ("older(os.nothing, '18')", None),
        ("abs(clock.offset_s) > `120`", True),
        ("clock.offset_s < 'x'", None),
        ("flags.encrypted == `false`", True),
        ("flags.nobody_told == `false`", False),
        ("flags.passcode_present == `0`", False),
        ("!(profile.is_pending)", True),
        ("length(apps)", 2000),
        ("apps[?is_hidden].id", ["no.app1"]),
        ("blocked", ["no.app2"]),
        ('matches_any(apps[].id, `["*.app199", "no.app1998", "x*"]`)', ["no.app199", "no.app1998"]),
        ('common(apps[].id, `["no.app7", "no.b"]`)', ["no.app7"]),
        ("lacking(wanted.required, apps[].id)", ["no.b"]),
        ("days_until(certificate.expires_at)", 9),
        ("days_since(tablet.listed_at)", 0),
        ("days_since('gestern')", None),
        ("plus(storage.free_percent, `2`)", 11),
        ("minus(storage.free_percent, `2`)", 7),
        ("battery.health_percent < `80` && attributes.kernel", "6.1.0"),
        ("to_number(attributes.battery_health_percent)", 74),
        ("to_number('1e400')", None),
        ("to_number('nan')", None),
        ("to_number('99999999999999999999999999')", None),
        ("to_string(apps)", None),
        ("to_string(`true`)", "true"),
        ("join('+', missing)", "no.b"),
        ("join(os.version, apps[].id)", None),
        ("sum(`[1, 2.5]`)", 3.5),
        ("sort(`[2, 1]`)", [1, 2]),
        ("max(apps[].version)", "1.0"),
        ("starts_with(missing, 'no')", None),
        ("not_null(flags.nothing, os.version)", "18.4"),
        ("apps[0].id || 'none'", "no.app0"),
        ("apps[99999999999999999999]", None),
        ("storage.*", [1000, 99, 9, 10]),
    ],
)  # fmt: skip
def test_what_a_condition_gives(text: str, expected: Any) -> None:
    found = value(text) if "os.nothing" not in text else value(text.replace("os.nothing", "flags.nothing"))
    assert found == expected
    assert type(found) is type(expected)


# -- bounds ------------------------------------------------------------------------------------------------------------

ATTACKS_WHEN_READ = [
    "(" * 400 + "os.version" + ")" * 400,
    "[" * 900,
    "!" * 900 + "missing",
    "apps" + "[]" * 200,
    "apps" + "[*]" * 200,
    "apps" + "[?id]" * 150,
    "*" + ".*" * 300,
    "`" + "[" * 900 + "`",
    "`[" + "[]," * 300 + "[]]`",
    "missing" + "||missing" * 100,
    "missing" + "|@" * 300,
    "&" * 500 + "missing",
    "a" * 5_000,
    "'" + "x" * 1_000,
    "missing == '" + "[" * 980,
    "`" + "9" * 900 + "`",
    "not_null(" * 100 + "missing" + ")" * 100,
]


@pytest.mark.parametrize("text", ATTACKS_WHEN_READ, ids=range(len(ATTACKS_WHEN_READ)))
def test_what_is_too_long_deep_or_many_is_refused_when_it_is_read(text: str) -> None:
    found = refused(text)
    assert 0 <= found["position"] <= len(text)
    assert found["found"] is None or len(found["found"]) <= 40


ONES = f"`[{','.join('1' * 200)}]`"
FEW = f"`[{','.join('1' * 60)}]`"
ATTACKS_WHEN_WORKED_OUT = [
    # Each item of a list of 2,000 is asked for 2,000 others: there is no way to, but by literals.
    f"map(&{ONES}, {ONES})[]",
    f"length(map(&map(&map(&@, {FEW}), {FEW}), {FEW}))",
    f"map(&{ONES}, apps) | [][][]",
    "apps[*].*[]",
    'map(&map(&length(@), `["a", "b", "c", "d"]`), apps)[]',
    "apps[*].sort(map(&@, `[3,2,1]`)).map(&@, @).length(@)",
    "matches_any(apps[].id, `[" + ",".join(f'"*{n}*{n}*{n}*"' for n in range(60)) + "]`)",
    "apps[?contains(id, '" + "x" * 300 + "')].id",
    'apps[?matches_any(to_array(id), `["*"]`)]'.replace("to_array(id)", 'sort(`["a"]`)'),
    "map(&(@ == @), apps)",
    "apps == apps && apps == apps && apps[::-1] != apps[::-1]",
    "apps[*].join('', `[" + ",".join(['"' + "y" * 80 + '"'] * 9) + "]`)",
    "sort(apps[].id) == sort(apps[].id) && sort(apps[].id) == sort(apps[].id) && sort(apps[].id) == sort(apps[].id)",
    "max(map(&length(id), apps)) > `0` && min(map(&length(id), apps)) > `0` && sum(map(&length(id), apps)) > `0`",
]  # fmt: skip


@pytest.mark.parametrize("text", ATTACKS_WHEN_WORKED_OUT, ids=range(len(ATTACKS_WHEN_WORKED_OUT)))
def test_whatever_is_worked_out_stays_within_its_steps(text: str) -> None:
    evaluation = Evaluation(NOW)
    result = None
    with suppress(ExpressionLimitError):
        result = evaluation.value(check(text), DOCUMENT)
    assert len(json.dumps(result)) < 64 * expressions.STEPS  # what a step may add


def test_a_list_that_would_grow_too_long_is_given_up_before_it_is_made() -> None:
    with pytest.raises(ExpressionLimitError):
        value(f"map(&{ONES}, {ONES})[]")


def test_nested_filters_over_many_apps_are_given_up() -> None:
    many = {"flags": [{"id": number} for number in range(2_000)]}
    text = "flags[?contains(`[" + ",".join("7" * 300) + "]`, id)]"
    with pytest.raises(ExpressionLimitError):
        value(text, many)


def test_a_rule_has_a_bound_for_all_tablets_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "STEPS_OF_A_RULE", 30_000)
    greedy = Rule("greedy", "apps[?id == 'x' || version == 'y' || is_hidden == `false`].id")
    calm = Rule("calm", "missing")
    evaluation = Evaluation(NOW)
    outcomes = [judge(ready([greedy, calm]), DOCUMENT, NOTHING, evaluation) for _ in range(5)]
    assert [bool(one.failed) for one in outcomes] == [False, False, True, True, True]
    assert all([found.kind for found in one.findings][-1] == "calm" for one in outcomes)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abcos.version[]?*(){}!&|<>='`\"@,:-0123456789 \\æ", max_size=60))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with suppress(ExpressionError, ExpressionLimitError):
        expressions.texts(check(text).value(DOCUMENT, now=NOW))


def test_what_findings_keep_is_short_and_safe() -> None:
    assert expressions.shown("a\0" + "b" * 500) == "a\ufffd" + "b" * 198
    assert expressions.shown(float("inf")) is None
    assert expressions.shown(10**30) is None
    assert len(expressions.shown(["x"] * 500)) == 20
    assert len(expressions.shown({"a": "x" * 900})) == 200


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (None, []), (False, []), ("", []), ([], []), ({}, []), (True, [""]), (7, [""]), ("x", [""]),
        (["a", "b", "a"], ["a", "b"]), ([1, 2], [""]), ([{"id": 1}], [""]), (["a", 1], ["a"]),
    ],
)  # fmt: skip
def test_a_list_of_texts_is_a_finding_each_and_all_else_one_or_none(given_value: Any, expected: list[str]) -> None:
    assert expressions.texts(given_value) == expected


# -- the words ---------------------------------------------------------------------------------------------------------


def leaves(shape: Any, path: str = "") -> set[str]:
    if isinstance(shape, dict):
        return {leaf for name, below in shape.items() for leaf in leaves(below, f"{path}.{name}".lstrip("."))}
    if isinstance(shape, list) and shape and isinstance(shape[0], dict):
        return leaves(shape[0], f"{path}[]")
    return {path}


KINDS: dict[str, Any] = {
    "text": str, "number": (int, float), "yes-no": bool, "instant": str, "texts": list,
}  # fmt: skip


def test_fields_are_what_documents_have_and_each_has_an_example_of_its_kind() -> None:
    assert {path.partition(".")[0].removesuffix("[]") for path in leaves(SHAPE)} == DOCUMENT.keys()
    for group, inside in DOCUMENT.items():
        if isinstance(SHAPE[group], dict):
            assert inside.keys() == SHAPE[group].keys(), group
    for one in FIELDS:
        assert isinstance(one.example, KINDS[one.type]), one.path
        told = value(one.path)
        told = told[0] if one.path.startswith("apps[]") else told
        assert told is None or isinstance(told, KINDS[one.type]), one.path
        assert isinstance(told, bool) is (one.type == "yes-no") or told is None, one.path


def test_each_function_is_named_with_what_it_needs() -> None:
    assert SIGNATURES.keys() == Functions.names()
    for name, told in SIGNATURES.items():
        assert told.startswith(f"{name}(")


def test_a_document_of_a_tablet_that_told_nothing_is_of_the_same_shape() -> None:
    empty = documents.document(Seen({}), Wanted())
    assert empty.keys() == DOCUMENT.keys()
    assert {path for path in leaves(SHAPE) if "[]" not in path} >= {
        f.path for f in FIELDS if f.path in leaves(SHAPE)
    } - {path for path in leaves(SHAPE) if "[]" in path}
    odd = Seen({"apps": {"a": 1}, "flags": 7, "attributes": [1], "os_version": 4, "storage_total_bytes": "x"})
    assert documents.document(odd, Wanted()) == empty


def test_flags_of_an_agent_are_what_is_so() -> None:
    told = documents.document(Seen({"flags": ["expired"], "attributes": {"rooted": "no", "encrypted": "?"}}), Wanted())
    assert told["flags"] == {"expired": True, "rooted": False}


def test_bounds_are_those_of_the_decision() -> None:
    page = "".join(reading.__doc__ or "")
    assert page
    assert (reading.MAX_LENGTH, reading.MAX_TOKENS, reading.MAX_NESTED, reading.MAX_PROJECTIONS) == (1_000, 300, 12, 12)
    assert (expressions.STEPS, expressions.STEPS_OF_A_RULE, reading.MAX_DEPTH) == (50_000, 10_000_000, 60)


@pytest.mark.parametrize("told", [float("nan"), float("inf"), -float("inf"), 10**400, -(10**400)])
@pytest.mark.parametrize(
    "text", ["ceil(@)", "floor(@)", "abs(@)", "plus(@, `1.5`)", "to_string(@)", "to_number(@)", "@ < `1.5`", "@"]
)
def test_a_number_that_is_none_or_too_large_harms_nothing(text: str, told: float) -> None:
    found = value(text.replace("@", "apps[0].*|[0]"), {"apps": [{"size": told}]})
    assert json.loads(json.dumps(expressions.shown(found), allow_nan=False)) in {None, True, False}


def test_what_no_database_takes_stands_in_no_finding() -> None:
    told = ["a\0b", "c\ud800d"]
    assert expressions.texts(told) == ["a\ufffdb", "c\ufffdd"]
    assert expressions.shown(told) == ["a\ufffdb", "c\ufffdd"]


@pytest.mark.parametrize(
    "text", ['`"\\ud800"`', '`["a", "\\u0000"]`', 'attributes."\\ud800"', '"a\\udfff"', "os.version == '\0'"]
)
def test_what_no_page_could_show_is_refused_when_it_is_read(text: str) -> None:
    told = refused(text)
    assert told["reason"] == "literal"
    assert str(told["found"]).encode()
