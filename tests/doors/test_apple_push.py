"""Pushes against a service that behaves as the vendor's: nothing is lost, nothing is sent twice, nothing is told on."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from fleet.channels.apple.push import (
    Address,
    Dead,
    Misconfigured,
    Outcome,
    Pusher,
    Reason,
    Sent,
    Timing,
    TryLater,
    backoff_s,
)
from tests import apns
from tests.apns import TOPIC, Reply

pytestmark = pytest.mark.serves
NOW = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)
QUICK = Timing(connect_s=5, answer_s=20, ping_s=0.3, backoff_s=0.05, backoff_at_most_s=0.2)
TOKENS = [bytes([number // 256, number % 256]) * 16 for number in range(200)]
ONE = TOKENS[0]


@pytest.fixture
def service() -> Iterator[apns.Service]:
    with apns.running() as running:
        yield running


def address(token: bytes = ONE, topic: str = TOPIC) -> Address:
    return Address(topic, token, f"magic-{token.hex()}")


def with_pusher(service: apns.Service, use: Callable[[Pusher], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
    """Run ``use`` with a pusher in a loop of its own, and close it."""
    told: dict[str, Any] = {
        "base_url": service.base_url,
        "trusted_pem": service.authority.pem,
        "timing": QUICK,
    } | settings

    async def run() -> Any:
        pusher = Pusher(told.pop("certificate", None) or service.authority.push_certificate(), **told)
        try:
            return await use(pusher)
        finally:
            await pusher.close()

    return asyncio.run(run())


def push(pusher: Pusher, token: bytes = ONE, **told: Any) -> Coroutine[Any, Any, Outcome]:
    return pusher.push(address(token), **{"token_at": NOW - timedelta(days=1), "now": NOW} | told)


async def push_all(pusher: Pusher, tokens: list[bytes]) -> dict[bytes, Outcome]:
    outcomes = await asyncio.gather(*(push(pusher, token) for token in tokens))
    return dict(zip(tokens, outcomes, strict=True))


async def push_until_sent(pusher: Pusher, tokens: list[bytes]) -> list[dict[bytes, Outcome]]:
    """Push, and push again what was not sent, for as long as it takes; return the outcomes of each round."""
    rounds, wanted = [], tokens
    while wanted:
        rounds.append(await push_all(pusher, wanted))
        wanted = [token for token, one in rounds[-1].items() if not isinstance(one, Sent)]
        await asyncio.sleep(0.3 if wanted else 0)
    return rounds


def only_lost_answers_were_doubled(service: apns.Service, rounds: list[dict[bytes, Outcome]]) -> None:
    times = Counter(service.tokens())
    lost = Counter(
        token.hex()
        for told in rounds
        for token, one in told.items()
        if isinstance(one, TryLater) and one.reason is Reason.ANSWER_LOST
    )
    assert set(times) == {token.hex() for token in TOKENS}
    assert [token for token, count in times.items() if count > 1 + lost[token]] == []


def push_one(service: apns.Service, *replies: Reply, **settings: Any) -> Outcome:
    service.script(ONE, *replies)
    outcome: Outcome = with_pusher(service, push, **settings)
    return outcome


def kinds(outcomes: dict[bytes, Outcome]) -> Counter[str]:
    return Counter(
        f"{type(one).__name__}:{one.reason}" if isinstance(one, TryLater | Misconfigured) else type(one).__name__
        for one in outcomes.values()
    )


# --- what is sent


def test_a_push_is_the_request_the_vendor_describes(service: apns.Service) -> None:
    assert isinstance(push_one(service), Sent)
    (request,) = service.requests
    assert request.path == "/3/device/" + ONE.hex()
    assert request.body == b'{"mdm":"magic-' + ONE.hex().encode() + b'"}'
    assert request.headers == {
        ":method": "POST",
        ":scheme": "https",
        ":authority": f"127.0.0.1:{service.port}",
        ":path": request.path,
        "apns-topic": TOPIC,
        "apns-push-type": "mdm",
        "apns-expiration": str(int((NOW + timedelta(days=7)).timestamp())),
        "content-length": str(len(request.body)),
    }


def test_two_hundred_tablets_are_pushed_over_one_connection_within_the_services_limit(service: apns.Service) -> None:
    service.limit, service.settle = 50, Reply(delay_s=0.01)
    outcomes = with_pusher(service, lambda pusher: push_all(pusher, TOKENS))
    assert kinds(outcomes) == {"Sent": 200}
    assert sorted(service.tokens()) == sorted(token.hex() for token in TOKENS)
    assert service.connections == 1
    assert 25 < service.most_at_once <= 50


def test_no_more_pushes_are_under_way_than_was_said(service: apns.Service) -> None:
    service.settle = Reply(delay_s=0.01)
    outcomes = with_pusher(service, lambda pusher: push_all(pusher, TOKENS[:40]), at_once=7)
    assert kinds(outcomes) == {"Sent": 40}
    assert 1 < service.most_at_once <= 7


# --- connections that end


@pytest.mark.parametrize("times", [1, 3])
def test_a_goaway_among_two_hundred_pushes_loses_none_and_doubles_none(service: apns.Service, times: int) -> None:
    service.goaway_after, service.goaways, service.settle = 30, times, Reply(delay_s=0.05)
    outcomes = with_pusher(service, lambda pusher: push_all(pusher, TOKENS))
    assert kinds(outcomes) == {"Sent": 200}
    assert sorted(service.tokens()) == sorted(token.hex() for token in TOKENS)
    assert service.ignored > 0
    assert service.connections == 1 + times


def test_after_a_goaway_in_a_quiet_moment_the_next_push_takes_a_new_connection(service: apns.Service) -> None:
    async def use(pusher: Pusher) -> None:
        assert isinstance(await push(pusher), Sent)
        service.hang_up()
        await asyncio.sleep(0.2)
        assert isinstance(await push(pusher, TOKENS[1]), Sent)

    with_pusher(service, use)
    assert [request.connection for request in service.requests] == [1, 2]


def test_a_connection_that_breaks_in_the_middle_loses_no_push(service: apns.Service) -> None:
    service.settle = Reply(delay_s=0.02)
    service.script(TOKENS[90], Reply(instead="drop"))
    rounds = with_pusher(service, lambda pusher: push_until_sent(pusher, TOKENS))
    assert kinds(rounds[0])[f"TryLater:{Reason.ANSWER_LOST}"] > 0
    only_lost_answers_were_doubled(service, rounds)


def test_a_push_the_service_refused_to_take_goes_again_at_once(service: apns.Service) -> None:
    assert isinstance(push_one(service, Reply(instead="refuse"), Reply(instead="refuse")), Sent)
    assert len(service.requests) == 1


def test_a_push_that_is_never_taken_is_for_later(service: apns.Service) -> None:
    outcome = push_one(service, *[Reply(instead="refuse")] * 9)
    assert isinstance(outcome, TryLater)
    assert outcome.reason is Reason.NOT_TAKEN
    assert service.requests == []


@pytest.mark.parametrize("instead", ["reset", "drop", "silent"])
def test_a_push_without_an_answer_is_for_later_and_the_next_one_gets_through(
    service: apns.Service, instead: str
) -> None:
    service.script(ONE, Reply(instead=instead))

    async def use(pusher: Pusher) -> list[Outcome]:
        assert isinstance(await push(pusher, TOKENS[1]), Sent)
        return [await push(pusher), await push(pusher)]

    lost, again = with_pusher(service, use, timing=Timing(answer_s=0.4, backoff_s=0.05))
    assert isinstance(lost, TryLater)
    assert lost.reason is Reason.ANSWER_LOST
    assert isinstance(again, Sent)
    assert service.tokens() == [TOKENS[1].hex(), ONE.hex(), ONE.hex()]
    # Who does not answer perhaps never will: the next push takes another connection. A reset is one stream's matter.
    assert [request.connection for request in service.requests] == [1, 1, 1 if instead == "reset" else 2]


def test_a_push_that_finds_no_room_in_time_was_not_sent(service: apns.Service) -> None:
    service.limit = 0

    async def use(pusher: Pusher) -> Outcome:
        assert isinstance(await push(pusher, TOKENS[1]), Sent)
        await asyncio.sleep(0.1)  # until it has heard that no further request is allowed
        return await push(pusher)

    outcome = with_pusher(service, use, timing=Timing(answer_s=0.2))
    assert isinstance(outcome, TryLater)
    assert outcome.reason is Reason.BUSY
    assert service.tokens() == [TOKENS[1].hex()]


def test_who_gives_up_waiting_leaves_room_for_others(service: apns.Service) -> None:
    service.limit = 1
    service.script(ONE, Reply(instead="silent"))

    async def use(pusher: Pusher) -> Outcome:
        await push(pusher, TOKENS[2])
        waiting = asyncio.ensure_future(push(pusher))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return await push(pusher, TOKENS[1])

    assert isinstance(with_pusher(service, use), Sent)
    assert service.connections == 1


def test_whoever_waits_for_a_connection_may_give_up(service: apns.Service) -> None:
    service.greets = False

    async def use(pusher: Pusher) -> Outcome:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await push(pusher)
        service.greets = True
        return await push(pusher)

    assert isinstance(with_pusher(service, use), Sent)


def test_a_connection_that_has_carried_all_it_can_is_followed_by_another(service: apns.Service) -> None:
    async def use(pusher: Pusher) -> list[Outcome]:
        first = await push(pusher)
        assert pusher._connection is not None
        pusher._connection._h2.highest_outbound_stream_id = 2**31 - 1
        return [first, await push(pusher, TOKENS[1])]

    assert [type(one) for one in with_pusher(service, use)] == [Sent, Sent]
    assert [request.connection for request in service.requests] == [1, 2]


def test_closing_tells_those_who_wait(service: apns.Service) -> None:
    service.script(ONE, Reply(instead="silent"))

    async def use(pusher: Pusher) -> Outcome:
        waiting = asyncio.ensure_future(push(pusher))
        await asyncio.sleep(0.2)
        await pusher.close()
        return await waiting

    outcome = with_pusher(service, use)
    assert isinstance(outcome, TryLater)
    assert outcome.reason is Reason.ANSWER_LOST


def test_an_idle_connection_is_tried_before_it_is_used(service: apns.Service) -> None:
    async def use(pusher: Pusher) -> None:
        for token in TOKENS[:3]:
            assert isinstance(await push(pusher, token), Sent)
        assert service.connections == 1
        service.deaf = 1  # a firewall forgot the connection
        assert isinstance(await push(pusher, TOKENS[3]), Sent)
        await asyncio.sleep(0.3)
        assert [peer.number for peer in service._open] == [2]

    with_pusher(service, use, timing=Timing(ping_s=0.3, ping_after_s=0.0))
    assert len(service.requests) == 4


# --- the service is not there


def test_an_outage_loses_no_push_and_is_not_run_at(service: apns.Service) -> None:
    async def use(pusher: Pusher) -> tuple[dict[bytes, Outcome], dict[bytes, Outcome]]:
        service.down()
        first = await push_all(pusher, TOKENS)
        service.up()
        await asyncio.sleep(max(one.after_s for one in first.values() if isinstance(one, TryLater)))
        second = await push_all(pusher, TOKENS)
        service.down()
        await asyncio.sleep(0.1)
        assert isinstance(await push(pusher), TryLater)
        return first, second

    with capture_logs() as lines:
        first, second = with_pusher(service, use, timing=Timing(backoff_s=0.5))
    assert kinds(first) == {f"TryLater:{Reason.UNREACHABLE}": 200}
    assert (
        len({one.after_s for one in first.values() if isinstance(one, TryLater)}) > 100
    )  # they do not return together
    assert [line["failures"] for line in lines if line["event"] == "push service not reached"] == [1, 1]
    assert kinds(second) == {"Sent": 200}
    assert len(service.requests) == 200


def test_an_outage_in_the_middle_loses_no_push(service: apns.Service) -> None:
    service.settle = Reply(delay_s=0.1)

    async def use(pusher: Pusher) -> list[dict[bytes, Outcome]]:
        under_way = asyncio.ensure_future(push_until_sent(pusher, TOKENS))
        await asyncio.sleep(0.15)
        service.down()
        await asyncio.sleep(0.3)
        service.up()
        return await under_way

    rounds = with_pusher(service, use, at_once=60)
    assert set(kinds(rounds[0])) >= {f"TryLater:{Reason.UNREACHABLE}", f"TryLater:{Reason.ANSWER_LOST}"}
    only_lost_answers_were_doubled(service, rounds)


def test_a_service_that_accepts_and_says_nothing_is_not_reached(service: apns.Service) -> None:
    service.greets = False
    outcome = push_one(service, timing=Timing(connect_s=0.3))
    assert isinstance(outcome, TryLater)
    assert outcome.reason is Reason.UNREACHABLE


def test_a_server_that_speaks_no_http2_is_not_reached(service: apns.Service) -> None:
    service._context.set_alpn_protocols(["http/1.1"])
    outcome = push_one(service)
    assert isinstance(outcome, TryLater)
    assert outcome.reason is Reason.UNREACHABLE


def test_a_service_that_hangs_up_on_everyone_is_left_alone_for_a_while(service: apns.Service) -> None:
    service.settle = Reply(instead="drop")
    outcomes = with_pusher(service, lambda pusher: push_all(pusher, TOKENS), timing=Timing(backoff_s=30))
    assert (
        sum(kinds(outcomes).values())
        == kinds(outcomes)[f"TryLater:{Reason.ANSWER_LOST}"] + kinds(outcomes)[f"TryLater:{Reason.UNREACHABLE}"]
    )
    assert service.connections <= 2


# --- answers


@pytest.mark.parametrize(
    ("token_at", "expected"),
    [
        (NOW - timedelta(days=2), Dead(NOW - timedelta(days=1))),
        (NOW - timedelta(days=1), Dead(NOW - timedelta(days=1))),
        (NOW, None),
    ],
)
def test_an_address_is_dead_unless_it_is_newer_than_the_report(
    service: apns.Service, token_at: datetime, expected: Dead | None
) -> None:
    died_at = NOW - timedelta(days=1)
    service.script(ONE, Reply(410, "Unregistered", timestamp=int(died_at.timestamp() * 1000)))
    outcome = with_pusher(service, lambda pusher: push(pusher, token_at=token_at))
    if expected is None:
        assert isinstance(outcome, TryLater)
        assert outcome.reason is Reason.TOKEN_NEWER
    else:
        assert outcome == expected


@pytest.mark.parametrize("timestamp", [None, 10**30])
def test_an_address_that_died_at_no_known_time_died_now(service: apns.Service, timestamp: int | None) -> None:
    assert push_one(service, Reply(410, "Unregistered", timestamp=timestamp)) == Dead(NOW)


@pytest.mark.parametrize(
    ("reply", "reason", "at_least_s"),
    [
        (Reply(429, "TooManyRequests"), Reason.TOO_MANY, 0.02),
        (Reply(429, "TooManyRequests", retry_after="90"), Reason.TOO_MANY, 90),
        (Reply(503, "ServiceUnavailable", retry_after="Mon, 14 Sep 2026 08:20:00 GMT"), Reason.SERVICE, 300),
        (Reply(503, "Shutdown", retry_after="Mon, 14 Sep 2026 08:20:00 -0000"), Reason.SERVICE, 300),
        (Reply(503, "Shutdown", retry_after="Mon, 99999999999 Sep 2026 08:20:00 +0000"), Reason.SERVICE, 0.02),
        (Reply(503, "Shutdown", retry_after="soon"), Reason.SERVICE, 0.02),
        (Reply(503, "Shutdown", retry_after="9" * 40), Reason.SERVICE, 24 * 3600),
        (Reply(500, "InternalServerError"), Reason.SERVICE, 0.02),
        (Reply(400, "IdleTimeout"), Reason.SERVICE, 0.02),
    ],
)
def test_a_service_that_cannot_now_is_asked_later(
    service: apns.Service, reply: Reply, reason: Reason, at_least_s: float
) -> None:
    outcome = push_one(service, reply)
    assert isinstance(outcome, TryLater)
    assert outcome.reason is reason
    assert at_least_s <= outcome.after_s <= max(at_least_s, 0.2)
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(400, "BadDeviceToken"), "BadDeviceToken"),
        (Reply(400, "DeviceTokenNotForTopic"), "DeviceTokenNotForTopic"),
        (Reply(400, "BadTopic"), "BadTopic"),
        (Reply(403, "BadCertificate"), "BadCertificate"),
        (Reply(413, "PayloadTooLarge"), "PayloadTooLarge"),
        (Reply(400, "a sentence, perhaps with a token"), "status-400"),
        (Reply(418), "status-418"),
        (Reply(403, body=b"<html>"), "status-403"),
        (Reply(403, body=b"[" * 1_500), "status-403"),
        (Reply(403, body=b'["BadCertificate"]'), "status-403"),
        (Reply(403, body=b'{"reason": 5}' + b" " * 2_000), "status-403"),
    ],
)
def test_a_mistake_of_ours_is_said_once_and_kills_no_address(service: apns.Service, reply: Reply, reason: str) -> None:
    service.settle = reply
    with capture_logs() as lines:
        outcomes = with_pusher(service, lambda pusher: push_all(pusher, TOKENS[:20]))
    assert kinds(outcomes) == {f"Misconfigured:{reason}": 20}
    assert lines == [{"event": "pushes are refused", "log_level": "error", "reason": reason, "topic": TOPIC}]


def test_a_tablet_of_another_topic_is_not_pushed(service: apns.Service) -> None:
    other = address(topic=TOPIC + "-other")
    outcome = with_pusher(service, lambda pusher: pusher.push(other, token_at=NOW, now=NOW))
    assert isinstance(outcome, Misconfigured)
    assert outcome.reason == "topic"
    assert service.connections == 0


# --- trust


def test_a_service_that_nobody_vouches_for_gets_nothing(service: apns.Service) -> None:
    outcome = push_one(service, trusted_pem=apns.Authority("Another authority").pem)
    assert isinstance(outcome, Misconfigured)
    assert outcome.reason == "trust:SSLCertVerificationError:CERTIFICATE_VERIFY_FAILED"
    assert service.requests == []


@pytest.mark.parametrize(
    ("authority", "days", "reason"),
    [(None, -2, "trust:SSLError:SSLV3_ALERT_CERTIFICATE_EXPIRED"), (apns.Authority("Another authority"), 300, "trust:SSLError:TLSV1_ALERT_UNKNOWN_CA")],
)  # fmt: skip
def test_a_certificate_that_the_service_refuses_is_said(
    service: apns.Service, authority: apns.Authority | None, days: int, reason: str
) -> None:
    certificate = (authority or service.authority).push_certificate(days=days)
    with apns.refusing(service.authority) as base_url, capture_logs() as lines:
        outcome = push_one(service, base_url=base_url, certificate=certificate)
    assert isinstance(outcome, Misconfigured)
    assert outcome.reason == reason
    assert [line["reason"] for line in lines if line["log_level"] == "error"] == [reason]


def test_a_stranger_gets_no_push_through_and_loses_none(service: apns.Service) -> None:
    outcome = push_one(service, certificate=apns.Authority("Another authority").push_certificate())
    assert isinstance(outcome, TryLater)
    assert outcome.reason is Reason.UNREACHABLE
    assert service.requests == []


def test_a_plain_address_of_the_service_is_refused() -> None:
    with pytest.raises(ValueError, match="https"):
        Pusher(apns.Authority().push_certificate(), base_url="http://127.0.0.1:1")


# --- nothing is told on


def test_no_address_and_no_magic_stands_in_a_log_or_an_outcome(
    service: apns.Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = (Reply(), Reply(410), Reply(429), Reply(400, "BadTopic"), Reply(instead="drop"))
    service.script(ONE, *answers)

    async def use(pusher: Pusher) -> list[Outcome]:
        return [await push(pusher) for _ in answers]

    with capture_logs() as lines:
        outcomes = with_pusher(service, use)
    assert len(service.requests) == len(answers)
    told = repr((lines, outcomes, address(), caplog.messages))
    assert re.findall(f"{ONE.hex()}|magic-|{re.escape(repr(ONE))}", told) == []


# --- waits


@pytest.mark.parametrize(
    ("attempt", "spread", "expected"),
    [(1, 1.0, 5.0), (1, 0.0, 2.5), (2, 1.0, 10.0), (4, 0.5, 30.0), (20, 1.0, 900.0), (10**6, 0.0, 450.0)],
)
def test_waits_double_up_to_a_limit_and_are_spread(attempt: int, spread: float, expected: float) -> None:
    assert backoff_s(attempt, spread, Timing()) == expected
