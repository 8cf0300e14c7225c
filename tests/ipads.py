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

Send = Callable[..., Response]
_CHECK_IN = "application/x-apple-aspen-mdm-checkin"
_COMMANDS = "application/x-apple-aspen-mdm; charset=UTF-8"


class RefusedError(Exception):
    """The server refused; ``status`` says how."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class UpdateRequiredError(Exception):
    """The server wants a newer system first; ``version`` says which."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version


@dataclass
class Ipad:
    """One iPad.

    Args:
        send: calls the server: method, target, headers, body.
        serial: of the tablet.
        shape: how it signs.
        is_busy: whether it says "not now" to whatever disturbs.
        unable: configurations that it refuses, by type.
        able: configurations that it says it knows, by type; None: it does not say.
        refuses: commands that it answers with an error.
        refused_items: items of Settings that it cannot set.
        awaits: whether its set-up waits until it is told to go on.
        is_mute: whether it reports nothing of its declarations.
        slow_apps: whether apps are long on their way.
        garbles: whether it can read no command at all.
    """

    send: Send
    serial: str
    shape: Shape = IPAD
    is_busy: bool = False
    unable: frozenset[str] = frozenset()
    os_version: str = "17.6.1"
    udid: str = field(default_factory=lambda: f"00008103-{secrets.token_hex(8).upper()}")
    identity: Identity | None = None
    mdm: Mapping[str, Any] = field(default_factory=dict)
    declarations: dict[str, dict[str, Any]] = field(default_factory=dict)
    profiles: dict[str, bytes] = field(default_factory=dict)
    installed: dict[str, bytes] = field(default_factory=dict)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    token: str | None = None
    done: list[str] = field(default_factory=list)
    is_managed: bool = False
    able: frozenset[str] | None = None
    erased: Mapping[str, Any] | None = None
    refuses: set[str] = field(default_factory=set)
    refused_items: frozenset[str] = frozenset()
    awaits: bool = False
    is_mute: bool = False
    slow_apps: bool = False
    garbles: bool = False
    apps: dict[str, str] = field(default_factory=lambda: {"no.school.app": "2.1"})
    asked_for: dict[int, str] = field(default_factory=dict)
    store: Mapping[int, str] = field(default_factory=lambda: {123456789: "no.example.book"})
    device_name: str | None = None
    lost: Mapping[str, Any] | None = None

    # -- enrolment -----------------------------------------------------------------------------------------------

    def enrol(self, code: str, *, key: rsa.RSAPrivateKey | None = None) -> None:
        """Come in with a ticket's code: page, profile, certificate, check-in."""
        form = urlencode({"code": code}).encode()
        answer = self.send("POST", "/apple/invitations", {"content-type": "application/x-www-form-urlencoded"}, form)
        assert answer.status == 303
        self.install(self._get(answer.headers["location"]), key=key)

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
        self.check_in(
            "TokenUpdate", Topic=self.mdm["Topic"], Token=secrets.token_bytes(32), PushMagic=secrets.token_hex(8),
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
        kind = command["RequestType"]
        if self.is_busy and kind not in {"DeclarativeManagement", "DeviceLock"}:
            return {"Status": "NotNow"}
        if kind in self.refuses:
            return {"Status": "Error", "ErrorChain": [{"ErrorCode": 12025, "ErrorDomain": "MCMDMErrorDomain"}]}
        self.done.append(kind)
        if kind == "InstallProfile":
            told = plistlib.loads(content_of(command["Payload"]))
            payloads = {one["PayloadType"]: one for one in told["PayloadContent"]}
            if "com.apple.mdm" in payloads:  # its own enrolment once more: a new certificate, used at once
                self.identity = self._certificate(payloads["com.apple.security.scep"]["PayloadContent"], None)
                return {"Status": "Acknowledged"}
            self.installed[told["PayloadIdentifier"]] = command["Payload"]
        if kind == "RemoveProfile":
            self.installed.pop(command["Identifier"], None)
        did = self._do(command)
        answers: dict[str, dict[str, Any]] = {
            "DeviceInformation": {
                "QueryResponses": {
                    "OSVersion": self.os_version, "ProductName": "iPad13,18", "DeviceCapacity": 64.0,
                    "AvailableDeviceCapacity": 40.5, "BatteryLevel": 0.81, "IsSupervised": True,
                    "IsMDMLostModeEnabled": self.lost is not None,
                }
            },
            "SecurityInfo": {"SecurityInfo": {"PasscodePresent": True, "PasscodeCompliant": True}},
            "InstalledApplicationList": {
                "InstalledApplicationList": [
                    {"Identifier": app, "ShortVersion": version, "Installing": False}
                    for app, version in self.apps.items()
                ]
            },
            "CertificateList": {"CertificateList": self._certificates()},
            "ManagedApplicationList": {
                "ManagedApplicationList": {
                    app: {"Status": "Managed" if app in self.apps else "Installing"} for app in self.asked_for.values()
                }
            },
            **did,
        }  # fmt: skip
        if kind == "DeclarativeManagement":
            self.synchronise(
                json.loads(command["Data"])["SyncTokens"]["DeclarationsToken"] if "Data" in command else None
            )
        return {"Status": "Acknowledged", **answers.get(kind, {})}

    def _certificates(self) -> list[dict[str, Any]]:
        assert self.identity is not None
        return [{"CommonName": "tablet", "Data": self.identity.der, "IsIdentity": True}]

    def _do(self, command: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Do what changes the iPad itself, and return the answer, by the command's name."""
        kind = command["RequestType"]
        if kind == "EraseDevice":
            self.erased = command
        if kind == "DeviceLocation":
            return {kind: {"Latitude": 59.91, "Longitude": 10.75, "HorizontalAccuracy": 20.0}}
        if kind in {"EnableLostMode", "DisableLostMode"}:
            self.lost = command if kind == "EnableLostMode" else None
        if kind == "Settings":
            results = []
            for one in command["Settings"]:
                is_set = one["Item"] not in self.refused_items
                if one["Item"] == "DeviceName":
                    self.device_name = one["DeviceName"]
                results.append({"Item": one["Item"], "Status": "Acknowledged" if is_set else "Error"})
            return {kind: {"Settings": results}}
        if kind == "ManagedApplicationList" and not self.slow_apps:
            self.apps.update(dict.fromkeys(self.asked_for.values(), "1.0"))
        if kind == "InstallApplication":
            app = self.store[command["iTunesStoreID"]]
            self.asked_for[command["iTunesStoreID"]] = app
            if not self.slow_apps:
                self.apps[app] = "1.0"
            return {kind: {"Identifier": app, "State": "Installing" if self.slow_apps else "Managed"}}
        return {}

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
        self.profiles = {
            name: self._get(one["Payload"]["ProfileURL"])
            for name, one in self.declarations.items()
            if one["Type"] == "com.apple.configuration.legacy" and one["Type"] not in self.unable
        }
        self.token = manifest["DeclarationsToken"]
        self.report()

    def report(self) -> None:
        """Send a full status report."""
        if self.is_mute:
            return
        lists: dict[str, list[dict[str, Any]]] = {
            "activations": [],
            "configurations": [],
            "assets": [],
            "management": [],
        }
        for name, one in self.declarations.items():
            kind = one["Type"].split(".")[2]
            place = {"activation": "activations", "configuration": "configurations", "asset": "assets"}.get(
                kind, "management"
            )
            is_valid = one["Type"] not in self.unable
            entry = {
                "identifier": name, "server-token": one["ServerToken"], "active": is_valid,
                "valid": "valid" if is_valid else "invalid",
                "reasons": [] if is_valid else [{"code": "Error.ConfigurationCannotBeApplied", "description": "no"}],
            }  # fmt: skip
            lists[place].append(entry)
        management: dict[str, Any] = {"declarations": lists}
        if self.able is not None:
            supported = {"declarations": {"configurations": sorted(self.able)}, "status-items": []}
            management["client-capabilities"] = {"supported-payloads": supported}
        status = {
            "StatusItems": {
                "device": {"operating-system": {"version": self.os_version}, "model": {"identifier": "iPad13,18"}},
                "management": management,
            },
            "Errors": [],
            "FullReport": True,
        }
        self.check_in("DeclarativeManagement", Endpoint="status", Data=json.dumps(status).encode())

    def on_top(self) -> list[bytes]:
        """Return the profiles that were installed by commands and whose time is not over by the tablet's own clock."""
        ends = {name: plistlib.loads(content_of(body)).get("RemovalDate") for name, body in self.installed.items()}
        return [
            body
            for name, body in self.installed.items()
            if ends[name] is None or ends[name].replace(tzinfo=UTC) > self.now()
        ]

    def settings(self, payload_type: str) -> dict[str, Any]:
        """Return what profiles say in payloads of a type, together; of two words on one thing the last."""
        found: dict[str, Any] = {}
        for body in (*self.profiles.values(), *self.on_top()):
            for one in plistlib.loads(content_of(body))["PayloadContent"]:
                if one["PayloadType"] == payload_type:
                    found |= {key: value for key, value in one.items() if not key.startswith("Payload")}
        return found


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
