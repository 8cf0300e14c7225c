"""The certificate that a tablet showed a proxy in front, as the proxy tells it in a header.

The proxy speaks TLS with the tablet, so that the tablet has the certificate's key is the proxy's to find; whose
certificate it is, and whether it counts, is judged here like any other. Invariant: nobody but a proxy that the
configuration names is heard, by the address at the other end of the connection and not by what a header says of it.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from fleet.channels.http import Request
from fleet.mdm.authority import CertificateError

_MAX_CHARACTERS = 16_384  # a certificate of ours has about 1,600
_PEM = re.compile(rb"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
_SPACE = re.compile(rb"\s+")


class ProxiedCertificates:
    """Reads what proxies tell.

    Args:
        header: the header's name, lower case; empty: nobody is heard.
        proxies: addresses and networks of those who are heard.
    """

    def __init__(self, header: str, proxies: Sequence[str]) -> None:
        self._header = header
        self._proxies = tuple(ipaddress.ip_network(one) for one in proxies)

    def of(self, request: Request) -> bytes | None:
        """Return the certificate (DER) of who sent a request; None where nobody tells one who is heard.

        Raises:
            CertificateError: a proxy tells something else than one certificate (``unreadable``). Two are what a caller
                gets through a proxy that adds to his header in place of writing it anew.
        """
        told = request.headers.get(self._header) if self._header else None
        if not told or not self._is_heard(request.peer):
            return None
        if len(told) > _MAX_CHARACTERS:
            raise CertificateError("unreadable")
        try:
            return _byte_sequence(told) if told.startswith(":") else _escaped_pem(told)
        except (binascii.Error, ValueError) as error:
            raise CertificateError("unreadable") from error

    def _is_heard(self, peer: str | None) -> bool:
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:
            return False
        # Where one listens on both kinds of addresses, the older come written as the newer.
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._proxies)


def _byte_sequence(told: str) -> bytes:
    """Source: RFC 9440 section 2.1, RFC 8941 section 3.3.5. A list of two has a comma, which is no base64."""
    if len(told) < 3 or not told.endswith(":"):
        raise ValueError(told[-1:])
    return base64.b64decode(told[1:-1], validate=True)


def _escaped_pem(told: str) -> bytes:
    """Source: the nginx module ``ngx_http_ssl_module``, ``$ssl_client_escaped_cert``; RFC 7468 section 2."""
    found = _PEM.fullmatch(unquote_to_bytes(told))
    if found is None:
        raise ValueError(len(told))
    return base64.b64decode(_SPACE.sub(b"", found[1]), validate=True)
