"""Every refusal of the native channel has its stable code, and nobody's bad data fails his neighbour."""

import asyncio
import base64
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from agent_protocol import signing
from agent_protocol.errors import STATUS, Code
from agent_protocol.messages import BASE_PATH
from agent_protocol.session import Session
from agent_protocol.simulated import SimulatedDevice
from agent_protocol.states import AgentState
from agent_protocol.store import MemoryStore
from fleet import clock
from fleet.devices import enrolment
from tests.gate import AUTHORITY, Door, Tablet, door, problem, report_body, ticket
from tests.native import CONFIG, REPORTS, state_of, stored


def refused(tablet: Tablet, expected: Code, headers: dict[str, str], body: bytes | None = None) -> None:
    method, path = ("GET", CONFIG) if body is None else ("POST", REPORTS)
    answer = tablet.door.send(method, path, headers, body)
    assert (answer.status, problem(answer)) == (STATUS[expected], expected.value)


def test_a_tampered_body_a_wrong_digest_and_none_are_bad_signatures(tablet: Tablet) -> None:
    body = report_body()
    signed = tablet.headers("POST", REPORTS, body)
    refused(tablet, Code.BAD_SIGNATURE, signed, body.replace(b"18.4", b"18.5"))
    other = signing.content_digest(b"{}")
    refused(tablet, Code.BAD_SIGNATURE, signed | {"Content-Digest": other}, body)
    refused(tablet, Code.BAD_SIGNATURE, signed | {"Content-Digest": other}, b"{}")
    for name in ("Content-Digest", "Signature", "Signature-Input"):
        refused(tablet, Code.BAD_SIGNATURE, {key: value for key, value in signed.items() if key != name}, body)
    assert stored(tablet) == 0


def test_every_flipped_byte_of_a_signed_request_is_refused(tablet: Tablet) -> None:
    signed = tablet.headers("GET", CONFIG)
    for name in ("Signature", "Signature-Input"):
        value = signed[name]
        for place in range(len(value)):
            changed = value[:place] + chr(ord(value[place]) ^ 1) + value[place + 1 :]
            answer = tablet.door.send("GET", CONFIG, signed | {name: changed}, None)
            assert problem(answer) in {"bad-signature", "unknown-key"}, (name, place)


def test_a_request_signed_for_another_server_path_method_or_query_is_refused(tablet: Tablet) -> None:
    refused(tablet, Code.BAD_SIGNATURE, tablet.headers("GET", CONFIG, authority="evil.test"))
    refused(tablet, Code.BAD_SIGNATURE, tablet.headers("GET", CONFIG, authority="fleet.test:80"))
    host = {"Host": "evil.test", "X-Forwarded-Host": "evil.test"}
    refused(tablet, Code.BAD_SIGNATURE, tablet.headers("GET", CONFIG, authority="evil.test") | host)
    refused(tablet, Code.BAD_SIGNATURE, tablet.headers("GET", f"{BASE_PATH}/nonce"))
    refused(tablet, Code.BAD_SIGNATURE, tablet.headers("POST", CONFIG))
    refused(tablet, Code.BAD_SIGNATURE, tablet.headers("GET", f"{CONFIG}?a=1"))
    assert tablet.door.send("GET", CONFIG, tablet.headers("GET", CONFIG) | host, None).status == 200


@pytest.mark.parametrize(
    "components",
    [
        '"@method" "@authority" "@path"',
        '"@method" "@authority" "@path" "@query" "host"',
        '"@authority" "@method" "@path" "@query"',
        '"@method" "@authority" "@path" "@query" "@query"',
        '"@method" "@authority" "@path" "@query" "content-digest"',
        "",
    ],
)
def test_a_list_of_components_that_is_not_the_fixed_one_is_refused_although_its_signature_fits(
    tablet: Tablet, components: str
) -> None:
    created = int(clock.now().timestamp())
    values = {"@method": "GET", "@authority": AUTHORITY, "@path": CONFIG, "@query": "?", "host": AUTHORITY}
    parameters = f'({components});created={created};keyid="{tablet.keyid}";nonce="0";tag="{signing.TAG}"'
    listed = [name.strip('"') for name in components.split()]
    base = "".join(f'"{name}": {values.get(name, "x")}\n' for name in listed) + f'"@signature-params": {parameters}'
    r, s = decode_dss_signature(tablet.key.sign(base.encode(), signing._ECDSA))
    value = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
    refused(tablet, Code.BAD_SIGNATURE, {"Signature-Input": f"fleet={parameters}", "Signature": f"fleet=:{value}:"})


def test_an_unknown_key_and_another_tablets_key_are_told_apart(server: Door, tablet: Tablet) -> None:
    refused(tablet, Code.UNKNOWN_KEY, Tablet(server).headers("GET", CONFIG))
    other = Tablet(server)
    other.enrol(ticket(server, name="Naboskolen"), "SN0002")
    forged = tablet.headers("GET", CONFIG)
    forged["Signature"] = other.headers("GET", CONFIG)["Signature"]
    refused(tablet, Code.BAD_SIGNATURE, forged)


@pytest.mark.parametrize("age_s", [-3_600, 3_600, -310, 310])
def test_a_clock_that_is_wrong_is_told_the_servers_time(tablet: Tablet, age_s: int) -> None:
    answer = tablet.door.send("GET", CONFIG, tablet.headers("GET", CONFIG, age_s=age_s), None)
    assert problem(answer) == "clock-skew"
    told = datetime.fromisoformat(json.loads(answer.body)["server_time"])
    assert abs((told - clock.now()).total_seconds()) < 60
    forged = tablet.headers("GET", CONFIG, age_s=age_s) | {"Signature": tablet.headers("GET", CONFIG)["Signature"]}
    refused(tablet, Code.BAD_SIGNATURE, forged)  # whoever cannot sign learns nothing


def test_a_signature_that_was_right_once_is_good_for_the_same_path_only(tablet: Tablet) -> None:
    signed = tablet.headers("GET", CONFIG)
    assert [tablet.door.send("GET", CONFIG, signed, None).status for _ in range(3)] == [200, 200, 200]
    for path in (f"{CONFIG}?a=1", f"{BASE_PATH}/profiles/{'0' * 64}"):
        answer = tablet.door.send("GET", path, signed, None)
        assert problem(answer) == "bad-signature", path
    body = report_body()
    refused(tablet, Code.BAD_SIGNATURE, signed | {"Content-Type": "application/json"}, body)
    changed = signed["Signature"].replace(signed["Signature"][12], "A" if signed["Signature"][12] != "A" else "B", 1)
    refused(tablet, Code.BAD_SIGNATURE, signed | {"Signature": changed})


def test_a_signature_that_was_right_once_is_refused_when_it_is_old(
    tablet: Tablet, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = tablet.headers("GET", CONFIG)
    assert tablet.door.send("GET", CONFIG, signed, None).status == 200
    (native,) = (one for one in tablet.door.gate._channels if one.name == "native")
    monkeypatch.setattr(native, "_now", lambda: clock.now() + timedelta(seconds=signing.WINDOW_S + 1))
    refused(tablet, Code.CLOCK_SKEW, signed)


def test_a_clock_within_the_window_is_right(tablet: Tablet) -> None:
    for age_s in (-290, 290):
        assert tablet.door.send("GET", CONFIG, tablet.headers("GET", CONFIG, age_s=age_s), None).status == 200


@pytest.mark.parametrize("hours", [-1, 1])
def test_an_agent_whose_clock_is_an_hour_wrong_corrects_itself(server: Door, hours: int) -> None:
    session = Session(AUTHORITY, MemoryStore(), SimulatedDevice("SN0200"))
    wrong = clock.now() + timedelta(hours=hours)
    session.enrol(server, wrong, ticket(server))
    session.step(server, wrong)
    assert abs(session.memory.clock_offset_s + hours * 3600) < 60
    assert session.memory.state is AgentState.ENROLLED


def test_a_nonce_of_another_server_and_an_old_one_are_expired(server: Door) -> None:
    code, stranger = ticket(server), Tablet(server)
    channel: Any = server.gate._channels[0]
    now = int(clock.now().timestamp())
    path = f"{BASE_PATH}/enrolments"
    for nonce in (
        channel._make_nonce(now - 301),
        channel._make_nonce(now + 60),
        f"{now}.AAAAAAAAAAAAAAAAAAAAAA",
        "0",
        "x",
        "9" * 30,
    ):
        asked = {
            "ticket": code, "key": msgspec.to_builtins(signing.to_jwk(stranger.key.public_key())), "serial": "SN1", "platform": "linux",
            "model": "x", "os_version": "1", "agent_version": "1",
        }  # fmt: skip
        body = json.dumps(asked).encode()
        answer = server.send("POST", path, stranger.headers("POST", path, body, nonce=nonce), body)
        assert problem(answer) == "nonce-expired"


def test_an_enrolment_signed_by_another_key_or_for_a_strange_platform_is_refused(server: Door) -> None:
    code, mine, other = ticket(server), Tablet(server), Tablet(server)
    nonce = json.loads(server.send("GET", f"{BASE_PATH}/nonce", {}, None).body)["nonce"]
    path = f"{BASE_PATH}/enrolments"

    def ask(signer: Tablet, named: ec.EllipticCurvePrivateKey, **changes: Any) -> str:
        asked = {
            "ticket": code, "key": msgspec.to_builtins(signing.to_jwk(named.public_key())), "serial": "SN1", "platform": "linux",
            "model": "x", "os_version": "1", "agent_version": "1",
        } | changes  # fmt: skip
        body = json.dumps(asked).encode()
        return problem(server.send("POST", path, signer.headers("POST", path, body, nonce=nonce), body))

    assert ask(mine, other.key) == "bad-signature"
    assert ask(mine, mine.key, platform="windows") == "malformed"
    assert ask(mine, mine.key, model="a\0") == "malformed"
    assert ask(mine, mine.key, key={"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}) == "malformed"
    assert ask(mine, mine.key, ticket="0" * 16) == "ticket-unknown"
    assert ask(mine, mine.key, serial="\u00e6\u00f8\u00e5") == "serial-not-listed"


def test_every_refusal_of_enrolment_has_its_code_in_the_protocol() -> None:
    kinds = enrolment.EnrolmentError.__subclasses__()
    assert len(kinds) >= 8
    assert {Code(kind.code) for kind in kinds} <= STATUS.keys()


def test_a_media_type_that_is_not_json_is_refused(tablet: Tablet) -> None:
    body = report_body()
    for kind in ("text/plain", "", "application/json-seq", "application/json, application/json"):
        headers = tablet.headers("POST", REPORTS, body) | {"Content-Type": kind}
        refused(tablet, Code.UNSUPPORTED_MEDIA_TYPE, headers, body)
    fine = {"Content-Type": "Application/JSON; charset=utf-8", "Idempotency-Key": json.loads(body)["report_id"]}
    assert tablet.door.send("POST", REPORTS, tablet.headers("POST", REPORTS, body) | fine, body).status == 200


def test_a_body_where_none_belongs_is_refused(tablet: Tablet) -> None:
    answer = tablet.door.send("GET", CONFIG, tablet.headers("GET", CONFIG), b"{}")
    assert problem(answer) == "malformed"


NASTY = {
    "not JSON": b"{",
    "not UTF-8": b'{"report_id": "\xff"}',
    "a list": b"[]",
    "empty": b"",
    "too deep": report_body(unknown=[[[[[[[[[1]]]]]]]]]),
    "very deep": b"[" * 200_000,
    "a key twice": report_body().replace(b'"model"', b'"battery_percent": 1, "model"'),
    "too many attributes": report_body(attributes={str(number): "" for number in range(101)}),
    "U+0000": report_body(model="a\0b"),
    "U+0000 as a name": report_body(attributes={"\0": "b"}),
    "half a surrogate": report_body(model="MODEL").replace(b"MODEL", rb"\ud800"),
    "NaN": report_body(battery_percent=float("nan")),
    "infinity": report_body(battery_percent=float("inf")),
    "beyond a double": report_body(unknown=1).replace(b'"unknown": 1', b'"unknown": 1e999'),
    "5,000 digits": report_body(unknown=1).replace(b'"unknown": 1', b'"unknown": ' + b"9" * 5_000),
    "2**64 bytes": report_body(storage_free_bytes=2**64),
    "a fraction of a byte": report_body(storage_free_bytes=1.5),
    "a clock beyond its column": report_body(clock_offset_s=2**31),
    "a date without zone": report_body(reported_at="2026-09-14T08:15:00"),
    "an id that is none": report_body(report_id="x"),
    "a digest that is none": report_body(applied={"profile": "A" * 64}),
}


@pytest.mark.parametrize("body", NASTY.values(), ids=NASTY.keys())
def test_a_report_out_of_form_is_malformed_and_its_neighbours_are_stored(tablet: Tablet, body: bytes) -> None:
    neighbour = Tablet(tablet.door)
    neighbour.enrol(ticket(tablet.door, name="Naboskolen"), "SN0002")
    good = report_body()

    async def both() -> list[Any]:
        calls = []
        for who, what in ((tablet, body), (neighbour, good)):
            headers = who.headers("POST", REPORTS, what) | {"Idempotency-Key": json.loads(good)["report_id"]}
            pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            calls.append(tablet.door.call("POST", REPORTS, pairs, chunks=[what]))
        return await asyncio.gather(*calls)

    bad, fine = tablet.door.wait(both())
    assert (bad.status, problem(bad)) == (400, "malformed")
    assert fine.status == 200
    assert stored(tablet) == 1


ODD_BUT_ALLOWED = {
    "unknown fields": {"from_the_future": [{"a": 1}]},
    "letters beyond the first plane": {"model": "\U0001f600 \u00e6", "attributes": {"\U0001f600": "\u2028"}},
    "a text that only looks like U+0000": {"model": r"a\u0000b"},
    "large numbers": {"storage_free_bytes": 2**53, "clock_offset_s": -(2**31), "config_version": 2**53},
    "an unknown large number": {"from_the_future": 2**63},
    "far instants": {"reported_at": "9999-12-31T23:59:59Z", "applied": {"profile": None, "since": "0001-01-01T00:00:00Z"}},
    "everything there may be": {
        "apps": [{"id": f"no.app{n}"} for n in range(2_000)],
        "attributes": {str(n): "x" * 255 for n in range(100)},
        "failures": [{"key": "camera.allowed", "reason": "x" * 255}] * 500,
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", ODD_BUT_ALLOWED.values(), ids=ODD_BUT_ALLOWED.keys())
def test_what_is_odd_but_allowed_is_stored(tablet: Tablet, changes: dict[str, Any]) -> None:
    assert tablet.report(**changes).status == 200
    facts = state_of(tablet)["facts"]
    assert facts["model"] == changes.get("model", "Prøvebrett")
    assert len(facts["apps"]) == len(changes.get("apps", []))


def test_what_no_page_can_show_is_kept_as_a_sign_for_it(tablet: Tablet) -> None:
    assert tablet.report(model="a\x01\x1b[31m\x7f").status == 200
    assert state_of(tablet)["facts"]["model"] == "a\ufffd\ufffd[31m\ufffd"


def test_the_idempotency_key_must_be_the_reports_id(tablet: Tablet) -> None:
    body = report_body()
    for key in ({}, {"Idempotency-Key": "x"}):
        assert problem(tablet.post(REPORTS, body, **key)) == "malformed"


@pytest.mark.parametrize("nonce", ["0", "01", "x", "1.5", "9" * 17])
def test_a_number_that_is_none_is_a_bad_signature(tablet: Tablet, nonce: str) -> None:
    body = report_body()
    headers = tablet.headers("POST", REPORTS, body, nonce=nonce) | {"Idempotency-Key": json.loads(body)["report_id"]}
    refused(tablet, Code.BAD_SIGNATURE, headers, body)


def test_a_smaller_number_is_told_where_to_go_on(tablet: Tablet) -> None:
    tablet.sequence = 1_000_000 - 1
    assert tablet.report().status == 200
    tablet.sequence = 5
    answer = tablet.report()
    assert (problem(answer), json.loads(answer.body)["last_sequence"]) == ("replay", 1_000_000)


@pytest.mark.parametrize("sequence", [1_000_001, 2**53 + 1, 10**16 - 1])
def test_a_number_far_ahead_is_refused_so_that_no_tablet_runs_out_of_numbers(tablet: Tablet, sequence: int) -> None:
    tablet.sequence = sequence - 1
    assert problem(tablet.report()) == "malformed"
    tablet.sequence = sequence - 1
    result = tablet.post(f"{BASE_PATH}/orders/{'0' * 32}/result", b'{"state":"done"}')
    assert problem(result) == "malformed"
    again = Tablet(tablet.door)
    assert again.enrol(ticket(tablet.door), "SN0001").status == 403  # of another school: nothing has changed
    tablet.sequence = 0
    assert tablet.report().status == 200


def test_a_full_queue_answers_503_with_a_wait_of_its_own_for_each(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path, FLEET_QUEUE_LIMIT="2") as running:
        tablet = Tablet(running)
        assert tablet.enrol(ticket(running), "SN0001").status == 201
        assert tablet.get(CONFIG).status == 200  # its key is known from here on
        headers = [(name.lower().encode(), value.encode()) for name, value in tablet.headers("GET", CONFIG).items()]

        async def rush() -> list[Any]:
            return await asyncio.gather(*(running.call("GET", CONFIG, headers) for _ in range(60)))

        answers = running.wait(rush())
        turned_away = [answer for answer in answers if answer.status == 503]
        assert {answer.status for answer in answers} == {200, 503}
        assert {problem(answer) for answer in turned_away} == {"busy"}
        waits = {int(answer.headers["retry-after"]) for answer in turned_away}
        assert min(waits) >= 2
        assert len(waits) > 5
        profile = f"{BASE_PATH}/profiles/{'0' * 64}"
        pairs = [(name.lower().encode(), value.encode()) for name, value in tablet.headers("GET", profile).items()]

        async def rarer() -> list[Any]:
            return await asyncio.gather(*(running.call("GET", profile, pairs) for _ in range(20)))

        assert {problem(answer) for answer in running.wait(rarer())} == {"busy", "not-found"}
