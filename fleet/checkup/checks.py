"""One check: how something stands, what was seen, and what to do where it does not stand well. Pure.

Invariants: what is seen and advised is one line each, and holds no secret and nobody's name.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

_NEAR = timedelta(days=60)  # people have holidays, and some things are renewed by others


class Grade(enum.StrEnum):
    """How something stands."""

    OK = "ok"
    WARNING = "warning"  # works, but will not for long, or not for everybody
    FAULT = "fault"  # does not work


@dataclass(frozen=True, slots=True)
class Check:
    """How one thing stands.

    Args:
        name: what was looked at; programs may rely on it.
        grade: how it stands.
        seen: what was found, one line.
        advice: what to do, one line; empty where nothing is to be done.
    """

    name: str
    grade: Grade
    seen: str
    advice: str = ""


def ok(name: str, seen: str) -> Check:
    """Return a check that went well."""
    return Check(name, Grade.OK, seen)


def warning(name: str, seen: str, advice: str) -> Check:
    """Return a check of what works but should be seen to."""
    return Check(name, Grade.WARNING, seen, advice)


def fault(name: str, seen: str, advice: str) -> Check:
    """Return a check of what does not work."""
    return Check(name, Grade.FAULT, seen, advice)


def has_fault(found: Iterable[Check]) -> bool:
    """Whether something of it does not work."""
    return any(one.grade is Grade.FAULT for one in found)


def ending(name: str, ends_at: datetime, *, now: datetime, near: timedelta = _NEAR, advice: str) -> Check:
    """Return how something stands that ends unless somebody renews it.

    Args:
        name: what.
        ends_at: when.
        now: the instant.
        near: how long before the end it is warned of.
        advice: how it is renewed.
    """
    on = f"{ends_at:%Y-%m-%d}"
    if now >= ends_at:
        return fault(name, f"ended on {on}", advice)
    told = f"ends on {on}, in {(ends_at - now) // timedelta(days=1)} days"
    return warning(name, told, advice) if ends_at - now < near else ok(name, told)
