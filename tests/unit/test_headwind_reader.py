"""The strict reader of our answers to Android's agent: it finds what the agent would forgive or break at."""

import json
from typing import Any

import pytest

from tests import headwind_reader as reader


def configuration(**other: Any) -> dict[str, Any]:
    """Return the least that a configuration may say."""
    return {
        "pushOptions": "polling",
        "password": "0" * 32,
        "appPermissions": "denylocation",
        "applications": [],
        "files": [],
        "applicationSettings": [],
        "actions": [],
        **other,
    }


def answer(data: Any, *, separators: tuple[str, str] = (",", ":")) -> bytes:
    """Return the bytes of a good answer."""
    return json.dumps({"status": "OK", "message": None, "data": data}, separators=separators).encode()


def test_a_good_configuration_is_read() -> None:
    body = answer(configuration())
    assert reader.read_configuration(body, {"x-response-signature": reader.signature(body)}) == configuration()


def test_a_signature_is_over_the_bytes_without_whitespace() -> None:
    body = b'{"status":"OK","message":null,"data":{"a": "b c"}}'
    assert reader.signature(body) == reader.signature(answer({"a": "bc"}))


@pytest.mark.parametrize(
    "body",
    [
        answer(configuration()) + b"\n",
        json.dumps({"data": configuration(), "message": None, "status": "OK"}, separators=(",", ":")).encode(),
        json.dumps({"status": "ERROR", "message": "x", "data": None}, separators=(",", ":")).encode(),
        answer(None),
        answer([]),
    ],
)
def test_an_answer_of_another_form_is_a_fault(body: bytes) -> None:
    headers = {"X-Response-Signature": reader.signature(body)}
    with pytest.raises(AssertionError):
        reader.read_configuration(body, headers)


def test_a_wrong_signature_is_a_fault() -> None:
    with pytest.raises(AssertionError, match="Signature"):
        reader.read_configuration(answer(configuration()), {"X-Response-Signature": "0" * 40})


_APP = {"name": "GeoGebra", "pkg": "org.geogebra", "version": "0"}
_LOCK = {"packageId": reader.AGENT, "name": "locked_packages", "type": 1, "value": "org.geogebra", "lastUpdate": 0}


@pytest.mark.parametrize(
    ("other", "place"),
    [
        ({"colour": "#000000"}, "unknown"),
        ({"appPermissions": None}, "appPermissions"),
        ({"password": None}, "password"),
        ({"files": None}, "files"),
        ({"volume": "80"}, "volume"),
        ({"volume": 80.0}, "volume"),
        ({"volume": True}, "volume"),
        ({"usbStorage": 1}, "usbStorage"),
        ({"restrictions": ["no_camera"]}, "restrictions"),
        ({"restrictions": "no_camera, no_sms"}, "restrictions"),
        ({"systemUpdateType": 2}, "systemUpdateFrom"),
        ({"appUpdateFrom": "8:00", "appUpdateTo": "09:00"}, "appUpdateFrom"),
        ({"backgroundColor": "red"}, "backgroundColor"),
        ({"timeZone": "Oslo"}, "timeZone"),
        ({"kioskMode": True}, "kioskMode"),
        ({"showWifi": True}, "showWifi"),
        ({"lock": True}, "lockMessage"),
        ({"applications": [{**_APP, "version": None}]}, "version"),
        ({"applications": [{**_APP, "pkg": None}]}, "pkg"),
        ({"applications": [_APP, _APP]}, "twice"),
        ({"applications": [{**_APP, "url": "https://a/b"}], "applicationSettings": [_LOCK]}, "hidden"),
        ({"applicationSettings": [{**_LOCK, "value": None}]}, "value"),
        ({"applicationSettings": [{**_LOCK, "value": "a.b, c.d"}]}, "value"),
        ({"applicationSettings": [_LOCK, {**_LOCK, "name": "unlocked_packages"}]}, "at once"),
        ({"applicationSettings": [{**_LOCK, "value": reader.AGENT}]}, "agent"),
        ({"applicationSettings": [{**_LOCK, "readonly": True}]}, "unknown"),
    ],
)
def test_a_configuration_that_the_agent_would_break_at_is_a_fault(other: dict[str, Any], place: str) -> None:
    with pytest.raises(AssertionError, match=place):
        reader.check_configuration(configuration(**other))


def test_messages_hold_their_payload_as_text() -> None:
    assert reader.read_messages(answer([{"messageType": "configUpdated", "payload": None}])) == [
        {"messageType": "configUpdated", "payload": None}
    ]
    assert reader.read_messages(answer([{"messageType": "runApp", "payload": '{"pkg":"a.b"}'}])) == [
        {"messageType": "runApp", "payload": {"pkg": "a.b"}}
    ]
    with pytest.raises(AssertionError, match="payload"):
        reader.read_messages(answer([{"messageType": "runApp", "payload": {"pkg": "a.b"}}]))


def test_log_rules_and_other_answers_are_read() -> None:
    rule = {"packageId": reader.AGENT, "logLevel": 5, "filter": "flow"}
    assert reader.read_log_rules(answer([rule])) == [rule]
    reader.read_done(answer(None))
    refused = b'{"status":"ERROR","message":"error.duplicate.device","data":null}'
    assert reader.read_refusal(refused) == "error.duplicate.device"
    with pytest.raises(AssertionError, match="without restrictions"):
        reader.read_refusal(b'{"status":"ERROR","message":"error.notfound.device","data":null}')
