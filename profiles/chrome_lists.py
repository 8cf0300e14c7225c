"""Lists of websites as Chrome takes them, where Chrome is the browser that a tablet's rules bind.

Chrome chooses the narrowest entry for an address: one for that host alone before one for what is below it too, then the
longer host, then the longer path; of two alike the one that allows. Our rule is that blocking wins. So what is blocked
is left out of what is allowed, and stands once more for each host in it that is allowed.

Source: https://support.google.com/chrome/a/answer/9942583 (format of entries, precedence, 1,000 entries a list).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
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
    def entry(self) -> str:
        """How Chrome says it: a dot before a host means that host alone."""
        return f"{self.host}{self.path}" if self.has_more else f".{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Lists:
    """What Chrome closes and what it leaves open; None where there is nothing to say."""

    blocked: tuple[str, ...] | None
    allowed: tuple[str, ...] | None


def is_too_long(entries: Collection[str] | None) -> bool:
    """Whether Chrome reads only a part of a list."""
    return len(entries or ()) > MOST


def sites(told: str) -> list[Site]:
    """Return an entry of a setting as its parts; ``www.`` before a host that stands alone is the same site."""
    name, slash, path = told.removeprefix("*.").partition("/")
    if told.startswith("*."):
        return [Site(name, slash + path, has_more=True)]
    hosts = [name] if name.startswith(_WWW) else [name, f"{_WWW}{name}"]
    return [Site(host, slash + path, has_more=False) for host in hosts]


def lists(settings: Mapping[str, Any]) -> Lists:
    """Return Chrome's two lists for settings; as many steps as they have entries, however long both are."""
    blocked = [one for told in settings.get("web.blocked") or () for one in sites(told)]
    closed = [one.entry for one in blocked]
    if "web.allowed" not in settings:
        return Lists(_once(closed) or None, None)
    by_host: dict[str, list[Site]] = {}
    for one in blocked:
        by_host.setdefault(one.host, []).append(one)
    opened: list[str] = []
    for one in (one for told in settings["web.allowed"] for one in sites(told)):
        around = [two for host in _above(one.host) for two in by_host.get(host, ()) if two.holds(one.host)]
        if not any(two.covers(one) for two in around):
            opened.append(one.entry)
        # The narrower entry of an allowed host would win over that of what is blocked around it.
        closed += [replace(one, path=two.path).entry for two in around if two.has_more]
    return Lists(_once([EVERYTHING, *closed]), _once(opened))


def _above(host: str) -> list[str]:
    """Return a host and those that it is below of."""
    labels = host.split(".")
    return [".".join(labels[place:]) for place in range(len(labels))]


def _once(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))
