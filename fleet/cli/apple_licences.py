"""``fleet apple``, what of it is about Apps and Books: the token, and the licences of each app."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.apps import licences
from fleet.cli.output import application, json_option, show_table
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.mdm import errands
from fleet.mdm.errands import Standing
from fleet.mdm.licence_token import LicenceToken, LicenceTokenKeeper

_MOST_BYTES = 32 * 1024
_COLUMNS = ["app", "store_id", "bought", "assigned", "waiting", "lacking", "failed"]


def keeper(config: Config) -> LicenceTokenKeeper:
    """Return what keeps the token."""
    return LicenceTokenKeeper(config.secrets_dir, vault_key_of(config.secrets_dir, config.vault_key_file))


def told(found: LicenceToken | None, standing: Standing | None, now: datetime) -> dict[str, Any] | None:
    """Return how the token and what is done with it stand, for programs."""
    if found is None:
        return None
    return {
        "organisation": found.organisation,
        "expires_at": found.expires_at,
        "days_left": found.days_left(now),
        "asked_at": standing.done_at if standing is not None else None,
        "failure": standing.failure if standing is not None else None,
    }


def words(found: LicenceToken | None, standing: Standing | None, now: datetime) -> str:
    """Return the same in a line for people."""
    if found is None:
        return "no token: apps that need a licence wait; `scripts/fleet apple licences-token FILE` takes one"
    line = f"{found.organisation}, {found.days_left(now)} days left (until {found.expires_at:%Y-%m-%d})"
    failure = standing.failure if standing is not None else None
    if failure is None:
        return line
    if failure.startswith(errands.OTHER_SERVICE):
        whose = failure.removeprefix(errands.OTHER_SERVICE).strip() or "another service"
        return f"{line}; {whose} manages them: `scripts/fleet apple licences-claim --yes` takes them over"
    return f"{line}; Apple was asked in vain: {failure}"


@click.command("licences-token", short_help="Use a token for Apps and Books from now on.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Also where it is another organisation's than the present one.")
def licences_token(file: Path, *, yes: bool) -> None:
    """Assign licences of apps with this token of Apple School Manager (.vpptoken) from now on."""
    with file.open("rb") as opened:
        uploaded = opened.read(_MOST_BYTES)
    now = clock.now()
    with application(writes=True) as config:
        found = keeper(config).take(uploaded, other_organisation=yes, by=Principal.command_line(), now=now)
        errands.hurry(errands.LICENCES, now=now)
    click.echo(f"{found.organisation}: good for {found.days_left(now)} days")


@click.command("licences-claim", short_help="Take licences over from another service.")
@click.option("--yes", is_flag=True, help="Do it.")
def licences_claim(*, yes: bool) -> None:
    """Take licences over from another service that manages them now: it should not go on doing so."""
    if not yes:
        raise click.UsageError("say --yes: two services that assign the same licences take them from each other")
    now = clock.now()
    with application(writes=True) as config:
        keeper(config).claim(by=Principal.command_line(), now=now)
        errands.hurry(errands.LICENCES, now=now)
    click.echo("Apple is told within a minute, if the server runs; `scripts/fleet apple status` says how it went")


@click.command("licences", short_help="List the licences of each app.")
@json_option
def list_licences(*, as_json: bool) -> None:
    """List the licences of each app: bought, assigned, and how many tablets wait for one or get none."""
    with application(writes=False):
        rows = [
            {
                "app": one.name,
                "store_id": one.store_id,
                "bought": one.bought,
                "assigned": one.assigned,
                "waiting": one.waiting,
                "lacking": one.lacking,
                "failed": one.failed,
            }
            for one in licences.figures()
        ]
    show_table(rows, _COLUMNS, as_json=as_json)


COMMANDS = (licences_token, licences_claim, list_licences)
