"""Whether an address is of a school's networks: pure.

A school tells its networks as address ranges (CIDR, RFC 4632 and RFC 4291 section 2.3). An IPv4 address that came in an
IPv6 one (RFC 4291 section 2.5.5.2), as a socket that takes both gives it, counts as the IPv4 address it is.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from fleet.errors import InvalidError

Range = ipaddress.IPv4Network | ipaddress.IPv6Network
Ranges = tuple[Range, ...]


def read(told: Iterable[str]) -> Ranges:
    """Return ranges as they were told; a single address is a range of one.

    Raises:
        InvalidError: one is no range, or has bits set beyond its prefix.
    """
    return tuple(_range(one) for one in told)


@lru_cache(maxsize=4_096)
def _range(told: str) -> Range:
    try:
        return ipaddress.ip_network(told.strip())
    except ValueError:
        expected = "an address range such as 10.20.0.0/16 or 2001:db8:20::/48"
        raise InvalidError(kind="network", found=told[:64], expected=expected) from None


def is_inside(address: str | None, ranges: Ranges) -> bool | None:
    """Whether an address is in one of the ranges; None where there are none, or the address cannot be read."""
    if not ranges:
        return None
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in one for one in ranges)
