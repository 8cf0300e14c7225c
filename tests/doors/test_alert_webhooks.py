"""Webhooks, from what was found to a real receiver: signed, retried, given up and sent again; and where they never lead."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.alerts import hook_messages, webhooks
from fleet.alerts.models import AlertTopic, HookMessage, HookState, Webhook
from fleet.alerts.webhooks import Draft, Made
from fleet.app.posting import Poster, PostError
from fleet.db import db, transaction
from fleet.errors import FleetError, ForbiddenError
from tests import alerts
from tests.alerts import BY, World, says
from tests.apns import Authority

pytestmark = pytest.mark.serves
TOPICS = (AlertTopic.FINDINGS, AlertTopic.SERIOUS)
PUBLIC = "93.184.216.34"


@pytest.fixture
def world(own_app: Flask) -> World:
    return alerts.world(own_app)


def hook(of: World, address: str, *, is_private_allowed: bool = True, school_id: int | None = None) -> Made:
    with of.app.app_context(), transaction():
        draft = Draft("Brukerstøtte", address, TOPICS, school_id, is_private_allowed)
        made = webhooks.create(draft, vault_key=of.vault, by=BY, now=of.clock.at)
        db.session.expunge(made.webhook)
        return made


def messages(of: World) -> list[HookMessage]:
    with of.app.app_context():
        found = list(db.session.scalars(select(HookMessage).order_by(HookMessage.id)))
        db.session.expunge_all()
        return found


def test_what_is_raised_and_over_is_told_signed_and_without_a_name(world: World) -> None:
    with alerts.receiver() as receiver:
        made = hook(world, receiver.address)
        (finding,) = world.finds("A1")
        assert world.plans().messages == 1
        assert world.posts() == 1
        world.closes([finding])
        world.plans()
        assert world.posts() == 1
        assert world.posts() == 0
    raised, ended = receiver.came
    assert raised.path == "/alerts?from=fleet"
    assert raised.headers["host"] == f"localhost:{receiver.port}"
    told = json.loads(raised.body)
    assert told["type"] == "alert.raised"
    assert told["data"]["tablet"]["asset_tag"] == "A1"
    assert (told["data"]["school"], told["data"]["class"], told["data"]["kind"]) == ("Prøveskolen", "8B", "storage-low")
    assert json.loads(ended.body)["type"] == "alert.ended"
    for one in receiver.came:  # as the specification's own libraries check it
        secret = base64.b64decode(made.secret.removeprefix("whsec_"))
        content = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
        expected = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
        assert one.headers["webhook-signature"] == f"v1,{expected}"
    assert raised.headers["webhook-id"] != ended.headers["webhook-id"]
    with world.app.app_context():
        assert secret not in db.session.get_one(Webhook, made.webhook.id).secret_sealed


def test_a_message_that_fails_is_tried_ever_later_then_waits_for_a_person_who_sends_it_again(world: World) -> None:
    with alerts.receiver() as receiver:
        made = hook(world, receiver.address)
        receiver.answers = [says(500)] * 8
        world.finds("A1")
        world.plans()
        waits = []
        for _ in range(7):
            assert world.posts() == 1
            waits.append(messages(world)[0].due_at - world.clock.at)
            world.clock.at = messages(world)[0].due_at
        assert waits == list(hook_messages.BACK_OFF)
        world.posts()
        dead = messages(world)[0]
        assert (dead.state, dead.status, dead.failure) == (HookState.DEAD, 500, "answered 500")
        world.clock.forward(days=3)
        assert world.posts() == 0
        with world.app.app_context(), transaction():
            assert [
                one.id for one in hook_messages.listed(made.webhook.id, by=BY, state=HookState.DEAD)
            ] == [dead.id]  # fmt: skip
            assert hook_messages.replay_all(made.webhook.id, by=BY, now=world.clock.at) == 1
        world.posts()
        assert messages(world)[0].state is HookState.SENT
    assert len({one.headers["webhook-id"] for one in receiver.came}) == 1
    assert len({one.body for one in receiver.came}) == 1
    assert len({one.headers["webhook-signature"] for one in receiver.came}) == 9, "each with its own time"


def test_a_receiver_that_asks_to_wait_is_left_alone_and_one_that_is_gone_for_good(world: World) -> None:
    with alerts.receiver() as receiver:
        hook(world, receiver.address)
        receiver.answers = [says(503, Retry_After="7200"), says(410)]
        world.finds("A1")
        world.plans()
        world.posts()
        assert messages(world)[0].due_at == world.clock.at + timedelta(hours=2)
        world.clock.forward(hours=2)
        world.posts()
    assert messages(world)[0].state is HookState.DEAD


def test_a_server_that_was_killed_at_it_leaves_the_message_to_another_under_the_same_name(world: World) -> None:
    with alerts.receiver() as receiver:
        hook(world, receiver.address)
        world.finds("A1")
        world.plans()
        with world.app.app_context(), transaction():
            lost = hook_messages.claim(vault_key=world.vault, now=world.clock.at)
        assert lost is not None
        Poster().post(lost, now=world.clock.at)  # and killed before it is noted
        assert world.posts() == 0
        world.clock.at += hook_messages.HOLD
        assert world.posts() == 1
        with world.app.app_context(), transaction():
            assert not hook_messages.failed(lost, "late", now=world.clock.at)
    assert len({one.headers["webhook-id"] for one in receiver.came}) == 1
    assert messages(world)[0].state is HookState.SENT


def test_two_servers_send_each_message_once(world: World) -> None:
    with alerts.receiver() as receiver:
        hook(world, receiver.address)
        world.finds(*(f"A{number}" for number in range(12)))
        world.plans()
        threads = [threading.Thread(target=world.posts) for _ in range(3)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        world.posts()
    ids = [one.headers["webhook-id"] for one in receiver.came]
    assert len(ids) == len(set(ids)) == 12


def test_a_private_address_is_not_spoken_to_unless_somebody_of_the_municipality_allowed_it(world: World) -> None:
    with alerts.receiver() as receiver:
        address = f"https://nettbrett.prove.example:{receiver.port}/"
        hook(world, address, is_private_allowed=False)
        postman_of(world, ["127.0.0.1"])
        world.finds("A1")
        world.plans()
        world.posts()
        assert messages(world)[0].failure == "private address"
    assert receiver.came == []
    it = Principal("account", "7", (Grant(Role.SCHOOL_IT, world.ids["school"]),))
    draft = Draft("Skolens", "http://10.0.0.1/", TOPICS, world.ids["school"], is_private_allowed=True)
    with world.app.app_context(), transaction(), pytest.raises(ForbiddenError):
        webhooks.create(draft, vault_key=world.vault, by=it, now=world.clock.at)


def postman_of(of: World, machines: Sequence[str]) -> list[str]:
    """Have names lead to these machines; returns which names are looked up."""
    asked: list[str] = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return machines if len(asked) == 1 else ["127.0.0.1"]

    of.postman._poster = Poster(resolve=resolve)
    return asked


def test_a_name_is_looked_up_once_and_the_machine_that_was_judged_is_the_one_that_is_called(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []

    class _Socket:
        def __init__(self, *_kind: Any) -> None: ...
        def settimeout(self, _seconds: float) -> None: ...
        def close(self) -> None: ...
        def connect(self, address: Any) -> None:
            called.append(address)
            raise ConnectionRefusedError

    monkeypatch.setattr("fleet.app.posting.socket.socket", _Socket)
    asked: list[str] = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]

    message = hook_messages.Claimed(1, world.clock.at, "msg_1", b"{}", "https://turns.example/x", False, b"s" * 32, 1)
    with pytest.raises(PostError, match="unreachable"):
        Poster(resolve=resolve).post(message, now=world.clock.at)
    assert called == [(PUBLIC, 443)]
    assert asked == ["turns.example"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_answer_that_leads_elsewhere_is_not_followed(world: World, status: int) -> None:
    with alerts.receiver() as inside, alerts.receiver() as receiver:
        receiver.answers = [says(status, Location=f"http://127.0.0.1:{inside.port}/secret")]
        with pytest.raises(PostError, match="leads elsewhere") as refused:
            Poster().post(message_to(world, receiver.address), now=world.clock.at)
    assert refused.value.status == status
    assert inside.came == []


def message_to(of: World, address: str) -> hook_messages.Claimed:
    return hook_messages.Claimed(1, of.clock.at, "msg_1", b'{"a": "\xc3\xb8"}', address, True, b"s" * 32, 1)


def test_tls_is_verified_by_name(world: World) -> None:
    authority = Authority()
    with alerts.receiver(authority) as receiver:
        message = message_to(world, receiver.address)
        assert Poster(authority_pem=authority.pem).post(message, now=world.clock.at) == 204
        with pytest.raises(PostError, match="certificate not trusted"):
            Poster(authority_pem=Authority().pem).post(message, now=world.clock.at)
        other = message_to(world, f"https://other.example:{receiver.port}/")
        with pytest.raises(PostError, match="certificate not trusted"):
            Poster(lambda _host, _port: ["127.0.0.1"], authority.pem).post(other, now=world.clock.at)
    assert len(receiver.came) == 1


def _endless_head(to: BaseHTTPRequestHandler) -> None:
    to.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        to.wfile.write(b"X-More: " + b"x" * 60_000 + b"\r\n")


def _endless_line(to: BaseHTTPRequestHandler) -> None:
    while True:
        to.wfile.write(b"HTTP/1.1 200 " + b"x" * 65_536)


def _endless_continue(to: BaseHTTPRequestHandler) -> None:
    while True:
        to.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _dribble(to: BaseHTTPRequestHandler) -> None:
    for one in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        to.wfile.write(bytes([one]))
        time.sleep(0.02)


@pytest.mark.parametrize("answer", [_endless_head, _endless_line, _endless_continue, _dribble])
def test_an_answer_without_an_end_ends(world: World, answer: alerts.Answer) -> None:
    with alerts.receiver() as receiver:
        receiver.answers = [answer]
        with pytest.raises(PostError):
            Poster(whole_s=0.5).post(message_to(world, receiver.address), now=world.clock.at)


def test_an_endless_body_is_not_waited_for(world: World) -> None:
    def endless(to: BaseHTTPRequestHandler) -> None:
        to.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            to.wfile.write(b"x" * 65_536)

    with alerts.receiver() as receiver:
        receiver.answers = [endless]
        assert Poster().post(message_to(world, receiver.address), now=world.clock.at) == 200


def test_a_schools_webhook_hears_of_that_school_only_and_one_that_rests_of_nothing(world: World) -> None:
    with alerts.receiver() as receiver:
        made = hook(world, receiver.address, school_id=world.ids["school"])
        world.finds("A1", "A2", kind="silent")
        assert world.plans().messages == 2
        with world.app.app_context(), transaction():
            webhooks.switch(made.webhook.id, is_on=False, by=BY, now=world.clock.at)
        assert world.posts() == 0
        world.finds("A3")
        assert world.plans().messages == 0
        with world.app.app_context(), transaction():
            webhooks.switch(made.webhook.id, is_on=True, by=BY, now=world.clock.at)
        assert world.posts() == 2


def test_a_test_message_and_a_new_secret(world: World) -> None:
    with alerts.receiver() as receiver:
        made = hook(world, receiver.address)
        with world.app.app_context(), transaction():
            again = webhooks.renew_secret(made.webhook.id, vault_key=world.vault, by=BY, now=world.clock.at)
            assert again.secret != made.secret
            hook_messages.test(made.webhook.id, by=BY, now=world.clock.at)
        world.posts()
        assert json.loads(receiver.came[0].body)["data"] == {"name": "Brukerstøtte"}
        with world.app.app_context(), transaction():
            webhooks.remove(made.webhook.id, by=BY, now=world.clock.at)
            with pytest.raises(FleetError):
                hook_messages.test(made.webhook.id, by=BY, now=world.clock.at)
