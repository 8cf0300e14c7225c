"""Versions of systems and apps as tablets tell them, compared number by number."""

import re
from itertools import zip_longest

_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*")


def version(told: str) -> tuple[int, ...] | None:
    """Return the first version that stands in a text, without zeros at its end; None where there is none."""
    found = _VERSION.search(told)
    if found is None:
        return None
    numbers = [int(number) for number in found.group().split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def is_older(found: str, minimum: str) -> bool:
    """Whether one version comes before another, number by number; False where one of them is none."""
    told, asked = version(found), version(minimum)
    if told is None or asked is None:
        return False
    pairs = zip_longest(told, asked, fillvalue=0)
    return next((mine < theirs for mine, theirs in pairs if mine != theirs), False)
