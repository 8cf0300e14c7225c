"""Where a webhook may lead: what an address may look like, and which machines are not spoken to. Pure.

Invariants: an address in a private network, of this machine, of the link, of a carrier's inside or of many at once is
refused however it is written, also inside another (an IPv4 address in an IPv6 one), unless somebody has allowed it;
where a name leads to several machines, all have to be fit. Names are looked up by whoever connects, which then speaks
to exactly the machine that was judged.

Source: RFC 6890 and the registries it made (special-purpose addresses); RFC 4291 section 2.5.5.2 (mapped), RFC 6052
(64:ff9b::/96), RFC 8215 (64:ff9b:1::/48), RFC 3056 (2002::/16), RFC 4380 (2001::/32), RFC 5214 section 6.1 (ISATAP),
RFC 3879 (fec0::/10), RFC 7526 (192.88.99.0/24), RFC 9637 (3fff::/20); RFC 3986 section 3.2.2 (hosts).
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from fleet.errors import InvalidError

MAX_ADDRESS = 500
_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_NUMBER_LIKE = re.compile(r"(0x[0-9a-f]*|[0-9]+)")  # what some resolvers take for an IPv4 address
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(one)
    for one in (
        "192.0.0.0/24",  # for protocols' own use; what the library knows of it differs by its version. RFC 6890
        "192.88.99.0/24",  # once the nearest relay of 6to4. RFC 7526
    )
)
# Where hosts in clouds fetch their keys, beside the link's own addresses: in Azure, Oracle's, Alibaba's and Amazon's.
_GIVE_AWAY_KEYS = frozenset(
    ipaddress.ip_address(one) for one in ("168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254")
)
# IPv4 in the last bits as once was, and networks' own translation, in which it may stand anywhere.
# Then what once was a site's own, and what is for examples.
_NEVER_PUBLIC = tuple(ipaddress.IPv6Network(one) for one in ("::/96", "64:ff9b:1::/48", "fec0::/10", "3fff::/20"))
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})  # after the network: an IPv4 address follows
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "localdomain")
Machine = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """A webhook's address in its parts.

    Args:
        is_tls: whether TLS is spoken.
        host: a name in lower case and ASCII, or an address without brackets.
        port: where it listens.
        path: with the query, as it is sent.
    """

    is_tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as the header ``Host`` has them, the usual port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


def read(told: str, *, is_private_allowed: bool) -> Target:
    """Return an address in its parts.

    Args:
        told: what somebody typed.
        is_private_allowed: whether it may lead into private networks; only then it may do without TLS.

    Raises:
        InvalidError: it is none that we speak to; data has ``reason``: ``address``, ``tls`` or ``private``.
    """
    if len(told) > MAX_ADDRESS or not told.isascii() or not told.isprintable() or " " in told or "\\" in told:
        raise _refused("address")
    try:
        parts = urlsplit(told)
        port = parts.port
    except ValueError:
        raise _refused("address") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise _refused("address")
    is_tls = parts.scheme == "https"
    if not is_tls and not is_private_allowed:
        raise _refused("tls")
    host = _host(parts.hostname, is_private_allowed=is_private_allowed)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(is_tls, host, (443 if is_tls else 80) if port is None else _port(port), path)


def _port(port: int) -> int:
    if port == 0:
        raise _refused("address")
    return port


def _host(told: str, *, is_private_allowed: bool) -> str:
    host = told.rstrip(".").lower()
    try:
        machine = ipaddress.ip_address(host)
    except ValueError:
        machine = None
    if machine is not None:
        if "%" in host:
            raise _refused("address")
        if not (is_private_allowed or is_public(machine)):
            raise _refused("private")
        return host
    if not _NAME.fullmatch(host):
        raise _refused("address")
    if _NUMBER_LIKE.fullmatch(host.rpartition(".")[2]):  # 2130706433, 0177.0.0.1, 0x7f.1: an address in disguise
        raise _refused("private")
    is_local = any(host == one or host.endswith(f".{one}") for one in _LOCAL_NAMES)
    if is_local and not is_private_allowed:
        raise _refused("private")
    return host


def is_public(machine: Machine) -> bool:
    """Whether anybody in the world means the same machine by this address."""
    if isinstance(machine, ipaddress.IPv6Address):
        if machine.scope_id is not None:
            return False
        inside = _inside(machine)
        if inside is not None:
            return is_public(inside)
        if any(machine in one for one in _NEVER_PUBLIC):
            return False
    elif machine in _GIVE_AWAY_KEYS or any(machine in one for one in _NEVER_PUBLIC_4):
        return False
    return machine.is_global and not (
        machine.is_multicast
        or machine.is_reserved
        or machine.is_private
        or machine.is_loopback
        or machine.is_link_local
        or machine.is_unspecified
    )


def _inside(machine: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 one leads to; of two (Teredo's server and client) the client."""
    if machine.ipv4_mapped is not None:
        return machine.ipv4_mapped
    if machine.sixtofour is not None:
        return machine.sixtofour
    if machine.teredo is not None:
        return machine.teredo[1]
    if machine in _TRANSLATED or (int(machine) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return ipaddress.IPv4Address(int(machine) & 0xFFFF_FFFF)
    return None


def are_fit(machines: Collection[str], *, is_private_allowed: bool) -> bool:
    """Whether a name that leads to these machines may be spoken to: every one has to be fit.

    Even where private networks are allowed, addresses of many machines at once, or of none, are not.
    """
    found = []
    for told in machines:
        try:
            found.append(ipaddress.ip_address(told))
        except ValueError:
            return False
    return bool(found) and all(is_public(one) or (is_private_allowed and _is_one_machine(one)) for one in found)


def _is_one_machine(machine: Machine) -> bool:
    inside = _inside(machine) if isinstance(machine, ipaddress.IPv6Address) else None
    seen = inside if inside is not None else machine
    # The link's addresses never: at many hosts a machine's own keys are fetched there.
    is_of_many = seen.is_multicast or seen.is_unspecified or str(seen) == "255.255.255.255"
    return not (is_of_many or seen.is_link_local or seen in _GIVE_AWAY_KEYS)


def _refused(reason: str) -> InvalidError:
    expected = {
        "address": "an address such as https://example.no/alerts",
        "tls": "an address that begins with https://",
        "private": "an address in the public internet",
    }
    return InvalidError(kind="webhook", reason=reason, expected=expected[reason])
