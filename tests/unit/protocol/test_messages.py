"""Messages: limits, duplicate keys, unknown fields, and that nothing but MalformedError ever comes out."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_protocol import messages
from agent_protocol.errors import STATUS, Code, MalformedError
from agent_protocol.messages import (
    MAX_ATTRIBUTES,
    MAX_BODY_BYTES,
    App,
    Applied,
    ConfigAnswer,
    ConfigDocument,
    EnrolmentRequest,
    Envelope,
    Failure,
    NonceAnswer,
    OrderResult,
    Problem,
    Report,
    RootDocument,
    decode,
    encode,
)
from agent_protocol.states import REACTIONS

MOMENT = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)
REPORT_ID = "0b3e8f0e-54a2-4c1e-9a39-3f6c29b4bb01"
KINDS: list[Any] = [
    Report, ConfigDocument, RootDocument, Envelope, ConfigAnswer, EnrolmentRequest, OrderResult, Problem, NonceAnswer,
]  # fmt: skip


def report(**changes: Any) -> Report:
    whole: dict[str, Any] = {
        "report_id": REPORT_ID, "reported_at": MOMENT, "applied": Applied("a" * 64, MOMENT), "os_version": "18.4",
        "model": "Nettbrett Å", "agent_version": "1.0", "failures": [Failure("a", "b")], "apps": [App("no.app", "1")],
        "attributes": {"kernel": "6.1"}, "battery_percent": 80,
    }  # fmt: skip
    return Report(**(whole | changes))


def refused(kind: Any, body: bytes) -> str:
    with pytest.raises(MalformedError) as refusal:
        decode(kind, body)
    return str(refusal.value.members["detail"])


def test_a_message_reads_back_as_it_was_written() -> None:
    assert decode(Report, encode(report())) == report()
    assert b'"2026-09-14T08:15:00Z"' in encode(report())


def test_unknown_fields_are_tolerated_at_every_depth() -> None:
    told = json.loads(encode(report()))
    told["future"] = {"more": [1, {"x": None}]}
    told["applied"]["future"] = True
    assert decode(Report, json.dumps(told).encode()) == report()


def test_bodies_beside_a_configuration_are_nothing_new_to_who_knows_only_envelopes() -> None:
    plain = Envelope("type", "payload", [])
    answer = ConfigAnswer("type", "payload", [], {"a" * 64: '{"camera.allowed":false}'})
    assert decode(Envelope, encode(answer)) == plain
    assert decode(ConfigAnswer, encode(answer)) == answer
    assert encode(ConfigAnswer("type", "payload", [])) == encode(plain)
    refused(ConfigAnswer, encode(ConfigAnswer("type", "payload", [], {"A" * 64: "{}"})))


@pytest.mark.parametrize(
    "body",
    [
        b'{"nonce": "a", "nonce": "b", "expires_in_s": 1}',
        b'{"nonce": "a", "expires_in_s": 1, "future": {"x": 1, "x": 1}}',
        b'{"nonce": "a", "expires_in_s": 1, "future": [{"x": 1}, {"x": 1, "\\u0078": 1}]}',
    ],
)
def test_a_key_that_stands_twice_is_refused(body: bytes) -> None:
    assert "twice" in refused(NonceAnswer, body)


def test_texts_with_json_inside_do_not_confuse_the_counting() -> None:
    tricky = 'a":{"\\[:' + "]}"
    assert decode(NonceAnswer, encode(NonceAnswer(tricky, 1))) == NonceAnswer(tricky, 1)


@pytest.mark.parametrize("inner", [("[", "]"), ('{"y":', "}"), ('[{"y":', "}]"), ('{"y":[', "]}")])
def test_depth_eight_is_taken_and_nine_refused(inner: tuple[str, str]) -> None:
    def nested(depth: int) -> bytes:
        times, rest = divmod(depth, inner[0].count("[") + inner[0].count("{"))
        return f'{{"nonce":"a","expires_in_s":1,"x":{inner[0] * times}{"[" * rest}1{"]" * rest}{inner[1] * times}}}'.encode()

    assert decode(NonceAnswer, nested(7)) == NonceAnswer("a", 1)
    assert "deeper" in refused(NonceAnswer, nested(8))


def test_size_and_counts_have_limits() -> None:
    assert "larger" in refused(NonceAnswer, b" " * (MAX_BODY_BYTES + 1))
    refused(Report, encode(report(attributes={str(n): "" for n in range(MAX_ATTRIBUTES + 1)})))
    refused(Report, encode(report(apps=[App(str(n)) for n in range(2_001)])))
    refused(Report, encode(report(model="x" * 256)))
    refused(Report, encode(report(battery_percent=101)))


@pytest.mark.parametrize(
    "change",
    [{"report_id": "x"}, {"report_id": REPORT_ID.upper()}, {"reported_at": "2026-09-14T08:15:00"}, {"applied": None}, {"applied": {"profile": "A" * 64}}],
)  # fmt: skip
def test_a_field_out_of_form_is_refused(change: dict[str, Any]) -> None:
    refused(Report, json.dumps(json.loads(encode(report())) | change).encode())


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_random_bytes_are_refused_and_never_crash(body: bytes, kind: Any) -> None:
    with contextlib.suppress(MalformedError):
        decode(kind, body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.data(), st.sampled_from(KINDS))
def test_any_json_is_refused_or_taken_but_never_crashes(data: st.DataObject, kind: Any) -> None:
    names = list(kind.__struct_encode_fields__)
    told = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=5), _JSON, max_size=6))
    with contextlib.suppress(MalformedError):
        decode(kind, json.dumps(told).encode())


@pytest.mark.parametrize("body", [b"\xff", b'"\xff"', b"", b"{", b"[" * 100_000, b"{}{}", b"NaN"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refused(NonceAnswer, body)


def test_a_text_with_nul_is_refused_wherever_it_stands_and_its_spelling_is_not() -> None:
    plain = json.loads(encode(report()))
    for change in (
        {"model": "a\0b"},
        {"attributes": {"a\0": "b"}},
        {"apps": [{"id": "\0"}]},
        {"unknown": [{"x": "\0"}]},
    ):
        assert "U+0000" in refused(Report, json.dumps(plain | change).encode())
    told = decode(Report, json.dumps(plain | {"model": r"a\u0000b"}).encode())
    assert told.model == r"a\u0000b"


def test_half_a_surrogate_is_refused_and_a_whole_one_taken() -> None:
    plain = encode(report(model="MODEL"))
    assert refused(Report, plain.replace(b"MODEL", rb"\ud800"))
    assert decode(Report, plain.replace(b"MODEL", rb"\ud83d\ude00")).model == "\U0001f600"


def test_every_code_has_a_status_and_a_reaction() -> None:
    assert STATUS.keys() == REACTIONS.keys() == set(Code)
    assert all(400 <= status <= 503 for status in STATUS.values())


def test_a_body_of_brackets_is_refused_before_anything_is_made_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(messages, "_READER", type("Reader", (), {"decode": staticmethod(read.append)}))
    for body in (b"[" + b"[]," * 80_000 + b"[]]", b"[" + b"{}," * 80_000 + b"{}]", b'{"a":' * 40_000, b"[" * 200_000):
        with pytest.raises(MalformedError):
            decode(Report, body)
    assert read == []
