"""A simulated Android tablet with the open agent 6.36: its order, its timing and its traps. Own code, for tests.

What goes wrong with it as with the real one: an update lifts the restrictions and sets them at its end, so whatever stops
it leaves them lifted; a download that fails stops it, and one that was installed in vain is never fetched again but stops
every later update too; what apps were given as managed configuration stays until they are given another; a hidden app is
not installed, for the agent; news of an update come only through its log and, while it is in front, in its report.

Source: the wire contract of this channel, and the agent's classes ``ConfigUpdater``, ``GetServerConfigTask``,
``MigrationHelper``, ``InstallUtils``, ``PushLongPollingService``, ``RemoteLogger`` and ``DeviceInfoProvider``.
"""

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from agent_protocol.transport import Response
from tests import headwind_reader, headwind_wire
from tests.headwind_flow import ReplacedError, ServerError, StoppedError, UpdateFlow
from tests.headwind_wire import GarbledError

Send = Callable[..., Response]
Extras = Mapping[str, str]
ERROR, WARN, INFO, DEBUG, VERBOSE = 1, 2, 3, 4, 5
AFTER_ANSWER_S, AFTER_4XX_S, AFTER_NETWORK_ERROR_S, AGAIN_S = 5.0, 65.0, 60.0, 15.0
_BUNDLE = "android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE"
_UPLOADED = 10  # messages of the log at once
_NETWORK = (OSError, http.client.HTTPException, GarbledError)
_NOT_FOUND = "error.notfound.device"


class NotTakenInError(Exception):
    """Its first start ended in a dialog: the server did not take it in; status and message say how it answered."""

    def __init__(self, status: int, message: str | None) -> None:
        super().__init__(status, message)
        self.status, self.message = status, message


@dataclass
class HeadwindAgent(UpdateFlow):
    """One tablet's agent. What the tablet is besides stands in :class:`tests.headwind_system.AndroidSystem`.

    Args:
        send: calls the server: method, target, headers, body; raises OSError where there is no network.
        serial: of the tablet.
        in_front: whether the launcher is what its user sees.
        checks_signatures: whether it was built to check what answers are signed with.
        is_strict: whether whatever an answer lacks by our contract is a fault of the test.
        retries: how often it asks again where there is no network.
        pause: waits some seconds.
        elsewhere: calls other servers, by their base.

    Attributes:
        number: by which it calls itself.
        base, secondary, project: where its server is.
        config: the configuration that it has; None: it has none yet.
        is_stranded: whether it was told that it is unknown: its restrictions are lifted, it asks for a number.
        polls: whether it waits for pushes.
        asked: the calls that it made, one after the other.
        log_rules: which of its log it sends.
        external_ip: what the server said of its address.
    """

    send: Send
    serial: str
    checks_signatures: bool = False
    is_strict: bool = True
    retries: int = 1
    pause: Callable[[float], object] = field(default=lambda _s: None)
    elsewhere: Mapping[str, Send] = field(default_factory=dict)
    number: str = ""
    base: str = ""
    secondary: str = ""
    project: str = ""
    customer: Mapping[str, Any] = field(default_factory=dict)
    is_stranded: bool = False
    polls: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    log_rules: list[dict[str, Any]] = field(default_factory=list)
    unsent: list[dict[str, Any]] = field(default_factory=list)
    external_ip: str | None = None
    _poll_signed: str = ""
    _poll_bases: tuple[str, str] = ("", "")
    _updating: Any = field(default_factory=threading.RLock)

    # -- set-up --------------------------------------------------------------------------------------------------

    def enrol(self, told: Mapping[str, Any]) -> None:
        """Come in with what a QR code holds: the set-up, and then its launcher opens.

        Raises:
            NotTakenInError: the server refuses.
            OSError: there is no network.
        """
        self.set_up(told)
        self.open_launcher()

    def set_up(self, told: Mapping[str, Any]) -> None:
        """Be made the device's owner and fetch a first configuration, of which nothing more is done yet.

        Args:
            told: what a QR code holds, or its extras alone.
        """
        extras: Extras = told.get(_BUNDLE, told)
        words = {name.removeprefix("com.hmdm."): value for name, value in extras.items()}
        self.base = words["BASE_URL"]
        self.secondary = words.get("SECONDARY_BASE_URL", self.base)
        self.project = words.get("SERVER_PROJECT", "")
        self.number = words.get("DEVICE_ID") or (self.serial if words.get("DEVICE_ID_USE") == "serial" else "")
        assert self.number, "its user would have to type a number"
        groups = [one for one in words.get("GROUP", "").split(",") if one]
        self.customer = {
            "customer": words.get("CUSTOMER"), "configuration": words.get("CONFIG"), "groups": groups,
            "groupSet": groups,
        }  # fmt: skip
        self.update(loads_only=True, is_by_user=True)

    def open_launcher(self) -> None:
        """Open the launcher: everything that the set-up left is done now."""
        self.in_front = True
        self.update()

    def start_again(self) -> None:
        """Be switched on again: it fetches its configuration; its home screen is seen first, the launcher where that is it."""
        self.in_front, self.polls = self.runs_launcher, False
        self.update()

    # -- an update -----------------------------------------------------------------------------------------------

    def update(self, *, loads_only: bool = False, is_by_user: bool = False) -> None:
        """Fetch the configuration and put it into force, in the agent's order.

        Args:
            loads_only: stop after the rules of the log, as the set-up does.
            is_by_user: whether a user waits for it, so that it does not go on with what it has.
        """
        with self._updating:
            self.lift()
            try:
                self._load(is_by_user=is_by_user)
                self._read_log_rules()
                if loads_only:
                    return
                if self._moves():
                    self.update()
                    return
                self._start_push()
                self.apply()
            except ServerError:
                self.is_stranded = True
            except ReplacedError:
                self.start_again()
            except StoppedError as stop:
                self.stopped_by.append(str(stop))

    def _load(self, *, is_by_user: bool) -> None:
        for left in range(self.retries, -1, -1):
            try:
                found = self._fetch()
            except (NotTakenInError, *_NETWORK) as error:
                self.log(WARN, "Failed to update config: network error")
                if left:
                    self.pause(AGAIN_S)
                elif self.config is None or is_by_user:
                    raise
                elif self.in_front and self.config.get("showWifi"):
                    raise StoppedError("showWifi") from error
            else:
                self._keep(found)
                return

    def _keep(self, found: dict[str, Any]) -> None:
        if found.get("newNumber") is not None:
            self.number = found.pop("newNumber")
        self.config, self.is_stranded = found, False
        self.manage(found["applicationSettings"])
        self.changed()
        self.log(INFO, "Configuration updated")

    def _fetch(self) -> dict[str, Any]:
        path = f"public/sync/configuration/{headwind_wire.path_part(self.number)}"
        headers = self._config_headers()
        read = None if self.checks_signatures else _read_whole
        if self.config is None:
            told = json.dumps(self.customer).encode()
            answer = self._call("POST", path, {**headers, "Content-Type": "application/json"}, told, read=read)
        else:
            answer = self._call("GET", path, headers, read=read)
        if not 200 <= answer.status < 300:
            raise NotTakenInError(answer.status, None)
        envelope = headwind_wire.envelope(answer.body)
        if envelope.get("status") != "OK" or envelope.get("data") is None:
            if envelope.get("message") == _NOT_FOUND:
                self.log(WARN, "Failed to update config: server error")
                raise ServerError(_NOT_FOUND)
            if self.is_strict:
                headwind_reader.read_refusal(answer.body)
            raise NotTakenInError(answer.status, envelope.get("message"))
        if self.is_strict:
            headwind_reader.read_configuration(answer.body, answer.headers)
        signature = answer.headers.get("x-response-signature")
        if self.checks_signatures and not headwind_wire.is_signed(answer.body, signature):
            raise GarbledError("signature")
        self.external_ip = answer.headers.get("x-ip-address")
        return headwind_wire.configuration(envelope["data"])

    def _config_headers(self) -> dict[str, str]:
        return {"X-Request-Signature": headwind_wire.config_signature(self.number), "X-CPU-Arch": self.cpu}

    def _read_log_rules(self) -> None:
        with suppress(*_NETWORK):
            answer = self._call("GET", f"plugins/devicelog/log/rules/{headwind_wire.path_part(self.number)}")
            if answer.status == 200:
                if self.is_strict:
                    headwind_reader.read_log_rules(answer.body)
                self.log_rules = headwind_wire.envelope(answer.body)["data"] or []
        self.log(INFO, f"Device owner: {str(self.is_owner).lower()}")

    def _moves(self) -> bool:
        """Go to another server, or to another word at the same, where it was told to and is answered well there."""
        url = ((self.config or {}).get("newServerUrl") or "").strip()
        if not url:
            return False
        try:
            base, project = headwind_wire.split_url(url)
        except ValueError:
            self.log(WARN, f"Failed to migrate to {url}: malformed URL")
            return False
        if (base.lower(), project.lower()) == (self.base.lower(), self.project.lower()):
            return False
        path = f"/{project}/rest/public/sync/configuration/{headwind_wire.path_part(self.number)}"
        try:
            answer = self._send(base, "GET", path, self._config_headers(), None)
            told = headwind_wire.envelope(answer.body) if answer.status == 200 else {}
        except _NETWORK:
            told = {}
        if told.get("status") != "OK" or told.get("data") is None:
            self.log(WARN, f"Failed to migrate to {url}: no good answer")
            return False
        self.log(INFO, f"Migrated to {url}")
        self.base = self.secondary = base
        self.project = project
        return True

    def _start_push(self) -> None:
        if (self.config or {}).get("pushOptions") == "polling" and not self.polls:
            self.polls = True
            self._poll_signed = headwind_wire.polling_signature(self.project, self.number)
            self._poll_bases = (self.base, self.secondary)

    # -- calls ---------------------------------------------------------------------------------------------------

    def _send(self, base: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        self.asked.append((method, target))
        return self.elsewhere.get(base, self.send)(method, target, headers, body)

    def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        bases: tuple[str, str] | None = None,
        read: Callable[[bytes], object] | None = None,
    ) -> Response:
        """Call the server, and its second address at once where that fails or what it answers cannot be read."""
        target = f"/{self.project}/rest/{path}" if self.project else f"/rest/{path}"
        first, second = bases or (self.base, self.secondary)
        try:
            answer = self._send(first, method, target, headers or {}, body)
            if read is not None and 200 <= answer.status < 300:
                read(answer.body)
        except _NETWORK:
            return self._send(second, method, target, headers or {}, body)
        return answer

    def download(self, url: str) -> bytes:
        """Fetch a file.

        Raises:
            OSError: it could not be had whole.
        """
        signature = headwind_wire.file_signature(url)
        headers = {"Accept-Encoding": "identity"} | ({"X-Request-Signature": signature} if signature else {})
        try:
            answer = self._send(headwind_wire.split_url(url)[0], "GET", headwind_wire.target_of(url), headers, None)
        except http.client.HTTPException as error:
            raise OSError("unexpected end of stream") from error
        if answer.status != 200:
            raise OSError(f"Bad server response for {url}: {answer.status}")
        return answer.body

    def _post(self, path: str, told: object) -> bool:
        """Tell the server something; returns whether it took it."""
        body = json.dumps(told).encode()
        try:
            answer = self._call("POST", path, {"Content-Type": "application/json"}, body)
        except (OSError, http.client.HTTPException):
            return False
        if self.is_strict and answer.status == 200:
            headwind_reader.read_done(answer.body)
        return 200 <= answer.status < 300

    def confirm(self, path: str, **more: Any) -> bool:
        """Say that something will be done, or was; returns whether the server took it."""
        number = headwind_wire.path_part(self.number)
        return self._post(f"plugins/devicereset/public/{path}{number}", self.device_info() | more)

    def report(self) -> bool:
        """Report how the tablet is, as every quarter of an hour; returns whether the server took it."""
        return self._post("public/sync/info", self.device_info())

    # -- the log -------------------------------------------------------------------------------------------------

    def log(self, level: int, message: str) -> None:
        """Note something, and send it at once where a rule asks for it, with what could not be sent before."""
        if any(self._matches(rule, level, message) for rule in self.log_rules):
            told_at = int(self.now().timestamp() * 1000)
            one = {"timestamp": told_at, "logLevel": level, "packageId": "com.hmdm.launcher", "message": message}
            self.unsent.append(one)
            self.send_log()

    @staticmethod
    def _matches(rule: Mapping[str, Any], level: int, message: str) -> bool:
        wanted = (rule.get("filter") or "").lower()
        return rule["packageId"] == "com.hmdm.launcher" and rule["logLevel"] >= level and wanted in message.lower()

    def send_log(self) -> bool:
        """Send what of the log is not sent yet, as a quarter of an hour after it failed; returns whether all went."""
        number = headwind_wire.path_part(self.number)
        while self.unsent:
            if not self._post(f"plugins/devicelog/log/list/{number}", self.unsent[:_UPLOADED]):
                return False
            del self.unsent[:_UPLOADED]
        return True

    # -- pushes --------------------------------------------------------------------------------------------------

    def poll(self) -> float:
        """Wait for a push once, and do what it says; returns after how many seconds, from the answer, it asks again."""
        self.log(VERBOSE, "Push long polling inquiry")
        path = f"notification/polling/{headwind_wire.path_part(self.number)}"
        try:
            headers = {"X-Request-Signature": self._poll_signed}
            answer = self._call("GET", path, headers, bases=self._poll_bases, read=headwind_wire.envelope)
            messages = self._messages(answer) if 200 <= answer.status < 300 else []
        except _NETWORK:
            self.log(WARN, "Failed to query push notifications")
            return AFTER_NETWORK_ERROR_S
        for one in messages:
            self.log(INFO, f"Got Push Message, type {one['messageType']}")
            self._heed(one)
        return AFTER_4XX_S if 400 <= answer.status < 500 else AFTER_ANSWER_S

    def _messages(self, answer: Response) -> list[dict[str, Any]]:
        if self.is_strict:
            headwind_reader.read_messages(answer.body)
        told = headwind_wire.envelope(answer.body)
        found = (told.get("data") or []) if told.get("status") == "OK" else []
        return list({one["messageType"]: one for one in found}.values())  # of a kind, one

    def _heed(self, message: Mapping[str, Any]) -> None:
        payload = json.loads(message["payload"]) if message.get("payload") else {}
        match message["messageType"]:
            case "configUpdated":
                with suppress(NotTakenInError, *_NETWORK):  # there is a dialog at most
                    self.update()
            case "clearDownloadHistory":
                self.failed.clear()
            case "reboot":
                self.reboots += 1
            case "uninstallApp":
                self.uninstall(payload["pkg"])
            case "runApp":
                self.launches.append(payload["pkg"])

    def device_info(self) -> dict[str, Any]:
        """Return what a report says."""
        return {"deviceId": self.number, "serial": self.serial, **super().device_info()}


def _read_whole(body: bytes) -> None:
    told = headwind_wire.envelope(body)
    if told.get("data") is not None:
        headwind_wire.configuration(told["data"])
