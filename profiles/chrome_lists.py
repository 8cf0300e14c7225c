"""Lists of websites as Chrome takes them, where Chrome is the browser that a tablet's rules bind.

Chrome chooses the narrowest entry for an address: one for that host alone before one for what is below it too, then the
longer host, then the longer path; of two alike the one that allows. Our rule is that blocking wins. So what is blocked
is left out of what is allowed, and stands once more for each host in it that is allowed.

Source: https://support.google.com/chrome/a/answer/9942583 (format of entries, precedence, 1,000 entries a list).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 1_000  # entries that Chrome reads of each list
EVERYTHING = "*"
_WWW = "www."


@dataclass(frozen=True, slots=True)
class Site:
    """One of our entries: a host or what is below it too, from a path on.

    Args:
        host: its name.
        path: with its slash; empty for all of it.
        has_more: whether hosts below it count too.
    """

    host: str
    path: str
    has_more: bool

    def covers(self, other: "Site") -> bool:
        """Whether all of another entry is in this one."""
        return self.holds(other.host) and (self.has_more or not other.has_more) and other.path.startswith(self.path)

    def holds(self, host: str) -> bool:
        """Whether a host is this one, or below it where those count."""
        return host == self.host or (self.has_more and host.endswith(f".{self.host}"))

    @property
    def entries(self) -> list[str]:
        """How Chrome says it: a dot before a host means that host alone; ``www.`` before a host is the same site."""
        if self.has_more:
            return [f"{self.host}{self.path}"]
        hosts = [self.host] if self.host.startswith(_WWW) else [self.host, f"{_WWW}{self.host}"]
        return [f".{host}{self.path}" for host in hosts]


@dataclass(frozen=True, slots=True)
class Lists:
    """What Chrome closes and what it leaves open; None where there is nothing to say."""

    blocked: tuple[str, ...] | None
    allowed: tuple[str, ...] | None


def is_too_long(entries: Collection[str] | None) -> bool:
    """Whether Chrome reads only a part of a list."""
    return len(entries or ()) > MOST


def site(told: str) -> Site:
    """Return an entry of a setting as its parts."""
    name, slash, path = told.removeprefix("*.").partition("/")
    return Site(name, slash + path, told.startswith("*."))


def lists(settings: Mapping[str, Any]) -> Lists:
    """Return Chrome's two lists for settings."""
    blocked = [site(one) for one in settings.get("web.blocked") or ()]
    if "web.allowed" not in settings:
        return Lists(_once(entry for one in blocked for entry in one.entries) or None, None)
    allowed = [site(one) for one in settings["web.allowed"] if not any(two.covers(site(one)) for two in blocked)]
    closed = [entry for one in blocked for entry in [*one.entries, *_again(one, allowed)]]
    return Lists(_once([EVERYTHING, *closed]), _once(entry for one in allowed for entry in one.entries))


def _again(blocked: Site, allowed: Iterable[Site]) -> list[str]:
    """Return a blocked part once more for each allowed host in it, whose narrower entry would win else."""
    within = [one for one in allowed if blocked.has_more and blocked.holds(one.host)]
    return [entry for one in within for entry in Site(one.host, blocked.path, one.has_more).entries]


def _once(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))
