"""``fleet alerts``: who hears of what, the letters, and the mail server that takes them."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal, Role
from fleet.alerts import letters, mail_server, topics
from fleet.alerts.mail_server import USUAL_PORT, Settings
from fleet.alerts.models import AlertTopic, Delivery, LetterState, MailSecurity
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.crypto import vault_key_of
from fleet.people import accounts
from fleet.schools import queries as schools

_TOPIC = click.Choice([one.value for one in AlertTopic])
_COLUMNS = ["id", "reader", "kind", "school", "state", "due_at", "items", "attempts", "failure"]
_SERVER = ["host", "port", "security", "sender", "username", "has_password", "worked_at", "failure", "rests_until"]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Decide who hears of what, and see to it that letters arrive."""


def _school_id(name: str | None) -> int | None:
    return schools.find_school(name).id if name is not None else None


@group.command("list")
@click.option("--school", help="What holds at this school; the municipality where not given.")
@json_option
def list_choices(school: str | None, *, as_json: bool) -> None:
    """List how each role hears of each topic."""
    with application(writes=False):
        cells = topics.matrix(by=Principal.command_line(), school_id=_school_id(school))
    rows = [
        {"role": one.role.value, "topic": one.topic.value, "delivery": one.delivery.value, "chosen_here": one.is_own}
        for one in cells
    ]
    show_table(rows, ["role", "topic", "delivery", "chosen_here"], as_json=as_json)


@group.command()
@click.argument("role", type=click.Choice([one.value for one in Role]))
@click.argument("topic", type=_TOPIC)
@click.argument("delivery", type=click.Choice([*(one.value for one in Delivery), "usual"]))
@click.option("--school", help="At this school; wherever no school has decided where not given.")
def choose(role: str, topic: str, delivery: str, school: str | None) -> None:
    """Decide how a role hears of a topic; "usual" takes a decision back."""
    told = Delivery(delivery) if delivery != "usual" else None
    with application(writes=True):
        is_new = topics.choose(
            Role(role), AlertTopic(topic), told,
            school_id=_school_id(school), by=Principal.command_line(), now=clock.now(),
        )  # fmt: skip
    click.echo(f"{role} hears of {topic}: {delivery}" if is_new else "nothing changed: it is so already")


@group.command()
@click.argument("username")
@json_option
def show(username: str, *, as_json: bool) -> None:
    """Show what somebody hears of, and where the letters go."""
    with application(writes=False):
        own = topics.own(accounts.find(username))
    rows = [
        {"topic": topic.value, "delivery": delivery.value, "muted": topic in own.muted}
        for topic, delivery in own.topics.items()
    ]
    if as_json:
        show_json({"address": own.address, "digest_at": f"{own.digest_at:%H:%M}", "topics": rows})
        return
    click.echo(f"{username}: {own.address or 'no mail address'}, digest at {own.digest_at:%H:%M}")
    show_table(rows, ["topic", "delivery", "muted"], as_json=False)


@group.command()
@click.argument("username")
@click.argument("topic", type=_TOPIC)
@click.option("--off/--on", "is_off", default=True, help="Whether it is turned off (as it is meant) or on again.")
def mute(username: str, topic: str, *, is_off: bool) -> None:
    """Have somebody hear no more of a topic."""
    do = topics.mute if is_off else topics.unmute
    with application(writes=True):
        do(accounts.find(username), AlertTopic(topic), by=Principal.command_line(), now=clock.now())
    click.echo(f"{username} hears {'no more' if is_off else 'again'} of {topic}")


@group.command("time")
@click.argument("username")
@click.argument("at", type=click.DateTime(["%H:%M"]))
def digest_time(username: str, at: datetime) -> None:
    """Choose at which local time somebody's digest comes."""
    with application(writes=True):
        topics.set_digest_at(accounts.find(username), at.time(), by=Principal.command_line(), now=clock.now())
    click.echo(f"{username} gets the digest at {at:%H:%M}")


@group.command("letters")
@click.option("--state", type=click.Choice([one.value for one in LetterState]), help="Only those.")
@click.option("--user", help="Only this account's.")
@json_option
def list_letters(state: str | None, user: str | None, *, as_json: bool) -> None:
    """List letters, the newest first, with the reason where one did not arrive."""
    with application(writes=False):
        account_id = accounts.find(user).id if user is not None else None
        found = letters.listed(
            by=Principal.command_line(), account_id=account_id, state=LetterState(state) if state else None
        )
        rows = [_letter(one) for one in found]
    show_table(rows, _COLUMNS, as_json=as_json)


def _letter(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "reader": one.account.username,
        "kind": one.kind.value,
        "school": one.school.name if one.school is not None else None,
        "state": one.state.value,
        "due_at": one.due_at,
        "items": one.items,
        "attempts": one.attempts,
        "failure": one.failure,
        "message_id": one.message_id,
    }


@group.command()
@click.argument("letter_id", type=int)
def retry(letter_id: int) -> None:
    """Try a letter again that was given up."""
    with application(writes=True):
        letters.retry(letter_id, by=Principal.command_line(), now=clock.now())
    click.echo(f"letter {letter_id} is tried again, by a server that runs")


@group.group("mail", cls=ErrorsAsLines)
def mail() -> None:
    """Say which mail server takes the letters."""


@mail.command("set")
@click.argument("host")
@click.option("--from", "sender", required=True, help="The address the letters come from.")
@click.option(
    "--security", type=click.Choice([one.value for one in MailSecurity]), default=MailSecurity.STARTTLS.value,
    show_default=True, help="How the way there is guarded; none only for this machine itself.",
)  # fmt: skip
@click.option("--port", type=int, help="Where it listens; the usual one where not given.")
@click.option("--user", help="The user name, where it asks for one.")
@click.option("--password-file", type=click.File("r"), help="A file with the password in its first line, - for stdin.")
@click.option("--authority", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its CA, PEM.")
def set_server(
    host: str, sender: str, security: str, port: int | None, user: str | None, password_file: Any,
    authority: Path | None,
) -> None:  # fmt: skip
    """Send letters by a mail server from now on; without a password file the password that is kept stays."""
    guarded = MailSecurity(security)
    password = password_file.readline().rstrip("\r\n") if password_file is not None else None
    pem = authority.read_text() if authority is not None else None
    draft = Settings(host, port or USUAL_PORT[guarded], guarded, sender, user, password, pem)
    with application(writes=True) as config:
        vault = vault_key_of(config.secrets_dir, config.vault_key_file)
        mail_server.save(draft, vault_key=vault, by=Principal.command_line(), now=clock.now())
    click.echo(f"letters go by {host}: try it with `alerts mail test NAME`")


@mail.command("show")
@json_option
def show_server(*, as_json: bool) -> None:
    """Show which mail server takes the letters, and how that goes; never the password."""
    with application(writes=False):
        found = mail_server.load(by=Principal.command_line())
        rows: Sequence[dict[str, Any]] = (
            [] if found is None else [{name: getattr(found, name, None) for name in _SERVER}]
        )
        for row in rows:
            row["has_password"] = found is not None and found.password_sealed is not None
    if not rows and not as_json:
        click.echo("there is no mail server yet: letters wait")
        return
    show_table(rows, _SERVER, as_json=as_json)


@mail.command("test")
@click.argument("username")
def test_server(username: str) -> None:
    """Have a letter sent at once to somebody, by a server that runs."""
    with application(writes=True):
        made = mail_server.test(accounts.find(username), by=Principal.command_line(), now=clock.now())
        number = made.id
    click.echo(
        f"letter {number} is under way, where a server runs: `alerts letters --user {username}` says how it went"
    )


@mail.command("remove")
def remove_server() -> None:
    """Send no letters any more; they wait."""
    with application(writes=True):
        mail_server.remove(by=Principal.command_line(), now=clock.now())
    click.echo("letters wait from now on")
