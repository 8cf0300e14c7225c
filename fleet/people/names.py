"""What those are called who did something, where it is stored as ``Principal.name`` tells: ``account:17``."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select

from fleet.db import db, id_set
from fleet.people.models import Account


@dataclass(frozen=True, slots=True)
class Named:
    """What an account is called, and how it signs in."""

    name: str
    username: str


def of(told: Collection[str | None]) -> dict[str, str]:
    """Return the names of accounts among these, by what was told; at most one statement.

    What is no account (the command line, a job, a tablet) and accounts that are no more have no name here.
    """
    return {one: named.name for one, named in accounts(told).items()}


def accounts(told: Collection[str | None]) -> dict[str, Named]:
    """Return the accounts among these, by what was told; at most one statement."""
    numbers = {}
    for one in told:
        kind, _colon, number = (one or "").partition(":")
        if kind == "account" and number.isascii() and number.isdecimal():
            numbers[int(number)] = str(one)
    if not numbers:
        return {}
    query = select(Account.id, Account.name, Account.username).where(Account.id.in_(id_set(numbers)))
    return {numbers[row.id]: Named(row.name, row.username) for row in db.session.execute(query)}
