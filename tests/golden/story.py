"""One tablet's story with its server, refusals included: what happens at the server, and what the tablet sends.

The recorder lets a tablet of agent version 1.0 send it all; the replay sends what was recorded, byte for byte.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent_protocol import signing
from agent_protocol.messages import (
    MAX_BODY_BYTES,
    App,
    Applied,
    EnrolmentRequest,
    Failure,
    OrderResult,
    OrderState,
    Report,
    encode,
)
from agent_protocol.transport import Response
from fleet.db import db
from fleet.devices import life, tickets
from fleet.devices.models import DeviceLife, Ticket
from fleet.schools.models import School
from tests import factories
from tests.golden.examples import Request, signed
from tests.golden.world import World
from tests.unit.protocol.keys import key

TABLET, STRANGER = 1, 2
V1 = "/agent/v1"
ORDER = f"{V1}/orders/{{}}/result"


@dataclass(frozen=True)
class Step:
    """One exchange.

    Args:
        name: of the example.
        about: what it shows.
        ask: makes the request from the world and the answers so far, by name.
        before: what happens at the server first.
        meanwhile: what happens while the server holds the request.
        key: the tablet's test key; None where nothing is signed.
        is_verifiable: whether the signature holds.
    """

    name: str
    about: str
    ask: Callable[[World, dict[str, Response]], Request]
    before: Callable[[World], object] = lambda _world: None
    meanwhile: Callable[[World], object] | None = None
    key: int | None = TABLET
    is_verifiable: bool = True


def _nonce(answers: dict[str, Response]) -> str:
    return str(json.loads(answers["nonce"].body)["nonce"])


def _enrol(
    ticket: str, *, tablet: int = STRANGER, serial: str = "GOLDEN0002", nonce: str | None = None
) -> Callable[[World, dict[str, Response]], Request]:
    def ask(world: World, answers: dict[str, Response]) -> Request:
        body = EnrolmentRequest(
            ticket=world.codes.get(ticket, ticket),
            key=signing.to_jwk(key(tablet).public_key()),
            serial=serial,
            platform="linux",
            model="Eksempelbrett 11",
            os_version="12",
            agent_version="1.0",
        )
        used = nonce if nonce is not None else _nonce(answers)
        return signed(tablet, "POST", f"{V1}/enrolments", encode(body), at=world.at, nonce=used)

    return ask


def _profile(answers: dict[str, Response]) -> str:
    return str(schedule(answers["config"])[0]["profile"])


def schedule(answer: Response) -> Any:
    """Return the schedule of a configuration's answer."""
    return document(answer.body)["schedule"]


def document(envelope: bytes) -> Any:
    """Return what an envelope says, unverified."""
    return json.loads(base64.b64decode(json.loads(envelope)["payload"]))


def report(world: World, answers: dict[str, Response], **changes: Any) -> bytes:
    """Return a report of the tablet's."""
    whole: dict[str, Any] = {
        "report_id": "0b3e8f0e-54a2-4c1e-9a39-3f6c29b4bb01",
        "reported_at": world.now,
        "config_version": document(answers["config"].body)["version"],
        "applied": Applied(_profile(answers), world.now),
        "failures": [Failure("cloud.backup_allowed", "unsupported")],
        "os_version": "12",
        "model": "Eksempelbrett 11",
        "agent_version": "1.0",
        "battery_percent": 83,
        "storage_total_bytes": 64_000_000_000,
        "storage_free_bytes": 41_000_000_000,
        "apps": [App("org.gnome.Calculator", "43.0")],
        "attributes": {"architecture": "x86_64", "kernel": "6.1.0"},
    }
    return encode(Report(**(whole | changes)))


def _report(sequence: int, **changes: Any) -> Callable[[World, dict[str, Response]], Request]:
    def ask(world: World, answers: dict[str, Response]) -> Request:
        body = report(world, answers, **changes)
        identity = json.loads(body)["report_id"]
        return signed(TABLET, "POST", f"{V1}/reports", body, at=world.at, nonce=str(sequence), Idempotency_Key=identity)

    return ask


def _get(path: str, *, etag_of: str | None = None, tablet: int = TABLET, late_s: int = 0, **headers: str) -> Any:
    def ask(world: World, answers: dict[str, Response]) -> Request:
        told = path.format(*([_profile(answers)] if "config" in answers else []))
        made = signed(tablet, "GET", told, at=world.at - late_s)
        known = {"If-None-Match": answers[etag_of].headers["etag"]} if etag_of is not None else {}
        return replace(made, headers=made.headers | known | headers)

    return ask


def _post(path: str, body: bytes, sequence: int, **headers: str) -> Any:
    def ask(world: World, answers: dict[str, Response]) -> Request:
        order = document(answers["config-with-lesson"].body)["orders"][0]["id"] if "{}" in path else ""
        made = signed(TABLET, "POST", path.format(order), body, at=world.at, nonce=str(sequence))
        return replace(made, headers=made.headers | {name.replace("_", "-"): told for name, told in headers.items()})

    return ask


def _tampered(world: World, answers: dict[str, Response]) -> Request:
    honest = _report(90)(world, answers)
    return replace(honest, body=(honest.body or b"").replace(b'"battery_percent":83', b'"battery_percent":84'))


def _too_large(_world: World, _answers: dict[str, Response]) -> Request:
    return Request("POST", f"{V1}/reports", {"Host": "fleet.test"}, b" " * (MAX_BODY_BYTES + 1))


def _unsigned_nonce(_world: World, _answers: dict[str, Response]) -> Request:
    return Request("GET", f"{V1}/nonce", {"Host": "fleet.test"}, None)


def _change_ticket(name: str, act: Callable[[World, Ticket], object]) -> Callable[[World], None]:
    def before(world: World) -> None:
        number = world.ticket(name)
        with world.door.database():
            act(world, db.session.get_one(Ticket, number))

    return before


def _expire(world: World, ticket: Ticket) -> None:
    ticket.expires_at = world.now


def _revoke_ticket(world: World, ticket: Ticket) -> None:
    tickets.revoke(ticket.id, by=world.by, now=world.now)


def _with_device(
    serial: str, state: DeviceLife, *, elsewhere: bool = False, is_heard: bool = False
) -> Callable[[World], None]:
    def before(world: World) -> None:
        world.ticket(serial)
        with world.door.database():
            at: School = factories.school("Naboskolen") if elsewhere else world.school()
            made = factories.device(at, serial=serial, life=state)
            made.state.last_seen_at = world.now if is_heard else None

    return before


def _revoke_tablet(world: World) -> None:
    with world.door.database():
        life.revoke_key(world.device(), by=world.by, now=world.now)


def _stop(world: World) -> None:
    world.door.wait(world.channel.drain())


DONE = encode(OrderResult(OrderState.DONE))
TWICE = b'{"state":"done","state":"failed"}'
NOBODY = hashlib.sha256(b"nobody's profile").hexdigest()

STORY: Sequence[Step] = (
    Step("nonce", "A nonce to enrol over", _unsigned_nonce, key=None),
    Step("enrol", "A tablet is taken in", _enrol("first", tablet=TABLET, serial="GOLDEN0001")),
    Step("enrol-again", "The same key asks again, as the first answer was lost: same tablet", _enrol("first", tablet=TABLET, serial="GOLDEN0001")),
    Step("config", "The first configuration", _get(f"{V1}/config")),
    Step("profile", "The profile that the configuration names", _get(f"{V1}/profiles/{{}}")),
    Step("report", "What the tablet is, with the profile in force", _report(1)),
    Step("config-unchanged", "Nothing new", _get(f"{V1}/config", etag_of="config")),
    Step("report-again", "The same report under a new number, as the first answer was lost: stored once", _report(2)),
    Step("config-with-lesson", "A lesson in a quarter of an hour, and a message", _get(f"{V1}/config", etag_of="config"), before=World.start_lesson),
    Step("config-held", "A poll that the server holds, and answers when the teacher opens a page", _get(f"{V1}/config", etag_of="config-with-lesson", Prefer="wait=20"), meanwhile=World.open_page),
    Step("config-held-unchanged", "A poll that the server holds until its time is over", _get(f"{V1}/config", etag_of="config-held", Prefer="wait=1")),
    Step("order-result", "The message was shown", _post(ORDER, DONE, 3)),
    Step("order-closed", "The same again: the order has ended", _post(ORDER, DONE, 4)),
    Step("replay", "A number that was used", _report(4, report_id="7d1b6a52-2a63-4c6e-8e0b-55a6c2f1d902")),
    Step("report-conflict", "Another report under an id that was used", _report(5, battery_percent=12)),
    Step("clock-skew", "A tablet whose clock is an hour slow", _get(f"{V1}/config", late_s=3600)),
    Step("bad-signature", "A report that was changed on its way", _tampered, is_verifiable=False),
    Step("unknown-key", "A key that nobody was taken in with", _get(f"{V1}/config", tablet=STRANGER), key=STRANGER),
    Step("malformed", "A key that stands twice", _post(ORDER, TWICE, 6)),
    Step("not-found", "A profile that is not this tablet's", _get(f"{V1}/profiles/{NOBODY}")),
    Step("method-not-allowed", "A method that the path does not have", _post(f"{V1}/config", b"{}", 6)),
    Step("unsupported-media-type", "A body that says it is something else", _post(ORDER, DONE, 6, Content_Type="text/plain")),
    Step("too-large", "A body over the limit", _too_large, key=None),
    Step("upgrade-required", "A version of the protocol that this server does not speak", _get("/agent/v2/config")),
    Step("ticket-unknown", "A code that no ticket has", _enrol("0000-0000-0000-0000-0000-0000-0000"), key=STRANGER),
    Step("ticket-exhausted", "A ticket for one tablet, used", _enrol("first"), key=STRANGER),
    Step("ticket-expired", "A ticket whose time is over", _enrol("old"), before=_change_ticket("old", _expire), key=STRANGER),
    Step("ticket-revoked", "A ticket that was taken back", _enrol("taken-back"), before=_change_ticket("taken-back", _revoke_ticket), key=STRANGER),
    Step("ticket-foreign", "A tablet that the delivery list has at another school", _enrol("GOLDEN0003", serial="GOLDEN0003"), before=_with_device("GOLDEN0003", DeviceLife.EXPECTED, elsewhere=True), key=STRANGER),
    Step("serial-not-listed", "A serial that is not on the delivery list, and a ticket for listed ones", _enrol("listed", serial="GOLDEN0009"), before=lambda world: world.ticket("listed", listed_only=True), key=STRANGER),
    Step("device-lost", "A tablet that is reported lost", _enrol("GOLDEN0004", serial="GOLDEN0004"), before=_with_device("GOLDEN0004", DeviceLife.LOST), key=STRANGER),
    Step("device-retired", "A tablet that is retired", _enrol("GOLDEN0005", serial="GOLDEN0005"), before=_with_device("GOLDEN0005", DeviceLife.RETIRED), key=STRANGER),
    Step("device-in-use", "A tablet that was heard from a moment ago, under another key", _enrol("GOLDEN0006", serial="GOLDEN0006"), before=_with_device("GOLDEN0006", DeviceLife.ENROLLED, is_heard=True), key=STRANGER),
    Step("nonce-expired", "A nonce that this server never gave", _enrol("first", nonce="1.AAAAAAAAAAAAAAAAAAAAAA"), key=STRANGER),
    Step("revoked", "A key that was taken back", _get(f"{V1}/config"), before=_revoke_tablet),
    Step("busy", "A server that is stopping", _get(f"{V1}/config"), before=_stop),
)  # fmt: skip
