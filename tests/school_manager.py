"""Apple School Manager, the side of it that a server of ours sees: a stand-in. Own code, for tests.

``token_file`` makes the server token's file as the portal gives it; ``running`` runs the service: OAuth, sessions that
end, lists by page and by cursor, profiles. It answers over real HTTP, scriptable while it runs.

Source: https://developer.apple.com/documentation/devicemanagement/device-assignment; RFC 5849 for signatures, by other
code than the server's.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import threading
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

from cryptography import x509

from tests.apple_messages import Shape, enveloped

DER = Shape()
CREDENTIALS = {
    "consumer_key": "CK_48dd68d198350f51258e885ce9a5c37ab7f98543c4a697323d75682a6c10a32501cb247e3db08105db868f73f2c972bd",
    "consumer_secret": "CS_dc0a+/=0fc51",
    "access_token": "AT_O8473841",
    "access_secret": "AS_cd4b%20&x",
}


def token_file(
    certificate: bytes,
    *,
    expires_at: datetime,
    cipher: str = "3des",
    shape: Shape = DER,
    but: Mapping[str, str | None] | None = None,
) -> bytes:
    """Return the file of a server token.

    Args:
        certificate: what was uploaded, PEM.
        expires_at: until when it counts.
        cipher: one of ``CIPHERS``.
        shape: how it is encoded.
        but: what is otherwise than in a sound token; None takes a field away.
    """
    told = {**CREDENTIALS, "access_token_expiry": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"), **(but or {})}
    text = json.dumps({name: value for name, value in told.items() if value is not None})
    inside = (
        "Content-Type: text/plain;charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        f"-----BEGIN MESSAGE-----\r\n{text[:60]}\r\n{text[60:]}\r\n-----END MESSAGE-----\r\n"
    )
    envelope = enveloped(inside.encode(), x509.load_pem_x509_certificate(certificate), cipher, shape)
    return (
        b'Content-Type: application/pkcs7-mime; name="smime.p7m"; smime-type=enveloped-data\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="smime.p7m"\r\nContent-Description: S/MIME Encrypted Message\r\n\r\n'
        + base64.encodebytes(envelope).replace(b"\n", b"\r\n")
    )


class RefusalError(Exception):
    """The service says no: a status and a word."""

    def __init__(self, status: int, word: str, **headers: str) -> None:
        super().__init__(status, word)
        self.status, self.word, self.headers = status, word, headers


class SchoolManager:
    """The service. Attributes may be set while it runs.

    Attributes:
        devices: what is assigned to our server, by serial.
        profiles: what was defined, by UUID.
        requests: method and path of all that was asked, in order.
        page: how many devices it gives at once, whatever is asked for.
        throttled: serials that take no profile for a while.
        retry_after_s: for how long, as it says.
        outcomes: how serials take a profile, where not well.
        terms_signed: whether somebody has accepted its terms.
        busy: how many requests more it is too busy for.
        stuck: whether it gives the same cursor again and again.
        sessions: tokens of those that count.
    """

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}
        self.profiles: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.page = 1000
        self.throttled: set[str] = set()
        self.retry_after_s = 7200
        self.outcomes: dict[str, str] = {}
        self.terms_signed = True
        self.busy = 0
        self.stuck = False
        self.sessions: set[str] = set()
        self.server_uuid = uuid.uuid4().hex.upper()
        self.changed: list[dict[str, Any]] = []
        self._age = 0  # cursors of another age have expired
        self._nonces: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what people do there ------------------------------------------------------------------------------------

    def assign(self, *serials: str, family: str = "iPad") -> None:
        """Assign devices to our server."""
        for serial in serials:
            self.devices[serial] = {
                "serial_number": serial, "model": f"{family} 10th Gen", "description": f"{family} 10TH GEN WIFI 64GB",
                "color": "SILVER", "device_family": family, "os": "iOS", "profile_status": "empty",
            }  # fmt: skip
            self._change(serial, "added")

    def release(self, serial: str) -> None:
        """Take a device from our server."""
        self._change(serial, "deleted")
        del self.devices[serial]

    def end_sessions(self) -> None:
        self.sessions.clear()

    def expire_cursors(self) -> None:
        self._age += 1

    def profile_of(self, serial: str) -> dict[str, Any] | None:
        """Return what a device would fetch when it is switched on."""
        return self.profiles.get(self.devices[serial].get("profile_uuid", ""))

    def _change(self, serial: str, how: str) -> None:
        when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.changed.append({**self.devices[serial], "op_type": how, "op_date": when})

    # -- what servers ask ----------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, Any], str]:
        """Return what it answers, and the session's token from now on."""
        self.requests.append((method, path))
        if self.busy:
            self.busy -= 1
            raise RefusalError(503, "SERVICE_UNAVAILABLE", **{"Retry-After": "120"})
        if headers.get("X-Server-Protocol-Version") != "3" or "json" not in headers.get("Content-Type", ""):
            raise RefusalError(400, "MALFORMED_REQUEST")
        if path == "/session":
            self._check_signature(method, headers.get("Authorization", ""))
            if not self.terms_signed:
                raise RefusalError(403, "T_C_NOT_SIGNED")
            token = secrets.token_hex(16)
            self.sessions.add(token)
            return {"auth_session_token": token}, token
        session = headers.get("X-ADM-Auth-Session", "")
        if session not in self.sessions:
            raise RefusalError(401, "UNAUTHORIZED")
        if not self.terms_signed:
            raise RefusalError(403, "T_C_NOT_SIGNED")
        self.sessions.remove(session)  # each answer brings the next
        session = secrets.token_hex(16)
        self.sessions.add(session)
        return self._serve(method, path, json.loads(body) if body else {}), session

    def _serve(self, method: str, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        match method, path:
            case "GET", "/account":
                return {
                    "server_name": "Nettbrett",
                    "server_uuid": self.server_uuid,
                    "org_name": "Prøvekommune",
                    "org_type": "edu",
                }
            case "POST", "/server/devices":
                return self._list(asked)
            case "POST", "/devices/sync":
                _place, since = self._cursor(asked.get("cursor"))
                found, rest = self.changed[since : since + self.page], self.changed[since + self.page :]
                return self._page(
                    found, 0, since if self.stuck else since + len(found), has_more=bool(rest) or self.stuck
                )
            case "POST", "/profile":
                return self._define(asked)
            case (("POST" | "PUT"), "/profile/devices"):
                if asked["profile_uuid"] not in self.profiles:
                    raise RefusalError(404, "NOT_FOUND")
                outcomes = {serial: self._take(serial, asked["profile_uuid"]) for serial in asked["devices"][:1000]}
                wait = {"retry_after_seconds": self.retry_after_s} if "THROTTLED" in outcomes.values() else {}
                return {"profile_uuid": asked["profile_uuid"], "devices": outcomes, **wait}
            case "DELETE", "/profile/devices":
                return {"devices": {serial: self._take(serial, None) for serial in asked["devices"]}}
        raise RefusalError(404, "NOT_FOUND")

    def _list(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        place, since = self._cursor(asked["cursor"]) if "cursor" in asked else (0, len(self.changed))
        every = list(self.devices.values())
        if "cursor" in asked and place >= len(every):
            raise RefusalError(400, "EXHAUSTED_CURSOR")
        end = place + min(self.page, asked["limit"])
        return self._page(every[place:end], end, since, has_more=end < len(every))

    def _page(self, devices: list[dict[str, Any]], place: int, since: int, *, has_more: bool) -> dict[str, Any]:
        cursor = json.dumps([self._age, place, since]).encode().hex()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"cursor": cursor, "devices": devices, "more_to_follow": has_more, "fetched_until": now}

    def _cursor(self, told: str | None) -> tuple[int, int]:
        try:
            age, place, since = json.loads(bytes.fromhex(told or ""))
        except ValueError:
            raise RefusalError(400, "INVALID_CURSOR") from None
        if age != self._age:
            raise RefusalError(400, "EXPIRED_CURSOR")
        return place, since

    def _define(self, told: dict[str, Any]) -> dict[str, Any]:
        if not told.get("profile_name") or not str(told.get("url", "")).startswith("http") or not told.get("org_magic"):
            raise RefusalError(400, "CONFIG_URL_REQUIRED")
        if told.get("is_mdm_removable") is False and not told.get("is_supervised"):
            raise RefusalError(400, "FLAGS_INVALID")
        name = uuid.uuid4().hex.upper()
        self.profiles[name] = told
        return {"profile_uuid": name, "devices": {}}

    def _take(self, serial: str, profile: str | None) -> str:
        if serial not in self.devices:
            return "NOT_ACCESSIBLE"
        if serial in self.throttled:
            return "THROTTLED"
        if serial in self.outcomes:
            return self.outcomes[serial]
        device = self.devices[serial]
        device.pop("profile_uuid", None)
        device.update(
            {"profile_uuid": profile, "profile_status": "assigned"} if profile else {"profile_status": "empty"}
        )
        self._change(serial, "modified")
        return "SUCCESS"

    def _check_signature(self, method: str, header: str) -> None:
        told = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', header)}
        given = told.pop("oauth_signature", "")
        told.pop("realm", None)
        if (
            told.get("oauth_consumer_key") != CREDENTIALS["consumer_key"]
            or told.get("oauth_token") != CREDENTIALS["access_token"]
        ):
            raise RefusalError(401, "token_rejected")
        if abs(datetime.now(UTC).timestamp() - int(told["oauth_timestamp"])) > 300:
            raise RefusalError(401, "timestamp_refused")
        if told["oauth_nonce"] in self._nonces:
            raise RefusalError(401, "nonce_used")
        self._nonces.add(told["oauth_nonce"])

        def safe(text: str) -> str:
            return quote(text, safe="-._~")

        pairs = "&".join(sorted(f"{safe(name)}={safe(value)}" for name, value in told.items()))
        base = f"{method}&{safe(self.url + '/session')}&{safe(pairs)}"
        key = f"{safe(CREDENTIALS['consumer_secret'])}&{safe(CREDENTIALS['access_secret'])}"
        right = base64.b64encode(hmac.digest(key.encode(), base.encode(), hashlib.sha1)).decode()
        if given != right:
            raise RefusalError(401, "signature_invalid")


def _handler(service: SchoolManager) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                told, session = service.answer(self.command, self.path, dict(_titled(self.headers)), body)
            except RefusalError as refusal:
                self._send(refusal.status, json.dumps(refusal.word).encode(), refusal.headers)
            else:
                self._send(200, json.dumps(told).encode(), {"X-ADM-Auth-Session": session})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json;charset=UTF8"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the library's name)
            """Say nothing."""

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 (the library's names)

    return Handler


def _titled(headers: Any) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        yield "X-ADM-Auth-Session" if name.lower() == "x-adm-auth-session" else name.title(), value


@contextlib.contextmanager
def running() -> Iterator[SchoolManager]:
    """Run a service on loopback."""
    made = SchoolManager()
    made.start()
    try:
        yield made
    finally:
        made.stop()
