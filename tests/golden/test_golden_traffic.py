"""What an agent of version 1.0 sent, sent again to today's server, byte for byte, on both databases.

Names and numbers that are the server's own choice may differ: they are put in place of the recorded ones before answers
are compared. Everything else must be as it was; a difference is a break of version 1.
"""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_protocol import envelopes, signing
from agent_protocol.messages import CONFIG_TYPE, MAX_BODY_BYTES, decode
from agent_protocol.messages import Envelope as WireEnvelope
from agent_protocol.transport import Response
from tests.golden import examples
from tests.golden.examples import Example
from tests.golden.record import record
from tests.golden.story import STORY
from tests.golden.world import ASSIGNMENT_KEY, World, pinned
from tests.unit.protocol.keys import key

_WAITS = {"next_poll_s", "next_report_s"}
_CHOSEN = {"device_id", "version", "config"}  # the tablet's name, and how versions are counted
ASSIGNMENT = {signing.thumbprint(key(ASSIGNMENT_KEY).public_key()): key(ASSIGNMENT_KEY).public_key()}


def said(body: bytes) -> Any:
    """Return what an answer says: envelopes opened, waits and what the server chose left out."""
    if not body:
        return None
    return _plain(json.loads(body))


def _plain(told: Any) -> Any:
    if isinstance(told, dict) and "payloadType" in told:
        signers = [one["keyid"] for one in told["signatures"]]
        return {
            "type": told["payloadType"],
            "by": signers,
            "says": _plain(json.loads(base64.b64decode(told["payload"]))),
        }
    if isinstance(told, dict):
        return {name: _plain(value) for name, value in told.items() if name not in _WAITS | _CHOSEN}
    return [_plain(value) for value in told] if isinstance(told, list) else told


def headers(answer: Response | Example) -> dict[str, str]:
    """Return an answer's headers, waits and what the server chose made alike."""
    # The retry is looked at where it is sent; a body may have become longer by what an agent of 1.0 does not know.
    left_out = {"etag", "x-request-id", "retry-after", "content-length"}
    told = {name: re.sub(r"(max-age|wait)=\d+$", r"\1=…", text) for name, text in answer.headers.items()}
    return {name: text for name, text in told.items() if name not in left_out}


def send(
    world: World,
    example: Example,
    etags: dict[str, str],
    *,
    meanwhile: Callable[[World], object] | None = None,
) -> Response:
    """Send a recorded request; ETags, which no signature covers, are today's server's own."""
    asked = dict(example.request.headers)
    if "If-None-Match" in asked:
        asked["If-None-Match"] = etags[asked["If-None-Match"]]
    return world.send(replace(example.request, headers=asked), meanwhile)


@pytest.fixture(scope="module")
def recorded() -> dict[str, Example]:
    return {example.name: example for example in examples.load()}


def test_the_traffic_of_agent_1_0_is_answered_as_it_was(
    fresh_url: str, tmp_path: Path, recorded: dict[str, Example]
) -> None:
    etags: dict[str, str] = {}
    with pinned(fresh_url, tmp_path / "data") as world:
        for step in STORY:
            example = recorded[step.name]
            step.before(world)
            answer = send(world, example, etags, meanwhile=step.meanwhile)
            told = f"{step.name}: {answer.status} {answer.body[:300]!r}"
            assert answer.status == example.status, told
            assert said(answer.body) == said(example.body), told
            assert headers(answer) == headers(example), told
            if "etag" in example.headers:
                etags[example.headers["etag"]] = answer.headers["etag"]
            if answer.status == 200 and example.path.endswith("/config"):
                envelopes.verify(decode(WireEnvelope, answer.body), CONFIG_TYPE, ASSIGNMENT, 1)
            if answer.status == 503:
                assert 1 <= int(answer.headers["retry-after"]) <= 600


def test_the_traffic_in_a_different_order_of_refusals_changes_nothing(
    fresh_url: str, tmp_path: Path, recorded: dict[str, Example]
) -> None:
    """What was refused leaves no trace: the tablet goes on as if it had not been sent."""
    with pinned(fresh_url, tmp_path / "data") as world:
        send(world, recorded["enrol"], {})
        for name in (
            "bad-signature",
            "unknown-key",
            "method-not-allowed",
            "too-large",
            "upgrade-required",
            "clock-skew",
        ):
            assert send(world, recorded[name], {}).status == recorded[name].status
        assert send(world, recorded["report"], {}).status == 200
        assert send(world, recorded["report"], {}).status == 409
        assert send(world, recorded["report-again"], {}).status == 200
        assert send(world, recorded["report-conflict"], {}).status == 422
    assert len(recorded["too-large"].request.body or b"") == MAX_BODY_BYTES + 1


def test_recording_again_tells_the_same_story(fresh_url: str, tmp_path: Path, recorded: dict[str, Example]) -> None:
    again = record(fresh_url, tmp_path / "data")
    assert [(one.name, one.request, one.status) for one in again] == [
        (one.name, one.request, one.status) for one in recorded.values()
    ]
