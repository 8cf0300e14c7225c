"""Strangers at the iPads' door: what they may cost, and what they cannot keep from others."""

import asyncio
import base64
import plistlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from cryptography import x509

from agent_protocol.transport import Response
from fleet import clock
from fleet.channels import desk
from fleet.crypto import random_token
from fleet.db import db
from fleet.devices.models import Ticket
from fleet.mdm.models import Identity as IssuedIdentity
from fleet.mdm.models import Invitation
from tests import apple_messages
from tests.apple_messages import ScepClient
from tests.gate import Door
from tests.ipad_gate import ipad_door, ticket_code
from tests.ipads import Ipad, RefusedError, content_of

KEY = apple_messages.rsa_key(1)
SCEP = "/apple/scep?operation=PKIOperation"
AT_ONCE_S = 5  # on a busy machine; who has to wait for SQLite waits twice as long
HERE, THERE = ("192.0.2.7", 1), ("198.51.100.9", 1)


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with ipad_door(fresh_url, tmp_path) as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket_code(gate)


def invite(gate: Door, code: str, client: tuple[str, int] = HERE) -> str:
    answer = gate.send("POST", "/apple/invitations", {}, f"code={code}".encode(), client=client)
    assert answer.status == 303
    return answer.headers["location"]


def scep_request(gate: Door, challenge: str) -> bytes:
    ca = x509.load_der_x509_certificate(gate.send("GET", "/apple/scep?operation=GetCACert", {}, None).body)
    request = apple_messages.certification_request(KEY, challenge=challenge)
    return ScepClient(apple_messages.self_signed(KEY, now=clock.now())).request(ca, request)


def status_in(gate: Door, answer: Response) -> str:
    ca = x509.load_der_x509_certificate(gate.send("GET", "/apple/scep?operation=GetCACert", {}, None).body)
    return apple_messages.read_scep_answer(answer.body, ca).text(3)


def test_a_wrong_challenge_gets_no_certificate_and_leaves_nothing(gate: Door, code: str) -> None:
    answer = gate.send("POST", SCEP, {}, scep_request(gate, random_token()))
    assert (answer.status, status_in(gate, answer)) == (200, "2")
    with gate.database():
        assert db.session.query(IssuedIdentity).count() == 0


def test_who_asks_with_wrong_challenges_again_and_again_has_to_wait_and_others_have_not(gate: Door, code: str) -> None:
    message = scep_request(gate, random_token())
    found: list[int] = []
    while 429 not in found:
        assert len(found) < 2 * desk.WRONG_AT_ONCE
        found.append(gate.send("POST", SCEP, {}, message, client=HERE).status)
    assert found[: desk.WRONG_AT_ONCE] == [200] * desk.WRONG_AT_ONCE
    assert invite(gate, code, HERE) == "/enrol?refused=too-many"
    assert gate.send("GET", f"/apple/enrol/{random_token()}", {}, None, client=HERE).status == 429
    address = invite(gate, code, THERE)
    assert gate.send("GET", address, {}, None, client=THERE).status == 200


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::1", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("", "no address", True),
    ],
)
def test_who_counts_as_one_caller(gate: Door, code: str, one: str, other: str, is_same: bool) -> None:
    asked = 0
    while "too-many" not in invite(gate, "AAAA-AAAA", (one, 1)):
        asked += 1
        assert asked < 2 * desk.WRONG_AT_ONCE
    assert ("too-many" in invite(gate, code, (other, 1))) is is_same


def test_who_is_right_is_never_kept_waiting(gate: Door, code: str) -> None:
    for _ in range(desk.WRONG_AT_ONCE + 5):
        assert "/apple/enrol/" in invite(gate, code)


def test_a_wrong_code_waits_for_nobody_who_writes(gate: Door, code: str) -> None:
    message = scep_request(gate, random_token())
    begun = time.monotonic()
    with gate.database():
        db.session.query(Ticket).update({"max_enrolments": 5})
        assert invite(gate, "AAAA-AAAA") == "/enrol?refused=ticket-unknown"
        assert gate.send("POST", SCEP, {}, message).status == 200
    assert time.monotonic() - begun < AT_ONCE_S
    with gate.database():
        assert db.session.query(Invitation).count() == 0


def test_strangers_who_wait_keep_no_enrolled_ipad_waiting_and_there_are_only_so_many(gate: Door, code: str) -> None:
    tablet = Ipad(gate.send, "IPAD1")
    tablet.enrol(code, key=KEY)
    for _ in range(2):  # and then it has nothing to say any more
        tablet.wake()

    async def ask(number: int) -> int:
        client = (f"192.0.2.{number % 200}", 1)
        answer = await gate.call("POST", "/apple/invitations", chunks=[f"code={code}".encode()], client=client)
        return answer.status

    async def crowd() -> list[int]:
        return await asyncio.gather(*(ask(number) for number in range(desk.QUEUE_LIMIT + 20)))

    with gate.database():
        db.session.query(Ticket).update({"max_enrolments": Ticket.max_enrolments + 1})  # who invites waits for this
        found = asyncio.run_coroutine_threadsafe(crowd(), gate.loop)
        time.sleep(0.3)
        begun = time.monotonic()
        assert tablet.wake() == []
        assert time.monotonic() - begun < AT_ONCE_S
    assert sorted(found.result(60)) == [303] * desk.QUEUE_LIMIT + [503] * 20


def test_a_message_beyond_measure_is_not_read(gate: Door) -> None:
    assert gate.send("POST", SCEP, {}, b"0" * 70_000).status == 413
    long = quote(base64.b64encode(b"0" * 70_000).decode())
    assert gate.send("GET", f"{SCEP}&message={long}", {}, None).status == 413


def test_a_lost_answer_is_asked_for_again_and_brings_a_certificate_that_counts(gate: Door, code: str) -> None:
    profile = gate.send("GET", invite(gate, code), {}, None).body
    lost = Ipad(gate.send, "IPAD1")
    told = {one["PayloadType"]: one for one in plistlib.loads(content_of(profile))["PayloadContent"]}
    message = scep_request(gate, told["com.apple.security.scep"]["PayloadContent"]["Challenge"])
    for _ in range(3):
        answer = gate.send("POST", SCEP, {}, message)
        assert status_in(gate, answer) == "0"
    lost.install(profile, key=KEY)  # with the same key and challenge once more
    assert lost.wake() != []
    assert status_in(gate, gate.send("POST", SCEP, {}, message)) == "2"  # and now it is in
    with pytest.raises(RefusedError):
        Ipad(gate.send, "IPAD2").install(profile, key=apple_messages.rsa_key(2))


def test_a_tablet_that_its_user_owns_is_not_taken_in(gate: Door, code: str) -> None:
    tablet = Ipad(gate.send, "IPAD1")
    tablet.enrol(code, key=KEY)
    for keys in ({"EnrollmentID": "AB12"}, {"EnrollmentID": "AB12", "EnrollmentUserID": "CD34"}):
        told = {"MessageType": "Authenticate", "Topic": tablet.mdm["Topic"], **keys}
        assert check_in(tablet, told).status == 403
        assert check_in(tablet, {**told, "SerialNumber": "IPAD1"}).status == 403
    no_serial = {"MessageType": "Authenticate", "Topic": tablet.mdm["Topic"], "UDID": tablet.udid}
    assert check_in(tablet, no_serial).status == 400


def check_in(tablet: Ipad, message: dict[str, Any]) -> Response:
    """Send exactly this, signed."""
    assert tablet.identity is not None
    body = plistlib.dumps(message)
    signed = apple_messages.signed_message(body, tablet.identity, apple_messages.IPAD, attached=False)
    headers = {
        "mdm-signature": base64.b64encode(signed).decode(),
        "content-type": "application/x-apple-aspen-mdm-checkin",
    }
    return tablet.send("PUT", "/apple/mdm", headers, body)


def test_what_opens_something_by_being_known_stands_in_no_log(gate: Door, code: str) -> None:
    token, digest = random_token(), "ab" * 32
    with structlog.testing.capture_logs() as lines:
        for path in (f"/apple/enrol/{token}", f"/apple/files/{digest}", f"/apple/enrol/{token}/x"):
            assert gate.send("GET", path, {}, None).status == 404
        with gate.app.app_context():
            db.session.execute(db.text("DROP TABLE mdm_enclosure"))
            db.session.commit()
        assert gate.send("GET", f"/apple/files/{digest}", {}, None).status == 500
    assert [line["path"] for line in lines] == [
        "/apple/enrol/…", "/apple/files/…", "/apple/enrol/…/x", "/apple/files/…",
    ]  # fmt: skip
    assert token not in repr(lines)
    assert digest not in repr(lines)
