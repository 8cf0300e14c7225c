"""In which order municipalities are upgraded, and when an upgrade has gone wrong. Pure."""

import re
from collections.abc import Iterable, Sequence

from fleet.checkup.checks import Check, Grade
from fleet.errors import FleetError, InvalidError, NotFoundError


class GoneRedError(FleetError):
    """A municipality has faults since its upgrade; no other is begun. Data: ``name``, ``faults``, ``left``."""

    code = "municipality-gone-red"


def waves(names: Sequence[str], wave: str, *, canary: str | None) -> list[list[str]]:
    """Return in which order municipalities are upgraded: one alone, then the others in waves.

    Args:
        names: all that there are.
        wave: how many of all make a wave, as ``5%``; or the names of those to upgrade, with commas between.
        canary: which is the first; None: the first of the names.

    Raises:
        InvalidError: a wave is neither.
        NotFoundError: there is none of this name.
    """
    share = re.fullmatch(r"(\d{1,3})\s*%", wave)
    wanted = list(names) if share else [one.strip() for one in wave.split(",") if one.strip()]
    if (share and not 1 <= int(share[1]) <= 100) or (not wanted and names):
        raise InvalidError(kind="wave", name=wave)
    for name in [*wanted, *([canary] if canary else [])]:
        if name not in names:
            raise NotFoundError(kind="municipality", name=name, known=sorted(names))
    first = canary or next(iter(wanted), None)
    others = [one for one in dict.fromkeys(wanted) if one != first]
    size = max(1, len(names) * int(share[1]) // 100) if share else len(others)
    rest = [others[start : start + size] for start in range(0, len(others), size or 1)]
    return [[first], *rest] if first is not None else []


def faults(found: Iterable[Check]) -> frozenset[str]:
    """Return the names of those checks that do not stand well."""
    return frozenset(one.name for one in found if one.grade is Grade.FAULT)
