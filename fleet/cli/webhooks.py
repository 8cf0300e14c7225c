"""``fleet webhooks``: other programs that are told of events."""

from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.alerts import hook_messages, webhooks
from fleet.alerts.models import AlertTopic, HookState
from fleet.alerts.webhooks import TOPICS, Draft
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.crypto import vault_key_of
from fleet.schools import queries as schools

_COLUMNS = ["id", "name", "school", "topics", "is_on", "is_private_allowed", "worked_at", "failure"]
_MESSAGES = ["id", "what", "state", "made_at", "due_at", "attempts", "status", "failure"]
_TOPIC = click.Choice([one.value for one in TOPICS])


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Look after webhooks: other programs that are told of events, signed."""


@group.command("list")
@json_option
def list_webhooks(*, as_json: bool) -> None:
    """List the webhooks and how each goes."""
    with application(writes=False):
        rows = [
            {
                "id": one.id,
                "name": one.name,
                "address": one.address,
                "school": one.school.name if one.school is not None else None,
                "topics": one.topics,
                "is_on": one.is_on,
                "is_private_allowed": one.is_private_allowed,
                "worked_at": one.worked_at,
                "failure": one.failure,
            }
            for one in webhooks.listed(by=Principal.command_line())
        ]
    show_table(rows, _COLUMNS, as_json=as_json)


@group.command()
@click.argument("name")
@click.argument("address")
@click.option("--topic", "told", type=_TOPIC, multiple=True, required=True, help="Of what; may be given several times.")
@click.option("--school", help="Only of this school.")
@click.option("--allow-private", is_flag=True, help="It may be in a private network, and without TLS.")
@json_option
def create(
    name: str, address: str, told: tuple[str, ...], school: str | None, *, allow_private: bool, as_json: bool
) -> None:  # fmt: skip
    """Tell another program of events from now on; its secret is shown this once."""
    with application(writes=True) as config:
        school_id = schools.find_school(school).id if school is not None else None
        draft = Draft(name, address, [AlertTopic(one) for one in told], school_id, allow_private)
        vault = vault_key_of(config.secrets_dir, config.vault_key_file)
        made = webhooks.create(draft, vault_key=vault, by=Principal.command_line(), now=clock.now())
        shown = {"id": made.webhook.id, "name": made.webhook.name, "secret": made.secret}
    if as_json:
        show_json(shown)
        return
    click.echo(f"webhook {shown['id']} ({shown['name']}); its secret, shown this once:\n{shown['secret']}")


@group.command()
@click.argument("webhook_id", type=int)
@click.option("--name", help="What it is for.")
@click.option("--address", help="Where it listens.")
@click.option("--topic", "told", type=_TOPIC, multiple=True, help="Of what, instead of what it was; several times.")
@click.option("--school", help="Only of this school.")
@click.option("--everywhere", is_flag=True, help="Of all schools.")
@click.option("--allow-private/--refuse-private", "is_private", default=None, help="May it be in a private network?")
def change(
    webhook_id: int, name: str | None, address: str | None, told: tuple[str, ...], school: str | None, *,
    everywhere: bool, is_private: bool | None,
) -> None:  # fmt: skip
    """Say something else of a webhook; what is not told stays, and so does the secret."""
    if school is not None and everywhere:
        raise click.UsageError("--school or --everywhere: one of them")
    by = Principal.command_line()
    with application(writes=True):
        found = webhooks.find(webhook_id, by=by)
        school_id = None if everywhere else schools.find_school(school).id if school is not None else found.school_id
        draft = Draft(
            name if name is not None else found.name,
            address if address is not None else found.address,
            [AlertTopic(one) for one in told or found.topics],
            school_id,
            found.is_private_allowed if is_private is None else is_private,
        )
        webhooks.change(webhook_id, draft, by=by, now=clock.now())
    click.echo(f"webhook {webhook_id} is changed")


@group.command()
@click.argument("webhook_id", type=int)
@click.argument("state", type=click.Choice(["on", "off"]))
def switch(webhook_id: int, state: str) -> None:
    """Have a webhook rest, or tell it again."""
    with application(writes=True):
        webhooks.switch(webhook_id, is_on=state == "on", by=Principal.command_line(), now=clock.now())
    click.echo(f"webhook {webhook_id} is {state}")


@group.command()
@click.argument("webhook_id", type=int)
def secret(webhook_id: int) -> None:
    """Sign with a new secret from now on; it is shown this once."""
    with application(writes=True) as config:
        vault = vault_key_of(config.secrets_dir, config.vault_key_file)
        made = webhooks.renew_secret(webhook_id, vault_key=vault, by=Principal.command_line(), now=clock.now())
        shown = made.secret
    click.echo(shown)


@group.command()
@click.argument("webhook_id", type=int)
def remove(webhook_id: int) -> None:
    """Tell a program no more."""
    with application(writes=True):
        webhooks.remove(webhook_id, by=Principal.command_line(), now=clock.now())
    click.echo(f"webhook {webhook_id} is told no more")


@group.command("test")
@click.argument("webhook_id", type=int)
def test_webhook(webhook_id: int) -> None:
    """Have a message sent that tells of nothing, by a server that runs."""
    with application(writes=True):
        made = hook_messages.test(webhook_id, by=Principal.command_line(), now=clock.now())
        number = made.id
    click.echo(f"message {number} is under way, where a server runs: `webhooks messages {webhook_id}` says how it went")


@group.command("messages")
@click.argument("webhook_id", type=int)
@click.option("--state", type=click.Choice([one.value for one in HookState]), help="Only those; dead: given up.")
@json_option
def list_messages(webhook_id: int, state: str | None, *, as_json: bool) -> None:
    """List the messages to a webhook, the newest first."""
    with application(writes=False):
        found = hook_messages.listed(
            webhook_id, by=Principal.command_line(), state=HookState(state) if state is not None else None
        )
        rows = [_message(one) for one in found]
    show_table(rows, _MESSAGES, as_json=as_json)


def _message(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "uid": one.uid,
        "what": one.what,
        "state": one.state.value,
        "made_at": one.made_at,
        "due_at": one.due_at,
        "attempts": one.attempts,
        "status": one.status,
        "failure": one.failure,
    }


@group.command()
@click.argument("webhook_id", type=int)
@click.option("--message", type=int, help="Only this one.")
def replay(webhook_id: int, message: int | None) -> None:
    """Send again what was given up."""
    by, now = Principal.command_line(), clock.now()
    with application(writes=True):
        if message is None:
            count = hook_messages.replay_all(webhook_id, by=by, now=now)
        else:
            hook_messages.replay(message, by=by, now=now)
            count = 1
    click.echo(f"sent again: {count}")
