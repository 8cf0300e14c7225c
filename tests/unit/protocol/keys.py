"""Keys for tests: derived from small numbers, so that runs repeat and no private key is kept in a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from agent_protocol import envelopes, signing


def key(number: int) -> ec.EllipticCurvePrivateKey:
    """Return test key ``number``: worthless by design."""
    return ec.derive_private_key(0x1234567890ABCDEF * 2**64 + number, ec.SECP256R1())


@contextmanager
def repeatable() -> Iterator[None]:
    """Have the same signature come out for the same message. Source: RFC 6979."""
    same = ec.ECDSA(SHA256(), deterministic_signing=True)
    with mock.patch.object(signing, "_ECDSA", same), mock.patch.object(envelopes, "_ECDSA", same):
        yield
