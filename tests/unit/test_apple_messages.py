"""Bodies of tablets: property lists of any bytes, check-in messages, results of commands; the vendor's own schema."""

import plistlib
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.channels.apple import messages, plists
from fleet.channels.apple.message_keys import EnrolmentId, Kind, MessageError
from fleet.channels.apple.plists import PlistError

SCHEMA = Path(__file__).parents[3] / "shared" / "data" / "apple-schema"
needs_schema = pytest.mark.skipif(not SCHEMA.is_dir(), reason="the vendor's schema is not beside the project")
UDID = "00008103-001D3939AABBCCDD"
TABLET = EnrolmentId(Kind.DEVICE, UDID)
TOPIC = "com.apple.mgmt.External.1c7f"
NAMED = {"UDID": UDID}
LOCAL = datetime(2026, 9, 14, 8)  # noqa: DTZ001 - property lists know no zone
SHARED_USER = {"UserID": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "UserShortName": "elev@skole.example"}
BOTH_FORMS = pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY], ids=["xml", "binary"])


def body(keys: Mapping[str, Any], form: plistlib.PlistFormat = plistlib.FMT_XML) -> bytes:
    return plistlib.dumps(dict(keys), fmt=form)


def refusal(keys: Mapping[str, Any], *, result: bool = False) -> tuple[str, str]:
    with pytest.raises(MessageError) as caught:
        (messages.read_result if result else messages.read_check_in)(body(keys))
    return caught.value.data["key"], caught.value.data["reason"]


def refused(data: bytes) -> str:
    with pytest.raises(PlistError) as caught:
        plists.read(data)
    return str(caught.value.data["reason"])


# --- property lists


@BOTH_FORMS
def test_every_type_of_value_is_read_and_instants_are_utc(form: plistlib.PlistFormat) -> None:
    found = plists.read(
        body(
            {"t": "å", "i": -3, "r": 1.5, "y": True, "d": b"\0\1", "a": [1, {"x": "y"}], "w": LOCAL},
            form,
        )
    )
    assert found == {
        "t": "å", "i": -3, "r": 1.5, "y": True, "d": b"\0\1", "a": [1, {"x": "y"}], "w": datetime(2026, 9, 14, 8, tzinfo=UTC),
    }  # fmt: skip


def nested(depth: int, form: plistlib.PlistFormat) -> bytes:
    inner: Any = "x"
    for _ in range(depth):
        inner = [inner]
    return body({"a": inner}, form)


def binary(objects: list[bytes]) -> bytes:
    """Return a binary list of these objects, of which the first is the root; references have two bytes."""
    data, offsets = b"bplist00", []
    for one in objects:
        offsets.append(len(data))
        data += one
    table = b"".join(offset.to_bytes(4, "big") for offset in offsets)
    return data + table + struct.pack(">6xBBQQQ", 4, 2, len(objects), 0, len(data))


KEY_A = b"\x51a"
SELF_CONTAINING = binary([b"\xd1\0\1\0\2", KEY_A, b"\xa1\0\2"])
# Each list names the next one four times: sixteen objects, four to the power of twelve values.
MULTIPLYING = binary(
    [b"\xd1\0\1\0\2", KEY_A, *(b"\xa4" + (n + 1).to_bytes(2, "big") * 4 for n in range(2, 14)), b"\x51x"]
)

# Thirty times the same list of three thousand times the same value, in six kilobytes.
REPEATING = binary(
    [
        b"\xd1\0\1\0\2", KEY_A, b"\xaf\x10\x1e" + b"\0\3" * 30,
        b"\xaf\x11" + (3_000).to_bytes(2, "big") + b"\0\4" * 3_000, b"\x09",
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "syntax", id="nothing"),
        pytest.param(b"UDID=1", "syntax", id="no property list"),
        pytest.param(b"<plist><array/></plist>", "root", id="a list at the root"),
        pytest.param(b'<!DOCTYPE p [<!ENTITY a "aaaa">]><plist><dict><key>x</key><string>&a;</string></dict></plist>', "syntax", id="an entity, no declaration"),
        pytest.param(b'<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "aaaa">]><plist><dict><key>x</key><string>&a;</string></dict></plist>', "syntax", id="an entity"),
        pytest.param(b'<?xml version="1.0" encoding="unheard-of"?><plist><dict/></plist>', "syntax", id="unknown encoding"),
        pytest.param(b"<plist><dict><key>x</key><date>soon</date></dict></plist>", "syntax", id="no date"),
        pytest.param(b"<plist><dict><key>x</key><integer>" + b"9" * 5_000 + b"</integer></dict></plist>", "syntax", id="five thousand digits"),
        pytest.param(b"<plist><dict><key>x</key><integer>18446744073709551616</integer></dict></plist>", "number", id="65 bits"),
        pytest.param(b"<plist><dict><key>x</key><real>nan</real></dict></plist>", "number", id="not a number"),
        pytest.param(nested(40, plistlib.FMT_XML), "depth", id="deep, xml"),
        pytest.param(nested(40, plistlib.FMT_BINARY), "depth", id="deep, binary"),
        pytest.param(b"<plist><dict><key>x</key>" + b"<array>" * 60_000 + b"</array>" * 60_000 + b"</dict></plist>", "depth", id="very deep, xml"),
        pytest.param(b"<plist><dict><key>x</key><array>" + b"<true/>" * 200_001 + b"</array></dict></plist>", "many", id="very many"),
        pytest.param(binary([b"\xd1\0\1\0\1", b"\x10\7"]), "key", id="a number as key"),
        pytest.param(SELF_CONTAINING, "depth", id="contains itself"),
        pytest.param(MULTIPLYING, "many", id="multiplies"),
        pytest.param(REPEATING, "many", id="short, and very many"),
        pytest.param(body({"x": "a\0b"}, plistlib.FMT_BINARY), "text", id="NUL in a text"),
        pytest.param(body({"x": plistlib.UID(1)}, plistlib.FMT_BINARY), "type", id="an archive's reference"),
        pytest.param(b"<plist><dict></dict></plist>" + b" " * plists.MAX_BYTES, "size", id="too long"),
    ],
)  # fmt: skip
def test_a_bad_body_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    assert refused(data) == reason


def test_a_list_as_large_as_real_ones_is_read() -> None:
    apps = [
        {"Identifier": f"no.skole.{n}", "Name": f"App {n}", "BundleSize": n, "Installing": False} for n in range(500)
    ]
    assert plists.read(body({"InstalledApplicationList": apps}))["InstalledApplicationList"] == apps


TREES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs", "Cc"])),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.binary(),
        st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC)),  # noqa: DTZ001 - made aware at once
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcÆ", max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("xyz"), TREES, max_size=4))
def test_what_is_written_reads_back_equal(value: dict[str, Any]) -> None:
    assert plists.read(plists.write(value)) == value


def test_equal_values_are_written_as_equal_bytes_and_instants_as_utc() -> None:
    at = datetime(2026, 9, 14, 10, 15, 30, 999_999, tzinfo=timezone(timedelta(hours=2)))
    written = plists.write({"b": 1, "a": {"d": at, "c": ("x",)}})
    assert written == plists.write({"a": {"c": ["x"], "d": at}, "b": 1})
    assert b"<date>2026-09-14T08:15:30Z</date>" in written
    assert written.index(b"<key>a</key>") < written.index(b"<key>b</key>")


@pytest.mark.parametrize("value", ["a\0b", "a\x07b", "\ud800", float("inf"), 2**64, -(2**63) - 1])
def test_what_a_property_list_cannot_hold_is_not_written(value: Any) -> None:
    with pytest.raises(PlistError):
        plists.write({"x": value})


SAMPLES = [
    body({"UDID": UDID, "a": [1, 2.5, b"x", {"d": True}]}, form) for form in (plistlib.FMT_XML, plistlib.FMT_BINARY)
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a good body with some bytes changed, cut or doubled."""
    data = bytearray(draw(st.sampled_from([*SAMPLES, SELF_CONTAINING, MULTIPLYING])))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)):
        data[place % len(data)] = byte
    start, end = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
    return bytes(draw(st.sampled_from([data, data[start:], data[:end], data[:end] + data[start:]])))


@given(
    st.one_of(
        st.binary(),
        st.binary().map(lambda rest: b"bplist00" + rest),
        st.binary().map(lambda rest: b"<?xml" + rest),
        damaged(),
    )
)
@example(b"bplist00" + b"\xff" * 32)
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    for read in (messages.read_check_in, messages.read_result):
        with pytest.raises((PlistError, MessageError)):
            read(data)


# --- whose message


@pytest.mark.parametrize(
    ("keys", "expected", "text"),
    [
        (NAMED, EnrolmentId(Kind.DEVICE, UDID), UDID),
        ({**NAMED, "EnrollmentID": "E1"}, EnrolmentId(Kind.DEVICE, UDID), UDID),
        ({**NAMED, "UserID": "U1"}, EnrolmentId(Kind.USER, UDID, "U1"), f"{UDID}:U1"),
        ({**NAMED, "EnrollmentUserID": "EU1"}, EnrolmentId(Kind.USER, UDID, "EU1"), f"{UDID}:EU1"),
        (
            {**NAMED, **SHARED_USER},
            EnrolmentId(Kind.SHARED_IPAD, UDID, "elev@skole.example"),
            f"{UDID}:elev@skole.example",
        ),
        ({**NAMED, "UserID": "U1", "EnrollmentUserID": "EU1"}, EnrolmentId(Kind.USER, UDID, "U1"), f"{UDID}:U1"),
        (
            {"EnrollmentID": "E1", "UserID": "U1", "EnrollmentUserID": "EU1"},
            EnrolmentId(Kind.USER_ENROLMENT_USER, "E1", "EU1"),
            "E1:EU1",
        ),
        ({"EnrollmentID": "E1"}, EnrolmentId(Kind.USER_ENROLMENT, "E1"), "E1"),
        ({"EnrollmentID": "E1", "UDID": ""}, EnrolmentId(Kind.USER_ENROLMENT, "E1"), "E1"),
        (
            {"EnrollmentID": "E1", "EnrollmentUserID": "EU1"},
            EnrolmentId(Kind.USER_ENROLMENT_USER, "E1", "EU1"),
            "E1:EU1",
        ),
        ({"UDID": "a" * 255}, EnrolmentId(Kind.DEVICE, "a" * 255), "a" * 255),
    ],
)
def test_who_speaks_has_one_normal_form(keys: dict[str, str], expected: EnrolmentId, text: str) -> None:
    found = messages.read_result(body({**keys, "Status": "Idle"}))
    assert found == messages.Idle(expected)
    assert found.enrolment.text == text


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ("UDID", "missing")),
        ({"UDID": 5}, ("UDID", "type")),
        ({"UDID": "a" * 256}, ("UDID", "length")),
        ({"UDID": "a" * 250, "UserID": "b" * 5}, ("UDID", "length")),
        ({"UDID": f"{UDID}:U1"}, ("UDID", "value")),
        ({"EnrollmentID": "E1:U1"}, ("EnrollmentID", "value")),
        ({**NAMED, "UserID": SHARED_USER["UserID"]}, ("UserShortName", "missing")),
        ({**NAMED, **SHARED_USER, "UserShortName": b"x"}, ("UserShortName", "type")),
    ],
)
def test_who_cannot_be_told_apart_is_refused(keys: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refusal({**keys, "Status": "Idle"}, result=True) == expected


# --- check-ins

AUTHENTICATE = {"MessageType": "Authenticate", "Topic": TOPIC, **NAMED}
TOKEN_UPDATE = {"MessageType": "TokenUpdate", "Topic": TOPIC, "Token": b"\xab" * 32, "PushMagic": "magic-1", **NAMED}


@BOTH_FORMS
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (AUTHENTICATE, messages.Authenticate(TABLET, TOPIC, None, None, None, None, None, None)),
        (
            {**AUTHENTICATE, "SerialNumber": "DMPXK", "OSVersion": "18.1", "BuildVersion": "22B83", "ProductName": "iPad13,18", "IMEI": "35 1", "MEID": "35", "NeverHeardOf": [1]},
            messages.Authenticate(TABLET, TOPIC, "DMPXK", "18.1", "22B83", "iPad13,18", "35 1", "35"),
        ),
        (TOKEN_UPDATE, messages.TokenUpdate(TABLET, TOPIC, b"\xab" * 32, "magic-1", None, awaiting_configuration=False)),
        (
            {**TOKEN_UPDATE, "UnlockToken": b"u" * 2_000, "AwaitingConfiguration": True},
            messages.TokenUpdate(TABLET, TOPIC, b"\xab" * 32, "magic-1", b"u" * 2_000, awaiting_configuration=True),
        ),
        ({"MessageType": "CheckOut", "Topic": TOPIC, **NAMED}, messages.CheckOut(TABLET)),
        ({"MessageType": "CheckOut", **NAMED}, messages.CheckOut(TABLET)),
        ({"MessageType": "DeclarativeManagement", "Endpoint": "tokens", **NAMED}, messages.DeclarativeManagement(TABLET, "tokens", None)),
        ({"MessageType": "DeclarativeManagement", "Endpoint": "status", "Data": b"{}", **NAMED}, messages.DeclarativeManagement(TABLET, "status", b"{}")),
        ({"MessageType": "GetToken", "TokenServiceType": "com.apple.maid", **NAMED}, messages.GetToken(TABLET, "com.apple.maid", None, None, None)),
        (
            {"MessageType": "GetToken", "TokenServiceType": "com.apple.watch.pairing", "TokenParameters": {"SecurityToken": "s", "PhoneUDID": "p", "WatchUDID": "w"}, **NAMED},
            messages.GetToken(TABLET, "com.apple.watch.pairing", "s", "p", "w"),
        ),
        ({"MessageType": "SetBootstrapToken", "BootstrapToken": b"b", **NAMED}, messages.SetBootstrapToken(TABLET, b"b", awaiting_configuration=False)),
        ({"MessageType": "SetBootstrapToken", "BootstrapToken": b"", **NAMED}, messages.SetBootstrapToken(TABLET, None, awaiting_configuration=False)),
        ({"MessageType": "SetBootstrapToken", **NAMED}, messages.SetBootstrapToken(TABLET, None, awaiting_configuration=False)),
        ({"MessageType": "GetBootstrapToken", "AwaitingConfiguration": True, **NAMED}, messages.GetBootstrapToken(TABLET, awaiting_configuration=True)),
        ({"MessageType": "UserAuthenticate", "UserID": "U1", **NAMED}, messages.UserAuthenticate(EnrolmentId(Kind.USER, UDID, "U1"), None)),
        ({"MessageType": "UserAuthenticate", "UserID": "U1", "DigestResponse": "d", **NAMED}, messages.UserAuthenticate(EnrolmentId(Kind.USER, UDID, "U1"), "d")),
    ],
)  # fmt: skip
def test_each_check_in_is_read(keys: dict[str, Any], expected: messages.CheckIn, form: plistlib.PlistFormat) -> None:
    assert messages.read_check_in(body(keys, form)) == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (NAMED, ("MessageType", "missing")),
        ({**NAMED, "MessageType": "Surprise"}, ("MessageType", "value")),
        ({**NAMED, "MessageType": True}, ("MessageType", "type")),
        ({**AUTHENTICATE, "Topic": ""}, ("Topic", "missing")),
        ({**AUTHENTICATE, "SerialNumber": 12}, ("SerialNumber", "type")),
        ({**AUTHENTICATE, "OSVersion": "1" * 256}, ("OSVersion", "length")),
        ({**TOKEN_UPDATE, "Token": "abab"}, ("Token", "type")),
        ({**TOKEN_UPDATE, "Token": b""}, ("Token", "missing")),
        ({**TOKEN_UPDATE, "Token": b"x" * 256}, ("Token", "length")),
        ({**TOKEN_UPDATE, "PushMagic": b"m"}, ("PushMagic", "type")),
        ({**TOKEN_UPDATE, "UnlockToken": b"u" * 65_537}, ("UnlockToken", "length")),
        ({**TOKEN_UPDATE, "AwaitingConfiguration": "yes"}, ("AwaitingConfiguration", "type")),
        ({"MessageType": "DeclarativeManagement", **NAMED}, ("Endpoint", "missing")),
        ({"MessageType": "GetToken", **NAMED}, ("TokenServiceType", "missing")),
        ({"MessageType": "GetToken", "TokenServiceType": "x", "TokenParameters": "y", **NAMED}, ("TokenParameters", "type")),
    ],
)  # fmt: skip
def test_a_check_in_that_is_not_understood_names_the_key(keys: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refusal(keys) == expected


def test_no_secret_of_a_message_shows_when_it_is_printed() -> None:
    told: list[dict[str, Any]] = [
        {**TOKEN_UPDATE, "Token": b"SECRET", "PushMagic": "SECRET", "UnlockToken": b"SECRET"},
        {**TOKEN_UPDATE, **SHARED_USER, "UserShortName": "SECRET", "UserLongName": "SECRET"},
        {"MessageType": "DeclarativeManagement", "Endpoint": "status", "Data": b"SECRET", **NAMED},
        {"MessageType": "SetBootstrapToken", "BootstrapToken": b"SECRET", **NAMED},
        {"MessageType": "UserAuthenticate", "UserID": "U1", "DigestResponse": "SECRET", **NAMED},
    ]
    assert [one for one in told if "SECRET" in repr(messages.read_check_in(body(one)))] == []


# --- results


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"Status": "Idle"}, messages.Idle(TABLET)),
        ({"Status": "NotNow", "CommandUUID": "c1"}, messages.NotNow(TABLET, "c1")),
        ({"Status": "Acknowledged", "CommandUUID": "c1"}, messages.Acknowledged(TABLET, "c1", {})),
        ({"Status": "Acknowledged", "CommandUUID": "c1", "QueryResponses": {"OSVersion": "18.1"}, "UserLongName": "x"}, messages.Acknowledged(TABLET, "c1", {"QueryResponses": {"OSVersion": "18.1"}})),
        ({"Status": "Error", "CommandUUID": "c1"}, messages.Failed(TABLET, "c1", (), {})),
        (
            {"Status": "Error", "CommandUUID": "c1", "ErrorChain": [{"ErrorCode": 12026, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "Nei", "USEnglishDescription": "No"}, {"ErrorCode": "x"}, 7, {"ErrorCode": 1, "ErrorDomain": "D" * 300, "LocalizedDescription": "ø" * 300}]},
            messages.Failed(TABLET, "c1", (messages.ErrorLink(12026, "MCMDMErrorDomain", "No"), messages.ErrorLink(1, "D" * 255, "ø" * 255)), {}),
        ),
        ({"Status": "Error", "CommandUUID": "c1", "ErrorChain": [{"ErrorCode": 1, "ErrorDomain": "D"}] * 17}, messages.Failed(TABLET, "c1", (messages.ErrorLink(1, "D", ""),) * 16, {})),
        ({"Status": "Error", "CommandUUID": "c1", "ErrorChain": "broken"}, messages.Failed(TABLET, "c1", (), {})),
        ({"Status": "CommandFormatError"}, messages.CommandFormatError(TABLET, None, ())),
        ({"Status": "CommandFormatError", "CommandUUID": "c1"}, messages.CommandFormatError(TABLET, "c1", ())),
    ],
)  # fmt: skip
def test_each_result_is_read(keys: dict[str, Any], expected: messages.Result) -> None:
    assert messages.read_result(body({**NAMED, **keys})) == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ("Status", "missing")),
        ({"Status": "Perhaps"}, ("Status", "value")),
        ({"Status": 200}, ("Status", "type")),
        ({"Status": "Acknowledged"}, ("CommandUUID", "missing")),
        ({"Status": "NotNow", "CommandUUID": "c" * 256}, ("CommandUUID", "length")),
        ({"Status": "Error", "CommandUUID": 7}, ("CommandUUID", "type")),
    ],
)
def test_a_result_that_is_not_understood_names_the_key(keys: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refusal({**NAMED, **keys}, result=True) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/x-apple-aspen-mdm-checkin", True),
        ("application/x-apple-aspen-mdm-checkin; charset=UTF-8", True),
        (" Application/X-Apple-Aspen-MDM-CheckIn;charset=utf-8", True),
        ("application/x-apple-aspen-mdm; charset=UTF-8", False),
        ("application/x-apple-aspen-mdm", False),
        ("", False),
        (None, False),
    ],
)
def test_check_ins_are_known_by_their_content_type(content_type: str | None, expected: bool) -> None:
    assert messages.is_check_in(content_type) is expected


# --- the vendor's schema

SAMPLE: Mapping[str, Any] = {
    "<string>": "text", "<boolean>": True, "<data>": b"data", "<integer>": 1, "<real>": 1.5, "<any>": "any", "<date>": LOCAL,
}  # fmt: skip


def built(keys: list[dict[str, Any]], *, only_required: bool) -> dict[str, Any]:
    """Return a dictionary with the keys of a schema."""
    wanted = [key for key in keys if key.get("presence") == "required" or not only_required]
    return {key["key"]: sample(key, only_required=only_required) for key in wanted}


def sample(key: dict[str, Any], *, only_required: bool) -> Any:
    inner = key.get("subkeys") or []
    if key["type"] == "<dictionary>":
        return built(inner, only_required=only_required)
    if key["type"] == "<array>":
        return [sample(item, only_required=only_required) for item in inner]
    return key["rangelist"][0] if key.get("rangelist") else SAMPLE[key["type"]]


def schemas(folder: str, part: str) -> list[Any]:
    found = [(path.stem, yaml.safe_load(path.read_text())) for path in sorted((SCHEMA / "mdm" / folder).glob("*.yaml"))]
    return [pytest.param(told, id=stem) for stem, told in found if part in told]


EXPECTED = {
    "Authenticate": messages.Authenticate,
    "TokenUpdate": messages.TokenUpdate,
    "CheckOut": messages.CheckOut,
    "DeclarativeManagement": messages.DeclarativeManagement,
    "GetToken": messages.GetToken,
    "SetBootstrapToken": messages.SetBootstrapToken,
    "GetBootstrapToken": messages.GetBootstrapToken,
    "UserAuthenticate": messages.UserAuthenticate,
}


@needs_schema
@pytest.mark.parametrize("form", ["all keys", "only required, UDID", "only required, EnrollmentID"])
@pytest.mark.parametrize("told", schemas("checkin", "payloadkeys"))
def test_every_check_in_of_the_schema_is_accepted(told: Any, form: str) -> None:
    keys = built(told["payloadkeys"], only_required=form != "all keys")
    if form != "all keys":  # the schema calls both required, or neither: a tablet has one of them
        own, other = ("UDID", "EnrollmentID") if form.endswith(" UDID") else ("EnrollmentID", "UDID")
        keys = {key: value for key, value in keys.items() if key != other} | {own: "text"}
    else:
        keys.setdefault("UDID", "text")  # the schema leaves both out of bootstrap tokens
    assert isinstance(messages.read_check_in(body(keys)), EXPECTED[told["payload"]["requesttype"]])


@needs_schema
def test_the_schema_has_no_check_in_that_is_not_known() -> None:
    assert {param.values[0]["payload"]["requesttype"] for param in schemas("checkin", "payloadkeys")} == set(EXPECTED)


@needs_schema
@pytest.mark.parametrize("only_required", [False, True], ids=["all keys", "only required"])
@pytest.mark.parametrize("told", schemas("commands", "responsekeys"))
def test_every_answer_of_the_schema_is_accepted(told: Any, only_required: bool) -> None:
    answer = built(told["responsekeys"], only_required=only_required)
    found = messages.read_result(body({**NAMED, "Status": "Acknowledged", "CommandUUID": "c1", **answer}))
    assert isinstance(found, messages.Acknowledged)
    assert set(found.answer) == set(answer)
