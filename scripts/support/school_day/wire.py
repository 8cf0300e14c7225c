"""What goes over a tablet's connection: requests as bytes, answers taken apart. No clock and no socket here."""

import base64
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agent_protocol.messages import BASE_PATH, CONFIG_TYPE, ConfigAnswer
from bench import load
from bench.school import Tablet
from school_day.world import Place

_SCHOOL_NET, _HOME_NET = 10, 200  # 127.10.0.0/16 is the first school's network, 127.200.0.0/16 is at home


def networks(school: int) -> list[str]:
    """Return a school's networks, of loopback, as its administrators tell them."""
    return [f"127.{_SCHOOL_NET + school}.0.0/16"]


def address(place: Place, school: int, number: int) -> str:
    """Return the address a tablet asks from."""
    net = _SCHOOL_NET + school if place is Place.SCHOOL else _HOME_NET
    return f"127.{net}.{number // 250 % 250}.{1 + number % 250}"


def poll(tablet: Tablet, etag: str, wait_s: int) -> bytes:
    """Return a poll; one that waits where ``wait_s`` is not 0."""
    path = f"{BASE_PATH}/config"
    headers = {**tablet.asked(path), "If-None-Match": etag}
    if wait_s:
        headers["Prefer"] = f"wait={wait_s}"
    return load.request("GET", path, headers)


def fetch(tablet: Tablet, digest: str) -> bytes:
    """Return the request for a profile's body."""
    path = f"{BASE_PATH}/profiles/{digest}"
    return load.request("GET", path, tablet.asked(path))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whole."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> str | None:
        """Return a header by its name in lower case, as the server writes it; None where there is none."""
        _, is_there, rest = self.head.partition(b"\r\n" + name + b": ")
        return rest.partition(b"\r\n")[0].decode() if is_there else None

    @property
    def max_age_s(self) -> int:
        """When to poll next, as the server says; a minute where it does not."""
        told = (self.header(b"cache-control") or "").rpartition("max-age=")[2]
        return int(told) if told.isdecimal() else 60

    @property
    def retry_after_s(self) -> float:
        """How long to say nothing."""
        told = self.header(b"retry-after") or ""
        return float(told) if told.isdecimal() else 5.0


def taken(buffer: bytes) -> Answer | None:
    """Return the answer that a buffer holds, None while it is not all there."""
    head, end, rest = buffer.partition(b"\r\n\r\n")
    if not end:
        return None
    _, is_there, length = head.partition(b"\r\ncontent-length: ")
    wanted = int(length.partition(b"\r\n")[0]) if is_there else 0
    return Answer(int(head[9:12]), head, rest) if len(rest) >= wanted else None


def is_signed(answer: ConfigAnswer, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether the server's key has signed a configuration. Source: agent_protocol/README.md section 5."""
    payload, kind = base64.b64decode(answer.payload), CONFIG_TYPE.encode()
    try:
        key.verify(
            base64.b64decode(answer.signatures[0].sig),
            b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload),
            ec.ECDSA(hashes.SHA256()),
        )
    except InvalidSignature:
        return False
    return True
