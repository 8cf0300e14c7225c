"""``/metrics``: right over several workers, one of them killed; for nobody but those it is meant for."""

import asyncio
import errno
import fcntl
import os
import shutil
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from structlog.testing import capture_logs

from agent_protocol.transport import HttpTransport, Response
from fleet import metrics
from fleet.app import create_app, scraping
from fleet.app import server as server_module
from fleet.app.scraping import Scraping
from fleet.channels import measuring
from fleet.channels.http import Request
from fleet.channels.http import Response as Answer
from fleet.config import Config, ConfigError, Metrics
from fleet.db import db, reading
from tests.agents import eventually
from tests.gate import Tablet, door
from tests.native import CONFIG
from tests.serving import Server, serving
from tests.waiting import open_all_day, take_in

# Only told once there was one: an error, a push, a letter.
RARE = {"fleet_database_errors_total", "fleet_pushes_total", "fleet_alerts_total"}


class Scraped:
    """What a server told, read by the library's own parser."""

    def __init__(self, server: Server, **headers: str) -> None:
        answer = server.get("/metrics", headers)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        self.text = answer.body.decode()
        self.families = list(text_string_to_metric_families(self.text))
        self.samples = [one for family in self.families for one in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of what is told under a name, and these labels."""
        return sum(one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items())


@dataclass(frozen=True)
class OverHttp:
    """What tablets of tests speak through: each request on a connection of its own, to whatever worker takes it."""

    server: Server

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        transport = HttpTransport(self.server.address)
        try:
            return transport.send(method, target, headers, body)
        finally:
            transport.close()


def workers(server: Server) -> list[int]:
    assert server.process is not None
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def starts(server: Server) -> float:
    """Return how many workers have begun; none that is known while there is nobody to ask."""
    try:
        return Scraped(server).value("fleet_worker_starts_total")
    except OSError:
        return 0


def taken(server: Server) -> float:
    return Scraped(server).value("fleet_checkins_total", channel="native", outcome="taken")


@pytest.mark.serves
def test_sums_are_right_over_workers_and_nothing_is_lost_with_one_that_is_killed(
    own_app: Flask, fresh_url: str, tmp_path: Path
) -> None:
    number = 1 if fresh_url.startswith("sqlite") else 2
    running = serving(
        fresh_url, tmp_path / "data", FLEET_WORKERS=str(number), FLEET_METRICS="loopback",
        FLEET_PUBLIC_URL="http://fleet.test",
    )  # fmt: skip
    with running as server:
        tablets = [Tablet(OverHttp(server)) for _ in range(8)]  # type: ignore[arg-type]  # it only sends
        take_in(own_app, tablets)
        assert [one.report().status for one in tablets * 3] == [200] * 24
        assert server.get("/no-such-page").status == 404
        eventually(lambda: Scraped(server).value("fleet_workers") == number)
        before = Scraped(server)
        assert before.value("fleet_checkins_total") == taken(server) == 24
        assert before.value("fleet_request_duration_seconds_count", door="native", outcome="answered") == 24
        assert before.value("fleet_request_duration_seconds_count", door="pages", outcome="refused") == 1
        assert before.value("fleet_batch_items_sum", queue="reports") == 24
        assert before.value("fleet_tablets") == 8

        eventually(lambda: Scraped(server).value("fleet_job_runs_total", job="alerts", outcome="done") == 1)

        former = workers(server)[0]
        os.kill(former, signal.SIGKILL)
        eventually(lambda: former not in workers(server))
        eventually(lambda: starts(server) == number + 1)
        assert [one.report().status for one in tablets] == [200] * 8
        assert taken(server) == 32
        assert Scraped(server).value("fleet_workers") == number
        assert sorted(path.name for path in next((tmp_path / "data" / "metrics").iterdir()).glob("counter_*")) == [
            f"counter_{place}.db" for place in range(number)
        ]

        after, declared = Scraped(server), {one.name: one for one in metrics.DECLARED}
        seen = {family.name + ("_total" if family.type == "counter" else "") for family in after.families}
        assert seen <= set(declared)
        assert set(declared) - seen <= RARE
        assert all(one.documentation == declared[one.name].what for one in after.families if one.name in declared)


def asked(app: Flask, **told: str | None) -> tuple[int, str]:
    """Scrape in this process, from an address and with an authorization, perhaps through a proxy."""
    named = {"x-forwarded-for": told.get("proxied"), "authorization": told.get("word")}
    headers = {name: value for name, value in named.items() if value is not None}
    request = Request("GET", "/metrics", "", headers, b"", peer=told.get("peer"))
    answer = asyncio.run(Scraping(app)(request))
    assert isinstance(answer.body, bytes)
    return answer.status, answer.body.decode()


def application(tmp_path: Path, url: str | None = None, **more: str) -> Flask:
    told = {"FLEET_DATA_DIR": str(tmp_path), "FLEET_PUBLIC_URL": "http://fleet.test"}
    made = create_app(environ={**told, "FLEET_DATABASE_URL": url or f"sqlite:///{tmp_path}/x.sqlite3", **more})
    metrics.make_room(made.extensions["fleet_config"].metrics_dir).close()
    return made


@pytest.mark.parametrize(
    ("peer", "proxied", "status"),
    [
        ("127.0.0.1", None, 200),
        ("::1", None, 200),
        ("::ffff:127.0.0.1", None, 200),
        ("127.0.0.1", "127.0.0.1", 403),
        ("10.0.0.5", None, 403),
        ("", None, 403),
        (None, None, 403),
    ],
)
def test_by_loopback_only_this_machine_itself_may_scrape(
    peer: str | None, proxied: str | None, status: int, tmp_path: Path
) -> None:
    found, said = asked(application(tmp_path, FLEET_METRICS="loopback"), peer=peer, proxied=proxied)
    assert found == status
    assert ("fleet_build_info" in said) is (status == 200)
    assert ("for this machine alone" in said) is (status == 403)


def test_by_token_only_who_knows_the_word_may_scrape(tmp_path: Path) -> None:
    app = application(tmp_path, FLEET_METRICS="token")
    refused = [None, "", "Bearer", "Bearer ", "Bearer none", "Basic Og==", "Bearer \xff"]
    assert [asked(app, peer="127.0.0.1", word=one)[0] for one in refused] == [401] * len(refused)
    assert "secrets/metrics.token" in asked(app, peer="127.0.0.1")[1]
    path: Path = app.extensions["fleet_config"].metrics_token_file
    assert path.stat().st_mode & 0o077 == 0
    word = path.read_text()
    assert len(word) >= 40
    assert asked(app, peer="10.0.0.5", proxied="10.0.0.6", word=f"bearer {word}\n")[0] == 200
    assert asked(app, peer="10.0.0.5", word=f"Bearer {word[:-1]}")[0] == 401


@pytest.mark.parametrize(("word", "mode"), [("", 0o600), ("short", 0o600), ("x" * 40, 0o644)])
def test_a_word_that_anybody_guesses_or_reads_stops_the_start(word: str, mode: int, tmp_path: Path) -> None:
    config: Config = application(tmp_path, FLEET_METRICS="token").extensions["fleet_config"]
    config.metrics_token_file.write_text(word)
    config.metrics_token_file.chmod(mode)
    with pytest.raises(ConfigError, match="config"):
        scraping.prepare(config)


def test_a_database_that_is_away_is_told_and_nothing_of_the_fleet(tmp_path: Path) -> None:
    app = application(tmp_path, f"postgresql://fleet@/x?host={tmp_path}", FLEET_METRICS="loopback")
    status, said = asked(app, peer="127.0.0.1")
    assert (status, "fleet_database_up 0.0" in said, "fleet_tablets" in said) == (200, True, False)


def test_a_disk_without_room_leaves_the_server_without_numbers_and_no_half_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "metrics"
    metrics.make_room(folder).close()

    def no_room(_handle: int, _offset: int, _length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(OSError, match="No space"):
        metrics.switch_on(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["0.lock", "server.lock"]
    metrics.CHECKINS.add(1, "native", "taken")  # and nobody minds


def test_folders_of_servers_that_are_gone_go_and_those_of_others_stay(tmp_path: Path) -> None:
    gone, other, own = (tmp_path / "metrics" / name for name in ("gone", "other", "own"))
    metrics.make_room(gone).close()
    with metrics.make_room(other), metrics.make_room(own):
        assert sorted(path.name for path in (tmp_path / "metrics").iterdir()) == ["other", "own"]


def test_a_folder_of_another_server_that_runs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "metrics" / "own"
    with metrics.make_room(folder):
        (folder / "counter_0.db").touch()
        with pytest.raises(OSError, match="another server"):
            metrics.make_room(folder)
        assert (folder / "counter_0.db").exists()

        def gone(_process: int, _signal: int) -> None:
            raise ProcessLookupError

        monkeypatch.setattr(os, "kill", gone)
        with metrics.make_room(folder):  # only its workers are still ending
            assert not (folder / "counter_0.db").exists()


def test_a_disk_without_locks_leaves_the_server_without_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: Config = application(tmp_path, FLEET_METRICS="loopback").extensions["fleet_config"]
    shutil.rmtree(told.metrics_dir)

    def no_locks(_lock: object, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    held, config = server_module._counting(told)
    with held:
        assert config.metrics is Metrics.OFF
    assert "No locks available" in capsys.readouterr().err


def test_a_database_that_takes_its_time_keeps_no_numbers_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraping, "_READ_S", 0.05)
    scrape, answering = Scraping(application(tmp_path, FLEET_METRICS="loopback")), threading.Event()
    reads: list[bool] = []

    def told() -> list[object]:
        reads.append(answering.wait(10))
        return []

    monkeypatch.setattr(scrape._standings, "told", told)

    async def ask() -> list[Answer]:
        request = Request("GET", "/metrics", "", {}, b"", peer="127.0.0.1")
        late = [*await asyncio.gather(scrape(request), scrape(request)), await scrape(request)]
        answering.set()
        return late

    for one in asyncio.run(ask()):
        assert isinstance(one.body, bytes)
        assert (one.status, b"fleet_database_up 0.0" in one.body) == (200, True)
    assert reads == [True]


def test_a_slow_statement_is_told_without_what_was_filled_in(fresh_url: str, tmp_path: Path) -> None:
    app = application(tmp_path, fresh_url, FLEET_SLOW_STATEMENT_MS="1")
    counting = (
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000) SELECT max(n), :name FROM c"
    )
    with capture_logs() as logs, app.app_context(), reading():
        assert db.session.execute(text(counting), {"name": "Ola Nordmann"}).one()[0] == 100_000
        db.session.execute(text("SELECT 1"))
        db.engine.dispose()
    slow = [one for one in logs if one["event"] == "slow statement" and "RECURSIVE" in one["statement"]]
    assert len(slow) == 1
    assert slow[0]["took_ms"] >= 1
    assert slow[0]["thread"] == "MainThread"
    assert "Ola" not in str(logs)


class Noted:
    """Stands in for a metric: what was counted, by its labels."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def add(self, _amount: float, *labels: str) -> None:
        self.labels += labels


def errors(app: Flask, monkeypatch: pytest.MonkeyPatch, *told: str) -> list[str]:
    """Have statements fail, and return as what kinds of errors they are counted."""
    noted = Noted()
    monkeypatch.setattr(metrics, "DATABASE_ERRORS", noted)
    for one in told:
        with app.app_context(), pytest.raises(SQLAlchemyError), reading():
            db.session.execute(text(one))
    with app.app_context():
        db.engine.dispose()
    return noted.labels


def test_errors_of_the_database_are_told_apart(fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = application(tmp_path, fresh_url)
    twice = "INSERT INTO job_lease (name, holder, epoch, expires_at) VALUES ('x', 'x', 1, '2026-01-01'), ('x', 'x', 1, '2026-01-01')"
    assert errors(app, monkeypatch, "SELECT * FROM no_such_table", twice) == ["fault", "integrity"]
    if not fresh_url.startswith("sqlite"):
        assert errors(app, monkeypatch, "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$") == ["conflict"]
    away = application(tmp_path / "away", f"postgresql://fleet@/x?host={tmp_path}")
    assert errors(away, monkeypatch, "SELECT 1") == ["unavailable"]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (200, "answered"),
        (302, "answered"),
        (304, "unchanged"),
        (404, "refused"),
        (408, "abandoned"),
        (429, "refused"),
        (503, "refused"),
        (500, "failed"),
    ],
)
def test_an_answer_is_one_of_a_few_words(status: int, word: str) -> None:
    assert measuring.word(status) == word
    assert measuring.word(status, is_shed=True) == "shed"


def test_the_time_for_which_a_tablet_is_held_is_told_apart(
    own_app: Flask, fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[tuple[str, int, bool]] = []

    def answered(name: str, status: int, _begun: float, *, held_s: float = 0.0, is_shed: bool = False) -> None:
        assert not is_shed
        noted.append((name, status, held_s > 0))

    monkeypatch.setattr(measuring, "answered", answered)
    open_all_day(own_app)
    with door(fresh_url, tmp_path) as server:
        tablet = Tablet(server)
        take_in(own_app, [tablet])
        etag = tablet.get(CONFIG).headers["etag"]
        assert tablet.get(CONFIG, **{"If-None-Match": etag}).status == 304
        assert tablet.get(CONFIG, **{"If-None-Match": etag, "Prefer": "wait=1"}).status == 304
    assert noted == [("native", 200, False), ("native", 304, False), ("native", 304, True)]
