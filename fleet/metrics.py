"""What the server counts of itself, for Prometheus: every name there is, and the files in which it is counted.

Invariants: nothing is counted, and the library not even imported, until a process calls :func:`switch_on`; labels come
from small sets that the code knows, never from a tablet, a pupil, a person or a school. What a process has counted
stands in files that outlive it: each takes the lowest *place* that is free, and counts on where the last one at that
place stopped. So a worker that is killed loses nothing, a thousand that come and go leave no more files than ran at
once, and no number goes down. Levels are of the living: they begin anew with each process.

Not here: who may read them (:mod:`fleet.app.scraping`) and what is read from the database (:mod:`fleet.app.standings`).
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from prometheus_client import Metric

_PREFIX = "fleet_"
_MOST_PLACES = 256
# Of each file, taken on the disk beforehand: a file with holes ends the process (SIGBUS) where the disk is full.
_FILE_BYTES = 512 * 1024
_SERVER = "server.lock"
_FILES = ("counter", "histogram", "gauge_livesum")


class _Declared:
    """A metric: its name, what it tells, and what its labels are called."""

    kind: ClassVar[str]

    def __init__(self, name: str, what: str, *labels: str) -> None:
        self.name, self.what, self.labels = _PREFIX + name, what, labels
        self._family: Any = None
        self._children: dict[tuple[str, ...], Any] = {}
        DECLARED.append(self)

    @property
    def samples(self) -> frozenset[str]:
        """The names under which it is read."""
        return frozenset({self.name})

    def _make(self, _library: Any) -> Any:
        return None

    def open(self, library: Any) -> None:
        """Count from now on, in the files that were made ready."""
        self._children, self._family = {}, self._make(library)

    def close(self) -> None:
        """Count no more."""
        self._family = None

    def _child(self, labels: tuple[str, ...]) -> Any:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._family.labels(*labels) if labels else self._family
        return child


class Count(_Declared):
    """What only rises; its name ends in ``_total``."""

    kind = "counter"

    def _make(self, library: Any) -> Any:
        return library.Counter(self.name, self.what, self.labels, registry=None)

    def add(self, amount: float, *labels: str) -> None:
        """Count so many more."""
        if self._family is not None:
            self._child(labels).inc(amount)


class Spread(_Declared):
    """How values are spread: how many were at most so large, by steps; and their sum.

    Args:
        steps: the upper bounds of the steps; a last one without a bound is added.
    """

    kind = "histogram"

    def __init__(self, name: str, what: str, *labels: str, steps: Sequence[float]) -> None:
        super().__init__(name, what, *labels)
        self.steps = steps

    @property
    def samples(self) -> frozenset[str]:
        """The names under which it is read."""
        return frozenset(self.name + end for end in ("_bucket", "_sum", "_count"))

    def _make(self, library: Any) -> Any:
        return library.Histogram(self.name, self.what, self.labels, buckets=self.steps, registry=None)

    def observe(self, value: float, *labels: str) -> None:
        """Take a value in."""
        if self._family is not None:
            self._child(labels).observe(value)


class Level(_Declared):
    """What rises and falls in each process; read as the sum over the processes."""

    kind = "gauge"

    def _make(self, library: Any) -> Any:
        return library.Gauge(self.name, self.what, self.labels, registry=None, multiprocess_mode="livesum")

    def set(self, value: float, *labels: str) -> None:
        """Tell how it stands in this process."""
        if self._family is not None:
            self._child(labels).set(value)


class Standing(_Declared):
    """What is read while somebody scrapes: from the database, or of the program itself."""

    kind = "gauge"

    def told(self, values: Mapping[Any, float]) -> "Metric":
        """Return it with its values, by their labels: a tuple, an empty one where there are none."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 (only where metrics are on)

        family = GaugeMetricFamily(self.name, self.what, labels=self.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family


DECLARED: list[_Declared] = []

_ANSWER_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_WORK_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_JOB_S = (0.1, 1, 5, 30, 60, 300, 900)

ANSWERED = Spread(
    "request_duration_seconds",
    "Time from a request's arrival to the first byte of its answer, without the time for which a tablet was held.",
    "door", "outcome", steps=_ANSWER_S,
)  # fmt: skip
CHECKINS = Count("checkins_total", "Tablets' reports, by what became of them.", "channel", "outcome")
BATCH_ITEMS = Spread("batch_items", "Requests that went into one transaction.", "queue", steps=_ITEMS)
BATCH_WAIT = Spread(
    "batch_wait_seconds", "Time for which the oldest request of a batch waited.", "queue", steps=_WORK_S
)
BATCH_WORK = Spread("batch_duration_seconds", "Time that a batch took, commit and all.", "queue", steps=_WORK_S)
WAITING = Level("queue_waiting", "Requests that wait for their batch or a thread.", "queue")
QUEUE_LIMIT = Level("queue_limit", "Requests that may wait there before more are turned away.", "queue")
HELD = Level("held_polls", "Tablets whose poll is held until something changes.", "channel")
RUNG = Count("rings_total", "Held polls that were let go because something changed.")
PUSHES = Count("pushes_total", "Rings that Apple's push service was asked for, by its answer.", "outcome")
ALERTS = Count("alerts_total", "Attempts to send letters and webhooks' messages, by outcome.", "kind", "outcome")
JOB_RUNS = Count("job_runs_total", "Runs of jobs by this server, by outcome.", "job", "outcome")
JOB_WORK = Spread("job_duration_seconds", "Time that a run of a job took.", "job", steps=_JOB_S)
CONNECTIONS = Level("database_connections_in_use", "Connections to the database that somebody uses.")
CONNECTIONS_LIMIT = Level("database_connections_limit", "Connections to PostgreSQL that there may be; 0: embedded.")
DATABASE_ERRORS = Count("database_errors_total", "Errors that the database answered, by kind.", "kind")
SLOW_STATEMENTS = Count("slow_statements_total", "Statements that took longer than FLEET_SLOW_STATEMENT_MS.")
CPU = Count("process_cpu_seconds_total", "Processor time of the server's workers.")
MEMORY = Level("process_resident_memory_bytes", "Memory that the server's workers hold.")
STARTS = Count("worker_starts_total", "Workers that have begun since the server was started.")
WORKERS = Level("workers", "Workers that serve.")

DATABASE_UP = Standing("database_up", "Whether what is told of the fleet could be read: 1, or 0 and it is not told.")
TABLETS = Standing("tablets", "Tablets by where they are in their life; the enrolled ones by how they fare.", "state")
SILENT = Standing(
    "tablets_silent", "Tablets that are silent (in school hours), and those of them that are missing.", "state"
)
FINDINGS = Standing("findings_open", "Open findings by how much they matter.", "severity")
LESSONS = Standing("lessons_running", "Lessons that run now.")
LESSON_TABLETS = Standing("lesson_tablets", "Tablets in running lessons, by whether they have what it gives.", "state")
LETTERS = Standing("letters", "Letters by state; those given up within seven days.", "state")
HOOK_MESSAGES = Standing("webhook_messages", "Webhooks' messages by state; those that died within seven days.", "state")
PUSHES_DUE = Standing("pushes_pending", "iPads that have not followed the last change yet.")
JOB_SUCCEEDED = Standing("job_last_success_timestamp_seconds", "When a job last ended well.", "job")
JOB_DUE = Standing("job_due_timestamp_seconds", "When a job is due that has run well until now.", "job")
BUILD = Standing(
    "build_info", "The program that runs, by the schema it needs; always 1.", "schema", "python", "database"
)


@dataclass(frozen=True, slots=True)
class _Place:
    number: int
    lock: IO[bytes]


def make_room(folder: Path) -> IO[bytes]:
    """Begin with an empty folder, before any process counts; what is returned must stay open while the server runs.

    Folders beside it that no server has any more go: a machine may be called otherwise after each start.

    Raises:
        OSError: it cannot be made, its disk knows no locks, or another server that runs counts there.
    """
    for path in folder.parent.glob(f"*/{_SERVER}"):
        with contextlib.suppress(OSError), _opened(path) as lock:  # another that starts may have removed it
            if _is_taken(lock):
                shutil.rmtree(path.parent, ignore_errors=True)
    if _has_server(folder):
        raise _busy(folder)
    # Also where workers of the last server are still ending: they count on in files that are gone.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    with contextlib.ExitStack() as undoing:
        own = undoing.enter_context(_opened(folder / _SERVER))
        if not _is_taken(own):
            raise _busy(folder)
        own.write(str(os.getpid()).encode())
        own.flush()
        undoing.pop_all()
    return own


def _has_server(folder: Path) -> bool:
    """Whether the server that made a folder runs; the lock tells of its workers, too, which outlive it for a while."""
    try:
        os.kill(int((folder / _SERVER).read_text()), 0)
    except (FileNotFoundError, ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _busy(folder: Path) -> OSError:
    return OSError(errno.EBUSY, "another server counts there", str(folder))


def switch_on(folder: Path) -> Callable[[], None]:
    """Count from now on, in files in ``folder``; returns what ends that.

    Raises:
        OSError: there is no folder, or no room on its disk.
    """
    place = _take_place(folder)
    try:
        _prepare(folder, place.number)
    except BaseException:
        place.lock.close()
        raise
    # The library looks for its folder there, and only while its module is imported whether there is one.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    import prometheus_client  # noqa: PLC0415 (only where metrics are on)

    values: Any = prometheus_client.values
    values.ValueClass = counting = values.MultiProcessValue(lambda: place.number)
    for one in DECLARED:
        one.open(prometheus_client)

    def end() -> None:
        for one in DECLARED:
            one.close()
        values.ValueClass = values.MutexValue
        counting.close_all_files()
        _gauges(folder, place.number).unlink(missing_ok=True)
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        place.lock.close()

    return end


def written(folder: Path, told: Iterable["Metric"]) -> bytes:
    """Return what all processes have counted together, and what else is told, as Prometheus reads it."""
    from prometheus_client import generate_latest, multiprocess  # noqa: PLC0415 (see switch_on)

    collector: Any = multiprocess.MultiProcessCollector
    counted = collector(None, path=str(folder)).collect()
    return generate_latest(_Read([*counted, *told]))


@dataclass(frozen=True, slots=True)
class _Read:
    """What the library takes for a registry."""

    families: Sequence["Metric"]

    def collect(self) -> Iterable["Metric"]:
        return self.families


def _take_place(folder: Path) -> _Place:
    """Take the lowest place that no living process has: its lock goes with the process, however that ends."""
    for number in range(_MOST_PLACES):
        lock = _opened(folder / f"{number}.lock")
        if _is_taken(lock):
            return _Place(number, lock)
        lock.close()
    raise OSError(f"{folder}: more than {_MOST_PLACES} processes")


def _opened(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb+")


def _is_taken(lock: IO[bytes]) -> bool:
    """Take a lock, for as long as the file is open here or in a process forked since; False: another has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _prepare(folder: Path, number: int) -> None:
    """Make a place's files where they are not there yet, and forget how its last process stood."""
    _gauges(folder, number).unlink(missing_ok=True)
    for kind in _FILES:
        path = folder / f"{kind}_{number}.db"
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(handle, 0, _FILE_BYTES)
            except BaseException:
                path.unlink()
                raise
            finally:
                os.close(handle)


def _gauges(folder: Path, number: int) -> Path:
    return folder / f"gauge_livesum_{number}.db"
