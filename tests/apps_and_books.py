"""Apple's service for licences of apps on loopback: a stand-in that keeps books, scriptable.

``running()`` starts one in threads of its own. What it is asked for it does some looks later, as the real one does, and
refuses what that would refuse.

Source: https://developer.apple.com/documentation/devicemanagement/app-and-book-management (managing-assets,
using-paginated-endpoints, handling-error-responses); others have measured that a bad token is told with status 200.
What the real one says of a tablet that it does not know is not documented: this one says 9604.
"""

import base64
import contextlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATH = "/mdm/v2"


def token_file(
    *, expires_at: datetime, organisation: str = "Prøvekommune", but: Mapping[str, Any] | None = None
) -> bytes:
    """Return a token's file as the portal gives it; ``but`` says what is otherwise than in a sound one."""
    told = {
        "token": secrets.token_hex(24), "expDate": expires_at.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "orgName": organisation, **(but or {}),
    }  # fmt: skip
    return base64.b64encode(json.dumps(told, ensure_ascii=False).encode()) + b"\n"


@dataclass
class Asset:
    """Licences of an app: who has one, and how many were bought."""

    total: int
    is_for_devices: bool = True
    pricing: str = "STDQ"
    serials: list[str] = field(default_factory=list)


@dataclass
class Event:
    """What the service was asked for: in how many looks it is done, and what came of it."""

    kind: str
    told: Mapping[str, Any]
    looks: int
    failures: list[dict[str, Any]] = field(default_factory=list)
    is_done: bool = False


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    asked: Mapping[str, str]
    told: Mapping[str, Any]


class Service:
    """Script and records. Attributes may be set while it runs.

    Attributes:
        requests: each that came with a token that counts.
        tokens: those that came.
        mdm: which service manages the licences, as it said; None: none has.
        looks: how often an event is pending before it is done.
        unknown: serials that it knows nothing of.
        names_failures: whether it says which tablets got nothing for lack of licences.
        answers: status, body and headers for the next requests, each once, in place of sound ones.
        token_fault: status and error number for every request with a token.
        mute: for how many requests that change something it does what is asked, and hangs up without a word.
        version: changes whenever who has what changes; with ``restless`` between any two pages.
    """

    def __init__(self) -> None:
        self.assets: dict[int, Asset] = {}
        self.requests: list[Request] = []
        self.tokens: set[str] = set()
        self.mdm: dict[str, str] | None = None
        self.looks = 1
        self.unknown: set[str] = set()
        self.names_failures = True
        self.answers: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        self.token_fault: tuple[int, int] | None = None
        self.mute = 0
        self.page_size = 500
        self.max_assets, self.max_serials = 25, 1_000
        self.version, self.restless = 1, False
        self.events: dict[str, Event] = {}
        self.lock = threading.Lock()
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, *paths: str) -> list[Request]:
        """Return the requests for these paths, in order."""
        return [one for one in self.requests if one.path in paths]

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        """Do what is asked, and say what the real one would."""
        ways: dict[tuple[str, str], Callable[[Request], tuple[int, dict[str, Any]]]] = {
            ("GET", "/client/config"): lambda _: (200, {"mdmInfo": self.mdm} if self.mdm else {}),
            ("POST", "/client/config"): self.claim,
            ("GET", "/assets"): lambda asked: self.page("assets", [self.counts(one) for one in self.assets], asked),
            ("GET", "/assignments"): self.assignments,
            ("POST", "/assets/associate"): self.change,
            ("POST", "/assets/disassociate"): self.change,
            ("GET", "/status"): lambda asked: self.status(asked.asked.get("eventId", "")),
        }
        way = ways.get((request.method, request.path))
        return way(request) if way is not None else (404, error(9604))

    def claim(self, request: Request) -> tuple[int, dict[str, Any]]:
        if set(request.told.get("mdmInfo", {})) != {"id", "name", "metadata"}:
            return 400, error(9723)
        self.mdm = dict(request.told["mdmInfo"])
        return 200, {"mdmInfo": self.mdm}

    def assignments(self, request: Request) -> tuple[int, dict[str, Any]]:
        number = int(request.asked["adamId"])
        serials = self.assets[number].serials if number in self.assets else []
        rows = [{"adamId": str(number), "serialNumber": one, "pricingParam": "STDQ"} for one in serials]
        return self.page("assignments", rows, request)

    def counts(self, number: int) -> dict[str, Any]:
        one = self.assets[number]
        return {
            "adamId": str(number), "assignedCount": len(one.serials), "availableCount": one.total - len(one.serials),
            "deviceAssignable": one.is_for_devices, "pricingParam": one.pricing, "productType": "App",
            "retiredCount": 0, "revocable": True, "supportedPlatforms": ["iOS"], "totalCount": one.total,
        }  # fmt: skip

    def page(self, name: str, rows: list[dict[str, Any]], request: Request) -> tuple[int, dict[str, Any]]:
        index, size = int(request.asked.get("pageIndex", 0)), self.page_size
        total = max(1, -(-len(rows) // size))
        if not 0 <= index < total:
            return 400, error(9650)
        self.version += self.restless
        told = {name: rows[index * size : (index + 1) * size], "currentPageIndex": index, "totalPages": total}
        more = {"nextPageIndex": index + 1} if index + 1 < total else {}
        return 200, {**told, **more, "size": len(told[name]), "versionId": f"v{self.version}"}  # type: ignore[arg-type]

    def change(self, request: Request) -> tuple[int, dict[str, Any]]:
        assets, serials = request.told.get("assets", []), request.told.get("serialNumbers", [])
        numbers = [int(one["adamId"]) for one in assets]
        for is_fault, number in (
            (not assets, 9718), (not serials, 9719), (len(assets) > self.max_assets, 9700),
            (len(serials) > self.max_serials, 9702), (len(set(numbers)) < len(numbers), 9703),
            (len(set(serials)) < len(serials), 9705), (any(one not in self.assets for one in numbers), 9602),
            (any(not self.assets[one].is_for_devices for one in numbers if one in self.assets), 9707),
        ):  # fmt: skip
            if is_fault:
                return 400, error(number)
        event_id = secrets.token_hex(16)
        kind = request.path.removeprefix("/assets/").upper()
        self.events[event_id] = Event(kind, {"assets": numbers, "serials": serials}, self.looks)
        if not self.looks:
            self.finish(self.events[event_id])
        return 200, {"eventId": event_id}

    def status(self, event_id: str) -> tuple[int, dict[str, Any]]:
        event = self.events.get(event_id)
        if event is None:
            return 400, error(9708)
        if event.looks:
            event.looks -= 1
            return 200, {"eventStatus": "PENDING", "eventType": event.kind}
        self.finish(event)
        told = {"eventStatus": "FAILED" if event.failures else "COMPLETE", "eventType": event.kind}
        return 200, {**told, **({"failures": event.failures} if event.failures else {})}

    def finish(self, event: Event) -> None:
        """Do what was asked for, once."""
        if event.is_done:
            return
        event.is_done = True
        self.version += 1
        lacking: list[str] = []
        strange = [one for one in event.told["serials"] if one in self.unknown]
        for number in event.told["assets"]:
            asset = self.assets[number]
            for serial in event.told["serials"]:
                if event.kind == "DISASSOCIATE":
                    if serial in asset.serials:
                        asset.serials.remove(serial)
                elif serial not in asset.serials and serial not in strange:
                    if len(asset.serials) < asset.total:
                        asset.serials.append(serial)
                    else:
                        lacking.append(serial)
        if strange:
            event.failures.append(error(9604, strange))
        if lacking:
            event.failures.append(error(9709, lacking if self.names_failures else None))

    def catch_up(self) -> None:
        """Do all that was asked for so far."""
        for event in self.events.values():
            event.looks = 0
            self.finish(event)


def error(number: int, serials: list[str] | None = None) -> dict[str, Any]:
    """Return how the service tells of an error."""
    about = {"errorInfo": {"serialNumbers": serials}} if serials else {}
    return {"errorNumber": number, "errorMessage": f"Error {number}.", **about}


class _Handler(BaseHTTPRequestHandler):
    service: Service

    def do_GET(self) -> None:
        self.serve({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.serve(json.loads(body))

    def serve(self, told: Mapping[str, Any]) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        request = Request(self.command, parts.path.removeprefix(PATH), asked, told)
        with self.service.lock:
            self.say(*self.judge(request), request=request)

    def judge(self, request: Request) -> tuple[int, dict[str, Any], dict[str, str]]:
        service = self.service
        if request.path == "/service/config":
            limits = {"maxAssets": service.max_assets, "maxSerialNumbers": service.max_serials, "maxUsers": 100}
            return 200, {"limits": limits, "errorCodes": []}, {}
        service.tokens.add(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if service.token_fault is not None:
            return service.token_fault[0], error(service.token_fault[1]), {}
        if service.answers:
            return service.answers.pop(0)
        service.requests.append(request)
        return *service.answer(request), {}

    def say(self, status: int, told: Mapping[str, Any], headers: Mapping[str, str], *, request: Request) -> None:
        if self.service.mute and request.method == "POST" and request.path != "/client/config":
            self.service.mute -= 1
            self.close_connection = True
            return
        body = json.dumps(told).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the interface)
        """Say nothing."""


@contextlib.contextmanager
def running() -> Iterator[Service]:
    """Run a service in threads of its own."""
    service = Service()
    handler = type("_Own", (_Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        service.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="apps-and-books", daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join(10)
