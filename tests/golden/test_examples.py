"""The examples of the specification, replayed against our own parts and against libraries that others wrote."""

import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.signer._key import SSlibKey

from agent_protocol import envelopes, signing
from agent_protocol.envelopes import TrustedRoot
from agent_protocol.errors import STATUS, TYPE_PREFIX, Code, MalformedError, ProtocolError
from agent_protocol.messages import (
    CONFIG_TYPE,
    MAX_BODY_BYTES,
    ROOT_TYPE,
    ConfigAnswer,
    ConfigDocument,
    EnrolmentAnswer,
    EnrolmentRequest,
    Envelope,
    NonceAnswer,
    OrderResult,
    Problem,
    Report,
    ReportAnswer,
    RootDocument,
    decode,
    encode,
)
from tests.conftest import NOW
from tests.golden import examples
from tests.golden.examples import Example
from tests.golden.readme import refreshed
from tests.golden.story import STORY
from tests.golden.world import ASSIGNMENT_KEY, ROOT_KEYS
from tests.unit.protocol import oracle
from tests.unit.protocol.keys import key

EXAMPLES = examples.load()
README = Path(__file__).parents[2] / "agent_protocol" / "README.md"
SIGNED = [one for one in EXAMPLES if one.key is not None]
NOT_EXAMPLES = {Code.INTERNAL}  # a fault cannot be asked for


def named(name: str) -> Example:
    return next(one for one in EXAMPLES if one.name == name)


def by_name(example: Example) -> str:
    return example.name


def headers_of(example: Example) -> dict[str, str]:
    return {name.lower(): value for name, value in example.request.headers.items()}


def test_the_examples_are_those_of_the_story() -> None:
    assert [one.name for one in EXAMPLES] == [step.name for step in STORY]


def test_every_refusal_and_every_endpoint_has_an_example() -> None:
    told = {Code(json.loads(one.body)["type"].removeprefix(TYPE_PREFIX)) for one in EXAMPLES if one.status >= 400}
    assert told == set(Code) - NOT_EXAMPLES
    paths = {re.sub(r"[0-9a-f]{32,}", "…", one.path) for one in EXAMPLES if one.status < 400}
    assert paths == {
        "/agent/v1/nonce",
        "/agent/v1/enrolments",
        "/agent/v1/config",
        "/agent/v1/profiles/…",
        "/agent/v1/reports",
        "/agent/v1/orders/…/result",
    }


@pytest.mark.parametrize("example", SIGNED, ids=by_name)
def test_the_requests_signature_is_what_it_is_said_to_be(example: Example) -> None:
    assert example.key is not None
    assert oracle.ours(oracle.Asked.of(example), key(example.key)) == example.is_verifiable
    assert oracle.theirs(oracle.Asked.of(example), key(example.key)) == example.is_verifiable


@pytest.mark.parametrize("example", [one for one in SIGNED if one.is_verifiable], ids=by_name)
def test_the_verifier_accepts_at_the_recorded_time_and_names_a_wrong_clock(example: Example) -> None:
    assert example.key is not None
    request = signing.parse_request(headers_of(example), has_body=example.request.body is not None)

    def verify(now: float) -> None:
        signing.verify_request(
            request, key(example.key or 0).public_key(),
            method=example.request.method, authority=examples.AUTHORITY, path=example.path, query=example.query,
            body=example.request.body, now=now,
        )  # fmt: skip

    if example.name != "clock-skew":
        verify(example.at)
    for away in (-4000, 4000):
        with pytest.raises(ProtocolError) as refusal:
            verify(request.created + away)
        assert refusal.value.code is Code.CLOCK_SKEW


REQUESTS: dict[str, Any] = {"enrolments": EnrolmentRequest, "reports": Report, "result": OrderResult}
ANSWERS: dict[str, Any] = {
    "nonce": NonceAnswer, "enrolments": EnrolmentAnswer, "reports": ReportAnswer, "config": ConfigAnswer,
}  # fmt: skip
NO_MESSAGES = {"malformed", "too-large", "method-not-allowed"}


@pytest.mark.parametrize("example", EXAMPLES, ids=by_name)
def test_every_message_reads_and_writes_the_same(example: Example) -> None:
    what = example.path.rpartition("/")[2]
    if example.request.body is not None and example.name not in NO_MESSAGES:
        assert encode(decode(REQUESTS[what], example.request.body)) == example.request.body
    if example.status >= 400:
        problem = decode(Problem, example.body)
        code = Code(problem.type.removeprefix(TYPE_PREFIX))
        assert (example.status, problem.status) == (STATUS[code], STATUS[code])
        assert encode(problem) == example.body
        assert example.headers["content-type"] == "application/problem+json"
    elif what in ANSWERS and example.body:
        assert encode(decode(ANSWERS[what], example.body)) == example.body


@pytest.mark.parametrize("name", sorted(NO_MESSAGES - {"method-not-allowed"}))
def test_what_is_no_message_is_refused(name: str) -> None:
    with pytest.raises(MalformedError):
        decode(OrderResult, named(name).request.body or b"")
    assert (len(named(name).request.body or b"") > MAX_BODY_BYTES) == (name == "too-large")


def envelopes_of_examples() -> list[tuple[str, Envelope, str, tuple[int, ...], int]]:
    """Return every envelope with its type, the keys that signed it and how many must."""
    roots = [(one.name, decode(EnrolmentAnswer, one.body).root) for one in EXAMPLES if one.status in {200, 201} and one.path.endswith("/enrolments")]  # fmt: skip
    configs = [(one.name, decode(Envelope, one.body)) for one in EXAMPLES if one.status == 200 and one.path.endswith("/config")]  # fmt: skip
    return [
        *((name, envelope, ROOT_TYPE, ROOT_KEYS, 2) for name, envelope in roots),
        *((name, envelope, CONFIG_TYPE, (ASSIGNMENT_KEY,), 1) for name, envelope in configs),
    ]


@pytest.mark.parametrize(
    ("envelope", "kind", "numbers", "threshold"),
    [one[1:] for one in envelopes_of_examples()],
    ids=[one[0] for one in envelopes_of_examples()],
)
def test_every_envelope_verifies_here_and_elsewhere(
    envelope: Envelope, kind: str, numbers: tuple[int, ...], threshold: int
) -> None:
    public = {signing.thumbprint(key(number).public_key()): key(number).public_key() for number in numbers}
    payload = envelopes.verify(envelope, kind, public, threshold)
    other = OtherEnvelope.from_dict(json.loads(encode(envelope)))
    found = other.verify([SSlibKey.from_crypto(one, keyid=name) for name, one in public.items()], len(public))
    assert set(found) == set(public)
    assert other.payload == payload
    document: Any = RootDocument if kind == ROOT_TYPE else ConfigDocument
    assert encode(decode(document, payload)) == payload


def test_a_tablet_follows_the_examples_from_the_root_it_pinned() -> None:
    taken_in = decode(EnrolmentAnswer, named("enrol").body)
    root = TrustedRoot.pin(taken_in.root, now=NOW)
    newest = None
    for name in ("config", "config-with-lesson", "config-held"):
        newest = root.accept_config(
            decode(Envelope, named(name).body),
            device_id=taken_in.device_id,
            key_thumbprint=signing.thumbprint(key(1).public_key()),
            newest=newest,
        )
    assert newest is not None
    lesson = newest.schedule[1]
    assert (lesson.from_, lesson.until) == (NOW + timedelta(minutes=15), NOW + timedelta(minutes=60))
    assert [order.kind for order in newest.orders] == ["message", "open-url"]


def test_bodies_that_come_along_are_those_that_the_configuration_names() -> None:
    answer = decode(ConfigAnswer, named("config-with-lesson").body)
    document = decode(ConfigDocument, envelopes.payload_of(answer))
    lengths = {entry.profile: entry.length for entry in document.schedule}
    assert answer.profiles
    for digest, text in answer.profiles.items():
        assert hashlib.sha256(text.encode()).hexdigest() == digest
        assert lengths[digest] == len(text.encode())


def test_a_poll_that_was_held_says_so_and_comes_again_soon() -> None:
    for name in ("config-held", "config-held-unchanged"):
        told = named(name).headers
        assert re.fullmatch(r"wait=\d+", told["preference-applied"])
        assert told["cache-control"] == "private, max-age=1"
    assert named("config-held-unchanged").headers["etag"] == named("config-held").headers["etag"]


# -- the specification itself --------------------------------------------------------------------------------------------


def json_of_examples() -> list[Any]:
    """Return every JSON text of the examples, and what their envelopes say."""
    texts = [text for one in EXAMPLES for text in (one.request.body, one.body) if text and len(text) < 100_000]
    texts += [envelopes.payload_of(envelope) for _, envelope, *_ in envelopes_of_examples()]
    texts += [envelopes.payload_of(decode(EnrolmentAnswer, named("enrol").body).root)]
    return [json.loads(text) for text in texts if b"{" in text]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", blocks("json"))
def test_every_json_of_the_specification_was_recorded(block: str) -> None:
    assert json.loads(block) in json_of_examples()


@pytest.mark.parametrize("block", blocks("http"))
def test_every_head_of_the_specification_was_recorded(block: str) -> None:
    first, *rest = block.strip().splitlines()
    told = dict(line.split(": ", 1) for line in rest if line)
    method, target, _ = first.split(" ")
    found = [one.request for one in EXAMPLES if (one.request.method, one.request.target) == (method, target)]
    assert told in [request.headers for request in found]


def test_the_specification_shows_the_examples_as_they_are() -> None:
    text = README.read_text(encoding="utf-8")
    assert refreshed(text, EXAMPLES) == text


def test_the_specification_shows_enough_to_be_worth_testing() -> None:
    assert len(blocks("json")) >= 8
    assert len(blocks("http")) >= 2


def test_the_specification_names_every_refusal_with_its_status() -> None:
    text = README.read_text(encoding="utf-8")
    for code, status in STATUS.items():
        assert f"| `{code.value}` | {status} |" in text, code


@pytest.mark.parametrize(
    "kind",
    [NonceAnswer, EnrolmentRequest, EnrolmentAnswer, Report, ReportAnswer, OrderResult, Problem, ConfigAnswer, RootDocument, ConfigDocument],
)  # fmt: skip
def test_the_specification_names_every_field(kind: Any) -> None:
    text = README.read_text(encoding="utf-8")
    missing = [name for name in kind.__struct_encode_fields__ if f"`{name}`" not in text]
    assert missing == []
