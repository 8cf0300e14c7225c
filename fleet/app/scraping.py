"""``/metrics``: what Prometheus reads, for whom it is meant, and the levels that each process tells of itself.

Invariants: a stranger learns nothing, not even by how long a refusal takes; whoever scrapes, and however often, costs
no check-in its thread: the text is made in a thread of its own, one at a time, and the database is asked at most once
in some seconds (:mod:`fleet.app.standings`), and not waited for longer than whoever scrapes waits.
"""

import asyncio
import hmac
import ipaddress
import resource
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from flask import Flask

from fleet import metrics
from fleet.app.repeating import Repeating
from fleet.app.standings import Standings
from fleet.channels.batching import Queue
from fleet.channels.http import Request, Response
from fleet.channels.wake import Waiting
from fleet.config import Config, ConfigError, Metrics
from fleet.crypto import random_token, read_or_create
from fleet.db import db

if TYPE_CHECKING:
    from prometheus_client import Metric

_TOLD_EVERY_S = 2.0
_READ_S = 3.0  # whoever scrapes gives up after ten seconds, most often, and then knows nothing of this server
_log = structlog.get_logger("metrics")
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NOT_KEPT = {"cache-control": "no-store"}
# What a proxy adds: whoever comes through one is somebody else than who is at the other end.
_PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


class Watched(Protocol):
    """A channel, as those see it who watch the server."""

    name: str

    @property
    def queues(self) -> Sequence[Queue]:
        """Where requests wait."""


class Scraping:
    """Answers who scrapes.

    Args:
        app: the application.
    """

    def __init__(self, app: Flask) -> None:
        config: Config = app.extensions["fleet_config"]
        self._folder = config.metrics_dir
        self._word = token(config) if config.metrics is Metrics.TOKEN else None
        self._standings = Standings(app)
        self._turn = asyncio.Lock()
        self._reading: asyncio.Future[list[Metric]] | None = None

    async def __call__(self, request: Request) -> Response:
        """Answer with all metrics, or say what is lacking."""
        refusal = _by_word(request, self._word) if self._word is not None else _by_peer(request)
        if refusal is not None:
            return refusal
        told = await self._told()
        async with self._turn:
            text = await asyncio.to_thread(metrics.written, self._folder, told)
        return Response(200, {"content-type": _TYPE, **_NOT_KEPT}, text)

    async def _told(self) -> list["Metric"]:
        """Return how the fleet stands; where the database takes its time, that it does, and the rest the next time."""
        if self._reading is None or self._reading.done():  # one reads for all who ask meanwhile
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._standings.told))
        try:
            return await asyncio.wait_for(asyncio.shield(self._reading), _READ_S)
        except TimeoutError:
            return self._standings.away()


def prepare(config: Config) -> AbstractContextManager[object]:
    """Make ready what the processes of a starting server need for metrics, if they are wanted; held while it runs.

    Raises:
        ConfigError: the word for whoever scrapes is none, or others may read it.
        OSError: there is nowhere to count.
    """
    if config.metrics is Metrics.TOKEN:
        token(config)
    return nullcontext() if config.metrics is Metrics.OFF else metrics.make_room(config.metrics_dir)


def token(config: Config) -> bytes:
    """Return the word that whoever scrapes must know; it is made where there is none yet.

    Raises:
        ConfigError: what stands there is none, or others may read it.
    """
    path = config.metrics_token_file
    try:
        word = read_or_create(path, random_token().encode())
    except PermissionError:
        word = b""
    if not config.is_metrics_token(word):
        expected = f"token, and in {path} a word of 16 signs or more that only we can read; one is made where none is"
        raise ConfigError(variable="FLEET_METRICS", found=config.metrics.value, expected=expected)
    return word.strip()


def _by_word(request: Request, word: bytes) -> Response | None:
    scheme, _, told = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(told.strip().encode("latin-1"), word):
        return None
    text = b"Metrics are for who knows the word in secrets/metrics.token: Authorization: Bearer WORD\n"
    return Response(401, {"content-type": "text/plain", "www-authenticate": "Bearer", **_NOT_KEPT}, text)


def _by_peer(request: Request) -> Response | None:
    if _is_loopback(request.peer) and not any(name in request.headers for name in _PROXIED):
        return None
    text = b"Metrics are for this machine alone, and not through a proxy; FLEET_METRICS=token opens them to others.\n"
    return Response(403, {"content-type": "text/plain", **_NOT_KEPT}, text)


def _is_loopback(peer: str | None) -> bool:
    try:
        found = ipaddress.ip_address(peer or "")
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def start(app: Flask, channels: Iterable[Watched], waiting: Mapping[str, Waiting]) -> Callable[[], None]:
    """Begin to count in this process, if that is wanted; returns what ends it.

    Args:
        app: the application.
        channels: whose queues are told.
        waiting: who is held, by channel.
    """
    config: Config = app.extensions["fleet_config"]
    if config.metrics is Metrics.OFF:
        return lambda: None
    try:
        end = metrics.switch_on(config.metrics_dir)
    except OSError as error:  # a full disk, most often: tablets come before numbers
        _log.error("metrics not counted", kind=type(error).__name__, number=error.errno)
        return lambda: None
    metrics.STARTS.add(1)
    queues = [queue for channel in channels for queue in channel.queues]
    levels = _Levels(config, queues, waiting)
    with app.app_context():
        levels.tell()
    telling = Repeating(app, levels.tell, every_s=_TOLD_EVERY_S, name="levels")
    telling.start()

    def stop() -> None:
        telling.stop()
        end()

    return stop


class _Levels:
    """How this process stands."""

    def __init__(self, config: Config, queues: Sequence[Queue], waiting: Mapping[str, Waiting]) -> None:
        self._limit = 0 if config.is_sqlite else config.database_connections
        self._queues, self._waiting, self._cpu_s = queues, waiting, 0.0

    def tell(self) -> None:
        """Tell it once more."""
        metrics.WORKERS.set(1)
        for queue in self._queues:
            metrics.WAITING.set(queue.depth, queue.name)
            metrics.QUEUE_LIMIT.set(queue.limit, queue.name)
        for channel, waiting in self._waiting.items():
            metrics.HELD.set(len(waiting), channel)
        pool: Any = db.engine.pool
        metrics.CONNECTIONS.set(pool.checkedout())
        metrics.CONNECTIONS_LIMIT.set(self._limit)
        used_s = time.process_time()
        metrics.CPU.add(used_s - self._cpu_s)
        self._cpu_s = used_s
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        metrics.MEMORY.set(pages * resource.getpagesize())
