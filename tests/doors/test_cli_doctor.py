"""``fleet doctor``: what it looks at, how it says it, and what it says of what is reached over the network."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from fleet import clock, job_runs
from fleet.alerts.models import MailSecurity
from fleet.app import create_app, reaching, standing
from fleet.app.health import ALIVE
from fleet.channels.native import authority
from fleet.checkup.checks import Check, Grade
from fleet.cli import main
from fleet.cli.output import Program
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.db import db, transaction
from fleet.errors import FleetError
from fleet.jobs import runner
from fleet.jobs.timetable import TIMETABLE
from tests import alerts
from tests.apns import Authority
from tests.doors.fleet_command import run
from tests.serving import free_port


def looked(app: Flask, *words: str) -> dict[str, tuple[str, str]]:
    """Return the grade of each check, and what was seen."""
    done = run(app, "doctor", "--json", *words)
    told = json.loads(done.stdout)
    assert done.exit_code == (1 if "fault" in {one["grade"] for one in told} else 0)
    assert all(bool(one["advice"]) == (one["grade"] != "ok") for one in told)
    names = [one["name"] for one in told]
    assert len(names) == len(set(names))
    return {one["name"]: (one["grade"], one["seen"]) for one in told}


def config_of(app: Flask) -> Config:
    found: Config = app.extensions["fleet_config"]
    return found


def guarded(fresh_url: str, folder: Path) -> Flask:
    """Return an application as a careful administrator sets it up."""
    if fresh_url.startswith("sqlite"):  # a copy, which has not the rights of what the server makes
        Path(fresh_url.removeprefix("sqlite:///")).chmod(0o600)
    return create_app(
        environ={
            "FLEET_DATABASE_URL": fresh_url, "FLEET_DATA_DIR": str(folder),
            "FLEET_PUBLIC_URL": "https://nett.prove.example",
        }
    )  # fmt: skip


def started(app: Flask) -> None:
    """Leave behind what a server that runs leaves: keys, a lease, runs of its jobs."""
    config = config_of(app)
    authority.load(config.secrets_dir, now=clock.now())
    vault_key_of(config.secrets_dir, config.vault_key_file)
    with app.app_context(), transaction():
        standing.require_own(config)
        job_runs.take_lease("here:1:x", now=clock.now(), life=runner.LEASE_LIFE)
    for job in TIMETABLE:
        with app.app_context(), transaction():
            run_id = job_runs.claim(job.name, clock.now(), epoch=job_runs.BY_HAND, now=clock.now())
            assert run_id is not None
            job_runs.finish(
                run_id, epoch=job_runs.BY_HAND, outcome=job_runs.JobOutcome.DONE, counts={}, now=clock.now()
            )


def test_a_server_that_runs_has_no_fault_and_every_part_is_looked_at(
    fresh_url: str, tmp_path: Path, database_kind: str
) -> None:
    app = guarded(fresh_url, tmp_path / "data")
    started(app)
    found = looked(app)
    own = {"sqlite": {"sqlite-journal", "sqlite-integrity"}, "postgresql": {"postgresql-connections", "database-clock"}}
    assert own[database_kind] < set(found)
    assert {
        "configuration", "public-url", "user", "data-disk", "file-rights", "root-keys", "database", "schema", "clock",
        "jobs-runner", "jobs", "mail", "webhooks", "signing-keys", "vault-key", "push-certificate", "server-token",
        "licence-token", "device-ca", "push", "school-manager-errand", "licences-errand", "installation", "packages",
    } < set(found)  # fmt: skip
    assert {name for name, (grade, _) in found.items() if grade == "fault"} == set()
    assert {name for name in ("root-keys", "mail") if found[name][0] == "warning"} == {"root-keys", "mail"}
    assert not {"mail-reached", "public-url-reached"} & set(found), "nothing is spoken to unless somebody wants it"


def test_it_is_told_in_lines_with_what_to_do_and_ends_with_a_count(own_app: Flask) -> None:
    done = run(own_app, "doctor")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("fault    public-url "))
    assert "http://fleet.test is not https" in lines[place]
    assert lines[place + 1].split()[0:3] == ["->", "put", "a"]
    counted = {grade: sum(line.startswith(f"{grade} ") for line in lines[:-1]) for grade in ("ok", "warning", "fault")}
    assert lines[-1] == f"{counted['ok']} ok, {counted['warning']} warnings, {counted['fault']} faults"


def test_looking_makes_nothing(own_app: Flask) -> None:
    folder = config_of(own_app).secrets_dir
    before = sorted(folder.rglob("*"))
    looked(own_app, "--reach")
    assert sorted(folder.rglob("*")) == before


def test_keys_that_do_not_fit_are_faults(own_app: Flask) -> None:
    started(own_app)
    secrets = config_of(own_app).secrets_dir
    (secrets / "vault.key").write_bytes(b"short")
    (secrets / "assignment-key.pem").unlink()
    found = looked(own_app)
    assert (found["vault-key"][0], found["signing-keys"][0]) == ("fault", "fault")
    assert not (secrets / "assignment-key.pem").exists(), "a new one would only hide that it is gone"
    assert "push-certificate" not in found


def test_secrets_of_other_servers_are_a_fault(own_app: Flask) -> None:
    started(own_app)
    assert looked(own_app)["installation"][0] == "ok"
    (config_of(own_app).secrets_dir / standing.NAME).write_text("another")
    assert looked(own_app)["installation"][0] == "fault"


def test_a_signing_key_of_another_backup_is_a_fault(own_app: Flask, tmp_path: Path) -> None:
    started(own_app)
    other = tmp_path / "other"
    authority.load(other, now=clock.now())
    (config_of(own_app).secrets_dir / "assignment-key.pem").write_bytes((other / "assignment-key.pem").read_bytes())
    assert looked(own_app)["signing-keys"][0] == "fault"


def test_what_is_seen_of_an_outdated_database_is_all_that_is_asked_of_it(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        db.session.execute(db.text("DROP TABLE alembic_version"))
    found = looked(own_app)
    assert found["schema"][0] == "fault"
    assert "jobs" not in found
    assert not {"mail", "push"} & set(found)
    assert found["clock"][0] == "ok"


def broken(error: Exception) -> Result:
    def make() -> Flask:
        raise error

    return CliRunner().invoke(main, ["doctor"], obj=Program(make, lambda: None))


@pytest.mark.parametrize("error", [FleetError(reason="odd"), PermissionError("x.key can be read by others")])
def test_a_program_that_cannot_start_is_a_fault_of_the_configuration(error: Exception) -> None:
    done = broken(error)
    assert (done.exit_code, done.stdout.split()[:2]) == (1, ["fault", "configuration"])
    assert "Traceback" not in done.output


# -- what is reached ---------------------------------------------------------------------------------------------------


@pytest.mark.serves
@pytest.mark.parametrize("asks", [False, True])
def test_the_mail_server_is_spoken_to_and_gets_no_letter(asks: bool, own_app: Flask) -> None:
    world = alerts.world(own_app)
    with alerts.mail(asks=asks) as (port, box):
        told: dict[str, Any] = {"username": "nettbrett", "password": alerts.PASSWORD} if asks else {}
        world.uses(port, **told)
        assert looked(own_app, "--reach")["mail-reached"] == ("ok", "localhost answers (none)")
    assert box.taken == []
    assert looked(own_app, "--reach")["mail-reached"] == ("fault", "localhost: unreachable")


@pytest.mark.serves
def test_a_mail_server_whose_certificate_is_not_trusted_is_a_fault(own_app: Flask) -> None:
    world, trusted = alerts.world(own_app), Authority()
    with alerts.mail(MailSecurity.TLS, authority=trusted) as (port, _box):
        world.uses(port, MailSecurity.TLS)
        assert looked(own_app, "--reach")["mail-reached"] == ("fault", "localhost: certificate not trusted")
        world.uses(port, MailSecurity.TLS, authority_pem=trusted.pem)
        assert looked(own_app, "--reach")["mail-reached"][0] == "ok"


@pytest.mark.serves
def test_a_password_that_another_vault_key_sealed_is_a_fault(own_app: Flask) -> None:
    world = alerts.world(own_app)
    world.uses(free_port(), username="nettbrett", password=alerts.PASSWORD)
    (config_of(own_app).secrets_dir / "vault.key").write_bytes(b"o" * 32)
    assert looked(own_app, "--reach")["mail-reached"][0] == "fault"


@contextmanager
def web(body: bytes, *, trusted: Authority | None = None) -> Iterator[str]:
    """Run something that answers every address; gives its own."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_told: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        if trusted is not None:
            server.socket = alerts.context(trusted).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'https' if trusted else 'http'}://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def reached(url: str, trusted: Path | None = None, *, days: int = 0) -> dict[str, Grade]:
    found: list[Check] = list(reaching.public_url(url, trusted=trusted, now=clock.now() + timedelta(days=days)))
    return {one.name: one.grade for one in found}


@pytest.mark.serves
def test_the_public_address_has_to_lead_here() -> None:
    with web(ALIVE) as url:
        assert reached(url) == {"public-url-reached": Grade.OK}
    with web(b"<h1>Kommunen</h1>") as url:
        assert reached(url) == {"public-url-reached": Grade.FAULT}
    assert reached(f"http://127.0.0.1:{free_port()}") == {"public-url-reached": Grade.WARNING}


@pytest.mark.serves
def test_the_certificate_there_is_looked_at(tmp_path: Path) -> None:
    trusted = Authority()
    pem = tmp_path / "ca.pem"
    pem.write_text(trusted.pem)
    with web(ALIVE, trusted=trusted) as url:
        assert reached(url, pem) == {"tls-certificate": Grade.OK, "public-url-reached": Grade.OK}
        assert reached(url, pem, days=290)["tls-certificate"] is Grade.WARNING
        assert reached(url) == {"tls-certificate": Grade.FAULT}
