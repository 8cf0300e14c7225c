"""``fleet people``: accounts, their roles, and one-time links for choosing a password."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from fleet import clock
from fleet.access import Principal, Role
from fleet.cli.local_time import moment
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.config import Config
from fleet.errors import ConflictError
from fleet.people import accounts, passwords
from fleet.people.models import Account
from fleet.schools import queries as schools

_COLUMNS = ["username", "name", "roles", "language", "has_password", "disabled_at"]
_ROLE = click.Choice([one.value for one in Role])


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Look after the accounts of those who use the pages."""


def _school_names() -> dict[int, str]:
    return {row["id"]: row["name"] for row in schools.schools(Principal.command_line())}


def _plain(account: Account, names: Mapping[int, str]) -> dict[str, Any]:
    grants = [
        {
            "role": one.role.value,
            "school_id": one.school_id,
            "school": names.get(one.school_id) if one.school_id is not None else None,
        }
        for one in sorted(account.grants, key=lambda one: (one.role.value, one.school_id or 0))
    ]
    return {
        "username": account.username,
        "name": account.name,
        "grants": grants,
        "language": account.language,
        "email": account.email,
        "has_password": account.password_hash is not None,
        "in_roster": account.person_id is not None,
        "created_at": account.created_at,
        "disabled_at": account.disabled_at,
    }


def _row(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return an account as a line of a table: the roles as text."""
    roles = [
        one["role"] if one["school_id"] is None else f"{one['role']} at {one['school'] or one['school_id']}"
        for one in shown["grants"]
    ]
    return {**shown, "roles": ", ".join(roles)}


def _school_id(name: str | None) -> int | None:
    return schools.find_school(name).id if name is not None else None


def _url(config: Config, token: str) -> str:
    return f"{config.public_url}/password/{token}"


def _show_link(url: str, until: datetime) -> None:
    click.echo(f"link to choose a password, good once, until {moment(until)}:\n{url}")


@group.command("list")
@json_option
def list_accounts(*, as_json: bool) -> None:
    """List the accounts with their roles."""
    with application(writes=False):
        names = _school_names()
        rows = [_plain(account, names) for account in accounts.listed(by=Principal.command_line())]
    show_json(rows) if as_json else show_table([_row(row) for row in rows], _COLUMNS, as_json=False)


@group.command()
@click.argument("username")
@json_option
def show(username: str, *, as_json: bool) -> None:
    """Show one account."""
    with application(writes=False):
        shown = _plain(accounts.find(username), _school_names())
    show_json(shown) if as_json else show_table([_row(shown)], [*_COLUMNS, "in_roster", "created_at"], as_json=False)


@group.command()
@click.argument("username")
@click.option("--name", required=True, help="The name others see.")
@click.option("--role", type=_ROLE, help="A first role; more with grant.")
@click.option("--school", help="The school of the role.")
@click.option("--everywhere", is_flag=True, help="The role holds at every school.")
@json_option
def create(
    username: str, name: str, role: str | None, school: str | None, *, everywhere: bool, as_json: bool
) -> None:  # fmt: skip
    """Make an account; its one-time link for choosing a password is shown this once."""
    if role is None and (school is not None or everywhere):
        raise click.UsageError("--school and --everywhere say where a role holds: give --role too")
    _require_place(role, school, everywhere=everywhere)
    by, now = Principal.command_line(), clock.now()
    with application(writes=True) as config:
        account = accounts.create(username, name, by=by, now=now)
        if role is not None:
            accounts.grant(account, Role(role), school_id=_school_id(school), by=by, now=now)
        url = _url(config, passwords.issue_link(account, by=by, now=now))
        shown = _plain(account, _school_names())
    _warn_without_classes(shown, role)
    until = now + passwords.LINK_LIFE
    if as_json:
        show_json({**shown, "link": url, "link_expires_at": until})
        return
    click.echo(f"account {shown['username']} ({_row(shown)['roles'] or 'no role yet'})")
    _show_link(url, until)


def _require_place(role: str | None, school: str | None, *, everywhere: bool) -> None:
    """Refuse a role for every school that nobody asked for."""
    if school is not None and everywhere:
        raise click.UsageError("either --school or --everywhere")
    if role == Role.SCHOOL_IT and school is None and not everywhere:
        raise click.UsageError("say where: --school NAME, or --everywhere for every school")


def _warn_without_classes(shown: Mapping[str, Any], role: str | None) -> None:
    if role == Role.TEACHER and not shown["in_roster"]:
        click.echo(
            f"fleet: warning: the roster has no teacher with the user name {shown['username']}, so this account sees "
            "no class yet; once a roster brings one in, the next sign-in finds the classes",
            err=True,
        )


@group.command()
@click.argument("username")
@click.option("--role", type=_ROLE, required=True, help="What to be.")
@click.option("--school", help="At this school.")
@click.option("--everywhere", is_flag=True, help="At every school.")
def grant(username: str, role: str, school: str | None, *, everywhere: bool) -> None:
    """Give an account a role."""
    _require_place(role, school, everywhere=everywhere)
    with application(writes=True):
        account = accounts.find(username)
        accounts.grant(
            account, Role(role), school_id=_school_id(school), by=Principal.command_line(), now=clock.now()
        )  # fmt: skip
        shown = _plain(account, _school_names())
    _warn_without_classes(shown, role)
    click.echo(f"{username} is {role} {f'at {school}' if school is not None else 'everywhere'}")


@group.command()
@click.argument("username")
@click.option("--role", type=_ROLE, required=True, help="What not to be any more.")
@click.option("--school", help="At this school; the role held everywhere where not given.")
def revoke(username: str, role: str, school: str | None) -> None:
    """Take a role from an account, at once."""
    with application(writes=True):
        accounts.revoke(
            accounts.find(username), Role(role),
            school_id=_school_id(school), by=Principal.command_line(), now=clock.now(),
        )  # fmt: skip
    click.echo(f"{username} is not {role} {f'at {school}' if school is not None else 'everywhere'} any more")


@group.command("email")
@click.argument("username")
@click.argument("address", required=False)
def set_email(username: str, address: str | None) -> None:
    """Choose where an account's mail goes; without an address to the one the roster has, if any."""
    with application(writes=True):
        accounts.set_email(accounts.find(username), address, by=Principal.command_line(), now=clock.now())
    click.echo(f"mail for {username} goes to {address or 'the address in the roster, if any'}")


@group.command()
@click.argument("username")
def disable(username: str) -> None:
    """Keep an account out; its sessions and links end."""
    with application(writes=True):
        accounts.disable(accounts.find(username), by=Principal.command_line(), now=clock.now())
    click.echo(f"{username} is disabled")


@group.command()
@click.argument("username")
def enable(username: str) -> None:
    """Let an account in again."""
    with application(writes=True):
        accounts.enable(accounts.find(username), by=Principal.command_line(), now=clock.now())
    click.echo(f"{username} is enabled")


@group.command()
@click.argument("username")
def link(username: str) -> None:
    """Make a new one-time link for choosing a password; earlier ones end."""
    now = clock.now()
    with application(writes=True) as config:
        url = _url(config, passwords.issue_link(accounts.find(username), by=Principal.command_line(), now=now))
    _show_link(url, now + passwords.LINK_LIFE)


@group.command("first-admin")
def first_admin() -> None:
    """Make the link by which the first administrator starts, as long as there is no account."""
    now = clock.now()
    with application(writes=True) as config:
        token = passwords.first_admin_link(now=now)
        if token is None:
            raise ConflictError(kind="account", reason="there are accounts already")
        url = _url(config, token)
    _show_link(url, now + passwords.LINK_LIFE)
