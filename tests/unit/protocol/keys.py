"""Keys for tests: derived from small numbers, so that runs repeat and no private key is kept in a file."""

from cryptography.hazmat.primitives.asymmetric import ec


def key(number: int) -> ec.EllipticCurvePrivateKey:
    """Return test key ``number``: worthless by design."""
    return ec.derive_private_key(0x1234567890ABCDEF * 2**64 + number, ec.SECP256R1())
