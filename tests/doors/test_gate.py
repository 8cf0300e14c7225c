"""The gate: which requests go where, what is read of them, and what a fault of ours looks like from outside."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from agent_protocol.messages import BASE_PATH, MAX_BODY_BYTES
from fleet.android import addresses
from fleet.channels import bodies, crowding, measuring
from fleet.channels.asgi import CROWDED
from fleet.db import db
from fleet.devices.models import DeviceState
from tests.gate import Door, Tablet, door, problem, report_body, ticket


def pairs(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def test_what_no_channel_owns_goes_to_the_staffs_application_with_the_requests_id(server: Door) -> None:
    for path in ("/", "/agent", "/agents/v1/config", "//agent/v1/config", "/x/agent/v1/config"):
        answer = server.wait(server.call("GET", path, [(b"x-request-id", b"told-by-the-caller")]))
        assert answer.headers.get("content-type") != "application/problem+json"
        assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ("/agent%2Fv1%2Fconfig", "/agent/v1/config"),
        ("/%61gent/v1/config", "/agent/v1/config"),
        ("/agent/v1/%63onfig", "/agent/v1/config"),
        ("/agent/v1/config%00", "/agent/v1/config\0"),
        ("/agent/v1/config/", "/agent/v1/config/"),
        ("/agent/v1//config", "/agent/v1//config"),
        ("/agent/../agent/v1/config", "/agent/../agent/v1/config"),
        ("/agent/v1/config;x=1", "/agent/v1/config;x=1"),
        ("/agent/", "/agent/"),
        ("/agent/v", "/agent/v"),
        ("/agent/v1", "/agent/v1"),
        ("/agent/æøå", "/agent/æøå"),
    ],
)
def test_a_path_counts_as_it_was_sent_and_only_in_its_one_spelling(tablet: Tablet, raw: str, decoded: str) -> None:
    signed = pairs(tablet.headers("GET", raw))
    assert problem(tablet.door.wait(tablet.door.call("GET", raw, signed, path=decoded))) == "not-found"


def test_a_path_without_its_raw_form_and_one_with_the_query_in_it_are_read_too(tablet: Tablet) -> None:
    path = f"{BASE_PATH}/config"
    signed = pairs(tablet.headers("GET", path))
    assert tablet.door.wait(tablet.door.call("GET", path, signed, raw_path=None)).status == 200
    with_query = pairs(tablet.headers("GET", f"{path}?a=1"))
    raw = f"{path}?a=1".encode()
    assert tablet.door.wait(tablet.door.call("GET", f"{path}?a=1", with_query, raw_path=raw)).status == 200
    assert problem(tablet.door.wait(tablet.door.call("GET", f"{path}?a=2", with_query))) == "bad-signature"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "get", ""])
def test_any_other_method_is_refused_and_told_what_is_allowed(server: Door, method: str) -> None:
    for path, allowed in (("config", "GET"), ("nonce", "GET"), ("reports", "POST"), ("enrolments", "POST")):
        answer = server.wait(server.call(method, f"{BASE_PATH}/{path}"))
        assert problem(answer) == "method-not-allowed"
        assert (answer.status, answer.headers["allow"]) == (405, allowed)


def test_another_version_is_told_which_one_is_spoken(server: Door) -> None:
    for version in ("v2", "v10", "v0"):
        assert problem(server.wait(server.call("GET", f"/agent/{version}/config"))) == "upgrade-required"


def test_a_body_in_pieces_is_read_whole(tablet: Tablet) -> None:
    body = report_body()
    headers = tablet.headers("POST", f"{BASE_PATH}/reports", body) | {"Idempotency-Key": json.loads(body)["report_id"]}
    found = []
    for chunked in ([("transfer-encoding", "chunked")], []):  # neither header says how long it is
        given = pairs(headers | dict(chunked))
        pieces = [body[:1], b"", body[1:50], body[50:]]
        answer = tablet.door.wait(tablet.door.call("POST", f"{BASE_PATH}/reports", given, chunks=pieces))
        found.append(answer.status)
    assert found == [200, 409]  # the second one is read as whole: it is known as a replay


@pytest.mark.parametrize("said", [str(MAX_BODY_BYTES + 1), "9" * 5_000, "100", None, "-1", "x", "²"])
def test_a_body_beyond_the_limit_is_refused_whatever_its_length_says(server: Door, said: str | None) -> None:
    given = [(b"content-type", b"application/json")]
    if said is not None:
        given.append((b"content-length", said.encode("latin-1")))
    for pieces in ([b" " * 100_000] * 3, [b" " * 300_000]):
        assert problem(server.wait(server.call("POST", f"{BASE_PATH}/reports", given, chunks=pieces))) == "too-large"


def test_a_body_of_exactly_the_limit_is_read(tablet: Tablet) -> None:
    body = report_body(unknown="x")
    body = body.replace(b'"x"', b'"' + b"x" * (MAX_BODY_BYTES - len(body) + 1) + b'"')
    assert len(body) == MAX_BODY_BYTES
    assert tablet.report_body(body).status == 200


def test_a_repeated_header_is_one_list_so_a_second_signature_is_none(tablet: Tablet) -> None:
    path = f"{BASE_PATH}/config"
    signed = pairs(tablet.headers("GET", path))
    other = pairs(Tablet(tablet.door).headers("GET", path))
    for name in (b"signature", b"signature-input"):
        for extra in ([one for one in other if one[0] == name], [one for one in signed if one[0] == name]):
            for headers in (signed + extra, extra + signed):
                assert problem(tablet.door.wait(tablet.door.call("GET", path, headers))) == "bad-signature"
    assert tablet.door.wait(tablet.door.call("GET", path, [*signed, (b"x-a", b"1"), (b"x-a", b"2")])).status == 200


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """Return what is logged meanwhile."""
    with structlog.testing.capture_logs() as captured:
        yield captured


def test_a_fault_of_ours_is_answered_without_a_word_of_it_and_logged_without_what_was_sent(
    tablet: Tablet, lines: list[Any]
) -> None:
    with tablet.door.app.app_context():
        db.session.execute(db.text("DROP TABLE check_in"))
        db.session.commit()
    answer = tablet.report(model="hemmelig-modell", attributes={"elev": "hemmelig-navn"})
    assert (answer.status, problem(answer)) == (500, "internal")
    assert 2 <= int(answer.headers["retry-after"]) <= 62
    assert "check_in" not in answer.body.decode()
    (failed,) = [line for line in lines if line["event"] == "failed"]
    assert failed["request_id"] == answer.headers["x-request-id"]
    assert any(kind.endswith("Error") for kind in failed["kinds"])
    assert any("receive" in place for place in failed["places"])
    assert "hemmelig" not in repr(lines)
    assert tablet.get(f"{BASE_PATH}/config").status == 200  # and the process lives on


def test_a_tablet_that_lacks_its_schedule_fails_alone(tablet: Tablet, lines: list[Any]) -> None:
    with tablet.door.database():
        db.session.execute(db.update(DeviceState).values(schedule_digest="0" * 64))
    neighbour = Tablet(tablet.door)
    assert neighbour.enrol(ticket(tablet.door, name="Nabo"), "SN0002").status == 201

    async def both() -> list[int]:
        path = f"{BASE_PATH}/config"
        calls = [tablet.door.call("GET", path, pairs(one.headers("GET", path))) for one in (tablet, neighbour)]
        return [answer.status for answer in await asyncio.gather(*calls)]

    assert tablet.door.wait(both()) == [500, 200]


def test_who_goes_away_or_sends_too_slowly_is_abandoned(
    server: Door, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.05)

    async def call(*messages: dict[str, Any]) -> list[dict[str, Any]]:
        waiting, sent = list(messages), []

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.sleep(30)
            return waiting.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": f"{BASE_PATH}/reports", "query_string": b"", "headers": []}
        await server.gate(scope, receive, send)
        return sent

    piece = {"type": "http.request", "body": b"{", "more_body": True}
    for messages in ((piece, {"type": "http.disconnect"}), (piece,)):
        begin, _ = server.wait(call(*messages))
        assert begin["status"] == 408
    assert [line["event"] for line in lines if line["event"] in {"abandoned", "failed"}] == ["abandoned"] * 2


def test_a_refusal_is_logged_with_its_request_and_an_answer_is_not(tablet: Tablet, lines: list[Any]) -> None:
    assert tablet.get(f"{BASE_PATH}/config").status == 200
    refused = tablet.get(f"{BASE_PATH}/nothing")
    assert [(line["event"], line["status"], line["request_id"]) for line in lines] == [
        ("refused", 404, refused.headers["x-request-id"])
    ]


def test_who_stood_too_long_in_line_is_counted_with_how_long(server: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[str, int, bool, bool]] = []

    def answered(name: str, status: int, begun: float, *, held_s: float = 0.0, is_shed: bool = False) -> None:
        assert held_s == 0
        noted.append((name, status, is_shed, time.perf_counter() - begun > crowding.MOST_LATE_S))

    monkeypatch.setattr(measuring, "answered", answered)
    server.gate._line._begun = crowding.FEW_IN_FRONT
    came: dict[str, Any] = {crowding.ARRIVED: (time.perf_counter() - crowding.MOST_LATE_S - 1, 0)}
    assert problem(server.wait(server.call("GET", f"{BASE_PATH}/nonce", **came))) == "busy"
    assert server.wait(server.call("GET", f"{BASE_PATH}/nonce")).status == 200
    assert noted == [("native", 503, True, True), ("native", 200, False, False)]


@pytest.mark.parametrize(
    ("path", "status"),
    [(f"{BASE_PATH}/config", 503), ("/apple/mdm", 503), (f"{addresses.PREFIX}x", 429), ("/", 503)],
)
def test_where_there_is_no_room_for_the_connection_one_shall_come_later_over_another(
    server: Door, path: str, status: int
) -> None:
    crowded: dict[str, Any] = {CROWDED: True}
    answer = server.wait(server.call("GET", path, **crowded))
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert int(answer.headers["retry-after"]) > 0
    assert server.wait(server.call("GET", "/healthz", **crowded)).status == 200


def test_a_stopping_server_answers_what_it_took_and_turns_away_the_rest(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path) as running:
        tablet = Tablet(running)
        assert tablet.enrol(ticket(running), "SN0001").status == 201
        path = f"{BASE_PATH}/reports"

        async def stop_amid() -> tuple[list[int], list[str]]:
            bodies = [report_body() for _ in range(20)]
            requests = [
                (tablet.headers("POST", path, body) | {"Idempotency-Key": json.loads(body)["report_id"]}, body)
                for body in bodies
            ]
            calls = [
                asyncio.ensure_future(running.call("POST", path, pairs(headers), chunks=[body]))
                for headers, body in requests
            ]
            await asyncio.sleep(0)
            channel = running.gate._channels[0]
            await asyncio.gather(channel.drain(), *calls)
            late = [
                running.call("GET", f"{BASE_PATH}/config", pairs(tablet.headers("GET", f"{BASE_PATH}/config"))),
                running.call("GET", f"{BASE_PATH}/profiles/{'0' * 64}", pairs(tablet.headers("GET", f"{BASE_PATH}/profiles/{'0' * 64}"))),
            ]  # fmt: skip
            return [call.result().status for call in calls], [problem(await one) for one in late]

        statuses, late = running.wait(stop_amid())
    assert set(statuses) <= {200, 503}
    assert late == ["busy", "busy"]


def test_nothing_of_a_request_is_written_to_the_standard_log(tablet: Tablet, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        tablet.report(model="hemmelig-modell")
    assert "hemmelig" not in caplog.text
