"""``fleet audit``: who did what, and whether what was written of it is still there."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

import click
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import audit, audit_seals, clock
from fleet.access import Principal
from fleet.audit_seals import Fault, Sealed, Verdict
from fleet.cli.moments import Moment, instant
from fleet.cli.output import EXIT_REFUSED, ErrorsAsLines, application, json_option, show_table
from fleet.cli.refusals import printable
from fleet.config import Config
from fleet.errors import InvalidError
from fleet.reports import keeping

_WRONG = {
    "gap": "is not there",
    "signature": "was not set by this server",
    "missing": "has fewer lines than it was set on",
    "lines": "stands on other lines, or in another order, than now",
    "known": "is not the one that is known",
    "none": "is not there, and lines stand under it",
}
_MOST_LINE = 64 * 1024 * 1024  # of an exported file


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Read who did what."""


@group.command("list")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many lines, newest first.",
)
@click.option("--action", help="Only this action, such as tickets.created, or all of an area: tickets.")
@click.option("--subject", help="Only what was done to this, such as device:17.")
@click.option("--by", "actor", help="Only what this one did: account:17, a kind such as job, or cli.")
@click.option("--since", type=Moment(), help="Not before this local time.")
@click.option("--until", type=Moment(), help="Before this local time.")
@json_option
def list_entries(limit: int, action: str | None, *, as_json: bool, **narrowed: Any) -> None:
    """List the newest lines of the audit."""
    by = Principal.command_line()
    with application(writes=False) as config:
        rows: list[dict[str, Any]] = [
            {
                "at": entry.at,
                "by": f"{entry.actor_kind}:{entry.actor_id}".rstrip(":"),
                "action": entry.action,
                "subject": entry.subject,
                "fields": entry.fields,
            }
            for entry in audit.lines(_filter(action, config.timezone, **narrowed), limit=limit, by=by)
        ]
        known = audit.actions(by=by) if action is not None and not rows else ()
    if action is not None and not rows and action not in known:
        there = f"there are: {', '.join(known)}" if known else "there are no lines at all"
        click.echo(f"fleet: the audit has no line of the action {printable(action)}; {there}", err=True)
    shown = rows if as_json else [{**row, "fields": _local(row["fields"])} for row in rows]
    show_table(shown, ["at", "by", "action", "subject", "fields"], as_json=as_json)


def _filter(
    action: str | None,
    timezone: ZoneInfo,
    *,
    subject: str | None,
    actor: str | None,
    since: datetime | None,
    until: datetime | None,
) -> audit.Filter:
    kind, colon, number = (actor or "").partition(":")
    return audit.Filter(
        action=action,
        subjects=[subject] if subject is not None else None,
        actors=[(kind, number if colon else None)] if actor is not None else None,
        since=instant(since, timezone),
        until=instant(until, timezone),
    )


def _local(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line's fields without empty ones and with instants, which are stored as text, as instants."""
    return {
        name: datetime.fromisoformat(value) if name.endswith("_at") and isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }


@group.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def export(file: Path) -> None:
    """Write all sealed lines with their seals to FILE, so that they can be verified without this server."""
    by, number, digest = Principal.command_line(), 0, ""
    with application(writes=False) as config, _draft(file) as told:
        head = {"format": audit_seals.FORMAT, "key": audit_seals.to_pem(_key(config).public_key())}
        told.write(json.dumps(head) + "\n")
        for one in audit_seals.sealed(by=by):
            told.write(audit_seals.to_text(one) + "\n")
            number, digest = number + 1, one.digest
        told.write(json.dumps({"seals": number, "digest": digest}) + "\n")  # so that one sees where it ends
        waiting, _ = audit_seals.unsealed(by=by)
    rest = f"; {waiting} lines are not sealed yet, and not in it" if waiting else ""
    click.echo(f"wrote {number} seals with their lines to {file}{rest}")


@contextmanager
def _draft(file: Path) -> Iterator[TextIO]:
    """Give a file for its owner alone that takes its name once it is whole; one that is there stays."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as told:
            yield told
        try:
            os.link(draft, file)
        except FileExistsError as error:
            raise FileExistsError(error.errno, error.strerror, str(file)) from None
    finally:
        draft.unlink(missing_ok=True)


@group.command("key")
def key() -> None:
    """Write the public key of this server's seals, for who verifies elsewhere."""
    with application(writes=False) as config:
        click.echo(audit_seals.to_pem(_key(config).public_key()), nl=False)


@group.command("verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The server's public key, from `audit key`; of a FILE else the one that stands in it.",
)
@click.option("--known", metavar="NUMBER:DIGEST", help="A seal that was noted before: it must still be there.")
@json_option
def verify(file: Path | None, key_file: Path | None, known: str | None, *, as_json: bool) -> None:
    """Look whether any line was changed, removed or put elsewhere: of this server, or of an exported FILE."""
    noted = _noted(known) if known is not None else None
    public = audit_seals.load_public(key_file.read_bytes()) if key_file is not None else None
    whose = "given" if public is not None else "server" if file is None else "file"
    waiting: tuple[int, datetime | None] = (0, None)
    if file is not None:
        with file.open(encoding="utf-8", newline="\n") as told:
            found = _verify_file(told, public, noted)
    else:
        by = Principal.command_line()
        with application(writes=False) as config:
            public = public or _key(config).public_key()
            seals = audit_seals.sealed(by=by)
            found = audit_seals.verify(seals, public, kept=_kept(), now=clock.now(), known=noted)
            found = replace(found, faults=(*found.faults, *audit_seals.strays(by=by)))
            waiting = audit_seals.unsealed(by=by)
    is_overdue = waiting[1] is not None and waiting[1] < clock.now() - audit_seals.SEALED_WITHIN
    _show(found, waiting[0], whose=whose, is_overdue=is_overdue, as_json=as_json)
    if found.faults or is_overdue:
        click.get_current_context().exit(EXIT_REFUSED)


def _show(found: Verdict, waiting: int, *, whose: str, is_overdue: bool, as_json: bool) -> None:
    head = f"{found.head[0]}:{found.head[1]}" if found.head is not None and not found.faults else None
    if as_json:
        told = {"seals": found.seals, "lines": found.lines, "expired": found.expired, "sealed_late": found.late}
        told |= {"unsealed": waiting, "is_overdue": is_overdue}
        faults = [{"seal": one.number, "kind": one.kind} for one in found.faults]
        click.echo(json.dumps({**told, "key": whose, "head": head, "faults": faults}))
        return
    for one in found.faults:
        click.echo(f"seal {one.number} {_WRONG[one.kind]}")
    state = f"{len(found.faults)} faults" if found.faults else "nothing was changed"
    click.echo(f"{found.seals} seals with {found.lines} lines: {state}")
    if found.expired:
        click.echo(f"of {found.expired} seals the lines are removed, as their time is over")
    if found.late:
        click.echo(f"{found.late} lines were sealed more than an hour after their time: was no server running then?")
    if is_overdue:
        click.echo(
            f"{waiting} lines are not sealed, and the oldest for more than an hour: does the job audit-seals run?"
        )
    elif waiting:
        click.echo(f"{waiting} lines are not sealed yet; a running server seals them within a minute")
    if whose == "file":
        click.echo("set by the key that stands in the file: compare it with the server's, or name that with --key")
    if head is not None:
        click.echo(f"newest seal, to be kept elsewhere: {head}")


def _verify_file(told: TextIO, public: ec.EllipticCurvePublicKey | None, noted: tuple[int, str] | None) -> Verdict:
    # What the file says of itself counts for nothing but its key, and that only where none is named.
    head = _object(_line(told))
    if head.get("format") != audit_seals.FORMAT:
        raise InvalidError(kind="audit-export", reason="format")
    public = public or audit_seals.load_public(str(head.get("key")).encode("utf-8", "surrogatepass"))
    end: dict[str, Any] = {}
    found = audit_seals.verify(_seals(told, end), public, kept=_kept(), now=clock.now(), known=noted)
    number, digest = found.head or (0, "")
    if end != {"seals": found.seals, "digest": digest}:
        return replace(found, faults=(*found.faults, Fault(number + 1, "gap")))
    return found


def _seals(told: TextIO, end: dict[str, Any]) -> Iterator[Sealed]:
    """Give a file's seals; ``end`` gets what its last line says of all."""
    line = _line(told)
    while following := _line(told):
        yield audit_seals.from_text(line)
        line = following
    if not line:
        raise InvalidError(kind="audit-export", reason="it has no end")
    end.update(_object(line))


def _line(told: TextIO) -> str:
    """Return the next line, empty where there is none."""
    try:
        line = told.readline(_MOST_LINE)
    except UnicodeDecodeError:
        raise InvalidError(kind="audit-export", reason="not UTF-8") from None
    if line and not line.endswith("\n"):
        raise InvalidError(kind="audit-export", reason="a line has no end")
    return line


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidError(kind="audit-export", reason=type(error).__name__) from None
    if not isinstance(found, dict):
        raise InvalidError(kind="audit-export", reason="no object")
    return found


def _noted(known: str) -> tuple[int, str]:
    number, _, digest = known.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) < 12 and len(digest) == 64):
        raise click.BadParameter("NUMBER:DIGEST, as `audit verify` says it", param_hint="--known")
    return int(number), digest


def _key(config: Config) -> ec.EllipticCurvePrivateKey:
    return audit_seals.load_key(config.secrets_dir, may_create=False)


def _kept() -> timedelta:
    return keeping.keep("audit_lines")
