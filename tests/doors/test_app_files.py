"""Packages of our own at the tablets' door: the manifest by Apple's schema, whole files, parts, and slow readers."""

import asyncio
import hashlib
import http.client
import os
import plistlib
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import clock
from fleet.access import Principal
from fleet.apps import packages
from fleet.apps.files import PackageFiles
from fleet.channels.apple import app_files
from fleet.channels.streaming import PIECE_BYTES
from tests import apple_schema
from tests.extent import on
from tests.gate import Door, door
from tests.packages import APP, ipa
from tests.serving import serving

pytestmark = on("postgresql")  # what it is about is files

CLI = Principal.command_line()
LARGE = 3 * PIECE_BYTES + 17


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path / "data", FLEET_PUBLIC_URL="https://fleet.test") as made:
        yield made


def take(gate: Door, source: Path) -> str:
    """Have a package taken; returns the word in its address."""
    files = PackageFiles(gate.app.extensions["fleet_config"].packages_dir)
    with gate.database():
        made = packages.take(packages.receive(source, files, by=CLI), by=CLI, now=clock.now())
        assert made.package is not None
        return made.package.token


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return ipa(tmp_path / "vaer.ipa", more={f"{APP}/data": os.urandom(LARGE)})


@pytest.fixture
def address(gate: Door, source: Path) -> str:
    return f"/apple/apps/{take(gate, source)}/package.ipa"


def test_the_manifest_says_what_apples_schema_knows_and_where_the_package_is(gate: Door, source: Path) -> None:
    token = take(gate, source)
    answer = gate.send("GET", f"/apple/apps/{token}/manifest.plist", {}, None)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/xml")
    told = plistlib.loads(answer.body)
    (item,) = told["items"]
    (asset,) = item["assets"]
    assert asset == {
        "kind": "software-package",
        "url": f"https://fleet.test/apple/apps/{token}/package.ipa",
        "sha256-size": source.stat().st_size,
        "sha256s": [hashlib.sha256(source.read_bytes()).hexdigest()],
    }
    assert item["metadata"] == {
        "bundle-identifier": "no.example.vaer", "bundle-version": "2.1", "kind": "software", "title": "Været",
    }  # fmt: skip
    assert app_files.manifest_url("https://fleet.test/apple/", token).endswith(f"/apple/apps/{token}/manifest.plist")


@apple_schema.needs_schema
def test_the_manifest_is_as_apples_schema_has_it(gate: Door, source: Path) -> None:
    token = take(gate, source)
    told = plistlib.loads(gate.send("GET", f"/apple/apps/{token}/manifest.plist", {}, None).body)
    # The schema's list of kinds leaves the package itself out.
    told["items"][0]["assets"][0]["kind"] = "full-size-image"
    assert apple_schema.manifest_faults(told) == []
    assert apple_schema.manifest_faults({"items": [{"assets": [{"kind": "x"}], "metadata": {}}]}) != []


def test_a_package_comes_whole(gate: Door, source: Path, address: str) -> None:
    answer = gate.send("GET", address, {}, None)
    assert answer.status == 200
    assert answer.body == source.read_bytes()
    digest = hashlib.sha256(answer.body).hexdigest()
    assert answer.headers["content-length"] == str(len(answer.body))
    assert (answer.headers["accept-ranges"], answer.headers["etag"]) == ("bytes", f'"{digest}"')
    assert answer.headers["content-type"] == "application/octet-stream"
    head = gate.send("HEAD", address, {}, None)
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(answer.body)), b"")


@pytest.mark.parametrize(
    ("told", "first", "end"),
    [
        ("bytes=0-0", 0, 1), ("bytes=0-99", 0, 100), ("bytes=100-", 100, None), ("bytes=-100", -100, None),
        ("Bytes=10-19", 10, 20), (f"bytes=5-{10**17}", 5, None), (f"bytes=-{10**17}", 0, None),
        (f"bytes=1-{PIECE_BYTES + 5}", 1, PIECE_BYTES + 6),
    ],
)  # fmt: skip
def test_a_part_is_what_was_asked_for(
    gate: Door, source: Path, address: str, told: str, first: int, end: int | None
) -> None:
    whole = source.read_bytes()
    answer = gate.send("GET", address, {"Range": told}, None)
    assert answer.status == 206
    assert answer.body == whole[first:end]
    start = first if first >= 0 else len(whole) + first
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(answer.body) - 1}/{len(whole)}"
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize("told", [f"bytes={10**9}-", f"bytes={10**9}-{10**10}", "bytes=-0"])
def test_a_part_beyond_the_end_is_refused_with_the_length(gate: Door, source: Path, address: str, told: str) -> None:
    answer = gate.send("GET", address, {"Range": told}, None)
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{source.stat().st_size}")


@pytest.mark.parametrize(
    "told", ["bytes=0-1,5-6", "bytes=9-3", "bytes=", "bytes=-", "items=0-1", "bytes=a-b", "bytes=1-2x", ""]
)
def test_what_is_no_single_part_is_answered_with_all(gate: Door, source: Path, address: str, told: str) -> None:
    answer = gate.send("GET", address, {"Range": told}, None)
    assert (answer.status, len(answer.body)) == (200, source.stat().st_size)


def test_a_part_of_what_has_changed_since_is_not_given(gate: Door, source: Path, address: str) -> None:
    etag = gate.send("HEAD", address, {}, None).headers["etag"]
    assert gate.send("GET", address, {"Range": "bytes=0-9", "If-Range": etag}, None).status == 206
    for other in ('"another"', f"W/{etag}", "Mon, 14 Sep 2026 08:15:00 GMT"):
        assert gate.send("GET", address, {"Range": "bytes=0-9", "If-Range": other}, None).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/apple/apps/{'x' * 43}/package.ipa", 404),
        ("GET", f"/apple/apps/{'x' * 43}/manifest.plist", 404),
        ("GET", "/apple/apps/x/package.ipa", 404),
        ("GET", f"/apple/apps/{'x' * 43}/../package.ipa", 404),
        ("GET", f"/apple/apps/{'x' * 43}/package.ipa/", 404),
        ("GET", f"/apple/apps/{'x' * 43}/other", 404),
        ("POST", f"/apple/apps/{'x' * 43}/package.ipa", 405),
    ],
)
def test_other_addresses_lead_nowhere(gate: Door, method: str, path: str, status: int) -> None:
    assert gate.send(method, path, {}, None).status == status


def test_a_file_that_is_gone_or_cut_off_is_a_fault_of_ours(gate: Door, source: Path, address: str) -> None:
    (path,) = gate.app.extensions["fleet_config"].packages_dir.iterdir()
    path.write_bytes(b"short")
    assert gate.send("GET", address, {}, None).status == 500
    path.unlink()
    assert gate.send("GET", address, {}, None).status == 500


class Reader:
    """Who takes one piece after the other, when the test says so."""

    def __init__(self, server: Door, path: str) -> None:
        self.sent: list[dict[str, Any]] = []
        self.room = asyncio.Semaphore(0)
        self.gone = asyncio.Event()
        self._begun = False
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
            "http_version": "1.1", "scheme": "http", "server": ("fleet.test", 80), "client": ("192.0.2.7", 1), "root_path": "",
        }  # fmt: skip
        self.served = asyncio.ensure_future(server.gate(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        await self.room.acquire()


def packages_open() -> int:
    links = [one for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return sum("/packages/" in str(one.readlink()) for one in links if one.exists())


def test_who_reads_slowly_is_sent_no_more_than_a_piece_ahead_and_holds_no_thread(gate: Door, address: str) -> None:
    async def slowly() -> list[int]:
        readers = [Reader(gate, address) for _ in range(60)]  # more than there are threads
        for _ in range(2):
            for one in readers:
                one.room.release()
            await asyncio.sleep(0.3)
        seen = [len(one.sent) for one in readers]
        assert packages_open() == len(readers)
        other = Reader(gate, address)
        for _ in range(10):
            other.room.release()
        await asyncio.wait_for(other.served, 10)
        for one in readers:
            one.gone.set()
            one.room.release()
        await asyncio.wait_for(asyncio.gather(*(one.served for one in readers)), 10)
        assert all(one.sent[-1]["more_body"] for one in readers)  # nobody was told that this is the end
        return seen

    assert set(gate.wait(slowly())) == {3}
    assert packages_open() == 0


def test_a_stopping_server_ends_what_it_sends(gate: Door, address: str) -> None:
    async def stopped() -> bool:
        reader = Reader(gate, address)
        reader.room.release()
        await asyncio.sleep(0.2)
        gate.gate.release()
        reader.room.release()
        await asyncio.wait_for(reader.served, 10)
        return bool(reader.sent[-1]["more_body"])

    assert gate.wait(stopped())


def test_a_large_package_passes_the_real_server_without_standing_in_its_memory(fresh_url: str, tmp_path: Path) -> None:
    source = ipa(tmp_path / "large.ipa", more={f"{APP}/data": os.urandom(64 * 2**20)})
    with door(fresh_url, tmp_path / "data") as gate:
        path = f"/apple/apps/{take(gate, source)}/package.ipa"
    with serving(fresh_url, tmp_path / "data", jobs="off") as server:
        before = memory(server.process.pid if server.process else 0)
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        told = hashlib.sha256()
        while piece := answer.read(2**20):
            told.update(piece)
        connection.close()
        assert told.hexdigest() == hashlib.sha256(source.read_bytes()).hexdigest()
        with socket.create_connection((server.host, server.port)) as slow:
            slow.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            time.sleep(1)
            assert memory(server.process.pid if server.process else 0) - before < 32 * 2**20
            begun = time.monotonic()
            assert server.stop(signal.SIGTERM) == 0
            assert time.monotonic() - begun < 40
        assert "Traceback" not in server.log


def memory(pid: int) -> int:
    """Return how much memory a server and the processes below it have, in bytes."""
    pages = 0
    for one in (pid, *children(pid)):
        pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
