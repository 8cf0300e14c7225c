"""``fleet apple``, what of it is about Apple School Manager: the server token."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import application
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.mdm.server_token import ServerToken
from fleet.mdm.token_keeper import TokenKeeper

_MOST_BYTES = 128 * 1024


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


@click.command("token-key")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to; else it is written out.")
@click.option("--new", is_flag=True, help="Make a new key, in the place of the one there is.")
def token_key(output: Path | None, *, new: bool) -> None:
    """Give the certificate that Apple School Manager asks for; its key stays here, sealed."""
    with application(writes=False) as config:
        pem = keeper(config).certificate(renew=new, now=clock.now())
    if output is None:
        click.echo(pem.decode(), nl=False)
    else:
        output.write_bytes(pem)
        click.echo(f"wrote {output}: upload it at Apple School Manager, download the token there, then `token-upload`")


@click.command("token-upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def token_upload(file: Path) -> None:
    """Use the server token that Apple School Manager made from now on."""
    with file.open("rb") as opened:
        uploaded = opened.read(_MOST_BYTES)
    now = clock.now()
    with application(writes=True) as config:
        found = keeper(config).take(uploaded, by=Principal.command_line(), now=now)
    click.echo(f"server token: good for {found.days_left(now)} days")


COMMANDS = (token_key, token_upload)
