"""``fleet android``: how Android tablets come in, how their agents stand, and what is done with these."""

import io
import os
from pathlib import Path
from typing import Any

import click
import segno

from fleet import clock
from fleet.access import Principal
from fleet.android import admin_password, coming, figures, provisioning, tokens
from fleet.android.figures import Figures
from fleet.android.provisioning import Network, Obstacle
from fleet.android.tokens import TokenUnusedError
from fleet.cli.output import (
    ErrorsAsLines,
    application,
    give,
    json_option,
    ready_app,
    show_json,
    write_for_owner,
)
from fleet.config import Config
from fleet.db import transaction
from fleet.devices import enrolment
from fleet.devices import queries as devices
from fleet.devices.models import Ticket
from fleet.errors import ConflictError, InvalidError, NotFoundError

_OBSTACLES = {
    Obstacle.LOCAL: "leads to this machine only: start the server with FLEET_PUBLIC_URL",
    Obstacle.OWN_CA: "has a certificate of a CA of your own (FLEET_TLS_ROOT), which no new tablet trusts",
    Obstacle.PLAIN: "has no TLS: whoever is on the network can read and change what is said",
}
_KINDS = {".svg": "svg", ".png": "png"}
_CODE = click.option("--ticket", "code", required=True, help="The ticket's code, as it was shown when it was made.")


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Take Android tablets in, and see how their agents stand."""


def _in_the_way(config: Config) -> list[str]:
    """Say what keeps tablets from our address."""
    found = provisioning.obstacles(
        config.public_url, is_local_only=config.is_local_only, has_own_ca=config.tls_root_file is not None
    )
    return [f"{config.public_url} {_OBSTACLES[one]}" for one in found]


@group.command(short_help="Show how the agent's package and the tablets stand.")
@json_option
def status(*, as_json: bool) -> None:
    """Show the agent's package, what keeps tablets from us, and how tablets with the agent stand."""
    with application(writes=False) as config:
        agent, found = coming.agent(config.public_url), figures.figures()
        in_the_way = _in_the_way(config)
    old = found.older_than(agent.version) if agent is not None else 0
    if as_json:
        names = ("version", "digest", "signer", "url")
        package = {name: getattr(agent, name) for name in names} if agent is not None else None
        shown = {name: getattr(found, name) for name in found.__slots__}
        show_json({"package": package, "obstacles": in_the_way, "tablets": {**shown, "old_agent": old}})
        return
    if agent is None:
        click.echo("package  none: download the agent from h-mdm.com, then `scripts/fleet apps upload hmdm-….apk`")
    else:
        click.echo(f"package  {agent.version}, SHA-256 {agent.digest}")
        if figures.is_too_old(agent.version):
            click.echo(f"{'':9}older than {figures.OLDEST}, which this server needs: bring a newer one from h-mdm.com")
        click.echo(f"signer   {agent.signer or 'not known'}")
    for one in in_the_way:
        click.echo(f"address  {one}")
    for line in _told(found, old):
        click.echo(line)


def _told(found: Figures, old: int) -> list[str]:
    """Say how tablets with the agent stand."""
    versions = ", ".join(f"{count} with {version or 'a version not told'}" for version, count in found.versions.items())
    lines = [f"tablets  {found.agents} enrolled" + (f": {versions}" if versions else "")]
    told = (
        (old, "have an older agent than the package"),
        (found.not_owner, "have an agent that does not own the tablet: next to nothing is enforced; enrol them again"),
        (found.coming, "are still coming in"),
        (found.moving, "are to move to a new address and have not yet"),
        (found.behind, "have not fetched the last change yet"),
    )
    return lines + [f"{'':9}{count} {words}" for count, words in told if count]


@group.command(short_help="Write the QR code that a new tablet scans.")
@_CODE
@click.option("--wifi", metavar="SSID", help="Have the tablet join this network of the place; its password is in it.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to: a file .svg or .png.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
def qr(code: str, wifi: str | None, output: Path | None, *, force: bool, as_json: bool) -> None:
    """Write the QR code that a new tablet scans in its set-up; with --json what it says."""
    if output is None and not as_json:
        raise click.UsageError("say where to with --output FILE.svg or FILE.png, or --json")
    if output is not None and output.suffix not in _KINDS:
        raise InvalidError(kind="qr", found=output.suffix)
    if output is not None and os.path.lexists(output) and not force:
        raise ConflictError(kind="sheet", name=str(output))
    with application(writes=False) as config:
        ticket = enrolment.good_ticket(code, clock.now())
        agent = coming.agent(config.public_url)
        if agent is None:
            raise NotFoundError(kind="agent package")
        network = _network(ticket, wifi) if wifi is not None else None
        extras = provisioning.extras(agent, config.public_url, code, network)
        in_the_way = _in_the_way(config)
    for one in in_the_way:
        click.echo(f"fleet: note: {one}", err=True)
    if output is not None:
        write_for_owner(output, _drawn(provisioning.text(extras), _KINDS[output.suffix]), over=force)
    if as_json:
        show_json(extras)
    else:
        click.echo(f"wrote {output}: tap a new tablet's welcome screen six times at the same place, then scan it")


def _drawn(said: str, kind: str) -> bytes:
    made = io.BytesIO()
    segno.make(said, error="l").save(made, kind=kind, scale=8, border=4)
    return made.getvalue()


def _network(ticket: Ticket, ssid: str) -> Network:
    """Return a network of a ticket's place.

    Raises:
        NotFoundError: it has none of this name that a tablet joins by itself.
    """
    known = {one.ssid: one for one in coming.networks(ticket, by=Principal.command_line(), now=clock.now())}
    if ssid not in known:
        raise NotFoundError(kind="network of the place", name=ssid, known=sorted(known))
    return known[ssid]


@group.command("init-json", short_help="Write the file for tablets that come by cable.")
@_CODE
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to; else it is written out.")
def init_json(code: str, output: Path | None) -> None:
    """Write init.json, which tells the agent of a tablet that comes by cable what the QR code tells others."""
    with application(writes=False) as config:
        enrolment.good_ticket(code, clock.now())
        said = provisioning.init_json(config.public_url, code).encode()
    give(said, output, then=f"push it to {provisioning.FOLDER} before the agent starts")


@group.command(short_help="Show the admin password of a tablet's agent.")
@click.argument("serial")
@click.option("--reason", required=True, help="Why; it is kept in the audit.")
@json_option
def password(serial: str, reason: str, *, as_json: bool) -> None:
    """Show the password that opens the agent's own settings on one tablet; that you looked is noted."""
    by = Principal.command_line()
    with application(writes=True) as config:
        device = devices.find_device(serial, by=by)
        key = admin_password.secret(config.secrets_dir)
        shown = {
            "serial": device.serial,
            "password": admin_password.shown(device, key, reason=reason, by=by, now=clock.now()),
        }
    show_json(shown) if as_json else click.echo(shown["password"])


@group.command(short_help="Give tablets new addresses.")
@click.argument("serial", required=False)
@click.option("--all", "of_all", is_flag=True, help="All tablets with the agent.")
@json_option
def rotate(serial: str | None, *, of_all: bool, as_json: bool) -> None:
    """Give a tablet, or all, a new address; the old one is good until the tablet was seen under the new one."""
    if (serial is None) is not of_all:
        raise click.UsageError("say which tablet, or --all")
    by = Principal.command_line()
    app = ready_app()
    with app.app_context(), transaction():
        config: Config = app.extensions["fleet_config"]
        found = [devices.find_device(serial, by=by)] if serial is not None else figures.with_agent()
        serials = [one.serial for one in found]
    key = admin_password.secret(config.secrets_dir)
    told: dict[str, Any] = {"rotated": [], "left_out": []}
    for one in serials:  # each by itself: polls of other tablets do not wait until all are done
        try:
            with app.app_context(), transaction():
                tokens.rotate(devices.find_device(one, by=by), secret=key, by=by, now=clock.now())
        except (TokenUnusedError, NotFoundError):  # one that left meanwhile has no address to lose
            if not of_all:
                raise
            told["left_out"].append(one)
        else:
            told["rotated"].append(one)
    if as_json:
        show_json(told)
        return
    click.echo(f"{len(told['rotated'])} tablet(s) move to a new address when they fetch next")
    if told["left_out"]:
        click.echo(f"{len(told['left_out'])} are still coming in, or have left, and keep theirs")
