"""``fleet audit verify``, ``export`` and ``key``: whether what was written down is still there, here and elsewhere."""

import json
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from fleet import audit, audit_seals, clock
from fleet.access import Principal
from fleet.crypto import read_or_create_signing_key
from fleet.db import db, transaction
from tests.conftest import NOW
from tests.doors.fleet_command import run


def sealed(app: Flask, *, count: int = 2) -> None:
    key = audit_seals.load_key(app.extensions["fleet_config"].secrets_dir, may_create=True)
    with transaction():
        for number in range(count):
            audit.record(Principal.command_line(), "tickets.created", subject=f"ticket:{number}", now=NOW)
    with transaction():
        assert audit_seals.seal(key, now=NOW) == count


def changed() -> None:
    with transaction():
        db.session.execute(text("UPDATE audit_entry SET subject = 'ticket:9' WHERE place = 0"))


def test_what_is_as_it_was_sealed_is_said_so_with_the_newest_seal(app: Flask) -> None:
    sealed(app)
    with transaction():
        audit.record(Principal.command_line(), "tickets.created", subject="ticket:7", now=clock.now())
    found = run(app, "audit", "verify")
    assert found.exit_code == 0
    first, waiting, head = found.output.splitlines()
    assert first == "1 seals with 2 lines: nothing was changed"
    assert waiting == "1 lines are not sealed yet; a running server seals them within a minute"
    known = head.removeprefix("newest seal, to be kept elsewhere: ")
    assert run(app, "audit", "verify", "--known", known).exit_code == 0
    other = run(app, "audit", "verify", "--known", f"7{known[1:]}")
    assert (other.exit_code, other.output.splitlines()[0]) == (1, "seal 7 is not the one that is known")


def test_a_changed_line_is_told_with_its_seal(app: Flask) -> None:
    sealed(app)
    changed()
    found = run(app, "audit", "verify")
    assert found.exit_code == 1
    assert found.output.splitlines()[:2] == [
        "seal 1 stands on other lines, or in another order, than now",
        "1 seals with 2 lines: 1 faults",
    ]
    told = json.loads(run(app, "audit", "verify", "--json").output)
    assert told["faults"] == [{"seal": 1, "kind": "lines"}]


def test_an_exported_file_is_verified_without_the_database(app: Flask, tmp_path: Path) -> None:
    sealed(app)
    file, key = tmp_path / "audit.jsonl", tmp_path / "key.pem"
    assert run(app, "audit", "export", file).output == f"wrote 1 seals with their lines to {file}\n"
    key.write_text(run(app, "audit", "key").output)
    changed()  # of which the file knows nothing
    for more in ((), ("--key", key)):
        found = json.loads(run(app, "audit", "verify", file, *more, "--json").output)
        assert (found["seals"], found["lines"], found["faults"]) == (1, 2, [])
    file.write_text(file.read_text().replace("ticket:1", "ticket:8"))
    assert run(app, "audit", "verify", file).exit_code == 1
    assert file.stat().st_mode & 0o077 == 0
    again = run(app, "audit", "export", file)
    assert (again.exit_code, again.stderr) == (1, f"fleet: File exists: {file}\n")


def test_a_file_with_a_key_of_its_own_is_found_by_who_has_the_servers(app: Flask, tmp_path: Path) -> None:
    sealed(app)
    file, key = tmp_path / "audit.jsonl", tmp_path / "key.pem"
    key.write_text(run(app, "audit", "key").output)
    forged = read_or_create_signing_key(tmp_path / "secrets" / "other.pem")
    with transaction():
        db.session.execute(text("UPDATE audit_entry SET seal = NULL, place = NULL"))
        db.session.execute(text("DELETE FROM audit_seal"))
        audit_seals.seal(forged, now=NOW)
    run(app, "audit", "export", file)
    head, _, rest = file.read_text().partition("\n")
    file.write_text(json.dumps(json.loads(head) | {"key": audit_seals.to_pem(forged.public_key())}) + "\n" + rest)
    found = run(app, "audit", "verify", file)
    assert found.exit_code == 0
    assert "by the key that stands in the file" in found.output
    assert json.loads(run(app, "audit", "verify", file, "--json").output)["key"] == "file"
    other = run(app, "audit", "verify", file, "--key", key)
    assert (other.exit_code, other.output.splitlines()[0]) == (1, "seal 1 was not set by this server")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "x\n",
        "{}\n",
        '{"format": "fleet-audit-9", "key": "", "exported_at": "2026-09-14T08:00:00+00:00", "kept_days": 1}\n',
    ],
)
def test_another_file_is_refused(app: Flask, tmp_path: Path, content: str) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text(content)
    found = run(app, "audit", "verify", file)
    assert (found.exit_code, found.stderr.startswith("fleet: this is not a file of audit export (")) == (1, True)


def test_what_is_noted_wrongly_is_wrong_use(app: Flask) -> None:
    for known in ("7", "x:y", "7:abc"):
        assert run(app, "audit", "verify", "--known", known).exit_code == 2


def test_a_key_that_is_none_is_refused(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("x")
    found = run(app, "audit", "verify", "--key", tmp_path / "key.pem")
    assert (found.exit_code, found.stderr) == (1, "fleet: the key of the audit's seals: not PEM\n")


def test_a_file_that_was_cut_off_is_not_whole(app: Flask, tmp_path: Path) -> None:
    sealed(app)
    sealed(app)
    file, shorter = tmp_path / "audit.jsonl", tmp_path / "shorter.jsonl"
    run(app, "audit", "export", file)
    head, first, second, end = file.read_text().splitlines(keepends=True)
    for cut in ([head], [head, first], [head, first, second], [head, first, second[:-9]], []):
        shorter.write_text("".join(cut))
        found = run(app, "audit", "verify", shorter)
        assert found.exit_code == 1, cut
        assert "not a file of audit export" in found.stderr or "is not there" in found.stdout, cut
    shorter.write_text(head + first + end)
    assert run(app, "audit", "verify", shorter).output.splitlines()[0] == "seal 2 is not there"


def test_what_a_file_says_of_itself_takes_no_line_away(app: Flask, tmp_path: Path) -> None:
    sealed(app)
    file = tmp_path / "audit.jsonl"
    run(app, "audit", "export", file)
    head, one, end = file.read_text().splitlines()
    told = json.loads(one) | {"lines": []}
    old = {"kept_days": 0, "exported_at": "9999-01-01T00:00:00+00:00"}
    lines = [json.dumps(json.loads(head) | old), json.dumps(told, sort_keys=True), end, ""]
    file.write_text("\n".join(lines))
    found = run(app, "audit", "verify", file)
    assert (found.exit_code, found.output.splitlines()[0]) == (1, "seal 1 has fewer lines than it was set on")


def test_lines_that_wait_too_long_for_their_seal_are_told(app: Flask) -> None:
    sealed(app)
    with transaction():
        audit.record(Principal.command_line(), "tickets.created", subject="ticket:7", now=NOW)
    found = run(app, "audit", "verify")
    assert found.exit_code == 1
    assert "does the job audit-seals run?" in found.output


def test_without_a_key_of_the_server_none_is_made_up(app: Flask) -> None:
    (app.extensions["fleet_config"].secrets_dir / audit_seals.KEY_FILE).unlink(missing_ok=True)
    for words in (("key",), ("verify",)):
        found = run(app, "audit", *words)
        assert (found.exit_code, "is made when the server starts" in found.stderr) == (1, True)
