"""Files on their way to the pages, through the gate: whole from who is signed in, and small from everybody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_protocol.transport import Response
from fleet.apps import images, picture
from fleet.db import db
from tests import visiting
from tests.gate import Door, door
from tests.pictures import png
from tests.visiting import Visitor

EDGE = "edge-of-this-form"
LARGE = png(640, 480) + b"\0" * (picture.MAX_BYTES - 200)


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path / "data") as made:
        visiting.build(made.app)
        yield made


def sent(gate: Door, path: str, content: bytes, *, cookie: str, token: str) -> Response:
    """Send a file as a browser does, through the gate."""
    fields = {"csrf_token": token, "name": "skog"}
    parts = [
        f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="skog.png"\r\n\r\n')
    body = "".join(parts).encode() + content + f"\r\n--{EDGE}--\r\n".encode()
    return gate.send("POST", path, {"Content-Type": f"multipart/form-data; boundary={EDGE}", "Cookie": cookie}, body)


def signed_in(gate: Door) -> tuple[str, str]:
    """Return the cookie and the token of somebody who is signed in."""
    visitor = Visitor(gate.app)
    visitor.sign_in("admin")
    token = visitor.token("/images")
    cookie = visitor.client.get_cookie("fleet", domain="localhost")
    assert cookie is not None
    return f"fleet={cookie.value}", token


def test_a_file_of_whom_is_signed_in_arrives_whole(gate: Door) -> None:
    cookie, token = signed_in(gate)
    answer = sent(gate, "/images", LARGE, cookie=cookie, token=token)
    assert answer.status == 303
    with gate.app.app_context():
        assert images.bodies(["skog"]) == {"skog": LARGE}
        db.session.rollback()
    assert sent(gate, "/images", LARGE + b"\0" * 100_000, cookie=cookie, token=token).status == 413


@pytest.mark.parametrize("cookie", ["", "fleet=made-up", "fleet=.eJwlzjE.aaaa.bbbb"])
def test_of_strangers_nothing_large_is_read(gate: Door, cookie: str) -> None:
    _cookie, token = signed_in(gate)
    assert sent(gate, "/images", LARGE, cookie=cookie, token=token).status == 413
    stranger = Visitor(gate.app)
    stranger.get("/sign-in")
    own = stranger.client.get_cookie("fleet", domain="localhost")
    assert own is not None
    assert sent(gate, "/images", LARGE, cookie=f"fleet={own.value}", token=token).status == 413


def test_other_forms_stay_small_for_everybody(gate: Door) -> None:
    cookie, token = signed_in(gate)
    for path in ("/language", "/unknown", "/images/"):
        assert sent(gate, path, LARGE, cookie=cookie, token=token).status in {404, 413}
