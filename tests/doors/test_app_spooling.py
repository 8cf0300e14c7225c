"""Packages sent by the page, through the gate: of any size, kept or gone, and never in memory."""

import asyncio
import errno
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from agent_protocol.transport import Response
from fleet.apps import catalogue, sent
from fleet.apps.files import PackageFiles
from fleet.channels import spooling
from fleet.db import db
from fleet.devices.models import Platform
from tests import apks, visiting
from tests.doors.test_web_pages import visiting_text
from tests.extent import on
from tests.gate import Door, door
from tests.packages import ipa
from tests.visiting import Visitor

pytestmark = on("sqlite")  # what it is about is files

EDGE = "edge-of-this-form"


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path / "data") as made:
        visiting.build(made.app)
        yield made


def signed_in(gate: Door, username: str = "admin") -> tuple[str, str]:
    """Return the cookie and the token of somebody who is signed in."""
    visitor = Visitor(gate.app)
    visitor.sign_in(username)
    visitor.post("/language", language="en")
    token = visitor.token("/account")
    cookie = visitor.client.get_cookie("fleet", domain="localhost")
    assert cookie is not None
    return f"fleet={cookie.value}", token


def form(token: str, content: bytes, name: str = "tavle.apk") -> list[bytes]:
    """Return a form in three pieces, of which the middle is the file."""
    head = (
        f'--{EDGE}\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n'
        f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return [head.encode(), content, f"\r\n--{EDGE}--\r\n".encode()]


def headers(cookie: str, length: int | None, **more: str) -> list[tuple[bytes, bytes]]:
    told = {"content-type": f"multipart/form-data; boundary={EDGE}", "cookie": cookie, **more}
    if length is not None:
        told["content-length"] = str(length)
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]


def send(gate: Door, who: tuple[str, str], content: bytes, name: str = "tavle.apk", **more: str) -> Response:
    cookie, token = who
    pieces = form(token, content, name)
    told = headers(cookie, sum(map(len, pieces)), **more)
    return gate.wait(gate.call("POST", sent.PATH, told, chunks=pieces))


def said(answer: Response) -> str:
    return " ".join(visiting_text(answer.body.decode()).split())


def kept(gate: Door) -> list[str]:
    folder = files(gate.app).path("x").parent
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def files(app: Flask) -> PackageFiles:
    return PackageFiles(app.extensions["fleet_config"].packages_dir)


def known(gate: Door) -> list[tuple[str, str, list[str]]]:
    with gate.app.app_context():
        found = [(one.app_id, one.platform.value, [it.kind for it in one.packages]) for one in catalogue.listed()]
        db.session.rollback()
        return found


def test_a_package_is_taken_into_use_with_its_file(gate: Door, tmp_path: Path) -> None:
    who, content = signed_in(gate), apks.apk_bytes(more={"assets/large": os.urandom(3_000_000)})
    answer = send(gate, who, content, "mappe/Tavla 1.2.apk")
    assert (answer.status, known(gate)) == (303, [(apks.BOARD, "android", ["apk"])])
    with gate.app.app_context():
        (package,) = catalogue.find(apks.BOARD, Platform.ANDROID).packages
        assert (package.file_name, package.size_bytes) == ("Tavla 1.2.apk", len(content))
        assert files(gate.app).path(package.digest).read_bytes() == content
        assert kept(gate) == [package.digest]
        db.session.rollback()
    page = gate.send("GET", answer.headers["location"], {"Cookie": who[0]}, None)
    assert "Tavla 1.2.apk" in said(page)
    by_script = send(gate, who, apks.xapk(tmp_path / "a").read_bytes(), x_progress="yes")
    assert (by_script.status, by_script.headers["location"]) == (204, answer.headers["location"])
    assert send(gate, who, ipa(tmp_path / "a.ipa").read_bytes()).status == 303
    assert len(known(gate)) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Choose a file that is not empty"), (b"a text\n" * 50, "no package, or is damaged"),
        (b"\r\n--" + EDGE.encode()[:-1] + b"x\r\n" * 900, "no package, or is damaged"),
        (apks.apk_bytes(scheme="none"), "Nobody has signed"), (apks.packed({"x": b""}), "no package for iPads"),
        (apks.packed({"../x": b""}), "not one to trust"),
    ],
)  # fmt: skip
def test_what_is_no_package_is_refused_in_words_and_nothing_is_kept(gate: Door, content: bytes, words: str) -> None:
    answer = send(gate, signed_in(gate), content)
    assert (answer.status, words in said(answer)) == (400, True)
    assert (kept(gate), known(gate)) == ([], [])


def test_another_signers_package_and_an_older_one_are_refused_with_what_to_do(gate: Door) -> None:
    who = signed_in(gate)
    assert send(gate, who, apks.apk_bytes(outer={apks.CODE: 8})).status == 303
    answer = send(gate, who, apks.apk_bytes(by=apks.signer("another")))
    assert (answer.status, "signed by another" in said(answer)) == (409, True)
    answer = send(gate, who, apks.apk_bytes())
    assert (answer.status, "1.2 (7) of “Tavla” is older than the present 1.2 (8)" in said(answer)) == (409, True)


def test_a_form_without_its_token_is_refused_and_its_file_is_gone(gate: Door) -> None:
    cookie, _token = signed_in(gate)
    assert send(gate, (cookie, "made-up"), apks.apk_bytes()).status == 400
    assert (kept(gate), known(gate)) == ([], [])


@pytest.mark.parametrize("username", ["it", "teacher", "nobody", ""])
def test_who_may_not_write_profiles_writes_nothing_to_the_disk(gate: Door, username: str) -> None:
    who = signed_in(gate, username) if username else ("fleet=.eJwlzjE.aaaa.bbbb", "x")
    assert send(gate, who, b"\0" * 200_000).status == 413
    assert send(gate, who, b"\0" * 20_000).status in {302, 400, 403}
    assert not files(gate.app).path("x").parent.exists()


def test_no_header_and_no_query_names_a_file(gate: Door) -> None:
    who = signed_in(gate, "it")
    told = headers(who[0], 0, fleet_sent="/etc/passwd", x_fleet_sent="x")
    answer = gate.wait(gate.call("POST", f"{sent.PATH}?fleet.sent=x", told))
    assert answer.status in {400, 403}


def test_what_is_larger_than_any_package_is_refused_unread(gate: Door) -> None:
    cookie, _token = signed_in(gate)

    async def asked() -> tuple[list[dict[str, Any]], int]:
        answers: list[dict[str, Any]] = []
        reads = 0

        async def receive() -> dict[str, Any]:
            nonlocal reads
            reads += 1
            return {"type": "http.request", "body": b"x", "more_body": True}

        async def keep(message: dict[str, Any]) -> None:
            answers.append(message)

        scope = {
            "type": "http", "method": "POST", "path": sent.PATH, "raw_path": sent.PATH.encode(), "query_string": b"",
            "headers": headers(cookie, 4 * 2**30 + 2**16 + 1), "http_version": "1.1", "scheme": "http",
            "server": ("fleet.test", 80), "client": ("192.0.2.7", 1), "root_path": "",
        }  # fmt: skip
        await gate.gate(scope, receive, keep)
        return answers, reads

    answers, reads = gate.wait(asked())
    page = b"".join(one.get("body", b"") for one in answers[1:]).decode()
    assert (answers[0]["status"], reads, "The file is too large: at most 4 GB." in page) == (413, 0, True)
    assert kept(gate) == []


def test_what_does_not_say_its_length_is_counted(gate: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "MOST_BYTES", 3_000_000)
    cookie, token = signed_in(gate)
    head, _file, end = form(token, b"")
    pieces = [head, *[b"\0" * 100_000] * 60, end]
    answer = gate.wait(gate.call("POST", sent.PATH, headers(cookie, None, transfer_encoding="chunked"), chunks=pieces))
    assert (answer.status, "too large" in said(answer), kept(gate)) == (413, True, [])
    content = apks.apk_bytes(more={"assets/x": b"x" * 1_000})
    pieces = [head, *[content[at : at + 700] for at in range(0, len(content), 700)], end]
    answer = gate.wait(gate.call("POST", sent.PATH, headers(cookie, None, transfer_encoding="chunked"), chunks=pieces))
    assert answer.status == 303


def test_memory_does_not_grow_with_the_file(gate: Door) -> None:
    cookie, token = signed_in(gate)
    head, _file, end = form(token, b"")
    one = bytes(64 * 1024)
    pieces = [head, *[one] * 1_600, end]  # 100 MB, of one and the same piece
    tracemalloc.start()
    answer = gate.wait(gate.call("POST", sent.PATH, headers(cookie, sum(map(len, pieces))), chunks=pieces))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status, kept(gate)) == (400, [])
    assert most < 50 * 2**20  # of which the zip reader takes 32 for a moment


class Sender:
    """A form whose pieces come when the test says so."""

    def __init__(self, gate: Door, cookie: str, length: int | None = None) -> None:
        self.pieces: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        scope = {
            "type": "http", "method": "POST", "path": sent.PATH, "raw_path": sent.PATH.encode(), "query_string": b"",
            "headers": headers(cookie, length), "http_version": "1.1", "scheme": "http",
            "server": ("fleet.test", 80), "client": ("192.0.2.7", 1), "root_path": "",
        }  # fmt: skip
        self.served = asyncio.ensure_future(gate.gate(scope, self.pieces.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def tell(self, piece: bytes, *, more: bool = True) -> None:
        await self.pieces.put({"type": "http.request", "body": piece, "more_body": more})
        await asyncio.sleep(0.02)

    async def status(self) -> int:
        await asyncio.wait_for(self.served, 60)
        return int(self.sent[0]["status"])


def test_a_file_that_is_cut_off_leaves_nothing(gate: Door) -> None:
    cookie, token = signed_in(gate)
    head, _file, _end = form(token, b"")

    async def cut() -> tuple[list[str], int, int]:
        gone = Sender(gate, cookie, 50_000_000)
        await gone.tell(head + b"\0" * 3_000_000)
        for _try in range(200):
            if there := kept(gate):
                break
            await asyncio.sleep(0.05)
        await gone.pieces.put({"type": "http.disconnect"})
        unfinished = Sender(gate, cookie)
        await unfinished.tell(head + b"\0" * 3_000_000, more=False)
        return there, await gone.status(), await unfinished.status()

    there, gone, unfinished = gate.wait(cut())
    assert (len(there), gone, unfinished) == (1, 408, 400)
    assert (kept(gate), known(gate)) == ([], [])


@pytest.mark.parametrize(("stall_s", "window_s"), [(0.3, 60.0), (30.0, 0.3)])
def test_who_trickles_is_given_up_and_who_sends_steadily_is_not(
    gate: Door, monkeypatch: pytest.MonkeyPatch, stall_s: float, window_s: float
) -> None:
    monkeypatch.setattr(spooling, "STALL_S", stall_s)
    monkeypatch.setattr(spooling, "WINDOW_S", window_s)
    monkeypatch.setattr(spooling, "LEAST_BYTES", 1_000)
    cookie, token = signed_in(gate)
    head, content, end = form(token, apks.apk_bytes())

    async def slowly() -> tuple[int, str]:
        slow = Sender(gate, cookie)
        await slow.tell(head)
        while window_s < 1 and not slow.served.done():
            await slow.tell(b"x")
            await asyncio.sleep(0.05)
        return await slow.status(), b"".join(one.get("body", b"") for one in slow.sent).decode()

    async def steadily() -> int:
        steady = Sender(gate, cookie)
        await steady.tell(head)
        for at in range(0, len(content), 300):
            await steady.tell(content[at : at + 300])
        await steady.tell(end, more=False)
        return await steady.status()

    status, page = gate.wait(slowly())
    assert (status, "came too slowly" in page, kept(gate)) == (408, True, [])
    assert gate.wait(steadily()) == 303


def test_only_a_few_files_are_read_at_once(gate: Door) -> None:
    cookie, token = signed_in(gate)
    head, content, end = form(token, apks.apk_bytes())

    async def crowd() -> tuple[int, str, int]:
        first = [Sender(gate, cookie) for _ in range(spooling.AT_ONCE)]
        for one in first:
            await one.tell(head)
        await asyncio.sleep(1)
        late = Sender(gate, cookie)
        status = await late.status()
        for one in first:
            await one.pieces.put({"type": "http.disconnect"})
            await one.status()
        again = Sender(gate, cookie)
        await again.tell(head + content + end, more=False)
        return status, b"".join(one.get("body", b"") for one in late.sent).decode(), await again.status()

    status, page, again = gate.wait(crowd())
    assert (status, "Others are sending files" in page, again) == (503, True, 303)


def test_those_who_come_in_the_same_moment_are_few_too(gate: Door) -> None:
    cookie, _token = signed_in(gate)

    async def crowd() -> int:
        every = [Sender(gate, cookie) for _ in range(4 * spooling.AT_ONCE)]
        await asyncio.wait({one.served for one in every}, timeout=5)
        turned_away = sum(one.served.done() for one in every)
        for one in every:
            await one.pieces.put({"type": "http.disconnect"})
            await one.status()
        return turned_away

    assert gate.wait(crowd()) == 3 * spooling.AT_ONCE


def test_who_does_not_say_how_much_comes_leaves_room_to_others(gate: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie, token = signed_in(gate)
    head, _file, end = form(token, b"")
    monkeypatch.setattr(spooling, "SPARE_BYTES", files(gate.app).free_bytes() - 20 * 2**20)
    pieces = [head, *[b"\0" * 2**20] * 60, end]
    answer = gate.wait(gate.call("POST", sent.PATH, headers(cookie, None, transfer_encoding="chunked"), chunks=pieces))
    assert (answer.status, "has no room" in said(answer), kept(gate)) == (507, True, [])


def test_a_full_disk_is_said_before_and_while_the_file_comes(gate: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    who = signed_in(gate)
    monkeypatch.setattr(spooling, "SPARE_BYTES", 2**60)
    answer = send(gate, who, apks.apk_bytes())
    assert (answer.status, "has no room" in said(answer)) == (507, True)
    monkeypatch.undo()
    for number, words in ((errno.ENOSPC, "has no room"), (errno.EIO, "could not keep the file")):

        def fail(_file: Any, _piece: bytes, number: int = number) -> None:
            raise OSError(number, "no")

        monkeypatch.setattr("fleet.apps.files.Writing.write", fail)
        answer = send(gate, who, apks.apk_bytes())
        assert (answer.status in {500, 507}, words in said(answer), kept(gate)) == (True, True, [])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data"), (b"x" * 100, f"multipart/form-data; boundary={EDGE}"),
        (b"a=b", "application/x-www-form-urlencoded"), (b"", f"multipart/form-data; boundary={'x' * 300}"),
        (f"--{EDGE}\r\nX: y\r\n\r\nz\r\n--{EDGE}--\r\n".encode(), f"multipart/form-data; boundary={EDGE}"),
        (f"--{EDGE}\r\n".encode() + b"X" * 5_000_000, f"multipart/form-data; boundary={EDGE}"),
        (f'--{EDGE}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{"x" * 70_000}\r\n--{EDGE}--\r\n'.encode(),
         f"multipart/form-data; boundary={EDGE}"),
        (f'--{EDGE}\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'.encode() * 30,
         f"multipart/form-data; boundary={EDGE}"),
    ],
)  # fmt: skip
def test_a_form_that_is_none_is_refused_in_words(gate: Door, body: bytes, kind: str) -> None:
    cookie, _token = signed_in(gate)
    told = [
        (b"content-type", kind.encode()),
        (b"cookie", cookie.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    answer = gate.wait(
        gate.call(
            "POST", sent.PATH, told, chunks=[body[at : at + 65_536] for at in range(0, len(body), 65_536)] or [b""]
        )
    )
    assert (answer.status, "did not arrive whole" in said(answer), kept(gate)) == (400, True, [])


def test_a_server_that_stops_waits_for_no_file(gate: Door) -> None:
    cookie, token = signed_in(gate)

    async def stopped() -> int:
        half = Sender(gate, cookie)
        await half.tell(form(token, b"")[0])
        await asyncio.sleep(0.5)
        gate.gate.release()
        return await half.status()

    assert gate.wait(stopped()) == 408
    assert kept(gate) == []
