"""The recorded exchanges: how they are written, read and signed.

A body is kept as the text that was sent, as signatures and digests are over its bytes; ``{"repeat": …, "times": …}``
stands for one that is only there for its size.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_protocol import signing
from tests.unit.protocol.keys import key

FOLDER = Path(__file__).parents[2] / "agent_protocol" / "examples"
AUTHORITY = "fleet.test"


@dataclass(frozen=True)
class Request:
    """A request as a tablet sends it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True)
class Example:
    """One exchange.

    Args:
        name: of the file, without its number.
        about: what it shows.
        at: the server's clock, seconds since 1970.
        key: number of the test key that the tablet has; None where the request is not signed.
        is_verifiable: whether the request's signature holds.
        request: what the tablet sent.
        status: of the answer.
        headers: of the answer.
        body: of the answer.
    """

    name: str
    about: str
    at: int
    key: int | None
    is_verifiable: bool
    request: Request
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The request's path."""
        return self.request.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The request's query, without the question mark."""
        return self.request.target.partition("?")[2]


def signed(
    number: int,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    at: int,
    nonce: str = signing.SAFE_NONCE,
    **headers: str,
) -> Request:
    """Return a request signed with test key ``number``; ``headers`` have underscores for hyphens."""
    made = signing.sign_request(
        key(number), method=method, authority=AUTHORITY, path=path, query="", body=body, created=at, nonce=nonce
    )
    told = {"Host": AUTHORITY} | ({"Content-Type": "application/json"} if body is not None else {}) | made
    return Request(method, path, told | {name.replace("_", "-"): value for name, value in headers.items()}, body)


def _text(body: bytes | None) -> Any:
    if body is not None and len(body) > 100_000:
        return {"repeat": body[:1].decode(), "times": len(body)}
    return body.decode() if body is not None else None


def _bytes(told: Any) -> bytes | None:
    if isinstance(told, dict):
        return bytes(told["repeat"].encode() * told["times"])
    return told.encode() if told is not None else None


def write(number: int, example: Example) -> None:
    """Keep an example under its number."""
    told = {
        "name": example.name,
        "about": example.about,
        "at": example.at,
        "key": example.key,
        "is_verifiable": example.is_verifiable,
        "request": {
            "method": example.request.method,
            "target": example.request.target,
            "headers": example.request.headers,
            "body": _text(example.request.body),
        },
        "response": {"status": example.status, "headers": example.headers, "body": example.body.decode() or None},
    }
    path = FOLDER / f"{number:02}-{example.name}.json"
    path.write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> Example:
    """Read an example."""
    told = json.loads(path.read_text(encoding="utf-8"))
    request, response = told["request"], told["response"]
    return Example(
        told["name"],
        told["about"],
        told["at"],
        told["key"],
        told["is_verifiable"],
        Request(request["method"], request["target"], request["headers"], _bytes(request["body"])),
        response["status"],
        response["headers"],
        _bytes(response["body"]) or b"",
    )


def load() -> list[Example]:
    """Return all examples, in their order."""
    return [read(path) for path in sorted(FOLDER.glob("*.json"))]
