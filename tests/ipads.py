"""A simulated iPad: its built-in client, as the contract and Apple's schema have it speak. Own code, for tests."""

import base64
import contextlib
import json
import plistlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from agent_protocol.transport import Response
from tests import apple_messages
from tests.apple_devices import Maker, machine_info
from tests.apple_messages import IPAD, Identity, ScepClient, Shape
from tests.ipad_system import IpadSystem

Send = Callable[..., Response]
_CHECK_IN = "application/x-apple-aspen-mdm-checkin"
_COMMANDS = "application/x-apple-aspen-mdm; charset=UTF-8"
_LEGACY = "com.apple.configuration.legacy"
_PLACES = {"activation": "activations", "configuration": "configurations", "asset": "assets"}  # by declarations' types


class RefusedError(Exception):
    """The server refused; ``status`` says how."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class TurnedAwayError(Exception):
    """The code of a ticket does not let it in; ``reason`` is what the page is told."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UpdateRequiredError(Exception):
    """The server wants a newer system first; ``version`` says which."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version


@dataclass
class Ipad(IpadSystem):
    """One iPad: its client. What it is besides stands in :class:`tests.ipad_system.IpadSystem`.

    Args:
        send: calls the server: method, target, headers, body.
        serial: of the tablet.
        shape: how it signs.
        is_busy: whether it says "not now" to whatever disturbs.
        unable: configurations and payloads that it refuses, by type.

    Attributes:
        installed: profiles that commands installed, by identifier.
        changed_at: when what is in force last became another.
        on_change: called then.
        push_token: where pushes reach it.
        calls_by_itself: whether it calls again without being rung: its last word was "not now".
    """

    send: Send
    serial: str
    shape: Shape = IPAD
    is_busy: bool = False
    unable: frozenset[str] = frozenset()
    udid: str = field(default_factory=lambda: f"00008103-{secrets.token_hex(8).upper()}")
    identity: Identity | None = None
    trusted: list[bytes] = field(default_factory=list)
    mdm: Mapping[str, Any] = field(default_factory=dict)
    declarations: dict[str, dict[str, Any]] = field(default_factory=dict)
    profiles: dict[str, bytes] = field(default_factory=dict)
    installed: dict[str, bytes] = field(default_factory=dict)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    token: str | None = None
    done: list[str] = field(default_factory=list)
    is_managed: bool = False
    changed_at: datetime | None = None
    on_change: Callable[[], None] = field(default=lambda: None)
    push_token: bytes = b""
    calls_by_itself: bool = False
    refused: set[str] = field(default_factory=set)
    reported: dict[str, dict[str, Any]] = field(default_factory=dict)

    # -- enrolment -----------------------------------------------------------------------------------------------

    def enrol(self, code: str, *, key: rsa.RSAPrivateKey | None = None) -> None:
        """Come in with a ticket's code: page, profile, certificate, check-in.

        Raises:
            TurnedAwayError: the code is no good.
            RefusedError: the ticket is not for this tablet.
        """
        form = urlencode({"code": code}).encode()
        answer = self.send("POST", "/apple/invitations", {"content-type": "application/x-www-form-urlencoded"}, form)
        assert answer.status == 303
        place = answer.headers["location"]
        if "refused=" in place:
            raise TurnedAwayError(place.partition("refused=")[2])
        self.install(self._get(place), key=key)

    def enrol_automatically(self, address: str, maker: Maker) -> None:
        """Come in as when it is switched on for the first time, at the address that its maker told it."""
        told = maker.sign(machine_info(self.serial, os_version=self.os_version), self.shape)
        answer = self.send("POST", urlsplit(address).path, {"content-type": "application/pkcs7-signature"}, told)
        if answer.status == 403 and answer.headers["content-type"] == "application/json":
            raise UpdateRequiredError(json.loads(answer.body)["details"]["OSVersion"])
        if answer.status != 200:
            raise RefusedError(answer.status)
        assert answer.headers["content-type"] == "application/x-apple-aspen-config"
        self.install(answer.body)

    def install(self, profile: bytes, *, key: rsa.RSAPrivateKey | None = None) -> None:
        """Install an enrolment profile, signed or not."""
        told = plistlib.loads(content_of(profile))
        payloads = {one["PayloadType"]: one for one in told["PayloadContent"]}
        self.mdm = payloads["com.apple.mdm"]
        roots = [one for one in told["PayloadContent"] if one["PayloadType"] == "com.apple.security.root"]
        self.trusted = [one["PayloadContent"] for one in roots]
        self.identity = self._certificate(payloads["com.apple.security.scep"]["PayloadContent"], key)
        self.check_in(
            "Authenticate", Topic=self.mdm["Topic"], SerialNumber=self.serial, OSVersion=self.os_version,
            BuildVersion="21G101", ProductName="iPad13,18",
        )  # fmt: skip
        self.is_managed = True
        self.token_update(**({"AwaitingConfiguration": True} if self.awaits else {}))

    def come_back(self) -> None:
        """Set itself up again after it was erased, as it was told."""
        assert self.erased is not None
        told = self.erased["ReturnToService"]
        new = Ipad(self.send, self.serial, shape=self.shape, udid=self.udid)
        self.__dict__.update(new.__dict__)
        self.install(told["MDMProfileData"])

    def token_update(self, **more: Any) -> None:
        """Say where pushes reach it."""
        self.push_token = secrets.token_bytes(32)
        self.check_in(
            "TokenUpdate", Topic=self.mdm["Topic"], Token=self.push_token, PushMagic=secrets.token_hex(8),
            UnlockToken=secrets.token_bytes(64), **more,
        )  # fmt: skip

    def _certificate(self, told: Mapping[str, Any], key: rsa.RSAPrivateKey | None) -> Identity:
        path = urlsplit(told["URL"]).path
        (ca_answer,) = [self.send("GET", f"{path}?operation=GetCACert", {}, None)]
        assert ca_answer.headers["content-type"] == "application/x-x509-ca-cert"
        ca = x509.load_der_x509_certificate(ca_answer.body)
        own = key or rsa.generate_private_key(65537, 2048)
        client = ScepClient(apple_messages.self_signed(own))
        request = apple_messages.certification_request(own, challenge=told["Challenge"])
        answer = self.send("POST", f"{path}?operation=PKIOperation", {}, client.request(ca, request))
        assert answer.headers["content-type"] == "application/x-pki-message"
        read = apple_messages.read_scep_answer(answer.body, ca)
        if read.text(3) != "0" or read.content is None:
            raise RefusedError(int(read.text(4)))
        return Identity(own, apple_messages.open_scep_content(read.content, client.identity)[1])

    # -- talking -------------------------------------------------------------------------------------------------

    def _get(self, address: str) -> bytes:
        parts = urlsplit(address)
        answer = self.send("GET", parts.path, {}, None)
        if answer.status != 200:
            raise RefusedError(answer.status)
        return answer.body

    def put(self, message: Mapping[str, Any], content_type: str | None) -> Response:
        """Send a signed message."""
        assert self.identity is not None
        body = plistlib.dumps({"UDID": self.udid, **message})
        signature = apple_messages.signed_message(body, self.identity, self.shape, attached=False)
        headers = {"mdm-signature": base64.b64encode(signature).decode(), "user-agent": "MDM/1.0"}
        if content_type is not None:
            headers["content-type"] = content_type
        return self.send("PUT", urlsplit(self.mdm["ServerURL"]).path, headers, body)

    def check_in(self, kind: str, **keys: Any) -> bytes:
        """Send a check-in; a refusal is an error, and 401 the end of management."""
        answer = self.put({"MessageType": kind, **keys}, _CHECK_IN)
        assert answer.status != 401
        if answer.status != 200:
            raise RefusedError(answer.status)
        return answer.body

    def wake(self) -> list[str]:
        """Call as after a push, and carry out what is asked; returns which commands there were."""
        seen: list[str] = []
        message: dict[str, Any] = {"Status": "Idle"}
        while True:
            self.calls_by_itself = message["Status"] == "NotNow"
            answer = self.put(message, _COMMANDS)
            if answer.status != 200:
                raise RefusedError(answer.status)
            if not answer.body:
                return seen
            told = plistlib.loads(answer.body)
            command = told["Command"]
            seen.append(command["RequestType"])
            assert len(seen) < 50, "the same again and again"
            if self.garbles:
                message = {"Status": "CommandFormatError"}
                continue
            message = {"CommandUUID": told["CommandUUID"], **self.carry_out(command)}

    def carry_out(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a command says and return the answer."""
        self.keep_time()
        kind = command["RequestType"]
        if self.is_busy and kind not in {"DeclarativeManagement", "DeviceLock"}:
            return {"Status": "NotNow"}
        if kind in self.refuses:
            return {"Status": "Error", "ErrorChain": [{"ErrorCode": 12025, "ErrorDomain": "MCMDMErrorDomain"}]}
        self.done.append(kind)
        if kind in {"InstallProfile", "RemoveProfile"}:
            return self._change_profiles(command)
        if kind == "DeclarativeManagement":
            self.synchronise(
                json.loads(command["Data"])["SyncTokens"]["DeclarationsToken"] if "Data" in command else None
            )
        if kind == "CertificateList":
            assert self.identity is not None
            own = {"CommonName": "tablet", "Data": self.identity.der, "IsIdentity": True}
            return {"Status": "Acknowledged", "CertificateList": [own]}
        return {"Status": "Acknowledged", **self.do(command)}

    def _change_profiles(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Install or remove a profile."""
        if command["RequestType"] == "RemoveProfile":
            if self.installed.pop(command["Identifier"], None) is None:
                return _error("MDMErrorDomain", 12075)
        else:
            told = plistlib.loads(content_of(command["Payload"]))
            payloads = {one["PayloadType"]: one for one in told["PayloadContent"]}
            if "com.apple.mdm" in payloads:  # its own enrolment once more: a new certificate, used at once
                self.identity = self._certificate(payloads["com.apple.security.scep"]["PayloadContent"], None)
                return {"Status": "Acknowledged"}
            if self.unable & payloads.keys():
                return _error("MCInstallationErrorDomain", 4001)
            self.installed[told["PayloadIdentifier"]] = command["Payload"]
        self._change(self.now())
        return {"Status": "Acknowledged"}

    # -- declarations --------------------------------------------------------------------------------------------

    def _ask(self, endpoint: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.check_in("DeclarativeManagement", Endpoint=endpoint))
        return told

    def synchronise(self, token: str | None = None) -> None:
        """Fetch what is new, forget what is gone, and report."""
        told = token or self._ask("tokens")["SyncTokens"]["DeclarationsToken"]
        if told == self.token:
            return
        manifest = self._ask("declaration-items")
        wanted = {
            (kind, one["Identifier"]): one["ServerToken"]
            for kind, ones in manifest["Declarations"].items()
            for one in ones
        }
        names = {
            "Activations": "activation",
            "Configurations": "configuration",
            "Assets": "asset",
            "Management": "management",
        }
        for (kind, identifier), server_token in wanted.items():
            if self.declarations.get(identifier, {}).get("ServerToken") != server_token:
                self.declarations[identifier] = self._ask(f"declaration/{names[kind]}/{identifier}")
        for gone in set(self.declarations) - {identifier for _kind, identifier in wanted}:
            del self.declarations[gone]
        profiles = {
            name: self._get(one["Payload"]["ProfileURL"])
            for name, one in self.declarations.items()
            if one["Type"] == _LEGACY and _LEGACY not in self.unable
        }
        self.refused = {name for name, one in self.declarations.items() if one["Type"] in self.unable}
        self.refused |= {name for name, body in profiles.items() if self.unable & _types(body)}
        kept = {name: body for name, body in profiles.items() if name not in self.refused}
        if kept != self.profiles:
            self.profiles = kept
            self._change(self.now())
        self.token = manifest["DeclarationsToken"]
        self.report()

    def report(self, *, is_full: bool = False) -> None:
        """Send a status report: the first is full, others say what has changed, as now and then a full one."""
        if self.is_mute:
            return
        states = {name: self._state(name, one) for name, one in self.declarations.items()}
        lists: dict[str, list[dict[str, Any]]] = {
            "activations": [],
            "configurations": [],
            "assets": [],
            "management": [],
        }
        is_full = is_full or not self.reported
        for name, one in states.items():
            if is_full or self.reported.get(name) != one:
                lists[_PLACES.get(self.declarations[name]["Type"].split(".")[2], "management")].append(one)
        items: dict[str, Any] = {"management": {"declarations": lists}}
        if is_full:
            device = {"operating-system": {"version": self.os_version}, "model": {"identifier": "iPad13,18"}}
            items["device"] = device
            if self.able is not None:
                supported = {"declarations": {"configurations": sorted(self.able)}, "status-items": []}
                items["management"]["client-capabilities"] = {"supported-payloads": supported}
        else:
            items["management"]["declarations"] = {kind: ones for kind, ones in lists.items() if ones}
        status = {"StatusItems": items, "Errors": [], **({"FullReport": True} if is_full else {})}
        self.check_in("DeclarativeManagement", Endpoint="status", Data=json.dumps(status).encode())
        self.reported = states

    def _state(self, name: str, one: Mapping[str, Any]) -> dict[str, Any]:
        is_valid = name not in self.refused
        return {
            "identifier": name, "server-token": one["ServerToken"], "active": is_valid,
            "valid": "valid" if is_valid else "invalid",
            "reasons": [] if is_valid else [{"code": "Error.ConfigurationCannotBeApplied", "description": "no"}],
        }  # fmt: skip

    # -- what is in force ----------------------------------------------------------------------------------------

    def keep_time(self) -> None:
        """Take away what has a date of removal that is past by the tablet's own clock. Nobody is told."""
        for name, body in list(self.installed.items()):
            ends_at = _ends_at(body)
            if ends_at is not None and ends_at <= self.now() and self.installed.pop(name, None) is not None:
                self._change(max(ends_at, self.changed_at or ends_at))

    @property
    def removes_next_at(self) -> datetime | None:
        """When it next takes something away by itself."""
        return min((at for body in self.installed.values() if (at := _ends_at(body)) is not None), default=None)

    def _change(self, at: datetime) -> None:
        self.changed_at = at
        self.on_change()

    def on_top(self) -> list[bytes]:
        """Return the profiles that were installed by commands and whose time is not over by the tablet's own clock."""
        now = self.now()
        found = [(body, _ends_at(body)) for body in list(self.installed.values())]
        return [body for body, ends_at in found if ends_at is None or ends_at > now]

    def settings(self, payload_type: str) -> dict[str, Any]:
        """Return what profiles say in payloads of a type, together; of two words on one thing the last."""
        found: dict[str, Any] = {}
        for body in (*self.profiles.values(), *self.on_top()):
            for one in plistlib.loads(content_of(body))["PayloadContent"]:
                if one["PayloadType"] == payload_type:
                    found |= {key: value for key, value in one.items() if not key.startswith("Payload")}
        return found


def _types(profile: bytes) -> set[str]:
    return {one["PayloadType"] for one in plistlib.loads(content_of(profile))["PayloadContent"]}


def _ends_at(profile: bytes) -> datetime | None:
    """Return when a profile goes by itself. Property lists tell instants in UTC."""
    told = plistlib.loads(content_of(profile)).get("RemovalDate")
    return told.replace(tzinfo=UTC) if told is not None else None


def _error(domain: str, code: int) -> dict[str, Any]:
    link = {"ErrorDomain": domain, "ErrorCode": code, "LocalizedDescription": "nei", "USEnglishDescription": "no"}
    return {"Status": "Error", "ErrorChain": [link]}


def content_of(profile: bytes) -> bytes:
    """Return the property list in a profile, signed or not."""
    if profile.lstrip().startswith(b"<?xml"):
        return profile
    from asn1crypto import cms  # noqa: PLC0415 (only signed ones need it)

    told: bytes = cms.ContentInfo.load(profile)["content"]["encap_content_info"]["content"].native
    return told


@contextlib.contextmanager
def refused(status: int) -> Iterator[None]:
    """Expect a refusal of this status."""
    try:
        yield
    except RefusedError as error:
        assert error.status == status  # noqa: PT017 (what is raised is not an assertion's matter alone)
    else:
        raise AssertionError(f"not refused with {status} at {datetime.now(UTC)}")
