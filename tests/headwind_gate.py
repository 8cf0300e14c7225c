"""A tablet's agent by hand: each call as its test wants it, where :mod:`tests.headwind_agent` would do all in order."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from agent_protocol.transport import Response
from fleet.android import addresses
from tests import headwind_reader
from tests.gate import Door


class Raw:
    """An agent whose every call is told by hand.

    Args:
        gate: the server.
        number: what it calls itself.
        project: where it speaks.
        cpu: what it runs on.
    """

    def __init__(self, gate: Door, number: str = "BRETT1", *, project: str = "", cpu: str = "arm64-v8a") -> None:
        self.gate, self.number, self.project, self.cpu = gate, number, project, cpu

    def call(self, method: str, path: str, told: Any = None, **headers: str) -> Response:
        """Call under its project."""
        body = None if told is None else json.dumps(told).encode()
        named = {"x-cpu-arch": self.cpu, **headers}
        return self.gate.send(method, f"/{self.project}/rest/{path}", named, body)

    def enrol(self, code: str) -> dict[str, Any]:
        """Ask to be taken in, and go on where it is told."""
        self.project = addresses.enrolment_project(code)
        return self.move(self.configuration("POST"))

    def move(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Go on at the address that a configuration names."""
        self.project = urlsplit(data["newServerUrl"]).path.removeprefix("/")
        return dict(data)

    def ask(self, method: str = "GET") -> Response:
        """Ask for the configuration."""
        told: dict[str, Any] | None = (
            {"customer": None, "configuration": None, "groups": [], "groupSet": []} if method == "POST" else None
        )
        return self.call(method, f"public/sync/configuration/{quote(self.number)}", told)

    def configuration(self, method: str = "GET") -> dict[str, Any]:
        """Return the configuration, which has to be one."""
        answer = self.ask(method)
        assert answer.status == 200, answer
        return headwind_reader.read_configuration(answer.body, answer.headers)

    def poll(self, **scope: Any) -> Response:
        """Poll."""
        return self.gate.send(
            "GET", f"/{self.project}/rest/notification/polling/{quote(self.number)}", {}, None, **scope
        )

    def has_news(self) -> bool:
        """Poll, and return whether it shall fetch its configuration."""
        answer = self.poll()
        assert answer.status == 200, answer
        return [one["messageType"] for one in headwind_reader.read_messages(answer.body)] == ["configUpdated"]

    def tell(self, data: Mapping[str, Any] | None = None, **changes: Any) -> Response:
        """Tell how it is, as after an update with this configuration in its cache."""
        shown = [
            {"name": one["name"], "pkg": one["pkg"], "version": "6.36"}
            for one in (data or {}).get("applications", ())
            if one["pkg"] == addresses.AGENT_APP
        ]
        info = {
            "deviceId": self.number, "model": "SM-T500", "androidVersion": "12", "batteryLevel": 77, "mdmMode": True,
            "kioskMode": False, "permissions": [1, 1, 0, 0], "applications": shown, "files": [],
            "launcherType": "opensource", "launcherPackage": addresses.AGENT_APP, "defaultLauncher": True,
        }  # fmt: skip
        return self.call("POST", "public/sync/info", {**info, **changes})

    def log(self, *texts: str) -> Response:
        """Upload a part of its log."""
        told: list[dict[str, Any]] = [
            {"timestamp": 1, "logLevel": 5, "packageId": addresses.AGENT_APP, "message": text} for text in texts
        ]
        return self.call("POST", f"plugins/devicelog/log/list/{self.number}", told)

    def confirm(self, what: str, **changes: Any) -> Response:
        """Say that it is about to do what it was ordered: public (wipe), reboot or password."""
        kind = "" if what == "public" else f"{what}/"
        told = {"deviceId": self.number, **changes}
        return self.call("POST", f"plugins/devicereset/public/{kind}{self.number}", told)
