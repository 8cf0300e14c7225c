"""``fleet apple``, what of it is about Apple School Manager: the server token, and the iPads listed there."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.local_time import moment
from fleet.cli.output import application, give, json_option, show_json, show_table
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.devices import expecting
from fleet.mdm import errands, listed
from fleet.mdm.errands import Standing
from fleet.mdm.server_token import ServerToken
from fleet.mdm.token_keeper import TokenKeeper
from fleet.schools import queries as schools

_MOST_BYTES = 128 * 1024
_SOURCE = "Apple School Manager"
_COLUMNS = ["serial", "model", "here", "profile", "outcome", "listed_at"]
_REASONS = {
    "terms-not-accepted": "somebody has to accept Apple's terms in Apple School Manager",
    "token-refused": "Apple does not take the server token any more: download a new one",
    "clock-wrong": "this server's clock is wrong, so Apple does not let it in",
    "unreachable": "Apple's service cannot be reached",
    "busy": "Apple's service is busy",
}


def keeper(config: Config) -> TokenKeeper:
    """Return what keeps the server token."""
    return TokenKeeper(config.secrets_dir, vault_key_of(config.secrets_dir, config.vault_key_file))


def told(found: ServerToken | None, now: datetime) -> dict[str, Any] | None:
    """Return how a token stands, for programs."""
    return None if found is None else {"expires_at": found.expires_at, "days_left": found.days_left(now)}


def words(found: ServerToken | None, now: datetime) -> str:
    """Return how a token stands, for people."""
    if found is None:
        return "none: iPads enrol by tickets only; begin with `scripts/fleet apple token-key`"
    return f"{found.days_left(now)} days left (until {found.expires_at:%Y-%m-%d})"


def how(found: Standing | None) -> str:
    """Return how the list of Apple School Manager stands, for people."""
    if found is None or (found.done_at is None and found.failed_at is None):
        return "not read yet"
    if found.failed_at is not None:
        return f"not read at {moment(found.failed_at)}: {_REASONS.get(found.failure or '', found.failure)}"
    return f"read at {moment(found.done_at or found.due_at)}"


@click.command("token-key", short_help="Give the certificate for a server token.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to; else it is written out.")
@click.option("--new", is_flag=True, help="Make a new key, in the place of the one there is.")
def token_key(output: Path | None, *, new: bool) -> None:
    """Give the certificate that Apple School Manager asks for; its key stays here, sealed."""
    with application(writes=False) as config:
        pem = keeper(config).certificate(renew=new, now=clock.now())
    give(pem, output, then="upload it at Apple School Manager, download the token there, then `token-upload`")


@click.command("token-upload", short_help="Use a server token from now on.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def token_upload(file: Path) -> None:
    """Use the server token that Apple School Manager made from now on."""
    with file.open("rb") as opened:
        uploaded = opened.read(_MOST_BYTES)
    now = clock.now()
    with application(writes=True) as config:
        found = keeper(config).take(uploaded, by=Principal.command_line(), now=now)
        errands.hurry(listed.SCHOOL_MANAGER, now=now)
    click.echo(f"server token: good for {found.days_left(now)} days")


@click.command("sync", short_help="Read Apple School Manager at once.")
def sync() -> None:
    """Have the list of Apple School Manager read at once, by a server that runs."""
    with application(writes=True) as config:
        has_token = keeper(config).current() is not None
        errands.hurry(listed.SCHOOL_MANAGER, now=clock.now())
    click.echo("asked for: within seconds, where a server runs" if has_token else "there is no server token yet")


@click.command("devices", short_help="List the iPads in Apple School Manager.")
@click.option("--missing", is_flag=True, help="Only those on no delivery list.")
@click.option("--expect", is_flag=True, help="Expect those, as if a delivery list had them; needs --school.")
@click.option("--school", help="Where they are expected: name or id.")
@json_option
def devices(*, missing: bool, expect: bool, school: str | None, as_json: bool) -> None:
    """List the iPads that Apple School Manager has assigned to this server."""
    if expect != (school is not None):
        raise click.UsageError("--expect and --school go together")
    with application(writes=expect):
        rows = listed.standings(missing=missing or expect)
        if school is not None:
            models = {one.listed.serial: one.listed.model for one in rows}
            by, now = Principal.command_line(), clock.now()
            plan = expecting.expect(models, schools.find_school(school), _SOURCE, by=by, now=now)
            counts = plan.counts()
            if as_json:
                show_json(counts)
            else:
                click.echo(
                    f"{counts['added']} are added, {counts['changed']} are on the list now, {counts['unchanged']} stay"
                )
            return
        show_table([_row(one) for one in rows], _COLUMNS, as_json=as_json)


def _row(one: listed.Standing) -> dict[str, Any]:
    found = one.listed
    here = one.device.life.value if one.device is not None else None
    return {
        "serial": found.serial,
        "model": found.model,
        "here": here if one.is_expected or here is None else f"{here}, on no delivery list",
        "profile": found.assigned_at is not None and found.profile_uuid is not None,
        "outcome": found.outcome,
        "listed_at": found.listed_at,
    }


COMMANDS = (token_key, token_upload, sync, devices)
