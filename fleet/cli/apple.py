"""``fleet apple``: what Apple asks for before iPads can be taken in, and how they stand."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli import apple_licences, apple_school
from fleet.cli.output import ErrorsAsLines, application, give, json_option, show_json
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.devices import reported
from fleet.mdm import authority, errands, listed, queries
from fleet.mdm.push_certificate import PushCertificate
from fleet.mdm.push_keeper import PushKeeper
from fleet.schools import queries as schools

_MOST_BYTES = 64 * 1024
_LACKING = {
    "unsupervised": "are not supervised: `scripts/fleet devices list --unsupervised`",
    "lacking_apps": "have not all their apps yet: `scripts/fleet devices list --lacks-app all`",
}


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Get the certificates that iPads need, and see how iPads stand."""


for _command in (*apple_school.COMMANDS, *apple_licences.COMMANDS):
    group.add_command(_command)


def _keeper(config: Config) -> PushKeeper:
    return PushKeeper(config.secrets_dir, _vault(config))


def _vault(config: Config) -> bytes:
    return vault_key_of(config.secrets_dir, config.vault_key_file)


def _told(found: PushCertificate | None, now: datetime) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "topic": found.topic,
        "owner": found.owner,
        "serial": found.serial,
        "expires_at": found.expires_at,
        "days_left": found.days_left(now),
    }


def _lacking() -> dict[str, int]:
    """Return how many iPads in use have not all that a school needs; two statements."""
    return {
        "unsupervised": reported.number(reported.unsupervised()),
        "lacking_apps": reported.number(reported.lacking_apps()),
    }


@group.command(short_help="Show how certificates, tokens and iPads stand.")
@json_option
def status(*, as_json: bool) -> None:
    """Show the push certificate, the tokens, the device CA, and how many iPads follow."""
    now = clock.now()
    with application(writes=False) as config:
        push = _keeper(config).current()
        token = apple_school.keeper(config).current()
        listing, missing = errands.standing(listed.SCHOOL_MANAGER), listed.missing_count()
        licences, asking = apple_licences.keeper(config).current(), errands.standing(errands.LICENCES)
        figures = queries.figures(push.topic if push is not None else None)
        lacking = _lacking()
        ca = authority.load(config.secrets_dir, _vault(config), now=now)
    told = {
        "push_certificate": _told(push, now),
        "server_token": apple_school.told(token, now),
        "school_manager": {
            "done_at": listing.done_at if listing is not None else None,
            "failure": listing.failure if listing is not None else None,
            "missing": missing,
        },
        "licences": apple_licences.told(licences, asking, now),
        "device_ca": {
            "expires_at": ca.current.certificate.not_valid_after_utc,
            "rotate_by": ca.rotate_by,
            "former": len(ca.former),
        },
        "ipads": {name: getattr(figures, name) for name in figures.__slots__} | lacking,
    }
    if as_json:
        show_json(told)
        return
    if push is None:
        click.echo("push certificate  none: iPads cannot be taken in; begin with `scripts/fleet apple push-request`")
    else:
        click.echo(
            f"push certificate  {push.topic}, {push.days_left(now)} days left (until {push.expires_at:%Y-%m-%d})"
        )
    click.echo(f"server token      {apple_school.words(token, now)}")
    if token is not None:
        click.echo(f"its list          {apple_school.how(listing)}; {missing} iPads on no delivery list")
    click.echo(f"licences          {apple_licences.words(licences, asking, now)}")
    click.echo(f"device CA         new one needed by {ca.rotate_by:%Y-%m-%d}; {len(ca.former)} former still trusted")
    click.echo(
        f"iPads             {figures.clients} enrolled, {figures.behind} have not followed yet, "
        f"{figures.dead} cannot be rung, {figures.waiting} commands wait"
    )
    if push is not None and figures.other_topic:
        click.echo(f"{'':18}{figures.other_topic} hear nothing: they are bound to another push certificate")
    for name, line in _LACKING.items():
        if lacking[name]:
            click.echo(f"{'':18}{lacking[name]} {line}")


@group.command("push-request", short_help="Ask for a push certificate.")
@click.option("--email", required=True, help="Whom Apple's portal and the vendor may write to about it.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to; else it is written out.")
def push_request(email: str, output: Path | None) -> None:
    """Make a request for a push certificate, and a key that stays here, sealed."""
    with application(writes=False) as config:
        owner = schools.municipality()
        name = owner.name if owner is not None else "Kommune"
        keeper = _keeper(config)
    try:
        request = keeper.ask(email=email, organisation=name)
    except ValueError:
        raise click.UsageError("--email and the municipality's name have at most 64 characters") from None
    give(request, output, then="have it signed by your vendor, upload that at Apple's portal, then `push-upload`")


@group.command("push-upload", short_help="Use a push certificate from now on.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def push_upload(file: Path) -> None:
    """Use the push certificate that Apple's portal made from now on."""
    with file.open("rb") as opened:
        uploaded = opened.read(_MOST_BYTES)
    now = clock.now()
    with application(writes=True) as config:
        found = _keeper(config).take(uploaded, by=Principal.command_line(), now=now)
    click.echo(f"{found.topic}: good for {found.days_left(now)} days")


@group.command("ca-rotate", short_help="Make a new device CA.")
@click.option("--yes", is_flag=True, help="Do it.")
def ca_rotate(*, yes: bool) -> None:
    """Make a new device CA; the former stays trusted until its last certificate has run out. Then restart."""
    if not yes:
        raise click.UsageError("say --yes: every iPad then renews its certificate from the new one")
    with application(writes=False) as config:
        made = authority.rotate(config.secrets_dir, _vault(config), now=clock.now())
    click.echo(f"new device CA, good until {made.current.certificate.not_valid_after_utc:%Y-%m-%d}; restart the server")
