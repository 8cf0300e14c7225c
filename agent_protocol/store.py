"""What an agent remembers, kept so that being killed at any moment loses nothing that was promised.

Invariants: files are owner-only; a file is replaced whole or not at all, and is on the disk before the next step is
taken; the key is made once and never leaves the store.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent_protocol.messages import Envelope
from agent_protocol.states import AgentState


class Memory(msgspec.Struct):
    """Everything that must survive; written as one file.

    ``sequence_limit`` is reserved ahead of use, so that not every request costs a write to disk: after a crash the
    agent goes on from there. ``applied`` is None while a profile is being put into force.
    """

    state: AgentState = AgentState.NEW
    ticket: str | None = None
    device_id: str | None = None
    serial: str | None = None  # as it was taken in with
    root: Envelope | None = None
    config: Envelope | None = None
    etag: str | None = None
    sequence_limit: int = 1
    applied: str | None = None
    applied_since: datetime | None = None
    failures: list[tuple[str, str]] = []
    clock_offset_s: float = 0.0
    finished_orders: list[str] = []
    unsent_results: dict[str, dict[str, Any]] = {}


class Store(Protocol):
    """Where an agent's memory, key and profile bodies live."""

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Return the tablet's key; made at the first call."""

    def load(self) -> Memory:
        """Return what was last saved, or a new memory."""

    def save(self, memory: Memory) -> None:
        """Keep ``memory``; returns when it is safe."""

    def put_body(self, digest: str, body: bytes) -> None:
        """Keep a profile's body."""

    def body(self, digest: str) -> bytes | None:
        """Return a profile's body, None where it is not here."""

    def keep_only(self, digests: set[str]) -> None:
        """Forget all bodies but these."""


class MemoryStore:
    """A store that lives as long as the process: for simulated tablets and tests."""

    def __init__(self) -> None:
        self._key: ec.EllipticCurvePrivateKey | None = None
        self._saved = msgspec.json.encode(Memory())
        self._bodies: dict[str, bytes] = {}

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Return the tablet's key; made at the first call."""
        self._key = self._key or ec.generate_private_key(ec.SECP256R1())
        return self._key

    def load(self) -> Memory:
        """Return what was last saved, or a new memory."""
        return msgspec.json.decode(self._saved, type=Memory)

    def save(self, memory: Memory) -> None:
        """Keep ``memory``."""
        self._saved = msgspec.json.encode(memory)

    def put_body(self, digest: str, body: bytes) -> None:
        """Keep a profile's body."""
        self._bodies[digest] = body

    def body(self, digest: str) -> bytes | None:
        """Return a profile's body, None where it is not here."""
        return self._bodies.get(digest)

    def keep_only(self, digests: set[str]) -> None:
        """Forget all bodies but these."""
        self._bodies = {digest: body for digest, body in self._bodies.items() if digest in digests}

    def export(self) -> dict[str, str]:
        """Return everything as text, so that a simulated fleet can go on as the same tablets."""
        return {
            "key": _pem(self.key()).decode(),
            "memory": self._saved.decode(),
            **{f"body:{digest}": body.decode() for digest, body in self._bodies.items()},
        }

    @classmethod
    def restored(cls, exported: dict[str, str]) -> "MemoryStore":
        """Return the store that :meth:`export` described."""
        store = cls()
        store._key = _load_pem(exported["key"].encode())
        store._saved = exported["memory"].encode()
        store._bodies = {
            name.removeprefix("body:"): text.encode() for name, text in exported.items() if name.startswith("body:")
        }
        return store


class DirectoryStore:
    """A store in a directory of its own, owner-only.

    Args:
        folder: the state directory; made where it does not exist.

    Raises:
        PermissionError: the directory can be read by others.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(folder.parent)
        if folder.stat().st_mode & 0o077:
            raise PermissionError(f"{folder} can be read by others: chmod 700 it")
        (folder / "profiles").mkdir(mode=0o700, exist_ok=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other agents out of the directory; the operating system lets go of it when the process ends.

        Raises:
            BlockingIOError: another agent runs on it.
        """
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(f"another agent runs on {self.folder}") from None
            yield
        finally:
            os.close(handle)

    def start_over(self) -> None:
        """Make a new key for a new enrolment; the profile in force stays, and sequences go on."""
        write_whole(self.folder / "key.pem", _pem(ec.generate_private_key(ec.SECP256R1())))
        old = self.load()
        self.save(
            Memory(
                serial=old.serial, sequence_limit=old.sequence_limit, applied=old.applied,
                applied_since=old.applied_since, failures=old.failures, clock_offset_s=old.clock_offset_s,
            )
        )  # fmt: skip

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Return the tablet's key; made at the first call and on the disk before it is returned."""
        path = self.folder / "key.pem"
        if not path.exists():
            write_whole(path, _pem(ec.generate_private_key(ec.SECP256R1())))
        return _load_pem(path.read_bytes())

    def load(self) -> Memory:
        """Return what was last saved, or a new memory.

        Raises:
            msgspec.ValidationError: the file is not ours.
        """
        path = self.folder / "state.json"
        return msgspec.json.decode(path.read_bytes(), type=Memory) if path.exists() else Memory()

    def save(self, memory: Memory) -> None:
        """Keep ``memory``; returns when it is on the disk."""
        write_whole(self.folder / "state.json", msgspec.json.encode(memory))

    def put_body(self, digest: str, body: bytes) -> None:
        """Keep a profile's body."""
        write_whole(self.folder / "profiles" / f"{digest}.json", body)

    def body(self, digest: str) -> bytes | None:
        """Return a profile's body, None where it is not here."""
        path = self.folder / "profiles" / f"{digest}.json"
        return path.read_bytes() if path.exists() else None

    def keep_only(self, digests: set[str]) -> None:
        """Forget all bodies but these."""
        for path in (self.folder / "profiles").glob("*.json"):
            if path.stem not in digests:
                path.unlink()


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_pem(text: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(text, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the stored key is not a P-256 key")
    return key


def write_whole(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``: after a crash there is the old file or the new one, never a part.

    Raises:
        OSError: the disk is full, or the directory cannot be written.
    """
    draft = path.with_name(f".{path.name}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
