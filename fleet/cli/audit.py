"""``fleet audit``: who did what, and whether what was written of it is still there."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

import click
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import audit, audit_seals, clock
from fleet.access import Principal
from fleet.audit_seals import Sealed, Verdict
from fleet.cli.moments import Moment, instant
from fleet.cli.output import EXIT_REFUSED, ErrorsAsLines, application, json_option, show_table
from fleet.cli.refusals import printable
from fleet.config import Config
from fleet.crypto import read_or_create_signing_key
from fleet.errors import InvalidError
from fleet.reports import keeping

_WRONG = {
    "gap": "is not there",
    "signature": "was not set by this server",
    "missing": "has fewer lines than it was set on",
    "lines": "stands on other lines, or in another order, than now",
    "known": "is not the one that is known",
}


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
    by = Principal.command_line()
    with application(writes=False) as config, file.open("x", encoding="utf-8") as told:
        head = {
            "format": audit_seals.FORMAT,
            "key": audit_seals.to_pem(_key(config).public_key()),
            "exported_at": clock.now().isoformat(),
            "kept_days": _kept().days,
        }
        told.write(json.dumps(head) + "\n")
        number = 0
        for one in audit_seals.sealed(by=by):
            told.write(audit_seals.to_text(one) + "\n")
            number += 1
        waiting = audit_seals.unsealed(by=by)
    rest = f"; {waiting} lines are not sealed yet, and not in it" if waiting else ""
    click.echo(f"wrote {number} seals with their lines to {file}{rest}")


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
    is_own_key = file is not None and public is None
    if file is not None:
        with file.open(encoding="utf-8") as told:
            found, waiting = _verify_file(told, public, noted), 0
    else:
        by = Principal.command_line()
        with application(writes=False) as config:
            public = public or _key(config).public_key()
            seals = audit_seals.sealed(by=by)
            found = audit_seals.verify(seals, public, kept=_kept(), now=clock.now(), known=noted)
            waiting = audit_seals.unsealed(by=by)
    _show(found, waiting, is_own_key=is_own_key, as_json=as_json)
    if found.faults:
        click.get_current_context().exit(EXIT_REFUSED)


def _show(found: Verdict, waiting: int, *, is_own_key: bool, as_json: bool) -> None:
    head = f"{found.head[0]}:{found.head[1]}" if found.head is not None else None
    if as_json:
        faults = [{"seal": one.number, "kind": one.kind} for one in found.faults]
        told = {"seals": found.seals, "lines": found.lines, "expired": found.expired, "unsealed": waiting}
        click.echo(json.dumps({**told, "head": head, "faults": faults}))
        return
    for one in found.faults:
        click.echo(f"seal {one.number} {_WRONG[one.kind]}")
    state = f"{len(found.faults)} faults" if found.faults else "nothing was changed"
    click.echo(f"{found.seals} seals with {found.lines} lines: {state}")
    if found.expired:
        click.echo(f"of {found.expired} seals the lines are removed, as their time is over")
    if waiting:
        click.echo(f"{waiting} lines are not sealed yet; a running server seals them within a minute")
    if is_own_key:
        click.echo("set by the key that stands in the file: compare it with the server's, or name that with --key")
    if head is not None:
        click.echo(f"newest seal, to be kept elsewhere: {head}")


def _verify_file(told: TextIO, public: ec.EllipticCurvePublicKey | None, noted: tuple[int, str] | None) -> Verdict:
    try:
        head = json.loads(told.readline())
        kept, exported_at = timedelta(days=int(head["kept_days"])), datetime.fromisoformat(head["exported_at"])
        stated, form = str(head["key"]), head["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidError(kind="audit-export", reason=type(error).__name__) from None
    if form != audit_seals.FORMAT or exported_at.tzinfo is None:
        raise InvalidError(kind="audit-export", reason="format")
    public = public or audit_seals.load_public(stated.encode())
    return audit_seals.verify(_seals(told), public, kept=kept, now=exported_at, known=noted)


def _seals(told: TextIO) -> Iterator[Sealed]:
    for line in told:
        yield audit_seals.from_text(line)


def _noted(known: str) -> tuple[int, str]:
    number, _, digest = known.partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise click.BadParameter("NUMBER:DIGEST, as `audit verify` says it", param_hint="--known")
    return int(number), digest


def _key(config: Config) -> ec.EllipticCurvePrivateKey:
    return read_or_create_signing_key(config.secrets_dir / audit_seals.KEY_FILE)


def _kept() -> timedelta:
    return keeping.keep("audit_lines")
