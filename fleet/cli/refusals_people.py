"""Refusals about accounts and their roles, as sentences."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, see


def _account_state(data: Data) -> str:
    name, reason = data.get("name"), str(data.get("reason"))
    if name is None:
        create, link = see("people create"), see("people link NAME")
        return f"{reason}: make more with {create}, or a new link for one with {link}"
    told = {
        "the user name is taken": f"there is an account {name} already: {see(f'people show {name}')}",
        "last municipal administrator": f"{name} is the last municipal administrator: make another first",
        "already disabled": f"{name} is already disabled",
        "not disabled": f"{name} is not disabled",
        "no mail address": f"{name} has no mail address: give one with {see(f'people email {name} ADDRESS')}",
        "disabled": f"{name} is disabled: let it in first with {see(f'people enable {name}')}",
    }
    return told.get(reason, f"{name}: {reason}")


def _role_state(data: Data) -> str:
    where = "there" if data.get("school_id") is not None else "everywhere"
    return f"the account has the role {data.get('role')} {where} already"


def _bad_account(data: Data) -> str:
    reason, expected = str(data.get("reason")), data.get("expected")
    what = {"username": "user name must have", "name": "name must have", "email": "mail address must be"}.get(reason)
    return f"an account's {what} {expected}" if what is not None else f"choose one of {expected}"


def _bad_role(data: Data) -> str:
    role, reason = data.get("role"), str(data.get("reason"))
    remedy = "add --school NAME" if "needs" in reason else "leave --school out"
    return f"the role {role} {reason}: {remedy}"


def _no_role(data: Data) -> str:
    return f"the account does not have the role {data.get('name')} there: {see('people show NAME')} says what it has"


BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("conflict", "account"): _account_state,
        ("conflict", "role"): _role_state,
        ("invalid", "account"): _bad_account,
        ("invalid", "role"): _bad_role,
        ("not-found", "role"): _no_role,
    }
)
